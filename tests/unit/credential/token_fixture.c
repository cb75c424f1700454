/* SPDX-License-Identifier: Apache-2.0
 *
 * token_fixture.c - tokens of any form, signed with a good key, and what is expected of their check.
 */
#include "token_fixture.h"
#include <latchkey/base64url.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

lk_keyring *ring;

const lk_expect lenient = {.now_s = NOW};
const lk_expect strict = {
    .issuer = {(const uint8_t *)"me", 2},
    .audience = {(const uint8_t *)"shop", 4},
    .type = {(const uint8_t *)"at+jwt", 6},
    .need_expiry = true,
    .now_s = NOW,
};

int make_ring(void **state)
{
    (void)state;
    ring = full_ring();
    return 0;
}

int free_ring(void **state)
{
    (void)state;
    lk_keyring_free(ring);
    return 0;
}

static uint8_t token_memory[4 * LK_CREDENTIAL_MAX];

static lk_buf start(const char *header, const char *payload)
{
    lk_buf out = lk_buf_over(token_memory, sizeof(token_memory));

    lk_base64url_encode(lk_view_of(header), &out);
    lk_buf_add_byte(&out, '.');
    lk_base64url_encode(lk_view_of(payload), &out);
    return out;
}

lk_view assemble(const char *header, const char *payload, lk_view signature)
{
    lk_buf out = start(header, payload);

    lk_buf_add_byte(&out, '.');
    lk_base64url_encode(signature, &out);
    assert_false(out.full);
    return lk_buf_view(&out);
}

lk_view craft(lk_alg alg, const char *header, const char *payload)
{
    const lk_signer *signer = lk_keyring_signer(ring, alg);
    lk_view kid = lk_signer_kid(signer);
    const char *mark = strstr(header, "KID");
    uint8_t memory[LK_SIGNATURE_MAX];
    lk_buf signature = lk_buf_over(memory, sizeof(memory)), signing;
    char full[LK_CREDENTIAL_MAX];

    if (mark == NULL)
        (void)snprintf(full, sizeof(full), "%s", header);
    else
        (void)snprintf(full, sizeof(full), "%.*s%.*s%s", (int)(mark - header), header, (int)kid.len,
                       (const char *)kid.p, mark + 3);
    signing = start(full, payload);
    assert_int_equal(lk_sign(signer, lk_buf_view(&signing), &signature), LK_OK);
    return assemble(full, payload, lk_buf_view(&signature));
}

lk_view craft_claims(const char *payload)
{
    return craft(LK_ALG_HS256, "{\"alg\":\"HS256\",\"typ\":\"at+jwt\",\"kid\":\"KID\"}", payload);
}

static uint8_t scratch_memory[2 * LK_CREDENTIAL_MAX];

static void assert_consistent(lk_status status, const lk_claims *claims, const lk_buf *scratch, lk_reason why)
{
    static const lk_claims nothing;

    assert_true((status == LK_OK) == (why == LK_REASON_NONE));
    if (status == LK_OK || status == LK_STALE)
        return;
    assert_memory_equal(claims, &nothing, sizeof(nothing));
    assert_int_equal(scratch->len, 0);
}

lk_status check_jwt(lk_view token, const lk_expect *expect, lk_claims *claims, lk_reason *why)
{
    lk_buf scratch = lk_buf_over(scratch_memory, sizeof(scratch_memory));
    lk_claims own;
    lk_note note = {0};
    lk_status status =
        lk_jwt_check(ring, token, expect, &scratch, claims == NULL ? &own : claims, why, &note);

    assert_consistent(status, claims == NULL ? &own : claims, &scratch, *why);
    assert_true((status == LK_OK) == (note.text[0] == '\0'));
    return status;
}

lk_status check_token(lk_view token, const lk_expect *expect, lk_claims *claims, lk_reason *why)
{
    lk_buf scratch = lk_buf_over(scratch_memory, sizeof(scratch_memory));
    lk_claims own;
    lk_status status = lk_token_check(ring, token, expect, &scratch, claims == NULL ? &own : claims, why);

    assert_consistent(status, claims == NULL ? &own : claims, &scratch, *why);
    return status;
}

void expect_jwt(lk_view token, const lk_expect *expect, lk_status status, lk_reason reason)
{
    lk_reason why;
    lk_status got = check_jwt(token, expect, NULL, &why);

    if (got != status || why != reason)
        fail_msg("%.*s\n   gives %s %s instead of %s %s", (int)token.len, (const char *)token.p,
                 lk_status_name(got), lk_reason_word(why), lk_status_name(status), lk_reason_word(reason));
}

void assert_view(lk_view v, const char *text)
{
    if (!lk_view_equal(v, lk_view_of(text)))
        fail_msg("\"%.*s\" is not \"%s\"", (int)v.len, (const char *)v.p, text);
}
