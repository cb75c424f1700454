/* SPDX-License-Identifier: Apache-2.0
 *
 * cutoff.h - "what was issued before T is refused", at a level: the one mechanism of revocation.
 */
#ifndef LATCHKEY_CUTOFF_H
#define LATCHKEY_CUTOFF_H

#include <latchkey/env.h>
#include <latchkey/reason.h>

#ifdef __cplusplus
extern "C" {
#endif

#define LK_CUTOFF_KEY_MAX 128

#define LK_LEVELS(X)                                                                                         \
    X(ALL, "all")                                                                                            \
    X(REALM, "realm")                                                                                        \
    X(ROLE, "role")                                                                                          \
    X(CLIENT, "client")                                                                                      \
    X(USER, "user")                                                                                          \
    X(DEVICE, "device")                                                                                      \
    X(FAMILY, "family")                                                                                      \
    X(SESSION, "session")                                                                                    \
    X(KEY, "key")

typedef enum lk_level {
#define X(name, word) LK_LEVEL_##name,
    LK_LEVELS(X)
#undef X
        LK_LEVEL_COUNT
} lk_level;

const char *lk_level_name(lk_level level);
LK_CHECKED lk_status lk_level_of(lk_view name, lk_level *out); /* LK_OK, LK_MISS */

/* A credential whose issue time is <= before_ms and which carries KEY at LEVEL is refused with `reason`.
 * After until_s nothing it could hit is still alive, and the cut-off may be forgotten. Levels below `realm`
 * are inside a realm: their key is
 * "<realm>/<key>" (the realm may be empty: "/alice"); for `all` the key is empty; for `realm` it is the
 * realm. Level `key` is that of a signing key in wrong hands: its key is the kid, and it reaches everything
 * that key ever proved or will, whatever time of issue it bears. */
typedef struct lk_cutoff {
    uint64_t seq; /* place in the store's ordered stream; 0 until appended */
    lk_level level;
    lk_reason reason; /* revoked, kicked, banned, replaced */
    char key[LK_CUTOFF_KEY_MAX + 1];
    int64_t before_ms; /* since 1970 */
    int64_t until_s;
} lk_cutoff;

/* Fill KEY of a cut-off from its realm and its own key. LK_OK; LK_FULL; LK_REFUSED on control characters. */
LK_CHECKED lk_status lk_cutoff_key(lk_level level, lk_view realm, lk_view key,
                                   char out[LK_CUTOFF_KEY_MAX + 1]);

#ifdef __cplusplus
}
#endif
#endif
