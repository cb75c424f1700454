/* SPDX-License-Identifier: Apache-2.0
 *
 * test_dialects.c URL - one suite for every dialect, on a real server: values, constraints, transactions that
 * meet, listening, URLs. The database must be empty.
 */
#include "test_env.h"
#include <pthread.h>
#include <setjmp.h>
#include <sql/inner.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
/* cmocka.h wants setjmp.h, stdarg.h and stddef.h first. */
#include <cmocka.h>

#define DEADLINE_MS 5000 /* where it does not matter: the machine may have other work */
#define SHORT_MS 400     /* where it does */

static const char *url;
static lk_sql_dialect dialect;
static lk_sql *db;
static lk_sql_link *one; /* of db */

static int64_t clock_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static lk_sql *open_url(const char *where)
{
    const lk_sql_options options = {.deadline_ms = DEADLINE_MS};
    lk_note note = {""};
    lk_sql *opened = NULL;
    lk_status status = lk_sql_open(test_env(), where, &options, &opened, &note);

    if (status != LK_OK)
        fail_msg("open: %s: %s", lk_status_name(status), note.text);
    return opened;
}

static lk_sql_link *borrow(lk_sql *from)
{
    lk_sql_link *link = NULL;
    lk_note note = {""};

    if (lk_sql_borrow(from, &link, &note) != LK_OK)
        fail_msg("borrow: %s", note.text);
    return link;
}

static void run(lk_sql_link *link, const char *statements)
{
    lk_note note = {""};

    if (lk_sql_script(link, statements) != LK_OK) {
        lk_sql_explain(link, &note);
        fail_msg("%s: %s", statements, note.text);
    }
}

static int64_t number(lk_sql_link *link, const char *literal)
{
    lk_sql_query *q = NULL;
    int64_t n;

    assert_int_equal(lk_sql_prepare(link, literal, &q), LK_OK);
    assert_int_equal(lk_sql_step(q), LK_OK);
    n = lk_sql_i64(q, 0);
    lk_sql_reset(q);
    return n;
}

static lk_status add(lk_sql_link *link, int64_t n)
{
    return lk_sql_do(link, "INSERT INTO lk_test (n, m) VALUES (?, 0)", LK_SQL_VALUES(lk_sql_of_i64(n)), NULL);
}

/* The one of three that is this dialect's. */
static const char *of_dialect(const char *sqlite, const char *postgres, const char *mariadb)
{
    switch (dialect) {
    case LK_SQL_SQLITE:
        return sqlite;
    case LK_SQL_POSTGRES:
        return postgres;
    case LK_SQL_MARIADB:
        return mariadb;
    }
    return NULL;
}

/* Each test has two tables of its own making: lk_test (n, m) and lk_value. */
static int set_up(void **state)
{
    (void)state;
    db = open_url(url);
    one = borrow(db);
    run(one, "DROP TABLE IF EXISTS lk_test; DROP TABLE IF EXISTS lk_value;"
             "CREATE TABLE lk_test (n INTEGER NOT NULL PRIMARY KEY, m INTEGER NOT NULL);");
    run(one, of_dialect("CREATE TABLE lk_value (s TEXT, b BLOB, i INTEGER, small INTEGER)",
                        "CREATE TABLE lk_value (s TEXT, b BYTEA, i BIGINT, small SMALLINT)",
                        "CREATE TABLE lk_value (s LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin,"
                        " b LONGBLOB, i BIGINT, small SMALLINT)"));
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    lk_sql_give_back(one);
    lk_sql_close(db);
    one = NULL;
    db = NULL;
    return test_alloc_live() != 0;
}

/* ---- values ---- */

static const char insert_value[] = "INSERT INTO lk_value (s, b, i, small) VALUES (?, ?, ?, ?)";

static void comes_back(lk_view text, lk_view bytes, int64_t i, int64_t small)
{
    lk_sql_query *q = NULL;

    run(one, "DELETE FROM lk_value");
    assert_int_equal(lk_sql_do(one, insert_value,
                               LK_SQL_VALUES(lk_sql_of_text(text), lk_sql_of_bytes(bytes), lk_sql_of_i64(i),
                                             lk_sql_of_i64(small)),
                               NULL),
                     LK_OK);
    assert_int_equal(lk_sql_ask(one, "SELECT s, b, i, small FROM lk_value", NULL, 0, &q), LK_OK);
    assert_int_equal(lk_sql_step(q), LK_OK);
    assert_true(lk_view_equal(lk_sql_text(q, 0), text));
    assert_true(lk_view_equal(lk_sql_bytes(q, 1), bytes));
    assert_true(lk_sql_i64(q, 2) == i);
    assert_true(lk_sql_i64(q, 3) == small);
    assert_int_equal(lk_sql_step(q), LK_MISS);
}

static void bytes_of_every_value_come_back_as_they_were(void **state)
{
    uint8_t bytes[2 * 256];

    (void)state;
    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (uint8_t)(i < 256 ? i : 511 - i);
    comes_back(LK_VIEW(""), lk_view_make(bytes, sizeof(bytes)), INT64_MAX, INT16_MAX);
    comes_back(LK_VIEW(""), lk_view_make(bytes, 1), INT64_MIN, INT16_MIN);
    comes_back(LK_VIEW(""), LK_VIEW(""), 0, 0);
    comes_back(LK_VIEW(""), LK_VIEW("'; DROP TABLE lk_value; --\\'\"\\\\?"), -1, -1);
}

