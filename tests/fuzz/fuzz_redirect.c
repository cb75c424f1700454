/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz_redirect.c - whatever comes out as a place to return to can only be on our own origin.
 *
 * Input: the origin on the first line, the URL after it.
 */
#include "fuzz.h"
#include <latchkey/service.h>

enum { OUT_MAX = 16384 };

/* What no Location may hold or begin with, whatever came in: RFC 9110 section 5.5, WHATWG URL section 4.4. */
static void expect_a_path(lk_view place)
{
    MUST(place.len > 0 && place.p[0] == '/');
    MUST(place.len < 2 || (place.p[1] != '/' && place.p[1] != '\\'));
    for (size_t i = 0; i < place.len; i++)
        MUST(place.p[i] > 0x20 && place.p[i] < 0x7f && place.p[i] != '\\');
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t room[OUT_MAX], again[OUT_MAX];
    lk_view rest = lk_view_make(data, size), origin = fuzz_line(&rest);
    lk_buf out = lk_buf_over(room, sizeof(room)), twice = lk_buf_over(again, sizeof(again));
    lk_note note = {""};
    lk_status status = lk_redirect_check(origin, rest, &out, &note);

    MUST(status == LK_OK || status == LK_REFUSED);
    if (status == LK_REFUSED) {
        MUST(out.len == 0 && note.text[0] != '\0');
        return 0;
    }
    expect_a_path(lk_buf_view(&out));
    /* What was accepted is accepted again and does not change any more; it may only have become too long. */
    if (out.len <= 2048) {
        MUST(lk_redirect_check(origin, lk_buf_view(&out), &twice, NULL) == LK_OK);
        MUST(lk_view_equal(lk_buf_view(&out), lk_buf_view(&twice)));
    }
    return 0;
}
