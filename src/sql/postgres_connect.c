/* SPDX-License-Identifier: Apache-2.0
 *
 * postgres_connect.c - from a URL to a PostgreSQL connection, within the deadline.
 *
 * The URL is libpq's own, with all its options. Of several hosts each has its share of the time, so that one
 * that hangs does not keep us from the next; libpq alone would stay with it. The host that worked is the
 * first one next time.
 */
#include "sql/postgres.h"
#include <poll.h>
#include <stdio.h>
#include <string.h>

#define SETTINGS_MAX 64 /* libpq knows about forty */

/* What libpq says of a malformed URL has the URL in it, and so the password. */
static lk_status refuse(lk_note *note)
{
    lk_note_set(note,
                "A PostgreSQL URL is postgres://USER:PASSWORD@HOST:PORT/DATABASE, with %%XX for what is no "
                "letter or digit in them, and after a '?' deadline= or what libpq knows, as "
                "sslmode=verify-full.");
    return LK_REFUSED;
}

static const char *value_of(const PQconninfoOption *settings, const char *keyword)
{
    for (; settings->keyword != NULL; settings++)
        if (strcmp(settings->keyword, keyword) == 0)
            return settings->val != NULL ? settings->val : "";
    return "";
}

/* libpq would tell of a bad port only when it connects. */
static bool are_ports(const char *list)
{
    lk_view rest = lk_view_of(list);

    while (rest.len > 0) {
        size_t comma = lk_view_find(rest, ',');
        lk_view one = lk_view_part(rest, 0, comma);
        int64_t port = 1;

        if (one.len > 0 && (lk_parse_i64(one, &port) != LK_OK || port < 1 || port > 65535))
            return false;
        rest = lk_view_part(rest, comma + 1, rest.len);
    }
    return true;
}

lk_status lk__pg_check(const lk_sql_target *to, lk_note *note)
{
    PQconninfoOption *settings = strncmp(to->place, "//", 2) == 0 ? PQconninfoParse(to->url, NULL) : NULL;
    bool ok =
        settings != NULL && value_of(settings, "dbname")[0] != '\0' && are_ports(value_of(settings, "port"));

    PQconninfoFree(settings);
    return ok ? LK_OK : refuse(note);
}

/* ---- hosts ---- */

/* Part I of a list with commas; the last one stands for all that are missing. */
static lk_view part_of(const char *list, unsigned i)
{
    lk_view rest = lk_view_of(list);

    for (;; i--) {
        size_t comma = lk_view_find(rest, ',');

        if (i == 0 || comma == rest.len)
            return lk_view_part(rest, 0, comma);
        rest = lk_view_part(rest, comma + 1, rest.len);
    }
}

static unsigned hosts_in(const char *list)
{
    unsigned n = 1;

    for (; *list != '\0'; list++)
        n += *list == ',';
    return n;
}

typedef struct settings {
    const char *keywords[SETTINGS_MAX + 1], *values[SETTINGS_MAX + 1];
    size_t n;
} settings;

static void set(settings *s, const char *keyword, const char *value)
{
    if (s->n == SETTINGS_MAX || value == NULL)
        return;
    s->keywords[s->n] = keyword;
    s->values[s->n++] = value;
}

typedef struct endpoint {
    char host[256], port[16];
    char hosts[4 * 256 + 4], addresses[4 * 64 + 4]; /* the host once for each of its addresses; "" for none */
} endpoint;

/* One name may have several addresses: libpq takes a list of both. The name stays, as a certificate is for
 * it. */
