/* SPDX-License-Identifier: Apache-2.0
 *
 * guard_internal.h - what the files of the guard share.
 */
#ifndef LATCHKEY_GUARD_INTERNAL_H
#define LATCHKEY_GUARD_INTERNAL_H

#include "shm/table.h"
#include <latchkey/account.h>
#include <latchkey/guard.h>
#include <pthread.h>
#include <stdatomic.h>

/* Last-seen times on their way to the store. A request that finds it full leaves its time in the table and
 * does not wait: the next tenth of the idle time queues it again. */
#define LK_TOUCH_QUEUE_MAX 4096
/* Ends of copied sessions on their way to the store. */
#define LK_COPIES_MAX 64

struct lk__recent; /* recent.c */

struct lk_guard {
    lk_guard_parts parts;
    lk_accounts *accounts;  /* NULL: not open (yet) */
    lk_cluster_clock clock; /* behind parts.env when the caller brought a plain clock to a remote store */
    bool store_is_table;    /* the sessions live in the table itself: last-seen needs no second entry */
    bool store_is_remote;   /* look-ups must not be made on an event loop; near copies are kept */
    lk_kind hands_out;      /* what a browser's login is given under latchkey_share */
    unsigned takes_over;    /* kinds, 1 << lk_kind, that are turned into that one when seen (latchkey_move) */
    bool knows_by_client;   /* sessions may be in the client: ending one takes a cut-off */
    pthread_mutex_t touch_lock;
    lk_touch touches[LK_TOUCH_QUEUE_MAX];
    size_t touches_n;
    lk_cutoff copies[LK_COPIES_MAX]; /* under touch_lock as well */
    size_t copies_n;

    struct lk__trusts *trusts;       /* NULL: nobody beside us */
    uint64_t token_places;           /* of verified tokens in the table */
    uint8_t trust_name[32];          /* a keyed hash of all that latchkey_trust says */
    struct lk__recent *recent;       /* decisions of this second */
    lk_dpop_keys *dpop_keys;         /* keys of proofs, kept open in this process */
    uint64_t store_name;             /* whose stream is followed; see lk__followed */
    _Atomic uint64_t followed_apart; /* how far, while the table belongs to another stream */
    pthread_mutex_t follow_lock;     /* one thread of this process at a time takes over events */
    pthread_t follower;
    bool has_follower;
    atomic_bool stopping;
    uint64_t follower_id;                     /* this guard among those on the table */
    int64_t clock_checked_ms;                 /* monotonic; follower only */
    _Atomic uint64_t proofs_max, proofs_held; /* replay.c: marks there may be, and are */
    _Atomic int64_t proofs_counted_ms;
    _Atomic int64_t keys_asked_ms; /* monotonic: when a request last asked for our key files */
};

/* The numbered words of the shared table. */
enum {
    LK_WORD_LEVELS = 0,       /* one per level: cut-offs ever put there; 0 lets the check skip the level */
    LK_WORD_FOLLOWED = 16,    /* the newest event of the store that is in the table */
    LK_WORD_INCOMPLETE = 17,  /* 1 while a cut-off did not fit: nobody is let in on a view with holes */
    LK_WORD_SWEPT_AT_MS = 18, /* when a process last took the sweep upon itself */
    LK_WORD_NEWEST_MS = 19,   /* time of the newest cut-off: the next one is later, whatever the clock says */
    LK_WORD_BEGUN_MS = 20,    /* when a guard first opened this table */
    LK_WORD_CLOCK_OFFSET_MS = 21, /* the store's clock minus this machine's, two's complement */
    LK_WORD_VIEW_MS = 22,         /* remote store: when its stream was last known in full (monotonic) */
    LK_WORD_FOLLOWER = 23,        /* which guard follows the stream for this node */
    LK_WORD_FOLLOWER_MS = 24,     /* its last sign of life (monotonic) */
    LK_WORD_NEAR_ERA = 25,        /* near copies of another era are not there */
    LK_WORD_STORE = 26,           /* a name for the store whose stream was followed */
    LK_WORD_CUTOFFS = 27,         /* raised by everything that may change what the cut-offs say */
    LK_WORD_AWAY = 28,            /* remote store: when it last did not answer, and how long (view.c) */
    LK_WORD_COUNTERS = 64,
    LK_WORD_EPOCHS = 128 /* LK_EPOCHS of them, see near.c */
};
#define LK_EPOCHS 128u

