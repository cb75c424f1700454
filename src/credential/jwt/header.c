/* SPDX-License-Identifier: Apache-2.0
 *
 * header.c - read the protected header of a JWS in full.
 *
 * The header is written by whoever sends the token. It may name a key that we have; it can neither bring a
 * key nor an algorithm along: jwk, jku, x5u, x5c and the like are not looked at (RFC 8725 section 3.10).
 */
#include "credential/jwt/jws.h"
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

/* The key named by kid; a token without kid has the empty one. A kid is compared with the kids of the ring
 * and is nothing else: no path, no query. */
static lk_status find_key(const lk_keyring *ring, lk_view header, const lk_verifier **out, lk__refusal r)
{
    char memory[LK_KID_MAX];
    lk_buf kid = lk_buf_over(memory, sizeof(memory));
    lk_json_item item;

    if (lk_json_get(header, LK_VIEW("kid"), &item) == LK_OK) {
        if (item.type != LK_JSON_STRING)
            return lk__refuse(r, LK_REASON_MALFORMED, "the kid in the header is no string");
        if (lk_json_string(item.value, &kid) != LK_OK || kid.len == 0)
            return lk__refuse(r, LK_REASON_UNKNOWN_KEY,
                              "the kid in the header is empty or too long to be of a key");
    }
    *out = lk_keyring_verifier(ring, lk_buf_view(&kid));
    if (*out != NULL)
        return LK_OK;
    return lk__refuse(r, LK_REASON_UNKNOWN_KEY,
                      kid.len == 0 ? "the header has no kid, and there is not exactly one key to try"
                                   : "there is no key with the kid in the header");
}

/* The algorithm is a property of the key. The header must say the same, letter by letter, or somebody means
 * something else by this token: "none", or a public key taken for an HMAC secret (RFC 8725 section 2.1). */
static lk_status check_alg(const lk_verifier *verifier, lk_view header, lk__refusal r)
{
    char memory[WORD_MAX];
    lk_buf alg = lk_buf_over(memory, sizeof(memory));
    lk_json_item item;

    if (lk_json_get(header, LK_VIEW("alg"), &item) != LK_OK || item.type != LK_JSON_STRING)
        return lk__refuse(r, LK_REASON_MALFORMED, "the header has no alg that is a string");
    if (lk_json_string(item.value, &alg) == LK_OK &&
        lk_view_equal(lk_buf_view(&alg), lk_view_of(lk_alg_name(lk_verifier_alg(verifier)))))
        return LK_OK;
    return lk__refuse(r, LK_REASON_BAD_SIGNATURE, "the alg in the header is not that of the key");
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
        status = find_key(ring, json, &verifier, r);
    if (status == LK_OK)
        status = check_alg(verifier, json, r);
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
