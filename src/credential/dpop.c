/* SPDX-License-Identifier: Apache-2.0
 *
 * dpop.c - a proof that the sender of a request has a private key (RFC 9449).
 *
 *   header   {"typ":"dpop+jwt","alg":ALG,"jwk":KEY}           the one place where a key is read from a header
 *   payload  {"htm":METHOD,"htu":URL,"iat":TIME,"jti":ID[,"ath":HASH][,"nonce":NONCE]}
 *
 * The key that came along proves nothing by itself. It counts because its thumbprint is in a token that we
 * signed, or will be.
 */
#include "credential/dpop_keys.h"
#include "credential/htu.h"
#include "credential/jwt/jws.h"
#include "crypto/hash.h"
#include "crypto/mac.h"
#include <latchkey/base64url.h>
#include <latchkey/json.h>
#include <string.h>

#define WORD_MAX 32
#define NONCE_TIME 8
#define NONCE_SIGN 16

_Static_assert(LK_BASE64URL_LEN(NONCE_TIME + NONCE_SIGN) == LK_DPOP_NONCE_LEN, "a nonce has no odd bits");
_Static_assert(LK_BASE64URL_LEN(LK_SHA256_LEN) == LK_JKT_LEN, "a thumbprint is a SHA-256");
_Static_assert(LK_JKT_LEN == LK_THUMBPRINT_LEN, "under either name");

/* One check on its way. */
typedef struct proof {
    lk_view parts[LK__JWT_PARTS];
    lk_view header, payload; /* JSON */
    lk_view key;             /* the JWK in the header */
    lk_alg alg;
    lk_view method, url, hash;
    lk_dpop *out;
    lk_buf *scratch;
    lk__refusal r;
} proof;

static lk_status refuse(proof *x, lk_reason why, const char *sentence)
{
    return lk__refuse(x->r, why, sentence);
}

/* ---- the header ---- */

static lk_status decode(proof *x, lk_view text, lk_view *json, const char *sentence)
{
    size_t start = x->scratch->len;
    lk_status status = lk_base64url_decode(text, x->scratch);

    if (status == LK_FULL)
        return LK_FULL;
    *json = lk_view_make(x->scratch->p + start, x->scratch->len - start);
    if (status != LK_OK || lk_json_check(*json, NULL, NULL) != LK_OK || !lk__is_json_object(*json))
        return refuse(x, LK_REASON_MALFORMED, sentence);
    return LK_OK;
}

/* Is the member NAME of OBJECT the string WORD? */
static bool is_word(lk_view object, lk_view name, lk_view word)
{
    uint8_t memory[WORD_MAX];
    lk_buf text = lk_buf_over(memory, sizeof(memory));
    lk_json_item item;

    return lk_json_get(object, name, &item) == LK_OK && lk_json_string(item.value, &text) == LK_OK &&
           lk_view_equal(lk_buf_view(&text), word);
}

/* Is ALG one whose keys come in pairs? With a secret in the header anybody could have signed. */
static bool is_public(lk_alg alg)
{
    return (LK_ALGS_PUBLIC & LK_ALG_BIT(alg)) != 0;
}

static lk_status read_alg(proof *x)
{
    uint8_t memory[WORD_MAX];
    lk_buf text = lk_buf_over(memory, sizeof(memory));
    lk_json_item item;

    if (lk_json_get(x->header, LK_VIEW("alg"), &item) != LK_OK || item.type != LK_JSON_STRING)
        return refuse(x, LK_REASON_MALFORMED, "the header of the proof has no alg that is a string");
    if (lk_json_string(item.value, &text) != LK_OK)
        text.len = 0;
    for (x->alg = 0; x->alg < LK_ALG_COUNT; x->alg++) {
        if (is_public(x->alg) && lk_view_equal(lk_buf_view(&text), lk_view_of(lk_alg_jose(x->alg))))
            return LK_OK;
    }
    return refuse(x, LK_REASON_BAD_SIGNATURE,
                  "the alg of the proof is none of the asymmetric ones that are taken");
}

/* For any kind of key: also what does not belong to the kind it says it is. */
static bool has_private(lk_view jwk)
{
    static const char *const names[] = {"d", "p", "q", "dp", "dq", "qi", "oth", "k"};
    lk_json_item item;

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (lk_json_get(jwk, lk_view_of(names[i]), &item) == LK_OK)
            return true;
    }
    return false;
}

