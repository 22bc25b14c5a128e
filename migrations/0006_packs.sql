-- What nothing ever read.
ALTER TABLE attempts DROP COLUMN pid;
ALTER TABLE submissions DROP COLUMN tries;
ALTER TABLE submissions DROP COLUMN called;

-- How many attempts share a job of an array.
ALTER TABLE submissions ADD COLUMN pack INTEGER GENERATED ALWAYS AS (ifnull(json_extract(request, '$.pack'), 1)) VIRTUAL;
