/* SPDX-License-Identifier: Apache-2.0
 *
 * place_moving.c - the store of a site that moves, as a store under test: moving:PHASE,LEAD,OTHER where PHASE
 * is `to`, `from`, `to-apart` or `from-apart`, and LEAD and OTHER are memory, lmdb or sqlite in the directory
 * of the test, or the URL of a server.
 */
#include "place_moving.h"
#include "contract.h"
#include "raw.h"
#include <stdlib.h>

static char urls[2][512];
static bool looks_back, is_apart;

static void fill_in(const char *word, size_t len, const char *dir, char url[512])
{
    lk_view name = lk_view_make(word, len);

    if (lk_view_equal(name, LK_VIEW("memory")))
        (void)snprintf(url, 512, "memory:");
    else if (lk_view_equal(name, LK_VIEW("lmdb")))
        (void)snprintf(url, 512, "lmdb:%s", dir);
    else if (lk_view_equal(name, LK_VIEW("sqlite")))
        (void)snprintf(url, 512, "sqlite:%s/other.db", dir);
    else
        (void)snprintf(url, 512, "%.*s%sdeadline=10s", (int)len, word,
                       memchr(word, '?', len) != NULL ? "&" : "?");
}

bool moving_choose(const char *pattern, const char *dir)
{
    const char *lead = strchr(pattern, ','), *other = lead != NULL ? strchr(lead + 1, ',') : NULL;

    if (other == NULL)
        return false;
    looks_back = strncmp(pattern, "moving:from", strlen("moving:from")) == 0;
    is_apart = strncmp(lead - strlen("-apart"), "-apart", strlen("-apart")) == 0;
    fill_in(lead + 1, (size_t)(other - lead - 1), dir, urls[0]);
    fill_in(other + 1, strlen(other + 1), dir, urls[1]);
    return true;
}

const char *moving_url(unsigned i)
{
    return urls[i];
}

lk_status moving_open(lk_table *table, lk_store **out, lk_note *note)
{
    const lk_store_move move = {
        .lead = urls[0], .other = urls[1], .looks_back = looks_back, .is_apart = is_apart};

    return lk_store_open_moving(test_env(), &move, table, out, note);
}
