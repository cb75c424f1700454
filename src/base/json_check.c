/* SPDX-License-Identifier: Apache-2.0
 *
 * json_check.c - is a text one JSON value, by RFC 8259 and our bounds?
 *
 * One loop over the tokens; what is open is a stack of LK_JSON_DEPTH_MAX frames. The names of all open
 * objects lie on a second stack, innermost last, so that a name is compared with those of its own object
 * only.
 */
#include "base/json_scan.h"
#include <endian.h>
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

static const uint8_t *wrong(checker *c, const uint8_t *p, const char *what)
{
    return lk__json_wrong(&c->scan, p, what);
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

/* RAW is followed by a quote at least; where the text goes on far enough, eight bytes are read at once. */
static uint64_t head_of(lk_view raw, const uint8_t *end)
{
    size_t n = raw.len < 7 ? raw.len : 7;
    uint64_t head = 0;

    if (end - raw.p >= 8) {
        memcpy(&head, raw.p, 8);
        head = le64toh(head) & ((1ULL << (8 * n)) - 1);
    } else {
        for (size_t i = 0; i < n; i++)
            head |= (uint64_t)raw.p[i] << (8 * i);
    }
    return head << 8 | (raw.len < 255 ? raw.len : 255);
}

static bool is_same_name(const member_name *a, const member_name *b)
{
    if (a->head != b->head)
        return false;
    return (a->head & 0xff) <= 7 || lk__json_name_equal(a->raw, b->raw);
}

/* Put the name RAW on the stack of names, unless its object has it (RFC 8259 section 4 leaves open what a
 * second one means; two readers that choose differently see two documents). Gives what is wrong, or NULL. */
static const char *keep_name(checker *c, lk_view raw)
{
    unsigned first = c->frames[c->depth - 1].first_name;
    member_name *added = &c->names[c->names_len];

    if (c->names_len - first >= LK_JSON_MEMBERS_MAX || c->names_len >= LK_JSON_OPEN_MAX) {
        c->status = LK_FULL;
        return "too many members in this object, or in those around this place together";
    }
    added->raw = raw;
    added->head = c->scan.escaped ? head_of_escaped(raw) : head_of(raw, c->scan.end);
    for (unsigned i = first; i < c->names_len; i++) {
        if (is_same_name(&c->names[i], added))
            return "this name is in the object twice";
    }
    c->names_len++;
    return NULL;
}

/* Past a member's name and the colon. */
static const uint8_t *name_end(checker *c, const uint8_t *p)
{
    const uint8_t *start = p;
    const char *what;

    if (!lk__json_has(&c->scan, p, '"'))
        return wrong(c, p, "a name in double quotes is missing here");
    p = lk__json_string_end(&c->scan, p);
    if (p == NULL)
        return NULL;
    what = keep_name(c, lk_view_make(start + 1, (size_t)(p - start) - 2));
    if (what != NULL)
        return wrong(c, start, what);
    p = lk__json_skip_blank(&c->scan, p);
    if (!lk__json_has(&c->scan, p, ':'))
        return wrong(c, p, "a colon is missing here");
    return lk__json_skip_blank(&c->scan, p + 1);
}

static const uint8_t *word_end(checker *c, const uint8_t *p, lk_view word)
{
    if ((size_t)(c->scan.end - p) < word.len || !lk_view_equal(lk_view_make(p, word.len), word))
        return wrong(c, p, "this is no JSON value");
    return p + word.len;
}

static const uint8_t *open_container(checker *c, const uint8_t *p)
{
    if (c->depth >= LK_JSON_DEPTH_MAX)
        return wrong(c, p, "objects and arrays are nested too deep");
    c->frames[c->depth].is_object = *p == '{';
    c->frames[c->depth].first_name = c->names_len;
    c->depth++;
    return p + 1;
}

/* Past a scalar, or past the opening bracket of a container. */
static const uint8_t *value_end(checker *c, const uint8_t *p)
{
    if (p >= c->scan.end)
        return wrong(c, p, "the text ends where a value is due");
    if (*p == '"')
        return lk__json_string_end(&c->scan, p);
    if (*p == '{' || *p == '[')
        return open_container(c, p);
    if (*p == '-' || (*p >= '0' && *p <= '9'))
        return lk__json_number_end(&c->scan, p);
    if (*p == 't')
        return word_end(c, p, LK_VIEW("true"));
    if (*p == 'f')
        return word_end(c, p, LK_VIEW("false"));
    return word_end(c, p, LK_VIEW("null"));
}

static const uint8_t *item_end(checker *c, const uint8_t *p)
{
    if (c->depth > 0 && c->frames[c->depth - 1].is_object)
        p = name_end(c, p);
    return p == NULL ? NULL : value_end(c, p);
}

/* Past the closing brackets that stand here, one or many. */
static const uint8_t *close_containers(checker *c, const uint8_t *p)
{
    while (c->depth > 0) {
        const frame *top = &c->frames[c->depth - 1];

        p = lk__json_skip_blank(&c->scan, p);
        if (!lk__json_has(&c->scan, p, top->is_object ? '}' : ']'))
            break;
        c->names_len = top->first_name;
        c->depth--;
        p++;
    }
    return p;
}

/* Past the one value of the text. */
static const uint8_t *text_end(checker *c, const uint8_t *p)
{
    do {
        unsigned before = c->depth;
        bool opened;

        p = item_end(c, lk__json_skip_blank(&c->scan, p));
        if (p == NULL)
            return NULL;
        opened = c->depth > before;
        p = close_containers(c, p);
        /* Behind an opening bracket comes its first item, elsewhere a comma and then an item. */
        if (c->depth == 0 || (opened && c->depth > before))
            continue;
        if (!lk__json_has(&c->scan, p, ','))
            return wrong(c, p, "a comma or a closing bracket is missing here");
        p++;
    } while (c->depth > 0);
    return lk__json_skip_blank(&c->scan, p);
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
    const uint8_t *p;
    checker c;

    p = lk__json_start(&c.scan, text);
    c.status = LK_REFUSED;
    c.depth = 0;
    c.names_len = 0;
    c.names = names;
    p = text_end(&c, p);
    if (p != NULL && p < c.scan.end)
        p = wrong(&c, p, "there is more text after the value");
    if (p != NULL)
        return LK_OK;
    found = place_of(text, text.len - (size_t)(c.scan.end - c.scan.at));
    if (place != NULL)
        *place = found;
    lk_note_set(note, "line %u, column %u: %s", found.line, found.column, c.scan.wrong);
    return c.status;
}
