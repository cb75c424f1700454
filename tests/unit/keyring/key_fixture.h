/* SPDX-License-Identifier: Apache-2.0
 *
 * key_fixture.h - key directories and keyrings for tests.
 */
#ifndef LATCHKEY_TESTS_KEY_FIXTURE_H
#define LATCHKEY_TESTS_KEY_FIXTURE_H

#include <latchkey/keys.h>

#define DIR_SIZE 64

/* Make an empty directory of mode 0700 below TMPDIR. */
void key_dir_make(char dir[DIR_SIZE]);

/* Remove it and what is in it. */
void key_dir_remove(const char *dir);

/* lk_key_make in DIR, with no time to publish and a month of life: AT_ONCE, or when it is told. */
lk_status key_make(const char *dir, lk_alg alg, bool at_once, char kid[LK_KID_MAX + 1], lk_note *note);

/* A ring from a fresh directory, which is removed again at once; the test fails when there is none. Free it.
 */
lk_keyring *fresh_ring(void);

/* The algorithms such a ring has keys of: the first of lk_alg. */
#define FIRST_ALGS 4

/* The same with a key of every algorithm there is. */
lk_keyring *full_ring(void);

/* A ring for checking only, from one JWK or set; NULL when it is refused, with the sentence in *note. */
lk_keyring *ring_of(const char *jwk, lk_note *note);

/* The bytes that TEXT, base64url, stands for; fails the test when it is none. Gives the length. */
size_t bytes_of_text(const char *text, uint8_t *out, size_t cap);

/* The keys of RFC 7515 appendix A.1 to A.3 and RFC 8037 appendix A, as their owners would publish them. */
extern const char *const rfc_hs256, *const rfc_rs256, *const rfc_es256, *const rfc_eddsa;

/* The tokens made with them, in the same places. */
extern const char *const rfc_hs256_token, *const rfc_rs256_token, *const rfc_es256_token,
                                                                      *const rfc_eddsa_token;

#endif
