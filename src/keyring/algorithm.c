/* SPDX-License-Identifier: Apache-2.0
 *
 * algorithm.c - the table of signature algorithms.
 */
#include "keyring/algorithm.h"

/* "none" is not here, and nothing can put it here. */
static const lk__algorithm *const table[LK_ALG_COUNT] = {
    [LK_ALG_HS256] = &lk__hs256, [LK_ALG_ES256] = &lk__es256, [LK_ALG_RS256] = &lk__rs256,
    [LK_ALG_EDDSA] = &lk__eddsa, [LK_ALG_HS384] = &lk__hs384, [LK_ALG_HS512] = &lk__hs512,
    [LK_ALG_RS384] = &lk__rs384, [LK_ALG_RS512] = &lk__rs512, [LK_ALG_PS256] = &lk__ps256,
    [LK_ALG_PS384] = &lk__ps384, [LK_ALG_PS512] = &lk__ps512, [LK_ALG_ES384] = &lk__es384,
    [LK_ALG_ES512] = &lk__es512, [LK_ALG_ED448] = &lk__ed448,
};

const lk__algorithm *lk__algorithm_of(lk_alg alg)
{
    /* A number that was never an lk_alg must not read past the table. */
    return table[(unsigned)alg < LK_ALG_COUNT ? alg : LK_ALG_HS256];
}

void lk__algorithm_list(lk_buf *out)
{
    for (lk_alg a = 0; a < LK_ALG_COUNT; a++) {
        lk_buf_add_text(out, a == 0 ? "" : ", ");
        lk_buf_add_text(out, table[a]->name);
        lk_buf_add_text(out, " (");
        lk_buf_add_text(out, table[a]->kty);
        lk_buf_add_text(out, table[a]->crv == NULL ? "" : " ");
        lk_buf_add_text(out, table[a]->crv);
        lk_buf_add_text(out, ")");
    }
}

const char *lk_alg_name(lk_alg alg)
{
    return lk__algorithm_of(alg)->name;
}

const char *lk_alg_jose(lk_alg alg)
{
    return lk__algorithm_of(alg)->jose;
}

lk_status lk_alg_of(lk_view name, lk_alg *out)
{
    for (lk_alg a = 0; a < LK_ALG_COUNT; a++) {
        if (lk_view_equal(name, lk_view_of(table[a]->name))) {
            *out = a;
            return LK_OK;
        }
    }
    return LK_MISS;
}
