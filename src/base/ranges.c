/* SPDX-License-Identifier: Apache-2.0
 *
 * ranges.c - address ranges by prefix (RFC 4632, RFC 4291 section 2.3).
 */
#include "base/ranges.h"
#include <arpa/inet.h>
#include <string.h>

typedef struct range {
    uint8_t bytes[16];
    unsigned bits; /* 32 or 128 */
    unsigned prefix;
} range;

static bool read_address(lk_view text, range *out)
{
    static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
    char copy[INET6_ADDRSTRLEN];

    if (text.len == 0 || text.len >= sizeof(copy) || memchr(text.p, 0, text.len) != NULL)
        return false;
    memcpy(copy, text.p, text.len);
    copy[text.len] = '\0';
    memset(out, 0, sizeof(*out));
    out->bits = 32;
    if (inet_pton(AF_INET, copy, out->bytes) == 1)
        return true;
    if (inet_pton(AF_INET6, copy, out->bytes) != 1)
        return false;
    if (memcmp(out->bytes, mapped, sizeof(mapped)) == 0)
        memmove(out->bytes, out->bytes + 12, 4);
    else
        out->bits = 128;
    return true;
}

static bool bit(const uint8_t *bytes, unsigned at)
{
    return (bytes[at / 8] >> (7 - at % 8) & 1) != 0;
}

static bool read_range(lk_view text, range *out)
{
    size_t slash = lk_view_find(text, '/');
    int64_t prefix = 0;

    if (!read_address(lk_view_part(text, 0, slash), out))
        return false;
    out->prefix = out->bits;
    if (slash == text.len)
        return true;
    if (lk_parse_i64(lk_view_part(text, slash + 1, text.len), &prefix) != LK_OK || prefix > out->bits)
        return false;
    /* Of a mapped address the prefix counts from a front that is cut off here. */
    if (out->bits == 32 && lk_view_find(text, ':') < text.len)
        return false;
    out->prefix = (unsigned)prefix;
    for (unsigned i = out->prefix; i < out->bits; i++)
        if (bit(out->bytes, i))
            return false;
    return true;
}

static void write_range(const range *r, lk_buf *out)
{
    char text[INET6_ADDRSTRLEN] = "";

    if (inet_ntop(r->bits == 32 ? AF_INET : AF_INET6, r->bytes, text, sizeof(text)) == NULL)
        out->full = true;
    lk_buf_add_text(out, text);
    if (r->prefix < r->bits)
        lk_buf_add_printf(out, "/%u", r->prefix);
}

lk_status lk__ranges_normalize(lk_view list, lk_buf *out, lk_note *note)
{
    size_t start = out->len;
    unsigned n = 0;
    lk_view word;

    while (lk_words_next(&list, &word)) {
        char memory[INET6_ADDRSTRLEN + 4];
        lk_buf one = lk_buf_over(memory, sizeof(memory));
        range r;

        if (!read_range(word, &r)) {
            lk_note_set(note,
                        "An address range is an IPv4 or IPv6 address with a prefix length behind which no "
                        "bit is set, as 192.0.2.0/24 or 2001:db8::/32, or one address.");
            return LK_REFUSED;
        }
        write_range(&r, &one);
        if (lk_words_have(lk_view_part(lk_buf_view(out), start, out->len), lk_buf_view(&one)))
            continue;
        if (++n > LK__RANGES_MAX) {
            lk_note_set(note, "There are at most %d address ranges.", LK__RANGES_MAX);
            return LK_REFUSED;
        }
        if (out->len > start)
            lk_buf_add_byte(out, ' ');
        lk_buf_add(out, lk_buf_view(&one));
    }
    return lk_buf_status(out);
}

static bool covers(const range *r, const range *address)
{
    unsigned whole = r->prefix / 8, rest = r->prefix % 8;

    if (r->bits != address->bits || memcmp(r->bytes, address->bytes, whole) != 0)
        return false;
    return rest == 0 || (r->bytes[whole] ^ address->bytes[whole]) >> (8 - rest) == 0;
}

bool lk__ranges_have(lk_view ranges, lk_view address)
{
    range wanted, r;
    lk_view word;

    if (!read_address(address, &wanted))
        return false;
    while (lk_words_next(&ranges, &word))
        if (read_range(word, &r) && covers(&r, &wanted))
            return true;
    return false;
}
