/* SPDX-License-Identifier: Apache-2.0
 *
 * store.h - who remembers: one contract, every store. Blocking, batch-first, knows nothing of HTTP.
 *
 * tests/contract runs the same suite over every member of the registry in src/store/store.c.
 */
#ifndef LATCHKEY_STORE_H
#define LATCHKEY_STORE_H

#include <latchkey/cutoff.h>
#include <latchkey/session.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct lk_store lk_store;
struct lk_table; /* src/shm/table.h */

typedef enum lk_store_place {
    LK_STORE_INLINE, /* a look-up takes microseconds and no I/O wait: may be called on an event loop */
    LK_STORE_REMOTE  /* must be called from a thread that may block */
} lk_store_place;

/* Open the store URL ("memory:", "lmdb:/var/lib/latchkey/sessions", options after '?'). `memory:` lives in
 * TABLE, which must outlive the store; other stores ignore it. A store handle belongs to the process that
 * opened it: open after fork. Safe from several threads of that process. Gives LK_OK; LK_REFUSED for a URL
 * that is wrong or a password that is (the note says what is expected and never shows the password); LK_MISS
 * when there is no schema yet and this store does not make one by itself (`latchkey store init`); LK_STALE
 * when the data is of a newer format, or of an older one that must be upgraded (`latchkey store upgrade`);
 * LK_FAULT when it cannot be reached or opened. */
LK_CHECKED lk_status lk_store_open(const lk_env *env, const char *url, struct lk_table *table, lk_store **out,
                                   lk_note *note);
/* Only check that URL is well formed, touching nothing: for settings at load. */
LK_CHECKED lk_status lk_store_url_check(const char *url, lk_note *note);
/* URL as it may be shown: a password in it is replaced by "***". Cut at CAP. */
void lk_store_url_show(const char *url, char *out, size_t cap);
/* Make what the store at URL needs (tables, indexes); with UPGRADE, bring an older one to the present format.
 * Doing it twice does no harm. LK_OK (also where nothing is needed); LK_REFUSED, LK_STALE (newer than this
 * program), LK_FAULT. */
LK_CHECKED lk_status lk_store_setup(const lk_env *env, const char *url, bool upgrade, lk_note *note);
void lk_store_close(lk_store *store);
const char *lk_store_name(const lk_store *store); /* "memory", "lmdb": for metrics and logs */
lk_store_place lk_store_where(const lk_store *store);
/* The store that STORE writes to: another one when reads are answered by a copy, which may be behind what was
 * written (lk_store_open_replicated); else STORE itself. It belongs to STORE. */
lk_store *lk_store_writes_to(lk_store *store);
/* Does what is acknowledged survive the end of every process? (memory: no) */
bool lk_store_is_durable(const lk_store *store);

/* One look-up of a batch. The caller owns buf; the record is copied there and `session` points into it.
 * With head_only the fields are left out and LK_HEAD_MAX bytes of buf are enough.
 * status: LK_OK; LK_MISS; LK_STALE (fenced: why says how it ended; or a record that cannot be read); LK_FULL
 * (buf too small); LK_FAULT. Liveness in time is the guard's to judge: a record past its end may still be
 * answered with LK_OK. */
typedef struct lk_load {
    lk_session_key key;
    bool head_only;
    uint8_t *buf;
    size_t cap;
    lk_status status;
    lk_reason why;
    lk_session session;
} lk_load;

/* Fill every element. Answers LK_FAULT only when no element could be looked at (each is LK_FAULT then). */
LK_CHECKED lk_status lk_store_load_many(lk_store *store, lk_load *loads, size_t n);

/* How many live sessions a user may have, decided inside the same transaction that creates. Those that are
 * beyond are ended with reason `replaced`: first of the new one's device class until class_max is kept (1:
 * they exclude each other), then of all until max is kept, in the order of `victim`. With LK_VICTIM_REFUSE
 * nobody is ended and the new one is not made. Zeroed: no limit. Sessions of nobody (an empty user) and those
 * behind API keys count nowhere, are ended by none and meet none; ending ones do not count. What is behind a
 * token counts as one. */
typedef struct lk_limit {
    uint32_t max;       /* of all sessions of the user; 0: any number */
    int64_t fence_s;    /* until when the fences of ended ones are kept */
    uint32_t class_max; /* of those with the same device_class; 0: any number */
    lk_victim victim;
    bool *refused; /* may be NULL: true with LK_FULL when this limit refused, false for want of room */
} lk_limit;

/* Remember a new session. Gives LK_OK; LK_REFUSED when that key exists or is fenced; LK_FULL when there is no
 * room, or the limit refuses; LK_FAULT. *ended (may be NULL) counts what the limit ended. */
LK_CHECKED lk_status lk_store_create(lk_store *store, const lk_session *s, lk_limit limit, uint32_t *ended);

