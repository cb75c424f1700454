/* SPDX-License-Identifier: Apache-2.0
 *
 * link.c - does a link lead back to the site, and where in it does the id go?
 *
 * Read as browsers read URLs (WHATWG): whatever they could take for another host, or for no path at all, is
 * left alone, and so is what they would not read as it stands. A link that stays as it is loses a visitor
 * without cookies; an id that goes to another host is lost itself.
 */
#include "carrier/link.h"
#include "carrier/carrier.h"
#include <latchkey/base64url.h>
#include <string.h>

enum { START, SLASH, FIRST, ORIGIN, PATH, DONE };
/* What is known of the last segment. */
enum { EMPTY, DOT, DOTS, WORD };

static uint8_t lower(uint8_t c)
{
    return c >= 'A' && c <= 'Z' ? (uint8_t)(c + 32) : c;
}

void lk_link_begin(lk_link *l, bool html, bool relative)
{
    *l = (lk_link){.state = START, .html = html, .relative = relative};
}

bool lk_link_is_done(const lk_link *l)
{
    return l->state == DONE;
}

static lk_view leave(lk_link *l)
{
    l->state = DONE;
    return (lk_view){0};
}

static lk_view put(lk_link *l, lk_view what)
{
    l->state = DONE;
    l->ours = true;
    return what;
}

/* `..;lk=ID` would be a segment of that name, and no way up any more: the id gets a segment of its own. */
static lk_view put_in_path(lk_link *l, const lk_links *links)
{
    bool has_one = l->param == 4;
    if (has_one || l->blank) {
        l->ours = true;
        return leave(l);
    }
    return put(l, l->segment == DOT || l->segment == DOTS ? links->slash : links->param);
}

/* `.` in any of its spellings makes one dot more, anything else a word. Browsers take tabs and newlines out.
 */
static void read_dots(lk_link *l, uint8_t c)
{
    bool escaped = l->escape == 2 && lower(c) == 'e', plain = l->escape == 0;
    if (l->blank && c != ' ')
        return;
    if (l->escape == 1 && c == '2') {
        l->escape = 2;
        return;
    }
    l->escape = plain && c == '%' && l->segment < DOTS;
    if (l->escape != 0)
        return;
    bool dot = escaped || (plain && c == '.');
    l->segment = dot && l->segment < DOTS ? (uint8_t)(l->segment + 1) : WORD;
}

static void read_segment(lk_link *l, uint8_t c)
{
    static const char mark[] = ";lk=";
    if (l->param < 4)
        l->param = c == (uint8_t)mark[l->param] ? (uint8_t)(l->param + 1) : c == ';';
    if (c != '/' && c != '\\') {
        read_dots(l, c);
        return;
    }
    l->segment = EMPTY;
    l->escape = 0;
}

/* A byte of the path. In an attribute, `&quest;` would end it. */
static lk_view feed_path(lk_link *l, const lk_links *links, int c)
{
    if (c < 0 || c == '?' || c == '#') {
        if (l->escape != 0)
            l->segment = WORD;
        return put_in_path(l, links);
    }
    if (c == 0 || (l->html && c == '&'))
        return leave(l);
    l->blank = c <= 0x20;
    read_segment(l, (uint8_t)c);
    return (lk_view){0};
}

/* Behind the slash at the front: what could make a host of the rest? A tab is taken out by browsers. */
static lk_view feed_slash(lk_link *l, const lk_links *links, int c)
{
    if (c >= 0 && (c < 0x20 || c == '/' || c == '\\' || (l->html && c == '&')))
        return leave(l);
    l->state = PATH;
    return feed_path(l, links, c);
}

static bool follows_origin(lk_link *l, const lk_links *links, int c)
{
    if (c < 0 || l->origin >= links->origin.len || lower((uint8_t)c) != links->origin.p[l->origin])
        return false;
    l->origin++;
    return true;
}

/* The first segment of a relative link, or a scheme. */
static lk_view feed_first(lk_link *l, const lk_links *links, int c)
{
    bool follows = follows_origin(l, links, c);
    if (!follows)
        l->origin = UINT16_MAX;
    if (c == ':') {
        l->state = follows ? ORIGIN : DONE;
        return (lk_view){0};
    }
    if (c >= 0 && (c < 0x20 || (l->html && c == '&')))
        return leave(l);
    bool ends = c < 0 || c == '/' || c == '\\' || c == '?' || c == '#';
    if (ends && !l->relative)
        return leave(l);
    if (ends)
        l->state = PATH;
    if (ends || c == ' ')
        return feed_path(l, links, c);
    l->blank = false;
    read_segment(l, (uint8_t)c);
    return (lk_view){0};
}

