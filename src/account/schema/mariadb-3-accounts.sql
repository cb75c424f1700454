-- SPDX-License-Identifier: Apache-2.0
-- All tables of version 3. docs/formats/accounts.md says what each column is. utf8mb4_nopad_bin compares bytes, blanks
-- at the end too, as SQLite does: what makes two names one is decided before they come here. Each statement commits by
-- itself, so each may be run again after it was interrupted.
CREATE TABLE IF NOT EXISTS latchkey_user (
    id        VARCHAR(16)  NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    realm     VARCHAR(32)  NOT NULL,
    folded    VARCHAR(512) NOT NULL CHECK (folded <> ''),
    name      VARCHAR(128) NOT NULL CHECK (name <> ''),
    phc       VARCHAR(512) NOT NULL CHECK (phc LIKE '$argon2%'),
    roles     VARCHAR(512) NOT NULL,
    state     SMALLINT NOT NULL CHECK (state IN (0, 1)),
    created_s BIGINT   NOT NULL,
    changed_s BIGINT   NOT NULL,
    login_s   BIGINT   NOT NULL,
    UNIQUE KEY latchkey_user_by_name (realm, folded)
) ENGINE=InnoDB ROW_FORMAT=DYNAMIC CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin;
CREATE TABLE IF NOT EXISTS latchkey_throttle (
    "key"    BINARY(32) NOT NULL PRIMARY KEY,
    failures INTEGER    NOT NULL CHECK (failures >= 0),
    ends_s   BIGINT     NOT NULL,
    KEY latchkey_throttle_by_end (ends_s)
) ENGINE=InnoDB;
CREATE TABLE IF NOT EXISTS latchkey_known_address (
    account BINARY(32) NOT NULL,
    address BINARY(32) NOT NULL,
    until_s BIGINT     NOT NULL,
    PRIMARY KEY (account, address),
    KEY latchkey_known_address_by_end (until_s)
) ENGINE=InnoDB;