/* What a proven credential is compared with at every level. Lists are space-separated. */
typedef struct lk_subject {
    lk_view realm, roles, client, user, device, family;
    const lk_session_key *session; /* NULL: names none */
    int64_t issued_ms;
} lk_subject;
/* Views into S and CLAIMS, which have to stay. */
lk_subject lk__subject_of_session(const lk_session *s);
lk_subject lk__subject_of_claims(const lk_claims *claims);

/* LK_OK when no cut-off reaches SUBJECT; LK_STALE with *why; LK_FAULT when the view has holes. */
LK_CHECKED lk_status lk__cutoffs_check(lk_guard *g, const lk_subject *subject, lk_reason *why);

/* LK_OK when the key KID was not burned; LK_STALE with *why: whatever it proves is refused, whenever it says
 * it was issued; LK_FAULT when the view has holes. */
LK_CHECKED lk_status lk__cutoffs_check_key(lk_guard *g, lk_view kid, lk_reason *why);

/* The same, and SEEN is told of each level that is asked: of its entry, or NULL when there is none. */
typedef void (*lk__cutoff_seen)(void *context, lk_level level, const char *key, const lk_cutoff *entry);
LK_CHECKED lk_status lk__cutoffs_watch(lk_guard *g, const lk_subject *subject, lk__cutoff_seen seen,
                                       void *context, lk_reason *why);

/* The issue time of a credential made now for SUBJECT: now, or just after the newest cut-off that would reach
 * it. One that is issued in the very millisecond of a cut-off, or by a clock that was set back since, but
 * after it, must not fall under it. */
int64_t lk__issue_time_ms(lk_guard *g, const lk_subject *subject);

/* The time of a cut-off made now: later than any before it, and so than any issue time that was moved past
 * one of them; it reaches everything issued until now even when the clock was set back. (A hybrid logical
 * clock.) */
int64_t lk__cutoff_time_ms(lk_guard *g);
/* No cut-off made from now on is at or before ISSUED_MS. */
void lk__cutoff_time_after(lk_guard *g, int64_t issued_ms);

/* Put a cut-off into the table. LK_OK, LK_FULL (and the view is marked as having holes). */
LK_CHECKED lk_status lk__cutoff_apply(lk_guard *g, const lk_cutoff *c);

/* ---- keys.c ---- */
/* May a request have the key files looked at, for a key that nobody knows? A few times a second: anybody can
 * name one. */
bool lk__keys_may_ask(lk_guard *g);
/* Is the key that signs by ALG good? When it was burned elsewhere and the files here say nothing of it yet,
 * they are read again. LK_OK; LK_FAULT: nothing is to be signed. */
LK_CHECKED lk_status lk__keys_sign(lk_guard *g, lk_alg alg);

/* Until when a cut-off must be kept that is to reach everything issued up to NOW_S. */
int64_t lk__cutoff_until_s(const lk_settings *s, lk_level level, int64_t now_s);

/* ---- near.c: copies of sessions that a remote store keeps, in the table ---- */

/* What a near entry holds. */
typedef enum lk__near_kind { LK_NEAR_NOTHING = '-', LK_NEAR_COPY = 'c', LK_NEAR_ENDED = 'e' } lk__near_kind;

typedef struct lk__near {
    lk__near_kind kind;
    lk_reason why;      /* ENDED: ended on this node, for this reason */
    int64_t known_ms;   /* monotonic: when the store said so */
    lk_session session; /* COPY: reads `room`; seen_s is that of the store */
    int64_t seen_s;     /* the latest known use, or 0 */
    uint8_t room[24 + LK_HEAD_MAX];
} lk__near;
#define LK_NEAR_FIXED 24

/* The copy of KEY at NOW_S. LK_OK with kind COPY or ENDED; LK_MISS. */
LK_CHECKED lk_status lk__near_get(lk_guard *g, const lk_session_key *key, int64_t now_s, lk__near *out);

/* AT_S, a time of the cluster, by the clock of this machine: what the table judges ends by. */
int64_t lk__table_s(const lk_guard *g, int64_t at_s);