static lk_status find_addresses(const lk__pg *c, endpoint *at, lk_note *note)
{
    lk__sql_hosts found;
    lk_buf hosts = lk_buf_over(at->hosts, sizeof(at->hosts));
    lk_buf addresses = lk_buf_over(at->addresses, sizeof(at->addresses));
    lk_status status = lk__sql_hosts_find(c->to, at->host, c->until_ms, &found, note);

    for (size_t i = 0; status == LK_OK && i < found.n; i++) {
        lk_buf_add_printf(&hosts, "%s%s", i > 0 ? "," : "", at->host);
        lk_buf_add_printf(&addresses, "%s%s", i > 0 ? "," : "", found.addresses[i]);
    }
    if (status == LK_OK && (lk_buf_text(&hosts) == NULL || lk_buf_text(&addresses) == NULL))
        status = LK_FAULT;
    return status;
}

/* Host and port I of the URL. With hostaddr= the URL says itself what to connect to. */
static lk_status find_endpoint(const lk__pg *c, const PQconninfoOption *url, unsigned i, endpoint *at,
                               lk_note *note)
{
    lk_view host = part_of(value_of(url, "host"), i), port = part_of(value_of(url, "port"), i);

    memset(at, 0, sizeof(*at));
    if (value_of(url, "hostaddr")[0] != '\0')
        return LK_OK;
    snprintf(at->host, sizeof(at->host), "%.*s", (int)host.len, (const char *)host.p);
    snprintf(at->port, sizeof(at->port), "%.*s", (int)port.len, (const char *)port.p);
    snprintf(at->hosts, sizeof(at->hosts), "%s", at->host);
    return lk__sql_is_socket(at->host) ? LK_OK : find_addresses(c, at, note);
}

/* What comes later goes before: ours that the URL may change, the URL's, and ours that it may not. */
static PGconn *start(const PQconninfoOption *url, const endpoint *at)
{
    settings s = {.n = 0};

    set(&s, "fallback_application_name", "latchkey");
    set(&s, "gssencmode", "disable"); /* asks a ticket of a server that may not answer */
    set(&s, "keepalives_idle", "10");
    for (; url->keyword != NULL; url++)
        set(&s, url->keyword, url->val);
    if (at->hosts[0] != '\0')
        set(&s, "host", at->hosts);
    if (at->addresses[0] != '\0')
        set(&s, "hostaddr", at->addresses);
    if (at->port[0] != '\0')
        set(&s, "port", at->port);
    set(&s, "client_encoding", "UTF8");
    s.keywords[s.n] = s.values[s.n] = NULL;
    return PQconnectStartParams(s.keywords, s.values, 0);
}

/* ---- connecting ---- */

static bool wait_for(const PGconn *conn, short events, int64_t until_ms)
{
    int64_t left_ms = until_ms - lk__sql_clock_ms();
    struct pollfd one = {.fd = PQsocket(conn), .events = events};

    return left_ms > 0 && poll(&one, 1, (int)left_ms) > 0;
}

/* True when it stands or failed; false when the time is over. */
static bool poll_until(PGconn *conn, int64_t until_ms)
{
    PostgresPollingStatusType next = PGRES_POLLING_WRITING;

    while (PQstatus(conn) != CONNECTION_BAD && next != PGRES_POLLING_OK && next != PGRES_POLLING_FAILED) {
        if (!wait_for(conn, next == PGRES_POLLING_READING ? POLLIN : POLLOUT, until_ms))
            return false;
        next = PQconnectPoll(conn);
    }
    return true;
}

