/* SPDX-License-Identifier: Apache-2.0
 *
 * device_login.c - a login registers the device it comes from, or vouches for the one that proves itself.
 *
 * An id that a client names is no proof: a device is known by its secret, in its cookie or in the body. A
 * cookie of somebody else's device is taken out of the browser, and that device is logged out: or the browser
 * would go back to being him, silently, when this login ends.
 */
#include "service/agent.h"
#include "service/devices.h"
#include "service/text.h"

#include "carrier/carrier.h"
#include "service/cookie.h"

#include <string.h>

static bool broken(lk__call *c, lk_view rule)
{
    lk__answer_problem(c, LK_PROBLEM_RULE_BROKEN, rule);
    return false;
}

/* A member of the device object, as text. */
static bool member(lk__call *c, lk_view object, const char *name, lk_view *out)
{
    lk_json_item item;
    if (lk_json_get(object, lk_view_of(name), &item) != LK_OK || item.type == LK_JSON_NULL)
        return true;
    lk_buf text = lk__arena_buf(c->arena, item.value.len);
    if (item.type != LK_JSON_STRING || lk_json_string(item.value, &text) != LK_OK)
        return false;
    *out = lk_buf_view(&text);
    return true;
}

static bool read_key(lk__call *c, lk_view object, lk_view *out)
{
    lk_json_item item;
    lk_note note = {{0}};
    if (lk_json_get(object, LK_VIEW("public_key"), &item) != LK_OK || item.type == LK_JSON_NULL)
        return true;
    lk_buf key = lk__arena_buf(c->arena, LK_DEVICE_JWK_MAX);
    lk_status status = LK_REFUSED;
    lk_note_set(&note, "public_key is a JWK: an object");
    if (item.type == LK_JSON_OBJECT)
        status = lk_device_key_read(c->s->env, item.value, &key, &note);
    *out = lk_buf_view(&key);
    return status == LK_OK || broken(c, lk__arena_copy(c->arena, lk_view_of(note.text)));
}

static bool read_object(lk__call *c, lk_view object, lk__device_plan *plan)
{
    lk_view id = {0};
    lk_note note = {{0}};
    if (!member(c, object, "id", &id) || !member(c, object, "label", &plan->label) ||
        !member(c, object, "class", &plan->device_class) || !member(c, object, "token", &plan->proof) ||
        id.len > LK_DEVICE_MAX)
        return broken(c,
                      LK_VIEW("device is an object of the texts label, class, token and id, and public_key"));
    for (size_t i = 0; i < id.len; i++)
        if (id.p[i] < 0x20 || id.p[i] == 0x7f)
            return broken(c, LK_VIEW("device id has no control characters"));
    if (lk_accounts_device_words_check(plan->label, plan->device_class, &note) != LK_OK)
        return broken(c, lk__arena_copy(c->arena, lk_view_of(note.text)));
    plan->wanted = c->s->settings->device_on;
    return read_key(c, object, &plan->public_key);
}

/* "Stay signed in on this device": the box of the form. */
static bool read_form(lk__call *c, lk__device_plan *plan)
{
    bool ticked = false;
    (void)!lk__body_flag(c, LK_VIEW("remember"), &ticked);
    if (!ticked || !c->s->settings->device_on)
        return true;
    plan->wanted = true;
    plan->device_class = LK_VIEW("browser");
    return true;
}

bool lk__device_wish(lk__call *c, lk__device_plan *plan)
{
    lk_view object;
    if (c->body_kind == LK_BODY_FORM)
        return c->page ? read_form(c, plan) : true;
    switch (lk__body_object(c, LK_VIEW("device"), &object)) {
    case LK_OK:
        return read_object(c, object, plan);
    case LK_MISS:
        return true;
    case LK_STALE:
    case LK_REFUSED:
    case LK_FULL:
    case LK_FAULT:
        break;
    }
    return broken(c, LK_VIEW("device is an object"));
}

bool lk__device_wish_here(lk__call *c, lk__device_plan *plan)
{
    lk_note note = {{0}};
    if (c->body_kind == LK_BODY_JSON)
        return read_object(c, c->req->body, plan);
    plan->wanted = true;
    plan->device_class = LK_VIEW("browser");
    if (lk__body_text(c, LK_VIEW("label"), &plan->label) == LK_REFUSED ||
        lk_accounts_device_words_check(plan->label, plan->device_class, &note) != LK_OK)
        return broken(c, lk__arena_copy(c->arena, lk_view_of(note.text)));
    return true;
}

