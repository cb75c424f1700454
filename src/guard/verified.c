/* SPDX-License-Identifier: Apache-2.0
 *
 * verified.c - a signature is checked once: the claims of a proven token, remembered in shared memory.
 *
 * An entry is named by a keyed hash of the token together with what it was checked against, so that neither
 * another token nor another audience ever meets it. It keeps the claims, not the proof: times, key and
 * cut-offs are looked at again on every use.
 *
 *   offset  bytes
 *   0       16     the second half of the keyed hash (the first half is the key of the entry)
 *   16      sizeof(fixed)
 *   ..             the texts, one after the other, lengths in fixed
 */
#include "crypto/mac.h"
#include "guard/guard_internal.h"
#include <string.h>

enum { TEXTS = 12, VALUE_MAX = 2048, CHECK_LEN = LK_MAC_LEN - LK_TABLE_KEY_LEN };

typedef struct fixed {
    int64_t issued_s, issued_ms, not_before_s, expires_s, auth_s, session_ends_s;
    uint32_t generation;
    uint32_t has_session;
    lk_session_key session;
    uint16_t len[TEXTS];
} fixed;

static void texts_of(lk_claims *c, lk_view *texts[TEXTS])
{
    lk_view *all[TEXTS] = {&c->user,   &c->name,   &c->realm,    &c->roles, &c->scope, &c->client,
                           &c->device, &c->issuer, &c->audience, &c->id,    &c->kid,   &c->bound};
    memcpy(texts, all, sizeof(all));
}

static lk_status name_of(const lk_guard *g, lk_view text, uint8_t out[LK_MAC_LEN])
{
    const lk_settings *s = g->parts.settings;
    const lk_view nul = lk_view_make("", 1);
    const lk_view parts[] = {lk_view_of(s->jwt_issuer), nul, lk_view_of(s->jwt_audience), nul, text};
    return lk_mac_run(lk_keyring_mac(g->parts.ring, LK_PURPOSE_VERIFIED_TOKEN), parts, 5, out);
}

lk_status lk__verified_get(lk_guard *g, lk_view text, int64_t now_s, lk_buf *scratch, lk_claims *out)
{
    uint8_t name[LK_MAC_LEN], value[VALUE_MAX];
    lk_entry entry;
    fixed f;
    lk_view *texts[TEXTS];
    if (name_of(g, text, name) != LK_OK)
        return LK_MISS;
    lk_status status = lk_table_get(g->parts.table, LK_ENTRY_TOKEN, name, lk__table_s(g, now_s), value,
                                    sizeof(value), &entry);
    if (status != LK_OK || entry.len < CHECK_LEN + sizeof(f) ||
        !lk_secret_equal(lk_view_make(value, CHECK_LEN), lk_view_make(name + LK_TABLE_KEY_LEN, CHECK_LEN)))
        return LK_MISS;
    memcpy(&f, value + CHECK_LEN, sizeof(f));
    lk_view kept = lk_view_make(value, entry.len);
    size_t at = CHECK_LEN + sizeof(f), start = scratch->len;
    lk_buf_add(scratch, lk_view_part(kept, at, kept.len));
    lk_view copied = lk_view_part(lk_buf_view(scratch), start, scratch->len);
    *out = (lk_claims){.kind = LK_KIND_JWT,
                       .issued_s = f.issued_s,
                       .issued_ms = (uint16_t)f.issued_ms,
                       .not_before_s = f.not_before_s,
                       .expires_s = f.expires_s,
                       .auth_s = f.auth_s,
                       .session_ends_s = f.session_ends_s,
                       .generation = f.generation,
                       .has_session = f.has_session != 0,
                       .session = f.session};
    texts_of(out, texts);
    at = 0;
    for (size_t i = 0; i < TEXTS; i++) {
        *texts[i] = lk_view_part(copied, at, f.len[i]);
        at += f.len[i];
    }
    /* The key may have been taken out of the ring since. */
    if (scratch->full || at != copied.len || lk_keyring_verifier(g->parts.ring, out->kid) == NULL)
        return LK_MISS;
    return LK_OK;
}

void lk__verified_put(lk_guard *g, lk_view text, const lk_claims *claims)
{
    uint8_t name[LK_MAC_LEN], memory[VALUE_MAX];
    lk_claims copy = *claims;
    lk_view *texts[TEXTS];
    lk_buf value = lk_buf_over(memory, sizeof(memory));
    fixed f;
    memset(&f, 0, sizeof(f));
    f.issued_s = claims->issued_s;
    f.issued_ms = claims->issued_ms;
    f.not_before_s = claims->not_before_s;
    f.expires_s = claims->expires_s;
    f.auth_s = claims->auth_s;
    f.session_ends_s = claims->session_ends_s;
    f.generation = claims->generation;
    f.has_session = claims->has_session ? 1 : 0;
    f.session = claims->session;
    texts_of(&copy, texts);
    for (size_t i = 0; i < TEXTS; i++) {
        if (texts[i]->len > UINT16_MAX)
            return;
        f.len[i] = (uint16_t)texts[i]->len;
    }
    if (name_of(g, text, name) != LK_OK)
        return;
    lk_buf_add(&value, lk_view_make(name + LK_TABLE_KEY_LEN, CHECK_LEN));
    lk_buf_add(&value, lk_view_make(&f, sizeof(f)));
    for (size_t i = 0; i < TEXTS; i++)
        lk_buf_add(&value, *texts[i]);
    /* A token with longer claims, or a full table: the signature is checked again next time, that is all. */
    if (lk_buf_status(&value) == LK_OK)
        (void)!lk_table_put(g->parts.table, LK_ENTRY_TOKEN, name, 0, lk__table_s(g, claims->expires_s + 60),
                            lk_buf_view(&value));
}