/* Every character of one byte but NUL, the ends of two, three and four bytes, and beyond the first plane. */
static void text_comes_back_as_it_was(void **state)
{
    uint8_t text[300];
    lk_buf b = lk_buf_over(text, sizeof(text));

    (void)state;
    for (uint8_t c = 1; c < 0x80; c++)
        lk_buf_add_byte(&b, c);
    lk_buf_add(&b, LK_VIEW("\xc2\x80\xdf\xbf\xe0\xa0\x80\xef\xbf\xbd\xf0\x90\x80\x80\xf4\x8f\xbf\xbf"
                           "e\xcc\x81\xc3\xa9\xc3\x9fSS\xef\xbb\xbf  "));
    comes_back(lk_buf_view(&b), LK_VIEW("x"), 1, 1);
    comes_back(LK_VIEW("'; DROP TABLE lk_value; --\\'\"\\\\?"), LK_VIEW("x"), 1, 1);
}

static void a_value_of_a_megabyte_comes_back_beside_short_ones(void **state)
{
    size_t len = (size_t)1000000;
    uint8_t *long_one = malloc(len);
    lk_sql_query *q = NULL;

    (void)state;
    assert_non_null(long_one);
    for (size_t i = 0; i < len; i++)
        long_one[i] = (uint8_t)(i * 31 >> 3);
    for (int64_t i = 0; i < 3; i++)
        assert_int_equal(lk_sql_do(one, insert_value,
                                   LK_SQL_VALUES(lk_sql_of_text(LK_VIEW("short")),
                                                 lk_sql_of_bytes(lk_view_make(long_one, i == 1 ? len : 3)),
                                                 lk_sql_of_i64(i), lk_sql_of_i64(0)),
                                   NULL),
                         LK_OK);
    assert_int_equal(lk_sql_ask(one, "SELECT s, b FROM lk_value ORDER BY i", NULL, 0, &q), LK_OK);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(lk_sql_step(q), LK_OK);
        assert_true(lk_view_equal(lk_sql_text(q, 0), LK_VIEW("short")));
        assert_true(lk_view_equal(lk_sql_bytes(q, 1), lk_view_make(long_one, i == 1 ? len : 3)));
    }
    assert_int_equal(lk_sql_step(q), LK_MISS);
    free(long_one);
}

static void what_is_null_reads_as_nothing(void **state)
{
    lk_sql_query *q = NULL;

    (void)state;
    run(one, "INSERT INTO lk_value (s, b, i, small) VALUES (NULL, NULL, NULL, NULL)");
    assert_int_equal(lk_sql_ask(one, "SELECT s, b, i, small FROM lk_value", NULL, 0, &q), LK_OK);
    assert_int_equal(lk_sql_step(q), LK_OK);
    assert_int_equal(lk_sql_text(q, 0).len, 0);
    assert_int_equal(lk_sql_bytes(q, 1).len, 0);
    assert_int_equal(lk_sql_i64(q, 2), 0);
    assert_int_equal(lk_sql_i64(q, 3), 0);
    assert_int_equal(lk_sql_i64(q, 4), 0); /* there is no such column */
    assert_int_equal(lk_sql_bytes(q, -1).len, 0);
}

static void numbers_of_every_kind_are_read(void **state)
{
    (void)state;
    run(one, "INSERT INTO lk_test (n, m) VALUES (1, 2000000000), (2, 2000000000), (3, -1)");
    assert_int_equal(number(one, "SELECT count(*) FROM lk_test"), 3);
    assert_true(number(one, "SELECT sum(m) FROM lk_test") == INT64_C(3999999999));
    assert_int_equal(number(one, "SELECT min(m) FROM lk_test"), -1);
    assert_int_equal(number(one, "SELECT COALESCE(max(m), -7) FROM lk_test WHERE n > 100"), -7);
    assert_int_equal(number(one, "SELECT n > 2 FROM lk_test WHERE n = 3"), 1);
    run(one, "INSERT INTO lk_value (s, i) VALUES ('42', 9000000000000000000)");
    assert_int_equal(number(one, "SELECT s FROM lk_value"), 42);
    assert_true(number(one, "SELECT sum(i) FROM lk_value") == INT64_C(9000000000000000000));
    assert_int_equal(
        number(one, of_dialect("SELECT 10000.75", "SELECT 10000.75::numeric", "SELECT 10000.75 + 0e0")),
        10000);
    assert_int_equal(
        number(one, of_dialect("SELECT -1234567.5", "SELECT -1234567.5::float4", "SELECT -1234567")),
        -1234567);
}

static void a_question_mark_in_quotes_is_no_place(void **state)
{
    lk_sql_query *q = NULL;
    static const char text[] =
        "SELECT n AS \"a?\", '?', m FROM lk_test -- is this ?\nWHERE '?''' = '?''' AND n = ?";

    (void)state;
    assert_int_equal(add(one, 5), LK_OK);
    assert_int_equal(lk_sql_ask(one, text, LK_SQL_VALUES(lk_sql_of_i64(5)), &q), LK_OK);
    assert_int_equal(lk_sql_step(q), LK_OK);
    assert_true(lk_view_equal(lk_sql_text(q, 1), LK_VIEW("?")));
    assert_int_equal(lk_sql_i64(q, 0), 5);
    lk_sql_reset(q);
}

