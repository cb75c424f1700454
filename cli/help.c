/* SPDX-License-Identifier: Apache-2.0
 *
 * help.c - help made from the table of commands, and the word lists for shell completion.
 */
#include "command.h"
#include "output.h"
#include <stdio.h>
#include <string.h>

static void print_options(const cli_option *options)
{
    for (; options != NULL && options->name != NULL; options++) {
        char left[48];
        snprintf(left, sizeof left, "--%s%s%s", options->name, options->value != NULL ? " " : "",
                 options->value != NULL ? options->value : "");
        printf("  %-24s %s\n", left, options->help);
    }
}

static void print_usage(const cli_command *command)
{
    printf("latchkey %s", command->group);
    if (command->verb != NULL) {
        printf(" %s", command->verb);
    }
    if (command->arguments[0] != '\0') {
        printf(" %s", command->arguments);
    }
}

void cli_help_command(const cli_command *command)
{
    fputs("Usage: ", stdout);
    print_usage(command);
    printf(" [options]\n\n%s.\n", command->summary);
    if (command->about != NULL) {
        printf("%s\n", command->about);
    }
    puts("\nOptions:");
    print_options(command->options);
    print_options(cli_common_options);
    printf("\nExample:\n  %s\n\n", command->example);
    puts("Exit codes: 0 yes or done, 1 no or refused, 2 wrong usage or settings, 3 could not look.");
}

void cli_help_group(const cli_command *group)
{
    if (group->verb == NULL) {
        cli_help_command(group);
        return;
    }
    printf("Usage: latchkey %s COMMAND ...\n\n", group->group);
    for (const cli_command *command = group; command->group != NULL; command++) {
        printf("  %-10s %s\n", command->verb, command->summary);
    }
    printf("\nlatchkey %s COMMAND --help tells more.\n", group->group);
}

void cli_help_all(void)
{
    puts("latchkey keeps people logged in across web servers.\n\nUsage: latchkey COMMAND ...\n");
    for (size_t i = 0; cli_groups[i] != NULL; i++) {
        for (const cli_command *command = cli_groups[i]; command->group != NULL; command++) {
            char name[32];
            snprintf(name, sizeof name, "%s%s%s", command->group, command->verb != NULL ? " " : "",
                     command->verb != NULL ? command->verb : "");
            printf("  %-17s %s\n", name, command->summary);
        }
    }
    puts("\nlatchkey COMMAND --help tells more. Every command takes --conf FILE and --json.");
    puts("Exit codes: 0 yes or done, 1 no or refused, 2 wrong usage or settings, 3 could not look.");
}

static void print_option_words(const cli_option *options)
{
    for (; options != NULL && options->name != NULL; options++) {
        printf("--%s\n", options->name);
    }
}

/* The words that may come next, one a line: the completion script asks for them, so that it cannot grow old.
 */
static int print_words(const char *group, const char *verb)
{
    const cli_command *first = group != NULL ? cli_find_group(group) : NULL;
    if (group == NULL) {
        for (size_t i = 0; cli_groups[i] != NULL; i++) {
            puts(cli_groups[i]->group);
        }
        puts("help");
        return CLI_YES;
    }
    if (first == NULL) {
        return CLI_NO;
    }
    if (verb == NULL && first->verb != NULL) {
        for (const cli_command *command = first; command->group != NULL; command++) {
            puts(command->verb);
        }
        return CLI_YES;
    }
    const cli_command *command = cli_find(group, first->verb != NULL ? verb : NULL);
    if (command == NULL) {
        return CLI_NO;
    }
    print_option_words(command->options);
    print_option_words(cli_common_options);
    return CLI_YES;
}

int cli_help(int argc, const char *const *argv)
{
    if (argc > 0 && strcmp(argv[0], "--words") == 0) {
        return print_words(argc > 1 ? argv[1] : NULL, argc > 2 ? argv[2] : NULL);
    }
    if (argc == 0) {
        cli_help_all();
        return CLI_YES;
    }
    const cli_command *group = cli_find_group(argv[0]);
    const cli_command *command = argc > 1 ? cli_find(argv[0], argv[1]) : NULL;
    if (group == NULL || (argc > 1 && command == NULL)) {
        fprintf(stderr, "latchkey: there is no command '%s%s%s'\n", argv[0], argc > 1 ? " " : "",
                argc > 1 ? argv[1] : "");
        return CLI_WRONG;
    }
    if (command != NULL) {
        cli_help_command(command);
    } else {
        cli_help_group(group);
    }
    return CLI_YES;
}
