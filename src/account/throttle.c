/* SPDX-License-Identifier: Apache-2.0
 *
 * throttle.c - how many wrong passwords are let through to the hash, by whom.
 *
 * Three counters, each with a window that begins at its first failure and is over by the clock, whatever
 * happens in it, so that nothing is ever locked for good:
 *   pair     one account from one address      throttle_account
 *   address  one address, any account          throttle_address, ten times that where the account is known
 *   account  one account from anywhere         ten times throttle_account, and not asked where it is known
 * An account is known to an address from which it has logged in. So a stranger who guesses at an account from
 * many addresses meets the account's bound, and its owner, at a usual address, does not: the owner is bound
 * by the pair alone. (SECURITY-RULES 122, OWASP ASVS 6.1.1.)
 *
 * An attempt is counted before its password is hashed and given back when it was none: guesses made at the
 * same moment cannot all pass on the same count. Addresses count by /64 in IPv6: that is what one customer
 * has. Keys are keyed hashes, so the table names nobody. docs/formats/accounts.md
 */
#include "account/internal.h"
#include <arpa/inet.h>
#include <string.h>

#define LENIENT 10
#define KNOWN_S (90LL * 86400) /* since the last login from there */
#define KNOWN_MAX 16           /* addresses remembered for one account */
#define SWEEP_ROWS 32

typedef struct counter {
    uint64_t bound;
    int64_t window_s;
} counter;

/* ---- names ---- */

/* The bytes that stand for ADDRESS: IPv4, the first half of IPv6, or what was said. */
static lk_view network_of(lk_view address, uint8_t memory[16])
{
    static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
    char text[LK_ADDRESS_MAX + 1];

    if (address.len == 0 || address.len > LK_ADDRESS_MAX)
        return address;
    memcpy(text, address.p, address.len);
    text[address.len] = 0;
    if (inet_pton(AF_INET, text, memory) == 1)
        return lk_view_make(memory, 4);
    if (inet_pton(AF_INET6, text, memory) != 1)
        return address;
    return memcmp(memory, mapped, sizeof(mapped)) == 0 ? lk_view_make(memory + 12, 4)
                                                       : lk_view_make(memory, 8);
}

/* Each part goes with its length, so that no two lists of parts are the same bytes. */
static lk_status key_of(const lk_accounts *a, int which, const lk_view *parts, size_t n,
                        uint8_t out[LK_MAC_LEN])
{
    uint8_t head = (uint8_t)which, lengths[3][4];
    lk_view all[1 + 2 * 3] = {lk_view_make(&head, 1)};
    size_t all_n = 1;

    for (size_t i = 0; i < n; i++) {
        for (int k = 0; k < 4; k++)
            lengths[i][k] = (uint8_t)(parts[i].len >> (8 * k));
        all[all_n++] = lk_view_make(lengths[i], 4);
        all[all_n++] = parts[i];
    }
    return lk_mac_run(a->mac, all, all_n, out);
}

lk_status lk__throttle_name(const lk_accounts *a, lk_view realm, lk_view folded, lk_view address,
                            lk__attempt *out)
{
    uint8_t memory[16];
    lk_view parts[3] = {realm, folded, network_of(address, memory)};
    lk_status status = key_of(a, LK_THROTTLE_PAIR, parts, 3, out->keys[LK_THROTTLE_PAIR]);

    if (status == LK_OK)
        status = key_of(a, LK_THROTTLE_ADDRESS, parts + 2, 1, out->keys[LK_THROTTLE_ADDRESS]);
    if (status == LK_OK)
        status = key_of(a, LK_THROTTLE_ACCOUNT, parts, 2, out->keys[LK_THROTTLE_ACCOUNT]);
    return status;
}

/* No login name has a NUL, so no user shares a counter with a client. */
lk_status lk__throttle_client(const lk_accounts *a, lk_view realm, lk_view name, lk_view address,
                              lk__attempt *out)
{
    char memory[96];
    lk_buf named = lk_buf_over(memory, sizeof(memory));

    lk_buf_add(&named, lk_view_make("client", 7));
    lk_buf_add(&named, lk_view_part(name, 0, sizeof(memory) - 7));
    return lk__throttle_name(a, realm, lk_buf_view(&named), address, out);
}

