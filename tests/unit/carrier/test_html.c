/* SPDX-License-Identifier: Apache-2.0
 *
 * Pages on their way through: what gets the id, what stays, and that it does not matter where they are cut.
 */
#include "carrier/carrier.h"
#include "carrier/html.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define ID "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNO-_"
#define LK ";lk=" ID

static lk_links links;
static uint8_t memory[1 << 20];
enum { ROOM = 1 << 19 };

static void pass(lk_html *h, lk_view chunk, lk_buf *out)
{
    while (chunk.len > 0) {
        lk_view add;
        size_t n = lk_html_step(h, chunk, &add);
        assert_true(n > 0 || add.len > 0);
        lk_buf_add(out, lk_view_part(chunk, 0, n));
        lk_buf_add(out, add);
        chunk = lk_view_part(chunk, n, chunk.len);
    }
}

/* PAGE, cut where CUTS says. */
static lk_view rewritten(lk_view page, const size_t *cuts, size_t n, uint8_t *room)
{
    lk_html h;
    size_t at = 0;
    lk_buf out = lk_buf_over(room, ROOM);
    lk_html_begin(&h, &links);
    for (size_t i = 0; i < n; i++) {
        pass(&h, lk_view_part(page, at, cuts[i] - at), &out);
        at = cuts[i];
    }
    pass(&h, lk_view_part(page, at, page.len), &out);
    assert_int_equal(lk_buf_status(&out), LK_OK);
    return lk_buf_view(&out);
}

static void assert_same(lk_view got, lk_view expected, lk_view page)
{
    if (!lk_view_equal(got, expected))
        fail_msg("%.*s\ngave\n%.*s\nand not\n%.*s", (int)page.len, (const char *)page.p, (int)got.len,
                 (const char *)got.p, (int)expected.len, (const char *)expected.p);
}

/* Cut at every byte, and then in single bytes; and what was rewritten is not rewritten again. */
static void assert_page(const char *text, const char *expected)
{
    lk_view page = lk_view_of(text), want = lk_view_of(expected);
    assert_same(rewritten(page, NULL, 0, memory), want, page);
    for (size_t cut = 0; cut <= page.len; cut++)
        assert_same(rewritten(page, &cut, 1, memory), want, page);
    size_t each[512], n = page.len < 512 ? page.len : 512;
    for (size_t i = 0; i < n; i++)
        each[i] = i;
    assert_same(rewritten(page, each, n, memory), want, page);
    assert_same(rewritten(want, NULL, 0, memory), want, want);
}

static void assert_stays(const char *text)
{
    assert_page(text, text);
}

static int set_up(void **state)
{
    (void)state;
    return lk_links_init(&links, LK_VIEW("https://shop.example"), LK_VIEW("/shop/cart?x=1&y"), LK_VIEW(ID)) ==
                   LK_OK
               ? 0
               : 1;
}

static void links_and_forms_get_the_id(void **state)
{
    (void)state;
    assert_page("<a href=\"/x\">", "<a href=\"/x" LK "\">");
    assert_page("<A\nclass=a HREF = '/x?y=1&amp;z#f' id=b>x</a>",
                "<A\nclass=a HREF = '/x" LK "?y=1&amp;z#f' id=b>x</a>");
    assert_page("<a href=/x/>y", "<a href=/x/" LK ">y");
    assert_page("<a href=x class=b>", "<a href=x" LK " class=b>");
    assert_page("<area href=x><form action=\"y\"><button formaction=z><input formaction='w'>",
                "<area href=x" LK "><form action=\"y" LK "\"><button formaction=z" LK
                "><input formaction='w" LK "'>");
    assert_page("<iframe src=x></iframe><frame src=\"y\"/>",
                "<iframe src=x" LK "></iframe><frame src=\"y" LK "\"/>");
    assert_page("<a href=\"https://shop.example/x\"><a href=\"https://SHOP.example\">",
                "<a href=\"https://shop.example/x" LK "\"><a href=\"https://SHOP.example/" LK "\">");
    assert_page("<a/href=x><a/b=c/href='x'>", "<a/href=x" LK "><a/b=c/href='x'>");
    assert_page("<svg><a href=x>", "<svg><a href=x" LK ">");
    assert_page("<a b=\"c\"href=x>", "<a b=\"c\"href=x" LK ">");
}

