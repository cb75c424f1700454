/* SPDX-License-Identifier: Apache-2.0
 *
 * test_redis.c - the redis stores without a server: slots of a cluster, URLs, keys and what lies under them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "store/redis/redis_inner.h"
#include <string.h>

/* ---- slots ---- */

static unsigned slot(const char *key)
{
    return lk__redis_slot_of(lk_view_of(key));
}

static void slots_are_those_that_redis_computes(void **state)
{
    (void)state;
    assert_int_equal(slot("123456789"), 0x31c3); /* the check value of the specification */
    assert_int_equal(slot("foo"), 12182);
    assert_int_equal(slot("bar"), 5061);
    assert_int_equal(slot("hello"), 866);
    assert_int_equal(slot(""), 0);
}

static void what_stands_in_braces_decides_alone(void **state)
{
    (void)state;
    assert_int_equal(slot("{user1000}.following"), slot("user1000"));
    assert_int_equal(slot("foo{bar}{zap}"), slot("bar"));
    assert_int_equal(slot("foo{{bar}}zap"), slot("{bar"));
    assert_int_equal(slot("lk:{events}:seq"), slot("events"));
}

static void braces_that_hold_nothing_or_do_not_close_decide_nothing(void **state)
{
    (void)state;
    assert_int_not_equal(slot("foo{}{bar}"), slot("bar"));
    assert_int_not_equal(slot("foo{bar"), slot("bar"));
    assert_int_not_equal(slot("foo}bar{"), slot("bar"));
}

/* ---- URLs ---- */

/* The parts of scheme:REST, with the options NAME=VALUE. */
static lk_status read_with(lk__redis_kind kind, const char *rest, const char *name, const char *value,
                           lk__redis_config *out, lk_note *note)
{
    lk_store_url url = {.whole = rest, .rest = lk_view_of(rest)};

    if (name != NULL) {
        url.options[0] = (lk_store_option){.name = lk_view_of(name), .value = lk_view_of(value)};
        url.options_n = 1;
    }
    return lk__redis_config_read(kind, &url, out, note);
}

static lk_status read_url(lk__redis_kind kind, const char *rest, lk__redis_config *out)
{
    return read_with(kind, rest, NULL, NULL, out, NULL);
}

static void url_of_one_server_is_read(void **state)
{
    lk__redis_config c;

    (void)state;
    assert_int_equal(read_url(LK__REDIS_SINGLE, "//10.0.0.5", &c), LK_OK);
    assert_string_equal(c.seeds[0].host, "10.0.0.5");
    assert_int_equal(c.seeds[0].port, 6379);
    assert_int_equal(c.seeds_n, 1);
    assert_string_equal(c.password, "");
    assert_string_equal(c.prefix, "lk:");
    assert_int_equal(c.deadline_ms, 250);
    assert_int_equal(c.wait_for, LK__REDIS_WAIT_AUTO);
    assert_int_equal(read_url(LK__REDIS_SINGLE, "//ada:pa%40ss%2fwo%3Ard@db.example:7000/3", &c), LK_OK);
    assert_string_equal(c.user, "ada");
    assert_string_equal(c.password, "pa@ss/wo:rd");
    assert_string_equal(c.seeds[0].host, "db.example");
    assert_int_equal(c.seeds[0].port, 7000);
    assert_int_equal(c.db, 3);
    assert_int_equal(read_url(LK__REDIS_SINGLE, "//:secret@[::1]:7000", &c), LK_OK);
    assert_string_equal(c.user, "");
    assert_string_equal(c.password, "secret");
    assert_string_equal(c.seeds[0].host, "::1");
    assert_int_equal(c.seeds[0].port, 7000);
    assert_int_equal(read_url(LK__REDIS_SINGLE, "//[fe80::1]/2", &c), LK_OK);
    assert_string_equal(c.seeds[0].host, "fe80::1");
}

static void url_of_a_socket_is_read(void **state)
{
    lk__redis_config c;

    (void)state;
    assert_int_equal(read_with(LK__REDIS_SINGLE, "///run/redis/redis.sock", "db", "5", &c, NULL), LK_OK);
    assert_string_equal(c.seeds[0].host, "/run/redis/redis.sock");
    assert_int_equal(c.seeds[0].port, 0);
    assert_int_equal(c.db, 5);
    assert_int_equal(read_url(LK__REDIS_SINGLE, "//:secret@/run/redis.sock", &c), LK_OK);
    assert_string_equal(c.password, "secret");
}

