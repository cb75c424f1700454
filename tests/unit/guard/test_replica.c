/* SPDX-License-Identifier: Apache-2.0
 *
 * test_replica.c - a node that reads from a copy which is behind the store that is written to. Here both are
 * files of SQLite, and the copy catches up when the test says so: by copying the file.
 */
#include "guard/guard_internal.h"
#include "world.h"
#include <setjmp.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

static world a;        /* a node of the primary */
static world b;        /* the node with the copy: its store is opened anew when the copy has caught up */
static char copy[128]; /* URL of the copy */

/* The copy becomes what the primary is now. */
static void catch_up(void)
{
    char primary[128];
    sqlite3 *from = NULL, *to = NULL;
    (void)snprintf(primary, sizeof(primary), "%s/sessions.db", a.dir);
    assert_int_equal(sqlite3_open(primary, &from), SQLITE_OK);
    assert_int_equal(sqlite3_open(copy + strlen("sqlite:"), &to), SQLITE_OK);
    sqlite3_backup *backup = sqlite3_backup_init(to, "main", from, "main");
    assert_non_null(backup);
    assert_int_equal(sqlite3_backup_step(backup, -1), SQLITE_DONE);
    assert_int_equal(sqlite3_backup_finish(backup), SQLITE_OK);
    assert_int_equal(sqlite3_close(to), SQLITE_OK);
    assert_int_equal(sqlite3_close(from), SQLITE_OK);
    assert_int_equal(chmod(copy + strlen("sqlite:"), 0600), 0);
}

static void break_copy(void)
{
    sqlite3 *db = NULL;
    assert_int_equal(sqlite3_open(copy + strlen("sqlite:"), &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "DROP TABLE latchkey_session", NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

static void open_b(bool fresh_table)
{
    lk_note note = {""};
    bool joined;
    if (fresh_table)
        assert_int_equal(lk_table_open(test_env(), NULL, 8u << 20, &b.table, &joined, &note), LK_OK);
    if (lk_store_open_replicated(test_env(), a.settings.store, copy, b.table, &b.store, &note) != LK_OK)
        fail_msg("%s", note.text);
    lk_guard_parts parts = {test_env(), &b.settings, a.ring, b.table, b.store, NULL};
    assert_int_equal(lk_guard_open(parts, &b.guard, &note), LK_OK);
}

static void close_b(void)
{
    lk_guard_close(b.guard);
    lk_store_close(b.store);
}

static int open_nodes(void **state)
{
    (void)state;
    world_open(&a, "sqlite");
    memset(&b, 0, sizeof(b));
    b.settings = a.settings;
    (void)snprintf(copy, sizeof(copy), "sqlite:%s/copy.db", a.dir);
    catch_up();
    open_b(true);
    return 0;
}

static int close_nodes(void **state)
{
    (void)state;
    close_b();
    lk_table_close(b.table);
    world_close(&a);
    return 0;
}

static void move_copy_forward(void)
{
    close_b();
    catch_up();
    open_b(false);
}

static lk_issued login(world *w, lk_kind kind)
{
    lk_issued issued;
    world_login(w, kind, "ada", "staff", NULL, &issued);
    return issued;
}

static lk_identity check(world *w, const lk_issued *issued)
{
    return world_check(w, LK_CARRIER_HEADER, issued->text, NULL);
}

static void login_is_known_although_the_copy_is_behind(void **state)
{
    (void)state;
    lk_issued there = login(&a, LK_KIND_SESSION_ID), here = login(&b, LK_KIND_SESSION_ID);
    assert_int_equal(check(&b, &there).verdict, LK_VERDICT_ALLOW);
    assert_int_equal(check(&b, &here).verdict, LK_VERDICT_ALLOW);
    assert_int_equal(check(&a, &here).verdict, LK_VERDICT_ALLOW);
}

static void session_this_node_ended_is_out_although_the_copy_has_it(void **state)
{
    (void)state;
    lk_issued ada = login(&a, LK_KIND_SESSION_ID);
    move_copy_forward();
    assert_int_equal(check(&b, &ada).verdict, LK_VERDICT_ALLOW);
    assert_int_equal(lk_guard_end(b.guard, LK_VIEW(""), &ada.key, LK_REASON_KICKED), LK_OK);
    lk_identity id = check(&b, &ada);
    assert_int_equal(id.verdict, LK_VERDICT_REFUSE);
    assert_int_equal(id.reason, LK_REASON_KICKED);
}

static void view_is_not_of_now_while_the_copy_is_behind(void **state)
{
    (void)state;
    lk_issued token = login(&a, LK_KIND_JWT);
    assert_int_equal(lk_guard_follow(b.guard), LK_OK);
    test_clock_advance_ms(100);
    assert_int_equal(lk_guard_end(a.guard, LK_VIEW(""), &token.key, LK_REASON_KICKED), LK_OK);
    assert_int_equal(lk_guard_follow(b.guard), LK_FAULT);
    assert_int_equal(lk_guard_view_age_ms(b.guard), 100);
    /* Within the bound of the rule it is good enough: that is what the bound says. */
    assert_int_equal(check(&b, &token).verdict, LK_VERDICT_ALLOW);
    move_copy_forward();
    assert_int_equal(lk_guard_follow(b.guard), LK_OK);
    assert_int_equal(lk_guard_view_age_ms(b.guard), 0);
    assert_int_equal(check(&b, &token).verdict, LK_VERDICT_REFUSE);
}

static void copy_that_is_behind_for_too_long_is_passed_over(void **state)
{
    (void)state;
    for (lk_kind kind = LK_KIND_SESSION_ID; kind <= LK_KIND_JWT; kind++) {
        lk_issued ada = login(&a, kind), ben = login(&a, kind);
        move_copy_forward();
        assert_int_equal(check(&b, &ada).verdict, LK_VERDICT_ALLOW);
        assert_int_equal(lk_guard_end(a.guard, LK_VIEW(""), &ada.key, LK_REASON_KICKED), LK_OK);
        test_clock_advance_ms(LK_LAG_MS_DEFAULT + 1);
        assert_int_equal(check(&b, &ada).reason, LK_REASON_KICKED);
        assert_int_equal(check(&b, &ben).verdict, LK_VERDICT_ALLOW);
        /* What was read from the primary is no copy to keep. */
        assert_int_equal(lk_guard_view_age_ms(b.guard), LK_LAG_MS_DEFAULT + 1);
        move_copy_forward();
        assert_int_equal(lk_guard_follow(b.guard), LK_OK);
        assert_int_equal(check(&b, &ada).reason, LK_REASON_KICKED);
        assert_int_equal(check(&b, &ben).verdict, LK_VERDICT_ALLOW);
    }
}

static void copy_that_does_not_answer_is_replaced_by_the_primary(void **state)
{
    (void)state;
    lk_issued ada = login(&a, LK_KIND_SESSION_ID);
    move_copy_forward();
    break_copy();
    assert_int_equal(check(&b, &ada).verdict, LK_VERDICT_ALLOW);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_nodes, close_nodes)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(login_is_known_although_the_copy_is_behind),
        TEST(session_this_node_ended_is_out_although_the_copy_has_it),
        TEST(view_is_not_of_now_while_the_copy_is_behind),
        TEST(copy_that_is_behind_for_too_long_is_passed_over),
        TEST(copy_that_does_not_answer_is_replaced_by_the_primary),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
