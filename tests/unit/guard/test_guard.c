/* SPDX-License-Identifier: Apache-2.0
 *
 * The guard: logged in stays in, put out stays out, unknown is neither. Run over every store.
 */
#include "world.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { SECOND = 1000, MINUTE = 60 * SECOND };

static const lk_rule optional_rule = {.mode = LK_MODE_OPTIONAL};
static const lk_kind kinds[] = {LK_KIND_SESSION_ID, LK_KIND_TOKEN, LK_KIND_JWT};
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

static void assert_in(const lk_identity *id, const char *user)
{
    assert_string_equal(lk_reason_word(id->reason), "");
    assert_int_equal(id->verdict, LK_VERDICT_ALLOW);
    assert_true(id->logged_in);
    assert_string_equal(id->user, user);
}

static void assert_out(const lk_identity *id, const char *reason)
{
    assert_string_equal(lk_reason_word(id->reason), reason);
    assert_int_equal(id->verdict, LK_VERDICT_REFUSE);
    assert_int_equal(lk_identity_http_status(id), 401);
    assert_false(id->logged_in);
    assert_string_equal(id->user, "");
}

static void login_is_known_in_cookie_and_header_for_every_kind(void **state)
{
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        lk_issued issued;
        world_login(&w, kinds[i], "alice", "admin editor", NULL, &issued);
        for (int carrier = 0; carrier <= LK_CARRIER_HEADER; carrier++) {
            lk_identity id = world_check(&w, (lk_carrier)carrier, issued.text, NULL);
            assert_in(&id, "alice");
            assert_int_equal(id.kind, kinds[i]);
            assert_int_equal(id.carrier, carrier);
            assert_string_equal(id.roles, "admin editor");
            assert_true(id.has_session);
            assert_int_equal(strlen(id.public_id), LK_PUBLIC_ID_LEN);
            assert_memory_equal(id.key.bytes, issued.key.bytes, LK_SESSION_KEY_LEN);
        }
    }
}

static void nobody_is_refused_where_required_and_anonymous_where_optional(void **state)
{
    (void)state;
    lk_presented nothing = {0};
    lk_identity id;
    lk_rule required = {.mode = LK_MODE_REQUIRED};
    lk_guard_check(w.guard, &nothing, &required, &id);
    assert_out(&id, "no_credential");
    lk_guard_check(w.guard, &nothing, &optional_rule, &id);
    assert_int_equal(id.verdict, LK_VERDICT_ALLOW);
    assert_false(id.logged_in);
    id = world_check(&w, LK_CARRIER_COOKIE, "", NULL);
    assert_out(&id, "no_credential");
}

static void unknown_id_is_never_adopted_and_its_cookie_removed(void **state)
{
    (void)state;
    char forged[LK_SESSION_ID_LEN + 1];
    memset(forged, 'A', LK_SESSION_ID_LEN);
    forged[LK_SESSION_ID_LEN] = '\0';
    lk_identity id = world_check(&w, LK_CARRIER_COOKIE, forged, NULL);
    assert_out(&id, "expired");
    assert_true(id.drop_cookie);
    id = world_check(&w, LK_CARRIER_COOKIE, forged, &optional_rule);
    assert_int_equal(id.verdict, LK_VERDICT_ALLOW);
    assert_false(id.has_session);
    assert_string_equal(id.public_id, "");
}

static void public_id_opens_nothing(void **state)
{
    (void)state;
    lk_issued issued;
    char public_id[LK_PUBLIC_ID_LEN + 1];
    world_login(&w, LK_KIND_SESSION_ID, "alice", "", NULL, &issued);
    lk_public_id_write(&issued.key, public_id);
    lk_identity id = world_check(&w, LK_CARRIER_COOKIE, public_id, NULL);
    assert_out(&id, "malformed");
}

static void every_changed_character_of_an_id_is_refused(void **state)
{
    (void)state;
    lk_issued issued;
    world_login(&w, LK_KIND_SESSION_ID, "alice", "", NULL, &issued);
    for (size_t i = 0; i < issued.len; i++) {
        char changed[LK_SESSION_ID_LEN + 1];
        memcpy(changed, issued.text, sizeof(changed));
        changed[i] = changed[i] == 'A' ? 'E' : 'A';
        lk_identity id = world_check(&w, LK_CARRIER_COOKIE, changed, NULL);
        assert_int_equal(id.verdict, LK_VERDICT_REFUSE);
    }
    lk_identity id = world_check(&w, LK_CARRIER_COOKIE, issued.text, NULL);
    assert_in(&id, "alice");
}

static void session_without_use_ends_idle(void **state)
{
    (void)state;
    lk_issued issued;
    world_login(&w, LK_KIND_SESSION_ID, "alice", "", NULL, &issued);
    for (int i = 0; i < 5; i++) {
        test_clock_advance_ms(29 * MINUTE);
        lk_identity used = world_check(&w, LK_CARRIER_COOKIE, issued.text, NULL);
        assert_in(&used, "alice");
    }
    test_clock_advance_ms(31 * MINUTE);
    lk_identity id = world_check(&w, LK_CARRIER_COOKIE, issued.text, NULL);
    assert_out(&id, "idle");
    assert_true(id.drop_cookie);
}

static void use_that_was_not_flushed_yet_counts(void **state)
{
    (void)state;
    lk_issued issued;
    world_login(&w, LK_KIND_SESSION_ID, "alice", "", NULL, &issued);
    test_clock_advance_ms(2 * MINUTE); /* under a tenth of the idle time: in the table only */
    lk_identity id = world_check(&w, LK_CARRIER_COOKIE, issued.text, NULL);
    assert_in(&id, "alice");
    test_clock_advance_ms(29 * MINUTE); /* 31 minutes after login, 29 after the last use */
    id = world_check(&w, LK_CARRIER_COOKIE, issued.text, NULL);
    assert_in(&id, "alice");
}

