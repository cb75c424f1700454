/* SPDX-License-Identifier: Apache-2.0
 *
 * key_make.c - make keys: the first ones of a directory, and new ones for a rotation.
 */
#include "keyring/key_change.h"
#include <latchkey/base64url.h>
#include <latchkey/json.h>
#include <string.h>

#define KID_RANDOM_LEN 6 /* eight characters: enough that two never meet, short enough for every token */
#define ROOT_LEN 32

static lk_status make_kid(const lk_env *env, const char *prefix, char out[LK_KID_MAX + 1])
{
    lk_buf kid = lk_buf_over(out, LK_KID_MAX + 1);
    uint8_t random[KID_RANDOM_LEN];

    if (lk_random(env, random, sizeof(random)) != LK_OK)
        return LK_FAULT;
    lk_buf_add_text(&kid, prefix);
    lk_base64url_encode(lk_view_make(random, sizeof(random)), &kid);
    return lk_buf_text(&kid) != NULL ? LK_OK : LK_FAULT;
}

static lk_status write_root(lk__key_dir *dir, lk_note *note)
{
    uint8_t memory[LK__KEY_FILE_MAX], root[ROOT_LEN];
    lk_buf out = lk_buf_over(memory, sizeof(memory));
    lk__key_life life = {lk_now_s(dir->env), LK_KEY_NEVER, LK_KEY_NEVER, LK_KEY_NEVER, false};
    lk_status status = LK_FAULT;
    char kid[LK_KID_MAX + 1];

    if (lk_random(dir->env, root, sizeof(root)) != LK_OK || make_kid(dir->env, "root-", kid) != LK_OK) {
        lk_note_set(note, "there is no randomness to make the root secret from");
        goto out;
    }
    lk_buf_add_byte(&out, '{');
    lk__jwk_add_text(&out, "kty", "oct");
    lk_buf_add_byte(&out, ',');
    lk__jwk_add_bytes(&out, "k", lk_view_make(root, sizeof(root)));
    lk_buf_add_byte(&out, ',');
    lk__jwk_add_text(&out, "kid", kid);
    lk_buf_add_text(&out, ",\"lk_use\":\"root\"");
    lk__key_life_add(&out, &life);
    lk_buf_add_text(&out, "}\n");
    status = lk_buf_status(&out);
    if (status == LK_OK)
        status = lk__key_dir_write(dir, kid, lk_buf_view(&out), note);
out:
    lk_wipe(root, sizeof(root));
    lk_wipe(memory, sizeof(memory));
    return status;
}

static lk_status write_key(lk__key_dir *dir, const lk__algorithm *algorithm, const lk__key_life *life,
                           char kid_out[LK_KID_MAX + 1], lk_note *note)
{
    uint8_t memory[LK__KEY_FILE_MAX];
    lk_buf out = lk_buf_over(memory, sizeof(memory));
    lk_status status = make_kid(dir->env, algorithm->kid_prefix, kid_out);

    lk_buf_add_byte(&out, '{');
    if (status == LK_OK)
        status = algorithm->generate(algorithm, dir->env, &out);
    if (status == LK_OK) {
        lk_buf_add_byte(&out, ',');
        lk__jwk_add_text(&out, "alg", algorithm->jose);
        lk_buf_add_byte(&out, ',');
        lk__jwk_add_text(&out, "kid", kid_out);
        lk__key_life_add(&out, life);
        lk_buf_add_text(&out, "}\n");
        status = lk_buf_status(&out);
    }
    if (status == LK_OK)
        status = lk__key_dir_write(dir, kid_out, lk_buf_view(&out), note);
    else
        lk_note_set(note, "a key for %s cannot be made", algorithm->name);
    lk_wipe(memory, sizeof(memory));
    return status;
}

/* When a key of ALG that is made now is created: later than every key of its algorithm, so that it is the
 * newest even when two are made in one second or the clock was set back. */
