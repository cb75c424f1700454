/* SPDX-License-Identifier: Apache-2.0
 *
 * input.h - what the command reads: standard input, files, tokens, passwords.
 */
#ifndef LATCHKEY_CLI_INPUT_H
#define LATCHKEY_CLI_INPUT_H

#include "command.h"

#define CLI_INPUT_MAX (8u << 20)

/* Bytes read; free with cli_input_free, which wipes them: any input may be a secret. */
typedef struct cli_input {
    uint8_t *p;
    size_t len;
    size_t cap;
} cli_input;
void cli_input_free(cli_input *in);
static inline lk_view cli_input_view(const cli_input *in)
{
    return lk_view_make(in->p, in->len);
}

/* All of standard input, or of the file PATH ("-" is standard input). CLI_YES; CLI_NO over CLI_INPUT_MAX;
 * CLI_FAULT. */
int cli_read_stdin(const cli *c, cli_input *out);
int cli_read_file(const cli *c, const char *path, cli_input *out);

/* Standard input without its last newline. */
int cli_read_line(const cli *c, cli_input *out);

/* The token of argument number INDEX; standard input without its last newline when that is "-" or missing. */
int cli_read_token(const cli *c, size_t index, cli_input *out);

/* A password: from the terminal without echo (asked twice with TWICE), else one line of standard input. Never
 * from the command line, where every user of the machine can read it. CLI_YES; CLI_WRONG when the two differ
 * or there are several lines; CLI_FAULT. */
int cli_read_password(const cli *c, const char *prompt, bool twice, cli_input *out);

#endif
