/* SPDX-License-Identifier: Apache-2.0
 *
 * devices.c - my devices: list, rename, revoke and register them; and the session of an app that shows what
 * its device holds.
 */
#include "service/devices.h"
#include "service/sessions.h"
#include "service/text.h"

#include "carrier/carrier.h"

#include <string.h>

#define FRESH_S 900  /* who registers a device has typed the password no longer ago than this */
#define PAGES_MAX 32 /* of sessions that are looked through */

/* ---- listing ---- */

/* The latest use of the device: that of a session of its own, when there is one. */
static int64_t used_s(const lk_device *d, const lk__session_list *sessions)
{
    int64_t latest_s = d->seen_s;
    for (size_t i = 0; i < sessions->n; i++)
        if (lk_view_equal(lk_view_of(sessions->rows[i].device), lk_view_of(d->id)) &&
            sessions->rows[i].seen_s > latest_s)
            latest_s = sessions->rows[i].seen_s;
    return latest_s;
}

static bool is_current(const lk__call *c, const lk_device *d)
{
    return lk_view_equal(lk_view_of(d->id), lk_view_of(c->id->device));
}

static void write_device(const lk__call *c, const lk_device *d, int64_t last_used_s, lk_buf *out)
{
    lk_buf_add_printf(out, "{\"id\":\"%s\",\"label\":", d->id);
    lk__json_add(out, lk_view_of(d->label));
    lk_buf_add_text(out, ",\"class\":");
    lk__json_add(out, lk_view_of(d->device_class));
    lk_buf_add_printf(out, ",\"holds\":\"%s\",\"created\":%lld,\"authenticated\":%lld,\"last_used\":%lld,",
                      d->has_secret ? "secret" : "public_key", (long long)d->created_s, (long long)d->auth_s,
                      (long long)last_used_s);
    lk_buf_add_printf(out, "\"idle_expires\":%lld,\"expires\":%lld,\"put_out\":%s,\"current\":%s}",
                      (long long)d->ends_s, (long long)d->expires_s, d->put_out_s > 0 ? "true" : "false",
                      is_current(c, d) ? "true" : "false");
}

/* All of the user who asks, and the sessions they were last used in. LK_OK, LK_FAULT. */
static lk_status load(lk__call *c, lk_device **all, size_t *n, lk__session_list *sessions)
{
    *n = 0;
    *all = lk__arena_take(c->arena, LK_DEVICES_MAX * sizeof(lk_device));
    if (*all == NULL)
        return LK_FAULT;
    lk_status status = lk_accounts_device_list(c->s->accounts, lk_view_of(c->id->user), *all, n);
    return status == LK_OK ? lk__sessions_load(c, 0, sessions) : LK_FAULT;
}

void lk__devices_get(lk__call *c)
{
    lk_device *all;
    lk__session_list sessions;
    size_t n;
    if (c->page) {
        lk__answer_redirect(c, 303, lk__path(c, "/account"));
        return;
    }
    if (load(c, &all, &n, &sessions) != LK_OK) {
        lk__answer_unavailable(c);
        return;
    }
    lk_buf body = lk__arena_buf(c->arena, 64 + n * 1280);
    lk_buf_add_text(&body, "{\"devices\":[");
    for (size_t i = 0; i < n; i++) {
        if (i > 0)
            lk_buf_add_byte(&body, ',');
        write_device(c, &all[i], used_s(&all[i], &sessions), &body);
    }
    lk_buf_add_text(&body, "]}");
    lk__answer(c, 200, "application/json", &body);
}

static void fill_scope(lk__call *c, const lk_device *d, int64_t last_used_s, lk__scope *scope)
{
    lk_buf to = lk__arena_buf(c->arena, 256);
    lk_buf_add(&to, lk__path(c, "/devices/"));
    lk_buf_add_text(&to, d->id);
    lk__scope_text(scope, "label", lk__arena_copy(c->arena, lk_view_of(d->label)));
    lk__scope_flag(scope, "labelled", d->label[0] != '\0');
    lk__scope_text(scope, "device_class", lk__arena_copy(c->arena, lk_view_of(d->device_class)));
    lk__scope_flag(scope, "classed", d->device_class[0] != '\0');
    lk__scope_flag(scope, "is_current", is_current(c, d));
    lk__scope_text(scope, "created", lk__time_text(c, d->created_s));
    lk__scope_text(scope, "used", lk__time_text(c, last_used_s));
    lk__scope_text(scope, "expires", lk__time_text(c, d->ends_s));
    lk__scope_text(scope, "device_path", lk_buf_view(&to));
}

