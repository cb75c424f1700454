/* SPDX-License-Identifier: Apache-2.0
 *
 * test_timing.c - comparing a secret takes as long wherever the first wrong byte is: else whoever measures
 * finds a signature byte by byte.
 *
 * It is looked at in two ways. Counted: the processor is led through each comparison step by step, and the
 * number of instructions must be one number. Measured: for the first and the last byte in random order, the
 * times must not be told apart by a t-test. Both are tried on a comparison that stops at the first
 * difference, too, and must see it: a test that cannot fail proves nothing.
 *
 * No time is asserted. A busy machine makes the measured times wide, not different: what it spreads over both
 * kinds alike. Still the measurement may be repeated, by both sides of the test and up to ATTEMPTS times; by
 * chance alone |t| passes T_LIMIT about once in 10^23.
 */
#include "token_fixture.h"
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#define TEXT_MAX 1024
#define SAMPLES 6000 /* of each measurement, both kinds together */
#define CALLS 8      /* in each sample */
#define ATTEMPTS 8
#define T_LIMIT 10.0

/* Something that compares SECRET bytes from a text of ours with the right ones. The text is right but for one
 * byte at FROM + n, n below LEN. */
typedef struct subject {
    const char *name;
    bool (*is_right)(const uint8_t *text, size_t len);
    uint8_t text[TEXT_MAX];
    size_t text_len;
    size_t from, len; /* where the compared bytes stand in the text */
    uint8_t flip;     /* what makes one of them another that is well formed as well */
} subject;

static const uint8_t secret[64] = {7, 1, 2, 3, 4, 5, 6, 9, 200, 100};

static bool by_secret_equal(const uint8_t *text, size_t len)
{
    return lk_secret_equal(lk_view_make(text, len), lk_view_make(secret, len));
}

/* The control: what everybody writes first. */
__attribute__((noinline)) static bool by_early_exit(const uint8_t *text, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (text[i] != secret[i])
            return false;
    }
    return true;
}

static bool verify_with(lk_alg alg, const uint8_t *text, size_t len)
{
    const lk_verifier *v = lk_keyring_verifier(ring, lk_signer_kid(lk_keyring_signer(ring, alg)));

    return lk_verify(v, LK_VIEW("a message"), lk_view_make(text, len)) == LK_OK;
}

static bool by_hs256(const uint8_t *text, size_t len)
{
    return verify_with(LK_ALG_HS256, text, len);
}

static bool by_hs384(const uint8_t *text, size_t len)
{
    return verify_with(LK_ALG_HS384, text, len);
}

static bool by_hs512(const uint8_t *text, size_t len)
{
    return verify_with(LK_ALG_HS512, text, len);
}

static bool by_simple_token(const uint8_t *text, size_t len)
{
    uint8_t memory[TEXT_MAX];
    lk_buf scratch = lk_buf_over(memory, sizeof(memory));
    lk_claims claims;
    lk_reason why;

    return lk_token_check(ring, lk_view_make(text, len), &lenient, &scratch, &claims, &why) == LK_OK;
}

static subject bytes_subject(const char *name, bool (*is_right)(const uint8_t *, size_t))
{
    subject s = {
        .name = name, .is_right = is_right, .text_len = sizeof(secret), .len = sizeof(secret), .flip = 0x80};

    memcpy(s.text, secret, sizeof(secret));
    return s;
}

static subject signature_subject(const char *name, lk_alg alg, bool (*is_right)(const uint8_t *, size_t))
{
    subject s = {.name = name, .is_right = is_right, .flip = 0x80};
    lk_buf out = lk_buf_over(s.text, sizeof(s.text));

    assert_int_equal(lk_sign(lk_keyring_signer(ring, alg), LK_VIEW("a message"), &out), LK_OK);
    s.text_len = s.len = out.len;
    return s;
}

/* The sign of a simple token is lower-case hex: a digit turned by 1 is a digit, but for the letters at the
 * ends, which are passed over by whoever chooses places. */
static subject token_subject(void)
{
    subject s = {.name = "the sign of a simple token", .is_right = by_simple_token, .len = 64, .flip = 1};
    const lk_claims claims = {.user = LK_VIEW("u"), .issued_s = NOW - 5, .expires_s = NOW + 900};
    lk_buf out = lk_buf_over(s.text, sizeof(s.text));

    assert_int_equal(lk_token_mint(ring, &claims, &out), LK_OK);
    s.text_len = out.len;
    s.from = out.len - 64;
    return s;
}

