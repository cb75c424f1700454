/* SPDX-License-Identifier: Apache-2.0
 *
 * thumbprint.c - a name for a key that comes of the key itself (RFC 7638, RFC 8037 section 2).
 *
 * It is the hash of the members that make the key, in the order of the alphabet and without blanks. The
 * values are taken over as they stand: so each must be in the one spelling it has, or one key had two names.
 */
#include "crypto/hash.h"
#include "keyring/jwk.h"
#include <latchkey/base64url.h>
#include <latchkey/json.h>

#define JWK_MAX 16384
#define TEXT_MAX 6144 /* n of 16384 bits has 2,731 characters; k of 4 KiB as many and more */
#define VALUE_MAX 4096
#define WORD_MAX 16

/* The members of each type, in the order of the alphabet (RFC 7638 section 3.2). */
static const struct type {
    const char *kty;
    const char *members[5];
} types[] = {
    {"EC", {"crv", "kty", "x", "y", NULL}},
    {"OKP", {"crv", "kty", "x", NULL}},
    {"RSA", {"e", "kty", "n", NULL}},
    {"oct", {"k", "kty", NULL}},
};

static const struct type *find_type(lk_view jwk)
{
    uint8_t memory[WORD_MAX];
    lk_buf kty = lk_buf_over(memory, sizeof(memory));

    if (lk__jwk_text(jwk, "kty", &kty, NULL) != LK_OK)
        return NULL;
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        if (lk_view_equal(lk_buf_view(&kty), lk_view_of(types[i].kty)))
            return &types[i];
    }
    return NULL;
}

/* kty and crv are words, the others base64url: neither has a character that JSON could write in two ways. */
static bool has_one_spelling(const char *name, const lk_json_item *item)
{
    lk_view inside = lk_view_part(item->value, 1, item->value.len - 2);
    uint8_t memory[VALUE_MAX];
    lk_buf bytes = lk_buf_over(memory, sizeof(memory));
    bool one;

    if (lk_view_equal(lk_view_of(name), LK_VIEW("kty")) || lk_view_equal(lk_view_of(name), LK_VIEW("crv")))
        return lk_is_base64url(inside);
    one = inside.len > 0 && lk_base64url_decode(inside, &bytes) == LK_OK;
    lk_wipe(memory, sizeof(memory)); /* of an oct key this is the secret */
    return one;
}

static lk_status add_member(lk_view jwk, const char *name, lk_buf *text, lk_note *note)
{
    lk_json_item item;

    if (lk_json_get(jwk, lk_view_of(name), &item) != LK_OK || item.type != LK_JSON_STRING ||
        !has_one_spelling(name, &item)) {
        lk_note_set(note, "the member \"%s\" of the key is missing, or not as RFC 7518 section 6 wants it",
                    name);
        return LK_REFUSED;
    }
    lk_buf_add_byte(text, text->len == 0 ? '{' : ',');
    lk_buf_add_byte(text, '"');
    lk_buf_add_text(text, name);
    lk_buf_add_text(text, "\":");
    lk_buf_add(text, item.value);
    return LK_OK;
}

static lk_status write_text(lk_view jwk, lk_buf *text, lk_note *note)
{
    const struct type *type = find_type(jwk);
    lk_status status = LK_OK;

    if (type == NULL) {
        lk_note_set(note, "the key has no \"kty\" that is EC, OKP, RSA or oct");
        return LK_REFUSED;
    }
    for (size_t i = 0; type->members[i] != NULL && status == LK_OK; i++)
        status = add_member(jwk, type->members[i], text, note);
    lk_buf_add_byte(text, '}');
    if (status == LK_OK && text->full) {
        lk_note_set(note, "the key is longer than any in use");
        status = LK_REFUSED;
    }
    return status;
}

lk_status lk_jwk_thumbprint(lk_view jwk, lk_buf *out, lk_note *note)
{
    uint8_t memory[TEXT_MAX], digest[LK_SHA256_LEN];
    lk_buf text = lk_buf_over(memory, sizeof(memory));
    lk_status status;

    if (jwk.len > JWK_MAX || lk_json_check(jwk, NULL, note) != LK_OK || !lk__jwk_is_object(jwk)) {
        lk_note_set(note, "the key text is no JSON object, or too long for a key");
        return LK_REFUSED;
    }
    status = write_text(jwk, &text, note);
    if (status == LK_OK)
        status = lk_sha256(lk_buf_view(&text), digest);
    lk_wipe(memory, sizeof(memory));
    if (status != LK_OK)
        return status;
    lk_base64url_encode(lk_view_make(digest, sizeof(digest)), out);
    return lk_buf_status(out);
}
