/* SPDX-License-Identifier: Apache-2.0
 *
 * url.c - reading the URL of a redis store.
 *
 *   redis://[user:password@]host[:port][/db]          redis:///path/of/socket
 *   redis+sentinel://[user:password@]host[:port],host.../name-of-primary[/db]
 *   redis+cluster://[user:password@]host[:port],host...
 *
 * User and password may hold %XX. An address of IPv6 stands in brackets.
 */
#include "store/redis/redis_inner.h"
#include <string.h>

#define DEADLINE_MS 250
#define DEADLINE_MIN_MS 10
#define DEADLINE_MAX_MS 10000
#define WAIT_MAX 10
#define DB_MAX 1000000
#define PORT 6379
#define SENTINEL_PORT 26379

static const char *form_of(lk__redis_kind kind)
{
    switch (kind) {
    case LK__REDIS_SINGLE:
        return lk__store_redis.form;
    case LK__REDIS_SENTINEL:
        return lk__store_redis_sentinel.form;
    case LK__REDIS_CLUSTER:
        return lk__store_redis_cluster.form;
    }
    return "";
}

static lk_status wrong(lk__redis_kind kind, lk_note *note, const char *what)
{
    lk_note_set(note, "%s; the store is written %s", what, form_of(kind));
    return LK_REFUSED;
}

static int hex_of(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* TEXT with its %XX decoded, as a string of at most CAP - 1 bytes. */
static lk_status decode(lk_view text, char *out, size_t cap)
{
    size_t n = 0;

    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.p[i];

        if (c == '%') {
            int high = i + 2 < text.len ? hex_of(text.p[i + 1]) : -1;
            int low = i + 2 < text.len ? hex_of(text.p[i + 2]) : -1;

            if (high < 0 || low < 0 || high + low == 0)
                return LK_REFUSED;
            c = (uint8_t)(high * 16 + low);
            i += 2;
        }
        if (n + 1 >= cap)
            return LK_REFUSED;
        out[n++] = (char)c;
    }
    out[n] = '\0';
    return LK_OK;
}

/* Take "user:password@" off the front of *AUTHORITY. */
static lk_status read_login(lk_view *authority, lk__redis_config *out, lk_note *note)
{
    size_t at = authority->len, colon;
    lk_view login;

    while (at > 0 && authority->p[at - 1] != '@')
        at--;
    if (at == 0)
        return LK_OK;
    login = lk_view_part(*authority, 0, at - 1);
    *authority = lk_view_part(*authority, at, authority->len);
    colon = lk_view_find(login, ':');
    if (colon + 1 >= login.len)
        return wrong(out->kind, note, "before the '@' stand a user (may be empty), ':' and a password");
    if (decode(lk_view_part(login, 0, colon), out->user, sizeof(out->user)) != LK_OK ||
        decode(lk_view_part(login, colon + 1, login.len), out->password, sizeof(out->password)) != LK_OK)
        return wrong(out->kind, note, "user or password is too long, or has a '%' that is not %XX");
    return LK_OK;
}

static lk_status read_port(lk_view text, uint16_t *port)
{
    int64_t n;

    if (lk_parse_i64(text, &n) != LK_OK || n < 1 || n > 65535)
        return LK_REFUSED;
    *port = (uint16_t)n;
    return LK_OK;
}

static lk_status read_host(lk_view text, uint16_t port, lk__redis_address *out)
{
    size_t end = lk_view_find(text, ':');
    lk_view host = lk_view_part(text, 0, end);

    if (text.len > 0 && text.p[0] == '[') {
        end = lk_view_find(text, ']') + 1;
        host = lk_view_part(text, 1, end - 2);
        if (end > text.len)
            return LK_REFUSED;
    }
    if (host.len == 0 || host.len >= sizeof(out->host))
        return LK_REFUSED;
    for (size_t i = 0; i < host.len; i++) {
        if (host.p[i] <= ' ' || host.p[i] >= 0x7f || host.p[i] == '%' || host.p[i] == '@')
            return LK_REFUSED;
    }
    out->port = port;
    memcpy(out->host, host.p, host.len);
    out->host[host.len] = '\0';
    if (end == text.len)
        return LK_OK;
    return text.p[end] == ':' ? read_port(lk_view_part(text, end + 1, text.len), &out->port) : LK_REFUSED;
}

static lk_status read_hosts(lk_view text, lk__redis_config *out, lk_note *note)
{
    uint16_t port = out->kind == LK__REDIS_SENTINEL ? SENTINEL_PORT : PORT;

    do {
        size_t end = lk_view_find(text, ',');

        if (out->seeds_n == LK__REDIS_SEEDS_MAX)
            return wrong(out->kind, note, "too many hosts");
        if (read_host(lk_view_part(text, 0, end), port, &out->seeds[out->seeds_n++]) != LK_OK)
            return wrong(out->kind, note, "a host or port is no good");
        if (end == text.len)
            return LK_OK;
        text = lk_view_part(text, end + 1, text.len);
    } while (out->kind != LK__REDIS_SINGLE);
    return wrong(out->kind, note, "there is one host");
}

static lk_status read_db(lk_view text, lk__redis_config *out, lk_note *note)
{
    int64_t db;

    if (lk_parse_i64(text, &db) != LK_OK || db > DB_MAX)
        return wrong(out->kind, note, "the database is a number");
    out->db = (uint32_t)db;
    return LK_OK;
}

