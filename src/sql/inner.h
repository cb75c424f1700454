/* SPDX-License-Identifier: Apache-2.0
 *
 * inner.h - what sql.c, lend.c, query.c and url.c share. Private to src/sql.
 */
#ifndef LATCHKEY_SQL_INNER_H
#define LATCHKEY_SQL_INNER_H

#include "sql/driver.h"
#include <pthread.h>
#include <stdatomic.h>

#define LK_SQL_LISTENER LK_SQL_LINKS_MAX /* the last of the links: only for lk_sql_borrow_listener */

struct lk_sql_query {
    lk_sql_link *link;
    const char *text;
    void *statement;
    bool used;    /* something to reset */
    bool unbound; /* a value could not be bound: the next step says so */
};

struct lk_sql_link {
    lk_sql *db;
    void *connection; /* NULL until first lent, and after it was lost */
    bool lent, in_transaction, has_writer, listens;
    bool lost;    /* the connection is of no use any more; it goes when the link is given back */
    bool gave_up; /* the last begin waited in vain for another writer of this process */
    uint64_t era;
    int64_t until_ms; /* the deadline of whoever has it */
    int64_t asked_ms; /* when the server was asked last */
    int64_t idle_since_ms;
    size_t queries_n;
    lk_sql_query queries[LK_SQL_QUERIES_MAX];
};

struct lk_sql {
    const lk_sql_driver *driver;
    lk_sql_target target;
    pthread_mutex_t lock; /* guards `lent` of every link, and what is below */
    pthread_cond_t returned;
    uint64_t era;             /* connections of an older one are not used any more */
    uint32_t backoff_ms;      /* 0: the server is there, as far as is known */
    int64_t again_ms;         /* when it may be tried again */
    bool trying;              /* somebody does */
    _Atomic int64_t heard_ms; /* the last answer on any link */
    pthread_mutex_t writer;   /* held from begin to commit when the driver has one writer at a time */
    lk_sql_link links[LK_SQL_LINKS_MAX + 1];
};

/* ---- url.c ---- */

/* Find the driver of URL and fill *to but for its env. LK_OK, LK_REFUSED. */
LK_CHECKED lk_status lk__sql_target_read(const char *url, const lk_sql_driver **driver, lk_sql_target *to,
                                         lk_note *note);

/* ---- hosts.c ---- */

#define LK__SQL_ADDRESSES 4 /* of one name */

typedef struct lk__sql_hosts {
    char addresses[LK__SQL_ADDRESSES][64]; /* in digits */
    size_t n;
} lk__sql_hosts;

/* Is HOST no name but a socket of this machine (a path, or nothing)? */
bool lk__sql_is_socket(const char *host);
/* The addresses of HOST. LK_OK: one at least; LK_FAULT with the reason. */
LK_CHECKED lk_status lk__sql_hosts_find(const lk_sql_target *to, const char *host, int64_t until_ms,
                                        lk__sql_hosts *out, lk_note *note);

/* ---- lend.c ---- */

/* ms since some moment. The real clock, also in tests that stand still: a server does not. */
int64_t lk__sql_clock_ms(void);
struct timespec lk__sql_timespec(clockid_t clock, int64_t until_ms);
/* Close the connection of a link that nobody has. */
void lk__sql_link_close(lk_sql_link *link);
/* Around each question to the server. */
void lk__sql_ask_begins(lk_sql_link *link);
LK_CHECKED lk_status lk__sql_heard(lk_sql_link *link, lk_status status);

#endif
