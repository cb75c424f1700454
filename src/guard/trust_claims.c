/* SPDX-License-Identifier: Apache-2.0
 *
 * trust_claims.c - what a token of another issuer says, and as whom it is taken here. docs/trust.md
 *
 * Claims that mean something inside this gateway (sid, gen, device, realm, iat_ms, sid_exp) mean nothing when
 * somebody else says them, and are not looked at. The user becomes "<realm>/<user>": an id of an account has
 * no slash, so none can be taken for one.
 */
#include "credential/jwt/jws.h"
#include "credential/times.h"
#include <latchkey/base64url.h>
#include <latchkey/json.h>
#include <latchkey/trust.h>
#include <string.h>

enum { HEADER_MAX = 1024, ISSUER_MAX = sizeof(((lk_trust *)0)->issuer), TYPE_MAX = 32 };

/* One token on its way. */
typedef struct reading {
    const lk_trust *t;
    lk_view json; /* the payload */
    lk_buf *scratch;
    lk_claims *out;
    lk__refusal r;
} reading;

/* Part N of a JWT, decoded and found to be an object. */
static bool decode(lk_view text, size_t n, lk_buf *room, lk_view *json)
{
    lk_view parts[LK__JWT_PARTS];
    size_t start = room->len;
    if (text.len > LK_CREDENTIAL_MAX || lk__split_dots(text, parts, LK__JWT_PARTS) != LK__JWT_PARTS ||
        lk_base64url_decode(parts[n], room) != LK_OK)
        return false;
    *json = lk_view_make(room->p + start, room->len - start);
    return lk_json_check(*json, NULL, NULL) == LK_OK && lk__is_json_object(*json);
}

/* ---- whose is it? ---- */

static bool is_hmac(lk_view text)
{
    uint8_t memory[HEADER_MAX];
    lk_buf room = lk_buf_over(memory, sizeof(memory));
    lk_view json;
    lk_json_item alg;
    return decode(text, 0, &room, &json) && lk_json_get(json, LK_VIEW("alg"), &alg) == LK_OK &&
           lk_view_equal(lk_view_part(alg.value, 0, 3), LK_VIEW("\"HS"));
}

const lk_trust *lk_trust_of(const lk_trust *trusts, size_t n, lk_view text)
{
    uint8_t payload[LK_CREDENTIAL_MAX * 3 / 4], memory[ISSUER_MAX];
    lk_buf room = lk_buf_over(payload, sizeof(payload)), issuer = lk_buf_over(memory, sizeof(memory));
    lk_view json;
    lk_json_item item;
    if (n == 0 || is_hmac(text) || !decode(text, 1, &room, &json) ||
        lk_json_get(json, LK_VIEW("iss"), &item) != LK_OK || lk_json_string(item.value, &issuer) != LK_OK)
        return NULL;
    for (size_t i = 0; i < n; i++)
        if (lk_view_equal(lk_buf_view(&issuer), lk_view_of(trusts[i].issuer)))
            return &trusts[i];
    return NULL;
}

/* ---- the header: what kind of token is it? ---- */

/* An access token by its type (RFC 9068 section 2.1), or one that does not say, as most issuers' do not.
 * Proofs, logout tokens and the like say what they are, and are no credentials (RFC 8725 section 3.11). */
static lk_status check_header(lk_view text, lk_buf *scratch, lk_view *kid, lk__refusal r)
{
    uint8_t memory[HEADER_MAX], typ[TYPE_MAX];
    lk_buf room = lk_buf_over(memory, sizeof(memory)), type = lk_buf_over(typ, sizeof(typ));
    size_t start = scratch->len;
    lk_json_item item;
    lk_view json;
    if (!decode(text, 0, &room, &json))
        return lk__refuse(r, LK_REASON_MALFORMED,
                          "the header is no JSON object in base64url, or a very long one");
    if (lk_json_get(json, LK_VIEW("kid"), &item) == LK_OK && lk_json_string(item.value, scratch) == LK_OK)
        *kid = lk_view_make(scratch->p + start, scratch->len - start);
    if (lk_json_get(json, LK_VIEW("typ"), &item) != LK_OK)
        return LK_OK;
    if (lk_json_string(item.value, &type) == LK_OK &&
        (lk__type_equal(lk_buf_view(&type), LK_VIEW("at+jwt")) ||
         lk__type_equal(lk_buf_view(&type), LK_VIEW("JWT"))))
        return LK_OK;
    return lk__refuse(r, LK_REASON_MALFORMED,
                      "the type (typ) of the token is another one than at+jwt or JWT");
}

