/* SPDX-License-Identifier: Apache-2.0
 *
 * file.c - read latchkey.conf: nginx's grammar, settings only.
 *
 *   file      = *( setting / comment )
 *   setting   = name 1*( blank word ) ";"        name begins with latchkey_, or is `include`
 *   word      = bare / "quoted" / 'quoted'       a backslash takes the next character as it is
 *   comment   = "#" up to the end of the line, where a word could begin
 */
#include "settings/settings_internal.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

enum { FILE_MAX = 256 * 1024, WORDS_MAX = 16, DEPTH_MAX = 2 };

typedef struct reader {
    const char *file;
    lk_view text;
    size_t at;
    unsigned line;
    char words_memory[8192]; /* the unquoted words of one setting */
    lk_buf words_buf;
    lk_view words[WORDS_MAX];
    size_t words_n;
    lk_note *note;
} reader;

static lk_status fail(reader *r, unsigned line, const char *what)
{
    lk_note_set(r->note, "%s:%u: %s", r->file, line, what);
    return LK_REFUSED;
}

static int peek(const reader *r)
{
    return r->at < r->text.len ? r->text.p[r->at] : -1;
}

static int take(reader *r)
{
    int c = peek(r);
    if (c >= 0)
        r->at++;
    if (c == '\n')
        r->line++;
    return c;
}

static bool is_blank(int c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static void skip_blanks(reader *r)
{
    while (is_blank(peek(r)) || peek(r) == '#') {
        if (take(r) != '#')
            continue;
        while (peek(r) >= 0 && peek(r) != '\n')
            (void)take(r);
    }
}

/* One word, quotes and backslashes resolved, appended to the memory of the words. */
static lk_status read_word(reader *r)
{
    size_t start = r->words_buf.len;
    unsigned line = r->line;
    int quote = peek(r) == '"' || peek(r) == '\'' ? take(r) : 0;
    for (;;) {
        int c = peek(r);
        if (c < 0)
            return fail(r, line,
                        quote != 0 ? "a quote is opened here and never closed" : "a ; is missing at the end");
        if (quote != 0 ? c == quote : is_blank(c) || c == ';' || c == '{' || c == '}')
            break;
        (void)take(r);
        if (c == '\\' && peek(r) >= 0)
            c = take(r);
        lk_buf_add_byte(&r->words_buf, (uint8_t)c);
    }
    if (quote != 0) {
        (void)take(r);
        if (peek(r) >= 0 && !is_blank(peek(r)) && peek(r) != ';')
            return fail(r, line, "a blank or ; is missing after the closing quote");
    }
    if (r->words_buf.full || r->words_n == WORDS_MAX)
        return fail(r, line, "this setting is too long");
    r->words[r->words_n++] = lk_view_part(lk_buf_view(&r->words_buf), start, r->words_buf.len);
    return LK_OK;
}

/* The words of the next setting up to its `;`. LK_MISS at the end of the file. *LINE is where it begins. */
static lk_status read_setting(reader *r, unsigned *line)
{
    r->words_buf = lk_buf_over(r->words_memory, sizeof(r->words_memory));
    r->words_n = 0;
    skip_blanks(r);
    *line = r->line;
    if (peek(r) < 0)
        return LK_MISS;
    for (;;) {
        skip_blanks(r);
        int c = peek(r);
        if (c == '{' || c == '}')
            return fail(r, r->line,
                        "only latchkey_ settings belong here; server and location blocks go into nginx.conf");
        if (c == ';') {
            (void)take(r);
            if (r->words_n == 0)
                return fail(r, *line, "a ; without a setting before it");
            return LK_OK;
        }
        if (c < 0)
            return fail(r, *line, "a ; is missing at the end");
        lk_status status = read_word(r);
        if (status != LK_OK)
            return status;
    }
}

static lk_status read_bytes(const lk_env *env, const char *file, uint8_t **out, size_t *len, lk_note *note)
{
    lk_status status = LK_FAULT;
    uint8_t *memory = NULL;
    FILE *f = fopen(file, "rbe");
    *out = NULL;
    if (f == NULL) {
        lk_note_set(note, "%s: cannot be read: %s", file, strerror(errno));
        return LK_FAULT;
    }
    memory = lk_alloc(env, FILE_MAX + 1);
    if (memory == NULL) {
        lk_note_set(note, "%s: out of memory", file);
        goto out;
    }
    *len = fread(memory, 1, FILE_MAX + 1, f);
    if (ferror(f) != 0) {
        lk_note_set(note, "%s: cannot be read: %s", file, strerror(errno));
        goto out;
    }
    if (*len > FILE_MAX) {
        lk_note_set(note, "%s: longer than 256 KiB: that is no latchkey.conf", file);
        status = LK_REFUSED;
        goto out;
    }
    *out = memory;
    memory = NULL;
    status = LK_OK;
out:
    lk_free(env, memory);
    (void)fclose(f);
    return status;
}

static lk_status apply(reader *r, unsigned line, lk_settings *s)
{
    lk_note inner = {""};
    lk_status status = lk_settings_apply(s, r->words[0], r->words + 1, r->words_n - 1, &inner);
    if (status != LK_OK)
        lk_note_set(r->note, "%s:%u: %s", r->file, line, inner.text);
    return status == LK_MISS ? LK_REFUSED : status;
}

/* One level of `include` is followed: enough for a shared file, and no way to loop. */
static lk_status read_one(const lk_env *env, const char *file, lk_settings *s, unsigned depth, lk_note *note)
{
    uint8_t *bytes = NULL;
    size_t len = 0;
    unsigned line = 1;
    reader *r = NULL;
    char included[LK_PATH_MAX];
    lk_status status = read_bytes(env, file, &bytes, &len, note);
    if (status != LK_OK)
        goto out;
    r = lk_alloc(env, sizeof(*r));
    if (r == NULL) {
        lk_note_set(note, "%s: out of memory", file);
        status = LK_FAULT;
        goto out;
    }
    r->file = file;
    r->text = lk_view_make(bytes, len);
    r->line = 1;
    r->note = note;
    while ((status = read_setting(r, &line)) == LK_OK) {
        if (!lk_view_equal(r->words[0], LK_VIEW("include"))) {
            status = apply(r, line, s);
        } else {
            lk_buf path = lk_buf_over(included, sizeof(included));
            lk_buf_add(&path, r->words_n == 2 ? r->words[1] : LK_VIEW(""));
            if (r->words_n != 2 || r->words[1].len == 0 || lk_buf_text(&path) == NULL ||
                depth + 1 == DEPTH_MAX)
                status = fail(r, line, "include takes one file, and an included file includes no other");
            else
                status = read_one(env, included, s, depth + 1, note);
        }
        if (status != LK_OK)
            break;
    }
    if (status == LK_MISS)
        status = LK_OK;
out:
    if (r != NULL)
        lk_wipe(r->words_memory, sizeof(r->words_memory));
    lk_free(env, r);
    if (bytes != NULL)
        lk_wipe(bytes, len);
    lk_free(env, bytes);
    return status;
}

lk_status lk_settings_read(const lk_env *env, const char *file, lk_settings *s, lk_note *note)
{
    lk_note inner = {""};
    lk_settings_init(s);
    lk_status status = read_one(env, file, s, 0, note);
    if (status != LK_OK)
        return status;
    status = lk_settings_check(s, &inner);
    if (status != LK_OK)
        lk_note_set(note, "%s: %s", file, inner.text);
    return status;
}
