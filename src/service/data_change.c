/* SPDX-License-Identifier: Apache-2.0
 *
 * data_change.c - read, plan, write; again if somebody was faster.
 *
 * Writers of different fields never meet: each field is an operation of its own on the newest record. Writers
 * of different members of one field do: the field is written back only if it is still what the plan was made
 * from (LK_OP_COMPARE_SET); who comes second reads again. Nothing acknowledged is lost. Inside this process
 * such writers of one session take turns, or the slowest of many would never get through; so a second attempt
 * is for other processes.
 */
#include "service/data_change.h"
#include "service/arena.h"
#include "service/merge.h"

#include <pthread.h>
#include <string.h>
#include <time.h>

#define TRIES 100      /* rounds against other processes; in each of them one writer gets through */
#define EAGER_TRIES 10 /* without waiting: the fresh read is the best chance there is */
#define STRIPES 64

/* One change with a plan at a time per session (or some that share its first byte) in this process. */
static pthread_mutex_t turns[STRIPES] = {[0 ... STRIPES - 1] = PTHREAD_MUTEX_INITIALIZER};

bool lk__if_match_has(lk_view if_match, uint32_t revision)
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

/* The operations of one step behind those of the steps before it. */
static lk_status plan_step(lk_view fields, const lk_data_step *step, lk__arena *arena, lk_op *ops, size_t *n,
                           lk_note *note)
{
    lk_op *more;
    size_t more_n;
    lk_status status = step->verb == LK_DATA_ADD
                           ? lk__add_ops(fields, step->text, arena, &more, &more_n, note)
                           : lk__merge_ops(fields, step->text, arena, &more, &more_n, note);
    if (status != LK_OK)
        return status;
    if (more_n > LK_FIELDS_MAX - *n) {
        lk_note_set(note, "one request changes at most %d fields", LK_FIELDS_MAX);
        return LK_FULL;
    }
    if (more_n > 0)
        memcpy(ops + *n, more, more_n * sizeof(lk_op));
    *n += more_n;
    return LK_OK;
}

lk_status lk__change_plan(lk_view fields, const lk_data_step *steps, size_t n, lk__arena *arena, lk_op **ops,
                          size_t *ops_n, lk_buf *out, lk_note *note)
{
    lk_op *all = lk__arena_take(arena, LK_FIELDS_MAX * sizeof(lk_op));
    size_t all_n = 0, from = 0;
    lk_status status = all == NULL ? LK_FAULT : LK_OK;
    lk_buf_add(out, fields);
    /* A step sees what those before it have done: it is planned on their result. */
    for (size_t i = 0; i < n && status == LK_OK; i++) {
        lk_view so_far = lk__arena_copy(arena, lk_buf_view(out));
        status = plan_step(so_far, &steps[i], arena, all, &all_n, note);
        out->len = 0;
        if (status == LK_OK)
            status = lk_fields_apply(so_far, all + from, all_n - from, out, note);
        from = all_n;
    }
    if (lk__arena_failed(arena))
        status = LK_FAULT;
    if (ops != NULL) {
        *ops = all;
        *ops_n = all_n;
    }
    return status;
}

static lk_status load(lk__change *c)
{
    lk_reason why;
    return lk_guard_session(c->guard, c->presented, c->id, c->record, &c->now, &why);
}

static lk__change_end lost(lk_status status)
{
    return status == LK_MISS || status == LK_STALE ? LK_CHANGE_OVER : LK_CHANGE_UNKNOWN;
}

/* What is told is what is there now: with what others have written since, and its own revision. A sealed
 * session has no others: it is what was planned. */
static lk__change_end tell(lk__change *c, lk_view planned, uint32_t revision)
{
    if (c->again->len == 0) {
        lk_status status = load(c);
        return status == LK_OK ? LK_CHANGE_DONE : lost(status);
    }
    memcpy(c->record, planned.p, planned.len);
    c->now.fields = lk_view_make(c->record, planned.len);
    c->now.revision = revision;
    return LK_CHANGE_DONE;
}

