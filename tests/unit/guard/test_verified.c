/* SPDX-License-Identifier: Apache-2.0
 *
 * test_verified.c - the table of verified tokens keeps to its share, whoever floods it.
 */
#include "guard/guard_internal.h"
#include "world.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static world w;

static int open_world(void **state)
{
    (void)state;
    world_open(&w, "memory:");
    test_clock_advance_ms(10 * 1000); /* the table begins with a cut-off of all that was before it */
    return 0;
}

static int close_world(void **state)
{
    (void)state;
    world_close(&w);
    return 0;
}

static char text[LK_CREDENTIAL_MAX];

static const char *mint(unsigned n)
{
    char user[32];
    int64_t now_s = lk_now_s(test_env());
    (void)snprintf(user, sizeof(user), "user%u", n);
    lk_claims c = {.user = lk_view_of(user),
                   .issuer = lk_view_of(w.settings.jwt_issuer),
                   .audience = lk_view_of(w.settings.jwt_audience),
                   .issued_s = now_s,
                   .expires_s = now_s + 600};
    lk_buf out = lk_buf_over(text, sizeof(text));
    assert_int_equal(lk_jwt_mint(w.ring, LK_ALG_EDDSA, &c, LK_VIEW("at+jwt"), &out), LK_OK);
    assert_non_null(lk_buf_text(&out));
    return text;
}

/* In another carrier than just before: what was decided in this second for this one is no answer then, and
 * the token is looked for among the verified. */
static void assert_in_by(const char *token, lk_carrier carrier)
{
    lk_identity id = world_check(&w, carrier, token, NULL);
    if (id.verdict != LK_VERDICT_ALLOW)
        fail_msg("%s", lk_reason_word(id.reason));
}

static void assert_in(const char *token)
{
    assert_in_by(token, LK_CARRIER_HEADER);
}

static void assert_in_again(const char *token)
{
    assert_in_by(token, LK_CARRIER_COOKIE);
}

static uint64_t verified(void)
{
    return lk_guard_counted(w.guard, LK_COUNT_TOKEN_VERIFIED);
}

static uint64_t remembered(void)
{
    return lk_guard_counted(w.guard, LK_COUNT_TOKEN_REMEMBERED);
}

static void signature_is_computed_once(void **state)
{
    (void)state;
    (void)mint(1);
    for (int i = 0; i < 100; i++)
        assert_in_by(text, i % 2 == 0 ? LK_CARRIER_HEADER : LK_CARRIER_COOKIE);
    assert_int_equal(verified(), 1);
    assert_int_equal(remembered(), 99);
}

enum { SESSIONS = 2000, COUNTERS = 500, CUTOFFS = 100, FLOOD = 100000 };

static void count_key(unsigned n, uint8_t key[LK_TABLE_KEY_LEN])
{
    char name[32];
    (void)snprintf(name, sizeof(name), "counter %u", n);
    lk_table_key(w.table, LK_ENTRY_COUNTER, lk_view_of(name), key);
}

