/* SPDX-License-Identifier: Apache-2.0
 *
 * Several writers, killed again and again at random. What was acknowledged is there, what is there is whole,
 * every lock can be had, nothing leaks. test_table_steps.c kills single operations at chosen instructions.
 */
#include "table_check.h"
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define OWNERS 8u
#define WRITERS 3u
#define KILLS 240u
#define OWN_KEYS 60u
#define SHARED_KEYS 20u
#define COUNTERS 3u
#define FIRST_SHARED 10000u
#define FIRST_COUNTER 20000u

typedef enum act { ACT_PUT, ACT_WILL_DROP, ACT_DROPPED, ACT_COUNTED } act;

/* What a writer tells before it dies. */
typedef struct report {
    uint64_t n, seq;
    act what;
} report;

/* What is known of one key from the reports. */
typedef struct known {
    uint64_t seq;
    bool put, dropping;
} known;

typedef struct storm {
    lk_table *t;
    known keys[WRITERS][OWN_KEYS];
    int64_t counted;
    pid_t pid[WRITERS];
    int pipe[WRITERS];
    uint64_t generation;
} storm;

static int64_t end_s(void)
{
    return lk_now_s(lk_env_system()) + 3600;
}

static void tell(int fd, uint64_t n, uint64_t seq, act what)
{
    report r = {n, seq, what};
    if (write(fd, &r, sizeof(r)) != (ssize_t)sizeof(r)) {
        _exit(2);
    }
}

static void need(lk_status status)
{
    if (status != LK_OK) {
        _exit(3);
    }
}

/* A key that only this writer writes: every acknowledged write is reported. */
static void write_own(lk_table *t, int fd, uint64_t *random, uint64_t n, uint64_t seq)
{
    uint8_t key[LK_TABLE_KEY_LEN], buf[CHECK_VALUE_MAX];
    size_t len = 32 + check_below(random, 600);
    check_key(n, key);
    if (check_below(random, 4) == 0) {
        tell(fd, n, seq, ACT_WILL_DROP);
        lk_status status = lk_table_drop(t, LK_ENTRY_SESSION, key);
        if (status != LK_OK && status != LK_MISS) {
            _exit(3);
        }
        tell(fd, n, seq, ACT_DROPPED);
        return;
    }
    need(lk_table_put(t, LK_ENTRY_SESSION, key, 1 + check_below(random, OWNERS), end_s(),
                      check_value(n, seq, len, buf)));
    tell(fd, n, seq, ACT_PUT);
}

/* Keys that all writers fight for. */
static void write_shared(lk_table *t, int fd, uint64_t *random, uint64_t seq)
{
    uint8_t key[LK_TABLE_KEY_LEN], buf[CHECK_VALUE_MAX];
    uint64_t n = FIRST_SHARED + check_below(random, SHARED_KEYS);
    uint32_t what = check_below(random, 6), removed;
    int64_t value;
    lk_entry e;
    lk_view v = check_value(n, seq, 32 + check_below(random, 600), buf);
    check_key(n, key);
    if (what == 0) {
        need(lk_table_put(t, LK_ENTRY_SESSION, key, check_below(random, OWNERS), end_s(), v));
    } else if (what == 1) {
        (void)!lk_table_drop(t, LK_ENTRY_SESSION, key);
    } else if (what == 2 && lk_table_get(t, LK_ENTRY_SESSION, key, 0, NULL, 0, &e) == LK_FULL) {
        (void)!lk_table_put_if(t, LK_ENTRY_SESSION, key, e.version, end_s(), v);
    } else if (what == 3) {
        (void)!lk_table_touch(t, LK_ENTRY_SESSION, key, (uint32_t)seq, end_s() + (int64_t)seq, NULL);
    } else if (what == 4) {
        check_key(FIRST_COUNTER + seq % COUNTERS, key);
        need(lk_table_count(t, key, 1, 1, end_s(), &value));
        tell(fd, 0, 0, ACT_COUNTED);
    } else if (seq % 16 == 0) {
        (void)!lk_table_sweep(t, lk_now_s(lk_env_system()), 100, 5, &removed);
    }
}

static void write_until_killed(lk_table *t, int fd, uint32_t writer, uint64_t generation)
{
    uint64_t random = generation * 2654435761u + writer + 1;
    for (uint64_t i = 0;; i++) {
        uint64_t seq = generation << 32 | i;
        write_own(t, fd, &random, writer * 1000 + check_below(&random, OWN_KEYS), seq);
        write_shared(t, fd, &random, seq);
    }
}

