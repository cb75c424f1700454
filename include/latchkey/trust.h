/* SPDX-License-Identifier: Apache-2.0
 *
 * trust.h - issuers beside this gateway whose JWTs are good here (latchkey_trust): their key sets, and the
 * check of their tokens. docs/trust.md
 */
#ifndef LATCHKEY_TRUST_H
#define LATCHKEY_TRUST_H

#include <latchkey/credential.h>
#include <latchkey/settings.h>

#ifdef __cplusplus
extern "C" {
#endif

struct lk_guard;

/* ---- tokens
 * -------------------------------------------------------------------------------------------------------- */

/* The issuer that TEXT, a JWT, says to be from, among the N at TRUSTS: NULL when it is none of them, or an
 * HMAC is its algorithm. Nothing of TEXT is proven by that. No allocation. */
const lk_trust *lk_trust_of(const lk_trust *trusts, size_t n, lk_view text);

/* Check TEXT, which says to be from T, by the keys in SET and nothing else: signature (by an algorithm of T),
 * typ (at+jwt, JWT or none), iss, aud, exp and nbf, and that its user can be named. In OUT the user is
 * "<realm>/<user>", which no user of this gateway can be; the realm is that of T, whatever the token says; it
 * names no session, no device and no generation of ours, and holds no role that begins with "latchkey-".
 * Views are of SCRATCH, TEXT and T. LK_OK; LK_REFUSED or LK_STALE with *why (unknown_key: SET has no key of
 * that name); LK_FULL (LK_SCRATCH_MAX never is); LK_FAULT. *out is zero but on LK_OK. No allocation for
 * EdDSA. Source: RFC 7519, RFC 8725, RFC 9068. */
LK_CHECKED lk_status lk_trust_check(const lk_trust *t, const lk_keyring *set, lk_view text, int64_t now_s,
                                    lk_buf *scratch, lk_claims *out, lk_reason *why, lk_note *note);

/* ---- key sets
 * ------------------------------------------------------------------------------------------------------ */

#define LK_JWKS_MAX ((size_t)256 * 1024) /* bytes of a key set */

/* The algorithms that T allows. */
lk_alg_set lk_trust_algs(const lk_trust *t);

/* Get the key set of T once, from where it is published: blocking, at most 5 seconds. *out belongs to the
 * caller: lk_keyring_free. LK_OK; LK_FAULT with the sentence why it cannot be had or is not in order. */
LK_CHECKED lk_status lk_trust_fetch(const lk_env *env, const lk_trust *t, lk_keyring **out, lk_note *note);

/* Can key sets be fetched by https? Without libcurl only files can be read. */
bool lk_trust_can_fetch(void);

/* What the processes of a node share about the sets: the texts last fetched, and when somebody tried. Made
 * before the processes are, and mapped by all of them. */
typedef struct lk_trust_room lk_trust_room;

/* Room for the issuers of S; what OLD (NULL: none) knows of the same ones goes over. *out is NULL when S
 * trusts nobody. LK_OK; LK_FAULT. */
LK_CHECKED lk_status lk_trust_room_make(const lk_settings *s, const lk_trust_room *old, lk_trust_room **out);
void lk_trust_room_free(lk_trust_room *room); /* NULL is fine */

/* Bring set INDEX of this process up to date: take over what another process has fetched, or fetch it, but no
 * sooner after the last try of this node than the setting allows; while another thread fetches, wait for that
 * (a few do; the others are told LK_MISS). Blocking. LK_OK: there is another set than before; LK_MISS: there
 * is not; LK_FAULT: it could not be had, with the sentence why. */
LK_CHECKED lk_status lk_guard_trust_look(struct lk_guard *g, uint32_t index, lk_note *note);

/* Is it time to do that, without anybody asking? Cheap, no I/O: call it every second or so. */
bool lk_guard_trust_is_due(struct lk_guard *g, uint32_t index);

/* For metrics: of this node, but `keys`. */
typedef struct lk_trust_state {
    const char *issuer;
    bool known;       /* a set was fetched once */
    bool usable;      /* and is not too old */
    int64_t age_ms;   /* since it was known to be right, when known */
    uint64_t fetches; /* tries that gave a set */
    uint64_t failures;
} lk_trust_state;
/* Of issuer INDEX; false past the end. */
bool lk_guard_trust_state(struct lk_guard *g, uint32_t index, lk_trust_state *out);

#ifdef __cplusplus
}
#endif
#endif
