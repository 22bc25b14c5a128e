-- Results that were published elsewhere: studies without runs.
CREATE TABLE imports (
    id      INTEGER PRIMARY KEY AUTOINCREMENT,
    name    TEXT NOT NULL UNIQUE,
    -- Name of the file they come from, and the SHA-256 of columns and rows.
    file    TEXT NOT NULL,
    sha256  TEXT NOT NULL,
    columns TEXT NOT NULL,
    rows    TEXT NOT NULL,
    count   INTEGER NOT NULL,
    created INTEGER NOT NULL
) STRICT;
