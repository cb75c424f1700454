-- SPDX-License-Identifier: Apache-2.0
-- Devices that stay logged in. docs/formats/accounts.md says what each column is.
CREATE TABLE latchkey_device (
    id           TEXT COLLATE "C" NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    user_id      TEXT COLLATE "C" NOT NULL,
    realm        TEXT COLLATE "C" NOT NULL,
    label        TEXT COLLATE "C" NOT NULL,
    device_class TEXT COLLATE "C" NOT NULL,
    hash         BYTEA  NOT NULL CHECK (octet_length(hash) IN (0, 32)),
    public_key   TEXT COLLATE "C" NOT NULL,
    issued_ms    BIGINT NOT NULL,
    auth_s       BIGINT NOT NULL,
    created_s    BIGINT NOT NULL,
    seen_s       BIGINT NOT NULL,
    ends_s       BIGINT NOT NULL,
    expires_s    BIGINT NOT NULL,
    proved_ms    BIGINT NOT NULL,
    session_id   TEXT COLLATE "C" NOT NULL,
    session_from TEXT COLLATE "C" NOT NULL,
    session_s    BIGINT NOT NULL,
    CHECK (octet_length(hash) = 32 OR public_key <> '')
);
CREATE INDEX latchkey_device_by_user ON latchkey_device (user_id, seen_s);
CREATE INDEX latchkey_device_by_end ON latchkey_device (ends_s);
