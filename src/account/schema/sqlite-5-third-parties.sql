-- SPDX-License-Identifier: Apache-2.0
-- API keys of users, and OAuth clients. docs/formats/accounts.md says what each column is.
CREATE TABLE latchkey_api_key (
    public_id  TEXT    NOT NULL PRIMARY KEY CHECK (length(public_id) = 8),
    user_id    TEXT    NOT NULL,
    label      TEXT    NOT NULL CHECK (label <> ''),
    scope      TEXT    NOT NULL,
    roles      TEXT    NOT NULL,
    audience   TEXT    NOT NULL,
    addresses  TEXT    NOT NULL,
    created_ms INTEGER NOT NULL,
    expires_s  INTEGER NOT NULL,
    used_s     INTEGER NOT NULL
) STRICT;
CREATE INDEX latchkey_api_key_by_user ON latchkey_api_key (user_id, created_ms);
CREATE TABLE latchkey_client (
    realm     TEXT    NOT NULL,
    name      TEXT    NOT NULL CHECK (name <> ''),
    secret    BLOB    NOT NULL CHECK (length(secret) = 32),
    scope     TEXT    NOT NULL,
    roles     TEXT    NOT NULL,
    audience  TEXT    NOT NULL,
    grants    INTEGER NOT NULL,
    created_s INTEGER NOT NULL,
    changed_s INTEGER NOT NULL,
    PRIMARY KEY (realm, name)
) STRICT;
