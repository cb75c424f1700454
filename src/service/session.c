/* SPDX-License-Identifier: Apache-2.0
 *
 * session.c - GET /session: who is asking, and until when.
 */
#include "service/call.h"
#include "service/text.h"

void lk__session_get(lk__call *c)
{
    const lk_identity *id = c->id;
    if (!id->logged_in) {
        lk__answer_unauthorized(c);
        return;
    }
    lk_buf body = lk__arena_buf(c->arena, 8192);
    lk_buf_add_text(&body, "{\"user\":");
    lk__json_user(&body, lk_view_of(id->user), lk_view_of(id->name), lk_view_of(id->roles));
    lk_buf_add_text(&body, ",\"session\":{\"public_id\":");
    lk__json_add(&body, lk_view_of(id->public_id));
    lk_buf_add_text(&body, ",\"issued\":");
    lk_buf_add_i64(&body, id->issued_s);
    lk_buf_add_text(&body, ",\"authenticated\":");
    lk_buf_add_i64(&body, id->auth_s);
    lk_buf_add_text(&body, ",\"expires\":");
    lk_buf_add_i64(&body, id->expires_s);
    lk_buf_add_text(&body, ",\"idle_expires\":");
    lk_buf_add_i64(&body, id->ends_s);
    lk_buf_add_text(&body, "},\"credential\":");
    lk__json_add(&body,
                 id->kind == LK_KIND_SESSION_ID ? LK_VIEW("session") : lk_view_of(lk_kind_name(id->kind)));
    lk_buf_add_text(&body, ",\"carrier\":");
    lk__json_add(&body, lk_view_of(lk_carrier_name(id->carrier)));
    lk_buf_add_text(&body, ",\"realm\":");
    lk__json_add(&body, lk_view_of(id->realm));
    lk_buf_add_text(&body, ",\"scope\":");
    lk__json_add(&body, lk_view_of(id->scope));
    lk_buf_add_byte(&body, '}');
    lk__answer(c, 200, "application/json", &body);
}
