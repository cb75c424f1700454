/* SPDX-License-Identifier: Apache-2.0
 *
 * params.c - the fixed parameters of a simple token.
 */
#include "credential/params.h"
#include "credential/shape.h"
#include <latchkey/base64url.h>
#include <stddef.h>

typedef struct param {
    lk_view name, value; /* the value as it is written, escapes in it */
} param;

/* --- One parameter ---------------------------------------------------------------------------------------
 */

static bool is_name_character(uint8_t c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '-' || c == '.';
}

/* The bytes of the name at the front of V; 0 when there is none, or it is too long. */
static size_t name_len(lk_view v)
{
    size_t n = 0;

    while (n < v.len && is_name_character(v.p[n]))
        n++;
    return n <= LK__PARAM_NAME_MAX ? n : 0;
}

static void escape(lk_view value, lk_buf *out)
{
    for (size_t i = 0; i < value.len; i++) {
        if (value.p[i] == ',')
            lk_buf_add_text(out, "%2C");
        else if (value.p[i] == '%')
            lk_buf_add_text(out, "%25");
        else
            lk_buf_add_byte(out, value.p[i]);
    }
}

/* The character the escape at the front of V stands for, or 0 when it is none of the two. */
static uint8_t escaped(lk_view v)
{
    lk_view escape_text = lk_view_part(v, 0, 3);

    if (lk_view_equal(escape_text, LK_VIEW("%2C")))
        return ',';
    return lk_view_equal(escape_text, LK_VIEW("%25")) ? '%' : 0;
}

/* Is every % in TEXT the beginning of an escape? */
static bool has_right_escapes(lk_view text)
{
    for (size_t at = lk_view_find(text, '%'); at < text.len; at = lk_view_find(text, '%')) {
        text = lk_view_part(text, at, text.len);
        if (escaped(text) == 0)
            return false;
        text = lk_view_part(text, 3, text.len);
    }
    return true;
}

/* The text VALUE stands for: VALUE itself, or a copy in SCRATCH when there are escapes in it. LK_OK; LK_FULL.
 */
static lk_status unescape(lk_view value, lk_buf *scratch, lk_view *out)
{
    size_t start = scratch->len;

    *out = value;
    if (lk_view_find(value, '%') == value.len)
        return LK_OK;
    while (value.len > 0) {
        uint8_t c = value.p[0] == '%' ? escaped(value) : value.p[0];

        lk_buf_add_byte(scratch, c);
        value = lk_view_part(value, value.p[0] == '%' ? 3 : 1, value.len);
    }
    *out = lk_view_make(scratch->p + start, scratch->len - start);
    return lk_buf_status(scratch);
}

/* Take `name=value` and the comma behind it off *REST, which is not empty. The value goes up to the comma,
 * and may hold further equals signs. LK_OK; LK_REFUSED. */
static lk_status take_param(lk_view *rest, param *out)
{
    size_t n = name_len(*rest), end;

    if (n == 0 || n == rest->len || rest->p[n] != '=')
        return LK_REFUSED;
    out->name = lk_view_make(rest->p, n);
    out->value = lk_view_make(rest->p + n + 1, rest->len - n - 1);
    out->value.len = lk_view_find(out->value, ',');
    end = n + 1 + out->value.len;
    if (end + 1 == rest->len)
        return LK_REFUSED; /* a comma at the end would be a second spelling */
    *rest = lk_view_part(*rest, end + 1, rest->len);
    return LK_OK;
}

/* By bytes; a shorter name comes first. */
static bool comes_before(lk_view a, lk_view b)
{
    for (size_t i = 0; i < a.len && i < b.len; i++) {
        if (a.p[i] != b.p[i])
            return a.p[i] < b.p[i];
    }
    return a.len < b.len;
}

/* --- Parameters that are claims --------------------------------------------------------------------------
 */

typedef struct kept_name {
    lk_view name;
    size_t text; /* where the text is in lk_claims; for the others: */
    lk_status (*read)(lk_view value, lk_claims *out);
    void (*write)(const lk_claims *claims,
                  lk_buf *out); /* nothing is written for a claim that is not there */
} kept_name;

