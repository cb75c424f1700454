/* SPDX-License-Identifier: Apache-2.0
 *
 * template.c - the renderer: one pass over the template, a small stack of open blocks, no recursion.
 */
#include "service/template.h"

#include "service/text.h"

typedef enum block_kind { BLOCK_IF, BLOCK_EACH } block_kind;

/* One open {{#if}} or {{#each}}. */
typedef struct open_block {
    block_kind kind;
    bool shown;  /* what is inside now is written */
    bool hidden; /* an outer block is not shown, so nothing in here is */
    bool chosen; /* if: its first branch was the one; {{else}} turns `shown` round */
    const lk__scope *rows;
    size_t rows_n, row;
    size_t body; /* each: where its body begins in the template */
} open_block;

typedef struct rendering {
    lk_view source;
    size_t at;
    const lk__scope *root;
    lk__translate translate;
    const void *catalogue;
    open_block blocks[LK_TEMPLATE_DEPTH_MAX];
    size_t depth;
    lk_buf *out;
} rendering;

static lk__value *scope_next(lk__scope *scope, const char *name)
{
    if (scope->n == LK_SCOPE_VALUES_MAX) {
        scope->full = true;
        return NULL;
    }
    lk__value *value = &scope->values[scope->n++];
    *value = (lk__value){.name = name};
    return value;
}

void lk__scope_text(lk__scope *scope, const char *name, lk_view text)
{
    lk__value *value = scope_next(scope, name);
    if (value != NULL)
        value->text = text;
}

void lk__scope_flag(lk__scope *scope, const char *name, bool on)
{
    lk__scope_text(scope, name, on ? LK_VIEW("1") : LK_VIEW(""));
}

void lk__scope_rows(lk__scope *scope, const char *name, const lk__scope *rows, size_t n)
{
    lk__value *value = scope_next(scope, name);
    if (value != NULL) {
        value->rows = rows;
        value->rows_n = n;
    }
}

static const lk__value *scope_get(const lk__scope *scope, lk_view name)
{
    for (size_t i = scope->n; i > 0; i--) {
        if (lk_view_equal(lk_view_of(scope->values[i - 1].name), name))
            return &scope->values[i - 1];
    }
    return NULL;
}

/* NAME in the innermost row that has it, else in the page. */
static const lk__value *find_value(const rendering *r, lk_view name)
{
    for (size_t i = r->depth; i > 0; i--) {
        const open_block *b = &r->blocks[i - 1];
        if (b->kind != BLOCK_EACH || b->row >= b->rows_n)
            continue;
        const lk__value *value = scope_get(&b->rows[b->row], name);
        if (value != NULL)
            return value;
    }
    return scope_get(r->root, name);
}

static bool is_shown(const rendering *r)
{
    return r->depth == 0 || r->blocks[r->depth - 1].shown;
}

static lk_status open_block_of(rendering *r, block_kind kind, lk_view name)
{
    if (r->depth == LK_TEMPLATE_DEPTH_MAX)
        return LK_REFUSED;
    bool hidden = !is_shown(r);
    const lk__value *value = find_value(r, name);
    open_block *b = &r->blocks[r->depth++];
    *b = (open_block){.kind = kind, .hidden = hidden, .body = r->at};
    if (value != NULL && kind == BLOCK_EACH) {
        b->rows = value->rows;
        b->rows_n = value->rows_n;
    }
    b->chosen =
        value != NULL && (kind == BLOCK_EACH ? value->rows_n > 0 : value->rows_n > 0 || value->text.len > 0);
    b->shown = b->chosen && !hidden;
    return LK_OK;
}

static lk_status turn_round(rendering *r)
{
    if (r->depth == 0 || r->blocks[r->depth - 1].kind != BLOCK_IF)
        return LK_REFUSED;
    open_block *b = &r->blocks[r->depth - 1];
    b->shown = !b->chosen && !b->hidden;
    return LK_OK;
}

static lk_status close_block(rendering *r, block_kind kind)
{
    if (r->depth == 0 || r->blocks[r->depth - 1].kind != kind)
        return LK_REFUSED;
    open_block *b = &r->blocks[r->depth - 1];
    if (kind == BLOCK_EACH && b->shown && b->row + 1 < b->rows_n) {
        b->row++;
        r->at = b->body;
        return LK_OK;
    }
    r->depth--;
    return LK_OK;
}

static void write_value(rendering *r, lk_view name)
{
    if (!is_shown(r))
        return;
    if (lk_view_equal(lk_view_part(name, 0, 2), LK_VIEW("t."))) {
        lk_view key = lk_view_part(name, 2, name.len);
        const char *text = r->translate == NULL ? NULL : r->translate(r->catalogue, key);
        lk__html_add(r->out, text == NULL ? key : lk_view_of(text));
        return;
    }
    const lk__value *value = find_value(r, name);
    if (value != NULL)
        lk__html_add(r->out, value->text);
}

/* The rest of TAG behind WORD and a blank, or false. */
static bool tag_begins(lk_view tag, lk_view word, lk_view *rest)
{
    if (!lk_view_equal(lk_view_part(tag, 0, word.len), word))
        return false;
    *rest = lk_view_trim(lk_view_part(tag, word.len, tag.len));
    return true;
}

static lk_status do_tag(rendering *r, lk_view tag)
{
    lk_view name;
    if (tag_begins(tag, LK_VIEW("#if "), &name))
        return open_block_of(r, BLOCK_IF, name);
    if (tag_begins(tag, LK_VIEW("#each "), &name))
        return open_block_of(r, BLOCK_EACH, name);
    if (lk_view_equal(tag, LK_VIEW("else")))
        return turn_round(r);
    if (lk_view_equal(tag, LK_VIEW("/if")))
        return close_block(r, BLOCK_IF);
    if (lk_view_equal(tag, LK_VIEW("/each")))
        return close_block(r, BLOCK_EACH);
    if (tag.len == 0 || tag.p[0] == '#' || tag.p[0] == '/')
        return LK_REFUSED;
    write_value(r, tag);
    return LK_OK;
}

/* Where MARK (two equal bytes) is next from AT on, or the end. */
static size_t find_pair(lk_view v, size_t at, uint8_t mark)
{
    while (at + 1 < v.len) {
        at += lk_view_find(lk_view_part(v, at, v.len), mark);
        if (at + 1 < v.len && v.p[at + 1] == mark)
            return at;
        at++;
    }
    return v.len;
}

lk_status lk__template_render(lk_view source, const lk__scope *scope, lk__translate translate,
                              const void *catalogue, lk_buf *out)
{
    rendering r = {
        .source = source, .root = scope, .translate = translate, .catalogue = catalogue, .out = out};
    if (scope->full)
        return LK_FULL;
    while (r.at < source.len && !out->full) {
        size_t open = find_pair(source, r.at, '{');
        if (is_shown(&r))
            lk_buf_add(out, lk_view_part(source, r.at, open - r.at));
        if (open == source.len)
            break;
        size_t close = find_pair(source, open + 2, '}');
        if (close == source.len)
            return LK_REFUSED;
        r.at = close + 2;
        lk_status status = do_tag(&r, lk_view_trim(lk_view_part(source, open + 2, close - open - 2)));
        if (status != LK_OK)
            return status;
    }
    if (out->full)
        return LK_FULL;
    return r.depth == 0 ? LK_OK : LK_REFUSED;
}
