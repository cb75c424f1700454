/* SPDX-License-Identifier: Apache-2.0
 *
 * Text of strangers in HTML, JSON, queries and headers; templates; forms; negotiation.
 */
#include "service/accept.h"
#include "service/agent.h"
#include "service/form.h"
#include "service/problem.h"
#include "service/template.h"
#include "service/text.h"
#include "test_env.h"
#include <latchkey/json.h>
#include <latchkey/service.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static char text[65536];

static lk_buf fresh(void)
{
    return lk_buf_over(text, sizeof(text));
}

/* ---- escaping ---- */

static void html_text_cannot_leave_its_place(void **state)
{
    (void)state;
    lk_buf out = fresh();
    lk__html_add(&out, LK_VIEW("\"><script>alert('x')</script>&amp;"));
    assert_string_equal(lk_buf_text(&out),
                        "&quot;&gt;&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;&amp;amp;");
}

static void html_has_no_control_characters_and_is_always_utf8(void **state)
{
    (void)state;
    uint8_t all[256];
    for (int i = 0; i < 256; i++)
        all[i] = (uint8_t)i;
    lk_buf out = fresh();
    lk__html_add(&out, lk_view_make(all, sizeof(all)));
    assert_true(lk__is_utf8(lk_buf_view(&out)));
    for (size_t i = 0; i < out.len; i++)
        assert_true(out.p[i] >= 0x20 || out.p[i] == '\t' || out.p[i] == '\n');
}

static void chinese_and_emoji_come_through_html_unchanged(void **state)
{
    (void)state;
    lk_buf out = fresh();
    lk__html_add(&out, LK_VIEW("\xe7\x8e\x8b\xf0\x9f\x94\x91"));
    assert_string_equal(lk_buf_text(&out), "\xe7\x8e\x8b\xf0\x9f\x94\x91");
}