static void a_value_that_cannot_be_bound_fails_the_next_run(void **state)
{
    lk_sql_query *q = NULL;

    (void)state;
    assert_int_equal(lk_sql_prepare(one, "INSERT INTO lk_test (n, m) VALUES (?, 1)", &q), LK_OK);
    lk_sql_bind_i64(q, 2, 1);
    assert_int_equal(lk_sql_run(q, NULL), LK_FAULT);
    lk_sql_bind_i64(q, 1, 1);
    assert_int_equal(lk_sql_run(q, NULL), LK_OK);
    assert_int_equal(number(one, "SELECT count(*) FROM lk_test"), 1);
}

static void several_statements_are_read_side_by_side(void **state)
{
    static const char text[] = "SELECT n FROM lk_test WHERE n > ? ORDER BY n",
                      other[] = "SELECT m FROM lk_test";
    lk_sql_query *outer = NULL, *inner = NULL;

    (void)state;
    for (int64_t n = 1; n <= 3; n++)
        assert_int_equal(add(one, n), LK_OK);
    assert_int_equal(lk_sql_ask(one, text, LK_SQL_VALUES(lk_sql_of_i64(1)), &outer), LK_OK);
    for (int64_t n = 2; n <= 3; n++) {
        assert_int_equal(lk_sql_step(outer), LK_OK);
        assert_int_equal(lk_sql_i64(outer, 0), n);
        assert_int_equal(lk_sql_ask(one, other, NULL, 0, &inner), LK_OK);
        for (int i = 0; i < 3; i++)
            assert_int_equal(lk_sql_step(inner), LK_OK);
        assert_int_equal(lk_sql_step(inner), LK_MISS);
        assert_int_equal(lk_sql_i64(outer, 0), n);
    }
    assert_int_equal(lk_sql_step(outer), LK_MISS);
}

static void a_hundred_statements_are_kept_prepared(void **state)
{
    static char texts[LK_SQL_QUERIES_MAX + 1][40];
    lk_sql_query *q = NULL;

    (void)state;
    for (size_t i = 0; i <= LK_SQL_QUERIES_MAX; i++)
        snprintf(texts[i], sizeof(texts[i]), "SELECT %zu + n FROM lk_test", i);
    assert_int_equal(add(one, 1000), LK_OK);
    lk_sql_give_back(one);
    lk_sql_close(db);
    db = open_url(url);
    one = borrow(db);
    lk_sql_deadline(one, 5000);
    for (int round = 0; round < 2; round++)
        for (int64_t i = 0; i < LK_SQL_QUERIES_MAX; i++)
            assert_int_equal(number(one, texts[i]), 1000 + i);
    assert_int_equal(lk_sql_prepare(one, texts[LK_SQL_QUERIES_MAX], &q), LK_FAULT);
}

/* ---- constraints and counts ---- */

static void a_row_that_a_constraint_forbids_is_refused_and_the_rest_goes_on(void **state)
{
    lk_note note = {""};

    (void)state;
    assert_int_equal(add(one, 4711), LK_OK);
    assert_int_equal(add(one, 4711), LK_REFUSED);
    lk_sql_explain(one, &note);
    assert_null(strstr(note.text, "4711")); /* no values in notes */
    assert_false(lk_sql_may_retry(one));
    assert_int_equal(add(one, 4712), LK_OK);
    assert_int_equal(lk_sql_begin(one, LK_SQL_DURABLE), LK_OK);
    assert_int_equal(add(one, 4711), LK_REFUSED);
    lk_sql_rollback(one);
    assert_int_equal(lk_sql_begin(one, LK_SQL_RELAXED), LK_OK);
    assert_int_equal(add(one, 4713), LK_OK);
    assert_int_equal(lk_sql_commit(one), LK_OK);
    assert_int_equal(number(one, "SELECT count(*) FROM lk_test"), 3);
}

static void a_statement_that_is_wrong_is_a_fault_that_says_why(void **state)
{
    lk_sql_query *q = NULL;
    lk_note note = {""};

    (void)state;
    assert_int_equal(lk_sql_prepare(one, "SELECT n FROM lk_no_such_table", &q), LK_FAULT);
    lk_sql_explain(one, &note);
    if (dialect != LK_SQL_SQLITE)
        assert_non_null(strstr(note.text, "lk_no_such_table"));
    assert_int_equal(lk_sql_script(one, "SELEKT 1"), LK_FAULT);
    assert_int_equal(number(one, "SELECT count(*) FROM lk_test"), 0);
}

static void rows_are_counted_that_a_statement_touched_changed_or_not(void **state)
{
    uint64_t changed = 9;

    (void)state;
    run(one, "INSERT INTO lk_test (n, m) VALUES (1, 1), (2, 1), (3, 1)");
    assert_int_equal(lk_sql_do(one, "UPDATE lk_test SET m = 1 WHERE n < 3", NULL, 0, &changed), LK_OK);
    assert_int_equal(changed, 2);
    assert_int_equal(lk_sql_do(one, "UPDATE lk_test SET m = 5 WHERE n = 77", NULL, 0, &changed), LK_OK);
    assert_int_equal(changed, 0);
    assert_int_equal(
        lk_sql_do(one,
                  of_dialect("INSERT INTO lk_test (n, m) VALUES (3, 8) ON CONFLICT (n) DO NOTHING",
                             "INSERT INTO lk_test (n, m) VALUES (3, 8) ON CONFLICT (n) DO NOTHING",
                             "INSERT INTO lk_test (n, m) VALUES (3, 8) ON DUPLICATE KEY UPDATE n = n"),
                  NULL, 0, &changed),
        LK_OK);
    assert_int_equal(changed, 0);
    assert_int_equal(lk_sql_do(one, "DELETE FROM lk_test WHERE n > 1", NULL, 0, &changed), LK_OK);
    assert_int_equal(changed, 2);
}

