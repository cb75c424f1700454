/* SPDX-License-Identifier: Apache-2.0
 *
 * ring.c - build a keyring key by key, and take it down.
 */
#include "keyring/ring.h"
#include <latchkey/base64url.h>
#include <stdlib.h>
#include <string.h>

#define PUBLIC_JWK_MAX 1280 /* n of 4096 bits is 683 characters, a kid at most 64 */

lk_keyring *lk__ring_new(const lk_env *env)
{
    lk_keyring *ring = lk_alloc(env, sizeof(*ring));

    if (ring != NULL)
        ring->env = env;
    return ring;
}

static void signer_free(const lk_env *env, lk_signer *signer)
{
    if (signer == NULL)
        return;
    signer->algorithm->clear_signer(signer);
    lk_free(env, signer);
}

static void verifier_free(const lk_env *env, lk_verifier *verifier)
{
    while (verifier != NULL) {
        lk_verifier *other = verifier->other;

        verifier->algorithm->clear_verifier(verifier);
        lk_free(env, verifier);
        verifier = other;
    }
}

static void entry_clear(const lk_env *env, lk__entry *entry)
{
    signer_free(env, entry->signer);
    verifier_free(env, entry->verifier);
    lk_free(env, entry->public_jwk);
    *entry = (lk__entry){0};
}

void lk_keyring_free(lk_keyring *ring)
{
    const lk_env *env;

    if (ring == NULL)
        return;
    env = ring->env;
    lk__ring_watch_stop(ring);
    for (size_t i = 0; i < ring->n; i++)
        entry_clear(env, &ring->entries[i]);
    lk_wipe(ring, sizeof(*ring));
    lk_free(env, ring);
}

/* Our own header in base64url; length 0 when it does not fit. */
static size_t write_header(const lk__jwk *jwk, char out[LK__JOSE_HEADER_MAX])
{
    uint8_t json[LK__JOSE_HEADER_MAX];
    lk_buf header = lk_buf_over(json, sizeof(json)), text = lk_buf_over(out, LK__JOSE_HEADER_MAX);

    lk__jose_header_write(jwk->algorithm->alg, LK_VIEW(LK__JOSE_TYPE), lk_view_make(jwk->kid, jwk->kid_len),
                          &header);
    if (header.full)
        return 0;
    lk_base64url_encode(lk_buf_view(&header), &text);
    return text.full ? 0 : text.len;
}

/* NULL with *status set. */
static lk_verifier *make_verifier(const lk_env *env, const lk__jwk *jwk, lk_status *status, lk_note *note)
{
    lk_verifier *v = lk_alloc(env, sizeof(*v));

    if (v == NULL) {
        *status = LK_FAULT;
        return NULL;
    }
    v->algorithm = jwk->algorithm;
    memcpy(v->kid, jwk->kid, sizeof(v->kid));
    v->kid_len = jwk->kid_len;
    v->header_len = write_header(jwk, v->header);
    atomic_init(&v->header_proven, false);
    *status = jwk->algorithm->read_verifier(env, jwk->text, v, note);
    if (*status == LK_OK)
        return v;
    lk_free(env, v);
    return NULL;
}

static lk_signer *make_signer(const lk_env *env, const lk__jwk *jwk, lk_status *status, lk_note *note)
{
    lk_signer *s = lk_alloc(env, sizeof(*s));

    if (s == NULL) {
        *status = LK_FAULT;
        return NULL;
    }
    s->algorithm = jwk->algorithm;
    memcpy(s->kid, jwk->kid, sizeof(s->kid));
    s->kid_len = jwk->kid_len;
    s->header_len = write_header(jwk, s->header);
    *status = jwk->algorithm->read_signer(env, jwk->text, s, note);
    if (*status == LK_OK)
        return s;
    lk_free(env, s);
    return NULL;
}

/* A key whose halves do not belong together signs what nobody can check: found now and not at the next login.
 */
static lk_status prove_pair(const lk__entry *entry, lk_note *note)
{
    uint8_t memory[LK_SIGNATURE_MAX];
    lk_buf signature = lk_buf_over(memory, sizeof(memory));
    lk_status status = lk_sign(entry->signer, LK_VIEW("latchkey"), &signature);

    if (status == LK_OK)
        status = lk_verify(entry->verifier, LK_VIEW("latchkey"), lk_buf_view(&signature));
    if (status != LK_OK)
        lk_note_set(note, "the private and the public half of the key do not belong together");
    return status;
}

/* The key as a member of the JWK Set we publish. */
static lk_status write_public(const lk_env *env, const lk__jwk *jwk, lk__entry *entry)
{
    uint8_t memory[PUBLIC_JWK_MAX];
    lk_buf out = lk_buf_over(memory, sizeof(memory));

    if (jwk->algorithm->is_shared)
        return LK_OK;
    lk_buf_add_byte(&out, '{');
    lk__jwk_add_text(&out, "kty", jwk->algorithm->kty);
    lk_buf_add_text(&out, ",\"use\":\"sig\",");
    lk__jwk_add_text(&out, "alg", jwk->algorithm->jose);
    lk__jwk_add_members(&out, jwk->text, (const char *const[]){"kid", NULL});
    lk__jwk_add_members(&out, jwk->text, jwk->algorithm->public_members);
    lk_buf_add_byte(&out, '}');
    if (out.full)
        return LK_FULL;
    entry->public_jwk = lk_copy_text(env, lk_buf_view(&out));
    return entry->public_jwk == NULL ? LK_FAULT : LK_OK;
}

