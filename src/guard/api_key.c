/* SPDX-License-Identifier: Apache-2.0
 *
 * api_key.c - an API key becomes a session: from its row in the accounts, once in a while (latchkey_api_key
 * reread=), so that every other request with it is an ordinary look-up.
 *
 * Time is cut into epochs of that length, each key with a shift of its own, and in each epoch a key has a
 * session of another name (lk_api_key_session). So what the account says now is read again in time, nothing
 * is ever written over, and whoever takes a key back fences the names it has and will have next: a node that
 * read the row just before it was removed cannot make a session from it.
 *
 * While the accounts cannot be asked, a session goes on into the next epoch, until its row was read an hour
 * ago.
 *
 * In the record: `device` is "lk_" and the public part, by which a cut-off can name the key; `agent` holds
 * its bounds, address ranges and "aud=WORD" in one list; created_s is when the row was read, auth_s when the
 * key was made. docs/formats/api-key.md, docs/decisions/0046-api-keys-and-clients.md
 */
#include "base/ranges.h"
#include "guard/guard_internal.h"
#include <latchkey/third_party.h>
#include <string.h>

enum {
    GOES_ON_S = 3600, /* without the accounts */
    NO_S = 60,        /* a "no" is remembered */
    BOUNDS_MAX = LK_AGENT_MAX
};

/* ---- what it is bound to ---- */

static bool audience_is_right(lk_view bounds, lk_view wanted, bool *named)
{
    lk_view word;

    *named = false;
    while (lk_words_next(&bounds, &word)) {
        if (!lk_view_equal(lk_view_part(word, 0, 4), LK_VIEW("aud=")))
            continue;
        *named = true;
        if (lk_words_have(wanted, lk_view_part(word, 4, word.len)))
            return true;
    }
    return false;
}

static bool has_ranges(lk_view bounds)
{
    lk_view word;

    while (lk_words_next(&bounds, &word))
        if (!lk_view_equal(lk_view_part(word, 0, 4), LK_VIEW("aud=")))
            return true;
    return false;
}

void lk__api_key_bounds_read(lk_view bounds, lk_buf *addresses, lk_buf *audience)
{
    lk_view word;

    while (lk_words_next(&bounds, &word)) {
        bool is_audience = lk_view_equal(lk_view_part(word, 0, 4), LK_VIEW("aud="));
        lk_buf *out = is_audience ? audience : addresses;

        if (out->len > 0)
            lk_buf_add_byte(out, ' ');
        lk_buf_add(out, is_audience ? lk_view_part(word, 4, word.len) : word);
    }
}

lk_status lk_guard_api_key_bounds(lk_guard *g, const lk_session_key *key, lk_buf *addresses, lk_buf *audience)
{
    uint8_t record[LK_HEAD_MAX];
    lk_load load = {.key = *key, .head_only = true, .buf = record, .cap = sizeof(record)};

    if (lk_store_load_many(g->parts.store, &load, 1) != LK_OK || load.status == LK_FULL)
        return LK_FAULT;
    if (load.status == LK_OK)
        lk__api_key_bounds_read(load.session.agent, addresses, audience);
    return load.status == LK_OK && lk_buf_status(addresses) == LK_OK ? lk_buf_status(audience) : load.status;
}

lk_reason lk__api_key_bounds(const lk_guard *g, const lk_rule *rule, const lk_presented *presented,
                             lk_view bounds)
{
    lk_view here = rule->audience.len > 0 ? rule->audience : lk_view_of(g->parts.settings->jwt_audience);
    bool named;

    if (!audience_is_right(bounds, here, &named) && named)
        return LK_REASON_WRONG_AUDIENCE;
    if (presented->any_sender || !has_ranges(bounds))
        return LK_REASON_NONE;
    return lk__ranges_have(bounds, presented->address) ? LK_REASON_NONE : LK_REASON_WRONG_DEVICE;
}

static void write_bounds(const lk_api_key *key, lk_buf *out)
{
    lk_view words = lk_view_of(key->audience), word;

    lk_buf_add_text(out, key->addresses);
    while (lk_words_next(&words, &word)) {
        lk_buf_add_text(out, out->len > 0 ? " aud=" : "aud=");
        lk_buf_add(out, word);
    }
}

/* ---- epochs ---- */

typedef struct epoch {
    int64_t number, ends_s;
} epoch;

/* Shifted by the name of the key, or all keys would be read again in the same second. */
static epoch epoch_at(const lk_guard *g, lk_view public, int64_t now_s)
{
    int64_t length_s = g->parts.settings->api_key_reread_s, shift_s = 0;

    for (size_t i = 0; i < public.len; i++)
        shift_s = (shift_s * 31 + public.p[i]) % length_s;
    epoch e = {.number = (now_s + shift_s) / length_s};
    e.ends_s = (e.number + 1) * length_s - shift_s;
    return e;
}

