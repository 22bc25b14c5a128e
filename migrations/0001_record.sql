-- The record of a root: studies, their runs and stages, every attempt, what they measured.
-- Times are milliseconds since 1970 (UTC), ids of attempts and claims are UUIDs, structures are JSON.

CREATE TABLE studies (
    id        INTEGER PRIMARY KEY AUTOINCREMENT,
    name      TEXT NOT NULL UNIQUE,
    spec      TEXT NOT NULL,
    created   INTEGER NOT NULL,
    -- When a person cancelled it; from then on it keeps nothing alive that it shares.
    cancelled INTEGER
) STRICT;

CREATE TABLE runs (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    hash       TEXT NOT NULL UNIQUE,
    -- Name of its folders.
    name       TEXT NOT NULL UNIQUE,
    identifier TEXT NOT NULL,
    config     TEXT NOT NULL,
    -- Device, tries, batches: what can't change its results.
    settings   TEXT NOT NULL,
    data_hash  TEXT NOT NULL,
    created    INTEGER NOT NULL
) STRICT;
CREATE INDEX runs_by_data ON runs (data_hash);

CREATE TABLE study_runs (
    study_id INTEGER NOT NULL REFERENCES studies (id),
    run_id   INTEGER NOT NULL REFERENCES runs (id),
    position INTEGER NOT NULL,
    PRIMARY KEY (study_id, run_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX studies_by_run ON study_runs (run_id);

CREATE TABLE stages (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    kind       TEXT NOT NULL CHECK (kind IN ('prepare', 'train', 'evaluate', 'means', 'vars', 'decs', 'analyze')),
    run_id     INTEGER REFERENCES runs (id),
    -- Of a prepare alone, which belongs to data instead of a run.
    data_hash  TEXT,
    data       TEXT,
    checkpoint INTEGER,
    state      TEXT NOT NULL CHECK (state IN ('waiting', 'ready', 'queued', 'running', 'done', 'failed', 'cancelled', 'skipped')),
    reason     TEXT,
    -- Failed attempts since it was planned or a person asked to try again, and how many are allowed.
    failures   INTEGER NOT NULL DEFAULT 0,
    allowed    INTEGER NOT NULL,
    output     TEXT,
    started    INTEGER,
    finished   INTEGER,
    CHECK ((kind = 'prepare') = (run_id IS NULL)),
    CHECK ((kind = 'prepare') = (data_hash IS NOT NULL)),
    CHECK ((kind IN ('prepare', 'train')) = (checkpoint IS NULL))
) STRICT;
CREATE UNIQUE INDEX one_stage ON stages (run_id, kind, ifnull(checkpoint, -1)) WHERE run_id IS NOT NULL;
CREATE UNIQUE INDEX one_prepare ON stages (data_hash) WHERE data_hash IS NOT NULL;
CREATE INDEX stages_by_state ON stages (state);

CREATE TABLE stage_parents (
    stage_id  INTEGER NOT NULL REFERENCES stages (id),
    parent_id INTEGER NOT NULL REFERENCES stages (id),
    PRIMARY KEY (stage_id, parent_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX stage_children ON stage_parents (parent_id, stage_id);

-- The stages of a study, with the prepare stages that its runs share.
CREATE VIEW study_stages AS
    SELECT study_runs.study_id AS study_id, stages.id AS stage_id
    FROM study_runs JOIN stages ON stages.run_id = study_runs.run_id
    UNION
    SELECT study_runs.study_id, stages.id
    FROM study_runs JOIN runs ON runs.id = study_runs.run_id JOIN stages ON stages.data_hash = runs.data_hash;

CREATE TABLE attempts (
    id               TEXT PRIMARY KEY,
    stage_id         INTEGER NOT NULL REFERENCES stages (id),
    -- Counts from 1 within the stage.
    number           INTEGER NOT NULL,
    state            TEXT NOT NULL,
    -- Whether it is not over.
    live             INTEGER NOT NULL CHECK (live IN (0, 1)),
    slot             INTEGER NOT NULL,
    token_sha256     TEXT NOT NULL UNIQUE,
    folder           TEXT NOT NULL,
    -- Of the process that was started, or that claimed it.
    pid              INTEGER,
    claim            TEXT,
    place            TEXT,
    accepted_through INTEGER NOT NULL DEFAULT 0,
    progress_done    INTEGER,
    progress_total   INTEGER,
    progress_unit    TEXT,
    -- When a person asked it to stop.
    stop             INTEGER,
    created          INTEGER NOT NULL,
    started          INTEGER,
    finished         INTEGER,
    message          TEXT,
    exit_code        INTEGER,
    signal           INTEGER,
    UNIQUE (stage_id, number)
) STRICT;
-- Never two at once for a stage, whatever the program does.
CREATE UNIQUE INDEX one_live_attempt ON attempts (stage_id) WHERE live = 1;

CREATE TABLE metrics (
    run_id        INTEGER NOT NULL REFERENCES runs (id),
    step          INTEGER NOT NULL,
    epoch         REAL NOT NULL,
    -- NULL stands for NaN, which SQLite does not keep.
    loss          REAL,
    learning_rate REAL NOT NULL,
    grad_norm     REAL,
    tokens_per_s  REAL,
    PRIMARY KEY (run_id, step)
) STRICT, WITHOUT ROWID;

CREATE TABLE results (
    run_id     INTEGER NOT NULL REFERENCES runs (id),
    checkpoint INTEGER NOT NULL,
    columns    TEXT NOT NULL,
    measures   TEXT NOT NULL,
    PRIMARY KEY (run_id, checkpoint)
) STRICT, WITHOUT ROWID;

-- What happened, for live views; the oldest are dropped.
CREATE TABLE changes (
    id      INTEGER PRIMARY KEY AUTOINCREMENT,
    studies TEXT NOT NULL,
    body    TEXT NOT NULL
) STRICT;

-- Browsers that are signed in.
CREATE TABLE sessions (
    secret_sha256 TEXT PRIMARY KEY,
    expires       INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
