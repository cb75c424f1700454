/* SPDX-License-Identifier: Apache-2.0
 *
 * password.h - argon2id hashes as PHC strings.
 */
#ifndef LATCHKEY_CRYPTO_PASSWORD_H
#define LATCHKEY_CRYPTO_PASSWORD_H

#include <latchkey/env.h>

#define LK_PASSWORD_MAX 1024 /* bytes; longer is refused, never cut (CVE-2025-22228) */
#define LK_PHC_MAX 256

typedef struct lk_password_cost {
    uint32_t memory_kib; /* m= */
    uint32_t passes;     /* t= */
} lk_password_cost;      /* p is always 1 */

/* Is COST at or above the floor (19456/2 or an equivalent of the OWASP list: 47104/1, 12288/3, 9216/4,
 * 7168/5)? LK_OK or LK_REFUSED with the rule in the note. */
LK_CHECKED lk_status lk_password_cost_check(lk_password_cost cost, lk_note *note);

/* Hash into a PHC string ($argon2id$v=19$m=..,t=..,p=1$salt$hash), 16 bytes of fresh salt. The password is
 * taken as bytes (normalise first: lk_password_normalize). LK_OK; LK_REFUSED over LK_PASSWORD_MAX; LK_FAULT
 * when memory is short. */
LK_CHECKED lk_status lk_password_hash(const lk_env *env, lk_view password, lk_password_cost cost,
                                      char out[LK_PHC_MAX]);

/* LK_OK it is that password; LK_REFUSED it is not, or too long; LK_STALE it is, but PHC has lower cost than
 * COST (rehash it); LK_FAULT when PHC cannot be read or memory is short. Accepts any argon2id or argon2i PHC
 * string, foreign ones with p > 1 included (bounded: m <= 1 GiB, t <= 64). Leaks: nothing but the length of
 * the password. */
LK_CHECKED lk_status lk_password_verify(lk_view password, lk_view phc, lk_password_cost cost);

#endif
