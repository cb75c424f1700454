/* SPDX-License-Identifier: Apache-2.0
 *
 * header.c - read the protected header of a JWS in full.
 *
 * The header is written by whoever sends the token. It may name a key that we have; it can neither bring a
 * key nor an algorithm along: a header with jwk, jku, x5u or x5c is refused (RFC 8725 section 3.10), but for
 * the jwk of a DPoP proof, which belongs there and is not looked at here either.
 */
#include "credential/jwt/jws.h"
#include "keyring/keyring_internal.h"
#include <latchkey/base64url.h>
#include <latchkey/json.h>

#define WORD_MAX 16

lk_status lk__refuse(lk__refusal r, lk_reason why, const char *sentence)
{
    *r.why = why;
    lk_note_set(r.note, "%s", sentence);
    return LK_REFUSED;
}

/* Without an "application/" that may be left out: only where nothing else needs a slash. */
static lk_view short_type(lk_view type)
{
    const lk_view prefix = LK_VIEW("application/");
    lk_view rest = lk_view_part(type, prefix.len, type.len);

    if (lk_view_equal_nocase(lk_view_part(type, 0, prefix.len), prefix) &&
        lk_view_find(rest, '/') == rest.len)
        return rest;
    return type;
}

bool lk__type_equal(lk_view a, lk_view b)
{
    return lk_view_equal(a, b) || lk_view_equal_nocase(short_type(a), short_type(b));
}

/* A kid is compared with the kids of the ring and is nothing else: no path, no query. A token without kid has
 * the empty one. */
static lk_status read_kid(lk_view header, lk_buf *kid, lk__refusal r)
{
    lk_json_item item;

    if (lk_json_get(header, LK_VIEW("kid"), &item) != LK_OK)
        return LK_OK;
    if (item.type != LK_JSON_STRING)
        return lk__refuse(r, LK_REASON_MALFORMED, "the kid in the header is no string");
    if (lk_json_string(item.value, kid) != LK_OK || kid->len == 0)
        return lk__refuse(r, LK_REASON_UNKNOWN_KEY,
                          "the kid in the header is empty or too long to be of a key");
    return LK_OK;
}

/* Empty for a name that is longer than any algorithm's. */
static lk_status read_alg(lk_view header, lk_buf *alg, lk__refusal r)
{
    lk_json_item item;

    if (lk_json_get(header, LK_VIEW("alg"), &item) != LK_OK || item.type != LK_JSON_STRING)
        return lk__refuse(r, LK_REASON_MALFORMED, "the header has no alg that is a string");
    if (lk_json_string(item.value, alg) != LK_OK)
        alg->len = 0;
    return LK_OK;
}

/* The algorithm is a property of the key. The header must say the same, letter by letter, or somebody means
 * something else by this token: "none", or a public key taken for an HMAC secret (RFC 8725 section 2.1). */
static lk_status find_key(const lk_keyring *ring, lk_view header, const lk_verifier **out, lk__refusal r)
{
    char kid_memory[LK_KID_MAX], alg_memory[WORD_MAX];
    lk_buf kid = lk_buf_over(kid_memory, sizeof(kid_memory)),
           alg = lk_buf_over(alg_memory, sizeof(alg_memory));
    bool known = false;
    lk_status status = read_kid(header, &kid, r);

    if (status == LK_OK)
        status = read_alg(header, &alg, r);
    if (status != LK_OK)
        return status;
    *out = lk__keyring_verifier_for(ring, lk_buf_view(&kid), lk_buf_view(&alg), &known);
    if (*out != NULL)
        return LK_OK;
    if (known)
        return lk__refuse(r, LK_REASON_BAD_SIGNATURE, "the alg in the header is not that of the key");
    return lk__refuse(r, LK_REASON_UNKNOWN_KEY,
                      kid.len == 0 ? "the header has no kid, and there is not exactly one key to try"
                                   : "there is no key with the kid in the header");
}

/* A token that brings its key or says where to fetch it asks to be believed on its own word. */
static lk_status check_keys_brought(lk_view header, lk_view type, lk__refusal r)
{
    static const char *const names[] = {"jku", "x5u", "x5c", "jwk"};
    size_t count = sizeof(names) / sizeof(names[0]);
    lk_json_item item;

    if (lk__type_equal(type, LK_VIEW("dpop+jwt")))
        count--;
    for (size_t i = 0; i < count; i++) {
        if (lk_json_get(header, lk_view_of(names[i]), &item) == LK_OK)
            return lk__refuse(r, LK_REASON_MALFORMED,
                              "the header brings a key along (jwk, jku, x5u or x5c); keys are not taken from "
                              "tokens");
    }
    return LK_OK;
}

/* We understand no extension, so every crit asks for one that we do not (RFC 7515 section 4.1.11). b64
 * changes what is signed (RFC 7797), and a JWT must not use it. */
static lk_status check_extensions(lk_view header, lk__refusal r)
{
    lk_json_item item;

    if (lk_json_get(header, LK_VIEW("crit"), &item) == LK_OK)
        return lk__refuse(r, LK_REASON_MALFORMED, "the header has crit, and no extension is understood here");
    if (lk_json_get(header, LK_VIEW("b64"), &item) == LK_OK)
        return lk__refuse(r, LK_REASON_MALFORMED, "the header has b64, which is not understood here");
    return LK_OK;
}

static lk_status check_type(lk_view header, lk_view type, bool *same, lk_buf *scratch, lk__refusal r)
{
    size_t start = scratch->len;
    lk_json_item item;

    *same = type.len == 0;
    if (lk_json_get(header, LK_VIEW("typ"), &item) != LK_OK)
        return LK_OK;
    if (item.type != LK_JSON_STRING)
        return lk__refuse(r, LK_REASON_MALFORMED, "the typ in the header is no string");
    if (lk_json_string(item.value, scratch) != LK_OK)
        return LK_FULL;
    *same = *same || lk__type_equal(lk_view_make(scratch->p + start, scratch->len - start), type);
    return LK_OK;
}

static lk_status read_members(const lk_keyring *ring, lk_view json, lk_view type, lk_buf *scratch,
                              lk__jws *out, lk__refusal r)
{
    const lk_verifier *verifier = NULL;
    lk_status status = check_extensions(json, r);

    if (status == LK_OK)
        status = check_keys_brought(json, type, r);
    if (status == LK_OK)
        status = find_key(ring, json, &verifier, r);
    if (status == LK_OK)
        status = check_type(json, type, &out->has_type, scratch, r);
    if (status == LK_OK)
        out->verifier = verifier;
    return status;
}

lk_status lk__header_read(const lk_keyring *ring, lk_view header, lk_view type, lk_buf *scratch, lk__jws *out,
                          lk__refusal r)
{
    lk_buf work = *scratch; /* a copy: what is added is forgotten when we return */
    lk_status status = lk_base64url_decode(header, &work);
    lk_view json;

    if (status == LK_FULL)
        return LK_FULL;
    json = lk_view_make(work.p + scratch->len, work.len - scratch->len);
    if (status != LK_OK || lk_json_check(json, NULL, NULL) != LK_OK || !lk__is_json_object(json))
        return lk__refuse(r, LK_REASON_MALFORMED, "the header is no JSON object in base64url");
    return read_members(ring, json, type, &work, out, r);
}
