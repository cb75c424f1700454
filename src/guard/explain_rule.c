/* SPDX-License-Identifier: Apache-2.0
 *
 * explain_rule.c - what a location asks for: read in the words of the directive, and held against who came.
 */
#include "guard/explain_inner.h"

/* ---- in words ---- */

static bool add_bit(lk_view list, bool is_carrier, unsigned *bits)
{
    while (list.len > 0) {
        size_t comma = lk_view_find(list, ',');
        lk_view name = lk_view_part(list, 0, comma);
        lk_carrier carrier;
        lk_kind kind;
        if (is_carrier ? lk_carrier_of(name, &carrier) != LK_OK : lk_kind_of(name, &kind) != LK_OK)
            return false;
        *bits |= 1u << (is_carrier ? (unsigned)carrier : (unsigned)kind);
        list = lk_view_part(list, comma + 1, list.len);
    }
    return *bits != 0;
}

static bool read_option(lk_view name, lk_view value, lk_rule *out)
{
    if (lk_view_equal(name, LK_VIEW("role")))
        out->role = value;
    else if (lk_view_equal(name, LK_VIEW("scope")))
        out->scope = value;
    else if (lk_view_equal(name, LK_VIEW("realm")))
        out->realm = value;
    else if (lk_view_equal(name, LK_VIEW("audience")))
        out->audience = value;
    else if (lk_view_equal(name, LK_VIEW("max_age")))
        return lk_parse_duration_s(value, &out->max_age_s) == LK_OK && out->max_age_s > 0;
    else if (lk_view_equal(name, LK_VIEW("carrier")))
        return add_bit(value, true, &out->carriers);
    else if (lk_view_equal(name, LK_VIEW("credential")))
        return add_bit(value, false, &out->kinds);
    else
        return false;
    return value.len > 0;
}

lk_status lk_rule_read(lk_view text, lk_rule *out, lk_note *note)
{
    lk_view word;
    *out = (lk_rule){.mode = LK_MODE_REQUIRED};
    while (lk_words_next(&text, &word)) {
        size_t sign = lk_view_find(word, '=');
        if (lk_view_equal(word, LK_VIEW("required")))
            out->mode = LK_MODE_REQUIRED;
        else if (lk_view_equal(word, LK_VIEW("optional")))
            out->mode = LK_MODE_OPTIONAL;
        else if (lk_view_equal(word, LK_VIEW("bound")))
            out->bound = true;
        else if (lk_view_equal(word, LK_VIEW("signature")))
            out->signature = true;
        else if (sign == word.len ||
                 !read_option(lk_view_part(word, 0, sign), lk_view_part(word, sign + 1, word.len), out)) {
            lk_note_set(note,
                        "\"%.*s\" is no word of a rule: required, optional, bound, signature, role=, scope=, "
                        "realm=, audience=, max_age=, carrier=, credential=",
                        word.len > 40 ? 40 : (int)word.len, (const char *)word.p);
            return LK_REFUSED;
        }
    }
    return LK_OK;
}

/* ---- held against who came ---- */

static bool explain_one(lk__explainer *x, const char *name, lk_rule part, const char *has, const char *wants)
{
    lk_reason why = LK_REASON_NONE;
    if (x->rule->mode == LK_MODE_REQUIRED)
        why = lk__rule_judge(&part, &x->id, x->now_s);
    return lk__step(x->e, name, why == LK_REASON_NONE ? LK_STEP_YES : LK_STEP_NO, why, "has %s; wanted: %s",
                    has[0] != '\0' ? has : "none", wants);
}

bool lk__explain_rule(lk__explainer *x)
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
