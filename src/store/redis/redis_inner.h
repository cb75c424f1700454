/* SPDX-License-Identifier: Apache-2.0
 *
 * redis_inner.h - what the files of the stores redis, redis+sentinel and redis+cluster share.
 *
 * From below: link.c is one connection; nodes.c lends them; sentinel.c and cluster.c know which server to
 * talk to; run.c sends commands to where they belong and brings their answers; the rest are the operations.
 */
#ifndef LATCHKEY_STORE_REDIS_INNER_H
#define LATCHKEY_STORE_REDIS_INNER_H

#include "store/rules.h"
#include "store/store_ops.h"
#include <hiredis/hiredis.h>
#include <pthread.h>
#include <stdatomic.h>

/* ---- url.c: where the servers are ---- */

#define LK__REDIS_SEEDS_MAX 16
#define LK__REDIS_HOST_MAX 256
#define LK__REDIS_NAME_MAX 128
#define LK__REDIS_PASSWORD_MAX 1024
#define LK__REDIS_PREFIX_MAX 32

typedef enum lk__redis_kind { LK__REDIS_SINGLE, LK__REDIS_SENTINEL, LK__REDIS_CLUSTER } lk__redis_kind;

typedef struct lk__redis_address {
    char host[LK__REDIS_HOST_MAX]; /* a name, an address, or (port 0) the path of a Unix socket */
    uint16_t port;
} lk__redis_address;

/* An address for notes: "host:port", or the path of a socket. */
typedef struct lk__redis_named {
    char text[LK__REDIS_HOST_MAX + 10];
} lk__redis_named;
lk__redis_named lk__redis_name(const lk__redis_address *at);

#define LK__REDIS_WAIT_AUTO UINT32_MAX

typedef struct lk__redis_config {
    lk__redis_kind kind;
    lk__redis_address
        seeds[LK__REDIS_SEEDS_MAX]; /* the server, the sentinels, or some nodes of the cluster */
    unsigned seeds_n;
    char master[LK__REDIS_NAME_MAX]; /* sentinel: what the primary is called there */
    char user[LK__REDIS_NAME_MAX];
    char password[LK__REDIS_PASSWORD_MAX]; /* "" for none */
    uint32_t db;
    int64_t deadline_ms;
    uint32_t wait_for; /* replicas that must have a login or a revocation, or LK__REDIS_WAIT_AUTO */
    char prefix[LK__REDIS_PREFIX_MAX + 1];
} lk__redis_config;

/* LK_OK; LK_REFUSED with the note. */
LK_CHECKED lk_status lk__redis_config_read(lk__redis_kind kind, const lk_store_url *url,
                                           lk__redis_config *out, lk_note *note);

/* ---- link.c: one connection ---- */

/* All waiting is by the clock of the system, whatever clock the sessions go by. */
int64_t lk__redis_now_ms(void);

typedef enum lk__redis_end {
    LK__REDIS_OPEN, /* in order */
    LK__REDIS_LOST, /* closed or reset by the other side, or what came is not RESP */
    LK__REDIS_LATE, /* the deadline passed */
    LK__REDIS_SHORT /* of memory, here */
} lk__redis_end;

typedef struct lk__redis_link {
    struct lk__redis_link *next;
    const lk_env *env;
    int fd;
    redisReader *reader;
    uint8_t *out; /* commands not sent yet */
    size_t out_len, out_cap;
    unsigned awaited; /* answers still to come: with any left the link is never used again */
    uint64_t era;     /* of its node, see nodes.c */
    int64_t used_ms;  /* when it was given back */
    lk__redis_end end;
} lk__redis_link;

/* What has to be so before a link is used. */
enum { LK__REDIS_PRIMARY_ONLY = 1, LK__REDIS_BARE = 2 /* no AUTH, no SELECT: a sentinel */ };

/* Connect and make ready. LK_OK; LK_REFUSED when user or password are wrong; LK_STALE when it had to be a
 * primary and is not; LK_FULL when memory is short; LK_FAULT. The note says what the server said. */
