/* SPDX-License-Identifier: Apache-2.0
 *
 * test_trust.c - tokens of another issuer, whose key set lies in a file. tests/gateway/test_trust.py has the
 * sets that come over a network.
 */
#include "guard/trust_internal.h"
#include "world.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define ISSUER "https://idp.example/a"
#define AUDIENCE "shop"

static world w;
static lk_keyring *idp; /* of the issuer */
static char idp_dir[96], set_file[96];

static void write_set(const char *text)
{
    char beside[128];
    (void)snprintf(beside, sizeof(beside), "%s.new", set_file);
    FILE *f = fopen(beside, "we");
    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
    assert_int_equal(rename(beside, set_file), 0);
}

static void publish(const lk_keyring *ring)
{
    char *json = NULL;
    assert_int_equal(lk_keyring_jwks(ring, &json), LK_OK);
    write_set(json);
    lk_free(test_env(), json);
}

static void open_idp(const char *name)
{
    lk_note note = {""};
    lk_keyring_free(idp);
    (void)snprintf(idp_dir, sizeof(idp_dir), "%s/%s", w.dir, name);
    assert_int_equal(lk_keyring_open(test_env(), idp_dir, true, &idp, &note), LK_OK);
}

static void reopen_with(const char *more)
{
    lk_note note = {""};
    lk_view args[8], rest;
    char text[512];
    (void)snprintf(text, sizeof(text), ISSUER " jwks=file:%s aud=" AUDIENCE " %s", set_file, more);
    rest = lk_view_of(text);
    size_t n = 0;
    while (n < 8 && lk_words_next(&rest, &args[n]))
        n++;
    w.settings.trusts_n = 0;
    if (lk_settings_apply(&w.settings, LK_VIEW("latchkey_trust"), args, n, &note) != LK_OK)
        fail_msg("%s", note.text);
    world_restart(&w, false);
}

static int open_world(void **state)
{
    (void)state;
    world_open(&w, "sqlite");
    idp = NULL;
    open_idp("idp");
    (void)snprintf(set_file, sizeof(set_file), "%s/jwks.json", w.dir);
    publish(idp);
    reopen_with("roles=roles");
    return 0;
}

static int close_world(void **state)
{
    (void)state;
    lk_keyring_free(idp);
    world_close(&w);
    return 0;
}

/* ---- tokens ---- */

static char token[LK_CREDENTIAL_MAX];

static lk_claims claims_of(const char *user)
{
    int64_t now_s = lk_now_s(test_env());
    return (lk_claims){.user = lk_view_of(user),
                       .issuer = LK_VIEW(ISSUER),
                       .audience = LK_VIEW(AUDIENCE),
                       .issued_s = now_s,
                       .expires_s = now_s + 600};
}

static const char *mint_by(const lk_keyring *ring, lk_alg alg, const lk_claims *claims, const char *type)
{
    lk_buf out = lk_buf_over(token, sizeof(token));
    assert_int_equal(lk_jwt_mint(ring, alg, claims, lk_view_of(type), &out), LK_OK);
    assert_non_null(lk_buf_text(&out));
    return token;
}

static const char *mint(const lk_claims *claims)
{
    return mint_by(idp, LK_ALG_ES256, claims, "at+jwt");
}

static lk_identity check(const char *text)
{
    return world_check(&w, LK_CARRIER_HEADER, text, NULL);
}

static void assert_out(const char *text, lk_reason reason)
{
    lk_identity id = check(text);
    assert_int_equal(id.verdict, LK_VERDICT_REFUSE);
    assert_string_equal(lk_reason_word(id.reason), lk_reason_word(reason));
    assert_string_equal(id.user, "");
}

static void assert_in(const char *text)
{
    lk_identity id = check(text);
    if (id.verdict != LK_VERDICT_ALLOW)
        fail_msg("%s", lk_reason_word(id.reason));
}

static void assert_unknown(const char *text)
{
    lk_identity id = world_check(&w, LK_CARRIER_COOKIE, text, NULL);
    assert_int_equal(id.verdict, LK_VERDICT_UNKNOWN);
    assert_false(id.drop_cookie);
}

static lk_trust_state state_of(void)
{
    lk_trust_state s;
    assert_true(lk_guard_trust_state(w.guard, 0, &s));
    return s;
}

static void user_of_another_issuer_is_let_in_under_its_realm(void **state)
{
    (void)state;
    static const lk_alg algs[] = {LK_ALG_ES256, LK_ALG_RS256, LK_ALG_EDDSA};
    lk_claims c = claims_of("42");
    c.name = LK_VIEW("Ada");
    c.scope = LK_VIEW("orders.read");
    for (size_t i = 0; i < 3; i++) {
        lk_identity id = check(mint_by(idp, algs[i], &c, "at+jwt"));
        assert_int_equal(id.verdict, LK_VERDICT_ALLOW);
        assert_true(id.logged_in && id.foreign && id.limited);
        assert_false(id.has_session);
        assert_string_equal(id.user, "idp.example/42");
        assert_string_equal(id.realm, "idp.example");
        assert_string_equal(id.name, "Ada");
        assert_string_equal(id.scope, "orders.read");
        assert_string_equal(lk_identity_user_name(&id), "idp.example/42");
    }
}

