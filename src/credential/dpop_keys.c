/* SPDX-License-Identifier: Apache-2.0
 *
 * dpop_keys.c - keys of proofs, kept open.
 *
 * A key comes along with each proof, and reading and checking it costs more than the signature it is there
 * for. One that proved the key of a token of ours is kept open, under the hash of its algorithm and of the
 * very bytes it came as: the same bytes are judged alike each time, so that nothing is taken by way of the
 * cache that would be refused without it. There is a fixed number of places, and the key that was used
 * longest ago gives way: a flood of keys, each of which takes a token that was bound to it, costs the others
 * what they paid before there was a cache, and no memory.
 */
#include "credential/dpop_keys.h"
#include "crypto/hash.h"
#include <pthread.h>
#include <string.h>

struct lk__dpop_key {
    uint8_t name[LK_SHA256_LEN];
    lk_keyring *ring; /* NULL: a free place */
    uint64_t used;    /* by the number of the use; of free places 0 */
    unsigned holders;
};

struct lk_dpop_keys {
    const lk_env *env;
    pthread_mutex_t lock; /* for the places; never held while a key is opened or used */
    uint64_t uses;
    lk__dpop_key places[LK_DPOP_KEYS];
};

lk_status lk_dpop_keys_open(const lk_env *env, lk_dpop_keys **out)
{
    lk_dpop_keys *keys = lk_alloc(env, sizeof(*keys));

    *out = NULL;
    if (keys == NULL)
        return LK_FAULT;
    memset(keys, 0, sizeof(*keys));
    keys->env = env;
    if (pthread_mutex_init(&keys->lock, NULL) != 0) {
        lk_free(env, keys);
        return LK_FAULT;
    }
    *out = keys;
    return LK_OK;
}

void lk_dpop_keys_close(lk_dpop_keys *keys)
{
    if (keys == NULL)
        return;
    for (size_t i = 0; i < LK_DPOP_KEYS; i++)
        lk_keyring_free(keys->places[i].ring);
    (void)pthread_mutex_destroy(&keys->lock);
    lk_free(keys->env, keys);
}

/* The place of NAME; else, in *OLDEST, the one that gives way: nobody's now, and used longest ago. */
static lk__dpop_key *find(lk_dpop_keys *keys, const uint8_t name[LK_SHA256_LEN], lk__dpop_key **oldest)
{
    *oldest = NULL;
    for (size_t i = 0; i < LK_DPOP_KEYS; i++) {
        lk__dpop_key *k = &keys->places[i];

        if (k->ring != NULL &&
            lk_view_equal(lk_view_make(k->name, LK_SHA256_LEN), lk_view_make(name, LK_SHA256_LEN)))
            return k;
        if (k->holders == 0 && (*oldest == NULL || k->used < (*oldest)->used))
            *oldest = k;
    }
    return NULL;
}

lk_status lk__dpop_key_name(lk_alg alg, lk_view jwk, uint8_t out[LK_SHA256_LEN])
{
    uint8_t memory[1 + LK_DPOP_MAX] = {(uint8_t)alg};
    lk_buf text = lk_buf_over(memory, sizeof(memory));

    text.len = 1;
    lk_buf_add(&text, jwk);
    return text.full ? LK_FULL : lk_sha256(lk_buf_view(&text), out);
}

lk__dpop_key *lk__dpop_key_hold(lk_dpop_keys *keys, const uint8_t name[LK_SHA256_LEN])
{
    lk__dpop_key *oldest;

    (void)pthread_mutex_lock(&keys->lock);
    lk__dpop_key *k = find(keys, name, &oldest);
    if (k != NULL) {
        k->holders++;
        k->used = ++keys->uses;
    }
    (void)pthread_mutex_unlock(&keys->lock);
    return k;
}

const lk_keyring *lk__dpop_key_ring(const lk__dpop_key *key)
{
    return key->ring;
}

void lk__dpop_key_release(lk_dpop_keys *keys, lk__dpop_key *key)
{
    (void)pthread_mutex_lock(&keys->lock);
    key->holders--;
    (void)pthread_mutex_unlock(&keys->lock);
}

void lk__dpop_key_keep(lk_dpop_keys *keys, const uint8_t name[LK_SHA256_LEN], lk_keyring *ring)
{
    lk_keyring *unused = ring;
    lk__dpop_key *oldest;

    (void)pthread_mutex_lock(&keys->lock);
    if (find(keys, name, &oldest) == NULL && oldest != NULL) {
        unused = oldest->ring;
        memcpy(oldest->name, name, LK_SHA256_LEN);
        oldest->ring = ring;
        oldest->used = ++keys->uses;
    }
    (void)pthread_mutex_unlock(&keys->lock);
    lk_keyring_free(unused);
}