static lk_status read_session(lk_view value, lk_claims *out)
{
    lk_buf key = lk_buf_over(out->session.bytes, LK_SESSION_KEY_LEN);

    if (value.len != LK_PUBLIC_ID_LEN || lk_base64url_decode(value, &key) != LK_OK)
        return LK_REFUSED;
    out->has_session = true;
    return LK_OK;
}

static void write_session(const lk_claims *c, lk_buf *out)
{
    if (c->has_session)
        lk_base64url_encode(lk_view_make(c->session.bytes, LK_SESSION_KEY_LEN), out);
}

static lk_status read_generation(lk_view value, lk_claims *out)
{
    int64_t number;

    if (lk_parse_i64(value, &number) != LK_OK || number > UINT32_MAX)
        return LK_REFUSED;
    out->generation = (uint32_t)number;
    return LK_OK;
}

static void write_generation(const lk_claims *c, lk_buf *out)
{
    if (c->generation != 0)
        lk_buf_add_i64(out, c->generation);
}

static lk_status read_milliseconds(lk_view value, lk_claims *out)
{
    int64_t number;

    if (lk_parse_i64(value, &number) != LK_OK || number > 999)
        return LK_REFUSED;
    out->issued_ms = (uint16_t)number;
    return LK_OK;
}

static void write_milliseconds(const lk_claims *c, lk_buf *out)
{
    if (c->issued_ms != 0)
        lk_buf_add_i64(out, c->issued_ms);
}

#define NAME(text)                                                                                           \
    {                                                                                                        \
        (const uint8_t *)(text), sizeof(text) - 1                                                            \
    }
#define TEXT(member) offsetof(lk_claims, member), NULL, NULL

/* In the order of names, as they come in a token. */
static const kept_name kept[] = {
    {NAME("gen"), 0, read_generation, write_generation},
    {NAME("ms"), 0, read_milliseconds, write_milliseconds},
    {NAME("name"), TEXT(name)},
    {NAME("realm"), TEXT(realm)},
    {NAME("roles"), TEXT(roles)},
    {NAME("scope"), TEXT(scope)},
    {NAME("sid"), 0, read_session, write_session},
};

#define KEPT (sizeof(kept) / sizeof(kept[0]))

/* NULL when NAME, which is not empty, is free for any use. */
static const kept_name *find_kept(lk_view name)
{
    for (size_t i = 0; i < KEPT && kept[i].name.p[0] <= name.p[0]; i++) {
        if (lk_view_equal(name, kept[i].name))
            return &kept[i];
    }
    return NULL;
}

/* --- Reading ---------------------------------------------------------------------------------------------
 */

static lk_status read_param(const param *p, lk_buf *scratch, lk_claims *out)
{
    const kept_name *k = find_kept(p->name);

    if (k == NULL)
        return LK_OK;
    if (k->read != NULL)
        return k->read(p->value, out);
    return unescape(p->value, scratch, (lk_view *)(void *)((uint8_t *)out + k->text));
}

lk_status lk__params_read(lk_view params, lk_buf *scratch, lk_claims *out)
{
    lk_status status = LK_OK;
    lk_view before = {0};
    size_t n = 0;

    if (!has_right_escapes(params)) /* a name can hold no %, so it is values that have them */
        return LK_REFUSED;
    while (status == LK_OK && params.len > 0) {
        param p;

        if (n++ == LK__PARAMS_COUNT_MAX || take_param(&params, &p) != LK_OK || !comes_before(before, p.name))
            return LK_REFUSED;
        status = read_param(&p, scratch, out);
        before = p.name;
    }
    return status;
}

lk_status lk_token_param(lk_view params, lk_view name, lk_view *value)
{
    param p;

    *value = (lk_view){0};
    while (params.len > 0 && take_param(&params, &p) == LK_OK) {
        if (lk_view_equal(p.name, name)) {
            *value = p.value;
            return LK_OK;
        }
    }
    return LK_MISS;
}

/* Does the parameter NAME answer to WANTED, which knows no case and has _ for - and . as well? */
static bool answers_to(lk_view name, lk_view wanted)
{
    if (name.len != wanted.len)
        return false;
    for (size_t i = 0; i < name.len; i++) {
        uint8_t c = name.p[i] == '-' || name.p[i] == '.' ? '_' : name.p[i];

        if (!lk_view_equal_nocase(lk_view_make(&c, 1), lk_view_part(wanted, i, 1)))
            return false;
    }
    return true;
}