LK_CHECKED lk_status lk__redis_link_open(const lk_env *env, const lk__redis_config *config,
                                         const lk__redis_address *at, unsigned how, int64_t until_ms,
                                         lk__redis_link **out, lk_note *note);
void lk__redis_link_close(lk__redis_link *link);
/* What it means that WHO answered ERROR where one gets to know each other, and the note of it. LK_REFUSED;
 * LK_FAULT. */
LK_CHECKED lk_status lk__redis_judge(const redisReply *error, const char *who, lk_note *note);
/* Is there something to read though nothing was asked? Then the other side has closed it. */
bool lk__redis_link_is_stale(const lk__redis_link *link);

/* Queue one command. When memory is short the link is over. */
void lk__redis_link_add(lk__redis_link *link, const lk_view *argv, unsigned argc);
/* Queue a command of words, without blanks in any. */
void lk__redis_link_add_words(lk__redis_link *link, const char *words);
/* Send what is queued. LK_OK, LK_FAULT. */
LK_CHECKED lk_status lk__redis_link_flush(lk__redis_link *link, int64_t until_ms);
/* The next answer, which the caller frees with freeReplyObject. LK_OK (an error answer too), LK_FAULT. */
LK_CHECKED lk_status lk__redis_link_read(lk__redis_link *link, int64_t until_ms, redisReply **out);

/* ---- nodes.c: the servers, and the connections to them that threads lend ---- */

#define LK__REDIS_LINKS_MAX 8
#define LK__REDIS_NODES_MAX 255
#define LK__REDIS_SLOTS 16384

typedef struct lk__redis_node {
    lk__redis_address at;
    uint64_t era; /* links of an earlier one lead to where this node was before */
    lk__redis_link *idle;
    unsigned lent;
    unsigned failures; /* in a row */
    int64_t retry_ms;  /* with failures: nobody tries before */
} lk__redis_node;

/* What a handle remembers of an event it handed out, so that it can tell whether the stream still goes on
 * from there: see events.c. */
#define LK__REDIS_PLACES 8
#define LK__REDIS_MARK_LEN 8
typedef struct lk__redis_place {
    uint64_t seq;
    uint64_t goes_on; /* 0, or seq is of a snapshot, after which the stream goes on from here */
    uint8_t mark[LK__REDIS_MARK_LEN];
    uint8_t goes_on_mark[LK__REDIS_MARK_LEN];
} lk__redis_place;

typedef struct lk__redis {
    lk_store base;
    lk__redis_config config;

    pthread_mutex_t lock; /* everything below, but never held while waiting for a server */
    pthread_cond_t given_back;
    lk__redis_node *nodes;
    unsigned nodes_n, nodes_cap;
    uint8_t *slots;        /* cluster: slot -> node, or LK__REDIS_NODES_MAX */
    atomic_bool wants_map; /* cluster: somebody was sent elsewhere */
    bool wants_primary;    /* sentinel: ask again who it is */
    bool has_primary;
    int64_t asked_ms;  /* when the map or the sentinels were asked last */
    unsigned sentinel; /* that answered last */

    lk__redis_place places[LK__REDIS_PLACES];
    unsigned places_at;
    pthread_mutex_t sweep_lock; /* the next four */
    /* sweep.c: how far the caller's clock is ahead of the server's, as far as was swept for, and where a walk
     * that is under way has got to */
    bool has_ahead;
    int64_t ahead_ms;
    unsigned walk_node;
    uint64_t walk_scan;

    lk__redis_link *watch; /* of events_wait, which one thread at a time uses */
    unsigned watch_node;
    int64_t verified_ms; /* sentinel: when it was asked whether the primary is still that */
} lk__redis;

/* Lend a connection to node number NODE, opened if need be. LK_OK; LK_REFUSED; LK_FULL when memory is short;
 * LK_FAULT (also at once, when the node failed a moment ago). */
