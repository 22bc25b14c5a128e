-- A cluster's queue: calls of its submit command, and the attempts that each of them holds.

CREATE TABLE submissions (
    -- A UUID, part of the jobs' name.
    id       TEXT PRIMARY KEY,
    kind     TEXT NOT NULL,
    -- 'held': certainly not in the queue; to be handed over. 'intended': the call is under way, or was when a
    -- daemon died. 'ambiguous': the call's answer was unclear. 'submitted': in the queue, as job_id.
    state    TEXT NOT NULL CHECK (state IN ('held', 'intended', 'ambiguous', 'submitted')),
    job_id   INTEGER,
    -- What it asks for and depends on.
    request  TEXT NOT NULL,
    folder   TEXT NOT NULL,
    tries    INTEGER NOT NULL DEFAULT 0,
    -- A held one is not handed over before.
    due      INTEGER NOT NULL,
    -- Why it is held.
    message  TEXT,
    created  INTEGER NOT NULL,
    -- When the newest call ended.
    called   INTEGER
) STRICT;
CREATE INDEX open_submissions ON submissions (state) WHERE state <> 'submitted';

ALTER TABLE attempts ADD COLUMN submission_id TEXT REFERENCES submissions (id);
-- Index in the job array.
ALTER TABLE attempts ADD COLUMN task INTEGER;
-- How often the cluster started it again, as its newest claim told.
ALTER TABLE attempts ADD COLUMN restarts INTEGER NOT NULL DEFAULT 0;
ALTER TABLE attempts ADD COLUMN node TEXT;
-- Why it waits in the queue, in the cluster's word.
ALTER TABLE attempts ADD COLUMN waits TEXT;
CREATE INDEX attempts_by_submission ON attempts (submission_id, task) WHERE submission_id IS NOT NULL;

-- Attempts that were queued ahead of their parents' end, and the parents' attempts that they wait for.
CREATE TABLE attempt_parents (
    attempt_id TEXT NOT NULL REFERENCES attempts (id),
    parent_id  TEXT NOT NULL REFERENCES attempts (id),
    PRIMARY KEY (attempt_id, parent_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX attempt_children ON attempt_parents (parent_id, attempt_id);

-- What earlier attempts taught: factors on memory, as powers of two.
ALTER TABLE stages ADD COLUMN memory_doublings INTEGER NOT NULL DEFAULT 0;
ALTER TABLE stages ADD COLUMN time_doublings INTEGER NOT NULL DEFAULT 0;

-- Who serves the root, and until when.
CREATE TABLE lease (
    one    INTEGER PRIMARY KEY CHECK (one = 1),
    holder TEXT NOT NULL,
    host   TEXT NOT NULL,
    pid    INTEGER NOT NULL,
    until  INTEGER NOT NULL
) STRICT;
