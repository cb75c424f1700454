-- SPDX-License-Identifier: Apache-2.0
-- Users. docs/formats/accounts.md says what each column is.
CREATE TABLE users (
    id        TEXT    NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    realm     TEXT    NOT NULL,
    folded    TEXT    NOT NULL CHECK (folded <> ''),
    name      TEXT    NOT NULL CHECK (name <> ''),
    phc       TEXT    NOT NULL CHECK (phc LIKE '$argon2%'),
    roles     TEXT    NOT NULL,
    state     INTEGER NOT NULL CHECK (state IN (0, 1)),
    created_s INTEGER NOT NULL,
    changed_s INTEGER NOT NULL,
    login_s   INTEGER NOT NULL,
    UNIQUE (realm, folded)
) STRICT;
