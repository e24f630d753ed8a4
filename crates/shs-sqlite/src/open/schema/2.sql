-- Version 2: the text index follows the messages, a session's messages have a version, and UUIDs are stored as bytes.

-- Messages with keys above this are not in "search" yet. Whoever searches has them put there first.
ALTER TABLE counters ADD COLUMN indexed INTEGER NOT NULL DEFAULT 0;
UPDATE counters SET indexed = arrival;

-- How often messages of the session were changed or deleted: with last_seq it tells whether they are still what
-- somebody read.
ALTER TABLE sessions ADD COLUMN edits INTEGER NOT NULL DEFAULT 0;

-- An id that is a UUID in its usual form is stored as its 16 bytes, any other as text.
CREATE TABLE messages_2 (
    key        INTEGER PRIMARY KEY,       -- the order of arrival; never given twice
    session    INTEGER NOT NULL,          -- sessions.key
    seq        INTEGER NOT NULL,
    id         ANY NOT NULL,
    role       INTEGER NOT NULL,
    status     INTEGER NOT NULL,
    timestamp  INTEGER NOT NULL,
    tokens     INTEGER,
    model      INTEGER,                   -- models.key
    latency_ms REAL,
    digest     BLOB NOT NULL,             -- of what was appended under this id
    parts      TEXT,                      -- JSON array
    metadata   TEXT,                      -- JSON object
    extra      TEXT,                      -- JSON object
    content    TEXT NOT NULL
) STRICT;
INSERT INTO messages_2
    SELECT key, session, seq,
        CASE WHEN id = substr(hex, 1, 8) || '-' || substr(hex, 9, 4) || '-' || substr(hex, 13, 4)
            || '-' || substr(hex, 17, 4) || '-' || substr(hex, 21) THEN unhex(hex) ELSE id END,
        role, status, timestamp, tokens, model, latency_ms, digest, parts, metadata, extra, content
    FROM (SELECT *, lower(hex(unhex(replace(id, '-', '')))) AS hex FROM messages);
DROP TABLE messages;
ALTER TABLE messages_2 RENAME TO messages;
CREATE UNIQUE INDEX messages_seq ON messages (session, seq);
CREATE UNIQUE INDEX messages_id  ON messages (session, id);
CREATE INDEX messages_time       ON messages (timestamp, role, model, tokens, session);
CREATE INDEX messages_pending    ON messages (key) WHERE status = 0;

PRAGMA user_version = 2;