/* Before a session is read from the store: what must not have changed when its copy is put. */
typedef struct lk__near_ticket {
    uint64_t epoch, era;
    int64_t asked_ms; /* monotonic */
} lk__near_ticket;
lk__near_ticket lk__near_ask(lk_guard *g, const lk_session_key *key);
/* Keep HEAD, read after TICKET was drawn, unless word of its end came meanwhile. */
void lk__near_put(lk_guard *g, const lk_session *s, lk_view head, const lk__near_ticket *ticket);
/* KEY was ended or replaced somewhere: its copy goes, and none that is on its way is kept. */
void lk__near_drop(lk_guard *g, const lk_session_key *key);
/* KEY was ended by this node, which knows so at once, however far behind its replica is. */
void lk__near_ended(lk_guard *g, const lk_session_key *key, lk_reason why);
/* Another number once KEY was ended or replaced, as far as this node was told. */
uint64_t lk__near_mark(lk_guard *g, const lk_session_key *key);
/* Nothing is known any more. */
void lk__near_drop_all(lk_guard *g);

/* How far this node has come in its store's stream: a word of the table, which all its processes share. While
 * a configuration gives way to the next, processes of both are there, and the stream may be another one: the
 * word belongs to the newer one, and who is older keeps to himself. */
_Atomic uint64_t *lk__followed(lk_guard *g);
/* Name the stream of this guard, and take the table for it. True: it was another one's before. */
bool lk__followed_claim(lk_guard *g);

/* ---- view.c: how this node follows the stream of a remote store ---- */
int64_t lk__mono_ms(const lk_guard *g);
/* When the view was last of now (monotonic). */
int64_t lk__view_ms(const lk_guard *g);
/* For how much of the last FOR_MS this node had no word from its store, though it asked. */
int64_t lk__view_away_ms(const lk_guard *g, int64_t for_ms);
LK_CHECKED lk_status lk__view_open(lk_guard *g);
void lk__view_stop(lk_guard *g);
void lk__view_close(lk_guard *g); /* after the last lk__view_follow */
LK_CHECKED lk_status lk__view_follow(lk_guard *g);
/* The copy that is read from is behind or does not answer: take over what the primary has, ahead of it. This
 * node's place in the stream stays where the copy is, which will tell all of it once more - a near copy read
 * from it meanwhile is dropped then. LK_OK, LK_FAULT. */
LK_CHECKED lk_status lk__view_of_primary(lk_guard *g);
/* This node has just written events: they hold here before it says so. What cannot be read now comes by the
 * follower, as word of other nodes does. Nothing to do for inline stores. */
void lk__view_hear(lk_guard *g);
/* BASE of a cluster clock, or ENV itself. */
const lk_env *lk__clock_base(const lk_env *env);

/* Note the use of a session whose record says RECORD_SEEN_S and whose latest known use is SEEN_S. */
void lk__seen_note(lk_guard *g, const lk_session *s, int64_t seen_s, int64_t now_s);
/* The latest known use of S: its record, or the table if that is later. */
int64_t lk__seen_s(lk_guard *g, const lk_session *s);

/* ---- verified.c ---- */
LK_CHECKED lk_status lk__verified_open(lk_guard *g); /* LK_OK, LK_FAULT */
/* How many tokens can be remembered. */
uint64_t lk__verified_places(const lk_guard *g);
/* LK_OK with claims viewing into SCRATCH, or LK_MISS: also when the key is gone. */
LK_CHECKED lk_status lk__verified_get(lk_guard *g, lk_view text, int64_t now_s, lk_buf *scratch,
                                      lk_claims *out);
/* SET is the id of the key set it was proven by, 0 for our own keys. */
void lk__verified_put(lk_guard *g, lk_view text, uint64_t set, int64_t now_s, const lk_claims *claims);

/* ---- recent.c: decisions of this second ---- */
/* All that a decision stands on. Drawn before it is made: what changes meanwhile makes it no longer hold. */
typedef struct lk__moment {
    int64_t now_s;
    uint64_t cutoffs;
    const void *keys;  /* lk_keyring_edition */
    uint64_t sessions; /* of a session alone */
    uint64_t trusts;   /* the key sets of other issuers */
} lk__moment;
lk__moment lk__moment_now(lk_guard *g, int64_t now_s);
/* The same for the session KEY. False: it cannot be told whether it changed. */
LK_CHECKED bool lk__moment_of_session(lk_guard *g, const lk_session_key *key, lk__moment *m);
LK_CHECKED lk_status lk__recent_open(lk_guard *g); /* LK_OK, LK_FAULT */
void lk__recent_close(lk_guard *g);
/* Who TEXT was in this very moment, if he was found out already: OUT (whose carrier and pieces are of this
 * request) is filled as it was then. */
LK_CHECKED bool lk__recent_find(lk_guard *g, lk_view text, const lk__moment *now, lk_identity *out);
void lk__recent_keep(lk_guard *g, lk_view text, const lk__moment *moment, const lk_identity *id);

