/* SPDX-License-Identifier: Apache-2.0
 *
 * nodes.c - read and write the state file of a balancer; its format is in nodes.h.
 */
#include "settings/nodes.h"
#include "settings/replace.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

#define WORDS_MAX 6 /* one more than a line may have */

/* ---- reading ---- */

static bool is_name(lk_view v)
{
    for (size_t i = 0; i < v.len; i++) {
        uint8_t c = v.p[i];
        bool fits = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
                    c == '-' || c == '_';
        if (!fits)
            return false;
    }
    return v.len > 0 && v.len < LK_NODE_NAME_MAX;
}

static bool is_address(lk_view v)
{
    for (size_t i = 0; i < v.len; i++) {
        if (v.p[i] <= ' ' || v.p[i] >= 0x7f)
            return false;
    }
    return v.len > 0 && v.len < LK_NODE_ADDRESS_MAX;
}

static void keep(char *into, lk_view v)
{
    memcpy(into, v.p, v.len);
    into[v.len] = '\0';
}

static size_t split(lk_view line, lk_view words[WORDS_MAX])
{
    size_t n = 0;
    for (size_t at = 0; at < line.len && n < WORDS_MAX;) {
        size_t begin = at;
        while (at < line.len && line.p[at] != ' ' && line.p[at] != '\t')
            at++;
        if (at > begin)
            words[n++] = lk_view_part(line, begin, at - begin);
        at++;
    }
    return n;
}

/* LK_OK, or what is wrong with the line, without its number. */
static lk_status read_node(const lk_view *words, size_t n, lk_nodes *out, lk_note *note)
{
    if (out->n == LK_NODES_MAX) {
        lk_note_set(note, "more than %d nodes", LK_NODES_MAX);
        return LK_REFUSED;
    }
    bool is_up = n == 3 && lk_view_equal(words[2], LK_VIEW("up"));
    bool drains = (n == 3 || (n == 5 && lk_view_equal(words[3], LK_VIEW("to")) && is_name(words[4]))) &&
                  lk_view_equal(words[2], LK_VIEW("drain"));
    if (!is_up && !drains) {
        lk_note_set(note, "expected NAME ADDRESS up, or NAME ADDRESS drain [to NAME]");
        return LK_REFUSED;
    }
    if (!is_name(words[0]) || !is_address(words[1])) {
        lk_note_set(note, !is_name(words[0]) ? "a node's name is 1 to 63 letters, digits, '.', '-' and '_'"
                                             : "that is no address of a server");
        return LK_REFUSED;
    }
    if (lk_nodes_find(out, words[0]) != NULL || lk_nodes_at(out, words[1]) != NULL) {
        lk_note_set(note, "this name or this address stands above already");
        return LK_REFUSED;
    }
    lk_node *node = &out->all[out->n++];
    memset(node, 0, sizeof(*node));
    keep(node->name, words[0]);
    keep(node->address, words[1]);
    node->drains = drains;
    if (n == 5)
        keep(node->to, words[4]);
    return LK_OK;
}

/* What only the whole file shows. */
static lk_status check(lk_nodes *nodes, lk_note *note)
{
    size_t draining = 0;
    for (size_t i = 0; i < nodes->n; i++) {
        const lk_node *node = &nodes->all[i];
        draining += node->drains;
        if (node->to[0] == '\0')
            continue;
        const lk_node *to = lk_nodes_find(nodes, lk_view_of(node->to));
        if (to == NULL || to->drains) {
            lk_note_set(note, "node %s is to be drained to %s, which %s", node->name, node->to,
                        to == NULL   ? "is not there"
                        : to == node ? "is itself"
                                     : "takes nobody new either");
            return LK_REFUSED;
        }
    }
    if (draining > 0 && draining == nodes->n) {
        lk_note_set(note, "every node is to be drained, which leaves none for the visitors");
        return LK_REFUSED;
    }
    return LK_OK;
}

