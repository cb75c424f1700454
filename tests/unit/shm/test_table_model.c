/* SPDX-License-Identifier: Apache-2.0
 *
 * The table against a plain array, over random operations; and each call's answers by themselves.
 */
#include "shm/table.h"
#include "test_env.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define KEYS 400u
#define OWNERS 12u
#define STEPS 200000u
#define VALUE_LEN_MAX 3000u
#define NOW_S 1800000000

typedef struct model_entry {
    bool there;
    int64_t expires_s;
    uint64_t owner, version;
    uint32_t seen_s;
    size_t len;
    uint8_t value[VALUE_LEN_MAX];
} model_entry;

static model_entry model[KEYS];
static uint64_t random_state = 88172645463325252ull;

static uint32_t below(uint32_t n)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (uint32_t)((random_state >> 32) % n);
}

static void key_of(uint32_t i, uint8_t key[LK_TABLE_KEY_LEN])
{
    memset(key, 0, LK_TABLE_KEY_LEN);
    memcpy(key, &i, sizeof(i));
}

static lk_table *open_anonymous(size_t size)
{
    lk_table *t;
    bool joined = true;
    lk_note note;
    assert_int_equal(lk_table_open(test_env(), NULL, size, &t, &joined, &note), LK_OK);
    assert_false(joined);
    return t;
}

static int64_t now_s(void)
{
    return lk_now_s(test_env());
}

static bool is_live(const model_entry *m)
{
    return m->there && m->expires_s > now_s();
}

static lk_view random_value(uint8_t *buf)
{
    size_t len = below(10) == 0 ? below(VALUE_LEN_MAX) : below(400);
    for (size_t i = 0; i < len; i++) {
        buf[i] = (uint8_t)below(256);
    }
    return lk_view_make(buf, len);
}

static void model_set(model_entry *m, uint64_t owner, int64_t expires_s, lk_view v)
{
    uint32_t seen_s = is_live(m) ? m->seen_s : 0;
    *m = (model_entry){.there = true, .expires_s = expires_s, .owner = owner, .seen_s = seen_s, .len = v.len};
    memcpy(m->value, v.p, v.len);
}

/* The version is the table's own: it has to differ from the one before. */
static void take_version(lk_table *t, uint32_t i, uint64_t before)
{
    uint8_t key[LK_TABLE_KEY_LEN];
    lk_entry e;
    key_of(i, key);
    lk_status status = lk_table_get(t, LK_ENTRY_SESSION, key, 0, NULL, 0, &e);
    assert_true(status == LK_OK || status == LK_FULL);
    assert_true(e.version != before);
    model[i].version = e.version;
}

static void check_get(lk_table *t, uint32_t i)
{
    uint8_t key[LK_TABLE_KEY_LEN], buf[VALUE_LEN_MAX];
    lk_entry e;
    const model_entry *m = &model[i];
    key_of(i, key);
    size_t cap = below(4) == 0 ? below(VALUE_LEN_MAX) : VALUE_LEN_MAX;
    lk_status status = lk_table_get(t, LK_ENTRY_SESSION, key, now_s(), buf, cap, &e);
    if (!is_live(m)) {
        assert_int_equal(status, LK_MISS);
        return;
    }
    assert_int_equal(status, m->len > cap ? LK_FULL : LK_OK);
    assert_int_equal(e.len, m->len);
    assert_memory_equal(buf, m->value, m->len < cap ? m->len : cap);
    assert_true(e.owner == m->owner && e.expires_s == m->expires_s && e.version == m->version);
    assert_int_equal(e.seen_s, m->seen_s);
}

static void do_put(lk_table *t, uint32_t i, lk_view v, uint64_t owner, int64_t expires_s)
{
    uint8_t key[LK_TABLE_KEY_LEN];
    uint64_t before = model[i].version;
    key_of(i, key);
    assert_int_equal(lk_table_put(t, LK_ENTRY_SESSION, key, owner, expires_s, v), LK_OK);
    model_set(&model[i], owner, expires_s, v);
    take_version(t, i, before);
}

static void do_add(lk_table *t, uint32_t i, lk_view v, uint64_t owner, int64_t expires_s)
{
    uint8_t key[LK_TABLE_KEY_LEN];
    uint64_t before = model[i].version;
    key_of(i, key);
    lk_status status = lk_table_add(t, LK_ENTRY_SESSION, key, owner, expires_s, v);
    assert_int_equal(status, is_live(&model[i]) ? LK_REFUSED : LK_OK);
    if (status == LK_OK) {
        model_set(&model[i], owner, expires_s, v);
        take_version(t, i, before);
    }
}

static void do_put_if(lk_table *t, uint32_t i, lk_view v, int64_t expires_s)
{
    uint8_t key[LK_TABLE_KEY_LEN];
    uint64_t before = model[i].version, version = below(3) == 0 ? before - 1 : before;
    key_of(i, key);
    lk_status status = lk_table_put_if(t, LK_ENTRY_SESSION, key, version, expires_s, v);
    lk_status expected = !is_live(&model[i]) ? LK_MISS : version == before ? LK_OK : LK_STALE;
    assert_int_equal(status, expected);
    if (status == LK_OK) {
        model_set(&model[i], model[i].owner, expires_s, v);
        take_version(t, i, before);
    }
}

