/* SPDX-License-Identifier: Apache-2.0
 *
 * public_keys.c - GET /.well-known/jwks.json (RFC 7517): the public keys, for whoever checks our tokens.
 */
#include "service/call.h"

enum { LONGEST_S = 300 };

void lk__jwks(lk__call *c)
{
    char *json = NULL;
    if (lk_keyring_jwks(lk_guard_parts_of(c->s->guard)->ring, &json) != LK_OK) {
        lk__answer_unavailable(c);
        return;
    }
    lk_view text = lk_view_of(json);
    lk_buf body = lk__arena_buf(c->arena, text.len + 1);
    lk_buf_add(&body, text);
    lk_free(c->s->env, json);
    lk__answer(c, 200, "application/jwk-set+json", &body);
    /* Half the time a new key is shown before it signs at most, so that no checker meets a kid it cannot have
     * seen, and has time to ask again. */
    int64_t half_s = c->s->settings->keys_publish_s / 2;
    lk_buf control = lk__arena_buf(c->arena, 48);
    lk_buf_add_text(&control, "public, max-age=");
    lk_buf_add_i64(&control, half_s < LONGEST_S ? half_s : LONGEST_S);
    if (c->res->status == 200)
        lk__answer_header(c, "Cache-Control", lk_buf_view(&control));
}