static void a_row_is_made_or_met_and_given_by_one_statement(void **state)
{
    const char *text = of_dialect(
        "INSERT INTO lk_test (n, m) VALUES (?, 7) ON CONFLICT (n) DO UPDATE SET m = lk_test.m RETURNING m",
        "INSERT INTO lk_test (n, m) VALUES (?, 7) ON CONFLICT (n) DO UPDATE SET m = lk_test.m RETURNING m",
        "INSERT INTO lk_test (n, m) VALUES (?, 7) ON DUPLICATE KEY UPDATE m = lk_test.m RETURNING m");
    lk_sql_query *q = NULL;
    lk_note note = {""};

    (void)state;
    run(one, "INSERT INTO lk_test (n, m) VALUES (1, 3)");
    for (int64_t n = 1; n <= 2; n++) {
        assert_int_equal(lk_sql_begin(one, LK_SQL_DURABLE), LK_OK);
        assert_int_equal(lk_sql_ask(one, text, LK_SQL_VALUES(lk_sql_of_i64(n)), &q), LK_OK);
        if (lk_sql_step(q) != LK_OK) {
            lk_sql_explain(one, &note);
            fail_msg("%s", note.text);
        }
        assert_int_equal(lk_sql_i64(q, 0), n == 1 ? 3 : 7);
        lk_sql_reset(q);
        assert_int_equal(lk_sql_commit(one), LK_OK);
    }
    assert_int_equal(number(one, "SELECT count(*) FROM lk_test"), 2);
}

/* ---- transactions ---- */

static void a_link_given_back_in_a_transaction_has_written_nothing(void **state)
{
    (void)state;
    assert_int_equal(lk_sql_begin(one, LK_SQL_DURABLE), LK_OK);
    assert_int_equal(add(one, 1), LK_OK);
    lk_sql_give_back(one);
    one = borrow(db);
    assert_int_equal(number(one, "SELECT count(*) FROM lk_test"), 0);
    assert_int_equal(lk_sql_commit(one), LK_FAULT); /* there is none */
    assert_int_equal(lk_sql_begin(one, LK_SQL_DURABLE), LK_OK);
    assert_int_equal(lk_sql_begin(one, LK_SQL_DURABLE), LK_FAULT); /* not twice */
    assert_int_equal(add(one, 1), LK_OK);
    assert_int_equal(lk_sql_commit(one), LK_OK);
    assert_int_equal(number(one, "SELECT count(*) FROM lk_test"), 1);
}

/* Add one to the row, in a transaction of its own. */
static lk_status count_once(lk_sql_link *link)
{
    const char *read =
        of_dialect("SELECT m FROM lk_test WHERE n = 1", "SELECT m FROM lk_test WHERE n = 1 FOR UPDATE",
                   "SELECT m FROM lk_test WHERE n = 1 FOR UPDATE");
    lk_sql_query *q = NULL;
    lk_status status = lk_sql_begin(link, LK_SQL_RELAXED);
    int64_t m = 0;

    if (status == LK_OK)
        status = lk_sql_ask(link, read, NULL, 0, &q);
    if (status == LK_OK)
        status = lk_sql_step(q);
    if (status == LK_OK) {
        m = lk_sql_i64(q, 0);
        lk_sql_reset(q);
        status = lk_sql_do(link, "UPDATE lk_test SET m = ? WHERE n = 1", LK_SQL_VALUES(lk_sql_of_i64(m + 1)),
                           NULL);
    }
    if (status == LK_OK)
        return lk_sql_commit(link);
    lk_sql_rollback(link);
    return status;
}

static void *count_fifty(void *p)
{
    intptr_t done = 0;

    (void)p;
    for (int i = 0; i < 50; i++) {
        lk_sql_link *link = NULL;

        if (lk_sql_borrow(db, &link, NULL) != LK_OK)
            continue;
        done += count_once(link) == LK_OK;
        lk_sql_give_back(link);
    }
    return (void *)done;
}

static void sixteen_threads_on_eight_links_lose_no_write(void **state)
{
    pthread_t threads[16];
    intptr_t done = 0;

    (void)state;
    assert_int_equal(add(one, 1), LK_OK);
    lk_sql_give_back(one);
    for (int i = 0; i < 16; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, count_fifty, NULL), 0);
    for (int i = 0; i < 16; i++) {
        void *result = NULL;

        pthread_join(threads[i], &result);
        done += (intptr_t)result;
    }
    one = borrow(db);
    assert_int_equal(number(one, "SELECT m FROM lk_test WHERE n = 1"), done);
    assert_int_equal(done, 16 * 50);
}

static lk_status touch_row(lk_sql_link *link, int64_t n)
{
    return lk_sql_do(link, "UPDATE lk_test SET m = m + 1 WHERE n = ?", LK_SQL_VALUES(lk_sql_of_i64(n)), NULL);
}

typedef struct crossing {
    lk_sql_link *link;
    lk_status status;
    bool may_retry;
} crossing;

