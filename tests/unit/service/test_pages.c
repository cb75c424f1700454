/* SPDX-License-Identifier: Apache-2.0
 *
 * The pages: forms that work without any script, in two languages, and what an attacker would try with them.
 */
#include "client.h"
#include "service/web.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static site shop;
static client alice, mallory;

static int open_shop(void **state)
{
    (void)state;
    site_open(&shop, "memory:");
    memset(&alice, 0, sizeof(alice));
    memset(&mallory, 0, sizeof(mallory));
    return 0;
}

static int close_shop(void **state)
{
    (void)state;
    site_close(&shop);
    return 0;
}

static int page(client *c, const char *path)
{
    return ask(&shop, c, (sent){.method = "GET", .path = path, .accept = BROWSER, .site = "none"});
}

/* Send the form FIELDS to PATH as a browser does from our own page, with TOKEN. */
static int submit_with(client *c, const char *path, const char *fields, const char *token)
{
    static char form[8192];
    snprintf(form, sizeof(form), "csrf=%s&%s", token == NULL ? "" : token, fields);
    return ask(&shop, c,
               (sent){.method = "POST",
                      .path = path,
                      .form = form,
                      .accept = BROWSER,
                      .site = "same-origin",
                      .origin = "http://shop.example"});
}

/* With the token of the page that was loaded last. */
static int submit(client *c, const char *path, const char *fields)
{
    char token[LK_CSRF_LEN + 1];
    assert_non_null(field_of(c, "csrf"));
    snprintf(token, sizeof(token), "%s", field_of(c, "csrf"));
    return submit_with(c, path, fields, token);
}

#define ALICE "username=alice&password=wandering+heron+42"

static void alice_is_in(void)
{
    enroll(&shop, &alice, "alice", GOOD_PASSWORD);
    assert_int_equal(page(&alice, "/auth/login"), 200);
    assert_int_equal(submit(&alice, "/auth/login", ALICE), 303);
}

static void visitor_registers_logs_in_and_logs_out_with_forms_alone(void **state)
{
    (void)state;
    assert_int_equal(page(&alice, "/auth/register?return=/shop"), 200);
    assert_string_equal(field_of(&alice, "return"), "/shop");
    assert_int_equal(submit(&alice, "/auth/register", ALICE "&return=%2Fshop"), 303);
    assert_string_equal(header_of(&alice, "Location"), "/auth/login?return=/shop&notice=registered");
    assert_int_equal(page(&alice, "/auth/login?return=/shop&notice=registered"), 200);
    assert_non_null(strstr(alice.body, "Your account is ready."));
    assert_int_equal(submit(&alice, "/auth/login", ALICE "&return=%2Fshop"), 303);
    assert_string_equal(header_of(&alice, "Location"), "/shop");
    assert_int_equal(page(&alice, "/auth/account"), 200);
    assert_non_null(strstr(alice.body, "<strong>alice</strong>"));
    assert_int_equal(page(&alice, "/auth/logout"), 200);
    assert_non_null(strstr(alice.body, "Sign out?"));
    assert_int_equal(submit(&alice, "/auth/logout", ""), 303);
    assert_string_equal(header_of(&alice, "Location"), "/auth/login?notice=signed_out");
    assert_null(cookie_of(&alice, "latchkey"));
    assert_int_equal(page(&alice, "/auth/account"), 303);
    assert_string_equal(header_of(&alice, "Location"), "/auth/login?return=/auth/account");
}

