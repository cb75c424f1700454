/* SPDX-License-Identifier: Apache-2.0
 *
 * Settings: one table, the same words for nginx, the command line and the library.
 */
#include <latchkey/settings.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char dir[] = "/tmp/latchkey-settings-XXXXXX";

static int make_dir(void **state)
{
    (void)state;
    return mkdtemp(dir) == NULL;
}

static int remove_dir(void **state)
{
    (void)state;
    static const char *const names[] = {"latchkey.conf", "more.conf", "secret"};
    char path[256];
    for (size_t i = 0; i < 3; i++) {
        (void)snprintf(path, sizeof(path), "%s/%s", dir, names[i]);
        (void)unlink(path);
    }
    return rmdir(dir);
}

static const char *write_file(const char *name, const char *text, mode_t mode)
{
    static char path[256];
    (void)snprintf(path, sizeof(path), "%s/%s", dir, name);
    FILE *f = fopen(path, "we");
    assert_non_null(f);
    assert_int_equal(fputs(text, f) >= 0, 1);
    assert_int_equal(fclose(f), 0);
    assert_int_equal(chmod(path, mode), 0);
    return path;
}

static lk_status read_text(const char *text, lk_settings *s, lk_note *note)
{
    note->text[0] = '\0';
    return lk_settings_read(lk_env_system(), write_file("latchkey.conf", text, 0600), s, note);
}

static void assert_refused(const char *text, const char *words)
{
    lk_settings s;
    lk_note note;
    assert_int_equal(read_text(text, &s, &note), LK_REFUSED);
    if (strstr(note.text, words) == NULL)
        fail_msg("for <%s> the note is <%s>, without <%s>", text, note.text, words);
}

static void defaults_are_those_the_table_shows(void **state)
{
    (void)state;
    lk_settings s;
    lk_note note = {""};
    lk_settings_init(&s);
    assert_int_equal(lk_settings_check(&s, &note), LK_OK);
    assert_int_equal(s.idle_s, 1800);
    assert_int_equal(s.absolute_s, 43200);
    assert_int_equal(s.remember_s, 30 * 86400);
    assert_string_equal(s.cookie_name, "__Host-latchkey");
    assert_true(s.cookie_secure);
    assert_int_equal(s.cookie_samesite, LK_SAMESITE_LAX);
    assert_int_equal(s.jwt_alg, LK_ALG_EDDSA);
    assert_int_equal(s.memory_size, 64u << 20);
    assert_string_equal(s.prefix, "/auth");
    assert_string_equal(s.carry, "cart");
    assert_true(s.registration);
}

static void words_may_be_quoted_escaped_and_commented(void **state)
{
    (void)state;
    lk_settings s;
    lk_note note;
    assert_int_equal(read_text("# a comment; with a semicolon\nlatchkey_realm s\\taff;# another\n"
                               "latchkey_jwt 'iss=a#b' \"aud=c;d\" ;\n\n#end",
                               &s, &note),
                     LK_OK);
    assert_string_equal(s.realm, "staff");
    assert_string_equal(s.jwt_issuer, "a#b");
    assert_string_equal(s.jwt_audience, "c;d");
}

static void limits_are_read_by_class_and_the_older_name_still_counts(void **state)
{
    (void)state;
    lk_settings s;
    lk_note note;
    static const char *const bad[] = {"class=mobile",    "class=mobile:0", "class=mobile:10001",
                                      "class=:1",        "class=a:1,,b:1", "class=a:1,a:2",
                                      "class=a/b:1",     "class=a:1,",     "user=10001",
                                      "victim=youngest", "class=a:1x",     "class=*:1,*:2"};
    assert_int_equal(
        read_text("latchkey_limit user=5 class=mobile:1,desktop:2,*:3 victim=refuse;\n", &s, &note), LK_OK);
    assert_int_equal(lk_settings_user_limit(&s), 5);
    assert_int_equal(s.limit_victim, LK_VICTIM_REFUSE);
    assert_int_equal(lk_settings_class_limit(&s, LK_VIEW("mobile")), 1);
    assert_int_equal(lk_settings_class_limit(&s, LK_VIEW("desktop")), 2);
    assert_int_equal(lk_settings_class_limit(&s, LK_VIEW("mobil")), 3);
    assert_int_equal(lk_settings_class_limit(&s, LK_VIEW("")), 3);
    assert_int_equal(read_text("latchkey_limit class=tablet:4;\nlatchkey_session per_user=7;\n", &s, &note),
                     LK_OK);
    assert_int_equal(lk_settings_user_limit(&s), 7);
    assert_int_equal(s.limit_victim, LK_VICTIM_LONGEST_IDLE);
    assert_int_equal(lk_settings_class_limit(&s, LK_VIEW("mobile")), 0);
    assert_int_equal(lk_settings_class_limit(&s, LK_VIEW("")), 0);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        char text[128];
        (void)snprintf(text, sizeof(text), "latchkey_limit %s;\n", bad[i]);
        assert_int_equal(read_text(text, &s, &note), LK_REFUSED);
        assert_non_null(strstr(note.text, "latchkey_limit"));
    }
    assert_int_equal(read_text("latchkey_limit user=5;\nlatchkey_session per_user=5;\n", &s, &note),
                     LK_REFUSED);
    assert_non_null(strstr(note.text, "the same thing"));
}

