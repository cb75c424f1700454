/* SPDX-License-Identifier: Apache-2.0
 *
 * claims.c - read the claims set of a JWT (RFC 7519 section 4), without allocation.
 */
#include "credential/jwt/jws.h"
#include <latchkey/base64url.h>
#include <latchkey/json.h>
#include <stddef.h>
#include <string.h>

#define NAME_MAX_LEN 16

/* What is known while one claims set is read. */
typedef struct reading {
    const lk_expect *expect;
    lk_buf *scratch;
    lk_claims *out;
    lk__present *present;
    lk__refusal r;
} reading;

typedef struct claim {
    lk_view name;
    lk_status (*read)(reading *x, const struct claim *c, const lk_json_item *item);
    size_t offset; /* of the member of lk_claims it fills */
} claim;

static lk_status refuse(reading *x, const claim *c, const char *rule)
{
    *x->r.why = LK_REASON_MALFORMED;
    lk_note_set(x->r.note, "the claim %.*s %s", (int)c->name.len, (const char *)c->name.p, rule);
    return LK_REFUSED;
}

static void *member(reading *x, const claim *c)
{
    return (uint8_t *)x->out + c->offset;
}

/* The text of a JSON string: in place when it has no escapes, else in the scratch buffer. LK_OK; LK_REFUSED
 * for no string or one that is not fit to be shown; LK_FULL. */
static lk_status read_string(lk_view value, lk_buf *scratch, lk_view *out)
{
    size_t start = scratch->len;

    if (value.len < 2 || value.p[0] != '"')
        return LK_REFUSED;
    *out = lk_view_part(value, 1, value.len - 2);
    if (lk_view_find(*out, '\\') < out->len) {
        if (lk_json_string(value, scratch) != LK_OK)
            return LK_FULL;
        *out = lk_view_make(scratch->p + start, scratch->len - start);
    }
    return lk__is_clean_text(*out) ? LK_OK : LK_REFUSED;
}

static lk_status read_text(reading *x, const claim *c, const lk_json_item *item)
{
    lk_status status = read_string(item->value, x->scratch, member(x, c));

    return status == LK_REFUSED ? refuse(x, c, "must be a string without control characters") : status;
}

static lk_status read_time(reading *x, const claim *c, const lk_json_item *item)
{
    if (item->type != LK_JSON_NUMBER || lk__numeric_date(item->value, member(x, c)) != LK_OK)
        return refuse(x, c, "must be a number of seconds since 1970");
    return LK_OK;
}

static lk_status read_expiry(reading *x, const claim *c, const lk_json_item *item)
{
    x->present->expires = true;
    return read_time(x, c, item);
}

static lk_status read_generation(reading *x, const claim *c, const lk_json_item *item)
{
    int64_t value;

    if (item->type != LK_JSON_NUMBER || lk_json_i64(item->value, &value) != LK_OK || value < 0 ||
        value > UINT32_MAX)
        return refuse(x, c, "must be a whole number below 2^32");
    x->out->generation = (uint32_t)value;
    return LK_OK;
}

/* A sid in the form of our public ids names a session of ours. One in another form is somebody else's
 * session: there is nothing here to look up. */
static lk_status read_session(reading *x, const claim *c, const lk_json_item *item)
{
    lk_buf key = lk_buf_over(x->out->session.bytes, LK_SESSION_KEY_LEN);
    lk_view text;
    lk_status status = read_string(item->value, x->scratch, &text);

    if (status == LK_REFUSED)
        return refuse(x, c, "must be a string without control characters");
    if (status == LK_OK && text.len == LK_PUBLIC_ID_LEN && lk_base64url_decode(text, &key) == LK_OK)
        x->out->has_session = true;
    return status;
}

/* Words are joined with spaces, so a word can hold none: "a b" must not become the two words a and b. */
static bool is_word(lk_view v)
{
    return v.len > 0 && lk_view_find(v, ' ') == v.len;
}

static void add_word(lk_buf *list, size_t start, lk_view word)
{
    if (list->len > start)
        lk_buf_add_byte(list, ' ');
    lk_buf_add(list, word);
}

/* Text of an array element; the strings of a list are unescaped on the stack, the list itself goes to
 * scratch. */
#define ELEMENT_MAX 512

static lk_status read_element(lk_view value, uint8_t memory[ELEMENT_MAX], lk_view *out)
{
    lk_buf room = lk_buf_over(memory, ELEMENT_MAX);
    lk_status status = read_string(value, &room, out);

    return status == LK_FULL ? LK_REFUSED : status;
}

