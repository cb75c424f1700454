-- SPDX-License-Identifier: Apache-2.0
-- All tables of version 3. docs/formats/accounts.md says what each column is. COLLATE "C" compares bytes, as SQLite
-- does: what makes two names one is decided before they come here.
CREATE TABLE latchkey_user (
    id        TEXT COLLATE "C" NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    realm     TEXT COLLATE "C" NOT NULL,
    folded    TEXT COLLATE "C" NOT NULL CHECK (folded <> ''),
    name      TEXT COLLATE "C" NOT NULL CHECK (name <> ''),
    phc       TEXT COLLATE "C" NOT NULL CHECK (phc LIKE '$argon2%'),
    roles     TEXT COLLATE "C" NOT NULL,
    state     SMALLINT NOT NULL CHECK (state IN (0, 1)),
    created_s BIGINT   NOT NULL,
    changed_s BIGINT   NOT NULL,
    login_s   BIGINT   NOT NULL,
    UNIQUE (realm, folded)
);
CREATE TABLE latchkey_throttle (
    key      BYTEA   NOT NULL PRIMARY KEY CHECK (octet_length(key) = 32),
    failures INTEGER NOT NULL CHECK (failures >= 0),
    ends_s   BIGINT  NOT NULL
);
CREATE INDEX latchkey_throttle_by_end ON latchkey_throttle (ends_s);
CREATE TABLE latchkey_known_address (
    account BYTEA  NOT NULL CHECK (octet_length(account) = 32),
    address BYTEA  NOT NULL CHECK (octet_length(address) = 32),
    until_s BIGINT NOT NULL,
    PRIMARY KEY (account, address)
);
CREATE INDEX latchkey_known_address_by_end ON latchkey_known_address (until_s);