static void token_without_a_type_or_with_that_of_a_jwt_is_accepted_and_others_are_not(void **state)
{
    (void)state;
    lk_claims c = claims_of("42");
    assert_in(mint_by(idp, LK_ALG_ES256, &c, ""));
    assert_in(mint_by(idp, LK_ALG_ES256, &c, "JWT"));
    assert_in(mint_by(idp, LK_ALG_ES256, &c, "application/at+jwt"));
    assert_out(mint_by(idp, LK_ALG_ES256, &c, "dpop+jwt"), LK_REASON_MALFORMED);
    assert_out(mint_by(idp, LK_ALG_ES256, &c, "logout+jwt"), LK_REASON_MALFORMED);
}

static void what_is_not_meant_for_us_or_not_now_is_refused(void **state)
{
    (void)state;
    lk_claims c = claims_of("42");
    c.audience = LK_VIEW("shop2");
    assert_out(mint(&c), LK_REASON_WRONG_AUDIENCE);
    c.audience = LK_VIEW("");
    assert_out(mint(&c), LK_REASON_WRONG_AUDIENCE);
    c.audience = LK_VIEW("other " AUDIENCE);
    assert_in(mint(&c));
    c = claims_of("42");
    c.not_before_s = c.issued_s + 5;
    assert_out(mint(&c), LK_REASON_NOT_YET_VALID);
    c = claims_of("");
    assert_out(mint(&c), LK_REASON_MALFORMED);
    c = claims_of("42");
    (void)mint(&c);
    test_clock_advance_ms(600 * 1000);
    assert_out(token, LK_REASON_EXPIRED);
}

static void keys_of_one_issuer_are_no_good_for_another(void **state)
{
    (void)state;
    lk_claims c = claims_of("42");
    /* the other's name by our keys, and our name by the other's */
    assert_out(mint_by(w.ring, LK_ALG_ES256, &c, "at+jwt"), LK_REASON_UNKNOWN_KEY);
    c.issuer = lk_view_of(w.settings.jwt_issuer);
    c.audience = lk_view_of(w.settings.jwt_audience);
    assert_out(mint(&c), LK_REASON_UNKNOWN_KEY);
    /* nearly its name */
    c = claims_of("42");
    c.issuer = LK_VIEW(ISSUER "/");
    assert_out(mint(&c), LK_REASON_UNKNOWN_KEY);
    c.issuer = LK_VIEW("https://IDP.example/a");
    assert_out(mint(&c), LK_REASON_UNKNOWN_KEY);
    c.issuer = LK_VIEW("");
    assert_out(mint(&c), LK_REASON_UNKNOWN_KEY);
    /* an HMAC */
    c = claims_of("42");
    assert_out(mint_by(idp, LK_ALG_HS256, &c, "at+jwt"), LK_REASON_UNKNOWN_KEY);
}

static void algorithm_that_is_not_configured_is_refused(void **state)
{
    (void)state;
    lk_claims c = claims_of("42");
    reopen_with("alg=EdDSA,RS256");
    assert_out(mint(&c), LK_REASON_UNKNOWN_KEY);
    assert_in(mint_by(idp, LK_ALG_RS256, &c, "at+jwt"));
}

static void changed_token_is_refused(void **state)
{
    (void)state;
    lk_claims c = claims_of("42");
    (void)mint(&c);
    token[strlen(token) - 5] = token[strlen(token) - 5] == 'A' ? 'B' : 'A';
    assert_out(token, LK_REASON_BAD_SIGNATURE);
}

static void words_of_ours_mean_nothing_when_another_says_them(void **state)
{
    (void)state;
    lk_issued ours;
    lk_claims c = claims_of("42");
    world_login(&w, LK_KIND_SESSION_ID, "ada", "staff", NULL, &ours);
    c.has_session = true;
    c.session = ours.key;
    c.session_ends_s = c.expires_s + 600;
    c.generation = 7;
    c.realm = LK_VIEW("staff");
    c.device = LK_VIEW("d");
    c.roles = LK_VIEW("editor latchkey-admin Latchkey-x");
    lk_identity id = world_check(&w, LK_CARRIER_COOKIE, mint(&c), NULL);
    assert_int_equal(id.verdict, LK_VERDICT_ALLOW);
    assert_false(id.has_session);
    assert_int_equal(id.generation, 0);
    assert_int_equal(id.reissue, LK_REISSUE_NO);
    assert_string_equal(id.realm, "idp.example");
    assert_string_equal(id.roles, "editor");
    assert_true(id.limited);
}

