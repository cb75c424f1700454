-- SPDX-License-Identifier: Apache-2.0
-- When a limit of sessions put a device out; 0: none did. docs/formats/accounts.md
ALTER TABLE latchkey_device ADD COLUMN put_out_s BIGINT NOT NULL DEFAULT 0;
