/* SPDX-License-Identifier: Apache-2.0
 *
 * Refresh: one successor for all who ask at once or again, an end for who asks too late. Run over every
 * store.
 */
#include "world.h"
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { SECOND = 1000, MINUTE = 60 * SECOND, HOUR = 60 * MINUTE, DAY = 24 * HOUR };

static const char *store_url = "memory:";
static world w;

static int open_world(void **state)
{
    (void)state;
    world_open(&w, store_url);
    return 0;
}

static int close_world(void **state)
{
    (void)state;
    world_close(&w);
    return 0;
}

static lk_issued login_as(lk_kind kind, lk_login login)
{
    lk_issued out;
    login.user = LK_VIEW("alice");
    login.refreshes = true;
    assert_int_equal(lk_guard_issue(w.guard, kind, &login, NULL, NULL, &out, NULL), LK_OK);
    assert_true(out.refresh.len > 0 && out.len > 0);
    return out;
}

static lk_issued login(void)
{
    return login_as(LK_KIND_JWT, (lk_login){.roles = LK_VIEW("editor")});
}

static lk_status ask_for(world *node, const char *text, lk_refresh_ask *ask, lk_issued *out)
{
    ask->text = lk_view_of(text);
    return lk_guard_refresh(node->guard, ask, out);
}

/* The pair that TEXT is exchanged for. */
static lk_issued refreshed(const char *text, lk_refreshed how)
{
    lk_refresh_ask ask = {.who = NULL};
    lk_issued out;
    assert_int_equal(ask_for(&w, text, &ask, &out), LK_OK);
    assert_int_equal(ask.how, how);
    assert_string_equal(ask.id.user, "alice");
    assert_true(out.refresh.len > 0);
    return out;
}

static void assert_refused(const char *text, lk_status status, const char *reason)
{
    lk_refresh_ask ask = {.who = NULL};
    lk_issued out;
    assert_int_equal(ask_for(&w, text, &ask, &out), status);
    assert_string_equal(lk_reason_word(ask.why), reason);
    assert_int_equal(out.len, 0);
    assert_int_equal(out.refresh.len, 0);
}

static const char *reason_of(const char *token)
{
    return lk_reason_word(world_check(&w, LK_CARRIER_HEADER, token, NULL).reason);
}

/* Everything that was handed out is dead, whatever of it is shown. */
static void assert_family_is_over(const lk_issued *pairs, size_t n, const char *reason)
{
    for (size_t i = 0; i < n; i++) {
        assert_refused(pairs[i].refresh.text, LK_STALE, reason);
        assert_string_equal(reason_of(pairs[i].text), reason);
    }
}

static void login_gives_a_pair_that_is_exchanged_for_the_next(void **state)
{
    (void)state;
    for (int kind = LK_KIND_TOKEN; kind <= LK_KIND_JWT; kind++) {
        lk_issued now =
            login_as((lk_kind)kind, (lk_login){.roles = LK_VIEW("editor"), .scope = LK_VIEW("a b")});
        for (int i = 0; i < 20; i++) {
            test_clock_advance_ms(10 * MINUTE);
            lk_issued next = refreshed(now.refresh.text, LK_REFRESHED_NEW);
            assert_int_equal(next.kind, kind);
            assert_int_equal(next.token_ends_s, lk_now_s(test_env()) + 15 * 60);
            assert_int_equal(next.expires_s, now.expires_s);
            assert_string_not_equal(next.refresh.text, now.refresh.text);
            assert_string_not_equal(next.text, now.text);
            lk_identity id = world_check(&w, LK_CARRIER_HEADER, next.text, NULL);
            assert_int_equal(id.verdict, LK_VERDICT_ALLOW);
            assert_string_equal(id.user, "alice");
            assert_string_equal(id.roles, "editor");
            assert_string_equal(id.scope, "a b");
            assert_memory_equal(&id.key, &now.key, sizeof(id.key));
            now = next;
        }
    }
}

static void login_without_refresh_has_no_such_token(void **state)
{
    (void)state;
    lk_issued out;
    world_login(&w, LK_KIND_JWT, "alice", "", NULL, &out);
    assert_int_equal(out.refresh.len, 0);
}

