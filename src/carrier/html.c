/* SPDX-License-Identifier: Apache-2.0
 *
 * html.c - the tokenizer of the HTML standard (section 13.2.5), as far as it takes to find links.
 *
 * It only ever adds: text after text passes as it came, and between two of them goes the id. So there is no
 * buffer, no bound on what a page may hold, and nothing that a broken page could break. What it does not
 * know: scripts within comments within scripts, and CDATA outside SVG and MathML, which it skips as such.
 */
#include "carrier/html.h"
#include <string.h>

enum {
    TEXT,
    OPEN,     /* < */
    MARKUP,   /* <! */
    COMMENT,  /* <!-- */
    CDATA,    /* <![CDATA[ */
    BOGUS,    /* until > */
    END_OPEN, /* </ */
    TAG_NAME,
    BETWEEN, /* attributes */
    ATTR_NAME,
    AFTER_NAME,
    BEFORE_VALUE,
    VALUE,    /* of no interest */
    LINK,     /* a value that is a link */
    REFRESH,  /* one that has a link in it */
    RAW,      /* text of <script> and its like */
    RAW_OPEN, /* < in it */
    RAW_END,  /* </ in it */
    REST      /* <plaintext> */
};

/* Elements with links that a visitor follows, and the attribute. What a page loads by itself (images,
 * styles, scripts) needs no session, and would carry the id to wherever it is cached. */
enum { NO_TAG, FORM, BASE, META, OTHER_TAG };
enum { NO_LINK, IS_LINK, IS_REFRESH };

static const struct {
    const char *tag, *attribute;
    uint8_t is, value;
} watched[] = {
    {"a", "href", OTHER_TAG, IS_LINK},           {"area", "href", OTHER_TAG, IS_LINK},
    {"form", "action", FORM, IS_LINK},           {"button", "formaction", OTHER_TAG, IS_LINK},
    {"input", "formaction", OTHER_TAG, IS_LINK}, {"iframe", "src", OTHER_TAG, IS_LINK},
    {"frame", "src", OTHER_TAG, IS_LINK},        {"base", "href", BASE, IS_LINK},
    {"meta", "content", META, IS_REFRESH},
};
enum { WATCHED = sizeof(watched) / sizeof(watched[0]) };

static const char *const raw_elements[] = {"script", "style",   "textarea", "title",    "xmp",
                                           "iframe", "noembed", "noframes", "plaintext"};

/* Their lengths, by what they begin with: most tags are told from all of them by that. */
#define LEN(n) (1u << (n))
static const uint16_t lengths[26] = {
    ['a' - 'a'] = LEN(1) | LEN(4), ['b' - 'a'] = LEN(4) | LEN(6), ['f' - 'a'] = LEN(4) | LEN(5),
    ['i' - 'a'] = LEN(5) | LEN(6), ['m' - 'a'] = LEN(4),          ['n' - 'a'] = LEN(7) | LEN(8),
    ['p' - 'a'] = LEN(9),          ['s' - 'a'] = LEN(5) | LEN(6), ['t' - 'a'] = LEN(5) | LEN(8),
    ['x' - 'a'] = LEN(3),
};

void lk_html_begin(lk_html *h, const lk_links *links)
{
    *h = (lk_html){.links = links, .state = TEXT};
}

static uint8_t lower(uint8_t c)
{
    return c >= 'A' && c <= 'Z' ? (uint8_t)(c + 32) : c;
}

static bool is_letter(uint8_t c)
{
    return lower(c) >= 'a' && lower(c) <= 'z';
}

enum { BLANK = 1, SLASH = 2, CLOSE = 4, EQUALS = 8 };
static const uint8_t classes[256] = {[' '] = BLANK,  ['\n'] = BLANK, ['\t'] = BLANK, ['\r'] = BLANK,
                                     ['\f'] = BLANK, ['/'] = SLASH,  ['>'] = CLOSE,  ['='] = EQUALS};

static inline bool is_blank(uint8_t c)
{
    return classes[c] == BLANK;
}

static void name_begin(lk_html *h)
{
    memset(h->name, 0, sizeof(h->name));
    h->name_len = 0;
}

/* A longer name is none of those that are looked for. */
static inline void name_add(lk_html *h, uint8_t c)
{
    if (h->name_len < sizeof(h->name) - 1)
        h->name[h->name_len++] = (char)lower(c);
    else
        h->name[0] = '\0';
}

static bool is_name(const lk_html *h, const char *word)
{
    return h->name[0] == word[0] && strcmp(h->name, word) == 0;
}

