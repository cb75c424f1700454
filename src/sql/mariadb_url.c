/* SPDX-License-Identifier: Apache-2.0
 *
 * mariadb_url.c -
 * mariadb://USER:PASSWORD@HOST:PORT,HOST:PORT/DATABASE?socket=PATH&sslmode=...&sslrootcert=PATH
 *
 * As libpq has it for PostgreSQL: %XX is decoded in every part after the parts were told apart, and sslmode=
 * has the same words.
 */
#include "sql/mariadb.h"
#include <string.h>

#define PORT 3306

static lk_status refuse(lk_note *note)
{
    lk_note_set(note,
                "A MariaDB URL is mariadb://USER:PASSWORD@HOST:PORT/DATABASE, with %%XX for what is no "
                "letter or digit in them; its options are deadline=, socket=PATH, sslmode=disable|require|"
                "verify-full and sslrootcert=PATH.");
    return LK_REFUSED;
}

static int digit(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* TEXT decoded, behind what is in OUT; NULL when it is malformed or has a NUL in it. */
static const char *decode(lk_view text, lk_buf *out)
{
    const char *start = (const char *)out->p + out->len;

    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.p[i];

        if (c == '%') {
            int high = i + 2 < text.len ? digit(text.p[i + 1]) : -1;
            int low = i + 2 < text.len ? digit(text.p[i + 2]) : -1;

            if (high < 0 || low < 0 || high + low == 0)
                return NULL;
            c = (uint8_t)(high << 4 | low);
            i += 2;
        }
        lk_buf_add_byte(out, c);
    }
    lk_buf_add_byte(out, 0);
    return lk_buf_status(out) == LK_OK ? start : NULL;
}

static bool read_port(lk_view text, unsigned *out)
{
    int64_t port = 0;

    if (lk_parse_i64(text, &port) != LK_OK || port < 1 || port > 65535)
        return false;
    *out = (unsigned)port;
    return true;
}

/* "host", "host:3306", "[::1]:3306". */
static bool read_host(lk_view text, lk__my_url *out, lk_buf *room)
{
    bool bracket = text.len > 0 && text.p[0] == '[';
    size_t end = lk_view_find(text, bracket ? ']' : ':');
    lk_view host = lk_view_part(text, bracket, end - bracket), port;

    if (out->hosts_n == sizeof(out->hosts) / sizeof(out->hosts[0]) || (bracket && end == text.len))
        return false;
    port = lk_view_part(text, end + bracket, text.len);
    out->ports[out->hosts_n] = PORT;
    if (port.len > 0 &&
        (port.p[0] != ':' || !read_port(lk_view_part(port, 1, port.len), &out->ports[out->hosts_n])))
        return false;
    out->hosts[out->hosts_n] = decode(host, room);
    return out->hosts[out->hosts_n++] != NULL && host.len > 0;
}

static bool read_hosts(lk_view list, lk__my_url *out, lk_buf *room)
{
    while (list.len > 0) {
        size_t comma = lk_view_find(list, ',');

        if (!read_host(lk_view_part(list, 0, comma), out, room))
            return false;
        list = lk_view_part(list, comma + 1, list.len);
    }
    return true;
}

static bool read_tls(lk_view value, lk__my_tls *out)
{
    static const struct {
        const char *word;
        lk__my_tls tls;
    } words[] = {{"disable", LK__MY_PLAIN}, {"require", LK__MY_TLS}, {"verify-full", LK__MY_TLS_VERIFIED}};

    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        if (lk_view_equal(value, lk_view_of(words[i].word))) {
            *out = words[i].tls;
            return true;
        }
    return false;
}

static bool read_options(lk_view list, lk__my_url *out, lk_buf *room)
{
    bool ok = true;

    while (ok && list.len > 0) {
        size_t end = lk_view_find(list, '&');
        lk_view one = lk_view_part(list, 0, end);
        size_t sign = lk_view_find(one, '=');
        lk_view name = lk_view_part(one, 0, sign), value = lk_view_part(one, sign + 1, one.len);

        if (lk_view_equal(name, LK_VIEW("socket")))
            ok = (out->socket = decode(value, room)) != NULL;
        else if (lk_view_equal(name, LK_VIEW("sslrootcert")))
            ok = (out->ca = decode(value, room)) != NULL;
        else
            ok = lk_view_equal(name, LK_VIEW("sslmode")) && read_tls(value, &out->tls);
        list = lk_view_part(list, end + 1, list.len);
    }
    return ok;
}

lk_status lk__my_url_read(const lk_sql_target *to, lk__my_url *out, lk_note *note)
{
    lk_view place = lk_view_of(to->place), person = {NULL, 0}, rest, hosts, options;
    lk_buf room;
    size_t mark, slash, at, colon;

    memset(out, 0, sizeof(*out));
    room = lk_buf_over(out->room, sizeof(out->room));
    out->socket = out->ca = "";
    if (!lk_view_equal(lk_view_part(place, 0, 2), LK_VIEW("//")))
        return refuse(note);
    mark = lk_view_find(place, '?');
    options = lk_view_part(place, mark + 1, place.len);
    rest = lk_view_part(place, 2, mark - 2);
    slash = lk_view_find(rest, '/');
    hosts = lk_view_part(rest, 0, slash);
    at = lk_view_find(hosts, '@');
    if (at < hosts.len) {
        person = lk_view_part(hosts, 0, at);
        hosts = lk_view_part(hosts, at + 1, hosts.len);
    }
    colon = lk_view_find(person, ':');
    out->user = decode(lk_view_part(person, 0, colon), &room);
    out->password = decode(lk_view_part(person, colon + 1, person.len), &room);
    out->database = decode(lk_view_part(rest, slash + 1, rest.len), &room);
    if (out->user == NULL || out->password == NULL || out->database == NULL || out->database[0] == '\0' ||
        !read_hosts(hosts, out, &room) || !read_options(options, out, &room) ||
        (out->hosts_n == 0 && out->socket[0] == '\0'))
        return refuse(note);
    return LK_OK;
}
