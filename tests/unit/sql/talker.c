/* SPDX-License-Identifier: Apache-2.0
 *
 * talker.c URL - a program that keeps a database open and does what it is told, a line at a time, for tests
 * that stop and start the server meanwhile. After each line it prints one: the answer, how many ms it took,
 * and the note.
 */
#include <pthread.h>
#include <sql/sql.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static lk_sql *db;
static lk_sql_link *mine, *listener;
static lk_note note;

static int64_t clock_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static lk_status explained(lk_sql_link *link, lk_status status)
{
    if (status != LK_OK && status != LK_MISS)
        lk_sql_explain(link, &note);
    return status;
}

/* Borrow, read one row, give back. */
static lk_status ask_once(lk_note *why)
{
    lk_sql_link *link = NULL;
    lk_sql_query *q = NULL;
    lk_status status = lk_sql_borrow(db, &link, why);

    if (status != LK_OK)
        return status;
    status =
        lk_sql_ask(link, "SELECT count(*) FROM lk_talk WHERE n < ?", LK_SQL_VALUES(lk_sql_of_i64(1000)), &q);
    if (status == LK_OK)
        status = lk_sql_step(q);
    if (status != LK_OK)
        lk_sql_explain(link, why);
    lk_sql_give_back(link);
    return status;
}

/* In the loan that `begin` began. */
static lk_status add(long n)
{
    return explained(
        mine, lk_sql_do(mine, "INSERT INTO lk_talk (n) VALUES (?)", LK_SQL_VALUES(lk_sql_of_i64(n)), NULL));
}

static lk_status fill(long n)
{
    lk_status status = LK_OK;

    for (long i = 0; i < n && status == LK_OK; i++) {
        lk_sql_deadline(mine, 5000);
        status = add(100000 + i);
    }
    return status;
}

static lk_status begin(void)
{
    lk_status status = lk_sql_borrow(db, &mine, &note);

    return status == LK_OK ? explained(mine, lk_sql_begin(mine, LK_SQL_DURABLE)) : status;
}

static lk_status end(bool commit)
{
    lk_status status = LK_OK;

    if (commit)
        status = explained(mine, lk_sql_commit(mine));
    lk_sql_give_back(mine);
    mine = NULL;
    return status;
}

static lk_status make_table(void)
{
    lk_sql_link *link = NULL;
    lk_status status = lk_sql_borrow(db, &link, &note);

    if (status != LK_OK)
        return status;
    lk_sql_deadline(link, 5000);
    status = explained(link, lk_sql_script(link, "DROP TABLE IF EXISTS lk_talk;"
                                                 "CREATE TABLE lk_talk (n INTEGER NOT NULL PRIMARY KEY)"));
    lk_sql_give_back(link);
    return status;
}

static lk_status wait_once(long wait_ms)
{
    lk_status status = lk_sql_borrow_listener(db, "lk_talk", &listener, &note);

    if (status != LK_OK)
        return status;
    status = explained(listener, lk_sql_wait(listener, (uint32_t)wait_ms));
    lk_sql_give_back(listener);
    return status;
}

/* ---- many at once ---- */

static _Atomic long asked, good, slow, late;
static int64_t storm_ends_ms;

static void *storm_thread(void *p)
{
    (void)p;
    while (clock_ms() < storm_ends_ms) {
        int64_t began_ms = clock_ms(), took_ms;
        lk_status status = ask_once(NULL);

        took_ms = clock_ms() - began_ms;
        asked++;
        good += status == LK_OK;
        slow += took_ms > 50;
        late += took_ms > lk_sql_deadline_of(db) + 150;
        usleep(10000);
    }
    return NULL;
}

static void storm(long ms)
{
    pthread_t threads[16];

    asked = good = slow = late = 0;
    storm_ends_ms = clock_ms() + ms;
    for (int i = 0; i < 16; i++)
        if (pthread_create(&threads[i], NULL, storm_thread, NULL) != 0)
            exit(3);
    for (int i = 0; i < 16; i++)
        pthread_join(threads[i], NULL);
    snprintf(note.text, sizeof(note.text), "asked=%ld good=%ld slow=%ld late=%ld", asked, good, slow, late);
}

static lk_status obey(const char *line)
{
    long number = strchr(line, ' ') != NULL ? strtol(strchr(line, ' ') + 1, NULL, 10) : 0;
    char word[16] = "";

    sscanf(line, "%15s", word);
    if (strcmp(word, "ask") == 0)
        return ask_once(&note);
    if (strcmp(word, "make") == 0)
        return make_table();
    if (strcmp(word, "begin") == 0)
        return begin();
    if (strcmp(word, "add") == 0)
        return add(number);
    if (strcmp(word, "fill") == 0)
        return fill(number);
    if (strcmp(word, "commit") == 0 || strcmp(word, "rollback") == 0)
        return end(word[0] == 'c');
    if (strcmp(word, "wait") == 0)
        return wait_once(number);
    if (strcmp(word, "storm") != 0)
        exit(2);
    storm(number);
    return LK_OK;
}

int main(int argc, char **argv)
{
    const lk_sql_options options = {.deadline_ms = 250};
    char line[128];
    int64_t began_ms = clock_ms();
    lk_status status = argc == 2 ? lk_sql_open(lk_env_system(), argv[1], &options, &db, &note) : LK_REFUSED;

    printf("%s %lld %s\n", lk_status_name(status), (long long)(clock_ms() - began_ms), note.text);
    fflush(stdout);
    while (status == LK_OK && fgets(line, sizeof(line), stdin) != NULL) {
        lk_status answer;

        note.text[0] = 0;
        began_ms = clock_ms();
        answer = obey(line);
        printf("%s %lld %s\n", lk_status_name(answer), (long long)(clock_ms() - began_ms), note.text);
        fflush(stdout);
    }
    lk_sql_give_back(mine);
    lk_sql_close(db);
    return 0;
}
