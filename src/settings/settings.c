/* SPDX-License-Identifier: Apache-2.0
 *
 * settings.c - defaults, and one setting applied from its words.
 */
#include "settings/settings_internal.h"
#include <latchkey/secret.h>
#include <string.h>

void lk_settings_init(lk_settings *s)
{
    memset(s, 0, sizeof(*s));
    /* The defaults are written once, in the table, in the syntax of the file. */
    for (size_t i = 0; i < lk__setting_rows_n; i++) {
        const lk_setting *shown = &lk__setting_rows[i].shown;
        lk_view args[LK_VALUES_MAX], rest = lk_view_of(shown->initial);
        size_t n = 0;
        if (lk__repeat_of(&lk__setting_rows[i]) != NULL)
            continue;
        while (n < LK_VALUES_MAX && lk_words_next(&rest, &args[n]))
            n++;
        if (n > 0 && lk_settings_apply(s, lk_view_of(shown->name), args, n, NULL) != LK_OK)
            __builtin_trap(); /* a default that its own rule refuses: tests/unit/settings would have seen it
                               */
    }
    s->seen = 0;
}

/* The row for WORD: its option by name, else the positional value. *VALUE is what is to be read. */
static const lk_value_row *row_for(const lk_setting_row *row, lk_view word, lk_view *value)
{
    size_t equals = lk_view_find(word, '=');
    for (size_t i = 0; i < LK_VALUES_MAX && equals < word.len; i++) {
        const lk_value_row *v = &row->values[i];
        if (v->name != NULL && lk_view_equal(lk_view_part(word, 0, equals), lk_view_of(v->name))) {
            *value = lk_view_part(word, equals + 1, word.len);
            return v;
        }
    }
    *value = word;
    const lk_value_row *first = &row->values[0];
    return first->name == NULL && first->type != LK_VALUE_NONE ? first : NULL;
}

/* What the word stands for; a source keeps its `file:`, as the file is read again and again. */
static lk_status resolve(const lk_value_row *v, lk_view value, lk_buf *buf, lk_view *out, lk_note *note)
{
    bool is_apart = lk_view_equal(lk_view_part(value, 0, 5), LK_VIEW("file:")) ||
                    lk_view_equal(lk_view_part(value, 0, 4), LK_VIEW("env:"));
    if (v->type == LK_VALUE_SECRET && !is_apart) {
        lk_note_set(note, "a secret is not written among the settings: say file:PATH or env:NAME");
        return LK_REFUSED;
    }
    if (v->type != LK_VALUE_SOURCE || !lk_view_equal(lk_view_part(value, 0, 5), LK_VIEW("file:")))
        return lk__value_resolve(value, buf, out, note);
    *out = value;
    return LK_OK;
}

static lk_status apply_word(void *base, const lk_setting_row *row, lk_view word, uint32_t *given,
                            lk_note *note)
{
    lk_view value, resolved;
    char memory[LK_URL_MAX];
    lk_buf buf = lk_buf_over(memory, sizeof(memory));
    lk_note inner = {""};
    const lk_value_row *v = row_for(row, word, &value);
    if (v == NULL) {
        lk_note_set(note, "%s does not know \"%.*s\": use %s", row->shown.name, (int)word.len,
                    (const char *)word.p, row->shown.syntax);
        return LK_REFUSED;
    }
    uint32_t bit = 1u << (v - row->values);
    bool is_list = v->type == LK_VALUE_ORIGINS || v->type == LK_VALUE_WORDS;
    if ((*given & bit) == 0 && v->type == LK_VALUE_WORDS)
        *((char *)base + v->offset) = '\0'; /* a list that is given replaces the default */
    if ((*given & bit) != 0 && !is_list) {
        lk_note_set(note, "%s has the same value twice: use %s", row->shown.name, row->shown.syntax);
        return LK_REFUSED;
    }
    *given |= bit;
    lk_status status = resolve(v, value, &buf, &resolved, &inner);
    if (status == LK_OK)
        status = lk__value_set(base, v, resolved, &inner);
    if (status != LK_OK)
        lk_note_set(note, "%s%s%s: %s", row->shown.name, v->name != NULL ? " " : "",
                    v->name != NULL ? v->name : "", inner.text);
    lk_wipe(memory, sizeof(memory)); /* a store's URL may hold a password */
    return status;
}

static lk_status apply_words(void *base, const lk_setting_row *row, const lk_view *args, size_t n,
                             lk_note *note)
{
    uint32_t given = 0;
    for (size_t k = 0; k < n; k++) {
        lk_status status = apply_word(base, row, args[k], &given, note);
        if (status != LK_OK)
            return status;
    }
    return LK_OK;
}

/* One more element, which counts once it is right. */
static lk_status apply_again(lk_settings *s, const lk_setting_row *row, const lk_repeat *r,
                             const lk_view *args, size_t n, lk_note *note)
{
    uint32_t *count = (uint32_t *)(void *)((char *)s + r->count);
    lk_view word, rest = lk_view_of(row->shown.initial);
    lk_status status = LK_OK;
    if (*count == r->max) {
        lk_note_set(note, "%s is given more than %u times", row->shown.name, r->max);
        return LK_REFUSED;
    }
    void *element = (char *)s + r->array + *count * r->size;
    memset(element, 0, r->size);
    while (status == LK_OK && lk_words_next(&rest, &word))
        status = apply_words(element, row, &word, 1, note);
    if (status == LK_OK)
        status = apply_words(element, row, args, n, note);
    if (status == LK_OK)
        status = r->finish(element, note);
    if (status == LK_OK)
        (*count)++;
    return status;
}

lk_status lk_settings_apply(lk_settings *s, lk_view name, const lk_view *args, size_t n, lk_note *note)
{
    for (size_t i = 0; i < lk__setting_rows_n; i++) {
        const lk_setting_row *row = &lk__setting_rows[i];
        if (!lk_view_equal(name, lk_view_of(row->shown.name)))
            continue;
        const lk_repeat *repeat = lk__repeat_of(row);
        if (repeat == NULL && (s->seen & (1ULL << i)) != 0) {
            lk_note_set(note, "%s is given twice: keep one", row->shown.name);
            return LK_REFUSED;
        }
        if (n < row->shown.min_args || n > row->shown.max_args) {
            lk_note_set(note, "%s has the wrong number of values: use %s", row->shown.name,
                        row->shown.syntax);
            return LK_REFUSED;
        }
        s->seen |= 1ULL << i;
        return repeat != NULL ? apply_again(s, row, repeat, args, n, note)
                              : apply_words(s, row, args, n, note);
    }
    lk_note_set(note, "\"%.*s\" is not a setting of latchkey: `latchkey settings list` shows them",
                (int)name.len, (const char *)name.p);
    return LK_MISS;
}
