/* SPDX-License-Identifier: Apache-2.0
 *
 * An explanation ends where the gate ends, for the same reason, changes nothing and shows no secret.
 */
#include "world.h"
#include <latchkey/explain.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

enum { SECOND = 1000, MINUTE = 60 * SECOND };

static const lk_kind kinds[] = {LK_KIND_SESSION_ID, LK_KIND_TOKEN, LK_KIND_JWT, LK_KIND_SEALED};
#define KINDS (sizeof(kinds) / sizeof(kinds[0]))
static const lk_rule required = {.mode = LK_MODE_REQUIRED}, optional = {.mode = LK_MODE_OPTIONAL};
static const char *store_url = "memory:";
static world w;
static lk_explanation e;

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

static const lk_step *step(const char *name)
{
    for (size_t i = 0; i < e.n; i++)
        if (strcmp(e.steps[i].name, name) == 0)
            return &e.steps[i];
    return NULL;
}

static lk_carrier carrier_of(lk_kind kind)
{
    return kind == LK_KIND_SEALED ? LK_CARRIER_COOKIE : LK_CARRIER_HEADER;
}

/* The reason of the first step that does not say yes. */
static lk_reason concluded(void)
{
    for (size_t i = 0; i < e.n; i++)
        if (e.steps[i].answer == LK_STEP_NO || e.steps[i].answer == LK_STEP_UNKNOWN)
            return e.steps[i].why;
    return LK_REASON_NONE;
}

/* No step shows a part of TEXT that opens anything: eight characters in a row of an id, a box or a signature.
 */
static void assert_hidden(lk_kind kind, const char *text)
{
    size_t len = strlen(text), from = 0;
    if (kind == LK_KIND_TOKEN || kind == LK_KIND_JWT)
        from = (size_t)(strrchr(text, '.') - text) + 1;
    for (size_t at = from; at + 8 <= len; at++)
        for (size_t i = 0; i < e.n; i++)
            assert_null(memmem(e.steps[i].value, strlen(e.steps[i].value), text + at, 8));
}

static void explain_in(lk_carrier carrier, const char *text, const lk_rule *rule)
{
    lk_explain_ask ask = {.credential = lk_view_of(text), .carrier = carrier, .rule = rule};
    lk_guard_explain(w.guard, &ask, &e);
}

/* Explain TEXT; the answer is that of the gate, and so are the steps. */
static void explain(lk_kind kind, const char *text, const lk_rule *rule)
{
    lk_carrier carrier = carrier_of(kind);
    explain_in(carrier, text, rule);
    lk_identity id = world_check(&w, carrier, text, rule);
    if (e.reason != id.reason || concluded() != id.reason)
        fail_msg("%s: the gate says \"%s\", the explanation \"%s\", its steps \"%s\"", lk_kind_name(kind),
                 lk_reason_word(id.reason), lk_reason_word(e.reason), lk_reason_word(concluded()));
    assert_int_equal(e.verdict, id.verdict);
    assert_int_equal(e.status, lk_identity_http_status(&id));
    assert_hidden(kind, text);
}

static void good_credential_passes_every_step(void **state)
{
    (void)state;
    for (size_t i = 0; i < KINDS; i++) {
        lk_issued issued;
        world_login(&w, kinds[i], "alice", "admin", NULL, &issued);
        explain(kinds[i], issued.text, &required);
        assert_int_equal(e.verdict, LK_VERDICT_ALLOW);
        assert_int_equal(step("login")->answer, LK_STEP_YES);
        assert_int_equal(step("cutoffs")->answer, LK_STEP_YES);
        assert_non_null(strstr(step("user")->value, "alice"));
    }
}

static void rule_of_the_location_is_explained_word_by_word(void **state)
{
    static const char *const rules[] = {"required role=admin",
                                        "required role=owner",
                                        "required scope=orders",
                                        "required realm=shop",
                                        "required audience=elsewhere",
                                        "required audience=latchkey",
                                        "required max_age=1m",
                                        "required carrier=url",
                                        "required credential=session_id",
                                        "required credential=jwt,token",
                                        "optional role=owner",
                                        "required bound",
                                        "required signature",
                                        "required role=admin max_age=1h"};
    (void)state;
    for (size_t i = 0; i < KINDS; i++) {
        lk_issued issued;
        world_login(&w, kinds[i], "alice", "admin", NULL, &issued);
        test_clock_advance_ms(2 * MINUTE);
        for (size_t k = 0; k < sizeof(rules) / sizeof(rules[0]); k++) {
            lk_rule rule;
            assert_int_equal(lk_rule_read(lk_view_of(rules[k]), &rule, NULL), LK_OK);
            explain(kinds[i], issued.text, &rule);
        }
    }
}

