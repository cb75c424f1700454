/* SPDX-License-Identifier: Apache-2.0
 *
 * The state file of a balancer: what it may say, and how it is replaced.
 */
#include "settings/nodes.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static lk_nodes nodes;

static lk_status parse(const char *text, lk_note *note)
{
    note->text[0] = '\0';
    return lk_nodes_parse(lk_view_of(text), &nodes, note);
}

static void state_of_every_node_is_read(void **state)
{
    (void)state;
    lk_note note;
    assert_int_equal(
        parse("# nodes\n\n  a\t10.0.0.1:80   up\r\nb unix:/run/b drain to a\nc [::1]:80 drain", &note),
        LK_OK);
    assert_int_equal(nodes.n, 3);
    assert_string_equal(nodes.all[0].name, "a");
    assert_false(nodes.all[0].drains);
    assert_string_equal(nodes.all[1].address, "unix:/run/b");
    assert_true(nodes.all[1].drains);
    assert_string_equal(nodes.all[1].to, "a");
    assert_true(nodes.all[2].drains);
    assert_string_equal(nodes.all[2].to, "");
    assert_ptr_equal(lk_nodes_find(&nodes, LK_VIEW("b")), &nodes.all[1]);
    assert_ptr_equal(lk_nodes_at(&nodes, LK_VIEW("[::1]:80")), &nodes.all[2]);
    assert_null(lk_nodes_find(&nodes, LK_VIEW("d")));
}

static void empty_file_has_no_nodes(void **state)
{
    (void)state;
    lk_note note;
    assert_int_equal(parse("", &note), LK_OK);
    assert_int_equal(nodes.n, 0);
}

static void what_makes_no_sense_is_refused_with_its_line(void **state)
{
    (void)state;
    static const struct {
        const char *text, *why;
    } cases[] = {
        {"a", "line 1: expected NAME"},
        {"a x:1", "line 1: expected NAME"},
        {"a x:1 upp", "line 1: expected NAME"},
        {"a x:1 up to b", "line 1: expected NAME"},
        {"a x:1 drain to", "line 1: expected NAME"},
        {"a x:1 drain for b", "line 1: expected NAME"},
        {"a x:1 drain to b c", "line 1: expected NAME"},
        {"a x:1 drain to b/c", "line 1: expected NAME"},
        {"\n\na/b x:1 up", "line 3: a node's name is"},
        {"a x\x01:1 up", "that is no address"},
        {"a x:1 up\na x:2 up", "line 2: this name or this address"},
        {"a x:1 up\nb x:1 up", "line 2: this name or this address"},
        {"a x:1 drain to b", "b, which is not there"},
        {"a x:1 drain to a\nb x:2 up", "a, which is itself"},
        {"a x:1 drain to b\nb x:2 drain\nc x:3 up", "b, which takes nobody new either"},
        {"a x:1 drain\nb x:2 drain", "leaves none"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        lk_note note;
        if (parse(cases[i].text, &note) != LK_REFUSED || strstr(note.text, cases[i].why) == NULL)
            fail_msg("<%s> gives <%s>", cases[i].text, note.text);
    }
}

static void names_and_addresses_have_a_ceiling(void **state)
{
    (void)state;
    char text[600];
    lk_note note;
    (void)snprintf(text, sizeof(text), "%0*d x:1 up", LK_NODE_NAME_MAX - 1, 0);
    assert_int_equal(parse(text, &note), LK_OK);
    (void)snprintf(text, sizeof(text), "%0*d x:1 up", LK_NODE_NAME_MAX, 0);
    assert_int_equal(parse(text, &note), LK_REFUSED);
    (void)snprintf(text, sizeof(text), "a %0*d up", LK_NODE_ADDRESS_MAX - 1, 0);
    assert_int_equal(parse(text, &note), LK_OK);
    (void)snprintf(text, sizeof(text), "a %0*d up", LK_NODE_ADDRESS_MAX, 0);
    assert_int_equal(parse(text, &note), LK_REFUSED);
}

static void more_nodes_than_there_may_be_are_refused(void **state)
{
    (void)state;
    static char text[16384];
    lk_note note;
    size_t len = 0;
    for (int i = 0; i < LK_NODES_MAX; i++)
        len += (size_t)snprintf(text + len, sizeof(text) - len, "n%d x:%d up\n", i, i);
    assert_int_equal(parse(text, &note), LK_OK);
    (void)snprintf(text + len, sizeof(text) - len, "one-more x:y up\n");
    assert_int_equal(parse(text, &note), LK_REFUSED);
}

static void file_is_replaced_in_one_step_and_keeps_its_rights(void **state)
{
    (void)state;
    char dir[] = "/tmp/latchkey-nodes-XXXXXX", path[64];
    lk_note note;
    struct stat before, after;
    assert_non_null(mkdtemp(dir));
    (void)snprintf(path, sizeof(path), "%s/state", dir);
    assert_int_equal(lk_nodes_read(lk_env_system(), path, &nodes, &note), LK_MISS);
    assert_int_equal(parse("a x:1 up\nb x:2 drain to a\n", &note), LK_OK);
    assert_int_equal(lk_nodes_write(lk_env_system(), path, &nodes, &note), LK_OK);
    assert_int_equal(stat(path, &before), 0);
    assert_int_equal(before.st_mode & 0777, 0644);
    assert_int_equal(chmod(path, 0640), 0);
    nodes.all[1].drains = false;
    nodes.all[1].to[0] = '\0';
    assert_int_equal(lk_nodes_write(lk_env_system(), path, &nodes, &note), LK_OK);
    memset(&nodes, 0, sizeof(nodes));
    assert_int_equal(lk_nodes_read(lk_env_system(), path, &nodes, &note), LK_OK);
    assert_int_equal(nodes.n, 2);
    assert_false(nodes.all[1].drains);
    assert_int_equal(stat(path, &after), 0);
    assert_int_equal(after.st_mode & 0777, 0640);
    assert_int_not_equal(before.st_ino, after.st_ino);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(rmdir(dir), 0); /* nothing was left beside it */
}

static void what_would_be_refused_is_not_written(void **state)
{
    (void)state;
    char path[] = "/tmp/latchkey-nodes-XXXXXX";
    lk_note note;
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(close(fd), 0);
    assert_int_equal(parse("a x:1 up\n", &note), LK_OK);
    nodes.all[0].drains = true;
    assert_int_equal(lk_nodes_write(lk_env_system(), path, &nodes, &note), LK_REFUSED);
    assert_int_equal(lk_nodes_read(lk_env_system(), path, &nodes, &note), LK_OK);
    assert_int_equal(nodes.n, 0);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(parse("a x:1 up\n", &note), LK_OK);
    assert_int_equal(lk_nodes_write(lk_env_system(), "/nowhere/at/all", &nodes, &note), LK_FAULT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(state_of_every_node_is_read),
        cmocka_unit_test(empty_file_has_no_nodes),
        cmocka_unit_test(what_makes_no_sense_is_refused_with_its_line),
        cmocka_unit_test(names_and_addresses_have_a_ceiling),
        cmocka_unit_test(more_nodes_than_there_may_be_are_refused),
        cmocka_unit_test(file_is_replaced_in_one_step_and_keeps_its_rights),
        cmocka_unit_test(what_would_be_refused_is_not_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
