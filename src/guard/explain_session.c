/* SPDX-License-Identifier: Apache-2.0
 *
 * explain_session.c - the checks of what stands for a session record: ids and sealed sessions, and what every
 * kind has in common with them - holder, life, cut-offs, the look into the store.
 */
#include "guard/explain_inner.h"
#include <stdio.h>
#include <string.h>

/* ---- cut-offs ---- */

typedef struct watched {
    const lk__explainer *x;
    int64_t issued_ms;
    char hit[LK_STEP_VALUE_MAX]; /* the first that reaches it */
    char asked[LK_STEP_VALUE_MAX];
} watched;

static void watch(void *context, lk_level level, const char *key, const lk_cutoff *entry)
{
    watched *w = context;
    size_t used = strlen(w->asked);
    bool hits = entry != NULL && w->issued_ms <= entry->before_ms;
    (void)snprintf(w->asked + used, sizeof(w->asked) - used, "%s%s: %s", used > 0 ? ", " : "",
                   lk_level_name(level),
                   entry == NULL ? "none"
                   : hits        ? "hit"
                                 : "one before it was issued");
    if (!hits || w->hit[0] != '\0')
        return;
    (void)snprintf(w->hit, sizeof(w->hit), "level %s, %s: all issued before %s (%s)", lk_level_name(level),
                   level == LK_LEVEL_ALL ? "everybody" : key,
                   lk__words_time(entry->before_ms / 1000, w->x->now_s).text, lk_reason_word(entry->reason));
}

bool lk__explain_cutoffs(lk__explainer *x, const lk_subject *subject)
{
    watched w = {.x = x, .issued_ms = subject->issued_ms};
    lk_reason why = LK_REASON_NONE;
    switch (lk__cutoffs_watch(x->g, subject, watch, &w, &why)) {
    case LK_OK:
        return lk__step_yes(x->e, "cutoffs", "%s", w.asked[0] != '\0' ? w.asked : "none at any level");
    case LK_STALE:
        return lk__step_no(x->e, "cutoffs", why, "%s", w.hit);
    case LK_MISS:
    case LK_REFUSED:
    case LK_FULL:
    case LK_FAULT:
        break;
    }
    return lk__step(x->e, "cutoffs", LK_STEP_UNKNOWN, LK_REASON_STORE_UNAVAILABLE,
                    "this node does not know all of what was revoked");
}

/* ---- sessions ---- */

bool lk__explain_life(lk__explainer *x, const lk_session *s, int64_t seen_s)
{
    lk_session used = *s;
    lk_reason why;
    used.seen_s = seen_s;
    lk_status status = lk_session_alive(&used, x->now_s, &why);
    char idle[3 * LK__WORDS_MAX] = "no idle time";
    if (s->idle_s > 0)
        (void)snprintf(idle, sizeof(idle), "idle time %s, ends %s", lk__words_length(s->idle_s).text,
                       lk__words_time(seen_s + s->idle_s, x->now_s).text);
    lk__step_seen(x->e, "issued", "%s", lk__words_time(s->issued_s, x->now_s).text);
    lk__step_seen(x->e, "last_seen", "%s", lk__words_time(seen_s, x->now_s).text);
    return lk__step(x->e, "life", status == LK_OK ? LK_STEP_YES : LK_STEP_NO, why, "%s; absolute end %s",
                    idle, lk__words_time(s->expires_s, x->now_s).text);
}

void lk__explain_user(lk__explainer *x, lk_view user, lk_view name, lk_view realm)
{
    if (user.len == 0)
        lk__step_seen(x->e, "user", "nobody");
    else
        lk__step_seen(x->e, "user", "%s%sid %s%s%s", name.len > 0 ? lk__words_shown(name).text : "",
                      name.len > 0 ? ", " : "", lk__words_shown(user).text, realm.len > 0 ? ", realm " : "",
                      realm.len > 0 ? lk__words_shown(realm).text : "");
}

