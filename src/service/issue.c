/* SPDX-License-Identifier: Apache-2.0
 *
 * issue.c - handing out what a login made: a cookie, or a token in the body, never both.
 */
#include "service/call.h"
#include "service/devices.h"
#include "service/text.h"

#include "carrier/link.h"

bool lk__issue_is_safe(lk__call *c)
{
    bool https = lk_view_equal(c->req->scheme, LK_VIEW("https"));
    if (!c->s->settings->cookie_secure || https)
        return true;
    /* SECURITY-RULES 43: what is meant for https is never sent over http, where everybody on the way reads
     * it, password included. The browser would drop the Secure cookie anyway, and nobody would know why. */
    lk__answer_problem(
        c, LK_PROBLEM_INSECURE_TRANSPORT,
        LK_VIEW("This site's cookie is Secure, but the request came over plain http. Use https; "
                "behind a proxy that ends TLS, set latchkey_tls_proxy on; for a trial on this "
                "machine set latchkey_cookie latchkey secure=off."));
    return false;
}

lk_view lk__agent_kept(lk__call *c)
{
    lk_buf out = lk__arena_buf(c->arena, LK_AGENT_MAX);
    lk__ascii_add(&out, c->req->user_agent, LK_AGENT_MAX);
    return lk_buf_view(&out);
}

void lk__json_user(lk_buf *out, lk_view id, lk_view name, lk_view roles)
{
    lk_view word;
    bool first = true;
    lk_buf_add_text(out, "{\"id\":");
    lk__json_add(out, id);
    lk_buf_add_text(out, ",\"name\":");
    lk__json_add(out, name);
    lk_buf_add_text(out, ",\"roles\":[");
    while (lk_words_next(&roles, &word)) {
        if (!first)
            lk_buf_add_byte(out, ',');
        lk__json_add(out, word);
        first = false;
    }
    lk_buf_add_text(out, "]}");
}

void lk__answer_issued(lk__call *c, const lk_user *user, const lk_issued *issued, bool in_body)
{
    char public_id[LK_PUBLIC_ID_LEN + 1];
    lk_buf body = lk__arena_buf(c->arena, 4096 + issued->len);
    lk_public_id_write(&issued->key, public_id);
    lk_buf_add_text(&body, "{\"user\":");
    lk__json_user(&body, lk_view_of(user->id), lk_view_of(user->name), lk_view_of(user->roles));
    lk_buf_add_printf(&body, ",\"session\":{\"public_id\":\"%s\",\"created\":", public_id);
    lk_buf_add_i64(&body, issued->created_s);
    lk_buf_add_text(&body, ",\"expires\":");
    lk_buf_add_i64(&body, issued->expires_s);
    lk_buf_add_text(&body, ",\"idle_expires\":");
    lk_buf_add_i64(&body, issued->ends_s);
    lk_buf_add_byte(&body, '}');
    /* Where the carrier is a cookie the credential is in no body, so that no script can read it. */
    if (in_body) {
        lk_buf_add_text(&body, ",\"token\":");
        lk__json_add(&body, lk_view_make(issued->text, issued->len));
        lk_buf_add_text(&body, issued->bound ? ",\"token_type\":\"DPoP\"" : ",\"token_type\":\"Bearer\"");
        lk_buf_add_text(&body, ",\"expires_in\":");
        int64_t ends_s = issued->token_ends_s > 0 ? issued->token_ends_s : issued->expires_s;
        lk_buf_add_i64(&body, ends_s - lk_now_s(lk_guard_parts_of(c->s->guard)->env));
        if (issued->refresh.len > 0) {
            lk_buf_add_text(&body, ",\"refresh_token\":");
            lk__json_add(&body, lk_refresh_view(&issued->refresh));
        }
    }
    if (c->plan != NULL)
        lk__device_json(c->plan, &body);
    lk_buf_add_byte(&body, '}');
    lk__answer(c, 200, "application/json", &body);
}