static bool is_of_interest(uint8_t first, size_t len)
{
    return is_letter(first) && len < 16 && (lengths[lower(first) - 'a'] & LEN(len)) != 0;
}

static void tag_known(lk_html *h)
{
    h->tag = NO_TAG;
    h->given = false;
    h->raw[0] = '\0';
    if (h->ends || !is_of_interest((uint8_t)h->name[0], h->name_len))
        return;
    for (size_t i = 0; i < WATCHED; i++)
        if (is_name(h, watched[i].tag))
            h->tag = (uint8_t)(i + 1);
    for (size_t i = 0; i < sizeof(raw_elements) / sizeof(raw_elements[0]); i++)
        if (is_name(h, raw_elements[i]))
            memcpy(h->raw, h->name, sizeof(h->raw));
}

static uint8_t kind_of_tag(const lk_html *h)
{
    return h->tag == 0 ? NO_TAG : watched[h->tag - 1].is;
}

static void attribute_known(lk_html *h)
{
    h->attribute = NO_LINK;
    if (h->tag == 0 || strcmp(h->name, watched[h->tag - 1].attribute) != 0)
        return;
    h->attribute = watched[h->tag - 1].value;
    h->given = true;
}

static void begin_value(lk_html *h, uint8_t quote)
{
    h->quote = quote;
    h->state = h->attribute == IS_LINK ? LINK : h->attribute == IS_REFRESH ? REFRESH : VALUE;
    h->refresh = (lk_refresh){0};
    /* Where <base> points is judged by itself. */
    lk_link_begin(&h->link, true, kind_of_tag(h) == BASE || !h->elsewhere);
}

/* The value of an attribute is over. The first <base> decides for all links, so one that leads away stays. */
static void end_value(lk_html *h)
{
    h->state = BETWEEN;
    if (kind_of_tag(h) != BASE || h->attribute != IS_LINK)
        return;
    h->elsewhere |= !h->link.ours;
    h->moved = true;
}

/* `>`. A form without an action goes to the page it is on, whose address may be without the id. */
static lk_view end_tag(lk_html *h)
{
    bool here = !h->elsewhere && !h->moved && h->links->action.len > 0;
    bool missing = kind_of_tag(h) == FORM && !h->given && here;
    h->given = true;
    if (missing)
        return h->links->action;
    h->state = h->raw[0] == '\0' ? TEXT : strcmp(h->raw, "plaintext") == 0 ? REST : RAW;
    return (lk_view){0};
}

/* What the link says about its next byte. */
static lk_view feed_link(lk_html *h, int c)
{
    lk_view add = lk_link_feed(&h->link, h->links, c);
    if (kind_of_tag(h) == BASE)
        return (lk_view){0};
    /* A link to the page itself is meant from where <base> points. */
    bool here = add.p == h->links->here.p && add.len > 0;
    return here && h->moved ? (lk_view){0} : add;
}

static bool ends_value(const lk_html *h, uint8_t c)
{
    return h->quote != 0 ? c == h->quote : is_blank(c) || c == '>';
}

/* ---- one byte in each state; what is added goes before it, and then it comes again ---- */

static lk_view in_link(lk_html *h, uint8_t c, bool *again)
{
    bool ends = ends_value(h, c);
    lk_view add = feed_link(h, ends || (h->refresh.quote != 0 && c == h->refresh.quote) ? -1 : c);
    if (add.len > 0)
        return add;
    if (ends) {
        end_value(h);
        *again = h->quote == 0;
    }
    return add;
}

static void in_refresh(lk_html *h, uint8_t c, bool *again)
{
    if (ends_value(h, c)) {
        h->state = BETWEEN;
        *again = h->quote == 0;
        return;
    }
    lk_refresh_step step = lk_refresh_feed(&h->refresh, c);
    if (step == LK_REFRESH_NEVER)
        h->state = VALUE;
    else if (step != LK_REFRESH_NOT_YET)
        h->state = LINK;
    *again = step == LK_REFRESH_URL;
}

static void in_value(lk_html *h, uint8_t c, bool *again)
{
    if (!ends_value(h, c))
        return;
    h->state = BETWEEN;
    *again = h->quote == 0;
}