static void overlong_and_surrogate_bytes_are_no_utf8(void **state)
{
    (void)state;
    static const char *const bad[] = {"\xc0\xaf",         "\xe0\x80\xaf", "\xed\xa0\x80",
                                      "\xf4\x90\x80\x80", "\x80",         "\xe4\xb8"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_false(lk__is_utf8(lk_view_of(bad[i])));
    assert_true(lk__is_utf8(LK_VIEW("\xe4\xb8\xad")));
}

static void json_of_any_bytes_is_json(void **state)
{
    (void)state;
    uint8_t all[512];
    for (int i = 0; i < 512; i++)
        all[i] = (uint8_t)(i * 7);
    lk_buf out = fresh();
    lk__json_add(&out, lk_view_make(all, sizeof(all)));
    assert_int_equal(lk_json_check(lk_buf_view(&out), NULL, NULL), LK_OK);
    out = fresh();
    lk__json_add(&out, LK_VIEW("a\xff\"b"));
    assert_string_equal(lk_buf_text(&out), "\"a\xEF\xBF\xBD\\\"b\"");
}

static void query_value_cannot_start_another_parameter(void **state)
{
    (void)state;
    lk_buf out = fresh();
    lk__query_add(&out, LK_VIEW("/a?b=c&d#e\"\r\n\xc3\xa9"));
    assert_string_equal(lk_buf_text(&out), "/a%3Fb%3Dc%26d%23e%22%0D%0A%C3%A9");
}

static void kept_agent_is_visible_ascii_and_bounded(void **state)
{
    (void)state;
    lk_buf out = fresh();
    lk__ascii_add(&out, LK_VIEW("a\r\n\x7f\xc3\xa9z123456"), 8);
    assert_string_equal(lk_buf_text(&out), "a?????z1");
}

/* ---- templates ---- */

static const char *word_of(const void *catalogue, lk_view key)
{
    (void)catalogue;
    return lk_view_equal(key, LK_VIEW("hello")) ? "<Hello>" : NULL;
}

static lk_status render(const char *source, const lk__scope *scope)
{
    lk_buf out = fresh();
    lk_status status = lk__template_render(lk_view_of(source), scope, word_of, NULL, &out);
    if (lk_buf_text(&out) == NULL)
        text[0] = '\0';
    return status;
}

static void user_named_like_a_script_stays_text(void **state)
{
    (void)state;
    lk__scope scope = {.n = 0};
    lk__scope_text(&scope, "name", LK_VIEW("<script>alert(1)</script>\" onload=\"x"));
    assert_int_equal(render("<p title=\"{{name}}\">{{name}}</p>", &scope), LK_OK);
    assert_null(strstr(text, "<script>"));
    assert_null(strstr(text, "\" onload"));
    assert_non_null(strstr(text, "&lt;script&gt;"));
}

static void text_that_looks_like_a_tag_is_not_rendered_again(void **state)
{
    (void)state;
    lk__scope scope = {.n = 0};
    lk__scope_text(&scope, "name", LK_VIEW("{{secret}}{{#each x}}"));
    lk__scope_text(&scope, "secret", LK_VIEW("no"));
    assert_int_equal(render("{{name}}", &scope), LK_OK);
    assert_string_equal(text, "{{secret}}{{#each x}}");
}

static void catalogue_texts_are_escaped_and_unknown_keys_stand_for_themselves(void **state)
{
    (void)state;
    lk__scope scope = {.n = 0};
    assert_int_equal(render("{{t.hello}} {{t.nothing}} {{unknown}}|", &scope), LK_OK);
    assert_string_equal(text, "&lt;Hello&gt; nothing |");
}

static void if_and_else_choose_by_text_and_rows(void **state)
{
    (void)state;
    lk__scope scope = {.n = 0};
    lk__scope_flag(&scope, "yes", true);
    lk__scope_flag(&scope, "no", false);
    assert_int_equal(
        render("{{#if yes}}a{{else}}b{{/if}}{{#if no}}c{{else}}d{{/if}}{{#if none}}e{{/if}}", &scope), LK_OK);
    assert_string_equal(text, "ad");
    assert_int_equal(render("{{#if no}}{{#if yes}}x{{else}}y{{/if}}{{else}}z{{/if}}", &scope), LK_OK);
    assert_string_equal(text, "z");
}

static void each_row_hides_the_page_and_its_end_brings_it_back(void **state)
{
    (void)state;
    lk__scope rows[2] = {{.n = 0}};
    lk__scope scope = {.n = 0};
    lk__scope_text(&rows[0], "a", LK_VIEW("1"));
    lk__scope_text(&rows[1], "a", LK_VIEW("2"));
    lk__scope_flag(&rows[1], "last", true);
    lk__scope_text(&scope, "a", LK_VIEW("page"));
    lk__scope_text(&scope, "b", LK_VIEW("-"));
    lk__scope_rows(&scope, "rows", rows, 2);
    assert_int_equal(render("{{#each rows}}{{a}}{{b}}{{#if last}}.{{/if}}{{/each}}{{a}}", &scope), LK_OK);
    assert_string_equal(text, "1-2-.page");
    lk__scope empty = {.n = 0};
    lk__scope_rows(&empty, "rows", NULL, 0);
    assert_int_equal(render("[{{#each rows}}x{{/each}}]", &empty), LK_OK);
    assert_string_equal(text, "[]");
}

static void broken_templates_are_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "{{#if a}}",
        "{{/if}}",
        "{{#each a}}{{/if}}",
        "{{else}}",
        "{{#each a}}{{else}}{{/each}}",
        "{{a",
        "{{}}",
        "{{#with a}}",
        "{{#if a}}{{#if a}}{{#if a}}{{#if a}}{{#if a}}{{#if a}}{{#if a}}{{#if a}}{{#if a}}"};
    lk__scope scope = {.n = 0};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(render(bad[i], &scope), LK_REFUSED);
}