static void over_credential_is_explained_by_what_ended_it(void **state)
{
    (void)state;
    for (size_t i = 0; i < KINDS; i++) {
        lk_issued idle, cut, ended;
        lk_cutoff c;
        world_login(&w, kinds[i], "alice", "", NULL, &idle);
        test_clock_advance_ms(35 * MINUTE);
        explain(kinds[i], idle.text, &required);
        assert_int_not_equal(e.reason, LK_REASON_NONE);
        world_login(&w, kinds[i], "alice", "", NULL, &ended);
        assert_int_equal(lk_guard_end(w.guard, (lk_view){0}, &ended.key, LK_REASON_KICKED), LK_OK);
        explain(kinds[i], ended.text, &required);
        assert_int_equal(e.reason, LK_REASON_KICKED);
        world_login(&w, kinds[i], "bob", "", NULL, &cut);
        test_clock_advance_ms(SECOND);
        assert_int_equal(
            lk_guard_cutoff(w.guard, LK_LEVEL_USER, (lk_view){0}, LK_VIEW("bob"), LK_REASON_BANNED, &c, NULL),
            LK_OK);
        explain(kinds[i], cut.text, &required);
        assert_int_equal(e.reason, LK_REASON_BANNED);
        assert_non_null(strstr(step("cutoffs")->value, "level user, /bob"));
    }
}

static void forged_credential_is_explained_as_the_gate_refuses_it(void **state)
{
    static const char *const none[] = {
        "", "x", "a.b.c", "....", "v1.k.AAAA", "A.1.2.k.0", "eyJhbGciOiJub25lIn0.e30.", "lk_AAAAAAAA_"};
    (void)state;
    for (size_t i = 0; i < KINDS; i++) {
        lk_issued issued;
        world_login(&w, kinds[i], "alice", "", NULL, &issued);
        size_t len = issued.len;
        for (size_t at = 0; at < len; at += 1 + len / 40) {
            char text[LK_ISSUED_MAX];
            memcpy(text, issued.text, len + 1);
            text[at] = text[at] == 'A' ? 'B' : 'A';
            explain(kinds[i], text, &required);
            explain(kinds[i], text, &optional);
        }
    }
    for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++) {
        explain_in(LK_CARRIER_HEADER, none[i], &required);
        assert_int_equal(e.verdict, LK_VERDICT_REFUSE);
        assert_int_equal(concluded(), e.reason);
    }
}

static void token_for_another_audience_is_refused_at_that_step(void **state)
{
    (void)state;
    lk_issued issued;
    world_login(&w, LK_KIND_JWT, "alice", "", NULL, &issued);
    (void)snprintf(w.settings.jwt_audience, sizeof(w.settings.jwt_audience), "elsewhere");
    explain(LK_KIND_JWT, issued.text, &required);
    assert_int_equal(step("audience")->answer, LK_STEP_NO);
    assert_int_equal(step("issuer")->answer, LK_STEP_YES);
    (void)snprintf(w.settings.jwt_issuer, sizeof(w.settings.jwt_issuer), "somebody");
    explain(LK_KIND_JWT, issued.text, &required);
    assert_int_equal(step("issuer")->answer, LK_STEP_NO);
}

static void token_of_a_client_is_refused_with_the_session_of_its_parent(void **state)
{
    (void)state;
    lk_issued parent, child;
    test_clock_advance_ms(SECOND); /* a child is as old as the second in which its parent began */
    world_login(&w, LK_KIND_SESSION_ID, "alice", "", NULL, &parent);
    lk_identity id = world_check(&w, LK_CARRIER_HEADER, parent.text, &required);
    lk_grant grant = {.user = lk_view_of(id.user),
                      .client = LK_VIEW("billing"),
                      .audience = lk_view_of(w.settings.jwt_audience),
                      .scope = LK_VIEW("orders.read"),
                      .act = LK_VIEW("{\"sub\":\"client:shop\"}"),
                      .parent = &id};
    assert_int_equal(lk_guard_grant(w.guard, &grant, &child), LK_OK);
    explain(LK_KIND_JWT, child.text, &required);
    assert_int_equal(e.verdict, LK_VERDICT_ALLOW);
    assert_int_equal(step("parent")->answer, LK_STEP_YES);
    assert_non_null(strstr(step("actor")->value, "client:shop"));
    assert_int_equal(lk_store_destroy(w.store, &parent.key, LK_REASON_KICKED, lk_now_s(test_env()) + 3600),
                     LK_OK);
    assert_int_equal(lk_guard_follow(w.guard), LK_OK);
    explain(LK_KIND_JWT, child.text, &required);
    assert_int_equal(step("parent")->answer, LK_STEP_NO);
    assert_int_equal(e.reason, LK_REASON_KICKED);
}

