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
    bool clean; /* the whole payload is fit to be shown, and so is every string in it that has no escapes */
    bool plain; /* the value at hand is clean and has no escapes */
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
static lk_status read_string(lk_view value, bool plain, lk_buf *scratch, lk_view *out)
{
    size_t start = scratch->len;

    if (value.len < 2 || value.p[0] != '"')
        return LK_REFUSED;
    *out = lk_view_make(value.p + 1, value.len - 2);
    if (plain)
        return LK_OK;
    if (lk_view_find(*out, '\\') < out->len) {
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

/* RFC 7800, RFC 9449 section 6.1: the token is good for who has a key. One that is bound in a way that is not
 * known here is not one that is not bound. */
static lk_status read_bound(reading *x, const claim *c, const lk_json_item *item)
{
    lk_json_item jkt;
    lk_view *bound = member(x, c);
    lk_status status = LK_REFUSED;

    if (item->type == LK_JSON_OBJECT && lk_json_get(item->value, LK_VIEW("jkt"), &jkt) == LK_OK)
        status = read_string(jkt.value, false, x->scratch, bound);
    if (status == LK_OK && (bound->len != LK_THUMBPRINT_LEN || !lk_is_base64url(*bound)))
        status = LK_REFUSED;
    return status == LK_REFUSED ? refuse(x, c, "must name a key by its thumbprint (jkt)") : status;
}

/* RFC 8693 section 4.1: told on, never decided by; so it is kept as it is. */
static lk_status read_act(reading *x, const claim *c, const lk_json_item *item)
{
    lk_view *act = member(x, c);

    if (item->type != LK_JSON_OBJECT)
        return refuse(x, c, "must be an object");
    *act = item->value;
    return LK_OK;
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

/* The strings of a list are unescaped here, the list itself goes to scratch. */
#define ELEMENT_MAX 512

typedef struct elements {
    const reading *x;
    lk_view list;
    size_t at;
    lk_status status; /* LK_REFUSED once an element is no string that can be shown */
    uint8_t memory[ELEMENT_MAX];
} elements;

static void elements_start(elements *e, const reading *x, lk_view list)
{
    e->x = x;
    e->list = list;
    e->at = 0;
    e->status = LK_OK;
}

/* The next string of a list; good until the one after it. False at the end, and when `status` is set. */
static bool elements_next(elements *e, lk_view *out)
{
    lk_buf room = lk_buf_over(e->memory, sizeof(e->memory));
    lk_json_item item;

    if (e->x->plain)
        return lk__flat_list_next(e->list, &e->at, out);
    if (!lk_json_next(e->list, &e->at, &item))
        return false;
    if (read_string(item.value, false, &room, out) != LK_OK)
        e->status = LK_REFUSED;
    return e->status == LK_OK;
}

static lk_status read_roles(reading *x, const claim *c, const lk_json_item *item)
{
    size_t start = x->scratch->len;
    elements e;
    lk_view one;

    if (item->type != LK_JSON_ARRAY)
        return refuse(x, c, "must be an array of strings");
    elements_start(&e, x, item->value);
    while (elements_next(&e, &one)) {
        if (!is_word(one))
            return refuse(x, c, "must be an array of strings without spaces");
        add_word(x->scratch, start, one);
    }
    if (e.status != LK_OK)
        return refuse(x, c, "must be an array of strings");
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
    size_t start = x->scratch->len;
    elements e;
    lk_view one;

    elements_start(&e, x, list);
    while (elements_next(&e, &one)) {
        match_audience(x, one);
        if (is_word(one))
            add_word(x->scratch, start, one);
    }
    if (e.status != LK_OK)
        return refuse(x, c, "must be a string or an array of strings");
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

#define ROW(name, read, member)                                                                              \
    {                                                                                                        \
        {(const uint8_t *)(name), sizeof(name) - 1}, read, member                                            \
    }
#define AT(member) offsetof(lk_claims, member)

static const claim claims[] = {
    ROW("iss", read_text, AT(issuer)),
    ROW("sub", read_text, AT(user)),
    ROW("aud", read_audience, 0),
    ROW("exp", read_expiry, AT(expires_s)),
    ROW("iat", read_time, AT(issued_s)),
    ROW("iat_ms", read_milliseconds, 0),
    ROW("nbf", read_time, AT(not_before_s)),
    ROW("jti", read_text, AT(id)),
    ROW("sid", read_session, 0),
    ROW("realm", read_text, AT(realm)),
    ROW("roles", read_roles, 0),
    ROW("scope", read_text, AT(scope)),
    ROW("gen", read_generation, 0),
    ROW("name", read_text, AT(name)),
    ROW("client_id", read_text, AT(client)),
    ROW("device", read_text, AT(device)),
    ROW("auth_time", read_time, AT(auth_s)),
    ROW("sid_exp", read_time, AT(session_ends_s)),
    ROW("cnf", read_bound, AT(bound)),
    ROW("act", read_act, AT(act)),
};

#define COUNT (sizeof(claims) / sizeof(claims[0]))
_Static_assert(COUNT <= 32, "a bit for every claim");

/* NULL for a claim we do not know, which is passed over (RFC 7519 section 4). NAME has no escapes. */
static const claim *find_claim(lk_view name)
{
    for (size_t i = 0; i < COUNT; i++) {
        if (lk_view_equal(name, claims[i].name))
            return &claims[i];
    }
    return NULL;
}

/* "e\u0078p" is exp as well. */
static const claim *find_escaped_claim(lk_view name)
{
    uint8_t memory[NAME_MAX_LEN];
    lk_buf plain = lk_buf_over(memory, sizeof(memory));

    if (lk_view_find(name, '\\') == name.len)
        return find_claim(name);
    /* The quotes around a raw name are its neighbours in the checked text. */
    if (lk_json_string(lk_view_make(name.p - 1, name.len + 2), &plain) != LK_OK)
        return NULL;
    return find_claim(lk_buf_view(&plain));
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

/* The bytes of `"name":` if that of C stands at P, else 0. */
static size_t name_here(const claim *c, const uint8_t *p, size_t left)
{
    size_t len = c->name.len, i = 0;

    if (left < len + 3 || p[0] != '"')
        return 0;
    while (i < len && p[i + 1] == c->name.p[i])
        i++;
    return i == len && p[len + 1] == '"' && p[len + 2] == ':' ? len + 3 : 0;
}

/* The claim whose name stands where FLAT is, or NULL. The search begins at HINT, where it ends for a token
 * whose claims are in our order. */
static const claim *claim_here(const lk__flat *flat, size_t hint, size_t *name_len)
{
    size_t left = (size_t)(flat->scan.end - flat->at), i = hint;

    for (size_t n = 0; n < COUNT; n++, i++) {
        if (i >= COUNT)
            i = 0;
        *name_len = name_here(&claims[i], flat->at, left);
        if (*name_len > 0)
            return &claims[i];
    }
    return NULL;
}

/* A flat object of claims we know, each once, in one pass. False when it is something else: then what was
 * read means nothing. A refusal counts as that as well: the text may be no JSON further on, and the general
 * reader gives the reason that comes first. */
static bool read_flat(reading *x, lk_view payload)
{
    lk__flat flat = lk__flat_start(payload);
    lk__flat_answer answer;
    size_t hint = 0, len;
    uint32_t seen = 0;
    lk_json_item item;

    while ((answer = lk__flat_next(&flat)) == LK__FLAT_MEMBER) {
        const claim *c = claim_here(&flat, hint, &len);

        if (c == NULL || (seen & 1U << (c - claims)) != 0 || !lk__flat_value(&flat, len, &item))
            return false;
        x->plain = x->clean && !flat.scan.escaped;
        if (c->read(x, c, &item) != LK_OK)
            return false;
        seen |= 1U << (c - claims);
        hint = (size_t)(c - claims) + 1;
    }
    return answer == LK__FLAT_END;
}

lk_status lk__claims_read(lk_view payload, const lk_expect *expect, lk_buf *scratch, lk_claims *out,
                          lk__present *present, lk__refusal r)
{
    reading x = {expect, scratch, out, present, r, lk__is_clean_text(payload), false};
    lk_buf before = *scratch;

    *present = (lk__present){0};
    if (read_flat(&x, payload))
        return LK_OK;
    *scratch = before;
    *out = (lk_claims){0};
    *present = (lk__present){0};
    *r.why = LK_REASON_NONE;
    x.plain = false;
    return read_general(&x, payload);
}
