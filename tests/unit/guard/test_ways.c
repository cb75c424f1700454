/* SPDX-License-Identifier: Apache-2.0
 *
 * A credential of one way is good under another while a site moves, becomes one of the other when it is
 * seen, keeps its name and its data, and stays revoked.
 */
#include "world.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static world w;

/* One of each credential; the store stays the same. */
static const lk_way ways[] = {LK_WAY_SEALED_COOKIE, LK_WAY_AFFINITY, LK_WAY_TOKEN};
enum { WAYS = sizeof(ways) / sizeof(ways[0]) };

static int open_world(void **state)
{
    world_open(&w, *state);
    return 0;
}

static int close_world(void **state)
{
    (void)state;
    world_close(&w);
    return 0;
}

/* The settings of WAY, with a move FROM another (LK_WAY_UNSAID: none), as after a reload. */
static void go(lk_way way, lk_way from)
{
    lk_note note = {""};
    (void)snprintf(w.settings.share, sizeof(w.settings.share), "%s", lk_way_name(way));
    (void)snprintf(w.settings.move_from, sizeof(w.settings.move_from), "%s", lk_way_name(from));
    if (lk_guard_settings_check(&w.settings, &note) != LK_OK)
        fail_msg("%s", note.text);
    world_restart(&w, false);
}

/* What a visitor shows: one cookie. */
typedef struct shown {
    char field[LK_ISSUED_MAX + 16];
    lk_view view;
    lk_presented presented;
} shown;

static const lk_presented *show(shown *s, const char *text)
{
    (void)snprintf(s->field, sizeof(s->field), "latchkey=%.*s", LK_ISSUED_MAX - 1, text);
    s->view = lk_view_of(s->field);
    s->presented = (lk_presented){.cookies = &s->view, .cookies_n = 1};
    return &s->presented;
}

static lk_identity check(const char *text)
{
    static shown s;
    const lk_rule required = {.mode = LK_MODE_REQUIRED};
    lk_identity id;
    lk_guard_check(w.guard, show(&s, text), &required, &id);
    return id;
}

static lk_status reissue(const char *text, lk_issued *out)
{
    static shown s;
    lk_identity id = check(text);
    return lk_guard_reissue(w.guard, show(&s, text), &id, out);
}

static void login(lk_way way, lk_issued *out)
{
    static const lk_view alice = {(const uint8_t *)"alice", 5};
    lk_login who = {.user = alice, .name = alice, .roles = LK_VIEW("staff"), .renews = way == LK_WAY_TOKEN};
    assert_int_equal(lk_guard_issue(w.guard, lk_way_credential(way), &who, NULL, NULL, out, NULL), LK_OK);
}

/* Set the field `n` of the visitor's session; what he holds afterwards is in HELD. */
static void set_number(lk_issued *held, int64_t n)
{
    static shown s;
    lk_identity id = check(held->text);
    lk_issued again;
    lk_op op = {.kind = LK_OP_ADD, .name = LK_VIEW("n"), .number = n};
    assert_int_equal(lk_guard_change(w.guard, show(&s, held->text), &id, 0, &op, 1, NULL, &again, NULL),
                     LK_OK);
    if (again.len > 0)
        *held = again;
}

static void assert_number(const char *text, const char *expected)
{
    static shown s;
    static uint8_t buf[LK_SESSION_ROOM];
    lk_identity id = check(text);
    lk_session session;
    lk_reason why;
    lk_view value;
    assert_int_equal(lk_guard_session(w.guard, show(&s, text), &id, buf, &session, &why), LK_OK);
    assert_int_equal(lk_fields_get(session.fields, LK_VIEW("n"), &value), LK_OK);
    assert_true(lk_view_equal(value, lk_view_of(expected)));
}

static void assert_alice(const char *text, lk_kind kind)
{
    lk_identity id = check(text);
    assert_int_equal(id.verdict, LK_VERDICT_ALLOW);
    assert_int_equal(id.kind, kind);
    assert_string_equal(id.user, "alice");
    assert_string_equal(id.roles, "staff");
}

static void each_pair(void (*try)(lk_way from, lk_way to))
{
    for (size_t i = 0; i < WAYS; i++)
        for (size_t k = 0; k < WAYS; k++)
            if (i != k)
                try(ways[i], ways[k]);
}

