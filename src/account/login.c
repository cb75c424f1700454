/* SPDX-License-Identifier: Apache-2.0
 *
 * login.c - is this the password of this user? Throttled, and at the same cost whatever the answer is.
 *
 * The order is: count, look up, hash, and only on success write again. A user who is not there is checked
 * against a hash nobody has the password of; one who is disabled against the own one. So each attempt that is
 * let through costs one argon2id, and each that is refused leaves the same traces (SECURITY-RULES 121).
 */
#include "account/internal.h"
#include <latchkey/secret.h>
#include <string.h>

typedef struct found {
    lk_user user;
    char phc[LK_PHC_MAX];
} found;

/* The name as users are stored under, or what was sent when that can be no name: it is counted and hashed
 * for all the same. */
static lk_status fold_or_keep(lk_view name, lk_buf *folded)
{
    uint8_t memory[LK_USER_NAME_MAX];
    lk_buf normal = lk_buf_over(memory, sizeof(memory));
    lk_status status = lk_name_normalize(name, &normal, NULL);

    if (status == LK_OK)
        status = lk__name_fold(lk_buf_view(&normal), folded);
    if (status != LK_REFUSED)
        return status;
    *folded = lk_buf_over(folded->p, folded->cap);
    lk_buf_add(folded, lk_view_part(name, 0, folded->cap));
    return LK_OK;
}

static pthread_mutex_t *stripe_of(lk_accounts *a, const lk__attempt *attempt)
{
    return &a->stripes[attempt->keys[LK_THROTTLE_PAIR][0] % LK_STRIPES];
}

static lk_status user_read(lk_sql_link *link, lk_view realm, lk_view folded, found *out)
{
    lk_sql_query *q = NULL;
    lk_buf phc = lk_buf_over(out->phc, sizeof(out->phc));
    lk_status status =
        lk_sql_ask(link, "SELECT " LK_USER_COLUMNS ", phc FROM users WHERE realm = ? AND folded = ?",
                   LK_SQL_VALUES(lk_sql_of_text(realm), lk_sql_of_text(folded)), &q);

    if (status != LK_OK)
        return status;
    status = lk_sql_step(q);
    if (status == LK_OK)
        status = lk__user_read(q, &out->user);
    if (status == LK_OK) {
        lk_buf_add(&phc, lk_sql_text(q, LK_USER_COLUMNS_N));
        status = lk_buf_text(&phc) != NULL ? LK_OK : LK_FAULT;
    }
    lk_sql_reset(q);
    return status;
}

/* Count the attempt and read the user. LK_OK (there, or not there: then phc is nobody's), LK_FULL, LK_FAULT.
 */
static lk_status enter(lk_accounts *a, lk_view realm, lk_view folded, lk__attempt *attempt, found *who,
                       int64_t *retry_after_s)
{
    lk_sql_link *link = NULL;
    lk_status status = lk_sql_borrow(a->sql, &link, NULL);

    if (status != LK_OK || lk_sql_begin(link, LK_SQL_RELAXED) != LK_OK) {
        lk_sql_give_back(link);
        return LK_FAULT;
    }
    status = lk__throttle_enter(a, link, attempt, retry_after_s);
    if (status != LK_OK)
        goto out;
    status = user_read(link, realm, folded, who);
    if (status == LK_MISS) {
        memset(who, 0, sizeof(*who));
        memcpy(who->phc, a->nobody, sizeof(who->phc));
        status = LK_OK;
    }
    if (status != LK_OK || lk_sql_commit(link) != LK_OK)
        status = LK_FAULT;
out:
    lk_sql_give_back(link);
    return status;
}

/* A password that was right under a lower cost is hashed anew. When there is no memory for it, the old hash
 * stays: the login is genuine all the same. */
static void rehash(lk_accounts *a, lk_view password, const char *old, char fresh[LK_PHC_MAX])
{
    if (lk_password_hash(a->env, password, a->cost, fresh) != LK_OK)
        memcpy(fresh, old, LK_PHC_MAX);
}

/* Write the success down: the user must still be there, enabled and with the hash that was checked, or a
 * password that was changed meanwhile would let its old one in once more. */