lk_status lk_nodes_parse(lk_view text, lk_nodes *out, lk_note *note)
{
    lk_view words[WORDS_MAX];
    lk_note why = {""};
    unsigned number = 0;
    out->n = 0;
    for (size_t at = 0; at < text.len; number++) {
        lk_view rest = lk_view_part(text, at, text.len);
        lk_view line = lk_view_part(rest, 0, lk_view_find(rest, '\n'));
        at += line.len + 1;
        if (line.len > 0 && line.p[line.len - 1] == '\r')
            line.len--;
        size_t n = split(line, words);
        if (n == 0 || words[0].p[0] == '#')
            continue;
        if (read_node(words, n, out, &why) != LK_OK) {
            lk_note_set(note, "line %u: %s", number + 1, why.text);
            return LK_REFUSED;
        }
    }
    return check(out, note);
}

lk_status lk_nodes_read(const lk_env *env, const char *path, lk_nodes *out, lk_note *note)
{
    static const char cannot[] = "%s: cannot be read: %s";
    lk_status status = LK_FAULT;
    lk_note why = {""};
    size_t len = 0;
    char *text = lk_alloc(env, LK_NODES_FILE_MAX + 1);
    FILE *f = fopen(path, "rbe");
    out->n = 0;
    if (f == NULL || text == NULL) {
        status = f == NULL && errno == ENOENT ? LK_MISS : LK_FAULT;
        lk_note_set(note, cannot, path, text == NULL ? "out of memory" : strerror(errno));
        goto out;
    }
    len = fread(text, 1, LK_NODES_FILE_MAX + 1, f);
    if (ferror(f) != 0) {
        lk_note_set(note, cannot, path, strerror(errno));
        goto out;
    }
    if (len > LK_NODES_FILE_MAX) {
        lk_note_set(note, "%s: longer than 64 KiB: that is no list of nodes", path);
        status = LK_REFUSED;
        goto out;
    }
    status = lk_nodes_parse(lk_view_make(text, len), out, &why);
    if (status != LK_OK)
        lk_note_set(note, "%s: %s", path, why.text);
out:
    if (f != NULL)
        (void)fclose(f);
    lk_free(env, text);
    return status;
}

lk_node *lk_nodes_find(lk_nodes *nodes, lk_view name)
{
    for (size_t i = 0; i < nodes->n; i++) {
        if (lk_view_equal(lk_view_of(nodes->all[i].name), name))
            return &nodes->all[i];
    }
    return NULL;
}

lk_node *lk_nodes_at(lk_nodes *nodes, lk_view address)
{
    for (size_t i = 0; i < nodes->n; i++) {
        if (lk_view_equal(lk_view_of(nodes->all[i].address), address))
            return &nodes->all[i];
    }
    return NULL;
}

/* ---- writing ---- */

static void print(const lk_nodes *nodes, lk_buf *b)
{
    lk_buf_add_text(
        b, "# NAME ADDRESS up|drain [to NAME]. Written by `latchkey node`; balancers look every second.\n");
    for (size_t i = 0; i < nodes->n; i++) {
        const lk_node *node = &nodes->all[i];
        lk_buf_add_printf(b, "%s %s %s", node->name, node->address, node->drains ? "drain" : "up");
        if (node->to[0] != '\0')
            lk_buf_add_printf(b, " to %s", node->to);
        lk_buf_add_byte(b, '\n');
    }
}

lk_status lk_nodes_write(const lk_env *env, const char *path, const lk_nodes *nodes, lk_note *note)
{
    lk_status status = LK_FAULT;
    lk_note why = {""};
    lk_nodes *again = lk_alloc(env, sizeof(*again));
    char *memory = lk_alloc(env, LK_NODES_FILE_MAX);
    if (again == NULL || memory == NULL) {
        lk_note_set(note, "%s: out of memory", path);
        goto out;
    }
    lk_buf b = lk_buf_over(memory, LK_NODES_FILE_MAX);
    print(nodes, &b);
    status = b.full ? LK_REFUSED : lk_nodes_parse(lk_buf_view(&b), again, &why);
    if (status != LK_OK) {
        lk_note_set(note, "%s: %s", path, b.full ? "too many nodes" : why.text);
        goto out;
    }
    if (!lk_file_replace(path, lk_buf_view(&b))) {
        lk_note_set(note, "%s: cannot be written: %s", path, strerror(errno));
        status = LK_FAULT;
    }
out:
    lk_free(env, again);
    lk_free(env, memory);
    return status;
}
