/* SPDX-License-Identifier: Apache-2.0
 *
 * mariadb_connect.c - from a URL to a MariaDB connection, within the deadline.
 *
 * Of several hosts (a Galera cluster) each has its share of the time, and the one that worked is the first
 * one next time.
 */
#include "sql/mariadb.h"
#include <fcntl.h>
#include <latchkey/secret.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

static pthread_once_t once = PTHREAD_ONCE_INIT;

static void library_init(void)
{
    (void)mysql_library_init(0, NULL, NULL);
}

lk_status lk__my_check(const lk_sql_target *to, lk_note *note)
{
    lk__my_url url;
    lk_status status = lk__my_url_read(to, &url, note);

    lk_wipe(&url, sizeof(url));
    return status;
}

/* ---- connecting ---- */

static bool set_options(MYSQL *db, const lk__my_url *url)
{
    my_bool on = 1, verify = url->tls == LK__MY_TLS_VERIFIED;
    unsigned off = 0;
    bool ok = mysql_options(db, MYSQL_OPT_NONBLOCK, NULL) == 0 &&
              mysql_options(db, MYSQL_SET_CHARSET_NAME, "utf8mb4") == 0 &&
              /* or the server could ask for any file that this process may read */
              mysql_options(db, MYSQL_OPT_LOCAL_INFILE, &off) == 0 &&
              mysql_optionsv(db, MYSQL_OPT_CONNECT_ATTR_ADD, "program_name", "latchkey") == 0;

    if (url->tls != LK__MY_PLAIN)
        ok = ok && mysql_options(db, MYSQL_OPT_SSL_ENFORCE, &on) == 0 &&
             mysql_options(db, MYSQL_OPT_SSL_VERIFY_SERVER_CERT, &verify) == 0;
    if (url->tls != LK__MY_PLAIN && url->ca[0] != '\0')
        ok = ok && mysql_options(db, MYSQL_OPT_SSL_CA, url->ca) == 0;
    return ok;
}

static bool is_refusal(unsigned code)
{
    switch (code) {
    case 1044: /* no right to the database */
    case 1045: /* wrong user or password */
    case 1049: /* no such database */
    case 1130: /* not from this host */
    case 1698: /* not by password */
        return true;
    default: /* numbers of the server's, not an enumeration of ours */
        return false;
    }
}

static lk_status failed(lk__my *c, lk_note *note)
{
    unsigned code = mysql_errno(c->db);

    if (c->late)
        lk_note_set(note, "Database %s: no connection within %u ms.", c->to->shown,
                    (unsigned)c->to->deadline_ms);
    else
        lk_note_set(note, "Database %s: %s.", c->to->shown, code != 0 ? mysql_error(c->db) : "out of memory");
    return is_refusal(code) ? LK_REFUSED : LK_FAULT;
}

static bool connect_call(lk__my *c, const lk__my_url *url, const char *name, unsigned port)
{
    const char *socket = name == NULL ? url->socket : NULL;
    MYSQL *got = NULL;
    int events = mysql_real_connect_start(&got, c->db, name, url->user, url->password, url->database, port,
                                          socket, CLIENT_REMEMBER_OPTIONS);

    while (events != 0 && (events = lk__my_wait(c, events)) != 0)
        events = mysql_real_connect_cont(&got, c->db, events);
    return !c->late && got != NULL;
}

static lk_status set_up(lk__my *c, const lk__my_url *url, lk_note *note)
{
    int fd = (int)mysql_get_socket(c->db);
    lk_status status;

    (void)fcntl(fd, F_SETFD, FD_CLOEXEC);
    if (url->tls != LK__MY_PLAIN && mysql_get_ssl_cipher(c->db) == NULL) {
        lk_note_set(note, "Database %s: the server offers no TLS, and sslmode= asks for it.", c->to->shown);
        return LK_REFUSED;
    }
    status = lk__my_settle(c);
    if (status != LK_OK)
        lk__my_explain(c, note);
    return status;
}

/* To the address or name NAME; NULL: to the socket. */
static lk_status connect_to(lk__my *c, const lk__my_url *url, const char *name, unsigned port, lk_note *note)
{
    lk__my_hang_up(c);
    c->lost = c->late = false;
    c->db = mysql_init(NULL);
    if (c->db == NULL || !set_options(c->db, url)) {
        lk_note_set(note, "Out of memory.");
        return LK_FAULT;
    }
    if (!connect_call(c, url, name, port))
        return failed(c, note);
    return set_up(c, url, note);
}

/* A certificate is verified for the name that libmariadb is given, which it then looks up once more by
 * itself; otherwise it is given addresses. */
static lk_status connect_one(lk__my *c, const lk__my_url *url, unsigned host, lk_note *note)
{
    lk__sql_hosts found;
    lk_status status;

    c->late = false;
    if (url->socket[0] != '\0')
        return connect_to(c, url, NULL, 0, note);
    status = lk__sql_hosts_find(c->to, url->hosts[host], c->until_ms, &found, note);
    if (status != LK_OK)
        return status;
    if (url->tls == LK__MY_TLS_VERIFIED)
        return connect_to(c, url, url->hosts[host], url->ports[host], note);
    status = LK_FAULT;
    for (size_t i = 0; i < found.n && status == LK_FAULT && !c->late; i++)
        status = connect_to(c, url, found.addresses[i], url->ports[host], note);
    return status;
}

static lk_status connect_any(lk__my *c, lk_sql_target *to, const lk__my_url *url, int64_t until_ms,
                             lk_note *note)
{
    unsigned n = url->socket[0] != '\0' ? 1 : url->hosts_n;
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

lk_status lk__my_connect(lk_sql_target *to, int64_t until_ms, void **connection, lk_note *note)
{
    lk__my_url url;
    lk__my *c = lk_alloc(to->env, sizeof(*c));
    lk_status status = lk__my_url_read(to, &url, note);

    *connection = NULL;
    if (c == NULL) {
        lk_note_set(note, "Out of memory.");
        status = LK_FAULT;
    }
    if (status != LK_OK)
        goto out;
    pthread_once(&once, library_init);
    c->to = to;
    c->wait_ms = to->deadline_ms;
    status = connect_any(c, to, &url, until_ms, note);
    if (status == LK_OK)
        *connection = c;
out:
    lk_wipe(&url, sizeof(url));
    if (status != LK_OK && c != NULL)
        lk__my_disconnect(to, c);
    return status;
}

/* ---- the end ---- */

/* Before the statements are freed: those of a closed connection need nothing of the server. A connection that
 * was lost is cut already, and the good-bye that libmariadb writes to it must not raise a signal. */
void lk__my_hang_up(void *connection)
{
    lk__my *c = connection;
    struct timespec no_time = {0, 0};
    sigset_t pipe, before;

    if (c->db == NULL)
        return;
    sigemptyset(&pipe);
    sigaddset(&pipe, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &pipe, &before);
    mysql_close(c->db);
    c->db = NULL;
    if (sigismember(&before, SIGPIPE) == 0) {
        (void)sigtimedwait(&pipe, NULL, &no_time);
        pthread_sigmask(SIG_SETMASK, &before, NULL);
    }
}

void lk__my_disconnect(const lk_sql_target *to, void *connection)
{
    lk__my_hang_up(connection);
    lk_free(to->env, connection);
}