static void flushed_use_survives_the_loss_of_the_table(void **state)
{
    (void)state;
    lk_issued issued;
    if (!lk_store_is_durable(w.store))
        return; /* the memory store is the table; its loss is the next test */
    world_login(&w, LK_KIND_SESSION_ID, "alice", "", NULL, &issued);
    test_clock_advance_ms(20 * MINUTE);
    lk_identity id = world_check(&w, LK_CARRIER_COOKIE, issued.text, NULL);
    assert_in(&id, "alice");
    assert_int_equal(lk_guard_upkeep(w.guard), LK_OK);
    assert_int_equal(lk_guard_counted(w.guard, LK_COUNT_TOUCHES), 1);
    world_restart(&w, true);
    test_clock_advance_ms(20 * MINUTE);
    id = world_check(&w, LK_CARRIER_COOKIE, issued.text, NULL);
    assert_in(&id, "alice");
}

static void last_seen_is_written_once_in_a_tenth_of_the_idle_time(void **state)
{
    (void)state;
    lk_issued issued;
    if (!lk_store_is_durable(w.store))
        return;
    world_login(&w, LK_KIND_SESSION_ID, "alice", "", NULL, &issued);
    for (int i = 0; i < 179; i++) {
        test_clock_advance_ms(1 * SECOND);
        lk_identity id = world_check(&w, LK_CARRIER_COOKIE, issued.text, NULL);
        assert_in(&id, "alice");
    }
    assert_int_equal(lk_guard_upkeep(w.guard), LK_OK);
    assert_int_equal(lk_guard_counted(w.guard, LK_COUNT_TOUCHES), 0);
    for (int i = 0; i < 100; i++) {
        test_clock_advance_ms(20);
        (void)world_check(&w, LK_CARRIER_COOKIE, issued.text, NULL);
    }
    assert_int_equal(lk_guard_upkeep(w.guard), LK_OK);
    assert_int_equal(lk_guard_counted(w.guard, LK_COUNT_TOUCHES), 1);
}

static void absolute_life_is_not_lengthened_by_use(void **state)
{
    (void)state;
    lk_issued issued;
    world_login(&w, LK_KIND_SESSION_ID, "alice", "", NULL, &issued);
    for (int i = 0; i < 47; i++) {
        test_clock_advance_ms(15 * MINUTE);
        lk_identity used = world_check(&w, LK_CARRIER_COOKIE, issued.text, NULL);
        assert_in(&used, "alice");
    }
    test_clock_advance_ms(15 * MINUTE + SECOND);
    lk_identity id = world_check(&w, LK_CARRIER_COOKIE, issued.text, NULL);
    assert_out(&id, "expired");
}

static void remembered_session_lives_long_and_has_no_idle_limit(void **state)
{
    (void)state;
    lk_issued issued;
    lk_login login = {.user = LK_VIEW("alice"), .remember = true};
    assert_int_equal(lk_guard_issue(w.guard, LK_KIND_SESSION_ID, &login, NULL, NULL, &issued, NULL), LK_OK);
    test_clock_advance_ms(29LL * 24 * 60 * MINUTE);
    lk_identity id = world_check(&w, LK_CARRIER_COOKIE, issued.text, NULL);
    assert_in(&id, "alice");
    test_clock_advance_ms(24LL * 60 * MINUTE);
    id = world_check(&w, LK_CARRIER_COOKIE, issued.text, NULL);
    assert_out(&id, "expired");
}

static void tokens_end_at_their_time(void **state)
{
    (void)state;
    for (size_t i = 1; i < 3; i++) {
        lk_issued issued;
        world_login(&w, kinds[i], "alice", "", NULL, &issued);
        test_clock_advance_ms(15 * MINUTE - SECOND);
        lk_identity id = world_check(&w, LK_CARRIER_HEADER, issued.text, NULL);
        assert_in(&id, "alice");
        test_clock_advance_ms(SECOND);
        id = world_check(&w, LK_CARRIER_HEADER, issued.text, NULL);
        assert_out(&id, "expired");
    }
}

static void logout_ends_every_kind_at_once_and_for_good(void **state)
{
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        lk_issued issued, other;
        world_login(&w, kinds[i], "alice", "", NULL, &issued);
        world_login(&w, kinds[i], "alice", "", NULL, &other);
        (void)world_check(&w, LK_CARRIER_HEADER, issued.text, NULL);
        assert_int_equal(lk_guard_end(w.guard, (lk_view){0}, &issued.key, LK_REASON_REVOKED), LK_OK);
        lk_identity id = world_check(&w, LK_CARRIER_HEADER, issued.text, NULL);
        assert_out(&id, "revoked");
        id = world_check(&w, LK_CARRIER_HEADER, other.text, NULL);
        assert_in(&id, "alice");
        assert_int_equal(lk_guard_end(w.guard, (lk_view){0}, &issued.key, LK_REASON_REVOKED), LK_OK);
    }
}

static void logout_survives_a_restart(void **state)
{
    (void)state;
    for (int fresh = 0; fresh < 2; fresh++) {
        for (size_t i = 0; i < 3; i++) {
            lk_issued out, in;
            world_login(&w, kinds[i], "alice", "", NULL, &out);
            world_login(&w, kinds[i], "alice", "", NULL, &in);
            assert_int_equal(lk_guard_end(w.guard, (lk_view){0}, &out.key, LK_REASON_REVOKED), LK_OK);
            test_clock_advance_ms(5);
            world_restart(&w, fresh != 0);
            lk_identity id = world_check(&w, LK_CARRIER_HEADER, out.text, NULL);
            assert_int_equal(id.verdict, LK_VERDICT_REFUSE);
            id = world_check(&w, LK_CARRIER_HEADER, in.text, NULL);
            if (lk_store_is_durable(w.store) || fresh == 0)
                assert_in(&id, "alice");
        }
    }
}

