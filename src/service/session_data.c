/* SPDX-License-Identifier: Apache-2.0
 *
 * session_data.c - GET and PATCH /session/data: the fields of a session, changed by merge patch (RFC 7396).
 */
#include "service/call.h"
#include "service/data_change.h"
#include "service/text.h"

#include "carrier/carrier.h"

static void answer_data(lk__call *c, lk_view fields, uint32_t revision)
{
    lk_buf body = lk__arena_buf(c->arena, fields.len * 2 + 512);
    lk_buf etag = lk__arena_buf(c->arena, 16);
    lk_field field;
    bool first = true;
    lk_buf_add_byte(&body, '{');
    for (size_t at = 0; lk_fields_next(fields, &at, &field);) {
        if (lk_field_is_ours(field.name))
            continue;
        if (!first)
            lk_buf_add_byte(&body, ',');
        first = false;
        lk__json_add(&body, field.name);
        lk_buf_add_byte(&body, ':');
        lk_buf_add(&body, field.value);
    }
    lk_buf_add_byte(&body, '}');
    lk_buf_add_printf(&etag, "\"%u\"", revision);
    lk__answer_header(c, "ETag", lk_buf_view(&etag));
    lk__answer(c, 200, "application/json", &body);
}

/* The session was there a moment ago, and ended meanwhile. */
static void answer_over(lk__call *c)
{
    c->id->reason = (c->id->flags & LK_SESSION_ENDING) != 0 ? LK_REASON_REPLACED : LK_REASON_REVOKED;
    lk__answer_unauthorized(c);
}

/* A credential in a header that is no good is told so; a cookie that is no good is one of a visitor whose
 * session is over, and who may start a new one. */
static bool has_bad_header(const lk__call *c)
{
    const lk_presented *p = &c->req->presented;
    lk_view value;
    lk_scheme scheme;
    return !c->id->has_session &&
           (lk_authorization_find(p->authorization, p->authorization_n, &scheme, &value) != LK_MISS ||
            lk_header_find(p->header, p->header_n, &value) != LK_MISS);
}

void lk__data_get(lk__call *c)
{
    lk_session now;
    lk_reason why;
    if (has_bad_header(c)) {
        lk__answer_unauthorized(c);
        return;
    }
    if (!c->id->has_session) {
        answer_data(c, (lk_view){0}, 0);
        return;
    }
    uint8_t *record = lk__arena_take(c->arena, LK_SESSION_ROOM);
    lk_status status = LK_FAULT;
    if (record != NULL)
        status = lk_guard_session(c->s->guard, &c->presented, c->id, record, &now, &why);
    if (status == LK_OK)
        answer_data(c, now.fields, now.revision);
    else if (status == LK_MISS || status == LK_STALE)
        answer_over(c);
    else
        lk__answer_unavailable(c);
}

static void answer_mismatch(lk__call *c)
{
    lk__answer_problem(c, LK_PROBLEM_REVISION_MISMATCH,
                       LK_VIEW("If-Match names another revision than the one that is there now: read again"));
}

static void answer_rule(lk__call *c, const lk_note *note)
{
    lk__answer_problem(c, LK_PROBLEM_RULE_BROKEN, lk__arena_copy(c->arena, lk_view_of(note->text)));
}

static void answer_end(lk__call *c, lk__change_end end, const lk__change *change)
{
    switch (end) {
    case LK_CHANGE_DONE:
        answer_data(c, change->now.fields, change->now.revision);
        return;
    case LK_CHANGE_BROKEN:
        answer_rule(c, change->note);
        return;
    case LK_CHANGE_MISMATCH:
        answer_mismatch(c);
        return;
    case LK_CHANGE_OVER:
        answer_over(c);
        return;
    case LK_CHANGE_CONFLICT:
        lk__answer_retry_after(c, 1);
        lk__answer_problem(c, LK_PROBLEM_CONFLICT, LK_VIEW("nothing was changed; send the patch again"));
        return;
    case LK_CHANGE_UNKNOWN:
        lk__answer_unavailable(c);
        return;
    }
}

