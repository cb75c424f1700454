/* SPDX-License-Identifier: Apache-2.0
 *
 * server.c - stores that are reached by a URL with a password: what is refused, what is said, and what never
 * is.
 */
#include "contract.h"
#include "raw.h"
#include <arpa/inet.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

/* The password as it stands in the URL of the test. */
static const char *password(void)
{
    static char text[128];
    const char *from = strchr(strstr(store_url(), "://") + 3, ':') + 1;

    snprintf(text, sizeof(text), "%.*s", (int)(strchr(from, '@') - from), from);
    assert_true(strlen(text) > 10);
    return text;
}

/* What comes after the login. */
static const char *after_login(void)
{
    return strchr(store_url(), '@') + 1;
}

/* The URL of the test with another login. */
static const char *with_login(const char *login)
{
    static char text[1200];

    snprintf(text, sizeof(text), "%s//%s@%s", store_scheme(), login, after_login());
    return text;
}

/* One that leads to PORT of this machine and nowhere else. */
static const char *with_port(unsigned port, const char *options)
{
    static char text[256];
    const char *path = is_cluster ? "" : is_redis ? "/mymaster" : "/latchkey";

    if (strcmp(store_scheme(), "redis:") == 0)
        path = "/0";
    snprintf(text, sizeof(text), "%s//latchkey:Secret%%21word@127.0.0.1:%u%s?%s", store_scheme(), port, path,
             options);
    return text;
}

static void assert_silent(const char *text)
{
    if (strstr(text, "Secret") != NULL || strstr(text, password()) != NULL)
        fail_msg("this shows a password: %s", text);
}

static void wrong_password_is_refused_and_not_shown(void **state)
{
    lk_note note = {.text = ""};
    lk_store *other = store;

    (void)state;
    assert_int_equal(
        lk_store_open(test_env(), with_login("latchkey:Secret%21word"), store_table(), &other, &note),
        LK_REFUSED);
    assert_null(other);
    assert_true(strlen(note.text) > 20);
    assert_silent(note.text);
    assert_int_equal(lk_store_setup(test_env(), with_login("latchkey:Secret%21word"), false, &note),
                     LK_REFUSED);
    assert_silent(note.text);
}

static void password_is_left_out_of_a_url_that_is_shown(void **state)
{
    char shown[1200];

    (void)state;
    lk_store_url_show(store_url(), shown, sizeof(shown));
    assert_silent(shown);
    assert_non_null(strstr(shown, "latchkey"));
    assert_non_null(strstr(shown, "***"));
    for (size_t cap = 1; cap < 60; cap++) {
        lk_store_url_show(store_url(), shown, cap);
        assert_true(strlen(shown) < cap);
        assert_silent(shown);
    }
}

static void url_that_is_wrong_is_refused_without_its_password(void **state)
{
    static const char *const tails[] = {"127.0.0.1:port",
                                        "127.0.0.1:0",
                                        "127.0.0.1:70000",
                                        "127.0.0.1:1?deadline=1ms",
                                        "127.0.0.1:1?deadline=never",
                                        "127.0.0.1:1?nosuch=1"};

    (void)state;
    for (size_t i = 0; i < sizeof(tails) / sizeof(tails[0]); i++) {
        lk_note note = {.text = ""};
        lk_store *other = store;
        char url[256];

        snprintf(url, sizeof(url), "%s//latchkey:Secret%%21word@%s", store_scheme(), tails[i]);
        assert_int_equal(lk_store_url_check(url, &note), LK_REFUSED);
        assert_true(strlen(note.text) > 20);
        assert_silent(note.text);
        assert_int_equal(lk_store_open(test_env(), url, store_table(), &other, NULL), LK_REFUSED);
        assert_null(other);
    }
}

/* A port that nobody listens on, or (LISTENS) one where nobody answers. *FD is to be closed. */
static unsigned dead_port(bool listens, int *fd)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t len = sizeof(at);

    *fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(*fd, (const struct sockaddr *)(const void *)&at, sizeof(at)), 0);
    assert_int_equal(getsockname(*fd, (struct sockaddr *)(void *)&at, &len), 0);
    if (listens)
        assert_int_equal(listen(*fd, 16), 0);
    return ntohs(at.sin_port);
}

