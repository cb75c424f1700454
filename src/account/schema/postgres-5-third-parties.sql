-- SPDX-License-Identifier: Apache-2.0
-- API keys of users, and OAuth clients. docs/formats/accounts.md says what each column is.
CREATE TABLE latchkey_api_key (
    public_id  TEXT COLLATE "C" NOT NULL PRIMARY KEY CHECK (length(public_id) = 8),
    user_id    TEXT COLLATE "C" NOT NULL,
    label      TEXT COLLATE "C" NOT NULL CHECK (label <> ''),
    scope      TEXT COLLATE "C" NOT NULL,
    roles      TEXT COLLATE "C" NOT NULL,
    audience   TEXT COLLATE "C" NOT NULL,
    addresses  TEXT COLLATE "C" NOT NULL,
    created_ms BIGINT NOT NULL,
    expires_s  BIGINT NOT NULL,
    used_s     BIGINT NOT NULL
);
CREATE INDEX latchkey_api_key_by_user ON latchkey_api_key (user_id, created_ms);
CREATE TABLE latchkey_client (
    realm     TEXT COLLATE "C" NOT NULL,
    name      TEXT COLLATE "C" NOT NULL CHECK (name <> ''),
    secret    BYTEA  NOT NULL CHECK (octet_length(secret) = 32),
    scope     TEXT COLLATE "C" NOT NULL,
    roles     TEXT COLLATE "C" NOT NULL,
    audience  TEXT COLLATE "C" NOT NULL,
    grants    BIGINT NOT NULL,
    created_s BIGINT NOT NULL,
    changed_s BIGINT NOT NULL,
    PRIMARY KEY (realm, name)
);