static bool is_hex(uint8_t c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
}

/* May the byte at place N be turned? */
static bool is_place(const subject *s, size_t n)
{
    return s->flip != 1 || is_hex(s->text[s->from + n] ^ 1);
}

/* The first place not before N; the last one not behind it. */
static size_t place_from(const subject *s, size_t n)
{
    while (!is_place(s, n))
        n++;
    return n;
}

static size_t place_until(const subject *s, size_t n)
{
    while (!is_place(s, n))
        n--;
    return n;
}

static void make_wrong(const subject *s, size_t place, uint8_t out[TEXT_MAX])
{
    memcpy(out, s->text, s->text_len);
    out[s->from + place] ^= s->flip;
}

/* --- Counted ---------------------------------------------------------------------------------------------
 */

#define PLACES 10

static size_t place_number(const subject *s, size_t i)
{
    return i < PLACES / 2 ? place_from(s, i * 3) : place_until(s, s->len - 1 - (PLACES - 1 - i) * 3);
}

/* Go through the places one after the other, each between two signals to oneself. */
static void run_places(const subject *s)
{
    uint8_t text[TEXT_MAX];

    /* A rehearsal, so that none of the steps goes to the dynamic linker. */
    make_wrong(s, place_number(s, 0), text);
    (void)s->is_right(text, s->text_len);
    if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) != 0)
        _exit(9);
    (void)raise(SIGSTOP);
    for (size_t i = 0; i < PLACES; i++) {
        make_wrong(s, place_number(s, i), text);
        (void)raise(SIGUSR1);
        (void)s->is_right(text, s->text_len);
        (void)raise(SIGUSR2);
    }
    _exit(0);
}

/* Let PID go on until it raises SIGNAL; step by step when COUNT is given. */
static void run_until(pid_t pid, int signal_wanted, uint64_t *count)
{
    int status;

    do {
        assert_int_equal(ptrace(count != NULL ? PTRACE_SINGLESTEP : PTRACE_CONT, pid, NULL, NULL), 0);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFSTOPPED(status));
        if (count != NULL)
            (*count)++;
    } while (WSTOPSIG(status) != signal_wanted);
}