static void links_to_the_page_itself_get_its_name_with_the_id(void **state)
{
    (void)state;
    assert_page("<a href=\"?z\">", "<a href=\"./cart" LK "?z\">");
    assert_page("<a href=\"\"><a href=''>",
                "<a href=\"./cart" LK "?x=1&amp;y\"><a href='./cart" LK "?x=1&amp;y'>");
    assert_page("<form method=post>", "<form method=post action=\"./cart" LK "?x=1&amp;y\">");
    assert_page("<form><form/>",
                "<form action=\"./cart" LK "?x=1&amp;y\"><form/ action=\"./cart" LK "?x=1&amp;y\">");
    assert_stays("</form>");
    assert_stays("<a href=\"#top\">");
    assert_stays("<a href>");
    assert_stays("<a href=>");
}

static void meta_refresh_gets_the_id(void **state)
{
    (void)state;
    assert_page("<meta http-equiv=refresh content=\"5; url=/x\">",
                "<meta http-equiv=refresh content=\"5; url=/x" LK "\">");
    assert_page("<meta content=\"0;URL='/x?y'\">", "<meta content=\"0;URL='/x" LK "?y'\">");
    assert_page("<meta content=0;url=x>", "<meta content=0;url=x" LK ">");
    assert_stays("<meta name=description content=\"5 urls: /x\"><meta content=\"5\"><meta "
                 "content='5;url='><meta content=>");
    assert_stays("<meta content=\"0;url=//other/\"><meta content=\"0;url='javascript:x'\">");
}

static void links_that_lead_elsewhere_stay(void **state)
{
    (void)state;
    assert_stays("<a href=\"//other/x\"><a href='http://other'><a href=javascript:x><a href=\"mailto:a@b\">");
    assert_stays("<a href=\" javascript:x\"><a href=\"java&#115;cript:x\"><a href=\"&#47;/other\"><a "
                 "href=\"/&sol;other\">");
    assert_stays("<a href=\"/\\other\"><a href=\"/\t/other\"><a href=\"http://shop.example/\"><a "
                 "href='https://shop.example:1'>");
    assert_stays(
        "<a href=\"data:text/html,<b>\"><a href=\"/x&quest;y\"><a href=\"x&colon;y\"><a href=\"tel:1\">");
    assert_stays("<a href=\"https://shop.example.other/\"><a href=\"https://shop.example@other/\">");
}

static void what_a_page_loads_by_itself_stays(void **state)
{
    (void)state;
    assert_stays("<img src=/x><script src=/x></script><link href=/x><input src=/x><object data=/x><b "
                 "href=/x><abbr href=/x>");
    assert_stays("<a xhref=/x data-href=/x title=/x hrefs=/x>");
    assert_stays("<aaaaaaaaaaaaaaaaaaaaaaaaaaaaa href=/x><a hrefffffffffffffffffffff=/x>");
}

static void text_that_is_no_markup_stays(void **state)
{
    (void)state;
    assert_stays("<script>'<a href=\"/x\">'</script>");
    assert_page("<script>x</SCRIPT ><a href=x>", "<script>x</SCRIPT ><a href=x" LK ">");
    assert_stays("<style><a href=x></styl></style x><textarea><a href=x></textareax></textarea><title><a "
                 "href=x></title>");
    assert_stays("<xmp><a href=x></xmp><noembed><a href=x></noembed><noframes><a href=x></noframes>");
    assert_stays("<plaintext></plaintext><a href=x>");
    assert_page("<script></script/><a href=x>", "<script></script/><a href=x" LK ">");
    assert_page("<script><</script><</script></script><a href=x>",
                "<script><</script><</script></script><a href=x" LK ">");
}

