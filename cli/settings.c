/* SPDX-License-Identifier: Apache-2.0
 *
 * settings.c - latchkey settings: is latchkey.conf right, and what can be in it?
 */
#include "output.h"
#include <latchkey/guard.h>
#include <stdio.h>

static void set_url(json_t *object, const char *key, const char *url)
{
    char shown[LK_URL_MAX];
    lk_store_url_show(url, shown, sizeof shown);
    cli_set_text(object, key, lk_view_of(shown));
}

static int check(cli *c)
{
    lk_settings settings;
    lk_note note = {{0}};
    const char *file = c->arguments_n > 0 ? c->arguments[0] : c->conf;
    lk_status status = lk_settings_read(lk_env_system(), file, &settings, &note);
    if (status == LK_FAULT) {
        return cli_fault(c, "%s", note.text);
    }
    if (status != LK_OK) {
        return cli_wrong(c, "%s", note.text);
    }
    if (lk_guard_settings_check(&settings, &note) != LK_OK) {
        return cli_wrong(c, "%s: %s", file, note.text);
    }
    json_t *object = json_object();
    cli_set_text(object, "file", lk_view_of(file));
    cli_set_flag(object, "valid", true);
    cli_set_text(object, "keys", lk_view_of(settings.keys));
    set_url(object, "accounts", settings.accounts);
    set_url(object, "store", settings.store);
    set_url(object, "replica", settings.replica);
    cli_set_text(object, "memory", lk_view_of(settings.memory_path));
    return cli_done(c, object, "%s: all settings are right", file);
}

/* As nginx documents a directive: the lines are too long for a table. */
static int print_settings(const cli *c)
{
    const lk_setting *setting;
    for (size_t i = 0; (setting = lk_setting_at(i)) != NULL; i++) {
        const char *initial = setting->initial[0] != '\0' ? setting->initial : "none";
        printf("%s %s;\n    Default: %s\n    %s\n", setting->name, setting->syntax, initial,
               setting->summary);
    }
    return cli_write(c, (lk_view){0});
}

static int list(cli *c)
{
    json_t *object = json_object(), *rows = json_array();
    const lk_setting *setting;
    for (size_t i = 0; (setting = lk_setting_at(i)) != NULL; i++) {
        json_t *row = json_object();
        cli_set_text(row, "name", lk_view_of(setting->name));
        cli_set_text(row, "syntax", lk_view_of(setting->syntax));
        cli_set_text(row, "default", lk_view_of(setting->initial));
        cli_set_text(row, "summary", lk_view_of(setting->summary));
        (void)json_array_append_new(rows, row);
    }
    (void)json_object_set_new(object, "settings", rows);
    if (c->json) {
        return cli_print_record(c, object, NULL);
    }
    json_decref(object);
    return print_settings(c);
}

const cli_command cli_settings_commands[] = {
    {"settings", "check", "[FILE]", 0, 1, NULL, "Check a settings file without touching anything",
     "FILE is the one of --conf when it is not given. What is wrong is told with file, line, rule and cure.",
     "latchkey settings check /etc/latchkey/latchkey.conf", check},
    {"settings", "list", "", 0, 0, NULL, "List every setting with its syntax and default",
     "latchkey.conf(5) explains them.", "latchkey settings list --json", list},
    {0},
};
