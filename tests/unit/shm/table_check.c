/* SPDX-License-Identifier: Apache-2.0
 *
 * table_check.c - see table_check.h.
 */
#include "table_check.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define LISTED_MAX 200000u

static const lk_entry_kind kinds[] = {LK_ENTRY_SESSION, LK_ENTRY_FENCE, LK_ENTRY_CUTOFF, LK_ENTRY_COUNTER,
                                      LK_ENTRY_TOKEN,   LK_ENTRY_NEAR,  LK_ENTRY_PROOF};
#define KINDS (sizeof(kinds) / sizeof(kinds[0]))

typedef struct header {
    uint64_t n, seq, len, sum;
} header;

void check_key(uint64_t n, uint8_t key[LK_TABLE_KEY_LEN])
{
    memset(key, 0x5a, LK_TABLE_KEY_LEN);
    memcpy(key, &n, sizeof(n));
}

static uint64_t sum_of(const header *h, const uint8_t *body)
{
    uint64_t sum = (h->n * 31 + h->seq) * 31 + h->len;
    for (size_t i = sizeof(*h); i < h->len; i++) {
        sum = (sum ^ body[i]) * 0x100000001b3ull;
    }
    return sum;
}

lk_view check_value(uint64_t n, uint64_t seq, size_t len, uint8_t buf[CHECK_VALUE_MAX])
{
    header h = {.n = n, .seq = seq, .len = len};
    for (size_t i = sizeof(h); i < len; i++) {
        buf[i] = (uint8_t)(n + seq * 7 + i);
    }
    h.sum = sum_of(&h, buf);
    memcpy(buf, &h, sizeof(h));
    return lk_view_make(buf, len);
}

bool check_value_is_whole(uint64_t n, lk_view v, uint64_t *seq)
{
    header h;
    if (v.len < sizeof(h)) {
        return false;
    }
    memcpy(&h, v.p, sizeof(h));
    if (seq != NULL) {
        *seq = h.seq;
    }
    return h.n == n && h.len == v.len && h.sum == sum_of(&h, v.p);
}

lk_table *check_open(const lk_env *env, size_t size)
{
    lk_table *t = NULL;
    bool joined = true;
    lk_note note;
    assert_int_equal(lk_table_open(env, NULL, size, &t, &joined, &note), LK_OK);
    assert_false(joined);
    return t;
}

lk_table *check_open_file(const lk_env *env, size_t size, char path[64])
{
    lk_table *t = NULL;
    bool joined = true;
    lk_note note;
    (void)snprintf(path, 64, "/dev/shm/lk-test-%ld", (long)getpid());
    (void)unlink(path);
    assert_int_equal(lk_table_open(env, path, size, &t, &joined, &note), LK_OK);
    assert_false(joined);
    return t;
}

typedef struct listed {
    uint64_t n, owner, version;
} listed;

typedef struct listing {
    lk_table *t;
    lk_entry_kind kind;
    listed *all;
    uint32_t len;
} listing;

static int by_number(const void *a, const void *b)
{
    const listed *x = a, *y = b;
    return x->n < y->n ? -1 : x->n > y->n;
}

static bool take(void *context, const uint8_t key[LK_TABLE_KEY_LEN], const lk_entry *e, lk_view value)
{
    listing *l = context;
    listed one = {.owner = e->owner, .version = e->version};
    memcpy(&one.n, key, sizeof(one.n));
    if (l->kind != LK_ENTRY_COUNTER) {
        assert_true(check_value_is_whole(one.n, value, NULL));
    }
    assert_true(l->len < LISTED_MAX);
    l->all[l->len++] = one;
    return true;
}

static void list_all(listing *l, uint64_t owner)
{
    uint64_t cursor = 0;
    l->len = 0;
    do {
        assert_int_equal(lk_table_list(l->t, l->kind, owner, &cursor, 100, take, l), LK_OK);
    } while (cursor != 0);
    qsort(l->all, l->len, sizeof(l->all[0]), by_number);
    for (uint32_t i = 1; i < l->len; i++) {
        assert_true(l->all[i].n != l->all[i - 1].n); /* each once */
    }
}

static void check_got(listing *l, const listed *one)
{
    uint8_t key[LK_TABLE_KEY_LEN], buf[CHECK_VALUE_MAX];
    lk_entry e;
    check_key(one->n, key);
    assert_int_equal(lk_table_get(l->t, l->kind, key, 0, buf, sizeof(buf), &e), LK_OK);
    assert_true(e.version == one->version && e.owner == one->owner);
}

static uint64_t check_kind(listing *l, uint64_t owners)
{
    listing of_owner = *l;
    uint64_t with_owner = 0, by_owner = 0;
    of_owner.all = calloc(LISTED_MAX, sizeof(listed));
    assert_non_null(of_owner.all);
    list_all(l, 0);
    for (uint32_t i = 0; i < l->len; i++) {
        check_got(l, &l->all[i]);
        assert_true(l->all[i].owner <= owners);
        with_owner += l->all[i].owner != 0;
    }
    for (uint64_t owner = 1; owner <= owners; owner++) {
        list_all(&of_owner, owner);
        by_owner += of_owner.len;
        for (uint32_t i = 0; i < of_owner.len; i++) {
            const listed *same = bsearch(&of_owner.all[i], l->all, l->len, sizeof(listed), by_number);
            assert_true(same != NULL && same->owner == owner);
        }
    }
    assert_int_equal(by_owner, with_owner);
    assert_int_equal(lk_table_held(l->t, l->kind), l->len);
    free(of_owner.all);
    return l->len;
}

uint64_t check_table(lk_table *t, uint64_t owners)
{
    uint64_t entries = 0;
    listing l = {.t = t, .all = calloc(LISTED_MAX, sizeof(listed))};
    assert_non_null(l.all);
    for (size_t k = 0; k < KINDS; k++) {
        l.kind = kinds[k];
        entries += check_kind(&l, owners);
    }
    free(l.all);
    return entries;
}

void check_empties(lk_table *t)
{
    lk_table_stats stats;
    uint32_t removed;
    listing l = {.t = t, .all = calloc(LISTED_MAX, sizeof(listed))};
    assert_non_null(l.all);
    for (size_t k = 0; k < KINDS; k++) {
        l.kind = kinds[k];
        list_all(&l, 0);
        for (uint32_t i = 0; i < l.len; i++) {
            uint8_t key[LK_TABLE_KEY_LEN];
            check_key(l.all[i].n, key);
            assert_int_equal(lk_table_drop(t, l.kind, key), LK_OK);
        }
        assert_int_equal(lk_table_held(t, l.kind), 0);
    }
    free(l.all);
    while (lk_table_sweep(t, 1, UINT32_MAX, 1000, &removed) == LK_FULL) {
    }
    lk_table_stats_read(t, &stats);
    assert_int_equal(stats.used, 0);
}

void check_locks(lk_table *t, const lk_env *env)
{
    for (uint64_t n = 0; n < 3000; n++) {
        uint8_t key[LK_TABLE_KEY_LEN], buf[CHECK_VALUE_MAX];
        int64_t end_s = lk_now_s(env) + 3600;
        check_key(1000000 + n, key);
        lk_table_lock(t, n);
        assert_int_equal(lk_table_add(t, LK_ENTRY_SESSION, key, 1000 + n, end_s, check_value(n, 0, 40, buf)),
                         LK_OK);
        assert_int_equal(lk_table_drop(t, LK_ENTRY_SESSION, key), LK_OK);
        lk_table_unlock(t, n);
    }
}

uint32_t check_below(uint64_t *state, uint32_t n)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return (uint32_t)((*state >> 32) % n);
}
