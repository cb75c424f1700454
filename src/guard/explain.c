/* SPDX-License-Identifier: Apache-2.0
 *
 * explain.c - every check of a credential, in the order of check.c and by the functions that it calls: one
 * straight function for each kind. Each stops where the gate stops. The verdict is not ours: the gate is
 * asked.
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

static bool explain_life(lk__explainer *x, const lk_session *s, int64_t seen_s)
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

static void explain_holder(lk__explainer *x, const lk_session *s)
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
static void explain_limits(lk__explainer *x, const lk_session *s)
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

static bool explain_record(lk__explainer *x, const lk_session *s, int64_t seen_s)
{
    lk_subject subject = {.realm = s->realm,
                          .roles = s->roles,
                          .user = s->user,
                          .device = s->device,
                          .session = &s->key,
                          .issued_ms = s->issued_s * 1000 + s->issued_ms};
    explain_holder(x, s);
    return explain_life(x, s, seen_s) && lk__explain_cutoffs(x, &subject);
}

/* The copy that answers for a store on a network, while it is young. */
static bool explain_near(lk__explainer *x, const lk_session_key *key)
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

/* Look KEY up. False: the explanation ends here. */
static bool explain_lookup(lk__explainer *x, lk_load *load)
{
    const char *store = lk_store_name(x->g->parts.store);
    if (lk_store_load_many(x->g->parts.store, load, 1) != LK_OK)
        load->status = LK_FAULT;
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

static bool explain_session_id(lk__explainer *x, lk_view text)
{
    uint8_t proof[LK_SESSION_PROOF_LEN], record[LK_HEAD_MAX];
    lk_load load = {.head_only = true, .buf = record, .cap = sizeof(record)};
    const lk_session *s = &load.session;
    if (lk_session_id_read(x->g->parts.ring, text, &load.key, proof) != LK_OK)
        return lk__step_no(x->e, "session", LK_REASON_MALFORMED, "no session id");
    lk__step_seen(x->e, "session", "%s (public id)", lk__words_id(&load.key).text);
    if (!explain_near(x, &load.key) || !explain_lookup(x, &load))
        return false;
    if ((s->flags & LK_SESSION_TOKEN) != 0)
        return lk__step_no(x->e, "proof", LK_REASON_EXPIRED,
                           "a session behind a token: its id was never given out");
    if (!lk_secret_equal(lk_view_make(s->proof, sizeof(s->proof)), lk_view_make(proof, sizeof(proof))))
        return lk__step_no(x->e, "proof", LK_REASON_EXPIRED, "another id of the same name");
    lk__step_yes(x->e, "proof", "the id is that of this session");
    if (!explain_record(x, s, lk__seen_s(x->g, s)))
        return false;
    explain_limits(x, s);
    return true;
}

static bool explain_sealed(lk__explainer *x, lk_view text)
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
    if (!explain_record(x, &s, s.seen_s))
        return false;
    if (lk__sealed_looks_behind(x->g, &s))
        return lk__step_no(x->e, "copies", LK_REASON_REVOKED,
                           "two generations behind the newest this node was shown: somebody kept a copy");
    return lk__step_yes(x->e, "copies", "the newest, or on its way");
}

/* Kinds whose steps are the gate's own affair. */
static bool explain_other(lk__explainer *x)
{
    if (x->id.verdict == LK_VERDICT_UNKNOWN)
        return lk__step(x->e, "credential", LK_STEP_UNKNOWN, x->id.reason, "could not look");
    if (x->id.logged_in)
        return lk__step_yes(x->e, "credential", "user %s, session %s", x->id.user, x->id.public_id);
    return lk__step_no(x->e, "credential", x->id.reason, "%s", lk_reason_sentence(x->id.reason));
}

