/* SPDX-License-Identifier: Apache-2.0
 *
 * store.c - the members, once; URLs; and the way from the public functions to a member's.
 */
#include "store/store_ops.h"
#include <string.h>

static const lk_store_ops *const members[] = {
    &lk__store_memory,
#ifdef LK_WITH_LMDB
    &lk__store_lmdb,
#endif
#ifdef LK_WITH_DATABASE
    &lk__store_sqlite, &lk__store_postgres,       &lk__store_mariadb,
#endif
#ifdef LK_WITH_REDIS
    &lk__store_redis,  &lk__store_redis_sentinel, &lk__store_redis_cluster,
#endif
};
#define FORMS_MAX 512
#define MEMBERS (sizeof(members) / sizeof(members[0]))

lk_view lk__store_option(const lk_store_url *url, const char *name)
{
    for (size_t i = 0; i < url->options_n; i++) {
        if (lk_view_equal(url->options[i].name, lk_view_of(name)))
            return url->options[i].value;
    }
    return (lk_view){0};
}

/* The form of each member's URL, comma-separated, for notes. */
static const char *known_forms(char room[FORMS_MAX])
{
    lk_buf text = lk_buf_over(room, FORMS_MAX);
    const char *names;

    for (size_t i = 0; i < MEMBERS; i++) {
        lk_buf_add_text(&text, i > 0 ? ", " : "");
        lk_buf_add_text(&text, members[i]->form);
    }
    names = lk_buf_text(&text);
    return names != NULL ? names : "";
}

static lk_status split_options(lk_view text, lk_store_url *out, lk_note *note)
{
    while (text.len > 0) {
        size_t end = lk_view_find(text, '&');
        lk_view one = lk_view_part(text, 0, end);
        size_t sign = lk_view_find(one, '=');

        if (sign == 0 || sign >= one.len - 1 || one.len == 0 || out->options_n == LK_STORE_OPTIONS_MAX) {
            lk_note_set(note, "the options of a store are name=value, joined by '&', at most %d of them",
                        LK_STORE_OPTIONS_MAX);
            return LK_REFUSED;
        }
        out->options[out->options_n].name = lk_view_part(one, 0, sign);
        out->options[out->options_n].value = lk_view_part(one, sign + 1, one.len);
        out->options_n++;
        text = lk_view_part(text, end + 1, text.len);
    }
    return LK_OK;
}

static lk_status split(const char *url, lk_store_url *out, lk_note *note)
{
    lk_view text = lk_view_of(url);
    size_t colon = lk_view_find(text, ':'), mark;
    char room[FORMS_MAX];

    memset(out, 0, sizeof(*out));
    out->whole = url;
    if (colon == text.len) {
        lk_note_set(note, "a store is named by a URL, one of: %s", known_forms(room));
        return LK_REFUSED;
    }
    out->scheme = lk_view_part(text, 0, colon);
    text = lk_view_part(text, colon + 1, text.len);
    mark = lk_view_find(text, '?');
    out->rest = lk_view_part(text, 0, mark);
    return split_options(lk_view_part(text, mark + 1, text.len), out, note);
}

static const lk_store_ops *member_of(lk_view scheme, lk_note *note)
{
    char room[FORMS_MAX];

    for (size_t i = 0; i < MEMBERS; i++) {
        if (lk_view_equal(scheme, lk_view_of(members[i]->name)))
            return members[i];
    }
    lk_note_set(note, "no store is called \"%.*s\"; known are: %s", scheme.len > 40 ? 40 : (int)scheme.len,
                (const char *)scheme.p, known_forms(room));
    return NULL;
}