/* ---- texts ---- */

static lk_status malformed(const reading *x, const char *claim, const char *rule)
{
    *x->r.why = LK_REASON_MALFORMED;
    lk_note_set(x->r.note, "the claim %s %s", claim, rule);
    return LK_REFUSED;
}

/* A string that may be shown, as it stands in the text or in scratch. LK_OK; LK_REFUSED; LK_FULL. */
static lk_status text_of(reading *x, const lk_json_item *item, lk_view *out)
{
    size_t start = x->scratch->len;
    if (item->type != LK_JSON_STRING)
        return LK_REFUSED;
    lk_status status = lk_json_string(item->value, x->scratch);
    if (status != LK_OK)
        return status;
    *out = lk_view_make(x->scratch->p + start, x->scratch->len - start);
    return lk__is_clean_text(*out) ? LK_OK : LK_REFUSED;
}

/* The member NAME, or, when there is none, the one its parts lead to: realm_access.roles. A name may have
 * dots of its own ("https://idp.example/roles"). */
static lk_status find(lk_view object, const char *name, lk_json_item *item)
{
    lk_view path = lk_view_of(name);
    for (;;) {
        if (lk_json_get(object, path, item) == LK_OK)
            return LK_OK;
        size_t dot = lk_view_find(path, '.');
        if (dot == path.len || lk_json_get(object, lk_view_part(path, 0, dot), item) != LK_OK ||
            item->type != LK_JSON_OBJECT)
            return LK_MISS;
        object = item->value;
        path = lk_view_part(path, dot + 1, path.len);
    }
}

/* A text that need not be there. */
static lk_status optional(reading *x, const char *name, lk_view *out)
{
    lk_json_item item;
    if (find(x->json, name, &item) != LK_OK)
        return LK_OK;
    lk_status status = text_of(x, &item, out);
    return status == LK_REFUSED ? malformed(x, name, "must be a string without control characters") : status;
}

/* ---- lists of words ---- */

/* A role of ours is given by us alone. */
static bool is_ours(lk_view word)
{
    const lk_view prefix = LK_VIEW("latchkey-");
    return lk_view_equal_nocase(lk_view_part(word, 0, prefix.len), prefix);
}

static bool add_word(lk_buf *list, lk_view word, bool roles)
{
    if (roles && is_ours(word))
        return true;
    if (list->len > 0)
        lk_buf_add_byte(list, ' ');
    lk_buf_add(list, word);
    return lk_buf_status(list) == LK_OK;
}

/* Strings of an array, each one word, into LIST. */
static bool add_array(lk_view array, lk_buf *list, bool roles)
{
    uint8_t memory[LK_ROLES_MAX];
    lk_json_item item;
    size_t at = 0;
    while (lk_json_next(array, &at, &item)) {
        lk_buf word = lk_buf_over(memory, sizeof(memory));
        lk_view v;
        if (item.type != LK_JSON_STRING || lk_json_string(item.value, &word) != LK_OK)
            return false;
        v = lk_buf_view(&word);
        if (v.len == 0 || lk_view_find(v, ' ') < v.len || !lk__is_clean_text(v) || !add_word(list, v, roles))
            return false;
    }
    return true;
}

static bool add_string(lk_view value, lk_buf *list, bool roles)
{
    uint8_t memory[4 * LK_ROLES_MAX];
    lk_buf text = lk_buf_over(memory, sizeof(memory));
    lk_view rest, word;
    if (lk_json_string(value, &text) != LK_OK || !lk__is_clean_text(lk_buf_view(&text)))
        return false;
    for (rest = lk_buf_view(&text); lk_words_next(&rest, &word);)
        if (!add_word(list, word, roles))
            return false;
    return true;
}

/* The words of the claim NAME, an array of strings or one string with blanks; none when it is not there. A
 * list is never cut: one that does not fit refuses the token. */
