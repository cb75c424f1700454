/* SPDX-License-Identifier: Apache-2.0
 *
 * ring_jwk.c - a keyring for checking only, from a JWK or a JWK Set (RFC 7517).
 */
#include "keyring/ring.h"
#include <latchkey/json.h>
#include <string.h>

#define TEXT_MAX ((size_t)256 * 1024)

/* What is taken from a text. */
typedef struct wanted {
    lk_alg_set allowed; /* other keys are passed over */
    bool every;         /* a key without alg checks by all of these it fits; else by the first */
    bool is_public;     /* nothing secret may be in it */
} wanted;

/* What a set has held so far. */
typedef struct seen {
    bool shared, pair; /* a key with kty oct; a key with another kty */
    size_t n;
    char kids[LK__KEYS_MAX][LK_KID_MAX + 1]; /* also of the keys that were passed over */
} seen;

/* A set that holds a secret beside public keys was put together by mistake: whoever publishes it gives the
 * secret away, and whoever checks with it can be made to take one for the other. */
static lk_status note_kind(seen *s, lk_view object, lk_note *note)
{
    uint8_t memory[8];
    lk_buf kty = lk_buf_over(memory, sizeof(memory));

    if (lk__jwk_text(object, "kty", &kty, NULL) == LK_OK && lk_view_equal(lk_buf_view(&kty), LK_VIEW("oct")))
        s->shared = true;
    else
        s->pair = true;
    if (!s->shared || !s->pair)
        return LK_OK;
    lk_note_set(note, "the set mixes secret (oct) and public keys; keep them in two files");
    return LK_REFUSED;
}

static lk_status note_kid(seen *s, const lk__jwk *jwk, lk_note *note)
{
    if (jwk->kid_len == 0)
        return LK_OK;
    for (size_t i = 0; i < s->n; i++) {
        if (lk_view_equal(lk_view_of(s->kids[i]), lk_view_make(jwk->kid, jwk->kid_len))) {
            lk_note_set(note, "the set has two keys with the kid \"%s\"", jwk->kid);
            return LK_REFUSED;
        }
    }
    if (s->n == LK__KEYS_MAX) {
        lk_note_set(note, "the set has more than %d keys", LK__KEYS_MAX);
        return LK_REFUSED;
    }
    memcpy(s->kids[s->n++], jwk->kid, sizeof(jwk->kid));
    return LK_OK;
}

/* A secret in a place for public keys is somebody's mistake, which he must hear of; what it is stays out of
 * the note. A shared secret (oct) is one only where nothing but public keys belong. */
static lk_status check_secrets(const wanted *w, const lk__jwk *jwk, lk_view object, lk_note *note)
{
    lk_json_item item;

    if (lk_json_get(object, LK_VIEW("lk_use"), &item) == LK_OK) {
        lk_note_set(note, "this is the root secret of a key directory, which checks no signatures");
        return LK_REFUSED;
    }
    if (jwk->has_private) {
        lk_note_set(
            note, "the key holds its private half (one of d, p, q, dp, dq, qi, oth, k), which checking does "
                  "not need; leave those members out");
        return LK_REFUSED;
    }
    if (w->is_public && lk__jwk_has_secret(object)) {
        lk_note_set(note, "there is a secret key (kty oct) where only public ones belong");
        return LK_REFUSED;
    }
    return LK_OK;
}

/* Put the key in, for each of the algorithms in USES. */
static lk_status add_uses(lk_keyring *ring, lk__jwk *jwk, lk_alg_set uses, lk_note *note)
{
    lk_status status = LK_OK;
    lk_key_info info = {0};
    bool first = true;

    memcpy(info.kid, jwk->kid, sizeof(info.kid));
    for (lk_alg a = 0; a < LK_ALG_COUNT && status == LK_OK; a++) {
        if ((uses & LK_ALG_BIT(a)) == 0)
            continue;
        jwk->algorithm = lk__algorithm_of(a);
        info.alg = a;
        status = first ? lk__ring_add(ring, jwk, &info, false, note) : lk__ring_add_other(ring, jwk, note);
        first = false;
    }
    return status;
}