/* presented.c: the one credential that was PRESENTED in any carrier; ROOM holds LK_SEALED_MAX bytes. LK_OK;
 * LK_MISS; LK_REFUSED. */
LK_CHECKED lk_status lk__presented_find(const lk_guard *g, const lk_presented *presented, lk_buf *room,
                                        lk_view *text);

/* check_token.c: may RULE take CLAIMS, by whom they are for? FOREIGN: of another issuer. */
bool lk__audience_is_right(const lk_guard *g, const lk_rule *rule, const lk_claims *claims, bool foreign);
/* check_token.c: the claims of the JWT in TEXT, if it is good now. As lk_jwt_check. */
LK_CHECKED lk_status lk__token_prove(lk_guard *g, lk_view text, lk_buf *scratch, lk_claims *out);

/* ---- api_key.c ---- */
/* Name and proof of the session that the key PUBLIC has now. As lk_api_key_session. */
LK_CHECKED lk_status lk__api_key_name(const lk_guard *g, lk_view public, int64_t now_s, lk_session_key *key,
                                      uint8_t proof[LK_SESSION_PROOF_LEN]);
/* Is a key with BOUNDS good where PRESENTED comes from, under RULE? LK_REASON_NONE, or why not. */
lk_reason lk__api_key_bounds(const lk_guard *g, const lk_rule *rule, const lk_presented *presented,
                             lk_view bounds);
/* Append what BOUNDS say, lists of words: the ranges it is good from, the places it is good for. */
void lk__api_key_bounds_read(lk_view bounds, lk_buf *addresses, lk_buf *audience);
/* Make the session of Q->api_key from its row, as an answer to Q. Blocking. */
void lk__api_key_ask(lk_guard *g, lk_question *q);

/* ---- sealed.c: sessions in the client ---- */
/* Open TEXT into BUF (LK_SESSION_ROOM). As lk_sealed_open. */
LK_CHECKED lk_status lk__sealed_open(lk_guard *g, lk_view text, uint8_t *buf, char *id, lk_session *out,
                                     lk_reason *why);
/* Seal S into OUT. As lk_sealed_make. */
LK_CHECKED lk_status lk__sealed_make(lk_guard *g, const char id[LK_SESSION_ID_LEN + 1], const lk_session *s,
                                     lk_issued *out, lk_note *note);
/* Is a box whose last use is SEEN_S to be handed out anew? */
bool lk__sealed_is_due(const lk_session *s, int64_t seen_s, int64_t now_s);
/* copies.c: was S copied? Then it ends, here and now, and in the store by lk__copies_tell. */
bool lk__sealed_is_behind(lk_guard *g, const lk_session *s);
/* The same, and nothing comes of it. */
bool lk__sealed_looks_behind(lk_guard *g, const lk_session *s);
/* verdict.c: what RULE asks for beyond a credential, of ID that is let in by one; LK_REASON_NONE. */
lk_reason lk__rule_judge(const lk_rule *rule, const lk_identity *id, int64_t now_s);
LK_CHECKED lk_status lk__copies_tell(lk_guard *g); /* blocking */
/* As lk_guard_session and lk_guard_change, for a visitor who presented a sealed session. ID may be NULL. */
LK_CHECKED lk_status lk__sealed_session(lk_guard *g, const lk_presented *presented, uint8_t *buf, char *id,
                                        lk_session *out, lk_reason *why);
LK_CHECKED lk_status lk__sealed_change(lk_guard *g, const lk_presented *presented, uint32_t if_revision,
                                       const lk_op *ops, size_t n, uint32_t *revision, lk_issued *again,
                                       lk_note *note);

/* ---- replay.c: what was used must not come again ---- */
typedef struct lk__use {
    const char *kind; /* "dpop", "signature": one is never taken for the other */
    lk_view key;      /* of the sender, in whose name ID is unique */
    lk_view id;
    lk_view by;              /* who has a share of the memory for it */
    int64_t made_s, until_s; /* when it was made, and the last second it is good */
} lk__use;
/* Use it up on this node. LK_OK; LK_REFUSED: it was used before; LK_STALE: it is older than this node's
 * memory; LK_FULL. */
LK_CHECKED lk_status lk__use_up(lk_guard *g, const lk__use *use);

/* ---- bound.c ---- */
/* Does the request prove that its sender has the key that TOKEN is bound to, CLAIMS being what it says?
 * LK_OK; LK_REFUSED with out->reason; LK_FULL; LK_FAULT. */
