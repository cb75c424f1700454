/* SPDX-License-Identifier: Apache-2.0
 *
 * key_change.c - the steps in the life of a key that somebody takes: activate, retire, burn, prune, seal.
 */
#include "keyring/key_change.h"
#include <latchkey/json.h>
#include <string.h>

static lk_status prune(lk__key_dir *dir, const lk_keyring *ring, lk_key_each each, void *context,
                       lk_note *note)
{
    int64_t now_s = lk_now_s(dir->env);
    lk_status status = LK_OK;

    for (size_t i = 0; i < ring->n && status == LK_OK; i++) {
        const lk__entry *entry = &ring->entries[i];

        if (entry->info.is_root || entry->life.gone_s > now_s)
            continue;
        status = lk__key_dir_remove(dir, entry->info.kid, note);
        if (status == LK_OK && each != NULL)
            each(context, entry->info.kid);
    }
    return status;
}

static lk_status read_all(lk__key_change *change, lk_note *note)
{
    lk_keyring_free(change->ring);
    change->ring = lk__ring_new(change->dir.env);
    return change->ring == NULL ? LK_FAULT : lk__ring_load(change->ring, &change->dir, note);
}

lk_status lk__key_change_begin(lk__key_change *change, const lk_env *env, const lk_key_place *place,
                               bool leave_room, lk_note *note)
{
    lk_status status = lk__key_dir_open(&change->dir, env, place, false, note);

    change->ring = NULL;
    if (status == LK_OK)
        status = lk__key_dir_lock(&change->dir, true, note);
    if (status == LK_OK) {
        lk__key_dir_sweep(&change->dir);
        status = read_all(change, note);
    }
    if (status == LK_OK && leave_room && change->ring->n >= LK__KEYS_MAX / 2) {
        status = prune(&change->dir, change->ring, NULL, NULL, note);
        if (status == LK_OK)
            status = read_all(change, note);
    }
    if (status == LK_OK && leave_room && change->ring->n >= LK__KEYS_MAX) {
        lk_note_set(note, "%s holds %d keys; take old ones out", place->dir, LK__KEYS_MAX);
        status = LK_FULL;
    }
    return status;
}

void lk__key_change_end(lk__key_change *change)
{
    lk_keyring_free(change->ring);
    lk__key_dir_close(&change->dir);
}

/* --- Other times for a key -------------------------------------------------------------------------------
 */

typedef struct rewriting {
    lk__key_dir *dir;
    const lk__key_life *life;
} rewriting;

/* The file again, with other times. */
static lk_status rewrite_file(void *context, lk_view kid, lk_view text, lk_note *note)
{
    const rewriting *r = context;
    uint8_t memory[LK__KEY_FILE_MAX];
    lk_buf out = lk_buf_over(memory, sizeof(memory));
    char name[LK_KID_MAX + 1] = {0};
    lk_json_item item;
    lk_status status;
    size_t at = 0;

    memcpy(name, kid.p, kid.len); /* lk__is_own_kid has seen to its length */
    lk_buf_add_byte(&out, '{');
    while (lk_json_next(text, &at, &item)) {
        if (lk__key_life_has(item.name))
            continue;
        lk_buf_add_text(&out, out.len > 1 ? ",\"" : "\"");
        lk_buf_add(&out, item.name);
        lk_buf_add_text(&out, "\":");
        lk_buf_add(&out, item.value);
    }
    lk__key_life_add(&out, r->life);
    lk_buf_add_text(&out, "}\n");
    status = lk_buf_status(&out);
    if (status == LK_OK)
        status = lk__key_dir_write(r->dir, name, lk_buf_view(&out), note);
    lk_wipe(memory, sizeof(memory));
    return status;
}

static lk_status rewrite(lk__key_dir *dir, const char *kid, const lk__key_life *life, lk_note *note)
{
    rewriting r = {dir, life};

    return lk__key_dir_one(dir, kid, rewrite_file, &r, note);
}