static void roles_are_taken_from_the_claim_that_is_named_and_from_none_else(void **state)
{
    (void)state;
    lk_claims c = claims_of("42");
    c.roles = LK_VIEW("editor");
    reopen_with("");
    assert_string_equal(check(mint(&c)).roles, "");
    reopen_with("roles=realm_access.roles");
    assert_string_equal(check(mint(&c)).roles, "");
}

static void id_that_does_not_fit_is_refused_and_never_cut(void **state)
{
    (void)state;
    char id[128];
    (void)memset(id, 'x', sizeof(id));
    id[LK_USER_ID_MAX - strlen("idp.example/")] = '\0';
    lk_claims c = claims_of(id);
    assert_in(mint(&c));
    id[strlen(id)] = 'x'; /* one more, and the next x ends it */
    id[LK_USER_ID_MAX - strlen("idp.example/") + 1] = '\0';
    c = claims_of(id);
    assert_out(mint(&c), LK_REASON_MALFORMED);
}

static void user_of_ours_cannot_be_named_as_one_of_theirs(void **state)
{
    (void)state;
    lk_issued issued;
    lk_login login = {.user = LK_VIEW("u1"), .name = LK_VIEW("IDP.example/42")};
    lk_presented nothing = {0};
    assert_int_equal(lk_guard_issue(w.guard, LK_KIND_SESSION_ID, &login, &nothing, NULL, &issued, NULL),
                     LK_OK);
    lk_identity id = check(issued.text);
    assert_int_equal(id.verdict, LK_VERDICT_ALLOW);
    assert_string_equal(lk_identity_user_name(&id), "u1");
}

static void cut_off_in_their_realm_reaches_them(void **state)
{
    (void)state;
    lk_claims c = claims_of("42");
    assert_in(mint(&c));
    assert_int_equal(lk_guard_cutoff(w.guard, LK_LEVEL_USER, LK_VIEW("idp.example"),
                                     LK_VIEW("idp.example/42"), LK_REASON_BANNED, NULL, NULL),
                     LK_OK);
    assert_out(token, LK_REASON_BANNED);
}

/* ---- sets ---- */

static void without_a_set_nothing_is_known(void **state)
{
    (void)state;
    lk_claims c = claims_of("42");
    assert_int_equal(unlink(set_file), 0);
    world_restart(&w, false);
    assert_unknown(mint(&c));
    assert_int_equal(state_of().failures, 1);
    publish(idp);
    assert_unknown(token); /* one look in a second */
    test_clock_advance_ms(1000);
    assert_in(token);
}

static void new_key_is_found_with_one_look(void **state)
{
    (void)state;
    lk_claims c = claims_of("42");
    assert_in(mint(&c));
    test_clock_advance_ms(1000);
    open_idp("idp2");
    publish(idp);
    assert_in(mint(&c));
    assert_int_equal(state_of().fetches, 2);
}

static void flood_of_keys_that_nobody_has_makes_one_look_in_every_interval(void **state)
{
    (void)state;
    lk_claims c = claims_of("42");
    assert_in(mint(&c));
    open_idp("flood"); /* published nowhere */
    (void)mint(&c);
    for (int i = 0; i < 1000; i++) {
        lk_identity id = world_check(&w, LK_CARRIER_COOKIE, token, NULL);
        assert_int_equal(id.verdict, LK_VERDICT_REFUSE);
        assert_int_equal(id.reason, LK_REASON_UNKNOWN_KEY);
        assert_false(id.drop_cookie); /* it may be there the next time */
        if (i % 100 == 99)
            test_clock_advance_ms(1000);
    }
    assert_int_equal(state_of().fetches, 10);
}

static void key_that_was_taken_out_of_the_set_is_out_for_remembered_tokens_too(void **state)
{
    (void)state;
    lk_claims c = claims_of("42");
    assert_in(mint(&c));
    uint64_t verified = lk_guard_counted(w.guard, LK_COUNT_TOKEN_VERIFIED);
    assert_in(token);
    assert_int_equal(lk_guard_counted(w.guard, LK_COUNT_TOKEN_VERIFIED), verified);
    assert_int_equal(lk_guard_counted(w.guard, LK_COUNT_TOKEN_REMEMBERED), 1);
    test_clock_advance_ms(1000);
    assert_in(token); /* decided for this second */
    open_idp("idp2");
    publish(idp);
    assert_true(lk_guard_trust_is_due(w.guard, 0));
    assert_int_equal(lk_guard_trust_look(w.guard, 0, NULL), LK_OK);
    assert_out(token, LK_REASON_UNKNOWN_KEY);
}

