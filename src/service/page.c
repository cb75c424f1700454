/* SPDX-License-Identifier: Apache-2.0
 *
 * page.c - what every page has in common: frame, language, form token, headers.
 */
#include "service/cookie.h"
#include "service/text.h"
#include "service/web.h"

#include "service/call.h"

#include "carrier/carrier.h"

#include <string.h>

#define PAGE_MAX 262144 /* bytes of a page, above any list of sessions we show */
#define LANGUAGE_LIFE_S 31536000

static const struct {
    const char *tag;
} languages[LK_LANGUAGE_COUNT] = {[LK_LANGUAGE_EN] = {"en"}, [LK_LANGUAGE_ZH_CN] = {"zh-CN"}};

static const struct {
    const char *page, *title;
} titles[] = {
    {"login", "login_title"},      {"register", "register_title"}, {"password", "password_title"},
    {"account", "account_title"},  {"confirm", "sign_out"},        {"problem", "problem_title"},
    {"api_key", "key_made_title"},
};

/* The text for KEY in the catalogue at CATALOGUE, a sorted array. */
static const char *translate(const void *catalogue, lk_view key)
{
    const lk__web_text *texts = catalogue;
    size_t low = 0, high = lk__web_texts_n;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        lk_view there = lk_view_of(texts[middle].key);
        size_t n = there.len < key.len ? there.len : key.len;
        int order = n == 0 ? 0 : memcmp(there.p, key.p, n);
        if (order == 0 && there.len == key.len)
            return texts[middle].text;
        if (order < 0 || (order == 0 && there.len < key.len))
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

static const char *text_of(const lk__call *c, const char *key)
{
    const char *text = translate(lk__web_texts[c->language], lk_view_of(key));
    return text == NULL ? key : text;
}

lk_view lk__page_problem_text(const lk__call *c, const char *word, lk_view detail)
{
    uint8_t memory[64];
    lk_buf key = lk_buf_over(memory, sizeof(memory));
    lk_buf_add_text(&key, "problem.");
    lk_buf_add_text(&key, word);
    const char *text = key.full ? NULL : translate(lk__web_texts[c->language], lk_buf_view(&key));
    return text == NULL ? detail : lk_view_of(text);
}

static bool is_digit(uint8_t c)
{
    return c >= '0' && c <= '9';
}

/* The first number in TEXT: from OFFSET on, LEN digits; none: LEN is 0. */
static size_t find_number(lk_view text, size_t *len)
{
    size_t from = 0;
    while (from < text.len && !is_digit(text.p[from]))
        from++;
    for (*len = 0; from + *len < text.len && is_digit(text.p[from + *len]);)
        ++*len;
    return from;
}

/* Who checks a rule says in English which one is broken. The catalogues have these sentences as keys, with #
 * for the number in them, which is a setting. */
void lk__page_rule(lk__call *c, lk_view sentence, lk__scope *scope)
{
    size_t digits, at = find_number(sentence, &digits);
    lk_buf key = lk__arena_buf(c->arena, sentence.len + 8);
    lk_buf_add_text(&key, "rule.");
    lk_buf_add(&key, lk_view_part(sentence, 0, at));
    lk_buf_add_text(&key, digits > 0 ? "#" : "");
    lk_buf_add(&key, lk_view_part(sentence, at + digits, sentence.len));
    const char *text = key.full ? NULL : translate(lk__web_texts[c->language], lk_buf_view(&key));
    if (text == NULL) {
        lk__scope_text(scope, "error_detail", sentence);
        lk__scope_flag(scope, "detail_is_english", true);
        return;
    }
    size_t hole = lk_view_find(lk_view_of(text), '#');
    lk_buf out = lk__arena_buf(c->arena, strlen(text) + digits);
    lk_buf_add(&out, lk_view_part(lk_view_of(text), 0, hole));
    lk_buf_add(&out, lk_view_part(sentence, at, digits));
    lk_buf_add(&out, lk_view_part(lk_view_of(text), hole + 1, strlen(text)));
    lk__scope_text(scope, "error_detail", lk_buf_view(&out));
}

/* ?lang=, then the cookie that an earlier ?lang= left, then what the browser asks for. */
lk__language lk__page_language(const lk__call *c)
{
    lk__language language;
    lk_view value = lk__query_text(c, LK_VIEW("lang"));
    if (lk__language_of(value, &language) == LK_OK)
        return language;
    if (lk_cookie_find(c->req->presented.cookies, c->req->presented.cookies_n, LK_VIEW("latchkey_lang"),
                       &value) == LK_OK &&
        lk__language_of(value, &language) == LK_OK)
        return language;
    return lk__accept_language(c->req->accept_language);
}

void lk__page_keep_language(lk__call *c)
{
    lk__language language;
    if (lk__language_of(lk__query_text(c, LK_VIEW("lang")), &language) != LK_OK)
        return;
    lk__cookie cookie = {.name = LK_VIEW("latchkey_lang"),
                         .value = lk_view_of(languages[language].tag),
                         .path = LK_VIEW("/"),
                         .ends = true,
                         .age_s = LANGUAGE_LIFE_S,
                         .secure = c->s->settings->cookie_secure,
                         .samesite = LK_SAMESITE_LAX};
    (void)lk__answer_cookie(c, &cookie);
}

lk_view lk__page_return(lk__call *c)
{
    lk_view wanted = {0};
    if (lk__body_text(c, LK_VIEW("return"), &wanted) != LK_OK)
        wanted = lk__query_text(c, LK_VIEW("return"));
    if (wanted.len == 0)
        return (lk_view){0};
    lk_buf origin = lk__arena_buf(c->arena, c->req->host.len + 16);
    lk_buf out = lk__arena_buf(c->arena, wanted.len * 3 + 16);
    lk_buf_add(&origin, c->req->scheme);
    lk_buf_add_text(&origin, "://");
    lk_buf_add(&origin, c->req->host);
    if (lk_redirect_check(lk_buf_view(&origin), wanted, &out, NULL) != LK_OK)
        return (lk_view){0};
    return lk_buf_view(&out);
}

lk_view lk__page_link(lk__call *c, const char *path, lk_view return_to)
{
    lk_buf out = lk__arena_buf(c->arena, 256 + return_to.len * 3);
    lk_buf_add_text(&out, c->s->settings->prefix);
    lk_buf_add_text(&out, path);
    if (return_to.len > 0) {
        lk_buf_add_text(&out, "?return=");
        lk__query_add(&out, return_to);
    }
    return lk_buf_view(&out);
}

/* This page in another language. */
static lk_view language_link(lk__call *c, lk__language language)
{
    lk_view return_to = lk__page_return(c);
    lk_buf out = lk__arena_buf(c->arena, 64 + c->req->path.len + return_to.len * 3);
    lk_buf_add(&out, c->req->path);
    lk_buf_add_text(&out, "?lang=");
    lk_buf_add_text(&out, languages[language].tag);
    if (return_to.len > 0) {
        lk_buf_add_text(&out, "&return=");
        lk__query_add(&out, return_to);
    }
    return lk_buf_view(&out);
}

static lk_view asset_path(lk__call *c, int asset)
{
    lk_buf out = lk__arena_buf(c->arena, 256);
    lk_buf_add_text(&out, c->s->settings->prefix);
    lk_buf_add_text(&out, "/assets/");
    lk_buf_add_text(&out, lk__web_assets[asset].name);
    return lk_buf_view(&out);
}

static lk_view title_of(lk__call *c, const char *page, bool is_error)
{
    lk_buf out = lk__arena_buf(c->arena, 256);
    /* People who hear pages hear the title first: that something went wrong belongs at its front. */
    if (is_error) {
        lk_buf_add_text(&out, text_of(c, "problem_title"));
        lk_buf_add_text(&out, " - ");
    }
    for (size_t i = 0; i < sizeof(titles) / sizeof(titles[0]); i++) {
        if (strcmp(titles[i].page, page) == 0 && !(is_error && strcmp(page, "problem") == 0))
            lk_buf_add_text(&out, text_of(c, titles[i].title));
    }
    lk_buf_add_text(&out, " - latchkey");
    return lk_buf_view(&out);
}

/* What head.html, foot.html and the forms show. */
static void add_frame(lk__call *c, const char *name, int status, lk__scope *scope)
{
    lk_buf min = lk__arena_buf(c->arena, 16);
    lk_buf_add_i64(&min, c->s->settings->password_min);
    lk__scope_text(scope, "lang", lk_view_of(languages[c->language].tag));
    lk__scope_text(scope, "title", title_of(c, name, status >= 400 && strcmp(name, "problem") != 0));
    lk__scope_text(scope, "style_path", asset_path(c, LK_WEB_STYLE));
    lk__scope_text(scope, "logo_path", asset_path(c, LK_WEB_LOGO));
    lk__scope_text(scope, "home_path", lk__path(c, "/account"));
    lk__scope_text(scope, "account_path", lk__path(c, "/account"));
    lk__scope_text(scope, "logout_path", lk__path(c, "/logout"));
    lk__scope_text(scope, "lang_en_path", language_link(c, LK_LANGUAGE_EN));
    lk__scope_text(scope, "lang_zh_path", language_link(c, LK_LANGUAGE_ZH_CN));
    lk__scope_text(scope, "password_min", lk_buf_view(&min));
    if (c->id->logged_in)
        lk__scope_text(scope, "user_name", lk_view_of(c->id->name[0] == '\0' ? c->id->user : c->id->name));
}

/* Nothing but our own style sheet, logo and forms. The Referrer-Policy must not be no-referrer: browsers then
 * send `Origin: null` with our own forms, and a form of ours could not be told from a foreign one. */
static void add_page_headers(lk__call *c)
{
    lk__answer_header(c, "Content-Security-Policy",
                      LK_VIEW("default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; "
                              "base-uri 'none'; frame-ancestors 'none'"));
    lk__answer_header(c, "Referrer-Policy", LK_VIEW("same-origin"));
    lk__answer_header(c, "Content-Language", lk_view_of(languages[c->language].tag));
}

static const lk__web_page *find_page(const char *name)
{
    const lk__web_page *page = lk__web_pages;
    while (page->name != NULL && strcmp(page->name, name) != 0)
        page++;
    return page;
}

static void render(lk__call *c, int status, const char *name, lk__scope *scope)
{
    const lk__web_page *page = find_page(name);
    lk_buf body = lk__arena_buf(c->arena, PAGE_MAX);
    if (page->name == NULL || lk__template_render(lk_view_make(page->text, page->len), scope, translate,
                                                  lk__web_texts[c->language], &body) != LK_OK) {
        lk__answer_unavailable(c);
        return;
    }
    add_page_headers(c);
    lk__answer(c, status, "text/html; charset=utf-8", &body);
}

void lk__page(lk__call *c, int status, const char *name, lk__scope *scope)
{
    lk_view token;
    if (!lk__form_token(c, &token))
        return;
    add_frame(c, name, status, scope);
    lk__scope_text(scope, "csrf", token);
    render(c, status, name, scope);
}

/* No form on it, so no token: it works while the store is away. */
void lk__page_problem(lk__call *c, int status, const char *word, lk_view detail)
{
    lk__scope scope = {.n = 0};
    add_frame(c, "problem", status, &scope);
    lk__scope_text(&scope, "error", lk__page_problem_text(c, word, detail));
    lk__page_rule(c, detail, &scope);
    render(c, status, "problem", &scope);
}