static void repeat_within_the_grace_time_gets_the_same_successor(void **state)
{
    (void)state;
    lk_issued first = login(), second = refreshed(first.refresh.text, LK_REFRESHED_NEW);
    for (int i = 0; i < 30; i++) {
        lk_issued again = refreshed(first.refresh.text, LK_REFRESHED_AGAIN);
        assert_string_equal(again.refresh.text, second.refresh.text);
        assert_string_not_equal(again.text, second.text);
        assert_string_equal(reason_of(again.text), "");
        test_clock_advance_ms(SECOND);
    }
    (void)refreshed(first.refresh.text, LK_REFRESHED_AGAIN); /* on its last moment */
    (void)refreshed(second.refresh.text, LK_REFRESHED_NEW);
}

static void repeat_after_the_grace_time_ends_the_family(void **state)
{
    (void)state;
    lk_issued pairs[2] = {login()};
    pairs[1] = refreshed(pairs[0].refresh.text, LK_REFRESHED_NEW);
    test_clock_advance_ms(30 * SECOND + 1);
    assert_refused(pairs[0].refresh.text, LK_STALE, "revoked");
    assert_int_equal(lk_guard_counted(w.guard, LK_COUNT_REFRESH_REUSED), 1);
    assert_family_is_over(pairs, 2, "revoked");
    assert_int_equal(lk_guard_counted(w.guard, LK_COUNT_REFRESH_REUSED), 1);
}

static void repeat_after_the_successor_was_used_ends_the_family(void **state)
{
    (void)state;
    for (int used = 0; used < 3; used++) {
        lk_issued pairs[5] = {login()};
        for (int i = 1; i < 5; i++)
            pairs[i] = refreshed(pairs[i - 1].refresh.text, LK_REFRESHED_NEW);
        lk_refresh_ask ask = {.who = NULL};
        lk_issued out;
        assert_int_equal(ask_for(&w, pairs[used].refresh.text, &ask, &out), LK_STALE);
        assert_int_equal(ask.how, LK_REFRESHED_REUSED);
        assert_string_equal(ask.id.user, "alice");
        assert_family_is_over(pairs, 5, "revoked");
    }
}

static void end_of_a_family_leaves_other_logins_of_the_user_alone(void **state)
{
    (void)state;
    lk_issued one = login(), other = login();
    lk_issued next = refreshed(one.refresh.text, LK_REFRESHED_NEW);
    (void)refreshed(next.refresh.text, LK_REFRESHED_NEW);
    assert_refused(one.refresh.text, LK_STALE, "revoked");
    assert_string_equal(reason_of(other.text), "");
    (void)refreshed(other.refresh.text, LK_REFRESHED_NEW);
}

static void look_changes_and_ends_nothing(void **state)
{
    (void)state;
    lk_issued first = login();
    lk_refresh_ask ask = {.text = lk_refresh_view(&first.refresh)};
    for (int i = 0; i < 3; i++) {
        assert_int_equal(lk_guard_refresh_look(w.guard, &ask), LK_OK);
        assert_int_equal(ask.how, LK_REFRESHED_NEW);
        assert_string_equal(ask.id.user, "alice");
    }
    lk_issued second = refreshed(first.refresh.text, LK_REFRESHED_NEW);
    assert_int_equal(lk_guard_refresh_look(w.guard, &ask), LK_OK);
    assert_int_equal(ask.how, LK_REFRESHED_AGAIN);
    lk_issued third = refreshed(second.refresh.text, LK_REFRESHED_NEW);
    assert_int_equal(lk_guard_refresh_look(w.guard, &ask), LK_STALE);
    assert_int_equal(ask.how, LK_REFRESHED_REUSED);
    (void)refreshed(third.refresh.text, LK_REFRESHED_NEW);
}

static void forged_and_cut_texts_end_nothing(void **state)
{
    (void)state;
    lk_issued first = login(), second = refreshed(first.refresh.text, LK_REFRESHED_NEW);
    char text[LK_REFRESH_MAX + 1];
    for (size_t len = 0; len < first.refresh.len; len++) {
        memcpy(text, first.refresh.text, len);
        text[len] = '\0';
        assert_refused(text, LK_REFUSED, "malformed");
    }
    /* The public id is known to whoever saw a list: everything else of it is guessed. */
    for (size_t i = first.refresh.len - 66; i < first.refresh.len; i++) {
        memcpy(text, first.refresh.text, sizeof(text));
        if (text[i] == '.')
            continue;
        text[i] = text[i] == 'A' ? 'E' : 'A';
        assert_refused(text, LK_REFUSED, "bad_signature");
    }
    uint64_t hits = lk_guard_counted(w.guard, LK_COUNT_REFRESH_REUSED);
    assert_int_equal(hits, 0);
    (void)refreshed(second.refresh.text, LK_REFRESHED_NEW);
}

