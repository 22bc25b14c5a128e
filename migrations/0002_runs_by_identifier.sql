-- Planning asks for every run whether the study holds its identifier already.
CREATE INDEX runs_by_identifier ON runs (identifier);
