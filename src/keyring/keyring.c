/* SPDX-License-Identifier: Apache-2.0
 *
 * keyring.c - what others ask of a keyring.
 */
#include "keyring/ring.h"
#include <stdlib.h>

/* The clock is asked here and not at each check: to sign is rare and dear, and which keys check changes only
 * when the files are read again. */
const lk_signer *lk_keyring_signer(const lk_keyring *ring, lk_alg alg)
{
    const lk__entry *entry = lk__ring_signer(lk__ring_now(ring), alg, lk_now_s(ring->env));

    return entry == NULL ? NULL : entry->signer;
}

const lk_verifier *lk_keyring_verifier(const lk_keyring *ring, lk_view kid)
{
    ring = lk__ring_now(ring);
    if (kid.len == 0)
        return ring->checks_only && ring->n == 1 ? ring->entries[0].verifier : NULL;
    for (size_t i = 0; i < ring->n; i++) {
        const lk_verifier *v = ring->entries[i].verifier; /* NULL for the root */

        if (v != NULL && lk_view_equal(kid, lk_view_make(v->kid, v->kid_len)))
            return v;
    }
    return NULL;
}

const lk_verifier *lk__keyring_verifier_for(const lk_keyring *ring, lk_view kid, lk_view alg, bool *known)
{
    const lk_verifier *v = lk_keyring_verifier(ring, kid);

    *known = v != NULL;
    while (v != NULL && !lk_view_equal(alg, lk_view_of(v->algorithm->jose)))
        v = v->other;
    return v;
}

const struct lk_mac *lk_keyring_mac(const lk_keyring *ring, lk_purpose purpose)
{
    return ring->has_root && (unsigned)purpose < LK_PURPOSE_COUNT ? &ring->purposes[purpose] : NULL;
}

lk_status lk_keyring_info(const lk_keyring *ring, size_t index, lk_key_info *out)
{
    const lk__entry *entry;
    int64_t now_s = lk_now_s(ring->env);

    ring = lk__ring_now(ring);
    if (index >= ring->n)
        return LK_MISS;
    entry = &ring->entries[index];
    *out = entry->info;
    out->created_s = entry->life.created_s;
    out->signs_s = entry->life.signs_s;
    out->retires_s = entry->life.retires_s;
    out->gone_s = entry->life.gone_s;
    out->state =
        entry->info.is_root || ring->checks_only ? LK_KEY_ACTIVE : lk__key_life_state(&entry->life, now_s);
    if (entry->signer == NULL)
        return LK_OK;
    /* What the times say of one key is not all: another may have followed it, or failed to. */
    if (lk__ring_signer(ring, entry->info.alg, now_s) == entry)
        out->state = LK_KEY_ACTIVE;
    else if (out->state == LK_KEY_ACTIVE)
        out->state = LK_KEY_RETIRING;
    return LK_OK;
}

/* --- Signing and checking --------------------------------------------------------------------------------
 */

lk_status lk_sign(const lk_signer *signer, lk_view message, lk_buf *out)
{
    return signer->algorithm->sign(signer, message, out);
}

lk_alg lk_signer_alg(const lk_signer *signer)
{
    return signer->algorithm->alg;
}

lk_view lk_signer_kid(const lk_signer *signer)
{
    return lk_view_make(signer->kid, signer->kid_len);
}

lk_status lk_verify(const lk_verifier *verifier, lk_view message, lk_view signature)
{
    return verifier->algorithm->verify(verifier, message, signature);
}

lk_alg lk_verifier_alg(const lk_verifier *verifier)
{
    return verifier->algorithm->alg;
}

lk_view lk_verifier_kid(const lk_verifier *verifier)
{
    return lk_view_make(verifier->kid, verifier->kid_len);
}

const lk_mac *lk__signer_token_mac(const lk_signer *signer)
{
    return signer->algorithm->alg == LK_ALG_HS256 ? &signer->token_mac : NULL;
}

