/* SPDX-License-Identifier: Apache-2.0
 *
 * cutoffs.c - the cut-offs of a store read into memory, and which of them end a session or token.
 */
#include "place.h"
#include <stdlib.h>
#include <string.h>

#define PAGE 256
#define CUTOFFS_MAX (1u << 20)
#define TRIES 3

/* Room for one page more. */
static bool widen(cli_cutoffs *cutoffs, size_t *cap)
{
    if (cutoffs->n + PAGE <= *cap) {
        return true;
    }
    size_t wanted = *cap == 0 ? 4 * PAGE : *cap * 2;
    lk_cutoff *all = wanted > CUTOFFS_MAX ? NULL : reallocarray(cutoffs->all, wanted, sizeof *all);
    if (all == NULL) {
        return false;
    }
    cutoffs->all = all;
    *cap = wanted;
    return true;
}

/* From the start of the stream to its end. LK_STALE when it was trimmed in front of us. */
static lk_status read_all(lk_store *store, lk_event *page, cli_cutoffs *out, size_t *cap)
{
    size_t n = PAGE;
    uint64_t after = 0;
    out->n = 0;
    while (n == PAGE) {
        if (!widen(out, cap)) {
            return LK_FULL;
        }
        lk_status status = lk_store_events_since(store, after, page, &n);
        if (status != LK_OK) {
            return status;
        }
        for (size_t i = 0; i < n; i++) {
            after = page[i].seq;
            if (page[i].kind == LK_EVENT_CUTOFF) {
                out->all[out->n++] = page[i].cutoff;
            }
        }
    }
    return LK_OK;
}

int cli_cutoffs_read(const cli *c, lk_store *store, cli_cutoffs *out)
{
    lk_event *page = calloc(PAGE, sizeof *page);
    size_t cap = 0;
    *out = (cli_cutoffs){0};
    lk_status status = page == NULL ? LK_FULL : LK_STALE;
    for (unsigned tries = 0; status == LK_STALE && tries < TRIES; tries++) {
        status = read_all(store, page, out, &cap);
    }
    free(page);
    if (status == LK_OK) {
        return CLI_YES;
    }
    cli_cutoffs_free(out);
    return cli_fault(c, status == LK_FULL ? "too many cut-offs to hold in memory"
                                          : "the cut-offs cannot be read from the store");
}

void cli_cutoffs_free(cli_cutoffs *cutoffs)
{
    free(cutoffs->all);
    *cutoffs = (cli_cutoffs){0};
}

static bool names(const lk_cutoff *cut, lk_view realm, lk_view key)
{
    char wanted[LK_CUTOFF_KEY_MAX + 1];
    return key.len > 0 && lk_cutoff_key(cut->level, realm, key, wanted) == LK_OK &&
           strcmp(wanted, cut->key) == 0;
}

static bool names_a_role(const lk_cutoff *cut, const cli_subject *subject)
{
    lk_view roles = subject->roles, role;
    while (lk_words_next(&roles, &role)) {
        if (names(cut, subject->realm, role)) {
            return true;
        }
    }
    return false;
}

static bool reaches(const lk_cutoff *cut, const cli_subject *subject)
{
    switch (cut->level) {
    case LK_LEVEL_ALL:
        return true;
    case LK_LEVEL_REALM:
        return lk_view_equal(lk_view_of(cut->key), subject->realm);
    case LK_LEVEL_ROLE:
        return names_a_role(cut, subject);
    case LK_LEVEL_CLIENT:
        return names(cut, subject->realm, subject->client);
    case LK_LEVEL_USER:
        return names(cut, subject->realm, subject->user);
    case LK_LEVEL_DEVICE:
        return names(cut, subject->realm, subject->device);
    case LK_LEVEL_SESSION:
        return names(cut, subject->realm, lk_view_of(subject->public_id));
    case LK_LEVEL_KEY:
        return subject->kid.len > 0 && lk_view_equal(lk_view_of(cut->key), subject->kid);
    case LK_LEVEL_FAMILY:
    case LK_LEVEL_COUNT:
        break;
    }
    return false;
}

const lk_cutoff *cli_cutoff_hits(const cli_cutoffs *cutoffs, const cli_subject *subject, int64_t now_s)
{
    for (size_t i = 0; i < cutoffs->n; i++) {
        const lk_cutoff *cut = &cutoffs->all[i];
        bool in_time = cut->level == LK_LEVEL_KEY || subject->issued_ms <= cut->before_ms;
        if (in_time && now_s <= cut->until_s && reaches(cut, subject)) {
            return cut;
        }
    }
    return NULL;
}
