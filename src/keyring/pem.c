/* SPDX-License-Identifier: Apache-2.0
 *
 * pem.c - a key in PEM as a JSON Web Key, so that there is one set of rules for keys.
 */
#include "crypto/pem.h"
#include "keyring/jwk.h"
#include <latchkey/json.h>

#define JWK_MAX 6144 /* the private key of RSA with 4096 bits has about 3,300 characters */

bool lk_is_pem(lk_view text)
{
    const lk_view begin = LK_VIEW("-----BEGIN ");

    for (size_t at = 0; at + begin.len <= text.len; at++) {
        if (text.p[at] == '{')
            return false; /* JSON, whatever stands in its strings */
        if (lk_view_equal(lk_view_part(text, at, begin.len), begin))
            return true;
    }
    return false;
}

/* The row whose keys are of TYPE: that of ALG, or the only one. NULL when there is none. */
static const lk__algorithm *row_for(lk_pem_type type, lk_alg alg)
{
    static const struct {
        const char *kty, *crv;
        lk_alg only;
    } kinds[] = {
        [LK_PEM_RSA] = {"RSA", NULL, LK_ALG_COUNT},          [LK_PEM_P256] = {"EC", "P-256", LK_ALG_ES256},
        [LK_PEM_P384] = {"EC", "P-384", LK_ALG_ES384},       [LK_PEM_P521] = {"EC", "P-521", LK_ALG_ES512},
        [LK_PEM_ED25519] = {"OKP", "Ed25519", LK_ALG_EDDSA}, [LK_PEM_ED448] = {"OKP", "Ed448", LK_ALG_ED448},
    };
    const lk__algorithm *row = lk__algorithm_of(alg == LK_ALG_COUNT ? kinds[type].only : alg);

    if (alg == LK_ALG_COUNT && type == LK_PEM_RSA)
        return lk__algorithm_of(LK_ALG_RS256);
    if (!lk_view_equal(lk_view_of(row->kty), lk_view_of(kinds[type].kty)) ||
        !lk_view_equal(lk_view_of(row->crv), lk_view_of(kinds[type].crv)))
        return NULL;
    return row;
}

static void add_number(lk_buf *out, const char *name, const uint8_t *bytes, size_t len)
{
    lk_buf_add_byte(out, ',');
    lk__jwk_add_bytes(out, name, lk_view_make(bytes, len));
}

static void write_rsa(const lk_pem_key *key, lk_buf *out)
{
    static const char *const names[LK_RSA_COUNT] = {"n", "e", "d", "p", "q", "dp", "dq", "qi"};

    for (size_t i = 0; i < (key->is_private ? LK_RSA_COUNT : LK_RSA_PUBLIC_COUNT); i++)
        add_number(out, names[i], key->rsa.of[i].bytes, key->rsa.of[i].len);
}

static void write_point(const lk_pem_key *key, const lk__algorithm *row, lk_buf *out)
{
    lk_buf_add_byte(out, ',');
    lk__jwk_add_text(out, "crv", row->crv);
    add_number(out, "x", key->x, key->len);
    if (key->type != LK_PEM_ED25519 && key->type != LK_PEM_ED448)
        add_number(out, "y", key->y, key->len);
    if (key->is_private)
        add_number(out, "d", key->d, key->len);
}

static lk_status write_jwk(const lk_pem_key *key, lk_alg alg, lk_buf *out, lk_note *note)
{
    const lk__algorithm *row = row_for(key->type, alg);

    if (row == NULL) {
        lk_note_set(note, "the key is of another type than %s needs", lk_alg_name(alg));
        return LK_REFUSED;
    }
    lk_buf_add_byte(out, '{');
    lk__jwk_add_text(out, "kty", row->kty);
    if (key->type == LK_PEM_RSA)
        write_rsa(key, out);
    else
        write_point(key, row, out);
    if (key->type != LK_PEM_RSA || alg != LK_ALG_COUNT) {
        lk_buf_add_byte(out, ',');
        lk__jwk_add_text(out, "alg", row->jose);
    }
    lk_buf_add_byte(out, '}');
    return lk_buf_text(out) != NULL ? LK_OK : LK_FAULT;
}

lk_status lk_jwk_from_pem(const lk_env *env, lk_view pem, lk_alg alg, char **json, lk_note *note)
{
    lk_pem_key key;
    lk_buf out;
    lk_status status = lk_pem_read(pem, &key, note);

    *json = NULL;
    if (status != LK_OK)
        return status;
    *json = lk_alloc(env, JWK_MAX);
    if (*json == NULL) {
        lk_note_set(note, "out of memory");
        status = LK_FAULT;
    } else {
        out = lk_buf_over(*json, JWK_MAX);
        status = write_jwk(&key, alg, &out, note);
    }
    lk_wipe(&key, sizeof(key));
    if (status != LK_OK && *json != NULL) {
        lk_wipe(*json, JWK_MAX);
        lk_free(env, *json);
        *json = NULL;
    }
    return status;
}

/* A PEM in the place of a public key. */
static lk_status read_public(const lk_env *env, lk_view pem, lk_alg alg, lk_keyring **out, lk_note *note)
{
    char *json = NULL;
    lk_status status = lk_jwk_from_pem(env, pem, alg, &json, note);
    lk_json_item item;

    if (status != LK_OK)
        return status;
    if (lk__jwk_has_secret(lk_view_of(json))) {
        lk_note_set(note,
                    "this is a private key, which checking does not need; give its public half (openssl pkey "
                    "-in FILE -pubout)");
        status = LK_REFUSED;
    } else if (lk_json_get(lk_view_of(json), LK_VIEW("alg"), &item) != LK_OK) {
        lk_note_set(note,
                    "an RSA key in PEM does not say for which of RS256, RS384, RS512, PS256, PS384 and PS512 "
                    "it is; name the algorithm (--alg)");
        status = LK_REFUSED;
    } else {
        status = lk_keyring_from_jwk(env, lk_view_of(json), out, note);
    }
    lk_wipe(json, JWK_MAX);
    lk_free(env, json);
    return status;
}

lk_status lk_keyring_from_text(const lk_env *env, lk_view text, lk_alg alg, lk_keyring **out, lk_note *note)
{
    *out = NULL;
    if (lk_is_pem(text))
        return read_public(env, text, alg, out, note);
    if (alg == LK_ALG_COUNT)
        return lk_keyring_from_jwk(env, text, out, note);
    return lk_keyring_from_jwk_for(env, text, alg, out, note);
}
