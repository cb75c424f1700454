/* SPDX-License-Identifier: Apache-2.0
 *
 * kill -9 at any moment: of several writers again and again, and of one writer after every so many
 * instructions of each operation. What was acknowledged is there, what is there is whole, every lock can be
 * had, nothing leaks.
 */
#include "shm/table_inner.h"
#include "table_check.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
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

/* Every lock can be had: keys enough to meet every stripe, owner stripe and group. */
static void check_locks(lk_table *t)
{
    for (uint64_t n = 0; n < 3000; n++) {
        uint8_t key[LK_TABLE_KEY_LEN], buf[CHECK_VALUE_MAX];
        check_key(1000000 + n, key);
        lk_table_lock(t, n);
        assert_int_equal(
            lk_table_add(t, LK_ENTRY_SESSION, key, 1000 + n, end_s(), check_value(n, 0, 40, buf)), LK_OK);
        assert_int_equal(lk_table_drop(t, LK_ENTRY_SESSION, key), LK_OK);
        lk_table_unlock(t, n);
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
    check_locks(s.t);
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

/* --- a count, when the writer is killed next to it
 * ---------------------------------------------------------- */

/* In a child that then dies with the stripe: what lk__stripe_insert (REMOVE: lk__stripe_remove) does, up to
 * the slot and, if DONE, with it; the count is not reached. */
static void die_inside(lk_table *t, bool remove, bool done)
{
    int status;
    pid_t pid = fork();
    if (pid == 0) {
        lk__stripe *s = lk__stripe_lock(t, 0);
        _Atomic uint64_t *slot = &t->index.buckets[0].slot[2];
        uint64_t word = 12345; /* of no hash that is looked for */
        atomic_store(slot, remove != done ? word : 0);
        atomic_store(&s->held[LK_ENTRY_TOKEN], 99); /* whatever it says: what counts is what it was before */
        atomic_store(&s->intent_held, 7);
        atomic_store(&s->intent_slot, 3);
        atomic_store(&s->intent_word, word);
        atomic_store(&s->intent, (remove ? 0x200u : 0x100u) | LK_ENTRY_TOKEN);
        _exit(0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void count_is_settled_after_the_slot_when_its_writer_died(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < 4; i++) {
        bool remove = i / 2 == 1, done = i % 2 == 1;
        lk_table *t = check_open(lk_env_system(), LK_TABLE_SIZE_MIN);
        die_inside(t, remove, done);
        lk__stripe_unlock(lk__stripe_lock(t, 0));
        assert_int_equal(lk_table_held(t, LK_ENTRY_TOKEN), !done ? 7 : remove ? 6 : 8);
        assert_int_equal(atomic_load(&t->stripes[0].intent), 0);
        lk_table_close(t);
    }
}

/* --- one operation, killed after every so many instructions --------------------------------------------- */

#define BASE_KEYS 12u
#define SUBJECT 5u /* a key that is there at first, of owner 2 */
#define STRANGER 500u
#define STEPS 50000u /* instructions stepped through for one operation, over all its kills */
#define POINTS_MIN 4u
#define POINTS_MAX 80u

typedef struct operation {
    const char *name;
    void (*run)(lk_table *t);
} operation;

/* Values are made before the stepping begins. */
static uint8_t small_bytes[CHECK_VALUE_MAX], large_bytes[CHECK_VALUE_MAX], stranger_bytes[CHECK_VALUE_MAX];
static lk_view small, large, stranger;
static int64_t ends_s;

static void put_subject(lk_table *t, uint64_t owner, lk_view v)
{
    uint8_t key[LK_TABLE_KEY_LEN];
    check_key(SUBJECT, key);
    (void)!lk_table_put(t, LK_ENTRY_SESSION, key, owner, ends_s, v);
}

static void run_insert(lk_table *t)
{
    uint8_t key[LK_TABLE_KEY_LEN];
    check_key(STRANGER, key);
    (void)!lk_table_put(t, LK_ENTRY_SESSION, key, 3, ends_s, stranger);
}

static void run_replace(lk_table *t)
{
    put_subject(t, 2, small);
}

static void run_change_of_owner(lk_table *t)
{
    put_subject(t, 4, small);
}

static void run_put_if(lk_table *t)
{
    uint8_t key[LK_TABLE_KEY_LEN];
    lk_entry e;
    check_key(SUBJECT, key);
    (void)!lk_table_get(t, LK_ENTRY_SESSION, key, 0, NULL, 0, &e);
    (void)!lk_table_put_if(t, LK_ENTRY_SESSION, key, e.version, ends_s, small);
}

static void run_drop(lk_table *t)
{
    uint8_t key[LK_TABLE_KEY_LEN];
    check_key(SUBJECT, key);
    (void)!lk_table_drop(t, LK_ENTRY_SESSION, key);
}

static void run_touch(lk_table *t)
{
    uint8_t key[LK_TABLE_KEY_LEN];
    check_key(SUBJECT, key);
    (void)!lk_table_touch(t, LK_ENTRY_SESSION, key, 77, ends_s + 1000, NULL);
}

static void run_count(lk_table *t)
{
    uint8_t key[LK_TABLE_KEY_LEN];
    int64_t value;
    check_key(FIRST_COUNTER, key);
    (void)!lk_table_count(t, key, 1, 1, ends_s, &value);
    (void)!lk_table_count(t, key, 1, 1, ends_s, &value);
}

static void run_sweep(lk_table *t)
{
    uint32_t removed;
    (void)!lk_table_sweep(t, ends_s + 10, 1000, 1000, &removed);
}

/* The first value of a size: takes a page; and gives one back. */
static void run_new_size(lk_table *t)
{
    put_subject(t, 2, large);
    put_subject(t, 2, small);
}

static const operation operations[] = {
    {"insert", run_insert}, {"replace", run_replace},   {"change of owner", run_change_of_owner},
    {"put_if", run_put_if}, {"drop", run_drop},         {"touch", run_touch},
    {"count", run_count},   {"new size", run_new_size}, {"sweep", run_sweep},
};

static void fill_base(lk_table *t)
{
    ends_s = end_s();
    small = check_value(SUBJECT, 1, 300, small_bytes);
    large = check_value(SUBJECT, 2, 2000, large_bytes);
    stranger = check_value(STRANGER, 1, 300, stranger_bytes);
    for (uint64_t n = 0; n < BASE_KEYS; n++) {
        uint8_t key[LK_TABLE_KEY_LEN], buf[CHECK_VALUE_MAX];
        uint64_t owner = n == SUBJECT ? 2 : 1 + n % OWNERS;
        check_key(n, key);
        assert_int_equal(lk_table_put(t, LK_ENTRY_SESSION, key, owner, ends_s, check_value(n, 0, 300, buf)),
                         LK_OK);
    }
}

/* A child stopped just before the operation; it stops again just after it. -1 when tracing is not allowed
 * here. It has done the same at the table REHEARSAL, so that none of the steps goes to the dynamic linker. */
static pid_t start_traced(lk_table *t, lk_table *rehearsal, const operation *o)
{
    int status;
    pid_t pid = fork();
    if (pid == 0) {
        o->run(rehearsal);
        lk_table_lock(t, 1); /* enters its name */
        lk_table_unlock(t, 1);
        if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) != 0) {
            _exit(9);
        }
        (void)raise(SIGSTOP);
        o->run(t);
        (void)raise(SIGSTOP);
        _exit(0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFSTOPPED(status) ? pid : -1;
}

/* Let it run STEPS instructions, or to the end of the operation, then kill it. Gives how many it did. */
static uint64_t run_steps(pid_t pid, uint64_t steps)
{
    int status = 0;
    uint64_t done = 0;
    while (done < steps && ptrace(PTRACE_SINGLESTEP, pid, NULL, NULL) == 0) {
        assert_int_equal(waitpid(pid, &status, 0), pid);
        if (WIFSTOPPED(status) && WSTOPSIG(status) == SIGSTOP) {
            break;
        }
        assert_true(WIFSTOPPED(status));
        done++;
    }
    assert_int_equal(kill(pid, SIGKILL), 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return done;
}

static void check_after(lk_table *t, const operation *o)
{
    uint8_t key[LK_TABLE_KEY_LEN], buf[CHECK_VALUE_MAX];
    check_locks(t);
    (void)check_table(t, OWNERS);
    for (uint64_t n = 0; n < BASE_KEYS; n++) {
        lk_entry e;
        check_key(n, key);
        lk_status status = lk_table_get(t, LK_ENTRY_SESSION, key, 0, buf, sizeof(buf), &e);
        bool may_be_gone = o->run == run_sweep || (o->run == run_drop && n == SUBJECT);
        assert_true(status == LK_OK || (status == LK_MISS && may_be_gone));
    }
    check_empties(t);
}

static uint64_t points_for(uint64_t steps)
{
    uint64_t points = STEPS * 2 / steps;
    return points < POINTS_MIN ? POINTS_MIN : points < POINTS_MAX ? points : POINTS_MAX;
}

static void kill_at_points(lk_table *t, lk_table *rehearsal, const operation *o, uint64_t steps,
                           uint64_t random)
{
    uint64_t points = points_for(steps);
    for (uint64_t point = 0; point < points; point++) {
        uint64_t stride = steps / points + 1;
        fill_base(t);
        pid_t pid = start_traced(t, rehearsal, o);
        assert_true(pid > 0);
        (void)run_steps(pid, point * stride + 1 + check_below(&random, (uint32_t)stride));
        check_after(t, o);
    }
}

static void any_operation_may_be_killed_after_any_instruction(void **state)
{
    (void)state;
    lk_table *t = check_open(lk_env_system(), LK_TABLE_SIZE_MIN);
    lk_table *rehearsal = check_open(lk_env_system(), LK_TABLE_SIZE_MIN);
    for (size_t i = 0; i < sizeof(operations) / sizeof(operations[0]); i++) {
        fill_base(t);
        pid_t pid = start_traced(t, rehearsal, &operations[i]);
        if (pid < 0) {
            lk_table_close(t);
            lk_table_close(rehearsal);
            skip(); /* tracing is forbidden in this container */
        }
        uint64_t steps = run_steps(pid, UINT64_MAX);
        print_message("%s: %llu instructions\n", operations[i].name, (unsigned long long)steps);
        check_empties(t);
        kill_at_points(t, rehearsal, &operations[i], steps, (uint64_t)getpid() + 1);
    }
    lk_table_close(t);
    lk_table_close(rehearsal);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(table_is_whole_after_240_kills_of_writers),
        cmocka_unit_test(count_is_settled_after_the_slot_when_its_writer_died),
        cmocka_unit_test(any_operation_may_be_killed_after_any_instruction),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
