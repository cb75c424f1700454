/* SPDX-License-Identifier: Apache-2.0
 *
 * races.c - a logout among writers that are on their way.
 */
#include "contract.h"
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define SESSIONS 300

/* Write to every session in turn, in every way there is, until killed. Session n is replaced by n + 1000 and
 * that by n + 2000; whoever comes first gets it. */
static void write_for_ever(lk_store *own, unsigned seed)
{
    for (uint32_t at = seed;;) {
        unsigned n = random_next(&at) % SESSIONS;
        lk_session s = session_of(n + 1000);
        lk_session_key key = key_of(n);
        lk_touch touch = {.key = key, .seen_s = NOW_S + random_next(&at) % 100};
        lk_op op = op_add("n", 1);

        s.previous = key;
        (void)!lk_store_change(own, &key, 1, 0, &op, 1, NULL, NULL);
        (void)!lk_store_touch_many(own, &touch, 1);
        if (random_next(&at) % 8 == 0)
            (void)!lk_store_replace(own, &key, 1, &s, random_next(&at) % 2 ? NOW_S + 10 : 0, FENCE_S,
                                    NO_LIMIT);
        if (random_next(&at) % 8 == 0) {
            s = session_of(n);
            (void)!lk_store_create(own, &s, (lk_limit){.max = 0}, NULL);
        }
    }
}

static pid_t start_writer(unsigned seed)
{
    pid_t child = fork();

    if (child == 0) {
        lk_store *own = open_again();

        if (own == NULL)
            _exit(1);
        write_for_ever(own, seed);
    }
    assert_true(child > 0);
    return child;
}

static void no_write_on_its_way_brings_an_ended_session_back(void **state)
{
    pid_t writers[3];

    (void)state;
    for (unsigned i = 0; i < SESSIONS; i++)
        assert_int_equal(create(i), LK_OK);
    for (unsigned i = 0; i < 3; i++)
        writers[i] = start_writer(i + 1);
    for (unsigned i = 0; i < SESSIONS; i++) {
        lk_reason why;

        assert_int_equal(destroy(i), LK_OK);
        assert_int_equal(look(i, NULL, &why), LK_STALE);
        assert_true(why == LK_REASON_KICKED || why == LK_REASON_REPLACED);
        if (i % 20 == 0)
            usleep(10000);
    }
    usleep(100000);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(kill(writers[i], SIGKILL), 0);
        assert_int_equal(waitpid(writers[i], NULL, 0), writers[i]);
    }
    for (unsigned i = 0; i < SESSIONS; i++)
        assert_int_equal(status_of(i), LK_STALE);
}

/* Replace one session at the same time in several processes: exactly one new session is to come of it. */
static bool replace_it(lk_store *own, unsigned i, void *context)
{
    const unsigned *old = context;
    lk_session s = session_of(10000 + *old * 10 + i);
    lk_session_key key = key_of(*old);
    lk_status status;

    s.previous = key;
    status = lk_store_replace(own, &key, 1, &s, *old % 2 ? NOW_S + 10 : 0, FENCE_S, NO_LIMIT);
    CHECK(status == LK_OK || status == LK_STALE || status == LK_MISS);
    return true;
}

static void one_of_several_parallel_id_changes_wins(void **state)
{
    (void)state;
    for (unsigned old = 0; old < 40; old++) {
        unsigned made = 0;

        assert_int_equal(create(old), LK_OK);
        in_children(4, replace_it, &old);
        for (unsigned i = 0; i < 4; i++)
            made += status_of(10000 + old * 10 + i) == LK_OK;
        assert_int_equal(made, 1);
        assert_int_equal(listed("shop", "u1", 100), old + 1);
    }
}

#define ROUNDS fewer(3000)

/* Both processes begin each round together, by counting in memory that they share. */
static bool meet(_Atomic unsigned *there, unsigned round)
{
    unsigned patience = 0;

    atomic_fetch_add(there, 1);
    while (atomic_load(there) < 2 * (round + 1)) {
        if (++patience > 1000)
            usleep(10);
        if (patience > 1000000)
            return false;
    }
    return true;
}