static void logout_leads_back_where_it_was_asked_for_and_to_no_other_site(void **state)
{
    (void)state;
    static const struct {
        const char *asked, *form, *leads_to;
    } cases[] = {
        {"/auth/logout?return=/shop", "return=%2Fshop", "/shop"},
        {"/auth/logout?return=//evil.example/", "return=%2F%2Fevil.example%2F",
         "/auth/login?notice=signed_out"},
    };
    enroll(&shop, &alice, "alice", GOOD_PASSWORD);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_int_equal(page(&alice, "/auth/login"), 200);
        assert_int_equal(submit(&alice, "/auth/login", ALICE), 303);
        assert_int_equal(page(&alice, cases[i].asked), 200);
        assert_null(strstr(alice.body, "evil"));
        assert_int_equal(submit(&alice, "/auth/logout", cases[i].form), 303);
        assert_string_equal(header_of(&alice, "Location"), cases[i].leads_to);
        assert_null(cookie_of(&alice, "latchkey"));
    }
}

static void wrong_password_shows_the_form_again_with_the_name_and_no_password(void **state)
{
    (void)state;
    enroll(&shop, &alice, "alice", GOOD_PASSWORD);
    assert_int_equal(page(&alice, "/auth/login"), 200);
    assert_int_equal(submit(&alice, "/auth/login", "username=alice&password=secret+wrong+one&return=%2Fa"),
                     401);
    assert_non_null(strstr(alice.body, "role=\"alert\""));
    assert_non_null(strstr(alice.body, "The name or the password is wrong."));
    assert_non_null(strstr(alice.body, "value=\"alice\""));
    assert_null(strstr(alice.body, "secret wrong one"));
    assert_string_equal(field_of(&alice, "return"), "/a");
    /* and the form shown is good to go on with */
    assert_int_equal(submit(&alice, "/auth/login", ALICE), 303);
    assert_string_equal(header_of(&alice, "Location"), "/auth/account");
}

static void broken_rule_is_named_on_the_form(void **state)
{
    (void)state;
    assert_int_equal(page(&alice, "/auth/register"), 200);
    assert_int_equal(submit(&alice, "/auth/register", "username=alice&password=short"), 422);
    assert_non_null(strstr(alice.body, "lang=\"en\">"));
    assert_non_null(strstr(alice.body, "role=\"alert\""));
    enroll(&shop, &mallory, "alice", GOOD_PASSWORD);
    assert_int_equal(submit(&alice, "/auth/register", ALICE), 409);
    assert_non_null(strstr(alice.body, "This name is taken."));
}

