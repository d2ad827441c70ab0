-- Maintenance windows, and the service clock of tickets.

-- hours: when somebody is there, `mon-fri 08:00-17:00`; empty: always.
ALTER TABLE site ADD COLUMN hours TEXT NOT NULL DEFAULT '';
CREATE TABLE site_holiday (
    site_id  INTEGER NOT NULL REFERENCES site (id) ON DELETE CASCADE,
    day      TEXT NOT NULL,
    PRIMARY KEY (site_id, day)
) STRICT, WITHOUT ROWID;

-- Who has a tag is asked whenever a window with a tag begins or ends.
CREATE INDEX device_tag_tag ON device_tag (tag);

-- A window covers a device, a site, or whatever has a tag.
-- cron: when it begins, again and again; null: it comes once. Then span_ms says how long an occurrence lasts, or
-- at_minute and to_minute from which minute of the day to which.
-- next_at, next_until: its next occurrence, which has not begun yet.
CREATE TABLE maintenance (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    device_id   INTEGER REFERENCES device (id) ON DELETE CASCADE,
    site_id     INTEGER REFERENCES site (id) ON DELETE CASCADE,
    tag         TEXT,
    cron        TEXT,
    span_ms     INTEGER,
    at_minute   INTEGER CHECK (at_minute BETWEEN 0 AND 1439),
    to_minute   INTEGER CHECK (to_minute BETWEEN 0 AND 1439),
    time_zone   TEXT NOT NULL,
    note        TEXT NOT NULL DEFAULT '',
    created_at  INTEGER NOT NULL,
    created_by  TEXT NOT NULL,
    removed_at  INTEGER,
    next_at     INTEGER,
    next_until  INTEGER,
    CHECK ((device_id IS NULL) + (site_id IS NULL) + (tag IS NULL) = 2),
    CHECK ((next_at IS NULL) = (next_until IS NULL)),
    CHECK (next_at < next_until)
) STRICT;
CREATE INDEX maintenance_next ON maintenance (next_at) WHERE next_at IS NOT NULL;
CREATE INDEX maintenance_device ON maintenance (device_id) WHERE device_id IS NOT NULL;
CREATE INDEX maintenance_site ON maintenance (site_id) WHERE site_id IS NOT NULL;
CREATE INDEX maintenance_tag ON maintenance (tag) WHERE tag IS NOT NULL;

-- The occurrences that began. until_at: when it is to end; ended_at: when it ended; null while it lasts.
CREATE TABLE maintenance_run (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    window_id  INTEGER NOT NULL REFERENCES maintenance (id) ON DELETE CASCADE,
    began_at   INTEGER NOT NULL,
    until_at   INTEGER NOT NULL,
    ended_at   INTEGER
) STRICT;
CREATE INDEX maintenance_run_window ON maintenance_run (window_id, began_at);
CREATE UNIQUE INDEX maintenance_run_open ON maintenance_run (window_id) WHERE ended_at IS NULL;
CREATE INDEX maintenance_run_until ON maintenance_run (until_at) WHERE ended_at IS NULL;

-- The outages that lasted on when an occurrence ended: from there on they count.
CREATE TABLE maintenance_overrun (
    run_id     INTEGER NOT NULL REFERENCES maintenance_run (id) ON DELETE CASCADE,
    outage_id  INTEGER NOT NULL REFERENCES outage (id) ON DELETE CASCADE,
    PRIMARY KEY (run_id, outage_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX maintenance_overrun_outage ON maintenance_overrun (outage_id);

-- What was promised for a ticket, in milliseconds of service time (null: nothing), until when that is, what came of it,
-- and when it was told that it nears its end or is broken. look_at: when to look next.
CREATE TABLE ticket_service (
    ticket_id           INTEGER PRIMARY KEY REFERENCES ticket (id) ON DELETE CASCADE,
    respond_ms          INTEGER,
    respond_due_at      INTEGER,
    responded_at        INTEGER,
    respond_nearing_at  INTEGER,
    respond_breached_at INTEGER,
    restore_ms          INTEGER,
    restore_due_at      INTEGER,
    restored_at         INTEGER,
    restore_nearing_at  INTEGER,
    restore_breached_at INTEGER,
    resolved_at         INTEGER,
    look_at             INTEGER
) STRICT;
CREATE INDEX ticket_service_look ON ticket_service (look_at) WHERE look_at IS NOT NULL;

-- When the service clock of a ticket stood. until_at: null while it stands.
CREATE TABLE ticket_pause (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    ticket_id  INTEGER NOT NULL REFERENCES ticket (id) ON DELETE CASCADE,
    from_at    INTEGER NOT NULL,
    until_at   INTEGER,
    why        TEXT NOT NULL CHECK (why IN ('waiting', 'recovered', 'done', 'merged'))
) STRICT;
CREATE INDEX ticket_pause_ticket ON ticket_pause (ticket_id, from_at);
CREATE UNIQUE INDEX ticket_pause_open ON ticket_pause (ticket_id) WHERE until_at IS NULL;