/* LK_OK; LK_REFUSED; LK_FAULT. */
static lk_status read_key(proof *x)
{
    lk_buf text = lk_buf_over(x->out->jkt, sizeof(x->out->jkt));
    lk_json_item jwk;

    if (lk_json_get(x->header, LK_VIEW("jwk"), &jwk) != LK_OK || jwk.type != LK_JSON_OBJECT)
        return refuse(x, LK_REASON_MALFORMED, "the header of the proof has no jwk");
    if (has_private(jwk.value))
        return refuse(
            x, LK_REASON_MALFORMED,
            "the jwk of the proof holds a private or secret member: that key is no secret any more");
    x->key = jwk.value;
    if (x->alg == LK_ALG_EDDSA && is_word(x->key, LK_VIEW("crv"), LK_VIEW("Ed448")))
        x->alg = LK_ALG_ED448;
    lk_status status = lk_jwk_thumbprint(x->key, &text, NULL);
    if (status == LK_REFUSED)
        return refuse(x, LK_REASON_MALFORMED, "the jwk of the proof lacks a member that its kind of key has");
    return status == LK_OK && lk_buf_text(&text) != NULL ? LK_OK : LK_FAULT;
}

static lk_status read_header(proof *x)
{
    lk_json_item item;
    lk_status status =
        decode(x, x->parts[0], &x->header, "the header of the proof is no JSON object in base64url");

    if (status != LK_OK)
        return status;
    if (!is_word(x->header, LK_VIEW("typ"), LK_VIEW("dpop+jwt")))
        return refuse(x, LK_REASON_MALFORMED, "the typ of the proof is not dpop+jwt");
    if (lk_json_get(x->header, LK_VIEW("crit"), &item) == LK_OK ||
        lk_json_get(x->header, LK_VIEW("b64"), &item) == LK_OK)
        return refuse(x, LK_REASON_MALFORMED, "the proof asks for an extension, and none is understood here");
    status = read_alg(x);
    if (status == LK_OK)
        status = read_key(x);
    return status;
}

/* ---- the payload ---- */

/* The string member NAME, in scratch. LK_OK; LK_MISS; LK_REFUSED; LK_FULL. */
static lk_status read_text(proof *x, const char *name, lk_view *out)
{
    size_t start = x->scratch->len;
    lk_json_item item;

    if (lk_json_get(x->payload, lk_view_of(name), &item) != LK_OK)
        return LK_MISS;
    if (item.type != LK_JSON_STRING)
        return LK_REFUSED;
    if (lk_json_string(item.value, x->scratch) != LK_OK)
        return LK_FULL;
    *out = lk_view_make(x->scratch->p + start, x->scratch->len - start);
    return lk__is_clean_text(*out) ? LK_OK : LK_REFUSED;
}

static lk_status read_payload(proof *x)
{
    const struct {
        const char *name;
        lk_view *out;
        bool must;
    } texts[] = {{"htm", &x->method, true},
                 {"htu", &x->url, true},
                 {"jti", &x->out->id, true},
                 {"ath", &x->hash, false},
                 {"nonce", &x->out->nonce, false}};
    lk_json_item item;
    lk_status status =
        decode(x, x->parts[1], &x->payload, "the payload of the proof is no JSON object in base64url");

    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]) && status == LK_OK; i++) {
        status = read_text(x, texts[i].name, texts[i].out);
        if (status == LK_REFUSED || (status == LK_MISS && texts[i].must)) {
            lk_note_set(x->r.note, "the proof has no %s that is a string without control characters",
                        texts[i].name);
            *x->r.why = LK_REASON_MALFORMED;
            return LK_REFUSED;
        }
        if (status == LK_MISS)
            status = LK_OK;
    }
    if (status != LK_OK)
        return status;
    if (lk_json_get(x->payload, LK_VIEW("iat"), &item) != LK_OK || item.type != LK_JSON_NUMBER ||
        lk__numeric_date(item.value, &x->out->issued_s) != LK_OK)
        return refuse(x, LK_REASON_MALFORMED, "the proof has no iat that is a number of seconds since 1970");
    if (x->out->id.len == 0 || x->out->id.len > LK_DPOP_ID_MAX)
        return refuse(x, LK_REASON_MALFORMED, "the jti of the proof is empty or too long");
    return LK_OK;
}

/* ---- does it prove this request? ---- */

