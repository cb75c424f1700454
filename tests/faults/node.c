/* SPDX-License-Identifier: Apache-2.0
 *
 * node.c - see node.h.
 */
#include "node.h"
#include "history.h"
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TABLE_LEN (16u << 20)
#define LIFE_S 43200
#define OPEN_TRIES 100
#define COUNTER LK_VIEW("n")

static const lk_view realm = LK_VIEW("");

/* ---- a clock that is wrong by what the context points to ---- */

static int64_t wrong_now_ms(const lk_env *env)
{
    const int64_t *offset_ms = env->context;
    const lk_env *system = lk_env_system();

    return lk_now_ms(system) + *offset_ms;
}

static void set_clock(node *n, int64_t offset_ms)
{
    int64_t *kept = malloc(sizeof(*kept));

    n->base = *lk_env_system();
    if (kept == NULL || offset_ms == 0) {
        free(kept);
        return;
    }
    *kept = offset_ms;
    n->base.now_ms = wrong_now_ms;
    n->base.context = kept;
}

/* ---- opening ---- */

static lk_status open_store(node *n, lk_note *note)
{
    bool joined;
    lk_status status = lk_table_open(&n->base, NULL, TABLE_LEN, &n->table, &joined, note);

    if (status != LK_OK)
        return status;
    lk_cluster_clock_init(&n->clock, &n->base, n->table);
    if (n->of->has_own_clocks)
        n->clock.env = n->base;
    if (n->of->replica != NULL)
        return lk_store_open_replicated(&n->clock.env, n->settings.store, n->settings.replica, n->table,
                                        &n->store, note);
    return lk_store_open(&n->clock.env, n->settings.store, n->table, &n->store, note);
}

static lk_status open_guard(node *n, lk_note *note)
{
    lk_guard_parts parts = {
        .env = &n->clock.env, .settings = &n->settings, .table = n->table, .store = n->store};
    lk_status status = lk_keyring_open(&n->clock.env, n->settings.keys, true, &n->ring, note);

    if (status != LK_OK)
        return status;
    parts.ring = n->ring;
    status = lk_guard_open(parts, &n->guard, note);
    return status == LK_OK ? lk_guard_start_follower(n->guard) : status;
}

static void close_parts(node *n)
{
    lk_guard_close(n->guard);
    lk_store_close(n->store);
    lk_keyring_free(n->ring);
    lk_table_close(n->table);
    n->guard = NULL;
    n->store = NULL;
    n->ring = NULL;
    n->table = NULL;
}

bool node_open(node *n, const cluster *of, const char *url, int64_t offset_ms)
{
    lk_note note = {.text = ""};
    lk_status status = LK_FAULT;

    memset(n, 0, sizeof(*n));
    n->of = of;
    set_clock(n, offset_ms);
    lk_settings_init(&n->settings);
    n->settings.idle_s = of->idle_s;
    n->settings.cookie_secure = false;
    snprintf(n->settings.cookie_name, sizeof(n->settings.cookie_name), "latchkey");
    snprintf(n->settings.store, sizeof(n->settings.store), "%s", url);
    if (of->replica != NULL)
        snprintf(n->settings.replica, sizeof(n->settings.replica), "%s", of->replica);
    snprintf(n->settings.keys, sizeof(n->settings.keys), "%s/keys", of->dir);
    for (unsigned i = 0; i < OPEN_TRIES && status != LK_OK; i++) {
        status = open_store(n, &note);
        if (status == LK_OK && of->has_guard)
            status = open_guard(n, &note);
        if (status == LK_OK)
            break;
        close_parts(n);
        usleep(50000);
    }
    if (status != LK_OK)
        fprintf(stderr, "a node cannot be opened: %s (%s)\n", note.text, lk_status_name(status));
    return status == LK_OK;
}

void node_close(node *n)
{
    close_parts(n);
    free(n->base.context);
    n->base.context = NULL;
}

/* ---- over the bare store ---- */

static lk_status store_login(node *n, ticket *out)
{
    int64_t now_s = lk_now_s(&n->clock.env);
    lk_session s = {.generation = 1,
                    .revision = 1,
                    .created_s = now_s,
                    .issued_s = now_s,
                    .auth_s = now_s,
                    .seen_s = now_s,
                    .idle_s = (uint32_t)n->of->idle_s,
                    .expires_s = now_s + LIFE_S,
                    .name = LK_VIEW("Ada Lovelace"),
                    .realm = LK_VIEW("shop"),
                    .roles = LK_VIEW("admin staff"),
                    .agent = LK_VIEW("Mozilla/5.0 (X11; Linux x86_64) Firefox/115.0"),
                    .address = LK_VIEW("192.0.2.17")};
    char user[16];

    if (lk_random(&n->base, out->key.bytes, sizeof(out->key.bytes)) != LK_OK)
        return LK_FAULT;
    s.key = out->key;
    snprintf(user, sizeof(user), "u%u", out->key.bytes[0] % 64u);
    s.user = lk_view_of(user);
    return lk_store_create(n->store, &s, (lk_limit){.max = 0}, NULL);
}

