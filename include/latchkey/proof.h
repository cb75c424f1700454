/* SPDX-License-Identifier: Apache-2.0
 *
 * proof.h - what a request proves beside its credential: that the sender has a private key (DPoP, RFC 9449),
 * or that every byte that matters was signed with the secret of an API key.
 *
 * Both are checked against the request as the server received it, and both are good once: that they were not
 * used before is for whoever remembers (guard.h). docs/dpop.md, docs/signed-requests.md
 */
#ifndef LATCHKEY_PROOF_H
#define LATCHKEY_PROOF_H

#include <latchkey/credential.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The request that a proof is about, as the client sent it. */
typedef struct lk_about {
    lk_view method; /* "GET" */
    lk_view scheme; /* "https" or "http", as the server knows it */
    lk_view host;   /* the Host header */
    lk_view target; /* path and query of the request line, byte for byte */
} lk_about;

/* --- DPoP (RFC 9449) -------------------------------------------------------------------------------------
 */

#define LK_DPOP_MAX 4096   /* characters of a proof */
#define LK_DPOP_ID_MAX 256 /* bytes of its jti */
#define LK_DPOP_URL_MAX 2048
#define LK_JKT_LEN 43 /* an RFC 7638 thumbprint by SHA-256, in base64url */

/* Keys of proofs that were good for a token bound to them, kept open: LK_DPOP_KEYS at most, the one used
 * longest ago gives way. Safe for many threads at once. LK_OK; LK_FAULT. NULL is closed as well. */
#define LK_DPOP_KEYS 256
typedef struct lk_dpop_keys lk_dpop_keys;
LK_CHECKED lk_status lk_dpop_keys_open(const lk_env *env, lk_dpop_keys **out);
void lk_dpop_keys_close(lk_dpop_keys *keys);

typedef struct lk_dpop_expect {
    lk_about about;
    lk_view token; /* the access token that came along: `ath` must be its hash. Empty: one is asked for */
    lk_view jkt;   /* the key it is bound to. Empty: any key */
    int64_t now_s;
    int64_t back_s;     /* how long ago it may have been made, */
    int64_t ahead_s;    /* and how far in the future, by the clock of the client */
    lk_dpop_keys *keys; /* where the key may be open already; NULL: nowhere */
} lk_dpop_expect;

typedef struct lk_dpop {
    char jkt[LK_JKT_LEN + 1]; /* of the key that the proof was made with */
    lk_view id;               /* jti */
    lk_view nonce;            /* empty: none */
    int64_t issued_s;
} lk_dpop;

/* The checks of RFC 9449 section 4.3 that need no memory: all but that there is one header, and that the
 * proof was not used before. The signature comes last, since it is what costs.
 * Gives:  LK_OK; LK_REFUSED or LK_STALE with *why - malformed (no such JWT; a private key in it),
 *         bad_signature (it does not prove this request: signature, algorithm, htm, htu, ath), wrong_device
 *         (another key than the token's), expired, not_yet_valid - and the rule in the note; LK_FULL when
 *         SCRATCH is too small (LK_DPOP_MAX never is); LK_FAULT when memory or the crypto library fails.
 *         The views of *OUT point into SCRATCH. On anything but LK_OK *OUT is zero.
 * Source: RFC 9449 section 4.3, docs/dpop.md */
LK_CHECKED lk_status lk_dpop_check(const lk_env *env, lk_view proof, const lk_dpop_expect *expect,
                                   lk_buf *scratch, lk_dpop *out, lk_reason *why, lk_note *note);

/* Append the algorithms a proof may be signed with, with blanks between them: what stands in `algs=`. */
void lk_dpop_algs(lk_buf *out);

/* A server nonce (RFC 9449 section 8): the time under a MAC, so that no node has to remember it, and all
 * nodes that share keys take each other's. LK_OK; LK_FAULT. */
#define LK_DPOP_NONCE_LEN 32
LK_CHECKED lk_status lk_dpop_nonce_make(const lk_keyring *ring, int64_t now_s,
                                        char out[LK_DPOP_NONCE_LEN + 1]);
/* LK_OK; LK_REFUSED when it is none of ours; LK_STALE when it is older than LIFE_S; LK_FAULT. */
LK_CHECKED lk_status lk_dpop_nonce_check(const lk_keyring *ring, lk_view nonce, int64_t now_s,
                                         int64_t life_s);

/* --- requests signed with an API key ---------------------------------------------------------------------
 */

#define LK_SIGNATURE_SCHEME "Latchkey-Signature"
#define LK_SIGNATURE_FIELD_MAX 512 /* characters of the Authorization field */
#define LK_SIGNATURE_NONCE_MIN 16
#define LK_SIGNATURE_NONCE_MAX 64
#define LK_BODY_DIGEST_LEN 32 /* SHA-256 */
#define LK_BODY_DIGEST_TEXT 43

/* What stands in `Authorization: Latchkey-Signature key=..., time=..., nonce=..., body=..., sign=...`. */
typedef struct lk_request_signature {
    lk_view key;    /* the public part of the API key, 8 characters */
    lk_view nonce;  /* 16 to 64 characters of base64url */
    lk_view body;   /* the digest, as it was written */
    lk_view sign;   /* 64 lower-case hex digits */
    lk_view time;   /* as it was written */
    int64_t time_s; /* the same */
    uint8_t body_digest[LK_BODY_DIGEST_LEN];
} lk_request_signature;

/* Read FIELD, an Authorization field. LK_OK; LK_MISS for another scheme; LK_REFUSED for one that is not
 * exactly of this form. The views of *OUT point into FIELD. */
LK_CHECKED lk_status lk_request_signature_read(lk_view field, lk_request_signature *out);
/* Append what is signed: docs/formats/signed-request.md. LK_OK; LK_FULL. */
LK_CHECKED lk_status lk_request_signature_text(const lk_request_signature *s, const lk_about *about,
                                               lk_buf *out);
/* Append the signature of ABOUT and *S (all but `sign`) with the 32 characters of SECRET, in hex. LK_OK;
 * LK_FULL; LK_FAULT. */
LK_CHECKED lk_status lk_request_signature_make(lk_view secret, const lk_request_signature *s,
                                               const lk_about *about, lk_buf *out);
/* Was *S made with that API key, for ABOUT, within WINDOW_S of NOW_S? No allocation. LK_OK with the whole key
 * in KEY (wipe it): whether it was given back since is another question; LK_REFUSED or LK_STALE with *why:
 * bad_signature, expired, not_yet_valid; LK_FAULT. */
LK_CHECKED lk_status lk_request_signature_check(const lk_keyring *ring, const lk_request_signature *s,
                                                const lk_about *about, int64_t now_s, int64_t window_s,
                                                char key[LK_API_KEY_LEN + 1], lk_reason *why);

#ifdef __cplusplus
}
#endif
#endif
