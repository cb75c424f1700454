/* SPDX-License-Identifier: Apache-2.0
 *
 * explain.c - every check of a credential, in the order of the gate and by the functions that it calls: one
 * straight function for each kind, in the explain_*.c beside this. Each stops where the gate stops. The
 * verdict is not ours: the gate is asked. Of what the gate takes nowhere (refresh tokens, devices) it is what
 * the steps come to.
 */
#include "guard/explain_inner.h"
#include <string.h>

/* Kinds whose steps are the gate's own affair. */
static bool explain_other(lk__explainer *x)
{
    if (x->id.verdict == LK_VERDICT_UNKNOWN)
        return lk__step(x->e, "credential", LK_STEP_UNKNOWN, x->id.reason, "could not look");
    if (x->id.logged_in)
        return lk__step_yes(x->e, "credential", "user %s, session %s", x->id.user, x->id.public_id);
    return lk__step_no(x->e, "credential", x->id.reason, "%s", lk_reason_sentence(x->id.reason));
}

static bool explain_kind(lk__explainer *x, lk_kind kind, lk_view text)
{
    switch (kind) {
    case LK_KIND_SESSION_ID:
        return lk__explain_session_id(x, text);
    case LK_KIND_SEALED:
        return lk__explain_sealed(x, text);
    case LK_KIND_TOKEN:
        return lk__explain_token(x, text);
    case LK_KIND_JWT:
        return lk__explain_jwt(x, text);
    case LK_KIND_API_KEY:
        return lk__explain_api_key(x, text);
    case LK_KIND_COUNT:
        break;
    }
    return explain_other(x);
}

/* ---- what is it? ---- */

typedef enum shape { SHAPE_NONE, SHAPE_CREDENTIAL, SHAPE_REFRESH, SHAPE_DEVICE } shape;

/* "d1." is no header of a JWT, and a simple token has more parts. */
static bool is_device(lk_view text)
{
    lk_view rest = lk_view_part(text, 3, text.len);
    size_t dot = lk_view_find(rest, '.');
    return lk_view_equal(lk_view_part(text, 0, 3), LK_VIEW("d1.")) &&
           lk_view_find(lk_view_part(rest, dot + 1, rest.len), '.') + dot + 1 >= rest.len;
}

static shape shape_of(lk_view text, lk_kind *kind)
{
    if (is_device(text))
        return SHAPE_DEVICE;
    if (lk_credential_kind(text, kind) == LK_OK)
        return SHAPE_CREDENTIAL;
    return lk_view_equal(lk_view_part(text, 0, 3), LK_VIEW("r1.")) ? SHAPE_REFRESH : SHAPE_NONE;
}

bool lk_explains(lk_view text)
{
    lk_kind kind;
    return shape_of(text, &kind) != SHAPE_NONE;
}

bool lk_explain_wants_accounts(lk_view text)
{
    lk_kind kind = LK_KIND_COUNT;
    shape is = shape_of(text, &kind);
    return is == SHAPE_REFRESH || is == SHAPE_DEVICE || (is == SHAPE_CREDENTIAL && kind == LK_KIND_API_KEY);
}

static bool is_allowed(unsigned mask, unsigned bit)
{
    return mask == 0 || (mask & (1u << bit)) != 0;
}

static bool explain_shape(lk__explainer *x, lk_view text, lk_carrier carrier, lk_kind kind)
{
    lk__step_yes(x->e, "shape", "%s, %zu bytes", lk_kind_name(kind), text.len);
    bool fits = is_allowed(x->rule->carriers, carrier) && is_allowed(x->rule->kinds, kind) &&
                (carrier != LK_CARRIER_URL || kind == LK_KIND_SESSION_ID);
    bool rides = kind != LK_KIND_API_KEY || carrier == LK_CARRIER_HEADER;
    return lk__step(x->e, "carrier", fits && rides ? LK_STEP_YES : LK_STEP_NO,
                    fits && rides ? LK_REASON_NONE : LK_REASON_WRONG_CARRIER, "%s in %s%s",
                    lk_kind_name(kind), lk_carrier_name(carrier),
                    !fits    ? ": this location does not take it so"
                    : !rides ? ": taken from a header alone"
                             : "");
}

