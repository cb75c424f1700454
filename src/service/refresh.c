/* SPDX-License-Identifier: Apache-2.0
 *
 * refresh.c - POST /refresh: the next token of a login, and the next refresh token. docs/formats/refresh.md
 */
#include "service/call.h"

/* What the account says today goes into the new token. */
typedef struct account {
    lk_accounts *accounts;
    lk_user user;
} account;

static lk_status who(void *context, const lk_session *login, lk_login *now, lk_reason *why)
{
    account *a = context;
    lk_status status = lk_accounts_get(a->accounts, login->user, &a->user);
    *why = LK_REASON_BANNED;
    if (status == LK_MISS || (status == LK_OK && a->user.state != LK_USER_ENABLED))
        return LK_STALE;
    if (status != LK_OK)
        return LK_FAULT;
    now->name = lk_view_of(a->user.name);
    now->roles = lk_view_of(a->user.roles);
    return LK_OK;
}

/* A client that is told why can tell its user, and one that was robbed learns it: the thief and the client
 * are answered alike, and which of the two came late nobody knows. */
static lk_view detail_of(const lk_refresh_ask *ask)
{
    if (ask->how == LK_REFRESHED_REUSED)
        return LK_VIEW(
            "This refresh token was used before, and so was the one that followed it, or it is too "
            "long ago. It may have been stolen, so the whole login was ended; log in again.");
    if (ask->why == LK_REASON_REVOKED)
        return LK_VIEW("This login was ended: by a logout, or because a refresh token came again after its "
                       "successor was used, as a stolen one does. Log in again.");
    return (lk_view){0};
}

static void refuse(lk__call *c, lk_refresh_ask *ask)
{
    bool reused = ask->how == LK_REFRESHED_REUSED;
    ask->id.verdict = LK_VERDICT_REFUSE;
    lk__audit(c, reused ? "refresh_reused" : "refused", ask->why, 401, (lk_view){0},
              ask->id.has_session ? &ask->id : NULL);
    c->id->proof = ask->id.proof; /* what the challenge asks for */
    lk__answer_reason(c, 401, ask->why, detail_of(ask));
}

void lk__refresh(lk__call *c)
{
    lk_issued issued;
    account a = {.accounts = c->s->accounts};
    lk_refresh_ask ask = {.presented = &c->presented, .who = who, .context = &a};
    if (!lk__issue_is_safe(c) || !lk__body_need(c, LK_VIEW("refresh_token"), &ask.text))
        return;
    switch (lk_guard_refresh(c->s->guard, &ask, &issued)) {
    case LK_OK:
        lk__audit(c, "refreshed", LK_REASON_NONE, 200, (lk_view){0}, &ask.id);
        lk__answer_issued(c, &a.user, &issued, true);
        break;
    case LK_REFUSED:
    case LK_STALE:
        refuse(c, &ask);
        break;
    case LK_MISS:
    case LK_FULL:
    case LK_FAULT:
        lk__answer_unavailable(c);
        break;
    }
    lk_issued_wipe(&issued);
}
