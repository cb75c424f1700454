/* SPDX-License-Identifier: Apache-2.0
 *
 * store_lanes.c - one call per session into a store, many at once: each waits for a disk or a network, and
 * most stores answer many that wait together nearly as fast as one.
 */
#include "store_copy.h"
#include <pthread.h>
#include <stdlib.h>

struct store_lanes {
    pthread_mutex_t lock;
    pthread_cond_t has_work, is_done;
    pthread_t threads[COPY_LANES_MAX];
    unsigned n;
    lk_store *store;
    bool ends;
    /* the work, under the lock */
    store_lane_work work;
    char *items;
    size_t size, next, count, finished;
};

static void *lane_main(void *argument)
{
    store_lanes *all = argument;
    (void)pthread_mutex_lock(&all->lock);
    while (!all->ends) {
        if (all->next == all->count) {
            (void)pthread_cond_wait(&all->has_work, &all->lock);
            continue;
        }
        void *item = all->items + all->size * all->next++;
        store_lane_work work = all->work;
        (void)pthread_mutex_unlock(&all->lock);
        work(item, all->store);
        (void)pthread_mutex_lock(&all->lock);
        if (++all->finished == all->count) {
            (void)pthread_cond_signal(&all->is_done);
        }
    }
    (void)pthread_mutex_unlock(&all->lock);
    return NULL;
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
    all->store = at->store;
    while (all->n < n && pthread_create(&all->threads[all->n], NULL, lane_main, all) == 0) {
        all->n++;
    }
    if (all->n == 0) {
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
        (void)pthread_join(all->threads[i], NULL);
    }
    (void)pthread_cond_destroy(&all->is_done);
    (void)pthread_cond_destroy(&all->has_work);
    (void)pthread_mutex_destroy(&all->lock);
    free(all);
}