static void flood_of_good_tokens_leaves_everything_else_where_it_is(void **state)
{
    (void)state;
    static lk_issued sessions[SESSIONS];
    uint8_t key[LK_TABLE_KEY_LEN];
    char user[32];
    int64_t value, now_s = lk_now_s(test_env());
    for (unsigned i = 0; i < SESSIONS; i++) {
        (void)snprintf(user, sizeof(user), "s%u", i);
        world_login(&w, LK_KIND_SESSION_ID, user, "staff", NULL, &sessions[i]);
    }
    for (unsigned i = 0; i < COUNTERS; i++) {
        count_key(i, key);
        assert_int_equal(lk_table_count(w.table, key, 3, now_s, now_s + 3600, &value), LK_OK);
    }
    for (unsigned i = 0; i < CUTOFFS; i++) {
        (void)snprintf(user, sizeof(user), "gone%u", i);
        assert_int_equal(lk_guard_cutoff(w.guard, LK_LEVEL_USER, LK_VIEW(""), lk_view_of(user),
                                         LK_REASON_BANNED, NULL, NULL),
                         LK_OK);
    }
    uint64_t cutoffs = lk_table_held(w.table, LK_ENTRY_CUTOFF);
    for (unsigned i = 0; i < FLOOD; i++)
        assert_in(mint(i));
    lk_table_stats stats;
    lk_table_stats_read(w.table, &stats);
    assert_int_equal(verified(), FLOOD);
    assert_int_equal(stats.evicted_live, 0);
    assert_true(lk_table_held(w.table, LK_ENTRY_TOKEN) <= lk__verified_places(w.guard));
    assert_true(lk__verified_places(w.guard) * 1024 <= stats.size / 8);
    assert_int_equal(lk_table_held(w.table, LK_ENTRY_CUTOFF), cutoffs);
    for (unsigned i = 0; i < COUNTERS; i++) {
        count_key(i, key);
        assert_int_equal(lk_table_count(w.table, key, 0, now_s, now_s + 3600, &value), LK_OK);
        assert_int_equal(value, 3);
    }
    for (unsigned i = 0; i < SESSIONS; i++)
        assert_in(sessions[i].text);
}

static void full_table_gives_tokens_no_room_and_loses_no_session_for_them(void **state)
{
    (void)state;
    lk_table_stats before, after;
    uint8_t key[LK_TABLE_KEY_LEN] = {0}, value[400] = {0};
    int64_t ends_s = lk_now_s(test_env()) + 3600;
    /* sessions of users, of every length that tokens have, until one is pushed out */
    for (uint32_t i = 0;; i++) {
        memcpy(key, &i, sizeof(i));
        assert_int_equal(
            lk_table_put(w.table, LK_ENTRY_SESSION, key, 1 + i, ends_s, lk_view_make(value, 150 + i % 250)),
            LK_OK);
        lk_table_stats_read(w.table, &before);
        if (before.evicted_live > 0)
            break;
    }
    for (unsigned i = 0; i < 3000; i++)
        assert_in(mint(i));
    lk_table_stats_read(w.table, &after);
    assert_int_equal(after.evicted_live, before.evicted_live);
    assert_int_equal(after.refused_full, before.refused_full);
}

static void token_that_is_in_use_outlives_a_flood_of_others(void **state)
{
    (void)state;
    static char ours[LK_CREDENTIAL_MAX];
    (void)strcpy(ours, mint(1000000));
    assert_in(ours);
    assert_in_again(ours); /* seen again: safe from now on */
    uint64_t before = remembered();
    for (unsigned i = 0; i < 6000; i++)
        assert_in(mint(i));
    assert_in_again(ours);
    assert_int_equal(remembered(), before + 1);
}

static void token_that_is_not_used_any_more_makes_room(void **state)
{
    (void)state;
    uint64_t places = lk__verified_places(w.guard);
    for (unsigned i = 0; i < 4 * places; i++) {
        assert_in(mint(i));
        assert_in_again(text);
    }
    assert_true(lk_table_held(w.table, LK_ENTRY_TOKEN) > places / 2);
    test_clock_advance_ms(61 * 1000);
    uint64_t before = remembered();
    for (unsigned i = 0; i < 50; i++) {
        assert_in(mint(1000000 + i));
        assert_in_again(text);
    }
    assert_int_equal(remembered(), before + 50);
}

