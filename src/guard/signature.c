/* SPDX-License-Identifier: Apache-2.0
 *
 * signature.c - requests signed with an API key: whose they are, and that they come once.
 *
 * What is forged costs two hashes and no look-up. What is genuine presents the whole key from then on, as if
 * it had come in the request: scopes, end, address ranges and cut-offs are those of the key.
 */
#include "crypto/mac.h"
#include "guard/guard_internal.h"
#include <string.h>

void lk_signed_wipe(lk_signed *s)
{
    lk_wipe(s, sizeof(*s));
}

/* The one Authorization field, if it is a signature. LK_MISS: none is; LK_REFUSED. */
static lk_status find(const lk_presented *p, lk_request_signature *s)
{
    lk_status status = LK_MISS;
    for (size_t i = 0; i < p->authorization_n && status == LK_MISS; i++)
        status = lk_request_signature_read(p->authorization[i], s);
    return status == LK_OK && p->authorization_n > 1 ? LK_REFUSED : status;
}

void lk_signed_present(const lk_signed *s, lk_presented *p)
{
    p->cookies_n = p->header_n = p->proofs_n = 0;
    p->url = p->sealed = (lk_view){0};
    p->authorization = s->fields;
    p->authorization_n = 1;
    p->is_signed = true;
}

lk_status lk_guard_signature(lk_guard *g, lk_presented *p, lk_signed *out, lk_reason *why)
{
    char key[LK_API_KEY_LEN + 1];
    lk_request_signature s;
    lk_buf field = lk_buf_over(out->field, sizeof(out->field)),
           name = lk_buf_over(out->key, sizeof(out->key)),
           nonce = lk_buf_over(out->nonce, sizeof(out->nonce));
    memset(out, 0, sizeof(*out));
    *why = LK_REASON_MALFORMED;
    lk_status status = find(p, &s);
    if (status != LK_OK)
        return status;
    status = lk_request_signature_check(g->parts.ring, &s, &p->about, lk_now_s(g->parts.env),
                                        g->parts.settings->signature_window_s, key, why);
    if (status == LK_OK) {
        lk_buf_add_text(&field, "Bearer ");
        lk_buf_add_text(&field, key);
        lk_buf_add(&name, s.key);
        lk_buf_add(&nonce, s.nonce);
        out->fields[0] = lk_buf_view(&field);
        out->time_s = s.time_s;
        memcpy(out->body_digest, s.body_digest, sizeof(out->body_digest));
        if (field.full || lk_buf_text(&name) == NULL || lk_buf_text(&nonce) == NULL)
            status = LK_FAULT; /* cannot be: read and checked above */
    }
    lk_wipe(key, sizeof(key));
    if (status == LK_OK)
        lk_signed_present(out, p);
    else
        lk_signed_wipe(out);
    return status == LK_STALE ? LK_REFUSED : status;
}

bool lk_guard_signature_asks(const lk_guard *g)
{
    return g->store_is_remote;
}

/* A record without a user, without fields, that no id opens: its name is all there is to it. The name is a
 * keyed hash of key and nonce, and a store takes a name once. It is swept when the request could not come any
 * more. */
static lk_status use_in_store(lk_guard *g, const lk_signed *s, int64_t until_s)
{
    const lk_mac *mac = lk_keyring_mac(g->parts.ring, LK_PURPOSE_PROOF);
    const lk_view parts[] = {LK_VIEW("signature "), lk_view_of(s->key), LK_VIEW(" "), lk_view_of(s->nonce)};
    int64_t now_s = lk_now_s(g->parts.env);
    uint8_t hash[LK_MAC_LEN];
    lk_session mark = {.generation = 1,
                       .revision = 1,
                       .flags = LK_SESSION_ANONYMOUS | LK_SESSION_TOKEN,
                       .created_s = now_s,
                       .issued_s = now_s,
                       .seen_s = now_s,
                       .expires_s = until_s + 2};
    if (mac == NULL || lk_mac_run(mac, parts, 4, hash) != LK_OK)
        return LK_FAULT;
    memcpy(mark.key.bytes, hash, LK_SESSION_KEY_LEN);
    memcpy(mark.proof, hash + LK_SESSION_KEY_LEN, LK_SESSION_PROOF_LEN);
    return lk_store_create(g->parts.store, &mark, (lk_limit){0}, NULL);
}

lk_status lk_guard_signature_use(lk_guard *g, const lk_signed *s, lk_reason *why)
{
    int64_t until_s = s->time_s + g->parts.settings->signature_window_s;
    lk__use use = {.kind = "signature",
                   .key = lk_view_of(s->key),
                   .id = lk_view_of(s->nonce),
                   .by = lk_view_of(s->key),
                   .made_s = s->time_s,
                   .until_s = until_s};
    lk_status status = lk__use_up(g, &use);
    if (status == LK_OK && g->store_is_remote)
        status = use_in_store(g, s, until_s);
    *why = LK_REASON_NONE;
    switch (status) {
    case LK_OK:
        lk_guard_count(g, LK_COUNT_SIGNED);
        return LK_OK;
    case LK_REFUSED:
        *why = LK_REASON_REPLAYED;
        return LK_REFUSED;
    case LK_STALE: /* made before this node began to remember, or too late for the store to tell */
    case LK_MISS:
        *why = LK_REASON_EXPIRED;
        return LK_REFUSED;
    case LK_FULL:
        *why = LK_REASON_THROTTLED;
        return LK_FULL;
    case LK_FAULT:
        break;
    }
    *why = LK_REASON_STORE_UNAVAILABLE;
    return LK_FAULT;
}
