/* SPDX-License-Identifier: Apache-2.0
 *
 * token_fixture.h - tokens of any form, signed with a good key, and what is expected of their check.
 */
#ifndef LATCHKEY_TESTS_TOKEN_FIXTURE_H
#define LATCHKEY_TESTS_TOKEN_FIXTURE_H

#include "key_fixture.h"
#include <latchkey/credential.h>

#define NOW 1800000000

/* One ring for all tests of an executable: made by the group setup, freed by the teardown. */
extern lk_keyring *ring;
int make_ring(void **state);
int free_ring(void **state);

/* A token with exactly this HEADER and PAYLOAD, signed with the active key of ALG. "KID" in the header
 * becomes the kid of that key. Overwritten by the next call. */
lk_view craft(lk_alg alg, const char *header, const char *payload);

/* The same with the header of our own tokens. */
lk_view craft_claims(const char *payload);

/* Two parts in base64url with SIGNATURE behind them, whatever it is. */
lk_view assemble(const char *header, const char *payload, lk_view signature);

/* Everything the gateway asks for, at NOW: issuer "me", audience "shop", type at+jwt, an expiry. */
extern const lk_expect strict;
/* Nothing but the signature and the times. */
extern const lk_expect lenient;

/* Check TOKEN; *claims may be NULL. Each expects that a reason is told exactly when the answer is not LK_OK.
 */
lk_status check_jwt(lk_view token, const lk_expect *expect, lk_claims *claims, lk_reason *why);
lk_status check_token(lk_view token, const lk_expect *expect, lk_claims *claims, lk_reason *why);

/* Fail unless checking the JWT gives STATUS and REASON. */
void expect_jwt(lk_view token, const lk_expect *expect, lk_status status, lk_reason reason);

/* Fail unless V is TEXT. */
void assert_view(lk_view v, const char *text);

#endif
