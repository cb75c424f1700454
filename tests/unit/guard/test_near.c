/* SPDX-License-Identifier: Apache-2.0
 *
 * test_near.c - two nodes over one remote store: each has its own table with near copies, and follows the
 * store's stream. The store is a file in SQLite, which is remote in all that matters here.
 */
#include "guard/guard_internal.h"
#include "world.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

static world a, b;

static int open_nodes(void **state)
{
    (void)state;
    world_open(&a, "sqlite");
    world_open_beside(&b, &a);
    return 0;
}

static int close_nodes(void **state)
{
    (void)state;
    world_close(&b);
    world_close(&a);
    return 0;
}

static lk_issued login(world *w, lk_kind kind, const char *user)
{
    lk_issued issued;
    world_login(w, kind, user, "staff", NULL, &issued);
    return issued;
}

static lk_identity check(world *w, const lk_issued *issued)
{
    return world_check(w, LK_CARRIER_HEADER, issued->text, NULL);
}

static lk_identity check_by(world *w, const lk_issued *issued, const lk_rule *rule)
{
    return world_check(w, LK_CARRIER_HEADER, issued->text, rule);
}

static uint64_t counted(world *w, lk_counter counter)
{
    return lk_guard_counted(w->guard, counter);
}

static void follow(world *w)
{
    assert_int_equal(lk_guard_follow(w->guard), LK_OK);
}

static void assert_in(lk_identity id, const char *user)
{
    assert_int_equal(id.verdict, LK_VERDICT_ALLOW);
    assert_true(id.logged_in);
    assert_string_equal(id.user, user);
}

static void assert_out(lk_identity id, lk_reason reason)
{
    assert_int_equal(id.verdict, LK_VERDICT_REFUSE);
    assert_int_equal(id.reason, reason);
}

static void assert_unknown(lk_identity id)
{
    assert_int_equal(id.verdict, LK_VERDICT_UNKNOWN);
    assert_int_equal(id.reason, LK_REASON_STORE_UNAVAILABLE);
    assert_false(id.drop_cookie);
}

static void session_is_asked_for_once_and_answered_from_the_table_then(void **state)
{
    (void)state;
    lk_issued ada = login(&a, LK_KIND_SESSION_ID, "ada");
    for (unsigned i = 0; i < 10; i++)
        assert_in(check(&b, &ada), "ada");
    assert_int_equal(counted(&b, LK_COUNT_STORE_BATCH), 1);
    assert_int_equal(counted(&b, LK_COUNT_NEAR_HIT) + counted(&b, LK_COUNT_REPEATED), 9);
}

static void without_a_life_no_copies_are_kept(void **state)
{
    (void)state;
    lk_issued ada = login(&a, LK_KIND_SESSION_ID, "ada");
    b.settings.near_life_s = 0;
    for (unsigned i = 0; i < 5; i++)
        assert_in(check(&b, &ada), "ada");
    assert_int_equal(counted(&b, LK_COUNT_STORE_BATCH), 5);
    assert_int_equal(counted(&b, LK_COUNT_NEAR_HIT), 0);
}

static void copy_is_asked_for_again_after_its_life(void **state)
{
    (void)state;
    lk_issued ada = login(&a, LK_KIND_SESSION_ID, "ada");
    assert_in(check(&b, &ada), "ada");
    test_clock_advance_ms(b.settings.near_life_s * 1000 + 1);
    follow(&b);
    assert_in(check(&b, &ada), "ada");
    assert_int_equal(counted(&b, LK_COUNT_STORE_BATCH), 2);
}

static void session_ended_on_one_node_is_out_on_the_other_when_it_has_followed(void **state)
{
    (void)state;
    lk_issued ada = login(&a, LK_KIND_SESSION_ID, "ada"), ben = login(&a, LK_KIND_SESSION_ID, "ben");
    assert_in(check(&b, &ada), "ada");
    assert_in(check(&b, &ben), "ben");
    assert_int_equal(lk_guard_end(a.guard, LK_VIEW(""), &ada.key, LK_REASON_KICKED), LK_OK);
    follow(&b);
    assert_out(check(&b, &ada), LK_REASON_KICKED);
    assert_out(check(&a, &ada), LK_REASON_KICKED);
    assert_in(check(&b, &ben), "ben");
}