static void in_markup(lk_html *h, uint8_t c)
{
    static const char dashes[] = "--", cdata[] = "[CDATA[";
    const char *word = h->name_len == 0 ? (c == '-' ? dashes : cdata) : h->name[0] == '-' ? dashes : cdata;
    if (c == '>') {
        h->state = TEXT;
        return;
    }
    if (c != (uint8_t)word[h->name_len]) {
        h->state = BOGUS;
        return;
    }
    h->name[h->name_len++] = (char)c;
    if (word[h->name_len] != '\0')
        return;
    h->state = word == dashes ? COMMENT : CDATA;
    h->dashes = 0;
    h->fresh = true;
    h->bang = false;
}

/* `-->`, `--!>`; `<!-->` and `<!--->` are comments too. */
static void in_comment(lk_html *h, uint8_t c)
{
    if (c == '>' && (h->dashes >= 2 || h->fresh || h->bang))
        h->state = TEXT;
    h->bang = c == '!' && h->dashes >= 2;
    h->fresh &= c == '-';
    h->dashes = c != '-' ? 0 : h->dashes < 2 ? (uint8_t)(h->dashes + 1) : 2;
}

static void in_cdata(lk_html *h, uint8_t c)
{
    if (c == '>' && h->dashes >= 2)
        h->state = TEXT;
    h->dashes = c != ']' ? 0 : h->dashes < 2 ? (uint8_t)(h->dashes + 1) : 2;
}

static void begin_tag(lk_html *h, bool ends)
{
    h->state = TAG_NAME;
    h->ends = ends;
    name_begin(h);
}

static void in_open(lk_html *h, uint8_t c, bool *again)
{
    name_begin(h);
    h->state = c == '!' ? MARKUP : c == '/' ? END_OPEN : c == '?' ? BOGUS : TEXT;
    if (is_letter(c))
        begin_tag(h, false);
    *again = is_letter(c) || h->state == TEXT;
}

static void in_end_open(lk_html *h, uint8_t c, bool *again)
{
    h->state = c == '>' ? TEXT : BOGUS;
    if (is_letter(c))
        begin_tag(h, true);
    *again = is_letter(c);
}

/* The name is over. */
static void in_tag_name(lk_html *h, bool *again)
{
    tag_known(h);
    h->state = BETWEEN;
    *again = true;
}

static lk_view in_between(lk_html *h, uint8_t c)
{
    if (is_blank(c) || c == '/')
        return (lk_view){0};
    if (c == '>')
        return end_tag(h);
    name_begin(h);
    name_add(h, c);
    h->state = ATTR_NAME;
    return (lk_view){0};
}

static void in_attr_name(lk_html *h, bool *again)
{
    attribute_known(h);
    h->state = AFTER_NAME;
    *again = true;
}

static void in_after_name(lk_html *h, uint8_t c, bool *again)
{
    if (is_blank(c))
        return;
    h->state = c == '=' ? BEFORE_VALUE : BETWEEN;
    *again = c != '=';
}

static void in_before_value(lk_html *h, uint8_t c, bool *again)
{
    if (is_blank(c))
        return;
    if (c == '>') {
        h->state = BETWEEN;
        h->given = true; /* what would be added to `<form x=` would be the value of x */
        *again = true;
        return;
    }
    bool quoted = c == '"' || c == '\'';
    begin_value(h, quoted ? c : 0);
    *again = !quoted;
}

static void in_raw_end(lk_html *h, uint8_t c, bool *again)
{
    uint8_t expected = (uint8_t)h->raw[h->name_len];
    if (expected != 0 && lower(c) == expected) {
        h->name_len++;
        return;
    }
    h->state = RAW;
    *again = true;
    if (expected != 0 || !(is_blank(c) || c == '/' || c == '>'))
        return;
    h->ends = true;
    h->name[0] = '\0';
    tag_known(h);
    h->state = BETWEEN;
}

static lk_view one_byte(lk_html *h, uint8_t c, bool *again)
{
    switch (h->state) {
    case TEXT:
        h->state = OPEN;
        break;
    case RAW:
        h->state = RAW_OPEN;
        break;
    case BOGUS:
        h->state = TEXT;
        break;
    case OPEN:
        in_open(h, c, again);
        break;
    case MARKUP:
        in_markup(h, c);
        break;
    case COMMENT:
        in_comment(h, c);
        break;
    case CDATA:
        in_cdata(h, c);
        break;
    case END_OPEN:
        in_end_open(h, c, again);
        break;
    case TAG_NAME:
        in_tag_name(h, again);
        break;
    case BETWEEN:
        return in_between(h, c);
    case ATTR_NAME:
        in_attr_name(h, again);
        break;
    case AFTER_NAME:
        in_after_name(h, c, again);
        break;
    case BEFORE_VALUE:
        in_before_value(h, c, again);
        break;
    case VALUE:
        in_value(h, c, again);
        break;
    case LINK:
        return in_link(h, c, again);
    case REFRESH:
        in_refresh(h, c, again);
        break;
    case RAW_OPEN:
        h->state = c == '/' ? RAW_END : RAW;
        h->name_len = 0;
        *again = c != '/';
        break;
    case RAW_END:
        in_raw_end(h, c, again);
        break;
    default:
        break;
    }
    return (lk_view){0};
}