lk_status lk__devices_scope(lk__call *c, lk__scope *scope)
{
    lk_device *all;
    lk__session_list sessions;
    size_t n;
    if (!c->s->settings->device_on)
        return LK_OK;
    if (load(c, &all, &n, &sessions) != LK_OK)
        return LK_FAULT;
    lk__scope *rows = lk__arena_take(c->arena, (n + 1) * sizeof(lk__scope));
    if (rows == NULL)
        return LK_FAULT;
    for (size_t i = 0; i < n; i++) {
        rows[i] = (lk__scope){.n = 0};
        fill_scope(c, &all[i], used_s(&all[i], &sessions), &rows[i]);
    }
    lk__scope_rows(scope, "devices", rows, n);
    lk__scope_flag(scope, "has_devices", n > 0);
    return LK_OK;
}

/* ---- one of them ---- */

/* The device in the path, if it is one of the user who asks. False: the call is answered. */
static bool find_own(lk__call *c, lk_device *d)
{
    lk_status status = lk_accounts_device_get(c->s->accounts, c->param, d);
    if (status == LK_OK && lk_view_equal(lk_view_of(d->user), lk_view_of(c->id->user)))
        return true;
    if (status == LK_FAULT)
        lk__answer_unavailable(c);
    else
        lk__answer_problem(c, LK_PROBLEM_NOT_FOUND, LK_VIEW("you have no device of this id"));
    return false;
}

void lk__device_page(lk__call *c)
{
    lk_device d;
    lk__session_list sessions;
    if (!find_own(c, &d))
        return;
    if (lk__sessions_load(c, 0, &sessions) != LK_OK) {
        lk__answer_unavailable(c);
        return;
    }
    if (!c->page) {
        lk_buf body = lk__arena_buf(c->arena, 2048);
        write_device(c, &d, used_s(&d, &sessions), &body);
        lk__answer(c, 200, "application/json", &body);
        return;
    }
    lk__scope scope = {.n = 0};
    fill_scope(c, &d, used_s(&d, &sessions), &scope);
    lk__page(c, 200, "device", &scope);
}

static void rename_it(lk__call *c)
{
    lk_view label;
    lk_device d;
    lk_note note = {{0}};
    if (!lk__body_need(c, LK_VIEW("label"), &label) || !find_own(c, &d))
        return;
    switch (lk_accounts_device_rename(c->s->accounts, lk_view_of(c->id->user), c->param, label, &note)) {
    case LK_OK:
        break;
    case LK_REFUSED:
        lk__answer_problem(c, LK_PROBLEM_RULE_BROKEN, lk__arena_copy(c->arena, lk_view_of(note.text)));
        return;
    case LK_MISS:
    case LK_STALE:
    case LK_FULL:
    case LK_FAULT:
        lk__answer_unavailable(c);
        return;
    }
    lk__audit(c, "device_renamed", LK_REASON_NONE, c->page ? 303 : 204, (lk_view){0}, c->id);
    if (c->page)
        lk__answer_redirect(c, 303, lk__path(c, "/account#devices"));
    else
        lk__answer_empty(c, 204);
}

void lk__device_patch(lk__call *c)
{
    if (!lk__body_is_json(c))
        return;
    c->body_kind = LK_BODY_JSON;
    rename_it(c);
}

/* Sessions of the device in the stores, by name: simple tokens do not say their device. */
static lk_status end_sessions(lk__call *c, lk_view device)
{
    lk__session_list list = {0};
    lk_session_key key;
    lk_status status = LK_OK;
    for (unsigned page = 0; status == LK_OK && page < PAGES_MAX; page++) {
        status = lk__sessions_load(c, list.next, &list);
        for (size_t i = 0; i < list.n && status == LK_OK; i++)
            if (lk_view_equal(lk_view_of(list.rows[i].device), device) &&
                lk_public_id_read(lk_view_of(list.rows[i].public_id), &key) == LK_OK)
                status = lk_guard_end(c->s->guard, lk_view_of(c->id->realm), &key, LK_REASON_REVOKED);
        if (list.next == 0)
            break;
    }
    return status;
}