/* Its text proves itself; what it is good for is the gate's to say. */
static bool explain_api_key(lk__explainer *x, lk_view text)
{
    lk_view public;
    if (lk_api_key_prove(x->g->parts.ring, text, &public) == LK_REFUSED && !x->id.logged_in &&
        x->id.verdict == LK_VERDICT_REFUSE)
        return lk__step_no(x->e, "proof", x->id.reason, "not made with the keys of this gateway");
    lk__step_yes(x->e, "proof", "made with the keys of this gateway; public part %s",
                 lk__words_shown(public).text);
    return explain_other(x);
}

static bool explain_kind(lk__explainer *x, lk_kind kind, lk_view text)
{
    switch (kind) {
    case LK_KIND_SESSION_ID:
        return explain_session_id(x, text);
    case LK_KIND_SEALED:
        return explain_sealed(x, text);
    case LK_KIND_TOKEN:
        return lk__explain_token(x, text);
    case LK_KIND_JWT:
        return lk__explain_jwt(x, text);
    case LK_KIND_API_KEY:
        return explain_api_key(x, text);
    case LK_KIND_COUNT:
        break;
    }
    return explain_other(x);
}

/* ---- the location ---- */

static bool explain_one(lk__explainer *x, const char *name, lk_rule part, const char *has, const char *wants)
{
    lk_reason why = LK_REASON_NONE;
    if (x->rule->mode == LK_MODE_REQUIRED)
        why = lk__rule_judge(&part, &x->id, x->now_s);
    return lk__step(x->e, name, why == LK_REASON_NONE ? LK_STEP_YES : LK_STEP_NO, why, "has %s; wanted: %s",
                    has[0] != '\0' ? has : "none", wants);
}

static bool explain_rule(lk__explainer *x)
{
    const lk_rule *r = x->rule;
    const lk_identity *id = &x->id;
    lk_rule none = {.mode = LK_MODE_REQUIRED}, part = none;
    if (!explain_one(x, "login", none, id->logged_in ? id->user : "nobody", "somebody who is logged in"))
        return false;
    part.bound = r->bound;
    part.signature = r->signature;
    if ((r->bound || r->signature) && !explain_one(x, "proof", part, id->is_signed ? "a signature" : "none",
                                                   r->bound ? "a proof of a key" : "a signed request"))
        return false;
    part = none;
    part.realm = r->realm;
    if (r->realm.len > 0 && !explain_one(x, "realm", part, id->realm, lk__words_shown(r->realm).text))
        return false;
    part = none;
    part.role = r->role;
    if (r->role.len > 0 && !explain_one(x, "role", part, id->roles, lk__words_shown(r->role).text))
        return false;
    part = none;
    part.scope = r->scope;
    if (r->scope.len > 0 && !explain_one(x, "scope", part, id->limited ? id->scope : "every one of the user",
                                         lk__words_shown(r->scope).text))
        return false;
    part = none;
    part.max_age_s = r->max_age_s;
    return r->max_age_s == 0 || explain_one(x, "max_age", part, lk__words_time(id->auth_s, x->now_s).text,
                                            lk__words_length(r->max_age_s).text);
}

static bool is_allowed(unsigned mask, unsigned bit)
{
    return mask == 0 || (mask & (1u << bit)) != 0;
}

static bool explain_shape(lk__explainer *x, lk_view text, lk_carrier carrier, lk_kind *kind)
{
    if (text.len == 0)
        return lk__step_no(x->e, "shape", LK_REASON_NO_CREDENTIAL, "nothing was presented");
    if (lk_credential_kind(text, kind) != LK_OK)
        return lk__step_no(x->e, "shape", LK_REASON_MALFORMED, "%zu bytes of no known shape", text.len);
    lk__step_yes(x->e, "shape", "%s, %zu bytes", lk_kind_name(*kind), text.len);
    bool fits = is_allowed(x->rule->carriers, carrier) && is_allowed(x->rule->kinds, *kind) &&
                (carrier != LK_CARRIER_URL || *kind == LK_KIND_SESSION_ID);
    return lk__step(x->e, "carrier", fits ? LK_STEP_YES : LK_STEP_NO,
                    fits ? LK_REASON_NONE : LK_REASON_WRONG_CARRIER, "%s in %s%s", lk_kind_name(*kind),
                    lk_carrier_name(carrier), fits ? "" : ": this location does not take it so");
}

