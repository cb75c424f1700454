/* SPDX-License-Identifier: Apache-2.0
 *
 * command.h - what a subcommand is, and what was asked of it: the table in main.c is made of these.
 */
#ifndef LATCHKEY_CLI_COMMAND_H
#define LATCHKEY_CLI_COMMAND_H

#include <latchkey/env.h>

/* How the command ends. Scripts rely on these: "no" and "could not look" are never one number. */
enum {
    CLI_YES = 0,   /* yes, or done */
    CLI_NO = 1,    /* no, refused, not found */
    CLI_WRONG = 2, /* wrong usage or settings */
    CLI_FAULT = 3  /* could not look: store, file, network */
};

#define CLI_GIVEN_MAX 64
#define CLI_ARGUMENTS_MAX 8
#define CLI_TEXT_MAX 1024

typedef struct cli cli;

typedef struct cli_option {
    const char *name; /* without the dashes */
    const char
        *value; /* what stands for its value in the help, one word per value; NULL when it takes none */
    const char *help;
} cli_option;

typedef struct cli_command {
    const char *group;     /* "user" */
    const char *verb;      /* "add"; NULL when the group is the whole command */
    const char *arguments; /* as shown in the help: "NAME" */
    unsigned arguments_min, arguments_max;
    const cli_option *options; /* ends with a name of NULL; NULL when there are none of its own */
    const char *summary;       /* one line, no full stop */
    const char *about;         /* further sentences, or NULL */
    const char *example;
    int (*run)(cli *c); /* gives one of the exit codes above */
} cli_command;

typedef struct cli_given {
    const cli_option *option;
    const char *const *values; /* into argv: the words after the option */
    const char *inline_value;  /* of --name=VALUE, else NULL */
} cli_given;

/* One invocation. */
struct cli {
    const cli_command *command;
    const char *const *argv; /* the words after the command's name; NULL-terminated */
    cli_given given[CLI_GIVEN_MAX];
    size_t given_n;
    const char *arguments[CLI_ARGUMENTS_MAX + 1]; /* NULL-terminated */
    size_t arguments_n;
    bool json;
    const char *conf; /* never NULL */
};

/* The options every command has. */
extern const cli_option cli_common_options[];

/* Sort the words of C->argv into options and arguments. CLI_YES; CLI_WRONG with the reason printed. */
int cli_parse(cli *c);

/* The last value of an option, or NULL when it was not given. NAME must be one of the command's options. */
const char *cli_get(const cli *c, const char *name);
/* The second value of an option that takes two, or NULL. */
const char *cli_get_second(const cli *c, const char *name);
bool cli_has(const cli *c, const char *name);
/* The next value of an option that may be given more than once, or NULL. *AT starts at 0. */
const char *cli_next(const cli *c, const char *name, size_t *at);

/* An option as a length of time or whole number; *OUT is left alone when the option was not given. CLI_YES or
 * CLI_WRONG with the reason printed. */
int cli_get_duration(const cli *c, const char *name, int64_t *out);
int cli_get_number(const cli *c, const char *name, int64_t min, int64_t max, int64_t *out);

/* The table of every command (main.c): groups of commands, NULL-terminated; each group ends with a NULL
 * group. */
extern const cli_command *const cli_groups[];
const cli_command *cli_find(const char *group, const char *verb);
const cli_command *cli_find_group(const char *group);

extern const cli_command cli_serve_commands[];
extern const cli_command cli_user_commands[];
extern const cli_command cli_session_commands[];
extern const cli_command cli_device_commands[];
extern const cli_command cli_key_commands[];
extern const cli_command cli_token_commands[];
extern const cli_command cli_explain_commands[];
extern const cli_command cli_jws_commands[];
extern const cli_command cli_client_commands[];
extern const cli_command cli_api_key_commands[];
extern const cli_command cli_cutoff_commands[];
extern const cli_command cli_store_commands[];
extern const cli_command cli_node_commands[];
extern const cli_command cli_move_commands[];
extern const cli_command cli_settings_commands[];
extern const cli_command cli_json_commands[];
extern const cli_command cli_cookie_commands[];
extern const cli_command cli_redirect_commands[];
extern const cli_command cli_password_commands[];
extern const cli_command cli_lab_commands[];

/* help.c */
int cli_help(int argc, const char *const *argv); /* `latchkey help ...` */
void cli_help_command(const cli_command *command);
void cli_help_group(const cli_command *group);
void cli_help_all(void);

/* suggest.c: the word of WORDS nearest to TEXT, or NULL when none is near enough to be what was meant. */
typedef struct cli_nearest {
    const char *word;
    unsigned distance;
} cli_nearest;
void cli_nearest_try(cli_nearest *nearest, const char *text, const char *word);

#endif
