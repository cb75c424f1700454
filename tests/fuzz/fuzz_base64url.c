/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz_base64url.c - decoding beside a decoder written plainly from the RFC; each value has one spelling.
 *
 * Input: any bytes, taken once as text to decode and once as bytes to encode.
 */
#include "fuzz.h"
#include <latchkey/base64url.h>
#include <string.h>

static int value_of(uint8_t c)
{
    static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    const char *at = c == 0 ? NULL : strchr(alphabet, c);

    return at == NULL ? -1 : (int)(at - alphabet);
}

/* RFC 4648 section 5, a bit at a time. Gives false for what has no value. */
static bool plain_decode(lk_view text, uint8_t *out, size_t *len)
{
    unsigned bits = 0, held = 0;

    *len = 0;
    for (size_t i = 0; i < text.len; i++) {
        int value = value_of(text.p[i]);

        if (value < 0)
            return false;
        held = (held << 6 | (unsigned)value) & 0xffff;
        bits += 6;
        if (bits < 8)
            continue;
        bits -= 8;
        out[(*len)++] = (uint8_t)(held >> bits);
    }
    return bits < 6 && (held & ((1u << bits) - 1)) == 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    lk_view text = lk_view_make(data, size);
    uint8_t *room = malloc(4 * size + 16), *wanted = room + size, *again = room + 2 * size;
    lk_buf out = lk_buf_over(room, size), back = lk_buf_over(again, 2 * size + 8);
    lk_status status;
    size_t len;

    MUST(room != NULL);
    status = lk_base64url_decode(text, &out);
    MUST((status == LK_OK) == plain_decode(text, wanted, &len));
    MUST(status == LK_OK || (status == LK_REFUSED && out.len == 0));
    if (status == LK_OK) {
        MUST(lk_is_base64url(text));
        MUST(out.len == len && memcmp(room, wanted, len) == 0);
        lk_base64url_encode(lk_buf_view(&out), &back);
        MUST(lk_view_equal(lk_buf_view(&back), text));
    }
    out = lk_buf_over(room, size);
    back = lk_buf_over(again, 2 * size + 8);
    lk_base64url_encode(text, &back);
    MUST(back.len == LK_BASE64URL_LEN(size) && lk_is_base64url(lk_buf_view(&back)));
    MUST(lk_base64url_decode(lk_buf_view(&back), &out) == LK_OK && lk_view_equal(lk_buf_view(&out), text));
    free(room);
    return 0;
}