static lk_status check_hash(proof *x, lk_view token)
{
    uint8_t hash[LK_SHA256_LEN], memory[LK_JKT_LEN];
    lk_buf text = lk_buf_over(memory, sizeof(memory));

    if (token.len == 0)
        return LK_OK;
    if (lk_sha256(token, hash) != LK_OK)
        return LK_FAULT;
    lk_base64url_encode(lk_view_make(hash, sizeof(hash)), &text);
    if (lk_secret_equal(lk_buf_view(&text), x->hash))
        return LK_OK;
    return refuse(x, LK_REASON_BAD_SIGNATURE,
                  "the ath of the proof is not the hash of the token it came with");
}

static lk_status check_time(proof *x, const lk_dpop_expect *expect)
{
    if (x->out->issued_s > expect->now_s + expect->ahead_s)
        return refuse(x, LK_REASON_NOT_YET_VALID, "the proof is from the future: its iat is after now");
    if (x->out->issued_s >= expect->now_s - expect->back_s)
        return LK_OK;
    (void)!refuse(x, LK_REASON_EXPIRED, "the iat of the proof is too long ago");
    return LK_STALE;
}

static lk_status check_request(proof *x, const lk_dpop_expect *expect)
{
    if (!lk_view_equal(x->method, expect->about.method))
        return refuse(x, LK_REASON_BAD_SIGNATURE, "the htm of the proof is not the method of the request");
    if (!lk__htu_is(x->url, &expect->about))
        return refuse(x, LK_REASON_BAD_SIGNATURE, "the htu of the proof is not the URL of the request");
    lk_status status = check_time(x, expect);
    if (status == LK_OK)
        status = check_hash(x, expect->token);
    if (status != LK_OK)
        return status;
    if (expect->jkt.len > 0 && !lk_secret_equal(lk_view_make(x->out->jkt, LK_JKT_LEN), expect->jkt))
        return refuse(x, LK_REASON_WRONG_DEVICE,
                      "the proof was made with another key than the token is bound to");
    return LK_OK;
}

static lk_status verify(proof *x, const lk_keyring *ring, lk_view signature)
{
    lk_view message = lk_view_make(x->parts[0].p, x->parts[0].len + 1 + x->parts[1].len);
    const lk_verifier *verifier = lk_keyring_verifier(ring, (lk_view){0});
    lk_status status = verifier == NULL ? LK_FAULT : lk_verify(verifier, message, signature);

    return status == LK_REFUSED
               ? refuse(x, LK_REASON_BAD_SIGNATURE, "the signature of the proof is not right")
               : status;
}

/* A key is opened for the one algorithm it is used with, and is none if it says that it is for another. It is
 * kept when it has proven a token that is bound to it, as NAME (NULL: never). */
static lk_status open_and_verify(const lk_env *env, proof *x, const lk_dpop_expect *expect,
                                 const uint8_t *name, lk_view signature)
{
    lk_keyring *ring = NULL;
    lk_status status = lk_keyring_from_jwk_for(env, x->key, x->alg, &ring, NULL);

    if (status == LK_REFUSED || status == LK_MISS)
        return refuse(x, LK_REASON_BAD_SIGNATURE,
                      "the jwk of the proof is no good key for the alg of the proof");
    if (status != LK_OK)
        return LK_FAULT;
    status = verify(x, ring, signature);
    if (status == LK_OK && name != NULL && expect->jkt.len > 0 && expect->token.len > 0)
        lk__dpop_key_keep(expect->keys, name, ring);
    else
        lk_keyring_free(ring);
    return status;
}

static lk_status check_signature(const lk_env *env, proof *x, const lk_dpop_expect *expect)
{
    uint8_t memory[LK_SIGNATURE_MAX], name[LK_SHA256_LEN];
    lk_buf signature = lk_buf_over(memory, sizeof(memory));
    lk__dpop_key *kept;

    if (lk_base64url_decode(x->parts[2], &signature) != LK_OK)
        return refuse(x, LK_REASON_MALFORMED, "the signature of the proof is not base64url of a signature");
    if (expect->keys == NULL || lk__dpop_key_name(x->alg, x->key, name) != LK_OK)
        return open_and_verify(env, x, expect, NULL, lk_buf_view(&signature));
    kept = lk__dpop_key_hold(expect->keys, name);
    if (kept == NULL)
        return open_and_verify(env, x, expect, name, lk_buf_view(&signature));
    lk_status status = verify(x, lk__dpop_key_ring(kept), lk_buf_view(&signature));
    lk__dpop_key_release(expect->keys, kept);
    return status;
}