static lk_view feed_origin(lk_link *l, const lk_links *links, int c)
{
    if (l->origin < links->origin.len) {
        if (!follows_origin(l, links, c))
            return leave(l);
        return (lk_view){0};
    }
    if (c < 0 || c == '?' || c == '#')
        return put(l, links->slash);
    if (c != '/')
        return leave(l); /* a port, a longer name, a password */
    l->state = PATH;
    l->segment = EMPTY;
    return (lk_view){0};
}

static lk_view feed_start(lk_link *l, const lk_links *links, int c)
{
    bool other = c == '#' || c == '\\' || c == ':' || c == 0 || (l->html && c == '&');
    if (c > 0 && c <= 0x20)
        return (lk_view){0};
    if (other || (!l->relative && (c < 0 || c == '/' || c == '?')))
        return leave(l);
    if (c < 0 || c == '?')
        return put(l, !l->html ? (lk_view){0} : c < 0 ? links->self : links->here);
    l->state = c == '/' ? SLASH : FIRST;
    return c == '/' ? (lk_view){0} : feed_first(l, links, c);
}

lk_view lk_link_feed(lk_link *l, const lk_links *links, int c)
{
    switch (l->state) {
    case START:
        return feed_start(l, links, c);
    case SLASH:
        return feed_slash(l, links, c);
    case FIRST:
        return feed_first(l, links, c);
    case ORIGIN:
        return feed_origin(l, links, c);
    case PATH:
        return feed_path(l, links, c);
    default:
        return (lk_view){0};
    }
}

const uint8_t *lk_link_run(lk_link *l, const uint8_t *p, const uint8_t *end)
{
    const uint8_t *from = p;
    if (l->state != PATH || (l->param != 0 && l->param != 4))
        return p;
    while (p < end && ((lower(*p) >= 'a' && lower(*p) <= 'z') || (*p >= '0' && *p <= '9') || *p == '-'))
        p++;
    /* An escape is at work for one or two bytes more. */
    if (p == from || l->escape != 0)
        return from;
    l->segment = WORD;
    l->blank = false;
    return p;
}

/* ---- what is added ---- */

/* The address of a page is what a visitor typed: whatever could mean something in an attribute is escaped. */
static void add_escaped(lk_buf *out, lk_view v)
{
    static const char plain[] = "-._~!$()*+,;=:@%/?";
    for (size_t i = 0; i < v.len; i++) {
        uint8_t c = v.p[i], l = lower(c);
        if ((l >= 'a' && l <= 'z') || (c >= '0' && c <= '9') || (c != 0 && strchr(plain, c) != NULL))
            lk_buf_add_byte(out, c);
        else if (c == '&')
            lk_buf_add_text(out, "&amp;");
        else
            lk_buf_add_printf(out, "%%%02X", c);
    }
}

static lk_view since(const lk_buf *b, size_t from)
{
    return lk_view_make(b->p + from, b->len - from);
}

/* `./` in front: a segment such as `a:b` would be read as a scheme. */
static void describe_page(lk_links *links, lk_buf *b, lk_view page)
{
    lk_view path = lk_view_part(page, 0, lk_view_find(page, '?'));
    size_t name = path.len;
    while (name > 0 && path.p[name - 1] != '/')
        name--;
    if (page.len > LK_LINK_HERE_MAX || name == 0)
        return;
    size_t from = b->len;
    lk_buf_add_text(b, " action=\"");
    size_t self = b->len;
    lk_buf_add_text(b, "./");
    add_escaped(b, lk_view_part(path, name, path.len));
    lk_buf_add(b, links->param);
    lk_view here = since(b, self);
    add_escaped(b, lk_view_part(page, path.len, page.len));
    lk_view whole = since(b, self);
    lk_buf_add_byte(b, '"');
    if (lk_buf_status(b) != LK_OK)
        return;
    links->here = here;
    links->self = whole;
    links->action = since(b, from);
}

