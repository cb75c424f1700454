/* SPDX-License-Identifier: Apache-2.0
 *
 * devices.c - the devices of a user: registered, listed, renamed, forgotten, and which session each was
 * given.
 *
 * All a device is allowed hangs on its row being there and not stopped. Whoever gives it a session moves the
 * row to that session first (lk_accounts_device_move), and whoever stops it is told the session the row stood
 * at: one of the two comes first, so no session is left that nobody knows of.
 */
#include "account/internal.h"
#include <latchkey/secret.h>
#include <string.h>

#define COLUMNS                                                                                              \
    "id, user_id, realm, label, device_class, hash, public_key, issued_ms, auth_s, created_s, seen_s, "      \
    "ends_s, expires_s, proved_ms, session_id, session_from, session_s, put_out_s"
#define SWEEP_ROWS 16 /* of everybody's, with each registration */

static lk_status copy_text(lk_sql_query *q, int column, char *out, size_t cap)
{
    lk_buf b = lk_buf_over(out, cap);

    lk_buf_add(&b, lk_sql_text(q, column));
    return lk_buf_text(&b) != NULL ? LK_OK : LK_FAULT;
}

static lk_status read_texts(lk_sql_query *q, lk_device *out)
{
    const struct {
        int column;
        char *to;
        size_t cap;
    } texts[] = {{0, out->id, sizeof(out->id)},
                 {1, out->user, sizeof(out->user)},
                 {2, out->realm, sizeof(out->realm)},
                 {3, out->label, sizeof(out->label)},
                 {4, out->device_class, sizeof(out->device_class)},
                 {6, out->key, sizeof(out->key)},
                 {14, out->session, sizeof(out->session)},
                 {15, out->session_from, sizeof(out->session_from)}};

    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        if (copy_text(q, texts[i].column, texts[i].to, texts[i].cap) != LK_OK)
            return LK_FAULT;
    return LK_OK;
}

/* The present row of COLUMNS. What was written under longer lives ends by the present ones. */
static lk_status row_read(const lk_accounts *a, lk_sql_query *q, lk_device *out)
{
    lk_view hash = lk_sql_bytes(q, 5);

    memset(out, 0, sizeof(*out));
    out->has_secret = hash.len == LK_DEVICE_HASH_LEN;
    if (out->has_secret)
        memcpy(out->hash, hash.p, LK_DEVICE_HASH_LEN);
    if (read_texts(q, out) != LK_OK || (!out->has_secret && hash.len != 0))
        return LK_FAULT;
    out->issued_ms = lk_sql_i64(q, 7);
    out->auth_s = lk_sql_i64(q, 8);
    out->created_s = lk_sql_i64(q, 9);
    out->seen_s = lk_sql_i64(q, 10);
    out->ends_s = lk_sql_i64(q, 11);
    out->expires_s = lk_sql_i64(q, 12);
    out->proved_ms = lk_sql_i64(q, 13);
    out->session_s = lk_sql_i64(q, 16);
    out->put_out_s = lk_sql_i64(q, 17);
    if (out->ends_s > out->seen_s + a->settings->device_idle_s)
        out->ends_s = out->seen_s + a->settings->device_idle_s;
    return LK_OK;
}

static void used_now(const lk_accounts *a, lk_device *d)
{
    d->seen_s = lk_now_s(a->env);
    d->ends_s = d->seen_s + a->settings->device_idle_s;
    if (d->ends_s > d->expires_s)
        d->ends_s = d->expires_s;
}

static void begin_lives(const lk_accounts *a, lk_device *d)
{
    d->expires_s = lk_now_s(a->env) + a->settings->device_absolute_s;
    used_now(a, d);
}

/* ---- rules ---- */

static bool is_shown(lk_view text)
{
    for (size_t i = 0; i < text.len; i++)
        if (text.p[i] < 0x20 || text.p[i] == 0x7f)
            return false;
    return lk__is_text(text);
}

