/* SPDX-License-Identifier: Apache-2.0
 *
 * limit.c - latchkey_limit: how many sessions a user may have, in all and of each device class.
 */
#include "settings/settings_internal.h"
#include <string.h>

#define CLASS_COUNT_MAX 10000

/* One "NAME:N" of the list, which REST goes behind. */
static bool next_class(lk_view *rest, lk_view *name, int64_t *count)
{
    size_t comma = lk_view_find(*rest, ',');
    lk_view one = lk_view_part(*rest, 0, comma);
    size_t colon = lk_view_find(one, ':');
    if (one.len == 0 || lk_parse_i64(lk_view_part(one, colon + 1, one.len), count) != LK_OK)
        return false;
    *name = lk_view_part(one, 0, colon);
    *rest = lk_view_part(*rest, comma + 1, rest->len);
    return true;
}

/* Letters, digits and -_. (what a class is called), or the star that stands for every other. */
static bool is_class(lk_view name)
{
    if (lk_view_equal(name, LK_VIEW("*")))
        return true;
    for (size_t i = 0; i < name.len; i++) {
        uint8_t c = name.p[i];
        bool is_letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!is_letter && c != '-' && c != '_' && c != '.')
            return false;
    }
    return name.len > 0 && name.len <= LK_DEVICE_CLASS_MAX;
}

static bool has_class(lk_view list, lk_view wanted, int64_t *count)
{
    lk_view name;
    while (list.len > 0 && next_class(&list, &name, count))
        if (lk_view_equal(name, wanted))
            return true;
    return false;
}

uint32_t lk_settings_user_limit(const lk_settings *s)
{
    return s->limit_user > 0 ? s->limit_user : s->per_user;
}

uint32_t lk_settings_class_limit(const lk_settings *s, lk_view device_class)
{
    int64_t count;
    lk_view list = lk_view_of(s->limit_classes);
    if (device_class.len > 0 && has_class(list, device_class, &count))
        return (uint32_t)count;
    return has_class(list, LK_VIEW("*"), &count) ? (uint32_t)count : 0;
}

lk_status lk__limit_check(const lk_settings *s, lk_note *note)
{
    lk_view whole = lk_view_of(s->limit_classes), rest = whole, name;
    int64_t count = 0, other;
    if (s->limit_user > 0 && s->per_user > 0) {
        lk_note_set(note, "latchkey_limit user= and latchkey_session per_user= are the same thing: keep "
                          "latchkey_limit user=");
        return LK_REFUSED;
    }
    while (rest.len > 0) {
        lk_view before = lk_view_part(whole, 0, whole.len - rest.len);
        if (whole.p[whole.len - 1] == ',' || !next_class(&rest, &name, &count) || !is_class(name) ||
            count < 1 || count > CLASS_COUNT_MAX) {
            lk_note_set(note,
                        "latchkey_limit: class= is a list such as mobile:1,desktop:2,*:3 - names of letters, "
                        "digits and -_. (at most %d), counts from 1 to %d",
                        LK_DEVICE_CLASS_MAX, CLASS_COUNT_MAX);
            return LK_REFUSED;
        }
        if (has_class(before, name, &other)) {
            lk_note_set(note, "latchkey_limit: class= names %.*s twice", (int)name.len, (const char *)name.p);
            return LK_REFUSED;
        }
    }
    return LK_OK;
}
