/* SPDX-License-Identifier: Apache-2.0
 *
 * text.c - the statements that the dialects do not share.
 *
 * SQLite has one writer at a time: there is nothing to lock. Elsewhere whoever clears away passes over rows
 * that somebody holds, so that two logins never wait for each other.
 */
#include "account/internal.h"

#define COUNTER "INSERT INTO latchkey_throttle (\"key\", failures, ends_s) VALUES (?, 0, 0)"
#define GIVES " RETURNING failures, ends_s"
#define KNOW "INSERT INTO latchkey_known_address (account, address, until_s) VALUES (?, ?, ?)"
#define OLD_COUNTERS "SELECT \"key\" FROM latchkey_throttle WHERE ends_s <= ? ORDER BY ends_s LIMIT ?"
#define OLD_ADDRESSES                                                                                        \
    "SELECT account, address FROM latchkey_known_address WHERE until_s <= ? ORDER BY until_s LIMIT ?"

#define OLD_DEVICES "SELECT id FROM latchkey_device WHERE ends_s <= ? ORDER BY ends_s LIMIT ?"
#define HOLD_USER "SELECT id FROM latchkey_user WHERE id = ?"

#define HOLD_FREE " FOR UPDATE SKIP LOCKED"

/* That a row is there is met by writing what it has: then it is locked, and given. */
#define COUNTER_THERE " ON CONFLICT (\"key\") DO UPDATE SET failures = latchkey_throttle.failures"
#define KNOWN_THERE " ON CONFLICT (account, address) DO UPDATE SET until_s = excluded.until_s"

static const lk__account_text sqlite = {
    .counter = COUNTER COUNTER_THERE GIVES,
    .know = KNOW KNOWN_THERE,
    .old_counters = OLD_COUNTERS,
    .old_addresses = OLD_ADDRESSES,
    .old_devices = OLD_DEVICES,
    .hold_user = HOLD_USER,
};

static const lk__account_text postgres = {
    .counter = COUNTER COUNTER_THERE GIVES,
    .know = KNOW KNOWN_THERE,
    .old_counters = OLD_COUNTERS HOLD_FREE,
    .old_addresses = OLD_ADDRESSES HOLD_FREE,
    .old_devices = OLD_DEVICES HOLD_FREE,
    .hold_user = HOLD_USER " FOR UPDATE",
};

static const lk__account_text mariadb = {
    .counter = COUNTER " ON DUPLICATE KEY UPDATE failures = latchkey_throttle.failures" GIVES,
    .know = KNOW " ON DUPLICATE KEY UPDATE until_s = VALUES(until_s)",
    .old_counters = OLD_COUNTERS HOLD_FREE,
    .old_addresses = OLD_ADDRESSES HOLD_FREE,
    .old_devices = OLD_DEVICES HOLD_FREE,
    .hold_user = HOLD_USER " FOR UPDATE",
};

const lk__account_text *lk__account_text_of(lk_sql_dialect dialect)
{
    switch (dialect) {
    case LK_SQL_SQLITE:
        return &sqlite;
    case LK_SQL_POSTGRES:
        return &postgres;
    case LK_SQL_MARIADB:
        return &mariadb;
    }
    return NULL;
}