/* What the gate says to TEXT in CARRIER. */
static void ask_gate(lk__explainer *x, lk_view text, lk_carrier carrier)
{
    lk_presented p = {.only_reads = true, .looks_only = true};
    size_t cap = text.len + LK_COOKIE_NAME_MAX + 16;
    char *memory = lk_alloc(x->g->parts.env, cap);
    if (memory == NULL) {
        x->id = (lk_identity){.verdict = LK_VERDICT_UNKNOWN, .reason = LK_REASON_STORE_UNAVAILABLE};
        return;
    }
    lk_buf field = lk_buf_over(memory, cap);
    lk_buf_add_text(&field, carrier == LK_CARRIER_COOKIE ? x->g->parts.settings->cookie_name : "Bearer ");
    if (carrier == LK_CARRIER_COOKIE)
        lk_buf_add_byte(&field, '=');
    lk_buf_add(&field, text);
    lk_view view = lk_buf_view(&field);
    if (carrier == LK_CARRIER_COOKIE && lk_view_equal(lk_view_part(text, 0, 3), LK_VIEW("v1.")))
        p.sealed = text; /* however many cookies it takes */
    else if (carrier == LK_CARRIER_COOKIE)
        p.cookies = &view;
    p.cookies_n = p.cookies != NULL;
    if (carrier == LK_CARRIER_HEADER && text.len > 0) {
        p.authorization = &view;
        p.authorization_n = 1;
    }
    if (carrier == LK_CARRIER_URL)
        p.url = text;
    if (p.sealed.len > 0) { /* it stands in the place of a cookie, so that there has to be one */
        p.cookies = &view;
        p.cookies_n = 1;
    }
    lk_guard_check(x->g, &p, x->rule, &x->id);
    lk_wipe(memory, cap);
    lk_free(x->g->parts.env, memory);
}

void lk_guard_explain(lk_guard *g, lk_view credential, lk_carrier carrier, const lk_rule *rule,
                      lk_explanation *out)
{
    lk__explainer x = {.g = g, .e = out, .rule = rule, .now_s = lk_now_s(g->parts.env)};
    lk_kind kind = LK_KIND_COUNT;
    out->n = 0;
    ask_gate(&x, credential, carrier);
    if (explain_shape(&x, credential, carrier, &kind) && explain_kind(&x, kind, credential))
        (void)explain_rule(&x);
    out->verdict = x.id.verdict;
    out->reason = x.id.reason;
    out->status = lk_identity_http_status(&x.id);
    lk_wipe(&x.id, sizeof(x.id));
}

void lk_guard_explain_session(lk_guard *g, const lk_session_key *key, lk_explanation *out)
{
    static const lk_rule required = {.mode = LK_MODE_REQUIRED};
    lk__explainer x = {.g = g, .e = out, .rule = &required, .now_s = lk_now_s(g->parts.env)};
    uint8_t record[LK_HEAD_MAX];
    lk_load load = {.key = *key, .head_only = true, .buf = record, .cap = sizeof(record)};
    out->n = 0;
    out->verdict = LK_VERDICT_ALLOW;
    out->reason = LK_REASON_NONE;
    lk__step_seen(out, "session", "%s (public id)", lk__words_id(key).text);
    if (explain_near(&x, key) && explain_lookup(&x, &load) &&
        explain_record(&x, &load.session, lk__seen_s(g, &load.session)))
        explain_limits(&x, &load.session);
    for (size_t i = 0; i < out->n; i++) {
        if (out->steps[i].answer == LK_STEP_NO || out->steps[i].answer == LK_STEP_UNKNOWN) {
            out->verdict = out->steps[i].answer == LK_STEP_NO ? LK_VERDICT_REFUSE : LK_VERDICT_UNKNOWN;
            out->reason = out->steps[i].why;
            break;
        }
    }
    x.id.verdict = out->verdict;
    x.id.reason = out->reason;
    out->status = lk_identity_http_status(&x.id);
}