/* In one step: create S and turn OLD (which must be there in OLD_GENERATION, not ending and before its
 * absolute end; idle is the guard's to judge) into an ending one, readable but not writable until
 * grace_until_s. With grace_until_s == 0, OLD is destroyed with a fence until fence_s. LK_OK; LK_MISS or
 * LK_STALE when OLD is gone or in another generation (nothing is created); LK_REFUSED; LK_FULL; LK_FAULT. */
LK_CHECKED lk_status lk_store_replace(lk_store *store, const lk_session_key *old, uint32_t old_generation,
                                      const lk_session *s, int64_t grace_until_s, int64_t fence_s,
                                      lk_limit limit);

/* Apply OPS if the session is there in GENERATION and not ending. if_revision > 0: only if its revision is
 * that (If-Match); else LK_REFUSED. *revision receives the new one. Gives LK_OK; LK_MISS; LK_STALE (ended,
 * fenced or another generation); LK_REFUSED; LK_FULL; LK_FAULT. All or nothing. */
LK_CHECKED lk_status lk_store_change(lk_store *store, const lk_session_key *key, uint32_t generation,
                                     uint32_t if_revision, const lk_op *ops, size_t n, uint32_t *revision,
                                     lk_note *note);

typedef struct lk_touch {
    lk_session_key key;
    int64_t seen_s;
} lk_touch;
/* Move last-seen forward (never back) in one step for many. Missing and ending ones are passed over. LK_OK;
 * LK_FULL when there is no room even for that; LK_FAULT. */
LK_CHECKED lk_status lk_store_touch_many(lk_store *store, const lk_touch *touches, size_t n);

/* End a session and leave a fence until fence_s, so that no write that was on its way can bring it back. Also
 * ends the session it had replaced, if that is still readable, and the one that had replaced, up to 16.
 * Ending what is not there leaves the fence all the same and gives LK_OK; ending twice keeps the first reason
 * and the later fence. LK_FULL; LK_FAULT. */
LK_CHECKED lk_status lk_store_destroy(lk_store *store, const lk_session_key *key, lk_reason reason,
                                      int64_t fence_s);

/* The live sessions of one user, a page at a time, heads only. *cursor starts at 0 and is 0 again after the
 * last page; a page may hold fewer than it could. Cost: O(page). Each found session is handed to EACH (views
 * good for the call), which may use the store. EACH answers false to stop. Ending ones are left out. One that
 * is idle by its record but may have been used since is handed out: who needs to know looks at what is not
 * flushed yet. LK_OK, LK_FAULT. */
typedef bool (*lk_session_each)(void *context, const lk_session *s);
LK_CHECKED lk_status lk_store_list_by_user(lk_store *store, lk_view realm, lk_view user, uint64_t *cursor,
                                           uint32_t page, lk_session_each each, void *context);

/* All live sessions, the same way, for operators. */
LK_CHECKED lk_status lk_store_list(lk_store *store, uint64_t *cursor, uint32_t page, lk_session_each each,
                                   void *context);

typedef struct lk_store_count {
    uint64_t sessions; /* records held, ended ones that were not swept yet included */
    uint64_t bytes;    /* bytes in use, as the store counts them */
    uint64_t evicted;  /* live sessions pushed out for want of room, since the store was made */
} lk_store_count;
LK_CHECKED lk_status lk_store_counts(lk_store *store, lk_store_count *out);

/* Remove what is over at NOW_S: at most max_rows rows and about max_ms. A session goes a minute and an eighth
 * of its idle time after its end, since last-seen times reach the store late. *removed counts. LK_OK when
 * nothing is left to do, LK_FULL when a bound was met and more is waiting, LK_FAULT. */
LK_CHECKED lk_status lk_store_sweep(lk_store *store, int64_t now_s, uint32_t max_rows, uint32_t max_ms,
                                    uint32_t *removed);

/* Append a cut-off to the store's ordered stream, durably, before answering LK_OK. Sets c->seq. LK_FULL,
 * LK_FAULT. */
LK_CHECKED lk_status lk_store_cutoff_append(lk_store *store, lk_cutoff *c);

/* What travels in the stream. Numbers begin at 1 and have the order of the commits: who sees number N sees
 * all below it that are still kept. */
typedef enum lk_event_kind {
    LK_EVENT_CUTOFF,
    LK_EVENT_SESSION /* `key` was ended or replaced: a copy of it is good for nothing any more. Only remote
                        stores write these, in the same step as what they tell of. */
} lk_event_kind;

typedef struct lk_event {
    uint64_t seq;
    lk_event_kind kind;
    lk_cutoff cutoff;   /* LK_EVENT_CUTOFF */
    lk_session_key key; /* LK_EVENT_SESSION */
} lk_event;

