/* SPDX-License-Identifier: Apache-2.0
 *
 * trust.c - rules of latchkey_trust. docs/trust.md
 */
#include "settings/settings_internal.h"
#include <string.h>

static lk_status refuse(lk_note *note, const char *sentence)
{
    lk_note_set(note, "latchkey_trust: %s", sentence);
    return LK_REFUSED;
}

static bool has_prefix(lk_view v, const char *prefix)
{
    lk_view p = lk_view_of(prefix);
    return lk_view_equal(lk_view_part(v, 0, p.len), p);
}

static bool is_plain(lk_view v, const char *but)
{
    for (size_t i = 0; i < v.len; i++)
        if (v.p[i] <= 0x20 || v.p[i] >= 0x7f || strchr(but, v.p[i]) != NULL)
            return false;
    return v.len > 0;
}

/* What stands between the // of a URL and the path behind it. */
static lk_view authority_of(lk_view url)
{
    size_t i = 0;
    while (i + 2 < url.len && !(url.p[i] == '/' && url.p[i + 1] == '/'))
        i++;
    lk_view rest = lk_view_part(url, i + 2, url.len);
    for (i = 0; i < rest.len; i++)
        if (strchr("/?#", rest.p[i]) != NULL)
            break;
    return lk_view_part(rest, 0, i);
}

static lk_view host_of(lk_view authority)
{
    if (authority.len > 0 && authority.p[0] == '[') {
        size_t end = lk_view_find(authority, ']');
        return end < authority.len ? lk_view_part(authority, 0, end + 1) : (lk_view){0};
    }
    return lk_view_part(authority, 0, lk_view_find(authority, ':'));
}

/* The address itself: what a name stands for, somebody else may decide. */
static bool is_loopback(lk_view host)
{
    unsigned parts = 1, digits = 0;
    if (lk_view_equal(host, LK_VIEW("[::1]")))
        return true;
    if (!has_prefix(host, "127."))
        return false;
    for (size_t i = 0; i < host.len; i++) {
        bool dot = host.p[i] == '.';
        if (!dot && (host.p[i] < '0' || host.p[i] > '9'))
            return false;
        if (dot && digits == 0)
            return false;
        parts += dot;
        digits = dot ? 0 : digits + 1;
        if (digits > 3)
            return false;
    }
    return parts == 4 && digits > 0;
}

static lk_status check_source(const lk_trust *t, lk_note *note)
{
    lk_view url = lk_view_of(t->jwks);
    bool https = has_prefix(url, "https://"), http = has_prefix(url, "http://");
    if (url.len == 0)
        return refuse(note, "jwks= is missing: where the issuer publishes its keys, such as "
                            "jwks=https://login.example/jwks.json");
    if (has_prefix(url, "file:")) {
        if (url.len < 7 || url.p[5] != '/')
            return refuse(note, "jwks=file: takes the whole path, such as jwks=file:/etc/latchkey/jwks.json");
        return t->ca[0] == '\0' ? LK_OK : refuse(note, "ca= is of no use beside jwks=file:");
    }
    if (!https && !http)
        return refuse(note, "jwks= begins with https://, or with file: and the path of a file");
    lk_view authority = authority_of(url), host = host_of(authority);
    if (!is_plain(url, "\"\\<>^`{|}#") || host.len == 0)
        return refuse(note, "jwks= is no URL such as https://login.example/jwks.json");
    if (lk_view_find(authority, '@') < authority.len)
        return refuse(note, "jwks= must hold no name or password: a key set is public");
    if (http && !is_loopback(host))
        return refuse(note,
                      "jwks=http:// is for 127.0.0.1 and [::1] only, since whoever can change what comes "
                      "that way chooses the keys: use https://");
    if (http && t->ca[0] != '\0')
        return refuse(note, "ca= is of no use beside jwks=http://");
    if (t->ca[0] != '\0' && t->ca[0] != '/')
        return refuse(note, "ca= takes the whole path of a file with certificates");
    return LK_OK;
}

static bool is_realm(lk_view v)
{
    for (size_t i = 0; i < v.len; i++) {
        uint8_t c = v.p[i], small = c | 0x20;
        if (!(small >= 'a' && small <= 'z') && !(c >= '0' && c <= '9') && strchr("-_.", c) == NULL)
            return false;
    }
    return v.len > 0 && v.len <= LK_REALM_MAX;
}

static lk_status set_realm(lk_trust *t, lk_note *note)
{
    lk_view host = host_of(authority_of(lk_view_of(t->issuer)));
    if (t->realm[0] == '\0' && is_realm(host)) {
        memcpy(t->realm, host.p, host.len);
        t->realm[host.len] = '\0';
    }
    if (t->realm[0] == '\0')
        return refuse(note, "the issuer has no host of at most 32 letters that could name the realm of its "
                            "users: add realm=NAME");
    if (!is_realm(lk_view_of(t->realm)))
        return refuse(note, "realm= holds letters, digits and -_. only");
    return LK_OK;
}

lk_status lk__trust_finish(void *element, lk_note *note)
{
    lk_trust *t = element;
    if (!is_plain(lk_view_of(t->issuer), "\"\\"))
        return refuse(note, "the issuer comes first: what its tokens have as iss, to the letter");
    if (!is_plain(lk_view_of(t->audience), "\"\\"))
        return refuse(note,
                      "aud= is missing, or holds a blank: what its tokens have as aud when they are meant "
                      "for this site; a token that is meant for another site is not to be good here");
    lk_status status = check_source(t, note);
    return status == LK_OK ? set_realm(t, note) : status;
}

/* Two that could be taken for each other. */
static lk_status check_two(const lk_trust *a, const lk_trust *b, lk_note *note)
{
    if (strcmp(a->issuer, b->issuer) == 0)
        return refuse(note, "the same issuer is given twice: keep one");
    if (lk_view_equal_nocase(lk_view_of(a->realm), lk_view_of(b->realm)))
        return refuse(note,
                      "two issuers in one realm could take each other's users: give each a realm= of its "
                      "own");
    return LK_OK;
}

lk_status lk__trust_check(const lk_settings *s, lk_note *note)
{
    for (uint32_t i = 0; i < s->trusts_n; i++) {
        const lk_trust *t = &s->trusts[i];
        if (strcmp(t->issuer, s->jwt_issuer) == 0)
            return refuse(note,
                          "that issuer is this gateway's own (latchkey_jwt iss=), whose tokens are checked "
                          "by its own keys: give latchkey_jwt another iss=");
        if (lk_view_equal_nocase(lk_view_of(t->realm), lk_view_of(s->realm)))
            return refuse(note,
                          "realm= is that of this gateway (latchkey_realm): its users would be taken for "
                          "yours");
        for (uint32_t k = 0; k < i; k++) {
            lk_status status = check_two(t, &s->trusts[k], note);
            if (status != LK_OK)
                return status;
        }
    }
    return LK_OK;
}