static void page_without_room_is_full(void **state)
{
    (void)state;
    lk__scope scope = {.n = 0};
    uint8_t small[4];
    lk_buf out = lk_buf_over(small, sizeof(small));
    assert_int_equal(lk__template_render(LK_VIEW("12345"), &scope, NULL, NULL, &out), LK_FULL);
    for (int i = 0; i <= LK_SCOPE_VALUES_MAX; i++)
        lk__scope_text(&scope, "a", LK_VIEW("b"));
    out = fresh();
    assert_int_equal(lk__template_render(LK_VIEW("1"), &scope, NULL, NULL, &out), LK_FULL);
}

/* ---- forms ---- */

static lk__arena *arena;
static lk__form form;

static lk_status read_form(const char *body)
{
    return lk__form_read(lk_view_of(body), arena, &form);
}

static void assert_field(const char *name, const char *value)
{
    lk_view v;
    assert_int_equal(lk__form_get(&form, lk_view_of(name), &v), LK_OK);
    assert_true(lk_view_equal(v, lk_view_of(value)));
}

static int form_setup(void **state)
{
    (void)state;
    arena = lk__arena_new(test_env());
    return arena == NULL;
}

static int form_teardown(void **state)
{
    (void)state;
    lk__arena_free(arena);
    return 0;
}

static void form_is_decoded_as_browsers_encode_it(void **state)
{
    (void)state;
    assert_int_equal(read_form("username=a+b%21&password=%E7%8E%8B%26%3D&empty=&flag&&=x&%6Eame=n"), LK_OK);
    assert_field("username", "a b!");
    assert_field("password", "\xe7\x8e\x8b&=");
    assert_field("empty", "");
    assert_field("flag", "");
    assert_field("", "x");
    assert_field("name", "n");
}

static void percent_without_digits_stands_for_itself(void **state)
{
    (void)state;
    assert_int_equal(read_form("a=%&b=%4&c=%zz&d=100%25%2"), LK_OK);
    assert_field("a", "%");
    assert_field("b", "%4");
    assert_field("c", "%zz");
    assert_field("d", "100%%2");
}

static void field_given_twice_is_refused(void **state)
{
    (void)state;
    lk_view v;
    assert_int_equal(read_form("a=1&b=2&a=1"), LK_OK);
    assert_int_equal(lk__form_get(&form, LK_VIEW("a"), &v), LK_REFUSED);
    assert_int_equal(lk__form_get(&form, LK_VIEW("b"), &v), LK_OK);
    assert_int_equal(lk__form_get(&form, LK_VIEW("c"), &v), LK_MISS);
}

static void form_with_too_many_fields_is_full(void **state)
{
    (void)state;
    char body[LK_FORM_FIELDS_MAX * 4 + 8] = "";
    for (int i = 0; i < LK_FORM_FIELDS_MAX; i++)
        strcat(body, "a=1&");
    assert_int_equal(read_form(body), LK_OK);
    strcat(body, "b=1");
    assert_int_equal(read_form(body), LK_FULL);
}

static void nul_in_a_form_is_data(void **state)
{
    (void)state;
    lk_view v;
    assert_int_equal(read_form("password=a%00b"), LK_OK);
    assert_int_equal(lk__form_get(&form, LK_VIEW("password"), &v), LK_OK);
    assert_int_equal(v.len, 3);
    assert_memory_equal(v.p, "a\0b", 3);
}

static void form_without_memory_is_a_fault(void **state)
{
    (void)state;
    test_alloc_fail_at(1);
    assert_int_equal(read_form("a=1"), LK_FAULT);
    assert_true(test_alloc_failed());
}