static lk_status label_check(lk_view label, lk_note *note)
{
    if (label.len <= LK_DEVICE_LABEL_MAX && is_shown(label))
        return LK_OK;
    lk_note_set(note, "A label is text of at most %d bytes without control characters.", LK_DEVICE_LABEL_MAX);
    return LK_REFUSED;
}

/* A class is a word: it is compared, and stands in settings. */
static lk_status class_check(lk_view word, lk_note *note)
{
    bool good = word.len <= LK_DEVICE_CLASS_MAX;

    for (size_t i = 0; good && i < word.len; i++)
        good = (word.p[i] >= 'a' && word.p[i] <= 'z') || (word.p[i] >= '0' && word.p[i] <= '9') ||
               word.p[i] == '-' || word.p[i] == '_';
    if (good)
        return LK_OK;
    lk_note_set(note, "A class is a word of small letters, digits, - and _, at most %d of them.",
                LK_DEVICE_CLASS_MAX);
    return LK_REFUSED;
}

lk_status lk_accounts_device_words_check(lk_view label, lk_view device_class, lk_note *note)
{
    lk_status status = label_check(label, note);

    return status == LK_OK ? class_check(device_class, note) : status;
}

/* ---- looking ---- */

lk_status lk_accounts_device_get(lk_accounts *a, lk_view id, lk_device *out)
{
    lk_sql_link *link = NULL;
    lk_sql_query *q = NULL;
    lk_status status = LK_MISS;

    if (lk__is_id(id))
        status = lk_sql_borrow(a->sql, &link, NULL);
    if (status == LK_OK)
        status = lk_sql_ask(link, "SELECT " COLUMNS " FROM latchkey_device WHERE id = ?",
                            LK_SQL_VALUES(lk_sql_of_text(id)), &q);
    if (status == LK_OK)
        status = lk_sql_step(q);
    if (status == LK_OK) {
        status = row_read(a, q, out);
        lk_sql_reset(q);
    }
    lk_sql_give_back(link);
    if (status != LK_OK)
        memset(out, 0, sizeof(*out));
    return status == LK_OK || status == LK_MISS ? status : LK_FAULT;
}

lk_status lk_accounts_device_list(lk_accounts *a, lk_view user, lk_device *out, size_t *n)
{
    lk_sql_link *link = NULL;
    lk_sql_query *q = NULL;
    int64_t now_s = lk_now_s(a->env);
    lk_status status = lk_sql_borrow(a->sql, &link, NULL);

    *n = 0;
    if (status == LK_OK)
        status =
            lk_sql_ask(link,
                       "SELECT " COLUMNS " FROM latchkey_device WHERE user_id = ? AND ends_s > ? ORDER BY "
                       "seen_s DESC, id LIMIT ?",
                       LK_SQL_VALUES(lk_sql_of_text(lk__is_id(user) ? user : LK_VIEW("")),
                                     lk_sql_of_i64(now_s), lk_sql_of_i64(LK_DEVICES_MAX)),
                       &q);
    while (status == LK_OK && *n < LK_DEVICES_MAX && (status = lk_sql_step(q)) == LK_OK) {
        status = row_read(a, q, &out[*n]);
        if (status == LK_OK && out[*n].ends_s > now_s)
            *n += 1;
    }
    if (q != NULL)
        lk_sql_reset(q);
    lk_sql_give_back(link);
    return status == LK_OK || status == LK_MISS ? LK_OK : LK_FAULT;
}

/* ---- registering ---- */

typedef struct registration {
    const lk_accounts *accounts;
    const lk_device *device;
} registration;

/* One at a time for each user: the row of the user is held while his devices are counted. */
static lk_status user_hold(const registration *r, lk_sql_link *link)
{
    lk_sql_query *q = NULL;
    lk_status status = lk_sql_ask(link, r->accounts->text->hold_user,
                                  LK_SQL_VALUES(lk_sql_of_text(lk_view_of(r->device->user))), &q);

    if (status == LK_OK)
        status = lk_sql_step(q);
    if (q != NULL)
        lk_sql_reset(q);
    return status;
}