/* "2 of 5", "2, of any number" */
static lk__words out_of(uint32_t n, uint32_t max)
{
    lk__words w;
    if (max > 0)
        (void)snprintf(w.text, sizeof(w.text), "%u of %u", n, max);
    else
        (void)snprintf(w.text, sizeof(w.text), "%u, of any number", n);
    return w;
}

void lk__explain_holder(lk__explainer *x, const lk_session *s)
{
    uint32_t f = s->flags;
    lk__explain_user(x, s->user, s->name, s->realm);
    lk__step_seen(x->e, "generation", "%u%s%s%s%s%s", s->generation,
                  (f & LK_SESSION_ANONYMOUS) != 0 ? ", anonymous" : "",
                  (f & LK_SESSION_REMEMBER) != 0 ? ", remembered" : "",
                  (f & LK_SESSION_TOKEN) != 0 ? ", behind a token" : "",
                  (f & LK_SESSION_API_KEY) != 0 ? ", behind an API key" : "",
                  (f & LK_SESSION_ENDING) != 0 ? ", replaced by a newer id" : "");
    if (s->device.len > 0 || s->device_class.len > 0)
        lk__step_seen(x->e, "device", "id %s, class %s",
                      s->device.len > 0 ? lk__words_shown(s->device).text : "none",
                      s->device_class.len > 0 ? lk__words_shown(s->device_class).text : "none");
}

#define COUNTED_MAX 1000
typedef struct counted {
    const lk_session *s;
    uint32_t all, of_class;
} counted;

static bool count_one(void *context, const lk_session *other)
{
    counted *n = context;
    if ((other->flags & LK_SESSION_API_KEY) == 0) {
        n->all++;
        n->of_class += lk_view_equal(other->device_class, n->s->device_class);
    }
    return n->all < COUNTED_MAX;
}

/* How near his limits the user is. Nothing of a session that was let in is decided by it. */
void lk__explain_limits(lk__explainer *x, const lk_session *s)
{
    lk_limit limit = lk__limit_of(x->g, s, NULL);
    counted n = {.s = s};
    uint64_t cursor = 0;
    if ((limit.max == 0 && limit.class_max == 0) || s->user.len == 0)
        return;
    do
        if (lk_store_list_by_user(x->g->parts.store, s->realm, s->user, &cursor, 64, count_one, &n) != LK_OK)
            return;
    while (cursor != 0 && n.all < COUNTED_MAX);
    lk__step_seen(x->e, "limits", "sessions: %s; of this device class: %s; beyond that: %s",
                  out_of(n.all, limit.max).text, out_of(n.of_class, limit.class_max).text,
                  lk_victim_name(limit.victim));
}

bool lk__explain_record(lk__explainer *x, const lk_session *s, int64_t seen_s)
{
    lk_subject subject = lk__subject_of_session(s);
    lk__explain_holder(x, s);
    return lk__explain_life(x, s, seen_s) && lk__explain_cutoffs(x, &subject);
}

/* The copy that answers for a store on a network, while it is young. */
bool lk__explain_near(lk__explainer *x, const lk_session_key *key)
{
    lk__near near;
    if (!x->g->store_is_remote)
        return true;
    if (lk__near_get(x->g, key, x->now_s, &near) != LK_OK)
        return lk__step_seen(x->e, "near_copy", "none on this node");
    if (near.kind == LK_NEAR_ENDED)
        return lk__step_no(x->e, "near_copy", near.why, "ended on this node");
    return lk__step_seen(x->e, "near_copy", "%lld ms old; used for %s without asking the store",
                         (long long)(lk__mono_ms(x->g) - near.known_ms),
                         lk__words_length(x->g->parts.settings->near_life_s).text);
}

void lk__explain_load(lk_store *store, lk_load *load)
{
    if (lk_store_load_many(store, load, 1) != LK_OK)
        load->status = LK_FAULT;
}