static void arena_is_bounded_and_leaks_nothing(void **state)
{
    (void)state;
    int before = test_alloc_live();
    lk__arena *a = lk__arena_new(test_env());
    assert_non_null(lk__arena_take(a, 100));
    assert_non_null(lk__arena_take(a, 100000));
    assert_false(lk__arena_failed(a));
    assert_null(lk__arena_take(a, LK_ARENA_MAX));
    assert_true(lk__arena_failed(a));
    assert_null(lk__arena_take(a, SIZE_MAX));
    assert_int_equal(lk__arena_buf(a, SIZE_MAX - 3).cap, 0);
    lk__arena_free(a);
    assert_int_equal(test_alloc_live(), before);
}

/* ---- negotiation ---- */

static void browsers_get_pages_and_programs_get_json(void **state)
{
    (void)state;
    static const struct {
        const char *accept;
        bool html;
    } cases[] = {
        {"text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8", true},
        {"text/html", true},
        {"TEXT/HTML", true},
        {"text/*", true},
        {"text/html;level=1;q=0.4, */*;q=0.3", true},
        {"", false},
        {"*/*", false},
        {"application/json", false},
        {"application/json, text/html", false},
        {"application/json, text/html;q=0.9", false},
        {"text/html;q=0.9, application/json", false},
        {"text/html;q=0", false},
        {"text/html;q=0, */*", false},
        {"text/html;q=nonsense", false},
        {"text/plain", false},
        {"application/*;q=0.9, text/html;q=0.8", false},
        {"text/htmlx", false},
        {"application/problem+json", false},
        {",,,", false},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        if (lk__accept_is_html(lk_view_of(cases[i].accept)) != cases[i].html)
            fail_msg("Accept: %s", cases[i].accept);
    }
}

static void language_is_the_best_of_ours(void **state)
{
    (void)state;
    static const struct {
        const char *accept;
        lk__language language;
    } cases[] = {
        {"", LK_LANGUAGE_EN},
        {"zh-CN,zh;q=0.9,en;q=0.8", LK_LANGUAGE_ZH_CN},
        {"en-GB,en;q=0.9,zh-CN;q=0.8", LK_LANGUAGE_EN},
        {"de, zh-TW;q=0.7, en;q=0.3", LK_LANGUAGE_ZH_CN},
        {"de, fr", LK_LANGUAGE_EN},
        {"zh;q=0, en;q=0.1", LK_LANGUAGE_EN},
        {"ZH-hans", LK_LANGUAGE_ZH_CN},
        {"zha", LK_LANGUAGE_EN},
        {"*", LK_LANGUAGE_EN},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        if (lk__accept_language(lk_view_of(cases[i].accept)) != cases[i].language)
            fail_msg("Accept-Language: %s", cases[i].accept);
    }
}

static void media_type_is_read_without_its_parameters(void **state)
{
    (void)state;
    assert_true(lk_view_equal(lk__media_essence(LK_VIEW(" application/json ; charset=utf-8")),
                              LK_VIEW("application/json")));
    assert_int_equal(lk__media_essence(LK_VIEW("; charset=utf-8")).len, 0);
}

static void browser_and_system_are_named(void **state)
{
    (void)state;
    static const struct {
        const char *agent, *browser, *system;
    } cases[] = {
        {"Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0", "Firefox", "Linux"},
        {"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 "
         "Safari/537.36 Edg/126.0.0.0",
         "Edge", "Windows"},
        {"Mozilla/5.0 (Linux; Android 14; Pixel 8) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 "
         "Mobile "
         "Safari/537.36",
         "Chrome", "Android"},
        {"Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) "
         "Version/17.5 Mobile/15E148 Safari/604.1",
         "Safari", "iPhone"},
        {"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) "
         "Version/17.5 "
         "Safari/605.1.15",
         "Safari", "macOS"},
        {"curl/7.88.1", "curl", ""},
        {"", "", ""},
        {"something else", "", ""},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_string_equal(lk__agent_browser(lk_view_of(cases[i].agent)), cases[i].browser);
        assert_string_equal(lk__agent_system(lk_view_of(cases[i].agent)), cases[i].system);
    }
}

