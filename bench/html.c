/* SPDX-License-Identifier: Apache-2.0
 *
 * html.c - how fast pages pass through the rewriter of links: MB/s of one core, in chunks as nginx has them.
 *
 *   bench_html [--json]
 */
#include "carrier/html.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { PAGE = 4 << 20, CHUNK = 32768, ROUNDS = 9, TIMES = 8 };

static uint8_t page[PAGE];
static size_t added;

static double now_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void fill(const char *piece)
{
    size_t len = strlen(piece);
    for (size_t at = 0; at < PAGE; at += len)
        memcpy(page + at, piece, len < PAGE - at ? len : PAGE - at);
}

static double pass(const lk_links *links)
{
    double begin = now_s();
    for (int i = 0; i < TIMES; i++) {
        lk_html h;
        lk_html_begin(&h, links);
        for (size_t at = 0; at < PAGE; at += CHUNK) {
            lk_view chunk = lk_view_make(page + at, CHUNK), add;
            while (chunk.len > 0) {
                size_t n = lk_html_step(&h, chunk, &add);
                added += add.len;
                chunk = lk_view_part(chunk, n, chunk.len);
            }
        }
    }
    return (double)PAGE * TIMES / (now_s() - begin) / 1e6;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

int main(int argc, char **argv)
{
    static const struct {
        const char *what, *piece;
    } cases[] = {
        {"HTML, an article", "<p class=\"text\">The kettle is made of <em>enamelled</em> steel and holds 1.5 "
                             "litres, which is enough for "
                             "six cups of tea; it whistles. It fits on every stove, an induction plate among "
                             "them, and the handle stays "
                             "cool. See the <a href=\"/shop/kettle?colour=red&amp;size=2\" "
                             "class=\"more\">other colours</a>.</p>\n"},
        {"HTML, a list of links", "<li class=\"item odd\"><a class=\"name\" "
                                  "href=\"/shop/item/1234?from=list\" title=\"Kettle\">Kettle</a> "
                                  "<span class=\"price\">34</span></li>\n"},
        {"HTML, a table of small cells",
         "<tr><td>1</td><td class=\"n\">34.00</td><td id=x>b</td><td></td></tr>\n"},
    };
    static lk_links links;
    bool json = argc > 1 && strcmp(argv[1], "--json") == 0;
    if (lk_links_init(&links, LK_VIEW("https://shop.example"), LK_VIEW("/shop/cart"),
                      LK_VIEW("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNO-_")) != LK_OK)
        return 1;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        double mb[ROUNDS];
        fill(cases[i].piece);
        for (int round = 0; round < ROUNDS; round++)
            mb[round] = pass(&links);
        qsort(mb, ROUNDS, sizeof(mb[0]), by_value);
        if (json)
            printf("%s{\"what\":\"%s\",\"mb_s\":%.0f}", i == 0 ? "[" : ",", cases[i].what, mb[ROUNDS / 2]);
        else
            printf("%-40s %10.0f MB/s\n", cases[i].what, mb[ROUNDS / 2]);
    }
    if (json)
        printf("]\n");
    return added > 0 ? 0 : 1;
}
