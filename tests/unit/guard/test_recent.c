/* SPDX-License-Identifier: Apache-2.0
 *
 * Decisions that hold for the rest of their second: made once, and never longer than what they stand on. The
 * clock stands still, so that nothing but the marks can end one. Run over every store.
 */
#include "world.h"
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { SECOND = 1000 };

static const lk_kind kinds[] = {LK_KIND_SESSION_ID, LK_KIND_TOKEN, LK_KIND_JWT, LK_KIND_SEALED};
#define KINDS 4
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

/* As world_check, from any thread. */
static lk_identity check(const lk_issued *issued)
{
    static const lk_rule required = {.mode = LK_MODE_REQUIRED};
    char value[LK_ISSUED_MAX + 16];
    lk_identity id;
    lk_presented presented = {0};
    bool is_cookie = issued->kind == LK_KIND_SEALED;
    (void)snprintf(value, sizeof(value), "%s%s", is_cookie ? "latchkey=" : "Bearer ", issued->text);
    lk_view field = lk_view_of(value);
    if (is_cookie)
        presented = (lk_presented){.cookies = &field, .cookies_n = 1};
    else
        presented = (lk_presented){.authorization = &field, .authorization_n = 1};
    lk_guard_check(w.guard, &presented, &required, &id);
    return id;
}

static bool is_in(const lk_issued *issued)
{
    lk_identity id = check(issued);
    return id.verdict == LK_VERDICT_ALLOW && id.logged_in && strcmp(id.user, "alice") == 0;
}

static uint64_t repeated(void)
{
    return lk_guard_counted(w.guard, LK_COUNT_REPEATED);
}

/* Logged in, and decided on in this second. A remote store is asked the first time; its copy answers the
 * second. */
static void login(lk_kind kind, lk_issued *out)
{
    world_login(&w, kind, "alice", "editor", NULL, out);
    for (unsigned i = 0; i < 3; i++)
        assert_true(is_in(out));
}

static void decision_is_made_once_in_a_second(void **state)
{
    (void)state;
    for (size_t i = 0; i < KINDS; i++) {
        lk_issued issued;
        login(kinds[i], &issued);
        uint64_t before = repeated();
        lk_identity first = check(&issued);
        assert_int_equal(repeated(), before + 1);
        test_clock_advance_ms(SECOND);
        lk_identity anew = check(&issued);
        assert_int_equal(repeated(), before + 1);
        assert_string_equal(first.user, anew.user);
        assert_string_equal(first.roles, anew.roles);
        assert_string_equal(first.public_id, anew.public_id);
        assert_int_equal(first.kind, anew.kind);
        assert_int_equal(first.auth_s, anew.auth_s);
        assert_int_equal(first.expires_s, anew.expires_s);
        assert_int_equal(first.generation, anew.generation);
        assert_int_equal(first.limited, anew.limited);
    }
}

static void logout_holds_in_the_same_second(void **state)
{
    (void)state;
    for (size_t i = 0; i < KINDS; i++) {
        lk_issued out, in;
        login(kinds[i], &out);
        login(kinds[i], &in);
        assert_int_equal(lk_guard_end(w.guard, (lk_view){0}, &out.key, LK_REASON_REVOKED), LK_OK);
        assert_false(is_in(&out));
        assert_true(is_in(&in));
    }
}

static void cut_off_holds_in_the_same_second(void **state)
{
    (void)state;
    for (size_t i = 0; i < KINDS; i++) {
        lk_issued issued;
        lk_cutoff c;
        login(kinds[i], &issued);
        assert_int_equal(lk_guard_cutoff(w.guard, LK_LEVEL_ROLE, (lk_view){0}, LK_VIEW("editor"),
                                         LK_REASON_KICKED, &c, NULL),
                         LK_OK);
        assert_false(is_in(&issued));
    }
}

/* As another process does that has the store open, and no guard. */
static void session_ended_in_the_store_itself_is_out_in_the_same_second(void **state)
{
    (void)state;
    lk_issued issued;
    if (lk_store_where(w.store) == LK_STORE_REMOTE)
        return; /* its stream brings the word, see test_near */
    login(LK_KIND_SESSION_ID, &issued);
    assert_int_equal(lk_store_destroy(w.store, &issued.key, LK_REASON_KICKED, lk_now_s(test_env()) + 100),
                     LK_OK);
    lk_identity id = check(&issued);
    assert_string_equal(lk_reason_word(id.reason), "kicked");
}

static void replaced_id_is_judged_by_its_record(void **state)
{
    (void)state;
    lk_issued old, next;
    login(LK_KIND_SESSION_ID, &old);
    lk_identity prior = check(&old);
    w.settings.grace_s = 0;
    world_login(&w, LK_KIND_SESSION_ID, "alice", "editor", &prior, &next);
    assert_false(is_in(&old));
    assert_true(is_in(&next));
}

