-- Version 2: the text index follows the messages, and a session's messages have a version.

-- Messages with keys above this are not in "search" yet. Whoever searches has them put there first.
ALTER TABLE counters ADD COLUMN indexed INTEGER NOT NULL DEFAULT 0;
UPDATE counters SET indexed = arrival;

-- How often messages of the session were changed or deleted: with last_seq it tells whether they are still what
-- somebody read.
ALTER TABLE sessions ADD COLUMN edits INTEGER NOT NULL DEFAULT 0;

PRAGMA user_version = 2;
