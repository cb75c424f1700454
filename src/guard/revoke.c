/* SPDX-License-Identifier: Apache-2.0
 *
 * revoke.c - put out: one session, all of a user, or everything at a level.
 */
#include "guard/guard_internal.h"
#include <string.h>

enum { KEY_KEPT_S = 365 * 86400 };

lk_status lk_guard_cutoff(lk_guard *g, lk_level level, lk_view realm, lk_view key, lk_reason reason,
                          lk_cutoff *out, lk_note *note)
{
    lk_cutoff c = {.level = level, .reason = reason};
    lk_status status = lk_cutoff_key(level, realm, key, c.key);
    if (status != LK_OK) {
        lk_note_set(note, "the key of a cut-off is at most %d bytes and holds no control character",
                    LK_CUTOFF_KEY_MAX);
        return LK_REFUSED;
    }
    c.before_ms = lk__cutoff_time_ms(g);
    c.until_s = lk__cutoff_until_s(g->parts.settings, c.level, c.before_ms / 1000);
    /* Until the last copy of the key, on whatever node or in whatever backup, is out of use. */
    if (level == LK_LEVEL_KEY)
        c.until_s += KEY_KEPT_S;
    status = lk_store_cutoff_append(g->parts.store, &c);
    /* It holds on this node when the call returns; other nodes follow the stream. */
    if (status == LK_OK)
        status = lk__cutoff_apply(g, &c);
    if (status != LK_OK) {
        lk_note_set(note, status == LK_FULL ? "there is no room for another cut-off"
                                            : "the cut-off could not be written to the store");
        return status;
    }
    lk_guard_count(g, LK_COUNT_CUTOFFS);
    if (out != NULL)
        *out = c;
    return LK_OK;
}

static bool is_named(const lk_session_key *key)
{
    for (size_t i = 0; i < LK_SESSION_KEY_LEN; i++)
        if (key->bytes[i] != 0)
            return true;
    return false;
}

/* Could a token name this session, or is it in the client? Then the fence in the store does not reach it, and
 * a cut-off must. When the record is gone nobody knows, so it is done as well. PREVIOUS receives the session
 * it came after, which may be held by the client as well; all zero when there is none. */
static lk_status may_be_with_client(lk_guard *g, const lk_session_key *key, bool *out,
                                    lk_session_key *previous)
{
    uint8_t record[LK_HEAD_MAX];
    lk_load load = {.key = *key, .head_only = true, .buf = record, .cap = sizeof(record)};
    if (lk_store_load_many(g->parts.store, &load, 1) != LK_OK || load.status == LK_FAULT)
        return LK_FAULT;
    *out = g->knows_by_client || load.status != LK_OK || (load.session.flags & LK_SESSION_TOKEN) != 0;
    if (load.status == LK_OK && g->knows_by_client)
        *previous = load.session.previous;
    /* Issued by a node whose clock is ahead of ours: the cut-off must be later still. */
    if (load.status == LK_OK)
        lk__cutoff_time_after(g, load.session.issued_s * 1000 + load.session.issued_ms);
    return LK_OK;
}

static lk_status cut_off_session(lk_guard *g, lk_view realm, const lk_session_key *key, lk_reason reason)
{
    char public_id[LK_PUBLIC_ID_LEN + 1];
    lk_public_id_write(key, public_id);
    return lk_guard_cutoff(g, LK_LEVEL_SESSION, realm, lk_view_make(public_id, LK_PUBLIC_ID_LEN), reason,
                           NULL, NULL);
}

lk_status lk_guard_end(lk_guard *g, lk_view realm, const lk_session_key *key, lk_reason reason)
{
    bool with_client = true;
    lk_session_key previous = {{0}};
    lk_status status = may_be_with_client(g, key, &with_client, &previous);
    if (status == LK_OK && with_client)
        status = cut_off_session(g, realm, key, reason);
    if (status == LK_OK && is_named(&previous))
        status = cut_off_session(g, realm, &previous, reason);
    if (status != LK_OK)
        return status;
    status =
        lk_store_destroy(g->parts.store, key, reason, lk_now_s(g->parts.env) + g->parts.settings->fence_s);
    if (status == LK_OK)
        lk__near_ended(g, key, reason);
    if (status == LK_OK)
        lk__view_hear(g); /* the session it had replaced ended with it */
    return status;
}

lk_status lk_guard_end_of(lk_guard *g, const lk_identity *id, lk_reason reason)
{
    lk_view realm = lk_view_of(id->realm);
    lk_status status = lk_guard_end(g, realm, &id->key, reason);
    /* What it came after may still be with the client: of that the store knows nothing. */
    if (status == LK_OK && id->kind == LK_KIND_SEALED && is_named(&id->previous))
        status = cut_off_session(g, realm, &id->previous, reason);
    return status;
}

/* Keys are collected a page at a time and ended after the listing: a store may hold a read transaction while
 * it calls back. */
enum { PAGE = 64 };

typedef struct page {
    lk_session_key keys[PAGE];
    size_t n;
} page;

static bool collect(void *context, const lk_session *s)
{
    page *p = context;
    /* API keys are no sessions of a browser: the cut-off of the user reaches them, and nothing less does. */
    if ((s->flags & LK_SESSION_API_KEY) != 0)
        return true;
    if (p->n < PAGE)
        p->keys[p->n++] = s->key;
    return true;
}

static lk_status end_page(lk_guard *g, lk_view realm, const page *p, const lk_session_key *except,
                          lk_reason reason, uint32_t *ended)
{
    for (size_t i = 0; i < p->n; i++) {
        if (except != NULL && lk_view_equal(lk_view_make(p->keys[i].bytes, LK_SESSION_KEY_LEN),
                                            lk_view_make(except->bytes, LK_SESSION_KEY_LEN)))
            continue;
        lk_status status = lk_guard_end(g, realm, &p->keys[i], reason);
        if (status != LK_OK)
            return status;
        *ended += 1;
    }
    return LK_OK;
}

lk_status lk_guard_end_user(lk_guard *g, lk_view realm, lk_view user, const lk_session_key *except,
                            lk_reason reason, uint32_t *ended)
{
    uint32_t count = 0;
    uint64_t cursor = 0;
    lk_status status = LK_OK;
    /* First the one write that revokes everything at once, then the records, which is only tidying up. */
    if (except == NULL)
        status = lk_guard_cutoff(g, LK_LEVEL_USER, realm, user, reason, NULL, NULL);
    while (status == LK_OK) {
        page p = {.n = 0};
        status = lk_store_list_by_user(g->parts.store, realm, user, &cursor, PAGE, collect, &p);
        if (status == LK_OK)
            status = end_page(g, realm, &p, except, reason, &count);
        if (cursor == 0)
            break;
    }
    if (ended != NULL)
        *ended = count;
    return status;
}
