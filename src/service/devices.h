/* SPDX-License-Identifier: Apache-2.0
 *
 * devices.h - devices that stay logged in, as the API sees them. docs/devices.md
 */
#ifndef LATCHKEY_SERVICE_DEVICES_H
#define LATCHKEY_SERVICE_DEVICES_H

#include "service/call.h"

/* ---- device_login.c: what a login does about the device it came from ---- */

typedef struct lk__device_plan {
    /* What is wanted. */
    bool wanted;                 /* register a device, or give the one that proves itself a new secret */
    lk_view label, device_class; /* as asked for */
    lk_view public_key;          /* a JWK as we keep it; empty: a secret is handed out */
    lk_view proof;               /* the text of a device that came in the body */
    lk_view keep;                /* id of the device of a session that goes on under another id */
    bool by_cookie; /* the login goes into a cookie: so does the text, and one that is there counts */

    /* What came of it. */
    bool in_use, is_new;
    lk_device device;
    char text[LK_DEVICE_TEXT_LEN + 1]; /* to be handed out; "" when there is nothing */
    char session_id[LK_SESSION_ID_LEN + 1];
    bool drop; /* the cookie of a device that is another's, or nobody's */
} lk__device_plan;

/* Read the member `device` of the body, or the box of the form. False: the call is answered. */
bool lk__device_wish(lk__call *c, lk__device_plan *plan);
/* The same, where the whole body, JSON or form, is about the device. */
bool lk__device_wish_here(lk__call *c, lk__device_plan *plan);
/* Before the session of USER is made: register or vouch for the device. LK_OK; LK_FAULT. */
LK_CHECKED lk_status lk__device_begin(lk__call *c, lk__device_plan *plan, const lk_user *user);
/* What lk_guard_issue is told of it. */
void lk__device_fill(const lk__device_plan *plan, lk_login *login);
/* No session was made: a device that was registered for it goes again. */
void lk__device_undo(lk__call *c, const lk__device_plan *plan);
/* The cookie with the text, or the removal of one. False: the call is answered. */
bool lk__device_carry(lk__call *c, const lk__device_plan *plan);
/* Members for the JSON answer, each with the comma before it. */
void lk__device_json(const lk__device_plan *plan, lk_buf *out);
void lk__device_plan_wipe(lk__device_plan *plan);

/* ---- device_end.c ---- */

/* Forget the device ID of the user who asks, and end the session it was given last unless that is SPARE.
 * LK_OK, also when it was not there; LK_FAULT. */
LK_CHECKED lk_status lk__device_forget(lk__call *c, lk_view user, lk_view id, const lk_session_key *spare);
/* The device a browser shows, and that of the session, are logged out with it. LK_OK; LK_FAULT. */
LK_CHECKED lk_status lk__device_logout(lk__call *c);
/* Forget all of the user's but EXCEPT (may be empty). LK_OK; LK_FAULT. */
LK_CHECKED lk_status lk__devices_forget(lk__call *c, lk_view except);
/* Take the cookie out of the browser, if one came. False: the call is answered. */
bool lk__device_drop_cookie(lk__call *c);

/* ---- device_renew.c ---- */

/* A visitor whose session ended by time is given a new one, if his device may. False: the call is answered.
 */
bool lk__device_renew(lk__call *c, const lk_rule *rule);

/* ---- devices.c: the calls ---- */

/* What the account page shows. */
LK_CHECKED lk_status lk__devices_scope(lk__call *c, lk__scope *scope);
void lk__devices_get(lk__call *c);
void lk__devices_post(lk__call *c);
void lk__device_page(lk__call *c);
void lk__device_patch(lk__call *c);
void lk__device_post(lk__call *c);
void lk__device_delete(lk__call *c);
void lk__device_challenge(lk__call *c);
void lk__device_session(lk__call *c);

#endif