static lk_status check_room(const lk_keyring *ring, const char *kid, lk_note *note)
{
    if (ring->n == LK__KEYS_MAX) {
        lk_note_set(note, "more than %d keys", LK__KEYS_MAX);
        return LK_FULL;
    }
    for (size_t i = 0; kid[0] != '\0' && i < ring->n; i++) {
        if (lk_view_equal(lk_view_of(kid), lk_view_of(ring->entries[i].info.kid))) {
            lk_note_set(note, "the kid %s is there twice", kid);
            return LK_REFUSED;
        }
    }
    return LK_OK;
}

lk_status lk__ring_add(lk_keyring *ring, const lk__jwk *jwk, const lk_key_info *info, bool signs,
                       lk_note *note)
{
    lk_status status = check_room(ring, info->kid, note);
    lk__entry entry = {.info = *info};

    if (status != LK_OK)
        return status;
    entry.verifier = make_verifier(ring->env, jwk, &status, note);
    if (status == LK_OK && signs)
        entry.signer = make_signer(ring->env, jwk, &status, note);
    if (status == LK_OK && signs)
        status = prove_pair(&entry, note);
    if (status == LK_OK)
        status = write_public(ring->env, jwk, &entry);
    if (status == LK_OK)
        ring->entries[ring->n++] = entry;
    else
        entry_clear(ring->env, &entry);
    return status;
}

lk_status lk__ring_add_other(lk_keyring *ring, const lk__jwk *jwk, lk_note *note)
{
    lk_status status;
    lk_verifier *v = make_verifier(ring->env, jwk, &status, note),
                *last = ring->entries[ring->n - 1].verifier;

    if (v == NULL)
        return status;
    while (last->other != NULL)
        last = last->other;
    last->other = v;
    return LK_OK;
}

static int compare_texts(const char *a, const char *b)
{
    size_t i = 0;

    while (a[i] != '\0' && a[i] == b[i])
        i++;
    return (unsigned char)a[i] - (unsigned char)b[i];
}

static int compare_entries(const void *a, const void *b)
{
    const lk__entry *x = a, *y = b;

    if (x->life.created_s != y->life.created_s)
        return x->life.created_s < y->life.created_s ? -1 : 1;
    return compare_texts(x->info.kid, y->info.kid);
}

void lk__ring_settle(lk_keyring *ring)
{
    int64_t now_s = lk_now_s(ring->env);

    qsort(ring->entries, ring->n, sizeof(ring->entries[0]), compare_entries);
    ring->changes_s = LK_KEY_NEVER;
    for (size_t i = 0; i < ring->n; i++) {
        int64_t gone_s = ring->entries[i].info.is_root ? LK_KEY_NEVER : ring->entries[i].life.gone_s;

        if (gone_s > now_s && gone_s < ring->changes_s)
            ring->changes_s = gone_s;
    }
}

/* Entries are sorted by creation, so of two that begin to sign at one time the later one wins by coming
 * later.
 *
 * A rotation writes the new key before it changes the old one, so that there is no moment without one; and a
 * copy of a directory may have got the one file and not yet the other. So more than one may be said to sign:
 * then it is the one that began last. And when none is, because a copy lacks the new file, the last that did
 * goes on: a signature by a key that retires is good, and no signature at all locks everybody out. So does a
 * clock that was set back to before the first of them: then it is the one that begins next. */
const lk__entry *lk__ring_signer(const lk_keyring *ring, lk_alg alg, int64_t now_s)
{
    const lk__entry *active = NULL, *last = NULL, *next = NULL;

    for (size_t i = 0; i < ring->n; i++) {
        const lk__entry *entry = &ring->entries[i];

        if (entry->signer == NULL || entry->info.alg != alg || entry->life.signs_s == LK_KEY_NEVER)
            continue;
        if (entry->life.signs_s > now_s) {
            if (next == NULL || entry->life.signs_s < next->life.signs_s)
                next = entry;
            continue;
        }
        if (entry->life.retires_s > now_s && (active == NULL || entry->life.signs_s >= active->life.signs_s))
            active = entry;
        if (entry->life.retires_s > 0 && (last == NULL || entry->life.signs_s >= last->life.signs_s))
            last = entry;
    }
    if (active != NULL || last != NULL)
        return active != NULL ? active : last;
    return next;
}

const lk__entry *lk__ring_find(const lk_keyring *ring, lk_view kid)
{
    for (size_t i = 0; i < ring->n; i++) {
        if (lk_view_equal(kid, lk_view_of(ring->entries[i].info.kid)))
            return &ring->entries[i];
    }
    return NULL;
}
