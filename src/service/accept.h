/* SPDX-License-Identifier: Apache-2.0
 *
 * accept.h - what the client sends and would like to receive: media types and languages.
 */
#ifndef LATCHKEY_SERVICE_ACCEPT_H
#define LATCHKEY_SERVICE_ACCEPT_H

#include <latchkey/bytes.h>

/* "application/json" of `application/json; charset=utf-8`: the part before the parameters, trimmed. */
lk_view lk__media_essence(lk_view content_type);

/* Does Accept prefer a page to JSON? Only when text/html has a higher weight than application/json: so
 * browsers get pages, and programs that say nothing or anything get JSON. RFC 9110 section 12.5.1. */
bool lk__accept_is_html(lk_view accept);

typedef enum lk__language { LK_LANGUAGE_EN, LK_LANGUAGE_ZH_CN, LK_LANGUAGE_COUNT } lk__language;

/* The language with that tag in any case ("en", "en-GB", "zh", "zh-Hans-CN" ...). LK_OK or LK_MISS. */
LK_CHECKED lk_status lk__language_of(lk_view tag, lk__language *out);

/* The best of our languages for Accept-Language; English when it names none. RFC 9110 section 12.5.4. */
lk__language lk__accept_language(lk_view accept_language);

#endif