static void broken_rule_is_told_in_the_language_of_the_page(void **state)
{
    (void)state;
    static const struct {
        const char *form, *says;
    } cases[] = {
        {"username=alice&password=short",
         "\xe5\xaf\x86\xe7\xa0\x81\xe8\x87\xb3\xe5\xb0\x91\xe9\x9c\x80\xe8\xa6\x81 8 "},
        {"username=alice&password=ababababab", "\xe9\x87\x8d\xe5\xa4\x8d"},
        {"username=alice&password=123456789012", "\xe8\xbf\x9e\xe7\xbb\xad"},
        {"username=alice&password=alice+1234", "\xe9\x99\xa4"},
        {"username=+alice&password=wandering+heron+42", "\xe7\xa9\xba\xe6\xa0\xbc\xe5\xbc\x80\xe5\xa4\xb4"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_int_equal(page(&alice, "/auth/register?lang=zh-CN"), 200);
        assert_int_equal(submit(&alice, "/auth/register", cases[i].form), 422);
        assert_non_null(strstr(alice.body, "<html lang=\"zh-CN\">"));
        assert_non_null(strstr(alice.body, cases[i].says));
        assert_null(strstr(alice.body, "<p lang=\"en\">"));
    }
}

/* An attacker's page that logs the victim in as the attacker would collect what the victim then enters. */
static void login_form_of_another_visitor_is_refused(void **state)
{
    (void)state;
    char token[LK_CSRF_LEN + 1];
    enroll(&shop, &mallory, "mallory", GOOD_PASSWORD);
    assert_int_equal(page(&mallory, "/auth/login"), 200);
    snprintf(token, sizeof(token), "%s", field_of(&mallory, "csrf"));
    const char *fields = "username=mallory&password=wandering+heron+42";
    assert_int_equal(submit_with(&alice, "/auth/login", fields, token), 403);
    assert_int_equal(page(&alice, "/auth/login"), 200);
    assert_int_equal(submit_with(&alice, "/auth/login", fields, token), 403);
    assert_null(cookie_of(&alice, "latchkey"));
    assert_non_null(strstr(alice.body, "too old"));
    assert_int_equal(submit_with(&mallory, "/auth/login", fields, token), 303);
}

static void token_from_before_the_login_is_worth_nothing_after_it(void **state)
{
    (void)state;
    char before[LK_CSRF_LEN + 1];
    enroll(&shop, &alice, "alice", GOOD_PASSWORD);
    assert_int_equal(page(&alice, "/auth/login"), 200);
    snprintf(before, sizeof(before), "%s", field_of(&alice, "csrf"));
    assert_int_equal(submit(&alice, "/auth/login", ALICE), 303);
    assert_int_equal(submit_with(&alice, "/auth/logout", "x=1", before), 403);
    assert_int_equal(page(&alice, "/auth/account"), 200);
}

static void cross_site_form_with_a_good_token_is_still_refused(void **state)
{
    (void)state;
    static char form[512];
    alice_is_in();
    assert_int_equal(page(&alice, "/auth/logout"), 200);
    snprintf(form, sizeof(form), "csrf=%s", field_of(&alice, "csrf"));
    assert_int_equal(ask(&shop, &alice,
                         (sent){.method = "POST",
                                .path = "/auth/logout",
                                .form = form,
                                .accept = BROWSER,
                                .origin = "https://evil.example"}),
                     403);
    assert_int_equal(page(&alice, "/auth/account"), 200);
}

static void old_browser_that_sends_no_origin_works_by_the_form_token(void **state)
{
    (void)state;
    static char form[512];
    enroll(&shop, &alice, "alice", GOOD_PASSWORD);
    assert_int_equal(page(&alice, "/auth/login"), 200);
    snprintf(form, sizeof(form), "csrf=%s&" ALICE, field_of(&alice, "csrf"));
    assert_int_equal(
        ask(&shop, &alice, (sent){.method = "POST", .path = "/auth/login", .form = form, .accept = BROWSER}),
        303);
}

static void form_cookie_has_the_host_prefix_where_cookies_are_secure(void **state)
{
    (void)state;
    shop.w.settings.cookie_secure = true;
    strcpy(shop.w.settings.cookie_name, "__Host-latchkey");
    assert_int_equal(
        ask(&shop, &alice,
            (sent){.method = "GET", .path = "/auth/login", .accept = BROWSER, .scheme = "https"}),
        200);
    assert_non_null(strstr(alice.headers, "Set-Cookie: __Host-latchkey_form="));
    assert_non_null(strstr(alice.headers, "; Path=/; Max-Age=3600;"));
    assert_non_null(strstr(alice.headers, "; Secure; HttpOnly; SameSite=Lax"));
}

static void login_never_leads_to_another_site(void **state)
{
    (void)state;
    static const char *const ways[] = {
        "https%3A%2F%2Fevil.example", "%2F%2Fevil.example", "%2F%5Cevil.example",    "javascript%3Aalert(1)",
        "%2F%09%2Fevil.example",      "%0d%0aX%3a+y",       "%2F.%2F%2Fevil.example"};
    enroll(&shop, &alice, "alice", GOOD_PASSWORD);
    for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
        char path[128], fields[256];
        snprintf(path, sizeof(path), "/auth/login?return=%s", ways[i]);
        assert_int_equal(page(&alice, path), 200);
        assert_null(field_of(&alice, "return"));
        assert_null(strstr(alice.body, "evil.example"));
        snprintf(fields, sizeof(fields), ALICE "&return=%s", ways[i]);
        assert_int_equal(submit(&alice, "/auth/login", fields), 303);
        assert_string_equal(header_of(&alice, "Location"), "/auth/account");
        alice.jar_n = 0;
    }
}

