/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz_token.c - simple tokens of any shape: what is accepted was signed, is in its time and has one
 * spelling.
 *
 * Input: one letter, then for `r` a token as it is; for any other the text before the last dot, which is
 * signed rightly, so that what stands behind the signature is tried too.
 */
#include "crypto/derive.h"
#include "fuzz_ring.h"
#include <latchkey/base64url.h>
#include <string.h>

enum { ROOM = 32768 };

/* The key of simple tokens is derived from the HS256 key: docs/formats/token.md. */
static void sign_of(lk_view message, char out[65])
{
    uint8_t sign[32];
    lk_secret key;

    MUST(lk_derive(fuzz_key(), LK_VIEW("latchkey simple token 1"), &key, 32) == LK_OK);
    fuzz_hmac(lk_secret_view(&key), message, sign);
    for (size_t i = 0; i < sizeof(sign); i++)
        snprintf(out + 2 * i, 3, "%02x", sign[i]);
}

/* TEXT is what its claims spell, and no other text is. */
static void expect_one_spelling(lk_view text, const lk_claims *c)
{
    static uint8_t room[ROOM];
    lk_buf b = lk_buf_over(room, sizeof(room));
    char sign[65];

    lk_base64url_encode(c->user, &b);
    lk_buf_add_printf(&b, ".%lld.%lld.", (long long)c->issued_s, (long long)c->expires_s);
    if (c->params.len > 0) {
        lk_base64url_encode(c->params, &b);
        lk_buf_add_byte(&b, '.');
    }
    lk_buf_add(&b, c->kid);
    sign_of(lk_buf_view(&b), sign);
    lk_buf_add_byte(&b, '.');
    lk_buf_add_text(&b, sign);
    MUST(lk_view_equal(lk_buf_view(&b), text));
}

static void try_token(lk_view text)
{
    static const lk_expect expect = {.now_s = FUZZ_NOW_S, .need_expiry = true};
    static uint8_t room[ROOM];
    lk_buf scratch = lk_buf_over(room, sizeof(room));
    lk_reason why = LK_REASON_NONE;
    lk_claims claims;
    lk_status status = lk_token_check(fuzz_ring(), text, &expect, &scratch, &claims, &why);

    MUST(status == LK_OK || status == LK_STALE ||
         (status == LK_REFUSED && scratch.len == 0 && fuzz_claims_are_empty(&claims)));
    MUST((status == LK_OK) == (why == LK_REASON_NONE));
    if (status == LK_REFUSED)
        return;
    MUST(text.len <= LK_CREDENTIAL_MAX && claims.user.len > 0 && claims.kind == LK_KIND_TOKEN);
    MUST((claims.expires_s > FUZZ_NOW_S) == (status == LK_OK));
    MUST(lk_view_equal(claims.kid, LK_VIEW(FUZZ_KID)));
    expect_one_spelling(text, &claims);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t room[ROOM];
    lk_view rest = lk_view_make(data, size);
    lk_buf b = lk_buf_over(room, sizeof(room));
    char sign[65];

    if (size == 0 || size > 20000)
        return 0;
    rest = lk_view_part(rest, 1, SIZE_MAX);
    if (data[0] == 'r') {
        try_token(rest);
        return 0;
    }
    lk_buf_add(&b, rest);
    sign_of(rest, sign);
    lk_buf_add_byte(&b, '.');
    lk_buf_add_text(&b, sign);
    try_token(lk_buf_view(&b));
    return 0;
}
