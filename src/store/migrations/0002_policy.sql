-- Every state a device has had, flapping, blindness, and what a ticket follows.

-- nudged_at: when somebody last wanted a result at once.
ALTER TABLE checks ADD COLUMN nudged_at INTEGER;

-- flapping_since: since when its state changes too often. flap_look_at: when to look whether it is quiet again.
ALTER TABLE device ADD COLUMN flapping_since INTEGER;
ALTER TABLE device ADD COLUMN flap_look_at INTEGER;
CREATE INDEX device_flap_look ON device (flap_look_at) WHERE flap_look_at IS NOT NULL;

-- Every state a device has had, in the order in which they were seen. Rows are only added. since: the true start, which
-- may lie before that of the row before: then this row is right from there on.
CREATE TABLE state_change (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    device_id  INTEGER NOT NULL REFERENCES device (id) ON DELETE CASCADE,
    since      INTEGER NOT NULL,
    seen_at    INTEGER NOT NULL,
    state      TEXT NOT NULL CHECK (state IN ('unknown', 'up', 'degraded', 'down', 'unreachable')),
    reason     TEXT NOT NULL DEFAULT ''
) STRICT;
CREATE INDEX state_change_device ON state_change (device_id, id);
INSERT INTO state_change (device_id, since, seen_at, state, reason)
    SELECT e.device_id, coalesce(json_extract(e.body, '$.since'), e.at), e.at, json_extract(e.body, '$.to'),
        coalesce(json_extract(e.body, '$.reason'), '')
    FROM event e JOIN device d ON d.id = e.device_id WHERE e.kind = 'device.state' ORDER BY e.id;

-- The times in which the server itself could not see.
CREATE TABLE blind (
    id        INTEGER PRIMARY KEY AUTOINCREMENT,
    since     INTEGER NOT NULL,
    seen_at   INTEGER NOT NULL,
    ended_at  INTEGER,
    reason    TEXT NOT NULL
) STRICT;
CREATE UNIQUE INDEX blind_open ON blind ((ended_at IS NULL)) WHERE ended_at IS NULL;

-- retracted_at: when it turned out that the server itself could not see, so that nothing is known of the device.
-- put_off: its ticket waits for the end of maintenance.
ALTER TABLE outage ADD COLUMN retracted_at INTEGER;
ALTER TABLE outage ADD COLUMN put_off INTEGER NOT NULL DEFAULT 0 CHECK (put_off IN (0, 1));

-- pinned: the priority a person wants, whatever the score. began_at: the true start of the trouble. aging_since: since when
-- nobody acknowledged it. waiting_until: when it is worked on again by itself.
ALTER TABLE ticket ADD COLUMN merged_into INTEGER REFERENCES ticket (id);
ALTER TABLE ticket ADD COLUMN pinned TEXT CHECK (pinned IN ('P1', 'P2', 'P3', 'P4', 'P5'));
ALTER TABLE ticket ADD COLUMN pinned_by TEXT;
ALTER TABLE ticket ADD COLUMN acknowledged_by TEXT;
ALTER TABLE ticket ADD COLUMN acknowledged_until INTEGER;
ALTER TABLE ticket ADD COLUMN began_at INTEGER;
ALTER TABLE ticket ADD COLUMN aging_since INTEGER;
ALTER TABLE ticket ADD COLUMN waiting_until INTEGER;
CREATE INDEX ticket_merged ON ticket (merged_into) WHERE merged_into IS NOT NULL;
CREATE INDEX ticket_affected_device ON ticket_affected (device_id);
UPDATE ticket SET began_at = (SELECT min(o.started_at) FROM outage o WHERE o.ticket_id = ticket.id) WHERE kind = 'outage';
