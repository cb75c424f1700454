/* SPDX-License-Identifier: Apache-2.0
 *
 * data_apply.c - a change that an application asked for in the header of its answer.
 */
#include "service/arena.h"
#include "service/data_change.h"

#include "carrier/carrier.h"

#include <latchkey/json.h>

static bool is_allowed(const lk_data_change *change, const lk_json_item *item, lk_note *note)
{
    uint8_t room[LK_FIELD_NAME_MAX * 6];
    lk_buf name = lk_buf_over(room, sizeof(room));
    bool known = lk_json_string(lk_view_make(item->name.p - 1, item->name.len + 2), &name) == LK_OK;
    for (size_t i = 0; known && i < change->allowed_n; i++) {
        if (lk_view_equal(lk_buf_view(&name), change->allowed[i]))
            return true;
    }
    if (change->allowed == NULL)
        return true;
    lk_note_set(note, "it changes a field that this location does not name");
    return false;
}

/* Is each step an object, and of fields this application may change? */
static bool are_steps(const lk_data_change *change, lk_note *note)
{
    lk_json_item item;
    for (size_t i = 0; i < change->n; i++) {
        lk_view text = change->steps[i].text;
        if (lk_json_check(text, NULL, note) != LK_OK)
            return false;
        size_t start = 0, at = 0;
        while (text.p[start] <= ' ')
            start++;
        if (text.p[start] != '{') {
            lk_note_set(note, "it is no JSON object");
            return false;
        }
        while (lk_json_next(text, &at, &item)) {
            if (!is_allowed(change, &item, note))
                return false;
        }
    }
    return true;
}

/* Would the steps leave anything in a session that is empty? */
static lk_data_end first_data(lk_guard *g, const lk_data_change *change, bool *any, lk_note *note)
{
    lk_data_end end = LK_DATA_UNKNOWN;
    lk__arena *scratch = lk__arena_new(lk_guard_parts_of(g)->env);
    if (scratch == NULL)
        return end;
    lk_buf fields = lk__arena_buf(scratch, LK_FIELDS_BYTES_MAX + 1024);
    lk_status status =
        lk__change_plan((lk_view){0}, change->steps, change->n, scratch, NULL, NULL, &fields, note);
    *any = fields.len > 0;
    if (status == LK_OK)
        end = LK_DATA_CHANGED;
    else if (status != LK_FAULT)
        end = LK_DATA_BROKEN;
    lk__arena_free(scratch);
    return end;
}

/* A credential in a header that is no good is a program's: it would be given a session with every answer. */
static bool has_header(const lk_presented *p)
{
    lk_view value;
    lk_scheme scheme;
    return lk_authorization_find(p->authorization, p->authorization_n, &scheme, &value) != LK_MISS ||
           lk_header_find(p->header, p->header_n, &value) != LK_MISS;
}

void lk_data_identity(const lk_issued *issued, lk_identity *id)
{
    id->has_session = true;
    id->kind = issued->kind;
    id->carrier = LK_CARRIER_COOKIE;
    id->flags = LK_SESSION_ANONYMOUS;
    id->key = issued->key;
    id->generation = issued->generation;
    id->issued_s = issued->issued_s;
    id->ends_s = issued->ends_s;
    id->expires_s = issued->expires_s;
    lk_public_id_write(&issued->key, id->public_id);
}

static lk_data_end begin(lk_guard *g, const lk_data_change *change, lk_issued *again, bool *any,
                         lk_note *note)
{
    lk_identity *id = change->id;
    lk_data_end end = first_data(g, change, any, note);
    if (end != LK_DATA_CHANGED || !*any)
        return end;
    if (has_header(change->presented)) {
        lk_note_set(note, "the visitor showed a credential that is no good, and no cookie");
        return LK_DATA_OVER;
    }
    if (change->settings->cookie_secure && !change->secure_transport) {
        lk_note_set(note, "the cookie of a new session is Secure, and the visitor came by plain http");
        return LK_DATA_OVER;
    }
    if (lk_guard_issue_anonymous(g, change->agent, change->address, again, note) != LK_OK)
        return LK_DATA_UNKNOWN;
    lk_data_identity(again, id);
    return LK_DATA_CHANGED;
}

static lk_data_end end_of(lk__change_end end)
{
    switch (end) {
    case LK_CHANGE_DONE:
        return LK_DATA_CHANGED;
    case LK_CHANGE_BROKEN:
        return LK_DATA_BROKEN;
    case LK_CHANGE_MISMATCH: /* not without If-Match */
    case LK_CHANGE_CONFLICT:
        return LK_DATA_CONFLICT;
    case LK_CHANGE_OVER:
        return LK_DATA_OVER;
    case LK_CHANGE_UNKNOWN:
        break;
    }
    return LK_DATA_UNKNOWN;
}

static lk_data_end apply(lk_guard *g, const lk_data_change *change, const lk_issued *issued, lk_issued *again,
                         lk_note *note)
{
    lk_presented presented = *change->presented;
    /* What was handed out in this request is where the session is by now. */
    if (issued != NULL && issued->len > 0 && issued->kind == LK_KIND_SEALED)
        presented.sealed = lk_view_make(issued->text, issued->len);
    lk__change c = {.guard = g,
                    .presented = &presented,
                    .id = change->id,
                    .steps = change->steps,
                    .n = change->n,
                    .record = lk_alloc(lk_guard_parts_of(g)->env, LK_RECORD_MAX),
                    .again = again,
                    .note = note};
    lk_data_end end = c.record == NULL ? LK_DATA_UNKNOWN : end_of(lk__change_run(&c));
    lk_free(lk_guard_parts_of(g)->env, c.record);
    return end;
}

lk_data_end lk_data_apply(lk_guard *g, const lk_data_change *change, lk_issued *again, lk_note *note)
{
    again->len = 0;
    if (!are_steps(change, note))
        return LK_DATA_BROKEN;
    if (change->id->has_session)
        return apply(g, change, change->issued, again, note);
    bool any = false;
    lk_data_end end = begin(g, change, again, &any, note);
    if (end != LK_DATA_CHANGED || !any)
        return end;
    lk_issued first = *again;
    end = apply(g, change, &first, again, note);
    if (again->len == 0)
        *again = first;
    lk_issued_wipe(&first);
    return end;
}
