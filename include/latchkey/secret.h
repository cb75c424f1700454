/* SPDX-License-Identifier: Apache-2.0
 *
 * secret.h - secrets are a type: bounded, wiped, compared in constant time, never printed.
 */
#ifndef LATCHKEY_SECRET_H
#define LATCHKEY_SECRET_H

#include <latchkey/bytes.h>

#ifdef __cplusplus
extern "C" {
#endif

#define LK_SECRET_MAX 64
#define LK_DIGEST_LEN 32

/* A symmetric secret. Wipe with lk_secret_wipe before it goes out of scope. */
typedef struct lk_secret {
    uint8_t bytes[LK_SECRET_MAX];
    uint8_t len;
} lk_secret;

/* A keyed hash of something secret. Stores, logs and lists only ever see these. */
typedef struct lk_digest {
    uint8_t bytes[LK_DIGEST_LEN];
} lk_digest;

/* Overwrite LEN bytes; the compiler may not leave it out. */
void lk_wipe(void *p, size_t len);
void lk_secret_wipe(lk_secret *secret);

/* Equal, in time that depends on the lengths only. Lengths are compared first. */
bool lk_secret_equal(lk_view a, lk_view b);

static inline lk_view lk_secret_view(const lk_secret *s)
{
    return lk_view_make(s->bytes, s->len);
}

static inline lk_view lk_digest_view(const lk_digest *d)
{
    return lk_view_make(d->bytes, LK_DIGEST_LEN);
}

#ifdef __cplusplus
}
#endif
#endif
