-- SPDX-License-Identifier: Apache-2.0
-- Devices that stay logged in. docs/formats/accounts.md says what each column is.
CREATE TABLE latchkey_device (
    id           TEXT    NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    user_id      TEXT    NOT NULL,
    realm        TEXT    NOT NULL,
    label        TEXT    NOT NULL,
    device_class TEXT    NOT NULL,
    hash         BLOB    NOT NULL CHECK (length(hash) IN (0, 32)),
    public_key   TEXT    NOT NULL,
    issued_ms    INTEGER NOT NULL,
    auth_s       INTEGER NOT NULL,
    created_s    INTEGER NOT NULL,
    seen_s       INTEGER NOT NULL,
    ends_s       INTEGER NOT NULL,
    expires_s    INTEGER NOT NULL,
    proved_ms    INTEGER NOT NULL,
    session_id   TEXT    NOT NULL,
    session_from TEXT    NOT NULL,
    session_s    INTEGER NOT NULL,
    CHECK (length(hash) = 32 OR public_key <> '')
) STRICT;
CREATE INDEX latchkey_device_by_user ON latchkey_device (user_id, seen_s);
CREATE INDEX latchkey_device_by_end ON latchkey_device (ends_s);
