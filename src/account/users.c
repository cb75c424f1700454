/* SPDX-License-Identifier: Apache-2.0
 *
 * users.c - the users of a realm: made, found, listed, changed, removed.
 */
#include "account/third_party.h"
#include <latchkey/base64url.h>
#include <latchkey/secret.h>
#include <string.h>

#define ID_BYTES 12
#define PAGE 32

lk_status lk__column_text(lk_sql_query *q, int column, char *out, size_t cap)
{
    lk_buf b = lk_buf_over(out, cap);

    lk_buf_add(&b, lk_sql_text(q, column));
    return lk_buf_text(&b) != NULL ? LK_OK : LK_FAULT;
}

lk_status lk__user_read(lk_sql_query *q, lk_user *out)
{
    memset(out, 0, sizeof(*out));
    if (lk__column_text(q, 0, out->id, sizeof(out->id)) != LK_OK ||
        lk__column_text(q, 1, out->name, sizeof(out->name)) != LK_OK ||
        lk__column_text(q, 2, out->realm, sizeof(out->realm)) != LK_OK ||
        lk__column_text(q, 3, out->roles, sizeof(out->roles)) != LK_OK)
        return LK_FAULT;
    /* What is not plainly enabled is disabled. */
    out->state = lk_sql_i64(q, 4) == LK_USER_ENABLED ? LK_USER_ENABLED : LK_USER_DISABLED;
    out->created_s = lk_sql_i64(q, 5);
    out->changed_s = lk_sql_i64(q, 6);
    out->login_s = lk_sql_i64(q, 7);
    return LK_OK;
}

/* ---- looking up ---- */

/* The user that TEXT finds by its values. */
static lk_status find_one(lk_sql_link *link, const char *text, const lk_sql_value *values, size_t n,
                          lk_user *out)
{
    lk_sql_query *q = NULL;
    lk_status status = lk_sql_ask(link, text, values, n, &q);

    if (status != LK_OK)
        return status;
    status = lk_sql_step(q);
    if (status == LK_OK)
        status = lk__user_read(q, out);
    lk_sql_reset(q);
    return status;
}

/* What can be no realm or no id is in no row; not every dialect takes it even as a question. */
static lk_status find_by_name(lk_sql_link *link, lk_view realm, lk_view folded, lk_user *out)
{
    if (lk__realm_check(realm, NULL) != LK_OK)
        return LK_MISS;
    return find_one(link, "SELECT " LK_USER_COLUMNS " FROM latchkey_user WHERE realm = ? AND folded = ?",
                    LK_SQL_VALUES(lk_sql_of_text(realm), lk_sql_of_text(folded)), out);
}

static lk_status find_by_id(lk_sql_link *link, lk_view id, lk_user *out)
{
    if (!lk__is_id(id))
        return LK_MISS;
    return find_one(link, "SELECT " LK_USER_COLUMNS " FROM latchkey_user WHERE id = ?",
                    LK_SQL_VALUES(lk_sql_of_text(id)), out);
}

/* Looking up has three answers; what else the database says is a fault. OUT is emptied only now: the id that
 * was asked for may be a view of it. */
static lk_status looked_up(lk_status status, lk_user *out)
{
    if (status == LK_OK)
        return LK_OK;
    memset(out, 0, sizeof(*out));
    return status == LK_MISS ? LK_MISS : LK_FAULT;
}

lk_status lk_accounts_get(lk_accounts *a, lk_view id, lk_user *out)
{
    lk_sql_link *link = NULL;
    lk_status status = lk_sql_borrow(a->sql, &link, NULL);

    if (status == LK_OK)
        status = find_by_id(link, id, out);
    lk_sql_give_back(link);
    return looked_up(status, out);
}

static lk_status fold(lk_view name, lk_buf *folded)
{
    uint8_t memory[LK_USER_NAME_MAX];
    lk_buf normal = lk_buf_over(memory, sizeof(memory));
    lk_status status = lk_name_normalize(name, &normal, NULL);

    return status == LK_OK ? lk__name_fold(lk_buf_view(&normal), folded) : status;
}

