/* SPDX-License-Identifier: Apache-2.0
 *
 * session_data.c - GET and PATCH /session/data: the fields of a session, changed by merge patch (RFC 7396).
 *
 * Writers of different fields never meet: each field is an operation of its own on the newest record. Writers
 * of different members of one field do: the field is merged and written back only if it is still what was
 * read (LK_OP_COMPARE_SET); who comes second reads again. Nothing acknowledged is lost. Inside this process
 * such writers of one session take turns, or the slowest of many would never get through; so a second attempt
 * is for other processes.
 */
#include "service/call.h"
#include "service/merge.h"
#include "service/text.h"

#include "carrier/carrier.h"

#include <time.h>

#define TRIES 100      /* rounds against other processes; in each of them one writer gets through */
#define EAGER_TRIES 10 /* without waiting: the fresh read is the best chance there is */

/* The session as it is now, with the memory it lives in. */
typedef struct current {
    lk_session session;
    uint8_t *record;
} current;

static lk_status load(lk__call *c, current *now)
{
    lk_reason why;
    if (now->record == NULL)
        now->record = lk__arena_take(c->arena, LK_RECORD_MAX);
    if (now->record == NULL)
        return LK_FAULT;
    return lk_guard_session(c->s->guard, &c->presented, c->id, now->record, &now->session, &why);
}