static void set_that_cannot_be_had_stays_good_for_the_stated_time(void **state)
{
    (void)state;
    reopen_with("keep=60s");
    lk_claims c = claims_of("42");
    assert_in(mint(&c));
    assert_int_equal(unlink(set_file), 0);
    test_clock_advance_ms(60 * 1000);
    assert_int_equal(lk_guard_trust_look(w.guard, 0, NULL), LK_FAULT);
    assert_in(token);
    test_clock_advance_ms(2 * 1000);
    assert_unknown(token); /* remembered or not */
    assert_false(state_of().usable);
}

static void set_that_holds_a_secret_or_is_broken_is_refused_and_not_repeated(void **state)
{
    (void)state;
    static const char *const sets[] = {"{\"keys\":[{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"kid\":\"a\",\"x\":"
                                       "\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\",\"d\":\"nWGxne_"
                                       "9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A\"}]}",
                                       "{\"keys\":[{\"kty\":\"oct\",\"kid\":\"a\",\"alg\":\"HS256\",\"k\":"
                                       "\"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A\"}]}",
                                       "{\"keys\":[{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"kid\":\"a\",\"x\":"
                                       "\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\"},{\"kty\":\"OKP\","
                                       "\"crv\":\"Ed25519\",\"kid\":\"a\",\"x\":"
                                       "\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\"}]}",
                                       "{\"keys\":[]}",
                                       "{\"keys\":",
                                       "<html>",
                                       ""};
    lk_claims c = claims_of("42");
    assert_in(mint(&c));
    for (size_t i = 0; i < sizeof(sets) / sizeof(sets[0]); i++) {
        lk_note note = {""};
        write_set(sets[i]);
        test_clock_advance_ms(1000);
        assert_int_equal(lk_guard_trust_look(w.guard, 0, &note), LK_FAULT);
        assert_null(strstr(note.text, "nWGx"));
        assert_non_null(strstr(note.text, "jwks.json"));
        assert_in(token);
    }
    assert_int_equal(state_of().failures, sizeof(sets) / sizeof(sets[0]));
}

static void set_goes_over_into_the_room_of_the_next_configuration(void **state)
{
    (void)state;
    lk_trust_room *first, *second;
    lk_settings other = w.settings;
    uint64_t seq;
    uint8_t memory[64];
    lk_buf out = lk_buf_over(memory, sizeof(memory));
    assert_int_equal(lk_trust_room_make(&w.settings, NULL, &first), LK_OK);
    lk__room_publish(first, 0, LK_VIEW("the text"), 5, 50, &seq);
    lk__room_publish(first, 0, LK_VIEW("a set of 17 bytes"), 7, 70, &seq);
    assert_int_equal(lk_trust_room_make(&w.settings, first, &second), LK_OK);
    assert_true(lk__room_read(second, 0, &out) != 0);
    assert_true(lk_view_equal(lk_buf_view(&out), LK_VIEW("a set of 17 bytes")));
    assert_int_equal(lk__room_look(second, 0, 8).fresh_ms, 70);
    lk_trust_room_free(second);
    other.trusts[0].jwks[strlen(other.trusts[0].jwks) - 1] ^= 1;
    assert_int_equal(lk_trust_room_make(&other, first, &second), LK_OK);
    assert_int_equal(lk__room_read(second, 0, &out), 0);
    lk_trust_room_free(second);
    lk_trust_room_free(first);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, open_world, close_world)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(user_of_another_issuer_is_let_in_under_its_realm),
        CASE(token_without_a_type_or_with_that_of_a_jwt_is_accepted_and_others_are_not),
        CASE(what_is_not_meant_for_us_or_not_now_is_refused),
        CASE(keys_of_one_issuer_are_no_good_for_another),
        CASE(algorithm_that_is_not_configured_is_refused),
        CASE(changed_token_is_refused),
        CASE(words_of_ours_mean_nothing_when_another_says_them),
        CASE(roles_are_taken_from_the_claim_that_is_named_and_from_none_else),
        CASE(id_that_does_not_fit_is_refused_and_never_cut),
        CASE(user_of_ours_cannot_be_named_as_one_of_theirs),
        CASE(cut_off_in_their_realm_reaches_them),
        CASE(without_a_set_nothing_is_known),
        CASE(new_key_is_found_with_one_look),
        CASE(flood_of_keys_that_nobody_has_makes_one_look_in_every_interval),
        CASE(key_that_was_taken_out_of_the_set_is_out_for_remembered_tokens_too),
        CASE(set_that_cannot_be_had_stays_good_for_the_stated_time),
        CASE(set_that_holds_a_secret_or_is_broken_is_refused_and_not_repeated),
        CASE(set_goes_over_into_the_room_of_the_next_configuration),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
