/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz_url.c - an id in the path: whatever is taken out can be put back, and nothing of it is left.
 *
 * Input: the address in the request on the first line, then links to it, one a line.
 */
#include "carrier/carrier.h"
#include "carrier/link.h"
#include "fuzz.h"
#include <string.h>

enum { LINES_MAX = 9 };

#define ID "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNO-_"

static void take(lk_view url, lk_buf *out)
{
    lk_view id, again;
    lk_status status = lk_url_take(url, out, &id);

    MUST(status == LK_OK || status == LK_MISS || status == LK_REFUSED);
    if (status != LK_OK) {
        MUST(out->len == 0 && id.len == 0);
        return;
    }
    MUST(id.len == LK_URL_ID_LEN && id.p > url.p && id.p + id.len <= url.p + url.len);
    MUST(out->len + LK_URL_ID_LEN + 4 == url.len);
    MUST(out->p[0] != '/' || out->len < 2 || out->p[1] != '/' || url.p[1] == '/');
    size_t path = lk_view_find(lk_buf_view(out), '?');
    lk_buf rest = lk_buf_over(malloc(url.len), url.len);
    MUST(lk_url_take(lk_view_part(lk_buf_view(out), 0, path), &rest, &again) != LK_OK ||
         path < 47); /* taken out once, it is gone */
    free(rest.p);
}

/* What was added is all that changed, and is not added again. */
static void add(const lk_links *links, lk_view url)
{
    size_t room = url.len + 64;
    lk_buf out = lk_buf_over(malloc(room), room), again = lk_buf_over(malloc(room), room);
    bool added = lk_links_add(links, url, &out);

    MUST(lk_buf_status(&out) == LK_OK);
    MUST(added == (out.len > url.len) && out.len <= url.len + 48);
    MUST(added || lk_view_equal(lk_buf_view(&out), url));
    MUST(!lk_links_add(links, lk_buf_view(&out), &again));
    MUST(lk_view_equal(lk_buf_view(&out), lk_buf_view(&again)));
    if (added) {
        size_t start = 0;
        while (start < url.len && url.p[start] <= 0x20)
            start++;
        MUST(start + 1 >= url.len || url.p[start] != '/' ||
             (url.p[start + 1] != '/' && url.p[start + 1] != '\\'));
    }
    free(out.p);
    free(again.p);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static lk_links links;
    lk_view lines[LINES_MAX], page = LK_VIEW("/");
    size_t n = fuzz_lines(lk_view_make(data, size), lines, LINES_MAX);

    if (n == 0)
        return 0;
    lk_buf out = lk_buf_over(malloc(lines[0].len + 1), lines[0].len + 1);
    take(lines[0], &out);
    out.len = 0;
    MUST(lk_url_scrub(lines[0], &out) == (out.len < lines[0].len) && lk_buf_status(&out) == LK_OK);
    page = lines[0];
    MUST(lk_links_init(&links, LK_VIEW("http://h:1"), page, LK_VIEW(ID)) == LK_OK);
    MUST(links.action.len == 0 || (memchr(links.self.p, '"', links.self.len) == NULL &&
                                   memchr(links.self.p, '<', links.self.len) == NULL));
    for (size_t i = 1; i < n; i++)
        add(&links, lines[i]);
    free(out.p);
    return 0;
}
