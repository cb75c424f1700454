/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz_html.c - any page at all: it passes whole, wherever it is cut, and a second time it does not change.
 *
 * Input: two bytes say where it is cut, the rest is the page.
 */
#include "carrier/html.h"
#include "fuzz.h"
#include <string.h>

static void pass(lk_html *h, const lk_links *links, lk_view chunk, lk_buf *out, size_t *passed)
{
    while (chunk.len > 0) {
        lk_view add;
        size_t n = lk_html_step(h, chunk, &add);

        MUST(n <= chunk.len && (n > 0 || add.len > 0));
        MUST(n == chunk.len || add.len > 0);
        MUST(add.len == 0 ||
             (add.p >= links->memory && add.p + add.len <= links->memory + sizeof(links->memory)));
        lk_buf_add(out, lk_view_part(chunk, 0, n));
        lk_buf_add(out, add);
        *passed += n;
        chunk = lk_view_part(chunk, n, chunk.len);
    }
}

static lk_buf rewritten(const lk_links *links, lk_view page, size_t cut)
{
    /* the shortest that is added to: `<form>` */
    size_t room = page.len * 20 + 64, passed = 0;
    lk_buf out = lk_buf_over(malloc(room), room);
    lk_html h;

    lk_html_begin(&h, links);
    pass(&h, links, lk_view_part(page, 0, cut), &out, &passed);
    pass(&h, links, lk_view_part(page, cut, page.len), &out, &passed);
    MUST(passed == page.len && lk_buf_status(&out) == LK_OK);
    return out;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static lk_links links;

    if (size < 2)
        return 0;
    MUST(lk_links_init(&links, LK_VIEW("http://h"), LK_VIEW("/a?b"),
                       LK_VIEW("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNO-_")) == LK_OK);
    lk_view page = lk_view_make(data + 2, size - 2);
    lk_buf whole = rewritten(&links, page, 0);
    lk_buf cut = rewritten(&links, page, page.len == 0 ? 0 : (size_t)(data[0] * 256 + data[1]) % page.len);
    lk_buf again = rewritten(&links, lk_buf_view(&whole), 0);

    MUST(lk_view_equal(lk_buf_view(&whole), lk_buf_view(&cut)));
    MUST(lk_view_equal(lk_buf_view(&whole), lk_buf_view(&again)));
    free(whole.p);
    free(cut.p);
    free(again.p);
    return 0;
}