LK_CHECKED lk_status lk__redis_lend(lk__redis *r, unsigned node, int64_t until_ms, lk__redis_link **out,
                                    lk_note *note);
void lk__redis_give_back(lk__redis *r, unsigned node, lk__redis_link *link);
/* A connection to NODE beside the lent ones. The caller closes it. */
LK_CHECKED lk_status lk__redis_connect(lk__redis *r, unsigned node, int64_t until_ms, lk__redis_link **out,
                                       lk_note *note);
/* The caller holds the lock. The number of the node at AT, made if need be; LK__REDIS_NODES_MAX when there is
 * no room. */
unsigned lk__redis_node_at(lk__redis *r, const lk__redis_address *at);
void lk__redis_nodes_close(lk__redis *r);
/* How long to leave a server alone after FAILURES in a row. */
int64_t lk__redis_backoff_ms(const lk_env *env, unsigned failures);

/* sentinel.c: connect to the primary, asking the sentinels who that is if it is not known or gone. */
LK_CHECKED lk_status lk__redis_sentinel_connect(lk__redis *r, int64_t until_ms, lk__redis_link **out,
                                                lk_note *note);
/* Ask the sentinels again, and leave the connections to a server that is primary no more. */
void lk__redis_sentinel_verify(lk__redis *r, int64_t until_ms);

/* cluster.c */
unsigned lk__redis_slot_of(lk_view key);
/* Fetch the map of slots from any node that answers. LK_OK, LK_REFUSED, LK_FAULT. */
LK_CHECKED lk_status lk__redis_map_fetch(lk__redis *r, int64_t until_ms, lk_note *note);
/* Do that if it is due. */
void lk__redis_map_refresh(lk__redis *r, int64_t until_ms);
/* Learn from "MOVED slot host:port" or "ASK slot host:port", which came from node FROM. The node that is
 * meant, or LK__REDIS_NODES_MAX. */
unsigned lk__redis_moved(lk__redis *r, unsigned from, const char *error);

/* ---- run.c: commands and their answers ---- */

typedef struct lk__redis_script {
    const char *name;
    const char *text;
    size_t len;
    char sha[41];
    unsigned number; /* below 32 */
} lk__redis_script;

/* One command. The caller owns what it points to, for as long as the run. */
typedef struct lk__redis_ask {
    const lk__redis_script *script; /* NULL: argv is a command, else the keys and arguments of the script */
    const lk_view *argv;
    unsigned argc;
    unsigned keys_n;   /* of a script; its first key says which node, as argv[1] does for a command */
    bool has_node;     /* the node is given */
    unsigned node;     /* where it is sent */
    redisReply *reply; /* the answer, NULL when there is none; freed by lk__redis_asks_free */
    bool by_text, is_asking, is_sent, is_final; /* run.c's own */
} lk__redis_ask;

enum {
    LK__REDIS_TWICE = 1, /* doing it twice is doing it once: may be sent again after a connection was lost */
    LK__REDIS_KEPT = 2   /* wait for replicas */
};

/* Send all, each where it belongs, and read all answers, within one deadline. *is_kept (may be NULL) with
 * LK__REDIS_KEPT: enough replicas have it, or none were to be waited for. LK_OK when each has an answer
 * (errors are answers too); LK_FAULT when one has none. */
LK_CHECKED lk_status lk__redis_run(lk__redis *r, lk__redis_ask *asks, size_t n, int64_t until_ms,
                                   unsigned flags, bool *is_kept);
void lk__redis_asks_free(lk__redis_ask *asks, size_t n);
/* What an answer means when it is an error: LK_FULL for no room, else LK_FAULT; LK_OK when it is none. */
lk_status lk__redis_status(const redisReply *reply);
bool lk__redis_is_error(const redisReply *reply, const char *word);
lk_view lk__redis_bytes(const redisReply *reply); /* of a string, else empty */
int64_t lk__redis_until(const lk__redis *r);      /* the deadline of an operation that begins now */
/* The value of NAME in an answer to INFO, or an empty view. */
lk_view lk__redis_info(const redisReply *reply, const char *name);