static int64_t created_s_of(const lk_keyring *ring, lk_alg alg)
{
    int64_t created_s = lk_now_s(ring->env);

    for (size_t i = 0; i < ring->n; i++) {
        const lk__entry *entry = &ring->entries[i];

        if (!entry->info.is_root && entry->info.alg == alg && entry->life.created_s >= created_s &&
            entry->life.created_s < INT64_MAX)
            created_s = entry->life.created_s + 1;
    }
    return created_s;
}

lk_status lk__ring_fill(const lk_keyring *ring, lk__key_dir *dir, lk_alg_set algs, lk_note *note)
{
    lk_status status = LK_OK;
    char kid[LK_KID_MAX + 1];
    int64_t now_s = lk_now_s(dir->env);

    /* The root is made first, so keys without one are no interrupted start: it was lost, and a new one would
     * orphan every session without a word. lk_keyring_open refuses such a directory. */
    if (!ring->has_root && ring->n > 0)
        return LK_OK;
    if (!ring->has_root)
        status = write_root(dir, note);
    for (lk_alg a = 0; a < LK_ALG_COUNT && status == LK_OK; a++) {
        lk__key_life life = {created_s_of(ring, a), now_s, LK_KEY_NEVER, LK_KEY_NEVER, false};

        if ((algs & LK_ALG_BIT(a)) != 0 && lk__ring_signer(ring, a, now_s) == NULL)
            status = write_key(dir, lk__algorithm_of(a), &life, kid, note);
    }
    return status;
}

/* --- New ones ---------------------------------------------------------------------------------------------
 */

/* The key of ALG that is on its way to sign, or NULL. */
static const lk__entry *find_scheduled(const lk_keyring *ring, lk_alg alg, int64_t now_s)
{
    for (size_t i = 0; i < ring->n; i++) {
        const lk__entry *entry = &ring->entries[i];

        if (entry->signer != NULL && entry->info.alg == alg && entry->life.signs_s > now_s &&
            entry->life.signs_s != LK_KEY_NEVER)
            return entry;
    }
    return NULL;
}

static int64_t start_of(lk_key_start start, int64_t now_s, const lk_key_place *place)
{
    switch (start) {
    case LK_KEY_ON_DEMAND:
        break;
    case LK_KEY_PUBLISHED:
        return now_s + place->publish_s;
    case LK_KEY_AT_ONCE:
        return now_s;
    }
    return LK_KEY_NEVER;
}

lk_status lk__key_make_in(lk__key_dir *dir, const lk_keyring *ring, const lk_key_place *place, lk_alg alg,
                          lk_key_start start, char kid_out[LK_KID_MAX + 1], lk_note *note)
{
    int64_t now_s = lk_now_s(dir->env);
    const lk__entry *on_its_way = find_scheduled(ring, alg, now_s);
    lk__key_life life = {created_s_of(ring, alg), start_of(start, now_s, place), LK_KEY_NEVER, LK_KEY_NEVER,
                         false};
    lk_status status;

    if (start == LK_KEY_PUBLISHED && on_its_way != NULL) {
        memcpy(kid_out, on_its_way->info.kid, LK_KID_MAX + 1);
        return LK_STALE;
    }
    status = write_key(dir, lk__algorithm_of(alg), &life, kid_out, note);
    if (status == LK_OK && life.signs_s != LK_KEY_NEVER)
        status = lk__keys_retire(dir, ring, place, alg, kid_out, life.signs_s, note);
    return status;
}

lk_status lk_key_make(const lk_env *env, const lk_key_place *place, lk_alg alg, lk_key_start start,
                      char kid_out[LK_KID_MAX + 1], lk_note *note)
{
    lk__key_change change;
    lk_status status;

    kid_out[0] = '\0';
    if ((unsigned)alg >= LK_ALG_COUNT)
        return LK_FAULT;
    status = lk__key_change_begin(&change, env, place, true, note);
    if (status == LK_OK)
        status = lk__key_make_in(&change.dir, change.ring, place, alg, start, kid_out, note);
    lk__key_change_end(&change);
    return status;
}