static void node_that_ends_a_session_knows_so_at_once(void **state)
{
    (void)state;
    lk_issued ada = login(&a, LK_KIND_SESSION_ID, "ada");
    assert_in(check(&a, &ada), "ada");
    uint64_t batches = counted(&a, LK_COUNT_STORE_BATCH);
    assert_int_equal(lk_guard_end(a.guard, LK_VIEW(""), &ada.key, LK_REASON_REVOKED), LK_OK);
    assert_out(check(&a, &ada), LK_REASON_REVOKED);
    assert_int_equal(counted(&a, LK_COUNT_STORE_BATCH), batches);
}

static void token_revoked_on_one_node_is_out_on_the_other_when_it_has_followed(void **state)
{
    (void)state;
    for (lk_kind kind = LK_KIND_TOKEN; kind <= LK_KIND_JWT; kind++) {
        lk_issued ada = login(&a, kind, "ada");
        assert_in(check(&b, &ada), "ada");
        test_clock_advance_ms(5);
        assert_int_equal(lk_guard_cutoff(a.guard, LK_LEVEL_USER, LK_VIEW(""), LK_VIEW("ada"),
                                         LK_REASON_BANNED, NULL, NULL),
                         LK_OK);
        follow(&b);
        assert_out(check(&b, &ada), LK_REASON_BANNED);
        test_clock_advance_ms(5);
        lk_issued again = login(&b, kind, "ada");
        assert_in(check(&b, &again), "ada");
    }
}

static void copy_read_before_the_word_of_its_end_is_not_kept_after_it(void **state)
{
    uint8_t head[LK_HEAD_MAX];
    lk__near near;
    (void)state;
    lk_issued ada = login(&a, LK_KIND_SESSION_ID, "ada");
    lk_load load = {.key = ada.key, .head_only = true, .buf = head, .cap = sizeof(head)};
    lk__near_ticket ticket = lk__near_ask(b.guard, &ada.key);
    assert_int_equal(lk_store_load_many(b.store, &load, 1), LK_OK);
    assert_int_equal(load.status, LK_OK);
    assert_int_equal(lk_guard_end(a.guard, LK_VIEW(""), &ada.key, LK_REASON_KICKED), LK_OK);
    follow(&b);
    lk_view record = lk_view_make(head, lk_record_head_len(lk_view_make(head, sizeof(head))));
    lk__near_put(b.guard, &load.session, record, &ticket);
    assert_int_equal(lk__near_get(b.guard, &ada.key, lk_now_s(test_env()), &near), LK_MISS);
    /* The same without word of an end is kept: the test can tell. */
    ticket = lk__near_ask(b.guard, &ada.key);
    lk__near_put(b.guard, &load.session, record, &ticket);
    assert_int_equal(lk__near_get(b.guard, &ada.key, lk_now_s(test_env()), &near), LK_OK);
}

static void word_of_an_end_drops_the_copy_and_keeps_the_last_seen_time(void **state)
{
    lk__near near;
    (void)state;
    lk_issued ada = login(&a, LK_KIND_SESSION_ID, "ada");
    test_clock_advance_ms(20000);
    follow(&b);
    assert_in(check(&b, &ada), "ada");
    assert_int_equal(lk__near_get(b.guard, &ada.key, lk_now_s(test_env()), &near), LK_OK);
    int64_t seen_s = near.seen_s;
    assert_true(seen_s > ada.issued_s);
    lk__near_drop(b.guard, &ada.key);
    assert_int_equal(lk__near_get(b.guard, &ada.key, lk_now_s(test_env()), &near), LK_MISS);
    assert_int_equal(near.seen_s, seen_s);
}

static void session_idle_on_one_node_but_used_on_another_stays_in(void **state)
{
    (void)state;
    lk_issued ada = login(&a, LK_KIND_SESSION_ID, "ada");
    assert_in(check(&b, &ada), "ada");
    b.settings.near_life_s = 3600;
    for (unsigned i = 0; i < 4; i++) {
        test_clock_advance_ms(a.settings.idle_s * 400);
        follow(&a);
        assert_in(check(&a, &ada), "ada");
        assert_int_equal(lk_guard_upkeep(a.guard), LK_OK);
    }
    follow(&b);
    assert_in(check(&b, &ada), "ada");
}

