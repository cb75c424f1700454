-- SPDX-License-Identifier: Apache-2.0
-- API keys of users, and OAuth clients. docs/formats/accounts.md says what each column is. Each statement commits by
-- itself, so each may be run again after it was interrupted.
CREATE TABLE IF NOT EXISTS latchkey_api_key (
    public_id  VARCHAR(8)   NOT NULL PRIMARY KEY CHECK (length(public_id) = 8),
    user_id    VARCHAR(64)  NOT NULL,
    label      VARCHAR(64)  NOT NULL CHECK (label <> ''),
    scope      VARCHAR(256) NOT NULL,
    roles      VARCHAR(256) NOT NULL,
    audience   VARCHAR(128) NOT NULL,
    addresses  VARCHAR(128) NOT NULL,
    created_ms BIGINT       NOT NULL,
    expires_s  BIGINT       NOT NULL,
    used_s     BIGINT       NOT NULL,
    KEY latchkey_api_key_by_user (user_id, created_ms)
) ENGINE=InnoDB ROW_FORMAT=DYNAMIC CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin;
CREATE TABLE IF NOT EXISTS latchkey_client (
    realm     VARCHAR(32)  NOT NULL,
    name      VARCHAR(64)  NOT NULL CHECK (name <> ''),
    secret    BINARY(32)   NOT NULL,
    scope     VARCHAR(256) NOT NULL,
    roles     VARCHAR(256) NOT NULL,
    audience  VARCHAR(256) NOT NULL,
    grants    BIGINT       NOT NULL,
    created_s BIGINT       NOT NULL,
    changed_s BIGINT       NOT NULL,
    PRIMARY KEY (realm, name)
) ENGINE=InnoDB ROW_FORMAT=DYNAMIC CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin;