static lk_status admit(lk_accounts *a, const lk__attempt *attempt, found *who, const char *fresh)
{
    lk_sql_link *link = NULL;
    uint64_t changed = 0;
    lk_status status = lk_sql_borrow(a->sql, &link, NULL);

    who->user.login_s = lk_now_s(a->env);
    if (status == LK_OK)
        status = lk_sql_begin(link, LK_SQL_RELAXED);
    if (status == LK_OK)
        status =
            lk_sql_do(link, "UPDATE users SET login_s = ?, phc = ? WHERE id = ? AND phc = ? AND state = ?",
                      LK_SQL_VALUES(lk_sql_of_i64(who->user.login_s), lk_sql_of_text(lk_view_of(fresh)),
                                    lk_sql_of_text(lk_view_of(who->user.id)),
                                    lk_sql_of_text(lk_view_of(who->phc)), lk_sql_of_i64(LK_USER_ENABLED)),
                      &changed);
    if (status == LK_OK && changed > 0)
        status = lk__throttle_succeed(a, link, attempt);
    if (status == LK_OK && changed > 0)
        status = lk_sql_commit(link);
    lk_sql_give_back(link);
    if (status != LK_OK)
        return LK_FAULT;
    return changed > 0 ? LK_OK : LK_REFUSED;
}

/* The hash could not be computed: that was no guess. If this cannot be written either, it stays counted. */
static void forget(lk_accounts *a, const lk__attempt *attempt)
{
    lk_sql_link *link = NULL;

    if (lk_sql_borrow(a->sql, &link, NULL) != LK_OK)
        return;
    if (lk_sql_begin(link, LK_SQL_RELAXED) == LK_OK && lk__throttle_give_back(link, attempt) == LK_OK &&
        lk_sql_commit(link) != LK_OK)
        lk_sql_rollback(link);
    lk_sql_give_back(link);
}

static lk_status check(lk_accounts *a, const lk__attempt *attempt, found *who, lk_view password)
{
    char fresh[LK_PHC_MAX];
    lk_status status = lk_password_verify(password, lk_view_of(who->phc), a->cost);
    bool enabled = who->user.id[0] != 0 && who->user.state == LK_USER_ENABLED;

    memcpy(fresh, who->phc, sizeof(fresh));
    switch (status) {
    case LK_STALE:
        if (!enabled)
            return LK_REFUSED;
        rehash(a, password, who->phc, fresh);
        return admit(a, attempt, who, fresh);
    case LK_OK:
        return enabled ? admit(a, attempt, who, fresh) : LK_REFUSED;
    case LK_REFUSED:
        return LK_REFUSED;
    case LK_FULL:
    case LK_MISS:
    case LK_FAULT:
        break;
    }
    forget(a, attempt);
    return LK_FAULT;
}

static lk_status attempt_login(lk_accounts *a, lk_view realm, lk_view name, lk_view password, lk_view address,
                               lk_user *out, int64_t *retry_after_s)
{
    uint8_t memory[LK_NAME_FOLDED_MAX];
    lk_buf folded = lk_buf_over(memory, sizeof(memory));
    lk__attempt attempt = {0};
    found who = {0};
    lk_status status = fold_or_keep(name, &folded);

    if (status == LK_OK)
        status = lk__throttle_name(a, realm, lk_buf_view(&folded), address, &attempt);
    if (status != LK_OK)
        return LK_FAULT;
    pthread_mutex_lock(stripe_of(a, &attempt));
    status = enter(a, realm, lk_buf_view(&folded), &attempt, &who, retry_after_s);
    if (status == LK_OK)
        status = check(a, &attempt, &who, password);
    pthread_mutex_unlock(stripe_of(a, &attempt));
    if (status == LK_OK)
        *out = who.user;
    lk_wipe(&who, sizeof(who));
    return status;
}

/* What can be no password (too long, not UTF-8) is refused before anything else, whoever it is sent for: that
 * tells nobody who is there, and no guess was made. */
lk_status lk_accounts_login(lk_accounts *a, lk_view realm, lk_view name, lk_view password, lk_view address,
                            lk_user *out, int64_t *retry_after_s)
{
    uint8_t memory[LK_PASSWORD_MAX];
    lk_buf normal = lk_buf_over(memory, sizeof(memory));
    lk_status status = lk_password_normalize(password, &normal, NULL);

    *retry_after_s = 0;
    if (status == LK_OK)
        status = attempt_login(a, realm, name, lk_buf_view(&normal), address, out, retry_after_s);
    if (status != LK_OK)
        memset(out, 0, sizeof(*out));
    lk_wipe(memory, sizeof(memory));
    return status;
}
