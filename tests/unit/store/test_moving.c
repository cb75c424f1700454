/* SPDX-License-Identifier: Apache-2.0
 *
 * test_moving.c - two nodes of a site that moves, one of them a step further than the other, and a copy that
 * is under way: nothing that was acknowledged is lost. In each test `behind` leads with LMDB and writes to
 * both, `ahead` leads with SQLite and looks back.
 */
#include <latchkey/store.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define SESSIONS 60
#define CHANGES 40

static char dir[64], old_url[128], new_url[128];
static lk_store *behind, *ahead, *old_store, *new_store;

static lk_store *open_at(const char *lead, const char *other, bool looks_back)
{
    const lk_store_move move = {.lead = lead, .other = other, .looks_back = looks_back};
    lk_note note = {.text = ""};
    lk_store *store;

    if (lk_store_open_moving(lk_env_system(), &move, NULL, &store, &note) != LK_OK)
        fail_msg("%s", note.text);
    return store;
}

static int open_all(void **state)
{
    (void)state;
    snprintf(dir, sizeof(dir), "%s/latchkey-moving-XXXXXX",
             access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    assert_non_null(mkdtemp(dir));
    snprintf(old_url, sizeof(old_url), "lmdb:%s/old", dir);
    snprintf(new_url, sizeof(new_url), "sqlite:%s/new.db", dir);
    behind = open_at(old_url, new_url, false);
    ahead = open_at(new_url, old_url, true);
    assert_int_equal(lk_store_open(lk_env_system(), old_url, NULL, &old_store, NULL), LK_OK);
    assert_int_equal(lk_store_open(lk_env_system(), new_url, NULL, &new_store, NULL), LK_OK);
    return 0;
}

static int close_all(void **state)
{
    char command[128];

    (void)state;
    lk_store_close(behind);
    lk_store_close(ahead);
    lk_store_close(old_store);
    lk_store_close(new_store);
    snprintf(command, sizeof(command), "%s/old/data.mdb", dir);
    (void)unlink(command);
    snprintf(command, sizeof(command), "%s/old/lock.mdb", dir);
    (void)unlink(command);
    snprintf(command, sizeof(command), "%s/old", dir);
    (void)rmdir(command);
    for (unsigned i = 0; i < 3; i++) {
        static const char *const ends[] = {"", "-wal", "-shm"};

        snprintf(command, sizeof(command), "%s/new.db%s", dir, ends[i]);
        (void)unlink(command);
    }
    (void)rmdir(dir);
    return 0;
}

static lk_session_key key_of(unsigned n)
{
    lk_session_key key;

    n++; /* all zero is no session's key */
    memset(key.bytes, (int)(n * 37 % 251), sizeof(key.bytes));
    memcpy(key.bytes + 4, &n, sizeof(n));
    return key;
}

static lk_session session_of(unsigned n)
{
    int64_t now_s = lk_now_s(lk_env_system());
    lk_session s = {.key = key_of(n),
                    .generation = 1,
                    .revision = 1,
                    .created_s = now_s,
                    .issued_s = now_s,
                    .auth_s = now_s,
                    .seen_s = now_s,
                    .idle_s = 1800,
                    .expires_s = now_s + 3600,
                    .user = LK_VIEW("u1"),
                    .realm = LK_VIEW("shop")};
    return s;
}

static lk_status look(lk_store *store, unsigned n, char field[64], const char *name)
{
    uint8_t buf[LK_RECORD_MAX];
    lk_load load = {.key = key_of(n), .buf = buf, .cap = sizeof(buf)};
    lk_view value;

    assert_int_equal(lk_store_load_many(store, &load, 1), LK_OK);
    field[0] = '\0';
    if (load.status == LK_OK && lk_fields_get(load.session.fields, lk_view_of(name), &value) == LK_OK)
        snprintf(field, 64, "%.*s", (int)value.len, (const char *)value.p);
    return load.status;
}

/* As the command copies: read from the old store, created in the new one. */
static void copy(unsigned n)
{
    uint8_t buf[LK_RECORD_MAX];
    lk_load load = {.key = key_of(n), .buf = buf, .cap = sizeof(buf)};

    assert_int_equal(lk_store_load_many(old_store, &load, 1), LK_OK);
    if (load.status == LK_OK)
        assert_int_not_equal(lk_store_create(new_store, &load.session, (lk_limit){0}, NULL), LK_FAULT);
}

static lk_status add(lk_store *store, unsigned n, const char *name)
{
    lk_session_key key = key_of(n);
    lk_op op = {.kind = LK_OP_ADD, .name = lk_view_of(name), .number = 1};

    return lk_store_change(store, &key, 1, 0, &op, 1, NULL, NULL);
}

static lk_status end(lk_store *store, unsigned n)
{
    lk_session_key key = key_of(n);

    return lk_store_destroy(store, &key, LK_REASON_KICKED, lk_now_s(lk_env_system()) + 3600);
}

/* ---- changes ---- */

typedef struct writer {
    lk_store *store;
    const char *name;
    unsigned failed;
} writer;

static void *write_often(void *argument)
{
    writer *w = argument;

    for (unsigned i = 0; i < CHANGES; i++)
        w->failed += add(w->store, 1, w->name) != LK_OK;
    return NULL;
}

static void changes_of_two_nodes_a_step_apart_are_all_in_both_stores(void **state)
{
    lk_session s = session_of(1);
    writer writers[] = {{behind, "a", 0}, {ahead, "b", 0}};
    pthread_t threads[2];
    char value[64], expected[64];

    (void)state;
    assert_int_equal(lk_store_create(old_store, &s, (lk_limit){0}, NULL), LK_OK); /* from before the move */
    for (unsigned i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, write_often, &writers[i]), 0);
    for (unsigned i = 0; i < 2; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    for (unsigned i = 0; i < 2; i++) {
        lk_store *store = i == 0 ? old_store : new_store;

        assert_int_equal(writers[i].failed, 0);
        snprintf(expected, sizeof(expected), "%d", CHANGES);
        assert_int_equal(look(store, 1, value, "a"), LK_OK);
        assert_string_equal(value, expected);
        assert_int_equal(look(store, 1, value, "b"), LK_OK);
        assert_string_equal(value, expected);
    }
}

/* ---- ends ---- */

static void *copy_all(void *argument)
{
    (void)argument;
    for (unsigned n = 0; n < SESSIONS; n++)
        copy(n);
    return NULL;
}

static void *see_all(void *argument)
{
    char value[64];

    (void)argument;
    for (unsigned n = 0; n < SESSIONS; n++)
        (void)look(ahead, n, value, "a");
    return NULL;
}

static void *end_all(void *argument)
{
    unsigned failed = 0;

    for (unsigned n = 0; n < SESSIONS; n++)
        failed += end(n % 2 == 0 ? behind : ahead, n) != LK_OK;
    *(unsigned *)argument = failed;
    return NULL;
}

static void no_end_is_undone_by_a_copy_or_a_look_on_its_way(void **state)
{
    pthread_t threads[3];
    unsigned failed = 0;
    char value[64];

    (void)state;
    for (unsigned n = 0; n < SESSIONS; n++) {
        lk_session s = session_of(n);

        assert_int_equal(lk_store_create(old_store, &s, (lk_limit){0}, NULL), LK_OK);
    }
    assert_int_equal(pthread_create(&threads[0], NULL, copy_all, NULL), 0);
    assert_int_equal(pthread_create(&threads[1], NULL, see_all, NULL), 0);
    assert_int_equal(pthread_create(&threads[2], NULL, end_all, &failed), 0);
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    assert_int_equal(failed, 0);
    for (unsigned n = 0; n < SESSIONS; n++) {
        assert_int_equal(look(old_store, n, value, "a"), LK_STALE);
        assert_int_equal(look(new_store, n, value, "a"), LK_STALE);
        copy(n);
        assert_int_equal(look(behind, n, value, "a"), LK_STALE);
        assert_int_equal(look(ahead, n, value, "a"), LK_STALE);
    }
}

static void login_on_either_node_is_known_to_the_other_and_to_both_stores(void **state)
{
    char value[64];

    (void)state;
    for (unsigned n = 0; n < 10; n++) {
        lk_session s = session_of(n);
        lk_store *here = n % 2 == 0 ? behind : ahead, *there = n % 2 == 0 ? ahead : behind;

        assert_int_equal(lk_store_create(here, &s, (lk_limit){0}, NULL), LK_OK);
        assert_int_equal(look(there, n, value, "a"), LK_OK);
        assert_int_equal(look(old_store, n, value, "a"), LK_OK);
        assert_int_equal(look(new_store, n, value, "a"), LK_OK);
    }
}

static void while_the_old_store_leads_what_only_the_new_one_has_is_not_there(void **state)
{
    lk_session s = session_of(1);
    char value[64];

    (void)state;
    assert_int_equal(lk_store_create(new_store, &s, (lk_limit){0}, NULL), LK_OK); /* left by an earlier try */
    assert_int_equal(look(behind, 1, value, "a"), LK_MISS);
    assert_int_equal(add(behind, 1, "a"), LK_MISS);
}

static void new_id_of_a_session_that_was_not_copied_yet_ends_the_old_one_in_both(void **state)
{
    lk_session old = session_of(1), s = session_of(2);
    int64_t now_s = lk_now_s(lk_env_system());
    char value[64];

    (void)state;
    s.previous = old.key;
    s.generation = 2;
    assert_int_equal(lk_store_create(old_store, &old, (lk_limit){0}, NULL), LK_OK);
    assert_int_equal(lk_store_replace(behind, &old.key, 1, &s, now_s + 10, now_s + 3600, (lk_limit){0}),
                     LK_OK);
    copy(1);
    assert_int_equal(lk_store_change(new_store, &old.key, 1, 0, NULL, 0, NULL, NULL), LK_STALE);
    assert_int_equal(look(new_store, 2, value, "a"), LK_OK);
    /* A logout with the new id ends both, wherever they are. */
    assert_int_equal(end(ahead, 2), LK_OK);
    for (unsigned n = 1; n <= 2; n++) {
        assert_int_equal(look(old_store, n, value, "a"), LK_STALE);
        assert_int_equal(look(new_store, n, value, "a"), LK_STALE);
    }
}

static void session_that_ended_in_one_store_is_ended_by_the_next_change(void **state)
{
    lk_session s = session_of(1);
    char value[64];

    (void)state;
    assert_int_equal(lk_store_create(behind, &s, (lk_limit){0}, NULL), LK_OK);
    assert_int_equal(end(new_store, 1), LK_OK); /* a logout that came no further, and was not acknowledged */
    assert_int_equal(add(behind, 1, "a"), LK_STALE);
    assert_int_equal(look(old_store, 1, value, "a"), LK_STALE);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, open_all, close_all)
    const struct CMUnitTest tests[] = {
        TEST(changes_of_two_nodes_a_step_apart_are_all_in_both_stores),
        TEST(no_end_is_undone_by_a_copy_or_a_look_on_its_way),
        TEST(login_on_either_node_is_known_to_the_other_and_to_both_stores),
        TEST(while_the_old_store_leads_what_only_the_new_one_has_is_not_there),
        TEST(new_id_of_a_session_that_was_not_copied_yet_ends_the_old_one_in_both),
        TEST(session_that_ended_in_one_store_is_ended_by_the_next_change),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