const lk_mac *lk__verifier_token_mac(const lk_verifier *verifier)
{
    return verifier->algorithm->alg == LK_ALG_HS256 ? &verifier->token_mac : NULL;
}

const lk_mac *lk__signer_seal_mac(const lk_signer *signer)
{
    return signer->algorithm->alg == LK_ALG_HS256 ? &signer->seal_mac : NULL;
}

const lk_mac *lk__verifier_seal_mac(const lk_verifier *verifier)
{
    return verifier->algorithm->alg == LK_ALG_HS256 ? &verifier->seal_mac : NULL;
}

/* --- Our own header --------------------------------------------------------------------------------------
 */

lk_view lk__signer_header(const lk_signer *signer)
{
    return lk_view_make(signer->header, signer->header_len);
}

const lk_verifier *lk__keyring_by_header(const lk_keyring *ring, lk_view header)
{
    ring = lk__ring_now(ring);
    for (size_t i = 0; i < ring->n && header.len > 0; i++) {
        const lk_verifier *v = ring->entries[i].verifier;

        if (v != NULL && lk_view_equal(header, lk_view_make(v->header, v->header_len)))
            return v;
    }
    return NULL;
}

bool lk__verifier_header_is_proven(const lk_verifier *verifier)
{
    return atomic_load_explicit(&verifier->header_proven, memory_order_relaxed);
}

void lk__verifier_header_prove(const lk_verifier *verifier)
{
    /* The one thing about a verifier that changes: a mark that a text, which does not change, was read. Every
     * thread would come to the same answer. */
    atomic_store_explicit((atomic_bool *)(uintptr_t)&verifier->header_proven, true, memory_order_relaxed);
}

/* --- How often each is used ------------------------------------------------------------------------------
 */

/* Marks like the one above: they change nothing of what a signer or a verifier answers. */
void lk__verifier_count(const lk_verifier *verifier)
{
    atomic_uint_least64_t *n = (atomic_uint_least64_t *)(uintptr_t)&verifier->used_n;

    atomic_fetch_add_explicit(n, 1, memory_order_relaxed);
}

void lk__signer_count(const lk_signer *signer)
{
    atomic_uint_least64_t *n = (atomic_uint_least64_t *)(uintptr_t)&signer->used_n;

    atomic_fetch_add_explicit(n, 1, memory_order_relaxed);
}

/* --- The JWK Set -----------------------------------------------------------------------------------------
 */

static int compare_kids(const void *a, const void *b)
{
    const char *x = (*(const lk__entry *const *)a)->info.kid, *y = (*(const lk__entry *const *)b)->info.kid;

    while (*x != '\0' && *x == *y) {
        x++;
        y++;
    }
    return (unsigned char)*x - (unsigned char)*y;
}

lk_status lk_keyring_jwks(const lk_keyring *ring, char **json)
{
    const lk__entry *sorted[LK__KEYS_MAX];
    size_t n = 0, len = sizeof("{\"keys\":[]}");
    lk_buf out;

    ring = lk__ring_now(ring);
    for (size_t i = 0; i < ring->n; i++) {
        if (ring->entries[i].public_jwk == NULL)
            continue;
        len += lk_view_of(ring->entries[i].public_jwk).len + 1;
        sorted[n++] = &ring->entries[i];
    }
    qsort(sorted, n, sizeof(sorted[0]), compare_kids);
    *json = lk_alloc(ring->env, len);
    if (*json == NULL)
        return LK_FAULT;
    out = lk_buf_over(*json, len);
    lk_buf_add_text(&out, "{\"keys\":[");
    for (size_t i = 0; i < n; i++) {
        lk_buf_add_text(&out, i == 0 ? "" : ",");
        lk_buf_add_text(&out, sorted[i]->public_jwk);
    }
    lk_buf_add_text(&out, "]}");
    return lk_buf_text(&out) != NULL ? LK_OK : LK_FAULT; /* the sum above is exact */
}
