/* SPDX-License-Identifier: Apache-2.0
 *
 * password.c - POST /password: a new password ends every other session and gives this one a new id.
 */
#include "service/call.h"
#include "service/devices.h"

/* The account of the one who asks, if it is still there. */
static bool load_user(lk__call *c, lk_user *user)
{
    lk_status status = lk_accounts_get(c->s->accounts, lk_view_of(c->id->user), user);
    if (status == LK_OK)
        return true;
    if (status == LK_MISS) {
        c->id->reason = LK_REASON_REVOKED;
        lk__answer_unauthorized(c);
    } else {
        lk__answer_unavailable(c);
    }
    return false;
}

/* Whoever holds the session must still know the password: an unlocked screen is not enough to take an
 * account over. (SECURITY-RULES 124) */
static bool prove_current(lk__call *c, lk_user *user, lk_view current)
{
    int64_t retry_after_s = 1;
    lk_user again;
    switch (lk_accounts_login(c->s->accounts, lk_view_of(user->realm), lk_view_of(user->name), current,
                              c->req->address, &again, &retry_after_s)) {
    case LK_OK:
        return true;
    case LK_MISS:
    case LK_STALE:
    case LK_REFUSED:
        lk_guard_count(c->s->guard, LK_COUNT_LOGINS_FAILED);
        lk__audit(c, "password_refused", LK_REASON_BAD_CREDENTIALS, 401, (lk_view){0}, c->id);
        lk__answer_reason(c, 401, LK_REASON_BAD_CREDENTIALS, LK_VIEW("The current password is wrong."));
        return false;
    case LK_FULL:
        lk_guard_count(c->s->guard, LK_COUNT_THROTTLED);
        lk__audit(c, "throttled", LK_REASON_THROTTLED, 429, (lk_view){0}, c->id);
        lk__answer_retry_after(c, retry_after_s);
        lk__answer_reason(c, 429, LK_REASON_THROTTLED, (lk_view){0});
        return false;
    case LK_FAULT:
        break;
    }
    lk__answer_unavailable(c);
    return false;
}

static bool set_password(lk__call *c, const lk_user *user, lk_view password)
{
    lk_note note = {{0}};
    lk_status status = lk_accounts_set_password(c->s->accounts, lk_view_of(user->id), password, &note);
    if (status == LK_OK)
        return true;
    if (status == LK_REFUSED)
        lk__answer_problem(c, LK_PROBLEM_RULE_BROKEN, lk__arena_copy(c->arena, lk_view_of(note.text)));
    else
        lk__answer_unavailable(c);
    return false;
}

/* The others first, then a new id for this one: if the second fails, nobody who should be out is in. */
static bool renew_sessions(lk__call *c, const lk_user *user)
{
    const lk_identity *id = c->id;
    lk_session_key old = id->key;
    /* Sessions that are sealed in cookies are reached all at once or not at all. */
    bool spare = id->has_session && !lk_guard_seals(c->s->guard);
    /* Other devices first: one of them must not be given a session while the others end. */
    lk_status status = lk__devices_forget(c, lk_view_of(id->device));
    if (status == LK_OK)
        status = lk_guard_end_user(c->s->guard, lk_view_of(id->realm), lk_view_of(id->user),
                                   spare ? &old : NULL, LK_REASON_REVOKED, NULL);
    if (status != LK_OK) {
        lk__answer_reason(c, 503, LK_REASON_STORE_UNAVAILABLE,
                          LK_VIEW("The password is changed, but other sessions could not be ended. Sign out "
                                  "everywhere as soon as possible."));
        return false;
    }
    lk__device_plan plan = {.keep = lk__arena_copy(c->arena, lk_view_of(id->device)),
                            .by_cookie = id->carrier == LK_CARRIER_COOKIE};
    lk__issue want = {.user = user,
                      .plan = &plan,
                      .kind = id->kind,
                      .carrier = id->carrier,
                      .remember = (id->flags & LK_SESSION_REMEMBER) != 0,
                      .scope = lk_view_of(id->scope)};
    bool good = lk__issue_and_answer(c, &want, lk__path(c, "/account?notice=password_changed"));
    lk__device_plan_wipe(&plan);
    if (!good)
        return false;
    /* A token's old session is not replaced by the new one, so it is ended here. */
    if (spare && id->kind != LK_KIND_SESSION_ID &&
        lk_guard_end(c->s->guard, lk_view_of(id->realm), &old, LK_REASON_REPLACED) != LK_OK)
        lk__audit(c, "session_not_ended", LK_REASON_STORE_UNAVAILABLE, 200, (lk_view){0}, id);
    return true;
}

void lk__password(lk__call *c)
{
    lk_view current, new;
    lk_user user;
    if (!lk__issue_is_safe(c) || !lk__body_need(c, LK_VIEW("current"), &current) ||
        !lk__body_need(c, LK_VIEW("new"), &new) || !load_user(c, &user) ||
        !prove_current(c, &user, current) || !set_password(c, &user, new))
        return;
    lk__audit(c, "password_changed", LK_REASON_NONE, 200, (lk_view){0}, c->id);
    (void)renew_sessions(c, &user);
}

static void form_scope(lk__call *c, lk__scope *scope)
{
    lk__scope_text(scope, "form_path", lk__path(c, "/password"));
    lk__scope_text(scope, "username", lk_view_of(c->id->name));
}

void lk__password_page(lk__call *c)
{
    lk__scope scope = {.n = 0};
    form_scope(c, &scope);
    lk__page(c, 200, "password", &scope);
}

void lk__password_again(lk__call *c, int status, const char *word, lk_view detail)
{
    lk__scope scope = {.n = 0};
    form_scope(c, &scope);
    lk__scope_text(&scope, "error", lk__page_problem_text(c, word, detail));
    if (status == 422)
        lk__page_rule(c, detail, &scope);
    lk__page(c, status, "password", &scope);
}
