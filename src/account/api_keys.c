/* SPDX-License-Identifier: Apache-2.0
 *
 * api_keys.c - the API keys of users: what they may do, and whether they were taken back. The keys themselves
 * are kept nowhere: they prove themselves (src/credential/api_key.c).
 */
#include "account/internal.h"
#include "account/third_party.h"
#include "base/ranges.h"
#include <latchkey/base64url.h>
#include <string.h>

/* ---- what somebody asks for ---- */

static lk_status refuse(lk_note *note, const char *rule)
{
    lk_note_set(note, "%s", rule);
    return LK_REFUSED;
}

/* Is LABEL a text of 1 to MAX bytes to be shown? LK_OK; LK_REFUSED with the rule. */
static lk_status check_label(lk_view label, size_t max, lk_note *note)
{
    if (label.len == 0 || label.len > max || !lk__is_text(label))
        return refuse(note, "A label has 1 to 64 bytes of UTF-8.");
    for (size_t i = 0; i < label.len; i++)
        if (label.p[i] < ' ' || label.p[i] == 0x7f || (label.p[i] == 0xc2 && label.p[i + 1] < 0xa0))
            return refuse(note, "A label has no control characters.");
    return LK_OK;
}

static bool is_scope_word(lk_view word)
{
    for (size_t i = 0; i < word.len; i++)
        if (word.p[i] <= ' ' || word.p[i] > '~' || word.p[i] == '"' || word.p[i] == '\\')
            return false;
    return true;
}

lk_status lk__words_normalize(lk_view words, const char *rule, lk_buf *out, lk_note *note)
{
    size_t start = out->len;
    lk_view word;

    while (lk_words_next(&words, &word)) {
        if (!is_scope_word(word))
            return refuse(note, rule);
        if (lk_words_have(lk_view_part(lk_buf_view(out), start, out->len), word))
            continue;
        if (out->len > start)
            lk_buf_add_byte(out, ' ');
        lk_buf_add(out, word);
    }
    return lk_buf_status(out) == LK_OK ? LK_OK : refuse(note, rule);
}

lk_status lk_scope_normalize(lk_view words, lk_buf *out, lk_note *note)
{
    return lk__words_normalize(words,
                               "A scope is made of words of printable ASCII without quote and backslash, of "
                               "at most 256 bytes together.",
                               out, note);
}

lk_status lk_api_key_describe(const lk_api_key_wish *wish, int64_t now_s, lk_api_key *out, lk_note *note)
{
    memset(out, 0, sizeof(*out));
    lk_buf label = lk_buf_over(out->label, LK_API_KEY_LABEL_MAX);
    lk_buf scope = lk_buf_over(out->scope, LK_SCOPE_MAX), roles = lk_buf_over(out->roles, LK_ROLES_MAX);
    lk_buf audience = lk_buf_over(out->audience, LK_API_KEY_BOUNDS_MAX);
    lk_buf addresses = lk_buf_over(out->addresses, LK_API_KEY_BOUNDS_MAX);
    lk_status status = check_label(wish->label, LK_API_KEY_LABEL_MAX, note);

    lk_buf_add(&label, wish->label);
    if (status == LK_OK)
        status = lk_scope_normalize(wish->scope, &scope, note);
    if (status == LK_OK)
        status = lk__roles_normalize(wish->roles, &roles, note);
    if (status == LK_OK)
        status = lk__words_normalize(
            wish->audience,
            "An audience is made of words of printable ASCII without quote and backslash, "
            "of at most 120 bytes together with the address ranges.",
            &audience, note);
    if (status == LK_OK)
        status = lk__ranges_normalize(wish->addresses, &addresses, note);
    if (status == LK_FULL || (status == LK_OK && audience.len + addresses.len > LK_API_KEY_BOUNDS_MAX))
        return refuse(note, "Audience and address ranges have at most 120 bytes together.");
    if (status == LK_OK && (wish->expires_s <= now_s || wish->expires_s - now_s > LK_API_KEY_LIFE_MAX_S))
        return refuse(note, "An API key expires in the future, at most ten years from now.");
    out->expires_s = wish->expires_s;
    return status;
}

/* ---- rows ---- */

static bool is_public(lk_view text)
{
    return text.len == LK_API_KEY_PUBLIC_LEN && lk_is_base64url(text);
}

#define COLUMNS "public_id, user_id, label, scope, roles, audience, addresses, created_ms, expires_s, used_s"

