/* SPDX-License-Identifier: Apache-2.0
 *
 * ring_dir.c - a keyring from a directory of key files. docs/formats/keys.md
 *
 * A key file is a JWK with its private half and two members of ours: lk_state, lk_created. The root secret
 * has lk_use instead of lk_state.
 */
#include "crypto/derive.h"
#include "keyring/ring.h"
#include <latchkey/json.h>
#include <string.h>

#define ROOT_LEN 32

/* One label for each purpose. To change a label orphans what was made with it. */
static const char *const labels[LK_PURPOSE_COUNT] = {
    [LK_PURPOSE_SESSION_ID] = "latchkey session id 1",
    [LK_PURPOSE_CSRF] = "latchkey csrf 1",
    [LK_PURPOSE_VERIFIED_TOKEN] = "latchkey verified token 1",
    [LK_PURPOSE_THROTTLE] = "latchkey throttle 1",
    [LK_PURPOSE_NODE] = "latchkey node 1",
    [LK_PURPOSE_API_KEY] = "latchkey api key 1",
    [LK_PURPOSE_CLIENT] = "latchkey client secret 1",
    [LK_PURPOSE_DEVICE] = "latchkey device 1",
    [LK_PURPOSE_PROOF] = "latchkey proof 1",
    [LK_PURPOSE_REFRESH] = "latchkey refresh 1",
};

/* Stretch the secret in the root key file TEXT for every purpose. LK_OK; LK_REFUSED; LK_FAULT. */
static lk_status stretch_root(lk_keyring *ring, lk_view text, const lk_key_info *info, lk_note *note)
{
    lk_status status = LK_REFUSED;
    uint8_t root[ROOT_LEN];
    lk_secret stretched = {0};

    if (ring->has_root || ring->n == LK__KEYS_MAX) {
        lk_note_set(note, "a second root secret; one key directory has one");
        return LK_REFUSED;
    }
    status = lk__jwk_exact(text, "k", root, sizeof(root), note);
    for (size_t i = 0; i < LK_PURPOSE_COUNT && status == LK_OK; i++) {
        status = lk_derive(lk_view_make(root, sizeof(root)), lk_view_of(labels[i]), &stretched, LK_MAC_LEN);
        if (status == LK_OK)
            status = lk_mac_init(&ring->purposes[i], lk_secret_view(&stretched));
        if (status != LK_OK)
            lk_note_set(note, "the root secret cannot be stretched");
    }
    if (status == LK_OK) {
        ring->has_root = true;
        ring->entries[ring->n++].info = *info;
    }
    lk_secret_wipe(&stretched);
    lk_wipe(root, sizeof(root));
    return status;
}

static bool is_root_file(lk_view text)
{
    uint8_t memory[8];
    lk_buf word = lk_buf_over(memory, sizeof(memory));

    return lk__jwk_text(text, "lk_use", &word, NULL) == LK_OK &&
           lk_view_equal(lk_buf_view(&word), LK_VIEW("root"));
}

/* A key that is gone stands in the list, and can neither sign nor check. */
static lk_status add_gone(lk_keyring *ring, const lk_key_info *info, const lk__key_life *life, lk_note *note)
{
    if (ring->n == LK__KEYS_MAX) {
        lk_note_set(note, "more than %d keys", LK__KEYS_MAX);
        return LK_FULL;
    }
    ring->entries[ring->n++] = (lk__entry){.info = *info, .life = *life};
    return LK_OK;
}

/* What is left of a key that was burned: its kid, its algorithm, its times. */
static lk_status add_burned(lk_keyring *ring, lk_view kid, lk_view text, const lk__key_life *life,
                            lk_note *note)
{
    lk_key_info info = {0};
    uint8_t memory[LK_KID_MAX];
    lk_buf word = lk_buf_over(memory, sizeof(memory));

    if (lk__jwk_text(text, "kid", &word, NULL) != LK_OK || !lk_view_equal(kid, lk_buf_view(&word))) {
        lk_note_set(note, "its \"kid\" is not the name of the file");
        return LK_REFUSED;
    }
    memcpy(info.kid, kid.p, kid.len);
    word.len = 0;
    if (lk__jwk_text(text, "lk_alg", &word, NULL) != LK_OK ||
        lk_alg_of(lk_buf_view(&word), &info.alg) != LK_OK) {
        lk_note_set(note, "\"lk_alg\" must be the algorithm of the key that was burned");
        return LK_REFUSED;
    }
    return add_gone(ring, &info, life, note);
}