/* (The inner SELECT is one more for MariaDB, which allows LIMIT only there.) */
static lk_status trim(const registration *r, lk_sql_link *link, int64_t now_s)
{
    static const char surplus[] =
        "DELETE FROM latchkey_device WHERE user_id = ? AND id NOT IN (SELECT id FROM (SELECT id FROM "
        "latchkey_device WHERE user_id = ? AND ends_s > ? ORDER BY seen_s DESC, id LIMIT ?) AS newest)";
    lk_sql_value user = lk_sql_of_text(lk_view_of(r->device->user));

    return lk_sql_do(link, surplus,
                     LK_SQL_VALUES(user, user, lk_sql_of_i64(now_s), lk_sql_of_i64(LK_DEVICES_MAX - 1)),
                     NULL);
}

/* Some of what is over, of users who never come back. */
static lk_status sweep(const registration *r, lk_sql_link *link, int64_t now_s)
{
    char ids[SWEEP_ROWS][LK_DEVICE_ID_LEN + 1];
    lk_sql_query *q = NULL;
    size_t n = 0;
    lk_status status = lk_sql_ask(link, r->accounts->text->old_devices,
                                  LK_SQL_VALUES(lk_sql_of_i64(now_s), lk_sql_of_i64(SWEEP_ROWS)), &q);

    while (status == LK_OK && n < SWEEP_ROWS && (status = lk_sql_step(q)) == LK_OK)
        status = copy_text(q, 0, ids[n++], sizeof(ids[0]));
    if (q != NULL)
        lk_sql_reset(q);
    if (status == LK_MISS)
        status = LK_OK;
    for (size_t i = 0; i < n && status == LK_OK; i++)
        status = lk_sql_do(link, "DELETE FROM latchkey_device WHERE id = ?",
                           LK_SQL_VALUES(lk_sql_of_text(lk_view_of(ids[i]))), NULL);
    return status;
}

static lk_sql_value text_of(const char *text)
{
    return lk_sql_of_text(lk_view_of(text));
}

static lk_sql_value hash_of(const lk_device *d)
{
    return lk_sql_of_bytes(lk_view_make(d->hash, d->has_secret ? LK_DEVICE_HASH_LEN : 0));
}

static lk_status insert(lk_sql_link *link, const lk_device *d)
{
    return lk_sql_do(link,
                     "INSERT INTO latchkey_device (" COLUMNS
                     ") VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                     LK_SQL_VALUES(text_of(d->id), text_of(d->user), text_of(d->realm), text_of(d->label),
                                   text_of(d->device_class), hash_of(d), text_of(d->key),
                                   lk_sql_of_i64(d->issued_ms), lk_sql_of_i64(d->auth_s),
                                   lk_sql_of_i64(d->created_s), lk_sql_of_i64(d->seen_s),
                                   lk_sql_of_i64(d->ends_s), lk_sql_of_i64(d->expires_s),
                                   lk_sql_of_i64(d->proved_ms), text_of(d->session), text_of(d->session_from),
                                   lk_sql_of_i64(d->session_s), lk_sql_of_i64(d->put_out_s)),
                     NULL);
}

static lk_status add_work(lk_sql_link *link, void *argument)
{
    const registration *r = argument;
    int64_t now_s = r->device->created_s;
    lk_status status = user_hold(r, link);

    if (status == LK_MISS)
        return LK_MISS;
    if (status == LK_OK)
        status = trim(r, link, now_s);
    if (status == LK_OK)
        status = sweep(r, link, now_s);
    if (status == LK_OK)
        status = insert(link, r->device);
    return status == LK_OK ? LK_OK : LK_FAULT;
}

