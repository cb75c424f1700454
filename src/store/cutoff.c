/* SPDX-License-Identifier: Apache-2.0
 *
 * cutoff.c - the levels of a cut-off and the key it is kept under.
 */
#include <latchkey/cutoff.h>
#include <string.h>

static const char *const words[LK_LEVEL_COUNT] = {
#define X(name, word) [LK_LEVEL_##name] = word,
    LK_LEVELS(X)
#undef X
};

const char *lk_level_name(lk_level level)
{
    return (unsigned)level < LK_LEVEL_COUNT ? words[level] : "";
}

lk_status lk_level_of(lk_view name, lk_level *out)
{
    for (unsigned i = 0; i < LK_LEVEL_COUNT; i++) {
        if (lk_view_equal(name, lk_view_of(words[i]))) {
            *out = (lk_level)i;
            return LK_OK;
        }
    }
    return LK_MISS;
}

static bool has_control(lk_view v)
{
    for (size_t i = 0; i < v.len; i++) {
        if (v.p[i] < 0x20 || v.p[i] == 0x7f)
            return true;
    }
    return false;
}

lk_status lk_cutoff_key(lk_level level, lk_view realm, lk_view key, char out[LK_CUTOFF_KEY_MAX + 1])
{
    lk_buf text = lk_buf_over(out, LK_CUTOFF_KEY_MAX + 1);

    /* A '/' in the realm would let the key of one realm spell the key of another. */
    if (has_control(realm) || has_control(key) || lk_view_find(realm, '/') < realm.len)
        return LK_REFUSED;
    if (level == LK_LEVEL_KEY) {
        lk_buf_add(&text, key); /* a key signs in every realm */
        return lk_buf_text(&text) != NULL ? LK_OK : LK_FULL;
    }
    if (level != LK_LEVEL_ALL)
        lk_buf_add(&text, realm);
    if (level != LK_LEVEL_ALL && level != LK_LEVEL_REALM) {
        lk_buf_add_byte(&text, '/');
        lk_buf_add(&text, key);
    }
    return lk_buf_text(&text) != NULL ? LK_OK : LK_FULL;
}