/* ---- runs of bytes that are all alike ---- */

static const uint8_t *find(const uint8_t *p, const uint8_t *end, uint8_t c)
{
    const uint8_t *at = memchr(p, c, (size_t)(end - p));
    return at != NULL ? at : end;
}

static const uint8_t *run_until(const uint8_t *p, const uint8_t *end, uint8_t stop)
{
    while (p < end && (classes[*p] & stop) == 0)
        p++;
    return p;
}

/* To the end of a name. Of a tag that has no links, names of attributes do not matter. */
static const uint8_t *run_name(lk_html *h, const uint8_t *p, const uint8_t *end, bool matters, uint8_t stop)
{
    const uint8_t *at = run_until(p, end, stop);
    for (; matters && p < at; p++)
        name_add(h, *p);
    return at;
}

static const uint8_t *run_value(const lk_html *h, const uint8_t *p, const uint8_t *end)
{
    return h->quote != 0 ? find(p, end, h->quote) : run_until(p, end, BLANK | CLOSE);
}

/* Go to the byte that matters, or to END. */
static const uint8_t *run(lk_html *h, const uint8_t *p, const uint8_t *end)
{
    switch (h->state) {
    case TEXT:
    case RAW:
        return find(p, end, '<');
    case BOGUS:
        return find(p, end, '>');
    case COMMENT:
        return h->dashes == 0 && !h->fresh && !h->bang ? find(p, end, '-') : p;
    case CDATA:
        return h->dashes == 0 ? find(p, end, ']') : p;
    case TAG_NAME:
        return run_name(h, p, end, !h->ends, BLANK | SLASH | CLOSE);
    case ATTR_NAME:
        return run_name(h, p, end, h->tag != NO_TAG, BLANK | SLASH | CLOSE | EQUALS);
    case VALUE:
        return run_value(h, p, end);
    case LINK:
        return lk_link_is_done(&h->link) ? run_value(h, p, end) : lk_link_run(&h->link, p, end);
    case REST:
        return end;
    default:
        return p;
    }
}

/* An attribute and its value: gives what is behind it, or END. */
static const uint8_t *run_attribute(const uint8_t *p, const uint8_t *end)
{
    p = run_until(p + 1, end, BLANK | SLASH | CLOSE | EQUALS);
    while (p < end && is_blank(*p))
        p++;
    if (p == end || *p != '=')
        return p;
    for (p++; p < end && is_blank(*p);)
        p++;
    if (p == end || *p == '>')
        return p;
    if (*p != '"' && *p != '\'')
        return run_until(p, end, BLANK | CLOSE);
    p = find(p + 1, end, *p);
    return p < end ? p + 1 : end;
}

/* The whole tag behind the `<` before P, when it is of no interest: gives what is behind it. NULL: it is of
 * interest, or no tag, or does not end in this chunk. */
static const uint8_t *run_tag(const uint8_t *p, const uint8_t *end)
{
    bool ends = *p == '/';
    const uint8_t *name = p + ends;
    if (name == end || !is_letter(*name))
        return NULL;
    p = run_until(name, end, BLANK | SLASH | CLOSE);
    if (!ends && is_of_interest(*name, (size_t)(p - name)))
        return NULL;
    while (p < end && *p != '>')
        p = is_blank(*p) || *p == '/' ? p + 1 : run_attribute(p, end);
    return p < end ? p + 1 : NULL;
}

size_t lk_html_step(lk_html *h, lk_view chunk, lk_view *add)
{
    const uint8_t *p = chunk.p, *end = chunk.p + chunk.len;
    *add = (lk_view){0};
    while (p < end) {
        bool again = false;
        p = run(h, p, end);
        if (p == end)
            break;
        const uint8_t *behind = h->state == OPEN ? run_tag(p, end) : NULL;
        if (behind != NULL) {
            h->state = TEXT;
            p = behind;
            continue;
        }
        *add = one_byte(h, *p, &again);
        if (add->len > 0)
            return (size_t)(p - chunk.p);
        p += !again;
    }
    return chunk.len;
}
