/* SPDX-License-Identifier: Apache-2.0
 *
 * value.c - one word of a setting, read as its row of the table says; and words that stand for a file or a
 * variable.
 */
#include "settings/settings_internal.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static bool has_control(lk_view v)
{
    for (size_t i = 0; i < v.len; i++)
        if (v.p[i] < 0x20 || v.p[i] == 0x7f)
            return true;
    return false;
}

static lk_status set_text(char *field, const lk_value_row *row, lk_view text, lk_note *note)
{
    if (text.len == 0 || text.len >= (size_t)row->max) {
        lk_note_set(note, "expected 1 to %lld characters", (long long)row->max - 1);
        return LK_REFUSED;
    }
    memcpy(field, text.p, text.len);
    field[text.len] = '\0';
    return LK_OK;
}

static lk_status add_word(char *field, const lk_value_row *row, lk_view text, lk_note *note)
{
    size_t used = strlen(field), blank = used > 0 ? 1 : 0;
    if (text.len == 0 || used + blank + text.len >= (size_t)row->max) {
        lk_note_set(note, "expected words of %lld characters in all", (long long)row->max - 1);
        return LK_REFUSED;
    }
    if (blank != 0)
        field[used] = ' ';
    memcpy(field + used + blank, text.p, text.len);
    field[used + blank + text.len] = '\0';
    return LK_OK;
}

static lk_status in_range(const lk_value_row *row, lk_status parsed, uint64_t value, const char *unit,
                          lk_note *note)
{
    if (parsed == LK_OK && value <= (uint64_t)row->max && value >= (uint64_t)row->min)
        return LK_OK;
    lk_note_set(note, "expected %s from %lld to %lld", unit, (long long)row->min, (long long)row->max);
    return LK_REFUSED;
}

static lk_status set_rate(void *base, const lk_value_row *row, lk_view text, lk_note *note)
{
    size_t slash = lk_view_find(text, '/');
    int64_t count = 0, seconds = 0;
    if (slash == text.len || lk_parse_i64(lk_view_part(text, 0, slash), &count) != LK_OK ||
        count < row->min || count > row->max ||
        lk_parse_duration_s(lk_view_part(text, slash + 1, text.len), &seconds) != LK_OK || seconds < 1 ||
        seconds > 86400 * 30) {
        lk_note_set(note, "expected a count and a time of 1 second to 30 days, such as 10/15m");
        return LK_REFUSED;
    }
    *(uint32_t *)((char *)base + row->offset) = (uint32_t)count;
    *(int64_t *)((char *)base + row->offset2) = seconds;
    return LK_OK;
}

static lk_status set_samesite(lk_samesite *field, lk_view text, lk_note *note)
{
    static const char *const words[] = {"lax", "strict", "none"};
    for (unsigned i = 0; i < 3; i++) {
        if (lk_view_equal_nocase(text, lk_view_of(words[i]))) {
            *field = (lk_samesite)i;
            return LK_OK;
        }
    }
    lk_note_set(note, "expected lax, strict or none");
    return LK_REFUSED;
}

static lk_status set_switch(bool *field, lk_view text, lk_note *note)
{
    *field = lk_view_equal(text, LK_VIEW("on"));
    if (*field || lk_view_equal(text, LK_VIEW("off")))
        return LK_OK;
    lk_note_set(note, "expected on or off");
    return LK_REFUSED;
}

/* `https://host[:port]`, lower case, nothing after it: origins are compared byte for byte. (RFC 6454
 * section 6.2) */
static bool is_origin(lk_view v)
{
    lk_view https = LK_VIEW("https://"), http = LK_VIEW("http://"), host;
    if (lk_view_equal(lk_view_part(v, 0, https.len), https))
        host = lk_view_part(v, https.len, v.len);
    else if (lk_view_equal(lk_view_part(v, 0, http.len), http))
        host = lk_view_part(v, http.len, v.len);
    else
        return false;
    for (size_t i = 0; i < host.len; i++) {
        uint8_t c = host.p[i];
        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '-' || c == ':' ||
              c == '[' || c == ']'))
            return false;
    }
    return host.len > 0;
}

static lk_status add_origin(lk_settings *s, lk_view text, lk_note *note)
{
    if (!is_origin(text) || text.len >= sizeof(s->origins[0])) {
        lk_note_set(
            note,
            "expected an origin as browsers send it, in lower case and without a path: https://shop.example");
        return LK_REFUSED;
    }
    if (s->origins_n == sizeof(s->origins) / sizeof(s->origins[0])) {
        lk_note_set(note, "expected at most 8 origins");
        return LK_REFUSED;
    }
    memcpy(s->origins[s->origins_n], text.p, text.len);
    s->origins[s->origins_n++][text.len] = '\0';
    return LK_OK;
}

/* ES256,RS256: never an HMAC, which would be a secret that both sides sign with. */
static lk_status set_algs(uint32_t *field, lk_view text, lk_note *note)
{
    *field = 0;
    for (;;) {
        size_t comma = lk_view_find(text, ',');
        lk_view name = lk_view_part(text, 0, comma);
        lk_alg alg;
        if (lk_view_equal(lk_view_part(name, 0, 2), LK_VIEW("HS"))) {
            lk_note_set(note, "HS256 and its like are secrets that whoever checks could sign with: expected "
                              "algorithms with a public key, such as ES256,RS256");
            return LK_REFUSED;
        }
        if (lk_alg_of(name, &alg) != LK_OK) {
            lk_note_set(note, "expected names of algorithms with commas between them, such as ES256,RS256");
            return LK_REFUSED;
        }
        *field |= UINT32_C(1) << alg;
        if (comma == text.len)
            return LK_OK;
        text = lk_view_part(text, comma + 1, text.len);
    }
}

