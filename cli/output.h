/* SPDX-License-Identifier: Apache-2.0
 *
 * output.h - how the command answers: one JSON object with --json, else lines and aligned tables made from
 * the same object, so that the two never differ.
 */
#ifndef LATCHKEY_CLI_OUTPUT_H
#define LATCHKEY_CLI_OUTPUT_H

#include "command.h"
#include <jansson.h>
#include <latchkey/reason.h>

/* How a member is shown to people. JSON gets the member as it is. */
typedef enum cli_format {
    CLI_TEXT,   /* a string, number or boolean */
    CLI_TIME,   /* seconds since 1970; 0 is "-" */
    CLI_SECONDS /* a length of time, shown as 15m, 12h, ... */
} cli_format;

typedef struct cli_column {
    const char *key;
    const char *title;
    cli_format format;
} cli_column;

/* Print OBJECT: with --json as it is, else a line for each column whose member is there. Takes OBJECT over.
 * CLI_YES; CLI_FAULT when standard output cannot be written or OBJECT is NULL (memory). */
int cli_print_record(const cli *c, json_t *object, const cli_column *columns);

/* Print the array OBJECT[KEY] as a table, or with --json all of OBJECT. NONE is the sentence for an empty
 * table. */
int cli_print_table(const cli *c, json_t *object, const char *key, const cli_column *columns,
                    const char *none);

/* Print OBJECT with --json, else the sentence of FORMAT. Takes OBJECT over. */
int cli_done(const cli *c, json_t *object, const char *format, ...) LK_PRINTF(3, 4);

/* Say why the answer is not yes: a line on standard error, with --json also {"error": ..., "reason": ...} on
 * standard output. Each gives the exit code of its name. REASON may be LK_REASON_NONE. */
int cli_no(const cli *c, lk_reason reason, const char *format, ...) LK_PRINTF(3, 4);
int cli_wrong(const cli *c, const char *format, ...) LK_PRINTF(2, 3);
int cli_fault(const cli *c, const char *format, ...) LK_PRINTF(2, 3);

/* A remark on standard error, never in the JSON. */
void cli_remark(const char *format, ...) LK_PRINTF(1, 2);

/* The same for an answer of the library: OK and NO by what it says, with WHAT and the note as the sentence.
 */
int cli_answer(const cli *c, lk_status status, const char *what, const lk_note *note);

/* Build objects: text that is no UTF-8 (a foreign User-Agent) has each bad byte replaced; out of memory is
 * noticed when the object is printed. */
void cli_set_text(json_t *object, const char *key, lk_view text);
void cli_set_number(json_t *object, const char *key, int64_t number);
void cli_set_flag(json_t *object, const char *key, bool flag);
/* A space-separated list as an array. */
void cli_set_words(json_t *object, const char *key, lk_view words);

/* table.c: the same data laid out for people. */
void cli_table_rows(const json_t *rows, const cli_column *columns);
void cli_table_record(const json_t *object, const cli_column *columns);

/* Write exactly these bytes to standard output. */
int cli_write(const cli *c, lk_view bytes);

#endif