static void answer_data(lk__call *c, lk_view fields, uint32_t revision)
{
    lk_buf body = lk__arena_buf(c->arena, fields.len * 2 + 512);
    lk_buf etag = lk__arena_buf(c->arena, 16);
    lk_field field;
    bool first = true;
    lk_buf_add_byte(&body, '{');
    for (size_t at = 0; lk_fields_next(fields, &at, &field);) {
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

/* The session was there a moment ago: it ended meanwhile, or the store is away. */
static void answer_lost(lk__call *c, lk_status status)
{
    if (status != LK_MISS && status != LK_STALE) {
        lk__answer_unavailable(c);
        return;
    }
    c->id->reason = (c->id->flags & LK_SESSION_ENDING) != 0 ? LK_REASON_REPLACED : LK_REASON_REVOKED;
    lk__answer_unauthorized(c);
}

/* A credential in a header that is no good is told so; a cookie that is no good is one of a visitor whose
 * session is over, and who may start a new one. */
static bool has_bad_header(const lk__call *c)
{
    const lk_presented *p = &c->req->presented;
    lk_view value;
    return !c->id->has_session && (lk_bearer_find(p->authorization, p->authorization_n, &value) != LK_MISS ||
                                   lk_header_find(p->header, p->header_n, &value) != LK_MISS);
}

void lk__data_get(lk__call *c)
{
    current now = {.record = NULL};
    if (has_bad_header(c)) {
        lk__answer_unauthorized(c);
        return;
    }
    if (!c->id->has_session) {
        answer_data(c, (lk_view){0}, 0);
        return;
    }
    lk_status status = load(c, &now);
    if (status == LK_OK)
        answer_data(c, now.session.fields, now.session.revision);
    else
        answer_lost(c, status);
}

/* Does If-Match name REVISION? RFC 9110 section 13.1.1: a list of entity tags or '*'; weak ones never
 * match. */
static bool if_match_has(lk_view if_match, uint32_t revision)
{
    uint8_t memory[16];
    lk_buf etag = lk_buf_over(memory, sizeof(memory));
    lk_buf_add_printf(&etag, "\"%u\"", revision);
    while (if_match.len > 0) {
        size_t end = lk_view_find(if_match, ',');
        lk_view tag = lk_view_trim(lk_view_part(if_match, 0, end));
        if_match = lk_view_part(if_match, end + 1, if_match.len);
        if (lk_view_equal(tag, lk_buf_view(&etag)) || (revision > 0 && lk_view_equal(tag, LK_VIEW("*"))))
            return true;
    }
    return false;
}

static void answer_mismatch(lk__call *c)
{
    lk__answer_problem(c, LK_PROBLEM_REVISION_MISMATCH,
                       LK_VIEW("If-Match names another revision than the one that is there now: read again"));
}

/* A full session is the client's to solve, a full store is not: which of the two is it? */
static void answer_full(lk__call *c, const current *now, const lk_op *ops, size_t n)
{
    lk_note note = {{0}};
    lk_buf out = lk__arena_buf(c->arena, LK_FIELDS_BYTES_MAX + 1024);
    if (!lk__arena_failed(c->arena) && lk_fields_apply(now->session.fields, ops, n, &out, &note) == LK_FULL)
        lk__answer_problem(c, LK_PROBLEM_RULE_BROKEN, lk__arena_copy(c->arena, lk_view_of(note.text)));
    else
        lk__answer_unavailable(c);
}

/* After many rounds fall out of step with whoever keeps being faster. */
static void step_aside(lk__call *c, int try)
{
    uint8_t random = 0;
    if (try < EAGER_TRIES || lk_random(c->s->env, &random, 1) != LK_OK)
        return;
    struct timespec wait = {.tv_nsec = (long)random * 4000};
    (void)nanosleep(&wait, NULL);
}

/* Is a member of PATCH merged into what is there? */
static bool merges(lk_view patch)
{
    lk_json_item item;
    for (size_t at = 0; lk_json_next(patch, &at, &item);) {
        if (item.type == LK_JSON_OBJECT)
            return true;
    }
    return false;
}

/* One attempt: read, merge, write if nothing it was merged into has changed. LK_REFUSED: somebody was faster,
 * try again. With any other status the call is answered. */
static lk_status change_once(lk__call *c, current *now, lk__arena *scratch, lk_view if_match)
{
    lk_op *ops;
    size_t n;
    lk_note note = {{0}};
    lk_issued again = {.len = 0};
    uint32_t revision = now->session.revision;
    if (if_match.len > 0 && !if_match_has(if_match, revision)) {
        answer_mismatch(c);
        return LK_OK;
    }
    lk_status status = lk__merge_ops(now->session.fields, c->req->body, scratch, &ops, &n, &note);
    if (status == LK_REFUSED || (status == LK_FULL && !lk__arena_failed(scratch))) {
        lk__answer_problem(c, LK_PROBLEM_RULE_BROKEN, lk__arena_copy(c->arena, lk_view_of(note.text)));
        return LK_OK;
    }
    if (status == LK_OK && n > 0)
        status = lk_guard_change(c->s->guard, &c->presented, c->id, if_match.len > 0 ? revision : 0, ops, n,
                                 &revision, &again, &note);
    if (status == LK_OK && again.len > 0)
        status = lk__answer_again(c, &again);
    lk_issued_wipe(&again);
    /* There is no store that could be full of a sealed session. */
    if (status == LK_FULL && c->id->kind == LK_KIND_SEALED)
        lk__answer_problem(c, LK_PROBLEM_RULE_BROKEN, lk__arena_copy(c->arena, lk_view_of(note.text)));
    else if (status == LK_FULL)
        answer_full(c, now, ops, n);
    /* What is answered is what is there now: with what others have written since, and its own tag. */
    if (status == LK_OK)
        status = load(c, now);
    if (status == LK_OK)
        answer_data(c, now->session.fields, now->session.revision);
    if (status == LK_MISS || status == LK_STALE || status == LK_FAULT)
        answer_lost(c, status);
    return status;
}

static lk_status attempt(lk__call *c, current *now, lk_view if_match)
{
    lk__arena *scratch = lk__arena_new(c->s->env); /* a hundred attempts would fill the response's own */
    lk_status status = scratch == NULL ? LK_FAULT : load(c, now);
    if (status == LK_OK)
        status = change_once(c, now, scratch, if_match);
    else
        answer_lost(c, status);
    lk__arena_free(scratch);
    return status;
}

static lk_status write_in_turn(lk__call *c, current *now, lk_view if_match)
{
    lk_status status = LK_REFUSED;
    pthread_mutex_t *turn = &c->s->stripes[c->id->key.bytes[0] % LK_SERVICE_STRIPES];
    bool take_turns = merges(c->req->body);
    if (take_turns)
        pthread_mutex_lock(turn);
    for (int try = 0; try < TRIES && status == LK_REFUSED; try++) {
        status = attempt(c, now, if_match);
        if (status == LK_REFUSED)
            step_aside(c, try);
    }
    if (take_turns)
        pthread_mutex_unlock(turn);
    return status;
}

/* The visitor's first field: a session nobody logged in, and its cookie. */
static bool begin_session(lk__call *c)
{
    lk_issued issued;
    lk_identity *id = c->id;
    if (!lk__issue_is_safe(c))
        return false;
    if (lk_guard_issue_anonymous(c->s->guard, lk__agent_kept(c), c->req->address, &issued, NULL) != LK_OK) {
        lk__answer_unavailable(c);
        return false;
    }
    bool good = lk__answer_again(c, &issued) == LK_OK;
    id->has_session = true;
    id->kind = issued.kind;
    id->carrier = LK_CARRIER_COOKIE;
    id->flags = LK_SESSION_ANONYMOUS;
    id->key = issued.key;
    id->generation = issued.generation;
    id->issued_s = issued.issued_s;
    id->ends_s = issued.ends_s;
    id->expires_s = issued.expires_s;
    lk_public_id_write(&issued.key, id->public_id);
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
    lk_op *ops;
    size_t n;
    lk_note note = {{0}};
    lk_buf fields = lk__arena_buf(c->arena, LK_FIELDS_BYTES_MAX + 1024);
    if (c->req->if_match.len > 0 && !if_match_has(c->req->if_match, 0)) {
        answer_mismatch(c);
        return false;
    }
    lk_status status = lk__merge_ops((lk_view){0}, c->req->body, c->arena, &ops, &n, &note);
    if (status == LK_OK)
        status = lk_fields_apply((lk_view){0}, ops, n, &fields, &note);
    if (lk__arena_failed(c->arena))
        lk__answer_unavailable(c);
    else if (status != LK_OK)
        lk__answer_problem(c, LK_PROBLEM_RULE_BROKEN, lk__arena_copy(c->arena, lk_view_of(note.text)));
    else if (fields.len == 0)
        answer_data(c, (lk_view){0}, 0);
    else
        return true;
    return false;
}

void lk__data_patch(lk__call *c)
{
    current now = {.record = NULL};
    if (has_bad_header(c)) {
        lk__answer_unauthorized(c);
        return;
    }
    if (!read_patch(c))
        return;
    /* A session made in this call is seen by nobody else yet: the condition was checked before. */
    lk_view if_match = c->id->has_session ? c->req->if_match : (lk_view){0};
    if (!c->id->has_session && (!may_begin(c) || !begin_session(c)))
        return;
    if (write_in_turn(c, &now, if_match) != LK_REFUSED)
        return;
    lk__answer_retry_after(c, 1);
    lk__answer_problem(c, LK_PROBLEM_CONFLICT, LK_VIEW("nothing was changed; send the patch again"));
}
