/* SPDX-License-Identifier: Apache-2.0
 *
 * raw.h - what lies in a store, reached by the means of the store itself and not through latchkey: to give
 * each test an empty one, and to put there what latchkey would not.
 */
#ifndef LATCHKEY_TESTS_CONTRACT_RAW_H
#define LATCHKEY_TESTS_CONTRACT_RAW_H

#include <latchkey/store.h>

/* Each answers false, having said why, when it could not be done. NULL: this store has no such thing. */
typedef struct raw_store {
    /* Remove everything, so that numbers of events begin at 1 again; put right what a test has turned. */
    bool (*wipe)(void);
    /* Put BYTES where the record of session KEY is, which is there. */
    bool (*put_record)(const lk_session_key *key, const uint8_t *bytes, size_t len);
    /* Have it say that it is of a format newer than this program. */
    bool (*make_newer)(void);
    /* Put an event where the first one belongs that is no cut-off this program can read. */
    bool (*put_unreadable_cutoff)(void);
    /* Keep the stream as it is now, and later put it back so: what a backup does that is restored. */
    bool (*keep_stream)(void);
    bool (*put_stream_back)(void);
    /* Leave room for some hundred sessions more. */
    bool (*make_small)(void);
    /* Remove what lk_store_setup makes. */
    bool (*unmake)(void);
} raw_store;

/* They work on the store that store_url() names. */
extern const raw_store raw_memory, raw_lmdb, raw_sql, raw_redis;

#endif