/* Write what was planned. *AGAIN: somebody was faster. */
static lk__change_end write_plan(lk__change *c, const lk_op *ops, size_t n, lk_view planned, bool *again)
{
    uint32_t revision = c->if_match.len > 0 ? c->now.revision : 0;
    lk_note note = {{0}};
    lk_issued issued = {.len = 0};
    lk_status status =
        lk_guard_change(c->guard, c->presented, c->id, revision, ops, n, &revision, &issued, &note);
    if (status == LK_OK && issued.len > 0)
        *c->again = issued;
    lk_issued_wipe(&issued);
    if (status == LK_OK)
        return tell(c, planned, revision);
    *again = status == LK_REFUSED;
    /* A full store is not the session's fault; cookies that are full are. */
    if (status != LK_FULL || c->id->kind != LK_KIND_SEALED)
        return lost(status);
    *c->note = note;
    return LK_CHANGE_BROKEN;
}

/* One attempt. *AGAIN: somebody was faster. */
static lk__change_end attempt(lk__change *c, lk__arena *scratch, bool *again)
{
    lk_op *ops;
    size_t n;
    lk_note note = {{0}};
    lk_status status = load(c);
    *again = false;
    if (status != LK_OK)
        return lost(status);
    if (c->if_match.len > 0 && !lk__if_match_has(c->if_match, c->now.revision))
        return LK_CHANGE_MISMATCH;
    lk_buf planned = lk__arena_buf(scratch, LK_FIELDS_BYTES_MAX + 1024);
    status = lk__change_plan(c->now.fields, c->steps, c->n, scratch, &ops, &n, &planned, &note);
    if (status == LK_FAULT)
        return LK_CHANGE_UNKNOWN;
    if (status != LK_OK) {
        *c->note = note;
        return LK_CHANGE_BROKEN;
    }
    return n == 0 ? LK_CHANGE_DONE : write_plan(c, ops, n, lk_buf_view(&planned), again);
}

/* After many rounds fall out of step with whoever keeps being faster. */
static void step_aside(const lk_env *env, int try)
{
    uint8_t random = 0;
    if (try < EAGER_TRIES || lk_random(env, &random, 1) != LK_OK)
        return;
    struct timespec wait = {.tv_nsec = (long)random * 4000};
    (void)nanosleep(&wait, NULL);
}

/* Is something of it planned from what was read, and not done by the store alone? */
static bool reads(const lk__change *c)
{
    lk_json_item item;
    for (size_t i = 0; i < c->n; i++) {
        for (size_t at = 0; lk_json_next(c->steps[i].text, &at, &item);) {
            if (item.type == LK_JSON_OBJECT ||
                (c->steps[i].verb == LK_DATA_ADD && item.type == LK_JSON_ARRAY))
                return true;
        }
    }
    return false;
}

lk__change_end lk__change_run(lk__change *c)
{
    const lk_env *env = lk_guard_parts_of(c->guard)->env;
    lk__change_end end = LK_CHANGE_CONFLICT;
    pthread_mutex_t *turn = &turns[c->id->key.bytes[0] % STRIPES];
    bool take_turns = reads(c), again = true;
    c->again->len = 0;
    if (take_turns)
        pthread_mutex_lock(turn);
    for (int try = 0; try < TRIES && again; try++) {
        lk__arena *scratch = lk__arena_new(env); /* a hundred attempts would fill one */
        end = scratch == NULL ? LK_CHANGE_UNKNOWN : attempt(c, scratch, &again);
        again = again && scratch != NULL;
        lk__arena_free(scratch);
        if (again)
            step_aside(env, try);
    }
    if (take_turns)
        pthread_mutex_unlock(turn);
    return again ? LK_CHANGE_CONFLICT : end;
}
