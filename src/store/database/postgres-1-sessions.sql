-- SPDX-License-Identifier: Apache-2.0
-- Sessions and the stream of a session store. docs/stores/postgres.md says what each column is. The order of
-- the columns is the one that leaves the fewest bytes between them.
CREATE TABLE IF NOT EXISTS latchkey_meta (
    name   TEXT   NOT NULL PRIMARY KEY,
    number BIGINT NOT NULL,
    bytes  BYTEA  NOT NULL
);
CREATE TABLE latchkey_session (
    due    INTEGER NOT NULL,
    seen   INTEGER,
    owner  BIGINT,
    head   BYTEA   NOT NULL,
    fields BYTEA,
    id     BYTEA   NOT NULL PRIMARY KEY CHECK (octet_length(id) = 12)
);
CREATE INDEX latchkey_session_by_owner ON latchkey_session (owner) WHERE owner IS NOT NULL;
CREATE INDEX latchkey_session_by_due ON latchkey_session (due);
CREATE TABLE latchkey_event (
    seq   BIGINT   NOT NULL PRIMARY KEY,
    mark  BIGINT   NOT NULL,
    due   INTEGER  NOT NULL,
    kind  SMALLINT NOT NULL,
    bytes BYTEA    NOT NULL
);
CREATE INDEX latchkey_event_by_due ON latchkey_event (due);
CREATE TABLE latchkey_stream (
    one SMALLINT NOT NULL PRIMARY KEY CHECK (one = 1),
    seq BIGINT   NOT NULL
) WITH (fillfactor = 10);
INSERT INTO latchkey_stream (one, seq) VALUES (1, 0);
CREATE TABLE latchkey_lease (
    name    TEXT   NOT NULL PRIMARY KEY,
    swept_s BIGINT NOT NULL,
    removed BIGINT NOT NULL
) WITH (fillfactor = 10);
INSERT INTO latchkey_lease (name, swept_s, removed) VALUES ('sweep', 0, 0);
CREATE TABLE latchkey_turn (n INTEGER NOT NULL PRIMARY KEY);
INSERT INTO latchkey_turn (n) SELECT generate_series(0, 255);
