/* SPDX-License-Identifier: Apache-2.0
 *
 * cookie.c - the Set-Cookie values we send, by the server's side of RFC 6265bis section 4.1.
 *
 * `NAME=VALUE; Path=P[; Domain=D][; Max-Age=N; Expires=DATE][; Secure]; HttpOnly; SameSite=S`, always in this
 * order, each attribute once. A cookie with neither Max-Age nor Expires ends with the browser: that is what
 * a login without "stay logged in" gets, while the session behind it ends by its own clock in any case.
 */
#include "service/cookie.h"

#include <time.h>

#define PAIR_MAX 4096            /* name and value together; browsers drop what is longer, silently */
#define ATTRIBUTE_MAX 1024       /* value of one attribute; browsers ignore a longer one */
#define MAX_AGE_LIMIT (34560000) /* 400 days, section 5.5 */

/* RFC 9110 section 5.6.2 */
static bool is_token(lk_view v)
{
    static const char marks[] = "!#$%&'*+-.^_`|~";
    for (size_t i = 0; i < v.len; i++) {
        uint8_t c = v.p[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!letter && lk_view_find(lk_view_make(marks, sizeof(marks) - 1), c) == sizeof(marks) - 1)
            return false;
    }
    return v.len > 0;
}

/* cookie-octet: %x21 / %x23-2B / %x2D-3A / %x3C-5B / %x5D-7E */
static bool is_cookie_value(lk_view v)
{
    for (size_t i = 0; i < v.len; i++) {
        uint8_t c = v.p[i];
        if (c < 0x21 || c > 0x7e || c == '"' || c == ',' || c == ';' || c == '\\')
            return false;
    }
    return true;
}

/* path-value and domain-value: any character but control characters and ';'. */
static bool is_attribute_value(lk_view v)
{
    for (size_t i = 0; i < v.len; i++) {
        if (v.p[i] < 0x20 || v.p[i] > 0x7e || v.p[i] == ';')
            return false;
    }
    return v.len <= ATTRIBUTE_MAX;
}

void lk__http_date_add(lk_buf *out, int64_t at_s)
{
    static const char days[7][4] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
    static const char months[12][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                       "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    time_t at = (time_t)at_s;
    struct tm tm = {0};
    /* A year of five digits is no IMF-fixdate: the last moment of 9999 stands for everything after it. */
    if (at_s < 0 || at_s > 253402300799)
        at = at_s < 0 ? 0 : (time_t)253402300799;
    if (gmtime_r(&at, &tm) == NULL)
        return;
    lk_buf_add_printf(out, "%s, %02d %s %04d %02d:%02d:%02d GMT", days[tm.tm_wday], tm.tm_mday,
                      months[tm.tm_mon], tm.tm_year + 1900, tm.tm_hour, tm.tm_min, tm.tm_sec);
}

static const char *samesite_word(lk_samesite samesite)
{
    switch (samesite) {
    case LK_SAMESITE_STRICT:
        return "Strict";
    case LK_SAMESITE_NONE:
        return "None";
    case LK_SAMESITE_LAX:
        break;
    }
    return "Lax";
}

lk_status lk__cookie_add(const lk__cookie *c, int64_t now_s, lk_buf *out)
{
    if (!is_token(c->name) || !is_cookie_value(c->value) || !is_attribute_value(c->path) ||
        !is_attribute_value(c->domain))
        return LK_REFUSED;
    if (c->name.len + c->value.len > PAIR_MAX)
        return LK_FULL;
    lk_buf_add(out, c->name);
    lk_buf_add_byte(out, '=');
    lk_buf_add(out, c->value);
    lk_buf_add_text(out, "; Path=");
    lk_buf_add(out, c->path);
    if (c->domain.len > 0) {
        lk_buf_add_text(out, "; Domain=");
        lk_buf_add(out, c->domain);
    }
    if (c->ends) {
        int64_t age_s = c->age_s < 0 ? 0 : c->age_s > MAX_AGE_LIMIT ? MAX_AGE_LIMIT : c->age_s;
        lk_buf_add_text(out, "; Max-Age=");
        lk_buf_add_i64(out, age_s);
        lk_buf_add_text(out, "; Expires=");
        lk__http_date_add(out, age_s == 0 ? 0 : now_s + age_s);
    }
    lk_buf_add_text(out, c->secure ? "; Secure; HttpOnly; SameSite=" : "; HttpOnly; SameSite=");
    lk_buf_add_text(out, samesite_word(c->samesite));
    return lk_buf_status(out);
}

size_t lk_cookie_pieces(const lk_issued *issued)
{
    if (issued == NULL)
        return 0;
    return issued->kind == LK_KIND_SEALED ? (issued->len + LK_SEALED_PIECE_LEN - 1) / LK_SEALED_PIECE_LEN : 1;
}

static lk_view piece_of(const lk_issued *issued, size_t piece)
{
    lk_view text = lk_view_make(issued->text, issued->len);
    return issued->kind == LK_KIND_SEALED
               ? lk_view_part(text, piece * LK_SEALED_PIECE_LEN, LK_SEALED_PIECE_LEN)
               : text;
}

lk_status lk_cookie_write(const lk_settings *settings, const lk_issued *issued, size_t piece, int64_t now_s,
                          lk_buf *out)
{
    uint8_t memory[LK_COOKIE_NAME_MAX + 4];
    lk_buf name = lk_buf_over(memory, sizeof(memory));
    bool is_there = piece < lk_cookie_pieces(issued);
    lk_buf_add_text(&name, settings->cookie_name);
    if (piece > 0)
        lk_buf_add_printf(&name, ".%zu", piece);
    lk__cookie c = {
        .name = lk_buf_view(&name),
        .path = settings->cookie_path[0] != '\0' ? lk_view_of(settings->cookie_path) : LK_VIEW("/"),
        .domain = lk_view_of(settings->cookie_domain),
        .secure = settings->cookie_secure,
        .samesite = settings->cookie_samesite,
        .ends = !is_there || (issued->flags & LK_SESSION_REMEMBER) != 0,
    };
    if (is_there) {
        c.value = piece_of(issued, piece);
        c.age_s = issued->expires_s - now_s;
    }
    return lk__cookie_add(&c, now_s, out);
}
