/* SPDX-License-Identifier: Apache-2.0
 *
 * json_check.c - is a text one JSON value, by RFC 8259 and our bounds?
 *
 * One loop over the tokens; what is open is a stack of LK_JSON_DEPTH_MAX frames. The names of all open
 * objects lie on a second stack, innermost last, so that a name is compared with those of its own object
 * only.
 */
#include "base/json_scan.h"
#include <string.h>

/* A name of an open object. Most pairs of names differ in `head`; the text is looked at when they do not. */
typedef struct member_name {
    uint64_t head; /* first seven bytes after unescaping, and the length after unescaping, at most 255 */
    lk_view raw;
} member_name;

typedef struct frame {
    bool is_object;
    unsigned first_name; /* where the names of this object begin */
} frame;

typedef struct checker {
    lk__json_scan scan;
    lk_status status; /* what a wrong text is answered with */
    unsigned depth;
    unsigned names_len;
    member_name *names;
    frame frames[LK_JSON_DEPTH_MAX];
} checker;

static bool wrong(checker *c, const char *what)
{
    c->scan.wrong = what;
    return false;
}

static bool full(checker *c, const char *what)
{
    c->status = LK_FULL;
    return wrong(c, what);
}

static uint64_t head_of_escaped(lk_view raw)
{
    lk__json_bytes bytes = {.p = raw.p, .end = raw.p + raw.len};
    uint64_t head = 0;
    unsigned len = 0;
    int byte;

    while ((byte = lk__json_next_byte(&bytes)) >= 0 && len < 255) {
        if (len < 7)
            head |= (uint64_t)byte << (8 * len);
        len++;
    }
    return head << 8 | len;
}

static uint64_t head_of(lk_view raw)
{
    size_t n = raw.len < 7 ? raw.len : 7;
    uint64_t head = 0;

    for (size_t i = 0; i < n; i++)
        head |= (uint64_t)raw.p[i] << (8 * i);
    return head << 8 | (raw.len < 255 ? raw.len : 255);
}

static bool is_same_name(const member_name *a, const member_name *b)
{
    if (a->head != b->head)
        return false;
    return (a->head & 0xff) <= 7 || lk__json_name_equal(a->raw, b->raw);
}

/* Put the name RAW on the stack of names, unless its object has it (RFC 8259 section 4 leaves open what a
 * second one means; two readers that choose differently see two documents). */
static bool keep_name(checker *c, lk_view raw)
{
    unsigned first = c->frames[c->depth - 1].first_name;
    member_name *added;

    if (c->names_len - first >= LK_JSON_MEMBERS_MAX)
        return full(c, "this object has too many members");
    if (c->names_len >= LK_JSON_OPEN_MAX)
        return full(c, "the objects around this have too many members together");
    added = &c->names[c->names_len];
    added->raw = raw;
    added->head = c->scan.escaped ? head_of_escaped(raw) : head_of(raw);
    for (unsigned i = first; i < c->names_len; i++) {
        if (is_same_name(&c->names[i], added))
            return wrong(c, "this name is in the object twice");
    }
    c->names_len++;
    return true;
}

/* A member's name and the colon. */
static bool take_name(checker *c)
{
    lk__json_scan *s = &c->scan;
    const uint8_t *start = s->p;
    const uint8_t *after;

    if (s->p >= s->end || *s->p != '"')
        return wrong(c, "a name in double quotes is missing here");
    if (!lk__json_scan_string(s))
        return false;
    after = s->p;
    s->p = start; /* where it is wrong, if it is */
    if (!keep_name(c, lk_view_make(start + 1, (size_t)(after - start) - 2)))
        return false;
    s->p = after;
    lk__json_skip_blank(s);
    if (s->p >= s->end || *s->p != ':')
        return wrong(c, "a colon is missing here");
    s->p++;
    lk__json_skip_blank(s);
    return true;
}

