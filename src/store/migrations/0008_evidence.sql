-- What agents tell of being cut off is known again by their own clocks; a name server in trouble; who has an address.

-- told_began: of an agent's own outage, when it began by the device's clock, which names it.
ALTER TABLE dossier_record ADD COLUMN told_began INTEGER;
UPDATE dossier_record SET told_began = (
    SELECT o.told_began FROM outage o WHERE o.device_id = dossier_record.device_id AND o.source = 'agent'
    AND abs(o.started_at - dossier_record.from_at) < 1000 ORDER BY o.id DESC LIMIT 1
) WHERE kind = 'outage';

-- All that may have been put there, with spaces between them: an answer may be lost, and the server stop, just after a
-- change was made.
ALTER TABLE dns_record ADD COLUMN ours TEXT NOT NULL DEFAULT '';
UPDATE dns_record SET ours = put WHERE put IS NOT NULL;

-- A name server that does not answer, or not to this key: nothing is tried there before next_at, then one name first.
CREATE TABLE dns_trouble (
    server   TEXT PRIMARY KEY,
    state    TEXT NOT NULL CHECK (state IN ('key', 'failing')),
    since    INTEGER NOT NULL,
    tries    INTEGER NOT NULL,
    next_at  INTEGER NOT NULL,
    said     TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- Who has an address is looked up when an agent moves, or falls silent.
CREATE INDEX device_address ON device (address) WHERE address IS NOT NULL;
CREATE INDEX agent_reported_address ON agent (reported_address) WHERE reported_address IS NOT NULL;
CREATE INDEX agent_seen_address ON agent (seen_address) WHERE seen_address IS NOT NULL;
