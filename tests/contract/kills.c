/* SPDX-License-Identifier: Apache-2.0
 *
 * kills.c - kill -9 at random moments: what was acknowledged stays so.
 *
 * A worker creates and ends sessions and tells each answer through a pipe once it has it. It is killed, and
 * everything it told is asked for: of this process and of one that opens the store afresh.
 */
#include "contract.h"
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#define KILLS 50
#define SHORTEST_US (is_server ? 100000 : 20000) /* a connection takes its time */
#define NUMBERS 2000                             /* of sessions one worker may come to */

typedef struct told {
    unsigned n;
    uint8_t is_ended;
} told;

static void work(lk_store *own, unsigned first, int pipe_end)
{
    uint32_t seed = first;

    for (unsigned n = first; n < first + NUMBERS; n++) {
        lk_session s = session_of(n);
        told t = {.n = n};
        lk_op op = op_add("n", 1);

        if (lk_store_create(own, &s, NO_LIMIT, NULL) != LK_OK)
            _exit(3);
        if (write(pipe_end, &t, sizeof(t)) != sizeof(t))
            _exit(4);
        if (lk_store_change(own, &s.key, 1, 0, &op, 1, NULL, NULL) != LK_OK)
            _exit(5);
        if (random_next(&seed) % 2)
            continue;
        if (lk_store_destroy(own, &s.key, LK_REASON_REVOKED, FENCE_S) != LK_OK)
            _exit(6);
        t.is_ended = 1;
        if (write(pipe_end, &t, sizeof(t)) != sizeof(t))
            _exit(4);
    }
    pause();
}

/* Let a worker run for US microseconds, kill it, and take down in STATES what it told (1: there, 2: ended).
 */
static void run_and_kill(unsigned first, useconds_t us, uint8_t *states)
{
    int ends[2], status;
    pid_t child;
    told t;

    assert_int_equal(pipe(ends), 0);
    child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        lk_store *own = open_again();

        close(ends[0]);
        if (own == NULL)
            _exit(2);
        work(own, first, ends[1]);
    }
    close(ends[1]);
    usleep(us);
    assert_int_equal(kill(child, SIGKILL), 0);
    while (read(ends[0], &t, sizeof(t)) == sizeof(t))
        states[t.n] = t.is_ended ? 2 : 1;
    close(ends[0]);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

/* The last session of a killed worker may be there or ended without having been told. */
static void assert_told(const uint8_t *states, unsigned from, unsigned to)
{
    for (unsigned n = from; n < to; n++) {
        if (states[n] == 2)
            assert_int_equal(reason_of(n), LK_REASON_REVOKED);
        if (states[n] == 1 && n + 1 < to && states[n + 1] != 0)
            assert_int_equal(status_of(n), LK_OK);
        if (states[n] == 1 && status_of(n) != LK_OK)
            assert_int_equal(reason_of(n), LK_REASON_REVOKED);
    }
}

static void acknowledged_logins_and_logouts_outlive_every_kill(void **state)
{
    uint8_t *states = calloc(KILLS, NUMBERS);
    uint32_t seed = 7;
    unsigned told_n = 0;

    (void)state;
    assert_non_null(states);
    for (unsigned i = 0; i < KILLS; i++) {
        run_and_kill(i * NUMBERS, SHORTEST_US + random_next(&seed) % 60000, states);
        assert_told(states, i * NUMBERS, (i + 1) * NUMBERS);
    }
    lk_store_close(store);
    store = open_again();
    assert_non_null(store);
    assert_told(states, 0, KILLS * NUMBERS);
    for (unsigned n = 0; n < KILLS * NUMBERS; n++)
        told_n += states[n] != 0;
    assert_true(told_n > KILLS); /* or the kills met nobody at work */
    free(states);
}

int run_kills(void)
{
    const struct CMUnitTest tests[] = {TEST(acknowledged_logins_and_logouts_outlive_every_kill)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
