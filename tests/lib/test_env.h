/* SPDX-License-Identifier: Apache-2.0
 *
 * test_env.h - an lk_env whose clock stands still until told, and whose n-th allocation fails.
 *
 * One per process. Randomness is the system's. Allocations are counted, so a test can see a leak without a
 * sanitizer. Not for several threads that change the clock; reading it from threads is fine.
 */
#ifndef LATCHKEY_TESTS_LIB_TEST_ENV_H
#define LATCHKEY_TESTS_LIB_TEST_ENV_H

#include <latchkey/env.h>

/* The environment. Its clock starts at 1800000000000 ms (15 January 2027); lives for ever. */
const lk_env *test_env(void);

/* Set the wall clock. The monotonic clock does not move. */
void test_clock_set_ms(int64_t now_ms);

/* Move both clocks forward. */
void test_clock_advance_ms(int64_t ms);

/* The N-th allocation from now on fails (1: the next one), and only that one. 0: none. */
void test_alloc_fail_at(int n);

/* Did the allocation that test_alloc_fail_at chose happen, and fail? Loops over N end when it did not. */
bool test_alloc_failed(void);

/* Allocations that were made and not freed yet. */
int test_alloc_live(void);

/* The N-th request for randomness from now on fails (1: the next one), and only that one. 0: none. */
void test_random_fail_at(int n);

#endif