static void *cross(void *p)
{
    crossing *c = p;

    c->status = touch_row(c->link, 1);
    c->may_retry = c->status != LK_OK && lk_sql_may_retry(c->link);
    lk_sql_rollback(c->link); /* so that the other need not wait longer */
    return NULL;
}

/* Each holds a row and wants the other's. The database undoes one of them, and that one may come again. */
static void of_two_writers_in_each_others_way_one_may_come_again(void **state)
{
    crossing c = {.link = borrow(db)};
    bool may_retry = false;
    lk_status status;
    pthread_t thread;

    (void)state;
    lk_sql_deadline(one, 5000);
    lk_sql_deadline(c.link, 5000);
    assert_int_equal(add(one, 1), LK_OK);
    assert_int_equal(add(one, 2), LK_OK);
    assert_int_equal(lk_sql_begin(one, LK_SQL_DURABLE), LK_OK);
    assert_int_equal(touch_row(one, 1), LK_OK);
    if (dialect == LK_SQL_SQLITE) { /* one writer at a time: nobody is in the way of anybody */
        lk_sql_give_back(c.link);
        return;
    }
    assert_int_equal(lk_sql_begin(c.link, LK_SQL_DURABLE), LK_OK);
    assert_int_equal(touch_row(c.link, 2), LK_OK);
    assert_int_equal(pthread_create(&thread, NULL, cross, &c), 0);
    status = touch_row(one, 2);
    may_retry = status != LK_OK && lk_sql_may_retry(one);
    lk_sql_rollback(one);
    pthread_join(thread, NULL);
    assert_int_not_equal(status, c.status);
    assert_true(status == LK_OK ? c.may_retry : may_retry);
    assert_int_equal(status == LK_OK ? c.status : status, LK_FAULT);
    lk_sql_give_back(c.link);
}

/* Who waits for a lock has an answer before the deadline, and keeps the connection. */
static void a_lock_that_another_holds_is_a_fault_in_time(void **state)
{
    lk_sql_link *other = borrow(db);
    int64_t began_ms, took_ms;
    lk_note note = {""};
    lk_status status;

    (void)state;
    lk_sql_deadline(other, 5000);
    assert_int_equal(add(other, 1), LK_OK);
    assert_int_equal(lk_sql_begin(other, LK_SQL_DURABLE), LK_OK);
    assert_int_equal(touch_row(other, 1), LK_OK);
    began_ms = clock_ms();
    lk_sql_deadline(one, SHORT_MS);
    status = lk_sql_begin(one, LK_SQL_DURABLE);
    if (status == LK_OK)
        status = touch_row(one, 1);
    took_ms = clock_ms() - began_ms;
    assert_int_equal(status, LK_FAULT);
    assert_in_range(took_ms, SHORT_MS / 2, SHORT_MS + 200);
    lk_sql_explain(one, &note);
    assert_non_null(strstr(note.text, dialect == LK_SQL_MARIADB ? "longer than its deadline" : "too long"));
    lk_sql_rollback(one);
    assert_int_equal(number(one, "SELECT m FROM lk_test"), 0);
    assert_int_equal(lk_sql_commit(other), LK_OK);
    lk_sql_give_back(other);
    assert_int_equal(number(one, "SELECT m FROM lk_test"), 1);
}

static void a_statement_that_takes_too_long_is_a_fault_in_time(void **state)
{
    const char *sleep = of_dialect(NULL, "SELECT 1 FROM pg_sleep(?)", "SELECT SLEEP(?)");
    int64_t began_ms = clock_ms();
    lk_sql_query *q = NULL;

    (void)state;
    if (sleep == NULL) /* SQLite's statements are this process's own work */
        return;
    lk_sql_deadline(one, SHORT_MS);
    assert_int_equal(lk_sql_ask(one, sleep, LK_SQL_VALUES(lk_sql_of_i64(3)), &q), LK_OK);
    if (dialect == LK_SQL_MARIADB) /* says 1 when it was interrupted, and not that it was */
        assert_true(lk_sql_step(q) == LK_FAULT || lk_sql_i64(q, 0) == 1);
    else
        assert_int_equal(lk_sql_step(q), LK_FAULT);
    assert_in_range(clock_ms() - began_ms, SHORT_MS / 2, SHORT_MS + 200);
    lk_sql_reset(q);
    assert_int_equal(number(one, "SELECT count(*) FROM lk_test"), 0);
    lk_sql_deadline(one, 5000); /* whoever asks for more time has it */
    assert_int_equal(lk_sql_ask(one, sleep, LK_SQL_VALUES(lk_sql_of_i64(1)), &q), LK_OK);
    assert_int_equal(lk_sql_step(q), LK_OK);
    assert_true(clock_ms() - began_ms >= 1000);
}

/* ---- schemas ---- */

static void tables_are_found_by_their_names(void **state)
{
    (void)state;
    assert_int_equal(lk_sql_has_table(one, LK_VIEW("lk_test")), LK_OK);
    assert_int_equal(lk_sql_has_table(one, LK_VIEW("lk_tes")), LK_MISS);
    assert_int_equal(lk_sql_has_table(one, LK_VIEW("lk_test' OR '1' = '1")), LK_MISS);
}