static void url_of_sentinels_is_read(void **state)
{
    lk__redis_config c;

    (void)state;
    assert_int_equal(read_url(LK__REDIS_SENTINEL, "//u:p@a,b:7,[::1]/mymaster/1", &c), LK_OK);
    assert_int_equal(c.seeds_n, 3);
    assert_string_equal(c.seeds[0].host, "a");
    assert_int_equal(c.seeds[0].port, 26379);
    assert_int_equal(c.seeds[1].port, 7);
    assert_string_equal(c.seeds[2].host, "::1");
    assert_string_equal(c.master, "mymaster");
    assert_int_equal(c.db, 1);
}

static void url_of_a_cluster_is_read(void **state)
{
    lk__redis_config c;

    (void)state;
    assert_int_equal(read_url(LK__REDIS_CLUSTER, "//a,b:7", &c), LK_OK);
    assert_int_equal(c.seeds_n, 2);
    assert_int_equal(c.seeds[0].port, 6379);
    assert_int_equal(c.seeds[1].port, 7);
}

static void options_are_read_within_their_bounds(void **state)
{
    lk__redis_config c;

    (void)state;
    assert_int_equal(read_with(LK__REDIS_SINGLE, "//a", "deadline", "10ms", &c, NULL), LK_OK);
    assert_int_equal(c.deadline_ms, 10);
    assert_int_equal(read_with(LK__REDIS_SINGLE, "//a", "deadline", "10s", &c, NULL), LK_OK);
    assert_int_equal(c.deadline_ms, 10000);
    assert_int_equal(read_with(LK__REDIS_SINGLE, "//a", "wait", "2", &c, NULL), LK_OK);
    assert_int_equal(c.wait_for, 2);
    assert_int_equal(read_with(LK__REDIS_SINGLE, "//a", "wait", "auto", &c, NULL), LK_OK);
    assert_int_equal(c.wait_for, LK__REDIS_WAIT_AUTO);
    assert_int_equal(read_with(LK__REDIS_SINGLE, "//a", "prefix", "shop.eu:", &c, NULL), LK_OK);
    assert_string_equal(c.prefix, "shop.eu:");
}