static void memory_that_is_gone_takes_its_tokens_along(void **state)
{
    (void)state;
    if (lk_store_is_durable(w.store))
        return;
    for (size_t i = 0; i < 3; i++) {
        lk_issued issued;
        world_login(&w, kinds[i], "alice", "", NULL, &issued);
        test_clock_advance_ms(2 * SECOND);
        world_restart(&w, true);
        lk_identity id = world_check(&w, LK_CARRIER_HEADER, issued.text, NULL);
        assert_out(&id, "expired");
    }
}

static void logout_everywhere_reaches_all_of_one_user_and_nobody_else(void **state)
{
    (void)state;
    lk_issued alice[3], bob;
    uint32_t ended = 0;
    for (size_t i = 0; i < 3; i++)
        world_login(&w, kinds[i], "alice", "", NULL, &alice[i]);
    world_login(&w, LK_KIND_JWT, "bob", "", NULL, &bob);
    assert_int_equal(
        lk_guard_end_user(w.guard, (lk_view){0}, LK_VIEW("alice"), NULL, LK_REASON_KICKED, &ended), LK_OK);
    assert_int_equal(ended, 3);
    for (size_t i = 0; i < 3; i++) {
        lk_identity id = world_check(&w, LK_CARRIER_HEADER, alice[i].text, NULL);
        assert_out(&id, "kicked");
    }
    lk_identity id = world_check(&w, LK_CARRIER_HEADER, bob.text, NULL);
    assert_in(&id, "bob");
}

static void login_in_the_very_second_of_a_cut_off_is_not_under_it(void **state)
{
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        lk_issued before, after;
        world_login(&w, kinds[i], "alice", "", NULL, &before);
        assert_int_equal(
            lk_guard_end_user(w.guard, (lk_view){0}, LK_VIEW("alice"), NULL, LK_REASON_REVOKED, NULL), LK_OK);
        world_login(&w, kinds[i], "alice", "", NULL, &after);
        lk_identity id = world_check(&w, LK_CARRIER_HEADER, before.text, NULL);
        assert_out(&id, "revoked");
        id = world_check(&w, LK_CARRIER_HEADER, after.text, NULL);
        assert_in(&id, "alice");
    }
}

static void other_sessions_end_and_the_current_one_stays(void **state)
{
    (void)state;
    lk_issued mine, others[4];
    uint32_t ended = 0;
    world_login(&w, LK_KIND_SESSION_ID, "alice", "", NULL, &mine);
    for (size_t i = 0; i < 4; i++)
        world_login(&w, kinds[i % 3], "alice", "", NULL, &others[i]);
    assert_int_equal(
        lk_guard_end_user(w.guard, (lk_view){0}, LK_VIEW("alice"), &mine.key, LK_REASON_REVOKED, &ended),
        LK_OK);
    assert_int_equal(ended, 4);
    lk_identity id = world_check(&w, LK_CARRIER_COOKIE, mine.text, NULL);
    assert_in(&id, "alice");
    for (size_t i = 0; i < 4; i++) {
        id = world_check(&w, LK_CARRIER_HEADER, others[i].text, NULL);
        assert_out(&id, "revoked");
    }
}

static void cut_off_holds_at_every_level(void **state)
{
    (void)state;
    static const struct {
        lk_level level;
        const char *key;
    } levels[] = {
        {LK_LEVEL_ALL, ""}, {LK_LEVEL_REALM, ""}, {LK_LEVEL_ROLE, "editor"}, {LK_LEVEL_USER, "alice"}};
    for (size_t l = 0; l < sizeof(levels) / sizeof(levels[0]); l++) {
        lk_issued issued[3];
        for (size_t i = 0; i < 3; i++)
            world_login(&w, kinds[i], "alice", "admin editor", NULL, &issued[i]);
        assert_int_equal(lk_guard_cutoff(w.guard, levels[l].level, (lk_view){0}, lk_view_of(levels[l].key),
                                         LK_REASON_BANNED, NULL, NULL),
                         LK_OK);
        for (size_t i = 0; i < 3; i++) {
            lk_identity id = world_check(&w, LK_CARRIER_HEADER, issued[i].text, NULL);
            assert_out(&id, "banned");
        }
        test_clock_advance_ms(SECOND);
    }
}

static void cut_off_of_another_key_reaches_nobody(void **state)
{
    (void)state;
    lk_issued issued;
    static const lk_level levels[] = {LK_LEVEL_REALM,  LK_LEVEL_ROLE,   LK_LEVEL_CLIENT, LK_LEVEL_USER,
                                      LK_LEVEL_DEVICE, LK_LEVEL_FAMILY, LK_LEVEL_SESSION};
    for (size_t i = 0; i < 3; i++) {
        world_login(&w, kinds[i], "alice", "admin", NULL, &issued);
        for (size_t l = 0; l < sizeof(levels) / sizeof(levels[0]); l++)
            assert_int_equal(lk_guard_cutoff(w.guard, levels[l], LK_VIEW("elsewhere"), LK_VIEW("alice2"),
                                             LK_REASON_KICKED, NULL, NULL),
                             LK_OK);
        lk_identity id = world_check(&w, LK_CARRIER_HEADER, issued.text, NULL);
        assert_in(&id, "alice");
    }
}