static void move_once(lk_way from, lk_way to)
{
    static lk_issued old, new;
    go(from, LK_WAY_UNSAID);
    login(from, &old);
    set_number(&old, 7);
    go(to, from);
    assert_alice(old.text, lk_way_credential(from));
    assert_int_equal(check(old.text).reissue, LK_REISSUE_STORE);
    assert_int_equal(reissue(old.text, &new), LK_OK);
    assert_alice(new.text, lk_way_credential(to));
    assert_int_equal(check(new.text).reissue, LK_REISSUE_NO);
    assert_number(new.text, "7");
    /* the answer may be lost: what he had is still good */
    assert_alice(old.text, lk_way_credential(from));
}

static void login_becomes_one_of_the_other_way_and_keeps_its_data(void **state)
{
    (void)state;
    each_pair(move_once);
}

static void keep_name(lk_way from, lk_way to)
{
    static lk_issued old, new;
    char before[LK_PUBLIC_ID_LEN + 1];
    go(from, LK_WAY_UNSAID);
    login(from, &old);
    go(to, from);
    memcpy(before, check(old.text).public_id, sizeof(before));
    assert_int_equal(reissue(old.text, &new), LK_OK);
    /* only a token holds no id, and its session is given a new one */
    if (from != LK_WAY_TOKEN)
        assert_string_equal(check(new.text).public_id, before);
}

static void session_keeps_its_name(void **state)
{
    (void)state;
    each_pair(keep_name);
}

static void move_twice(lk_way from, lk_way to)
{
    static lk_issued old, first, second;
    go(from, LK_WAY_UNSAID);
    login(from, &old);
    go(to, from);
    assert_int_equal(reissue(old.text, &first), LK_OK);
    assert_int_equal(reissue(old.text, &second), LK_OK);
    assert_alice(first.text, lk_way_credential(to));
    assert_alice(second.text, lk_way_credential(to));
}

static void answer_that_was_lost_is_given_again_later(void **state)
{
    static lk_issued old, lost, late;
    (void)state;
    go(LK_WAY_TOKEN, LK_WAY_UNSAID);
    login(LK_WAY_TOKEN, &old);
    go(LK_WAY_AFFINITY, LK_WAY_TOKEN);
    assert_int_equal(reissue(old.text, &lost), LK_OK);
    test_clock_advance_ms((w.settings.idle_s - 1) * 1000);
    assert_int_equal(lk_guard_upkeep(w.guard), LK_OK);
    assert_int_equal(reissue(old.text, &late), LK_OK);
    assert_alice(late.text, LK_KIND_SESSION_ID);
}

static void two_requests_at_once_are_both_known(void **state)
{
    (void)state;
    each_pair(move_twice);
}

static void go_and_come_back(lk_way from, lk_way to)
{
    static lk_issued old, there, back;
    go(from, LK_WAY_UNSAID);
    login(from, &old);
    set_number(&old, 1);
    go(to, from);
    assert_int_equal(reissue(old.text, &there), LK_OK);
    set_number(&there, 2);
    go(from, to);
    assert_int_equal(reissue(there.text, &back), LK_OK);
    assert_alice(back.text, lk_way_credential(from));
    assert_number(back.text, "3");
}

static void way_back_brings_along_what_was_changed_on_the_other_side(void **state)
{
    (void)state;
    each_pair(go_and_come_back);
}

static void assert_revoked(const char *text)
{
    lk_identity id = check(text);
    assert_int_equal(id.verdict, LK_VERDICT_REFUSE);
    assert_true(id.reason == LK_REASON_REVOKED);
}

static void log_out_after(lk_way from, lk_way to)
{
    static lk_issued old, new, again;
    go(from, LK_WAY_UNSAID);
    login(from, &old);
    go(to, from);
    assert_int_equal(reissue(old.text, &new), LK_OK);
    lk_identity id = check(new.text);
    assert_int_equal(lk_guard_end_of(w.guard, &id, LK_REASON_REVOKED), LK_OK);
    assert_revoked(new.text);
    assert_revoked(old.text);
    assert_int_not_equal(reissue(old.text, &again), LK_OK);
    go(from, to);
    assert_revoked(new.text);
    assert_revoked(old.text);
}

static void logout_ends_what_he_held_before_as_well(void **state)
{
    (void)state;
    each_pair(log_out_after);
}

static void log_out_before(lk_way from, lk_way to)
{
    static lk_issued old, new;
    go(from, LK_WAY_UNSAID);
    login(from, &old);
    lk_identity id = check(old.text);
    assert_int_equal(lk_guard_end_of(w.guard, &id, LK_REASON_REVOKED), LK_OK);
    go(to, from);
    assert_revoked(old.text);
    assert_int_not_equal(reissue(old.text, &new), LK_OK);
}

