/* SPDX-License-Identifier: Apache-2.0
 *
 * audit.c - one line of the audit log. docs/formats/audit.md
 */
#include "guard/guard_internal.h"
#include <latchkey/json.h>
#include <stdio.h>
#include <time.h>

static void add(lk_buf *out, const char *name, lk_view value, size_t max)
{
    if (value.len == 0)
        return;
    lk_buf_add_byte(out, ',');
    lk_json_add_string(out, lk_view_of(name));
    lk_buf_add_byte(out, ':');
    /* What a client sent may be any bytes: outside ASCII it is shown as '?', so that a line is always one
     * line of JSON. */
    uint8_t clean[512];
    size_t len = value.len < max ? value.len : max;
    for (size_t i = 0; i < len; i++)
        clean[i] = value.p[i] >= 0x20 && value.p[i] < 0x7f ? value.p[i] : '?';
    lk_json_add_string(out, lk_view_make(clean, len));
}

/* Names of users are UTF-8 by construction and kept as they are. */
static void add_name(lk_buf *out, const char *name, lk_view value)
{
    if (value.len == 0)
        return;
    lk_buf_add_byte(out, ',');
    lk_json_add_string(out, lk_view_of(name));
    lk_buf_add_byte(out, ':');
    lk_json_add_string(out, value);
}

static void add_time(lk_buf *out, int64_t now_ms)
{
    struct tm tm;
    char text[32];
    time_t seconds = (time_t)(now_ms / 1000);
    if (gmtime_r(&seconds, &tm) == NULL || strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &tm) == 0)
        text[0] = '\0';
    lk_buf_add_printf(out, "{\"time\":\"%s.%03dZ\"", text, (int)(now_ms % 1000));
}

static const char *verdict_word(lk_verdict verdict)
{
    switch (verdict) {
    case LK_VERDICT_ALLOW:
        return "allow";
    case LK_VERDICT_REFUSE:
        return "refuse";
    case LK_VERDICT_UNKNOWN:
        return "unknown";
    }
    return "unknown";
}

void lk_audit_line(const lk_audit_event *e, lk_buf *out)
{
    add_time(out, e->now_ms);
    add(out, "event", lk_view_of(e->event), 64);
    if (e->status != 0)
        lk_buf_add_printf(out, ",\"status\":%d", e->status);
    add(out, "reason", lk_view_of(lk_reason_word(e->reason)), 64);
    if (e->identity != NULL) {
        add(out, "verdict", lk_view_of(verdict_word(e->identity->verdict)), 16);
        add_name(out, "user", lk_view_of(e->identity->user));
        add_name(out, "name", lk_view_of(e->identity->name));
        add(out, "session", lk_view_of(e->identity->public_id), 32);
        if (e->identity->has_session || e->identity->logged_in) {
            add(out, "credential", lk_view_of(lk_kind_name(e->identity->kind)), 32);
            add(out, "carrier", lk_view_of(lk_carrier_name(e->identity->carrier)), 32);
        }
    } else {
        add_name(out, "user", e->user);
    }
    add(out, "realm", e->realm, 32);
    add(out, "address", e->address, 64);
    add(out, "method", e->method, 16);
    add(out, "path", e->path, 256);
    add(out, "request_id", e->request_id, 64);
    add(out, "agent", e->agent, 128);
    lk_buf_add_byte(out, '}');
}
