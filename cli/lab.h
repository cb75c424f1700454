/* SPDX-License-Identifier: Apache-2.0
 *
 * lab.h - `latchkey lab`: three nodes, a balancer and the store of each way to share a login, on this
 * machine; what was measured of it.
 *
 * Everything is one process and what it started: no threads, so that an application node may be a fork.
 */
#ifndef LATCHKEY_CLI_LAB_H
#define LATCHKEY_CLI_LAB_H

#include "lab_visit.h"
#include "place.h"
#include "progress.h"
#include "serve.h"

#define LAB_NODES 3
#define LAB_SERVERS_MAX 8
#define LAB_SECRET_LEN 32

/* ---- lab_ways.c: the ways, one row each ---- */

typedef enum lab_store_kind {
    LAB_STORE_OWN,        /* each node remembers for itself: memory: */
    LAB_STORE_REDIS,      /* one server */
    LAB_STORE_REPLICATED, /* a primary, a copy beside each node, sentinels that choose another primary */
    LAB_STORE_POSTGRES
} lab_store_kind;

typedef struct lab_way {
    const char *name;
    const char *title[2]; /* for people, in the languages of lab_language */
    const char *brief[2]; /* the same where there is little room */
    const char *share;    /* latchkey_share, or NULL to leave it out */
    lab_store_kind store;
    const char *login;   /* further members of the body of a login */
    const char *balance; /* how the balancer chooses, a directive of upstream; "" is in turn */
    const char *gate;    /* further directives of the nodes' servers */
    unsigned change_ops; /* operations on the store that a change of data costs, beside the check */
    bool is_variant;     /* not one of the six: shown beside the way it varies */
} lab_way;

extern const lab_way lab_ways[]; /* ends with a name of NULL */
const lab_way *lab_way_of(const char *name, size_t len);

/* ---- lab_process.c: what was started, and its end ---- */

typedef struct lab_process {
    pid_t pid; /* also its process group; 0 when it does not run */
    const char *name;
} lab_process;

typedef struct lab_program {
    const char *name;
    const char *const *argv;
    const char *log; /* standard output and error are appended there */
    uid_t uid;
    gid_t gid; /* of the user to run as; 0: as we are */
} lab_program;

int lab_start(const cli *c, const lab_program *program, lab_process *out);
/* A process of ours that runs RUN and never comes back, in the group LEADER, with the descriptor KEEP open
 * only. */
int lab_fork(const cli *c, pid_t leader, int keep, void (*run)(int fd, unsigned number), unsigned number,
             lab_process *out);
/* Run a program to its end. CLI_YES when it said 0. */
int lab_run(const cli *c, const lab_program *program);
bool lab_is_alive(lab_process *process);
/* kill -9, of the whole group and of what is below it. */
void lab_kill(lab_process *process);
/* Ask, wait, then kill. */
void lab_end(lab_process *process, int sig);
/* End whatever is still below us. How many there were. */
unsigned lab_end_rest(void);
/* A port of 127.0.0.1 that nobody listens on. 0 when there is none. */
unsigned lab_free_port(void);
/* A listening socket on such a port. */
int lab_listen(unsigned port);
void lab_wait_ms(int64_t ms);
int64_t lab_now_us(void);
/* The path of a program on this machine. */
bool lab_find_program(const char *name, char out[LK_PATH_MAX]);

/* ---- lab_app.c ---- */

/* Answer requests on FD for ever, as application number NUMBER. */
void lab_app_run(int fd, unsigned number);

/* ---- lab_store.c: the servers behind the nodes ---- */

typedef struct lab_store {
    lab_store_kind kind;
    lab_process servers[LAB_SERVERS_MAX]; /* the first is the primary */
    unsigned ports[LAB_SERVERS_MAX];
    size_t n;
    unsigned copies; /* of a session, in all */
    char url[LK_URL_MAX];
    char replica[LAB_NODES][LK_URL_MAX]; /* "" but for replication */
    char data[LK_PATH_MAX];              /* of PostgreSQL */
} lab_store;

