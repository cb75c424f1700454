/* SPDX-License-Identifier: Apache-2.0
 *
 * rules.c - what every store does alike: judging, changing and ending records.
 */
#include "store/rules.h"
#include "store/fields.h"
#include <stdlib.h>
#include <string.h>

int64_t lk__session_forget_s(const lk_session *s)
{
    int64_t ends_s = lk_session_ends_s(s), late_s = 60 + (s->idle_s > 0 ? s->idle_s / 8 : 0), forget_s;

    return __builtin_add_overflow(ends_s, late_s, &forget_s) ? INT64_MAX : forget_s;
}

bool lk__session_is_listed(const lk_session *s, int64_t now_s)
{
    return (s->flags & LK_SESSION_ENDING) == 0 && now_s < s->expires_s && now_s < lk__session_forget_s(s);
}

lk_status lk__session_writable(const lk_session *s, uint32_t generation, int64_t now_s)
{
    if ((s->flags & LK_SESSION_ENDING) != 0 || s->generation != generation || now_s >= s->expires_s)
        return LK_STALE;
    return LK_OK;
}

lk_status lk__record_of(lk_view record, const lk_session_key *key, lk_session *out)
{
    lk_status status = lk_record_read(record, out);

    if (status == LK_OK && memcmp(&out->key, key, sizeof(*key)) != 0)
        return LK_STALE;
    return status;
}

lk_status lk__record_change(lk_view record, const lk__change *change, lk_buf *out, lk_session *result,
                            lk_note *note)
{
    uint8_t room[LK_FIELDS_WORK_MAX];
    lk_buf fields = lk_buf_over(room, sizeof(room));
    lk_view written;
    size_t begin = out->len;
    lk_session s;
    lk_status status = lk__record_of(record, change->key, &s);

    if (status == LK_OK)
        status = lk__session_writable(&s, change->generation, change->now_s);
    if (status != LK_OK)
        return status;
    if (change->if_revision > 0 && change->if_revision != s.revision) {
        lk_note_set(note, "the session is at revision %u", s.revision);
        return LK_REFUSED;
    }
    status = lk_fields_apply(s.fields, change->ops, change->n, &fields, note);
    if (status != LK_OK)
        return status;
    s.fields = lk_buf_view(&fields);
    s.revision = s.revision == UINT32_MAX ? 1 : s.revision + 1; /* 0 means "any" in if_revision */
    if (change->seen_s > s.seen_s)
        s.seen_s = change->seen_s;
    status = lk_record_write(&s, out);
    if (status != LK_OK)
        return status;
    written = lk_view_make(out->p + begin, out->len - begin);
    return lk_record_read(written, result);
}

lk_status lk__record_ending(lk_session *s, int64_t grace_until_s, lk_buf *out)
{
    s->flags |= LK_SESSION_ENDING;
    if (grace_until_s < s->expires_s)
        s->expires_s = grace_until_s;
    return lk_record_write(s, out);
}

bool lk__limit_holds(const lk_limit *limit, const lk_session *s)
{
    return (limit->max > 0 || limit->class_max > 0) && s->user.len > 0 &&
           (s->flags & LK_SESSION_API_KEY) == 0;
}

/* The order in which sessions are ended: by a first and a second time, then by key. */
static int in_order(const lk__candidate *a, const lk__candidate *b, int64_t first, int64_t second)
{
    if (first != 0)
        return first < 0 ? -1 : 1;
    if (second != 0)
        return second < 0 ? -1 : 1;
    return memcmp(&a->key, &b->key, sizeof(a->key));
}

static int by_use(const void *one, const void *other)
{
    const lk__candidate *a = one, *b = other;

    return in_order(a, b, a->seen_s - b->seen_s, a->issued_s - b->issued_s);
}

static int by_issue(const void *one, const void *other)
{
    const lk__candidate *a = one, *b = other;

    return in_order(a, b, a->issued_s - b->issued_s, a->seen_s - b->seen_s);
}

static int by_end(const void *one, const void *other)
{
    const lk__candidate *a = one, *b = other;

    return in_order(a, b, a->expires_s - b->expires_s, a->issued_s - b->issued_s);
}

/* Those that were chosen, first; among them, and among the rest, as they were. */
static void put_chosen_first(lk__candidates *c)
{
    size_t n = 0;

    for (size_t i = 0; i < c->n; i++) {
        lk__candidate one = c->at[i];

        if (!one.is_chosen)
            continue;
        memmove(c->at + n + 1, c->at + n, (i - n) * sizeof(one));
        c->at[n++] = one;
    }
}

lk_status lk__candidates_add(lk__candidates *c, const lk_session *s)
{
    if ((s->flags & LK_SESSION_API_KEY) != 0)
        return LK_OK;
    if (c->n == c->cap) {
        size_t cap = c->cap > 0 ? c->cap * 2 : 32;
        lk__candidate *more = lk_alloc(c->env, cap * sizeof(*more));

        if (more == NULL)
            return LK_FAULT;
        if (c->n > 0)
            memcpy(more, c->at, c->n * sizeof(*more));
        lk_free(c->env, c->at);
        c->at = more;
        c->cap = cap;
    }
    c->at[c->n++] = (lk__candidate){.seen_s = s->seen_s,
                                    .issued_s = s->issued_s,
                                    .expires_s = s->expires_s,
                                    .key = s->key,
                                    .is_same_class = lk_view_equal(s->device_class, c->newest->device_class)};
    return LK_OK;
}

/* Choose of those in order, and of the same class only with SAME_CLASS, until fewer than MAX of LIVE are
 * left. Gives how many were chosen. */
static size_t choose(lk__candidates *c, bool same_class, size_t live, uint32_t max)
{
    size_t chosen = 0;

    for (size_t i = 0; i < c->n && max > 0 && live - chosen >= max; i++) {
        if (c->at[i].is_chosen || (same_class && !c->at[i].is_same_class))
            continue;
        c->at[i].is_chosen = true;
        chosen++;
    }
    return chosen;
}

lk_status lk__candidates_choose(lk__candidates *c, const lk_limit *limit, size_t *n)
{
    static int (*const orders[LK_VICTIM_COUNT])(const void *, const void *) = {by_use, by_issue, by_end,
                                                                               by_use};
    size_t same = 0;

    *n = 0;
    for (size_t i = 0; i < c->n; i++)
        same += c->at[i].is_same_class;
    if (c->n > 0)
        qsort(c->at, c->n, sizeof(c->at[0]), orders[limit->victim]);
    *n = choose(c, true, same, limit->class_max);
    *n += choose(c, false, c->n - *n, limit->max);
    if (*n > 0 && limit->victim == LK_VICTIM_REFUSE)
        return LK_FULL;
    put_chosen_first(c);
    return LK_OK;
}

void lk__candidates_free(lk__candidates *c)
{
    lk_free(c->env, c->at);
    c->at = NULL;
    c->n = c->cap = 0;
}
