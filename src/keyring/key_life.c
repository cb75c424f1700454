/* SPDX-License-Identifier: Apache-2.0
 *
 * key_life.c - the times in a key file, and what they make of the key.
 *
 * Format 1 had a word, `lk_state`, in their place, which somebody had to change at the right moment on every
 * node. Its "active" reads as "signs since for ever", its "retiring" as "signs no longer, checks until told".
 */
#include "keyring/key_life.h"
#include "keyring/jwk.h"
#include <latchkey/json.h>

#define WORD_MAX 16

static const char *const words[] = {
    [LK_KEY_PENDING] = "pending", [LK_KEY_ACTIVE] = "active", [LK_KEY_RETIRING] = "retiring",
    [LK_KEY_GONE] = "gone",       [LK_KEY_BURNED] = "burned",
};

const char *lk_key_state_word(lk_key_state state)
{
    return (unsigned)state <= LK_KEY_BURNED ? words[state] : "";
}

/* LK_OK; LK_MISS when it is not there; LK_REFUSED. */
static lk_status read_number(lk_view text, const char *name, int64_t *out, lk_note *note)
{
    lk_json_item item;

    if (lk_json_get(text, lk_view_of(name), &item) != LK_OK)
        return LK_MISS;
    if (lk_json_i64(item.value, out) == LK_OK && *out >= 0)
        return LK_OK;
    lk_note_set(note, "\"%s\" must be a time in seconds since 1970", name);
    return LK_REFUSED;
}

static lk_status read_time(lk_view text, const char *name, int64_t *out, lk_note *note)
{
    lk_status status = read_number(text, name, out, note);

    if (status == LK_MISS)
        *out = LK_KEY_NEVER;
    return status == LK_MISS ? LK_OK : status;
}

lk_status lk__key_format_check(lk_view text, lk_note *note)
{
    int64_t version = 1;
    lk_status status = read_number(text, "lk_version", &version, NULL);

    if (status == LK_MISS || (status == LK_OK && version >= 1 && version <= LK__KEY_FORMAT))
        return LK_OK;
    lk_note_set(
        note,
        "it was written by a newer latchkey (a format after %d), which knows more of this key than can "
        "be read here; bring this latchkey up to date",
        LK__KEY_FORMAT);
    return LK_REFUSED;
}

static lk_status read_state_word(lk_view text, lk__key_life *out, lk_note *note)
{
    char memory[WORD_MAX];
    lk_buf word = lk_buf_over(memory, sizeof(memory));

    if (lk__jwk_text(text, "lk_state", &word, NULL) != LK_OK)
        word.len = 0;
    if (lk_view_equal(lk_buf_view(&word), LK_VIEW("active"))) {
        out->signs_s = 0;
        return LK_OK;
    }
    if (lk_view_equal(lk_buf_view(&word), LK_VIEW("retiring"))) {
        out->signs_s = out->retires_s = 0;
        return LK_OK;
    }
    lk_note_set(note, "\"lk_state\" must be \"active\" or \"retiring\"");
    return LK_REFUSED;
}

static lk_status read_times(lk_view text, lk__key_life *out, lk_note *note)
{
    int64_t burned_s;
    lk_status status = read_time(text, "lk_signs", &out->signs_s, note);

    if (status == LK_OK)
        status = read_time(text, "lk_retires", &out->retires_s, note);
    if (status == LK_OK)
        status = read_time(text, "lk_gone", &out->gone_s, note);
    if (status == LK_OK)
        status = read_time(text, "lk_burned", &burned_s, note);
    if (status != LK_OK)
        return status;
    out->burned = burned_s != LK_KEY_NEVER;
    if (out->burned) /* only its end is left */
        return LK_OK;
    if (out->retires_s <= out->gone_s && (out->signs_s <= out->retires_s || out->signs_s == LK_KEY_NEVER))
        return LK_OK;
    lk_note_set(note, "\"lk_signs\", \"lk_retires\" and \"lk_gone\" must follow each other in this order");
    return LK_REFUSED;
}

lk_status lk__key_life_read(lk_view text, lk__key_life *out, lk_note *note)
{
    int64_t version = 1;
    lk_status status = lk__key_format_check(text, note);

    *out = (lk__key_life){0, LK_KEY_NEVER, LK_KEY_NEVER, LK_KEY_NEVER, false};
    if (status != LK_OK)
        return status;
    status = read_number(text, "lk_created", &out->created_s, note);
    if (status == LK_MISS)
        lk_note_set(note, "\"lk_created\" must be there, a time in seconds since 1970");
    if (status != LK_OK)
        return LK_REFUSED;
    if (read_number(text, "lk_version", &version, NULL) == LK_OK && version > 1)
        return read_times(text, out, note);
    return read_state_word(text, out, note);
}

static void add_time(lk_buf *out, const char *name, int64_t time_s)
{
    if (time_s == LK_KEY_NEVER)
        return;
    lk_buf_add_text(out, ",\"");
    lk_buf_add_text(out, name);
    lk_buf_add_text(out, "\":");
    lk_buf_add_i64(out, time_s);
}

void lk__key_life_add(lk_buf *out, const lk__key_life *life)
{
    add_time(out, "lk_version", LK__KEY_FORMAT);
    add_time(out, "lk_created", life->created_s);
    add_time(out, "lk_signs", life->signs_s);
    add_time(out, "lk_retires", life->retires_s);
    add_time(out, "lk_gone", life->gone_s);
}

bool lk__key_life_has(lk_view name)
{
    static const char *const ours[] = {"lk_state", "lk_version", "lk_created",
                                       "lk_signs", "lk_retires", "lk_gone"};

    for (size_t i = 0; i < sizeof(ours) / sizeof(ours[0]); i++) {
        if (lk_view_equal(name, lk_view_of(ours[i])))
            return true;
    }
    return false;
}

lk_key_state lk__key_life_state(const lk__key_life *life, int64_t now_s)
{
    if (life->burned)
        return LK_KEY_BURNED;
    if (life->gone_s <= now_s)
        return LK_KEY_GONE;
    if (life->retires_s <= now_s)
        return LK_KEY_RETIRING;
    return life->signs_s <= now_s ? LK_KEY_ACTIVE : LK_KEY_PENDING;
}