/* ---- lab_node.c ---- */

typedef struct lab_node {
    char dir[LK_PATH_MAX], conf[LK_PATH_MAX], memory[LK_PATH_MAX];
    unsigned port, app_port;
    lab_process nginx, app;
} lab_node;

/* ---- what was measured ---- */

#define LAB_BUCKET_MS 200
#define LAB_BUCKETS_MAX 600

/* How requests ended, over the time of a phase; the blow falls at BLOW_MS. */
typedef struct lab_strip {
    struct {
        uint32_t ok, lost, failed;
    } buckets[LAB_BUCKETS_MAX];
    size_t n;
    int64_t blow_ms;
} lab_strip;

typedef struct lab_result {
    const lab_way *way;
    double requests_per_s;
    double p50_ms, p99_ms;
    double bytes_per_request;
    double server_bytes_per_user, store_bytes_per_user;
    double store_ops_per_request;
    double load_spread;
    uint64_t logins, logins_lost, requests_failed, logins_lost_store;
    double revocation_ms;
    bool is_revoked_per_node;
    bool has_store;                                  /* a server that can be killed */
    size_t store_servers;                            /* processes to look after beside the nodes */
    double down_requests, down_changes, down_logins; /* parts that were answered as asked, 0 to 1 */
    double down_back_s;                              /* until nothing failed any more; -1: not at all */
    double rate_kept;                                /* requests a second, of the rate asked for */
    uint64_t requests;                               /* all that were sent */
    char store_down[96];
    lab_strip node_strip, store_strip;
    double node_back_s; /* from the blow until the last request that failed for it */
} lab_result;

/* The lab as a whole. */
typedef struct lab {
    const cli *c;
    serve tools; /* nginx and the module */
    char dir[LK_PATH_MAX], memory_dir[LK_PATH_MAX], html[LK_PATH_MAX];
    int64_t seconds, users_n, rate;
    bool keep;
    char secret[LAB_SECRET_LEN + 1]; /* password of the stores and of the users, of this run only */
    lab_visitor *users;
    const lab_way *ways[16];
    size_t ways_n, way_at;
    lab_result *results; /* one for each way */
    lab_node nodes[LAB_NODES];
    lab_process balancer;
    unsigned balancer_port;
    lab_store store;
    cli_progress progress;
    char doing[96];
    int64_t spent_ms; /* of load, over all ways: for the bar */
    bool is_progress;
} lab;

/* Say what is going on, in the bar. */
void lab_say(lab *l, const char *format, ...) LK_PRINTF(2, 3);
/* LOAD_MS more of load have passed. False when the user wants it to end. */
bool lab_goes_on(lab *l, int64_t load_ms);

/* CLI_YES, or CLI_FAULT with the package that is missing named. */
int lab_store_look(const lab *l, const lab_way *way);
int lab_store_start(lab *l, const lab_way *way);
void lab_store_end(lab *l);

int lab_nodes_start(lab *l, const lab_way *way);
int lab_node_start(lab *l, const lab_way *way, unsigned i, bool write);
int lab_balancer_start(lab *l, const lab_way *way);
/* The machine is gone: its processes, and what was in its memory. */
void lab_node_kill(lab *l, unsigned i);
void lab_nodes_end(lab *l);

/* lab_users.c: accounts for everybody, once for all ways */
int lab_users_make(lab *l);
void lab_users_forget(lab *l); /* cookies of the way before */

/* lab_measure.c: all phases of one way */
/* How long the load of one way takes: for the bar. */
int64_t lab_way_ms(const lab *l);
int lab_measure(lab *l, const lab_way *way, lab_result *out);

/* lab_table.c */
json_t *lab_json(const lab *l);
void lab_table(const lab *l);
void lab_down_words(lab_result *r);

/* lab_page.c */
typedef enum lab_language { LAB_ENGLISH, LAB_CHINESE } lab_language;
int lab_page(const lab *l);

#endif
