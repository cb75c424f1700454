/* SPDX-License-Identifier: Apache-2.0
 *
 * Every legal triple of carrier, credential and store: logs in, is known, is out after logout, and is known
 * nowhere else. Every combination that makes no sense is refused when it is configured, with its sentence.
 */
#include "world.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static const char *const stores[] = {"memory:", "lmdb"};

/* What is given out, and where it is read. */
static const lk_kind kinds[] = {LK_KIND_SESSION_ID, LK_KIND_TOKEN, LK_KIND_JWT, LK_KIND_SEALED};
static const lk_carrier carriers[] = {LK_CARRIER_COOKIE, LK_CARRIER_HEADER};
enum { KINDS = sizeof(kinds) / sizeof(kinds[0]), CARRIERS = sizeof(carriers) / sizeof(carriers[0]) };

static void assert_known(const lk_identity *id, bool expected, const char *what)
{
    bool known = id->verdict == LK_VERDICT_ALLOW && id->logged_in && strcmp(id->user, "alice") == 0;
    if (known != expected)
        fail_msg("%s: verdict %d, reason %s", what, (int)id->verdict, lk_reason_word(id->reason));
}

static void try_triple(world *w, lk_carrier carrier, lk_kind kind)
{
    lk_issued issued;
    char what[128];
    (void)snprintf(what, sizeof(what), "%s in %s over %s", lk_kind_name(kind), lk_carrier_name(carrier),
                   lk_store_name(w->store));
    world_login(w, kind, "alice", "editor", NULL, &issued);
    for (int c = 0; c < LK_CARRIER_COUNT; c++) {
        for (int k = 0; k < LK_KIND_COUNT; k++) {
            lk_rule rule = {.mode = LK_MODE_REQUIRED, .carriers = 1u << c, .kinds = 1u << k};
            /* nothing but a session id ever rides in a path, so to ask for that is a mistake */
            bool never = c == LK_CARRIER_URL && k != LK_KIND_SESSION_ID;
            assert_int_equal(lk_rule_check(&rule, &w->settings, NULL), never ? LK_REFUSED : LK_OK);
            lk_identity id = world_check(w, carrier, issued.text, &rule);
            assert_known(&id, c == (int)carrier && k == (int)kind, what);
        }
    }
    assert_int_equal(lk_guard_end(w->guard, (lk_view){0}, &issued.key, LK_REASON_REVOKED), LK_OK);
    lk_identity id = world_check(w, carrier, issued.text, NULL);
    assert_known(&id, false, what);
    assert_string_equal(lk_reason_word(id.reason), "revoked");
}

static void every_legal_triple_is_known_where_it_is_enabled_and_nowhere_else(void **state)
{
    (void)state;
    for (size_t s = 0; s < sizeof(stores) / sizeof(stores[0]); s++) {
        world w;
        world_open(&w, stores[s]);
        for (size_t c = 0; c < CARRIERS; c++)
            for (size_t k = 0; k < KINDS; k++)
                try_triple(&w, carriers[c], kinds[k]);
        world_close(&w);
    }
}

static void combinations_that_make_no_sense_are_refused_with_their_sentence(void **state)
{
    (void)state;
    static const struct {
        lk_rule rule;
        const char *words;
    } illegal[] = {
        {{.mode = LK_MODE_OFF, .carriers = 1u << LK_CARRIER_COOKIE}, "latchkey off takes nothing after it"},
        {{.mode = LK_MODE_OFF, .kinds = 1u << LK_KIND_JWT}, "latchkey off takes nothing after it"},
        {{.mode = LK_MODE_OPTIONAL, .max_age_s = 60}, "lets everybody in"},
        {{.mode = LK_MODE_REQUIRED, .max_age_s = -1}, "max_age="},
    };
    lk_settings settings;
    lk_settings_init(&settings);
    for (size_t i = 0; i < sizeof(illegal) / sizeof(illegal[0]); i++) {
        lk_note note = {""};
        assert_int_equal(lk_rule_check(&illegal[i].rule, &settings, &note), LK_REFUSED);
        assert_non_null(strstr(note.text, illegal[i].words));
    }
}

static void words_of_a_rule_are_judged_with_the_rest(void **state)
{
    (void)state;
    lk_settings settings;
    lk_note note = {""};
    lk_settings_init(&settings);
    lk_rule rule = {
        .mode = LK_MODE_REQUIRED, .scope = LK_VIEW("orders.read"), .kinds = 1u << LK_KIND_SESSION_ID};
    assert_int_equal(lk_rule_check(&rule, &settings, &note), LK_REFUSED);
    assert_non_null(strstr(note.text, "holds every scope"));
    rule.kinds |= 1u << LK_KIND_JWT;
    assert_int_equal(lk_rule_check(&rule, &settings, &note), LK_OK);
    rule = (lk_rule){.mode = LK_MODE_OPTIONAL, .role = LK_VIEW("editor")};
    assert_int_equal(lk_rule_check(&rule, &settings, &note), LK_REFUSED);
    assert_non_null(strstr(note.text, "write required"));
}

static void store_urls_that_make_no_sense_are_refused_with_their_sentence(void **state)
{
    (void)state;
    static const char *const bad[] = {"",
                                      "memory",
                                      "lmdb:",
                                      "memcached://127.0.0.1",
                                      "redis://",
                                      "redis://127.0.0.1:port",
                                      "postgres:///sessions?deadline=soon",
                                      "lmdb:relative/path",
                                      "lmdb:/x?sync=never",
                                      "lmdb:/x?sinc=fast",
                                      "memory:?x=1"};
    lk_settings settings;
    lk_settings_init(&settings);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        lk_note note = {""};
        (void)snprintf(settings.store, sizeof(settings.store), "%s", bad[i]);
        if (lk_guard_settings_check(&settings, &note) != LK_REFUSED)
            fail_msg("%s was accepted", bad[i]);
        assert_non_null(strstr(note.text, "latchkey_store: "));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_legal_triple_is_known_where_it_is_enabled_and_nowhere_else),
        cmocka_unit_test(combinations_that_make_no_sense_are_refused_with_their_sentence),
        cmocka_unit_test(words_of_a_rule_are_judged_with_the_rest),
        cmocka_unit_test(store_urls_that_make_no_sense_are_refused_with_their_sentence),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
