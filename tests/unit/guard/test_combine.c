/* SPDX-License-Identifier: Apache-2.0
 *
 * Settings that contradict each other across store, replica and way of sharing: each is refused with the rule
 * and the cure.
 */
#include <latchkey/guard.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

typedef struct choice {
    const char *store, *replica, *share;
    const char *refusal; /* part of the sentence */
} choice;

static lk_status check(const choice *c, lk_note *note)
{
    lk_settings s;
    lk_settings_init(&s);
    (void)snprintf(s.store, sizeof(s.store), "%s", c->store);
    (void)snprintf(s.replica, sizeof(s.replica), "%s", c->replica);
    (void)snprintf(s.share, sizeof(s.share), "%s", c->share);
    return lk_guard_settings_check(&s, note);
}

static void assert_refused(const choice *all, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        lk_note note = {""};
        if (check(&all[i], &note) != LK_REFUSED || strstr(note.text, all[i].refusal) == NULL)
            fail_msg("%s, replica \"%s\", share \"%s\": %s", all[i].store, all[i].replica, all[i].share,
                     note.text);
        assert_null(strstr(note.text, "geheim"));
    }
}

static void assert_fine(const choice *all, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        lk_note note = {""};
        if (check(&all[i], &note) != LK_OK)
            fail_msg("%s, replica \"%s\", share \"%s\": %s", all[i].store, all[i].replica, all[i].share,
                     note.text);
    }
}

static void store_without_a_word_about_sharing_is_whatever_it_is(void **state)
{
    (void)state;
    static const choice all[] = {{"memory:", "", "", NULL},
                                 {"lmdb:/x", "", "", NULL},
                                 {"sqlite:/x", "", "", NULL},
                                 {"postgres://u:geheim@h/db", "", "", NULL},
                                 {"mariadb://u:geheim@h/db", "", "", NULL},
                                 {"redis://u:geheim@h/0", "", "", NULL},
                                 {"redis+sentinel://h,i,j/m", "", "", NULL},
                                 {"redis+cluster://h,i", "", "", NULL}};
    assert_fine(all, sizeof(all) / sizeof(all[0]));
}

static void way_that_the_store_is_is_fine(void **state)
{
    (void)state;
    static const choice all[] = {
        {"sqlite:/x", "", "database", NULL},
        {"postgres://h/db", "", "database", NULL},
        {"mariadb://h/db", "", "database", NULL},
        {"redis://h", "", "central", NULL},
        {"redis+sentinel://h,i/m", "", "central", NULL},
        {"redis+cluster://h,i", "", "central", NULL},
        {"redis://h", "redis://127.0.0.1", "replication", NULL},
        {"redis+sentinel://h,i/m", "redis://127.0.0.1", "replication", NULL},
        {"postgres://u:geheim@h/db", "postgres://u:geheim@127.0.0.1/db", "replication", NULL},
        {"redis://h", "redis://127.0.0.1", "", NULL},
        {"redis://h", "redis://127.0.0.1", "central", NULL},
    };
    assert_fine(all, sizeof(all) / sizeof(all[0]));
}

static void way_that_the_store_is_not_is_refused_with_the_cure(void **state)
{
    (void)state;
    static const choice all[] = {
        {"lmdb:/x", "", "database", "sqlite:, postgres:// or mariadb://"},
        {"memory:", "", "central", "redis://, redis+sentinel://"},
        {"lmdb:/x", "", "replication", "latchkey_replica"},
        {"redis://u:geheim@h", "", "database", "write latchkey_share central"},
        {"postgres://u:geheim@h/db", "", "central", "write latchkey_share database"},
        {"redis://u:geheim@h", "", "replication", "name that copy in latchkey_replica"},
    };
    assert_refused(all, sizeof(all) / sizeof(all[0]));
}

static void way_that_keeps_sessions_with_the_visitor_or_the_node_takes_the_stores_it_can(void **state)
{
    (void)state;
    static const choice all[] = {
        {"lmdb:/x", "", "sealed_cookie", NULL}, {"redis://h", "", "sealed_cookie", NULL},
        {"lmdb:/x", "", "affinity", NULL},      {"memory:", "", "affinity", NULL},
        {"sqlite:/x", "", "affinity", NULL},    {"lmdb:/x", "", "token", NULL},
        {"postgres://h/db", "", "token", NULL}};
    static const choice bad[] = {{"redis+cluster://h,i", "", "affinity", "write latchkey_share central"}};
    assert_fine(all, sizeof(all) / sizeof(all[0]));
    assert_refused(bad, sizeof(bad) / sizeof(bad[0]));
}

static void word_that_is_no_way_is_refused_with_those_there_are(void **state)
{
    (void)state;
    static const choice all[] = {{"lmdb:/x", "", "databse", "replication, central or token"},
                                 {"lmdb:/x", "", "database central", "sealed_cookie, affinity, database"},
                                 {"lmdb:/x", "", "Central", "expected sealed_cookie"}};
    assert_refused(all, sizeof(all) / sizeof(all[0]));
}

