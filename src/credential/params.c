/* SPDX-License-Identifier: Apache-2.0
 *
 * params.c - the fixed parameters of a simple token.
 */
#include "credential/params.h"
#include "credential/shape.h"
#include <latchkey/base64url.h>

typedef struct param {
    lk_view name, value;
} param;

static bool is_name(lk_view name)
{
    if (name.len == 0 || name.len > LK__PARAM_NAME_MAX)
        return false;
    for (size_t i = 0; i < name.len; i++) {
        uint8_t c = name.p[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');

        if (!letter && c != '_' && c != '-' && c != '.')
            return false;
    }
    return true;
}

/* Take `name=value` and the comma behind it off *REST, which is not empty. The value goes up to the comma,
 * and may hold further equals signs. LK_OK; LK_REFUSED. */
static lk_status take_param(lk_view *rest, param *out)
{
    size_t end = lk_view_find(*rest, ','), equals;
    lk_view one = lk_view_part(*rest, 0, end);

    equals = lk_view_find(one, '=');
    if (equals == one.len)
        return LK_REFUSED;
    out->name = lk_view_part(one, 0, equals);
    out->value = lk_view_part(one, equals + 1, one.len);
    /* A comma at the end would be a second spelling. */
    if (!is_name(out->name) || !lk__is_clean_text(out->value) || end + 1 == rest->len)
        return LK_REFUSED;
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

/* Put P in its place among N sorted ones. LK_REFUSED when its name is there already. */
static lk_status insert(param *sorted, size_t n, param p)
{
    size_t at = n;

    while (at > 0 && comes_before(p.name, sorted[at - 1].name)) {
        sorted[at] = sorted[at - 1];
        at--;
    }
    sorted[at] = p;
    return at > 0 && lk_view_equal(sorted[at - 1].name, p.name) ? LK_REFUSED : LK_OK;
}

lk_status lk__params_sort(lk_view params, lk_buf *out)
{
    param sorted[LK__PARAMS_COUNT_MAX];
    lk_claims known = {0};
    size_t n = 0, start = out->len;

    while (params.len > 0) {
        param p;

        if (n == LK__PARAMS_COUNT_MAX || take_param(&params, &p) != LK_OK || insert(sorted, n, p) != LK_OK)
            return LK_REFUSED;
        n++;
    }
    for (size_t i = 0; i < n; i++) {
        if (i > 0)
            lk_buf_add_byte(out, ',');
        lk_buf_add(out, sorted[i].name);
        lk_buf_add_byte(out, '=');
        lk_buf_add(out, sorted[i].value);
    }
    if (out->full)
        return LK_FULL;
    /* What the check would refuse is not signed. */
    return lk__params_read(lk_view_make(out->p + start, out->len - start), &known);
}

/* --- Parameters that are claims --------------------------------------------------------------------------
 */

static lk_status read_session(lk_view value, lk_claims *out)
{
    lk_buf key = lk_buf_over(out->session.bytes, LK_SESSION_KEY_LEN);

    if (value.len != LK_PUBLIC_ID_LEN || lk_base64url_decode(value, &key) != LK_OK)
        return LK_REFUSED;
    out->has_session = true;
    return LK_OK;
}

static lk_status read_generation(lk_view value, lk_claims *out)
{
    int64_t number;

    if (lk_parse_i64(value, &number) != LK_OK || number > UINT32_MAX)
        return LK_REFUSED;
    out->generation = (uint32_t)number;
    return LK_OK;
}

static lk_status read_milliseconds(lk_view value, lk_claims *out)
{
    int64_t number;

    if (lk_parse_i64(value, &number) != LK_OK || number > 999)
        return LK_REFUSED;
    out->issued_ms = (uint16_t)number;
    return LK_OK;
}

static lk_status read_param(const param *p, lk_claims *out)
{
    if (lk_view_equal(p->name, LK_VIEW("realm")))
        out->realm = p->value;
    else if (lk_view_equal(p->name, LK_VIEW("roles")))
        out->roles = p->value;
    else if (lk_view_equal(p->name, LK_VIEW("scope")))
        out->scope = p->value;
    else if (lk_view_equal(p->name, LK_VIEW("name")))
        out->name = p->value;
    else if (lk_view_equal(p->name, LK_VIEW("sid")))
        return read_session(p->value, out);
    else if (lk_view_equal(p->name, LK_VIEW("gen")))
        return read_generation(p->value, out);
    else if (lk_view_equal(p->name, LK_VIEW("ms")))
        return read_milliseconds(p->value, out);
    return LK_OK;
}

lk_status lk__params_read(lk_view params, lk_claims *out)
{
    lk_view before = {0};
    size_t n = 0;

    while (params.len > 0) {
        param p;

        if (n++ == LK__PARAMS_COUNT_MAX || take_param(&params, &p) != LK_OK ||
            !comes_before(before, p.name) || read_param(&p, out) != LK_OK)
            return LK_REFUSED;
        before = p.name;
    }
    return LK_OK;
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
