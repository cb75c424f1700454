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

bool lk_secret_equal(lk_view a, lk_view b)
{
    volatile uint8_t differ = 0; /* volatile: no compiler may leave the loop at the first difference */

    if (a.len != b.len)
        return false;
    for (size_t i = 0; i < a.len; i++)
        differ = (uint8_t)(differ | (a.p[i] ^ b.p[i]));
    return differ == 0;
}