static void rule_that_would_let_in_no_login_of_the_way_is_refused(void **state)
{
    static const struct {
        const char *share;
        unsigned kinds;
        bool fine;
    } all[] = {
        {"sealed_cookie", 1u << LK_KIND_SESSION_ID, false},
        {"token", 1u << LK_KIND_SESSION_ID, false},
        {"sealed_cookie", 1u << LK_KIND_SESSION_ID | 1u << LK_KIND_SEALED, true},
        {"token", 1u << LK_KIND_TOKEN, true},
        {"affinity", 1u << LK_KIND_SESSION_ID, true},
        {"", 1u << LK_KIND_SESSION_ID, true},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        lk_note note = {""};
        lk_settings s;
        lk_rule rule = {.mode = LK_MODE_REQUIRED, .kinds = all[i].kinds};
        lk_settings_init(&s);
        (void)snprintf(s.share, sizeof(s.share), "%s", all[i].share);
        assert_int_equal(lk_rule_check(&rule, &s, &note), all[i].fine ? LK_OK : LK_REFUSED);
        assert_true(all[i].fine || strstr(note.text, all[i].share) != NULL);
    }
}

typedef struct move {
    const char *store, *share, *to, *from, *move_store, *move_replica;
    const char *refusal; /* NULL: it is fine */
} move;

static void move_is_between_two_ways_that_each_make_sense(void **state)
{
    static const move all[] = {
        {"lmdb:/x", "affinity", "central", "", "redis://h", "", NULL},
        {"redis://h", "central", "", "affinity", "lmdb:/x", "", NULL},
        {"redis://h", "central", "token", "", "", "", NULL},
        {"redis://h", "sealed_cookie", "", "token", "", "", NULL},
        {"postgres://h/d", "database", "replication", "", "redis://h", "redis://127.0.0.1", NULL},
        {"lmdb:/x", "", "central", "", "redis://h", "", "name the present one in latchkey_share"},
        {"lmdb:/x", "affinity", "central", "token", "", "", "one of the two"},
        {"lmdb:/x", "affinity", "", "", "redis://h", "", "one of the two"},
        {"lmdb:/x", "affinity", "everywhere", "", "", "", "latchkey_move: expected"},
        {"lmdb:/x", "affinity", "central", "", "", "", "latchkey_move central: a store at lmdb:"},
        {"lmdb:/x", "affinity", "central", "", "lmdb:/x", "", "leave store= out"},
        {"redis://h", "central", "replication", "", "", "", "name that copy in latchkey_replica"},
        {"lmdb:/x", "affinity", "database", "", "postgres:/", "", "latchkey_move"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        const move *m = &all[i];
        lk_note note = {""};
        lk_settings s;
        lk_settings_init(&s);
        (void)snprintf(s.store, sizeof(s.store), "%s", m->store);
        (void)snprintf(s.share, sizeof(s.share), "%s", m->share);
        (void)snprintf(s.move_to, sizeof(s.move_to), "%s", m->to);
        (void)snprintf(s.move_from, sizeof(s.move_from), "%s", m->from);
        (void)snprintf(s.move_store, sizeof(s.move_store), "%s", m->move_store);
        (void)snprintf(s.move_replica, sizeof(s.move_replica), "%s", m->move_replica);
        lk_status status = lk_guard_settings_check(&s, &note);
        bool right = m->refusal == NULL ? status == LK_OK
                                        : status == LK_REFUSED && strstr(note.text, m->refusal) != NULL;
        if (!right)
            fail_msg("row %zu: %s", i, note.text);
    }
}

static void replica_of_a_store_that_has_none_is_refused(void **state)
{
    (void)state;
    static const choice all[] = {{"lmdb:/x", "lmdb:/y", "", "no full copy"},
                                 {"memory:", "memory:", "", "no full copy"},
                                 {"sqlite:/x", "sqlite:/y", "replication", "no full copy"},
                                 {"mariadb://h/db", "mariadb://i/db", "replication", "no full copy"},
                                 {"redis+cluster://h", "redis://i", "", "no full copy"},
                                 {"lmdb:/x", "what", "", "latchkey_replica: "}};
    assert_refused(all, sizeof(all) / sizeof(all[0]));
}

static void replica_that_is_no_copy_of_the_store_is_refused(void **state)
{
    (void)state;
    static const choice all[] = {
        {"redis://u:geheim@h", "postgres://u:geheim@h/db", "", "URL of redis://"},
        {"postgres://h/db", "redis://h", "replication", "URL of postgres://"},
        {"redis+sentinel://h,i/m", "redis+sentinel://h,i/m", "", "URL of redis://"},
        {"redis://u:geheim@h", "redis://u:geheim@h", "replication", "latchkey_store itself"},
    };
    assert_refused(all, sizeof(all) / sizeof(all[0]));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(store_without_a_word_about_sharing_is_whatever_it_is),
        cmocka_unit_test(way_that_the_store_is_is_fine),
        cmocka_unit_test(way_that_the_store_is_not_is_refused_with_the_cure),
        cmocka_unit_test(way_that_keeps_sessions_with_the_visitor_or_the_node_takes_the_stores_it_can),
        cmocka_unit_test(rule_that_would_let_in_no_login_of_the_way_is_refused),
        cmocka_unit_test(move_is_between_two_ways_that_each_make_sense),
        cmocka_unit_test(word_that_is_no_way_is_refused_with_those_there_are),
        cmocka_unit_test(replica_of_a_store_that_has_none_is_refused),
        cmocka_unit_test(replica_that_is_no_copy_of_the_store_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
