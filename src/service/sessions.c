/* SPDX-License-Identifier: Apache-2.0
 *
 * sessions.c - my sessions: list them, end one, end the others.
 */
#include "service/sessions.h"

#include "service/agent.h"
#include "service/devices.h"
#include "service/text.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

typedef struct listing {
    lk__call *c;
    lk__session_list *list;
} listing;

static void copy(char *out, size_t cap, lk_view v)
{
    size_t n = v.len < cap - 1 ? v.len : cap - 1;
    if (n > 0)
        memcpy(out, v.p, n);
    out[n] = '\0';
}

static void fill_row(const lk__call *c, const lk_session *s, lk__session_row *row)
{
    lk_public_id_write(&s->key, row->public_id);
    row->is_current = lk_view_equal(lk_view_of(row->public_id), lk_view_of(c->id->public_id));
    row->flags = s->flags;
    row->created_s = s->created_s;
    row->issued_s = s->issued_s;
    /* The record is written by tenths of the idle time; of the session that asks we know better. */
    row->seen_s = row->is_current && c->id->seen_s > s->seen_s ? c->id->seen_s : s->seen_s;
    row->ends_s = row->is_current ? c->id->ends_s : lk_session_ends_s(s);
    row->expires_s = s->expires_s;
    copy(row->agent, sizeof(row->agent), s->agent);
    copy(row->address, sizeof(row->address), s->address);
    copy(row->device, sizeof(row->device), s->device);
}

static bool take_row(void *context, const lk_session *s)
{
    listing *l = context;
    lk_reason why;
    if ((s->flags & (LK_SESSION_ENDING | LK_SESSION_API_KEY)) != 0 ||
        lk_session_alive(s, l->c->now_ms / 1000, &why) != LK_OK)
        return true;
    if (l->list->n == LK_SESSIONS_PAGE)
        return false;
    fill_row(l->c, s, &l->list->rows[l->list->n++]);
    return true;
}

static int by_use(const void *a, const void *b)
{
    const lk__session_row *x = a, *y = b;
    if (x->is_current != y->is_current)
        return x->is_current ? -1 : 1;
    return x->seen_s > y->seen_s ? -1 : x->seen_s < y->seen_s;
}

/* A sealed session is in no store: of those of the user only the one that asks is known. */
static lk_status add_sealed(lk__call *c, lk__session_list *out)
{
    lk_session s;
    lk_reason why;
    uint8_t *buf = lk__arena_take(c->arena, LK_SESSION_ROOM);
    lk_status status =
        buf == NULL ? LK_FAULT : lk_guard_session(c->s->guard, &c->presented, c->id, buf, &s, &why);
    if (status != LK_OK)
        return status == LK_FAULT ? LK_FAULT : LK_OK;
    if (out->n == LK_SESSIONS_PAGE)
        out->n--;
    fill_row(c, &s, &out->rows[out->n++]);
    return LK_OK;
}

lk_status lk__sessions_load(lk__call *c, uint64_t cursor, lk__session_list *out)
{
    *out = (lk__session_list){.next = cursor};
    out->rows = lk__arena_take(c->arena, LK_SESSIONS_PAGE * sizeof(lk__session_row));
    if (out->rows == NULL)
        return LK_FAULT;
    listing l = {c, out};
    lk_status status =
        lk_store_list_by_user(lk_guard_parts_of(c->s->guard)->store, lk_view_of(c->id->realm),
                              lk_view_of(c->id->user), &out->next, LK_SESSIONS_PAGE, take_row, &l);
    if (status == LK_OK && c->id->kind == LK_KIND_SEALED && cursor == 0)
        status = add_sealed(c, out);
    if (status == LK_OK && out->n > 1)
        qsort(out->rows, out->n, sizeof(out->rows[0]), by_use);
    return status;
}

/* Load the session with the public id PUBLIC_ID if it is one of the user who asks. LK_OK; LK_MISS for any
 * other: whose it is, is told to nobody; LK_FAULT. */
static lk_status load_own(lk__call *c, lk_view public_id, lk_session_key *key, lk__session_row *row)
{
    lk_session s;
    lk_reason why;
    if (lk_public_id_read(public_id, key) != LK_OK)
        return LK_MISS;
    bool is_current = lk_view_equal(public_id, lk_view_of(c->id->public_id));
    uint8_t *buf = lk__arena_take(c->arena, LK_SESSION_ROOM);
    lk_status status = LK_FAULT;
    if (buf != NULL && is_current)
        status = lk_guard_session(c->s->guard, &c->presented, c->id, buf, &s, &why);
    else if (buf != NULL)
        status = lk_guard_record(c->s->guard, key, buf, &s, &why);
    if (status == LK_MISS || status == LK_STALE)
        return LK_MISS;
    if (status != LK_OK)
        return LK_FAULT;
    if ((s.flags & LK_SESSION_API_KEY) != 0 || !lk_view_equal(s.user, lk_view_of(c->id->user)) ||
        !lk_view_equal(s.realm, lk_view_of(c->id->realm)))
        return LK_MISS;
    fill_row(c, &s, row);
    return LK_OK;
}

