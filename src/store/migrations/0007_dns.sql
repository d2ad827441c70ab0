-- Devices' names in DNS.

-- The zones that were answered for: their serials only ever rise, and rise when what they hold is another thing.
CREATE TABLE dns_zone (
    zone     TEXT PRIMARY KEY,
    serial   INTEGER NOT NULL,
    content  BLOB NOT NULL
) STRICT, WITHOUT ROWID;

-- A name at the name server that is updated. wanted: the address it is to have; null: it is to be taken away.
-- put: the address that was put there and seen there. taken: a person said that what others put there is to go.
CREATE TABLE dns_record (
    name           TEXT PRIMARY KEY,
    server         TEXT NOT NULL,
    device_id      INTEGER,
    wanted         TEXT,
    put            TEXT,
    state          TEXT NOT NULL CHECK (state IN ('due', 'good', 'conflict', 'key', 'refused', 'failing')),
    since          INTEGER NOT NULL,
    next_at        INTEGER,
    tries          INTEGER NOT NULL DEFAULT 0,
    claimed_until  INTEGER,
    taken          INTEGER NOT NULL DEFAULT 0,
    said           TEXT NOT NULL DEFAULT ''
) STRICT, WITHOUT ROWID;
CREATE INDEX dns_record_next ON dns_record (next_at) WHERE next_at IS NOT NULL;
