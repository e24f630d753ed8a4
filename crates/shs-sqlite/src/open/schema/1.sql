-- Version 1. Released schemas are frozen: a change is a new migration.
--
-- Times are microseconds since 1970, UTC. JSON columns are NULL where the object or array is empty.
-- Roles:  0 user, 1 assistant, 2 system, 3 tool, 4 developer.
-- Keys are never given twice, so that a reader that looked one up cannot find another's data under it.
-- Status: 0 pending, 1 delivered, 2 error, 3 interrupted.

CREATE TABLE users    (key INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL UNIQUE) STRICT;
CREATE TABLE projects (key INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL UNIQUE) STRICT;
CREATE TABLE models   (key INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL UNIQUE) STRICT;

CREATE TABLE sessions (
    key            INTEGER PRIMARY KEY AUTOINCREMENT,
    id             TEXT NOT NULL UNIQUE,
    user           INTEGER,               -- users.key
    project        INTEGER,               -- projects.key
    title          TEXT,
    tags           TEXT,                  -- JSON array, in order
    metadata       TEXT,                  -- JSON object
    extra          TEXT,                  -- JSON object
    created_at     INTEGER NOT NULL,
    updated_at     INTEGER NOT NULL,
    ended_at       INTEGER,
    forked_session TEXT,                  -- an id, which may be gone
    forked_seq     INTEGER,
    message_count  INTEGER NOT NULL,
    total_tokens   INTEGER NOT NULL,
    last_seq       INTEGER NOT NULL
) STRICT;
CREATE INDEX sessions_updated ON sessions (updated_at, id);
CREATE INDEX sessions_created ON sessions (created_at, id);
CREATE INDEX sessions_user    ON sessions (user, updated_at, id) WHERE user IS NOT NULL;
CREATE INDEX sessions_project ON sessions (project, updated_at, id) WHERE project IS NOT NULL;

CREATE TABLE session_tags (
    tag     TEXT NOT NULL,
    session INTEGER NOT NULL,             -- sessions.key
    PRIMARY KEY (tag, session)
) STRICT, WITHOUT ROWID;
CREATE INDEX session_tags_session ON session_tags (session);

CREATE TABLE messages (
    key        INTEGER PRIMARY KEY,       -- the order of arrival; never given twice
    session    INTEGER NOT NULL,          -- sessions.key
    seq        INTEGER NOT NULL,
    id         TEXT NOT NULL,
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
CREATE UNIQUE INDEX messages_seq ON messages (session, seq);
CREATE UNIQUE INDEX messages_id  ON messages (session, id);
CREATE INDEX messages_time       ON messages (timestamp, role, model, tokens, session);
CREATE INDEX messages_pending    ON messages (key) WHERE status = 0;

-- Totals over all messages, kept by every write; model 0 is none.
CREATE TABLE totals (
    role     INTEGER NOT NULL,
    model    INTEGER NOT NULL,
    messages INTEGER NOT NULL,
    tokens   INTEGER NOT NULL,
    PRIMARY KEY (role, model)
) STRICT, WITHOUT ROWID;

-- One row: the last messages.key that was given, and how many sessions there are.
CREATE TABLE counters (
    only_row INTEGER PRIMARY KEY CHECK (only_row = 1),
    arrival  INTEGER NOT NULL,
    sessions INTEGER NOT NULL,
    active   INTEGER NOT NULL
) STRICT;
INSERT INTO counters VALUES (1, 0, 0, 0);

-- The text index, by messages.key. Both columns hold tokens made by the library's analyzer, separated by spaces:
-- "content" those of the message, "scope" what it is filtered by (u, p, s, m: keys; r: role; t: status).
-- Tokens are letters, digits and non-ASCII characters only, which the ascii tokenizer takes as they are.
CREATE VIRTUAL TABLE search USING fts5 (
    scope, content, content = '', contentless_delete = 1, tokenize = 'ascii'
);

PRAGMA application_id = 0x53485331;
PRAGMA user_version = 1;
