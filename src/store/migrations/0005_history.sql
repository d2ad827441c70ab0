-- Readings rolled up, and what was proven afterwards.

-- The readings of one check in one hour (UTC), in few bytes: `domain/packed.rs` says how. They stand in `reading` until
-- their hour is over, then here. at: the first moment of the hour.
CREATE TABLE reading_pack (
    check_id  INTEGER NOT NULL,
    at        INTEGER NOT NULL,
    pack      BLOB NOT NULL,
    PRIMARY KEY (check_id, at)
) STRICT;

-- What the readings of a check come to: each minute of an hour, each hour of a day, each day of 32 days (all UTC); at: the
-- first moment of that hour, that day, those 32 days.
CREATE TABLE rollup_minute (
    check_id  INTEGER NOT NULL,
    at        INTEGER NOT NULL,
    pack      BLOB NOT NULL,
    PRIMARY KEY (check_id, at)
) STRICT;
CREATE TABLE rollup_hour (
    check_id  INTEGER NOT NULL,
    at        INTEGER NOT NULL,
    pack      BLOB NOT NULL,
    PRIMARY KEY (check_id, at)
) STRICT;
CREATE TABLE rollup_day (
    check_id  INTEGER NOT NULL,
    at        INTEGER NOT NULL,
    pack      BLOB NOT NULL,
    PRIMARY KEY (check_id, at)
) STRICT;

-- How far the readings are rolled up: all before up_to were, or are being; next_check: from which check on that is still to
-- be done. What arrives later for a time before up_to is taken along the next time.
CREATE TABLE rolled_up (
    id          INTEGER PRIMARY KEY CHECK (id = 1),
    up_to       INTEGER NOT NULL,
    next_check  INTEGER
) STRICT;
INSERT INTO rolled_up (id, up_to) VALUES (1, 0);

-- The times in which lineman itself was away.
CREATE TABLE away (
    id        INTEGER PRIMARY KEY AUTOINCREMENT,
    since     INTEGER NOT NULL,
    ended_at  INTEGER NOT NULL
) STRICT;
INSERT INTO away (since, ended_at)
    SELECT json_extract(e.body, '$.from'), json_extract(e.body, '$.to') FROM event e
    WHERE e.kind = 'monitor.away' AND json_extract(e.body, '$.from') < json_extract(e.body, '$.to') ORDER BY e.id;

-- What records that came late prove of a device, beside what was seen of it. source: its own agent's statuses, or the
-- results of checks.
CREATE TABLE state_proof (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    device_id  INTEGER NOT NULL REFERENCES device (id) ON DELETE CASCADE,
    from_at    INTEGER NOT NULL,
    to_at      INTEGER NOT NULL,
    state      TEXT NOT NULL CHECK (state IN ('up', 'down')),
    source     TEXT NOT NULL CHECK (source IN ('agent', 'check')),
    CHECK (from_at <= to_at)
) STRICT;
CREATE INDEX state_proof_device ON state_proof (device_id, from_at);