lk_status lk__api_key_name(const lk_guard *g, lk_view public, int64_t now_s, lk_session_key *key,
                           uint8_t proof[LK_SESSION_PROOF_LEN])
{
    return lk_api_key_session(g->parts.ring, public, epoch_at(g, public, now_s).number, key, proof);
}

/* ---- making the session ---- */

typedef struct making {
    lk_guard *g;
    lk_question *q;
    lk_view public;
    epoch now;
    int64_t now_ms; /* taken before the row is read: a cut-off after that is after this, too */
    lk_api_key key;
    lk_user user;
    uint8_t proof[LK_SESSION_PROOF_LEN];
} making;

/* Keep S; *q is what the store has then. Somebody else may have been first, or taken the key back. */
static void keep(making *m, const lk_session *s)
{
    lk_guard *g = m->g;
    lk_question *q = m->q;
    lk_status status = lk_store_create(g->parts.store, s, (lk_limit){0}, NULL);
    lk_buf head = lk_buf_over(q->record, sizeof(q->record));

    if (status == LK_OK && lk_record_write(s, &head) == LK_OK) {
        q->status = LK_OK;
        q->record_len = head.len;
        return;
    }
    if (status != LK_REFUSED)
        return; /* a fault, as it was to begin with */
    lk_load load = {.key = s->key, .head_only = true, .buf = q->record, .cap = sizeof(q->record)};
    if (lk_store_load_many(lk_store_writes_to(g->parts.store), &load, 1) != LK_OK)
        return;
    q->why = load.why;
    q->status = load.status == LK_MISS ? LK_FAULT : load.status;
    q->record_len = lk_record_head_len(lk_view_make(q->record, sizeof(q->record)));
}

/* The session of this epoch is fenced for a while: who comes with that key again asks nobody. */
static void remember_no(making *m)
{
    lk_session_key key = m->q->key;

    m->q->status = LK_STALE;
    m->q->why = LK_REASON_REVOKED;
    if (lk_store_destroy(m->g->parts.store, &key, LK_REASON_REVOKED, m->now_ms / 1000 + NO_S) == LK_OK)
        lk__near_ended(m->g, &key, LK_REASON_REVOKED);
}

/* Roles that the key was given and its user still has. */
static void common_roles(const making *m, lk_buf *out)
{
    lk_view roles = lk_view_of(m->key.roles), word;

    while (lk_words_next(&roles, &word)) {
        if (!lk_words_have(lk_view_of(m->user.roles), word))
            continue;
        if (out->len > 0)
            lk_buf_add_byte(out, ' ');
        lk_buf_add(out, word);
    }
}

/* Was the user, or the key, put out since it was made? Then the key goes for good: a cut-off is forgotten
 * after a while, a row that is not there stays so. "Expired" is no act of anybody: a store that forgets at
 * restart says so of all that was before it, and keys are not kept there. */
static lk_status is_cut_off(making *m, const lk_session *s)
{
    lk_reason why = LK_REASON_NONE;
    lk_subject subject = {.realm = s->realm,
                          .roles = s->roles,
                          .user = s->user,
                          .device = s->device,
                          .issued_ms = m->key.created_ms};
    lk_status status = lk__cutoffs_check(m->g, &subject, &why);

    if (status == LK_STALE && why == LK_REASON_EXPIRED)
        return LK_OK;
    if (status == LK_STALE)
        (void)!lk_accounts_api_key_remove(m->g->accounts, s->user, m->public);
    return status;
}