static void what_is_wrong_is_refused_with_the_right_form_and_without_the_password(void **state)
{
    static const struct {
        lk__redis_kind kind;
        const char *rest, *name, *value;
    } wrong[] = {
        {LK__REDIS_SINGLE, "", NULL, NULL},
        {LK__REDIS_SINGLE, "127.0.0.1", NULL, NULL},
        {LK__REDIS_SINGLE, "/127.0.0.1", NULL, NULL},
        {LK__REDIS_SINGLE, "//", NULL, NULL},
        {LK__REDIS_SINGLE, "///", NULL, NULL},
        {LK__REDIS_SINGLE, "//Secret@a", NULL, NULL}, /* a user without a password */
        {LK__REDIS_SINGLE, "//u:@a", NULL, NULL},
        {LK__REDIS_SINGLE, "//u:Secret%@a", NULL, NULL},
        {LK__REDIS_SINGLE, "//u:Secret%4@a", NULL, NULL},
        {LK__REDIS_SINGLE, "//u:Secret%00@a", NULL, NULL},
        {LK__REDIS_SINGLE, "//u:Secret%zz@a", NULL, NULL},
        {LK__REDIS_SINGLE, "//u:Secret@", NULL, NULL},
        {LK__REDIS_SINGLE, "//a:0", NULL, NULL},
        {LK__REDIS_SINGLE, "//a:65536", NULL, NULL},
        {LK__REDIS_SINGLE, "//a:", NULL, NULL},
        {LK__REDIS_SINGLE, "//a:1x", NULL, NULL},
        {LK__REDIS_SINGLE, "//[::1", NULL, NULL},
        {LK__REDIS_SINGLE, "//[::1]x", NULL, NULL},
        {LK__REDIS_SINGLE, "//[]:1", NULL, NULL},
        {LK__REDIS_SINGLE, "//a b", NULL, NULL},
        {LK__REDIS_SINGLE, "//a,b", NULL, NULL},
        {LK__REDIS_SINGLE, "//a/x", NULL, NULL},
        {LK__REDIS_SINGLE, "//a/1/2", NULL, NULL},
        {LK__REDIS_SENTINEL, "//u:Secret@a,b", NULL, NULL},
        {LK__REDIS_SENTINEL, "//u:Secret@a,b/", NULL, NULL},
        {LK__REDIS_SENTINEL, "//a,,b/mymaster", NULL, NULL},
        {LK__REDIS_SENTINEL, "//a/mymaster/x", NULL, NULL},
        {LK__REDIS_CLUSTER, "//a/1", NULL, NULL},
        {LK__REDIS_CLUSTER, "//a,", NULL, NULL},
        {LK__REDIS_CLUSTER, "//1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17", NULL, NULL},
        {LK__REDIS_SINGLE, "//a", "deadline", "9ms"},
        {LK__REDIS_SINGLE, "//a", "deadline", "11s"},
        {LK__REDIS_SINGLE, "//a", "deadline", "250"},
        {LK__REDIS_SINGLE, "//a", "deadline", "99999999999999999999s"},
        {LK__REDIS_SINGLE, "//a", "deadline", "fast"},
        {LK__REDIS_SINGLE, "//a", "wait", "11"},
        {LK__REDIS_SINGLE, "//a", "wait", "-1"},
        {LK__REDIS_SINGLE, "//a", "prefix", "a*"},
        {LK__REDIS_SINGLE, "//a", "prefix", "{a}"},
        {LK__REDIS_SINGLE, "//a", "prefix", "012345678901234567890123456789012"},
        {LK__REDIS_SINGLE, "//a", "db", "one"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        lk__redis_config c;
        lk_note note = {.text = ""};

        if (read_with(wrong[i].kind, wrong[i].rest, wrong[i].name, wrong[i].value, &c, &note) != LK_REFUSED)
            fail_msg("%s %s is taken", wrong[i].rest, wrong[i].value != NULL ? wrong[i].value : "");
        assert_true(strlen(note.text) > 20);
        assert_null(strstr(note.text, "Secret"));
        assert_int_equal(read_with(wrong[i].kind, wrong[i].rest, wrong[i].name, wrong[i].value, &c, NULL),
                         LK_REFUSED);
    }
}

static void texts_beyond_their_bounds_are_refused(void **state)
{
    char rest[4000];
    lk__redis_config c;

    (void)state;
    for (size_t len = 200; len < sizeof(rest) - 10; len += 100) {
        memset(rest, 'a', len);
        memcpy(rest, "//", 2);
        rest[len] = '\0';
        assert_int_equal(read_url(LK__REDIS_SINGLE, rest, &c),
                         len - 2 < LK__REDIS_HOST_MAX ? LK_OK : LK_REFUSED);
        memcpy(rest, "//u:", 4);
        memcpy(rest + len, "@h", 3);
        assert_int_equal(read_url(LK__REDIS_SINGLE, rest, &c),
                         len - 4 < LK__REDIS_PASSWORD_MAX ? LK_OK : LK_REFUSED);
        memcpy(rest, "//h/", 4);
        rest[len] = '\0';
        assert_int_equal(read_url(LK__REDIS_SENTINEL, rest, &c),
                         len - 4 < LK__REDIS_NAME_MAX ? LK_OK : LK_REFUSED);
        memcpy(rest, "///a", 4);
        assert_int_equal(read_url(LK__REDIS_SINGLE, rest, &c), LK_REFUSED);
    }
}

/* ---- keys and values ---- */

static lk__redis plain(void)
{
    lk__redis r = {.base.env = lk_env_system()};

    memcpy(r.config.prefix, "lk:", 4);
    return r;
}

static void assert_text(lk__redis_text t, const char *bytes, size_t len)
{
    assert_int_equal(t.len, len);
    assert_memory_equal(t.bytes, bytes, len);
}

static void keys_are_those_of_the_page(void **state)
{
    lk__redis r = plain();
    lk_session_key key = {{0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, 0, 1}};

    (void)state;
    assert_text(lk__redis_session_key(&r, &key), "lk:s:____AAAAAAAAAAAB", 21);
    assert_text(lk__redis_user_key(&r, LK_VIEW("shop"), LK_VIEW("ada")), "lk:u:shop\0ada", 13);
    assert_text(lk__redis_event_key(&r, ":seq"), "lk:{events}:seq", 15);
}

static void no_two_users_have_one_key(void **state)
{
    lk__redis r = plain();
    lk__redis_text a = lk__redis_user_key(&r, LK_VIEW("a"), LK_VIEW("bc")),
                   b = lk__redis_user_key(&r, LK_VIEW("ab"), LK_VIEW("c"));

    (void)state;
    assert_false(lk_view_equal(lk__redis_view(&a), lk__redis_view(&b)));
}

static void longest_names_there_can_be_have_room(void **state)
{
    lk__redis r = plain();
    char long_text[LK_USER_ID_MAX];
    lk_session_key key = {{1}};

    (void)state;
    memset(long_text, 'x', sizeof(long_text));
    memset(r.config.prefix, 'p', LK__REDIS_PREFIX_MAX);
    assert_int_equal(lk__redis_session_key(&r, &key).len, LK__REDIS_KEY_MAX);
    assert_int_equal(
        lk__redis_user_key(&r, lk_view_make(long_text, LK_REALM_MAX), lk_view_make(long_text, LK_USER_ID_MAX))
            .len,
        LK__REDIS_USER_KEY_MAX);
}

static void entry_of_an_index_is_that_of_the_page(void **state)
{
    lk_session s = {.key = {{0}}, .issued_s = 4, .seen_s = 3, .idle_s = 0, .expires_s = 0x0102030405};

    (void)state;
    assert_text(lk__redis_entry(&s),
                "AAAAAAAAAAAAAAAAl"
                "\x01\x02\x03\x04\x41"
                "\x01\x02\x03\x04\x05"
                "\0\0\0\0\x03"
                "\0\0\0\0\x04",
                LK__REDIS_ENTRY_LEN);
    s.expires_s = INT64_MAX; /* no session has such times, and they break nothing */
    assert_int_equal(lk__redis_entry(&s).len, LK__REDIS_ENTRY_LEN);
}

static void time_to_live_is_at_least_a_millisecond_and_never_negative(void **state)
{
    const lk_env *env = lk_env_system();
    lk__redis_text far = lk__redis_px(env, INT64_MAX), soon = lk__redis_px(env, lk_now_s(env) + 100);
    int64_t ms;

    (void)state;
    assert_text(lk__redis_px(env, 0), "1", 1);
    assert_text(lk__redis_px(env, INT64_MIN), "1", 1);
    assert_int_equal(lk_parse_i64(lk__redis_view(&far), &ms), LK_OK);
    assert_true(ms > INT64_C(1000000000000));
    assert_int_equal(lk_parse_i64(lk__redis_view(&soon), &ms), LK_OK);
    assert_in_range(ms, 98000, 100000);
}

static void fence_cannot_be_taken_for_a_record(void **state)
{
    lk__redis_text fence;
    lk_session s;

    (void)state;
    assert_int_equal(lk__redis_fence_write(LK_REASON_KICKED, 77, &fence), LK_OK);
    assert_true(lk__redis_is_fence(lk__redis_view(&fence)));
    assert_int_equal(lk_record_read(lk__redis_view(&fence), &s), LK_STALE);
    assert_false(lk__redis_is_fence(LK_VIEW("")));
    assert_false(lk__redis_is_fence(LK_VIEW("\x01")));
}

static void server_is_left_alone_longer_each_time_and_never_longer_than_two_seconds(void **state)
{
    const lk_env *env = lk_env_system();

    (void)state;
    for (unsigned n = 1; n < 100; n++) {
        int64_t ms = lk__redis_backoff_ms(env, n);

        assert_in_range(ms, 25, 2000);
        assert_true(n < 7 || ms >= 1000);
        assert_true(n > 1 || ms <= 50);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(slots_are_those_that_redis_computes),
        cmocka_unit_test(what_stands_in_braces_decides_alone),
        cmocka_unit_test(braces_that_hold_nothing_or_do_not_close_decide_nothing),
        cmocka_unit_test(url_of_one_server_is_read),
        cmocka_unit_test(url_of_a_socket_is_read),
        cmocka_unit_test(url_of_sentinels_is_read),
        cmocka_unit_test(url_of_a_cluster_is_read),
        cmocka_unit_test(options_are_read_within_their_bounds),
        cmocka_unit_test(what_is_wrong_is_refused_with_the_right_form_and_without_the_password),
        cmocka_unit_test(texts_beyond_their_bounds_are_refused),
        cmocka_unit_test(keys_are_those_of_the_page),
        cmocka_unit_test(no_two_users_have_one_key),
        cmocka_unit_test(longest_names_there_can_be_have_room),
        cmocka_unit_test(entry_of_an_index_is_that_of_the_page),
        cmocka_unit_test(time_to_live_is_at_least_a_millisecond_and_never_negative),
        cmocka_unit_test(fence_cannot_be_taken_for_a_record),
        cmocka_unit_test(server_is_left_alone_longer_each_time_and_never_longer_than_two_seconds),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
