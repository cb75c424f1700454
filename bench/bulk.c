/* SPDX-License-Identifier: Apache-2.0
 *
 * bulk.c - what the writers of bulk.h share.
 */
#include "bulk.h"
#include "store/database.h"
#include <stdlib.h>
#include <string.h>

enum { PIECE = 50000 }; /* sessions of one transaction */

static void decode(lk_view text, char *out, size_t cap)
{
    size_t at = 0;

    for (size_t i = 0; i < text.len && at + 1 < cap; i++) {
        char hex[3] = "";

        if (text.p[i] != '%' || text.len - i < 3) {
            out[at++] = (char)text.p[i];
            continue;
        }
        memcpy(hex, text.p + i + 1, 2);
        out[at++] = (char)strtol(hex, NULL, 16);
        i += 2;
    }
    out[at] = '\0';
}

/* What stands before C in *REST, which goes on behind it. */
static lk_view take(lk_view *rest, uint8_t c)
{
    size_t end = lk_view_find(*rest, c);
    lk_view part = lk_view_part(*rest, 0, end);

    *rest = lk_view_part(*rest, end + 1, rest->len);
    return part;
}

bulk_url bulk_url_of(const char *url)
{
    const char *begin = strstr(url, "://");
    lk_view rest = lk_view_of(begin != NULL ? begin + 3 : ""), login, path, place;
    char port[8];
    bulk_url out = {.port = 0};

    rest = take(&rest, '?');
    place = take(&rest, '/');
    path = rest;
    login = take(&place, '@');
    decode(take(&login, ':'), out.user, sizeof(out.user));
    decode(login, out.password, sizeof(out.password));
    decode(take(&place, ':'), out.host, sizeof(out.host));
    decode(place, port, sizeof(port));
    decode(path, out.path, sizeof(out.path));
    out.port = atoi(port);
    return out;
}

void bulk_row_of(const lk_store *store, const lk_session *s, bulk_row *out)
{
    lk_buf record = lk_buf_over(out->record, sizeof(out->record));
    size_t head_len;

    must(lk_record_write(s, &record) == LK_OK, "a record");
    head_len = lk_record_head_len(lk_buf_view(&record));
    out->head = lk_view_make(out->record, head_len);
    out->fields = lk_view_make(out->record + head_len, record.len - head_len);
    out->id = s->key;
    out->due = (int32_t)lk__db_time(lk__session_forget_s(s));
    out->seen = (int32_t)lk__db_time(s->seen_s);
    out->owner =
        lk__db_owner((const lk__db *)(const void *)store, s->realm, s->user, lk__db_place_of(&s->key));
}

void bulk_write(const char *url, const lk_store *store, bulk_make make, unsigned from, unsigned to)
{
    static const bulk_writer *const all[] = {&bulk_redis, &bulk_postgres, &bulk_mariadb, &bulk_sqlite};

    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        bulk *b;

        if (strcmp(all[i]->store, lk_store_name(store)) != 0)
            continue;
        b = all[i]->open(url, store);
        for (unsigned n = from; n < to; n += PIECE)
            all[i]->write(b, make, n, to - n < PIECE ? to : n + PIECE);
        all[i]->close(b);
        return;
    }
    must(false, "a store that can be written in bulk");
}