static void assert_unreachable(bool listens)
{
    lk_note note = {.text = ""};
    lk_store *other = store;
    int fd;
    unsigned port = dead_port(listens, &fd);
    int64_t begun_ms = real_ms();

    assert_int_equal(
        lk_store_open(test_env(), with_port(port, "deadline=400ms"), store_table(), &other, &note), LK_FAULT);
    assert_true(real_ms() - begun_ms < 10000);
    assert_null(other);
    assert_non_null(strstr(note.text, "127.0.0.1"));
    assert_silent(note.text);
    begun_ms = real_ms();
    assert_int_equal(lk_store_setup(test_env(), with_port(port, "deadline=400ms"), false, &note), LK_FAULT);
    assert_true(real_ms() - begun_ms < 10000);
    close(fd);
}

static void server_that_is_not_there_is_a_fault_that_says_which(void **state)
{
    (void)state;
    assert_unreachable(false);
}

static void server_that_does_not_answer_is_a_fault_in_time(void **state)
{
    (void)state;
    assert_unreachable(true);
}

static void store_that_was_not_made_is_a_miss_that_says_how(void **state)
{
    lk_note note = {.text = ""};
    lk_store *other = store;
    lk_status status;

    (void)state;
    assert_true(store_raw()->unmake());
    status = lk_store_open(test_env(), store_url(), store_table(), &other, &note);
    if (is_redis) { /* which needs nothing made */
        assert_int_equal(status, LK_OK);
        lk_store_close(other);
        return;
    }
    assert_int_equal(status, LK_MISS);
    assert_null(other);
    assert_non_null(strstr(note.text, "latchkey store init"));
    assert_int_equal(lk_store_setup(test_env(), store_url(), false, &note), LK_OK);
    assert_int_equal(create(1), LK_OK);
}

static bool set_up(lk_store *own, unsigned i, void *context)
{
    (void)own;
    (void)context;
    for (unsigned n = 0; n < 5; n++)
        CHECK(lk_store_setup(test_env(), store_url(), (i + n) % 2, NULL) == LK_OK);
    return true;
}

static void setting_up_again_and_at_once_harms_nothing(void **state)
{
    lk_session s, before = session_of(1);

    (void)state;
    assert_int_equal(create(1), LK_OK);
    in_children(3, set_up, NULL);
    assert_int_equal(look(1, &s, NULL), LK_OK);
    assert_same(&before, &s);
    assert_int_equal(listed("shop", "u1", 10), 1);
}

typedef struct findings {
    unsigned n;
    bool has_version;
} findings;

static void find(void *context, const lk_finding *f)
{
    findings *found = context;

    assert_true(strlen(f->name) > 0);
    assert_silent(f->name);
    assert_silent(f->value);
    assert_silent(f->advice);
    assert_true(f->level == LK_FINDING_FACT || strlen(f->advice) > 10);
    found->has_version = found->has_version || strcmp(f->name, "version") == 0;
    found->n++;
}

static void store_says_what_an_operator_wants_to_know(void **state)
{
    findings found = {0};
    lk_note note = {.text = ""};

    (void)state;
    assert_int_equal(lk_store_inspect(store, find, &found), LK_OK);
    assert_true(found.n > 2);
    assert_true(found.has_version);
    assert_int_equal(lk_store_ready(store, &note), LK_OK);
}

int run_server(void)
{
    const struct CMUnitTest of_servers[] = {
        TEST(wrong_password_is_refused_and_not_shown),
        TEST(password_is_left_out_of_a_url_that_is_shown),
        TEST(url_that_is_wrong_is_refused_without_its_password),
        TEST(server_that_is_not_there_is_a_fault_that_says_which),
        TEST(server_that_does_not_answer_is_a_fault_in_time),
        TEST(store_that_was_not_made_is_a_miss_that_says_how),
        TEST(setting_up_again_and_at_once_harms_nothing),
        TEST(store_says_what_an_operator_wants_to_know),
    };

    return is_server ? cmocka_run_group_tests(of_servers, NULL, NULL) : 0;
}
