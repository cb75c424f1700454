/* SPDX-License-Identifier: Apache-2.0
 *
 * output.c - answers: JSON objects, sentences, and remarks.
 */
#include "output.h"
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static int flush_all(const cli *c)
{
    (void)c;
    if (fflush(stdout) == 0 && !ferror(stdout)) {
        return CLI_YES;
    }
    fprintf(stderr, "latchkey: cannot write the answer: %s\n", strerror(errno));
    return CLI_FAULT;
}

/* Print OBJECT as JSON and let it go. */
static int print_json(const cli *c, json_t *object)
{
    int failed = object == NULL || json_dumpf(object, stdout, JSON_INDENT(2) | JSON_ENCODE_ANY);
    json_decref(object);
    if (failed && ferror(stdout)) {
        return flush_all(c); /* which says what is wrong with the output */
    }
    if (failed) {
        fprintf(stderr, "latchkey: out of memory\n");
        return CLI_FAULT;
    }
    putchar('\n');
    return flush_all(c);
}

static int complain(const cli *c, int code, lk_reason reason, const char *format, va_list args)
{
    char text[CLI_TEXT_MAX];
    vsnprintf(text, sizeof text, format, args);
    const char *word = lk_reason_word(reason);
    fprintf(stderr, "latchkey: %s%s%s\n", word, word[0] != '\0' ? ": " : "", text);
    if (c->json) {
        json_t *object = json_object();
        cli_set_text(object, "error", lk_view_of(text));
        if (word[0] != '\0') {
            cli_set_text(object, "reason", lk_view_of(word));
        }
        (void)print_json(c, object);
    }
    if (code == CLI_WRONG && c->command != NULL) {
        const char *verb = c->command->verb;
        fprintf(stderr, "See: latchkey %s%s%s --help\n", c->command->group, verb != NULL ? " " : "",
                verb != NULL ? verb : "");
    }
    return code;
}

int cli_no(const cli *c, lk_reason reason, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int code = complain(c, CLI_NO, reason, format, args);
    va_end(args);
    return code;
}

int cli_wrong(const cli *c, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int code = complain(c, CLI_WRONG, LK_REASON_NONE, format, args);
    va_end(args);
    return code;
}

int cli_fault(const cli *c, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int code = complain(c, CLI_FAULT, LK_REASON_NONE, format, args);
    va_end(args);
    return code;
}

void cli_remark(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fputs("latchkey: ", stderr);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
}

int cli_answer(const cli *c, lk_status status, const char *what, const lk_note *note)
{
    const char *why = note != NULL && note->text[0] != '\0' ? note->text : lk_status_name(status);
    switch (status) {
    case LK_OK:
        return CLI_YES;
    case LK_MISS:
    case LK_STALE:
    case LK_REFUSED:
    case LK_FULL:
        return cli_no(c, LK_REASON_NONE, "%s: %s", what, why);
    case LK_FAULT:
        break;
    }
    return cli_fault(c, "%s: %s", what, why);
}

int cli_done(const cli *c, json_t *object, const char *format, ...)
{
    if (c->json) {
        return print_json(c, object);
    }
    json_decref(object);
    va_list args;
    va_start(args, format);
    vprintf(format, args);
    va_end(args);
    putchar('\n');
    return flush_all(c);
}

int cli_write(const cli *c, lk_view bytes)
{
    if (bytes.len > 0) {
        (void)fwrite(bytes.p, 1, bytes.len, stdout);
    }
    return flush_all(c);
}

int cli_print_record(const cli *c, json_t *object, const cli_column *columns)
{
    if (!c->json && object != NULL) {
        cli_table_record(object, columns);
        json_decref(object);
        return flush_all(c);
    }
    return print_json(c, object);
}

int cli_print_table(const cli *c, json_t *object, const char *key, const cli_column *columns,
                    const char *none)
{
    const json_t *rows = json_object_get(object, key);
    if (c->json || rows == NULL) {
        return print_json(c, object);
    }
    if (json_array_size(rows) == 0) {
        puts(none);
    } else {
        cli_table_rows(rows, columns);
    }
    json_decref(object);
    return flush_all(c);
}

/* Keep what is valid UTF-8 and put '?' for every other byte: the agent of a session is whatever a client
 * sent. */
static json_t *lossy_text(lk_view text)
{
    char copy[CLI_TEXT_MAX];
    size_t len = text.len < sizeof copy ? text.len : sizeof copy;
    memcpy(copy, text.p, len);
    for (size_t i = 0; i < len; i++) {
        if ((unsigned char)copy[i] >= 0x80) {
            copy[i] = '?';
        }
    }
    return json_stringn(copy, len);
}

void cli_set_text(json_t *object, const char *key, lk_view text)
{
    json_t *value = json_stringn(text.len > 0 ? (const char *)text.p : "", text.len);
    if (value == NULL) {
        value = lossy_text(text);
    }
    (void)json_object_set_new(object, key, value);
}

void cli_set_number(json_t *object, const char *key, int64_t number)
{
    (void)json_object_set_new(object, key, json_integer(number));
}

void cli_set_flag(json_t *object, const char *key, bool flag)
{
    (void)json_object_set_new(object, key, json_boolean(flag));
}

void cli_set_words(json_t *object, const char *key, lk_view words)
{
    json_t *array = json_array();
    lk_view word;
    while (lk_words_next(&words, &word)) {
        (void)json_array_append_new(array, json_stringn((const char *)word.p, word.len));
    }
    (void)json_object_set_new(object, key, array);
}