static void do_drop(lk_table *t, uint32_t i)
{
    uint8_t key[LK_TABLE_KEY_LEN];
    bool live = is_live(&model[i]), with_version = below(2) == 0, wrong = below(3) == 0;
    uint64_t version = model[i].version - (wrong ? 1 : 0);
    key_of(i, key);
    lk_status status = with_version ? lk_table_drop_if(t, LK_ENTRY_SESSION, key, version)
                                    : lk_table_drop(t, LK_ENTRY_SESSION, key);
    assert_int_equal(status, !live ? LK_MISS : with_version && wrong ? LK_STALE : LK_OK);
    model[i].there = model[i].there && status == LK_STALE;
}

static void do_touch(lk_table *t, uint32_t i)
{
    uint8_t key[LK_TABLE_KEY_LEN];
    uint32_t seen_s = NOW_S + below(1000), moved_s = 7;
    int64_t expires_s = now_s() + (int64_t)below(300) - 50;
    model_entry *m = &model[i];
    key_of(i, key);
    lk_status status = lk_table_touch(t, LK_ENTRY_SESSION, key, seen_s, expires_s, &moved_s);
    assert_int_equal(status, is_live(m) ? LK_OK : LK_MISS);
    if (status != LK_OK) {
        return;
    }
    assert_int_equal(moved_s, seen_s > m->seen_s ? seen_s - m->seen_s : 0);
    m->seen_s = seen_s > m->seen_s ? seen_s : m->seen_s;
    m->expires_s = expires_s > m->expires_s ? expires_s : m->expires_s;
}

typedef struct seen_keys {
    uint32_t visits[KEYS];
    uint32_t this_page;
} seen_keys;

static bool note_key(void *context, const uint8_t key[LK_TABLE_KEY_LEN], const lk_entry *e, lk_view value)
{
    seen_keys *s = context;
    uint32_t i;
    memcpy(&i, key, sizeof(i));
    assert_true(i < KEYS && model[i].there);
    assert_int_equal(value.len, model[i].len);
    assert_memory_equal(value.p, model[i].value, value.len);
    assert_true(e->owner == model[i].owner && e->version == model[i].version);
    s->visits[i]++;
    s->this_page++;
    return true;
}

static void check_list(lk_table *t, uint64_t owner, uint32_t page)
{
    seen_keys s = {0};
    uint64_t cursor = 0;
    do {
        s.this_page = 0;
        assert_int_equal(lk_table_list(t, LK_ENTRY_SESSION, owner, &cursor, page, note_key, &s), LK_OK);
        assert_true(s.this_page <= page);
    } while (cursor != 0);
    for (uint32_t i = 0; i < KEYS; i++) {
        bool wanted = is_live(&model[i]) && (owner == 0 || model[i].owner == owner);
        assert_int_equal(s.visits[i], wanted ? 1 : 0);
    }
}

static void check_sweep(lk_table *t)
{
    uint32_t removed, over = 0, there = 0;
    for (uint32_t i = 0; i < KEYS; i++) {
        over += model[i].there && !is_live(&model[i]);
        model[i].there = is_live(&model[i]);
        there += model[i].there;
    }
    assert_int_equal(lk_table_sweep(t, now_s(), UINT32_MAX, 100000, &removed), LK_OK);
    assert_int_equal(removed, over);
    assert_int_equal(lk_table_held(t, LK_ENTRY_SESSION), there);
}

static void step(lk_table *t)
{
    uint8_t buf[VALUE_LEN_MAX];
    uint32_t i = below(KEYS), what = below(100);
    uint64_t owner = below(OWNERS);
    int64_t expires_s = now_s() + 1 + below(600);
    if (what < 40) {
        check_get(t, i);
    } else if (what < 60) {
        do_put(t, i, random_value(buf), owner, expires_s);
    } else if (what < 70) {
        do_add(t, i, random_value(buf), owner, expires_s);
    } else if (what < 80) {
        do_put_if(t, i, random_value(buf), expires_s);
    } else if (what < 90) {
        do_drop(t, i);
    } else {
        do_touch(t, i);
    }
    if (below(500) == 0) {
        check_list(t, below(OWNERS), 1 + below(20));
    }
    if (below(1000) == 0) {
        test_clock_advance_ms(1000 * below(200));
    }
    if (below(2000) == 0) {
        check_sweep(t);
    }
}

static void table_and_array_agree_over_random_operations(void **state)
{
    (void)state;
    lk_table *t = open_anonymous(4u << 20);
    lk_table_stats stats;
    for (uint32_t i = 0; i < STEPS; i++) {
        step(t);
    }
    lk_table_stats_read(t, &stats);
    assert_int_equal(stats.evicted_live, 0);
    assert_int_equal(stats.taken_over, 0);
    test_clock_advance_ms(3600 * 1000);
    check_sweep(t);
    lk_table_stats_read(t, &stats);
    assert_int_equal(stats.used, 0);
    lk_table_close(t);
    assert_int_equal(test_alloc_live(), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(table_and_array_agree_over_random_operations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
