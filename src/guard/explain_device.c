/* SPDX-License-Identifier: Apache-2.0
 *
 * explain_device.c - would the device that holds this be given a session? It is given none by asking.
 * docs/devices.md
 */
#include "guard/explain_inner.h"
#include <latchkey/third_party.h>

static bool unknown(lk__explainer *x, const char *name, const char *what)
{
    return lk__step(x->e, name, LK_STEP_UNKNOWN, LK_REASON_STORE_UNAVAILABLE, "%s", what);
}

static bool explain_text(lk__explainer *x, lk_view text, lk_view *id, uint8_t hash[LK_DEVICE_HASH_LEN])
{
    lk__step_yes(x->e, "shape", "device credential, %zu bytes", text.len);
    lk__step_seen(x->e, "carrier", "in its own cookie, or the body of POST %s/devices/session",
                  x->g->parts.settings->prefix);
    lk_status status = lk_device_read(x->g->parts.ring, text, id, hash);
    if (status == LK_REFUSED)
        return lk__step_no(x->e, "fields", LK_REASON_BAD_CREDENTIALS,
                           "it has not the parts that it should have");
    return status == LK_OK || unknown(x, "fields", "could not be read");
}

/* The row, and whether what the device holds is its. */
static bool explain_row(lk__explainer *x, lk_view id, const uint8_t hash[LK_DEVICE_HASH_LEN], lk_device *d)
{
    lk_status status = x->g->accounts == NULL ? LK_FAULT : lk_accounts_device_get(x->g->accounts, id, d);
    if (status == LK_MISS)
        return lk__step_no(x->e, "row", LK_REASON_BAD_CREDENTIALS, "%s: no device of that id, or forgotten",
                           lk__words_shown(id).text);
    if (status != LK_OK)
        return unknown(x, "row", "the accounts could not be asked");
    lk__step_yes(x->e, "row", "%s: in the accounts", lk__words_shown(id).text);
    if (!d->has_secret)
        return lk__step_no(x->e, "secret", LK_REASON_BAD_CREDENTIALS, "the device has a key instead of one");
    if (!lk_secret_equal(lk_view_make(d->hash, LK_DEVICE_HASH_LEN), lk_view_make(hash, LK_DEVICE_HASH_LEN)))
        return lk__step_no(x->e, "secret", LK_REASON_BAD_CREDENTIALS,
                           "not that of the device, or of a login before the last one on it");
    lk__step_yes(x->e, "secret", "that of the device");
    lk__step_seen(x->e, "device", "%s, class %s",
                  d->label[0] != '\0' ? lk__words_shown(lk_view_of(d->label)).text : "no label",
                  d->device_class[0] != '\0' ? lk__words_shown(lk_view_of(d->device_class)).text : "none");
    return true;
}

static bool explain_owner(lk__explainer *x, const lk_device *d, lk_user *user)
{
    bool here = lk_view_equal(lk_view_of(d->realm), lk_view_of(x->g->parts.settings->realm));
    if (!here && !lk__step_no(x->e, "realm", LK_REASON_WRONG_AUDIENCE, "of %s",
                              d->realm[0] != '\0' ? lk__words_shown(lk_view_of(d->realm)).text : "no realm"))
        return false;
    lk__step_seen(x->e, "issued", "%s; last login with a password %s",
                  lk__words_time(d->issued_ms / 1000, x->now_s).text,
                  lk__words_time(d->auth_s, x->now_s).text);
    bool over = x->now_s >= d->ends_s;
    if (!lk__step(x->e, "life", over ? LK_STEP_NO : LK_STEP_YES,
                  !over                      ? LK_REASON_NONE
                  : x->now_s >= d->expires_s ? LK_REASON_EXPIRED
                                             : LK_REASON_IDLE,
                  "without use it ends %s; absolute end %s", lk__words_time(d->ends_s, x->now_s).text,
                  lk__words_time(d->expires_s, x->now_s).text))
        return false;
    lk_status status = lk_accounts_get(x->g->accounts, lk_view_of(d->user), user);
    if (status == LK_MISS)
        return lk__step_no(x->e, "account", LK_REASON_REVOKED, "its user is not there any more");
    if (status != LK_OK)
        return unknown(x, "account", "the accounts could not be asked");
    lk__explain_user(x, lk_view_of(user->id), lk_view_of(user->name), lk_view_of(user->realm));
    return user->state == LK_USER_ENABLED
               ? lk__step_yes(x->e, "account", "enabled")
               : lk__step_no(x->e, "account", LK_REASON_BANNED, "its user is disabled");
}