lk_status lk_accounts_find(lk_accounts *a, lk_view realm, lk_view name_or_id, lk_user *out)
{
    uint8_t memory[LK_NAME_FOLDED_MAX];
    lk_buf folded = lk_buf_over(memory, sizeof(memory));
    lk_sql_link *link = NULL;
    lk_status status = fold(name_or_id, &folded);

    if (status != LK_OK) /* what can be no name can be no id */
        return looked_up(status == LK_REFUSED ? LK_MISS : LK_FAULT, out);
    status = lk_sql_borrow(a->sql, &link, NULL);
    if (status == LK_OK)
        status = find_by_name(link, realm, lk_buf_view(&folded), out);
    if (status == LK_MISS && lk__is_id(name_or_id) && lk__realm_check(realm, NULL) == LK_OK)
        status = find_one(link, "SELECT " LK_USER_COLUMNS " FROM latchkey_user WHERE realm = ? AND id = ?",
                          LK_SQL_VALUES(lk_sql_of_text(realm), lk_sql_of_text(name_or_id)), out);
    lk_sql_give_back(link);
    return looked_up(status, out);
}

/* ---- listing ---- */

typedef struct page {
    lk_user users[PAGE];
    size_t n;
    uint8_t after[LK_NAME_FOLDED_MAX]; /* the folded name of the last one */
    size_t after_len;
} page;

static lk_status page_read(lk_sql_link *link, lk_view realm, page *p)
{
    lk_sql_query *q = NULL;
    lk_status status =
        lk_sql_ask(link,
                   "SELECT " LK_USER_COLUMNS
                   ", folded FROM latchkey_user WHERE realm = ? AND folded > ? ORDER BY folded "
                   "LIMIT ?",
                   LK_SQL_VALUES(lk_sql_of_text(realm), lk_sql_of_text(lk_view_make(p->after, p->after_len)),
                                 lk_sql_of_i64(PAGE)),
                   &q);

    p->n = 0;
    if (status != LK_OK)
        return status;
    while (p->n < PAGE && (status = lk_sql_step(q)) == LK_OK) {
        lk_buf after = lk_buf_over(p->after, sizeof(p->after));

        lk_buf_add(&after, lk_sql_text(q, LK_USER_COLUMNS_N));
        p->after_len = after.len;
        status = lk_buf_status(&after) == LK_OK ? lk__user_read(q, &p->users[p->n++]) : LK_FAULT;
        if (status != LK_OK)
            break;
    }
    lk_sql_reset(q);
    return status == LK_MISS ? LK_OK : status;
}

/* A page at a time, and no connection is held while EACH runs: it may call us. */
lk_status lk_accounts_list(lk_accounts *a, lk_view realm, lk_user_each each, void *context)
{
    page *p = lk_alloc(a->env, sizeof(*p));
    bool more = lk__realm_check(realm, NULL) == LK_OK;
    lk_status status = p == NULL ? LK_FAULT : LK_OK;

    while (status == LK_OK && more) {
        lk_sql_link *link = NULL;

        status = lk_sql_borrow(a->sql, &link, NULL);
        if (status == LK_OK)
            status = page_read(link, realm, p);
        lk_sql_give_back(link);
        if (status != LK_OK)
            break;
        more = p->n == PAGE;
        for (size_t i = 0; i < p->n; i++)
            if (!each(context, &p->users[i])) {
                more = false;
                break;
            }
    }
    lk_free(a->env, p);
    return status == LK_OK ? LK_OK : LK_FAULT;
}

/* ---- making ---- */

/* 96 random bits. Never with a '-' in front, which a command line would take for an option. */
static lk_status id_make(const lk_env *env, char out[LK_USER_ID_MAX + 1])
{
    uint8_t bytes[ID_BYTES];
    lk_status status;

    do {
        lk_buf b = lk_buf_over(out, LK_USER_ID_MAX + 1);

        status = lk_random(env, bytes, sizeof(bytes));
        lk_base64url_encode(lk_view_make(bytes, sizeof(bytes)), &b);
        if (lk_buf_text(&b) == NULL)
            status = LK_FAULT;
    } while (status == LK_OK && out[0] == '-');
    return status;
}

typedef struct candidate {
    lk_user user;
    uint8_t folded_memory[LK_NAME_FOLDED_MAX];
    lk_view folded;
    char phc[LK_PHC_MAX];
} candidate;

