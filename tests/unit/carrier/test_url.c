/* SPDX-License-Identifier: Apache-2.0
 *
 * A session id in a path: what is taken out, what stays, and what is refused.
 */
#include "carrier/carrier.h"
#include "carrier/link.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define ID "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNO-_"
#define OTHER "0bcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNO-_"
#define LK ";lk=" ID

static char memory[8192];

static lk_status take(const char *url, lk_view *rest, lk_view *id)
{
    lk_buf out = lk_buf_over(memory, sizeof(memory));
    lk_status status = lk_url_take(lk_view_of(url), &out, id);
    *rest = lk_buf_view(&out);
    return status;
}

static void assert_taken(const char *url, const char *expected)
{
    lk_view rest, id;
    assert_int_equal(take(url, &rest, &id), LK_OK);
    assert_string_equal(lk_buf_text(&(lk_buf){memory, rest.len, sizeof(memory), false}), expected);
    assert_true(lk_view_equal(id, LK_VIEW(ID)));
}

static void assert_status(const char *url, lk_status expected)
{
    lk_view rest, id;
    assert_int_equal(take(url, &rest, &id), expected);
    assert_int_equal(rest.len, 0);
    assert_int_equal(id.len, 0);
}

static void id_at_the_end_of_any_segment_is_taken_out(void **state)
{
    (void)state;
    assert_taken("/shop/cart" LK "?x=1", "/shop/cart?x=1");
    assert_taken("/shop/cart" LK, "/shop/cart");
    assert_taken("/" LK, "/");
    assert_taken("/shop/" LK "?", "/shop/?");
    assert_taken("/shop" LK "/cart", "/shop/cart");
    assert_taken("/a;b=1" LK "?" LK, "/a;b=1?" LK);
    assert_taken("/..." LK, "/...");
    assert_taken("/.a" LK, "/.a");
}

static void what_is_no_id_stays(void **state)
{
    (void)state;
    assert_status("/", LK_MISS);
    assert_status("", LK_MISS);
    assert_status("/a;lk=", LK_MISS);
    assert_status("/a;lk=short", LK_MISS);
    assert_status("/a" LK "x", LK_MISS);
    assert_status("/a;LK=" ID, LK_MISS);
    assert_status("/a%3Blk=" ID, LK_MISS);
    assert_status("/a;lk%3D" ID, LK_MISS);
    assert_status("/a?next=/b" LK, LK_MISS);
}

static void two_ids_are_refused_whether_they_are_alike_or_not(void **state)
{
    (void)state;
    assert_status("/a" LK "/b" LK, LK_REFUSED);
    assert_status("/a" LK "/b;lk=" OTHER, LK_REFUSED);
    assert_status("/a" LK LK, LK_REFUSED);
}

static void id_that_is_not_at_the_end_of_a_segment_is_refused(void **state)
{
    (void)state;
    assert_status("/a" LK ".html", LK_REFUSED);
    assert_status("/a" LK ";x=1", LK_REFUSED);
    assert_status("/a" LK "%2f", LK_REFUSED);
}

/* nginx has normalised the path before the id is taken out, the application reads what is left. */
static void id_whose_removal_would_make_another_path_is_refused(void **state)
{
    (void)state;
    assert_status("/a/.." LK, LK_REFUSED);
    assert_status("/a/." LK, LK_REFUSED);
    assert_status("/a/.." LK "/b", LK_REFUSED);
    assert_status("/a/%2e%2E" LK "/b", LK_REFUSED);
    assert_status("/a/.%2e" LK, LK_REFUSED);
    assert_status("/" LK "/evil.example", LK_REFUSED);
    assert_status("/a/" LK "/b", LK_REFUSED);
    assert_status(LK, LK_REFUSED);
}

static void rest_that_does_not_fit_is_refused(void **state)
{
    (void)state;
    lk_view id;
    lk_buf out = lk_buf_over(memory, 4);
    assert_int_equal(lk_url_take(LK_VIEW("/abcdef" LK), &out, &id), LK_REFUSED);
    assert_int_equal(out.len, 0);
}