static void who_was_put_out_stays_out(void **state)
{
    (void)state;
    each_pair(log_out_before);
}

static void ban_after(lk_way from, lk_way to)
{
    static lk_issued old, new;
    uint32_t ended;
    go(from, LK_WAY_UNSAID);
    login(from, &old);
    go(to, from);
    assert_int_equal(reissue(old.text, &new), LK_OK);
    assert_int_equal(
        lk_guard_end_user(w.guard, LK_VIEW(""), LK_VIEW("alice"), NULL, LK_REASON_REVOKED, &ended), LK_OK);
    assert_revoked(old.text);
    assert_revoked(new.text);
}

static void all_of_a_user_end_whatever_they_hold(void **state)
{
    (void)state;
    each_pair(ban_after);
}

static void nothing_is_converted_where_nothing_moves(void **state)
{
    static lk_issued held, none;
    (void)state;
    for (size_t i = 0; i < WAYS; i++) {
        go(LK_WAY_UNSAID, LK_WAY_UNSAID);
        login(ways[i], &held);
        for (size_t k = 0; k < WAYS; k++) {
            go(ways[k], LK_WAY_UNSAID);
            assert_alice(held.text, lk_way_credential(ways[i]));
            assert_int_equal(check(held.text).reissue, LK_REISSUE_NO);
            assert_int_equal(reissue(held.text, &none), LK_MISS);
        }
    }
}

static void credential_in_a_header_stays_what_it_is(void **state)
{
    static lk_issued held;
    (void)state;
    go(LK_WAY_TOKEN, LK_WAY_UNSAID);
    login(LK_WAY_TOKEN, &held);
    go(LK_WAY_SEALED_COOKIE, LK_WAY_TOKEN);
    lk_identity id = world_check(&w, LK_CARRIER_HEADER, held.text, NULL);
    assert_int_equal(id.verdict, LK_VERDICT_ALLOW);
    assert_int_equal(id.reissue, LK_REISSUE_NO);
}

static void login_of_the_site_holds_every_scope_under_every_way(void **state)
{
    static lk_issued held;
    static shown s;
    const lk_rule scoped = {.mode = LK_MODE_REQUIRED, .scope = LK_VIEW("orders.read")};
    lk_identity id;
    (void)state;
    for (size_t i = 0; i < WAYS; i++) {
        go(ways[i], LK_WAY_UNSAID);
        login(ways[i], &held);
        lk_guard_check(w.guard, show(&s, held.text), &scoped, &id);
        assert_int_equal(id.verdict, LK_VERDICT_ALLOW);
    }
    world_login(&w, LK_KIND_JWT, "bob", "", NULL, &held);
    lk_guard_check(w.guard, show(&s, held.text), &scoped, &id);
    assert_int_equal(id.reason, LK_REASON_INSUFFICIENT_SCOPE);
}

static void anonymous_visit_moves_between_the_store_and_the_cookie(void **state)
{
    static lk_issued visit, moved;
    static shown s;
    const lk_rule anybody = {.mode = LK_MODE_OPTIONAL};
    lk_identity id;
    (void)state;
    go(LK_WAY_AFFINITY, LK_WAY_UNSAID);
    assert_int_equal(lk_guard_issue_anonymous(w.guard, LK_VIEW("a"), LK_VIEW("b"), &visit, NULL), LK_OK);
    go(LK_WAY_SEALED_COOKIE, LK_WAY_AFFINITY);
    lk_guard_check(w.guard, show(&s, visit.text), &anybody, &id);
    assert_int_equal(id.reissue, LK_REISSUE_STORE);
    assert_int_equal(lk_guard_reissue(w.guard, &s.presented, &id, &moved), LK_OK);
    lk_guard_check(w.guard, show(&s, moved.text), &anybody, &id);
    assert_true(id.has_session);
    assert_int_equal(id.kind, LK_KIND_SEALED);
    /* a token says who somebody is: a visitor nobody knows keeps his session */
    go(LK_WAY_TOKEN, LK_WAY_AFFINITY);
    lk_guard_check(w.guard, show(&s, visit.text), &anybody, &id);
    assert_true(id.has_session);
    assert_int_equal(id.reissue, LK_REISSUE_NO);
}