static void view_older_than_the_rule_allows_is_asked_denied_or_served(void **state)
{
    lk_rule ask = {.mode = LK_MODE_REQUIRED, .lag_ms = 500, .lag = LK_LAG_ASK};
    lk_rule deny = ask, serve = ask;
    (void)state;
    deny.lag = LK_LAG_DENY;
    serve.lag = LK_LAG_SERVE;
    lk_issued ada = login(&a, LK_KIND_SESSION_ID, "ada"), token = login(&a, LK_KIND_JWT, "ada");
    assert_in(check(&b, &ada), "ada");
    assert_in(check(&b, &token), "ada");
    test_clock_advance_ms(400);
    assert_in(check_by(&b, &ada, &deny), "ada");
    test_clock_advance_ms(200);
    assert_int_equal(lk_guard_view_age_ms(b.guard), 600);
    assert_unknown(check_by(&b, &ada, &deny));
    assert_unknown(check_by(&b, &token, &deny));
    assert_int_equal(lk_guard_end_user(a.guard, LK_VIEW(""), LK_VIEW("ada"), NULL, LK_REASON_KICKED, NULL),
                     LK_OK);
    assert_in(check_by(&b, &ada, &serve), "ada");
    assert_in(check_by(&b, &token, &serve), "ada");
    assert_out(check_by(&b, &token, &ask), LK_REASON_KICKED);
    assert_int_equal(lk_guard_view_age_ms(b.guard), 0);
    test_clock_advance_ms(600);
    assert_out(check_by(&b, &ada, &ask), LK_REASON_KICKED);
}

static void questions_for_one_session_are_asked_once_and_each_is_answered(void **state)
{
    enum { N = 60 };
    static lk_question questions[N];
    lk_question *all[N];
    lk_issued one = login(&a, LK_KIND_SESSION_ID, "one"), two = login(&a, LK_KIND_SESSION_ID, "two");
    lk_session s;
    (void)state;
    for (unsigned i = 0; i < N; i++) {
        memset(&questions[i], 0, sizeof(questions[i]));
        questions[i].wants_session = i % 7 != 6;
        questions[i].key = i % 3 == 0 ? one.key : two.key;
        if (i % 5 == 4)
            questions[i].key.bytes[3] ^= (uint8_t)i;
        all[i] = &questions[i];
    }
    lk_guard_ask(b.guard, all, N);
    assert_int_equal(counted(&b, LK_COUNT_STORE_BATCH), 1);
    for (unsigned i = 0; i < N; i++) {
        if (i % 7 == 6)
            continue;
        assert_int_equal(questions[i].status, i % 5 == 4 ? LK_MISS : LK_OK);
        if (questions[i].status != LK_OK)
            continue;
        assert_int_equal(lk_record_read(lk_view_make(questions[i].record, questions[i].record_len), &s),
                         LK_OK);
        assert_true(lk_view_equal(s.user, lk_view_of(i % 3 == 0 ? "one" : "two")));
    }
}

static void answer_for_another_session_lets_nobody_in(void **state)
{
    lk_question asked, none, *one = &asked;
    lk_identity id;
    lk_rule rule = {.mode = LK_MODE_REQUIRED};
    (void)state;
    lk_issued ada = login(&a, LK_KIND_SESSION_ID, "ada"), ben = login(&a, LK_KIND_SESSION_ID, "ben");
    char value[LK_CREDENTIAL_MAX];
    (void)snprintf(value, sizeof(value), "Bearer %.*s", LK_SESSION_ID_LEN, ada.text);
    lk_view field = lk_view_of(value);
    lk_presented presented = {.authorization = &field, .authorization_n = 1};
    assert_false(lk_guard_try(b.guard, &presented, &rule, NULL, &id, &asked));
    assert_true(asked.wants_session);
    asked.key = ben.key;
    lk_guard_ask(b.guard, &one, 1);
    assert_int_equal(asked.status, LK_OK);
    assert_true(lk_guard_try(b.guard, &presented, &rule, &asked, &id, &none));
    assert_unknown(id);
}

static void sleep_ms(long ms)
{
    struct timespec t = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
    (void)nanosleep(&t, NULL);
}

/* Real time passes here: the follower is a thread. */
static bool is_out_soon(world *w, const lk_issued *issued)
{
    for (unsigned i = 0; i < 200; i++) {
        if (check(w, issued).verdict == LK_VERDICT_REFUSE)
            return true;
        sleep_ms(20);
    }
    return false;
}