static lk_status check_options(const lk_store_ops *ops, const lk_store_url *url, lk_note *note)
{
    for (size_t i = 0; i < url->options_n; i++) {
        lk_view name = url->options[i].name;
        int shown = name.len > 40 ? 40 : (int)name.len;

        if (!lk_words_have(lk_view_of(ops->options), name)) {
            lk_note_set(note, "the store %s has no option \"%.*s\"; it has: %s", ops->name, shown,
                        (const char *)name.p, ops->options[0] != '\0' ? ops->options : "none");
            return LK_REFUSED;
        }
        for (size_t k = 0; k < i; k++) {
            if (lk_view_equal(url->options[k].name, name)) {
                lk_note_set(note, "the option \"%.*s\" is given twice", shown, (const char *)name.p);
                return LK_REFUSED;
            }
        }
    }
    return LK_OK;
}

static lk_status read_url(const char *url, const lk_store_ops **ops, lk_store_url *out, lk_note *note)
{
    lk_status status = split(url, out, note);

    if (status != LK_OK)
        return status;
    *ops = member_of(out->scheme, note);
    if (*ops == NULL)
        return LK_REFUSED;
    status = check_options(*ops, out, note);
    return status == LK_OK ? (*ops)->check(out, note) : status;
}

lk_status lk_store_url_check(const char *url, lk_note *note)
{
    const lk_store_ops *ops;
    lk_store_url parts;

    return read_url(url, &ops, &parts, note);
}

lk_status lk_store_open(const lk_env *env, const char *url, struct lk_table *table, lk_store **out,
                        lk_note *note)
{
    const lk_store_ops *ops;
    lk_store_url parts;
    lk_status status = read_url(url, &ops, &parts, note);

    *out = NULL;
    return status == LK_OK ? ops->open(env, &parts, table, out, note) : status;
}

void lk_store_close(lk_store *store)
{
    if (store != NULL)
        store->ops->close(store);
}

const char *lk_store_name(const lk_store *store)
{
    return store->ops->name;
}

lk_store_place lk_store_where(const lk_store *store)
{
    return store->ops->place;
}

lk_store *lk_store_writes_to(lk_store *store)
{
    return store->ops->writes_to != NULL ? store->ops->writes_to(store) : store;
}

bool lk_store_is_durable(const lk_store *store)
{
    return store->ops->is_durable;
}

lk_status lk_store_load_many(lk_store *store, lk_load *loads, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        loads[i].status = LK_FAULT;
        loads[i].why = LK_REASON_NONE;
    }
    return store->ops->load_many(store, loads, n);
}

lk_status lk_store_create(lk_store *store, const lk_session *s, lk_limit limit, uint32_t *ended)
{
    uint32_t uncounted;

    if (limit.refused != NULL)
        *limit.refused = false;
    return store->ops->create(store, s, limit, ended != NULL ? ended : &uncounted);
}

lk_status lk_store_replace(lk_store *store, const lk_session_key *old, uint32_t old_generation,
                           const lk_session *s, int64_t grace_until_s, int64_t fence_s, lk_limit limit)
{
    if (limit.refused != NULL)
        *limit.refused = false;
    return store->ops->replace(store, old, old_generation, s, grace_until_s, fence_s, limit);
}

lk_status lk_store_change(lk_store *store, const lk_session_key *key, uint32_t generation,
                          uint32_t if_revision, const lk_op *ops, size_t n, uint32_t *revision, lk_note *note)
{
    uint32_t unread;

    return store->ops->change(store, key, generation, if_revision, ops, n,
                              revision != NULL ? revision : &unread, note);
}

lk_status lk_store_touch_many(lk_store *store, const lk_touch *touches, size_t n)
{
    return n == 0 ? LK_OK : store->ops->touch_many(store, touches, n);
}

lk_status lk_store_destroy(lk_store *store, const lk_session_key *key, lk_reason reason, int64_t fence_s)
{
    return store->ops->destroy(store, key, reason, fence_s);
}

lk_status lk_store_list_by_user(lk_store *store, lk_view realm, lk_view user, uint64_t *cursor, uint32_t page,
                                lk_session_each each, void *context)
{
    /* Nobody is nobody's user: anonymous sessions are in no one's list. And no user has an id or realm over
     * the bounds of a record. */
    if (user.len == 0 || user.len > LK_USER_ID_MAX || realm.len > LK_REALM_MAX) {
        *cursor = 0;
        return LK_OK;
    }
    return store->ops->list_by_user(store, realm, user, cursor, page > 0 ? page : 1, each, context);
}