/* Find the SQLSTATE in "...: FATAL:  28P01: password authentication failed ..." and take it out. */
static void take_code(char *text, char code[6])
{
    code[0] = '\0';
    for (char *p = strstr(text, ":  "); p != NULL; p = strstr(p + 1, ":  ")) {
        size_t n = strspn(p + 3, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ");

        if (n != 5 || strncmp(p + 8, ": ", 2) != 0)
            continue;
        memcpy(code, p + 3, 5);
        code[5] = '\0';
        memmove(p + 2, p + 10, strlen(p + 10) + 1);
        return;
    }
}

static lk_status failed(const lk__pg *c, bool late, lk_note *note)
{
    char text[240], code[6];
    bool refused;

    lk__pg_first_line(PQerrorMessage(c->conn), text, sizeof(text));
    take_code(text, code);
    refused = PQconnectionNeedsPassword(c->conn) || strncmp(code, "28", 2) == 0 ||
              strcmp(code, "3D000") == 0 || strcmp(code, "42501") == 0;
    if (late)
        lk_note_set(note, "Database %s: no connection within %u ms.", c->to->shown,
                    (unsigned)c->to->deadline_ms);
    else
        lk_note_set(note, "Database %s: %s.", c->to->shown, text[0] != '\0' ? text : "out of memory");
    return refused ? LK_REFUSED : LK_FAULT;
}

/* A warning with a commit says that it may be lost: the wait for a synchronous standby was given up. */
static void notice(void *p, const PGresult *result)
{
    lk__pg *c = p;
    const char *severity = PQresultErrorField(result, PG_DIAG_SEVERITY_NONLOCALIZED);

    c->warned |= severity != NULL && strcmp(severity, "WARNING") == 0;
}

static lk_status set_up(lk__pg *c, lk_note *note)
{
    lk_status status;

    PQsetErrorVerbosity(c->conn, PQERRORS_DEFAULT);
    PQsetNoticeReceiver(c->conn, notice, c);
    if (PQsetnonblocking(c->conn, 1) != 0)
        return LK_FAULT;
    status = lk__pg_settle(c);
    if (status != LK_OK)
        lk__pg_explain(c, note);
    return status;
}

static lk_status connect_one(lk__pg *c, const PQconninfoOption *url, unsigned host, lk_note *note)
{
    endpoint at;
    lk_status status = find_endpoint(c, url, host, &at, note);
    bool late;

    if (status != LK_OK)
        return status;
    PQfinish(c->conn);
    c->lost = c->late = false;
    c->conn = start(url, &at);
    if (c->conn == NULL) {
        lk_note_set(note, "Out of memory.");
        return LK_FAULT;
    }
    PQsetErrorVerbosity(c->conn, PQERRORS_VERBOSE); /* the one way to be told the SQLSTATE of this failure */
    late = !poll_until(c->conn, c->until_ms);
    if (late || PQstatus(c->conn) != CONNECTION_OK)
        return failed(c, late, note);
    return set_up(c, note);
}

static lk_status connect_any(lk__pg *c, lk_sql_target *to, const PQconninfoOption *url, int64_t until_ms,
                             lk_note *note)
{
    unsigned n = value_of(url, "hostaddr")[0] != '\0' ? 1 : hosts_in(value_of(url, "host"));
    unsigned first = atomic_load_explicit(&to->host, memory_order_relaxed);
    lk_status status = LK_FAULT;

    for (unsigned i = 0; i < n && status != LK_OK; i++) {
        int64_t now_ms = lk__sql_clock_ms();

        c->until_ms = now_ms + (until_ms - now_ms) / (n - i);
        status = connect_one(c, url, (first + i) % n, note);
        if (status == LK_OK)
            atomic_store_explicit(&to->host, (first + i) % n, memory_order_relaxed);
    }
    c->until_ms = until_ms;
    return status;
}

void lk__pg_disconnect(const lk_sql_target *to, void *connection)
{
    lk__pg *c = connection;

    PQfinish(c->conn);
    lk_free(to->env, c);
}

lk_status lk__pg_connect(lk_sql_target *to, int64_t until_ms, void **connection, lk_note *note)
{
    PQconninfoOption *url = PQconninfoParse(to->url, NULL);
    lk__pg *c = lk_alloc(to->env, sizeof(*c));
    lk_status status = LK_FAULT;

    *connection = NULL;
    if (url == NULL || c == NULL) {
        lk_note_set(note, "Out of memory.");
        goto out;
    }
    c->to = to;
    c->wait_ms = to->deadline_ms;
    status = connect_any(c, to, url, until_ms, note);
    if (status == LK_OK)
        *connection = c;
out:
    if (status != LK_OK && c != NULL)
        lk__pg_disconnect(to, c);
    PQconninfoFree(url);
    return status;
}
