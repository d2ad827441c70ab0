-- What agents recorded of a trouble, where its fault was, who is to act on it, and settings for a site or a device.

-- One record of a device's dossier, as its agent wrote it, its times on the server's clock: a climb of the ladder, a gap,
-- the agent's own outage. at: when it happened; from_at: since when it tells. Which outage it belongs to follows from
-- device and time. skew_ms: how far the device's clock was ahead then, where that is known.
CREATE TABLE dossier_record (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    device_id  INTEGER NOT NULL REFERENCES device (id) ON DELETE CASCADE,
    kind       TEXT NOT NULL CHECK (kind IN ('ladder', 'baseline', 'gap', 'outage')),
    from_at    INTEGER NOT NULL,
    at         INTEGER NOT NULL,
    came_at    INTEGER NOT NULL,
    skew_ms    INTEGER,
    body       TEXT NOT NULL
) STRICT;
CREATE INDEX dossier_record_device ON dossier_record (device_id, kind, at);

-- Where the fault of an outage was, as it was known at a time. Rows are only added: the last one counts.
-- confidence: in percent. is_final: no more is to come from the device.
CREATE TABLE verdict (
    id            INTEGER PRIMARY KEY AUTOINCREMENT,
    outage_id     INTEGER NOT NULL REFERENCES outage (id) ON DELETE CASCADE,
    at            INTEGER NOT NULL,
    code          TEXT NOT NULL,
    likeliest     TEXT,
    also          TEXT,
    sentence      TEXT NOT NULL,
    confidence    INTEGER NOT NULL CHECK (confidence BETWEEN 0 AND 100),
    who           TEXT NOT NULL,
    is_final      INTEGER NOT NULL CHECK (is_final IN (0, 1)),
    evidence      TEXT NOT NULL,
    not_measured  TEXT NOT NULL
) STRICT;
CREATE INDEX verdict_outage ON verdict (outage_id, id);

-- verdict_at: when to judge it next. told_began: when an agent's own outage began by the device's clock: by that it is
-- known again, since a call that took long to arrive shifts all times in it.
ALTER TABLE outage ADD COLUMN verdict_at INTEGER;
ALTER TABLE outage ADD COLUMN told_began INTEGER;
CREATE INDEX outage_verdict_at ON outage (verdict_at) WHERE verdict_at IS NOT NULL;
CREATE INDEX outage_started ON outage (started_at);

-- waiting: how many records the agent still has for us, as it last said.
ALTER TABLE agent ADD COLUMN waiting INTEGER NOT NULL DEFAULT 0;

-- Who brings the site its line, and what to tell them.
ALTER TABLE site ADD COLUMN provider TEXT NOT NULL DEFAULT '';
ALTER TABLE site ADD COLUMN circuit TEXT NOT NULL DEFAULT '';
ALTER TABLE site ADD COLUMN provider_phone TEXT NOT NULL DEFAULT '';
ALTER TABLE site ADD COLUMN provider_mail TEXT NOT NULL DEFAULT '';

-- A setting for a site or a device, over the one for all.
CREATE TABLE scoped_setting (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    key        TEXT NOT NULL,
    site_id    INTEGER REFERENCES site (id) ON DELETE CASCADE,
    device_id  INTEGER REFERENCES device (id) ON DELETE CASCADE,
    value      TEXT NOT NULL,
    CHECK ((site_id IS NULL) <> (device_id IS NULL))
) STRICT;
CREATE UNIQUE INDEX scoped_setting_site ON scoped_setting (site_id, key) WHERE site_id IS NOT NULL;
CREATE UNIQUE INDEX scoped_setting_device ON scoped_setting (device_id, key) WHERE device_id IS NOT NULL;