static void token_of_other_keys_is_no_token(void **state)
{
    (void)state;
    world other;
    lk_refresh_ask ask = {.who = NULL};
    lk_issued first = login(), out;
    world_open(&other, "memory:");
    assert_int_equal(ask_for(&other, first.refresh.text, &ask, &out), LK_REFUSED);
    assert_string_equal(lk_reason_word(ask.why), "bad_signature");
    world_close(&other);
}

static void family_ends_at_its_absolute_end_however_it_is_used(void **state)
{
    (void)state;
    lk_issued now = login();
    for (int i = 0; i < 9; i++) {
        test_clock_advance_ms(3LL * DAY);
        now = refreshed(now.refresh.text, LK_REFRESHED_NEW);
    }
    test_clock_advance_ms(3LL * DAY - MINUTE);
    now = refreshed(now.refresh.text, LK_REFRESHED_NEW);
    assert_int_equal(now.token_ends_s, now.expires_s); /* no token outlives it either */
    test_clock_advance_ms(2 * MINUTE);
    assert_refused(now.refresh.text, LK_STALE, "expired");
    assert_string_equal(reason_of(now.text), "expired");
}

static void family_that_is_not_used_ends_idle_and_use_keeps_it(void **state)
{
    (void)state;
    lk_issued now = login();
    for (int i = 0; i < 3; i++) {
        test_clock_advance_ms(7LL * DAY - MINUTE);
        assert_int_equal(lk_guard_upkeep(w.guard), LK_OK);
        now = refreshed(now.refresh.text, LK_REFRESHED_NEW);
    }
    test_clock_advance_ms(7LL * DAY + MINUTE);
    assert_refused(now.refresh.text, LK_STALE, "idle");
}

static void use_a_moment_ago_counts_though_the_record_does_not_know(void **state)
{
    (void)state;
    lk_issued now = login();
    test_clock_advance_ms(12LL * HOUR); /* under a tenth of seven days */
    now = refreshed(now.refresh.text, LK_REFRESHED_NEW);
    test_clock_advance_ms(7LL * DAY - HOUR);
    (void)refreshed(now.refresh.text, LK_REFRESHED_NEW);
}

static void logout_ends_the_family(void **state)
{
    (void)state;
    lk_issued pairs[2] = {login()};
    pairs[1] = refreshed(pairs[0].refresh.text, LK_REFRESHED_NEW);
    assert_int_equal(lk_guard_end(w.guard, (lk_view){0}, &pairs[0].key, LK_REASON_REVOKED), LK_OK);
    assert_family_is_over(pairs, 2, "revoked");
}

static void ban_ends_the_family_and_says_so(void **state)
{
    (void)state;
    lk_issued pair = login();
    test_clock_advance_ms(5);
    assert_int_equal(lk_guard_end_user(w.guard, (lk_view){0}, LK_VIEW("alice"), NULL, LK_REASON_BANNED, NULL),
                     LK_OK);
    assert_family_is_over(&pair, 1, "banned");
}

static void cut_off_at_any_level_that_reaches_the_login_ends_the_refreshing(void **state)
{
    (void)state;
    static const struct {
        lk_level level;
        const char *key;
    } at[] = {
        {LK_LEVEL_ALL, ""}, {LK_LEVEL_USER, "alice"}, {LK_LEVEL_DEVICE, "phone"}, {LK_LEVEL_ROLE, "editor"}};
    for (size_t i = 0; i < sizeof(at) / sizeof(at[0]); i++) {
        lk_issued pair =
            login_as(LK_KIND_JWT, (lk_login){.roles = LK_VIEW("editor"), .device = LK_VIEW("phone")});
        test_clock_advance_ms(5);
        assert_int_equal(lk_guard_cutoff(w.guard, at[i].level, (lk_view){0}, lk_view_of(at[i].key),
                                         LK_REASON_KICKED, NULL, NULL),
                         LK_OK);
        assert_family_is_over(&pair, 1, "kicked");
    }
    lk_issued after =
        login_as(LK_KIND_JWT, (lk_login){.roles = LK_VIEW("editor"), .device = LK_VIEW("phone")});
    (void)refreshed(after.refresh.text, LK_REFRESHED_NEW);
}