lk_status lk_accounts_device_add(lk_accounts *a, lk_device *d, lk_note *note)
{
    lk_status status =
        lk_accounts_device_words_check(lk_view_of(d->label), lk_view_of(d->device_class), note);

    if (status != LK_OK)
        return status;
    if (!lk__is_id(lk_view_of(d->id)) || !lk__is_id(lk_view_of(d->user)))
        return LK_MISS;
    d->created_s = lk_now_s(a->env);
    d->session_s = d->created_s;
    begin_lives(a, d);
    return lk__account_write(a, LK_SQL_DURABLE, add_work, &(registration){a, d}, note);
}

/* ---- changing ---- */

typedef struct changing {
    const char *text;
    const lk_sql_value *values;
    size_t n;
} changing;

static lk_status change_work(lk_sql_link *link, void *argument)
{
    const changing *c = argument;
    uint64_t changed = 0;

    if (lk_sql_do(link, c->text, c->values, c->n, &changed) != LK_OK)
        return LK_FAULT;
    return changed > 0 ? LK_OK : LK_MISS;
}

/* Run TEXT in a transaction of its own. LK_MISS when it touched no row. */
static lk_status change(lk_accounts *a, lk_sql_durability durability, const char *text,
                        const lk_sql_value *values, size_t n)
{
    return lk__account_write(a, durability, change_work, &(changing){text, values, n}, NULL);
}

lk_status lk_accounts_device_rename(lk_accounts *a, lk_view user, lk_view id, lk_view label, lk_note *note)
{
    lk_status status = label_check(label, note);

    if (status != LK_OK)
        return status;
    if (!lk__is_id(id) || !lk__is_id(user))
        return LK_MISS;
    status = change(a, LK_SQL_DURABLE, "UPDATE latchkey_device SET label = ? WHERE id = ? AND user_id = ?",
                    LK_SQL_VALUES(lk_sql_of_text(label), lk_sql_of_text(id), lk_sql_of_text(user)));
    if (status != LK_MISS)
        return status;
    /* MariaDB does not count a row that had the label already. */
    lk_device there;
    status = lk_accounts_device_get(a, id, &there);
    return status == LK_OK && !lk_view_equal(lk_view_of(there.user), user) ? LK_MISS : status;
}

lk_status lk_accounts_device_renew(lk_accounts *a, lk_device *d)
{
    d->session_s = lk_now_s(a->env);
    d->put_out_s = 0;
    begin_lives(a, d);
    return change(
        a, LK_SQL_DURABLE,
        "UPDATE latchkey_device SET hash = ?, public_key = ?, device_class = ?, issued_ms = ?, auth_s "
        "= ?, seen_s = ?, ends_s = ?, expires_s = ?, session_id = ?, session_from = ?, session_s = ?, "
        "put_out_s = 0 "
        "WHERE id = ? AND user_id = ?",
        LK_SQL_VALUES(hash_of(d), text_of(d->key), text_of(d->device_class), lk_sql_of_i64(d->issued_ms),
                      lk_sql_of_i64(d->auth_s), lk_sql_of_i64(d->seen_s), lk_sql_of_i64(d->ends_s),
                      lk_sql_of_i64(d->expires_s), text_of(d->session), text_of(d->session_from),
                      lk_sql_of_i64(d->session_s), text_of(d->id), text_of(d->user)));
}

/* Not lost with the power: the session is in a store that may be another database, and a row that fell back
 * behind it would give the device a second one. */
lk_status lk_accounts_device_move(lk_accounts *a, lk_device *d, lk_view next)
{
    lk_device moved = *d;
    lk_buf session = lk_buf_over(moved.session, sizeof(moved.session));

    lk_buf_add(&session, next);
    if (next.len != LK_PUBLIC_ID_LEN || lk_buf_text(&session) == NULL)
        return LK_FAULT;
    memcpy(moved.session_from, d->session, sizeof(moved.session_from));
    used_now(a, &moved);
    moved.session_s = moved.seen_s;
    lk_status status = change(
        a, LK_SQL_DURABLE,
        "UPDATE latchkey_device SET session_id = ?, session_from = ?, session_s = ?, seen_s = ?, ends_s = ? "
        "WHERE id = ? AND session_id = ? AND issued_ms = ? AND put_out_s = 0",
        LK_SQL_VALUES(text_of(moved.session), text_of(moved.session_from), lk_sql_of_i64(moved.session_s),
                      lk_sql_of_i64(moved.seen_s), lk_sql_of_i64(moved.ends_s), text_of(d->id),
                      text_of(d->session), lk_sql_of_i64(d->issued_ms)));
    if (status == LK_OK)
        *d = moved;
    return status;
}