/* ---- the gate ---- */

/* What the gate says to TEXT in CARRIER. */
static void ask_gate(lk__explainer *x, lk_view text, lk_carrier carrier)
{
    lk_presented p = {.only_reads = true, .looks_only = true, .address = x->address};
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

static void explain_credential(lk__explainer *x, lk_view text, lk_carrier carrier, lk_kind kind)
{
    ask_gate(x, text, carrier);
    if (text.len == 0)
        lk__step_no(x->e, "shape", LK_REASON_NO_CREDENTIAL, "nothing was presented");
    else if (kind == LK_KIND_COUNT)
        lk__step_no(x->e, "shape", LK_REASON_MALFORMED, "%zu bytes of no known shape", text.len);
    else if (explain_shape(x, text, carrier, kind) && explain_kind(x, kind, text))
        (void)lk__explain_rule(x);
}

/* What the steps come to, where no gate was asked: the first that says no, or could not look. */
static void conclude(lk__explainer *x)
{
    const lk_explanation *e = x->e;
    x->id.verdict = LK_VERDICT_ALLOW;
    x->id.reason = LK_REASON_NONE;
    for (size_t i = 0; i < e->n; i++) {
        if (e->steps[i].answer != LK_STEP_NO && e->steps[i].answer != LK_STEP_UNKNOWN)
            continue;
        x->id.verdict = e->steps[i].answer == LK_STEP_NO ? LK_VERDICT_REFUSE : LK_VERDICT_UNKNOWN;
        x->id.reason = e->steps[i].why;
        return;
    }
}

static void answer(lk__explainer *x)
{
    x->e->verdict = x->id.verdict;
    x->e->reason = x->id.reason;
    x->e->status = lk_identity_http_status(&x->id);
    lk_wipe(&x->id, sizeof(x->id));
}

void lk_guard_explain(lk_guard *g, const lk_explain_ask *ask, lk_explanation *out)
{
    lk__explainer x = {
        .g = g, .e = out, .rule = ask->rule, .address = ask->address, .now_s = lk_now_s(g->parts.env)};
    lk_kind kind = LK_KIND_COUNT;
    out->n = 0;
    switch (shape_of(ask->credential, &kind)) {
    case SHAPE_REFRESH:
        lk__explain_refresh(&x, ask->credential);
        conclude(&x);
        break;
    case SHAPE_DEVICE:
        lk__explain_device(&x, ask->credential);
        conclude(&x);
        break;
    case SHAPE_NONE:
        kind = LK_KIND_COUNT;
        explain_credential(&x, ask->credential, ask->carrier, kind);
        break;
    case SHAPE_CREDENTIAL:
        explain_credential(&x, ask->credential, ask->carrier, kind);
        break;
    }
    answer(&x);
}

void lk_guard_explain_session(lk_guard *g, const lk_session_key *key, lk_explanation *out)
{
    static const lk_rule required = {.mode = LK_MODE_REQUIRED};
    lk__explainer x = {.g = g, .e = out, .rule = &required, .now_s = lk_now_s(g->parts.env)};
    uint8_t record[LK_HEAD_MAX];
    lk_load load = {.key = *key, .head_only = true, .buf = record, .cap = sizeof(record)};
    out->n = 0;
    lk__step_seen(out, "session", "%s (public id)", lk__words_id(key).text);
    if (lk__explain_near(&x, key)) {
        lk__explain_load(g->parts.store, &load);
        if (lk__explain_found(&x, &load) &&
            lk__explain_record(&x, &load.session, lk__seen_s(g, &load.session)))
            lk__explain_limits(&x, &load.session);
    }
    conclude(&x);
    answer(&x);
}