static void assert_scrubbed(const char *text, const char *expected, bool found)
{
    lk_buf out = lk_buf_over(memory, sizeof(memory));
    assert_int_equal(lk_url_scrub(lk_view_of(text), &out), found);
    assert_string_equal(lk_buf_text(&out), expected);
}

static void scrubbed_text_has_no_id_wherever_it_was(void **state)
{
    (void)state;
    assert_scrubbed("http://h/a" LK "?x", "http://h/a?x", true);
    assert_scrubbed("GET /a" LK LK " HTTP/1.1", "GET /a HTTP/1.1", true);
    assert_scrubbed("/a?r=/b" LK "&c", "/a?r=/b&c", true);
    assert_scrubbed("/a/.." LK, "/a/..", true);
    assert_scrubbed("/a;lk=x", "/a;lk=x", false);
    assert_scrubbed("", "", false);
}

/* ---- adding ---- */

static lk_links links;

static void assert_added(const char *url, const char *expected)
{
    lk_buf out = lk_buf_over(memory, sizeof(memory));
    assert_int_equal(
        lk_links_init(&links, LK_VIEW("http://Shop.example:81"), LK_VIEW("/a/b?c=1"), LK_VIEW(ID)), LK_OK);
    assert_int_equal(lk_links_add(&links, lk_view_of(url), &out), strcmp(url, expected) != 0);
    assert_string_equal(lk_buf_text(&out), expected);
}

static void links_back_to_the_site_get_the_id_at_the_end_of_their_path(void **state)
{
    (void)state;
    assert_added("/", "/" LK);
    assert_added("/a/b?c#d", "/a/b" LK "?c#d");
    assert_added("/a#?", "/a" LK "#?");
    assert_added("a", "a" LK);
    assert_added("a/b", "a/b" LK);
    assert_added("http://shop.example:81/x", "http://shop.example:81/x" LK);
    assert_added("HTTP://SHOP.example:81?x", "HTTP://SHOP.example:81/" LK "?x");
    assert_added("http://shop.example:81", "http://shop.example:81/" LK);
    assert_added("/a?to=http://other/", "/a" LK "?to=http://other/");
    assert_added("/a&b", "/a&b" LK);
}

static void dot_segments_keep_their_meaning(void **state)
{
    (void)state;
    assert_added("..", "../" LK);
    assert_added(".", "./" LK);
    assert_added("/a/..?x", "/a/../" LK "?x");
    assert_added("a/%2e%2E", "a/%2e%2E/" LK);
    assert_added(".%2e", ".%2e/" LK);
    assert_added("...", "..." LK);
    assert_added("..a", "..a" LK);
    assert_added("%%2e", "%%2e" LK);
    assert_added("%2", "%2" LK);
}

static void links_that_could_lead_elsewhere_stay(void **state)
{
    (void)state;
    static const char *const urls[] = {"//other/x",
                                       "/\\other",
                                       "\\\\other",
                                       "\\x",
                                       "/\t/other",
                                       "/\n/other",
                                       "http://other/",
                                       "https://shop.example:81/",
                                       "http://shop.example/",
                                       "http://shop.example:810/",
                                       "http://shop.example:81@other/",
                                       "http://shop.example:81.other/",
                                       "http://shop.example:81\\@other",
                                       "http:/x",
                                       "http:x",
                                       "javascript:alert(1)",
                                       "java\tscript:x",
                                       "mailto:a@b",
                                       "data:text/html,x",
                                       "x:y",
                                       ":",
                                       "#",
                                       "#a",
                                       "",
                                       "?x",
                                       "http://shop.example:8",
                                       "h\nttp://other/"};
    for (size_t i = 0; i < sizeof(urls) / sizeof(urls[0]); i++)
        assert_added(urls[i], urls[i]);
}

