/* SPDX-License-Identifier: Apache-2.0
 *
 * damage.c - a record that cannot be read is stale, and harms no other.
 *
 * The bytes are put there by the store's own means: raw.h.
 */
#include "contract.h"
#include "raw.h"

/* Put BYTES where the record of number N is. */
static void put_record(unsigned n, const uint8_t *bytes, size_t len)
{
    lk_session_key key = key_of(n);

    assert_true(store_raw()->put_record(&key, bytes, len));
}

static size_t record_of(unsigned n, uint8_t room[LK_RECORD_MAX])
{
    lk_buf out = lk_buf_over(room, LK_RECORD_MAX);
    lk_session s = session_of(n);

    assert_int_equal(lk_record_write(&s, &out), LK_OK);
    return out.len;
}

static void assert_harmless(void)
{
    lk_session_key key = key_of(1);
    lk_touch touch = {.key = key, .seen_s = NOW_S + 50};
    lk_session next = session_of(4);
    uint8_t head[LK_HEAD_MAX];
    lk_load load = {.key = key, .head_only = true, .buf = head, .cap = sizeof(head)};

    assert_int_equal(status_of(1), LK_STALE);
    assert_int_equal(lk_store_load_many(store, &load, 1), LK_OK);
    assert_int_equal(load.status, LK_STALE);
    assert_int_equal(change(1, op_set("a", "1")), LK_STALE);
    assert_int_equal(lk_store_touch_many(store, &touch, 1), LK_OK);
    assert_int_equal(lk_store_replace(store, &key, 1, &next, NOW_S + 10, FENCE_S, NO_LIMIT), LK_STALE);
    assert_int_equal(create(1), LK_REFUSED);
    assert_int_equal(listed("shop", "u1", 10), 2);
    assert_int_equal(status_of(0), LK_OK);
    assert_int_equal(status_of(2), LK_OK);
}

static void damaged_record_is_stale_and_its_neighbours_unharmed(void **state)
{
    uint8_t room[LK_RECORD_MAX];
    size_t len = record_of(1, room);

    (void)state;
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(create(i), LK_OK);
    put_record(1, room, 40);
    assert_harmless();
    put_record(1, room, 0);
    assert_harmless();
    room[2] ^= 0x55;
    put_record(1, room, len);
    assert_harmless();
}

static void record_of_a_newer_version_is_stale(void **state)
{
    uint8_t room[LK_RECORD_MAX];
    size_t len = record_of(1, room);

    (void)state;
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(create(i), LK_OK);
    room[0] = 2;
    put_record(1, room, len);
    assert_harmless();
}

static void record_of_another_session_is_stale(void **state)
{
    uint8_t room[LK_RECORD_MAX];
    size_t len = record_of(2, room);

    (void)state;
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(create(i), LK_OK);
    put_record(1, room, len);
    assert_harmless();
}

static void damaged_record_can_be_ended(void **state)
{
    uint8_t room[LK_RECORD_MAX];

    (void)state;
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(create(i), LK_OK);
    (void)record_of(1, room);
    put_record(1, room, 40);
    assert_int_equal(destroy(1), LK_OK);
    assert_int_equal(reason_of(1), LK_REASON_KICKED);
    assert_int_equal(listed("shop", "u1", 10), 2);
    sweep_all(NOW_S + 2 * LIFE_S);
    assert_int_equal(listed("shop", "u1", 10), 0);
}

static void data_of_a_newer_format_are_not_opened(void **state)
{
    lk_store *other = NULL;
    lk_note note = {.text = ""};

    (void)state;
    assert_true(store_raw()->make_newer());
    lk_store_close(store);
    store = NULL;
    assert_int_equal(lk_store_open(test_env(), store_url(), NULL, &other, &note), LK_STALE);
    assert_non_null(strstr(note.text, "newer"));
    assert_null(other);
    if (!is_remote)
        return;
    assert_int_equal(lk_store_setup(test_env(), store_url(), true, &note), LK_STALE);
    assert_non_null(strstr(note.text, "newer"));
}

static void cutoff_that_cannot_be_read_is_a_fault_and_not_overlooked(void **state)
{
    lk_event out[4];
    size_t n = 4;

    (void)state;
    assert_true(store_raw()->put_unreadable_cutoff());
    assert_int_equal(lk_store_events_since(store, 0, out, &n), LK_FAULT);
}

int run_damage(void)
{
    const struct CMUnitTest of_all[] = {
        TEST(damaged_record_is_stale_and_its_neighbours_unharmed),
        TEST(record_of_a_newer_version_is_stale),
        TEST(record_of_another_session_is_stale),
        TEST(damaged_record_can_be_ended),
    };
    const struct CMUnitTest of_kept[] = {
        TEST(data_of_a_newer_format_are_not_opened),
        TEST(cutoff_that_cannot_be_read_is_a_fault_and_not_overlooked),
    };

    return cmocka_run_group_tests(of_all, NULL, NULL) +
           (is_memory ? 0 : cmocka_run_group_tests(of_kept, NULL, NULL));
}
