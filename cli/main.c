/* SPDX-License-Identifier: Apache-2.0
 *
 * main.c - the latchkey command: a table of subcommands, each in a file of its own.
 */
#include "command.h"
#include "output.h"
#include <signal.h>
#include <stdio.h>
#include <string.h>

const cli_command *const cli_groups[] = {
    cli_serve_commands,    cli_user_commands,    cli_session_commands,
    cli_device_commands,   cli_key_commands,     cli_token_commands,
    cli_client_commands,   cli_api_key_commands, cli_cutoff_commands,
    cli_store_commands,    cli_node_commands,    cli_move_commands,
    cli_settings_commands, cli_explain_commands, cli_jws_commands,
    cli_json_commands,     cli_cookie_commands,  cli_redirect_commands,
    cli_password_commands, cli_lab_commands,     NULL,
};

const cli_command *cli_find_group(const char *group)
{
    for (size_t i = 0; cli_groups[i] != NULL; i++) {
        if (strcmp(cli_groups[i]->group, group) == 0) {
            return cli_groups[i];
        }
    }
    return NULL;
}

const cli_command *cli_find(const char *group, const char *verb)
{
    const cli_command *command = cli_find_group(group);
    for (; command != NULL && command->group != NULL; command++) {
        if (command->verb == NULL ? verb == NULL : verb != NULL && strcmp(command->verb, verb) == 0) {
            return command;
        }
    }
    return NULL;
}

static int unknown_group(const char *word)
{
    cli_nearest nearest = {0};
    for (size_t i = 0; cli_groups[i] != NULL; i++) {
        cli_nearest_try(&nearest, word, cli_groups[i]->group);
    }
    fprintf(stderr, "latchkey: there is no command '%s'", word);
    if (nearest.word != NULL) {
        fprintf(stderr, "; did you mean '%s'?", nearest.word);
    }
    fputs("\nSee: latchkey help\n", stderr);
    return CLI_WRONG;
}

static int unknown_verb(const cli_command *group, const char *word)
{
    cli_nearest nearest = {0};
    for (const cli_command *command = group; command->group != NULL; command++) {
        cli_nearest_try(&nearest, word, command->verb);
    }
    fprintf(stderr, "latchkey: there is no command '%s %s'", group->group, word);
    if (nearest.word != NULL) {
        fprintf(stderr, "; did you mean '%s %s'?", group->group, nearest.word);
    }
    fprintf(stderr, "\nSee: latchkey help %s\n", group->group);
    return CLI_WRONG;
}

static int run(const cli_command *command, const char *const *words)
{
    cli c = {.command = command, .argv = words};
    int code = cli_parse(&c);
    if (code != CLI_YES) {
        return code;
    }
    if (cli_has(&c, "help")) {
        cli_help_command(command);
        return CLI_YES;
    }
    return command->run(&c);
}

static int run_verb(const cli_command *group, const char *const *words)
{
    if (words[0] == NULL) {
        cli_help_group(group);
        return CLI_WRONG;
    }
    if (strcmp(words[0], "--help") == 0 || strcmp(words[0], "-h") == 0) {
        cli_help_group(group);
        return CLI_YES;
    }
    const cli_command *command = cli_find(group->group, words[0]);
    return command != NULL ? run(command, words + 1) : unknown_verb(group, words[0]);
}

int main(int argc, char **argv)
{
    const char *const *words = (const char *const *)argv + (argc > 0 ? 1 : 0);
    /* A reader that went away is an error of write(), reported as such. */
    signal(SIGPIPE, SIG_IGN);
    if (words[0] == NULL) {
        cli_help_all();
        return CLI_WRONG;
    }
    if (strcmp(words[0], "help") == 0) {
        return cli_help(argc - 2, words + 1);
    }
    if (strcmp(words[0], "--help") == 0 || strcmp(words[0], "-h") == 0) {
        return cli_help(0, NULL);
    }
    if (strcmp(words[0], "--version") == 0) {
        puts("latchkey " LATCHKEY_VERSION);
        return CLI_YES;
    }
    const cli_command *group = cli_find_group(words[0]);
    if (group == NULL) {
        return unknown_group(words[0]);
    }
    return group->verb == NULL ? run(group, words + 1) : run_verb(group, words + 1);
}
