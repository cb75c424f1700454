/* SPDX-License-Identifier: Apache-2.0
 *
 * store_lanes.c - one call per session into a store, many at once: each waits for a disk or a network, and
 * most stores answer many that wait together nearly as fast as one.
 */
#include "store_copy.h"
#include <pthread.h>
#include <stdlib.h>

typedef struct lane {
    store_lanes *of;
    lk_store *store;
    bool is_own; /* opened here */
    bool runs;
    pthread_t thread;
} lane;

struct store_lanes {
    pthread_mutex_t lock;
    pthread_cond_t has_work, is_done;
    lane lanes[COPY_LANES_MAX];
    unsigned n;
    bool ends;
    /* the work, under the lock */
    store_lane_work work;
    char *items;
    size_t size, next, count, finished;
};

static void *lane_main(void *argument)
{
    lane *l = argument;
    store_lanes *all = l->of;
    (void)pthread_mutex_lock(&all->lock);
    while (!all->ends) {
        if (all->next == all->count) {
            (void)pthread_cond_wait(&all->has_work, &all->lock);
            continue;
        }
        void *item = all->items + all->size * all->next++;
        store_lane_work work = all->work;
        (void)pthread_mutex_unlock(&all->lock);
        work(item, l->store);
        (void)pthread_mutex_lock(&all->lock);
        if (++all->finished == all->count) {
            (void)pthread_cond_signal(&all->is_done);
        }
    }
    (void)pthread_mutex_unlock(&all->lock);
    return NULL;
}

/* The first lane has the connection there is; a further one that the server does not give is done without. */
static bool lane_open(lane *l, const store_at *at, unsigned number)
{
    l->store = at->store;
    if (number > 0 && lk_store_where(at->store) == LK_STORE_REMOTE) {
        l->is_own = lk_store_open(lk_env_system(), at->url, NULL, &l->store, NULL) == LK_OK;
        if (!l->is_own) {
            return false;
        }
    }
    l->runs = pthread_create(&l->thread, NULL, lane_main, l) == 0;
    return l->runs;
}

int store_lanes_open(const cli *c, const store_at *at, unsigned n, store_lanes **out)
{
    store_lanes *all = calloc(1, sizeof *all);
    *out = all;
    if (all == NULL || pthread_mutex_init(&all->lock, NULL) != 0 ||
        pthread_cond_init(&all->has_work, NULL) != 0 || pthread_cond_init(&all->is_done, NULL) != 0) {
        free(all);
        *out = NULL;
        return cli_fault(c, "out of memory");
    }
    while (all->n < n) {
        lane *l = &all->lanes[all->n++];
        l->of = all;
        if (!lane_open(l, at, all->n - 1)) {
            break;
        }
    }
    if (!all->lanes[0].runs) {
        store_lanes_close(all);
        *out = NULL;
        return cli_fault(c, "no thread can be made");
    }
    return CLI_YES;
}

void store_lanes_run(store_lanes *all, store_lane_work work, void *items, size_t size, size_t n)
{
    (void)pthread_mutex_lock(&all->lock);
    all->work = work;
    all->items = items;
    all->size = size;
    all->next = all->finished = 0;
    all->count = n;
    (void)pthread_cond_broadcast(&all->has_work);
    while (all->finished < all->count) {
        (void)pthread_cond_wait(&all->is_done, &all->lock);
    }
    (void)pthread_mutex_unlock(&all->lock);
}

void store_lanes_close(store_lanes *all)
{
    if (all == NULL) {
        return;
    }
    (void)pthread_mutex_lock(&all->lock);
    all->ends = true;
    (void)pthread_cond_broadcast(&all->has_work);
    (void)pthread_mutex_unlock(&all->lock);
    for (unsigned i = 0; i < all->n; i++) {
        if (all->lanes[i].runs) {
            (void)pthread_join(all->lanes[i].thread, NULL);
        }
        if (all->lanes[i].is_own) {
            lk_store_close(all->lanes[i].store);
        }
    }
    (void)pthread_cond_destroy(&all->is_done);
    (void)pthread_cond_destroy(&all->has_work);
    (void)pthread_mutex_destroy(&all->lock);
    free(all);
}