static void values_of_a_file_arrive(void **state)
{
    (void)state;
    lk_settings s;
    lk_note note;
    assert_int_equal(
        read_text("latchkey_keys /var/keys;\nlatchkey_store \"lmdb:/var/x y?sync=fast&map=1g\";\n"
                  "latchkey_session idle=5m # in the middle\n   absolute=1h;\n"
                  "latchkey_cookie 'shop' samesite=strict secure=off path=/a;\n"
                  "latchkey_carry cart lang;latchkey_origin https://a.example https://b.example:8443;\n"
                  "latchkey_throttle account=3/1m;latchkey_share replication;latchkey_near life=0s;\n"
                  "latchkey_replica redis://:x@127.0.0.1:6380/0;",
                  &s, &note),
        LK_OK);
    assert_string_equal(s.keys, "/var/keys");
    assert_string_equal(s.store, "lmdb:/var/x y?sync=fast&map=1g");
    assert_int_equal(s.idle_s, 300);
    assert_int_equal(s.absolute_s, 3600);
    assert_int_equal(s.remember_s, 30 * 86400);
    assert_string_equal(s.cookie_name, "shop");
    assert_string_equal(s.cookie_path, "/a");
    assert_false(s.cookie_secure);
    assert_int_equal(s.cookie_samesite, LK_SAMESITE_STRICT);
    assert_string_equal(s.carry, "cart lang");
    assert_int_equal(s.origins_n, 2);
    assert_string_equal(s.origins[1], "https://b.example:8443");
    assert_int_equal(s.throttle_account, 3);
    assert_int_equal(s.throttle_account_s, 60);
    assert_int_equal(s.throttle_address, 100);
    assert_string_equal(s.share, "replication");
    assert_string_equal(s.replica, "redis://:x@127.0.0.1:6380/0");
    assert_int_equal(s.near_life_s, 0);
}

static void what_is_wrong_is_told_with_its_line(void **state)
{
    (void)state;
    assert_refused("latchkey_keys /k;\n\nlatchkey_session idle=soon;",
                   "latchkey.conf:3: latchkey_session idle: expected a time");
    assert_refused("latchkey_keys", "latchkey.conf:1: a ; is missing");
    assert_refused("latchkey_keys \"/k;", "never closed");
    assert_refused(";", "without a setting");
    assert_refused("server {\n}", "nginx.conf");
    assert_refused("listen 80;", "not a setting of latchkey");
    assert_refused("latchkey_prefix /a /b;", "wrong number of values");
    assert_refused("latchkey_keys /a;latchkey_keys /b;", "given twice");
    assert_refused("latchkey_session idle=1m idle=2m;", "the same value twice");
    assert_refused("latchkey_session idel=1m;", "does not know \"idel=1m\"");
    assert_refused("latchkey_session idle=1;", "from 10 to");
    assert_refused("latchkey_registration yes;", "expected on or off");
    assert_refused("latchkey_jwt alg=none;", "expected EdDSA");
    assert_refused("latchkey_jwt alg=NONE;", "expected EdDSA");
    assert_refused("latchkey_jwt leeway=61s;", "from 0 to 60");
    assert_refused("latchkey_origin https://Shop.example;", "expected an origin");
    assert_refused("latchkey_origin https://shop.example/;", "expected an origin");
    assert_refused("latchkey_origin null;", "expected an origin");
    assert_refused("latchkey_memory /x size=1k;", "a size such as 64m");
    assert_refused("latchkey_throttle account=10;", "a count and a time");
}

