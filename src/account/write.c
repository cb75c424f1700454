/* SPDX-License-Identifier: Apache-2.0
 *
 * write.c - one change of the accounts database: a transaction, and once more when the database undid it.
 */
#include "account/internal.h"

#define TRIES_MAX 4 /* of a transaction that the database undoes for the sake of another */

/* *faulty: it was the database that failed, and not WORK that said so. */
static lk_status try_once(lk_sql_link *link, lk_sql_durability durability, lk__account_work work,
                          void *argument, bool *faulty)
{
    lk_status status = lk_sql_begin(link, durability);

    *faulty = true;
    if (status != LK_OK)
        return status;
    status = work(link, argument);
    if (status == LK_OK)
        return lk_sql_commit(link);
    *faulty = status == LK_FAULT;
    lk_sql_rollback(link);
    return status;
}

lk_status lk__account_write(lk_accounts *a, lk_sql_durability durability, lk__account_work work,
                            void *argument, lk_note *note)
{
    lk_sql_link *link = NULL;
    bool faulty = true;
    lk_status status = lk_sql_borrow(a->sql, &link, note);

    if (status != LK_OK)
        return LK_FAULT;
    for (unsigned i = 0; i < TRIES_MAX; i++) {
        status = try_once(link, durability, work, argument, &faulty);
        if (status == LK_OK || !faulty || !lk_sql_may_retry(link))
            break;
    }
    if (status != LK_OK && faulty)
        lk_sql_explain(link, note);
    lk_sql_give_back(link);
    /* A full disk is a fault: LK_FULL is WORK's to say. */
    return status != LK_OK && faulty ? LK_FAULT : status;
}