static void token_that_is_bound_to_a_key_stops_at_its_proof(void **state)
{
    (void)state;
    lk_issued issued;
    lk_grant grant = {.user = LK_VIEW("client:billing"),
                      .client = LK_VIEW("billing"),
                      .audience = lk_view_of(w.settings.jwt_audience),
                      .bound = LK_VIEW("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")};
    assert_int_equal(lk_guard_grant(w.guard, &grant, &issued), LK_OK);
    explain(LK_KIND_JWT, issued.text, &required);
    assert_int_equal(step("signature")->answer, LK_STEP_YES);
    assert_int_equal(step("cutoffs")->answer, LK_STEP_YES);
    assert_int_equal(step("proof")->answer, LK_STEP_NO);
    assert_int_equal(e.reason, LK_REASON_WRONG_CARRIER);
}

static void text_that_the_gate_takes_nowhere_is_explained_by_its_own_call(void **state)
{
    (void)state;
    lk_refresh_token token;
    lk_session_key family = {{7}};
    char text[LK_REFRESH_MAX + 1];
    assert_int_equal(lk_refresh_first(test_env(), w.ring, &family, lk_now_s(test_env()), &token), LK_OK);
    explain_in(LK_CARRIER_HEADER, token.text, &required);
    assert_int_equal(e.reason, LK_REASON_EXPIRED);
    assert_int_equal(step("signature")->answer, LK_STEP_YES);
    for (size_t i = 0; i < e.n; i++)
        assert_null(strstr(e.steps[i].value, strrchr(token.text, '.') + 1));
    memcpy(text, token.text, sizeof(text));
    text[token.len - 2] = text[token.len - 2] == 'A' ? 'B' : 'A';
    explain_in(LK_CARRIER_HEADER, text, &required);
    assert_int_equal(e.reason, LK_REASON_BAD_SIGNATURE);
    explain_in(LK_CARRIER_HEADER, "r1.x", &required);
    assert_int_equal(e.reason, LK_REASON_MALFORMED);
    explain_in(LK_CARRIER_HEADER, "d1.x", &required);
    assert_int_equal(e.reason, LK_REASON_BAD_CREDENTIALS);
    assert_int_equal(e.status, 401);
    assert_true(lk_explains(lk_view_of(token.text)));
    assert_false(lk_explains(LK_VIEW("0123456789abcdef0123456789abcdef")));
}

static void explanation_does_not_prolong_a_session(void **state)
{
    (void)state;
    lk_issued issued;
    world_login(&w, LK_KIND_SESSION_ID, "alice", "", NULL, &issued);
    for (int i = 0; i < 4; i++) {
        test_clock_advance_ms(10 * MINUTE);
        explain_in(LK_CARRIER_HEADER, issued.text, &required);
    }
    assert_int_equal(e.reason, LK_REASON_IDLE);
    explain(LK_KIND_SESSION_ID, issued.text, &required);
}

static void burned_key_is_named_for_all_that_it_proved(void **state)
{
    lk_issued issued[KINDS];
    lk_key_info info;
    (void)state;
    for (size_t i = 0; i < KINDS; i++)
        world_login(&w, kinds[i], "alice", "", NULL, &issued[i]);
    for (size_t i = 0; lk_keyring_info(w.ring, i, &info) == LK_OK; i++)
        if (!info.is_root)
            assert_int_equal(lk_guard_cutoff(w.guard, LK_LEVEL_KEY, (lk_view){0}, lk_view_of(info.kid),
                                             LK_REASON_REVOKED, NULL, NULL),
                             LK_OK);
    for (size_t i = 0; i < KINDS; i++) {
        explain(kinds[i], issued[i].text, &required);
        assert_int_equal(e.verdict, kinds[i] == LK_KIND_SESSION_ID ? LK_VERDICT_ALLOW : LK_VERDICT_REFUSE);
    }
}