static void change_and_answer(lk__call *c, lk_view if_match)
{
    lk_data_step step = {.verb = LK_DATA_SET, .text = c->req->body};
    lk_issued again = {.len = 0};
    lk_note note = {{0}};
    lk__change change = {.guard = c->s->guard,
                         .presented = &c->presented,
                         .id = c->id,
                         .steps = &step,
                         .n = 1,
                         .if_match = if_match,
                         .record = lk__arena_take(c->arena, LK_SESSION_ROOM),
                         .again = &again,
                         .note = &note};
    lk__change_end end = change.record == NULL ? LK_CHANGE_UNKNOWN : lk__change_run(&change);
    if (end == LK_CHANGE_DONE && again.len > 0 && lk__answer_again(c, &again) != LK_OK)
        end = LK_CHANGE_UNKNOWN;
    lk_issued_wipe(&again);
    answer_end(c, end, &change);
}

/* The visitor's first field: a session nobody logged in, and its cookie. */
static bool begin_session(lk__call *c)
{
    lk_issued issued;
    if (!lk__issue_is_safe(c))
        return false;
    if (lk_guard_issue_anonymous(c->s->guard, lk__agent_kept(c), c->req->address, &issued, NULL) != LK_OK) {
        lk__answer_unavailable(c);
        return false;
    }
    bool good = lk__answer_again(c, &issued) == LK_OK;
    lk_data_identity(&issued, c->id);
    lk_issued_wipe(&issued);
    if (!good)
        lk__answer_unavailable(c);
    return good;
}

static bool is_patch_type(lk_view content_type)
{
    lk_view type = lk__media_essence(content_type);
    return lk_view_equal_nocase(type, LK_VIEW("application/merge-patch+json")) ||
           lk_view_equal_nocase(type, LK_VIEW("application/json"));
}

/* The body as a patch: JSON, and an object, because the data of a session is one. */
static bool read_patch(lk__call *c)
{
    size_t at = 0;
    if (!is_patch_type(c->req->content_type)) {
        lk__answer_problem(c, LK_PROBLEM_UNSUPPORTED_MEDIA_TYPE,
                           LK_VIEW("send Content-Type: application/merge-patch+json or application/json"));
        return false;
    }
    if (!lk__body_is_json(c))
        return false;
    while (at < c->req->body.len && c->req->body.p[at] <= ' ')
        at++;
    if (c->req->body.p[at] != '{') {
        lk__answer_problem(c, LK_PROBLEM_RULE_BROKEN,
                           LK_VIEW("the patch has to be an object: the data of a session is one"));
        return false;
    }
    return true;
}

/* The first data of a visitor without a session. What would be refused is refused before a session is made,
 * and a patch that sets nothing begins none. */
static bool may_begin(lk__call *c)
{
    lk_note note = {{0}};
    lk_data_step step = {.verb = LK_DATA_SET, .text = c->req->body};
    lk_buf fields = lk__arena_buf(c->arena, LK_FIELDS_BYTES_MAX + 1024);
    if (c->req->if_match.len > 0 && !lk__if_match_has(c->req->if_match, 0)) {
        answer_mismatch(c);
        return false;
    }
    lk_status status = lk__change_plan((lk_view){0}, &step, 1, c->arena, NULL, NULL, &fields, &note);
    if (status == LK_FAULT || lk__arena_failed(c->arena))
        lk__answer_unavailable(c);
    else if (status != LK_OK)
        answer_rule(c, &note);
    else if (fields.len == 0)
        answer_data(c, (lk_view){0}, 0);
    else
        return true;
    return false;
}

void lk__data_patch(lk__call *c)
{
    if (has_bad_header(c)) {
        lk__answer_unauthorized(c);
        return;
    }
    if (!read_patch(c))
        return;
    /* A session made in this call is seen by nobody else yet: the condition was checked before. */
    lk_view if_match = c->id->has_session ? c->req->if_match : (lk_view){0};
    if (c->id->has_session || (may_begin(c) && begin_session(c)))
        change_and_answer(c, if_match);
}