static lk_status words(reading *x, const char *name, bool roles, lk_view *out)
{
    uint8_t memory[LK_ROLES_MAX];
    lk_buf list = lk_buf_over(memory, sizeof(memory));
    size_t start = x->scratch->len;
    lk_json_item item;
    if (find(x->json, name, &item) != LK_OK)
        return LK_OK;
    bool good = item.type == LK_JSON_ARRAY    ? add_array(item.value, &list, roles)
                : item.type == LK_JSON_STRING ? add_string(item.value, &list, roles)
                                              : false;
    if (!good)
        return malformed(x, name, "must be a string or an array of words, of 256 bytes in all");
    lk_buf_add(x->scratch, lk_buf_view(&list));
    *out = lk_view_make(x->scratch->p + start, x->scratch->len - start);
    return lk_buf_status(x->scratch);
}

/* ---- what decides ---- */

static lk_status check_issuer(reading *x)
{
    lk_status status = optional(x, "iss", &x->out->issuer);
    if (status == LK_OK && !lk_view_equal(x->out->issuer, lk_view_of(x->t->issuer)))
        return lk__refuse(x->r, LK_REASON_UNKNOWN_KEY, "the issuer (iss) is another one");
    return status;
}

/* Whole strings are compared (RFC 7519 section 4.1.3). What else it is meant for is of no interest here. */
static lk_status check_audience(reading *x)
{
    uint8_t memory[sizeof(x->t->audience)];
    lk_json_item item, one;
    bool matches = false;
    size_t at = 0;
    if (lk_json_get(x->json, LK_VIEW("aud"), &item) != LK_OK)
        return lk__refuse(x->r, LK_REASON_WRONG_AUDIENCE, "the token has no audience (aud)");
    bool is_list = item.type == LK_JSON_ARRAY;
    for (one = item; !is_list || lk_json_next(item.value, &at, &one);) {
        lk_buf text = lk_buf_over(memory, sizeof(memory));
        if (one.type != LK_JSON_STRING)
            return malformed(x, "aud", "must be a string or an array of strings");
        matches = matches || (lk_json_string(one.value, &text) == LK_OK &&
                              lk_view_equal(lk_buf_view(&text), lk_view_of(x->t->audience)));
        if (!is_list)
            break;
    }
    x->out->audience = lk_view_of(x->t->audience);
    return matches ? LK_OK : lk__refuse(x->r, LK_REASON_WRONG_AUDIENCE, "the audience (aud) is another one");
}

static lk_status time_of(reading *x, const char *name, bool *there, int64_t *out)
{
    lk_json_item item;
    *there = lk_json_get(x->json, lk_view_of(name), &item) == LK_OK;
    if (*there && (item.type != LK_JSON_NUMBER || lk__numeric_date(item.value, out) != LK_OK))
        return malformed(x, name, "must be a number of seconds since 1970");
    return LK_OK;
}

static lk_status check_times(reading *x, int64_t now_s)
{
    const lk_expect expect = {.leeway_s = x->t->leeway_s, .need_expiry = true, .now_s = now_s};
    bool expires, other;
    lk_status status = time_of(x, "exp", &expires, &x->out->expires_s);
    if (status == LK_OK)
        status = time_of(x, "nbf", &other, &x->out->not_before_s);
    if (status == LK_OK)
        status = time_of(x, "iat", &other, &x->out->issued_s);
    if (status == LK_OK)
        status = time_of(x, "auth_time", &other, &x->out->auth_s);
    if (status != LK_OK)
        return status;
    if (!expires)
        return lk__refuse(x->r, LK_REASON_MALFORMED, "the token has no expiry (exp)");
    return lk__times_check(x->out, true, &expect, x->r.why, x->r.note);
}

/* A token that is bound to a key is good with a proof of that key only (RFC 9449 section 6.1). One that is
 * bound to something of which no proof is known here, such as a certificate (RFC 8705), would be taken for
 * one that is not bound. */