static void name_made_of_html_is_shown_as_text(void **state)
{
    (void)state;
    const char *fields = "username=%3Cscript%3Ealert(1)%3C%2Fscript%3E%22%27&password=wandering+heron+42";
    assert_int_equal(page(&mallory, "/auth/register"), 200);
    assert_int_equal(submit(&mallory, "/auth/register", fields), 303);
    assert_int_equal(page(&mallory, "/auth/login"), 200);
    assert_int_equal(submit(&mallory, "/auth/login", fields), 303);
    assert_int_equal(ask(&shop, &mallory,
                         (sent){.method = "GET",
                                .path = "/auth/account",
                                .accept = BROWSER,
                                .agent = "<img src=x onerror=alert(1)>"}),
                     200);
    assert_non_null(strstr(mallory.body, "&lt;script&gt;alert(1)&lt;/script&gt;&quot;&#39;"));
    assert_null(strstr(mallory.body, "<img src=x"));
    assert_int_equal(page(&alice, "/auth/login"), 200);
    assert_int_equal(submit(&alice, "/auth/login", "username=%22%3E%3Csvg+onload%3Dalert(1)%3E&password=x"),
                     401);
    assert_null(strstr(alice.body, "<svg"));
    assert_non_null(strstr(alice.body, "value=\"&quot;&gt;&lt;svg onload=alert(1)&gt;\""));
}

static void account_lists_my_sessions_and_ends_one_after_asking(void **state)
{
    (void)state;
    client phone = {.jar_n = 0};
    char path[128];
    alice_is_in();
    test_clock_advance_ms(1000);
    assert_int_equal(
        ask(&shop, &phone,
            (sent){.method = "POST",
                   .path = "/auth/login",
                   .json = "{\"username\":\"alice\",\"password\":\"" GOOD_PASSWORD "\"}",
                   .agent = "Mozilla/5.0 (Linux; Android 14) Chrome/126.0 Mobile Safari/537.36"}),
        200);
    snprintf(path, sizeof(path), "/auth/sessions/%s", member_of(&phone, "session.public_id"));
    assert_int_equal(page(&alice, "/auth/account"), 200);
    assert_non_null(strstr(alice.body, "Chrome \xc2\xb7 Android"));
    assert_non_null(strstr(alice.body, "This device"));
    assert_true(strstr(alice.body, "This device") < strstr(alice.body, "Android"));
    assert_non_null(strstr(alice.body, "2027-01-15 08:00 UTC"));
    assert_non_null(strstr(alice.body, path));
    assert_int_equal(page(&alice, path), 200);
    assert_non_null(strstr(alice.body, "Sign out this session?"));
    assert_int_equal(ask(&shop, &phone, (sent){.method = "GET", .path = "/auth/session"}), 200);
    assert_int_equal(submit(&alice, path, ""), 303);
    assert_string_equal(header_of(&alice, "Location"), "/auth/account");
    assert_int_equal(ask(&shop, &phone, (sent){.method = "GET", .path = "/auth/session"}), 401);
}

static void all_others_and_everywhere_are_ended_by_forms(void **state)
{
    (void)state;
    client phone = {.jar_n = 0};
    alice_is_in();
    log_in(&shop, &phone, "alice", GOOD_PASSWORD);
    assert_int_equal(page(&alice, "/auth/sessions/others"), 200);
    assert_int_equal(submit(&alice, "/auth/sessions", "except=current"), 303);
    assert_int_equal(ask(&shop, &phone, (sent){.method = "GET", .path = "/auth/session"}), 401);
    log_in(&shop, &phone, "alice", GOOD_PASSWORD);
    assert_int_equal(page(&alice, "/auth/logout?everywhere=1"), 200);
    assert_non_null(strstr(alice.body, "Sign out everywhere?"));
    assert_int_equal(submit(&alice, "/auth/logout", "everywhere=true"), 303);
    assert_int_equal(ask(&shop, &phone, (sent){.method = "GET", .path = "/auth/session"}), 401);
    assert_int_equal(page(&alice, "/auth/account"), 303);
}

