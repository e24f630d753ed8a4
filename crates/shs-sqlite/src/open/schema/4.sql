-- Version 4: every session belongs to a tenant, and ids, users and projects are those of a tenant.
--
-- Everything that was there belongs to the default tenant, whose key is 0 and whose name is empty. Checksums count the
-- tenant with a weight, so that those of the default tenant stay as they are.

CREATE TABLE tenants (
    key      INTEGER PRIMARY KEY AUTOINCREMENT,
    name     TEXT NOT NULL UNIQUE,
    sessions INTEGER NOT NULL,            -- how many it has; without any, it is deleted, unless it is the default one
    active   INTEGER NOT NULL,            -- how many of them were not ended
    checksum INTEGER NOT NULL
) STRICT;
INSERT INTO tenants SELECT 0, '', sessions, active, 5 * sessions + 7 * active FROM counters;

-- What sessions and active counted, each tenant counts for itself.
ALTER TABLE counters DROP COLUMN sessions;
ALTER TABLE counters DROP COLUMN active;
UPDATE counters SET checksum = 3 * arrival + 11 * indexed;

CREATE TABLE users_4 (
    key      INTEGER PRIMARY KEY AUTOINCREMENT,
    tenant   INTEGER NOT NULL,            -- tenants.key
    name     TEXT NOT NULL,
    checksum INTEGER NOT NULL,
    UNIQUE (tenant, name)
) STRICT;
INSERT INTO users_4 SELECT key, 0, name, checksum FROM users;
DELETE FROM sqlite_sequence WHERE name = 'users_4';
INSERT INTO sqlite_sequence SELECT 'users_4', seq FROM sqlite_sequence WHERE name = 'users';
DROP TABLE users;
ALTER TABLE users_4 RENAME TO users;

CREATE TABLE projects_4 (
    key      INTEGER PRIMARY KEY AUTOINCREMENT,
    tenant   INTEGER NOT NULL,            -- tenants.key
    name     TEXT NOT NULL,
    checksum INTEGER NOT NULL,
    UNIQUE (tenant, name)
) STRICT;
INSERT INTO projects_4 SELECT key, 0, name, checksum FROM projects;
DELETE FROM sqlite_sequence WHERE name = 'projects_4';
INSERT INTO sqlite_sequence SELECT 'projects_4', seq FROM sqlite_sequence WHERE name = 'projects';
DROP TABLE projects;
ALTER TABLE projects_4 RENAME TO projects;

CREATE TABLE sessions_4 (
    key            INTEGER PRIMARY KEY AUTOINCREMENT,
    tenant         INTEGER NOT NULL,      -- tenants.key
    id             TEXT NOT NULL,
    user           INTEGER,               -- users.key, of the same tenant
    project        INTEGER,               -- projects.key, of the same tenant
    title          TEXT,
    tags           TEXT,                  -- JSON array, in order
    metadata       TEXT,                  -- JSON object
    extra          TEXT,                  -- JSON object
    created_at     INTEGER NOT NULL,
    updated_at     INTEGER NOT NULL,
    ended_at       INTEGER,
    forked_session TEXT,                  -- an id of the same tenant, which may be gone
    forked_seq     INTEGER,
    message_count  INTEGER NOT NULL,
    total_tokens   INTEGER NOT NULL,
    last_seq       INTEGER NOT NULL,
    edits          INTEGER NOT NULL DEFAULT 0,
    checksum       INTEGER NOT NULL DEFAULT 0,
    UNIQUE (tenant, id)
) STRICT;
INSERT INTO sessions_4
    SELECT key, 0, id, user, project, title, tags, metadata, extra, created_at, updated_at, ended_at,
        forked_session, forked_seq, message_count, total_tokens, last_seq, edits, checksum
    FROM sessions;
DELETE FROM sqlite_sequence WHERE name = 'sessions_4';
INSERT INTO sqlite_sequence SELECT 'sessions_4', seq FROM sqlite_sequence WHERE name = 'sessions';
DROP TABLE sessions;
ALTER TABLE sessions_4 RENAME TO sessions;
CREATE INDEX sessions_updated ON sessions (tenant, updated_at, id);
CREATE INDEX sessions_created ON sessions (tenant, created_at, id);
CREATE INDEX sessions_user    ON sessions (user, updated_at, id) WHERE user IS NOT NULL;
CREATE INDEX sessions_project ON sessions (project, updated_at, id) WHERE project IS NOT NULL;

CREATE TABLE session_tags_4 (
    tenant  INTEGER NOT NULL,             -- tenants.key
    tag     TEXT NOT NULL,
    session INTEGER NOT NULL,             -- sessions.key, of the same tenant
    PRIMARY KEY (tenant, tag, session)
) STRICT, WITHOUT ROWID;
INSERT INTO session_tags_4 SELECT 0, tag, session FROM session_tags;
DROP TABLE session_tags;
ALTER TABLE session_tags_4 RENAME TO session_tags;
CREATE INDEX session_tags_session ON session_tags (session);

CREATE TABLE totals_4 (
    tenant   INTEGER NOT NULL,            -- tenants.key
    role     INTEGER NOT NULL,
    model    INTEGER NOT NULL,            -- models.key; 0 is none
    messages INTEGER NOT NULL,
    tokens   INTEGER NOT NULL,
    checksum INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (tenant, role, model)
) STRICT, WITHOUT ROWID;
INSERT INTO totals_4 SELECT 0, role, model, messages, tokens, checksum FROM totals;
DROP TABLE totals;
ALTER TABLE totals_4 RENAME TO totals;

-- The text index holds the tokens of the default tenant's messages as they are. Before each token of another tenant's stands
-- the tenant's key and U+E000, which no token has in it: so no search of one tenant meets a word of another.

PRAGMA user_version = 4;
