/* SPDX-License-Identifier: Apache-2.0
 *
 * move_conf.c - the lines of latchkey.conf that a move is about, read and written; all others stay as they
 * are.
 */
#include "guard/open_store.h"
#include "move.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define CONF_MAX (256 * 1024)
#define WORDS_MAX 5

static const char *const managed[] = {"latchkey_share", "latchkey_store", "latchkey_replica",
                                      "latchkey_move"};
#define MANAGED (sizeof managed / sizeof managed[0])

typedef struct words {
    char text[WORDS_MAX][MOVE_WORD_MAX];
    size_t n;
} words;

const char *move_phase_name(move_phase phase)
{
    static const char *const names[] = {"none", "to", "from"};
    return names[phase];
}

/* ---- reading ---- */

/* Which of the managed settings LINE is, or MANAGED. */
static size_t setting_of(const char *line)
{
    line += strspn(line, " \t");
    for (size_t i = 0; i < MANAGED; i++) {
        size_t len = strlen(managed[i]);
        if (strncmp(line, managed[i], len) == 0 && strchr(" \t", line[len]) != NULL && line[len] != '\0') {
            return i;
        }
    }
    return MANAGED;
}

/* The words after the name, up to the ';'. False: there is none on this line, or too much. */
static bool read_words(const char *line, words *out)
{
    const char *p = line + strspn(line, " \t");
    p += strcspn(p, " \t");
    for (out->n = 0;;) {
        p += strspn(p, " \t");
        if (*p == ';') {
            return p[1 + strspn(p + 1, " \t\r")] == '\0' || p[1 + strspn(p + 1, " \t")] == '#';
        }
        if (*p == '\0' || *p == '#' || out->n == WORDS_MAX) {
            return false;
        }
        char quote = *p == '"' || *p == '\'' ? *p++ : '\0', *word = out->text[out->n++];
        size_t len = 0;
        for (; *p != '\0' && (quote != '\0' ? *p != quote : strchr(" \t;", *p) == NULL); p++) {
            p += *p == '\\' && p[1] != '\0';
            if (len == MOVE_WORD_MAX - 1) {
                return false;
            }
            word[len++] = *p;
        }
        word[len] = '\0';
        if (quote != '\0' && *p++ != quote) {
            return false;
        }
    }
}

static void set_word(char *field, size_t cap, const char *word)
{
    snprintf(field, cap, "%.*s", (int)cap - 1, word);
}

/* to=WAY|from=WAY [store=URL] [replica=URL] */
static void read_move(const words *w, move_node *node, move_side *other)
{
    for (size_t i = 0; i < w->n; i++) {
        const char *word = w->text[i];
        if (strncmp(word, "to=", 3) == 0) {
            node->phase = MOVE_TO;
            set_word(other->way, sizeof other->way, word + 3);
        } else if (strncmp(word, "from=", 5) == 0) {
            node->phase = MOVE_FROM;
            set_word(other->way, sizeof other->way, word + 5);
        } else if (strncmp(word, "store=", 6) == 0) {
            set_word(other->store, sizeof other->store, word + 6);
        } else if (strncmp(word, "replica=", 8) == 0) {
            set_word(other->replica, sizeof other->replica, word + 8);
        }
    }
}

static int take_line(const cli *c, move_node *node, const char *line, move_side *here, move_side *other)
{
    static words w;
    size_t which = setting_of(line);
    if (which == MANAGED) {
        return CLI_YES;
    }
    if (!read_words(line, &w) || w.n == 0) {
        return cli_wrong(c, "%s: write %s on a line of its own, so that it can be changed", node->conf,
                         managed[which]);
    }
    switch (which) {
    case 0:
        set_word(here->way, sizeof here->way, w.text[0]);
        break;
    case 1:
        set_word(here->store, sizeof here->store, w.text[0]);
        break;
    case 2:
        set_word(here->replica, sizeof here->replica, w.text[0]);
        break;
    default:
        read_move(&w, node, other);
        break;
    }
    return CLI_YES;
}

