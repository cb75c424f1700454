/* SPDX-License-Identifier: Apache-2.0
 *
 * web.h - what web/embed.py made of the files in web/.
 */
#ifndef LATCHKEY_SERVICE_WEB_H
#define LATCHKEY_SERVICE_WEB_H

#include "service/accept.h"

typedef struct lk__web_page {
    const char *name;
    size_t len;
    const char *text; /* a template */
} lk__web_page;
extern const lk__web_page lk__web_pages[]; /* the last one has no name */

typedef struct lk__web_text {
    const char *key, *text;
} lk__web_text;
extern const lk__web_text *const lk__web_texts[LK_LANGUAGE_COUNT]; /* each sorted by key */
extern const size_t lk__web_texts_n;

/* Files whose name holds a hash of what is in them: they never change. */
typedef struct lk__web_asset {
    const char *name, *media_type;
    size_t len;
    const char *data;
} lk__web_asset;
enum { LK_WEB_STYLE, LK_WEB_LOGO, LK_WEB_ASSETS };
extern const lk__web_asset lk__web_assets[LK_WEB_ASSETS];

#endif
