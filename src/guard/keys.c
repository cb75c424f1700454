/* SPDX-License-Identifier: Apache-2.0
 *
 * keys.c - keys that change while the guard is at work: files read again, new keys made, uses added up.
 */
#include "guard/guard_internal.h"
#include "guard/key_uses.h"
#include <latchkey/keys.h>
#include <string.h>

enum { ASK_EVERY_MS = 250, KEPT_S = 400 * 86400 };

/* ---- uses ---- */

static void name_of(const lk_table *table, const char *use, lk_view kid, uint8_t out[LK_TABLE_KEY_LEN])
{
    uint8_t memory[LK_KID_MAX + 16];
    lk_buf name = lk_buf_over(memory, sizeof(memory));
    lk_buf_add_text(&name, use);
    lk_buf_add(&name, kid);
    lk_table_key(table, LK_ENTRY_COUNTER, lk_buf_view(&name), out);
}

static uint64_t read_use(lk_table *table, const char *use, lk_view kid)
{
    uint8_t name[LK_TABLE_KEY_LEN];
    int64_t n = 0;
    lk_entry entry;
    name_of(table, use, kid, name);
    return lk_table_get(table, LK_ENTRY_COUNTER, name, 0, &n, sizeof(n), &entry) == LK_OK && n > 0
               ? (uint64_t)n
               : 0;
}

void lk__key_uses_read(lk_table *table, lk_view kid, uint64_t *signed_n, uint64_t *verified_n)
{
    *signed_n = read_use(table, "key signed ", kid);
    *verified_n = read_use(table, "key verified ", kid);
}

void lk_guard_key_uses(const lk_guard *g, lk_view kid, uint64_t *signed_n, uint64_t *verified_n)
{
    lk__key_uses_read(g->parts.table, kid, signed_n, verified_n);
}

static void add_use(lk_guard *g, const char *use, const char *kid, uint64_t n)
{
    uint8_t name[LK_TABLE_KEY_LEN];
    int64_t now_s = lk__table_s(g, lk_now_s(g->parts.env)), value;
    if (n == 0)
        return;
    name_of(g->parts.table, use, lk_view_of(kid), name);
    /* A table without room counts less: that is all. */
    (void)!lk_table_count(g->parts.table, name, (int64_t)n, now_s, now_s + KEPT_S, &value);
}

static void add_uses(void *context, const char *kid, uint64_t signed_n, uint64_t verified_n)
{
    add_use(context, "key signed ", kid, signed_n);
    add_use(context, "key verified ", kid, verified_n);
}

/* ---- files ---- */

static lk_status refresh(lk_guard *g, lk_note *note)
{
    lk_status status = lk_keyring_refresh(g->parts.ring, note);
    if (status == LK_MISS)
        return LK_OK;
    lk_guard_count(g, status == LK_OK ? LK_COUNT_KEYS_READ : LK_COUNT_KEYS_FAILED);
    return status;
}

static void count_made(void *context, const char *kid)
{
    (void)kid;
    lk_guard_count(context, LK_COUNT_KEYS_MADE);
}

static lk_status rotate(lk_guard *g, lk_note *note)
{
    const lk_settings *s = g->parts.settings;
    lk_key_place place = lk_settings_key_place(s);
    if (s->keys_rotate_s == 0)
        return LK_OK;
    lk_status status = lk_key_rotate_due(g->parts.ring, &place, s->keys_rotate_s, count_made, g, note);
    if (status == LK_OK)
        return refresh(g, note);
    if (status == LK_MISS)
        return LK_OK;
    lk_guard_count(g, LK_COUNT_KEYS_FAILED);
    return status;
}

lk_status lk_guard_keys(lk_guard *g, lk_note *note)
{
    lk_keyring_uses(g->parts.ring, add_uses, g);
    lk_status status = refresh(g, note);
    return status == LK_OK ? rotate(g, note) : status;
}

bool lk__keys_may_ask(lk_guard *g)
{
    int64_t now_ms = lk__mono_ms(g), last_ms = atomic_load(&g->keys_asked_ms);
    return now_ms - last_ms >= ASK_EVERY_MS &&
           atomic_compare_exchange_strong(&g->keys_asked_ms, &last_ms, now_ms);
}

/* The cut-off of a burned key is here before the files are, and whatever it signed now would be refused at
 * once, here as everywhere. */
lk_status lk__keys_sign(lk_guard *g, lk_alg alg)
{
    lk_reason why;
    for (int tries = 0; tries < 2; tries++) {
        const lk_signer *signer = lk_keyring_signer(g->parts.ring, alg);
        lk_status status = signer == NULL ? LK_FAULT : lk__cutoffs_check_key(g, lk_signer_kid(signer), &why);
        if (status == LK_OK)
            return LK_OK;
        if (status == LK_FAULT && signer != NULL)
            return LK_FAULT;
        if (!lk__keys_may_ask(g) || lk_keyring_refresh(g->parts.ring, NULL) != LK_OK)
            return LK_FAULT;
    }
    return LK_FAULT;
}
