/* SPDX-License-Identifier: Apache-2.0
 *
 * verified.c - a signature is checked once: the claims of a proven token, remembered in shared memory.
 *
 * An entry keeps the claims, not the proof: times, keys and cut-offs are looked at again on every use. It is
 * found by a keyed hash of the token together with all that it was checked against, so that neither another
 * token nor another audience ever meets it.
 *
 * Tokens have a fixed number of places, an eighth of the table, and every token has two that its hash names.
 * So they push out each other and nothing else, however many there are: a place is filled with memory that is
 * free already, or not at all. A token that was used again is safe from others for PROTECT_S after its last
 * use: a flood of tokens that are each shown once goes by. Losing a place costs one signature.
 * docs/threat-model.md
 *
 *   offset  bytes
 *   0       32     the keyed hash
 *   32      sizeof(fixed)
 *   ..             the texts, one after the other, lengths in fixed
 */
#include "crypto/mac.h"
#include "guard/trust_internal.h"
#include "keyring/keyring_internal.h"
#include <stddef.h>
#include <string.h>

/* The texts of lk_claims that a check may come to ask for: whoever adds one to the struct adds it here. A
 * simple token's `params` are not among them, as those tokens are not remembered, nor is `act`, by which no
 * check decides (lk_guard_claims). */
static const size_t texts[] = {
    offsetof(lk_claims, user),   offsetof(lk_claims, name),   offsetof(lk_claims, realm),
    offsetof(lk_claims, roles),  offsetof(lk_claims, scope),  offsetof(lk_claims, client),
    offsetof(lk_claims, device), offsetof(lk_claims, issuer), offsetof(lk_claims, audience),
    offsetof(lk_claims, id),     offsetof(lk_claims, kid),    offsetof(lk_claims, bound),
};

enum {
    TEXTS = sizeof(texts) / sizeof(texts[0]),
    PLACE_LEN = 1024,  /* bytes of the table that one place has, and what is longer is not remembered */
    VALUE_MAX = 960,   /* so that it fits, with its head */
    PARTS = 8,         /* the share of the table: one in so many */
    WAYS = 2,          /* places of one token */
    PROTECT_S = 60,    /* after its last use */
    TOUCH_EVERY_S = 8, /* a use is noted at most so often */
    KEPT_AFTER_S = 60  /* the longest leeway */
};

typedef struct fixed {
    int64_t issued_s, issued_ms, not_before_s, expires_s, auth_s, session_ends_s;
    uint64_t set; /* the key set it was checked by; 0: our own keys */
    uint32_t generation;
    uint32_t has_session;
    lk_session_key session;
    uint16_t len[TEXTS];
} fixed;

static lk_view *text_at(lk_claims *c, size_t i)
{
    return (lk_view *)(void *)((uint8_t *)c + texts[i]);
}

/* ---- where ---- */