static lk_status candidate_name(candidate *c, lk_view realm, lk_view name, lk_view roles, lk_note *note)
{
    lk_buf realm_out = lk_buf_over(c->user.realm, LK_REALM_MAX);
    lk_buf name_out = lk_buf_over(c->user.name, LK_USER_NAME_MAX);
    lk_buf roles_out = lk_buf_over(c->user.roles, LK_ROLES_MAX);
    lk_buf folded_out = lk_buf_over(c->folded_memory, sizeof(c->folded_memory));
    lk_status status = lk__realm_check(realm, note);

    lk_buf_add(&realm_out, realm);
    if (status == LK_OK)
        status = lk_name_normalize(name, &name_out, note);
    if (status == LK_OK)
        status = lk__roles_normalize(roles, &roles_out, note);
    if (status == LK_OK)
        status = lk__name_fold(lk_buf_view(&name_out), &folded_out);
    c->folded = lk_buf_view(&folded_out);
    return status;
}

static lk_status password_accept(const lk_accounts *a, lk_view realm, lk_view name, lk_view password,
                                 char phc[LK_PHC_MAX], lk_note *note)
{
    uint8_t memory[LK_PASSWORD_MAX];
    lk_buf normal = lk_buf_over(memory, sizeof(memory));
    lk_status status = lk_password_normalize(password, &normal, note);

    if (status == LK_OK)
        status = lk__policy_check(a, realm, name, lk_buf_view(&normal), note);
    if (status == LK_OK) {
        status = lk_password_hash(a->env, lk_buf_view(&normal), a->cost, phc);
        if (status != LK_OK)
            lk_note_set(note, "The password could not be hashed: there is not enough memory.");
    }
    lk_wipe(memory, sizeof(memory));
    return status;
}

static lk_status taken(lk_note *note)
{
    lk_note_set(note, "That name is taken.");
    return LK_FULL;
}

/* Is the name taken? A name that is somebody's id counts as taken too, as it would be found in its place. */
static lk_status name_free(lk_sql_link *link, const candidate *c, lk_note *note)
{
    lk_user other;
    lk_status status = find_by_name(link, lk_view_of(c->user.realm), c->folded, &other);

    if (status == LK_MISS)
        status = find_by_id(link, lk_view_of(c->user.name), &other);
    if (status == LK_OK)
        return taken(note);
    return status == LK_MISS ? LK_OK : status;
}

static lk_status insert(lk_sql_link *link, const candidate *c)
{
    return lk_sql_do(
        link,
        "INSERT INTO latchkey_user (id, realm, folded, name, phc, roles, state, created_s, changed_s, "
        "login_s) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, 0)",
        LK_SQL_VALUES(lk_sql_of_text(lk_view_of(c->user.id)), lk_sql_of_text(lk_view_of(c->user.realm)),
                      lk_sql_of_text(c->folded), lk_sql_of_text(lk_view_of(c->user.name)),
                      lk_sql_of_text(lk_view_of(c->phc)), lk_sql_of_text(lk_view_of(c->user.roles)),
                      lk_sql_of_i64(c->user.state), lk_sql_of_i64(c->user.created_s),
                      lk_sql_of_i64(c->user.changed_s)),
        NULL);
}

typedef struct addition {
    const candidate *candidate;
    lk_note *note;
} addition;

/* Look again and insert. Where two may do so at once, the constraint decides who is first. */
static lk_status add_work(lk_sql_link *link, void *argument)
{
    const addition *add = argument;
    lk_status status = name_free(link, add->candidate, add->note);

    if (status != LK_OK)
        return status;
    status = insert(link, add->candidate);
    if (status == LK_REFUSED)
        return taken(add->note);
    return status == LK_OK ? LK_OK : LK_FAULT;
}

