/* SPDX-License-Identifier: Apache-2.0
 *
 * device_end.c - logging out a device: it is stopped first, so that nothing new begins, then the session it
 * was given last ends, which may be one that a renewal has only just named, and then it is forgotten. What
 * could not be done is told, and is done by the next try: the row is there until nothing else is left to do.
 */
#include "service/devices.h"

#include "carrier/carrier.h"
#include "service/cookie.h"

#include <string.h>

static bool is_key(const lk_session_key *a, const lk_session_key *b)
{
    return a != NULL && memcmp(a->bytes, b->bytes, LK_SESSION_KEY_LEN) == 0;
}

/* Could the session it was given last still be alive? */
static bool may_live(const lk__call *c, const lk_device *d)
{
    const lk_settings *s = c->s->settings;
    int64_t life_s = s->absolute_s > s->remember_s ? s->absolute_s : s->remember_s;
    return c->now_ms / 1000 - d->session_s <= life_s;
}

lk_status lk__device_forget(lk__call *c, lk_view user, lk_view id, const lk_session_key *spare)
{
    lk_device was;
    lk_session_key key;
    lk_status status = lk_accounts_device_stop(c->s->accounts, user, id, &was);
    if (status == LK_MISS)
        return LK_OK;
    if (status == LK_OK && lk_public_id_read(lk_view_of(was.session), &key) == LK_OK &&
        !is_key(spare, &key) && may_live(c, &was))
        status = lk_guard_end(c->s->guard, lk_view_of(was.realm), &key, LK_REASON_REVOKED);
    if (status == LK_OK)
        status = lk_accounts_device_remove(c->s->accounts, user, id, NULL);
    if (status != LK_OK && status != LK_MISS)
        return LK_FAULT;
    lk__audit(c, "device_revoked", LK_REASON_REVOKED, 200, user, NULL);
    return LK_OK;
}

static lk_status find_shown(const lk__call *c, lk_view *text)
{
    char name[LK_DEVICE_COOKIE_MAX + 1];
    lk_device_cookie_name(c->s->settings, name);
    return lk_cookie_find(c->req->presented.cookies, c->req->presented.cookies_n, lk_view_of(name), text);
}

lk_status lk__device_logout(lk__call *c)
{
    lk_device_proof proof = {0};
    lk_device d;
    lk_status status = LK_OK;
    if (!c->s->settings->device_on)
        return LK_OK;
    if (c->id->logged_in && c->id->device[0] != '\0')
        status = lk__device_forget(c, lk_view_of(c->id->user), lk_view_of(c->id->device), &c->id->key);
    bool by_header = c->id->logged_in && c->id->carrier == LK_CARRIER_HEADER;
    if (status != LK_OK || by_header || find_shown(c, &proof.text) != LK_OK || proof.text.len == 0)
        return status;
    status = lk_device_prove(c->s->guard, c->s->accounts, &proof, &d);
    if (status == LK_OK)
        status = lk__device_forget(c, lk_view_of(d.user), lk_view_of(d.id), NULL);
    return status == LK_FAULT ? LK_FAULT : LK_OK;
}

lk_status lk__devices_forget(lk__call *c, lk_view except)
{
    size_t n = 0;
    lk_status status = LK_FAULT;
    if (!c->s->settings->device_on)
        return LK_OK;
    lk_device *all = lk__arena_take(c->arena, LK_DEVICES_MAX * sizeof(lk_device));
    if (all != NULL)
        status = lk_accounts_device_list(c->s->accounts, lk_view_of(c->id->user), all, &n);
    for (size_t i = 0; i < n && status == LK_OK; i++)
        if (!lk_view_equal(lk_view_of(all[i].id), except))
            status = lk__device_forget(c, lk_view_of(c->id->user), lk_view_of(all[i].id), &c->id->key);
    return status;
}

bool lk__device_drop_cookie(lk__call *c)
{
    lk_view text;
    if (find_shown(c, &text) == LK_MISS)
        return true;
    lk_buf value = lk__arena_buf(c->arena, LK_SET_COOKIE_MAX);
    if (lk_device_cookie_write(c->s->settings, (lk_view){0}, 0, c->now_ms / 1000, &value) != LK_OK) {
        lk__answer_unavailable(c);
        return false;
    }
    lk__answer_header(c, "Set-Cookie", lk_buf_view(&value));
    return true;
}
