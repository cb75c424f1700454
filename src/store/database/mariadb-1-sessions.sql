-- SPDX-License-Identifier: Apache-2.0
-- Sessions and the stream of a session store. docs/stores/mariadb.md says what each column is. Each statement
-- commits by itself here, so each may be run again after it was interrupted.
CREATE TABLE IF NOT EXISTS latchkey_meta (
    name   VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL PRIMARY KEY,
    number BIGINT        NOT NULL,
    bytes  VARBINARY(64) NOT NULL
) ENGINE=InnoDB;
CREATE TABLE IF NOT EXISTS latchkey_session (
    due    INT    NOT NULL,
    seen   INT,
    owner  BIGINT,
    id     BINARY(12) NOT NULL PRIMARY KEY,
    head   VARBINARY(1280) NOT NULL,
    fields VARBINARY(16384),
    KEY latchkey_session_by_owner (owner, id),
    KEY latchkey_session_by_due (due)
) ENGINE=InnoDB ROW_FORMAT=DYNAMIC;
CREATE TABLE IF NOT EXISTS latchkey_event (
    seq   BIGINT   NOT NULL PRIMARY KEY,
    mark  BIGINT   NOT NULL,
    due   INT      NOT NULL,
    kind  SMALLINT NOT NULL,
    bytes VARBINARY(256) NOT NULL,
    KEY latchkey_event_by_due (due)
) ENGINE=InnoDB;
CREATE TABLE IF NOT EXISTS latchkey_stream (
    one SMALLINT NOT NULL PRIMARY KEY CHECK (one = 1),
    seq BIGINT   NOT NULL
) ENGINE=InnoDB;
INSERT INTO latchkey_stream (one, seq) VALUES (1, 0) ON DUPLICATE KEY UPDATE one = 1;
CREATE TABLE IF NOT EXISTS latchkey_lease (
    name    VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL PRIMARY KEY,
    swept_s BIGINT NOT NULL,
    removed BIGINT NOT NULL
) ENGINE=InnoDB;
INSERT INTO latchkey_lease (name, swept_s, removed) VALUES ('sweep', 0, 0) ON DUPLICATE KEY UPDATE name = name;
CREATE TABLE IF NOT EXISTS latchkey_turn (n INT NOT NULL PRIMARY KEY) ENGINE=InnoDB;
INSERT INTO latchkey_turn (n) SELECT seq FROM seq_0_to_255 ON DUPLICATE KEY UPDATE latchkey_turn.n = latchkey_turn.n;