/* lua/NAME.lua, put into a table by scripts.py. */
extern const lk__redis_script lk__redis_lua_create, lk__redis_lua_replace, lk__redis_lua_end,
    lk__redis_lua_swap, lk__redis_lua_touch, lk__redis_lua_see, lk__redis_lua_fence, lk__redis_lua_enter,
    lk__redis_lua_drop, lk__redis_lua_event, lk__redis_lua_trim;

/* ---- names.c: the keys and what lies under them; docs/stores/redis.md ---- */

#define LK__REDIS_KEY_MAX (LK__REDIS_PREFIX_MAX + 2 + LK_PUBLIC_ID_LEN)
#define LK__REDIS_USER_KEY_MAX (LK__REDIS_PREFIX_MAX + 2 + LK_REALM_MAX + 1 + LK_USER_ID_MAX)
#define LK__REDIS_ENTRY_LEN (LK_PUBLIC_ID_LEN + 1 + 4 * 5)
#define LK__REDIS_STAMP_LEN (LK__REDIS_MARK_LEN + 5)
#define LK__REDIS_FENCE_MAX (1 + LK_FENCE_MAX)
#define LK__REDIS_NUMBER_MAX 24
#define LK__REDIS_COMPARED 57 /* bytes of a record in front: every write changes one of them */

typedef struct lk__redis_text {
    uint8_t bytes[LK__REDIS_USER_KEY_MAX];
    size_t len;
} lk__redis_text;

static inline lk_view lk__redis_view(const lk__redis_text *t)
{
    return lk_view_make(t->bytes, t->len);
}

lk__redis_text lk__redis_session_key(const lk__redis *r, const lk_session_key *key);
lk__redis_text lk__redis_user_key(const lk__redis *r, lk_view realm, lk_view user);
/* prefix + "s:", what each session key begins with. */
lk__redis_text lk__redis_session_prefix(const lk__redis *r);
/* "" the stream; ":seq", ":cutoffs", ":until", ":format" */
lk__redis_text lk__redis_event_key(const lk__redis *r, const char *which);
lk__redis_text lk__redis_number(int64_t n);
lk__redis_text lk__redis_id(const lk_session_key *key);
/* Milliseconds from now to AT_S, as Redis takes them: at least 1. */
lk__redis_text lk__redis_px(const lk_env *env, int64_t at_s);
/* The entry of S in the index of its user: LK__REDIS_ENTRY_LEN bytes, then how it counts (lua/lib.lua). */
lk__redis_text lk__redis_entry(const lk_session *s);
/* Until when S may be kept at most, whatever touches come. */
int64_t lk__redis_latest_s(const lk_session *s);
/* A random mark and the time, for new events. LK_OK, LK_FAULT. */
LK_CHECKED lk_status lk__redis_stamp(const lk_env *env, lk__redis_text *out);
LK_CHECKED lk_status lk__redis_fence_write(lk_reason reason, int64_t until_s, lk__redis_text *out);

/* What lies under a session key. LK_OK: *value, which ought to be a record; LK_STALE: a fence, and why;
 * LK_MISS: nothing, or a fence that has had its time; LK_FAULT. */
LK_CHECKED lk_status lk__redis_value(const lk_env *env, const redisReply *reply, lk_view *value,
                                     lk_reason *why);
/* RECORD as the session KEY. LK_STALE when it cannot be read; LK_MISS past its time: Redis removes it by its
 * own clock, sessions go by that of the caller. */
LK_CHECKED lk_status lk__redis_session(const lk_env *env, lk_view record, const lk_session_key *key,
                                       lk_session *s);
/* Both. */
LK_CHECKED lk_status lk__redis_found(const lk_env *env, const redisReply *reply, const lk_session_key *key,
                                     lk_session *s);