lk_status lk_accounts_add(lk_accounts *a, lk_view realm, lk_view name, lk_view password, lk_view roles,
                          lk_user *out, lk_note *note)
{
    candidate c = {.user = {.state = LK_USER_ENABLED}};
    lk_sql_link *link = NULL;
    lk_status status = candidate_name(&c, realm, name, roles, note);

    if (status != LK_OK)
        goto out;
    /* A taken name is told before a hash is spent on it. */
    status = lk_sql_borrow(a->sql, &link, note);
    if (status == LK_OK)
        status = name_free(link, &c, note);
    if (status == LK_FAULT && link != NULL)
        lk_sql_explain(link, note);
    lk_sql_give_back(link);
    if (status == LK_OK)
        status = password_accept(a, realm, lk_view_of(c.user.name), password, c.phc, note);
    if (status == LK_OK)
        status = id_make(a->env, c.user.id);
    c.user.created_s = c.user.changed_s = lk_now_s(a->env);
    if (status == LK_OK)
        status = lk__account_write(a, LK_SQL_DURABLE, add_work, &(addition){&c, note}, note);
out:
    if (status == LK_OK)
        *out = c.user;
    else
        memset(out, 0, sizeof(*out));
    lk_wipe(&c, sizeof(c));
    return status;
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

/* Run TEXT, about the user ID, in a durable transaction of its own. LK_MISS when it touched nobody. */
static lk_status change(lk_accounts *a, lk_view id, const char *text, const lk_sql_value *values, size_t n,
                        lk_note *note)
{
    if (!lk__is_id(id))
        return LK_MISS;
    return lk__account_write(a, LK_SQL_DURABLE, change_work, &(changing){text, values, n}, note);
}

lk_status lk_accounts_set_password(lk_accounts *a, lk_view id, lk_view password, lk_note *note)
{
    char phc[LK_PHC_MAX] = "";
    lk_user user;
    lk_status status = lk_accounts_get(a, id, &user);

    if (status == LK_OK)
        status = password_accept(a, lk_view_of(user.realm), lk_view_of(user.name), password, phc, note);
    if (status == LK_OK)
        status = change(a, id, "UPDATE latchkey_user SET phc = ?, changed_s = ? WHERE id = ?",
                        LK_SQL_VALUES(lk_sql_of_text(lk_view_of(phc)), lk_sql_of_i64(lk_now_s(a->env)),
                                      lk_sql_of_text(id)),
                        note);
    lk_wipe(phc, sizeof(phc));
    return status;
}

/* Whoever is put out takes his API keys along: they would outlive every cut-off. */
lk_status lk_accounts_set_state(lk_accounts *a, lk_view id, lk_user_state state)
{
    if (state == LK_USER_DISABLED) {
        lk_status status = lk_accounts_api_key_remove(a, id, (lk_view){0});

        if (status != LK_OK && status != LK_MISS)
            return status;
    }
    return change(a, id, "UPDATE latchkey_user SET state = ?, changed_s = ? WHERE id = ?",
                  LK_SQL_VALUES(lk_sql_of_i64(state), lk_sql_of_i64(lk_now_s(a->env)), lk_sql_of_text(id)),
                  NULL);
}

lk_status lk_accounts_set_roles(lk_accounts *a, lk_view id, lk_view roles, lk_note *note)
{
    uint8_t memory[LK_ROLES_MAX];
    lk_buf normal = lk_buf_over(memory, sizeof(memory));
    lk_status status = lk__roles_normalize(roles, &normal, note);

    if (status != LK_OK)
        return status;
    return change(a, id, "UPDATE latchkey_user SET roles = ?, changed_s = ? WHERE id = ?",
                  LK_SQL_VALUES(lk_sql_of_text(lk_buf_view(&normal)), lk_sql_of_i64(lk_now_s(a->env)),
                                lk_sql_of_text(id)),
                  note);
}

static lk_status remove_work(lk_sql_link *link, void *argument)
{
    const lk_view *id = argument;
    lk_sql_value user = lk_sql_of_text(*id);
    uint64_t changed = 0;

    if (lk_sql_do(link, "DELETE FROM latchkey_user WHERE id = ?", LK_SQL_VALUES(user), &changed) != LK_OK ||
        lk_sql_do(link, "DELETE FROM latchkey_api_key WHERE user_id = ?", LK_SQL_VALUES(user), NULL) !=
            LK_OK ||
        lk_sql_do(link, "DELETE FROM latchkey_device WHERE user_id = ?", LK_SQL_VALUES(user), NULL) != LK_OK)
        return LK_FAULT;
    return changed > 0 ? LK_OK : LK_MISS;
}

lk_status lk_accounts_remove(lk_accounts *a, lk_view id)
{
    if (!lk__is_id(id))
        return LK_MISS;
    return lk__account_write(a, LK_SQL_DURABLE, remove_work, &id, NULL);
}
