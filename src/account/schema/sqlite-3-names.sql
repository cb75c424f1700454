-- SPDX-License-Identifier: Apache-2.0
-- Names that do not clash with those of an application in the same database, as on PostgreSQL and MariaDB.
ALTER TABLE users RENAME TO latchkey_user;
ALTER TABLE throttle RENAME TO latchkey_throttle;
ALTER TABLE known_addresses RENAME TO latchkey_known_address;
DROP INDEX throttle_by_end;
CREATE INDEX latchkey_throttle_by_end ON latchkey_throttle (ends_s);
DROP INDEX known_addresses_by_end;
CREATE INDEX latchkey_known_address_by_end ON latchkey_known_address (until_s);
