/* SPDX-License-Identifier: Apache-2.0
 *
 * lookups_raw.h - the look-ups of lookups.c as somebody would write them with the client library alone.
 */
#ifndef LATCHKEY_BENCH_LOOKUPS_RAW_H
#define LATCHKEY_BENCH_LOOKUPS_RAW_H

#include <latchkey/session.h>

enum { BATCH = 32 };

typedef struct raw_client {
    const char *store, *what;
    void (*open)(char *const arguments[6]);
    void (*batch)(const lk_session_key keys[BATCH]); /* every one of them must be there */
    void (*close)(void);
} raw_client;

/* The client for the store called NAME, connected; ARGUMENTS are those of the program. */
const raw_client *raw_open(const char *name, char *const arguments[6]);

#endif