/* ---- who is there already ---- */

/* What the browser shows. Empty: nothing, or two different ones. */
static lk_view shown(const lk__call *c)
{
    char name[LK_DEVICE_COOKIE_MAX + 1];
    lk_view text = {0};
    lk_device_cookie_name(c->s->settings, name);
    if (lk_cookie_find(c->req->presented.cookies, c->req->presented.cookies_n, lk_view_of(name), &text) !=
        LK_OK)
        return (lk_view){0};
    return text;
}

static bool is_of(const lk_device *d, const lk_user *user)
{
    return lk_view_equal(lk_view_of(d->user), lk_view_of(user->id));
}

/* The device of this login that is known already. LK_OK; LK_MISS; LK_FAULT. */
static lk_status find_known(lk__call *c, lk__device_plan *plan, const lk_user *user, lk_view *text)
{
    lk_device_proof proof = {.text = plan->proof.len > 0 || !plan->by_cookie ? plan->proof : shown(c)};
    lk_status status = LK_MISS;
    if (proof.text.len > 0) {
        status = lk_device_prove(c->s->guard, c->s->accounts, &proof, &plan->device);
        plan->drop = plan->by_cookie && status == LK_REFUSED;
    }
    if (status == LK_OK && !is_of(&plan->device, user)) {
        status = lk__device_forget(c, lk_view_of(plan->device.user), lk_view_of(plan->device.id), NULL);
        plan->drop = plan->by_cookie;
        status = status == LK_OK ? LK_MISS : LK_FAULT;
    }
    if (status == LK_OK)
        *text = proof.text;
    if ((status == LK_MISS || status == LK_REFUSED) && plan->keep.len > 0) {
        status = lk_accounts_device_get(c->s->accounts, plan->keep, &plan->device);
        if (status == LK_OK && !is_of(&plan->device, user))
            status = LK_MISS;
    }
    return status == LK_REFUSED ? LK_MISS : status;
}

/* ---- registering ---- */

static void copy(char *out, size_t cap, lk_view v)
{
    size_t n = v.len < cap ? v.len : cap - 1;
    if (n > 0)
        memcpy(out, v.p, n);
    out[n] = '\0';
}

static lk_view label_of(lk__call *c, const lk__device_plan *plan)
{
    const char *browser = lk__agent_browser(c->req->user_agent),
               *system = lk__agent_system(c->req->user_agent);
    lk_buf out = lk__arena_buf(c->arena, LK_DEVICE_LABEL_MAX);
    if (plan->label.len > 0)
        return plan->label;
    lk_buf_add_text(&out, browser);
    if (browser[0] != '\0' && system[0] != '\0')
        lk_buf_add_text(&out, " \xc2\xb7 ");
    lk_buf_add_text(&out, system);
    return lk_buf_view(&out);
}

/* What the device is to hold: a key that it has, or a new secret. */
static lk_status give_secret(lk__call *c, lk__device_plan *plan)
{
    lk_device *d = &plan->device;
    d->has_secret = plan->public_key.len == 0;
    copy(d->key, sizeof(d->key), plan->public_key);
    memset(d->hash, 0, sizeof(d->hash));
    if (!d->has_secret)
        return LK_OK;
    return lk_device_make_again(c->s->env, lk_guard_parts_of(c->s->guard)->ring, lk_view_of(d->id),
                                plan->text, d->hash);
}

static lk_status describe(lk__call *c, lk__device_plan *plan, const lk_user *user)
{
    lk_device *d = &plan->device;
    if (plan->is_new) {
        memset(d, 0, sizeof(*d));
        if (lk_device_make(c->s->env, lk_guard_parts_of(c->s->guard)->ring, d->id, NULL, NULL) != LK_OK)
            return LK_FAULT;
        copy(d->user, sizeof(d->user), lk_view_of(user->id));
        copy(d->realm, sizeof(d->realm), lk_view_of(user->realm));
        copy(d->label, sizeof(d->label), label_of(c, plan));
    }
    if (plan->wanted)
        copy(d->device_class, sizeof(d->device_class), plan->device_class);
    d->issued_ms = lk_guard_issue_time_ms(c->s->guard, lk_view_of(user->realm), lk_view_of(user->roles),
                                          lk_view_of(user->id), lk_view_of(d->id));
    d->auth_s = c->now_ms / 1000;
    return plan->wanted ? give_secret(c, plan) : LK_OK;
}

