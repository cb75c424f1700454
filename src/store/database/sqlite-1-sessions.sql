-- SPDX-License-Identifier: Apache-2.0
-- Sessions and the stream of a session store. docs/stores/sqlite.md says what each column is.
CREATE TABLE latchkey_meta (
    name   TEXT    NOT NULL PRIMARY KEY,
    number INTEGER NOT NULL,
    bytes  BLOB    NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE latchkey_session (
    due    INTEGER NOT NULL,
    seen   INTEGER,
    owner  INTEGER,
    head   BLOB    NOT NULL,
    fields BLOB,
    id     BLOB    NOT NULL PRIMARY KEY CHECK (length(id) = 12)
) STRICT;
CREATE INDEX latchkey_session_by_owner ON latchkey_session (owner) WHERE owner IS NOT NULL;
CREATE INDEX latchkey_session_by_due ON latchkey_session (due);
CREATE TABLE latchkey_event (
    seq   INTEGER NOT NULL PRIMARY KEY,
    mark  INTEGER NOT NULL,
    due   INTEGER NOT NULL,
    kind  INTEGER NOT NULL,
    bytes BLOB    NOT NULL
) STRICT;
CREATE INDEX latchkey_event_by_due ON latchkey_event (due);
CREATE TABLE latchkey_stream (
    one INTEGER NOT NULL PRIMARY KEY CHECK (one = 1),
    seq INTEGER NOT NULL
) STRICT;
INSERT INTO latchkey_stream (one, seq) VALUES (1, 0);
CREATE TABLE latchkey_lease (
    name    TEXT    NOT NULL PRIMARY KEY,
    swept_s INTEGER NOT NULL,
    removed INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO latchkey_lease (name, swept_s, removed) VALUES ('sweep', 0, 0);
