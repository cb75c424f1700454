/* SPDX-License-Identifier: Apache-2.0
 *
 * login.c - POST /login, and its page.
 */
#include "service/call.h"
#include "service/devices.h"

#include <latchkey/third_party.h>

static void broken(lk__call *c, const char *rule)
{
    lk__answer_problem(c, LK_PROBLEM_RULE_BROKEN, lk_view_of(rule));
}

/* What this site gives a browser, unless the login asks for something else. `session` is whatever a session
 * is here: an id, or all of it sealed. */
static bool read_kind(lk__call *c, lk_kind *kind)
{
    lk_view word = {0};
    lk_status status = lk__body_text(c, LK_VIEW("credential"), &word);
    *kind = lk_way_credential(lk_way_of_settings(c->s->settings));
    if (status == LK_MISS)
        return true;
    if (status == LK_OK && lk_view_equal(word, LK_VIEW("session"))) {
        *kind = *kind == LK_KIND_SEALED ? LK_KIND_SEALED : LK_KIND_SESSION_ID;
        return true;
    }
    if (status == LK_OK && lk_kind_of(word, kind) == LK_OK)
        return true;
    broken(c, "credential is one of session, sealed, token and jwt");
    return false;
}

/* Unless told otherwise a session rides in a cookie, a token that was asked for in a header: that is what
 * each is for. */
static bool read_carrier(lk__call *c, lk_kind kind, lk_carrier *carrier)
{
    lk_view word = {0};
    bool asked = lk__body_text(c, LK_VIEW("credential"), &word) != LK_MISS;
    lk_status status = lk__body_text(c, LK_VIEW("carrier"), &word);
    bool token = kind == LK_KIND_TOKEN || kind == LK_KIND_JWT;
    *carrier = token && asked ? LK_CARRIER_HEADER : LK_CARRIER_COOKIE;
    if (status == LK_MISS)
        return true;
    if (status == LK_OK && lk_carrier_of(word, carrier) == LK_OK && *carrier != LK_CARRIER_URL)
        return true;
    broken(c, "carrier is cookie or header");
    return false;
}

/* A login may ask for less than its user has. A device goes on with all of it, so the two cannot be had
 * together. */
static bool read_scope(lk__call *c, lk__issue *want)
{
    lk_note note = {{0}};
    lk_view words;
    lk_buf scope = lk__arena_buf(c->arena, LK_SCOPE_MAX);
    if (!lk__body_words(c, "scope", &words))
        return false;
    if (lk_scope_normalize(words, &scope, &note) != LK_OK) {
        broken(c, note.text);
        return false;
    }
    if (scope.len > 0 && want->plan->wanted) {
        broken(c, "a login that is limited to scopes cannot register a device: leave out scope or device");
        return false;
    }
    want->scope = lk_buf_view(&scope);
    return true;
}

/* Who comes with an id in the path and no cookie goes on like that, and gets no cookie: another site could
 * have sent him here with an id of its own, and his browser would keep the login that was made under it. */
static void stay_in_url(lk__issue *want)
{
    want->kind = LK_KIND_SESSION_ID;
    want->carrier = LK_CARRIER_URL;
    want->remember = false;
    want->plan->wanted = false;
}

static bool read_wish(lk__call *c, lk__issue *want)
{
    if (lk__body_flag(c, LK_VIEW("remember"), &want->remember) == LK_REFUSED) {
        broken(c, "remember is true or false");
        return false;
    }
    if (!lk__device_wish(c, want->plan))
        return false;
    if (c->page) {
        want->kind = lk_way_credential(lk_way_of_settings(c->s->settings));
        want->carrier = LK_CARRIER_COOKIE;
        /* A device that stays signed in is given a new session when one ends: none has to be long. */
        if (want->plan->wanted)
            want->remember = false;
        if (c->id->has_session && c->id->carrier == LK_CARRIER_URL)
            stay_in_url(want);
        return true;
    }
    if (!read_kind(c, &want->kind) || !read_carrier(c, want->kind, &want->carrier) || !read_scope(c, want))
        return false;
    want->device_class = want->plan->device_class;
    return true;
}

static void refuse_login(lk__call *c, lk_view name)
{
    lk_guard_count(c->s->guard, LK_COUNT_LOGINS_FAILED);
    lk__audit(c, "login_failed", LK_REASON_BAD_CREDENTIALS, 401, lk__audit_name(c, name), NULL);
    lk__answer_reason(c, 401, LK_REASON_BAD_CREDENTIALS, (lk_view){0});
}

