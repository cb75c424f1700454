/* SPDX-License-Identifier: Apache-2.0
 *
 * problem.c - problem documents (RFC 9457): `{"type","title","status","detail","reason"}`.
 */
#include "service/problem.h"

#include "service/text.h"

#include <latchkey/service.h>

static const lk__problem_info problems[LK_PROBLEM_COUNT] = {
    [LK_PROBLEM_MALFORMED] = {"malformed", "The request cannot be read", 400},
    [LK_PROBLEM_FORBIDDEN] = {"forbidden", "This is switched off here", 403},
    [LK_PROBLEM_NOT_FOUND] = {"not_found", "There is nothing here", 404},
    [LK_PROBLEM_METHOD_NOT_ALLOWED] = {"method_not_allowed", "This method does not work here", 405},
    [LK_PROBLEM_NAME_TAKEN] = {"name_taken", "The name is taken", 409},
    [LK_PROBLEM_CONFLICT] = {"conflict", "Others kept changing the same data", 503},
    [LK_PROBLEM_REVISION_MISMATCH] = {"revision_mismatch", "The data has changed", 412},
    [LK_PROBLEM_TOO_LARGE] = {"too_large", "The request is too large", 413},
    [LK_PROBLEM_UNSUPPORTED_MEDIA_TYPE] = {"unsupported_media_type", "The body is of another type", 415},
    [LK_PROBLEM_RULE_BROKEN] = {"rule_broken", "A rule is broken", 422},
    [LK_PROBLEM_INSECURE_TRANSPORT] = {"insecure_transport", "Not over plain http", 422},
};

static const char *const reason_titles[LK_REASON_COUNT] = {
    [LK_REASON_NONE] = "The request was refused",
    [LK_REASON_NO_CREDENTIAL] = "Nobody is logged in",
    [LK_REASON_MALFORMED] = "The credential cannot be read",
    [LK_REASON_BAD_SIGNATURE] = "The credential is not genuine",
    [LK_REASON_UNKNOWN_KEY] = "The credential was made with an unknown key",
    [LK_REASON_EXPIRED] = "The login is over",
    [LK_REASON_IDLE] = "The login was not used for too long",
    [LK_REASON_NOT_YET_VALID] = "The credential is not valid yet",
    [LK_REASON_REVOKED] = "The login was ended",
    [LK_REASON_REPLACED] = "The login was replaced by a newer one",
    [LK_REASON_KICKED] = "The login was ended by an administrator",
    [LK_REASON_BANNED] = "The account is banned",
    [LK_REASON_WRONG_DEVICE] = "The credential belongs to another device",
    [LK_REASON_WRONG_CARRIER] = "The credential came in the wrong place",
    [LK_REASON_WRONG_AUDIENCE] = "The credential is for somebody else",
    [LK_REASON_INSUFFICIENT_SCOPE] = "The credential lacks a scope",
    [LK_REASON_INSUFFICIENT_ROLE] = "The user lacks a role",
    [LK_REASON_REAUTHENTICATION_REQUIRED] = "A fresh login is needed",
    [LK_REASON_CSRF] = "The request may come from another site",
    [LK_REASON_CORS] = "This origin may not read the answer",
    [LK_REASON_STORE_UNAVAILABLE] = "The login cannot be looked up now",
    [LK_REASON_SESSION_LIMIT] = "Too many sessions",
    [LK_REASON_THROTTLED] = "Too many attempts",
    [LK_REASON_BAD_CREDENTIALS] = "Name or password is wrong",
    [LK_REASON_REPLAYED] = "The proof was used before",
};

const lk__problem_info *lk__problem_about(lk__problem problem)
{
    return &problems[problem];
}

const char *lk__reason_title(lk_reason reason)
{
    return reason < LK_REASON_COUNT ? reason_titles[reason] : reason_titles[LK_REASON_NONE];
}

void lk__problem_add(lk_buf *out, int status, const char *word, const char *title, lk_view detail,
                     const lk_json_place *place)
{
    /* The type is an identifier of the product, not of the site: it does not move with latchkey_prefix. */
    lk_buf_add_text(out, word[0] == '\0' ? "{\"type\":\"about:blank" : "{\"type\":\"/auth/problems/");
    lk_buf_add_text(out, word);
    lk_buf_add_text(out, "\",\"title\":");
    lk__json_add(out, lk_view_of(title));
    lk_buf_add_printf(out, ",\"status\":%d,\"detail\":", status);
    lk__json_add(out, detail);
    if (word[0] != '\0') {
        lk_buf_add_text(out, ",\"reason\":");
        lk__json_add(out, lk_view_of(word));
    }
    if (place != NULL)
        lk_buf_add_printf(out, ",\"line\":%u,\"column\":%u", place->line, place->column);
    lk_buf_add_byte(out, '}');
}

void lk_problem_write(int status, lk_reason reason, lk_view detail, lk_buf *out)
{
    if (detail.len == 0)
        detail = lk_view_of(lk_reason_sentence(reason));
    lk__problem_add(out, status, lk_reason_word(reason), lk__reason_title(reason), detail, NULL);
}
