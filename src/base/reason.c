/* SPDX-License-Identifier: Apache-2.0
 *
 * reason.c - the words of refusals, and a sentence for each.
 */
#include <latchkey/reason.h>

static const char *const words[LK_REASON_COUNT] = {
#define X(name, word) [LK_REASON_##name] = word,
    LK_REASONS(X)
#undef X
};

/* Told to whoever sent the request, so none of them says which secret, user or rule it was about. */
static const char *const sentences[] = {
    [LK_REASON_NONE] = "",
    [LK_REASON_NO_CREDENTIAL] = "The request carries no credential; log in first.",
    [LK_REASON_MALFORMED] = "The credential is not well formed.",
    [LK_REASON_BAD_SIGNATURE] = "The signature of the credential is not right.",
    [LK_REASON_UNKNOWN_KEY] = "The credential was signed by a key or an issuer that is not known here.",
    [LK_REASON_EXPIRED] = "The credential has expired; log in again.",
    [LK_REASON_IDLE] = "The session was not used for too long; log in again.",
    [LK_REASON_NOT_YET_VALID] = "The credential is not valid yet; check the clocks.",
    [LK_REASON_REVOKED] = "The credential was revoked or logged out.",
    [LK_REASON_REPLACED] = "The session was replaced by a newer one.",
    [LK_REASON_KICKED] = "The session was ended by an administrator.",
    [LK_REASON_BANNED] = "The account is barred from logging in.",
    [LK_REASON_WRONG_DEVICE] = "The credential belongs to another device.",
    [LK_REASON_WRONG_CARRIER] = "The credential may not be sent this way.",
    [LK_REASON_WRONG_AUDIENCE] = "The credential was issued for another service.",
    [LK_REASON_INSUFFICIENT_SCOPE] = "The credential does not cover this request.",
    [LK_REASON_INSUFFICIENT_ROLE] = "The user has no role that allows this request.",
    [LK_REASON_REAUTHENTICATION_REQUIRED] = "The last login is too long ago for this request; log in again.",
    [LK_REASON_CSRF] = "The request does not prove that it comes from a page of this site.",
    [LK_REASON_CORS] = "The origin of the request is not allowed.",
    [LK_REASON_STORE_UNAVAILABLE] = "The session store cannot be reached just now; try again shortly.",
    [LK_REASON_THROTTLED] = "Too many attempts; try again later.",
    [LK_REASON_SESSION_LIMIT] = "You are signed in as often as you may be; sign out somewhere else first.",
    [LK_REASON_BAD_CREDENTIALS] = "The user name or the password is wrong.",
    [LK_REASON_REPLAYED] = "The proof of this request was used before; make a new one for each request.",
};

_Static_assert(sizeof(sentences) / sizeof(sentences[0]) == LK_REASON_COUNT, "a sentence for every reason");

static bool is_reason(lk_reason reason)
{
    return (unsigned)reason < LK_REASON_COUNT;
}

const char *lk_reason_word(lk_reason reason)
{
    return is_reason(reason) ? words[reason] : "";
}

const char *lk_reason_sentence(lk_reason reason)
{
    return is_reason(reason) ? sentences[reason] : "";
}

lk_reason lk_reason_of(lk_view word)
{
    for (lk_reason r = LK_REASON_NONE; r < LK_REASON_COUNT; r++) {
        if (lk_view_equal(word, lk_view_of(words[r])))
            return r;
    }
    return LK_REASON_NONE;
}
