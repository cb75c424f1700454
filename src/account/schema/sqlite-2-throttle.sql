-- SPDX-License-Identifier: Apache-2.0
-- Failed logins in a window of time, and the addresses a user has logged in from. Keys are keyed hashes.
CREATE TABLE throttle (
    key      BLOB    NOT NULL PRIMARY KEY CHECK (length(key) = 32),
    failures INTEGER NOT NULL CHECK (failures >= 0),
    ends_s   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX throttle_by_end ON throttle (ends_s);
CREATE TABLE known_addresses (
    account BLOB    NOT NULL CHECK (length(account) = 32),
    address BLOB    NOT NULL CHECK (length(address) = 32),
    until_s INTEGER NOT NULL,
    PRIMARY KEY (account, address)
) STRICT, WITHOUT ROWID;
CREATE INDEX known_addresses_by_end ON known_addresses (until_s);
