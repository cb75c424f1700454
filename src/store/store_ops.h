/* SPDX-License-Identifier: Apache-2.0
 *
 * store_ops.h - what a store has to be: one table of functions per member. Each does what store.h says of the
 * public function of its name; store.c checks the arguments that every store would have to check.
 */
#ifndef LATCHKEY_STORE_OPS_H
#define LATCHKEY_STORE_OPS_H

#include <latchkey/store.h>

#define LK_STORE_PATH_MAX 512
#define LK_STORE_OPTIONS_MAX 8

typedef struct lk_store_option {
    lk_view name;
    lk_view value;
} lk_store_option;

/* scheme:rest?name=value&name=value, cut into its parts. Views point into the text. The scheme of a remote
 * store is followed by "//[user[:password]@]host[:port]/...": the member reads that part itself. */
typedef struct lk_store_url {
    const char *whole; /* the text */
    lk_view scheme;
    lk_view rest;
    lk_store_option options[LK_STORE_OPTIONS_MAX];
    size_t options_n;
} lk_store_url;

typedef struct lk_store_ops {
    const char *name;    /* the scheme, and what lk_store_name gives */
    const char *form;    /* how its URL looks, for notes */
    const char *options; /* the names of its options, space-separated */
    lk_store_place place;
    bool is_durable;

    /* Is URL, whose scheme and option names were found good, a good one? Touches nothing outside. LK_OK,
     * LK_REFUSED. */
    lk_status (*check)(const lk_store_url *url, lk_note *note);
    /* Open URL, which `check` found good. */
    lk_status (*open)(const lk_env *env, const lk_store_url *url, struct lk_table *table, lk_store **out,
                      lk_note *note);
    void (*close)(lk_store *store);

    /* Each of LOADS comes as LK_FAULT without a reason. */
    lk_status (*load_many)(lk_store *store, lk_load *loads, size_t n);
    lk_status (*create)(lk_store *store, const lk_session *s, lk_limit limit, uint32_t *ended);
    lk_status (*replace)(lk_store *store, const lk_session_key *old, uint32_t old_generation,
                         const lk_session *s, int64_t grace_until_s, int64_t fence_s, lk_limit limit);
    lk_status (*change)(lk_store *store, const lk_session_key *key, uint32_t generation, uint32_t if_revision,
                        const lk_op *ops, size_t n, uint32_t *revision, lk_note *note);
    lk_status (*touch_many)(lk_store *store, const lk_touch *touches, size_t n);
    lk_status (*destroy)(lk_store *store, const lk_session_key *key, lk_reason reason, int64_t fence_s);
    lk_status (*list_by_user)(lk_store *store, lk_view realm, lk_view user, uint64_t *cursor, uint32_t page,
                              lk_session_each each, void *context);
    lk_status (*list)(lk_store *store, uint64_t *cursor, uint32_t page, lk_session_each each, void *context);
    lk_status (*counts)(lk_store *store, lk_store_count *out);
    lk_status (*sweep)(lk_store *store, int64_t now_s, uint32_t max_rows, uint32_t max_ms, uint32_t *removed);
    lk_status (*cutoff_append)(lk_store *store, lk_cutoff *c);
    lk_status (*event_seq)(lk_store *store, uint64_t *seq);
    lk_status (*events_since)(lk_store *store, uint64_t after, lk_event *out, size_t *n);

    /* NULL where the store is inline and has nothing to add: store.c then answers as store.h says. */
    lk_status (*mark)(lk_store *store, uint64_t *mark);
    lk_status (*setup)(const lk_env *env, const lk_store_url *url, bool upgrade, lk_note *note);
    lk_store *(*writes_to)(lk_store *store);
    lk_status (*events_wait)(lk_store *store, uint64_t after, uint32_t wait_ms);
    lk_status (*time_ms)(lk_store *store, int64_t *now_ms);
    lk_status (*ready)(lk_store *store, lk_note *note);
    lk_status (*inspect)(lk_store *store, lk_finding_each each, void *context);
} lk_store_ops;

/* What every store handle begins with. */
struct lk_store {
    const lk_store_ops *ops;
    const lk_env *env;
};

extern const lk_store_ops lk__store_memory;
extern const lk_store_ops lk__store_lmdb;
extern const lk_store_ops lk__store_sqlite;
extern const lk_store_ops lk__store_postgres;
extern const lk_store_ops lk__store_mariadb;
extern const lk_store_ops lk__store_redis;
extern const lk_store_ops lk__store_redis_sentinel;
extern const lk_store_ops lk__store_redis_cluster;

/* The value of option NAME, or an empty view. */
lk_view lk__store_option(const lk_store_url *url, const char *name);

#endif