static bool explain_cutoffs(lk__explainer *x, const lk_device *d, const lk_user *user)
{
    lk_session_key key;
    lk_subject subject = {.realm = lk_view_of(d->realm),
                          .roles = lk_view_of(user->roles),
                          .user = lk_view_of(d->user),
                          .device = lk_view_of(d->id),
                          .issued_ms = d->issued_ms};
    if (lk_public_id_read(lk_view_of(d->session), &key) == LK_OK)
        subject.session = &key;
    return lk__explain_cutoffs(x, &subject);
}

/* Time ends a session and leaves the device; whoever ends it ends both. */
static bool ends_device(const lk_load *load)
{
    return load->status == LK_STALE && load->why != LK_REASON_EXPIRED && load->why != LK_REASON_IDLE &&
           load->why != LK_REASON_NONE;
}

/* It takes a place that is free, and nobody's else. */
static void explain_place(lk__explainer *x, const lk_device *d, const lk_load *last)
{
    bool own_is_in_the_way = false;
    if (x->g->hands_out == LK_KIND_SEALED)
        return; /* those are in no store, and count nowhere */
    switch (
        lk__device_place(x->g, d, last->status == LK_OK ? &last->session.key : NULL, &own_is_in_the_way)) {
    case LK_OK:
        lk__step_yes(x->e, "limits", "there is a place for its session");
        return;
    case LK_FULL:
        lk__step_no(x->e, "limits", LK_REASON_SESSION_LIMIT, "all places of its user are taken");
        return;
    case LK_MISS:
    case LK_STALE:
    case LK_REFUSED:
    case LK_FAULT:
        break;
    }
    unknown(x, "limits", "could not look");
}

static void explain_last(lk__explainer *x, const lk_device *d)
{
    uint8_t record[LK_HEAD_MAX];
    lk_load load = {.head_only = true, .buf = record, .cap = sizeof(record)};
    lk_reason why;
    if (d->put_out_s > 0) {
        lk__step_no(x->e, "session", LK_REASON_REPLACED, "a limit ended it %s: none until the next login",
                    lk__words_time(d->put_out_s, x->now_s).text);
        return;
    }
    if (lk_public_id_read(lk_view_of(d->session), &load.key) != LK_OK) {
        lk__step_yes(x->e, "session", "it was given none yet");
        return;
    }
    lk__explain_load(lk_store_writes_to(x->g->parts.store), &load);
    lk__words given = lk__words_time(d->session_s, x->now_s);
    if (load.status == LK_FAULT || load.status == LK_FULL) {
        unknown(x, "session", "the store could not be asked for the last one");
        return;
    }
    if (ends_device(&load)) {
        lk__step_no(x->e, "session", load.why,
                    "%s (public id), given %s: it was ended, and no other is given", d->session, given.text);
        return;
    }
    bool alive = load.status == LK_OK && (load.session.flags & LK_SESSION_ENDING) == 0 &&
                 lk_session_alive(&load.session, x->now_s, &why) == LK_OK;
    lk__step_yes(x->e, "session", "%s (public id), given %s: %s", d->session, given.text,
                 alive ? "alive, it is given that once more" : "ended by time, it is given the next one");
    if (!alive)
        explain_place(x, d, &load);
}

void lk__explain_device(lk__explainer *x, lk_view text)
{
    uint8_t hash[LK_DEVICE_HASH_LEN];
    lk_device device;
    lk_user user;
    lk_view id;
    if (explain_text(x, text, &id, hash) && explain_row(x, id, hash, &device) &&
        explain_owner(x, &device, &user) && explain_cutoffs(x, &device, &user))
        explain_last(x, &device);
    lk_wipe(hash, sizeof(hash));
}