/* The cookie of a fresh login. What cannot be carried is ended again: nobody could ever use it. */
static bool carry_by_cookie(lk__call *c, const lk__issue *want, const lk_issued *issued)
{
    lk_status status = lk__answer_session_cookie(c, issued);
    if (status == LK_OK)
        return true;
    if (lk_guard_end(c->s->guard, lk_view_of(want->user->realm), &issued->key, LK_REASON_REVOKED) != LK_OK ||
        lk__arena_failed(c->arena))
        lk__answer_unavailable(c);
    else
        lk__answer_problem(
            c, LK_PROBLEM_RULE_BROKEN,
            LK_VIEW("this credential does not fit into a cookie of 4096 bytes; ask for carrier "
                    "header"));
    return false;
}

/* Is the account still as it was when its password was proven? A password change, a ban or a removal ends the
 * user's sessions, but not one that is written a moment later. LK_OK, LK_REFUSED, LK_FAULT. */
static lk_status recheck(lk__call *c, const lk_user *user)
{
    lk_user now;
    lk_status status = lk_accounts_get(c->s->accounts, lk_view_of(user->id), &now);
    if (status == LK_MISS)
        return LK_REFUSED;
    if (status != LK_OK)
        return LK_FAULT;
    return now.state == LK_USER_ENABLED && now.changed_s == user->changed_s ? LK_OK : LK_REFUSED;
}

/* Make the credential. On anything but LK_OK nothing is left of it. */
static lk_status make(lk__call *c, const lk__issue *want, lk_issued *issued)
{
    lk_login login = {.user = lk_view_of(want->user->id),
                      .name = lk_view_of(want->user->name),
                      .realm = lk_view_of(want->user->realm),
                      .roles = lk_view_of(want->user->roles),
                      .scope = want->scope,
                      .device = want->device,
                      .bound = want->bound,
                      .device_class = want->device_class,
                      .agent = lk__agent_kept(c),
                      .address = c->req->address,
                      .remember = want->remember,
                      .renews = want->kind == LK_KIND_JWT && want->carrier == LK_CARRIER_COOKIE &&
                                lk_way_of_settings(c->s->settings) == LK_WAY_TOKEN,
                      .refreshes = (want->kind == LK_KIND_JWT || want->kind == LK_KIND_TOKEN) &&
                                   want->carrier == LK_CARRIER_HEADER && c->s->settings->refresh};
    if (lk__arena_failed(c->arena))
        return LK_FAULT;
    if (want->plan != NULL)
        lk__device_fill(want->plan, &login);
    lk_status status = lk_guard_issue(c->s->guard, want->kind, &login, &c->presented,
                                      c->id->has_session ? c->id : NULL, issued, NULL);
    if (status != LK_OK || !want->recheck)
        return status;
    status = recheck(c, want->user);
    if (status != LK_OK && lk_guard_end(c->s->guard, login.realm, &issued->key, LK_REASON_REVOKED) != LK_OK)
        status = LK_FAULT;
    return status;
}

/* Devices whose sessions this one ended are given none by themselves. If that cannot be written it is not
 * issued: they would come back and put it out. */
static lk_status put_devices_out(lk__call *c, const lk__issue *want, lk_issued *issued)
{
    lk_status status = lk_guard_devices_put_out(c->s->guard, c->s->accounts, lk_view_of(want->user->id));
    if (status == LK_OK)
        return LK_OK;
    (void)!lk_guard_end(c->s->guard, lk_view_of(want->user->realm), &issued->key, LK_REASON_REVOKED);
    lk_issued_wipe(issued);
    return LK_FAULT;
}

/* The device first: its session is named by it. */
static lk_status make_on_device(lk__call *c, const lk__issue *want, lk_issued *issued)
{
    *issued = (lk_issued){.len = 0};
    lk_status status = want->plan == NULL ? LK_OK : lk__device_begin(c, want->plan, want->user);
    if (status == LK_OK)
        status = make(c, want, issued);
    if (status == LK_OK)
        status = put_devices_out(c, want, issued);
    if (status != LK_OK && want->plan != NULL)
        lk__device_undo(c, want->plan);
    return status;
}