/* SplitMix64 (Steele, Lea, Flood 2014): spreads the numbers of places over the index of the table. */
static uint64_t spread(uint64_t x)
{
    x += UINT64_C(0x9e3779b97f4a7c15);
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

uint64_t lk__verified_places(const lk_guard *g)
{
    lk_table_stats stats;
    lk_table_stats_read(g->parts.table, &stats);
    uint64_t sets = stats.size / PARTS / PLACE_LEN / WAYS;
    return WAYS * (sets > 0 ? sets : 1);
}

/* Way W of the token with NAME; the first one is either of the two. */
static void place_of(const lk_guard *g, const uint8_t name[LK_MAC_LEN], unsigned w,
                     uint8_t key[LK_TABLE_KEY_LEN])
{
    uint64_t half[2], hash;
    memcpy(&hash, name, sizeof(hash));
    uint64_t place = hash % (g->token_places / WAYS) * WAYS + (w ^ (name[8] & 1));
    half[0] = spread(2 * place);
    half[1] = spread(2 * place + 1);
    memcpy(key, half, sizeof(half));
}

static lk_status name_of(const lk_guard *g, lk_view text, uint8_t out[LK_MAC_LEN])
{
    const lk_settings *s = g->parts.settings;
    const lk_view nul = lk_view_make("", 1);
    const lk_view parts[] = {lk_view_of(s->jwt_issuer),
                             nul,
                             lk_view_of(s->jwt_audience),
                             nul,
                             lk_view_make(g->trust_name, sizeof(g->trust_name)),
                             text};
    return lk_mac_run(lk_keyring_mac(g->parts.ring, LK_PURPOSE_VERIFIED_TOKEN), parts,
                      sizeof(parts) / sizeof(parts[0]), out);
}

/* All that latchkey_trust says: with another setting none of the entries there are is found. */
lk_status lk__verified_open(lk_guard *g)
{
    const lk_settings *s = g->parts.settings;
    const lk_view parts[] = {LK_VIEW("latchkey_trust"), lk_view_make("", 1),
                             lk_view_make(s->trusts, s->trusts_n * sizeof(s->trusts[0]))};
    g->token_places = lk__verified_places(g);
    return lk_mac_run(lk_keyring_mac(g->parts.ring, LK_PURPOSE_VERIFIED_TOKEN), parts, 3, g->trust_name);
}

static bool is_of(const uint8_t *value, const uint8_t name[LK_MAC_LEN])
{
    return lk_secret_equal(lk_view_make(value, LK_MAC_LEN), lk_view_make(name, LK_MAC_LEN));
}

/* ---- get ---- */

/* Is the key that signed it still there? */
static bool key_is_there(lk_guard *g, const fixed *f, const lk_claims *claims)
{
    if (f->set == 0) {
        const lk_verifier *verifier = lk_keyring_verifier(g->parts.ring, claims->kid);
        if (verifier != NULL)
            lk__verifier_count(verifier);
        return verifier != NULL;
    }
    for (uint32_t i = 0; g->trusts != NULL && i < g->trusts->n; i++) {
        if (!lk_view_equal(claims->issuer, lk_view_of(g->trusts->all[i].conf->issuer)))
            continue;
        lk__trust_set *set = lk__trust_hold(g, i);
        bool same = set != NULL && set->id == f->set;
        if (set != NULL)
            lk__trust_release(g, set);
        return same;
    }
    return false;
}

static lk_status read_value(lk_guard *g, lk_view value, lk_buf *scratch, lk_claims *out)
{
    fixed f;
    memcpy(&f, value.p + LK_MAC_LEN, sizeof(f));
    size_t at = 0, start = scratch->len;
    lk_buf_add(scratch, lk_view_part(value, LK_MAC_LEN + sizeof(f), value.len));
    lk_view copied = lk_view_make(scratch->p + start, scratch->len - start);
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
    for (size_t i = 0; i < TEXTS; i++) {
        *text_at(out, i) = lk_view_part(copied, at, f.len[i]);
        at += f.len[i];
    }
    return scratch->full || at != copied.len || !key_is_there(g, &f, out) ? LK_MISS : LK_OK;
}

lk_status lk__verified_get(lk_guard *g, lk_view text, int64_t now_s, lk_buf *scratch, lk_claims *out)
{
    uint8_t name[LK_MAC_LEN], key[LK_TABLE_KEY_LEN], value[VALUE_MAX];
    lk_entry entry;
    lk_buf before = *scratch;
    now_s = lk__table_s(g, now_s);
    if (name_of(g, text, name) != LK_OK)
        return LK_MISS;
    for (unsigned w = 0; w < WAYS; w++) {
        place_of(g, name, w, key);
        if (lk_table_get(g->parts.table, LK_ENTRY_TOKEN, key, now_s, value, sizeof(value), &entry) != LK_OK ||
            entry.len < LK_MAC_LEN + sizeof(fixed) || !is_of(value, name))
            continue;
        if (read_value(g, lk_view_make(value, entry.len), scratch, out) != LK_OK)
            break;
        if (now_s - entry.seen_s >= TOUCH_EVERY_S)
            (void)!lk_table_touch(g->parts.table, LK_ENTRY_TOKEN, key, (uint32_t)now_s, entry.expires_s,
                                  NULL);
        return LK_OK;
    }
    *scratch = before;
    return LK_MISS;
}

/* ---- put ---- */

/* Is there room for NAME in the place KEY: nothing, itself, or what was not used again for long? */
static bool clear(lk_guard *g, const uint8_t name[LK_MAC_LEN], const uint8_t key[LK_TABLE_KEY_LEN],
                  int64_t now_s)
{
    uint8_t there[LK_MAC_LEN];
    lk_entry entry;
    switch (lk_table_get(g->parts.table, LK_ENTRY_TOKEN, key, now_s, there, sizeof(there), &entry)) {
    case LK_MISS:
        return true;
    case LK_OK:
    case LK_FULL:
        break;
    case LK_REFUSED:
    case LK_STALE:
    case LK_FAULT:
        return false;
    }
    if (!is_of(there, name) && entry.seen_s != 0 && now_s - entry.seen_s < PROTECT_S)
        return false;
    return lk_table_drop_if(g->parts.table, LK_ENTRY_TOKEN, key, entry.version) == LK_OK;
}

static void put(lk_guard *g, const uint8_t name[LK_MAC_LEN], int64_t now_s, int64_t expires_s, lk_view value)
{
    uint8_t key[LK_TABLE_KEY_LEN];
    for (unsigned w = 0; w < WAYS; w++) {
        place_of(g, name, w, key);
        if (!clear(g, name, key, now_s))
            continue;
        /* Without room the signature is checked again next time, that is all. */
        (void)!lk_table_add_spare(g->parts.table, LK_ENTRY_TOKEN, key, expires_s, value);
        return;
    }
}

static bool fill(const lk_claims *claims, uint64_t set, fixed *f, lk_claims *copy)
{
    memset(f, 0, sizeof(*f));
    f->issued_s = claims->issued_s;
    f->issued_ms = claims->issued_ms;
    f->not_before_s = claims->not_before_s;
    f->expires_s = claims->expires_s;
    f->auth_s = claims->auth_s;
    f->session_ends_s = claims->session_ends_s;
    f->set = set;
    f->generation = claims->generation;
    f->has_session = claims->has_session ? 1 : 0;
    f->session = claims->session;
    *copy = *claims;
    for (size_t i = 0; i < TEXTS; i++) {
        if (text_at(copy, i)->len > VALUE_MAX)
            return false;
        f->len[i] = (uint16_t)text_at(copy, i)->len;
    }
    return true;
}

void lk__verified_put(lk_guard *g, lk_view text, uint64_t set, int64_t now_s, const lk_claims *claims)
{
    uint8_t name[LK_MAC_LEN], memory[VALUE_MAX];
    lk_buf value = lk_buf_over(memory, sizeof(memory));
    lk_claims copy;
    fixed f;
    if (!fill(claims, set, &f, &copy) || name_of(g, text, name) != LK_OK)
        return;
    lk_buf_add(&value, lk_view_make(name, LK_MAC_LEN));
    lk_buf_add(&value, lk_view_make(&f, sizeof(f)));
    for (size_t i = 0; i < TEXTS; i++)
        lk_buf_add(&value, *text_at(&copy, i));
    /* One with longer claims is not remembered. */
    if (lk_buf_status(&value) == LK_OK)
        put(g, name, lk__table_s(g, now_s), lk__table_s(g, claims->expires_s + KEPT_AFTER_S),
            lk_buf_view(&value));
}
