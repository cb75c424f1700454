/* SPDX-License-Identifier: Apache-2.0
 *
 * store_copy_marks.c - what a finished copy leaves behind in both stores: until when they held the same.
 *
 * A session that is in one of two stores alone may have been made there, or ended in the other. The other one
 * remembers an ending for an hour. But when both held it at the moment of an earlier copy, and it was not
 * used since where it is, then it has ended (or run out) where it is not: a copy that is run again the next
 * day, or the way back, must not bring it back in. The store that misses it must have the mark: one that was
 * emptied or made anew has not, and says nothing by having no sessions.
 *
 * The mark is a cut-off of level `family` for a family that nobody belongs to, so that it needs no place of
 * its own in any store: "copied-" and a hash of FROM's URL in TO; "sent-" and a hash of TO's in FROM, unless
 * TO holds sessions of its own. Its time is that of the copy. Marks are not copied.
 */
#include "store_copy.h"
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COPIED "copied-"
#define SENT "sent-"
#define MARK_DAYS 400  /* longer than any session */
#define MARGIN_MS 2000 /* of the clocks of gateways that make sessions at this moment */

/* What of a URL says which store it is: not the user, nor the options. */
static void name_of(const store_at *at, char out[LK_URL_MAX + PATH_MAX])
{
    char path[LK_URL_MAX], real[PATH_MAX];
    const char *host = strstr(at->shown, "://");
    const char *login_end = host != NULL ? strchr(host, '@') : NULL;
    cli_path_of_url(at->url, path);
    if (host != NULL) {
        snprintf(out, LK_URL_MAX, "%.*s%s", (int)(host - at->shown), at->shown,
                 login_end != NULL ? login_end + 1 : host + 3);
        out[strcspn(out, "?")] = '\0';
        return;
    }
    const char *file = path[0] != '\0' ? path : at->settings.memory_path;
    snprintf(out, LK_URL_MAX + PATH_MAX, "%s", realpath(file, real) != NULL ? real : file);
}

/* FNV-1a: it only has to tell the stores of one operator apart. */
static void key_of(const char *word, const store_at *at, char key[LK_CUTOFF_KEY_MAX + 1])
{
    char name[LK_URL_MAX + PATH_MAX], text[64];
    uint64_t hash = 14695981039346656037u;
    name_of(at, name);
    for (const char *p = name; *p != '\0'; p++) {
        hash = (hash ^ (uint8_t)*p) * 1099511628211u;
    }
    snprintf(text, sizeof text, "%s%016llx", word, (unsigned long long)hash);
    if (lk_cutoff_key(LK_LEVEL_FAMILY, (lk_view){0}, lk_view_of(text), key) != LK_OK) {
        key[0] = '\0';
    }
}

bool copy_is_mark(const lk_cutoff *cut)
{
    return cut->level == LK_LEVEL_FAMILY && (strncmp(cut->key, "/" COPIED, strlen("/" COPIED)) == 0 ||
                                             strncmp(cut->key, "/" SENT, strlen("/" SENT)) == 0);
}

static void raise_to(int64_t *time_ms, const lk_cutoff *cut, const char *key)
{
    if (cut->level == LK_LEVEL_FAMILY && strcmp(cut->key, key) == 0 && cut->before_ms > *time_ms) {
        *time_ms = cut->before_ms;
    }
}

void copy_marks_read(copying *k, const cli_cutoffs *from, const cli_cutoffs *to)
{
    char copied[LK_CUTOFF_KEY_MAX + 1], sent[LK_CUTOFF_KEY_MAX + 1];
    k->marks.in_to_ms = k->marks.in_from_ms = 0;
    if (k->of_move) {
        return;
    }
    key_of(COPIED, &k->from, copied);
    for (size_t i = 0; i < to->n; i++) {
        raise_to(&k->marks.in_to_ms, &to->all[i], copied);
    }
    key_of(COPIED, &k->to, copied);
    key_of(SENT, &k->to, sent);
    for (size_t i = 0; i < from->n; i++) {
        raise_to(&k->marks.in_from_ms, &from->all[i], copied);
        raise_to(&k->marks.in_from_ms, &from->all[i], sent);
    }
}

void copy_marks_begin(copying *k)
{
    int64_t now_ms;
    k->marks.begun_ms = lk_store_time_ms(k->from.store, &now_ms) == LK_OK ? now_ms - MARGIN_MS : 0;
}

int copy_marks_leave(copying *k)
{
    lk_cutoff mark = {.level = LK_LEVEL_FAMILY, .reason = LK_REASON_REVOKED, .before_ms = k->marks.begun_ms};
    if (k->marks.begun_ms == 0 || k->of_move) {
        return CLI_YES;
    }
    mark.until_s = mark.before_ms / 1000 + MARK_DAYS * 86400LL;
    if (k->n.only_there == 0) {
        key_of(SENT, &k->to, mark.key);
        /* FROM may be a store that we may only read: then endings are known for an hour. */
        (void)!lk_store_cutoff_append(k->from.store, &mark);
    }
    key_of(COPIED, &k->from, mark.key);
    return copy_append(k, &mark);
}

bool copy_unused_since(const lk_session *s, int64_t time_ms)
{
    int64_t last_s = s->seen_s > s->issued_s ? s->seen_s : s->issued_s;
    return time_ms > 0 && last_s < time_ms / 1000;
}