lk_status lk_store_list(lk_store *store, uint64_t *cursor, uint32_t page, lk_session_each each, void *context)
{
    return store->ops->list(store, cursor, page > 0 ? page : 1, each, context);
}

lk_status lk_store_counts(lk_store *store, lk_store_count *out)
{
    return store->ops->counts(store, out);
}

lk_status lk_store_sweep(lk_store *store, int64_t now_s, uint32_t max_rows, uint32_t max_ms,
                         uint32_t *removed)
{
    uint32_t uncounted;

    /* Without any time nothing would ever be swept. */
    return store->ops->sweep(store, now_s, max_rows, max_ms > 0 ? max_ms : 1,
                             removed != NULL ? removed : &uncounted);
}

lk_status lk_store_cutoff_append(lk_store *store, lk_cutoff *c)
{
    return store->ops->cutoff_append(store, c);
}

lk_status lk_store_mark(lk_store *store, uint64_t *mark)
{
    return store->ops->mark != NULL ? store->ops->mark(store, mark) : LK_MISS;
}

lk_status lk_store_event_seq(lk_store *store, uint64_t *seq)
{
    *seq = 0;
    return store->ops->event_seq(store, seq);
}

lk_status lk_store_events_since(lk_store *store, uint64_t after, lk_event *out, size_t *n)
{
    lk_status status = store->ops->events_since(store, after, out, n);

    if (status != LK_OK)
        *n = 0;
    return status;
}

lk_status lk_store_events_wait(lk_store *store, uint64_t after, uint32_t wait_ms)
{
    return store->ops->events_wait != NULL ? store->ops->events_wait(store, after, wait_ms) : LK_OK;
}

lk_status lk_store_time_ms(lk_store *store, int64_t *now_ms)
{
    *now_ms = lk_now_ms(store->env);
    return store->ops->time_ms != NULL ? store->ops->time_ms(store, now_ms) : LK_OK;
}

lk_status lk_store_ready(lk_store *store, lk_note *note)
{
    lk_store_count counts;

    if (store->ops->ready != NULL)
        return store->ops->ready(store, note);
    if (store->ops->counts(store, &counts) == LK_OK)
        return LK_OK;
    lk_note_set(note, "the %s store does not answer", store->ops->name);
    return LK_FAULT;
}

lk_status lk_store_inspect(lk_store *store, lk_finding_each each, void *context)
{
    return store->ops->inspect != NULL ? store->ops->inspect(store, each, context) : LK_OK;
}

lk_status lk_store_setup(const lk_env *env, const char *url, bool upgrade, lk_note *note)
{
    const lk_store_ops *ops;
    lk_store_url parts;
    lk_status status = read_url(url, &ops, &parts, note);

    if (status != LK_OK || ops->setup == NULL)
        return status;
    return ops->setup(env, &parts, upgrade, note);
}

/* The password is what stands between the first ':' after "//" and the last '@' before the next '/'. */
void lk_store_url_show(const char *url, char *out, size_t cap)
{
    lk_buf text = lk_buf_over(out, cap > 0 ? cap - 1 : 0);
    const char *host = strstr(url, "://"), *end, *colon, *at;

    if (cap == 0)
        return;
    if (host != NULL) {
        host += 3;
        end = host + strcspn(host, "/?");
        at = memrchr(host, '@', (size_t)(end - host));
        colon = at != NULL ? memchr(host, ':', (size_t)(at - host)) : NULL;
        if (colon != NULL) {
            lk_buf_add(&text, lk_view_make(url, (size_t)(colon + 1 - url)));
            lk_buf_add_text(&text, "***");
            url = at;
        }
    }
    while (*url != '\0' && text.len < cap - 1)
        lk_buf_add_byte(&text, (uint8_t)*url++);
    out[text.len] = '\0';
}