static void throttle_login(lk__call *c, lk_view name, int64_t retry_after_s)
{
    lk_guard_count(c->s->guard, LK_COUNT_THROTTLED);
    lk__audit(c, "throttled", LK_REASON_THROTTLED, 429, lk__audit_name(c, name), NULL);
    lk__answer_retry_after(c, retry_after_s);
    lk__answer_reason(c, 429, LK_REASON_THROTTLED, (lk_view){0});
}

/* Check name and password; answers itself and gives false unless they are right. */
static bool check_password(lk__call *c, lk_view name, lk_view password, lk_user *user)
{
    int64_t retry_after_s = 1;
    switch (lk_accounts_login(c->s->accounts, lk_view_of(c->s->settings->realm), name, password,
                              c->req->address, user, &retry_after_s)) {
    case LK_OK:
        return true;
    case LK_MISS:
    case LK_STALE:
    case LK_REFUSED:
        refuse_login(c, name);
        return false;
    case LK_FULL:
        throttle_login(c, name, retry_after_s);
        return false;
    case LK_FAULT:
        break;
    }
    lk__answer_unavailable(c);
    return false;
}

/* A client that proves a key gets a token that is good beside proofs of it alone. What cannot be bound is not
 * given out as if it were. */
static bool read_proof(lk__call *c, lk__issue *want)
{
    lk_status status = LK_MISS;
    if (c->req->presented.proofs_n == 0)
        return true;
    if (want->kind != LK_KIND_JWT || want->carrier != LK_CARRIER_HEADER) {
        broken(c, "the request has a DPoP proof, and only a JWT in a header can be bound to a key: ask for "
                  "credential jwt, carrier header, or leave the proof out");
        return false;
    }
    status = lk__proof_read(c, lk_view_of(want->user->id), &want->bound);
    if (status != LK_OK)
        lk__answer_proof(c, status);
    return status == LK_OK;
}

void lk__login(lk__call *c)
{
    lk_view name, password;
    lk_user user;
    lk__device_plan plan = {.wanted = false};
    lk__issue want = {.user = &user, .plan = &plan, .recheck = true};
    if (!lk__issue_is_safe(c) || !lk__body_need(c, LK_VIEW("username"), &name) ||
        !lk__body_need(c, LK_VIEW("password"), &password) || !read_wish(c, &want))
        return;
    lk_view return_to = lk__page_return(c);
    if (return_to.len == 0)
        return_to = lk__path(c, "/account");
    plan.by_cookie = want.carrier == LK_CARRIER_COOKIE;
    bool in = check_password(c, name, password, &user) && read_proof(c, &want) &&
              lk__issue_and_answer(c, &want, return_to);
    bool registered = plan.is_new && plan.in_use;
    lk__device_plan_wipe(&plan);
    if (!in)
        return;
    lk_guard_count(c->s->guard, LK_COUNT_LOGINS);
    lk__audit(c, "login", LK_REASON_NONE, c->res->status, lk_view_of(user.id), NULL);
    if (registered)
        lk__audit(c, "device_registered", LK_REASON_NONE, c->res->status, lk_view_of(user.id), NULL);
}

/* What every showing of the form has: where to go on, and whether one can register. */
static void form_scope(lk__call *c, lk__scope *scope)
{
    lk_view return_to = lk__page_return(c);
    lk__scope_text(scope, "return", return_to);
    lk__scope_text(scope, "form_path", lk__path(c, "/login"));
    if (c->s->settings->registration)
        lk__scope_text(scope, "register_path", lk__page_link(c, "/register", return_to));
}

void lk__login_page(lk__call *c)
{
    lk__scope scope = {.n = 0};
    form_scope(c, &scope);
    lk_view notice = lk__query_text(c, LK_VIEW("notice"));
    lk__scope_flag(&scope, "registered", lk_view_equal(notice, LK_VIEW("registered")));
    lk__scope_flag(&scope, "signed_out", lk_view_equal(notice, LK_VIEW("signed_out")));
    lk__scope_flag(&scope, "session_over", lk_view_equal(notice, LK_VIEW("session_over")));
    lk__page(c, 200, "login", &scope);
}

void lk__login_again(lk__call *c, int status, const char *word, lk_view detail)
{
    lk__scope scope = {.n = 0};
    lk_view name = {0};
    form_scope(c, &scope);
    if (lk__body_text(c, LK_VIEW("username"), &name) != LK_OK)
        name = (lk_view){0};
    lk__scope_text(&scope, "username", name);
    lk__scope_text(&scope, "error", lk__page_problem_text(c, word, detail));
    lk__page(c, status, "login", &scope);
}