/* --- From elsewhere --------------------------------------------------------------------------------------
 */

static bool is_member_of_ours(lk_view name)
{
    return lk__key_life_has(name) || lk_view_equal(name, LK_VIEW("kid")) ||
           lk_view_equal(name, LK_VIEW("alg")) || lk_view_equal(name, LK_VIEW("lk_use")) ||
           lk_view_equal(name, LK_VIEW("key_ops")) || lk_view_equal(name, LK_VIEW("use"));
}

/* The members of JWK but those that we set. */
static void add_foreign(lk_buf *out, lk_view jwk)
{
    lk_json_item item;
    size_t at = 0;

    while (lk_json_next(jwk, &at, &item)) {
        if (is_member_of_ours(item.name))
            continue;
        lk_buf_add_byte(out, '"');
        lk_buf_add(out, item.name);
        lk_buf_add_text(out, "\":");
        lk_buf_add(out, item.value);
        lk_buf_add_byte(out, ',');
    }
}

static lk_status choose_kid(const lk_env *env, const lk__jwk *jwk, char kid_out[LK_KID_MAX + 1])
{
    if (!lk__is_own_kid(lk_view_make(jwk->kid, jwk->kid_len)))
        return make_kid(env, jwk->algorithm->kid_prefix, kid_out);
    memcpy(kid_out, jwk->kid, LK_KID_MAX + 1);
    return LK_OK;
}

static lk_status import_in(lk__key_dir *dir, lk_keyring *ring, lk_view text, char kid_out[LK_KID_MAX + 1],
                           lk_note *note)
{
    uint8_t memory[LK__KEY_FILE_MAX];
    lk_buf out = lk_buf_over(memory, sizeof(memory));
    lk__jwk jwk = {0};
    lk__key_life life = {0, LK_KEY_NEVER, LK_KEY_NEVER, LK_KEY_NEVER, false};
    lk_status status = lk__jwk_describe(text, &jwk, note);

    if (status == LK_OK)
        status = choose_kid(dir->env, &jwk, kid_out);
    if (status != LK_OK)
        return status == LK_MISS ? LK_REFUSED : status;
    if (lk__ring_find(ring, lk_view_of(kid_out)) != NULL) {
        lk_note_set(note, "a key with the kid %s is there already", kid_out);
        return LK_REFUSED;
    }
    if (!jwk.has_private && !jwk.algorithm->is_shared) {
        lk_note_set(note, "that is a public key; a key to sign with has its private half as well");
        return LK_REFUSED;
    }
    life.created_s = created_s_of(ring, jwk.algorithm->alg);
    lk_buf_add_byte(&out, '{');
    add_foreign(&out, text);
    lk__jwk_add_text(&out, "alg", jwk.algorithm->jose);
    lk_buf_add_byte(&out, ',');
    lk__jwk_add_text(&out, "kid", kid_out);
    lk__key_life_add(&out, &life);
    lk_buf_add_text(&out, "}\n");
    status = lk_buf_status(&out);
    if (status == LK_OK)
        status = lk__ring_prove(dir->env, lk_buf_view(&out), note);
    if (status == LK_OK)
        status = lk__key_dir_write(dir, kid_out, lk_buf_view(&out), note);
    lk_wipe(memory, sizeof(memory));
    return status;
}

lk_status lk_key_import(const lk_env *env, const lk_key_place *place, lk_view jwk,
                        char kid_out[LK_KID_MAX + 1], lk_note *note)
{
    lk__key_change change;
    lk_status status;

    kid_out[0] = '\0';
    if (lk_json_check(jwk, NULL, note) != LK_OK)
        return LK_REFUSED;
    if (jwk.len == 0 || lk_view_find(jwk, '{') == jwk.len) {
        lk_note_set(note, "that is no JSON object");
        return LK_REFUSED;
    }
    status = lk__key_change_begin(&change, env, place, true, note);
    if (status == LK_OK)
        status = import_in(&change.dir, change.ring, jwk, kid_out, note);
    lk__key_change_end(&change);
    return status;
}