static lk_sql_value key_of_counter(const lk__attempt *attempt, int which)
{
    return lk_sql_of_bytes(lk_view_make(attempt->keys[which], LK_MAC_LEN));
}

/* ---- known addresses ---- */

static lk_status is_known(lk_sql_link *link, const lk__attempt *attempt, int64_t now_s, bool *known)
{
    lk_sql_query *q = NULL;
    lk_status status = lk_sql_ask(
        link, "SELECT 1 FROM latchkey_known_address WHERE account = ? AND address = ? AND until_s > ?",
        LK_SQL_VALUES(key_of_counter(attempt, LK_THROTTLE_ACCOUNT),
                      key_of_counter(attempt, LK_THROTTLE_ADDRESS), lk_sql_of_i64(now_s)),
        &q);

    *known = false;
    if (status != LK_OK)
        return status;
    status = lk_sql_step(q);
    *known = status == LK_OK;
    lk_sql_reset(q);
    return status == LK_MISS ? LK_OK : status;
}

/* Remember the address, and of each account the newest KNOWN_MAX: who logs in to an own account from address
 * after address must not fill the disk. (The inner SELECT is one more for MariaDB, which allows LIMIT only
 * there.) */
static lk_status known_add(const lk_accounts *a, lk_sql_link *link, const lk__attempt *attempt, int64_t now_s)
{
    static const char trim[] =
        "DELETE FROM latchkey_known_address WHERE account = ? AND address NOT IN (SELECT address FROM "
        "(SELECT address "
        "FROM latchkey_known_address WHERE account = ? ORDER BY until_s DESC LIMIT ?) AS newest)";
    lk_sql_value account = key_of_counter(attempt, LK_THROTTLE_ACCOUNT);
    lk_sql_value address = key_of_counter(attempt, LK_THROTTLE_ADDRESS);
    lk_status status =
        lk_sql_do(link, a->text->know, LK_SQL_VALUES(account, address, lk_sql_of_i64(now_s + KNOWN_S)), NULL);

    if (status == LK_OK)
        status = lk_sql_do(link, trim, LK_SQL_VALUES(account, account, lk_sql_of_i64(KNOWN_MAX)), NULL);
    return status;
}

/* ---- counters ---- */

static counter counter_of(const lk_settings *s, int which, bool known)
{
    if (which == LK_THROTTLE_PAIR)
        return (counter){s->throttle_account, s->throttle_account_s};
    if (which == LK_THROTTLE_ADDRESS)
        return (counter){(uint64_t)s->throttle_address * (known ? LENIENT : 1), s->throttle_address_s};
    return (counter){known ? UINT64_MAX : (uint64_t)s->throttle_account * LENIENT, s->throttle_account_s};
}

/* What is counted now. A window that ends later than a whole window from now was written by a clock that was
 * ahead: it is cut, so that setting a clock right locks nobody out for longer than a window. */
static lk_status counter_read(const lk_accounts *a, lk_sql_link *link, lk_sql_value key, int64_t now_s,
                              int64_t window_s, int64_t *failures, int64_t *ends_s)
{
    lk_sql_query *q = NULL;
    lk_status status = lk_sql_ask(link, a->text->counter, LK_SQL_VALUES(key), &q);

    *failures = 0;
    *ends_s = now_s + window_s;
    if (status != LK_OK)
        return status;
    status = lk_sql_step(q);
    if (status == LK_OK && lk_sql_i64(q, 1) > now_s) {
        *failures = lk_sql_i64(q, 0);
        *ends_s = lk_sql_i64(q, 1) < *ends_s ? lk_sql_i64(q, 1) : *ends_s;
    }
    lk_sql_reset(q);
    return status;
}