static void revoke_it(lk__call *c)
{
    lk_device d;
    if (!find_own(c, &d))
        return;
    bool current = is_current(c, &d);
    /* Its row goes last: while it is there all this can be asked for again. */
    lk_status status = lk_guard_cutoff(c->s->guard, LK_LEVEL_DEVICE, lk_view_of(d.realm), lk_view_of(d.id),
                                       LK_REASON_REVOKED, NULL, NULL);
    if (status == LK_OK)
        status = end_sessions(c, lk_view_of(d.id));
    if (status == LK_OK)
        status = lk__device_forget(c, lk_view_of(d.user), lk_view_of(d.id), NULL);
    if (status != LK_OK) {
        lk__answer_unavailable(c);
        return;
    }
    if (current && c->id->carrier == LK_CARRIER_COOKIE) {
        c->id->drop_cookie = true;
        if (!lk__device_drop_cookie(c))
            return;
    }
    if (c->page)
        lk__answer_redirect(c, 303, lk__path(c, current ? "/login?notice=signed_out" : "/account#devices"));
    else
        lk__answer_empty(c, 204);
}

void lk__device_delete(lk__call *c)
{
    revoke_it(c);
}

void lk__device_post(lk__call *c)
{
    bool revoke = false;
    if (lk__body_flag(c, LK_VIEW("revoke"), &revoke) == LK_OK && revoke)
        revoke_it(c);
    else
        rename_it(c);
}

/* ---- registering the device of a session that is there ---- */

static bool is_fresh(lk__call *c)
{
    if (!c->id->has_session || c->id->carrier == LK_CARRIER_URL) {
        lk__answer_problem(c, LK_PROBLEM_RULE_BROKEN,
                           LK_VIEW("this credential belongs to no session that a device "
                                   "could go on with"));
        return false;
    }
    /* The sessions of a device hold all scopes. */
    if (c->id->scope[0] != '\0') {
        lk__answer_problem(c, LK_PROBLEM_RULE_BROKEN,
                           LK_VIEW("a login that is limited to scopes cannot register a device"));
        return false;
    }
    /* A session that somebody took must not become a device that he keeps. */
    if (c->now_ms / 1000 - c->id->auth_s <= FRESH_S)
        return true;
    lk__answer_reason(c, 401, LK_REASON_REAUTHENTICATION_REQUIRED, (lk_view){0});
    return false;
}

void lk__devices_post(lk__call *c)
{
    lk_user user;
    lk__device_plan plan = {.by_cookie = c->id->carrier == LK_CARRIER_COOKIE};
    if (!c->s->settings->device_on) {
        lk__answer_problem(c, LK_PROBLEM_RULE_BROKEN, LK_VIEW("latchkey_device is off"));
        return;
    }
    if (!lk__issue_is_safe(c) || !is_fresh(c) || !lk__device_wish_here(c, &plan))
        return;
    lk_status status = lk_accounts_get(c->s->accounts, lk_view_of(c->id->user), &user);
    if (status != LK_OK || user.state != LK_USER_ENABLED) {
        if (status == LK_FAULT)
            lk__answer_unavailable(c);
        else
            lk__answer_unauthorized(c);
        return;
    }
    lk__issue want = {.user = &user,
                      .kind = c->id->kind,
                      .carrier = c->id->carrier,
                      .remember = (c->id->flags & LK_SESSION_REMEMBER) != 0,
                      .scope = lk_view_of(c->id->scope),
                      .plan = &plan,
                      .recheck = true};
    if (lk__issue_and_answer(c, &want, lk__path(c, "/account#devices")))
        lk__audit(c, "device_registered", LK_REASON_NONE, c->res->status, (lk_view){0}, c->id);
    lk__device_plan_wipe(&plan);
}

/* ---- apps ---- */