static bool take_word(checker *c, lk_view word)
{
    lk__json_scan *s = &c->scan;

    if ((size_t)(s->end - s->p) < word.len || !lk_view_equal(lk_view_make(s->p, word.len), word))
        return wrong(c, "this is no JSON value");
    s->p += word.len;
    return true;
}

static bool open_container(checker *c)
{
    if (c->depth >= LK_JSON_DEPTH_MAX)
        return wrong(c, "objects and arrays are nested too deep");
    c->frames[c->depth].is_object = *c->scan.p == '{';
    c->frames[c->depth].first_name = c->names_len;
    c->depth++;
    c->scan.p++;
    return true;
}

/* A scalar as a whole, or the opening bracket of a container. */
static bool take_value(checker *c)
{
    uint8_t first;

    if (c->scan.p >= c->scan.end)
        return wrong(c, "the text ends where a value is due");
    first = *c->scan.p;
    if (first == '"')
        return lk__json_scan_string(&c->scan);
    if (first == '{' || first == '[')
        return open_container(c);
    if (first == '-' || (first >= '0' && first <= '9'))
        return lk__json_scan_number(&c->scan);
    if (first == 't')
        return take_word(c, LK_VIEW("true"));
    if (first == 'f')
        return take_word(c, LK_VIEW("false"));
    return take_word(c, LK_VIEW("null"));
}

static bool take_item(checker *c)
{
    if (c->depth > 0 && c->frames[c->depth - 1].is_object && !take_name(c))
        return false;
    return take_value(c);
}

/* Close the innermost container if its bracket is next. */
static bool is_closed(checker *c)
{
    const frame *top = &c->frames[c->depth - 1];

    if (c->scan.p >= c->scan.end || *c->scan.p != (top->is_object ? '}' : ']'))
        return false;
    c->scan.p++;
    c->names_len = top->first_name;
    c->depth--;
    return true;
}

/* Everything up to the end of the one value. */
static bool take_text(checker *c)
{
    unsigned before;

    lk__json_skip_blank(&c->scan);
    do {
        before = c->depth;
        if (!take_item(c))
            return false;
        lk__json_skip_blank(&c->scan);
        /* Right after an opening bracket stands its closing one or an item; elsewhere any number of closing
         * ones, and then a comma before the next item. */
        if (c->depth > before && !is_closed(c))
            continue;
        lk__json_skip_blank(&c->scan);
        while (c->depth > 0 && is_closed(c))
            lk__json_skip_blank(&c->scan);
        if (c->depth == 0)
            break;
        if (c->scan.p >= c->scan.end || *c->scan.p != ',')
            return wrong(c, "a comma or a closing bracket is missing here");
        c->scan.p++;
        lk__json_skip_blank(&c->scan);
    } while (c->depth > 0);
    return c->scan.p == c->scan.end || wrong(c, "there is more text after the value");
}

/* Line and column of OFFSET, columns in characters: the bytes that continue a character are not counted. */
static lk_json_place place_of(lk_view text, size_t offset)
{
    lk_json_place place = {.offset = offset, .line = 1, .column = 1};

    for (size_t i = 0; i < offset; i++) {
        if (text.p[i] == '\n') {
            place.line++;
            place.column = 1;
        } else if ((text.p[i] & 0xc0) != 0x80) {
            place.column++;
        }
    }
    return place;
}

lk_status lk_json_check(lk_view text, lk_json_place *place, lk_note *note)
{
    member_name names[LK_JSON_OPEN_MAX];
    lk_json_place found;
    checker c;

    c.scan = lk__json_scan_of(text);
    c.status = LK_REFUSED;
    c.depth = 0;
    c.names_len = 0;
    c.names = names;
    if (take_text(&c))
        return LK_OK;
    found = place_of(text, text.len - (size_t)(c.scan.end - c.scan.p));
    if (place != NULL)
        *place = found;
    lk_note_set(note, "line %u, column %u: %s", found.line, found.column, c.scan.wrong);
    return c.status;
}