static void *change_schema(void *p)
{
    lk_sql_link *link = NULL;
    lk_status status = lk_sql_borrow(db, &link, NULL);

    (void)p;
    if (status == LK_OK)
        status = lk_sql_begin_schema(link);
    if (status == LK_OK && lk_sql_has_table(link, LK_VIEW("lk_made")) == LK_MISS)
        status = lk_sql_script(link, "CREATE TABLE lk_made (n INTEGER); INSERT INTO lk_made VALUES (1)");
    if (status == LK_OK)
        status = lk_sql_commit(link);
    lk_sql_give_back(link);
    return (void *)(intptr_t)(status == LK_OK);
}

static void of_several_who_make_a_table_one_does(void **state)
{
    pthread_t threads[4];

    (void)state;
    run(one, "DROP TABLE IF EXISTS lk_made");
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, change_schema, NULL), 0);
    for (int i = 0; i < 4; i++) {
        void *ok = NULL;

        pthread_join(threads[i], &ok);
        assert_non_null(ok);
    }
    assert_int_equal(number(one, "SELECT count(*) FROM lk_made"), 1);
    run(one, "DROP TABLE lk_made");
}

/* ---- listening ---- */

static void *say_something(void *p)
{
    lk_sql_link *link = borrow(db);

    (void)p;
    usleep(30000);
    if (dialect == LK_SQL_POSTGRES)
        run(link, "NOTIFY lk_test_channel");
    else
        (void)add(link, 99);
    lk_sql_give_back(link);
    return NULL;
}

static void a_listener_wakes_when_something_is_said_and_not_before(void **state)
{
    lk_sql_link *listener = NULL;
    int64_t began_ms;
    pthread_t thread;

    (void)state;
    for (int round = 0; round < 2; round++) {
        assert_int_equal(lk_sql_borrow_listener(db, "lk_test_channel", &listener, NULL), LK_OK);
        assert_int_equal(number(listener, "SELECT count(*) FROM lk_test"), 0);
        if (dialect == LK_SQL_MARIADB) { /* it can only be looked again and again */
            assert_int_equal(lk_sql_wait(listener, 5000), LK_OK);
        } else {
            began_ms = clock_ms();
            assert_int_equal(lk_sql_wait(listener, 100), LK_MISS);
            assert_in_range(clock_ms() - began_ms, 95, 2000);
            assert_int_equal(pthread_create(&thread, NULL, say_something, NULL), 0);
            began_ms = clock_ms();
            assert_int_equal(lk_sql_wait(listener, 5000), LK_OK);
            assert_in_range(clock_ms() - began_ms, 10, 2000);
            pthread_join(thread, NULL);
        }
        assert_int_equal(lk_sql_begin(listener, LK_SQL_DURABLE), LK_OK);
        assert_int_equal(lk_sql_wait(listener, 1), LK_FAULT); /* not inside a transaction */
        lk_sql_give_back(listener);
        run(one, "DELETE FROM lk_test");
        assert_int_equal(lk_sql_borrow_listener(db, "lk_test_channel", &listener, NULL), LK_OK);
        while (dialect == LK_SQL_SQLITE && lk_sql_wait(listener, 0) == LK_OK)
            ; /* the DELETE */
        lk_sql_give_back(listener);
    }
    assert_int_equal(lk_sql_wait(one, 1), LK_FAULT); /* no listener */
}

/* Between two waits nobody listens to the connection; what was said meanwhile is told by the next wait. */
static void what_is_said_while_a_listener_is_idle_is_told_later(void **state)
{
    lk_sql_link *listener = NULL;

    (void)state;
    assert_int_equal(lk_sql_borrow_listener(db, "lk_test_channel", &listener, NULL), LK_OK);
    lk_sql_give_back(listener);
    if (dialect == LK_SQL_POSTGRES)
        run(one, "NOTIFY lk_test_channel");
    else
        assert_int_equal(add(one, 1), LK_OK);
    assert_int_equal(lk_sql_borrow_listener(db, "lk_test_channel", &listener, NULL), LK_OK);
    assert_int_equal(lk_sql_wait(listener, 1000), LK_OK);
    lk_sql_give_back(listener);
}

/* ---- connections ---- */

static size_t connections(void)
{
    size_t n = 0;

    for (size_t i = 0; i < LK_SQL_LINKS_MAX; i++)
        n += db->links[i].connection != NULL;
    return n;
}

static void connections_of_a_burst_are_closed_when_they_were_not_needed_for_a_minute(void **state)
{
    lk_sql_link *others[LK_SQL_LINKS_MAX - 1];

    (void)state;
    for (size_t i = 0; i < LK_SQL_LINKS_MAX - 1; i++)
        others[i] = borrow(db);
    for (size_t i = 0; i < LK_SQL_LINKS_MAX - 1; i++)
        lk_sql_give_back(others[i]);
    for (size_t i = 0; i < LK_SQL_LINKS_MAX; i++)
        db->links[i].idle_since_ms -= 61000;
    for (int i = 0; i < 20; i++) {
        lk_sql_give_back(one);
        one = borrow(db);
        assert_int_equal(number(one, "SELECT count(*) FROM lk_test"), 0);
    }
    assert_int_equal(connections(),
                     dialect == LK_SQL_SQLITE ? LK_SQL_LINKS_MAX : 1); /* a file costs its server nothing */
}

/* ---- the server ---- */

