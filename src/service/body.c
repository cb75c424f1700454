/* SPDX-License-Identifier: Apache-2.0
 *
 * body.c - reading what a client sent: JSON objects and forms through one set of questions.
 */
#include "service/call.h"

/* The note says "line 3, column 7: ..." for people; line and column are members of the document as well. */
bool lk__body_is_json(lk__call *c)
{
    lk_json_place place = {0};
    lk_note note = {{0}};
    lk_status status = lk_json_check(c->req->body, &place, &note);
    if (status == LK_OK)
        return true;
    lk_buf detail = lk__arena_buf(c->arena, sizeof(note.text));
    lk_buf_add_text(&detail, note.text[0] == '\0' ? "this is no JSON document latchkey reads" : note.text);
    lk__answer_malformed(c, status == LK_REFUSED ? &place : NULL, lk_buf_view(&detail));
    return false;
}

static bool read_json(lk__call *c)
{
    if (!lk__body_is_json(c))
        return false;
    lk_json_place start = {.offset = 0, .line = 1, .column = 1};
    size_t i = 0;
    while (i < c->req->body.len && c->req->body.p[i] <= ' ')
        i++;
    if (c->req->body.p[i] != '{') {
        lk__answer_malformed(c, &start, LK_VIEW("the body has to be a JSON object"));
        return false;
    }
    c->body_kind = LK_BODY_JSON;
    return true;
}

static bool read_form(lk__call *c)
{
    lk_status status = lk__form_read(c->req->body, c->arena, &c->form);
    if (status == LK_FAULT) {
        lk__answer_unavailable(c);
        return false;
    }
    if (status != LK_OK) {
        lk__answer_malformed(c, NULL, LK_VIEW("the form has too many fields"));
        return false;
    }
    c->body_kind = LK_BODY_FORM;
    return true;
}

bool lk__body_read(lk__call *c)
{
    lk_view type = lk__media_essence(c->req->content_type);
    bool required = (c->route->flags & LK_ROUTE_BODY) != 0;
    if (lk_view_equal_nocase(type, LK_VIEW("application/x-www-form-urlencoded")))
        return read_form(c);
    if (!required && c->req->body.len == 0)
        return true;
    if ((c->route->flags & LK_ROUTE_FORM) == 0 && lk_view_equal_nocase(type, LK_VIEW("application/json")))
        return read_json(c);
    if (!required)
        return true;
    lk__answer_problem(c, LK_PROBLEM_UNSUPPORTED_MEDIA_TYPE,
                       (c->route->flags & LK_ROUTE_FORM) != 0
                           ? LK_VIEW("send Content-Type: application/x-www-form-urlencoded")
                           : LK_VIEW("send Content-Type: application/json"));
    return false;
}

static lk_status json_text(lk__call *c, const lk_json_item *item, lk_view *out)
{
    if (item->type == LK_JSON_NULL)
        return LK_MISS;
    if (item->type != LK_JSON_STRING)
        return LK_REFUSED;
    lk_buf text = lk__arena_buf(c->arena, item->value.len);
    lk_status status = lk_json_string(item->value, &text);
    *out = lk_buf_view(&text);
    return status;
}

lk_status lk__body_text(lk__call *c, lk_view name, lk_view *out)
{
    lk_json_item item;
    *out = (lk_view){0};
    switch (c->body_kind) {
    case LK_BODY_FORM:
        return lk__form_get(&c->form, name, out);
    case LK_BODY_JSON:
        return lk_json_get(c->req->body, name, &item) == LK_OK ? json_text(c, &item, out) : LK_MISS;
    case LK_BODY_NONE:
        break;
    }
    return LK_MISS;
}

bool lk__body_need(lk__call *c, lk_view name, lk_view *out)
{
    lk_status status = lk__body_text(c, name, out);
    if (status == LK_OK && out->len > 0)
        return true;
    lk_buf detail = lk__arena_buf(c->arena, 128);
    lk_buf_add(&detail, name);
    lk_buf_add_text(&detail, status == LK_REFUSED ? " has to be one text" : " is missing or empty");
    lk__answer_problem(c, LK_PROBLEM_RULE_BROKEN, lk_buf_view(&detail));
    return false;
}

static lk_status array_words(lk__call *c, lk_view array, lk_view *out)
{
    lk_buf words = lk__arena_buf(c->arena, array.len);
    lk_json_item item;
    size_t at = 0;
    while (lk_json_next(array, &at, &item)) {
        size_t start = words.len + (words.len > 0 ? 1 : 0);
        if (item.type != LK_JSON_STRING)
            return LK_REFUSED;
        if (words.len > 0)
            lk_buf_add_byte(&words, ' ');
        if (lk_json_string(item.value, &words) != LK_OK)
            return LK_REFUSED;
        lk_view word = lk_view_part(lk_buf_view(&words), start, words.len);
        if (word.len == 0 || lk_view_find(word, ' ') < word.len)
            return LK_REFUSED;
    }
    *out = lk_buf_view(&words);
    return lk_buf_status(&words) == LK_OK ? LK_OK : LK_REFUSED;
}

bool lk__body_words(lk__call *c, const char *name, lk_view *out)
{
    lk_json_item item;
    lk_status status;
    *out = (lk_view){0};
    if (c->body_kind == LK_BODY_JSON && lk_json_get(c->req->body, lk_view_of(name), &item) == LK_OK &&
        item.type == LK_JSON_ARRAY)
        status = array_words(c, item.value, out);
    else
        status = lk__body_text(c, lk_view_of(name), out);
    if (status != LK_REFUSED)
        return true;
    lk_buf detail = lk__arena_buf(c->arena, 128);
    lk_buf_add_printf(&detail, "%s is one text of words, or an array of words", name);
    lk__answer_problem(c, LK_PROBLEM_RULE_BROKEN, lk_buf_view(&detail));
    return false;
}

lk_status lk__body_flag(lk__call *c, lk_view name, bool *out)
{
    lk_json_item item;
    lk_view text;
    *out = false;
    if (c->body_kind == LK_BODY_FORM) {
        lk_status status = lk__form_get(&c->form, name, &text);
        *out = status == LK_OK && text.len > 0 && !lk_view_equal(text, LK_VIEW("false"));
        return status;
    }
    if (c->body_kind == LK_BODY_NONE || lk_json_get(c->req->body, name, &item) != LK_OK ||
        item.type == LK_JSON_NULL)
        return LK_MISS;
    *out = item.type == LK_JSON_TRUE;
    return item.type == LK_JSON_TRUE || item.type == LK_JSON_FALSE ? LK_OK : LK_REFUSED;
}

lk_status lk__body_object(lk__call *c, lk_view name, lk_view *out)
{
    lk_json_item item;
    if (c->body_kind != LK_BODY_JSON || lk_json_get(c->req->body, name, &item) != LK_OK ||
        item.type == LK_JSON_NULL)
        return LK_MISS;
    *out = item.value;
    return item.type == LK_JSON_OBJECT ? LK_OK : LK_REFUSED;
}

lk_view lk__query_text(const lk__call *c, lk_view name)
{
    lk_view value = {0};
    return lk__form_get(&c->query, name, &value) == LK_OK ? value : (lk_view){0};
}
