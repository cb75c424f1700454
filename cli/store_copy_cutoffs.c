/* SPDX-License-Identifier: Apache-2.0
 *
 * store_copy_cutoffs.c - cut-offs copied: with their times, each once, however often the copy is run.
 */
#include "guard/table_cutoffs.h"
#include "store_copy.h"
#include <stdlib.h>
#include <string.h>

static int by_meaning(const void *one, const void *other)
{
    const lk_cutoff *a = one, *b = other;
    int order = (a->level > b->level) - (a->level < b->level);
    order = order != 0 ? order : strcmp(a->key, b->key);
    order = order != 0 ? order : (a->before_ms > b->before_ms) - (a->before_ms < b->before_ms);
    order = order != 0 ? order : (a->until_s > b->until_s) - (a->until_s < b->until_s);
    return order != 0 ? order : (a->reason > b->reason) - (a->reason < b->reason);
}

int copy_append(const copying *k, const lk_cutoff *cut)
{
    unsigned tries = 0;
    for (;;) {
        lk_cutoff made = *cut;
        lk_status status = lk_store_cutoff_append(k->to.store, &made);
        if (status == LK_OK) {
            return CLI_YES;
        }
        if (status == LK_FULL) {
            return cli_no(k->c, LK_REASON_NONE, "store %s has no room for a cut-off", k->to.shown);
        }
        if (copy_gives_up(&tries)) {
            return copy_lost(k, &k->to);
        }
    }
}

/* In the order of FROM's stream. */
static int append_missing(copying *k, const cli_cutoffs *from, const cli_cutoffs *to)
{
    int64_t now_s = lk_now_s(lk_env_system());
    int code = CLI_YES;
    for (size_t i = 0; i < from->n && code == CLI_YES; i++) {
        const lk_cutoff *cut = &from->all[i];
        if (cut->until_s < now_s || copy_is_mark(cut)) {
            continue;
        }
        if (to->n > 0 && bsearch(cut, to->all, to->n, sizeof *to->all, by_meaning) != NULL) {
            k->n.cutoffs_there += k->is_first;
            continue;
        }
        code = copy_append(k, cut);
        k->n.cutoffs += code == CLI_YES;
    }
    return code;
}

static bool add_one(void *context, const lk_cutoff *cut)
{
    cli_cutoffs *cutoffs = context;
    lk_cutoff *all = reallocarray(cutoffs->all, cutoffs->n + 1, sizeof *all);
    if (all == NULL) {
        return false;
    }
    cutoffs->all = all;
    cutoffs->all[cutoffs->n++] = *cut;
    return true;
}

/* memory: keeps no stream; its cut-offs stand in the table of the gateway. */
static int read_from(const copying *k, cli_cutoffs *from)
{
    int code = cli_cutoffs_read(k->c, k->from.store, from);
    if (code == CLI_YES && k->from.table != NULL && strcmp(lk_store_name(k->from.store), "memory") == 0 &&
        lk__table_cutoffs(k->from.table, add_one, from) != LK_OK) {
        cli_cutoffs_free(from);
        return cli_fault(k->c, "the cut-offs cannot be read from the table");
    }
    return code;
}

int copy_cutoffs(copying *k)
{
    cli_cutoffs from, to;
    int code = read_from(k, &from);
    if (code != CLI_YES) {
        return code;
    }
    code = cli_cutoffs_read(k->c, k->to.store, &to);
    if (code == CLI_YES) {
        copy_marks_read(k, &from, &to);
        if (to.n > 0) {
            qsort(to.all, to.n, sizeof *to.all, by_meaning);
        }
        code = append_missing(k, &from, &to);
        cli_cutoffs_free(&to);
    }
    cli_cutoffs_free(&from);
    return code;
}
