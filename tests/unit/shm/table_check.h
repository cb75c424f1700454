/* SPDX-License-Identifier: Apache-2.0
 *
 * table_check.h - values that prove themselves, and a check of a whole table, for the tests of the table.
 */
#ifndef LATCHKEY_TESTS_SHM_TABLE_CHECK_H
#define LATCHKEY_TESTS_SHM_TABLE_CHECK_H

#include "shm/table.h"

#define CHECK_VALUE_MAX 6000u

/* The key numbered N. */
void check_key(uint64_t n, uint8_t key[LK_TABLE_KEY_LEN]);

/* A value of LEN bytes (at least 32) that holds the key's number, SEQ and a checksum over all of it. */
lk_view check_value(uint64_t n, uint64_t seq, size_t len, uint8_t buf[CHECK_VALUE_MAX]);

/* Is V whole and of key N? *seq (may be NULL) receives what it was made with. */
bool check_value_is_whole(uint64_t n, lk_view v, uint64_t *seq);

/* An anonymous table, or one in a new file of /dev/shm whose path is written to PATH. Ends the test on
 * failure. */
lk_table *check_open(const lk_env *env, size_t size);
lk_table *check_open_file(const lk_env *env, size_t size, char path[64]);

/* The whole table at rest: every value is whole, every entry can be got by its key, the lists by owner
 * (owners 1 to OWNERS) and the full list agree and hold each entry once, counts are right. Gives the number
 * of entries. */
uint64_t check_table(lk_table *t, uint64_t owners);

/* Every lock can be had: keys enough to meet every stripe, owner stripe and group. */
void check_locks(lk_table *t, const lk_env *env);

/* Drop everything, sweep, and see that no byte is in use any more: nothing has leaked. */
void check_empties(lk_table *t);

/* A random number below N from *STATE (not 0). */
uint32_t check_below(uint64_t *state, uint32_t n);

#endif
