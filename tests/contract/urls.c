/* SPDX-License-Identifier: Apache-2.0
 *
 * urls.c - what a store may be called, and what is said about the rest.
 */
#include "contract.h"
#include <sys/stat.h>
#include <unistd.h>

static void assert_refused(const char *url, const char *said)
{
    lk_note note = {.text = ""};
    lk_store *other = store;

    assert_int_equal(lk_store_url_check(url, &note), LK_REFUSED);
    if (strstr(note.text, said) == NULL)
        fail_msg("%s: \"%s\" does not say \"%s\"", url, note.text, said);
    assert_int_equal(lk_store_url_check(url, NULL), LK_REFUSED);
    assert_int_equal(lk_store_open(test_env(), url, store_table(), &other, &note), LK_REFUSED);
    assert_null(other);
}

static void wrong_urls_are_refused_with_what_is_right(void **state)
{
    (void)state;
    assert_refused("", "memory:");
    assert_refused("memory", "memory:");
    assert_refused("/var/lib/latchkey", "lmdb:DIRECTORY");
    assert_refused("gopher://127.0.0.1", "lmdb:DIRECTORY");
    assert_refused("MEMORY:", "memory:");
    assert_refused("memory:64m", "nothing after it");
    assert_refused("memory:?size=64m", "none");
    assert_refused("lmdb:", "DIRECTORY");
    assert_refused("lmdb:?map=1g", "DIRECTORY");
    assert_refused("lmdb:/x?maps=1g", "map sync");
    assert_refused("lmdb:/x?map", "name=value");
    assert_refused("lmdb:/x?map=", "name=value");
    assert_refused("lmdb:/x?=1", "name=value");
    assert_refused("lmdb:/x?map=1g&&sync=fast", "name=value");
    assert_refused("lmdb:/x?map=1g&map=2g", "twice");
    assert_refused("lmdb:/x?map=1k", "1m");
    assert_refused("lmdb:/x?map=lots", "1m");
    assert_refused("lmdb:/x?map=99999g", "1m");
    assert_refused("lmdb:/x?sync=never", "always or fast");
}

static void path_beyond_its_bound_is_refused(void **state)
{
    char url[700];

    (void)state;
    memset(url, 'x', sizeof(url));
    memcpy(url, "lmdb:/", 6);
    url[sizeof(url) - 1] = '\0';
    assert_refused(url, "DIRECTORY");
}

static void check_alone_touches_nothing(void **state)
{
    char url[128], path[100];
    struct stat found;

    (void)state;
    snprintf(path, sizeof(path), "/tmp/latchkey-contract-none-%d", (int)getpid());
    snprintf(url, sizeof(url), "lmdb:%s?map=1g&sync=fast", path);
    assert_int_equal(lk_store_url_check(url, NULL), LK_OK);
    assert_int_equal(lk_store_url_check("memory:", NULL), LK_OK);
    assert_int_not_equal(stat(path, &found), 0);
}

static void place_that_cannot_be_opened_is_a_fault_that_says_why(void **state)
{
    lk_note note = {.text = ""};
    lk_store *other = store;

    (void)state;
    if (is_server)
        return; /* server.c */
    if (is_memory) {
        assert_int_equal(lk_store_open(test_env(), "memory:", NULL, &other, &note), LK_REFUSED);
        assert_non_null(strstr(note.text, "table"));
    } else {
        assert_int_equal(lk_store_open(test_env(), "lmdb:/proc/no/such/place", NULL, &other, &note),
                         LK_FAULT);
        assert_non_null(strstr(note.text, "/proc/no/such/place"));
        assert_int_equal(lk_store_open(test_env(), "lmdb:/dev/null", NULL, &other, &note), LK_FAULT);
        assert_non_null(strstr(note.text, "no directory"));
    }
    assert_null(other);
}

static void failing_memory_is_a_fault_and_leaks_nothing(void **state)
{
    lk_store *other = NULL;
    lk_status status = LK_FAULT;

    (void)state;
    lk_store_close(store);
    store = NULL;
    for (int n = 1; n < 1000; n++) {
        int live = test_alloc_live();

        test_alloc_fail_at(n);
        status = lk_store_open(test_env(), store_url(), store_table(), &other, NULL);
        if (!test_alloc_failed())
            break;
        assert_int_equal(status, LK_FAULT);
        assert_null(other);
        assert_int_equal(test_alloc_live(), live);
    }
    test_alloc_fail_at(0);
    assert_int_equal(status, LK_OK);
    store = other;
    assert_int_equal(create(1), LK_OK);
}

static void two_handles_of_one_process_are_one_store(void **state)
{
    lk_store *mine = store, *other = open_again();

    (void)state;
    assert_non_null(other);
    assert_int_equal(create(1), LK_OK);
    store = other;
    assert_int_equal(status_of(1), LK_OK);
    assert_int_equal(destroy(1), LK_OK);
    lk_store_close(mine);
    assert_int_equal(reason_of(1), LK_REASON_KICKED);
    assert_int_equal(create(2), LK_OK);
}

static bool open_and_close(lk_store *own, unsigned i, void *context)
{
    (void)context;
    lk_store_close(own); /* of several processes, often the last handle of all */
    for (unsigned n = 0; n < 25; n++) {
        lk_session s = session_of(i * 1000 + n);
        lk_store *other = open_again();

        CHECK(other != NULL);
        CHECK(lk_store_create(other, &s, NO_LIMIT, NULL) == LK_OK);
        lk_store_close(other);
    }
    _exit(0);
}

static void processes_that_open_and_close_at_the_same_time_do_no_harm(void **state)
{
    (void)state;
    lk_store_close(store);
    store = NULL;
    in_children(4, open_and_close, NULL);
    store = open_again();
    assert_non_null(store);
    assert_int_equal(listed("shop", "u1", 100), 100);
}

static bool close_what_was_inherited(lk_store *own, unsigned i, void *context)
{
    (void)context;
    lk_store_close(store);
    store = own;
    return create(i) == LK_OK;
}

static void handle_of_the_parent_is_closed_in_a_child_without_harm(void **state)
{
    (void)state;
    assert_int_equal(create(50000), LK_OK);
    in_children(2, close_what_was_inherited, NULL);
    assert_int_equal(create(50001), LK_OK);
    assert_int_equal(status_of(50000), LK_OK);
    assert_int_equal(status_of(1), LK_OK);
}

int run_urls(void)
{
    const struct CMUnitTest tests[] = {
        TEST(wrong_urls_are_refused_with_what_is_right),
        TEST(path_beyond_its_bound_is_refused),
        TEST(check_alone_touches_nothing),
        TEST(place_that_cannot_be_opened_is_a_fault_that_says_why),
        TEST(failing_memory_is_a_fault_and_leaks_nothing),
        TEST(two_handles_of_one_process_are_one_store),
        TEST(processes_that_open_and_close_at_the_same_time_do_no_harm),
        TEST(handle_of_the_parent_is_closed_in_a_child_without_harm),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
