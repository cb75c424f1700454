/* SPDX-License-Identifier: Apache-2.0
 *
 * sealed.c - sessions that live in the client: what was presented is opened, what changed is sealed anew.
 *
 * The store keeps nothing of them but what was revoked. docs/formats/sealed.md
 */
#include "guard/guard_internal.h"
#include <string.h>

/* A box is worth a new one when a tenth of its idle time has passed, as a record is worth a write. */
enum { STEPS = 10, HOUR_S = 3600 };

static lk_seal_place place_of(const lk_guard *g)
{
    return (lk_seal_place){LK_VIEW("session"), lk_view_of(g->parts.settings->cookie_name),
                           lk_view_of(g->parts.settings->realm)};
}

lk_status lk__sealed_open(lk_guard *g, lk_view text, uint8_t *buf, char *id, lk_session *out, lk_reason *why)
{
    lk_seal_place place = place_of(g);
    lk_buf scratch = lk_buf_over(buf, LK_SESSION_ROOM);
    lk_status status = lk_sealed_open(g->parts.ring, &place, text, &scratch, id, out, why);
    if (status != LK_OK && status != LK_STALE)
        return status;
    lk_status key = lk__cutoffs_check_key(g, lk_sealed_kid(text), why);
    if (key != LK_OK && id != NULL)
        lk_wipe(id, LK_SESSION_ID_LEN + 1);
    return key == LK_OK ? status : key;
}

lk_status lk__sealed_make(lk_guard *g, const char id[LK_SESSION_ID_LEN + 1], const lk_session *s,
                          lk_issued *out, lk_note *note)
{
    lk_seal_place place = place_of(g);
    lk_buf text = lk_buf_over(out->text, sizeof(out->text) - 1);
    lk_status status = lk__keys_sign(g, LK_ALG_HS256);
    if (status == LK_OK)
        status = lk_sealed_make(g->parts.env, g->parts.ring, &place, id, s, &text, note);
    if (status != LK_OK)
        return status;
    out->len = text.len;
    out->text[text.len] = '\0';
    lk__issued_fill(LK_KIND_SEALED, s, out);
    return LK_OK;
}

/* Sessions without an idle limit are handed out anew hourly, so that copies of them are noticed. */
bool lk__sealed_is_due(const lk_session *s, int64_t seen_s, int64_t now_s)
{
    int64_t step_s = s->idle_s > 0 ? s->idle_s / STEPS : HOUR_S;
    return now_s - seen_s >= (step_s > 0 ? step_s : 1);
}

/* The room of one call: what was presented, in full, and what it becomes. */
typedef struct sealed_memory {
    uint8_t text[LK_SEALED_MAX];
    uint8_t record[LK_SESSION_ROOM];
    uint8_t fields[LK_FIELDS_BYTES_MAX];
} sealed_memory;

lk_status lk__sealed_session(lk_guard *g, const lk_presented *presented, uint8_t *buf, char *id,
                             lk_session *out, lk_reason *why)
{
    uint8_t memory[LK_SEALED_MAX];
    lk_buf room = lk_buf_over(memory, sizeof(memory));
    lk_view text;
    *why = LK_REASON_MALFORMED;
    lk_status status = lk__presented_find(g, presented, &room, &text);
    if (status == LK_OK)
        status = lk__sealed_open(g, text, buf, id, out, why);
    if (status == LK_REFUSED || status == LK_FULL)
        return LK_STALE;
    return status == LK_OK ? lk_session_alive(out, lk_now_s(g->parts.env), why) : status;
}

lk_status lk__sealed_change(lk_guard *g, const lk_presented *presented, uint32_t if_revision,
                            const lk_op *ops, size_t n, uint32_t *revision, lk_issued *again, lk_note *note)
{
    char id[LK_SESSION_ID_LEN + 1] = "";
    lk_session s;
    lk_reason why;
    sealed_memory *memory = lk_alloc(g->parts.env, sizeof(*memory));
    lk_buf fields;
    lk_status status = LK_FAULT;
    if (memory == NULL)
        goto out;
    status = lk__sealed_session(g, presented, memory->record, id, &s, &why);
    if (status == LK_OK && if_revision > 0 && s.revision != if_revision)
        status = LK_REFUSED;
    if (status != LK_OK)
        goto out;
    fields = lk_buf_over(memory->fields, sizeof(memory->fields));
    status = lk_fields_apply(s.fields, ops, n, &fields, note);
    if (status != LK_OK)
        goto out;
    s.fields = lk_buf_view(&fields);
    s.revision++;
    s.seen_s = lk_now_s(g->parts.env);
    status = lk__sealed_make(g, id, &s, again, note);
    if (status == LK_OK && revision != NULL)
        *revision = s.revision;
out:
    if (status != LK_OK)
        again->len = 0;
    lk_wipe(id, sizeof(id));
    lk_free(g->parts.env, memory);
    return status;
}