static void sealed_session_is_handed_out_anew_by_tenths_of_its_idle_time(void **state)
{
    static lk_issued held, next;
    (void)state;
    go(LK_WAY_SEALED_COOKIE, LK_WAY_UNSAID);
    login(LK_WAY_SEALED_COOKIE, &held);
    test_clock_advance_ms((w.settings.idle_s / 10 - 1) * 1000);
    assert_int_equal(check(held.text).reissue, LK_REISSUE_NO);
    test_clock_advance_ms((1) * 1000);
    assert_int_equal(check(held.text).reissue, LK_REISSUE_HERE);
    assert_int_equal(reissue(held.text, &next), LK_OK);
    test_clock_advance_ms((w.settings.idle_s - w.settings.idle_s / 10 + 1) * 1000);
    assert_int_equal(check(held.text).reason, LK_REASON_IDLE);
    assert_alice(next.text, LK_KIND_SEALED);
}

/* The owner's browser goes on, somebody else kept what it had N renewals ago. */
static lk_issued fall_behind(int renewals, lk_issued *owner)
{
    static lk_issued next, copy;
    go(LK_WAY_SEALED_COOKIE, LK_WAY_UNSAID);
    login(LK_WAY_SEALED_COOKIE, owner);
    copy = *owner;
    for (int i = 0; i < renewals; i++) {
        test_clock_advance_ms(w.settings.idle_s * 100);
        assert_int_equal(reissue(owner->text, &next), LK_OK);
        *owner = next;
        assert_alice(owner->text, LK_KIND_SEALED);
    }
    return copy;
}

static void copy_of_a_sealed_session_that_falls_behind_ends_it_for_both(void **state)
{
    static lk_issued owner, copy;
    (void)state;
    copy = fall_behind(2, &owner);
    assert_revoked(copy.text);
    assert_revoked(owner.text);
    assert_int_equal(lk_guard_counted(w.guard, LK_COUNT_COPIES), 1);
    /* for every node, and after a restart */
    assert_int_equal(lk_guard_upkeep(w.guard), LK_OK);
    if (lk_store_is_durable(w.store))
        world_restart(&w, true);
    assert_revoked(owner.text);
}

static void request_that_was_on_its_way_is_no_copy(void **state)
{
    static lk_issued owner, late;
    (void)state;
    late = fall_behind(1, &owner);
    assert_alice(late.text, LK_KIND_SEALED);
    assert_alice(owner.text, LK_KIND_SEALED);
    assert_int_equal(lk_guard_counted(w.guard, LK_COUNT_COPIES), 0);
}

static void renewed_token_ends_with_the_login(void **state)
{
    static lk_issued held, next;
    (void)state;
    go(LK_WAY_TOKEN, LK_WAY_UNSAID);
    login(LK_WAY_TOKEN, &held);
    for (int64_t t = 0; t < w.settings.absolute_s - w.settings.idle_s / 2; t += w.settings.idle_s / 2) {
        test_clock_advance_ms((w.settings.idle_s / 2) * 1000);
        if (check(held.text).reissue == LK_REISSUE_HERE) {
            assert_int_equal(reissue(held.text, &next), LK_OK);
            held = next;
        }
        assert_alice(held.text, LK_KIND_JWT);
    }
    test_clock_advance_ms((w.settings.idle_s) * 1000);
    assert_int_equal(check(held.text).reason, LK_REASON_EXPIRED);
}

#define T(name) cmocka_unit_test_setup_teardown(name, open_world, close_world)

int main(int argc, char **argv)
{
    const char *store = argc > 1 ? argv[1] : "memory:";
    struct CMUnitTest tests[] = {
        T(login_becomes_one_of_the_other_way_and_keeps_its_data),
        T(session_keeps_its_name),
        T(two_requests_at_once_are_both_known),
        T(answer_that_was_lost_is_given_again_later),
        T(way_back_brings_along_what_was_changed_on_the_other_side),
        T(logout_ends_what_he_held_before_as_well),
        T(who_was_put_out_stays_out),
        T(all_of_a_user_end_whatever_they_hold),
        T(nothing_is_converted_where_nothing_moves),
        T(credential_in_a_header_stays_what_it_is),
        T(login_of_the_site_holds_every_scope_under_every_way),
        T(anonymous_visit_moves_between_the_store_and_the_cookie),
        T(sealed_session_is_handed_out_anew_by_tenths_of_its_idle_time),
        T(copy_of_a_sealed_session_that_falls_behind_ends_it_for_both),
        T(request_that_was_on_its_way_is_no_copy),
        T(renewed_token_ends_with_the_login),
    };
    for (size_t i = 0; i < sizeof(tests) / sizeof(tests[0]); i++)
        tests[i].initial_state = (void *)(uintptr_t)store;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