lk_status lk_token_param_text(lk_view params, lk_view name, lk_buf *out)
{
    lk_view value = {0};
    size_t found = 0;
    param p;

    while (params.len > 0 && take_param(&params, &p) == LK_OK) {
        if (answers_to(p.name, name)) {
            value = p.value;
            found++;
        }
    }
    if (found != 1 || !has_right_escapes(value))
        return LK_MISS;
    for (size_t at = 0; at < value.len; at++) {
        bool is_escape = value.p[at] == '%';

        lk_buf_add_byte(out, is_escape ? escaped(lk_view_part(value, at, value.len)) : value.p[at]);
        at += is_escape ? 2 : 0;
    }
    return lk_buf_status(out);
}

/* --- Writing ---------------------------------------------------------------------------------------------
 */

typedef struct sorted {
    param params[LK__PARAMS_COUNT_MAX];
    size_t n;
    lk_buf text; /* of the values that are written here */
    uint8_t memory[LK__PARAMS_MAX];
} sorted;

/* LK_REFUSED when there are too many, or the name is there already. */
static lk_status insert(sorted *s, param p)
{
    size_t at = s->n;

    if (s->n == LK__PARAMS_COUNT_MAX)
        return LK_REFUSED;
    while (at > 0 && comes_before(p.name, s->params[at - 1].name)) {
        s->params[at] = s->params[at - 1];
        at--;
    }
    s->params[at] = p;
    s->n++;
    return at > 0 && lk_view_equal(s->params[at - 1].name, p.name) ? LK_REFUSED : LK_OK;
}

static lk_status insert_kept(sorted *s, const lk_claims *claims)
{
    for (size_t i = 0; i < KEPT; i++) {
        size_t start = s->text.len;
        lk_view value;

        if (kept[i].write != NULL)
            kept[i].write(claims, &s->text);
        else
            escape(*(const lk_view *)(const void *)((const uint8_t *)claims + kept[i].text), &s->text);
        value = lk_view_make(s->memory + start, s->text.len - start);
        if (s->text.full)
            return LK_FULL;
        if (!lk__is_clean_text(value) || (value.len > 0 && insert(s, (param){kept[i].name, value}) != LK_OK))
            return LK_REFUSED;
    }
    return LK_OK;
}

static lk_status insert_others(sorted *s, lk_view params)
{
    if (!lk__is_clean_text(params) || !has_right_escapes(params))
        return LK_REFUSED;
    while (params.len > 0) {
        param p;

        /* A name that stands for a claim is refused even where that claim is empty: who may choose parameters
         * may not choose roles. */
        if (take_param(&params, &p) != LK_OK || find_kept(p.name) != NULL || insert(s, p) != LK_OK)
            return LK_REFUSED;
    }
    return LK_OK;
}

lk_status lk__params_write(const lk_claims *claims, lk_buf *out)
{
    sorted s;
    lk_status status;

    s.n = 0;
    s.text = lk_buf_over(s.memory, sizeof(s.memory));
    status = insert_kept(&s, claims);
    if (status == LK_OK)
        status = insert_others(&s, claims->params);
    for (size_t i = 0; status == LK_OK && i < s.n; i++) {
        if (i > 0)
            lk_buf_add_byte(out, ',');
        lk_buf_add(out, s.params[i].name);
        lk_buf_add_byte(out, '=');
        lk_buf_add(out, s.params[i].value);
    }
    return status == LK_OK ? lk_buf_status(out) : status;
}

lk_status lk_token_param_add(lk_view name, lk_view value, lk_buf *params)
{
    if (name.len == 0 || name_len(name) != name.len || find_kept(name) != NULL || !lk__is_clean_text(value))
        return LK_REFUSED;
    if (params->len > 0)
        lk_buf_add_byte(params, ',');
    lk_buf_add(params, name);
    lk_buf_add_byte(params, '=');
    escape(value, params);
    return lk_buf_status(params);
}