lk_view lk__time_text(lk__call *c, int64_t at_s)
{
    lk_buf out = lk__arena_buf(c->arena, 32);
    time_t at = (time_t)at_s;
    struct tm tm;
    if (gmtime_r(&at, &tm) != NULL)
        lk_buf_add_printf(&out, "%04d-%02d-%02d %02d:%02d UTC", tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday,
                          tm.tm_hour, tm.tm_min);
    return lk_buf_view(&out);
}

static void write_row(lk_buf *out, const lk__session_row *row)
{
    lk_view agent = lk_view_of(row->agent);
    lk_buf_add_printf(out, "{\"public_id\":\"%s\",\"current\":%s,\"credential\":\"%s\",\"created\":%lld,",
                      row->public_id, row->is_current ? "true" : "false",
                      (row->flags & LK_SESSION_TOKEN) != 0 ? "token" : "session", (long long)row->created_s);
    lk_buf_add_printf(out, "\"issued\":%lld,\"seen\":%lld,\"idle_expires\":%lld,\"expires\":%lld,",
                      (long long)row->issued_s, (long long)row->seen_s, (long long)row->ends_s,
                      (long long)row->expires_s);
    lk_buf_add_printf(out, "\"browser\":\"%s\",\"system\":\"%s\",\"agent\":", lk__agent_browser(agent),
                      lk__agent_system(agent));
    lk__json_add(out, agent);
    lk_buf_add_text(out, ",\"address\":");
    lk__json_add(out, lk_view_of(row->address));
    lk_buf_add_text(out, ",\"device\":");
    lk__json_add(out, lk_view_of(row->device));
    lk_buf_add_byte(out, '}');
}

void lk__sessions_get(lk__call *c)
{
    lk__session_list list;
    int64_t cursor = 0;
    if (c->page) {
        lk__answer_redirect(c, 303, lk__path(c, "/account"));
        return;
    }
    lk_view text = lk__query_text(c, LK_VIEW("cursor"));
    if (text.len > 0 && lk_parse_i64(text, &cursor) != LK_OK) {
        lk__answer_problem(c, LK_PROBLEM_RULE_BROKEN,
                           LK_VIEW("cursor is what `next` of the page before said"));
        return;
    }
    if (lk__sessions_load(c, (uint64_t)cursor, &list) != LK_OK) {
        lk__answer_unavailable(c);
        return;
    }
    lk_buf body = lk__arena_buf(c->arena, 256 + list.n * 2048);
    lk_buf_add_text(&body, "{\"sessions\":[");
    for (size_t i = 0; i < list.n; i++) {
        if (i > 0)
            lk_buf_add_byte(&body, ',');
        write_row(&body, &list.rows[i]);
    }
    lk_buf_add_text(&body, "],\"next\":");
    if (list.next > 0 && list.next <= INT64_MAX)
        lk_buf_add_printf(&body, "\"%llu\"}", (unsigned long long)list.next);
    else
        lk_buf_add_text(&body, "null}");
    lk__answer(c, 200, "application/json", &body);
}

/* End all but the session that asks. Where others may be sealed in cookies all end, and he gets a new one. */
static lk_status end_others(lk__call *c, uint32_t *ended)
{
    bool all = lk_guard_seals(c->s->guard);
    lk_status status = lk__devices_forget(c, lk_view_of(c->id->device));
    if (status == LK_OK)
        status = lk_guard_end_user(c->s->guard, lk_view_of(c->id->realm), lk_view_of(c->id->user),
                                   all ? NULL : &c->id->key, LK_REASON_REVOKED, ended);
    if (status == LK_OK && all)
        status = lk__issue_again(c);
    if (status == LK_OK)
        lk__audit(c, "sessions_ended", LK_REASON_REVOKED, 200, (lk_view){0}, c->id);
    return status;
}

static void answer_others_ended(lk__call *c)
{
    uint32_t ended = 0;
    /* A token that names no session has no `current` to spare. Ours all name one. */
    if (!c->id->has_session) {
        lk__answer_problem(c, LK_PROBLEM_RULE_BROKEN, LK_VIEW("this credential belongs to no session"));
        return;
    }
    if (lk_guard_seals(c->s->guard) && c->id->carrier != LK_CARRIER_COOKIE) {
        lk__answer_problem(c, LK_PROBLEM_RULE_BROKEN,
                           LK_VIEW("sessions of this site are sealed in cookies and end all at once: POST "
                                   "/auth/logout?everywhere=1, and log in again"));
        return;
    }
    if (end_others(c, &ended) != LK_OK) {
        lk__answer_unavailable(c);
        return;
    }
    if (c->page) {
        lk__answer_redirect(c, 303, lk__path(c, "/account"));
        return;
    }
    lk_buf body = lk__arena_buf(c->arena, 64);
    lk_buf_add_printf(&body, "{\"ended\":%u}", ended);
    lk__answer(c, 200, "application/json", &body);
}

