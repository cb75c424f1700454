/* SPDX-License-Identifier: Apache-2.0
 *
 * lab.c - see lab.h.
 */
#include "lab.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define TABLE_LEN (64u << 20)

void must(bool ok, const char *what)
{
    if (ok)
        return;
    (void)fprintf(stderr, "bench: %s failed\n", what);
    exit(1);
}

void must_ok(lk_status status, const char *what, const lk_note *note)
{
    if (status == LK_OK)
        return;
    (void)fprintf(stderr, "bench: %s: %s (%s)\n", what, note != NULL ? note->text : "failed",
                  lk_status_name(status));
    exit(1);
}

double now_ns(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

double part_of(double *values, size_t n, double part)
{
    size_t at = (size_t)(part * (double)n);

    must(n > 0, "a measurement");
    qsort(values, n, sizeof(values[0]), by_value);
    return values[at < n ? at : n - 1];
}

uint64_t next_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

lk_session_key key_of(unsigned n)
{
    uint64_t x = (n + 1) * UINT64_C(0x9e3779b97f4a7c15), y;
    lk_session_key key;

    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    y = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    memcpy(key.bytes, &y, 8);
    memcpy(key.bytes + 8, &n, 4);
    return key;
}

void make_session(made_session *made, unsigned n, const char *user, int64_t now_s)
{
    static const uint8_t fields[] = "\x04\x1b\x00"
                                    "cart"
                                    "[[\"apple\",3],[\"lantern\",1]]"
                                    "\x05\x06\x00"
                                    "theme"
                                    "\"dark\"";

    memset(made->agent, 'a', sizeof(made->agent));
    (void)snprintf(made->user, sizeof(made->user), "%s", user);
    made->s = (lk_session){.key = key_of(n),
                           .generation = 2,
                           .revision = 1,
                           .created_s = now_s,
                           .issued_s = now_s,
                           .auth_s = now_s,
                           .seen_s = now_s,
                           .idle_s = 1800,
                           .expires_s = now_s + 43200,
                           .user = lk_view_of(made->user),
                           .name = LK_VIEW("Ada Lovelace"),
                           .realm = LK_VIEW("shop"),
                           .roles = LK_VIEW("customer"),
                           .address = LK_VIEW("203.0.113.194"),
                           .agent = lk_view_make(made->agent, sizeof(made->agent)),
                           .fields = lk_view_make(fields, sizeof(fields) - 1)};
}

lk_store *open_store(const char *url)
{
    lk_note note = {.text = ""};
    lk_store *store;

    must_ok(lk_store_setup(lk_env_system(), url, false, &note), "store init", &note);
    must_ok(lk_store_open(lk_env_system(), url, NULL, &store, &note), "the store", &note);
    return store;
}

static void set(char *out, size_t cap, const char *value)
{
    must((size_t)snprintf(out, cap, "%s", value) < cap, "a short name");
}

void node_open(node *n, const char *url, const char *keys)
{
    lk_note note = {.text = ""};
    bool joined;

    memset(n, 0, sizeof(*n));
    lk_settings_init(&n->settings);
    set(n->settings.store, sizeof(n->settings.store), url);
    set(n->settings.keys, sizeof(n->settings.keys), keys);
    set(n->settings.cookie_name, sizeof(n->settings.cookie_name), "latchkey");
    n->settings.cookie_secure = false;
    must_ok(lk_table_open(lk_env_system(), NULL, TABLE_LEN, &n->table, &joined, &note), "the table", &note);
    lk_cluster_clock_init(&n->clock, lk_env_system(), n->table);
    must_ok(lk_store_open(&n->clock.env, url, n->table, &n->store, &note), "the store", &note);
    must_ok(lk_keyring_open(&n->clock.env, keys, true, &n->ring, &note), "the keys", &note);
    lk_guard_parts parts = {.env = &n->clock.env,
                            .settings = &n->settings,
                            .ring = n->ring,
                            .table = n->table,
                            .store = n->store};
    must_ok(lk_guard_open(parts, &n->guard, &note), "the guard", &note);
    must_ok(lk_guard_start_follower(n->guard), "the follower", NULL);
}

void node_close(node *n)
{
    lk_guard_close(n->guard);
    lk_store_close(n->store);
    lk_keyring_free(n->ring);
    lk_table_close(n->table);
}

void node_login(node *n, lk_kind kind, const char *user, lk_issued *out)
{
    lk_login login = {.user = lk_view_of(user),
                      .name = LK_VIEW("Ada Lovelace"),
                      .roles = LK_VIEW("customer"),
                      .address = LK_VIEW("203.0.113.194"),
                      .agent = LK_VIEW("Mozilla/5.0 (X11; Linux x86_64; rv:115.0) Firefox/115.0")};
    lk_note note = {.text = ""};

    must_ok(lk_guard_issue(n->guard, kind, &login, NULL, NULL, out, &note), "a login", &note);
}

lk_verdict node_check(node *n, lk_kind kind, const char *text)
{
    const lk_rule required = {.mode = LK_MODE_REQUIRED};
    bool is_cookie = kind == LK_KIND_SESSION_ID;
    char room[LK_ISSUED_MAX + 16];
    lk_identity id;
    lk_view field;
    lk_presented presented = {.cookies = is_cookie ? &field : NULL,
                              .cookies_n = is_cookie,
                              .authorization = is_cookie ? NULL : &field,
                              .authorization_n = !is_cookie,
                              .only_reads = true};

    (void)snprintf(room, sizeof(room), "%s%s", is_cookie ? "latchkey=" : "Bearer ", text);
    field = lk_view_of(room);
    lk_guard_check(n->guard, &presented, &required, &id);
    return id.verdict;
}