/* What comes after the hosts: PATH begins after the first '/'. */
static lk_status read_path(lk_view path, lk__redis_config *out, lk_note *note)
{
    size_t slash = lk_view_find(path, '/');
    lk_view name = lk_view_part(path, 0, slash), db = lk_view_part(path, slash + 1, path.len);

    switch (out->kind) {
    case LK__REDIS_SINGLE:
        return path.len > 0 ? read_db(path, out, note) : LK_OK;
    case LK__REDIS_CLUSTER:
        return path.len > 0 ? wrong(out->kind, note, "a cluster has one database") : LK_OK;
    case LK__REDIS_SENTINEL:
        break;
    }
    if (name.len == 0 || decode(name, out->master, sizeof(out->master)) != LK_OK)
        return wrong(out->kind, note, "after the sentinels stands the name they have for the primary");
    return db.len > 0 ? read_db(db, out, note) : LK_OK;
}

/* redis:///path/of/socket */
static lk_status read_socket(lk_view path, lk__redis_config *out, lk_note *note)
{
    if (path.len < 2 || path.len > 107) /* sun_path */
        return wrong(out->kind, note, "the host, or the path of a socket of at most 107 bytes, is missing");
    out->seeds_n = 1;
    out->seeds[0].port = 0;
    if (decode(path, out->seeds[0].host, sizeof(out->seeds[0].host)) != LK_OK)
        return wrong(out->kind, note, "the path of the socket is no good");
    return LK_OK;
}

static lk_status read_places(lk_view rest, lk__redis_config *out, lk_note *note)
{
    size_t slash;
    lk_view authority;
    lk_status status;

    if (rest.len < 2 || rest.p[0] != '/' || rest.p[1] != '/')
        return wrong(out->kind, note, "after the scheme stands \"//\"");
    rest = lk_view_part(rest, 2, rest.len);
    slash = lk_view_find(rest, '/');
    authority = lk_view_part(rest, 0, slash);
    status = read_login(&authority, out, note);
    if (status != LK_OK)
        return status;
    if (out->kind == LK__REDIS_SINGLE && authority.len == 0)
        return read_socket(lk_view_part(rest, slash, rest.len), out, note);
    status = read_hosts(authority, out, note);
    return status == LK_OK ? read_path(lk_view_part(rest, slash + 1, rest.len), out, note) : status;
}

static lk_status read_deadline(lk_view text, int64_t *out_ms, lk_note *note)
{
    size_t digits = 0;
    int64_t n, unit_ms = 0;
    lk_view unit;

    while (digits < text.len && text.p[digits] >= '0' && text.p[digits] <= '9')
        digits++;
    unit = lk_view_part(text, digits, text.len);
    if (lk_view_equal(unit, LK_VIEW("ms")))
        unit_ms = 1;
    if (lk_view_equal(unit, LK_VIEW("s")))
        unit_ms = 1000;
    if (unit_ms == 0 || lk_parse_i64(lk_view_part(text, 0, digits), &n) != LK_OK || n > DEADLINE_MAX_MS ||
        n * unit_ms < DEADLINE_MIN_MS || n * unit_ms > DEADLINE_MAX_MS) {
        lk_note_set(note, "deadline=%.*s: how long an operation may take, 10ms to 10s",
                    text.len > 40 ? 40 : (int)text.len, (const char *)text.p);
        return LK_REFUSED;
    }
    *out_ms = n * unit_ms;
    return LK_OK;
}

static lk_status read_prefix(lk_view text, char out[LK__REDIS_PREFIX_MAX + 1], lk_note *note)
{
    bool is_good = text.len <= LK__REDIS_PREFIX_MAX;

    /* Nothing that SCAN takes for a pattern or a cluster for a hash tag. */
    for (size_t i = 0; i < text.len && is_good; i++) {
        uint8_t c = text.p[i];

        is_good = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == ':' ||
                  c == '.' || c == '_' || c == '-';
    }
    if (!is_good) {
        lk_note_set(note, "prefix=: what the keys begin with, at most %d letters, digits, ':', '.', '_', '-'",
                    LK__REDIS_PREFIX_MAX);
        return LK_REFUSED;
    }
    memcpy(out, text.p, text.len);
    out[text.len] = '\0';
    return LK_OK;
}

static lk_status read_wait(lk_view text, uint32_t *out, lk_note *note)
{
    int64_t n;

    if (lk_view_equal(text, LK_VIEW("auto"))) {
        *out = LK__REDIS_WAIT_AUTO;
        return LK_OK;
    }
    if (lk_parse_i64(text, &n) != LK_OK || n > WAIT_MAX) {
        lk_note_set(note, "wait=: how many replicas must have a login or logout: auto, or 0 to %d", WAIT_MAX);
        return LK_REFUSED;
    }
    *out = (uint32_t)n;
    return LK_OK;
}

static lk_status read_options(const lk_store_url *url, lk__redis_config *out, lk_note *note)
{
    lk_view deadline = lk__store_option(url, "deadline"), prefix = lk__store_option(url, "prefix"),
            wait = lk__store_option(url, "wait"), db = lk__store_option(url, "db");
    lk_status status = LK_OK;

    if (deadline.len > 0)
        status = read_deadline(deadline, &out->deadline_ms, note);
    if (status == LK_OK && prefix.len > 0)
        status = read_prefix(prefix, out->prefix, note);
    if (status == LK_OK && wait.len > 0)
        status = read_wait(wait, &out->wait_for, note);
    if (status == LK_OK && db.len > 0)
        status = read_db(db, out, note);
    return status;
}

lk_status lk__redis_config_read(lk__redis_kind kind, const lk_store_url *url, lk__redis_config *out,
                                lk_note *note)
{
    lk_status status;

    memset(out, 0, sizeof(*out));
    out->kind = kind;
    out->deadline_ms = DEADLINE_MS;
    out->wait_for = LK__REDIS_WAIT_AUTO;
    memcpy(out->prefix, "lk:", sizeof("lk:"));
    status = read_places(url->rest, out, note);
    return status == LK_OK ? read_options(url, out, note) : status;
}
