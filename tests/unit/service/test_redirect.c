/* SPDX-License-Identifier: Apache-2.0
 *
 * Return URLs: a long table of ways to leave the site, each refused, and of places on it, each accepted in
 * the form a browser would resolve it to.
 */
#include <latchkey/service.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define ORIGIN "https://shop.example"

static char text[8192];

static lk_status check(const char *origin, lk_view url)
{
    lk_buf out = lk_buf_over(text, sizeof(text));
    lk_note note = {{0}};
    lk_status status = lk_redirect_check(lk_view_of(origin), url, &out, &note);
    if (status != LK_OK) {
        assert_int_equal(out.len, 0);
        assert_true(note.text[0] != '\0');
    } else {
        assert_non_null(lk_buf_text(&out));
        /* What every accepted answer is: one slash, then no second one, nothing a browser strips or turns. */
        assert_int_equal(text[0], '/');
        assert_int_not_equal(text[1], '/');
        assert_null(strpbrk(text, "\\ \t\r\n"));
    }
    return status;
}

static void places_on_the_origin_are_accepted(void **state)
{
    (void)state;
    static const struct {
        const char *url, *path;
    } places[] = {
        {"/", "/"},
        {"/cart", "/cart"},
        {"/a/b/?x=1&y=2#z", "/a/b/?x=1&y=2#z"},
        {"/?next=https://evil.example/", "/?next=https://evil.example/"},
        {"/a?b=//evil.example", "/a?b=//evil.example"},
        {"/a#//evil.example", "/a#//evil.example"},
        {"/a//b", "/a//b"},
        {"/@evil.example", "/@evil.example"},
        {"/:80/", "/:80/"},
        {"/https://evil.example", "/https://evil.example"},
        {"/javascript:alert(1)", "/javascript:alert(1)"},
        {"/a%20b", "/a%20b"},
        {"/a%2Fb", "/a%2Fb"},
        {"/a/../b", "/b"},
        {"/a/./b", "/a/b"},
        {"/../../b", "/b"},
        {"/a/b/..", "/a/"},
        {"/a/%2e%2E/b", "/b"},
        {"/a/.%2e/b", "/b"},
        {"/a/...", "/a/..."},
        {"/..a/.b", "/..a/.b"},
        {"/\xe4\xb8\xad?q=\xe6\x96\x87", "/%E4%B8%AD?q=%E6%96%87"},
        {"/<b>\"'`{|}^", "/%3Cb%3E%22%27%60%7B%7C%7D%5E"},
        {"https://shop.example", "/"},
        {"https://shop.example/", "/"},
        {"https://shop.example/a?b#c", "/a?b#c"},
        {"https://shop.example?b", "/?b"},
        {"https://shop.example#c", "/#c"},
        {"HTTPS://SHOP.Example/a", "/a"},
        {"https://shop.example:443/a", "/a"},
        {"https://shop.example:0443/a", "/a"},
        {"https://shop.example:/a", "/a"},
    };
    for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
        if (check(ORIGIN, lk_view_of(places[i].url)) != LK_OK)
            fail_msg("refused: %s", places[i].url);
        assert_string_equal(text, places[i].path);
    }
}

static void ways_out_are_refused(void **state)
{
    (void)state;
    static const char *const attacks[] = {
        "",
        /* other hosts, said openly */
        "https://evil.example",
        "https://evil.example/",
        "http://shop.example/",
        "https://shop.example.evil.example/",
        "https://shop.example.",
        "https://shop.exampleevil",
        "https://evilshop.example/",
        "https://shop.example:444/",
        "https://shop.example:99999/",
        "https://shop.example:443443/",
        "https://shop.example:44a/",
        "https://shop.example:+443/",
        "https://shop.example:-443/",
        /* scheme-relative, with every slash a browser takes for one */
        "//evil.example",
        "///evil.example",
        "////evil.example",
        "/\\evil.example",
        "\\/evil.example",
        "\\\\evil.example",
        "/\\/evil.example",
        "//shop.example/",
        "/\\",
        "https:\\\\shop.example\\@evil.example",
        "https:/\\evil.example",
        "https://shop.example\\.evil.example/",
        "https://shop.example\\@evil.example/",
        "/a\\b",
        /* scheme without slashes: relative for a page of the same scheme, absolute for others */
        "https:evil.example",
        "https:/evil.example",
        "https:///evil.example",
        "https:////evil.example",
        "https:",
        "http:evil.example",
        "https:shop.example/",
        /* user information */
        "https://shop.example@evil.example/",
        "https://shop.example:x@evil.example/",
        "https://evil.example@shop.example/",
        "https://@shop.example/",
        "https://shop.example%40evil.example/",
        /* hosts a browser decodes or maps */
        "https://shop%2eexample/",
        "https://%73hop.example/",
        "https://shop\xe3\x80\x82"
        "example/",
        "https://\xef\xbd\x93hop.example/",
        "https://sh\xc3\xb6p.example/",
        "https://xn--shp-6na.example/",
        "https://[::1]/",
        "https://127.1/",
        "https://0x7f.1/",
        "https://shop.example,evil.example/",
        "https://shop.example;evil.example/",
        /* what browsers strip */
        "\thttps://evil.example",
        "/\t/evil.example",
        "/\n/evil.example",
        "/\r/evil.example",
        "ht\ntps://evil.example",
        "\x01https://evil.example",
        " //evil.example",
        " /cart",
        "/cart ",
        "/a b",
        "/a\x7f",
        "/a\r\nSet-Cookie: x=y",
        /* dot segments that leave two slashes at the front */
        "/.//evil.example",
        "/..//evil.example",
        "/a/..//evil.example",
        "/%2e//evil.example",
        "/%2e%2e//evil.example",
        "/a/%2E%2e//evil.example",
        "/%2e/%2f",
        "/%2e/%2fevil.example",
        "/a/%2e%2e/%5cevil.example",
        "https://shop.example//evil.example",
        "https://shop.example/.//evil.example",
        /* what a second decoding would turn into one of the above */
        "/%2f/evil.example",
        "/%2fevil.example",
        "/%5cevil.example",
        "/%5Cevil.example",
        "/%09/evil.example",
        "/%0d%0aLocation:%20https://evil.example",
        "/a/%00",
        /* other schemes */
        "javascript:alert(1)",
        "JavaScript:alert(1)",
        "java\nscript:alert(1)",
        "data:text/html,<script>alert(1)</script>",
        "vbscript:x",
        "file:///etc/passwd",
        "blob:https://shop.example/x",
        "about:blank",
        "mailto:a@b",
        "ftp://shop.example/",
        "ws://shop.example/",
        "view-source:https://shop.example/",
        /* relative references: where they lead depends on the page */
        "cart",
        "./cart",
        "../cart",
        "?x",
        "#x",
        "evil.example",
        "@evil.example",
        "//",
        /* no UTF-8 */
        "/\xff\xfe",
        "/\xc0\xaf",
        "/\xed\xa0\x80",
    };
    for (size_t i = 0; i < sizeof(attacks) / sizeof(attacks[0]); i++) {
        if (check(ORIGIN, lk_view_of(attacks[i])) != LK_REFUSED)
            fail_msg("accepted: %s as %s", attacks[i], text);
    }
}