/* ---- problems ---- */

static void problem_document_has_all_its_members(void **state)
{
    (void)state;
    lk_buf out = fresh();
    lk_problem_write(401, LK_REASON_EXPIRED, (lk_view){0}, &out);
    lk_json_item item;
    assert_int_equal(lk_json_check(lk_buf_view(&out), NULL, NULL), LK_OK);
    static const char *const members[][2] = {{"type", "\"/auth/problems/expired\""},
                                             {"title", "\"The login is over\""},
                                             {"status", "401"},
                                             {"reason", "\"expired\""}};
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(lk_json_get(lk_buf_view(&out), lk_view_of(members[i][0]), &item), LK_OK);
        assert_true(lk_view_equal(item.value, lk_view_of(members[i][1])));
    }
    assert_int_equal(lk_json_get(lk_buf_view(&out), LK_VIEW("detail"), &item), LK_OK);
    assert_true(item.value.len > 10);
}

static void every_reason_has_a_title_and_a_sentence(void **state)
{
    (void)state;
    for (int r = 0; r < LK_REASON_COUNT; r++) {
        lk_buf out = fresh();
        assert_non_null(lk__reason_title((lk_reason)r));
        lk_problem_write(403, (lk_reason)r, (lk_view){0}, &out);
        assert_int_equal(lk_json_check(lk_buf_view(&out), NULL, NULL), LK_OK);
    }
    for (int p = 0; p < LK_PROBLEM_COUNT; p++) {
        assert_non_null(lk__problem_about((lk__problem)p)->word);
        assert_true(lk__problem_about((lk__problem)p)->status >= 400);
    }
}

static void problem_without_a_reason_is_about_blank(void **state)
{
    (void)state;
    lk_buf out = fresh();
    lk_problem_write(403, LK_REASON_NONE, LK_VIEW("a \"detail\"\n"), &out);
    assert_int_equal(lk_json_check(lk_buf_view(&out), NULL, NULL), LK_OK);
    assert_non_null(strstr(lk_buf_text(&out), "\"type\":\"about:blank\""));
    assert_null(strstr(text, "reason"));
}

int main(void)
{
#define T(f) cmocka_unit_test(f)
#define F(f) cmocka_unit_test_setup_teardown(f, form_setup, form_teardown)
    const struct CMUnitTest tests[] = {
        T(html_text_cannot_leave_its_place),
        T(html_has_no_control_characters_and_is_always_utf8),
        T(chinese_and_emoji_come_through_html_unchanged),
        T(overlong_and_surrogate_bytes_are_no_utf8),
        T(json_of_any_bytes_is_json),
        T(query_value_cannot_start_another_parameter),
        T(kept_agent_is_visible_ascii_and_bounded),
        T(user_named_like_a_script_stays_text),
        T(text_that_looks_like_a_tag_is_not_rendered_again),
        T(catalogue_texts_are_escaped_and_unknown_keys_stand_for_themselves),
        T(if_and_else_choose_by_text_and_rows),
        T(each_row_hides_the_page_and_its_end_brings_it_back),
        T(broken_templates_are_refused),
        T(page_without_room_is_full),
        F(form_is_decoded_as_browsers_encode_it),
        F(percent_without_digits_stands_for_itself),
        F(field_given_twice_is_refused),
        F(form_with_too_many_fields_is_full),
        F(nul_in_a_form_is_data),
        F(form_without_memory_is_a_fault),
        T(arena_is_bounded_and_leaks_nothing),
        T(browsers_get_pages_and_programs_get_json),
        T(language_is_the_best_of_ours),
        T(media_type_is_read_without_its_parameters),
        T(browser_and_system_are_named),
        T(problem_document_has_all_its_members),
        T(every_reason_has_a_title_and_a_sentence),
        T(problem_without_a_reason_is_about_blank),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
