/* SPDX-License-Identifier: Apache-2.0
 *
 * key_make.c - make keys: the first ones of a directory, and new ones for a rotation.
 */
#include "keyring/ring.h"
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

/* `,"kid":...,"lk_state":...,"lk_created":...}`: the end of a key file. */
static void add_life(lk_buf *out, const char *kid, const char *name, const char *word, int64_t created_s)
{
    lk_buf_add_byte(out, ',');
    lk__jwk_add_text(out, "kid", kid);
    lk_buf_add_byte(out, ',');
    lk__jwk_add_text(out, name, word);
    lk_buf_add_text(out, ",\"lk_created\":");
    lk_buf_add_i64(out, created_s);
    lk_buf_add_text(out, "}\n");
}

static lk_status write_root(const lk__key_dir *dir, lk_note *note)
{
    uint8_t memory[LK__KEY_FILE_MAX], root[ROOT_LEN];
    lk_buf out = lk_buf_over(memory, sizeof(memory));
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
    add_life(&out, kid, "lk_use", "root", lk_now_s(dir->env));
    status = lk_buf_status(&out);
    if (status == LK_OK)
        status = lk__key_dir_write(dir, kid, lk_buf_view(&out), note);
out:
    lk_wipe(root, sizeof(root));
    lk_wipe(memory, sizeof(memory));
    return status;
}

static lk_status write_key(const lk__key_dir *dir, const lk__algorithm *algorithm, bool active,
                           int64_t created_s, char kid_out[LK_KID_MAX + 1], lk_note *note)
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
        add_life(&out, kid_out, "lk_state", active ? "active" : "retiring", created_s);
        status = lk_buf_status(&out);
    }
    if (status == LK_OK)
        status = lk__key_dir_write(dir, kid_out, lk_buf_view(&out), note);
    else
        lk_note_set(note, "a key for %s cannot be made", algorithm->name);
    lk_wipe(memory, sizeof(memory));
    return status;
}

lk_status lk__ring_fill(const lk_keyring *ring, const lk__key_dir *dir, lk_alg_set algs, lk_note *note)
{
    lk_status status = LK_OK;
    char kid[LK_KID_MAX + 1];

    /* The root is made first, so keys without one are no interrupted start: it was lost, and a new one would
     * orphan every session without a word. lk_keyring_open refuses such a directory. */
    if (!ring->has_root && ring->n > 0)
        return LK_OK;
    if (!ring->has_root)
        status = write_root(dir, note);
    for (lk_alg a = 0; a < LK_ALG_COUNT && status == LK_OK; a++) {
        if ((algs & LK_ALG_BIT(a)) != 0 && ring->active[a] == NULL)
            status = write_key(dir, lk__algorithm_of(a), true, lk_now_s(dir->env), kid, note);
    }
    return status;
}

/* --- Rotation --------------------------------------------------------------------------------------------
 */

/* The key file TEXT with another lk_state. */
static void write_retiring(lk_view text, lk_buf *out)
{
    lk_json_item item;
    size_t at = 0;

    lk_buf_add_byte(out, '{');
    while (lk_json_next(text, &at, &item)) {
        if (lk_view_equal(item.name, LK_VIEW("lk_state")))
            continue;
        lk_buf_add_byte(out, '"');
        lk_buf_add(out, item.name);
        lk_buf_add_text(out, "\":");
        lk_buf_add(out, item.value);
        lk_buf_add_byte(out, ',');
    }
    lk__jwk_add_text(out, "lk_state", "retiring");
    lk_buf_add_text(out, "}\n");
}

static bool is_active_file(lk_view text)
{
    char memory[16];
    lk_buf state = lk_buf_over(memory, sizeof(memory));

    return lk__jwk_text(text, "lk_state", &state, NULL) == LK_OK &&
           lk_view_equal(lk_buf_view(&state), LK_VIEW("active"));
}

static lk_status retire_file(void *context, lk_view kid, lk_view text, lk_note *note)
{
    const lk__key_dir *dir = context;
    uint8_t memory[LK__KEY_FILE_MAX];
    lk_buf out = lk_buf_over(memory, sizeof(memory));
    char name[LK_KID_MAX + 1] = {0};
    lk_status status;

    if (!is_active_file(text))
        return LK_OK;
    memcpy(name, kid.p, kid.len); /* lk__is_own_kid has seen to its length */
    write_retiring(text, &out);
    status = lk_buf_status(&out);
    if (status == LK_OK)
        status = lk__key_dir_write(dir, name, lk_buf_view(&out), note);
    lk_wipe(memory, sizeof(memory));
    return status;
}

/* Make every key of ALG in RING, as it was before the new one came, a retiring one. The files are asked and
 * not the ring: after a crash several of them say "active". */
static lk_status retire_others(lk__key_dir *dir, const lk_keyring *ring, lk_alg alg, lk_note *note)
{
    lk_status status = LK_OK;

    for (size_t i = 0; i < ring->n && status == LK_OK; i++) {
        if (!ring->entries[i].info.is_root && ring->entries[i].info.alg == alg)
            status = lk__key_dir_one(dir, ring->entries[i].info.kid, retire_file, dir, note);
    }
    return status;
}

/* The time of the new key: later than that of every key of its algorithm, so that it is the newest even when
 * two are made in one second or the clock was set back. */
static int64_t creation_time(const lk_keyring *ring, lk_alg alg)
{
    int64_t created_s = lk_now_s(ring->env);

    for (size_t i = 0; i < ring->n; i++) {
        const lk_key_info *info = &ring->entries[i].info;

        if (!info->is_root && info->alg == alg && info->created_s >= created_s && info->created_s < INT64_MAX)
            created_s = info->created_s + 1;
    }
    return created_s;
}

static lk_status make_in(lk__key_dir *dir, lk_alg alg, bool activate, char kid_out[LK_KID_MAX + 1],
                         lk_note *note)
{
    lk_keyring *ring = lk__ring_new(dir->env);
    lk_status status = ring == NULL ? LK_FAULT : lk__key_dir_lock(dir, true, note);

    if (status == LK_OK) {
        lk__key_dir_sweep(dir);
        status = lk__ring_load(ring, dir, note);
    }
    if (status == LK_OK && ring->n >= LK__KEYS_MAX) {
        lk_note_set(note, "%s holds %d keys; take old ones out", dir->path, LK__KEYS_MAX);
        status = LK_FULL;
    }
    if (status == LK_OK)
        status = write_key(dir, lk__algorithm_of(alg), activate, creation_time(ring, alg), kid_out, note);
    if (status == LK_OK && activate)
        status = retire_others(dir, ring, alg, note);
    lk_keyring_free(ring);
    return status;
}

lk_status lk_key_make(const lk_env *env, const char *path, lk_alg alg, bool activate,
                      char kid_out[LK_KID_MAX + 1], lk_note *note)
{
    lk__key_dir dir;
    lk_status status;

    kid_out[0] = '\0';
    if ((unsigned)alg >= LK_ALG_COUNT)
        return LK_FAULT;
    status = lk__key_dir_open(&dir, env, path, false, note);
    if (status != LK_OK)
        return status;
    status = make_in(&dir, alg, activate, kid_out, note);
    lk__key_dir_close(&dir);
    return status;
}
