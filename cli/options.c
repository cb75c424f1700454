/* SPDX-License-Identifier: Apache-2.0
 *
 * options.c - the words of a command line sorted into options and arguments.
 *
 * `--name VALUE` and `--name=VALUE`; `--` ends the options; a lone `-` is an argument (standard input). There
 * are no short options but -h: a script is read more often than it is written.
 */
#include "command.h"
#include "output.h"
#include <latchkey/base64url.h>
#include <latchkey/session.h>
#include <stdlib.h>
#include <string.h>

#define CONF_DEFAULT "/etc/latchkey/latchkey.conf"

const cli_option cli_common_options[] = {
    {"conf", "FILE", "settings to read (default: $LATCHKEY_CONF, else " CONF_DEFAULT ")"},
    {"json", NULL, "answer as one JSON object on standard output"},
    {"help", NULL, "show this help"},
    {0},
};

static const cli_option *option_in(const cli_option *options, const char *name, size_t len)
{
    for (; options != NULL && options->name != NULL; options++) {
        if (strlen(options->name) == len && strncmp(options->name, name, len) == 0) {
            return options;
        }
    }
    return NULL;
}

static const cli_option *option_find(const cli *c, const char *name, size_t len)
{
    const cli_option *own = option_in(c->command->options, name, len);
    return own != NULL ? own : option_in(cli_common_options, name, len);
}

static size_t values_wanted(const cli_option *option)
{
    size_t n = 0;
    for (const char *p = option->value; p != NULL; p = strchr(p, ' ')) {
        p += *p == ' ';
        n++;
    }
    return n;
}

static void nearest_of(const cli_option *options, const char *text, cli_nearest *nearest)
{
    for (; options != NULL && options->name != NULL; options++) {
        cli_nearest_try(nearest, text, options->name);
    }
}

static int unknown_option(cli *c, const char *word)
{
    cli_nearest nearest = {0};
    nearest_of(c->command->options, word + 2, &nearest);
    nearest_of(cli_common_options, word + 2, &nearest);
    if (nearest.word != NULL) {
        return cli_wrong(c, "there is no option %s; did you mean --%s?", word, nearest.word);
    }
    return cli_wrong(c, "there is no option %s", word);
}

/* Take the option at argv[*at] with its values; *at is left on the last word taken. */
static int take_option(cli *c, size_t *at)
{
    const char *word = c->argv[*at];
    const char *equals = strchr(word, '=');
    size_t len = equals != NULL ? (size_t)(equals - word - 2) : strlen(word + 2);
    const cli_option *option = option_find(c, word + 2, len);
    if (option == NULL) {
        return unknown_option(c, word);
    }
    size_t wanted = values_wanted(option);
    if (equals != NULL && wanted != 1) {
        return cli_wrong(c,
                         wanted == 0 ? "--%s takes no value" : "--%s takes its values as words of their own",
                         option->name);
    }
    if (c->given_n == CLI_GIVEN_MAX) {
        return cli_wrong(c, "more than %d options", CLI_GIVEN_MAX);
    }
    c->given[c->given_n].option = option;
    c->given[c->given_n].values = &c->argv[*at + 1];
    for (size_t i = 0; equals == NULL && i < wanted; i++) {
        if (c->argv[++*at] == NULL) {
            return cli_wrong(c, "--%s needs %s", option->name, option->value);
        }
    }
    if (equals != NULL) {
        c->given[c->given_n].values = NULL; /* the value is the rest of the word itself */
        c->given[c->given_n].inline_value = equals + 1;
    }
    c->given_n++;
    return CLI_YES;
}

static int take_argument(cli *c, const char *word)
{
    if (c->arguments_n >= c->command->arguments_max || c->arguments_n == CLI_ARGUMENTS_MAX) {
        return cli_wrong(c, "'%s' is one argument too many", word);
    }
    c->arguments[c->arguments_n++] = word;
    return CLI_YES;
}

/* The public id of a session is 16 random characters, and one in 64 begins with a dash. */
static bool is_public_id(const cli *c, const char *word)
{
    return strlen(word) == LK_PUBLIC_ID_LEN && lk_is_base64url(lk_view_of(word)) &&
           strstr(c->command->arguments, "PUBLIC_ID") != NULL &&
           option_find(c, word + 2, LK_PUBLIC_ID_LEN - 2) == NULL;
}

static int finish(cli *c)
{
    c->json = cli_has(c, "json");
    c->conf = cli_get(c, "conf");
    if (c->conf == NULL) {
        const char *from_env = getenv("LATCHKEY_CONF");
        c->conf = from_env != NULL && from_env[0] != '\0' ? from_env : CONF_DEFAULT;
    }
    if (!cli_has(c, "help") && c->arguments_n < c->command->arguments_min) {
        return cli_wrong(c, "missing %s", c->command->arguments);
    }
    return CLI_YES;
}

int cli_parse(cli *c)
{
    bool options_over = false;
    for (size_t at = 0; c->argv[at] != NULL; at++) {
        const char *word = c->argv[at];
        int answer = CLI_YES;
        if (options_over || word[0] != '-' || word[1] == '\0') {
            answer = take_argument(c, word);
        } else if (strcmp(word, "--") == 0) {
            options_over = true;
        } else if (strcmp(word, "-h") == 0) {
            c->given[0] = (cli_given){option_in(cli_common_options, "help", 4), NULL, NULL};
            c->given_n = 1;
            return finish(c);
        } else if (is_public_id(c, word)) {
            answer = take_argument(c, word);
        } else if (word[1] != '-') {
            answer = cli_wrong(c, "there is no option %s; options begin with two dashes", word);
        } else {
            answer = take_option(c, &at);
        }
        if (answer != CLI_YES) {
            return answer;
        }
    }
    return finish(c);
}

const char *cli_next(const cli *c, const char *name, size_t *at)
{
    while (*at < c->given_n) {
        const cli_given *g = &c->given[(*at)++];
        if (strcmp(g->option->name, name) == 0) {
            return g->inline_value != NULL ? g->inline_value : g->values[0];
        }
    }
    return NULL;
}

const char *cli_get(const cli *c, const char *name)
{
    const char *last = NULL, *value;
    for (size_t at = 0; (value = cli_next(c, name, &at)) != NULL;) {
        last = value;
    }
    return last;
}

const char *cli_get_second(const cli *c, const char *name)
{
    const char *last = NULL;
    for (size_t i = 0; i < c->given_n; i++) {
        if (strcmp(c->given[i].option->name, name) == 0) {
            last = c->given[i].values[1];
        }
    }
    return last;
}

bool cli_has(const cli *c, const char *name)
{
    for (size_t i = 0; i < c->given_n; i++) {
        if (strcmp(c->given[i].option->name, name) == 0) {
            return true;
        }
    }
    return false;
}

int cli_get_duration(const cli *c, const char *name, int64_t *out)
{
    const char *text = cli_get(c, name);
    if (text != NULL && lk_parse_duration_s(lk_view_of(text), out) != LK_OK) {
        return cli_wrong(c, "--%s %s: a length of time is a number and s, m, h or d, such as 15m", name,
                         text);
    }
    return CLI_YES;
}

int cli_get_number(const cli *c, const char *name, int64_t min, int64_t max, int64_t *out)
{
    const char *text = cli_get(c, name);
    if (text == NULL) {
        return CLI_YES;
    }
    if (lk_parse_i64(lk_view_of(text), out) != LK_OK || *out < min || *out > max) {
        return cli_wrong(c, "--%s %s: expected a whole number from %lld to %lld", name, text, (long long)min,
                         (long long)max);
    }
    return CLI_YES;
}