static void link_that_has_an_id_stays(void **state)
{
    (void)state;
    assert_added("/a" LK, "/a" LK);
    assert_added("/a;lk=" OTHER "/b", "/a;lk=" OTHER "/b");
    assert_added("/a;;lk=x", "/a;;lk=x");
    assert_added("/a;l/k=", "/a;l/k=" LK);
}

static void refresh_is_followed_with_the_id(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"5; url=/x", "5; url=/x" LK},
        {"0;URL='/x?y'z", "0;URL='/x" LK "?y'z"},
        {"1.5 , Url = \"/x\"", "1.5 , Url = \"/x" LK "\""},
        {"5", "5"},
        {"5; url=//other", "5; url=//other"},
        {"; url=/x", "; url=/x"},
        {"5; uri=/x", "5; uri=/x"},
        {"", ""},
    };
    assert_int_equal(lk_links_init(&links, LK_VIEW("http://h"), LK_VIEW("/"), LK_VIEW(ID)), LK_OK);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        lk_buf out = lk_buf_over(memory, sizeof(memory));
        (void)lk_links_add_refresh(&links, lk_view_of(cases[i][0]), &out);
        assert_string_equal(lk_buf_text(&out), cases[i][1]);
    }
}

static void only_an_id_is_ever_added(void **state)
{
    (void)state;
    assert_int_equal(lk_links_init(&links, LK_VIEW("http://h"), LK_VIEW("/"), LK_VIEW("\"><script>")),
                     LK_REFUSED);
    assert_int_equal(lk_links_init(&links, LK_VIEW("http://h"), LK_VIEW("/"), (lk_view){0}), LK_REFUSED);
}

/* The address of a page is written by whoever made the link to it. */
static void address_of_the_page_cannot_end_an_attribute(void **state)
{
    (void)state;
    assert_int_equal(lk_links_init(&links, LK_VIEW("http://h"), LK_VIEW("/a/\"><b>'x?\"&amp<"), LK_VIEW(ID)),
                     LK_OK);
    assert_true(lk_view_equal(links.action, LK_VIEW(" action=\"./%22%3E%3Cb%3E%27x" LK "?%22&amp;amp%3C\"")));
    assert_true(lk_view_equal(links.here, LK_VIEW("./%22%3E%3Cb%3E%27x" LK)));
}

static void address_that_is_too_long_is_left_out(void **state)
{
    (void)state;
    char page[2000];
    memset(page, '&', sizeof(page));
    page[0] = '/';
    for (size_t len = 900; len < sizeof(page); len += 50) {
        assert_int_equal(lk_links_init(&links, LK_VIEW("http://h"), lk_view_make(page, len), LK_VIEW(ID)),
                         LK_OK);
        assert_true((links.action.len == 0) == (links.here.len == 0) &&
                    (links.here.len == 0) == (links.self.len == 0));
    }
    assert_int_equal(links.action.len, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(id_at_the_end_of_any_segment_is_taken_out),
        cmocka_unit_test(what_is_no_id_stays),
        cmocka_unit_test(two_ids_are_refused_whether_they_are_alike_or_not),
        cmocka_unit_test(id_that_is_not_at_the_end_of_a_segment_is_refused),
        cmocka_unit_test(id_whose_removal_would_make_another_path_is_refused),
        cmocka_unit_test(rest_that_does_not_fit_is_refused),
        cmocka_unit_test(scrubbed_text_has_no_id_wherever_it_was),
        cmocka_unit_test(links_back_to_the_site_get_the_id_at_the_end_of_their_path),
        cmocka_unit_test(dot_segments_keep_their_meaning),
        cmocka_unit_test(links_that_could_lead_elsewhere_stay),
        cmocka_unit_test(link_that_has_an_id_stays),
        cmocka_unit_test(refresh_is_followed_with_the_id),
        cmocka_unit_test(only_an_id_is_ever_added),
        cmocka_unit_test(address_of_the_page_cannot_end_an_attribute),
        cmocka_unit_test(address_that_is_too_long_is_left_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
