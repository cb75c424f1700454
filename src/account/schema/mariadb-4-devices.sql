-- SPDX-License-Identifier: Apache-2.0
-- Devices that stay logged in. docs/formats/accounts.md says what each column is. May be run again after it was
-- interrupted.
CREATE TABLE IF NOT EXISTS latchkey_device (
    id           VARCHAR(16)   NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    user_id      VARCHAR(16)   NOT NULL,
    realm        VARCHAR(32)   NOT NULL,
    label        VARCHAR(128)  NOT NULL,
    device_class VARCHAR(32)   NOT NULL,
    hash         VARBINARY(32) NOT NULL CHECK (length(hash) IN (0, 32)),
    public_key   VARCHAR(256)  NOT NULL,
    issued_ms    BIGINT NOT NULL,
    auth_s       BIGINT NOT NULL,
    created_s    BIGINT NOT NULL,
    seen_s       BIGINT NOT NULL,
    ends_s       BIGINT NOT NULL,
    expires_s    BIGINT NOT NULL,
    proved_ms    BIGINT NOT NULL,
    session_id   VARCHAR(16)   NOT NULL,
    session_from VARCHAR(16)   NOT NULL,
    session_s    BIGINT NOT NULL,
    KEY latchkey_device_by_user (user_id, seen_s),
    KEY latchkey_device_by_end (ends_s),
    CHECK (length(hash) = 32 OR public_key <> '')
) ENGINE=InnoDB ROW_FORMAT=DYNAMIC CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin;