static void token_refreshed_after_a_revocation_elsewhere_falls_under_it(void **state)
{
    (void)state;
    if (!lk_store_is_durable(w.store))
        return; /* a store in memory has no other node */
    lk_issued first = login();
    test_clock_advance_ms(MINUTE);
    lk_issued next = refreshed(first.refresh.text, LK_REFRESHED_NEW);
    /* Another node cut the user off before that, and its word comes only now. */
    lk_cutoff late = {.level = LK_LEVEL_USER,
                      .reason = LK_REASON_KICKED,
                      .key = "/alice",
                      .before_ms = lk_now_ms(test_env()) - 30 * SECOND,
                      .until_s = lk_now_s(test_env()) + 86400};
    assert_int_equal(lk_store_cutoff_append(w.store, &late), LK_OK);
    assert_int_equal(lk_guard_follow(w.guard), LK_OK);
    assert_string_equal(reason_of(next.text), "kicked");
}

static void why_a_family_ended_is_known_when_its_mark_is_gone(void **state)
{
    (void)state;
    test_clock_advance_ms(SECOND); /* what a table in memory may have forgotten is before this */
    lk_issued first = login(), second = refreshed(first.refresh.text, LK_REFRESHED_NEW);
    uint32_t removed;
    (void)refreshed(second.refresh.text, LK_REFRESHED_NEW);
    assert_refused(first.refresh.text, LK_STALE, "revoked");
    test_clock_advance_ms(3LL * DAY);
    (void)!lk_store_sweep(w.store, lk_now_s(test_env()), 1000, 1000, &removed);
    assert_refused(second.refresh.text, LK_STALE, "revoked");
}

static lk_status today(void *context, const lk_session *s, lk_login *now, lk_reason *why)
{
    lk_status *answer = context;
    assert_true(lk_view_equal(s->user, LK_VIEW("alice")));
    now->name = LK_VIEW("Alice");
    now->roles = LK_VIEW("reader");
    *why = LK_REASON_BANNED;
    return *answer;
}

static void account_of_today_is_asked(void **state)
{
    (void)state;
    lk_issued first = login_as(LK_KIND_JWT, (lk_login){.roles = LK_VIEW("editor"), .scope = LK_VIEW("a")}),
              next;
    lk_status answer = LK_OK;
    lk_refresh_ask ask = {.who = today, .context = &answer};
    assert_int_equal(ask_for(&w, first.refresh.text, &ask, &next), LK_OK);
    lk_identity id = world_check(&w, LK_CARRIER_HEADER, next.text, NULL);
    assert_string_equal(id.roles, "reader");
    assert_string_equal(id.name, "Alice");
    assert_string_equal(id.scope, "a");
    answer = LK_FAULT; /* could not be asked: nothing is used up */
    lk_issued out;
    assert_int_equal(ask_for(&w, next.refresh.text, &ask, &out), LK_FAULT);
    (void)refreshed(first.refresh.text, LK_REFRESHED_AGAIN);
    answer = LK_STALE;
    assert_int_equal(ask_for(&w, next.refresh.text, &ask, &out), LK_STALE);
    assert_int_equal(out.len, 0);
    assert_family_is_over(&next, 1, "banned");
}

static void scope_can_be_narrowed_and_never_widened(void **state)
{
    (void)state;
    lk_issued first = login_as(LK_KIND_JWT, (lk_login){.scope = LK_VIEW("a b")}), out;
    lk_refresh_ask ask = {.scope = LK_VIEW("b")};
    assert_int_equal(ask_for(&w, first.refresh.text, &ask, &out), LK_OK);
    assert_string_equal(world_check(&w, LK_CARRIER_HEADER, out.text, NULL).scope, "b");
    const char *wider[] = {"c", "a b c", "A", "a,b"};
    for (size_t i = 0; i < 4; i++) {
        ask.scope = lk_view_of(wider[i]);
        lk_issued none;
        assert_int_equal(ask_for(&w, out.refresh.text, &ask, &none), LK_REFUSED);
        assert_string_equal(lk_reason_word(ask.why), "insufficient_scope");
    }
    lk_issued whole = refreshed(out.refresh.text, LK_REFRESHED_NEW);
    assert_string_equal(world_check(&w, LK_CARRIER_HEADER, whole.text, NULL).scope, "a b");
}