static void anonymous_cart_moves_into_the_login_and_the_rest_stays_behind(void **state)
{
    (void)state;
    lk_issued visit, login;
    lk_op ops[] = {{.kind = LK_OP_SET, .name = LK_VIEW("cart"), .value = LK_VIEW("[1]")},
                   {.kind = LK_OP_SET, .name = LK_VIEW("is_admin"), .value = LK_VIEW("true")}};
    uint32_t revision;
    lk_issued again;
    uint8_t *record = malloc(LK_RECORD_MAX);
    lk_session s;
    lk_view value;
    lk_reason why;
    assert_int_equal(lk_guard_issue_anonymous(w.guard, LK_VIEW("curl"), LK_VIEW("127.0.0.1"), &visit, NULL),
                     LK_OK);
    lk_identity id = world_check(&w, LK_CARRIER_COOKIE, visit.text, &optional_rule);
    assert_true(id.has_session);
    assert_false(id.logged_in);
    assert_int_equal(lk_guard_change(w.guard, NULL, &id, 0, ops, 2, &revision, &again, NULL), LK_OK);
    world_login(&w, LK_KIND_SESSION_ID, "alice", "", &id, &login);
    assert_int_equal(lk_guard_record(w.guard, &login.key, record, &s, &why), LK_OK);
    assert_int_equal(lk_fields_get(s.fields, LK_VIEW("cart"), &value), LK_OK);
    assert_true(lk_view_equal(value, LK_VIEW("[1]")));
    assert_int_equal(lk_fields_get(s.fields, LK_VIEW("is_admin"), &value), LK_MISS);
    free(record);
}

static void anonymous_visitor_is_refused_where_login_is_required(void **state)
{
    (void)state;
    lk_issued visit;
    assert_int_equal(lk_guard_issue_anonymous(w.guard, (lk_view){0}, (lk_view){0}, &visit, NULL), LK_OK);
    lk_identity id = world_check(&w, LK_CARRIER_COOKIE, visit.text, NULL);
    assert_string_equal(lk_reason_word(id.reason), "no_credential");
    assert_int_equal(id.verdict, LK_VERDICT_REFUSE);
    assert_false(id.drop_cookie);
}

static void login_gives_a_new_id_and_the_old_one_keeps_its_own_rights_for_a_moment(void **state)
{
    (void)state;
    lk_issued visit, login;
    uint32_t revision;
    lk_issued again;
    lk_op op = {.kind = LK_OP_SET, .name = LK_VIEW("cart"), .value = LK_VIEW("[2]")};
    assert_int_equal(lk_guard_issue_anonymous(w.guard, (lk_view){0}, (lk_view){0}, &visit, NULL), LK_OK);
    lk_identity id = world_check(&w, LK_CARRIER_COOKIE, visit.text, &optional_rule);
    world_login(&w, LK_KIND_SESSION_ID, "alice", "", &id, &login);
    assert_string_not_equal(visit.text, login.text);
    lk_identity old = world_check(&w, LK_CARRIER_COOKIE, visit.text, &optional_rule);
    assert_true(old.has_session);
    assert_false(old.logged_in); /* fixation: whoever planted the old id gains nothing by the login */
    assert_int_equal(lk_guard_change(w.guard, NULL, &old, 0, &op, 1, &revision, &again, NULL), LK_STALE);
    test_clock_advance_ms(11 * SECOND);
    old = world_check(&w, LK_CARRIER_COOKIE, visit.text, &optional_rule);
    assert_false(old.has_session);
    old = world_check(&w, LK_CARRIER_COOKIE, login.text, NULL);
    assert_in(&old, "alice");
}

static void logout_ends_the_replaced_id_as_well(void **state)
{
    (void)state;
    lk_issued first, second;
    world_login(&w, LK_KIND_SESSION_ID, "alice", "", NULL, &first);
    lk_identity id = world_check(&w, LK_CARRIER_COOKIE, first.text, NULL);
    world_login(&w, LK_KIND_SESSION_ID, "alice", "", &id, &second);
    id = world_check(&w, LK_CARRIER_COOKIE, first.text, NULL);
    assert_in(&id, "alice"); /* the parallel requests of one page */
    assert_int_equal(lk_guard_end(w.guard, (lk_view){0}, &second.key, LK_REASON_REVOKED), LK_OK);
    id = world_check(&w, LK_CARRIER_COOKIE, first.text, NULL);
    assert_int_equal(id.verdict, LK_VERDICT_REFUSE);
    id = world_check(&w, LK_CARRIER_COOKIE, second.text, NULL);
    assert_out(&id, "revoked");
}

static void login_as_somebody_else_ends_the_former_session_and_takes_nothing_of_it(void **state)
{
    (void)state;
    lk_issued alice, bob;
    uint32_t revision;
    lk_issued again;
    uint8_t *record = malloc(LK_RECORD_MAX);
    lk_session s;
    lk_view value;
    lk_reason why;
    lk_op op = {.kind = LK_OP_SET, .name = LK_VIEW("cart"), .value = LK_VIEW("[3]")};
    world_login(&w, LK_KIND_SESSION_ID, "alice", "", NULL, &alice);
    lk_identity id = world_check(&w, LK_CARRIER_COOKIE, alice.text, NULL);
    assert_int_equal(lk_guard_change(w.guard, NULL, &id, 0, &op, 1, &revision, &again, NULL), LK_OK);
    world_login(&w, LK_KIND_SESSION_ID, "bob", "", &id, &bob);
    assert_int_equal(lk_guard_record(w.guard, &bob.key, record, &s, &why), LK_OK);
    assert_int_equal(lk_fields_get(s.fields, LK_VIEW("cart"), &value), LK_MISS);
    id = world_check(&w, LK_CARRIER_COOKIE, alice.text, NULL);
    assert_int_equal(id.verdict, LK_VERDICT_REFUSE);
    free(record);
}

