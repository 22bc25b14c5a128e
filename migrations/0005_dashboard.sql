-- What the dashboard shows and keeps.

-- When the worker was last heard of, and the cluster's word for how the attempt ended.
ALTER TABLE attempts ADD COLUMN heard INTEGER;
ALTER TABLE attempts ADD COLUMN slurm_state TEXT;
-- Attempts that went wrong, newest first.
CREATE INDEX attempts_gone_wrong ON attempts (finished)
    WHERE state IN ('failed', 'timed_out', 'out_of_memory', 'node_failed', 'lost', 'preempted');

-- Runs of higher priority start first; 0 is usual.
ALTER TABLE runs ADD COLUMN priority INTEGER NOT NULL DEFAULT 0;

-- Views of a study's runs table that people saved: the query string of its page.
CREATE TABLE views (
    study_id INTEGER NOT NULL REFERENCES studies (id),
    name     TEXT NOT NULL,
    query    TEXT NOT NULL,
    PRIMARY KEY (study_id, name)
) STRICT, WITHOUT ROWID;

-- The next position is asked for with every run that is planned.
CREATE UNIQUE INDEX study_order ON study_runs (study_id, position);