bool lk__redis_is_fence(lk_view value);

/* ---- the operations ---- */

/* GET the values of up to LK__REDIS_GETS_MAX keys. The caller frees with lk__redis_gets_free. As
 * lk__redis_run. */
#define LK__REDIS_GETS_MAX 64
typedef struct lk__redis_gets {
    lk__redis_ask asks[LK__REDIS_GETS_MAX];
    lk_view argv[LK__REDIS_GETS_MAX][2];
    lk__redis_text keys[LK__REDIS_GETS_MAX];
    size_t n;
} lk__redis_gets;
void lk__redis_gets_add(lk__redis *r, lk__redis_gets *gets, const lk_session_key *key);
void lk__redis_gets_free(lk__redis_gets *gets);

lk_status lk__redis_create(lk_store *store, const lk_session *s, lk_limit limit, uint32_t *ended);
lk_status lk__redis_replace(lk_store *store, const lk_session_key *old, uint32_t old_generation,
                            const lk_session *s, int64_t grace_until_s, int64_t fence_s, lk_limit limit);
lk_status lk__redis_change(lk_store *store, const lk_session_key *key, uint32_t generation,
                           uint32_t if_revision, const lk_op *ops, size_t n, uint32_t *revision,
                           lk_note *note);
lk_status lk__redis_touch_many(lk_store *store, const lk_touch *touches, size_t n);
lk_status lk__redis_destroy(lk_store *store, const lk_session_key *key, lk_reason reason, int64_t fence_s);
lk_status lk__redis_list_by_user(lk_store *store, lk_view realm, lk_view user, uint64_t *cursor,
                                 uint32_t page, lk_session_each each, void *context);
lk_status lk__redis_list(lk_store *store, uint64_t *cursor, uint32_t page, lk_session_each each,
                         void *context);
lk_status lk__redis_counts(lk_store *store, lk_store_count *out);
lk_status lk__redis_sweep(lk_store *store, int64_t now_s, uint32_t max_rows, uint32_t max_ms,
                          uint32_t *removed);
lk_status lk__redis_cutoff_append(lk_store *store, lk_cutoff *c);
lk_status lk__redis_event_seq(lk_store *store, uint64_t *seq);
lk_status lk__redis_events_since(lk_store *store, uint64_t after, lk_event *out, size_t *n);
lk_status lk__redis_events_wait(lk_store *store, uint64_t after, uint32_t wait_ms);
lk_status lk__redis_time_ms(lk_store *store, int64_t *now_ms);
/* sweep.c: set has_ahead, when the store is opened. */
void lk__redis_learn_clock(lk__redis *r);
lk_status lk__redis_ready(lk_store *store, lk_note *note);
lk_status lk__redis_inspect(lk_store *store, lk_finding_each each, void *context);

/* scan.c: one step over the keys of a node, about COUNT of them; *cursor goes on, 0 at the end. */

/* The names, which match PATTERN (NULL: any), are (*out)->element[1]; the caller frees *out. */
LK_CHECKED lk_status lk__redis_scan(lk__redis *r, unsigned node, uint64_t *cursor, unsigned count,
                                    const char *pattern, redisReply **out, int64_t until_ms);
#define LK__REDIS_SCAN_MAX 2048
typedef struct lk__redis_scanned {
    lk_session_key keys[LK__REDIS_SCAN_MAX];
    size_t n;
} lk__redis_scanned;
/* Those of sessions and fences. */
LK_CHECKED lk_status lk__redis_scan_sessions(lk__redis *r, unsigned node, uint64_t *cursor, unsigned count,
                                             lk__redis_scanned *out, int64_t until_ms);
/* Is NODE a primary that keeps sessions? */
bool lk__redis_node_is_used(lk__redis *r, unsigned node);
/* Which node has the events? LK__REDIS_NODES_MAX: nobody knows. */
unsigned lk__redis_events_node(lk__redis *r, uint64_t *era);

#endif
