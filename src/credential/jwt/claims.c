/* SPDX-License-Identifier: Apache-2.0
 *
 * claims.c - read the claims set of a JWT (RFC 7519 section 4), without allocation.
 */
#include "credential/jwt/flat.h"
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
    bool plain; /* the value at hand is known to have no escapes */
} reading;

typedef struct claim {
    lk_view name;
    uint64_t key;
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
static lk_status read_string(lk_view value, bool plain, lk_buf *scratch, lk_view *out)
{
    size_t start = scratch->len;

    if (value.len < 2 || value.p[0] != '"')
        return LK_REFUSED;
    *out = lk_view_make(value.p + 1, value.len - 2);
    if (!plain && lk_view_find(*out, '\\') < out->len) {
        if (lk_json_string(value, scratch) != LK_OK)
            return LK_FULL;
        *out = lk_view_make(scratch->p + start, scratch->len - start);
    }
    return lk__is_clean_text(*out) ? LK_OK : LK_REFUSED;
}

static lk_status read_text(reading *x, const claim *c, const lk_json_item *item)
{
    lk_status status = read_string(item->value, x->plain, x->scratch, member(x, c));

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

    if (item->type != LK_JSON_NUMBER ||
        (!lk__short_number(item->value, &value) && lk_json_i64(item->value, &value) != LK_OK) || value < 0 ||
        value > UINT32_MAX)
        return refuse(x, c, "must be a whole number below 2^32");
    x->out->generation = (uint32_t)value;
    return LK_OK;
}

static lk_status read_milliseconds(reading *x, const claim *c, const lk_json_item *item)
{
    int64_t value;

    if (item->type != LK_JSON_NUMBER || !lk__short_number(item->value, &value) || value > 999)
        return refuse(x, c, "must be a whole number up to 999");
    x->out->issued_ms = (uint16_t)value;
    return LK_OK;
}

/* A sid in the form of our public ids names a session of ours. One in another form is somebody else's
 * session: there is nothing here to look up. */
static lk_status read_session(reading *x, const claim *c, const lk_json_item *item)
{
    lk_buf key = lk_buf_over(x->out->session.bytes, LK_SESSION_KEY_LEN);
    lk_view text;
    lk_status status = read_string(item->value, x->plain, x->scratch, &text);

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
    lk_status status = read_string(value, false, &room, out);

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
static void match_audience(reading *x, lk_view one)
{
    if (lk_view_equal(one, x->expect->audience))
        x->present->audience_matches = true;
}

static lk_status read_audience_list(reading *x, const claim *c, lk_view list)
{
    size_t start = x->scratch->len, at = 0;
    uint8_t memory[ELEMENT_MAX];
    lk_json_item element;

    while (lk_json_next(list, &at, &element)) {
        lk_view one;

        if (read_element(element.value, memory, &one) != LK_OK)
            return refuse(x, c, "must be a string or an array of strings");
        match_audience(x, one);
        if (is_word(one))
            add_word(x->scratch, start, one);
    }
    x->out->audience = lk_view_make(x->scratch->p + start, x->scratch->len - start);
    return lk_buf_status(x->scratch);
}

static lk_status read_audience(reading *x, const claim *c, const lk_json_item *item)
{
    lk_view one;
    lk_status status;

    if (item->type == LK_JSON_ARRAY)
        return read_audience_list(x, c, item->value);
    status = read_string(item->value, x->plain, x->scratch, &one);
    if (status == LK_REFUSED)
        return refuse(x, c, "must be a string or an array of strings");
    if (status != LK_OK)
        return status;
    match_audience(x, one);
    x->out->audience = is_word(one) ? one : (lk_view){0};
    return LK_OK;
}

/* The last eight bytes of a name as a number: one comparison for most of the names it is not. */
#define KEY4(a, b, c, d) ((uint64_t)(a) << 24 | (uint64_t)(b) << 16 | (uint64_t)(c) << 8 | (uint64_t)(d))
#define KEY8(a, b, c, d, e, f, g, h) (KEY4(a, b, c, d) << 32 | KEY4(e, f, g, h))

#define ROW(name, key, read, member)                                                                         \
    {                                                                                                        \
        {(const uint8_t *)(name), sizeof(name) - 1}, key, read, member                                       \
    }
#define AT(member) offsetof(lk_claims, member)

static const claim claims[] = {
    ROW("iss", KEY4(0, 'i', 's', 's'), read_text, AT(issuer)),
    ROW("sub", KEY4(0, 's', 'u', 'b'), read_text, AT(user)),
    ROW("aud", KEY4(0, 'a', 'u', 'd'), read_audience, 0),
    ROW("exp", KEY4(0, 'e', 'x', 'p'), read_expiry, AT(expires_s)),
    ROW("iat", KEY4(0, 'i', 'a', 't'), read_time, AT(issued_s)),
    ROW("iat_ms", KEY8(0, 0, 'i', 'a', 't', '_', 'm', 's'), read_milliseconds, 0),
    ROW("nbf", KEY4(0, 'n', 'b', 'f'), read_time, AT(not_before_s)),
    ROW("jti", KEY4(0, 'j', 't', 'i'), read_text, AT(id)),
    ROW("sid", KEY4(0, 's', 'i', 'd'), read_session, 0),
    ROW("realm", KEY8(0, 0, 0, 'r', 'e', 'a', 'l', 'm'), read_text, AT(realm)),
    ROW("roles", KEY8(0, 0, 0, 'r', 'o', 'l', 'e', 's'), read_roles, 0),
    ROW("scope", KEY8(0, 0, 0, 's', 'c', 'o', 'p', 'e'), read_text, AT(scope)),
    ROW("gen", KEY4(0, 'g', 'e', 'n'), read_generation, 0),
    ROW("name", KEY4('n', 'a', 'm', 'e'), read_text, AT(name)),
    ROW("client_id", KEY8('l', 'i', 'e', 'n', 't', '_', 'i', 'd'), read_text, AT(client)),
    ROW("device", KEY8(0, 0, 'd', 'e', 'v', 'i', 'c', 'e'), read_text, AT(device)),
    ROW("auth_time", KEY8('u', 't', 'h', '_', 't', 'i', 'm', 'e'), read_time, AT(auth_s)),
};

#define COUNT (sizeof(claims) / sizeof(claims[0]))
_Static_assert(COUNT <= 32, "a bit for every claim");

static bool has_name(const claim *c, lk_view name, uint64_t key)
{
    return key == c->key && name.len == c->name.len && (name.len <= 8 || lk_view_equal(name, c->name));
}

/* NULL for a claim we do not know, which is passed over (RFC 7519 section 4). NAME has no escapes. The search
 * begins at HINT, where it ends for a token whose claims are in our order. */
static const claim *find_claim(lk_view name, size_t hint)
{
    uint64_t key = 0;

    if (name.len > NAME_MAX_LEN)
        return NULL;
    for (size_t i = 0; i < name.len; i++)
        key = key << 8 | name.p[i];
    for (size_t n = 0; n < COUNT; n++) {
        const claim *c = &claims[(hint + n) % COUNT];

        if (has_name(c, name, key))
            return c;
    }
    return NULL;
}

/* "e\u0078p" is exp as well. */
static const claim *find_escaped_claim(lk_view name)
{
    uint8_t memory[NAME_MAX_LEN];
    lk_buf plain = lk_buf_over(memory, sizeof(memory));

    if (lk_view_find(name, '\\') == name.len)
        return find_claim(name, 0);
    /* The quotes around a raw name are its neighbours in the checked text. */
    if (lk_json_string(lk_view_make(name.p - 1, name.len + 2), &plain) != LK_OK)
        return NULL;
    return find_claim(lk_buf_view(&plain), 0);
}

/* Any JSON object: proved well formed first, then walked. */
static lk_status read_general(reading *x, lk_view payload)
{
    lk_status status = LK_OK;
    lk_json_item item;
    size_t at = 0;

    if (lk_json_check(payload, NULL, NULL) != LK_OK || !lk__is_json_object(payload))
        return lk__refuse(x->r, LK_REASON_MALFORMED, "the payload is no JSON object");
    while (status == LK_OK && lk_json_next(payload, &at, &item)) {
        const claim *c = find_escaped_claim(item.name);

        if (c != NULL)
            status = c->read(x, c, &item);
    }
    return status;
}

/* A flat object of claims we know, each once, in one pass. False when it is something else: then what was
 * read means nothing. */
static bool read_flat(reading *x, lk_view payload, lk_status *status)
{
    lk__flat flat = lk__flat_start(payload);
    lk__flat_answer answer;
    uint32_t seen = 0;
    lk_json_item item;
    size_t hint = 0;

    while ((answer = lk__flat_next(&flat, &item)) == LK__FLAT_MEMBER) {
        const claim *c = find_claim(item.name, hint);
        uint32_t bit = c == NULL ? 0 : 1U << (c - claims);

        hint = c == NULL ? 0 : (size_t)(c - claims) + 1;
        x->plain = !flat.scan.escaped;
        /* A refusal here may be of a text that is no JSON further on: the general reader gives the reason. */
        if (bit == 0 || (seen & bit) != 0 || c->read(x, c, &item) != LK_OK)
            return false;
        seen |= bit;
    }
    *status = LK_OK;
    return answer == LK__FLAT_END;
}

lk_status lk__claims_read(lk_view payload, const lk_expect *expect, lk_buf *scratch, lk_claims *out,
                          lk__present *present, lk__refusal r)
{
    reading x = {expect, scratch, out, present, r, false};
    lk_buf before = *scratch;
    lk_status status;

    *present = (lk__present){0};
    if (read_flat(&x, payload, &status))
        return status;
    *scratch = before;
    *out = (lk_claims){0};
    *present = (lk__present){0};
    *r.why = LK_REASON_NONE;
    x.plain = false;
    return read_general(&x, payload);
}