static lk_status store_check(node *n, const ticket *t, int64_t *count)
{
    static uint8_t buf[LK_RECORD_MAX];
    lk_load load = {.key = t->key, .buf = buf, .cap = sizeof(buf), .status = LK_FAULT};
    lk_view value;

    if (lk_store_load_many(n->store, &load, 1) != LK_OK)
        return LK_FAULT;
    if (load.status != LK_OK || count == NULL)
        return load.status;
    *count = 0;
    if (lk_fields_get(load.session.fields, COUNTER, &value) == LK_OK && lk_parse_i64(value, count) != LK_OK)
        *count = -1;
    return LK_OK;
}

/* ---- over a guard ---- */

static lk_status guard_login(node *n, ticket *out)
{
    lk_login login = {
        .user = LK_VIEW("ada"), .name = LK_VIEW("Ada"), .realm = realm, .roles = LK_VIEW("staff")};
    lk_issued issued;
    lk_status status = lk_guard_issue(n->guard, LK_KIND_SESSION_ID, &login, NULL, NULL, &issued, NULL);

    if (status == LK_OK && issued.len < sizeof(out->text)) {
        out->key = issued.key;
        memcpy(out->text, issued.text, issued.len + 1);
    }
    lk_issued_wipe(&issued);
    return status;
}

static lk_status guard_check(node *n, const ticket *t, lk_identity *out)
{
    const lk_rule required = {.mode = LK_MODE_REQUIRED, .lag_ms = n->of->lag_ms, .lag = LK_LAG_ASK};
    char cookie[96];
    lk_view field;
    lk_presented presented = {.cookies = &field, .cookies_n = 1};

    snprintf(cookie, sizeof(cookie), "latchkey=%s", t->text);
    field = lk_view_of(cookie);
    lk_guard_check(n->guard, &presented, &required, out);
    switch (out->verdict) {
    case LK_VERDICT_ALLOW:
        return LK_OK;
    case LK_VERDICT_REFUSE:
        return LK_STALE;
    case LK_VERDICT_UNKNOWN:
        break;
    }
    return LK_FAULT;
}

/* The field that counts, -1 when it cannot be read. */
static int64_t guard_count_of(node *n, const ticket *t)
{
    static uint8_t buf[LK_RECORD_MAX];
    lk_session s;
    lk_reason why;
    lk_view value;
    int64_t count;

    if (lk_guard_record(n->guard, &t->key, buf, &s, &why) != LK_OK)
        return -1;
    if (lk_fields_get(s.fields, COUNTER, &value) != LK_OK)
        return 0;
    return lk_parse_i64(value, &count) == LK_OK ? count : -1;
}

/* ---- either ---- */

lk_status node_login(node *n, ticket *out)
{
    memset(out, 0, sizeof(*out));
    return n->guard != NULL ? guard_login(n, out) : store_login(n, out);
}

lk_status node_logout(node *n, const ticket *t)
{
    if (n->guard != NULL)
        return lk_guard_end(n->guard, realm, &t->key, LK_REASON_REVOKED);
    return lk_store_destroy(n->store, &t->key, LK_REASON_REVOKED, lk_now_s(&n->clock.env) + 3600);
}

lk_status node_change(node *n, const ticket *t)
{
    lk_op op = {.kind = LK_OP_ADD, .name = COUNTER, .number = 1};
    lk_identity id;
    lk_issued again;
    lk_status status;

    if (n->guard == NULL)
        return lk_store_change(n->store, &t->key, 1, 0, &op, 1, NULL, NULL);
    status = guard_check(n, t, &id);
    return status == LK_OK ? lk_guard_change(n->guard, NULL, &id, 0, &op, 1, NULL, &again, NULL) : status;
}

lk_status node_check(node *n, const ticket *t, int64_t *count)
{
    lk_identity id;
    lk_status status;

    if (n->guard == NULL)
        return store_check(n, t, count);
    status = guard_check(n, t, &id);
    if (status == LK_OK && count != NULL)
        *count = guard_count_of(n, t);
    return status;
}

void node_upkeep(node *n)
{
    if (n->guard == NULL || steady_ms() - n->upkept_ms < 1000)
        return;
    n->upkept_ms = steady_ms();
    (void)!lk_guard_upkeep(n->guard);
}