static void password_is_changed_by_a_form(void **state)
{
    (void)state;
    alice_is_in();
    assert_int_equal(page(&alice, "/auth/password"), 200);
    assert_non_null(strstr(alice.body, "autocomplete=\"current-password\""));
    assert_non_null(strstr(alice.body, "autocomplete=\"new-password\""));
    assert_int_equal(submit(&alice, "/auth/password", "current=wrong+horse+17&new=quiet+lantern+77+river"),
                     401);
    assert_non_null(strstr(alice.body, "role=\"alert\""));
    assert_int_equal(
        submit(&alice, "/auth/password", "current=wandering+heron+42&new=quiet+lantern+77+river"), 303);
    assert_string_equal(header_of(&alice, "Location"), "/auth/account?notice=password_changed");
    assert_int_equal(page(&alice, "/auth/account?notice=password_changed"), 200);
    assert_non_null(strstr(alice.body, "Your password is changed"));
    log_in(&shop, &mallory, "alice", OTHER_PASSWORD);
}

static void language_is_chosen_by_the_link_the_cookie_or_the_browser(void **state)
{
    (void)state;
    sent what = {.method = "GET", .path = "/auth/login", .accept = BROWSER, .language = "zh-CN,zh;q=0.9"};
    assert_int_equal(ask(&shop, &alice, what), 200);
    assert_non_null(strstr(alice.body, "<html lang=\"zh-CN\">"));
    assert_non_null(strstr(alice.body, "\xe7\x99\xbb\xe5\xbd\x95"));
    assert_string_equal(header_of(&alice, "Content-Language"), "zh-CN");
    assert_non_null(strstr(header_of(&alice, "Vary"), "Accept-Language"));
    what.path = "/auth/login?lang=en";
    assert_int_equal(ask(&shop, &alice, what), 200);
    assert_non_null(strstr(alice.body, "<html lang=\"en\">"));
    assert_string_equal(cookie_of(&alice, "latchkey_lang"), "en");
    what.path = "/auth/login";
    assert_int_equal(ask(&shop, &alice, what), 200);
    assert_non_null(strstr(alice.body, "<html lang=\"en\">"));
    what.path = "/auth/login?lang=%3Cscript%3E";
    assert_int_equal(ask(&shop, &mallory, what), 200);
    assert_non_null(strstr(mallory.body, "<html lang=\"zh-CN\">"));
    assert_null(cookie_of(&mallory, "latchkey_lang"));
}

static void every_page_is_rendered_whole_in_every_language(void **state)
{
    (void)state;
    static const char *const paths[] = {"/auth/login",   "/auth/register",  "/auth/logout",
                                        "/auth/account", "/auth/password",  "/auth/sessions/others",
                                        "/auth/nothing", "/auth/sessions/x"};
    alice_is_in();
    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
        for (int zh = 0; zh < 2; zh++) {
            (void)ask(
                &shop, &alice,
                (sent){.method = "GET", .path = paths[i], .accept = BROWSER, .language = zh ? "zh" : "en"});
            assert_true(alice.status == 200 || alice.status == 404);
            assert_non_null(strstr(alice.body, zh ? "<html lang=\"zh-CN\">" : "<html lang=\"en\">"));
            assert_non_null(strstr(alice.body, "</html>"));
            assert_non_null(strstr(alice.body, "<h1>"));
            assert_null(strstr(alice.body, "<title> -"));
        }
    }
}

static void browser_at_a_wrong_address_gets_a_page_and_a_program_a_document(void **state)
{
    (void)state;
    assert_int_equal(page(&alice, "/auth/nothing"), 404);
    assert_non_null(strstr(header_of(&alice, "Content-Type"), "text/html"));
    assert_int_equal(ask(&shop, &alice, (sent){.method = "GET", .path = "/auth/nothing", .accept = "*/*"}),
                     404);
    assert_string_equal(header_of(&alice, "Content-Type"), "application/problem+json");
}