LK_CHECKED lk_status lk__bound_check(lk_guard *g, const lk_presented *presented, lk_view token,
                                     const lk_claims *claims, int64_t now_s, lk_identity *out);

/* The same where no token comes along: a login that is bound to the key JKT (empty: to none), and what
 * PRESENTED (may be NULL) proves of it. LK_REFUSED with *why when one is there without the other. */
LK_CHECKED lk_status lk__bound_login(lk_guard *g, const lk_presented *presented, lk_view jkt, lk_view by,
                                     lk_proof *proof, lk_reason *why);

/* ---- issue.c ---- */

/* ---- limit.c ---- */

/* What latchkey_limit says of S; *refused (may be NULL) tells that it refused it. */
lk_limit lk__limit_of(const lk_guard *g, const lk_session *s, bool *refused);
/* Sessions of a user that tokens stand for: up to so many are looked at. */
#define LK__TOKENS_MAX 64
typedef struct lk__tokens {
    lk_session_key keys[LK__TOKENS_MAX];
    size_t n;
} lk__tokens;
/* Before S is made: those of its user. Empty when LIMIT ends nobody. LK_OK, LK_FAULT. */
LK_CHECKED lk_status lk__limit_look(lk_guard *g, const lk_session *s, const lk_limit *limit,
                                    lk__tokens *tokens);
/* After it was made: cut off the tokens of those that were ended by it. LK_OK, LK_FULL, LK_FAULT. */
LK_CHECKED lk_status lk__limit_carry_out(lk_guard *g, const lk_session *s, const lk__tokens *tokens);

/* ---- device_limit.c ---- */

/* Is there a place for a session of D beside those of its user, OWN left out (the one it has; NULL: none)?
 * LK_OK: there is; *own_is_in_the_way: once OWN has ended. LK_FULL; LK_FAULT. The store decides again when it
 * is made. */
LK_CHECKED lk_status lk__device_place(lk_guard *g, const lk_device *d, const lk_session_key *own,
                                      bool *own_is_in_the_way);

void lk__issued_fill(lk_kind kind, const lk_session *s, lk_issued *out);
/* CLAIMS once more, with a new life and a new name. */
LK_CHECKED lk_status lk__mint_again(lk_guard *g, const lk_claims *claims, lk_issued *out);
/* A token for S into OUT; RENEWS: one that the gateway renews until the session is over. */
LK_CHECKED lk_status lk__mint(lk_guard *g, lk_kind kind, const lk_session *s, bool renews, lk_issued *out);
/* The same, good only beside a proof by the key with the thumbprint BOUND (empty: as lk__mint). LK_REFUSED
 * for a kind that cannot say so. */
LK_CHECKED lk_status lk__mint_bound(lk_guard *g, lk_kind kind, const lk_session *s, lk_view bound,
                                    bool renews, lk_issued *out);

/* refresh.c: begin the family of S, which has its key: its first token goes to OUT, its state into the fields
 * of S, which then view into FIELDS (empty, room for LK_FIELDS_BYTES_MAX). */
LK_CHECKED lk_status lk__refresh_begin(lk_guard *g, lk_kind kind, lk_view bound, lk_session *s,
                                       lk_buf *fields, lk_issued *out);

/* refresh.c: what the record S of a login with refresh tokens says of them. False: it is no such record. */
typedef struct lk__refresh_facts {
    int64_t number, rotated_ms; /* of the one that is good; when the one before it was used */
    lk_view bound;              /* the thumbprint of the key that all of them are bound to; empty: none */
} lk__refresh_facts;
bool lk__refresh_facts_of(const lk_session *s, lk__refresh_facts *out);

/* reissue.c: is ID's credential of another way, and turned into ours? */
bool lk__converts(const lk_guard *g, const lk_identity *id);

/* share.c: latchkey_share and latchkey_move against the stores. LK_OK; LK_REFUSED with rule and cure. */
LK_CHECKED lk_status lk__share_check(const lk_settings *s, lk_note *note);
/* What they mean for the credentials of G. */
void lk__share_read(lk_guard *g);

/* The key of a session as a key of the table. */
void lk__table_key_of(const lk_session_key *key, uint8_t out[LK_TABLE_KEY_LEN]);

/* What our own tokens are checked against. */
lk_expect lk__expect(const lk_settings *s, int64_t now_s);
#define LK_JWT_TYPE LK_VIEW("at+jwt")

#endif