static void clock_that_was_set_back_logs_nobody_out(void **state)
{
    (void)state;
    lk_issued first = login(), second = refreshed(first.refresh.text, LK_REFRESHED_NEW);
    test_clock_set_ms(lk_now_ms(test_env()) - 2LL * HOUR);
    lk_issued again = refreshed(first.refresh.text, LK_REFRESHED_AGAIN);
    assert_string_equal(again.refresh.text, second.refresh.text);
    (void)refreshed(second.refresh.text, LK_REFRESHED_NEW);
}

static void store_that_lost_its_last_changes_takes_the_token_all_the_same(void **state)
{
    (void)state;
    uint8_t record[LK_RECORD_MAX];
    lk_issued first = login();
    lk_load load = {.key = first.key, .buf = record, .cap = sizeof(record)};
    uint32_t revision;
    lk_view before;
    assert_int_equal(lk_store_load_many(w.store, &load, 1), LK_OK);
    assert_int_equal(lk_fields_get(load.session.fields, LK_VIEW("latchkey.refresh"), &before), LK_OK);
    lk_issued second = refreshed(first.refresh.text, LK_REFRESHED_NEW);
    lk_issued third = refreshed(second.refresh.text, LK_REFRESHED_NEW);
    lk_op back = {.kind = LK_OP_SET, .name = LK_VIEW("latchkey.refresh"), .value = before};
    assert_int_equal(lk_store_change(w.store, &first.key, 1, 0, &back, 1, &revision, NULL), LK_OK);
    lk_issued fourth = refreshed(third.refresh.text, LK_REFRESHED_NEW);
    assert_string_equal(refreshed(third.refresh.text, LK_REFRESHED_AGAIN).refresh.text, fourth.refresh.text);
    assert_refused(second.refresh.text, LK_STALE, "revoked");
}

static void state_of_a_newer_version_is_not_guessed(void **state)
{
    (void)state;
    static const char *const others[] = {
        "\"2.jwt.1.1.AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\"", "\"\"", "0",
        "\"1.session_id.1.1.AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\"", "\"1.jwt.1\""};
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        lk_issued first = login();
        uint32_t revision;
        lk_op op = {.kind = LK_OP_SET, .name = LK_VIEW("latchkey.refresh"), .value = lk_view_of(others[i])};
        assert_int_equal(lk_store_change(w.store, &first.key, 1, 0, &op, 1, &revision, NULL), LK_OK);
        assert_refused(first.refresh.text, LK_STALE, "expired");
    }
}

static void restart_between_write_and_answer_gives_the_same_successor(void **state)
{
    (void)state;
    lk_issued first = login();
    if (!lk_store_is_durable(w.store))
        return;
    lk_issued second = refreshed(first.refresh.text, LK_REFRESHED_NEW);
    world_restart(&w, true);
    assert_string_equal(refreshed(first.refresh.text, LK_REFRESHED_AGAIN).refresh.text, second.refresh.text);
    (void)refreshed(second.refresh.text, LK_REFRESHED_NEW);
}

static void out_of_memory_uses_nothing_up(void **state)
{
    (void)state;
    lk_issued first = login(), out;
    for (int n = 1; n < 200; n++) {
        lk_refresh_ask ask = {.who = NULL};
        test_alloc_fail_at(n);
        lk_status status = ask_for(&w, first.refresh.text, &ask, &out);
        bool failed = test_alloc_failed();
        test_alloc_fail_at(0);
        assert_true(status == LK_OK || status == LK_FAULT || status == LK_FULL);
        if (!failed)
            break;
    }
    lk_issued second = refreshed(first.refresh.text, LK_REFRESHED_AGAIN);
    (void)refreshed(second.refresh.text, LK_REFRESHED_NEW);
}

static void state_moves_into_no_other_session(void **state)
{
    (void)state;
    assert_true(lk_field_is_ours(LK_VIEW("latchkey.refresh")));
    assert_true(lk_field_is_ours(LK_VIEW("latchkey.")));
    assert_false(lk_field_is_ours(LK_VIEW("latchkey")));
    assert_false(lk_field_is_ours(LK_VIEW("cart")));
    lk_issued first = login(), session;
    lk_identity id = world_check(&w, LK_CARRIER_HEADER, first.text, NULL);
    world_login(&w, LK_KIND_SESSION_ID, "alice", "", &id, &session);
    uint8_t record[LK_RECORD_MAX];
    lk_session s;
    lk_reason why;
    lk_view value;
    assert_int_equal(lk_guard_record(w.guard, &session.key, record, &s, &why), LK_OK);
    assert_int_equal(lk_fields_get(s.fields, LK_VIEW("latchkey.refresh"), &value), LK_MISS);
    (void)refreshed(first.refresh.text, LK_REFRESHED_NEW);
}

