/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz_sealed.c - sealed sessions of any shape: what opens was sealed under our key, for this place, and has
 * one spelling.
 *
 * Input: one letter, then for `r` a text as it is, for `b` a box under the right kid, for any other the
 * contents of a box, which are sealed rightly, so that what stands behind the seal is tried too.
 */
#include "crypto/derive.h"
#include "fuzz_ring.h"
#include <latchkey/base64url.h>
#include <string.h>

enum { ROOM = 32768, SALT = 24, TAG = 16, CONTENTS_MAX = 11000 };

static const lk_seal_place place = {
    {(const uint8_t *)"session", 7}, {(const uint8_t *)"latchkey", 8}, {(const uint8_t *)"r", 1}};
static const char bound[] = "\x02v1\x02" FUZZ_KID "\x07session\x08latchkey\x01r";

/* The key of the box with SALT: docs/formats/sealed.md. */
static void key_of_box(const uint8_t *salt, uint8_t key[32])
{
    uint8_t info[14 + SALT + 1] = "latchkey box 1";
    lk_secret seal_key;

    memcpy(info + 14, salt, SALT);
    info[14 + SALT] = 1;
    MUST(lk_derive(fuzz_key(), LK_VIEW("latchkey sealed 1"), &seal_key, 32) == LK_OK);
    fuzz_hmac(lk_secret_view(&seal_key), lk_view_make(info, sizeof(info)), key);
}

/* BOX, which has salt and contents, gets its ciphertext and tag by OpenSSL used plainly. */
static void seal_plainly(uint8_t *box, size_t len)
{
    static const uint8_t nonce[12];
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    uint8_t key[32];
    int n;

    key_of_box(box, key);
    MUST(EVP_EncryptInit_ex(ctx, EVP_aes_256_gcm(), NULL, key, nonce) == 1);
    MUST(EVP_EncryptUpdate(ctx, NULL, &n, (const uint8_t *)bound, sizeof(bound) - 1) == 1);
    MUST(len == 0 || EVP_EncryptUpdate(ctx, box + SALT, &n, box + SALT, (int)len) == 1);
    MUST(EVP_EncryptFinal_ex(ctx, box + SALT + len, &n) == 1);
    MUST(EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, TAG, box + SALT + len) == 1);
    EVP_CIPHER_CTX_free(ctx);
}

static lk_view spell(lk_view box)
{
    static uint8_t room[2 * ROOM];
    lk_buf b = lk_buf_over(room, sizeof(room));

    lk_buf_add_text(&b, "v1." FUZZ_KID ".");
    lk_base64url_encode(box, &b);
    MUST(!b.full);
    return lk_buf_view(&b);
}

static bool is_zero(const lk_session *s)
{
    static const lk_session nothing;

    return memcmp(s, &nothing, sizeof(nothing)) == 0;
}

/* TEXT is what its contents, which are in SCRATCH but for the id, are sealed to: no other text opens to them.
 */
static void expect_one_spelling(lk_view text, const lk_buf *scratch, const char *id)
{
    static uint8_t box[ROOM];
    lk_buf bytes = lk_buf_over(box + SALT + 3, 32);

    MUST(scratch->len >= SALT + 35 + TAG && scratch->len <= sizeof(box));
    memcpy(box, scratch->p, scratch->len);
    MUST(lk_base64url_decode(lk_view_of(id), &bytes) == LK_OK && bytes.len == 32);
    seal_plainly(box, scratch->len - SALT - TAG);
    MUST(lk_view_equal(spell(lk_view_make(box, scratch->len)), text));
}

/* The same text for another cookie. */
static void expect_nothing_elsewhere(lk_view text)
{
    static uint8_t room[LK_SEALED_MAX];
    lk_buf scratch = lk_buf_over(room, sizeof(room));
    lk_seal_place other = place;
    lk_session s;
    lk_reason why;

    other.name = LK_VIEW("latchke");
    MUST(lk_sealed_open(fuzz_ring(), &other, text, &scratch, NULL, &s, &why) == LK_REFUSED);
    MUST(why == LK_REASON_BAD_SIGNATURE && is_zero(&s) && scratch.len == 0);
}

static lk_status try_text(lk_view text)
{
    static uint8_t room[LK_SEALED_MAX];
    lk_buf scratch = lk_buf_over(room, sizeof(room));
    char id[LK_SESSION_ID_LEN + 1];
    lk_reason why = LK_REASON_NONE;
    lk_kind kind;
    lk_session s;
    lk_status status = lk_sealed_open(fuzz_ring(), &place, text, &scratch, id, &s, &why);

    MUST(status == LK_OK || status == LK_STALE || status == LK_REFUSED);
    MUST((status == LK_OK) == (why == LK_REASON_NONE));
    if (status != LK_OK) {
        MUST(scratch.len == 0 && id[0] == '\0' && is_zero(&s));
        return status;
    }
    MUST(lk_credential_kind(text, &kind) == LK_OK && kind == LK_KIND_SEALED);
    expect_one_spelling(text, &scratch, id);
    expect_nothing_elsewhere(text);
    return status;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t box[ROOM];
    lk_view rest = lk_view_part(lk_view_make(data, size), 1, SIZE_MAX);

    if (size == 0 || size > 20000)
        return 0;
    if (data[0] == 'r') {
        (void)try_text(rest);
    } else if (data[0] == 'b') {
        (void)try_text(spell(rest));
    } else if (rest.len <= CONTENTS_MAX) {
        memset(box, 0, SALT);
        if (rest.len > 0)
            memcpy(box + SALT, rest.p, rest.len);
        seal_plainly(box, rest.len);
        /* What was sealed rightly opens, or is told to be of another make: a number of cookies that it does
         * not have is the only lie that is refused. */
        MUST(try_text(spell(lk_view_make(box, SALT + rest.len + TAG))) != LK_REFUSED || rest.len < 35 ||
             rest.p[1] != 1 || rest.p[2] > 1 || rest.len > 2780 || rest.len == 35);
    }
    return 0;
}