static lk_status read_binding(reading *x)
{
    lk_json_item cnf, jkt, one;
    size_t at = 0, n = 0;
    if (lk_json_get(x->json, LK_VIEW("cnf"), &cnf) != LK_OK)
        return LK_OK;
    while (cnf.type == LK_JSON_OBJECT && lk_json_next(cnf.value, &at, &one))
        n++;
    if (n != 1 || lk_json_get(cnf.value, LK_VIEW("jkt"), &jkt) != LK_OK ||
        text_of(x, &jkt, &x->out->bound) != LK_OK || x->out->bound.len != LK_THUMBPRINT_LEN)
        return malformed(x, "cnf", "binds the token to something that is not checked here");
    return LK_OK;
}

/* ---- as whom it is taken ---- */

static lk_status name_user(reading *x)
{
    size_t start = x->scratch->len;
    lk_view user = {0};
    lk_json_item item;
    lk_status status = LK_REFUSED;
    if (find(x->json, x->t->user, &item) == LK_OK)
        status = text_of(x, &item, &user);
    if (status == LK_FULL)
        return LK_FULL;
    if (status != LK_OK || user.len == 0)
        return malformed(x, x->t->user, "must be a string that names the user");
    start = x->scratch->len;
    lk_buf_add_text(x->scratch, x->t->realm);
    lk_buf_add_byte(x->scratch, '/');
    lk_buf_add(x->scratch, user);
    x->out->user = lk_view_make(x->scratch->p + start, x->scratch->len - start);
    if (x->out->user.len > LK_USER_ID_MAX)
        return malformed(x, x->t->user, "is too long behind the name of its realm: 64 bytes in all");
    x->out->realm = lk_view_of(x->t->realm);
    return lk_buf_status(x->scratch);
}

static lk_status read_rights(reading *x)
{
    lk_json_item item;
    bool scope = lk_json_get(x->json, LK_VIEW("scope"), &item) == LK_OK;
    lk_status status = words(x, scope ? "scope" : "scp", false, &x->out->scope);
    if (status == LK_OK && x->t->roles[0] != '\0')
        status = words(x, x->t->roles, true, &x->out->roles);
    return status;
}

static lk_status read_names(reading *x)
{
    lk_status status = optional(x, "client_id", &x->out->client);
    if (status == LK_OK && x->out->client.len == 0)
        status = optional(x, "azp", &x->out->client);
    if (status == LK_OK)
        status = optional(x, "jti", &x->out->id);
    if (status == LK_OK)
        status = optional(x, x->t->name, &x->out->name);
    /* It is for people to read, and no reason to turn one away. */
    if (x->out->name.len > LK_USER_NAME_MAX)
        x->out->name = (lk_view){0};
    return status;
}

static lk_status read_claims(reading *x, int64_t now_s)
{
    lk_status status = check_issuer(x);
    if (status == LK_OK)
        status = check_audience(x);
    if (status == LK_OK)
        status = check_times(x, now_s);
    if (status == LK_OK)
        status = read_binding(x);
    if (status == LK_OK)
        status = name_user(x);
    if (status == LK_OK)
        status = read_rights(x);
    return status == LK_OK ? read_names(x) : status;
}

lk_status lk_trust_check(const lk_trust *t, const lk_keyring *set, lk_view text, int64_t now_s,
                         lk_buf *scratch, lk_claims *out, lk_reason *why, lk_note *note)
{
    lk_buf before = *scratch;
    lk__refusal r = {why, note};
    lk_view kid = {0};
    *why = LK_REASON_NONE;
    *out = (lk_claims){0};
    lk_status status = check_header(text, scratch, &kid, r);
    size_t start = scratch->len;
    if (status == LK_OK)
        status = lk_jws_check(set, text, scratch, why, note);
    reading x = {t, lk_view_make(scratch->p + start, scratch->len - start), scratch, out, r};
    if (status == LK_OK && (lk_json_check(x.json, NULL, NULL) != LK_OK || !lk__is_json_object(x.json)))
        status = lk__refuse(r, LK_REASON_MALFORMED, "the payload is no JSON object");
    if (status == LK_OK)
        status = read_claims(&x, now_s);
    if (status == LK_FULL) {
        *why = LK_REASON_MALFORMED; /* nobody's token is that long */
        lk_note_set(note, "the token does not fit the buffer for its claims");
    }
    out->kind = LK_KIND_JWT;
    out->kid = kid;
    if (status == LK_OK)
        return LK_OK;
    *scratch = before;
    *out = (lk_claims){0};
    return status;
}