static lk_status counter_write(lk_sql_link *link, lk_sql_value key, int64_t failures, int64_t ends_s)
{
    return lk_sql_do(link, "UPDATE latchkey_throttle SET failures = ?, ends_s = ? WHERE \"key\" = ?",
                     LK_SQL_VALUES(lk_sql_of_i64(failures), lk_sql_of_i64(ends_s), key), NULL);
}

/* ---- what is over ---- */

typedef struct old_rows {
    uint8_t keys[SWEEP_ROWS][2][LK_MAC_LEN];
    size_t n;
} old_rows;

/* The keys that TEXT finds, of one column or two. */
static lk_status old_read(lk_sql_link *link, const char *text, int columns, int64_t now_s, old_rows *out)
{
    lk_sql_query *q = NULL;
    lk_status status =
        lk_sql_ask(link, text, LK_SQL_VALUES(lk_sql_of_i64(now_s), lk_sql_of_i64(SWEEP_ROWS)), &q);

    out->n = 0;
    if (status != LK_OK)
        return status;
    while (out->n < SWEEP_ROWS && (status = lk_sql_step(q)) == LK_OK) {
        for (int i = 0; i < columns && status == LK_OK; i++) {
            lk_view key = lk_sql_bytes(q, i);

            status = key.len == LK_MAC_LEN ? LK_OK : LK_FAULT;
            if (status == LK_OK)
                memcpy(out->keys[out->n][i], key.p, LK_MAC_LEN);
        }
        if (status != LK_OK)
            break;
        out->n++;
    }
    lk_sql_reset(q);
    return status == LK_MISS ? LK_OK : status;
}

static lk_status sweep(const lk_accounts *a, lk_sql_link *link, int64_t now_s)
{
    old_rows old;
    lk_status status = old_read(link, a->text->old_counters, 1, now_s, &old);

    for (size_t i = 0; i < old.n && status == LK_OK; i++)
        status = lk_sql_do(link, "DELETE FROM latchkey_throttle WHERE \"key\" = ?",
                           LK_SQL_VALUES(lk_sql_of_bytes(lk_view_make(old.keys[i][0], LK_MAC_LEN))), NULL);
    return status;
}

static lk_status sweep_known(const lk_accounts *a, lk_sql_link *link, int64_t now_s)
{
    old_rows old;
    lk_status status = old_read(link, a->text->old_addresses, 2, now_s, &old);

    for (size_t i = 0; i < old.n && status == LK_OK; i++)
        status = lk_sql_do(link, "DELETE FROM latchkey_known_address WHERE account = ? AND address = ?",
                           LK_SQL_VALUES(lk_sql_of_bytes(lk_view_make(old.keys[i][0], LK_MAC_LEN)),
                                         lk_sql_of_bytes(lk_view_make(old.keys[i][1], LK_MAC_LEN))),
                           NULL);
    return status;
}

/* ---- an attempt ---- */

lk_status lk__throttle_enter(const lk_accounts *a, lk_sql_link *link, lk__attempt *attempt,
                             int64_t *retry_after_s)
{
    int64_t now_s = lk_now_s(a->env), failures[LK_THROTTLE_COUNT];
    bool known = false;
    lk_status status = is_known(link, attempt, now_s, &known);

    *retry_after_s = 0;
    for (int i = 0; status == LK_OK && i < LK_THROTTLE_COUNT; i++) {
        counter c = counter_of(a->settings, i, known);

        status = counter_read(a, link, key_of_counter(attempt, i), now_s, c.window_s, &failures[i],
                              &attempt->ends_s[i]);
        if (status == LK_OK && (uint64_t)failures[i] >= c.bound &&
            attempt->ends_s[i] - now_s > *retry_after_s)
            *retry_after_s = attempt->ends_s[i] - now_s;
    }
    if (status == LK_OK && *retry_after_s > 0)
        return LK_FULL;
    for (int i = 0; status == LK_OK && i < LK_THROTTLE_COUNT; i++)
        status = counter_write(link, key_of_counter(attempt, i), failures[i] + 1, attempt->ends_s[i]);
    if (status == LK_OK)
        status = sweep(a, link, now_s);
    return status == LK_OK ? LK_OK
                           : LK_FAULT; /* a full disk too: what cannot be counted is not let through */
}

