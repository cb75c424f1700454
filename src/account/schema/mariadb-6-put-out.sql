-- SPDX-License-Identifier: Apache-2.0
-- When a limit of sessions put a device out; 0: none did. docs/formats/accounts.md. May be run again after it was
-- interrupted.
ALTER TABLE latchkey_device ADD COLUMN IF NOT EXISTS put_out_s BIGINT NOT NULL DEFAULT 0;