static bool create_in_rounds(lk_store *own, unsigned i, void *context)
{
    (void)i;
    for (unsigned n = 0; n < ROUNDS; n++) {
        lk_session s = session_of(n);
        lk_status status;

        CHECK(meet(context, n));
        status = lk_store_create(own, &s, NO_LIMIT, NULL);
        CHECK(status == LK_OK || status == LK_REFUSED);
    }
    return true;
}

static bool end_in_rounds(lk_store *own, unsigned i, void *context)
{
    (void)i;
    for (unsigned n = 0; n < ROUNDS; n++) {
        lk_session_key key = key_of(n);

        CHECK(meet(context, n));
        CHECK(lk_store_destroy(own, &key, LK_REASON_KICKED, FENCE_S) == LK_OK);
    }
    return true;
}

static bool create_or_end(lk_store *own, unsigned i, void *context)
{
    return i == 0 ? create_in_rounds(own, i, context) : end_in_rounds(own, i, context);
}

static void session_created_and_ended_at_the_same_moment_is_ended(void **state)
{
    _Atomic unsigned *there =
        mmap(NULL, sizeof(*there), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    (void)state;
    assert_ptr_not_equal(there, MAP_FAILED);
    in_children(2, create_or_end, (void *)(uintptr_t)there);
    for (unsigned n = 0; n < ROUNDS; n++)
        assert_int_equal(reason_of(n), LK_REASON_KICKED);
    assert_int_equal(listed("shop", "u1", 100), 0);
    munmap((void *)(uintptr_t)there, sizeof(*there));
}

/* In each round two sessions change their ids at the same moment, into a class that has one place. They are
 * of one user, or of visitors who log in as that user. */
#define RIVALS fewer(150)

static lk_session rival(unsigned round, unsigned n, bool is_user, const char *class)
{
    static char users[32];
    lk_session s = session_of(10 * round + n);

    snprintf(users, sizeof(users), "rival-%u", round);
    s.user = lk_view_of(is_user ? users : "");
    s.device_class = lk_view_of(is_user ? class : "");
    return s;
}

static lk_limit one_mobile_of_two(bool *refused)
{
    return (lk_limit){
        .max = 2, .class_max = 1, .fence_s = FENCE_S, .victim = LK_VICTIM_REFUSE, .refused = refused};
}

static bool change_ids_in_rounds(lk_store *own, unsigned i, void *context)
{
    for (unsigned n = 0; n < RIVALS; n++) {
        lk_session s = rival(n, 5 + i, true, "mobile");
        lk_session_key key = key_of(10 * n + i);
        bool refused = false;
        lk_status status;

        s.previous = key;
        CHECK(meet(context, n));
        status =
            lk_store_replace(own, &key, 1, &s, n % 2 ? NOW_S + 10 : 0, FENCE_S, one_mobile_of_two(&refused));
        CHECK(status == LK_OK || (status == LK_FULL && refused));
    }
    return true;
}

/* Whoever was refused is as before; on a cluster his old session may be ending: then it counts no more. */
static void see_who_is_in(unsigned n)
{
    bool first = status_of(10 * n + 5) == LK_OK, refused = false;
    lk_session old = {.flags = 0}, tablet = rival(n, 7, true, "tablet");
    lk_status status = look(10 * n + (first ? 1 : 0), &old, NULL);
    bool is_alive = status == LK_OK && (old.flags & LK_SESSION_ENDING) == 0;

    assert_int_equal(status_of(10 * n + 5) == LK_OK, status_of(10 * n + 6) != LK_OK);
    assert_true(is_alive || is_cluster);
    status = lk_store_create(store, &tablet, one_mobile_of_two(&refused), NULL);
    assert_int_equal(status, is_alive && n % 3 > 0 ? LK_FULL : LK_OK);
}

static void of_two_changes_of_id_at_once_a_limit_that_refuses_lets_in_one(void **state)
{
    _Atomic unsigned *there =
        mmap(NULL, sizeof(*there), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    (void)state;
    assert_ptr_not_equal(there, MAP_FAILED);
    for (unsigned n = 0; n < RIVALS; n++) {
        for (unsigned i = 0; i < 2; i++) {
            lk_session s = rival(n, i, n % 3 > 0, "desktop");

            assert_int_equal(lk_store_create(store, &s, NO_LIMIT, NULL), LK_OK);
        }
    }
    in_children(2, change_ids_in_rounds, (void *)(uintptr_t)there);
    for (unsigned n = 0; n < RIVALS; n++)
        see_who_is_in(n);
    munmap((void *)(uintptr_t)there, sizeof(*there));
}

static atomic_bool is_over;

static bool see_one(void *context, const lk_session *s)
{
    (void)s;
    ++*(unsigned *)context;
    return true;
}

/* Look at sessions, the number of events and a page of the list until told to stop. */
static void *read_for_ever(void *context)
{
    unsigned *wrong = context;
    uint8_t buf[LK_RECORD_MAX];
    uint32_t at = (uint32_t)(uintptr_t)context;

    while (!atomic_load(&is_over)) {
        unsigned n = random_next(&at) % 2000, seen = 0;
        lk_load load = {.key = key_of(n), .head_only = n % 2, .buf = buf, .cap = sizeof(buf)};
        uint64_t cursor = 0, seq;

        if (lk_store_load_many(store, &load, 1) != LK_OK)
            ++*wrong;
        if (load.status == LK_OK && load.session.proof[0] != (n & 0xff))
            ++*wrong;
        if (load.status != LK_OK && load.status != LK_MISS)
            ++*wrong;
        (void)!lk_store_event_seq(store, &seq);
        if (n % 64 == 0 &&
            lk_store_list_by_user(store, LK_VIEW("shop"), LK_VIEW("u1"), &cursor, 20, see_one, &seen))
            ++*wrong;
    }
    return NULL;
}

/* In another process: make sessions, with room for more of them than this process has mapped. */
static pid_t start_growing(void)
{
    pid_t child = fork();
    char url[1024];
    lk_store *larger;

    if (child != 0)
        return child;
    snprintf(url, sizeof(url), "%s", store_url());
    if (is_lmdb)
        snprintf(url, sizeof(url), "lmdb:%s?map=64m", store_dir());
    if (lk_store_open(test_env(), url, store_table(), &larger, NULL) != LK_OK)
        _exit(1);
    for (unsigned n = 0; n < 2000; n++) {
        lk_session s = session_of(n);

        if (lk_store_create(larger, &s, NO_LIMIT, NULL) != LK_OK)
            _exit(2);
    }
    lk_store_close(larger);
    _exit(0);
}

static void threads_read_whole_sessions_while_another_process_makes_the_store_larger(void **state)
{
    pthread_t threads[3];
    unsigned wrong[3] = {0};
    int status;
    pid_t child = start_growing();

    (void)state;
    assert_true(child > 0);
    atomic_store(&is_over, false);
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, read_for_ever, &wrong[i]), 0);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    assert_int_equal(create(5000), LK_OK);
    atomic_store(&is_over, true);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        assert_int_equal(wrong[i], 0);
    }
    assert_int_equal(status_of(1999), LK_OK);
}

int run_races(void)
{
    const struct CMUnitTest tests[] = {
        TEST(no_write_on_its_way_brings_an_ended_session_back),
        TEST(one_of_several_parallel_id_changes_wins),
        TEST(session_created_and_ended_at_the_same_moment_is_ended),
        TEST(of_two_changes_of_id_at_once_a_limit_that_refuses_lets_in_one),
    };
    const struct CMUnitTest of_one[] = {
        cmocka_unit_test_setup_teardown(
            threads_read_whole_sessions_while_another_process_makes_the_store_larger,
            is_lmdb || is_memory ? open_small_store : open_store, close_store),
    };

    return cmocka_run_group_tests(tests, NULL, NULL) +
           (is_moving ? 0 : cmocka_run_group_tests(of_one, NULL, NULL));
}
