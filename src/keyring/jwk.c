/* SPDX-License-Identifier: Apache-2.0
 *
 * jwk.c - read one JSON Web Key (RFC 7517, 7518 section 6, 8037 section 2).
 */
#include "keyring/jwk.h"
#include <latchkey/base64url.h>
#include <latchkey/json.h>

#define WORD_MAX 64
#define LIST_MAX 300

lk_status lk__jwk_text(lk_view object, const char *name, lk_buf *out, lk_note *note)
{
    lk_json_item item;

    if (lk_json_get(object, lk_view_of(name), &item) != LK_OK)
        return LK_MISS;
    if (lk_json_string(item.value, out) == LK_OK)
        return LK_OK;
    lk_note_set(note, "the member \"%s\" of the key must be a string, and a short one", name);
    return LK_REFUSED;
}

/* A raw JSON string without its quotes. base64url needs no escapes, and one that has them is refused by the
 * decoder for its backslash. */
static lk_view inside_quotes(lk_view value)
{
    return value.len < 2 ? (lk_view){0} : lk_view_part(value, 1, value.len - 2);
}

lk_status lk__jwk_bytes(lk_view object, const char *name, uint8_t *out, size_t cap, size_t *len,
                        lk_note *note)
{
    lk_buf bytes = lk_buf_over(out, cap);
    lk_json_item item;
    lk_status status;

    if (lk_json_get(object, lk_view_of(name), &item) != LK_OK || item.type != LK_JSON_STRING) {
        lk_note_set(note, "the key has no member \"%s\" that is a string", name);
        return LK_REFUSED;
    }
    status = lk_base64url_decode(inside_quotes(item.value), &bytes);
    *len = bytes.len;
    if (status == LK_OK && bytes.len > 0)
        return LK_OK;
    if (status == LK_FULL)
        lk_note_set(note, "the member \"%s\" of the key is longer than the %zu bytes allowed", name, cap);
    else
        lk_note_set(note, "the member \"%s\" of the key is not base64url without padding", name);
    return LK_REFUSED;
}

lk_status lk__jwk_exact(lk_view object, const char *name, uint8_t *out, size_t len, lk_note *note)
{
    size_t got = 0;

    if (lk__jwk_bytes(object, name, out, len, &got, note) != LK_OK)
        return LK_REFUSED;
    if (got == len)
        return LK_OK;
    /* Leading zeros belong to a coordinate (RFC 7518 section 6.2.1.2): a short one is another number. */
    lk_note_set(note, "the member \"%s\" of the key has %zu bytes; it must have %zu", name, got, len);
    return LK_REFUSED;
}

bool lk__jwk_is_object(lk_view json)
{
    size_t i = 0;

    while (i < json.len && (json.p[i] == ' ' || json.p[i] == '\t' || json.p[i] == '\n' || json.p[i] == '\r'))
        i++;
    return i < json.len && json.p[i] == '{';
}

/* --- What the key is for ---------------------------------------------------------------------------------
 */

/* The string member NAME as a NUL-terminated text in OUT; empty when absent. LK_OK or LK_REFUSED. */
static lk_status read_word(lk_view object, const char *name, char out[WORD_MAX + 1], lk_note *note)
{
    lk_buf text = lk_buf_over(out, WORD_MAX + 1);
    lk_status status = lk__jwk_text(object, name, &text, note);

    /* A text with a NUL in it could pass for a shorter one. */
    if (status == LK_REFUSED || lk_buf_text(&text) == NULL ||
        lk_view_find(lk_buf_view(&text), 0) != text.len) {
        lk_note_set(note, "the member \"%s\" of the key must be a short string", name);
        return LK_REFUSED;
    }
    return LK_OK;
}

static bool is_word(const char *text, const char *word)
{
    return lk_view_equal(lk_view_of(text), lk_view_of(word));
}

static bool is_row_for(const lk__algorithm *row, const char *kty, const char *crv, const char *alg)
{
    return is_word(kty, row->kty) && (row->crv == NULL || is_word(crv, row->crv)) &&
           (alg[0] == '\0' || is_word(alg, row->jose));
}

static lk_status find_algorithm(lk_view object, lk__jwk *out, lk_note *note)
{
    char kty[WORD_MAX + 1], crv[WORD_MAX + 1], alg[WORD_MAX + 1], list[LIST_MAX];
    lk_buf supported = lk_buf_over(list, sizeof(list));

    if (read_word(object, "kty", kty, note) != LK_OK || read_word(object, "crv", crv, note) != LK_OK ||
        read_word(object, "alg", alg, note) != LK_OK)
        return LK_REFUSED;
    if (kty[0] == '\0') {
        lk_note_set(note, "the key has no member \"kty\": it is no JSON Web Key");
        return LK_REFUSED;
    }
    for (lk_alg a = 0; a < LK_ALG_COUNT; a++) {
        if (!is_row_for(lk__algorithm_of(a), kty, crv, alg))
            continue;
        if (out->candidates == 0)
            out->algorithm = lk__algorithm_of(a);
        out->candidates |= LK_ALG_BIT(a);
    }
    if (out->candidates != 0)
        return LK_OK;
    lk__algorithm_list(&supported);
    lk_note_set(note, "kty %.16s%s%.16s%s%.16s is not supported; supported are %s", kty,
                crv[0] ? " crv " : "", crv, alg[0] ? " alg " : "", alg, lk_buf_text(&supported));
    return LK_MISS;
}

