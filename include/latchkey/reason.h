/* SPDX-License-Identifier: Apache-2.0
 *
 * reason.h - the stable word told with every refusal.
 */
#ifndef LATCHKEY_REASON_H
#define LATCHKEY_REASON_H

#include <latchkey/bytes.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The words are part of the contract with clients (docs/formats/reasons.md): a member is never renamed. */
#define LK_REASONS(X)                                                                                        \
    X(NONE, "")                                                                                              \
    X(NO_CREDENTIAL, "no_credential")                                                                        \
    X(MALFORMED, "malformed")                                                                                \
    X(BAD_SIGNATURE, "bad_signature")                                                                        \
    X(UNKNOWN_KEY, "unknown_key")                                                                            \
    X(EXPIRED, "expired")                                                                                    \
    X(IDLE, "idle")                                                                                          \
    X(NOT_YET_VALID, "not_yet_valid")                                                                        \
    X(REVOKED, "revoked")                                                                                    \
    X(REPLACED, "replaced")                                                                                  \
    X(KICKED, "kicked")                                                                                      \
    X(BANNED, "banned")                                                                                      \
    X(WRONG_DEVICE, "wrong_device")                                                                          \
    X(WRONG_CARRIER, "wrong_carrier")                                                                        \
    X(WRONG_AUDIENCE, "wrong_audience")                                                                      \
    X(INSUFFICIENT_SCOPE, "insufficient_scope")                                                              \
    X(INSUFFICIENT_ROLE, "insufficient_role")                                                                \
    X(REAUTHENTICATION_REQUIRED, "reauthentication_required")                                                \
    X(CSRF, "csrf")                                                                                          \
    X(CORS, "cors")                                                                                          \
    X(STORE_UNAVAILABLE, "store_unavailable")                                                                \
    X(THROTTLED, "throttled")                                                                                \
    X(SESSION_LIMIT, "session_limit")                                                                        \
    X(BAD_CREDENTIALS, "bad_credentials")                                                                    \
    X(REPLAYED, "replayed")

typedef enum lk_reason {
#define X(name, word) LK_REASON_##name,
    LK_REASONS(X)
#undef X
        LK_REASON_COUNT
} lk_reason;

/* The word of REASON; "" for LK_REASON_NONE. Never NULL. */
const char *lk_reason_word(lk_reason reason);

/* One English sentence for the `detail` of a problem document. Never NULL. */
const char *lk_reason_sentence(lk_reason reason);

/* The reason with that word, or LK_REASON_NONE. */
lk_reason lk_reason_of(lk_view word);

#ifdef __cplusplus
}
#endif
#endif