static void session_is_explained_by_its_public_id(void **state)
{
    (void)state;
    lk_issued issued;
    world_login(&w, LK_KIND_SESSION_ID, "alice", "", NULL, &issued);
    lk_guard_explain_session(w.guard, &issued.key, &e);
    assert_int_equal(e.verdict, LK_VERDICT_ALLOW);
    assert_non_null(strstr(step("user")->value, "alice"));
    assert_hidden(LK_KIND_SESSION_ID, issued.text);
    assert_int_equal(lk_guard_end(w.guard, (lk_view){0}, &issued.key, LK_REASON_REVOKED), LK_OK);
    lk_guard_explain_session(w.guard, &issued.key, &e);
    assert_int_equal(e.reason, LK_REASON_REVOKED);
    assert_int_equal(e.status, 401);
    memset(&issued.key, 7, sizeof(issued.key));
    lk_guard_explain_session(w.guard, &issued.key, &e);
    assert_int_equal(e.reason, LK_REASON_EXPIRED);
}

static void request_is_found_in_the_audit_log_from_its_end(void **state)
{
    (void)state;
    char path[] = "/tmp/latchkey-audit-XXXXXX";
    int fd = mkstemp(path);
    FILE *f = fdopen(fd, "w");
    lk_note note = {""};
    assert_non_null(f);
    for (int i = 0; i < 3000; i++)
        fprintf(
            f,
            "{\"time\":\"2027-01-15T08:00:00.123Z\",\"event\":\"refused\",\"status\":401,\"reason\":\"%s\","
            "\"verdict\":\"refuse\",\"path\":\"/%d\",\"request_id\":\"r%d\"}\n",
            i % 2 ? "idle" : "revoked", i, i);
    assert_int_equal(fclose(f), 0);
    assert_int_equal(lk_explain_request(test_env(), path, LK_VIEW("r7"), &e, &note), LK_OK);
    assert_int_equal(e.reason, LK_REASON_IDLE);
    assert_int_equal(e.verdict, LK_VERDICT_REFUSE);
    assert_int_equal(e.status, 401);
    assert_string_equal(step("path")->value, "/7");
    assert_int_equal(lk_explain_request(test_env(), path, LK_VIEW("r2998"), &e, &note), LK_OK);
    assert_int_equal(e.reason, LK_REASON_REVOKED);
    assert_int_equal(lk_explain_request(test_env(), path, LK_VIEW("r"), &e, &note), LK_MISS);
    assert_int_equal(lk_explain_request(test_env(), path, LK_VIEW("r3000"), &e, &note), LK_MISS);
    (void)unlink(path);
    assert_int_equal(lk_explain_request(test_env(), path, LK_VIEW("r7"), &e, &note), LK_FAULT);
    assert_int_equal(lk_explain_request(test_env(), "/tmp", LK_VIEW("r7"), &e, &note), LK_FAULT);
}

static void rule_with_a_word_that_is_none_is_refused(void **state)
{
    static const char *const bad[] = {"admin",       "role=",     "max_age=x",  "max_age=0s",
                                      "carrier=air", "carrier=,", "credential", "credential=cookie"};
    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        lk_rule rule;
        lk_note note = {""};
        assert_int_equal(lk_rule_read(lk_view_of(bad[i]), &rule, &note), LK_REFUSED);
        assert_non_null(strstr(note.text, "no word of a rule"));
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_world, close_world)

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        TEST(good_credential_passes_every_step),
        TEST(rule_of_the_location_is_explained_word_by_word),
        TEST(over_credential_is_explained_by_what_ended_it),
        TEST(forged_credential_is_explained_as_the_gate_refuses_it),
        TEST(token_for_another_audience_is_refused_at_that_step),
        TEST(token_of_a_client_is_refused_with_the_session_of_its_parent),
        TEST(token_that_is_bound_to_a_key_stops_at_its_proof),
        TEST(text_that_the_gate_takes_nowhere_is_explained_by_its_own_call),
        TEST(explanation_does_not_prolong_a_session),
        TEST(burned_key_is_named_for_all_that_it_proved),
        TEST(session_is_explained_by_its_public_id),
        TEST(request_is_found_in_the_audit_log_from_its_end),
        TEST(rule_with_a_word_that_is_none_is_refused),
    };
    if (argc > 1)
        store_url = argv[1];
    return cmocka_run_group_tests(tests, NULL, NULL);
}