static lk_status add_key(lk_keyring *ring, const lk__jwk *jwk, const lk_key_info *info, lk_note *note)
{
    lk__key_life life;
    lk_status status = lk__key_life_read(jwk->text, &life, note);

    if (status != LK_OK)
        return status;
    if (lk__key_life_state(&life, lk_now_s(ring->env)) == LK_KEY_GONE)
        return add_gone(ring, info, &life, note);
    status = lk__ring_add(ring, jwk, info, true, note);
    if (status == LK_OK)
        ring->entries[ring->n - 1].life = life;
    return status;
}

static lk_status add_root(lk_keyring *ring, lk_view text, lk_key_info *info, lk_note *note)
{
    lk_json_item item;
    int64_t created_s = -1;
    lk_status status = lk__key_format_check(text, note);

    if (status != LK_OK)
        return status;
    if (lk_json_get(text, LK_VIEW("lk_created"), &item) != LK_OK ||
        lk_json_i64(item.value, &created_s) != LK_OK || created_s < 0) {
        lk_note_set(note, "\"lk_created\" must be there, a time in seconds since 1970");
        return LK_REFUSED;
    }
    info->is_root = true;
    status = stretch_root(ring, text, info, note);
    if (status == LK_OK)
        ring->entries[ring->n - 1].life.created_s = created_s;
    return status;
}

static lk_status add_file(lk_keyring *ring, lk_view kid, lk_view text, lk_note *note)
{
    lk_key_info info = {0};
    lk__key_life life;
    lk__jwk jwk = {0};
    lk_json_item item;
    lk_status status;

    if (lk_json_check(text, NULL, note) != LK_OK)
        return LK_REFUSED;
    if (lk_json_get(text, LK_VIEW("lk_burned"), &item) == LK_OK) {
        status = lk__key_life_read(text, &life, note);
        return status == LK_OK ? add_burned(ring, kid, text, &life, note) : status;
    }
    status = lk__jwk_describe(text, &jwk, note);
    if (status == LK_MISS)
        return LK_REFUSED; /* in our own directory nothing is passed over */
    if (status != LK_OK)
        return status;
    if (!lk_view_equal(kid, lk_view_make(jwk.kid, jwk.kid_len))) {
        lk_note_set(note, "its \"kid\" is not the name of the file");
        return LK_REFUSED;
    }
    memcpy(info.kid, jwk.kid, sizeof(info.kid));
    info.alg = jwk.algorithm->alg;
    return is_root_file(text) ? add_root(ring, text, &info, note) : add_key(ring, &jwk, &info, note);
}

/* Is TEXT a key file whose key signs and checks? */
lk_status lk__ring_prove(const lk_env *env, lk_view text, lk_note *note)
{
    lk_keyring *ring = lk__ring_new(env);
    lk__jwk jwk = {0};
    lk_key_info info = {0};
    lk_status status = ring == NULL ? LK_FAULT : lk__jwk_describe(text, &jwk, note);

    if (status == LK_OK)
        status = add_key(ring, &jwk, &info, note);
    lk_keyring_free(ring);
    return status == LK_MISS ? LK_REFUSED : status;
}

typedef struct loading {
    lk_keyring *ring;
    const lk__key_dir *dir;
} loading;

static lk_status visit(void *context, lk_view kid, lk_view text, lk_note *note)
{
    loading *l = context;
    lk_note why = {0};
    lk_status status = add_file(l->ring, kid, text, &why);

    if (status != LK_OK)
        lk_note_set(note, "the key file %s/%.*s.jwk: %s", l->dir->path, (int)kid.len, (const char *)kid.p,
                    why.text);
    return status;
}