static void nul_byte_is_refused(void **state)
{
    (void)state;
    assert_int_equal(check(ORIGIN, lk_view_make("/a\0b", 4)), LK_REFUSED);
    assert_int_equal(check(ORIGIN, lk_view_make("\0/a", 3)), LK_REFUSED);
    assert_int_equal(check(ORIGIN, lk_view_make("/aab", 4)), LK_OK);
}

static void port_and_scheme_belong_to_the_origin(void **state)
{
    (void)state;
    assert_int_equal(check("http://127.0.0.1:8080", LK_VIEW("http://127.0.0.1:8080/a")), LK_OK);
    assert_int_equal(check("http://127.0.0.1:8080", LK_VIEW("http://127.0.0.1/a")), LK_REFUSED);
    assert_int_equal(check("http://127.0.0.1:8080", LK_VIEW("https://127.0.0.1:8080/a")), LK_REFUSED);
    assert_int_equal(check("http://localhost", LK_VIEW("http://localhost:80/a")), LK_OK);
    assert_int_equal(check("http://[::1]:8080", LK_VIEW("http://[::1]:8080/a")), LK_OK);
    assert_int_equal(check("http://[::1]:8080", LK_VIEW("http://[::2]:8080/a")), LK_REFUSED);
    assert_int_equal(check("http://[::1]", LK_VIEW("http://[::1/a")), LK_REFUSED);
}

static void origin_that_is_none_accepts_no_absolute_url(void **state)
{
    (void)state;
    static const char *const origins[] = {"",
                                          "null",
                                          "https://",
                                          "https://shop.example/",
                                          "shop.example",
                                          "https://a b",
                                          "https://shop.example, https://evil.example"};
    for (size_t i = 0; i < sizeof(origins) / sizeof(origins[0]); i++) {
        assert_int_equal(check(origins[i], LK_VIEW("https://shop.example/a")), LK_REFUSED);
        assert_int_equal(check(origins[i], LK_VIEW("/a")), LK_OK);
    }
}

static void longest_url_is_accepted_and_a_longer_one_refused(void **state)
{
    (void)state;
    char url[2100];
    memset(url, 'a', sizeof(url));
    url[0] = '/';
    assert_int_equal(check(ORIGIN, lk_view_make(url, 2048)), LK_OK);
    assert_int_equal(check(ORIGIN, lk_view_make(url, 2049)), LK_REFUSED);
}

static void answer_without_room_is_full_and_empty(void **state)
{
    (void)state;
    uint8_t small[4];
    lk_buf out = lk_buf_over(small, sizeof(small));
    assert_int_equal(lk_redirect_check(LK_VIEW(ORIGIN), LK_VIEW("/cart/1"), &out, NULL), LK_FULL);
    assert_int_equal(out.len, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(places_on_the_origin_are_accepted),
        cmocka_unit_test(ways_out_are_refused),
        cmocka_unit_test(nul_byte_is_refused),
        cmocka_unit_test(port_and_scheme_belong_to_the_origin),
        cmocka_unit_test(origin_that_is_none_accepts_no_absolute_url),
        cmocka_unit_test(longest_url_is_accepted_and_a_longer_one_refused),
        cmocka_unit_test(answer_without_room_is_full_and_empty),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