static int64_t min_time(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* LIFE retires at FROM_S, or before, and stays until what it signed up to then is over. The time to publish
 * is added: a node whose copy of the files is late goes on signing that much longer. */
static void retire_at(lk__key_life *life, int64_t from_s, const lk_key_place *place)
{
    int64_t stays_s = place->life_s + place->publish_s;

    life->retires_s = min_time(life->retires_s, from_s);
    if (life->gone_s == LK_KEY_NEVER)
        life->gone_s = from_s + stays_s;
    if (life->signs_s > life->retires_s)
        life->signs_s = life->retires_s;
}

/* The files are asked to change one after the other; the ring only says which. What was meant to begin later
 * than FROM_S, or when it is told, is left alone. */
lk_status lk__keys_retire(lk__key_dir *dir, const lk_keyring *ring, const lk_key_place *place, lk_alg alg,
                          const char *kid, int64_t from_s, lk_note *note)
{
    lk_status status = LK_OK;

    for (size_t i = 0; i < ring->n && status == LK_OK; i++) {
        const lk__entry *entry = &ring->entries[i];
        lk__key_life life = entry->life;

        if (entry->signer == NULL || entry->info.alg != alg || life.signs_s > from_s ||
            lk_view_equal(lk_view_of(entry->info.kid), lk_view_of(kid)))
            continue;
        if (life.retires_s <= from_s && life.gone_s != LK_KEY_NEVER)
            continue;
        retire_at(&life, from_s, place);
        status = rewrite(dir, entry->info.kid, &life, note);
    }
    return status;
}

/* --- Steps -----------------------------------------------------------------------------------------------
 */

/* The signing key KID. LK_OK; LK_MISS; LK_REFUSED. */
static lk_status find_key(const lk__key_change *change, lk_view kid, const lk__entry **out, lk_note *note)
{
    *out = lk__ring_find(change->ring, kid);
    if (*out == NULL) {
        lk_note_set(note, "there is no key %.*s in %s", (int)kid.len, (const char *)kid.p, change->dir.path);
        return LK_MISS;
    }
    if ((*out)->info.is_root) {
        lk_note_set(note, "that is the root secret, through which every session is found; it stays as it is");
        return LK_REFUSED;
    }
    return LK_OK;
}

static lk_status refuse_state(const lk__entry *entry, int64_t now_s, const char *wanted, lk_note *note)
{
    lk_note_set(note, "the key %s is %s, and not %s", entry->info.kid,
                lk_key_state_word(lk__key_life_state(&entry->life, now_s)), wanted);
    return LK_REFUSED;
}

static lk_status activate(lk__key_change *change, const lk_key_place *place, const lk__entry *entry,
                          lk_note *note)
{
    int64_t now_s = lk_now_s(change->dir.env);
    lk__key_life life = entry->life;
    lk_status status;

    if (lk__key_life_state(&life, now_s) != LK_KEY_PENDING)
        return refuse_state(entry, now_s, "pending", note);
    life.signs_s = now_s;
    status = rewrite(&change->dir, entry->info.kid, &life, note);
    if (status == LK_OK)
        status =
            lk__keys_retire(&change->dir, change->ring, place, entry->info.alg, entry->info.kid, now_s, note);
    return status;
}

lk_status lk_key_activate(const lk_env *env, const lk_key_place *place, lk_view kid, lk_note *note)
{
    lk__key_change change;
    const lk__entry *entry = NULL;
    lk_status status = lk__key_change_begin(&change, env, place, false, note);

    if (status == LK_OK)
        status = find_key(&change, kid, &entry, note);
    if (status == LK_OK)
        status = activate(&change, place, entry, note);
    lk__key_change_end(&change);
    return status;
}

/* Another key than ENTRY that signs at NOW_S, or NULL. */
static const lk__entry *find_other(const lk_keyring *ring, const lk__entry *entry, int64_t now_s)
{
    for (size_t i = 0; i < ring->n; i++) {
        const lk__entry *other = &ring->entries[i];

        if (other != entry && other->signer != NULL && other->info.alg == entry->info.alg &&
            lk__key_life_state(&other->life, now_s) == LK_KEY_ACTIVE)
            return other;
    }
    return NULL;
}

static lk_status retire(lk__key_change *change, const lk_key_place *place, const lk__entry *entry,
                        lk_note *note)
{
    int64_t now_s = lk_now_s(change->dir.env);
    lk__key_life life = entry->life;
    lk_key_state state = lk__key_life_state(&life, now_s);

    if (state != LK_KEY_ACTIVE && state != LK_KEY_PENDING)
        return refuse_state(entry, now_s, "active or pending", note);
    if (state == LK_KEY_ACTIVE && find_other(change->ring, entry, now_s) == NULL) {
        lk_note_set(
            note,
            "no other key of %s signs now, and without one nobody could log in; make one first: latchkey "
            "key rotate %s",
            lk_alg_name(entry->info.alg), lk_alg_name(entry->info.alg));
        return LK_REFUSED;
    }
    retire_at(&life, now_s, place);
    return rewrite(&change->dir, entry->info.kid, &life, note);
}

lk_status lk_key_retire(const lk_env *env, const lk_key_place *place, lk_view kid, lk_note *note)
{
    lk__key_change change;
    const lk__entry *entry = NULL;
    lk_status status = lk__key_change_begin(&change, env, place, false, note);

    if (status == LK_OK)
        status = find_key(&change, kid, &entry, note);
    if (status == LK_OK)
        status = retire(&change, place, entry, note);
    lk__key_change_end(&change);
    return status;
}

/* --- Burning ---------------------------------------------------------------------------------------------
 */

/* What takes the place of a burned key's file: copied over the file on another node, it takes the key from
 * there, too, which a file that is missing does not. It goes when nothing the key signed can be alive. */
static lk_status write_burned(lk__key_dir *dir, const lk_key_place *place, const lk__entry *entry,
                              lk_note *note)
{
    uint8_t memory[512];
    lk_buf out = lk_buf_over(memory, sizeof(memory));
    int64_t now_s = lk_now_s(dir->env);
    lk__key_life life = {entry->life.created_s, LK_KEY_NEVER, LK_KEY_NEVER,
                         now_s + place->life_s + place->publish_s, true};
    lk_status status;

    lk_buf_add_byte(&out, '{');
    lk__jwk_add_text(&out, "kid", entry->info.kid);
    lk_buf_add_byte(&out, ',');
    lk__jwk_add_text(&out, "lk_alg", lk_alg_name(entry->info.alg));
    lk__key_life_add(&out, &life);
    lk_buf_add_text(&out, ",\"lk_burned\":");
    lk_buf_add_i64(&out, now_s);
    lk_buf_add_text(&out, "}\n");
    status = lk_buf_status(&out);
    return status == LK_OK ? lk__key_dir_write(dir, entry->info.kid, lk_buf_view(&out), note) : status;
}

/* The pending key that was shown longest, but ENTRY: every node knows it. Or NULL. */
static const lk__entry *find_spare(const lk_keyring *ring, const lk__entry *entry, int64_t now_s)
{
    for (size_t i = 0; i < ring->n; i++) {
        const lk__entry *other = &ring->entries[i];

        if (other != entry && other->signer != NULL && other->info.alg == entry->info.alg &&
            lk__key_life_state(&other->life, now_s) == LK_KEY_PENDING)
            return other;
    }
    return NULL;
}

/* Another key signs in the place of ENTRY. */
static lk_status replace(lk__key_change *change, const lk_key_place *place, const lk__entry *entry,
                         char replacement[LK_KID_MAX + 1], lk_note *note)
{
    const lk__entry *spare = find_spare(change->ring, entry, lk_now_s(change->dir.env));

    if (spare == NULL)
        return lk__key_make_in(&change->dir, change->ring, place, entry->info.alg, LK_KEY_AT_ONCE,
                               replacement, note);
    memcpy(replacement, spare->info.kid, LK_KID_MAX + 1);
    return activate(change, place, spare, note);
}

/* The new key first: there is no moment without one that signs. */
static lk_status burn(lk__key_change *change, const lk_key_place *place, const lk__entry *entry,
                      char replacement[LK_KID_MAX + 1], lk_note *note)
{
    int64_t now_s = lk_now_s(change->dir.env);
    const lk__entry *signer = lk__ring_signer(change->ring, entry->info.alg, now_s);
    lk_status status = LK_OK;

    if (entry->life.burned)
        return LK_OK;
    if (signer == entry && find_other(change->ring, entry, now_s) == NULL)
        status = replace(change, place, entry, replacement, note);
    return status == LK_OK ? write_burned(&change->dir, place, entry, note) : status;
}

lk_status lk_key_burn(const lk_env *env, const lk_key_place *place, lk_view kid,
                      char replacement[LK_KID_MAX + 1], lk_note *note)
{
    lk__key_change change;
    const lk__entry *entry = NULL;
    lk_status status = lk__key_change_begin(&change, env, place, false, note);

    replacement[0] = '\0';
    if (status == LK_OK)
        status = find_key(&change, kid, &entry, note);
    if (status == LK_OK)
        status = burn(&change, place, entry, replacement, note);
    lk__key_change_end(&change);
    return status;
}

/* --- Pruning, sealing, rotating --------------------------------------------------------------------------
 */

lk_status lk_key_prune(const lk_env *env, const lk_key_place *place, lk_key_each each, void *context,
                       lk_note *note)
{
    lk__key_change change;
    lk_status status = lk__key_change_begin(&change, env, place, false, note);

    if (status == LK_OK)
        status = prune(&change.dir, change.ring, each, context, note);
    lk__key_change_end(&change);
    return status;
}

typedef struct converting {
    lk__key_dir *from, *to;
} converting;

static lk_status convert_file(void *context, lk_view kid, lk_view text, lk_note *note)
{
    const converting *x = context;
    char name[LK_KID_MAX + 1] = {0};

    memcpy(name, kid.p, kid.len);
    return lk__key_dir_write(x->to, name, text, note);
}

lk_status lk_key_convert(const lk_env *env, const lk_key_place *place, bool seal, size_t *changed,
                         lk_note *note)
{
    lk__key_change change;
    lk__key_dir other;
    converting x = {&change.dir, &other};
    lk_status status = lk__key_change_begin(&change, env, place, false, note);

    *changed = 0;
    if (status == LK_OK && seal && place->secret.len == 0) {
        lk_note_set(note, "there is no master secret to seal with");
        status = LK_REFUSED;
    }
    other = change.dir; /* the same directory, by the same lock; its own secret and seal */
    other.box = (lk__key_box){0};
    other.secret = seal ? place->secret : (lk_view){0};
    for (size_t i = 0; status == LK_OK && i < change.ring->n; i++) {
        const char *kid = change.ring->entries[i].info.kid;
        bool is_sealed = false;

        status = lk__key_dir_is_sealed(&change.dir, kid, &is_sealed, note);
        if (status == LK_OK && is_sealed != seal) {
            status = lk__key_dir_one(&change.dir, kid, convert_file, &x, note);
            *changed += status == LK_OK;
        }
    }
    lk__key_box_wipe(&other.box);
    lk__key_change_end(&change);
    return status;
}

/* Is it time for a new key in the place of the one of ALG that signs? */
static bool is_due(const lk_keyring *ring, const lk_key_place *place, lk_alg alg, int64_t age_s,
                   int64_t now_s)
{
    const lk__entry *signer = lk__ring_signer(ring, alg, now_s);
    int64_t from_s;

    if (signer == NULL || signer->life.retires_s != LK_KEY_NEVER)
        return false; /* none, or its successor is on its way */
    from_s = signer->life.signs_s > 0 ? signer->life.signs_s : signer->life.created_s;
    return now_s >= from_s + age_s - place->publish_s;
}

lk_status lk_key_rotate_due(const lk_keyring *ring, const lk_key_place *place, int64_t age_s,
                            lk_key_each each, void *context, lk_note *note)
{
    int64_t now_s = lk_now_s(ring->env);
    lk__key_change change;
    lk_alg_set due = 0;
    lk_status status;
    bool any = false;

    for (lk_alg a = 0; a < LK_ALG_COUNT; a++)
        due |= is_due(lk__ring_now(ring), place, a, age_s, now_s) ? LK_ALG_BIT(a) : 0;
    if (due == 0)
        return LK_MISS;
    status = lk__key_change_begin(&change, ring->env, place, true, note);
    for (lk_alg a = 0; a < LK_ALG_COUNT && status == LK_OK; a++) {
        char kid[LK_KID_MAX + 1] = "";

        /* Another process may have been here meanwhile. */
        if ((due & LK_ALG_BIT(a)) == 0 || !is_due(change.ring, place, a, age_s, now_s))
            continue;
        status = lk__key_make_in(&change.dir, change.ring, place, a, LK_KEY_PUBLISHED, kid, note);
        any = any || status == LK_OK;
        if (status == LK_OK && each != NULL)
            each(context, kid);
        status = status == LK_STALE ? LK_OK : status;
    }
    lk__key_change_end(&change);
    return status != LK_OK ? status : any ? LK_OK : LK_MISS;
}