static void change_in_flight_cannot_bring_a_session_back(void **state)
{
    (void)state;
    lk_issued issued;
    uint32_t revision;
    lk_issued again;
    lk_op op = {.kind = LK_OP_SET, .name = LK_VIEW("cart"), .value = LK_VIEW("[4]")};
    world_login(&w, LK_KIND_SESSION_ID, "alice", "", NULL, &issued);
    lk_identity id = world_check(&w, LK_CARRIER_COOKIE, issued.text, NULL);
    assert_int_equal(lk_guard_end(w.guard, (lk_view){0}, &id.key, LK_REASON_REVOKED), LK_OK);
    assert_int_equal(lk_guard_change(w.guard, NULL, &id, 0, &op, 1, &revision, &again, NULL), LK_STALE);
    id = world_check(&w, LK_CARRIER_COOKIE, issued.text, NULL);
    assert_out(&id, "revoked");
}

static void rules_of_a_location_are_judged(void **state)
{
    (void)state;
    lk_issued issued;
    world_login(&w, LK_KIND_SESSION_ID, "alice", "editor staff", NULL, &issued);
    lk_rule rule = {.mode = LK_MODE_REQUIRED, .role = LK_VIEW("staff editor")};
    lk_identity id = world_check(&w, LK_CARRIER_COOKIE, issued.text, &rule);
    assert_in(&id, "alice");
    rule.role = LK_VIEW("editor admin");
    id = world_check(&w, LK_CARRIER_COOKIE, issued.text, &rule);
    assert_int_equal(lk_identity_http_status(&id), 403);
    assert_string_equal(lk_reason_word(id.reason), "insufficient_role");
    rule = (lk_rule){.mode = LK_MODE_REQUIRED, .max_age_s = 60};
    id = world_check(&w, LK_CARRIER_COOKIE, issued.text, &rule);
    assert_in(&id, "alice");
    test_clock_advance_ms(61 * SECOND);
    id = world_check(&w, LK_CARRIER_COOKIE, issued.text, &rule);
    assert_int_equal(lk_identity_http_status(&id), 401);
    assert_string_equal(lk_reason_word(id.reason), "reauthentication_required");
    assert_false(id.drop_cookie);
    rule = (lk_rule){.mode = LK_MODE_REQUIRED, .realm = LK_VIEW("other")};
    id = world_check(&w, LK_CARRIER_COOKIE, issued.text, &rule);
    assert_string_equal(lk_reason_word(id.reason), "wrong_audience");
}

static void token_without_the_scope_is_refused_and_a_session_of_the_site_is_not(void **state)
{
    (void)state;
    lk_issued issued;
    lk_rule rule = {.mode = LK_MODE_REQUIRED, .scope = LK_VIEW("orders.read")};
    world_login(&w, LK_KIND_SESSION_ID, "alice", "", NULL, &issued);
    lk_identity id = world_check(&w, LK_CARRIER_HEADER, issued.text, &rule);
    assert_in(&id, "alice");
    for (size_t i = 1; i < 3; i++) {
        lk_login login = {.user = LK_VIEW("alice"), .scope = LK_VIEW("orders.read orders.write")};
        world_login(&w, kinds[i], "alice", "", NULL, &issued);
        id = world_check(&w, LK_CARRIER_HEADER, issued.text, &rule);
        assert_int_equal(lk_identity_http_status(&id), 403);
        assert_string_equal(lk_reason_word(id.reason), "insufficient_scope");
        assert_int_equal(lk_guard_issue(w.guard, kinds[i], &login, NULL, NULL, &issued, NULL), LK_OK);
        id = world_check(&w, LK_CARRIER_HEADER, issued.text, &rule);
        assert_in(&id, "alice");
    }
}

static void credential_on_a_carrier_that_is_not_enabled_is_refused(void **state)
{
    (void)state;
    lk_issued issued;
    lk_rule header = {.mode = LK_MODE_REQUIRED, .carriers = 1u << LK_CARRIER_HEADER};
    lk_rule cookie = {.mode = LK_MODE_REQUIRED, .carriers = 1u << LK_CARRIER_COOKIE};
    world_login(&w, LK_KIND_SESSION_ID, "alice", "", NULL, &issued);
    lk_identity id = world_check(&w, LK_CARRIER_COOKIE, issued.text, &header);
    assert_out(&id, "wrong_carrier");
    assert_false(id.drop_cookie);
    id = world_check(&w, LK_CARRIER_HEADER, issued.text, &cookie);
    assert_out(&id, "wrong_carrier");
    id = world_check(&w, LK_CARRIER_HEADER, issued.text, &header);
    assert_in(&id, "alice");
}

static void credential_of_a_kind_that_is_not_enabled_is_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        lk_issued issued;
        world_login(&w, kinds[i], "alice", "", NULL, &issued);
        for (size_t k = 0; k < 3; k++) {
            lk_rule rule = {.mode = LK_MODE_REQUIRED, .kinds = 1u << kinds[k]};
            lk_identity id = world_check(&w, LK_CARRIER_HEADER, issued.text, &rule);
            if (i == k)
                assert_in(&id, "alice");
            else
                assert_int_equal(id.verdict, LK_VERDICT_REFUSE);
        }
    }
}

