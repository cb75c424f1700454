/* SPDX-License-Identifier: Apache-2.0
 *
 * table.c - JSON objects laid out for people: aligned columns, or one member a line.
 *
 * Every cell is cleaned of control characters first: names and agents come from outside, and a terminal obeys
 * escape sequences wherever they come from.
 */
#include "output.h"
#include <stdio.h>
#include <string.h>
#include <time.h>

#define CELL_MAX 160
#define COLUMNS_MAX 16

static void put_time(int64_t when_s, char cell[CELL_MAX])
{
    struct tm tm;
    time_t t = (time_t)when_s;
    if (when_s == 0 || gmtime_r(&t, &tm) == NULL ||
        strftime(cell, CELL_MAX, "%Y-%m-%d %H:%M:%SZ", &tm) == 0) {
        snprintf(cell, CELL_MAX, "-");
    }
}

static void put_seconds(int64_t s, char cell[CELL_MAX])
{
    static const struct {
        int64_t s;
        char letter;
    } units[] = {{86400, 'd'}, {3600, 'h'}, {60, 'm'}};
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        if (s >= units[i].s && s % units[i].s == 0) {
            snprintf(cell, CELL_MAX, "%lld%c", (long long)(s / units[i].s), units[i].letter);
            return;
        }
    }
    snprintf(cell, CELL_MAX, "%llds", (long long)s);
}

static void put_words(const json_t *array, char cell[CELL_MAX])
{
    size_t len = 0;
    cell[0] = '\0';
    for (size_t i = 0; i < json_array_size(array) && len + 2 < CELL_MAX; i++) {
        const char *word = json_string_value(json_array_get(array, i));
        int n = snprintf(cell + len, CELL_MAX - len, "%s%s", i > 0 ? " " : "", word != NULL ? word : "");
        len += n > 0 ? (size_t)n : 0;
    }
}

/* Control characters, C1 ones (C2 80 to C2 9F in UTF-8) included, become '?'; an empty cell becomes "-". */
static void clean(char cell[CELL_MAX])
{
    for (unsigned char *p = (unsigned char *)cell; *p != '\0'; p++) {
        if (*p < 0x20 || *p == 0x7f || (p[0] == 0xc2 && p[1] >= 0x80 && p[1] < 0xa0)) {
            *p = '?';
        } else if (p > (unsigned char *)cell && p[-1] == '?' && *p >= 0x80 && *p < 0xc0) {
            *p = '?';
        }
    }
    if (cell[0] == '\0') {
        snprintf(cell, CELL_MAX, "-");
    }
}

static void put_cell(const json_t *object, const cli_column *column, char cell[CELL_MAX])
{
    const json_t *value = json_object_get(object, column->key);
    cell[0] = '\0';
    if (json_is_integer(value) && column->format == CLI_TIME) {
        put_time(json_integer_value(value), cell);
    } else if (json_is_integer(value) && column->format == CLI_SECONDS) {
        put_seconds(json_integer_value(value), cell);
    } else if (json_is_integer(value)) {
        snprintf(cell, CELL_MAX, "%lld", (long long)json_integer_value(value));
    } else if (json_is_boolean(value)) {
        snprintf(cell, CELL_MAX, "%s", json_is_true(value) ? "yes" : "no");
    } else if (json_is_string(value)) {
        snprintf(cell, CELL_MAX, "%s", json_string_value(value));
    } else if (json_is_array(value)) {
        put_words(value, cell);
    }
    clean(cell);
}

/* Characters, not bytes: continuation bytes of UTF-8 take no room of their own. */
static size_t width_of(const char *cell)
{
    size_t n = 0;
    for (; *cell != '\0'; cell++) {
        n += ((unsigned char)*cell & 0xc0) != 0x80;
    }
    return n;
}

static void print_padded(const char *cell, size_t width, bool last)
{
    fputs(cell, stdout);
    for (size_t n = width_of(cell); !last && n < width + 2; n++) {
        putchar(' ');
    }
}

static void widen(const json_t *rows, const cli_column *columns, size_t widths[COLUMNS_MAX])
{
    char cell[CELL_MAX];
    for (size_t i = 0; i < json_array_size(rows); i++) {
        for (size_t k = 0; columns[k].key != NULL && k < COLUMNS_MAX; k++) {
            put_cell(json_array_get(rows, i), &columns[k], cell);
            size_t width = width_of(cell);
            widths[k] = width > widths[k] ? width : widths[k];
        }
    }
}

void cli_table_rows(const json_t *rows, const cli_column *columns)
{
    char cell[CELL_MAX];
    size_t widths[COLUMNS_MAX] = {0};
    for (size_t k = 0; columns[k].key != NULL && k < COLUMNS_MAX; k++) {
        widths[k] = strlen(columns[k].title);
    }
    widen(rows, columns, widths);
    for (size_t k = 0; columns[k].key != NULL; k++) {
        print_padded(columns[k].title, widths[k], columns[k + 1].key == NULL);
    }
    putchar('\n');
    for (size_t i = 0; i < json_array_size(rows); i++) {
        for (size_t k = 0; columns[k].key != NULL; k++) {
            put_cell(json_array_get(rows, i), &columns[k], cell);
            print_padded(cell, widths[k], columns[k + 1].key == NULL);
        }
        putchar('\n');
    }
}

void cli_table_record(const json_t *object, const cli_column *columns)
{
    char cell[CELL_MAX];
    size_t width = 0;
    for (size_t k = 0; columns[k].key != NULL; k++) {
        size_t len = strlen(columns[k].title);
        width = len > width ? len : width;
    }
    for (size_t k = 0; columns[k].key != NULL; k++) {
        if (json_object_get(object, columns[k].key) == NULL) {
            continue;
        }
        put_cell(object, &columns[k], cell);
        print_padded(columns[k].title, width, false);
        puts(cell);
    }
}