static void start_writer(storm *s, uint32_t i)
{
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    s->generation++;
    s->pid[i] = fork();
    assert_true(s->pid[i] >= 0);
    if (s->pid[i] == 0) {
        (void)close(ends[0]);
        write_until_killed(s->t, ends[1], i, s->generation);
    }
    (void)close(ends[1]);
    (void)fcntl(ends[0], F_SETFL, O_NONBLOCK);
    s->pipe[i] = ends[0];
}

static void learn(storm *s, uint32_t writer, const report *r)
{
    if (r->what == ACT_COUNTED) {
        s->counted++;
        return;
    }
    known *k = &s->keys[writer][r->n - writer * 1000];
    k->dropping = r->what == ACT_WILL_DROP;
    k->put = r->what == ACT_PUT || (k->put && k->dropping);
    k->seq = r->seq;
}

static void drain(storm *s, uint32_t i)
{
    report r;
    while (read(s->pipe[i], &r, sizeof(r)) == (ssize_t)sizeof(r)) {
        learn(s, i, &r);
    }
}

static void kill_writer(storm *s, uint32_t i)
{
    int status;
    assert_int_equal(kill(s->pid[i], SIGKILL), 0);
    assert_int_equal(waitpid(s->pid[i], &status, 0), s->pid[i]);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL); /* and not that it gave up by itself */
    drain(s, i);
    (void)close(s->pipe[i]);
}

static void rage(storm *s)
{
    uint64_t random = 4711;
    for (uint32_t i = 0; i < WRITERS; i++) {
        start_writer(s, i);
    }
    for (uint32_t kills = 0; kills < KILLS; kills++) {
        uint32_t victim = check_below(&random, WRITERS);
        for (uint32_t turns = 1 + check_below(&random, 6); turns > 0; turns--) {
            (void)usleep(check_below(&random, 3000));
            for (uint32_t i = 0; i < WRITERS; i++) {
                drain(s, i);
            }
        }
        kill_writer(s, victim);
        start_writer(s, victim);
    }
    for (uint32_t i = 0; i < WRITERS; i++) {
        kill_writer(s, i);
    }
}

static void check_own_keys(storm *s, uint32_t writer)
{
    for (uint64_t i = 0; i < OWN_KEYS; i++) {
        uint8_t key[LK_TABLE_KEY_LEN], buf[CHECK_VALUE_MAX];
        const known *k = &s->keys[writer][i];
        uint64_t n = writer * 1000 + i, seq = 0;
        lk_entry e;
        check_key(n, key);
        lk_status status = lk_table_get(s->t, LK_ENTRY_SESSION, key, 0, buf, sizeof(buf), &e);
        if (status == LK_OK) {
            assert_true(check_value_is_whole(n, lk_view_make(buf, e.len), &seq));
            assert_true(k->put ? seq >= k->seq || k->dropping : seq > k->seq);
            continue;
        }
        assert_int_equal(status, LK_MISS);
        /* Gone: never put, or a drop was reported, or the last act of the last writer was one of the next
         * drop's two steps, of which the first is reported. */
        assert_true(!k->put || k->dropping);
    }
}

static void check_counters(storm *s)
{
    int64_t sum = 0;
    for (uint32_t i = 0; i < COUNTERS; i++) {
        uint8_t key[LK_TABLE_KEY_LEN];
        int64_t value = 0;
        check_key(FIRST_COUNTER + i, key);
        assert_int_equal(lk_table_get(s->t, LK_ENTRY_COUNTER, key, 0, &value, sizeof(value), NULL), LK_OK);
        sum += value;
    }
    assert_true(sum >= s->counted && sum <= s->counted + KILLS + WRITERS);
}

static void table_is_whole_after_240_kills_of_writers(void **state)
{
    (void)state;
    static storm s;
    lk_table_stats stats;
    s.t = check_open(lk_env_system(), 4u << 20);
    rage(&s);
    check_locks(s.t, lk_env_system());
    lk_table_stats_read(s.t, &stats);
    assert_int_equal(stats.evicted_live, 0); /* so that nothing acknowledged may be missing */
    for (uint32_t i = 0; i < WRITERS; i++) {
        check_own_keys(&s, i);
    }
    check_counters(&s);
    assert_true(s.counted > 0 && check_table(s.t, OWNERS) > 0);
    check_empties(s.t);
    lk_table_close(s.t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(table_is_whole_after_240_kills_of_writers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