/* A number that is another one once any session that was there has ended or was replaced: while it stands
 * still, a session that was loaded is what it was, but for its fields and last use. LK_OK; LK_MISS when this
 * store cannot tell, ever (it would have to ask somebody) or in this moment. One read of memory. */
LK_CHECKED lk_status lk_store_mark(lk_store *store, uint64_t *mark);

/* The number of the newest event, 0 when there never was one. For inline stores one read of memory, so that
 * it can be asked on every request; a remote one is asked. LK_OK; LK_FAULT. */
LK_CHECKED lk_status lk_store_event_seq(lk_store *store, uint64_t *seq);

/* Up to *n events with seq > AFTER, oldest first; *n receives how many. AFTER = 0 is the snapshot: every
 * cut-off that is not past its until_s (events of sessions may be left out: who starts holds no copies).
 * LK_OK; LK_STALE when the stream does not go on from AFTER: it was trimmed past it, or it is another stream
 * (a failover that lost its tail, a restored backup) - drop all copies and begin at 0; LK_FAULT. */
LK_CHECKED lk_status lk_store_events_since(lk_store *store, uint64_t after, lk_event *out, size_t *n);

/* Wait until there may be an event past AFTER, at most WAIT_MS (whoever polls may wait less). Has a
 * connection of its own, so that it holds up nothing else; one thread at a time. LK_OK; LK_FAULT when the
 * stream cannot be watched now (after at most WAIT_MS as well). */
LK_CHECKED lk_status lk_store_events_wait(lk_store *store, uint64_t after, uint32_t wait_ms);

/* The clock of the store itself, ms since 1970: what the nodes of a cluster agree on. LK_OK; LK_FAULT. For
 * inline stores the clock of ENV. */
LK_CHECKED lk_status lk_store_time_ms(lk_store *store, int64_t *now_ms);

/* Is the copy that this handle reads from whole, so that a node may join (replication)? LK_OK; LK_MISS with
 * the note saying what is missing; LK_FAULT. Stores that are their own copy answer LK_OK when they answer. */
LK_CHECKED lk_status lk_store_ready(lk_store *store, lk_note *note);

/* Say what an operator would want to know: version, settings that bite, sizes. Each finding is handed to
 * EACH; texts are good for the call. LK_OK; LK_FAULT when the store could not be asked. */
typedef enum lk_finding_level { LK_FINDING_FACT, LK_FINDING_WARNING, LK_FINDING_PROBLEM } lk_finding_level;
typedef struct lk_finding {
    lk_finding_level level;
    const char *name;   /* a stable word: "version", "eviction_policy", "fsync", "isolation", ... */
    const char *value;  /* as the server says it */
    const char *advice; /* a sentence with the cure; "" for a fact */
} lk_finding;
typedef void (*lk_finding_each)(void *context, const lk_finding *finding);
LK_CHECKED lk_status lk_store_inspect(lk_store *store, lk_finding_each each, void *context);

/* A store that reads from REPLICA_URL, a full copy near this node that follows the store of URL by the means
 * of that store itself (Redis replica, PostgreSQL streaming replica), and writes to URL. What is not in the
 * copy is asked from URL before it is said not to be there; so is everything while the copy does not answer.
 * Errors as lk_store_open. */
LK_CHECKED lk_status lk_store_open_replicated(const lk_env *env, const char *url, const char *replica_url,
                                              struct lk_table *table, lk_store **out, lk_note *note);

/* The two stores of a site that moves from one to the other. Texts are borrowed for the call. */
typedef struct lk_store_move {
    const char *lead, *lead_replica; /* asked first; the replica as in lk_store_open_replicated, or NULL */
    const char *other;               /* all that is written goes there too */
    bool is_apart;   /* `lead` is this node's own and `other` is shared by all nodes: what ended on another
                        node is known to `other` alone, so that is asked as well */
    bool looks_back; /* `other` is the one that is left: what `lead` does not have is looked up there and
                        brought over. Otherwise `other` is only written to. */
} lk_store_move;

/* A store over both: logins, changes, last-seen times, logouts and cut-offs are in both before they are
 * acknowledged, and what has ended in either is ended. An LK_FAULT after part of a write is settled by trying
 * again. Errors as lk_store_open. docs/decisions/0030-live-move.md */
LK_CHECKED lk_status lk_store_open_moving(const lk_env *env, const lk_store_move *move,
                                          struct lk_table *table, lk_store **out, lk_note *note);

/* The store of a move whose stream is not the one that STORE's events come from: who opens STORE takes its
 * cut-offs over once. It belongs to STORE. NULL when STORE is not one of lk_store_open_moving. */
lk_store *lk_store_moves_beside(lk_store *store);

#ifdef __cplusplus
}
#endif
#endif