static lk_status read_roles(reading *x, const claim *c, const lk_json_item *item)
{
    size_t start = x->scratch->len, at = 0;
    uint8_t memory[ELEMENT_MAX];
    lk_json_item element;

    if (item->type != LK_JSON_ARRAY)
        return refuse(x, c, "must be an array of strings");
    while (lk_json_next(item->value, &at, &element)) {
        lk_view word;

        if (read_element(element.value, memory, &word) != LK_OK || !is_word(word))
            return refuse(x, c, "must be an array of strings without spaces");
        add_word(x->scratch, start, word);
    }
    x->out->roles = lk_view_make(x->scratch->p + start, x->scratch->len - start);
    return lk_buf_status(x->scratch);
}

/* Whole strings are compared, never parts of them (RFC 7519 section 4.1.3). */
static lk_status add_audience(reading *x, size_t start, lk_view value)
{
    uint8_t memory[ELEMENT_MAX];
    lk_view one;

    if (read_element(value, memory, &one) != LK_OK)
        return LK_REFUSED;
    if (lk_view_equal(one, x->expect->audience))
        x->present->audience_matches = true;
    if (is_word(one))
        add_word(x->scratch, start, one);
    return LK_OK;
}

static lk_status read_audience(reading *x, const claim *c, const lk_json_item *item)
{
    size_t start = x->scratch->len, at = 0;
    lk_status status = LK_OK;
    lk_json_item element;

    if (item->type != LK_JSON_ARRAY)
        status = add_audience(x, start, item->value);
    while (item->type == LK_JSON_ARRAY && status == LK_OK && lk_json_next(item->value, &at, &element))
        status = add_audience(x, start, element.value);
    if (status != LK_OK)
        return refuse(x, c, "must be a string or an array of strings");
    x->out->audience = lk_view_make(x->scratch->p + start, x->scratch->len - start);
    return lk_buf_status(x->scratch);
}

#define NAMED(text)                                                                                          \
    {                                                                                                        \
        (const uint8_t *)(text), sizeof(text) - 1                                                            \
    }

static const claim claims[] = {
    {NAMED("iss"), read_text, offsetof(lk_claims, issuer)},
    {NAMED("sub"), read_text, offsetof(lk_claims, user)},
    {NAMED("aud"), read_audience, 0},
    {NAMED("exp"), read_expiry, offsetof(lk_claims, expires_s)},
    {NAMED("iat"), read_time, offsetof(lk_claims, issued_s)},
    {NAMED("nbf"), read_time, offsetof(lk_claims, not_before_s)},
    {NAMED("jti"), read_text, offsetof(lk_claims, id)},
    {NAMED("sid"), read_session, 0},
    {NAMED("realm"), read_text, offsetof(lk_claims, realm)},
    {NAMED("roles"), read_roles, 0},
    {NAMED("scope"), read_text, offsetof(lk_claims, scope)},
    {NAMED("gen"), read_generation, 0},
    {NAMED("name"), read_text, offsetof(lk_claims, name)},
    {NAMED("client_id"), read_text, offsetof(lk_claims, client)},
    {NAMED("device"), read_text, offsetof(lk_claims, device)},
    {NAMED("auth_time"), read_time, offsetof(lk_claims, auth_s)},
};

/* NULL for a claim we do not know, which is passed over (RFC 7519 section 4). */
static const claim *find_claim(lk_view name)
{
    uint8_t memory[NAME_MAX_LEN + 2];
    lk_buf plain = lk_buf_over(memory, sizeof(memory));

    if (lk_view_find(name, '\\') < name.len) {
        /* "e\u0078p" is exp. The quotes around the raw name are its neighbours in the checked text. */
        if (lk_json_string(lk_view_make(name.p - 1, name.len + 2), &plain) != LK_OK)
            return NULL;
        name = lk_buf_view(&plain);
    }
    for (size_t i = 0; i < sizeof(claims) / sizeof(claims[0]); i++) {
        if (lk_view_equal(name, claims[i].name))
            return &claims[i];
    }
    return NULL;
}

lk_status lk__claims_read(lk_view payload, const lk_expect *expect, lk_buf *scratch, lk_claims *out,
                          lk__present *present, lk__refusal r)
{
    reading x = {expect, scratch, out, present, r};
    lk_status status = LK_OK;
    lk_json_item item;
    size_t at = 0;

    *present = (lk__present){0};
    while (status == LK_OK && lk_json_next(payload, &at, &item)) {
        const claim *c = find_claim(item.name);

        if (c != NULL)
            status = c->read(&x, c, &item);
    }
    return status;
}