static char *read_text(const cli *c, const char *file)
{
    char *text = malloc(CONF_MAX + 1);
    FILE *f = text != NULL ? fopen(file, "re") : NULL;
    size_t len = f != NULL ? fread(text, 1, CONF_MAX, f) : 0;
    if (f == NULL || ferror(f) != 0) {
        (void)cli_fault(c, "%s: cannot be read: %s", file, strerror(errno));
        if (f != NULL) {
            (void)fclose(f);
        }
        free(text);
        return NULL;
    }
    text[len] = '\0';
    (void)fclose(f);
    return text;
}

static int check(const cli *c, const char *file, lk_settings *settings)
{
    lk_note note = {{0}};
    lk_status status = lk_settings_read(lk_env_system(), file, settings, &note);
    if (status == LK_OK && lk_guard_settings_check(settings, &note) != LK_OK) {
        status = LK_REFUSED;
    }
    if (status == LK_OK) {
        return CLI_YES;
    }
    return status == LK_FAULT ? cli_fault(c, "%s", note.text) : cli_wrong(c, "%s: %s", file, note.text);
}

/* The move is between HERE, what the settings lead with, and OTHER. */
static void arrange(move_node *node, const move_side *here, move_side *other)
{
    const lk_settings *s = &node->settings;
    bool is_same_store = s->move_store[0] == '\0';
    if (node->phase != MOVE_NONE && is_same_store) {
        memcpy(other->store, here->store, sizeof other->store);
    }
    node->old_side = node->phase == MOVE_FROM ? *other : *here;
    node->new_side = node->phase == MOVE_FROM ? *here : *other;
    memcpy(node->old_url, node->phase == MOVE_FROM && !is_same_store ? s->move_store : s->store, LK_URL_MAX);
    memcpy(node->new_url, node->phase == MOVE_TO && !is_same_store ? s->move_store : s->store, LK_URL_MAX);
}

int move_read(const cli *c, const char *conf, move_node *node)
{
    move_side here = {.way = ""}, other = {.way = ""};
    memset(node, 0, sizeof *node);
    set_word(node->conf, sizeof node->conf, conf);
    set_word(node->dir, sizeof node->dir, conf);
    char *slash = strrchr(node->dir, '/');
    if (slash != NULL) {
        *slash = '\0';
    } else {
        set_word(node->dir, sizeof node->dir, ".");
    }
    int code = check(c, conf, &node->settings);
    char *text = code == CLI_YES ? read_text(c, conf) : NULL;
    if (text == NULL) {
        return code == CLI_YES ? CLI_FAULT : code;
    }
    char *rest = text;
    for (char *line = strsep(&rest, "\n"); line != NULL && code == CLI_YES; line = strsep(&rest, "\n")) {
        code = take_line(c, node, line, &here, &other);
    }
    free(text);
    if (code == CLI_YES && here.store[0] == '\0') {
        code = cli_wrong(c, "%s: latchkey_store is not in this file: name it here, so that it can be changed",
                         conf);
    }
    arrange(node, &here, &other);
    return code;
}

/* ---- writing ---- */

static void write_word(FILE *f, const char *prefix, const char *word)
{
    (void)fprintf(f, " \"%s", prefix);
    for (; *word != '\0'; word++) {
        if (*word == '"' || *word == '\\') {
            (void)fputc('\\', f);
        }
        (void)fputc(*word, f);
    }
    (void)fputc('"', f);
}

static void write_side(FILE *f, const move_side *side)
{
    if (side->way[0] != '\0') {
        (void)fprintf(f, "latchkey_share    %s;\n", side->way);
    }
    (void)fputs("latchkey_store   ", f);
    write_word(f, "", side->store);
    (void)fputs(";\n", f);
    if (side->replica[0] != '\0') {
        (void)fputs("latchkey_replica ", f);
        write_word(f, "", side->replica);
        (void)fputs(";\n", f);
    }
}