bool lk__explain_found(lk__explainer *x, const lk_load *load)
{
    const char *store = lk_store_name(x->g->parts.store);
    switch (load->status) {
    case LK_OK:
        return lk__step_yes(x->e, "store", "%s: found", store);
    case LK_MISS:
        return lk__step_no(x->e, "store", LK_REASON_EXPIRED, "%s: not there - ended long ago, or never was",
                           store);
    case LK_STALE:
        if (load->why == LK_REASON_NONE)
            return lk__step_no(x->e, "store", LK_REASON_EXPIRED, "%s: there, and cannot be read", store);
        return lk__step_no(x->e, "store", load->why, "%s: fenced - it was ended: %s", store,
                           lk_reason_word(load->why));
    case LK_REFUSED:
    case LK_FULL:
    case LK_FAULT:
        break;
    }
    return lk__step(x->e, "store", LK_STEP_UNKNOWN, LK_REASON_STORE_UNAVAILABLE, "%s: could not look", store);
}

bool lk__explain_session_id(lk__explainer *x, lk_view text)
{
    uint8_t proof[LK_SESSION_PROOF_LEN], record[LK_HEAD_MAX];
    lk_load load = {.head_only = true, .buf = record, .cap = sizeof(record)};
    const lk_session *s = &load.session;
    if (lk_session_id_read(x->g->parts.ring, text, &load.key, proof) != LK_OK)
        return lk__step_no(x->e, "session", LK_REASON_MALFORMED, "no session id");
    lk__step_seen(x->e, "session", "%s (public id)", lk__words_id(&load.key).text);
    if (!lk__explain_near(x, &load.key))
        return false;
    lk__explain_load(x->g->parts.store, &load);
    if (!lk__explain_found(x, &load))
        return false;
    if ((s->flags & LK_SESSION_TOKEN) != 0)
        return lk__step_no(x->e, "proof", LK_REASON_EXPIRED,
                           "a session behind a token: its id was never given out");
    if (!lk_secret_equal(lk_view_make(s->proof, sizeof(s->proof)), lk_view_make(proof, sizeof(proof))))
        return lk__step_no(x->e, "proof", LK_REASON_EXPIRED, "another id of the same name");
    lk__step_yes(x->e, "proof", "the id is that of this session");
    if (!lk__explain_record(x, s, lk__seen_s(x->g, s)))
        return false;
    lk__explain_limits(x, s);
    return true;
}

bool lk__explain_sealed(lk__explainer *x, lk_view text)
{
    uint8_t record[LK_SESSION_ROOM];
    lk_session s;
    lk_reason why = LK_REASON_NONE;
    lk_status status = lk__sealed_open(x->g, text, record, NULL, &s, &why);
    if (status == LK_REFUSED)
        return lk__step_no(
            x->e, "box", LK_REASON_MALFORMED,
            "does not open here: %s (key, cookie name, purpose and every byte have to be right)",
            lk_reason_word(why));
    if (status == LK_STALE)
        return lk__step_no(x->e, "box", why, "opens, and is %s",
                           why == LK_REASON_EXPIRED ? "of a newer version" : "of a key that was burned");
    if (status != LK_OK)
        return lk__step(x->e, "box", LK_STEP_UNKNOWN, LK_REASON_STORE_UNAVAILABLE, "could not be opened");
    lk__step_yes(x->e, "box", "opens: the whole session is in it");
    lk__step_seen(x->e, "session", "%s (public id)", lk__words_id(&s.key).text);
    if (!lk__explain_record(x, &s, s.seen_s))
        return false;
    if (lk__sealed_looks_behind(x->g, &s))
        return lk__step_no(x->e, "copies", LK_REASON_REVOKED,
                           "two generations behind the newest this node was shown: somebody kept a copy");
    return lk__step_yes(x->e, "copies", "the newest, or on its way");
}