static bool has_element(lk_view array, const char *word)
{
    char memory[WORD_MAX];
    lk_json_item item;
    size_t at = 0;

    while (lk_json_next(array, &at, &item)) {
        lk_buf text = lk_buf_over(memory, sizeof(memory));

        if (lk_json_string(item.value, &text) == LK_OK && lk_view_equal(lk_buf_view(&text), lk_view_of(word)))
            return true;
    }
    return false;
}

/* A key that is said to be for something else must not verify (RFC 7517 sections 4.2 and 4.3). */
static lk_status check_use(lk_view object, lk_note *note)
{
    char use[WORD_MAX + 1];
    lk_json_item ops;

    if (read_word(object, "use", use, note) != LK_OK)
        return LK_REFUSED;
    if (lk_json_get(object, LK_VIEW("use"), &ops) == LK_OK && !is_word(use, "sig")) {
        lk_note_set(note, "the key is not for signatures: its \"use\" is not \"sig\"");
        return LK_MISS;
    }
    if (lk_json_get(object, LK_VIEW("key_ops"), &ops) != LK_OK)
        return LK_OK;
    if (ops.type != LK_JSON_ARRAY) {
        lk_note_set(note, "the member \"key_ops\" of the key must be an array");
        return LK_REFUSED;
    }
    if (!has_element(ops.value, "verify")) {
        lk_note_set(note, "the key is not for checking signatures: \"key_ops\" does not hold \"verify\"");
        return LK_MISS;
    }
    return LK_OK;
}

static lk_status read_kid(lk_view object, lk__jwk *out, lk_note *note)
{
    lk_buf kid = lk_buf_over(out->kid, LK_KID_MAX);
    lk_status status = lk__jwk_text(object, "kid", &kid, note);

    out->kid_len = kid.len;
    out->kid[kid.len] = '\0';
    for (size_t i = 0; i < kid.len; i++) {
        if (kid.p[i] < 0x20 || kid.p[i] > 0x7e)
            status = LK_REFUSED;
    }
    if (status != LK_REFUSED)
        return LK_OK;
    lk_note_set(note, "the \"kid\" of the key must be a string of at most %d printable ASCII characters",
                LK_KID_MAX);
    return LK_REFUSED;
}

/* RFC 7518 sections 6.2.2, 6.3.2 and 6.4.1, and "priv" of the types to come. */
bool lk__jwk_has_secret(lk_view object)
{
    static const char *const names[] = {"d", "p", "q", "dp", "dq", "qi", "oth", "k", "priv"};
    lk_json_item item;

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (lk_json_get(object, lk_view_of(names[i]), &item) == LK_OK)
            return true;
    }
    return false;
}

static bool is_shared_secret(lk_view object)
{
    uint8_t memory[8];
    lk_buf kty = lk_buf_over(memory, sizeof(memory));

    return lk__jwk_text(object, "kty", &kty, NULL) == LK_OK &&
           lk_view_equal(lk_buf_view(&kty), LK_VIEW("oct"));
}

lk_status lk__jwk_describe(lk_view object, lk__jwk *out, lk_note *note)
{
    lk_status status;

    *out = (lk__jwk){.text = object};
    if (read_kid(object, out, note) != LK_OK)
        return LK_REFUSED;
    status = find_algorithm(object, out, note);
    if (status == LK_OK)
        status = check_use(object, note);
    out->has_private = !is_shared_secret(object) && lk__jwk_has_secret(object);
    return status;
}

/* --- Writing ---------------------------------------------------------------------------------------------
 */

void lk__jwk_add_bytes(lk_buf *out, const char *name, lk_view v)
{
    lk_buf_add_byte(out, '"');
    lk_buf_add_text(out, name);
    lk_buf_add_text(out, "\":\"");
    lk_base64url_encode(v, out);
    lk_buf_add_byte(out, '"');
}

void lk__jwk_add_text(lk_buf *out, const char *name, const char *text)
{
    lk_buf_add_byte(out, '"');
    lk_buf_add_text(out, name);
    lk_buf_add_text(out, "\":\"");
    lk_buf_add_text(out, text);
    lk_buf_add_byte(out, '"');
}

void lk__jwk_add_members(lk_buf *out, lk_view object, const char *const *names)
{
    lk_json_item item;

    for (; *names != NULL; names++) {
        if (lk_json_get(object, lk_view_of(*names), &item) != LK_OK)
            continue;
        lk_buf_add_text(out, ",\"");
        lk_buf_add_text(out, *names);
        lk_buf_add_text(out, "\":");
        lk_buf_add(out, item.value);
    }
}