static void settings_that_contradict_each_other_are_refused_with_the_cure(void **state)
{
    (void)state;
    assert_refused("latchkey_cookie __Host-x secure=off;", "needs secure=on");
    assert_refused("latchkey_cookie __Host-x domain=shop.example;", "use the prefix __Secure-");
    assert_refused("latchkey_cookie __Host-x path=/a;", "needs path=/");
    assert_refused("latchkey_cookie __HOST-x;", "write it as __Host-");
    assert_refused("latchkey_cookie __secure-x;", "write it as __Secure-");
    assert_refused("latchkey_cookie __Secure-x secure=off;", "needs secure=on");
    assert_refused("latchkey_cookie x samesite=none secure=off;", "add secure=on");
    assert_refused("latchkey_cookie 'a b';", "letters, digits");
    assert_refused("latchkey_cookie a=b;", "letters, digits");
    assert_refused("latchkey_cookie x 'path=/;Domain=evil';", "path=");
    assert_refused("latchkey_session idle=2h absolute=1h;", "idle= is longer");
    assert_refused("latchkey_session remember=1h;", "remember= is shorter");
    assert_refused("latchkey_header Cookie;", "another meaning");
    assert_refused("latchkey_prefix auth;", "a path such as /auth");
    assert_refused("latchkey_prefix /;", "a path such as /auth");
    assert_refused("latchkey_prefix /auth/;", "a path such as /auth");
    assert_refused("latchkey_keys keys;", "the whole path");
    assert_refused("latchkey_password memory=1024 passes=1;", "latchkey_password");
}

static void secret_value_comes_from_a_file_or_the_environment(void **state)
{
    (void)state;
    lk_settings s;
    lk_note note;
    char text[512];
    (void)snprintf(text, sizeof(text), "latchkey_accounts file:%s;",
                   write_file("secret", "sqlite:/from/file\n", 0600));
    assert_int_equal(read_text(text, &s, &note), LK_OK);
    assert_string_equal(s.accounts, "sqlite:/from/file");
    (void)write_file("secret", "sqlite:/from/file\n", 0604);
    assert_refused(text, "readable by everybody");
    (void)write_file("secret", "a\nb", 0600);
    assert_refused(text, "control character");
    assert_int_equal(setenv("LATCHKEY_TEST_URL", "sqlite:/from/env", 1), 0);
    assert_int_equal(read_text("latchkey_accounts env:LATCHKEY_TEST_URL;", &s, &note), LK_OK);
    assert_string_equal(s.accounts, "sqlite:/from/env");
    assert_int_equal(unsetenv("LATCHKEY_TEST_URL"), 0);
    assert_refused("latchkey_accounts env:LATCHKEY_TEST_URL;", "is not set");
}

static void missing_file_is_a_fault_and_not_a_default(void **state)
{
    (void)state;
    lk_settings s;
    lk_note note = {""};
    assert_int_equal(lk_settings_read(lk_env_system(), "/nonexistent/latchkey.conf", &s, &note), LK_FAULT);
    assert_non_null(strstr(note.text, "cannot be read"));
    assert_int_equal(read_text("latchkey_accounts file:/nonexistent/secret;", &s, &note), LK_FAULT);
}

static void include_is_followed_once(void **state)
{
    (void)state;
    lk_settings s;
    lk_note note;
    char text[512];
    (void)snprintf(text, sizeof(text), "include %s;", write_file("more.conf", "latchkey_realm staff;", 0600));
    assert_int_equal(read_text(text, &s, &note), LK_OK);
    assert_string_equal(s.realm, "staff");
    (void)snprintf(text, sizeof(text), "include %s/latchkey.conf;", dir);
    assert_refused(text, "includes no other");
}

static void every_setting_of_the_table_can_be_given_with_its_default(void **state)
{
    (void)state;
    lk_settings s, fresh;
    lk_note note = {""};
    lk_settings_init(&s);
    lk_settings_init(&fresh);
    for (size_t i = 0; lk_setting_at(i) != NULL; i++) {
        const lk_setting *row = lk_setting_at(i);
        lk_view args[8], rest = lk_view_of(row->initial);
        size_t n = 0;
        while (n < 8 && lk_words_next(&rest, &args[n]))
            n++;
        assert_true(strlen(row->summary) > 10);
        if (strcmp(row->name, "latchkey_trust") == 0)
            continue; /* what every issuer begins with, and not a whole one */
        if (n > 0 && lk_settings_apply(&s, lk_view_of(row->name), args, n, &note) != LK_OK)
            fail_msg("%s: %s", row->name, note.text);
    }
    fresh.seen = s.seen;
    assert_memory_equal(&s, &fresh, sizeof(s));
}

#define KEYS "latchkey_keys /k; "
#define IDP "latchkey_trust https://idp.example/a jwks=https://idp.example/keys aud=shop"

static void issuers_are_trusted_one_by_one(void **state)
{
    (void)state;
    lk_settings s;
    lk_note note;
    assert_int_equal(read_text(KEYS IDP
                               " alg=ES256,EdDSA roles=realm_access.roles every=5s leeway=10s;\n"
                               "latchkey_trust corp jwks=file:/etc/corp.json aud=x realm=corp user=uid;",
                               &s, &note),
                     LK_OK);
    assert_int_equal(s.trusts_n, 2);
    assert_string_equal(s.trusts[0].issuer, "https://idp.example/a");
    assert_string_equal(s.trusts[0].realm, "idp.example");
    assert_int_equal(s.trusts[0].algs, 1u << LK_ALG_ES256 | 1u << LK_ALG_EDDSA);
    assert_int_equal(s.trusts[0].max_age_s, 3600);
    assert_int_equal(s.trusts[0].every_s, 5);
    assert_string_equal(s.trusts[0].user, "sub");
    assert_string_equal(s.trusts[1].jwks, "file:/etc/corp.json");
    assert_string_equal(s.trusts[1].roles, "");
    assert_int_equal(s.trusts[1].algs, 0);
    assert_int_equal(s.trusts[1].keep_s, 86400);
}