static void carriers_that_disagree_are_refused(void **state)
{
    (void)state;
    lk_issued a, b;
    char cookie_text[LK_ISSUED_MAX + 16], bearer_text[LK_ISSUED_MAX + 16];
    lk_rule required = {.mode = LK_MODE_REQUIRED};
    lk_identity id;
    world_login(&w, LK_KIND_SESSION_ID, "alice", "", NULL, &a);
    world_login(&w, LK_KIND_SESSION_ID, "bob", "", NULL, &b);
    (void)snprintf(cookie_text, sizeof(cookie_text), "latchkey=%s", a.text);
    (void)snprintf(bearer_text, sizeof(bearer_text), "Bearer %s", b.text);
    lk_view cookie = lk_view_of(cookie_text), bearer = lk_view_of(bearer_text);
    lk_presented both = {.cookies = &cookie, .cookies_n = 1, .authorization = &bearer, .authorization_n = 1};
    lk_guard_check(w.guard, &both, &required, &id);
    assert_string_equal(lk_reason_word(id.reason), "malformed");
    assert_int_equal(id.verdict, LK_VERDICT_REFUSE);
    assert_int_equal(lk_identity_http_status(&id), 400); /* RFC 6750 section 3.1: two methods at once */
    assert_false(id.logged_in);
    (void)snprintf(bearer_text, sizeof(bearer_text), "Bearer %s", a.text);
    bearer = lk_view_of(bearer_text);
    lk_guard_check(w.guard, &both, &required, &id);
    assert_in(&id, "alice");
}

static void check_path(const char *id_text, const char *cookie_text, unsigned carriers, lk_identity *id)
{
    lk_rule required = {.mode = LK_MODE_REQUIRED, .carriers = carriers};
    lk_view cookie = lk_view_of(cookie_text);
    lk_presented p = {
        .cookies = &cookie, .cookies_n = cookie_text != NULL ? 1 : 0, .url = lk_view_of(id_text)};
    lk_guard_check(w.guard, &p, &required, id);
}

static void id_in_the_path_counts_where_nothing_else_came_and_it_is_taken(void **state)
{
    (void)state;
    lk_issued a, b;
    lk_identity id;
    char cookie[LK_ISSUED_MAX + 16];
    world_login(&w, LK_KIND_SESSION_ID, "alice", "", NULL, &a);
    world_login(&w, LK_KIND_SESSION_ID, "bob", "", NULL, &b);
    check_path(a.text, NULL, 0, &id);
    assert_in(&id, "alice");
    assert_int_equal(id.carrier, LK_CARRIER_URL);
    check_path(a.text, "other=1; latchkey=", 1u << LK_CARRIER_URL, &id);
    assert_in(&id, "alice");
    check_path(a.text, NULL, 1u << LK_CARRIER_COOKIE | 1u << LK_CARRIER_HEADER, &id);
    assert_out(&id, "wrong_carrier");
    (void)snprintf(cookie, sizeof(cookie), "latchkey=%s", b.text);
    check_path(a.text, cookie, 0, &id);
    assert_in(&id, "bob");
    check_path(a.text, "latchkey=x", 0, &id);
    assert_out(&id, "malformed");
    check_path(a.text, "latchkey=x; latchkey=y", 0, &id);
    assert_out(&id, "malformed");
}

static void path_carries_no_token_and_no_login_for_a_month(void **state)
{
    (void)state;
    lk_issued issued;
    lk_identity id;
    lk_login login = {.user = LK_VIEW("alice"), .name = LK_VIEW("alice"), .remember = true};
    assert_int_equal(lk_guard_issue(w.guard, LK_KIND_SESSION_ID, &login, NULL, NULL, &issued, NULL), LK_OK);
    check_path(issued.text, NULL, 0, &id);
    assert_out(&id, "wrong_carrier");
    world_login(&w, LK_KIND_JWT, "alice", "", NULL, &issued);
    check_path(issued.text, NULL, 0, &id);
    assert_out(&id, "wrong_carrier");
    world_login(&w, LK_KIND_TOKEN, "alice", "", NULL, &issued);
    check_path(issued.text, NULL, 0, &id);
    assert_out(&id, "wrong_carrier");
}

static void verified_token_is_remembered_and_still_revocable(void **state)
{
    (void)state;
    lk_issued issued;
    static const lk_alg algs[] = {LK_ALG_EDDSA, LK_ALG_ES256, LK_ALG_RS256};
    for (size_t i = 0; i < 3; i++) {
        w.settings.jwt_alg = algs[i];
        world_login(&w, LK_KIND_JWT, "alice", "editor", NULL, &issued);
        uint64_t remembered = lk_guard_counted(w.guard, LK_COUNT_TOKEN_REMEMBERED);
        uint64_t verified = lk_guard_counted(w.guard, LK_COUNT_TOKEN_VERIFIED);
        for (int n = 0; n < 3; n++) {
            lk_identity id = world_check(&w, LK_CARRIER_HEADER, issued.text, NULL);
            assert_in(&id, "alice");
            assert_string_equal(id.roles, "editor");
            test_clock_advance_ms(SECOND);
        }
        assert_int_equal(lk_guard_counted(w.guard, LK_COUNT_TOKEN_VERIFIED), verified + 1);
        assert_int_equal(lk_guard_counted(w.guard, LK_COUNT_TOKEN_REMEMBERED), remembered + 2);
        assert_int_equal(lk_guard_end(w.guard, (lk_view){0}, &issued.key, LK_REASON_REVOKED), LK_OK);
        lk_identity id = world_check(&w, LK_CARRIER_HEADER, issued.text, NULL);
        assert_out(&id, "revoked");
    }
}

static void remembered_token_expires(void **state)
{
    (void)state;
    lk_issued issued;
    world_login(&w, LK_KIND_JWT, "alice", "", NULL, &issued);
    for (int n = 0; n < 2; n++) {
        lk_identity id = world_check(&w, LK_CARRIER_HEADER, issued.text, NULL);
        assert_in(&id, "alice");
    }
    test_clock_advance_ms(15 * MINUTE);
    lk_identity id = world_check(&w, LK_CARRIER_HEADER, issued.text, NULL);
    assert_out(&id, "expired");
}

