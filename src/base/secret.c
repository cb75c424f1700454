/* SPDX-License-Identifier: Apache-2.0
 *
 * secret.c - wiping and comparing secrets.
 */
#include <latchkey/secret.h>
#include <string.h>

void lk_wipe(void *p, size_t len)
{
    if (len > 0)
        explicit_bzero(p, len); /* a plain memset before a return may be optimised away */
}

void lk_secret_wipe(lk_secret *secret)
{
    lk_wipe(secret, sizeof(*secret));
}

/* The compiler must take VALUE for unknown: it can then not leave a loop at the first difference. */
static inline uint64_t opaque(uint64_t value)
{
    __asm__ volatile("" : "+r"(value));
    return value;
}

bool lk_secret_equal(lk_view a, lk_view b)
{
    uint64_t differ = 0, x, y;
    size_t i = 0;

    if (a.len != b.len)
        return false;
    for (; a.len - i >= sizeof(x); i += sizeof(x)) {
        memcpy(&x, a.p + i, sizeof(x));
        memcpy(&y, b.p + i, sizeof(y));
        differ = opaque(differ | (x ^ y));
    }
    for (; i < a.len; i++)
        differ = opaque(differ | (uint64_t)(a.p[i] ^ b.p[i]));
    return differ == 0;
}
