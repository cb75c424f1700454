/* SPDX-License-Identifier: Apache-2.0
 *
 * audit.c - handing events to the audit log. docs/formats/audit.md
 */
#include "service/call.h"

#include "crypto/mac.h"

#include <latchkey/base64url.h>

void lk__audit(lk__call *c, const char *event, lk_reason reason, int status, lk_view user,
               const lk_identity *identity)
{
    uint8_t memory[LK_AUDIT_MAX];
    lk_buf line = lk_buf_over(memory, sizeof(memory));
    lk_audit_event e = {.event = event,
                        .reason = reason,
                        .identity = identity,
                        .user = user,
                        .realm = lk_view_of(c->s->settings->realm),
                        .address = c->req->address,
                        .method = c->req->method,
                        .path = c->req->path,
                        .request_id = c->req->request_id,
                        .agent = c->req->user_agent,
                        .status = status,
                        .now_ms = c->now_ms};
    if (c->s->audit == NULL)
        return;
    lk_audit_line(&e, &line);
    if (lk_buf_status(&line) == LK_OK)
        c->s->audit(c->s->audit_context, lk_buf_view(&line));
}

lk_view lk__audit_name(lk__call *c, lk_view name)
{
    uint8_t mac[LK_MAC_LEN];
    lk_buf text = lk__arena_buf(c->arena, 64);
    const lk_view parts[] = {LK_VIEW("audit name"), lk_view_of(c->s->settings->realm), LK_VIEW("/"), name};
    const lk_keyring *ring = lk_guard_parts_of(c->s->guard)->ring;
    if (lk_mac_run(lk_keyring_mac(ring, LK_PURPOSE_THROTTLE), parts, 4, mac) != LK_OK)
        return (lk_view){0};
    lk_buf_add_text(&text, "name:");
    lk_base64url_encode(lk_view_make(mac, 12), &text);
    return lk_buf_view(&text);
}