static int64_t min_s(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* One epoch longer than it is used, so that it may go on while the accounts are away. */
static int64_t end_s(const making *m, int64_t key_expires_s)
{
    return min_s(key_expires_s, m->now.ends_s + m->g->parts.settings->api_key_reread_s);
}

static void from_row(making *m)
{
    char roles[LK_ROLES_MAX], bounds[BOUNDS_MAX], device[3 + LK_API_KEY_PUBLIC_LEN];
    lk_buf roles_buf = lk_buf_over(roles, sizeof(roles)), bounds_buf = lk_buf_over(bounds, sizeof(bounds));
    int64_t issued_ms = m->now_ms > m->key.created_ms ? m->now_ms : m->key.created_ms;

    memcpy(device, "lk_", 3);
    memcpy(device + 3, m->key.public_id, LK_API_KEY_PUBLIC_LEN);
    common_roles(m, &roles_buf);
    write_bounds(&m->key, &bounds_buf);
    lk_session s = {.key = m->q->key,
                    .generation = 1,
                    .revision = 1,
                    .flags = LK_SESSION_API_KEY,
                    .created_s = m->now_ms / 1000,
                    .issued_s = issued_ms / 1000,
                    .issued_ms = (uint16_t)(issued_ms % 1000),
                    .auth_s = m->key.created_ms / 1000,
                    .seen_s = m->now_ms / 1000,
                    .expires_s = end_s(m, m->key.expires_s),
                    .user = lk_view_of(m->user.id),
                    .name = lk_view_of(m->user.name),
                    .realm = lk_view_of(m->user.realm),
                    .roles = lk_buf_view(&roles_buf),
                    .scope = lk_view_of(m->key.scope),
                    .device = lk_view_make(device, sizeof(device)),
                    .agent = lk_buf_view(&bounds_buf)};
    memcpy(s.proof, m->proof, sizeof(s.proof));
    lk_status status = lk_buf_status(&bounds_buf) == LK_OK ? is_cut_off(m, &s) : LK_FAULT;
    if (status == LK_STALE)
        remember_no(m);
    else if (status == LK_OK)
        keep(m, &s);
}

/* The accounts do not answer: the session of the epoch before goes on, if it is young enough. It keeps its
 * time of issue, and so stays under whatever was revoked since. */
static void from_before(making *m)
{
    uint8_t record[LK_HEAD_MAX];
    lk_load load = {.head_only = true, .buf = record, .cap = sizeof(record)};
    uint8_t proof[LK_SESSION_PROOF_LEN];
    lk_reason why;
    int64_t now_s = m->now_ms / 1000;

    if (lk_api_key_session(m->g->parts.ring, m->public, m->now.number - 1, &load.key, proof) != LK_OK ||
        lk_store_load_many(m->g->parts.store, &load, 1) != LK_OK)
        return;
    if (load.status == LK_STALE && load.why != LK_REASON_NONE && load.why != LK_REASON_EXPIRED) {
        m->q->status = LK_STALE;
        m->q->why = load.why;
        return;
    }
    lk_session s = load.session;
    if (load.status != LK_OK || lk_session_alive(&s, now_s, &why) != LK_OK || now_s - s.created_s > GOES_ON_S)
        return;
    s.key = m->q->key;
    memcpy(s.proof, m->proof, sizeof(s.proof));
    /* The end of the key itself is not in the record: who was to end with the last epoch does. */
    s.expires_s = s.expires_s < m->now.ends_s ? s.expires_s : end_s(m, INT64_MAX);
    keep(m, &s);
}

void lk__api_key_ask(lk_guard *g, lk_question *q)
{
    making m = {.g = g, .q = q, .public = lk_view_make(q->api_key, LK_API_KEY_PUBLIC_LEN)};
    lk_session_key key;

    q->status = LK_FAULT;
    m.now_ms = lk_now_ms(g->parts.env);
    m.now = epoch_at(g, m.public, m.now_ms / 1000);
    if (lk_api_key_session(g->parts.ring, m.public, m.now.number, &key, m.proof) != LK_OK)
        return;
    /* It was asked at the end of the epoch before: then it is asked once more. */
    q->key = key;
    lk_guard_count(g, LK_COUNT_API_KEY_READ);
    lk_status status =
        g->accounts == NULL ? LK_FAULT : lk_accounts_api_key_use(g->accounts, m.public, &m.key, &m.user);
    if (status == LK_OK)
        from_row(&m);
    else if (status == LK_MISS)
        remember_no(&m);
    else
        from_before(&m);
}

/* ---- for the service and the command line ---- */

void lk_guard_use_accounts(lk_guard *g, lk_accounts *accounts)
{
    g->accounts = accounts;
}

lk_status lk_guard_api_key_end(lk_guard *g, lk_view public, lk_reason reason)
{
    const lk_settings *settings = g->parts.settings;
    int64_t now_s = lk_now_s(g->parts.env);
    int64_t fence_s = now_s + 3 * settings->api_key_reread_s + settings->fence_s;
    epoch now = epoch_at(g, public, now_s);
    lk_status status = LK_OK;

    /* Nodes differ by seconds at an epoch's end, and one that reads the row now makes its session soon. */
    for (int64_t i = -1; i <= 1 && status == LK_OK; i++) {
        uint8_t proof[LK_SESSION_PROOF_LEN];
        lk_session_key key;

        status = lk_api_key_session(g->parts.ring, public, now.number + i, &key, proof);
        if (status == LK_OK)
            status = lk_store_destroy(g->parts.store, &key, reason, fence_s);
        if (status == LK_OK)
            lk__near_ended(g, &key, reason);
    }
    if (status == LK_OK)
        lk__view_hear(g);
    return status;
}