static void every_changed_byte_of_a_token_is_refused_also_after_it_was_remembered(void **state)
{
    (void)state;
    for (size_t i = 1; i < 3; i++) {
        lk_issued issued;
        world_login(&w, kinds[i], "alice", "", NULL, &issued);
        lk_identity id = world_check(&w, LK_CARRIER_HEADER, issued.text, NULL);
        assert_in(&id, "alice");
        for (size_t at = 0; at < issued.len; at++) {
            char changed[LK_ISSUED_MAX];
            memcpy(changed, issued.text, issued.len + 1);
            changed[at] = changed[at] == 'A' ? 'B' : 'A';
            id = world_check(&w, LK_CARRIER_HEADER, changed, NULL);
            assert_int_equal(id.verdict, LK_VERDICT_REFUSE);
            changed[at] = '\0';
            id = world_check(&w, LK_CARRIER_HEADER, changed, NULL);
            assert_int_equal(id.verdict, LK_VERDICT_REFUSE);
        }
    }
}

static void settings_of_another_audience_do_not_meet_the_remembered_token(void **state)
{
    (void)state;
    lk_issued issued;
    world_login(&w, LK_KIND_JWT, "alice", "", NULL, &issued);
    (void)world_check(&w, LK_CARRIER_HEADER, issued.text, NULL);
    test_clock_advance_ms(SECOND);
    (void)snprintf(w.settings.jwt_audience, sizeof(w.settings.jwt_audience), "elsewhere");
    lk_identity id = world_check(&w, LK_CARRIER_HEADER, issued.text, NULL);
    assert_out(&id, "wrong_audience");
}

static void per_user_limit_replaces_the_one_seen_longest_ago(void **state)
{
    (void)state;
    lk_issued issued[3];
    w.settings.per_user = 2;
    for (size_t i = 0; i < 3; i++) {
        world_login(&w, LK_KIND_SESSION_ID, "alice", "", NULL, &issued[i]);
        test_clock_advance_ms(SECOND);
    }
    lk_identity id = world_check(&w, LK_CARRIER_COOKIE, issued[0].text, NULL);
    assert_out(&id, "replaced");
    for (size_t i = 1; i < 3; i++) {
        id = world_check(&w, LK_CARRIER_COOKIE, issued[i].text, NULL);
        assert_in(&id, "alice");
    }
}

static lk_status log_in_on(lk_kind kind, const char *device_class, lk_issued *out)
{
    lk_login login = {
        .user = LK_VIEW("alice"), .name = LK_VIEW("alice"), .device_class = lk_view_of(device_class)};
    test_clock_advance_ms(SECOND);
    return lk_guard_issue(w.guard, kind, &login, NULL, NULL, out, NULL);
}

static void login_on_a_second_phone_ends_that_on_the_first_and_no_other(void **state)
{
    (void)state;
    lk_issued phone, desktop, second;
    (void)snprintf(w.settings.limit_classes, sizeof(w.settings.limit_classes), "mobile:1");
    assert_int_equal(log_in_on(LK_KIND_JWT, "mobile", &phone), LK_OK);
    assert_int_equal(log_in_on(LK_KIND_SESSION_ID, "desktop", &desktop), LK_OK);
    lk_identity id = world_check(&w, LK_CARRIER_HEADER, phone.text, NULL);
    assert_in(&id, "alice");
    assert_int_equal(log_in_on(LK_KIND_SESSION_ID, "mobile", &second), LK_OK);
    id = world_check(&w, LK_CARRIER_HEADER, phone.text, NULL); /* a token asks no store, and is out as well */
    assert_out(&id, "replaced");
    id = world_check(&w, LK_CARRIER_COOKIE, desktop.text, NULL);
    assert_in(&id, "alice");
    id = world_check(&w, LK_CARRIER_COOKIE, second.text, NULL);
    assert_in(&id, "alice");
}

static void login_beyond_a_limit_that_refuses_is_told_so_and_gets_nothing(void **state)
{
    (void)state;
    lk_issued first, second;
    w.settings.limit_user = 1;
    w.settings.limit_victim = LK_VICTIM_REFUSE;
    assert_int_equal(log_in_on(LK_KIND_SESSION_ID, "", &first), LK_OK);
    assert_int_equal(log_in_on(LK_KIND_SESSION_ID, "", &second), LK_FULL);
    assert_int_equal(second.why, LK_REASON_SESSION_LIMIT);
    assert_int_equal(second.len, 0);
    lk_identity id = world_check(&w, LK_CARRIER_COOKIE, first.text, NULL);
    assert_in(&id, "alice");
    assert_int_equal(lk_guard_end_of(w.guard, &id, LK_REASON_REVOKED), LK_OK);
    assert_int_equal(log_in_on(LK_KIND_SESSION_ID, "", &second), LK_OK);
}

static void login_that_cannot_be_remembered_issues_nothing(void **state)
{
    (void)state;
    lk_issued issued;
    lk_login login = {.user = LK_VIEW("alice")};
    for (size_t i = 0; i < 3; i++) {
        for (int n = 1; n < 50; n++) {
            test_alloc_fail_at(n);
            lk_status status = lk_guard_issue(w.guard, kinds[i], &login, NULL, NULL, &issued, NULL);
            bool failed = test_alloc_failed();
            test_alloc_fail_at(0);
            if (status != LK_OK)
                assert_int_equal(issued.len, 0);
            if (!failed)
                break;
        }
        test_random_fail_at(1);
        assert_int_equal(lk_guard_issue(w.guard, kinds[i], &login, NULL, NULL, &issued, NULL), LK_FAULT);
        assert_int_equal(issued.len, 0);
        test_random_fail_at(0);
    }
}