/* ---- many at once, on two nodes ---- */

enum { THREADS = 8, ROUNDS = 25 };

typedef struct racer {
    world *node;
    char text[LK_REFRESH_MAX + 1], got[LK_REFRESH_MAX + 1];
    lk_status status;
    pthread_barrier_t *gate;
} racer;

static void *race(void *context)
{
    racer *r = context;
    lk_refresh_ask ask = {.who = NULL};
    lk_issued *out = malloc(sizeof(*out));
    (void)pthread_barrier_wait(r->gate);
    r->status = ask_for(r->node, r->text, &ask, out);
    memcpy(r->got, out->refresh.text, sizeof(r->got));
    free(out);
    return NULL;
}

static void many_at_once_on_two_nodes_get_one_successor(void **state)
{
    (void)state;
    world beside;
    bool two = lk_store_is_durable(w.store);
    static racer racers[THREADS];
    pthread_barrier_t gate;
    pthread_t threads[THREADS];
    lk_issued now = login();
    char token[LK_REFRESH_MAX + 1];
    memcpy(token, now.refresh.text, sizeof(token));
    if (two)
        world_open_beside(&beside, &w);
    for (int round = 0; round < ROUNDS; round++) {
        pthread_barrier_init(&gate, NULL, THREADS);
        for (int i = 0; i < THREADS; i++) {
            racers[i].node = two && i % 2 == 1 ? &beside : &w;
            racers[i].gate = &gate;
            memcpy(racers[i].text, token, sizeof(token));
            assert_int_equal(pthread_create(&threads[i], NULL, race, &racers[i]), 0);
        }
        for (int i = 0; i < THREADS; i++)
            pthread_join(threads[i], NULL);
        pthread_barrier_destroy(&gate);
        for (int i = 0; i < THREADS; i++) {
            assert_int_equal(racers[i].status, LK_OK);
            assert_string_equal(racers[i].got, racers[0].got);
        }
        assert_string_not_equal(racers[0].got, token);
        memcpy(token, racers[0].got, sizeof(token));
    }
    uint64_t firsts = lk_guard_counted(w.guard, LK_COUNT_REFRESHED);
    if (two) {
        firsts += lk_guard_counted(beside.guard, LK_COUNT_REFRESHED);
        world_close(&beside);
    }
    assert_int_equal(firsts, ROUNDS);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_world, close_world)

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        TEST(login_gives_a_pair_that_is_exchanged_for_the_next),
        TEST(login_without_refresh_has_no_such_token),
        TEST(repeat_within_the_grace_time_gets_the_same_successor),
        TEST(repeat_after_the_grace_time_ends_the_family),
        TEST(repeat_after_the_successor_was_used_ends_the_family),
        TEST(end_of_a_family_leaves_other_logins_of_the_user_alone),
        TEST(look_changes_and_ends_nothing),
        TEST(forged_and_cut_texts_end_nothing),
        TEST(token_of_other_keys_is_no_token),
        TEST(family_ends_at_its_absolute_end_however_it_is_used),
        TEST(family_that_is_not_used_ends_idle_and_use_keeps_it),
        TEST(use_a_moment_ago_counts_though_the_record_does_not_know),
        TEST(logout_ends_the_family),
        TEST(ban_ends_the_family_and_says_so),
        TEST(cut_off_at_any_level_that_reaches_the_login_ends_the_refreshing),
        TEST(token_refreshed_after_a_revocation_elsewhere_falls_under_it),
        TEST(why_a_family_ended_is_known_when_its_mark_is_gone),
        TEST(account_of_today_is_asked),
        TEST(scope_can_be_narrowed_and_never_widened),
        TEST(clock_that_was_set_back_logs_nobody_out),
        TEST(store_that_lost_its_last_changes_takes_the_token_all_the_same),
        TEST(state_of_a_newer_version_is_not_guessed),
        TEST(restart_between_write_and_answer_gives_the_same_successor),
        TEST(out_of_memory_uses_nothing_up),
        TEST(state_moves_into_no_other_session),
        TEST(many_at_once_on_two_nodes_get_one_successor),
    };
    if (argc > 1)
        store_url = argv[1];
    return cmocka_run_group_tests(tests, NULL, NULL);
}
