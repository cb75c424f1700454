/* SPDX-License-Identifier: Apache-2.0
 *
 * session.c - the session of a request: the whole record, and changes of its fields.
 */
#include "guard/guard_internal.h"

lk_status lk_guard_record(lk_guard *g, const lk_session_key *key, uint8_t *buf, lk_session *out,
                          lk_reason *why)
{
    lk_load load = {.key = *key, .buf = buf, .cap = LK_RECORD_MAX};
    lk_store *primary = lk_store_writes_to(g->parts.store);
    *why = LK_REASON_EXPIRED;
    /* Who wrote a field a moment ago reads it now, however far behind a copy is. */
    lk_status status = lk_store_load_many(primary, &load, 1);
    if ((status != LK_OK || load.status == LK_FAULT) && primary != g->parts.store)
        status = lk_store_load_many(g->parts.store, &load, 1);
    if (status != LK_OK || load.status == LK_FAULT || load.status == LK_FULL)
        return LK_FAULT;
    if (load.status != LK_OK) {
        if (load.why != LK_REASON_NONE)
            *why = load.why;
        return load.status;
    }
    *out = load.session;
    out->seen_s = lk__seen_s(g, out);
    return lk_session_alive(out, lk_now_s(g->parts.env), why);
}

lk_status lk_guard_session(lk_guard *g, const lk_presented *presented, const lk_identity *id, uint8_t *buf,
                           lk_session *out, lk_reason *why)
{
    if (id->kind == LK_KIND_SEALED)
        return lk__sealed_session(g, presented, buf, NULL, out, why);
    return lk_guard_record(g, &id->key, buf, out, why);
}

lk_status lk_guard_change(lk_guard *g, const lk_presented *presented, const lk_identity *id,
                          uint32_t if_revision, const lk_op *ops, size_t n, uint32_t *revision,
                          lk_issued *again, lk_note *note)
{
    again->len = 0;
    if (!id->has_session)
        return LK_MISS;
    if (id->kind == LK_KIND_SEALED)
        return lk__sealed_change(g, presented, if_revision, ops, n, revision, again, note);
    return lk_store_change(g->parts.store, &id->key, id->generation, if_revision, ops, n, revision, note);
}