static void comments_and_declarations_stay(void **state)
{
    (void)state;
    assert_stays("<!-- <a href=x> -- > --!x <a href=y>-->");
    assert_page("<!--><a href=x>", "<!--><a href=x" LK ">");
    assert_page("<!---><a href=x>", "<!---><a href=x" LK ">");
    assert_page("<!----><a href=x>", "<!----><a href=x" LK ">");
    assert_page("<!----!><a href=x>", "<!----!><a href=x" LK ">");
    assert_stays("<!--!><a href=x>-->");
    assert_page("<!--a--!><a href=x>", "<!--a--!><a href=x" LK ">");
    assert_page("<!-a><a href=x>", "<!-a><a href=x" LK ">");
    assert_page("<!><a href=x>", "<!><a href=x" LK ">");
    assert_page("<!doctype html><a href=x>", "<!doctype html><a href=x" LK ">");
    assert_page("<?php <a href=y> ?><a href=x>", "<?php <a href=y> ?><a href=x" LK ">");
    assert_page("<![CDATA[<a href=y>]]]><a href=x>", "<![CDATA[<a href=y>]]]><a href=x" LK ">");
    assert_page("<![CDATA><a href=x>", "<![CDATA><a href=x" LK ">");
    assert_page("</ <a href=y>><a href=x>", "</ <a href=y>><a href=x" LK ">");
    assert_page("</><a href=x>", "</><a href=x" LK ">");
}

static void broken_pages_pass(void **state)
{
    (void)state;
    static const char *const pages[] = {"<",
                                        "<<",
                                        "<a",
                                        "<a ",
                                        "<a href",
                                        "<a href=",
                                        "<a href=\"",
                                        "<a href='/x",
                                        "<a href=/x",
                                        "<!",
                                        "<!-",
                                        "<!--",
                                        "<!--x--",
                                        "<![CDATA[]]",
                                        "</",
                                        "</a",
                                        "<script",
                                        "<script>",
                                        "<script></scrip",
                                        "< a href=/x>",
                                        "a<b",
                                        "<3 href=/x>",
                                        "<a href=\"/x><b>",
                                        "<>",
                                        "<?"};
    for (size_t i = 0; i < sizeof(pages) / sizeof(pages[0]); i++)
        assert_stays(pages[i]);
    assert_page("<a href=\"/x\"\"><a href=y>", "<a href=\"/x" LK "\"\"><a href=y" LK ">");
    assert_page("<a =href=/x href=y>", "<a =href=/x href=y" LK ">");
    assert_page("<<a href=x>", "<<a href=x" LK ">");
    assert_page("<a <b href=x>", "<a <b href=x" LK ">");
}

/* A cached or uploaded <base> must not send ids away. */
static void base_that_leads_away_stops_relative_links(void **state)
{
    (void)state;
    assert_page("<a href=w><base href=\"https://cdn.example/\"><a href=x><a href=/y><a href=''><form><a "
                "href=https://shop.example/z>",
                "<a href=w" LK "><base href=\"https://cdn.example/\"><a href=x><a href=/y><a "
                "href=''><form><a href=https://shop.example/z" LK ">");
    assert_page("<base target=_top><a href=x>", "<base target=_top><a href=x" LK ">");
    assert_page("<base href='/b/'><a href=x><a href='?y'><form>",
                "<base href='/b/'><a href=x" LK "><a href='?y'><form>");
}

static void bytes_of_any_kind_pass(void **state)
{
    (void)state;
    uint8_t page[4096];
    for (size_t round = 0; round < 200; round++) {
        for (size_t i = 0; i < sizeof(page); i++)
            page[i] = (uint8_t)rand();
        lk_view out = rewritten(lk_view_make(page, sizeof(page)), NULL, 0, memory);
        assert_true(out.len >= sizeof(page));
    }
}

static size_t with_ids(lk_view v)
{
    size_t n = 0;
    for (size_t i = 0; i + sizeof(LK) - 1 <= v.len; i++)
        n += memcmp(v.p + i, LK, sizeof(LK) - 1) == 0;
    return n;
}

static int by_value(const void *a, const void *b)
{
    size_t x = *(const size_t *)a, y = *(const size_t *)b;
    return x < y ? -1 : x > y;
}