static void issuer_that_would_open_a_door_is_refused(void **state)
{
    (void)state;
    assert_refused(KEYS "latchkey_trust https://a jwks=http://idp.example/keys aud=x;", "https://");
    assert_refused(KEYS "latchkey_trust https://a jwks=http://127.0.0.1.evil.example/ aud=x;", "127.0.0.1");
    assert_refused(KEYS "latchkey_trust https://a jwks=http://localhost/ aud=x;", "127.0.0.1");
    assert_refused(KEYS "latchkey_trust https://a jwks=ftp://a/b aud=x;", "https://");
    assert_refused(KEYS "latchkey_trust https://a jwks=https://u:p@a/b aud=x;", "no name or password");
    assert_refused(KEYS "latchkey_trust https://a jwks=https:///b aud=x;", "no URL");
    assert_refused(KEYS "latchkey_trust https://a jwks=file:keys.json aud=x;", "whole path");
    assert_refused(KEYS "latchkey_trust https://a jwks=https://a/b realm=r;", "aud= is missing");
    assert_refused(KEYS "latchkey_trust https://a aud=x realm=r;", "jwks= is missing");
    assert_refused(KEYS IDP " alg=HS256;", "secrets");
    assert_refused(KEYS IDP " alg=none;", "names of algorithms");
    assert_refused(KEYS IDP " alg=ES256,;", "names of algorithms");
    assert_refused(KEYS IDP " ca=ca.pem;", "whole path");
    assert_refused(KEYS IDP "; " IDP " realm=b;", "given twice");
    assert_refused(KEYS IDP "; latchkey_trust b jwks=https://b/ aud=x realm=IDP.example;", "one realm");
    assert_refused(KEYS IDP "; latchkey_realm idp.example;", "taken for");
    assert_refused(KEYS "latchkey_jwt iss=corp; latchkey_trust corp jwks=https://b/ aud=x realm=b;",
                   "own keys");
    assert_refused(KEYS "latchkey_trust corp jwks=https://b/ aud=x;", "add realm=");
    assert_refused(KEYS "latchkey_trust jwks=https://b/ aud=x realm=r;", "issuer comes first");
    assert_refused(KEYS "latchkey_trust a jwks=https://b/ aud=x realm=a/b;", "letters, digits");
}

static void issuers_beyond_eight_are_refused(void **state)
{
    (void)state;
    char text[2048] = KEYS;
    for (int i = 0; i < 9; i++) {
        size_t used = strlen(text);
        (void)snprintf(text + used, sizeof(text) - used,
                       "latchkey_trust i%d jwks=https://b/ aud=x realm=r%d;\n", i, i);
    }
    assert_refused(text, "more than 8 times");
}

static void unknown_setting_is_a_miss_and_shows_where_to_look(void **state)
{
    (void)state;
    lk_settings s;
    lk_note note = {""};
    lk_view arg = LK_VIEW("x");
    lk_settings_init(&s);
    assert_int_equal(lk_settings_apply(&s, LK_VIEW("latchkey_kees"), &arg, 1, &note), LK_MISS);
    assert_non_null(strstr(note.text, "latchkey settings list"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults_are_those_the_table_shows),
        cmocka_unit_test(words_may_be_quoted_escaped_and_commented),
        cmocka_unit_test(values_of_a_file_arrive),
        cmocka_unit_test(limits_are_read_by_class_and_the_older_name_still_counts),
        cmocka_unit_test(issuers_are_trusted_one_by_one),
        cmocka_unit_test(issuer_that_would_open_a_door_is_refused),
        cmocka_unit_test(issuers_beyond_eight_are_refused),
        cmocka_unit_test(what_is_wrong_is_told_with_its_line),
        cmocka_unit_test(settings_that_contradict_each_other_are_refused_with_the_cure),
        cmocka_unit_test(secret_value_comes_from_a_file_or_the_environment),
        cmocka_unit_test(missing_file_is_a_fault_and_not_a_default),
        cmocka_unit_test(include_is_followed_once),
        cmocka_unit_test(every_setting_of_the_table_can_be_given_with_its_default),
        cmocka_unit_test(unknown_setting_is_a_miss_and_shows_where_to_look),
    };
    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