lk_status lk__ring_load(lk_keyring *ring, lk__key_dir *dir, lk_note *note)
{
    loading l = {ring, dir};
    lk_status status = lk__key_dir_each(dir, visit, &l, note);

    if (status == LK_OK)
        lk__ring_settle(ring);
    return status;
}

/* Is there a root, and a key that signs of every algorithm in ALGS? */
static bool is_complete(const lk_keyring *ring, lk_alg_set algs)
{
    int64_t now_s = lk_now_s(ring->env);

    for (lk_alg a = 0; a < LK_ALG_COUNT; a++) {
        if ((algs & LK_ALG_BIT(a)) != 0 && lk__ring_signer(ring, a, now_s) == NULL)
            return false;
    }
    return ring->has_root;
}

lk_status lk__ring_check(const lk_keyring *ring, const char *path, lk_note *note)
{
    if (ring->n == 0) {
        lk_note_set(note, "the key directory %s holds no key", path);
        return LK_MISS;
    }
    if (!ring->has_root) {
        lk_note_set(note,
                    "the key directory %s has keys but no root secret (root-*.jwk); put it back from a copy: "
                    "without it no session can be found",
                    path);
        return LK_REFUSED;
    }
    return LK_OK;
}

/* --- Opening ---------------------------------------------------------------------------------------------
 */

/* Lock, read, unlock. *out is NULL on anything but LK_OK. */
static lk_status read_ring(lk__key_dir *dir, bool for_writing, lk_keyring **out, uint64_t *print,
                           lk_note *note)
{
    lk_status status = lk__key_dir_lock(dir, for_writing, note);

    *out = NULL;
    if (status == LK_OK)
        status = lk__key_dir_print(dir, print, note);
    if (status != LK_OK)
        return status;
    *out = lk__ring_new(dir->env);
    if (*out == NULL)
        return LK_FAULT;
    status = lk__ring_load(*out, dir, note);
    if (status != LK_OK) {
        lk_keyring_free(*out);
        *out = NULL;
    }
    return status;
}

/* Somebody may have filled the directory since we looked: read again under the writing lock, make what lacks,
 * and read what is on disk, so that every process uses the same bytes. */
static lk_status fill_ring(lk__key_dir *dir, lk_alg_set algs, lk_keyring **out, uint64_t *print,
                           lk_note *note)
{
    lk_status status;

    lk__key_dir_unlock(dir);
    status = read_ring(dir, true, out, print, note);
    if (status != LK_OK || is_complete(*out, algs))
        return status;
    lk__key_dir_sweep(dir);
    status = lk__ring_fill(*out, dir, algs, note);
    lk_keyring_free(*out);
    *out = NULL;
    if (status != LK_OK)
        return status;
    lk__key_dir_unlock(dir);
    return read_ring(dir, false, out, print, note);
}

lk_status lk_keyring_open_at(const lk_env *env, const lk_key_place *place, bool create, lk_keyring **out,
                             lk_note *note)
{
    lk_alg_set algs = place->algs != 0 ? place->algs : LK_ALGS_FIRST;
    lk_keyring *ring = NULL;
    lk__key_dir dir;
    uint64_t print = 0;
    lk_status status;

    *out = NULL;
    status = lk__key_dir_open(&dir, env, place, create, note);
    if (status != LK_OK)
        return status;
    status = read_ring(&dir, false, &ring, &print, note);
    if (status == LK_OK && create && !is_complete(ring, algs)) {
        lk_keyring_free(ring);
        ring = NULL;
        status = fill_ring(&dir, algs, &ring, &print, note);
    }
    if (status == LK_OK)
        status = lk__ring_check(ring, place->dir, note);
    if (status == LK_OK)
        status = lk__ring_watch_start(ring, place, print);
    if (status == LK_OK)
        *out = ring;
    else
        lk_keyring_free(ring);
    lk__key_dir_close(&dir);
    return status;
}

lk_status lk_keyring_open(const lk_env *env, const char *path, bool create, lk_keyring **out, lk_note *note)
{
    lk_key_place place = {.dir = path};

    return lk_keyring_open_at(env, &place, create, out, note);
}
