/* SPDX-License-Identifier: Apache-2.0
 *
 * keyring.h - keys with a kid, an algorithm and a life; made on first start, kept in files of mode 0600.
 *
 * A keyring says what its files said when they were read; lk_keyring_refresh (keys.h) reads them again while
 * it is in use. Which key signs is a matter of the time at which it is asked. An issuer (lk_signer) and a
 * checker (lk_verifier) are different types with no way from one to the other, and the algorithm is a
 * property of the key: algorithm confusion cannot be written. File format: docs/formats/keys.md
 */
#ifndef LATCHKEY_KEYRING_H
#define LATCHKEY_KEYRING_H

#include <latchkey/env.h>
#include <latchkey/secret.h>

#ifdef __cplusplus
extern "C" {
#endif

#define LK_KID_MAX                                                                                           \
    64 /* characters; base64url alphabet only in kids we make, any printable ASCII in foreign ones */
#define LK_SIGNATURE_MAX 512

/* The signature algorithms (RFC 7518 section 3.1, RFC 8037 section 3.1). The first four have a key in every
 * new key directory; the others are made when asked for (`latchkey key new`). EdDSA is two of them, for its
 * two curves: "EdDSA" is Ed25519, "Ed448" is our name for the other, which is "EdDSA" in tokens and keys,
 * too. */
#define LK_ALGS(X)                                                                                           \
    X(HS256, "HS256")                                                                                        \
    X(ES256, "ES256")                                                                                        \
    X(RS256, "RS256")                                                                                        \
    X(EDDSA, "EdDSA")                                                                                        \
    X(HS384, "HS384")                                                                                        \
    X(HS512, "HS512")                                                                                        \
    X(RS384, "RS384")                                                                                        \
    X(RS512, "RS512")                                                                                        \
    X(PS256, "PS256")                                                                                        \
    X(PS384, "PS384")                                                                                        \
    X(PS512, "PS512")                                                                                        \
    X(ES384, "ES384")                                                                                        \
    X(ES512, "ES512")                                                                                        \
    X(ED448, "Ed448")

typedef enum lk_alg {
#define X(name, word) LK_ALG_##name,
    LK_ALGS(X)
#undef X
        LK_ALG_COUNT
} lk_alg;

/* Our name, which no two share. Never NULL. */
const char *lk_alg_name(lk_alg alg);
/* What stands in the header of a token and in a key. Never NULL. */
const char *lk_alg_jose(lk_alg alg);
/* The algorithm that we name exactly so, or LK_MISS. "none" in any case is a miss: it is not in the table. */
LK_CHECKED lk_status lk_alg_of(lk_view name, lk_alg *out);

/* Several algorithms, as what a configuration allows. */
typedef uint32_t lk_alg_set;
#define LK_ALG_BIT(alg) ((lk_alg_set)1 << (alg))
/* What a new key directory gets a key of. */
#define LK_ALGS_FIRST                                                                                        \
    (LK_ALG_BIT(LK_ALG_HS256) | LK_ALG_BIT(LK_ALG_ES256) | LK_ALG_BIT(LK_ALG_RS256) |                        \
     LK_ALG_BIT(LK_ALG_EDDSA))
/* All that need no shared secret: the ones a foreign issuer can be checked by. */
#define LK_ALGS_PUBLIC                                                                                       \
    ((LK_ALG_BIT(LK_ALG_COUNT) - 1) &                                                                        \
     ~(LK_ALG_BIT(LK_ALG_HS256) | LK_ALG_BIT(LK_ALG_HS384) | LK_ALG_BIT(LK_ALG_HS512)))

/* Where a key is in its life: see keys.h. */
typedef enum lk_key_state {
    LK_KEY_PENDING,  /* published and verifies, does not sign yet */
    LK_KEY_ACTIVE,   /* signs and verifies */
    LK_KEY_RETIRING, /* verifies only, until it is gone */
    LK_KEY_GONE,     /* neither; its file is still there */
    LK_KEY_BURNED    /* was in wrong hands: only its name is left */
} lk_key_state;
const char *lk_key_state_word(lk_key_state state); /* "pending", ... */

typedef struct lk_signer lk_signer;     /* can make signatures of one algorithm under one kid */
typedef struct lk_verifier lk_verifier; /* can check them, and nothing else */
typedef struct lk_keyring lk_keyring;
struct lk_mac; /* src/crypto/mac.h: a prepared HMAC-SHA256 key */

/* What the root secret is stretched into (HKDF-SHA256, one label each), so that no value made for one purpose
 * is ever good for another. The root does not rotate with the signing keys: rotating it would orphan every
 * session. */
typedef enum lk_purpose {
    LK_PURPOSE_SESSION_ID,     /* keyed hash of session ids: store keys and public ids */
    LK_PURPOSE_CSRF,           /* form tokens */
    LK_PURPOSE_VERIFIED_TOKEN, /* names of entries in the table of verified tokens */
    LK_PURPOSE_THROTTLE,       /* names of counters: addresses and account names are not kept in clear */
    LK_PURPOSE_NODE,           /* names of servers in the cookie of latchkey_sticky */
    LK_PURPOSE_API_KEY,        /* the secret of an API key, from its public part */
    LK_PURPOSE_CLIENT,         /* keyed hash of the secrets of OAuth clients */
    LK_PURPOSE_DEVICE,         /* what devices hold, their challenges and the ids of their sessions */
    LK_PURPOSE_PROOF,          /* nonces of DPoP proofs; names of signed requests in stores */
    LK_PURPOSE_REFRESH,        /* refresh tokens: their proof, their successors, their hashes */
    LK_PURPOSE_COUNT
} lk_purpose;

/* Open the key directory DIR. With CREATE, a directory that does not exist or holds no key is filled: a root
 * secret and one key for each algorithm of LK_ALGS_FIRST; every file is written, synced and renamed into
 * place before it is used, so a crash leaves either a whole key or none, and two processes starting at once
 * agree on one set. Gives LK_OK; LK_MISS when there is no key and CREATE is false; LK_REFUSED when a file is
 * readable by others, is no key, is too weak (HMAC under 256 bits, RSA under 2048, point off the curve) or a
 * kid is there twice - the note names the file and the cure; LK_FULL above 64 keys; LK_FAULT when it cannot
 * be read. *out belongs to the caller: lk_keyring_free. ENV must outlive it. */
LK_CHECKED lk_status lk_keyring_open(const lk_env *env, const char *dir, bool create, lk_keyring **out,
                                     lk_note *note);

/* A keyring for checking only, from a JWK or JWK Set text (for `latchkey jws verify --jwk`). HMAC keys are
 * allowed in a file the user names, but a set that mixes secret and public keys is refused, as is a private
 * member in a public key. A key without kid gets the empty kid. */
LK_CHECKED lk_status lk_keyring_from_jwk(const lk_env *env, lk_view json, lk_keyring **out, lk_note *note);

/* The same, checking by ALG alone: a key that names no algorithm is taken for it if its type fits, one that
 * names another is refused (in a set: passed over). */
LK_CHECKED lk_status lk_keyring_from_jwk_for(const lk_env *env, lk_view json, lk_alg alg, lk_keyring **out,
                                             lk_note *note);

/* A keyring for checking what somebody else signs: the public keys in JSON, a JWK Set or one JWK, as far as
 * they are for the algorithms in ALLOWED.
 * - Passed over (RFC 7517 section 5): a key of a type, curve, algorithm or use that is not known or not
 * allowed
 *   - without a look at its numbers. A set of which nothing is left is refused.
 * - Refuses the whole set: a key that holds anything secret, of whatever type (the note does not repeat it);
 * a kid that is there twice; a key that is ours to use and weak, off its curve or broken. Then whoever
 * publishes it is wrong about it, and a ring without it would answer "unknown key" to his tokens with no
 * reason.
 * - A key without "alg" checks by every algorithm in ALLOWED that its type and curve fit: an RSA key by the
 * RS* and PS* of the configuration. The header of a token chooses among these and no others.
 * - Keys without kid are of use only when there is no other key.
 * Gives LK_OK; LK_REFUSED with a note; LK_FAULT when memory is short. At most 256 KiB and 64 keys. *out
 * belongs to the caller: lk_keyring_free. ENV must outlive it. JSON is not kept. */
LK_CHECKED lk_status lk_keyring_from_jwks_public(const lk_env *env, lk_view json, lk_alg_set allowed,
                                                 lk_keyring **out, lk_note *note);

/* The thumbprint of the key in JWK (RFC 7638 with SHA-256, RFC 8037 section 2): 43 characters of base64url
 * are appended to OUT. Private members do not matter to it; whether the key is weak is not looked at, only
 * that its members are there and in one spelling. No allocation. Gives LK_OK; LK_REFUSED with a note when it
 * is no JWK of kty EC, OKP, RSA or oct; LK_FULL; LK_FAULT. */
LK_CHECKED lk_status lk_jwk_thumbprint(lk_view jwk, lk_buf *out, lk_note *note);
#define LK_THUMBPRINT_LEN 43

/* Turn the one key in PEM into a JWK: "PUBLIC KEY" (RFC 5280), "PRIVATE KEY" (RFC 5958), "EC PRIVATE KEY"
 * (RFC 5915), "RSA PUBLIC KEY" and "RSA PRIVATE KEY" (RFC 8017). The JWK has the private members when the PEM
 * has, and no kid. ALG is what the key is for: LK_ALG_COUNT to let the type decide, which an RSA key does not
 * - then it has no "alg". Gives LK_OK; LK_REFUSED with a note: no PEM, more than one key in it, encrypted, a
 * certificate, a type that is not for ALG or for nothing here; LK_FAULT. *json belongs to the caller: wipe
 * its bytes, then lk_free. */
LK_CHECKED lk_status lk_jwk_from_pem(const lk_env *env, lk_view pem, lk_alg alg, char **json, lk_note *note);
/* Does TEXT look like PEM, rather than like JSON? */
bool lk_is_pem(lk_view text);

/* A keyring for checking only, from the text of a key file in whatever form: a JWK, a JWK Set, or a public
 * key in PEM. ALG as in lk_keyring_from_jwk_for, or LK_ALG_COUNT to go by what the key says; an RSA key in
 * PEM says nothing and is refused without it. A private key is refused, and nothing of it is in the note.
 * Answers as lk_keyring_from_jwk. */
LK_CHECKED lk_status lk_keyring_from_text(const lk_env *env, lk_view text, lk_alg alg, lk_keyring **out,
                                          lk_note *note);

void lk_keyring_free(lk_keyring *ring);

/* The key of ALG that signs now, or NULL. Of several the one that began last; a retiring one when there is no
 * other, since to stop signing would lock everybody out. Borrowed: lives as long as the ring, or a minute
 * longer than the next lk_keyring_refresh that takes something over. */
const lk_signer *lk_keyring_signer(const lk_keyring *ring, lk_alg alg);

/* The key with exactly that kid (pending, active or retiring), or NULL. There is no "try all": an unknown kid
 * is refused. As the one exception, a ring of exactly one key made by lk_keyring_from_jwk answers for an
 * absent kid (KID.len == 0). */
const lk_verifier *lk_keyring_verifier(const lk_keyring *ring, lk_view kid);

/* The prepared HMAC for PURPOSE. Never NULL for a ring from lk_keyring_open; NULL for one from
 * lk_keyring_from_jwk. */
const struct lk_mac *lk_keyring_mac(const lk_keyring *ring, lk_purpose purpose);

/* The public keys as a JWK Set (RFC 7517 section 5), sorted by kid; secret keys are not in it. Free *json
 * with lk_free. */
LK_CHECKED lk_status lk_keyring_jwks(const lk_keyring *ring, char **json);

typedef struct lk_key_info {
    char kid[LK_KID_MAX + 1];
    lk_alg alg;
    lk_key_state state;                            /* at the time of asking */
    int64_t created_s, signs_s, retires_s, gone_s; /* LK_KEY_NEVER: not set */
    bool is_root; /* the root secret: alg, state and the later times have no meaning */
} lk_key_info;

/* Describe key number INDEX (0, 1, ... ordered by creation). LK_MISS past the end. */
LK_CHECKED lk_status lk_keyring_info(const lk_keyring *ring, size_t index, lk_key_info *out);

/* Sign the concatenation of nothing but MESSAGE. The raw JOSE signature (R||S for ES*) is appended to OUT.
 * LK_OK, LK_FULL, LK_FAULT. */
LK_CHECKED lk_status lk_sign(const lk_signer *signer, lk_view message, lk_buf *out);
lk_alg lk_signer_alg(const lk_signer *signer);
lk_view lk_signer_kid(const lk_signer *signer);

/* Check SIGNATURE over MESSAGE. Gives LK_OK; LK_REFUSED (wrong, wrong length, r or s out of range,
 * non-canonical S); LK_FAULT when the crypto library fails. Allocation-free for HS* and EdDSA with Ed25519.
 * Leaks: nothing of an HMAC key; lengths. */
LK_CHECKED lk_status lk_verify(const lk_verifier *verifier, lk_view message, lk_view signature);
lk_alg lk_verifier_alg(const lk_verifier *verifier);
lk_view lk_verifier_kid(const lk_verifier *verifier);

#ifdef __cplusplus
}
#endif
#endif