static void the_server_has_a_clock_and_a_version(void **state)
{
    static const char *const names[] = {"SQLite 3.", "PostgreSQL 1", "MariaDB 1"};
    char version[LK_SQL_VERSION_MAX];
    struct timespec t;
    int64_t now_ms = 0;

    (void)state;
    clock_gettime(CLOCK_REALTIME, &t);
    assert_int_equal(lk_sql_time_ms(one, &now_ms), LK_OK);
    assert_in_range(now_ms, (int64_t)t.tv_sec * 1000 - 1000, (int64_t)t.tv_sec * 1000 + 3000);
    assert_int_equal(lk_sql_version(one, version), LK_OK);
    assert_ptr_equal(strstr(version, names[dialect]), version);
}

/* ---- opening ---- */

/* The URL with PART behind it as one more option. */
static const char *with_option(const char *option)
{
    static char text[600];

    snprintf(text, sizeof(text), "%s%s%s", url, strchr(url, '?') != NULL ? "&" : "?", option);
    return text;
}

static void the_deadline_in_the_url_goes_before_the_one_asked_for(void **state)
{
    static const char *const bad[] = {"deadline=",
                                      "deadline=5",
                                      "deadline=9ms",
                                      "deadline=11s",
                                      "deadline=1h",
                                      "deadline=-50ms",
                                      "deadline=99999999999999999999ms"};
    lk_note note = {""};
    lk_sql *other;

    (void)state;
    assert_int_equal(lk_sql_deadline_of(db), DEADLINE_MS);
    other = open_url(with_option("deadline=777ms"));
    assert_int_equal(lk_sql_deadline_of(other), 777);
    lk_sql_close(other);
    other = open_url(with_option("deadline=2s"));
    assert_int_equal(lk_sql_deadline_of(other), 2000);
    lk_sql_close(other);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_int_equal(lk_sql_url_check(with_option(bad[i]), &note), LK_REFUSED);
        assert_non_null(strstr(note.text, "deadline="));
    }
    assert_int_equal(lk_sql_url_check(with_option("no_such_option=1"), &note), LK_REFUSED);
}

/* The URL with another password, user or database; NULL for what stays. */
static const char *other_url(const char *user, const char *password, const char *database, int port)
{
    static char text[600];
    char scheme[16], rest[400], old_user[64], old_password[128], host[64], old_database[64];
    int old_port = 0;

    assert_int_equal(sscanf(url, "%15[^:]://%399s", scheme, rest), 2);
    assert_int_equal(sscanf(rest, "%63[^:]:%127[^@]@%63[^:]:%d/%63s", old_user, old_password, host, &old_port,
                            old_database),
                     5);
    snprintf(text, sizeof(text), "%s://%s:%s@%s:%d/%s", scheme, user != NULL ? user : old_user,
             password != NULL ? password : old_password, host, port != 0 ? port : old_port,
             database != NULL ? database : old_database);
    return text;
}

static void is_refused(const char *where, lk_status expected, const char *word)
{
    lk_note note = {""};
    lk_sql *other = NULL;
    lk_status status = lk_sql_open(test_env(), where, NULL, &other, &note);

    if (status != expected || strstr(note.text, word) == NULL)
        fail_msg("%s: %s: %s", where, lk_status_name(status), note.text);
    assert_null(other);
    assert_null(strstr(note.text, "s3cret"));
}

static void a_wrong_password_is_refused_and_not_told(void **state)
{
    (void)state;
    if (dialect == LK_SQL_SQLITE)
        return;
    is_refused(other_url(NULL, "s3cret", NULL, 0), LK_REFUSED, "latchkey");
    is_refused(other_url("nosuchuser", "s3cret", NULL, 0), LK_REFUSED, "");
    is_refused(other_url(NULL, NULL, "nosuchdatabase", 0), LK_REFUSED, "nosuchdatabase");
    is_refused(other_url(NULL, "s3cret", NULL, 1), LK_FAULT, "127.0.0.1:1");
}

static void urls_of_other_forms_are_refused_with_the_form_expected(void **state)
{
    static const struct {
        const char *url, *word;
    } bad[] = {
        {"", "sqlite:"},
        {"oracle://h/d", "postgres://"},
        {"postgres", "postgres://"},
        {"postgres:", "postgres://"},
        {"postgres:///", "postgres://"},
        {"postgres://h", "postgres://"},
        {"postgres://u:s3cret%zz@h/d", "postgres://"},
        {"postgres://u:s3cret@h:port:1/d", "postgres://"},
        {"postgres://u:s3cret@[::1/d", "postgres://"},
        {"postgres://u:s3cret@h/d?nosuch=1", "postgres://"},
        {"mariadb:", "mariadb://"},
        {"mariadb://", "mariadb://"},
        {"mariadb://h", "mariadb://"},
        {"mariadb://h/", "mariadb://"},
        {"mariadb:///d", "mariadb://"},
        {"mariadb://u:s3cret@/d", "mariadb://"},
        {"mariadb://u:s3cret@h:0/d", "mariadb://"},
        {"mariadb://u:s3cret@h:65536/d", "mariadb://"},
        {"mariadb://u:s3cret@h:x/d", "mariadb://"},
        {"mariadb://u:s3cret@[::1/d", "mariadb://"},
        {"mariadb://u:s3cret@h,/d%00", "mariadb://"},
        {"mariadb://u:s3cret%4@h/d", "mariadb://"},
        {"mariadb://u:s3cret%@h/d", "mariadb://"},
        {"mariadb://u:s3cret@h/d?sslmode=maybe", "mariadb://"},
        {"mariadb://u:s3cret@h/d?nosuch=1", "mariadb://"},
        {"mariadb://a,b,c,d,e,f,g,h,i/d", "mariadb://"},
    };
    static const char *const good[] = {
        "postgres://u:p%40@h:1/d?sslmode=require",
        "postgresql://u@[::1]/d",
        "postgres:///d?host=/run/postgresql",
        "postgres://h1,h2:5433/d?deadline=1s",
        "mariadb://u:p%40%2f@h:1/d?sslmode=verify-full&sslrootcert=/ca%20x.pem",
        "mariadb://u@[::1]:3307/d",
        "mariadb:///d?socket=/run/mysqld/mysqld.sock",
        "mariadb://h1,h2:3307/d?deadline=1s"};
    static char longest[700] = "mariadb://u:s3cret@";
    lk_note note;

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        note.text[0] = 0;
        if (lk_sql_url_check(bad[i].url, &note) != LK_REFUSED || strstr(note.text, bad[i].word) == NULL ||
            strstr(note.text, "s3cret") != NULL)
            fail_msg("\"%s\": %s", bad[i].url, note.text);
    }
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
        if (lk_sql_url_check(good[i], &note) != LK_OK)
            fail_msg("\"%s\": %s", good[i], note.text);
    memset(longest + 19, 'a', sizeof(longest) - 20);
    assert_int_equal(lk_sql_url_check(longest, &note), LK_REFUSED);
    assert_null(strstr(note.text, "s3cret"));
}