static void session_that_is_over_is_said_on_the_way_to_the_login(void **state)
{
    (void)state;
    alice_is_in();
    test_clock_advance_ms(3600 * 1000);
    assert_int_equal(page(&alice, "/auth/account"), 303);
    assert_string_equal(header_of(&alice, "Location"),
                        "/auth/login?return=/auth/account&notice=session_over");
    assert_null(cookie_of(&alice, "latchkey"));
}

static void style_and_logo_are_kept_for_good_under_the_name_of_their_content(void **state)
{
    (void)state;
    for (int i = 0; i < LK_WEB_ASSETS; i++) {
        char path[128];
        snprintf(path, sizeof(path), "/auth/assets/%s", lk__web_assets[i].name);
        assert_int_equal(page(&alice, path), 200);
        assert_string_equal(header_of(&alice, "Content-Type"), lk__web_assets[i].media_type);
        assert_string_equal(header_of(&alice, "Cache-Control"), "public, max-age=31536000, immutable");
        assert_int_equal(strlen(alice.body), lk__web_assets[i].len);
    }
    assert_int_equal(page(&alice, "/auth/login"), 200);
    assert_non_null(strstr(alice.body, lk__web_assets[LK_WEB_STYLE].name));
}

static void registration_that_is_off_is_not_offered(void **state)
{
    (void)state;
    assert_int_equal(page(&alice, "/auth/login"), 200);
    assert_non_null(strstr(alice.body, "/auth/register"));
    shop.w.settings.registration = false;
    assert_int_equal(page(&alice, "/auth/login"), 200);
    assert_null(strstr(alice.body, "/auth/register"));
    assert_int_equal(page(&alice, "/auth/register"), 403);
}

static void form_login_never_answers_with_a_token(void **state)
{
    (void)state;
    enroll(&shop, &alice, "alice", GOOD_PASSWORD);
    assert_int_equal(page(&alice, "/auth/login"), 200);
    assert_int_equal(submit(&alice, "/auth/login", ALICE "&credential=jwt&carrier=header"), 303);
    assert_int_equal(strlen(cookie_of(&alice, "latchkey")), LK_SESSION_ID_LEN);
    assert_int_equal(strlen(alice.body), 0);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, open_shop, close_shop)
    const struct CMUnitTest tests[] = {
        T(visitor_registers_logs_in_and_logs_out_with_forms_alone),
        T(logout_leads_back_where_it_was_asked_for_and_to_no_other_site),
        T(wrong_password_shows_the_form_again_with_the_name_and_no_password),
        T(broken_rule_is_named_on_the_form),
        T(broken_rule_is_told_in_the_language_of_the_page),
        T(login_form_of_another_visitor_is_refused),
        T(token_from_before_the_login_is_worth_nothing_after_it),
        T(cross_site_form_with_a_good_token_is_still_refused),
        T(old_browser_that_sends_no_origin_works_by_the_form_token),
        T(form_cookie_has_the_host_prefix_where_cookies_are_secure),
        T(login_never_leads_to_another_site),
        T(name_made_of_html_is_shown_as_text),
        T(account_lists_my_sessions_and_ends_one_after_asking),
        T(all_others_and_everywhere_are_ended_by_forms),
        T(password_is_changed_by_a_form),
        T(language_is_chosen_by_the_link_the_cookie_or_the_browser),
        T(every_page_is_rendered_whole_in_every_language),
        T(browser_at_a_wrong_address_gets_a_page_and_a_program_a_document),
        T(session_that_is_over_is_said_on_the_way_to_the_login),
        T(style_and_logo_are_kept_for_good_under_the_name_of_their_content),
        T(registration_that_is_off_is_not_offered),
        T(form_login_never_answers_with_a_token),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