lk_status lk__value_set(void *base, const lk_value_row *row, lk_view text, lk_note *note)
{
    void *field = (char *)base + row->offset;
    int64_t number = 0;
    uint64_t size = 0;
    lk_status status;
    switch (row->type) {
    case LK_VALUE_NONE:
        break;
    case LK_VALUE_TEXT:
        return set_text(field, row, text, note);
    case LK_VALUE_SECRET:
        if (text.len >= LK_KEY_SECRET_MIN)
            return set_text(field, row, text, note);
        lk_note_set(note, "the secret has %zu characters; expected at least %d", text.len, LK_KEY_SECRET_MIN);
        return LK_REFUSED;
    case LK_VALUE_DURATION:
        status = lk_parse_duration_s(text, &number);
        status = in_range(row, status, (uint64_t)number, "a time such as 30m, in seconds", note);
        if (status == LK_OK)
            *(int64_t *)field = number;
        return status;
    case LK_VALUE_COUNT:
        status = lk_parse_i64(text, &number);
        status = in_range(row, status, (uint64_t)number, "a number", note);
        if (status == LK_OK)
            *(uint32_t *)field = (uint32_t)number;
        return status;
    case LK_VALUE_SIZE:
        status = lk_parse_size(text, &size);
        status = in_range(row, status, size, "a size such as 64m, in bytes", note);
        if (status == LK_OK)
            *(uint64_t *)field = size;
        return status;
    case LK_VALUE_SWITCH:
        return set_switch(field, text, note);
    case LK_VALUE_VICTIM:
        if (lk_victim_of(text, field) == LK_OK)
            return LK_OK;
        lk_note_set(note, "expected longest_idle, oldest, soonest_expiry or refuse");
        return LK_REFUSED;
    case LK_VALUE_SAMESITE:
        return set_samesite(field, text, note);
    case LK_VALUE_ALG:
        if (lk_alg_of(text, field) == LK_OK)
            return LK_OK;
        lk_note_set(
            note,
            "expected EdDSA, Ed448, ES256, ES384, ES512, RS256, RS384, RS512, PS256, PS384, PS512, HS256, "
            "HS384 or HS512");
        return LK_REFUSED;
    case LK_VALUE_RATE:
        return set_rate(base, row, text, note);
    case LK_VALUE_WORDS:
        return add_word(field, row, text, note);
    case LK_VALUE_ORIGINS:
        return add_origin(base, text, note);
    case LK_VALUE_SOURCE:
        return set_text(field, row, text, note);
    case LK_VALUE_ALGS:
        return set_algs(field, text, note);
    }
    return LK_FAULT;
}

static lk_status read_file(const char *path, lk_buf *buf, lk_note *note)
{
    struct stat st;
    lk_status status = LK_FAULT;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) != 0) {
        lk_note_set(note, "cannot read %s: %s", path, strerror(errno));
        goto out;
    }
    if ((st.st_mode & S_IROTH) != 0) {
        lk_note_set(note, "%s is readable by everybody: run chmod o-r %s", path, path);
        status = LK_REFUSED;
        goto out;
    }
    ssize_t got = read(fd, buf->p + buf->len, buf->cap - buf->len);
    if (got < 0 || (size_t)got == buf->cap - buf->len) {
        lk_note_set(note, got < 0 ? "cannot read %s" : "%s is too long", path);
        status = got < 0 ? LK_FAULT : LK_REFUSED;
        goto out;
    }
    buf->len += (size_t)got;
    status = LK_OK;
out:
    if (fd >= 0)
        close(fd);
    return status;
}

lk_status lk__value_resolve(lk_view word, lk_buf *buf, lk_view *out, lk_note *note)
{
    lk_view file = LK_VIEW("file:"), env = LK_VIEW("env:");
    bool from_file = lk_view_equal(lk_view_part(word, 0, file.len), file);
    bool from_env = lk_view_equal(lk_view_part(word, 0, env.len), env);
    char name[LK_PATH_MAX];
    lk_buf name_buf = lk_buf_over(name, sizeof(name));
    *out = word;
    if (from_file || from_env) {
        lk_buf_add(&name_buf, lk_view_part(word, from_file ? file.len : env.len, word.len));
        const char *text = lk_buf_text(&name_buf);
        if (text == NULL) {
            lk_note_set(note, "the name after %s is too long", from_file ? "file:" : "env:");
            return LK_REFUSED;
        }
        size_t start = buf->len;
        lk_status status = LK_OK;
        if (from_file)
            status = read_file(text, buf, note);
        else if (getenv(text) != NULL)
            lk_buf_add_text(buf, getenv(text));
        else {
            lk_note_set(note, "the environment variable %s is not set", text);
            status = LK_REFUSED;
        }
        if (status != LK_OK)
            return status;
        *out = lk_view_part(lk_buf_view(buf), start, buf->len);
        while (out->len > 0 && (out->p[out->len - 1] == '\n' || out->p[out->len - 1] == '\r'))
            out->len--;
    }
    if (buf->full || has_control(*out)) {
        lk_note_set(note, buf->full ? "the value is too long" : "the value holds a control character");
        return LK_REFUSED;
    }
    return LK_OK;
}