lk_status lk_accounts_device_put_out(lk_accounts *a, const lk_device *d)
{
    int64_t now_s = lk_now_s(a->env);

    return change(
        a, LK_SQL_DURABLE,
        "UPDATE latchkey_device SET put_out_s = ? WHERE id = ? AND session_id = ? AND put_out_s = 0",
        LK_SQL_VALUES(lk_sql_of_i64(now_s), text_of(d->id), text_of(d->session)));
}

lk_status lk_accounts_device_proved(lk_accounts *a, lk_view id, int64_t made_ms)
{
    if (!lk__is_id(id))
        return LK_MISS;
    return change(a, LK_SQL_DURABLE,
                  "UPDATE latchkey_device SET proved_ms = ? WHERE id = ? AND proved_ms < ?",
                  LK_SQL_VALUES(lk_sql_of_i64(made_ms), lk_sql_of_text(id), lk_sql_of_i64(made_ms)));
}

/* ---- forgetting ---- */

typedef struct removal {
    const lk_accounts *accounts;
    lk_view user, id;
    lk_device *out;
} removal;

static lk_status read_one(const removal *r, lk_sql_query *q, lk_status status)
{
    if (status == LK_OK)
        status = lk_sql_step(q);
    if (status == LK_OK)
        status = row_read(r->accounts, q, r->out);
    if (q != NULL)
        lk_sql_reset(q);
    return status == LK_OK || status == LK_MISS ? status : LK_FAULT;
}

/* The row is held by the first until the second has read it. */
static lk_status stop_work(lk_sql_link *link, void *argument)
{
    const removal *r = argument;
    lk_sql_query *q = NULL;
    lk_sql_value user = lk_sql_of_text(r->user), id = lk_sql_of_text(r->id);
    lk_status status =
        lk_sql_do(link, "UPDATE latchkey_device SET put_out_s = ? WHERE id = ? AND user_id = ?",
                  LK_SQL_VALUES(lk_sql_of_i64(lk_now_s(r->accounts->env)), id, user), NULL);

    if (status == LK_OK)
        status = lk_sql_ask(link, "SELECT " COLUMNS " FROM latchkey_device WHERE id = ? AND user_id = ?",
                            LK_SQL_VALUES(id, user), &q);
    return read_one(r, q, status);
}

lk_status lk_accounts_device_stop(lk_accounts *a, lk_view user, lk_view id, lk_device *out)
{
    if (!lk__is_id(id) || !lk__is_id(user))
        return LK_MISS;
    return lk__account_write(a, LK_SQL_DURABLE, stop_work, &(removal){a, user, id, out}, NULL);
}

static lk_status remove_work(lk_sql_link *link, void *argument)
{
    const removal *r = argument;
    lk_sql_query *q = NULL;
    lk_status status =
        lk_sql_ask(link, "DELETE FROM latchkey_device WHERE id = ? AND user_id = ? RETURNING " COLUMNS,
                   LK_SQL_VALUES(lk_sql_of_text(r->id), lk_sql_of_text(r->user)), &q);

    return read_one(r, q, status);
}

lk_status lk_accounts_device_remove(lk_accounts *a, lk_view user, lk_view id, lk_device *out)
{
    lk_device was;

    if (!lk__is_id(id) || !lk__is_id(user))
        return LK_MISS;
    return lk__account_write(a, LK_SQL_DURABLE, remove_work,
                             &(removal){a, user, id, out != NULL ? out : &was}, NULL);
}
