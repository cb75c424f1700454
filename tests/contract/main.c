/* SPDX-License-Identifier: Apache-2.0
 *
 * main.c - the groups, and processes for them.
 */
#include "contract.h"
#include <sys/wait.h>
#include <unistd.h>

static const struct group {
    const char *name;
    int (*run)(void);
} groups[] = {
    {"life", run_life},   {"replace", run_replace}, {"fields", run_fields}, {"limits", run_limits},
    {"lists", run_lists}, {"sweep", run_sweep},     {"events", run_events}, {"stream", run_stream},
    {"urls", run_urls},   {"server", run_server},   {"room", run_room},     {"damage", run_damage},
    {"races", run_races}, {"kills", run_kills},     {"model", run_model},
};
#define GROUPS (sizeof(groups) / sizeof(groups[0]))

void in_children(unsigned n, child_work work, void *context)
{
    pid_t children[64];
    bool all_well = true;

    assert_true(n <= 64);
    for (unsigned i = 0; i < n; i++) {
        children[i] = fork();
        assert_true(children[i] >= 0);
        if (children[i] == 0) {
            lk_store *own = open_again();
            bool is_well = own != NULL && work(own, i, context);

            lk_store_close(own);
            _exit(is_well ? 0 : 1);
        }
    }
    for (unsigned i = 0; i < n; i++) {
        int status = 0;

        assert_int_equal(waitpid(children[i], &status, 0), children[i]);
        all_well = all_well && WIFEXITED(status) && WEXITSTATUS(status) == 0;
    }
    assert_true(all_well);
}

/* In a process of its own, so that one that crashes takes no other along. */
static bool is_well(const struct group *group)
{
    int status = 0;
    pid_t child;

    printf("== %s ==\n", group->name);
    fflush(stdout);
    child = fork();
    if (child == 0) {
        int failed = group->run();

        fflush(stdout);
        _exit(failed == 0 ? 0 : 1);
    }
    if (child < 0 || waitpid(child, &status, 0) != child)
        return false;
    if (WIFSIGNALED(status))
        printf("== %s ended by signal %d\n", group->name, WTERMSIG(status));
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

int main(int argc, char **argv)
{
    bool all_well = true, is_known = false;

    if (argc != 3 || !choose_store(argv[1])) {
        fprintf(stderr, "usage: contract URL GROUP, where GROUP may be \"all\"\n");
        return 2;
    }
    for (size_t i = 0; i < GROUPS; i++) {
        if (strcmp(argv[2], "all") == 0) {
            all_well = is_well(&groups[i]) && all_well;
            is_known = true;
        } else if (strcmp(groups[i].name, argv[2]) == 0) {
            return groups[i].run();
        }
    }
    if (!is_known)
        fprintf(stderr, "contract: no group is called %s\n", argv[2]);
    return is_known && all_well ? 0 : 2;
}