/* How many instructions each place takes. False when tracing is not allowed here. */
static bool count_steps(const subject *s, uint64_t counts[PLACES])
{
    int status;
    pid_t pid = fork();

    if (pid == 0)
        run_places(s);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    if (!WIFSTOPPED(status))
        return false;
    for (size_t i = 0; i < PLACES; i++) {
        counts[i] = 0;
        run_until(pid, SIGUSR1, NULL);
        run_until(pid, SIGUSR2, &counts[i]);
    }
    assert_int_equal(kill(pid, SIGKILL), 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return true;
}

static bool are_same(const uint64_t counts[PLACES])
{
    for (size_t i = 1; i < PLACES; i++) {
        if (counts[i] != counts[0])
            return false;
    }
    return true;
}

static void expect_one_count(subject s)
{
    uint64_t counts[PLACES] = {0};
    uint8_t wrong[TEXT_MAX];

    assert_true(s.is_right(s.text, s.text_len));
    for (size_t i = 0; i < PLACES; i++) {
        make_wrong(&s, place_number(&s, i), wrong);
        assert_false(s.is_right(wrong, s.text_len));
    }
    if (!count_steps(&s, counts)) {
        print_message("no tracing here: %s is only measured\n", s.name);
        return;
    }
    for (size_t i = 0; i < PLACES; i++) {
        if (counts[i] != counts[0])
            fail_msg("%s: place %zu took %llu steps, place %zu %llu", s.name, place_number(&s, 0),
                     (unsigned long long)counts[0], place_number(&s, i), (unsigned long long)counts[i]);
    }
}

static void every_comparison_takes_the_same_instructions_wherever_the_wrong_byte_is(void **state)
{
    (void)state;
    expect_one_count(bytes_subject("lk_secret_equal", by_secret_equal));
    expect_one_count(signature_subject("HS256", LK_ALG_HS256, by_hs256));
    expect_one_count(signature_subject("HS384", LK_ALG_HS384, by_hs384));
    expect_one_count(signature_subject("HS512", LK_ALG_HS512, by_hs512));
    expect_one_count(token_subject());
}

static void counting_sees_a_comparison_that_stops_early(void **state)
{
    subject s = bytes_subject("early exit", by_early_exit);
    uint64_t counts[PLACES];

    (void)state;
    if (!count_steps(&s, counts))
        return;
    assert_false(are_same(counts));
    assert_true(counts[PLACES - 1] > counts[0]);
}

/* --- Measured --------------------------------------------------------------------------------------------
 */

static double now_ns(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

/* One sample: CALLS calls. One more before them is not measured: it takes what the copying left in the
 * processor. */
static double sample(const subject *s, const uint8_t wrong[TEXT_MAX])
{
    static uint8_t text[TEXT_MAX]; /* one place in memory for both kinds */
    double start;

    memcpy(text, wrong, s->text_len);
    (void)s->is_right(text, s->text_len);
    start = now_ns();
    for (int i = 0; i < CALLS; i++)
        (void)s->is_right(text, s->text_len);
    return now_ns() - start;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

typedef struct moments {
    double n, mean, squares;
} moments;

static void moments_add(moments *m, double x)
{
    double step = x - m->mean;

    m->n += 1;
    m->mean += step / m->n;
    m->squares += step * (x - m->mean);
}

/* The square of Welch's t of the two kinds, without the slowest tenth of all samples: those were interrupted.
 */
static double welch_squared(const double *times, const uint8_t *kinds)
{
    static double sorted[SAMPLES];
    moments m[2] = {{0}};
    double spread;

    memcpy(sorted, times, sizeof(sorted));
    qsort(sorted, SAMPLES, sizeof(sorted[0]), by_value);
    for (size_t i = 0; i < SAMPLES; i++) {
        if (times[i] <= sorted[SAMPLES * 9 / 10])
            moments_add(&m[kinds[i]], times[i]);
    }
    assert_true(m[0].n > 100 && m[1].n > 100);
    spread = m[0].squares / (m[0].n - 1) / m[0].n + m[1].squares / (m[1].n - 1) / m[1].n;
    if (spread <= 0)
        return m[0].mean == m[1].mean ? 0 : 2 * T_LIMIT * T_LIMIT;
    return (m[0].mean - m[1].mean) * (m[0].mean - m[1].mean) / spread;
}

static double measure(const subject *s)
{
    static double times[SAMPLES];
    static uint8_t kinds[SAMPLES], wrong[2][TEXT_MAX];
    uint32_t random = 12345;

    make_wrong(s, place_from(s, 0), wrong[0]);
    make_wrong(s, place_until(s, s->len - 1), wrong[1]);
    for (size_t i = 0; i < SAMPLES; i++) {
        random = random * 1664525 + 1013904223;
        kinds[i] = (uint8_t)(random >> 31);
        times[i] = sample(s, wrong[kinds[i]]);
    }
    return welch_squared(times, kinds);
}

/* Up to ATTEMPTS measurements, which end at the first below the limit. */
static void expect_alike(subject s)
{
    double t = 0;

    for (int i = 0; i < ATTEMPTS; i++) {
        t = measure(&s);
        if (t < T_LIMIT * T_LIMIT)
            return;
    }
    fail_msg("%s: the first and the last byte are told apart by their time, t^2 = %.0f", s.name, t);
}

static void no_comparison_tells_by_its_time_where_the_wrong_byte_is(void **state)
{
    (void)state;
    expect_alike(bytes_subject("lk_secret_equal", by_secret_equal));
    expect_alike(signature_subject("HS256", LK_ALG_HS256, by_hs256));
    expect_alike(signature_subject("HS512", LK_ALG_HS512, by_hs512));
    expect_alike(token_subject());
}

static void measuring_sees_a_comparison_that_stops_early(void **state)
{
    subject s = bytes_subject("early exit", by_early_exit);
    double t = 0;

    (void)state;
    for (int i = 0; i < ATTEMPTS && t < T_LIMIT * T_LIMIT; i++)
        t = measure(&s);
    assert_true(t >= T_LIMIT * T_LIMIT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_comparison_takes_the_same_instructions_wherever_the_wrong_byte_is),
        cmocka_unit_test(counting_sees_a_comparison_that_stops_early),
        cmocka_unit_test(no_comparison_tells_by_its_time_where_the_wrong_byte_is),
        cmocka_unit_test(measuring_sees_a_comparison_that_stops_early),
    };

    return cmocka_run_group_tests(tests, make_ring, free_ring);
}
