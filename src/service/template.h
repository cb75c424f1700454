/* SPDX-License-Identifier: Apache-2.0
 *
 * template.h - pages from templates: a value is always escaped, there is no way to say otherwise.
 *
 *   {{name}}                            the text of NAME, escaped for HTML text and quoted attributes
 *   {{t.key}}                           the text of KEY in the catalogue of the page's language, escaped
 *   {{#if name}} .. {{else}} .. {{/if}}  NAME has text or rows
 *   {{#each name}} .. {{/each}}          once for each row of NAME; the row's values hide those outside
 */
#ifndef LATCHKEY_SERVICE_TEMPLATE_H
#define LATCHKEY_SERVICE_TEMPLATE_H

#include <latchkey/bytes.h>

#define LK_SCOPE_VALUES_MAX 32
#define LK_TEMPLATE_DEPTH_MAX 8

typedef struct lk__scope lk__scope;

typedef struct lk__value {
    const char *name;
    lk_view text;
    const lk__scope *rows; /* for {{#each}}; NULL when it is a text */
    size_t rows_n;
} lk__value;

struct lk__scope {
    lk__value values[LK_SCOPE_VALUES_MAX];
    size_t n;
    bool full; /* a value did not fit: rendering answers LK_FULL */
};

/* Set NAME. An empty text is as good as none. NAME, TEXT and ROWS are kept until the page is rendered. */
void lk__scope_text(lk__scope *scope, const char *name, lk_view text);
void lk__scope_flag(lk__scope *scope, const char *name, bool on);
void lk__scope_rows(lk__scope *scope, const char *name, const lk__scope *rows, size_t n);

/* The text for KEY, or NULL. */
typedef const char *(*lk__translate)(const void *catalogue, lk_view key);

/* Append SOURCE rendered over SCOPE. LK_OK; LK_REFUSED for a template that is not well formed; LK_FULL when
 * OUT has no room. Unknown names are empty, an unknown key stands for itself. */
LK_CHECKED lk_status lk__template_render(lk_view source, const lk__scope *scope, lk__translate translate,
                                         const void *catalogue, lk_buf *out);

#endif