/* The session that is about to be made belongs to the device: its name is known before it is there. */
static lk_status name_session(lk__call *c, lk__device_plan *plan, lk_view text)
{
    lk_session_key key;
    lk_status status = lk_device_session_id(lk_guard_parts_of(c->s->guard)->ring, &plan->device, text,
                                            (lk_view){0}, plan->session_id, &key);
    plan->device.session_from[0] = '\0';
    if (status == LK_OK)
        lk_public_id_write(&key, plan->device.session);
    return status;
}

lk_status lk__device_begin(lk__call *c, lk__device_plan *plan, const lk_user *user)
{
    lk_view text = {0};
    if (!c->s->settings->device_on)
        return LK_OK;
    lk_status status = find_known(c, plan, user, &text);
    if (status == LK_FAULT)
        return LK_FAULT;
    plan->is_new = status == LK_MISS;
    if (plan->is_new && !plan->wanted)
        return LK_OK;
    status = describe(c, plan, user);
    if (status == LK_OK)
        status = name_session(c, plan, plan->text[0] != '\0' ? lk_view_of(plan->text) : text);
    if (status == LK_OK)
        status = plan->is_new ? lk_accounts_device_add(c->s->accounts, &plan->device, NULL)
                              : lk_accounts_device_renew(c->s->accounts, &plan->device);
    plan->in_use = status == LK_OK;
    return status == LK_OK ? LK_OK : LK_FAULT;
}

void lk__device_fill(const lk__device_plan *plan, lk_login *login)
{
    if (login->device_class.len == 0)
        login->device_class = plan->device_class;
    if (!plan->in_use)
        return;
    login->device = lk_view_of(plan->device.id);
    login->device_class = lk_view_of(plan->device.device_class);
    login->session_id = plan->session_id;
    login->issued_ms = plan->device.issued_ms;
}

void lk__device_undo(lk__call *c, const lk__device_plan *plan)
{
    /* Nobody was handed anything for it: left behind it is a line in a list, no way in. */
    if (plan->in_use && plan->is_new)
        (void)!lk_accounts_device_remove(c->s->accounts, lk_view_of(plan->device.user),
                                         lk_view_of(plan->device.id), NULL);
}

/* ---- handing out ---- */

bool lk__device_carry(lk__call *c, const lk__device_plan *plan)
{
    if (plan->by_cookie && plan->text[0] != '\0') {
        lk_buf value = lk__arena_buf(c->arena, LK_SET_COOKIE_MAX);
        lk_status status =
            lk_device_cookie_write(c->s->settings, lk_view_of(plan->text),
                                   plan->device.expires_s - c->now_ms / 1000, c->now_ms / 1000, &value);
        if (status != LK_OK) {
            lk__answer_unavailable(c);
            return false;
        }
        lk__answer_header(c, "Set-Cookie", lk_buf_view(&value));
        return true;
    }
    return !plan->drop || lk__device_drop_cookie(c);
}

void lk__device_json(const lk__device_plan *plan, lk_buf *out)
{
    const lk_device *d = &plan->device;
    if (!plan->in_use)
        return;
    lk_buf_add_printf(out, ",\"device\":{\"id\":\"%s\",\"label\":", d->id);
    lk__json_add(out, lk_view_of(d->label));
    lk_buf_add_text(out, ",\"class\":");
    lk__json_add(out, lk_view_of(d->device_class));
    lk_buf_add_byte(out, '}');
    if (!plan->by_cookie && plan->text[0] != '\0') {
        lk_buf_add_text(out, ",\"device_token\":");
        lk__json_add(out, lk_view_of(plan->text));
    }
}

void lk__device_plan_wipe(lk__device_plan *plan)
{
    lk_wipe(plan, sizeof(*plan));
}
