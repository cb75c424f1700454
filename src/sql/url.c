/* SPDX-License-Identifier: Apache-2.0
 *
 * url.c - the registry of dialects, and what their URLs have in common.
 */
#include "sql/inner.h"
#include <string.h>

static const lk_sql_driver *const drivers[] = {
    &lk__sql_sqlite,
#ifdef LK_WITH_POSTGRES
    &lk__sql_postgres,
#endif
#ifdef LK_WITH_MARIADB
    &lk__sql_mariadb,
#endif
};
#define DRIVERS (sizeof(drivers) / sizeof(drivers[0]))

static const lk_sql_driver *driver_of(lk_view scheme)
{
    for (size_t i = 0; i < DRIVERS; i++)
        for (size_t k = 0; k < 2; k++)
            if (drivers[i]->schemes[k] != NULL && lk_view_equal(scheme, lk_view_of(drivers[i]->schemes[k])))
                return drivers[i];
    return NULL;
}

/* "250ms", "2s". */
static lk_status deadline_read(lk_view text, uint32_t *out, lk_note *note)
{
    bool in_ms = text.len > 2 && lk_view_equal(lk_view_part(text, text.len - 2, 2), LK_VIEW("ms"));
    bool in_s = !in_ms && text.len > 1 && text.p[text.len - 1] == 's';
    int64_t number = 0;
    lk_status status = LK_REFUSED;

    if (in_ms || in_s)
        status = lk_parse_i64(lk_view_part(text, 0, text.len - (in_ms ? 2 : 1)), &number);
    if (status == LK_OK && number <= LK_SQL_DEADLINE_MAX)
        number *= in_s ? 1000 : 1;
    if (status != LK_OK || number < LK_SQL_DEADLINE_MIN || number > LK_SQL_DEADLINE_MAX) {
        lk_note_set(note, "The option deadline= of a database URL is 10ms to 10s, as in deadline=250ms.");
        return LK_REFUSED;
    }
    *out = (uint32_t)number;
    return LK_OK;
}

/* Copy URL but for deadline=, which is read. */
static lk_status options_read(lk_view url, lk_sql_target *to, lk_note *note)
{
    size_t mark = lk_view_find(url, '?');
    lk_view rest = lk_view_part(url, mark + 1, url.len);
    lk_buf out = lk_buf_over(to->url, sizeof(to->url));
    uint8_t before = '?';
    lk_status status = LK_OK;

    lk_buf_add(&out, lk_view_part(url, 0, mark));
    while (status == LK_OK && mark < url.len && rest.len > 0) {
        size_t end = lk_view_find(rest, '&');
        lk_view one = lk_view_part(rest, 0, end);

        if (lk_view_equal(lk_view_part(one, 0, 9), LK_VIEW("deadline="))) {
            status = deadline_read(lk_view_part(one, 9, one.len), &to->deadline_ms, note);
        } else {
            lk_buf_add_byte(&out, before);
            lk_buf_add(&out, one);
            before = '&';
        }
        rest = lk_view_part(rest, end + 1, rest.len);
    }
    if (status == LK_OK && lk_buf_text(&out) == NULL) {
        lk_note_set(note, "The database URL is longer than %d bytes.", LK_SQL_URL_MAX);
        return LK_REFUSED;
    }
    return status;
}

/* The URL for people: without what may be a password, and without options. */
static void show(lk_sql_target *to)
{
    lk_view url = lk_view_of(to->url);
    const char *host = strstr(to->url, "://");
    lk_buf out = lk_buf_over(to->shown, sizeof(to->shown));

    if (host != NULL) {
        const char *at = memrchr(host + 3, '@', strcspn(host + 3, "/?"));
        size_t name = at == NULL ? 0 : strcspn(host + 3, ":@");

        lk_buf_add(&out, lk_view_make(to->url, (size_t)(host - to->url) + 3 + name));
        url = at == NULL ? lk_view_of(host + 3) : lk_view_of(at);
        url = lk_view_part(url, 0, lk_view_find(url, '?'));
    }
    lk_buf_add(&out, url);
    if (lk_buf_text(&out) == NULL)
        to->shown[0] = '\0';
}

lk_status lk__sql_target_read(const char *url, const lk_sql_driver **driver, lk_sql_target *to, lk_note *note)
{
    lk_view whole = lk_view_of(url);
    size_t colon = lk_view_find(whole, ':');
    lk_status status;

    memset(to, 0, sizeof(*to));
    *driver = colon < whole.len ? driver_of(lk_view_part(whole, 0, colon)) : NULL;
    if (*driver == NULL) {
        lk_note_set(
            note, "A database URL begins with \"sqlite:\", as in sqlite:/var/lib/latchkey/accounts.db, with "
                  "\"postgres://\" or with \"mariadb://\".");
        return LK_REFUSED;
    }
    status = options_read(whole, to, note);
    if (status != LK_OK)
        return status;
    to->place = to->url + colon + 1;
    show(to);
    return (*driver)->check(to, note);
}

lk_status lk_sql_url_check(const char *url, lk_note *note)
{
    const lk_sql_driver *driver;
    lk_sql_target to;

    return lk__sql_target_read(url, &driver, &to, note);
}
