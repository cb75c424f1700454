/* SPDX-License-Identifier: Apache-2.0
 *
 * fields.c - changes: all or none, under a generation, and none lost.
 */
#include "contract.h"
#include <pthread.h>

static void change_is_seen_and_raises_the_revision(void **state)
{
    lk_op ops[2] = {op_set("a", " {\"x\": 1} "), op_add("n", 5)};
    lk_session_key key = key_of(1);
    uint32_t revision = 0;
    lk_session s, before = session_of(1);

    (void)state;
    assert_int_equal(create(1), LK_OK);
    assert_int_equal(lk_store_change(store, &key, 1, 0, ops, 2, &revision, NULL), LK_OK);
    assert_int_equal(revision, 2);
    assert_int_equal(look(1, &s, NULL), LK_OK);
    assert_int_equal(s.revision, 2);
    assert_field(&s, "a", "{\"x\": 1}");
    assert_field(&s, "n", "5");
    assert_field(&s, "cart", "[1,2]");
    s.fields = before.fields;
    s.revision = before.revision;
    assert_same(&before, &s);
}

static void change_is_all_or_nothing(void **state)
{
    lk_op ops[2] = {op_set("a", "1"), {.kind = LK_OP_ADD, .name = LK_VIEW("theme"), .number = 1}};
    lk_session_key key = key_of(1);
    lk_session s, before = session_of(1);
    lk_note note = {.text = ""};

    (void)state;
    assert_int_equal(create(1), LK_OK);
    assert_int_equal(lk_store_change(store, &key, 1, 0, ops, 2, NULL, &note), LK_REFUSED);
    assert_non_null(strstr(note.text, "operation 2"));
    assert_int_equal(look(1, &s, NULL), LK_OK);
    assert_same(&before, &s);
}

static void change_of_what_is_not_there_is_a_miss_and_in_another_generation_stale(void **state)
{
    lk_session_key key = key_of(1);
    lk_op op = op_set("a", "1");
    lk_session s = session_of(2);

    (void)state;
    assert_int_equal(change(1, op), LK_MISS);
    assert_int_equal(create(1), LK_OK);
    assert_int_equal(lk_store_change(store, &key, 2, 0, &op, 1, NULL, NULL), LK_STALE);
    assert_int_equal(lk_store_change(store, &key, 0, 0, &op, 1, NULL, NULL), LK_STALE);
    s.expires_s = NOW_S;
    assert_int_equal(lk_store_create(store, &s, NO_LIMIT, NULL), LK_OK);
    assert_int_equal(change(2, op), LK_STALE);
}

static void if_match_lets_one_of_two_writers_through(void **state)
{
    lk_session_key key = key_of(1);
    lk_op op = op_set("a", "1");
    uint32_t revision;
    lk_note note = {.text = ""};

    (void)state;
    assert_int_equal(create(1), LK_OK);
    assert_int_equal(lk_store_change(store, &key, 1, 1, &op, 1, &revision, NULL), LK_OK);
    assert_int_equal(revision, 2);
    assert_int_equal(lk_store_change(store, &key, 1, 1, &op, 1, &revision, &note), LK_REFUSED);
    assert_non_null(strstr(note.text, "2"));
    assert_int_equal(lk_store_change(store, &key, 1, 2, &op, 1, &revision, NULL), LK_OK);
    assert_int_equal(revision, 3);
}

static void fields_beyond_the_bound_are_full_and_nothing_is_changed(void **state)
{
    static char text[LK_FIELDS_BYTES_MAX];
    lk_op op = op_set("big", "");
    lk_session s;

    (void)state;
    memset(text, 'x', sizeof(text));
    text[0] = text[sizeof(text) - 1] = '"';
    op.value = lk_view_make(text, sizeof(text));
    assert_int_equal(create(1), LK_OK);
    assert_int_equal(change(1, op), LK_FULL);
    text[15999] = '"';
    op.value = lk_view_make(text, 16000);
    assert_int_equal(change(1, op), LK_OK);
    assert_int_equal(look(1, &s, NULL), LK_OK);
    assert_int_equal(s.revision, 2);
    assert_field(&s, "theme", "\"dark\"");
    assert_int_equal(change(1, (lk_op){.kind = LK_OP_DELETE, .name = LK_VIEW("big")}), LK_OK);
    assert_int_equal(look(1, &s, NULL), LK_OK);
    assert_field(&s, "big", NULL);
}

#define PROCESSES 4
#define EACH 125

static bool write_own_field(lk_store *own, unsigned i, void *context)
{
    lk_session_key key = key_of(1);
    char name[8];
    lk_op ops[2] = {op_add(name, 1), op_add("all", 1)};

    (void)context;
    ops[0].name = lk_view_make(name, (size_t)snprintf(name, sizeof(name), "own%u", i));
    for (unsigned n = 0; n < EACH; n++)
        CHECK(lk_store_change(own, &key, 1, 0, ops, 2, NULL, NULL) == LK_OK);
    return true;
}

static void changes_of_different_fields_by_four_processes_all_survive(void **state)
{
    lk_session s;

    (void)state;
    assert_int_equal(create(1), LK_OK);
    in_children(PROCESSES, write_own_field, NULL);
    assert_int_equal(look(1, &s, NULL), LK_OK);
    for (unsigned i = 0; i < PROCESSES; i++) {
        char name[8];

        snprintf(name, sizeof(name), "own%u", i);
        assert_field(&s, name, "125");
    }
    assert_field(&s, "all", "500");
    assert_int_equal(s.revision, 1 + PROCESSES * EACH);
}

typedef struct writer {
    lk_store *own;
    unsigned failed;
} writer;

static void *add_many(void *context)
{
    writer *w = context;
    lk_session_key key = key_of(1);
    lk_op op = op_add("n", 1);

    for (unsigned n = 0; n < EACH; n++)
        w->failed += lk_store_change(w->own, &key, 1, 0, &op, 1, NULL, NULL) != LK_OK;
    return NULL;
}

static bool add_from_four_threads(lk_store *own, unsigned i, void *context)
{
    pthread_t threads[4];
    writer writers[4];

    (void)i;
    (void)context;
    for (unsigned t = 0; t < 4; t++) {
        writers[t] = (writer){.own = own};
        CHECK(pthread_create(&threads[t], NULL, add_many, &writers[t]) == 0);
    }
    for (unsigned t = 0; t < 4; t++) {
        CHECK(pthread_join(threads[t], NULL) == 0);
        CHECK(writers[t].failed == 0);
    }
    return true;
}

static void two_thousand_parallel_changes_lose_none(void **state)
{
    lk_session s;

    (void)state;
    assert_int_equal(create(1), LK_OK);
    in_children(PROCESSES, add_from_four_threads, NULL);
    assert_int_equal(look(1, &s, NULL), LK_OK);
    assert_field(&s, "n", "2000");
    assert_int_equal(s.revision, 2001);
}

int run_fields(void)
{
    const struct CMUnitTest tests[] = {
        TEST(change_is_seen_and_raises_the_revision),
        TEST(change_is_all_or_nothing),
        TEST(change_of_what_is_not_there_is_a_miss_and_in_another_generation_stale),
        TEST(if_match_lets_one_of_two_writers_through),
        TEST(fields_beyond_the_bound_are_full_and_nothing_is_changed),
        TEST(changes_of_different_fields_by_four_processes_all_survive),
        TEST(two_thousand_parallel_changes_lose_none),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