static void every_text_of_the_claims_is_kept(void **state)
{
    (void)state;
    uint8_t memory[LK_CREDENTIAL_MAX];
    lk_buf scratch = lk_buf_over(memory, sizeof(memory));
    int64_t now_s = lk_now_s(test_env());
    lk_claims out, c = {.kind = LK_KIND_JWT,
                        .user = LK_VIEW("u"),
                        .name = LK_VIEW("n"),
                        .realm = LK_VIEW("r"),
                        .roles = LK_VIEW("ro le"),
                        .scope = LK_VIEW("s"),
                        .client = LK_VIEW("c"),
                        .device = LK_VIEW("d"),
                        .issuer = lk_view_of(w.settings.jwt_issuer),
                        .audience = LK_VIEW("a"),
                        .id = LK_VIEW("i"),
                        .bound = LK_VIEW("b"),
                        .has_session = true,
                        .session = {{1, 2, 3}},
                        .issued_s = now_s,
                        .issued_ms = 7,
                        .not_before_s = now_s - 1,
                        .expires_s = now_s + 60,
                        .auth_s = now_s - 2,
                        .session_ends_s = now_s + 90,
                        .generation = 4};
    c.kid = lk_signer_kid(lk_keyring_signer(w.ring, LK_ALG_EDDSA));
    lk__verified_put(w.guard, LK_VIEW("a.b.c"), 0, now_s, &c);
    assert_int_equal(lk__verified_get(w.guard, LK_VIEW("a.b.d"), now_s, &scratch, &out), LK_MISS);
    assert_int_equal(lk__verified_get(w.guard, LK_VIEW("a.b.c"), now_s, &scratch, &out), LK_OK);
    const lk_view *of[] = {&c.user,   &c.name,   &c.realm,    &c.roles, &c.scope, &c.client,
                           &c.device, &c.issuer, &c.audience, &c.id,    &c.bound, &c.kid};
    for (size_t i = 0; i < sizeof(of) / sizeof(of[0]); i++) {
        const lk_view *kept = (const lk_view *)(const void *)((const uint8_t *)&out +
                                                              ((const uint8_t *)of[i] - (const uint8_t *)&c));
        assert_true(lk_view_equal(*kept, *of[i]));
    }
    /* and the rest of the struct, once the texts are the same views */
    for (size_t i = 0; i < sizeof(of) / sizeof(of[0]); i++)
        *(lk_view *)(void *)((uint8_t *)&out + ((const uint8_t *)of[i] - (const uint8_t *)&c)) = *of[i];
    assert_memory_equal(&out, &c, sizeof(out));
}

static void cut_off_reaches_a_remembered_token(void **state)
{
    (void)state;
    assert_in(mint(5));
    assert_in(text);
    assert_int_equal(
        lk_guard_cutoff(w.guard, LK_LEVEL_USER, LK_VIEW(""), LK_VIEW("user5"), LK_REASON_KICKED, NULL, NULL),
        LK_OK);
    lk_identity id = world_check(&w, LK_CARRIER_HEADER, text, NULL);
    assert_int_equal(id.verdict, LK_VERDICT_REFUSE);
    assert_int_equal(id.reason, LK_REASON_KICKED);
}

static void token_that_ran_out_is_refused_though_it_is_remembered(void **state)
{
    (void)state;
    assert_in(mint(5));
    test_clock_advance_ms(600 * 1000);
    lk_identity id = world_check(&w, LK_CARRIER_HEADER, text, NULL);
    assert_int_equal(id.verdict, LK_VERDICT_REFUSE);
    assert_int_equal(id.reason, LK_REASON_EXPIRED);
}

static void other_settings_do_not_find_what_was_remembered_by_these(void **state)
{
    (void)state;
    lk_note note = {""};
    const lk_view args[] = {LK_VIEW("https://idp.example"), LK_VIEW("jwks=file:/nowhere"), LK_VIEW("aud=x")};
    assert_in(mint(5));
    assert_int_equal(lk_settings_apply(&w.settings, LK_VIEW("latchkey_trust"), args, 3, &note), LK_OK);
    world_restart(&w, false);
    uint64_t before = remembered();
    assert_in(text);
    assert_int_equal(remembered(), before);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, open_world, close_world)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(signature_is_computed_once),
        CASE(flood_of_good_tokens_leaves_everything_else_where_it_is),
        CASE(full_table_gives_tokens_no_room_and_loses_no_session_for_them),
        CASE(token_that_is_in_use_outlives_a_flood_of_others),
        CASE(token_that_is_not_used_any_more_makes_room),
        CASE(every_text_of_the_claims_is_kept),
        CASE(cut_off_reaches_a_remembered_token),
        CASE(token_that_ran_out_is_refused_though_it_is_remembered),
        CASE(other_settings_do_not_find_what_was_remembered_by_these),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