/* Pages put together from pieces that matter to the tokenizer, in any order, cut anywhere. */
static void cuts_change_nothing_in_pages_of_any_order(void **state)
{
    (void)state;
    static const char *const pieces[] = {"<a href=",
                                         "<form",
                                         " action=",
                                         "<base href=",
                                         "<meta content=",
                                         "\"",
                                         "'",
                                         ">",
                                         "<",
                                         "/",
                                         "</",
                                         "=",
                                         " ",
                                         "<!--",
                                         "-->",
                                         "<![CDATA[",
                                         "]]>",
                                         "<script>",
                                         "</script>",
                                         "<textarea>",
                                         "</textarea>",
                                         "/x",
                                         "?y",
                                         "#z",
                                         "//other",
                                         "https://shop.example",
                                         "..",
                                         "%2e",
                                         ";lk=",
                                         "5; url=",
                                         "&amp;",
                                         "\t",
                                         "text",
                                         "-",
                                         "!",
                                         "\\"};
    enum { PIECES = sizeof(pieces) / sizeof(pieces[0]) };
    static uint8_t whole[ROOM], cut[ROOM];
    char page[2048];
    size_t ids = 0;
    srand(4);
    for (size_t round = 0; round < 20000; round++) {
        size_t len = 0, cuts[8];
        for (size_t i = 0, n = (size_t)rand() % 40; i < n; i++) {
            const char *piece = pieces[(size_t)rand() % PIECES];
            memcpy(page + len, piece, strlen(piece));
            len += strlen(piece);
        }
        for (size_t i = 0; i < 8; i++)
            cuts[i] = (size_t)rand() % (len + 1);
        qsort(cuts, 8, sizeof(cuts[0]), by_value);
        lk_view v = lk_view_make(page, len), once = rewritten(v, NULL, 0, whole);
        assert_same(rewritten(v, cuts, 8, cut), once, v);
        assert_same(rewritten(once, NULL, 0, cut), once, once);
        ids += with_ids(once);
    }
    assert_true(ids > 1000);
}

static void what_is_added_is_all_that_changes(void **state)
{
    (void)state;
    const char *page = "<html><a href=/a>x</a><form action='/b?c'><a href=\"http://other/\"></form>";
    lk_view out = rewritten(lk_view_of(page), NULL, 0, memory);
    lk_buf clean = lk_buf_over(memory + ROOM, ROOM);
    assert_true(lk_url_scrub(out, &clean));
    assert_same(lk_buf_view(&clean), lk_view_of(page), out);
}

/* A value is never held back, however long it is. */
static void value_of_any_length_gets_the_id_at_its_end(void **state)
{
    (void)state;
    static uint8_t page[300000];
    memset(page, 'x', sizeof(page));
    memcpy(page, "<a href=\"/", 10);
    memcpy(page + sizeof(page) - 2, "\">", 2);
    lk_view out = rewritten(lk_view_make(page, sizeof(page)), NULL, 0, memory);
    assert_int_equal(out.len, sizeof(page) + strlen(LK));
    assert_int_equal(with_ids(lk_view_part(out, sizeof(page) - 2, out.len)), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(links_and_forms_get_the_id),
        cmocka_unit_test(links_to_the_page_itself_get_its_name_with_the_id),
        cmocka_unit_test(meta_refresh_gets_the_id),
        cmocka_unit_test(links_that_lead_elsewhere_stay),
        cmocka_unit_test(what_a_page_loads_by_itself_stays),
        cmocka_unit_test(text_that_is_no_markup_stays),
        cmocka_unit_test(comments_and_declarations_stay),
        cmocka_unit_test(broken_pages_pass),
        cmocka_unit_test(base_that_leads_away_stops_relative_links),
        cmocka_unit_test(bytes_of_any_kind_pass),
        cmocka_unit_test(cuts_change_nothing_in_pages_of_any_order),
        cmocka_unit_test(what_is_added_is_all_that_changes),
        cmocka_unit_test(value_of_any_length_gets_the_id_at_its_end),
    };
    return cmocka_run_group_tests(tests, set_up, NULL);
}
