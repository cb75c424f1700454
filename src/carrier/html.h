/* SPDX-License-Identifier: Apache-2.0
 *
 * html.h - the session id is added to the links and forms of a page while it passes by.
 */
#ifndef LATCHKEY_CARRIER_HTML_H
#define LATCHKEY_CARRIER_HTML_H

#include "carrier/link.h"

/* A page on its way. All of it is state: nothing of the page is held back or copied, and a page may be cut
 * into chunks anywhere. */
typedef struct lk_html {
    const lk_links *links; /* borrowed for as long as the page lasts */
    lk_link link;
    lk_refresh refresh;
    uint8_t state;
    uint8_t tag;       /* which of those that have links, see html.c */
    uint8_t attribute; /* what its value is */
    uint8_t quote;     /* what the value ends at; 0: a blank or `>` */
    uint8_t name_len;  /* of the tag or attribute in `name` */
    uint8_t dashes;
    bool ends;      /* </tag> */
    bool fresh;     /* a comment of nothing but dashes so far */
    bool bang;      /* `--!` */
    bool given;     /* a form has an action */
    bool elsewhere; /* <base>: links without an origin lead to another site */
    bool moved;     /* <base>: they lead back to the site, but not to this page */
    char name[12];  /* in lower case */
    char raw[12];   /* the element whose text is no markup */
} lk_html;

void lk_html_begin(lk_html *h, const lk_links *links);
/* Read on. Gives how many bytes of CHUNK pass as they are; then *add follows them, which may be empty, and
 * the rest of CHUNK comes next. Only an empty CHUNK gives 0 and nothing to add. No page is refused: what
 * cannot be understood passes. */
size_t lk_html_step(lk_html *h, lk_view chunk, lk_view *add);

#endif