static lk_status add_wanted(lk_keyring *ring, const wanted *w, lk__jwk *jwk, lk_note *note)
{
    lk_alg_set uses = jwk->candidates & w->allowed;

    if (uses == 0) {
        lk_note_set(note, "the key is for %s%s, which is not allowed here", jwk->algorithm->name,
                    (jwk->candidates & (jwk->candidates - 1)) != 0 ? " and the like" : "");
        return LK_MISS;
    }
    if (!w->every)
        uses &= ~uses + 1; /* the lowest bit, which is that of jwk->algorithm or the only one allowed */
    return add_uses(ring, jwk, uses, note);
}

/* LK_OK; LK_MISS when the key is not for us; LK_REFUSED; LK_FULL; LK_FAULT. */
static lk_status add_key(lk_keyring *ring, const wanted *w, seen *s, lk_view object, lk_note *note)
{
    lk__jwk jwk = {0};
    lk_status status;

    if (note_kind(s, object, note) != LK_OK)
        return LK_REFUSED;
    status = lk__jwk_describe(object, &jwk, note);
    if (status == LK_REFUSED || note_kid(s, &jwk, note) != LK_OK ||
        check_secrets(w, &jwk, object, note) != LK_OK)
        return LK_REFUSED;
    return status == LK_OK ? add_wanted(ring, w, &jwk, note) : status;
}

/* Keys of other algorithms and uses are passed over, as RFC 7517 section 5 asks; a broken or weak one is not:
 * then somebody is wrong about this set. */
static lk_status add_set(lk_keyring *ring, const wanted *w, lk_view array, lk_note *note)
{
    lk_json_item item;
    seen s = {0};
    size_t at = 0;

    while (lk_json_next(array, &at, &item)) {
        lk_status status;

        if (item.type != LK_JSON_OBJECT) {
            lk_note_set(note, "an element of \"keys\" is no object");
            return LK_REFUSED;
        }
        status = add_key(ring, w, &s, item.value, note);
        if (status != LK_OK && status != LK_MISS)
            return status;
    }
    if (ring->n > 0)
        return LK_OK;
    if (at == 0)
        lk_note_set(note, "the set holds no key");
    return LK_REFUSED; /* else the note of the last one passed over says why */
}

static lk_status add_all(lk_keyring *ring, const wanted *w, lk_view json, lk_note *note)
{
    lk_json_item keys;
    lk_status status;
    seen s = {0};

    if (lk_json_get(json, LK_VIEW("keys"), &keys) == LK_OK) {
        if (keys.type == LK_JSON_ARRAY)
            return add_set(ring, w, keys.value, note);
        lk_note_set(note, "\"keys\" is no array");
        return LK_REFUSED;
    }
    status = add_key(ring, w, &s, json, note);
    return status == LK_MISS ? LK_REFUSED : status;
}

static lk_status read_text(const lk_env *env, const wanted *w, lk_view json, lk_keyring **out, lk_note *note)
{
    lk_keyring *ring;
    lk_status status;

    *out = NULL;
    if (json.len > TEXT_MAX) {
        lk_note_set(note, "the key text is longer than %zu bytes", TEXT_MAX);
        return LK_REFUSED;
    }
    if (lk_json_check(json, NULL, note) != LK_OK)
        return LK_REFUSED;
    if (!lk__jwk_is_object(json)) {
        lk_note_set(note, "the key text is no JSON object");
        return LK_REFUSED;
    }
    ring = lk__ring_new(env);
    if (ring == NULL) {
        lk_note_set(note, "out of memory");
        return LK_FAULT;
    }
    ring->checks_only = true;
    status = add_all(ring, w, json, note);
    if (status == LK_OK)
        *out = ring;
    else
        lk_keyring_free(ring);
    return status == LK_FULL ? LK_REFUSED : status;
}

lk_status lk_keyring_from_jwk(const lk_env *env, lk_view json, lk_keyring **out, lk_note *note)
{
    return read_text(env, &(wanted){.allowed = ~(lk_alg_set)0}, json, out, note);
}

lk_status lk_keyring_from_jwk_for(const lk_env *env, lk_view json, lk_alg alg, lk_keyring **out,
                                  lk_note *note)
{
    return read_text(env, &(wanted){.allowed = LK_ALG_BIT(alg)}, json, out, note);
}

lk_status lk_keyring_from_jwks_public(const lk_env *env, lk_view json, lk_alg_set allowed, lk_keyring **out,
                                      lk_note *note)
{
    return read_text(env, &(wanted){allowed & LK_ALGS_PUBLIC, true, true}, json, out, note);
}
