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
    lk_status status;

    if (!lk__is_text(folded) || lk__realm_check(realm, NULL) != LK_OK)
        return LK_MISS;
    status =
        lk_sql_ask(link, "SELECT " LK_USER_COLUMNS ", phc FROM latchkey_user WHERE realm = ? AND folded = ?",
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

typedef struct entry {
    const lk_accounts *accounts;
    lk_view realm, folded;
    lk__attempt *attempt;
    found *who;
    int64_t *retry_after_s;
} entry;

static lk_status enter_work(lk_sql_link *link, void *argument)
{
    const entry *e = argument;
    lk_status status = lk__throttle_enter(e->accounts, link, e->attempt, e->retry_after_s);

    if (status != LK_OK)
        return status;
    status = user_read(link, e->realm, e->folded, e->who);
    if (status != LK_MISS)
        return status == LK_OK ? LK_OK : LK_FAULT;
    memset(e->who, 0, sizeof(*e->who));
    memcpy(e->who->phc, e->accounts->nobody, sizeof(e->who->phc));
    return LK_OK;
}

/* A password that was right under a lower cost is hashed anew. When there is no memory for it, the old hash
 * stays: the login is genuine all the same. */
static void rehash(lk_accounts *a, lk_view password, const char *old, char fresh[LK_PHC_MAX])
{
    if (lk_password_hash(a->env, password, a->cost, fresh) != LK_OK)
        memcpy(fresh, old, LK_PHC_MAX);
}

typedef struct admission {
    const lk_accounts *accounts;
    const lk__attempt *attempt;
    const found *who;
    const char *fresh;
} admission;

/* Write the success down: the user must still be there, enabled and with the hash that was checked, or a
 * password that was changed meanwhile would let its old one in once more. */
static lk_status admit_work(lk_sql_link *link, void *argument)
{
    static const char text[] =
        "UPDATE latchkey_user SET login_s = ?, phc = ? WHERE id = ? AND phc = ? AND state = ?";
    const admission *a = argument;
    uint64_t changed = 0;
    lk_status status =
        lk_sql_do(link, text,
                  LK_SQL_VALUES(lk_sql_of_i64(a->who->user.login_s), lk_sql_of_text(lk_view_of(a->fresh)),
                                lk_sql_of_text(lk_view_of(a->who->user.id)),
                                lk_sql_of_text(lk_view_of(a->who->phc)), lk_sql_of_i64(LK_USER_ENABLED)),
                  &changed);

    if (status == LK_OK && changed == 0)
        return LK_REFUSED;
    if (status == LK_OK)
        status = lk__throttle_succeed(a->accounts, link, a->attempt);
    return status == LK_OK ? LK_OK : LK_FAULT;
}

static lk_status admit(lk_accounts *a, const lk__attempt *attempt, found *who, const char *fresh)
{
    admission written = {a, attempt, who, fresh};

    who->user.login_s = lk_now_s(a->env);
    return lk__account_write(a, LK_SQL_RELAXED, admit_work, &written, NULL);
}

static lk_status forget_work(lk_sql_link *link, void *argument)
{
    return lk__throttle_give_back(link, argument) == LK_OK ? LK_OK : LK_FAULT;
}

/* The hash could not be computed: that was no guess. If this cannot be written either, it stays counted. */
static void forget(lk_accounts *a, lk__attempt *attempt)
{
    lk_status ignored = lk__account_write(a, LK_SQL_RELAXED, forget_work, attempt, NULL);

    (void)ignored;
}

static lk_status check(lk_accounts *a, lk__attempt *attempt, found *who, lk_view password)
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
    entry into = {a, realm, lk_buf_view(&folded), &attempt, &who, retry_after_s};

    if (status == LK_OK)
        status = lk__throttle_name(a, realm, lk_buf_view(&folded), address, &attempt);
    if (status != LK_OK)
        return LK_FAULT;
    pthread_mutex_lock(stripe_of(a, &attempt));
    status = lk__account_write(a, LK_SQL_RELAXED, enter_work, &into, NULL);
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
