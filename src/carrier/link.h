/* SPDX-License-Identifier: Apache-2.0
 *
 * link.h - the session id is added to links that lead back to the site: one link at a time, byte by byte.
 */
#ifndef LATCHKEY_CARRIER_LINK_H
#define LATCHKEY_CARRIER_LINK_H

#include <latchkey/bytes.h>

#define LK_LINK_ORIGIN_MAX 288 /* scheme, a name of 255 and a port */
#define LK_LINK_HERE_MAX                                                                                     \
    1024 /* longer addresses of pages: links that lead to the page itself stay as they are */

/* What is added, and where to. Views point into the struct: it is not to be moved. Wipe when done. */
typedef struct lk_links {
    lk_view origin; /* "https://shop.example": in lower case, without a slash at the end; may be empty */
    lk_view param;  /* ";lk=ID" */
    lk_view slash;  /* "/;lk=ID", where the path ends in a dot segment, or there is none */
    lk_view here;   /* "./cart;lk=ID", in front of a query that stands alone; empty: such links stay */
    lk_view self;   /* "./cart;lk=ID?x=1&amp;y=2", for a link that is empty */
    lk_view action; /* ` action="SELF"`, for a form that has none */
    uint8_t memory[LK_LINK_ORIGIN_MAX + 3 * LK_LINK_HERE_MAX];
} lk_links;

/* ORIGIN is the site's; PAGE the path and query of the page that is answered, as they stand in the request
 * line and without an id. LK_OK; LK_REFUSED when ID has not the form of one. */
LK_CHECKED lk_status lk_links_init(lk_links *links, lk_view origin, lk_view page, lk_view id);

/* ---- one link ---- */

typedef struct lk_link {
    uint8_t state;
    uint8_t segment; /* of what the last segment consists, see link.c */
    uint8_t escape;  /* how much of %2e */
    uint8_t param;   /* how much of ;lk= */
    uint16_t origin; /* how much of the origin */
    bool html;       /* the text of an attribute: `&` begins a character reference */
    bool relative;   /* only with it do links without an origin lead back to the site */
    bool blank;      /* the last byte was one that browsers take off the end */
    bool ours;       /* it leads back to the site */
} lk_link;

void lk_link_begin(lk_link *l, bool html, bool relative);
/* What is to be put in front of the next byte C (-1: the end); empty for nothing. Once something was, or is
 * certain never to be, lk_link_is_done. */
lk_view lk_link_feed(lk_link *l, const lk_links *links, int c);
bool lk_link_is_done(const lk_link *l);
/* Feed bytes from P on, before END, at which nothing can be put: gives where it stopped. */
const uint8_t *lk_link_run(lk_link *l, const uint8_t *p, const uint8_t *end);

/* ---- a whole header field ---- */

/* Append URL, the value of Location, to OUT, with the id if it leads back to the site. True when it was
 * added. */
bool lk_links_add(const lk_links *links, lk_view url, lk_buf *out);
/* The same with the value of Refresh: `5; url=/next`. */
bool lk_links_add_refresh(const lk_links *links, lk_view value, lk_buf *out);

/* Where the URL begins in `5; url=/next`, byte by byte. */
typedef struct lk_refresh {
    uint8_t state;
    uint8_t quote; /* what the URL ends at, 0: nothing but the end */
} lk_refresh;

typedef enum lk_refresh_step {
    LK_REFRESH_NOT_YET,
    LK_REFRESH_URL,      /* this byte is the first of the URL */
    LK_REFRESH_URL_NEXT, /* the one after it is */
    LK_REFRESH_NEVER     /* it is no refresh */
} lk_refresh_step;
lk_refresh_step lk_refresh_feed(lk_refresh *r, uint8_t c);

#endif