static void what_a_location_asks_for_is_judged_each_time(void **state)
{
    (void)state;
    static const lk_rule other_role = {.mode = LK_MODE_REQUIRED, .role = {(const uint8_t *)"admin", 5}};
    static const lk_rule other_kind = {.mode = LK_MODE_REQUIRED, .kinds = 1u << LK_KIND_SEALED};
    static const lk_rule by_cookie = {.mode = LK_MODE_REQUIRED, .carriers = 1u << LK_CARRIER_COOKIE};
    lk_issued issued;
    login(LK_KIND_SESSION_ID, &issued);
    lk_identity id = world_check(&w, LK_CARRIER_HEADER, issued.text, &other_role);
    assert_string_equal(lk_reason_word(id.reason), "insufficient_role");
    id = world_check(&w, LK_CARRIER_HEADER, issued.text, &other_kind);
    assert_string_equal(lk_reason_word(id.reason), "wrong_carrier");
    id = world_check(&w, LK_CARRIER_HEADER, issued.text, &by_cookie);
    assert_string_equal(lk_reason_word(id.reason), "wrong_carrier");
    assert_true(is_in(&issued));
}

static void changed_credential_meets_no_decision_of_another(void **state)
{
    (void)state;
    for (size_t i = 0; i < KINDS; i++) {
        lk_issued issued, changed;
        login(kinds[i], &issued);
        for (size_t at = 0; at < issued.len; at += 7) {
            changed = issued;
            changed.text[at] = changed.text[at] == 'A' ? 'B' : 'A';
            if (strcmp(changed.text, issued.text) != 0)
                assert_false(is_in(&changed));
        }
        assert_true(is_in(&issued));
    }
}

/* ---- ends that race with checks ---- */

static struct {
    lk_issued issued;
    atomic_bool ended, stop;
    atomic_uint round, wrong, checks;
    pthread_mutex_t lock;
} race = {.lock = PTHREAD_MUTEX_INITIALIZER};

static void *check_without_end(void *argument)
{
    (void)argument;
    while (!atomic_load(&race.stop)) {
        pthread_mutex_lock(&race.lock);
        lk_issued mine = race.issued;
        unsigned round = atomic_load(&race.round);
        pthread_mutex_unlock(&race.lock);
        bool was_over = atomic_load(&race.ended);
        bool in = is_in(&mine);
        if (in && was_over && round == atomic_load(&race.round))
            atomic_fetch_add(&race.wrong, 1);
        atomic_fetch_add(&race.checks, 1);
    }
    return NULL;
}

static void nobody_gets_in_once_his_end_was_acknowledged(void **state)
{
    (void)state;
    enum { THREADS = 3, ROUNDS = 60 };
    pthread_t threads[THREADS];
    atomic_store(&race.stop, false);
    world_login(&w, LK_KIND_SESSION_ID, "alice", "", NULL, &race.issued);
    for (size_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, check_without_end, NULL), 0);
    for (unsigned i = 0; i < ROUNDS; i++) {
        lk_issued next;
        world_login(&w, kinds[i % 3], "alice", "", NULL, &next);
        pthread_mutex_lock(&race.lock);
        race.issued = next;
        atomic_store(&race.ended, false);
        atomic_fetch_add(&race.round, 1);
        pthread_mutex_unlock(&race.lock);
        for (unsigned until = atomic_load(&race.checks) + 20; (int)(until - atomic_load(&race.checks)) > 0;)
            (void)sched_yield();
        assert_int_equal(lk_guard_end(w.guard, (lk_view){0}, &next.key, LK_REASON_REVOKED), LK_OK);
        atomic_store(&race.ended, true);
        for (unsigned until = atomic_load(&race.checks) + 20; (int)(until - atomic_load(&race.checks)) > 0;)
            (void)sched_yield();
    }
    atomic_store(&race.stop, true);
    for (size_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    assert_int_equal(atomic_load(&race.wrong), 0);
    assert_true(repeated() > 0);
}

int main(int argc, char **argv)
{
    if (argc > 1)
        store_url = argv[1];
#define TEST(name) cmocka_unit_test_setup_teardown(name, open_world, close_world)
    const struct CMUnitTest tests[] = {
        TEST(decision_is_made_once_in_a_second),
        TEST(logout_holds_in_the_same_second),
        TEST(cut_off_holds_in_the_same_second),
        TEST(session_ended_in_the_store_itself_is_out_in_the_same_second),
        TEST(replaced_id_is_judged_by_its_record),
        TEST(what_a_location_asks_for_is_judged_each_time),
        TEST(changed_credential_meets_no_decision_of_another),
        TEST(nobody_gets_in_once_his_end_was_acknowledged),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
