/* SPDX-License-Identifier: Apache-2.0
 *
 * trust_internal.h - the key sets of other issuers: what a node shares, and what a process holds.
 */
#ifndef LATCHKEY_GUARD_TRUST_INTERNAL_H
#define LATCHKEY_GUARD_TRUST_INTERNAL_H

#include "guard/guard_internal.h"
#include "guard/jwks_fetch.h"
#include <latchkey/trust.h>
#include <pthread.h>
#include <stdatomic.h>

/* ---- trust_room.c: shared by the processes of a node. Times are monotonic ms. ---- */

/* What is known of one set without its text. */
typedef struct lk__room_facts {
    uint64_t seq;     /* number of the text; 0: there never was one */
    int64_t known_ms; /* when it was last found to be right */
    int64_t fresh_ms; /* until when nobody need ask again */
    int64_t tried_ms; /* when somebody last asked; INT64_MIN: never */
    bool claimed;     /* somebody is asking now */
    uint64_t fetches, failures;
} lk__room_facts;
lk__room_facts lk__room_look(const lk_trust_room *room, uint32_t i, int64_t now_ms);

/* May the caller ask, alone among all processes, until UNTIL_MS? Give the place back with lk__room_done; who
 * dies loses it by the time. */
bool lk__room_claim(lk_trust_room *room, uint32_t i, int64_t now_ms, int64_t until_ms);
void lk__room_done(lk_trust_room *room, uint32_t i);

/* By who has the place: TEXT was found right now. *SEQ is its number afterwards; it is the one it had when
 * the text is the same. */
void lk__room_publish(lk_trust_room *room, uint32_t i, lk_view text, int64_t now_ms, int64_t fresh_ms,
                      uint64_t *seq);
/* The text there is was found right again, or it could not be had. */
void lk__room_confirm(lk_trust_room *room, uint32_t i, int64_t now_ms, int64_t fresh_ms);
void lk__room_failed(lk_trust_room *room, uint32_t i);

/* Copy the text into OUT (LK_JWKS_MAX). Its number, or 0 when there is none or it changes all the time. */
uint64_t lk__room_read(const lk_trust_room *room, uint32_t i, lk_buf *out);

/* ---- trust_sets.c: the set of one issuer in this process ---- */
typedef struct lk__trust_set {
    atomic_uint refs;
    lk_keyring *ring;
    uint64_t seq; /* of its text in the room */
    uint64_t id;  /* a keyed hash of its text: sets that are the same are one */
} lk__trust_set;

typedef struct lk__trusted {
    const lk_trust *conf;
    pthread_mutex_t lock; /* for `set` alone, and a few instructions */
    lk__trust_set *set;
    atomic_uint waiters;
    struct timespec file_at; /* of the file that was read last */
    int64_t file_len;
    uint64_t file_ino;
} lk__trusted;

struct lk__trusts {
    lk_trust_room *room;
    bool owns_room;
    _Atomic uint64_t changes; /* of sets in this process */
    uint32_t n;
    lk__trusted all[LK_TRUSTS_MAX];
};

/* A view on the set of issuer I, good until it is given back; NULL when there is none that may be used: it
 * was never had, or is older than the setting keeps it. */
lk__trust_set *lk__trust_hold(lk_guard *g, uint32_t i);
void lk__trust_release(lk_guard *g, lk__trust_set *set);
/* Would lk_guard_trust_look learn anything now, or is somebody about to? */
bool lk__trust_may_look(lk_guard *g, uint32_t i);

/* Another number once a set of this process has become another one. */
uint64_t lk__trusts_mark(const lk_guard *g);

/* Open and close those of G. */
LK_CHECKED lk_status lk__trusts_open(lk_guard *g, lk_note *note);
void lk__trusts_close(lk_guard *g);

#endif