static lk_status open_and_ask(lk_sql **opened)
{
    uint8_t big[4096] = {0};
    lk_sql_link *link = NULL;
    lk_sql_query *q = NULL;
    lk_status status = lk_sql_open(test_env(), url, NULL, opened, NULL);

    if (status == LK_OK)
        status = lk_sql_borrow(*opened, &link, NULL);
    if (status == LK_OK)
        status = lk_sql_do(link, insert_value,
                           LK_SQL_VALUES(lk_sql_of_text(LK_VIEW("s")),
                                         lk_sql_of_bytes(lk_view_make(big, sizeof(big))), lk_sql_of_i64(1),
                                         lk_sql_of_i64(2)),
                           NULL);
    if (status == LK_OK)
        status =
            lk_sql_ask(link, "SELECT s, b FROM lk_value WHERE i = ?", LK_SQL_VALUES(lk_sql_of_i64(1)), &q);
    if (status == LK_OK)
        status = lk_sql_step(q);
    if (status == LK_OK)
        status = lk_sql_bytes(q, 1).len == sizeof(big) ? LK_OK : LK_STALE;
    lk_sql_give_back(link);
    return status;
}

static void every_allocation_that_fails_is_a_fault_and_leaks_nothing(void **state)
{
    int live = test_alloc_live(), n = 1;

    (void)state;
    for (;; n++) {
        lk_sql *opened = NULL;
        lk_status status;

        test_alloc_fail_at(n);
        status = open_and_ask(&opened);
        lk_sql_close(opened);
        if (!test_alloc_failed()) {
            assert_int_equal(status, LK_OK);
            break;
        }
        assert_int_equal(status, LK_FAULT);
        assert_int_equal(test_alloc_live(), live);
    }
    test_alloc_fail_at(0);
    assert_true(n > 2);
    assert_int_equal(test_alloc_live(), live);
}

int main(int argc, char **argv)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(bytes_of_every_value_come_back_as_they_were),
        TEST(text_comes_back_as_it_was),
        TEST(a_value_of_a_megabyte_comes_back_beside_short_ones),
        TEST(what_is_null_reads_as_nothing),
        TEST(numbers_of_every_kind_are_read),
        TEST(a_question_mark_in_quotes_is_no_place),
        TEST(a_value_that_cannot_be_bound_fails_the_next_run),
        TEST(several_statements_are_read_side_by_side),
        TEST(a_hundred_statements_are_kept_prepared),
        TEST(a_row_that_a_constraint_forbids_is_refused_and_the_rest_goes_on),
        TEST(a_statement_that_is_wrong_is_a_fault_that_says_why),
        TEST(rows_are_counted_that_a_statement_touched_changed_or_not),
        TEST(a_row_is_made_or_met_and_given_by_one_statement),
        TEST(a_link_given_back_in_a_transaction_has_written_nothing),
        TEST(sixteen_threads_on_eight_links_lose_no_write),
        TEST(of_two_writers_in_each_others_way_one_may_come_again),
        TEST(a_lock_that_another_holds_is_a_fault_in_time),
        TEST(a_statement_that_takes_too_long_is_a_fault_in_time),
        TEST(tables_are_found_by_their_names),
        TEST(of_several_who_make_a_table_one_does),
        TEST(a_listener_wakes_when_something_is_said_and_not_before),
        TEST(what_is_said_while_a_listener_is_idle_is_told_later),
        TEST(connections_of_a_burst_are_closed_when_they_were_not_needed_for_a_minute),
        TEST(the_server_has_a_clock_and_a_version),
        TEST(the_deadline_in_the_url_goes_before_the_one_asked_for),
        TEST(a_wrong_password_is_refused_and_not_told),
        TEST(urls_of_other_forms_are_refused_with_the_form_expected),
        TEST(every_allocation_that_fails_is_a_fault_and_leaks_nothing),
    };
    lk_sql *opened;

    if (argc < 2) {
        fprintf(stderr, "usage: test_dialects URL\n");
        return 2;
    }
    url = argv[1];
    opened = open_url(url);
    dialect = lk_sql_dialect_of(opened);
    lk_sql_close(opened);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