static void follower_puts_out_who_was_ended_on_another_node(void **state)
{
    (void)state;
    assert_int_equal(lk_guard_start_follower(b.guard), LK_OK);
    lk_issued ada = login(&a, LK_KIND_SESSION_ID, "ada"), token = login(&a, LK_KIND_TOKEN, "ben");
    assert_in(check(&b, &ada), "ada");
    assert_in(check(&b, &token), "ben");
    assert_int_equal(lk_guard_end(a.guard, LK_VIEW(""), &ada.key, LK_REASON_KICKED), LK_OK);
    assert_int_equal(lk_guard_end(a.guard, LK_VIEW(""), &token.key, LK_REASON_KICKED), LK_OK);
    assert_true(is_out_soon(&b, &ada));
    assert_true(is_out_soon(&b, &token));
}

static void another_process_takes_over_when_the_follower_is_gone(void **state)
{
    lk_guard *second = NULL;
    lk_note note = {""};
    (void)state;
    lk_guard_parts parts = {test_env(), &b.settings, b.ring, b.table, b.store, NULL};
    assert_int_equal(lk_guard_start_follower(b.guard), LK_OK);
    assert_int_equal(lk_guard_open(parts, &second, &note), LK_OK);
    assert_int_equal(lk_guard_start_follower(second), LK_OK);
    sleep_ms(150);
    /* The first one goes; its table, and the second one's view of it, stay. */
    lk_guard_close(b.guard);
    b.guard = second;
    lk_issued ada = login(&a, LK_KIND_SESSION_ID, "ada");
    assert_in(check(&b, &ada), "ada");
    assert_int_equal(lk_guard_end(a.guard, LK_VIEW(""), &ada.key, LK_REASON_KICKED), LK_OK);
    assert_true(is_out_soon(&b, &ada));
}

static void table_of_another_store_is_read_anew(void **state)
{
    world c;
    (void)state;
    lk_issued token = login(&a, LK_KIND_TOKEN, "ada");
    for (unsigned i = 0; i < 5; i++)
        assert_int_equal(lk_guard_cutoff(a.guard, LK_LEVEL_USER, LK_VIEW(""), LK_VIEW("ada"),
                                         LK_REASON_BANNED, NULL, NULL),
                         LK_OK);
    /* Another store has numbers of its own, and fewer of them. */
    world_open(&c, "sqlite");
    lk_table *kept = c.table;
    lk_guard_close(c.guard);
    lk_guard_parts parts = {test_env(), &c.settings, c.ring, b.table, c.store, NULL};
    lk_note note = {""};
    assert_int_equal(lk_guard_open(parts, &c.guard, &note), LK_OK);
    lk_issued cleo;
    world_login(&c, LK_KIND_TOKEN, "cleo", "", NULL, &cleo);
    assert_int_equal(
        lk_guard_cutoff(c.guard, LK_LEVEL_USER, LK_VIEW(""), LK_VIEW("cleo"), LK_REASON_BANNED, NULL, NULL),
        LK_OK);
    lk_guard_close(c.guard);
    lk_guard_parts back = {test_env(), &b.settings, b.ring, b.table, b.store, NULL};
    assert_int_equal(lk_guard_open(back, &c.guard, &note), LK_OK);
    assert_out(check(&b, &token), LK_REASON_BANNED);
    lk_guard_close(c.guard);
    parts.table = kept;
    assert_int_equal(lk_guard_open(parts, &c.guard, &note), LK_OK);
    world_close(&c);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_nodes, close_nodes)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(session_is_asked_for_once_and_answered_from_the_table_then),
        TEST(without_a_life_no_copies_are_kept),
        TEST(copy_is_asked_for_again_after_its_life),
        TEST(session_ended_on_one_node_is_out_on_the_other_when_it_has_followed),
        TEST(node_that_ends_a_session_knows_so_at_once),
        TEST(token_revoked_on_one_node_is_out_on_the_other_when_it_has_followed),
        TEST(copy_read_before_the_word_of_its_end_is_not_kept_after_it),
        TEST(word_of_an_end_drops_the_copy_and_keeps_the_last_seen_time),
        TEST(session_idle_on_one_node_but_used_on_another_stays_in),
        TEST(view_older_than_the_rule_allows_is_asked_denied_or_served),
        TEST(questions_for_one_session_are_asked_once_and_each_is_answered),
        TEST(answer_for_another_session_lets_nobody_in),
        TEST(follower_puts_out_who_was_ended_on_another_node),
        TEST(another_process_takes_over_when_the_follower_is_gone),
        TEST(table_of_another_store_is_read_anew),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