static lk_status read_row(lk_sql_query *q, lk_api_key *out)
{
    memset(out, 0, sizeof(*out));
    if (lk__column_text(q, 0, out->public_id, sizeof(out->public_id)) != LK_OK ||
        lk__column_text(q, 1, out->user, sizeof(out->user)) != LK_OK ||
        lk__column_text(q, 2, out->label, sizeof(out->label)) != LK_OK ||
        lk__column_text(q, 3, out->scope, sizeof(out->scope)) != LK_OK ||
        lk__column_text(q, 4, out->roles, sizeof(out->roles)) != LK_OK ||
        lk__column_text(q, 5, out->audience, sizeof(out->audience)) != LK_OK ||
        lk__column_text(q, 6, out->addresses, sizeof(out->addresses)) != LK_OK)
        return LK_FAULT;
    out->created_ms = lk_sql_i64(q, 7);
    out->expires_s = lk_sql_i64(q, 8);
    out->used_s = lk_sql_i64(q, 9);
    return LK_OK;
}

static lk_status find(lk_sql_link *link, lk_view public, lk_api_key *out)
{
    lk_sql_query *q = NULL;
    lk_status status = lk_sql_ask(link, "SELECT " COLUMNS " FROM latchkey_api_key WHERE public_id = ?",
                                  LK_SQL_VALUES(lk_sql_of_text(public)), &q);

    if (status != LK_OK)
        return LK_FAULT;
    status = lk_sql_step(q);
    if (status == LK_OK)
        status = read_row(q, out);
    lk_sql_reset(q);
    return status == LK_OK || status == LK_MISS ? status : LK_FAULT;
}

lk_status lk_accounts_api_key_get(lk_accounts *a, lk_view public, lk_api_key *out)
{
    lk_sql_link *link = NULL;
    lk_status status;

    memset(out, 0, sizeof(*out));
    if (!is_public(public))
        return LK_MISS;
    status = lk_sql_borrow(a->sql, &link, NULL) == LK_OK ? find(link, public, out) : LK_FAULT;
    lk_sql_give_back(link);
    return status;
}

lk_status lk_accounts_api_keys(lk_accounts *a, lk_view user, lk_api_key *out, size_t cap, size_t *n)
{
    lk_sql_link *link = NULL;
    lk_sql_query *q = NULL;
    lk_status status = lk_sql_borrow(a->sql, &link, NULL);

    *n = 0;
    if (status == LK_OK && lk__is_id(user))
        status = lk_sql_ask(link,
                            "SELECT " COLUMNS
                            " FROM latchkey_api_key WHERE user_id = ? ORDER BY created_ms, public_id LIMIT ?",
                            LK_SQL_VALUES(lk_sql_of_text(user), lk_sql_of_i64((int64_t)cap)), &q);
    while (status == LK_OK && q != NULL && *n < cap) {
        status = lk_sql_step(q);
        if (status == LK_OK)
            status = read_row(q, &out[(*n)++]);
    }
    if (q != NULL)
        lk_sql_reset(q);
    lk_sql_give_back(link);
    return status == LK_OK || status == LK_MISS ? LK_OK : LK_FAULT;
}

/* ---- making ---- */

typedef struct addition {
    const lk_api_key *key;
    uint32_t max;
    int64_t now_s;
    lk_note *note;
} addition;

/* The row of the user is written to be held: of two keys that are made at once the second one counts the
 * first, and a user who is being disabled gets none. */
static lk_status hold_user(lk_sql_link *link, lk_view id)
{
    lk_sql_query *q = NULL;
    lk_status status = lk_sql_do(link, "UPDATE latchkey_user SET login_s = login_s WHERE id = ?",
                                 LK_SQL_VALUES(lk_sql_of_text(id)), NULL);

    if (status == LK_OK)
        status = lk_sql_ask(link, "SELECT 1 FROM latchkey_user WHERE id = ? AND state = ?",
                            LK_SQL_VALUES(lk_sql_of_text(id), lk_sql_of_i64(LK_USER_ENABLED)), &q);
    if (status != LK_OK)
        return LK_FAULT;
    status = lk_sql_step(q);
    lk_sql_reset(q);
    return status == LK_OK || status == LK_MISS ? status : LK_FAULT;
}

