/* SPDX-License-Identifier: Apache-2.0
 *
 * One operation at a time, killed after any of its instructions: the child is single-stepped to a point and
 * killed there. Afterwards every lock can be had, every value is whole, lists and counts are right and
 * nothing leaks.
 */
#include "shm/table_inner.h"
#include "table_check.h"
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
#define FIRST_COUNTER 20000u

static int64_t end_s(void)
{
    return lk_now_s(lk_env_system()) + 3600;
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
#define STEPS 25000u /* instructions stepped through for one operation, over all its kills */
#define POINTS_MIN 3u
#define POINTS_MAX 80u

#define FULL_KEYS 300u /* more large values than the smallest table holds */

typedef struct operation {
    const char *name;
    void (*run)(lk_table *t);
    bool may_lose; /* entries of the base may be gone afterwards */
    bool full;     /* the table is full before it */
} operation;

/* Values are made before the stepping begins. */
#define LARGE 5000u
static uint8_t small_bytes[CHECK_VALUE_MAX], large_bytes[CHECK_VALUE_MAX], stranger_bytes[CHECK_VALUE_MAX];
static uint8_t stranger_large_bytes[CHECK_VALUE_MAX];
static lk_view small, large, stranger, stranger_large;
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

/* At a table full of large values: one more pushes one out; a small one takes a page of them, and what is in
 * it moves or goes. */
static void run_evict(lk_table *t)
{
    uint8_t key[LK_TABLE_KEY_LEN];
    check_key(STRANGER, key);
    (void)!lk_table_put(t, LK_ENTRY_SESSION, key, 3, ends_s, stranger_large);
}

static const operation operations[] = {
    {"insert", run_insert, false, false},
    {"replace", run_replace, false, false},
    {"change of owner", run_change_of_owner, false, false},
    {"put_if", run_put_if, false, false},
    {"drop", run_drop, true, false},
    {"touch", run_touch, false, false},
    {"count", run_count, false, false},
    {"new size", run_new_size, false, false},
    {"sweep", run_sweep, true, false},
    {"insert at a full table", run_evict, true, true},
    {"new size at a full table", run_insert, true, true},
};

static void fill_base(lk_table *t, bool full)
{
    ends_s = end_s();
    small = check_value(SUBJECT, 1, 300, small_bytes);
    large = check_value(SUBJECT, 2, 2000, large_bytes);
    stranger = check_value(STRANGER, 1, 300, stranger_bytes);
    stranger_large = check_value(STRANGER, 1, LARGE, stranger_large_bytes);
    for (uint64_t n = 0; n < (full ? FULL_KEYS : BASE_KEYS); n++) {
        uint8_t key[LK_TABLE_KEY_LEN], buf[CHECK_VALUE_MAX];
        uint64_t owner = n == SUBJECT ? 2 : 1 + n % OWNERS;
        lk_view v = check_value(n, 0, full ? LARGE : 300, buf);
        check_key(n, key);
        assert_int_equal(lk_table_put(t, LK_ENTRY_SESSION, key, owner, ends_s, v), LK_OK);
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
    check_locks(t, lk_env_system());
    (void)check_table(t, OWNERS);
    for (uint64_t n = 0; n < BASE_KEYS; n++) {
        lk_entry e;
        check_key(n, key);
        lk_status status = lk_table_get(t, LK_ENTRY_SESSION, key, 0, buf, sizeof(buf), &e);
        assert_true(status == LK_OK || (status == LK_MISS && o->may_lose));
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
        fill_base(t, o->full);
        pid_t pid = start_traced(t, rehearsal, o);
        assert_true(pid > 0);
        (void)run_steps(pid, point * stride + 1 + check_below(&random, (uint32_t)stride));
        check_after(t, o);
    }
}

static void any_operation_may_be_killed_after_any_instruction(void **state)
{
    (void)state;
#if !defined(__x86_64__)
    skip(); /* stepping through a pair of exclusive load and store may never get past it */
#endif
    lk_table *t = check_open(lk_env_system(), LK_TABLE_SIZE_MIN);
    lk_table *rehearsal = check_open(lk_env_system(), LK_TABLE_SIZE_MIN);
    for (size_t i = 0; i < sizeof(operations) / sizeof(operations[0]); i++) {
        fill_base(t, operations[i].full);
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
        cmocka_unit_test(count_is_settled_after_the_slot_when_its_writer_died),
        cmocka_unit_test(any_operation_may_be_killed_after_any_instruction),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