static lk_status check(const lk_env *env, lk_view text, const lk_dpop_expect *expect, proof *x)
{
    if (text.len > LK_DPOP_MAX)
        return refuse(x, LK_REASON_MALFORMED, "the proof is too long");
    if (lk__split_dots(text, x->parts, LK__JWT_PARTS) != LK__JWT_PARTS)
        return refuse(x, LK_REASON_MALFORMED,
                      "the proof is no JWT: it has not three parts with dots between them");
    lk_status status = read_header(x);
    if (status == LK_OK)
        status = read_payload(x);
    if (status == LK_OK)
        status = check_request(x, expect);
    return status == LK_OK ? check_signature(env, x, expect) : status;
}

lk_status lk_dpop_check(const lk_env *env, lk_view text, const lk_dpop_expect *expect, lk_buf *scratch,
                        lk_dpop *out, lk_reason *why, lk_note *note)
{
    lk_buf before = *scratch;
    proof x = {.out = out, .scratch = scratch, .r = {why, note}};

    *why = LK_REASON_NONE;
    *out = (lk_dpop){.issued_s = 0};
    lk_status status = check(env, text, expect, &x);
    if (status == LK_OK)
        return LK_OK;
    if (status == LK_FULL)
        *why = LK_REASON_MALFORMED;
    *scratch = before;
    *out = (lk_dpop){.issued_s = 0};
    return status;
}

void lk_dpop_algs(lk_buf *out)
{
    size_t start = out->len;

    for (lk_alg a = 0; a < LK_ALG_COUNT; a++) {
        if (!is_public(a) || a == LK_ALG_ED448) /* that is EdDSA, too */
            continue;
        lk_buf_add_text(out, out->len > start ? " " : "");
        lk_buf_add_text(out, lk_alg_jose(a));
    }
}

/* ---- nonces ---- */

static lk_status sign_nonce(const lk_keyring *ring, const uint8_t time[NONCE_TIME], uint8_t sign[NONCE_SIGN])
{
    const lk_mac *mac = lk_keyring_mac(ring, LK_PURPOSE_PROOF);
    const lk_view parts[] = {LK_VIEW("nonce "), lk_view_make(time, NONCE_TIME)};
    uint8_t made[LK_MAC_LEN];
    lk_status status = mac == NULL ? LK_FAULT : lk_mac_run(mac, parts, 2, made);

    if (status == LK_OK)
        memcpy(sign, made, NONCE_SIGN);
    lk_wipe(made, sizeof(made));
    return status == LK_OK ? LK_OK : LK_FAULT;
}

lk_status lk_dpop_nonce_make(const lk_keyring *ring, int64_t now_s, char out[LK_DPOP_NONCE_LEN + 1])
{
    uint8_t bytes[NONCE_TIME + NONCE_SIGN];
    lk_buf text = lk_buf_over(out, LK_DPOP_NONCE_LEN + 1);

    for (unsigned i = 0; i < NONCE_TIME; i++)
        bytes[i] = (uint8_t)((uint64_t)now_s >> (56 - 8 * i));
    out[0] = '\0';
    if (sign_nonce(ring, bytes, bytes + NONCE_TIME) != LK_OK)
        return LK_FAULT;
    lk_base64url_encode(lk_view_make(bytes, sizeof(bytes)), &text);
    return lk_buf_text(&text) != NULL ? LK_OK : LK_FAULT;
}

lk_status lk_dpop_nonce_check(const lk_keyring *ring, lk_view nonce, int64_t now_s, int64_t life_s)
{
    uint8_t bytes[NONCE_TIME + NONCE_SIGN], sign[NONCE_SIGN];
    lk_buf read = lk_buf_over(bytes, sizeof(bytes));
    uint64_t made_s = 0;

    if (nonce.len != LK_DPOP_NONCE_LEN || lk_base64url_decode(nonce, &read) != LK_OK)
        return LK_REFUSED;
    if (sign_nonce(ring, bytes, sign) != LK_OK)
        return LK_FAULT;
    if (!lk_secret_equal(lk_view_make(sign, sizeof(sign)), lk_view_make(bytes + NONCE_TIME, NONCE_SIGN)))
        return LK_REFUSED;
    for (unsigned i = 0; i < NONCE_TIME; i++)
        made_s = made_s << 8 | bytes[i];
    return (int64_t)made_s < now_s - life_s ? LK_STALE : LK_OK;
}