static void form_token_is_good_for_its_own_session_only(void **state)
{
    (void)state;
    char token[LK_CSRF_LEN + 1], other[LK_CSRF_LEN + 1];
    assert_int_equal(lk_csrf_new(w.guard, LK_VIEW("session-a"), token), LK_OK);
    assert_int_equal(lk_csrf_new(w.guard, LK_VIEW("session-a"), other), LK_OK);
    assert_string_not_equal(token, other);
    assert_int_equal(lk_csrf_check(w.guard, LK_VIEW("session-a"), lk_view_of(token)), LK_OK);
    assert_int_equal(lk_csrf_check(w.guard, LK_VIEW("session-b"), lk_view_of(token)), LK_REFUSED);
    assert_int_equal(lk_csrf_check(w.guard, (lk_view){0}, lk_view_of(token)), LK_REFUSED);
    for (size_t i = 0; i < LK_CSRF_LEN; i++) {
        char kept = token[i];
        token[i] = kept == 'A' ? 'B' : 'A';
        assert_int_equal(lk_csrf_check(w.guard, LK_VIEW("session-a"), lk_view_of(token)), LK_REFUSED);
        token[i] = kept;
        assert_int_equal(lk_csrf_check(w.guard, LK_VIEW("session-a"), lk_view_make(token, i)), LK_REFUSED);
    }
}

static void audit_line_is_one_line_of_json_whatever_the_client_sent(void **state)
{
    (void)state;
    char memory[LK_AUDIT_MAX];
    lk_buf out = lk_buf_over(memory, sizeof(memory));
    lk_issued issued;
    world_login(&w, LK_KIND_SESSION_ID, "alice", "", NULL, &issued);
    lk_identity id = world_check(&w, LK_CARRIER_COOKIE, issued.text, NULL);
    lk_audit_event event = {.event = "refused",
                            .reason = LK_REASON_CSRF,
                            .identity = &id,
                            .address = LK_VIEW("127.0.0.1"),
                            .path = LK_VIEW("/a\"\\\r\n\x00\xff"),
                            .agent = LK_VIEW("\x1b[31m"),
                            .now_ms = 1800000000123};
    lk_audit_line(&event, &out);
    assert_int_equal(lk_buf_status(&out), LK_OK);
    const char *text = lk_buf_text(&out);
    assert_null(strpbrk(text, "\r\n"));
    assert_non_null(strstr(text, "\"time\":\"2027-01-15T08:00:00.123Z\""));
    assert_non_null(strstr(text, "\"reason\":\"csrf\""));
    assert_non_null(strstr(text, "\"user\":\"alice\""));
    assert_null(strstr(text, issued.text));
}

static void guard_reports_that_it_is_ready(void **state)
{
    (void)state;
    lk_note note = {""};
    assert_int_equal(lk_guard_ready(w.guard, &note), LK_OK);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_world, close_world)

int main(int argc, char **argv)
{
    if (argc > 1)
        store_url = argv[1];
    const struct CMUnitTest tests[] = {
        TEST(login_is_known_in_cookie_and_header_for_every_kind),
        TEST(nobody_is_refused_where_required_and_anonymous_where_optional),
        TEST(unknown_id_is_never_adopted_and_its_cookie_removed),
        TEST(public_id_opens_nothing),
        TEST(every_changed_character_of_an_id_is_refused),
        TEST(session_without_use_ends_idle),
        TEST(use_that_was_not_flushed_yet_counts),
        TEST(flushed_use_survives_the_loss_of_the_table),
        TEST(last_seen_is_written_once_in_a_tenth_of_the_idle_time),
        TEST(absolute_life_is_not_lengthened_by_use),
        TEST(remembered_session_lives_long_and_has_no_idle_limit),
        TEST(tokens_end_at_their_time),
        TEST(logout_ends_every_kind_at_once_and_for_good),
        TEST(logout_survives_a_restart),
        TEST(memory_that_is_gone_takes_its_tokens_along),
        TEST(logout_everywhere_reaches_all_of_one_user_and_nobody_else),
        TEST(login_in_the_very_second_of_a_cut_off_is_not_under_it),
        TEST(other_sessions_end_and_the_current_one_stays),
        TEST(cut_off_holds_at_every_level),
        TEST(cut_off_of_another_key_reaches_nobody),
        TEST(anonymous_cart_moves_into_the_login_and_the_rest_stays_behind),
        TEST(anonymous_visitor_is_refused_where_login_is_required),
        TEST(login_gives_a_new_id_and_the_old_one_keeps_its_own_rights_for_a_moment),
        TEST(logout_ends_the_replaced_id_as_well),
        TEST(login_as_somebody_else_ends_the_former_session_and_takes_nothing_of_it),
        TEST(change_in_flight_cannot_bring_a_session_back),
        TEST(rules_of_a_location_are_judged),
        TEST(token_without_the_scope_is_refused_and_a_session_of_the_site_is_not),
        TEST(credential_on_a_carrier_that_is_not_enabled_is_refused),
        TEST(credential_of_a_kind_that_is_not_enabled_is_refused),
        TEST(carriers_that_disagree_are_refused),
        TEST(id_in_the_path_counts_where_nothing_else_came_and_it_is_taken),
        TEST(path_carries_no_token_and_no_login_for_a_month),
        TEST(verified_token_is_remembered_and_still_revocable),
        TEST(remembered_token_expires),
        TEST(every_changed_byte_of_a_token_is_refused_also_after_it_was_remembered),
        TEST(settings_of_another_audience_do_not_meet_the_remembered_token),
        TEST(per_user_limit_replaces_the_one_seen_longest_ago),
        TEST(login_on_a_second_phone_ends_that_on_the_first_and_no_other),
        TEST(login_beyond_a_limit_that_refuses_is_told_so_and_gets_nothing),
        TEST(login_that_cannot_be_remembered_issues_nothing),
        TEST(form_token_is_good_for_its_own_session_only),
        TEST(audit_line_is_one_line_of_json_whatever_the_client_sent),
        TEST(guard_reports_that_it_is_ready),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
