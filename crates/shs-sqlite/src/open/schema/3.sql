-- Version 3: rows have checksums, and the digest of what was appended stands only where it does not follow from the row.
--
-- SQLite's pages have no checksums: "checksum" says whether the values of a row are those that were written. That of a
-- session, message or name is computed by the library (checksum.rs), and 0 until then; that of totals and counters here.
-- Numbers that a statement adds to are in it as a weighted sum, so that the same statement adds to it.

ALTER TABLE users ADD COLUMN checksum INTEGER NOT NULL DEFAULT 0;
ALTER TABLE projects ADD COLUMN checksum INTEGER NOT NULL DEFAULT 0;
ALTER TABLE models ADD COLUMN checksum INTEGER NOT NULL DEFAULT 0;
ALTER TABLE sessions ADD COLUMN checksum INTEGER NOT NULL DEFAULT 0;

ALTER TABLE totals ADD COLUMN checksum INTEGER NOT NULL DEFAULT 0;
UPDATE totals SET checksum = 3 * role + 5 * model + 7 * messages + 11 * tokens;

ALTER TABLE counters ADD COLUMN checksum INTEGER NOT NULL DEFAULT 0;
UPDATE counters SET checksum = 3 * arrival + 5 * sessions + 7 * active + 11 * indexed;

CREATE TABLE messages_3 (
    key        INTEGER PRIMARY KEY,       -- the order of arrival; never given twice
    session    INTEGER NOT NULL,          -- sessions.key
    seq        INTEGER NOT NULL,
    id         ANY NOT NULL,
    role       INTEGER NOT NULL,
    status     INTEGER NOT NULL,
    timestamp  INTEGER NOT NULL,
    checksum   INTEGER NOT NULL,
    tokens     INTEGER,
    model      INTEGER,                   -- models.key
    latency_ms REAL,
    digest     BLOB,                      -- of what was appended under this id, if the message was changed since
    parts      TEXT,                      -- JSON array
    metadata   TEXT,                      -- JSON object
    extra      TEXT,                      -- JSON object
    content    TEXT NOT NULL
) STRICT;
INSERT INTO messages_3
    SELECT key, session, seq, id, role, status, timestamp, 0, tokens, model, latency_ms, digest, parts, metadata, extra,
        content
    FROM messages;
DROP TABLE messages;
ALTER TABLE messages_3 RENAME TO messages;
CREATE UNIQUE INDEX messages_seq ON messages (session, seq);
CREATE UNIQUE INDEX messages_id  ON messages (session, id);
CREATE INDEX messages_time       ON messages (timestamp, role, model, tokens, session);
CREATE INDEX messages_pending    ON messages (key) WHERE status = 0;

PRAGMA user_version = 3;