static lk_status look_at(const lk_accounts *a, lk_sql_link *link, const lk__attempt *attempt, int which,
                         int64_t *retry_after_s)
{
    lk_sql_query *q = NULL;
    int64_t now_s = lk_now_s(a->env);
    counter c = counter_of(a->settings, which, false);
    lk_status status = lk_sql_ask(link, "SELECT failures, ends_s FROM latchkey_throttle WHERE \"key\" = ?",
                                  LK_SQL_VALUES(key_of_counter(attempt, which)), &q);

    if (status != LK_OK)
        return LK_FAULT;
    status = lk_sql_step(q);
    if (status == LK_OK && (uint64_t)lk_sql_i64(q, 0) >= c.bound) {
        int64_t left_s = lk_sql_i64(q, 1) - now_s;

        left_s = left_s < c.window_s ? left_s : c.window_s;
        *retry_after_s = left_s > *retry_after_s ? left_s : *retry_after_s;
    }
    lk_sql_reset(q);
    return status == LK_OK || status == LK_MISS ? LK_OK : LK_FAULT;
}

lk_status lk__throttle_look(const lk_accounts *a, lk_sql_link *link, const lk__attempt *attempt,
                            int64_t *retry_after_s)
{
    lk_status status = look_at(a, link, attempt, LK_THROTTLE_PAIR, retry_after_s);

    if (status == LK_OK)
        status = look_at(a, link, attempt, LK_THROTTLE_ADDRESS, retry_after_s);
    return status == LK_OK && *retry_after_s > 0 ? LK_FULL : status;
}

lk_status lk__throttle_count(const lk_accounts *a, lk_sql_link *link, lk__attempt *attempt)
{
    int64_t now_s = lk_now_s(a->env), failures;
    lk_status status = LK_OK;

    for (int i = LK_THROTTLE_PAIR; status == LK_OK && i <= LK_THROTTLE_ADDRESS; i++) {
        counter c = counter_of(a->settings, i, false);

        status = counter_read(a, link, key_of_counter(attempt, i), now_s, c.window_s, &failures,
                              &attempt->ends_s[i]);
        if (status == LK_OK)
            status = counter_write(link, key_of_counter(attempt, i), failures + 1, attempt->ends_s[i]);
    }
    if (status == LK_OK)
        status = sweep(a, link, now_s);
    return status == LK_OK ? LK_OK : LK_FAULT;
}

/* The end of the window names it: what began since is another window, and nothing is taken from that. */
static lk_status take_one(lk_sql_link *link, const lk__attempt *attempt, int which)
{
    return lk_sql_do(link,
                     "UPDATE latchkey_throttle SET failures = failures - 1 WHERE \"key\" = ? AND ends_s = ? "
                     "AND failures > 0",
                     LK_SQL_VALUES(key_of_counter(attempt, which), lk_sql_of_i64(attempt->ends_s[which])),
                     NULL);
}

lk_status lk__throttle_give_back(lk_sql_link *link, const lk__attempt *attempt)
{
    lk_status status = LK_OK;

    for (int i = 0; status == LK_OK && i < LK_THROTTLE_COUNT; i++)
        status = take_one(link, attempt, i);
    return status;
}

/* Only the pair starts from nothing. Were it all of the address, an attacker would log in to an own account
 * after every ninety-nine guesses; were it all of the account, its owner's login would clear the way. */
lk_status lk__throttle_succeed(const lk_accounts *a, lk_sql_link *link, const lk__attempt *attempt)
{
    lk_status status = lk__throttle_give_back(link, attempt);

    if (status == LK_OK)
        status = lk_sql_do(link, "DELETE FROM latchkey_throttle WHERE \"key\" = ?",
                           LK_SQL_VALUES(key_of_counter(attempt, LK_THROTTLE_PAIR)), NULL);
    if (status == LK_OK)
        status = known_add(a, link, attempt, lk_now_s(a->env));
    return status == LK_OK ? sweep_known(a, link, lk_now_s(a->env)) : status;
}