lk_status lk__issue_again(lk__call *c)
{
    const lk_identity *id = c->id;
    lk_issued issued = {.len = 0};
    lk_user user;
    lk__device_plan plan = {.keep = lk__arena_copy(c->arena, lk_view_of(id->device)), .by_cookie = true};
    lk_login login = {.user = lk_view_of(id->user),
                      .name = lk_view_of(id->name),
                      .realm = lk_view_of(id->realm),
                      .roles = lk_view_of(id->roles),
                      .scope = lk_view_of(id->scope),
                      .agent = lk__agent_kept(c),
                      .address = c->req->address,
                      .remember = (id->flags & LK_SESSION_REMEMBER) != 0};
    if (lk__arena_failed(c->arena))
        return LK_FAULT;
    /* The device goes on with it: it is vouched for after the cut-off that ended the others. */
    lk_status status = lk_accounts_get(c->s->accounts, login.user, &user);
    if (status == LK_OK)
        status = lk__device_begin(c, &plan, &user);
    lk__device_fill(&plan, &login);
    if (status == LK_OK)
        status = lk_guard_issue(c->s->guard, id->kind, &login, &c->presented, id, &issued, NULL);
    if (status == LK_OK)
        status = lk__answer_again(c, &issued);
    lk_issued_wipe(&issued);
    lk__device_plan_wipe(&plan);
    return status == LK_OK || status == LK_FULL ? status : LK_FAULT;
}

/* RETURN_TO, which is a place of ours, with the id of the new session in its path. */
static lk_view with_id(lk__call *c, lk_view return_to, const lk_issued *issued)
{
    lk_links links;
    lk_buf out = lk__arena_buf(c->arena, return_to.len + 64);
    if (lk_links_init(&links, (lk_view){0}, LK_VIEW("/"), lk_view_make(issued->text, issued->len)) == LK_OK)
        (void)lk_links_add(&links, return_to, &out);
    lk_wipe(&links, sizeof(links));
    return lk_buf_view(&out);
}

bool lk__issue_and_answer(lk__call *c, const lk__issue *want, lk_view return_to)
{
    lk_issued issued;
    bool good = false;
    lk_status status = make_on_device(c, want, &issued);
    if (status == LK_REFUSED) {
        lk_guard_count(c->s->guard, LK_COUNT_LOGINS_FAILED);
        lk__audit(c, "login_failed", LK_REASON_BAD_CREDENTIALS, 401, lk_view_of(want->user->id), NULL);
        lk__answer_reason(c, 401, LK_REASON_BAD_CREDENTIALS, (lk_view){0});
        goto out;
    }
    if (status == LK_FULL && issued.why == LK_REASON_SESSION_LIMIT) {
        lk_guard_count(c->s->guard, LK_COUNT_LOGINS_FAILED);
        lk__audit(c, "login_failed", issued.why, 409, lk_view_of(want->user->id), NULL);
        lk__answer_reason(c, 409, issued.why, (lk_view){0});
        goto out;
    }
    if (status != LK_OK) {
        lk__answer_unavailable(c);
        goto out;
    }
    good = want->carrier != LK_CARRIER_COOKIE || carry_by_cookie(c, want, &issued);
    c->plan = want->plan;
    good = good && (c->plan == NULL || lk__device_carry(c, c->plan));
    if (good && c->page)
        lk__answer_redirect(c, 303,
                            want->carrier == LK_CARRIER_URL ? with_id(c, return_to, &issued) : return_to);
    else if (good)
        lk__answer_issued(c, want->user, &issued, want->carrier != LK_CARRIER_COOKIE);
out:
    lk_issued_wipe(&issued);
    return good;
}