static lk_status count_keys(lk_sql_link *link, const addition *add)
{
    lk_sql_query *q = NULL;
    lk_view user = lk_view_of(add->key->user);
    lk_status status = lk_sql_do(link, "DELETE FROM latchkey_api_key WHERE user_id = ? AND expires_s <= ?",
                                 LK_SQL_VALUES(lk_sql_of_text(user), lk_sql_of_i64(add->now_s)), NULL);
    int64_t n = 0;

    if (status == LK_OK)
        status = lk_sql_ask(link, "SELECT count(*) FROM latchkey_api_key WHERE user_id = ?",
                            LK_SQL_VALUES(lk_sql_of_text(user)), &q);
    if (status == LK_OK)
        status = lk_sql_step(q);
    if (status != LK_OK)
        return LK_FAULT;
    n = lk_sql_i64(q, 0);
    lk_sql_reset(q);
    if (n < (int64_t)add->max)
        return LK_OK;
    lk_note_set(add->note, "There are %u API keys, and no user may have more: end one that is not needed.",
                add->max);
    return LK_FULL;
}

static lk_status add_work(lk_sql_link *link, void *argument)
{
    const addition *add = argument;
    const lk_api_key *k = add->key;
    lk_status status = hold_user(link, lk_view_of(k->user));

    if (status == LK_OK)
        status = count_keys(link, add);
    if (status != LK_OK)
        return status;
    status =
        lk_sql_do(link, "INSERT INTO latchkey_api_key (" COLUMNS ") VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, 0)",
                  LK_SQL_VALUES(lk_sql_of_text(lk_view_of(k->public_id)), lk_sql_of_text(lk_view_of(k->user)),
                                lk_sql_of_text(lk_view_of(k->label)), lk_sql_of_text(lk_view_of(k->scope)),
                                lk_sql_of_text(lk_view_of(k->roles)), lk_sql_of_text(lk_view_of(k->audience)),
                                lk_sql_of_text(lk_view_of(k->addresses)), lk_sql_of_i64(k->created_ms),
                                lk_sql_of_i64(k->expires_s)),
                  NULL);
    return status == LK_OK || status == LK_REFUSED ? status : LK_FAULT;
}

lk_status lk_accounts_api_key_add(lk_accounts *a, const lk_api_key *key, uint32_t max, lk_note *note)
{
    addition add = {key, max < LK_API_KEYS_MAX ? max : LK_API_KEYS_MAX, lk_now_s(a->env), note};

    if (!lk__is_id(lk_view_of(key->user)))
        return LK_MISS;
    return lk__account_write(a, LK_SQL_DURABLE, add_work, &add, note);
}

/* ---- using ---- */

typedef struct use {
    lk_view public;
    int64_t now_s;
} use;

static lk_status note_use(lk_sql_link *link, void *argument)
{
    const use *u = argument;

    return lk_sql_do(link, "UPDATE latchkey_api_key SET used_s = ? WHERE public_id = ?",
                     LK_SQL_VALUES(lk_sql_of_i64(u->now_s), lk_sql_of_text(u->public)), NULL);
}

lk_status lk_accounts_api_key_use(lk_accounts *a, lk_view public, lk_api_key *out, lk_user *user)
{
    use u = {public, lk_now_s(a->env)};
    lk_status status = lk_accounts_api_key_get(a, public, out);

    memset(user, 0, sizeof(*user));
    if (status == LK_OK)
        status = out->expires_s > u.now_s ? lk_accounts_get(a, lk_view_of(out->user), user) : LK_MISS;
    if (status == LK_OK && user->state != LK_USER_ENABLED)
        status = LK_MISS;
    /* For the list of keys only: it is not worth refusing anybody. */
    if (status == LK_OK)
        (void)!lk__account_write(a, LK_SQL_RELAXED, note_use, &u, NULL);
    return status;
}

/* ---- taking back ---- */

typedef struct removal {
    lk_view user, public;
} removal;

static lk_status remove_work(lk_sql_link *link, void *argument)
{
    const removal *r = argument;
    uint64_t changed = 0;
    lk_status status;

    if (r->public.len > 0)
        status = lk_sql_do(link, "DELETE FROM latchkey_api_key WHERE user_id = ? AND public_id = ?",
                           LK_SQL_VALUES(lk_sql_of_text(r->user), lk_sql_of_text(r->public)), &changed);
    else
        status = lk_sql_do(link, "DELETE FROM latchkey_api_key WHERE user_id = ?",
                           LK_SQL_VALUES(lk_sql_of_text(r->user)), &changed);
    if (status != LK_OK)
        return LK_FAULT;
    return changed > 0 ? LK_OK : LK_MISS;
}

lk_status lk_accounts_api_key_remove(lk_accounts *a, lk_view user, lk_view public)
{
    removal r = {user, public};

    if (!lk__is_id(user) || (public.len > 0 && !is_public(public)))
        return LK_MISS;
    return lk__account_write(a, LK_SQL_DURABLE, remove_work, &r, NULL);
}
