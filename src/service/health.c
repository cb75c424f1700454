/* SPDX-License-Identifier: Apache-2.0
 *
 * health.c - is the process alive, and could it serve?
 */
#include "service/call.h"
#include "service/text.h"

/* Touches nothing: a store that is away is no reason to restart the gateway. */
void lk__health_live(lk__call *c)
{
    lk_buf body = lk__arena_buf(c->arena, 32);
    lk_buf_add_text(&body, "{\"status\":\"ok\"}");
    lk__answer(c, 200, "application/json", &body);
}

void lk__health_ready(lk__call *c)
{
    lk_note note = {{0}};
    lk_user user; /* asked for by an id that could be one, so that the database has to look */
    lk_status status = lk_guard_ready(c->s->guard, &note);
    if (status == LK_OK && lk_accounts_get(c->s->accounts, LK_VIEW("AAAAAAAAAAAAAAAA"), &user) == LK_FAULT) {
        lk_note_set(&note, "the accounts cannot be read");
        status = LK_FAULT;
    }
    if (status == LK_OK) {
        lk__health_live(c);
        return;
    }
    lk__answer_reason(c, 503, LK_REASON_STORE_UNAVAILABLE, lk__arena_copy(c->arena, lk_view_of(note.text)));
}