static void write_lines(FILE *f, const move_node *node, move_phase phase, const move_side *at)
{
    const move_side *here = phase == MOVE_NONE ? at : phase == MOVE_TO ? &node->old_side : &node->new_side;
    const move_side *other = phase == MOVE_TO ? &node->new_side : &node->old_side;
    write_side(f, here);
    if (phase == MOVE_NONE) {
        return;
    }
    (void)fprintf(f, "latchkey_move     %s=%s", move_phase_name(phase), other->way);
    if (move_is_between_stores(node)) {
        write_word(f, "store=", other->store);
    }
    if (other->replica[0] != '\0') {
        write_word(f, "replica=", other->replica);
    }
    (void)fputs(";\n", f);
}

/* The other lines as they are, ours where the first of them was. */
static void write_text(FILE *f, const char *text, const move_node *node, move_phase phase,
                       const move_side *at)
{
    bool is_written = false;
    while (*text != '\0') {
        size_t len = strcspn(text, "\n");
        len += text[len] == '\n';
        if (setting_of(text) == MANAGED) {
            (void)fwrite(text, 1, len, f);
        } else if (!is_written) {
            write_lines(f, node, phase, at);
            is_written = true;
        }
        text += len;
    }
    if (!is_written) {
        write_lines(f, node, phase, at);
    }
}

static int put_file(const cli *c, const move_node *node, const char *file, const char *text, move_phase phase,
                    const move_side *at)
{
    struct stat st;
    FILE *f = stat(node->conf, &st) == 0 ? fopen(file, "we") : NULL;
    if (f == NULL) {
        return cli_fault(c, "%s: cannot be written: %s", file, strerror(errno));
    }
    bool has_failed = fchmod(fileno(f), st.st_mode & 07777) != 0;
    has_failed |= geteuid() == 0 && fchown(fileno(f), st.st_uid, st.st_gid) != 0;
    if (at != NULL || phase != MOVE_NONE) {
        write_text(f, text, node, phase, at);
    } else {
        (void)fputs(text, f);
    }
    has_failed |= fflush(f) != 0 || fsync(fileno(f)) != 0;
    has_failed |= fclose(f) != 0;
    return has_failed ? cli_fault(c, "%s: cannot be written: %s", file, strerror(errno)) : CLI_YES;
}

/* What was there is kept: FILE.before-move from before the whole move, FILE.before-step from before this one.
 */
static int keep(const cli *c, const move_node *node, const char *text, move_phase phase)
{
    char kept[LK_PATH_MAX + 16];
    int code = CLI_YES;
    snprintf(kept, sizeof kept, "%s.before-move", node->conf);
    if (node->phase == MOVE_NONE && phase != MOVE_NONE) {
        code = put_file(c, node, kept, text, MOVE_NONE, NULL);
    }
    snprintf(kept, sizeof kept, "%s.before-step", node->conf);
    return code == CLI_YES ? put_file(c, node, kept, text, MOVE_NONE, NULL) : code;
}

int move_write(const cli *c, move_node *node, move_phase phase, const move_side *at)
{
    static lk_settings settings;
    char fresh[LK_PATH_MAX + 16];
    char *text = read_text(c, node->conf);
    if (text == NULL) {
        return CLI_FAULT;
    }
    snprintf(fresh, sizeof fresh, "%s.new", node->conf);
    int code = put_file(c, node, fresh, text, phase, at);
    code = code == CLI_YES ? check(c, fresh, &settings) : code;
    code = code == CLI_YES ? keep(c, node, text, phase) : code;
    free(text);
    if (code == CLI_YES && rename(fresh, node->conf) != 0) {
        code = cli_fault(c, "%s: cannot be replaced: %s", node->conf, strerror(errno));
    }
    if (code != CLI_YES) {
        (void)unlink(fresh);
        return code;
    }
    node->phase = phase;
    node->settings = settings;
    return CLI_YES;
}

int move_write_back(const cli *c, const move_node *node)
{
    char kept[LK_PATH_MAX + 16];
    snprintf(kept, sizeof kept, "%s.before-step", node->conf);
    return rename(kept, node->conf) == 0
               ? CLI_YES
               : cli_fault(c, "%s: cannot be put back: %s", node->conf, strerror(errno));
}
