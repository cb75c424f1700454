/* SPDX-License-Identifier: Apache-2.0
 *
 * explain.c - POST /admin/explain: why a credential, a session or a request is let in or not.
 */
#include "service/call.h"
#include "service/text.h"
#include <latchkey/explain.h>

#define ADMIN LK_VIEW("latchkey-admin")

/* For administrators, by a login of their own: a token with scopes of its own is for something else. */
static bool is_admin(lk__call *c)
{
    const lk_identity *id = c->id;
    if (id->limited && !lk_words_have(lk_view_of(id->scope), ADMIN)) {
        lk__answer_reason(c, 403, LK_REASON_INSUFFICIENT_SCOPE, (lk_view){0});
        return false;
    }
    if (lk_words_have(lk_view_of(id->roles), ADMIN))
        return true;
    lk__answer_reason(c, 403, LK_REASON_INSUFFICIENT_ROLE, (lk_view){0});
    return false;
}

static void add_step(lk_buf *out, const lk_step *step)
{
    lk_buf_add_text(out, "{\"name\":");
    lk__json_add(out, lk_view_of(step->name));
    lk_buf_add_text(out, ",\"value\":");
    lk__json_add(out, lk_view_of(step->value));
    lk_buf_add_printf(out, ",\"answer\":\"%s\"", lk_step_answer_word(step->answer));
    if (step->why != LK_REASON_NONE)
        lk_buf_add_printf(out, ",\"reason\":\"%s\"", lk_reason_word(step->why));
    lk_buf_add_byte(out, '}');
}

static void answer(lk__call *c, const lk_explanation *e)
{
    static const char *const verdicts[] = {"allow", "refuse", "unknown"};
    lk_buf body = lk__arena_buf(c->arena, LK_STEPS_MAX * (2 * LK_STEP_VALUE_MAX + 128) + 256);
    lk_buf_add_printf(&body, "{\"verdict\":\"%s\",\"status\":%d,\"reason\":\"%s\",\"steps\":[",
                      verdicts[e->verdict], e->status, lk_reason_word(e->reason));
    for (size_t i = 0; i < e->n; i++) {
        if (i > 0)
            lk_buf_add_byte(&body, ',');
        add_step(&body, &e->steps[i]);
    }
    lk_buf_add_text(&body, "]}");
    lk__audit(c, "explained", LK_REASON_NONE, 200, (lk_view){0}, c->id);
    lk__answer(c, 200, "application/json", &body);
}

static void broken(lk__call *c, const char *rule)
{
    lk__answer_problem(c, LK_PROBLEM_RULE_BROKEN, lk_view_of(rule));
}

static void explain_request(lk__call *c, lk_view request_id, lk_explanation *e)
{
    const char *file = c->s->settings->audit;
    if (file[0] != '/') {
        broken(c, "there is no audit log that can be read: latchkey_audit names no file");
        return;
    }
    switch (lk_explain_request(lk_guard_parts_of(c->s->guard)->env, file, request_id, e, NULL)) {
    case LK_OK:
        answer(c, e);
        return;
    case LK_MISS:
        lk__answer_problem(c, LK_PROBLEM_NOT_FOUND, LK_VIEW("the audit log does not speak of that request"));
        return;
    case LK_STALE:
    case LK_REFUSED:
    case LK_FULL:
    case LK_FAULT:
        break;
    }
    lk__answer_unavailable(c);
}

static void explain_credential(lk__call *c, lk_view credential, lk_explanation *e)
{
    lk_view location = {0}, carrier_word = {0};
    lk_explain_ask ask = {.credential = credential, .carrier = LK_CARRIER_HEADER};
    lk_note note = {""};
    lk_rule rule;
    if (lk__body_text(c, LK_VIEW("location"), &location) == LK_REFUSED ||
        lk_rule_read(location, &rule, &note) != LK_OK) {
        broken(c, "location is a rule such as \"required role=admin scope=orders.read max_age=10m\"");
        return;
    }
    if (lk__body_text(c, LK_VIEW("carrier"), &carrier_word) != LK_MISS &&
        lk_carrier_of(carrier_word, &ask.carrier) != LK_OK) {
        broken(c, "carrier is cookie, header or url");
        return;
    }
    if (lk__body_text(c, LK_VIEW("address"), &ask.address) == LK_REFUSED) {
        broken(c, "address is a text");
        return;
    }
    ask.rule = &rule;
    lk_guard_explain(c->s->guard, &ask, e);
    answer(c, e);
}

void lk__admin_explain(lk__call *c)
{
    lk_view credential, public_id, request_id;
    lk_session_key key;
    lk_explanation *e = lk__arena_take(c->arena, sizeof(*e));
    bool by_credential = lk__body_text(c, LK_VIEW("credential"), &credential) == LK_OK;
    bool by_id = lk__body_text(c, LK_VIEW("public_id"), &public_id) == LK_OK;
    bool by_request = lk__body_text(c, LK_VIEW("request_id"), &request_id) == LK_OK;
    if (!is_admin(c))
        return;
    if (e == NULL) {
        lk__answer_unavailable(c);
    } else if (by_credential + by_id + by_request != 1) {
        broken(c, "name one of credential, public_id and request_id");
    } else if (by_request) {
        explain_request(c, request_id, e);
    } else if (by_credential) {
        explain_credential(c, credential, e);
    } else if (lk_public_id_read(public_id, &key) != LK_OK) {
        broken(c, "public_id has 16 characters");
    } else {
        lk_guard_explain_session(c->s->guard, &key, e);
        answer(c, e);
    }
}