lk_status lk_links_init(lk_links *links, lk_view origin, lk_view page, lk_view id)
{
    memset(links, 0, offsetof(lk_links, memory));
    lk_buf b = lk_buf_over(links->memory, sizeof(links->memory));
    if (id.len != LK_URL_ID_LEN || !lk_is_base64url(id))
        return LK_REFUSED;
    lk_buf_add_text(&b, "/;lk=");
    lk_buf_add(&b, id);
    links->slash = since(&b, 0);
    links->param = lk_view_part(links->slash, 1, links->slash.len);
    size_t from = b.len;
    for (size_t i = 0; i < origin.len && origin.len <= LK_LINK_ORIGIN_MAX - 48; i++)
        lk_buf_add_byte(&b, lower(origin.p[i]));
    links->origin = since(&b, from);
    describe_page(links, &b, page);
    return LK_OK;
}

/* ---- header fields ---- */

/* Append URL up to QUOTE (0: all of it). */
static bool add_url(const lk_links *links, lk_view url, uint8_t quote, lk_buf *out)
{
    lk_link l;
    size_t end = quote != 0 ? lk_view_find(url, quote) : url.len;
    bool added = false;
    lk_link_begin(&l, false, true);
    for (size_t i = 0; i <= end; i++) {
        lk_view more = lk_link_feed(&l, links, i < end ? url.p[i] : -1);
        lk_buf_add(out, more);
        added |= more.len > 0;
        if (i < end)
            lk_buf_add_byte(out, url.p[i]);
    }
    lk_buf_add(out, lk_view_part(url, end, url.len));
    return added;
}

bool lk_links_add(const lk_links *links, lk_view url, lk_buf *out)
{
    return add_url(links, url, 0, out);
}

/* HTML, "shared declarative refresh steps": a number, `;` or `,`, and `url=` with or without quotes. */
enum { R_NUMBER, R_DIGITS, R_MARK, R_U, R_R, R_L, R_EQUALS, R_URL };

lk_refresh_step lk_refresh_feed(lk_refresh *r, uint8_t c)
{
    static const char word[] = "url";
    bool blank = c == ' ' || (c >= 9 && c <= 13), digit = c >= '0' && c <= '9';
    switch (r->state) {
    case R_NUMBER:
    case R_DIGITS:
        if (digit || c == '.')
            r->state = R_DIGITS;
        else if (r->state == R_DIGITS && (c == ';' || c == ','))
            r->state = R_U;
        else if (r->state == R_DIGITS && blank)
            r->state = R_MARK;
        else if (!blank)
            return LK_REFRESH_NEVER;
        return LK_REFRESH_NOT_YET;
    case R_MARK:
        if (c == ';' || c == ',')
            r->state = R_U;
        return blank || r->state == R_U ? LK_REFRESH_NOT_YET : LK_REFRESH_NEVER;
    case R_U:
    case R_R:
    case R_L:
        if (r->state == R_U && blank)
            return LK_REFRESH_NOT_YET;
        if (lower(c) != (uint8_t)word[r->state - R_U])
            return LK_REFRESH_NEVER;
        r->state++;
        return LK_REFRESH_NOT_YET;
    case R_EQUALS:
        if (c == '=')
            r->state = R_URL;
        return blank || c == '=' ? LK_REFRESH_NOT_YET : LK_REFRESH_NEVER;
    default:
        if (blank)
            return LK_REFRESH_NOT_YET;
        r->quote = c == '"' || c == '\'' ? c : 0;
        return r->quote != 0 ? LK_REFRESH_URL_NEXT : LK_REFRESH_URL;
    }
}

bool lk_links_add_refresh(const lk_links *links, lk_view value, lk_buf *out)
{
    lk_refresh r = {0};
    for (size_t i = 0; i < value.len; i++) {
        lk_refresh_step step = lk_refresh_feed(&r, value.p[i]);
        if (step == LK_REFRESH_NEVER)
            break;
        if (step == LK_REFRESH_NOT_YET)
            continue;
        size_t from = step == LK_REFRESH_URL ? i : i + 1;
        lk_buf_add(out, lk_view_part(value, 0, from));
        return add_url(links, lk_view_part(value, from, value.len), r.quote, out);
    }
    lk_buf_add(out, value);
    return false;
}
