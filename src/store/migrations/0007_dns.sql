-- Devices' names in DNS.

-- The zones that were answered for: their serials only ever rise, and rise when what they hold is another thing.
CREATE TABLE dns_zone (
    zone     TEXT PRIMARY KEY,
    serial   INTEGER NOT NULL,
    content  BLOB NOT NULL
) STRICT, WITHOUT ROWID;

-- A name at the name server that is updated. wanted: the address it is to have; null: it is to be taken away.
-- put: the address that was put there and seen there. ours: all that may have been put there, with spaces between them:
-- an answer may be lost, and the server stop, just after a change was made. taken: a person said that what others put there is to go.
CREATE TABLE dns_record (
    name           TEXT PRIMARY KEY,
    server         TEXT NOT NULL,
    device_id      INTEGER,
    wanted         TEXT,
    put            TEXT,
    ours           TEXT NOT NULL DEFAULT '',
    state          TEXT NOT NULL CHECK (state IN ('due', 'good', 'conflict', 'key', 'refused', 'failing')),
    since          INTEGER NOT NULL,
    next_at        INTEGER,
    tries          INTEGER NOT NULL DEFAULT 0,
    claimed_until  INTEGER,
    taken          INTEGER NOT NULL DEFAULT 0,
    said           TEXT NOT NULL DEFAULT ''
) STRICT, WITHOUT ROWID;
-- A name server that does not answer, or not to this key: nothing is tried there before next_at, then one name first.
CREATE TABLE dns_trouble (
    server   TEXT PRIMARY KEY,
    state    TEXT NOT NULL CHECK (state IN ('key', 'failing')),
    since    INTEGER NOT NULL,
    tries    INTEGER NOT NULL,
    next_at  INTEGER NOT NULL,
    said     TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX dns_record_next ON dns_record (next_at) WHERE next_at IS NOT NULL;

-- Who has an address is looked up when an agent moves, or falls silent.
CREATE INDEX device_address ON device (address) WHERE address IS NOT NULL;
CREATE INDEX agent_reported_address ON agent (reported_address) WHERE reported_address IS NOT NULL;
CREATE INDEX agent_seen_address ON agent (seen_address) WHERE seen_address IS NOT NULL;