void lk__device_challenge(lk__call *c)
{
    lk_view device;
    if (!lk__body_need(c, LK_VIEW("device"), &device))
        return;
    lk_buf challenge = lk__arena_buf(c->arena, LK_CHALLENGE_MAX), body = lk__arena_buf(c->arena, 256);
    lk_status status = lk_challenge_make(c->s->env, lk_guard_parts_of(c->s->guard)->ring, device, &challenge);
    if (status == LK_REFUSED) {
        lk__answer_problem(c, LK_PROBLEM_RULE_BROKEN, LK_VIEW("device is the id of a device: 16 characters"));
        return;
    }
    if (status != LK_OK) {
        lk__answer_unavailable(c);
        return;
    }
    lk_buf_add_text(&body, "{\"challenge\":\"");
    lk_buf_add(&body, lk_buf_view(&challenge));
    lk_buf_add_printf(&body, "\",\"expires_in\":%d}", LK_CHALLENGE_LIFE_S);
    lk__answer(c, 200, "application/json", &body);
}

static bool read_kind(lk__call *c, lk_kind *kind)
{
    lk_view word;
    lk_status status = lk__body_text(c, LK_VIEW("credential"), &word);
    *kind = lk_way_credential(lk_way_of_settings(c->s->settings));
    if (status == LK_MISS)
        return true;
    if (status == LK_OK && lk_view_equal(word, LK_VIEW("session"))) {
        *kind = *kind == LK_KIND_SEALED ? LK_KIND_SEALED : LK_KIND_SESSION_ID;
        return true;
    }
    if (status == LK_OK && lk_kind_of(word, kind) == LK_OK &&
        (*kind == LK_KIND_SEALED || *kind == LK_KIND_TOKEN || *kind == LK_KIND_JWT))
        return true;
    lk__answer_problem(c, LK_PROBLEM_RULE_BROKEN,
                       LK_VIEW("credential is one of session, sealed, token and jwt"));
    return false;
}

static bool read_proof(lk__call *c, lk_device_proof *proof)
{
    if (lk__body_text(c, LK_VIEW("device_token"), &proof->text) == LK_OK && proof->text.len > 0)
        return true;
    if (lk__body_text(c, LK_VIEW("device"), &proof->id) == LK_OK &&
        lk__body_text(c, LK_VIEW("challenge"), &proof->challenge) == LK_OK &&
        lk__body_text(c, LK_VIEW("signature"), &proof->signature) == LK_OK)
        return true;
    lk__answer_problem(c, LK_PROBLEM_RULE_BROKEN,
                       LK_VIEW("send device_token, or device, challenge and signature"));
    return false;
}

static void answer_session(lk__call *c, const lk_device_session *got)
{
    lk__device_plan plan = {.in_use = true, .device = got->device};
    c->plan = &plan;
    lk__answer_issued(c, &got->user, &got->issued, true);
    c->plan = NULL;
}

/* One answer to every device that is not let in, whatever the cause: it is said in the audit log. */
static void answer_refused(lk__call *c, lk_reason why)
{
    lk_guard_count(c->s->guard, LK_COUNT_LOGINS_FAILED);
    lk__audit(c, "device_refused", why, 401, (lk_view){0}, NULL);
    lk__answer_reason(c, 401, LK_REASON_BAD_CREDENTIALS,
                      LK_VIEW("The device is not known, or is logged out."));
}

void lk__device_session(lk__call *c)
{
    lk_device_proof proof = {0};
    lk_device_ask ask = {
        .proof = &proof, .agent = lk__agent_kept(c), .address = c->req->address, .presented = &c->presented};
    if (!c->s->settings->device_on) {
        lk__answer_problem(c, LK_PROBLEM_RULE_BROKEN, LK_VIEW("latchkey_device is off"));
        return;
    }
    if (!lk__issue_is_safe(c) || !read_proof(c, &proof) || !read_kind(c, &ask.kind))
        return;
    lk_device_session *got = lk__arena_take(c->arena, sizeof(*got));
    switch (got == NULL ? LK_FAULT : lk_guard_device_session(c->s->guard, c->s->accounts, &ask, got)) {
    case LK_OK:
        lk_guard_count(c->s->guard, LK_COUNT_LOGINS);
        lk__audit(c, "device_login", LK_REASON_NONE, 200, lk_view_of(got->user.id), NULL);
        answer_session(c, got);
        return;
    case LK_REFUSED:
        answer_refused(c, got->why);
        return;
    case LK_FULL:
        if (got->issued.why == LK_REASON_SESSION_LIMIT) {
            lk__answer_reason(c, 409, LK_REASON_SESSION_LIMIT, (lk_view){0});
            return;
        }
        break;
    case LK_MISS:
    case LK_STALE:
    case LK_FAULT:
        break;
    }
    lk__answer_unavailable(c);
}
