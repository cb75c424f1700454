/* SPDX-License-Identifier: Apache-2.0
 *
 * accept.c - Accept and Accept-Language, with their weights in thousandths.
 */
#include "service/accept.h"

#define ITEMS_MAX 64 /* of a list; a client that names more is not served better by reading on */

lk_view lk__media_essence(lk_view content_type)
{
    return lk_view_trim(lk_view_part(content_type, 0, lk_view_find(content_type, ';')));
}

/* Take the next `;`- or `,`-separated piece off *REST. */
static lk_view next_piece(lk_view *rest, uint8_t mark)
{
    size_t end = lk_view_find(*rest, mark);
    lk_view piece = lk_view_part(*rest, 0, end);
    *rest = lk_view_part(*rest, end < rest->len ? end + 1 : end, rest->len);
    return lk_view_trim(piece);
}

/* "0.8" as 800. What is no weight counts as 0: it is not taken for a wish. */
static int weight_value(lk_view v)
{
    if (v.len == 0 || v.len > 5 || (v.p[0] != '0' && v.p[0] != '1') || (v.len > 1 && v.p[1] != '.'))
        return 0;
    int value = (v.p[0] - '0') * 1000, unit = 100;
    for (size_t i = 2; i < v.len; i++, unit /= 10) {
        if (v.p[i] < '0' || v.p[i] > '9')
            return 0;
        value += (v.p[i] - '0') * unit;
    }
    return value > 1000 ? 0 : value;
}

/* The weight of an item whose parameters are PARAMS. */
static int weight_of(lk_view params)
{
    while (params.len > 0) {
        lk_view param = next_piece(&params, ';');
        if (param.len >= 2 && (param.p[0] == 'q' || param.p[0] == 'Q') && param.p[1] == '=')
            return weight_value(lk_view_part(param, 2, param.len));
    }
    return 1000;
}

/* How closely RANGE names TYPE ("text/html", whose part before '/' is MAIN_LEN long): 3 exactly, 2 by its
 * main type, 1 as anything, 0 not at all. */
static int closeness(lk_view range, lk_view type, size_t main_len)
{
    if (lk_view_equal_nocase(range, type))
        return 3;
    if (lk_view_equal(range, LK_VIEW("*/*")))
        return 1;
    bool star = range.len == main_len + 2 && range.p[main_len] == '/' && range.p[main_len + 1] == '*';
    return star && lk_view_equal_nocase(lk_view_part(range, 0, main_len), lk_view_part(type, 0, main_len))
               ? 2
               : 0;
}

/* The weight ACCEPT gives to TYPE: that of the closest range. */
static int accept_weight(lk_view accept, lk_view type)
{
    int best = 0, weight = 0;
    size_t main_len = lk_view_find(type, '/');
    for (int i = 0; i < ITEMS_MAX && accept.len > 0; i++) {
        lk_view item = next_piece(&accept, ',');
        int close = closeness(next_piece(&item, ';'), type, main_len);
        if (close > best) {
            best = close;
            weight = weight_of(item);
        }
    }
    return weight;
}

bool lk__accept_is_html(lk_view accept)
{
    int html = accept_weight(accept, LK_VIEW("text/html"));
    return html > 0 && html > accept_weight(accept, LK_VIEW("application/json"));
}

lk_status lk__language_of(lk_view tag, lk__language *out)
{
    lk_view main = lk_view_part(tag, 0, lk_view_find(tag, '-'));
    if (lk_view_equal_nocase(main, LK_VIEW("en"))) {
        *out = LK_LANGUAGE_EN;
        return LK_OK;
    }
    /* There is one Chinese catalogue, in simplified characters: for a reader of any Chinese it is nearer
     * than English. */
    if (lk_view_equal_nocase(main, LK_VIEW("zh"))) {
        *out = LK_LANGUAGE_ZH_CN;
        return LK_OK;
    }
    return LK_MISS;
}

lk__language lk__accept_language(lk_view accept_language)
{
    lk__language best = LK_LANGUAGE_EN;
    int best_weight = 0;
    for (int i = 0; i < ITEMS_MAX && accept_language.len > 0; i++) {
        lk_view item = next_piece(&accept_language, ',');
        lk__language language;
        if (lk__language_of(next_piece(&item, ';'), &language) != LK_OK)
            continue;
        int weight = weight_of(item);
        if (weight > best_weight) {
            best_weight = weight;
            best = language;
        }
    }
    return best;
}