void lk__sessions_end_others(lk__call *c)
{
    if (!lk_view_equal(lk__query_text(c, LK_VIEW("except")), LK_VIEW("current"))) {
        lk__answer_problem(
            c, LK_PROBLEM_RULE_BROKEN,
            LK_VIEW("say ?except=current; to end all of them, POST /auth/logout?everywhere=1"));
        return;
    }
    answer_others_ended(c);
}

void lk__sessions_post(lk__call *c)
{
    lk_view except = {0};
    if (lk__body_text(c, LK_VIEW("except"), &except) != LK_OK || !lk_view_equal(except, LK_VIEW("current"))) {
        lk__answer_problem(c, LK_PROBLEM_RULE_BROKEN, LK_VIEW("except has to be current"));
        return;
    }
    answer_others_ended(c);
}

static void answer_unknown_session(lk__call *c, lk_status status)
{
    if (status == LK_MISS)
        lk__answer_problem(c, LK_PROBLEM_NOT_FOUND, LK_VIEW("you have no live session of this id"));
    else
        lk__answer_unavailable(c);
}

void lk__session_end(lk__call *c)
{
    lk_session_key key;
    lk__session_row row;
    lk_status status = load_own(c, c->param, &key, &row);
    if (status != LK_OK) {
        answer_unknown_session(c, status);
        return;
    }
    /* Whoever signs a session out means the device that would begin the next one as well. */
    if (row.is_current)
        status = lk__device_logout(c);
    else if (row.device[0] != '\0')
        status = lk__device_forget(c, lk_view_of(c->id->user), lk_view_of(row.device), &key);
    if (status == LK_OK)
        status = row.is_current
                     ? lk_guard_end_of(c->s->guard, c->id, LK_REASON_REVOKED)
                     : lk_guard_end(c->s->guard, lk_view_of(c->id->realm), &key, LK_REASON_REVOKED);
    if (status != LK_OK) {
        lk__answer_unavailable(c);
        return;
    }
    lk__audit(c, "session_ended", LK_REASON_REVOKED, 204, (lk_view){0}, c->id);
    if (row.is_current && c->id->carrier == LK_CARRIER_COOKIE) {
        c->id->drop_cookie = true;
        if (!lk__device_drop_cookie(c))
            return;
    }
    if (c->page)
        lk__answer_redirect(c, 303, lk__path(c, row.is_current ? "/login?notice=signed_out" : "/account"));
    else
        lk__answer_empty(c, 204);
}

/* The page that asks before it ends one session; for programs the session as JSON. */
void lk__session_page(lk__call *c)
{
    lk_session_key key;
    lk__session_row row;
    lk_status status = load_own(c, c->param, &key, &row);
    if (status != LK_OK) {
        answer_unknown_session(c, status);
        return;
    }
    if (!c->page) {
        lk_buf body = lk__arena_buf(c->arena, 2048);
        write_row(&body, &row);
        lk__answer(c, 200, "application/json", &body);
        return;
    }
    lk__scope scope = {.n = 0};
    lk_buf to = lk__arena_buf(c->arena, 256);
    lk_buf_add(&to, lk__path(c, "/sessions/"));
    lk_buf_add(&to, c->param);
    lk__scope_flag(&scope, "end_one", true);
    lk__scope_text(&scope, "form_path", lk_buf_view(&to));
    lk_view browser = lk_view_of(lk__agent_browser(lk_view_of(row.agent)));
    lk_view system = lk_view_of(lk__agent_system(lk_view_of(row.agent)));
    lk__scope_flag(&scope, "known", browser.len > 0 || system.len > 0);
    lk__scope_text(&scope, "browser", browser);
    lk__scope_text(&scope, "system", system);
    lk__scope_text(&scope, "address", lk_view_of(row.address));
    lk__scope_text(&scope, "seen", lk__time_text(c, row.seen_s));
    lk__scope_flag(&scope, "is_current", row.is_current);
    lk__page(c, 200, "confirm", &scope);
}

void lk__sessions_others_page(lk__call *c)
{
    lk__scope scope = {.n = 0};
    lk__scope_flag(&scope, "end_others", true);
    lk__scope_text(&scope, "form_path", lk__path(c, "/sessions"));
    lk__page(c, 200, "confirm", &scope);
}
