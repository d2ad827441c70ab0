-- What agents recorded of a trouble, where its fault was, who is to act on it, and settings for a site or a device.

-- One record of a device's dossier, as its agent wrote it: a climb of the ladder, a gap, the agent's own outage.
-- at: the server's time of it. Which outage it belongs to follows from device and time.
CREATE TABLE dossier_record (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    device_id  INTEGER NOT NULL REFERENCES device (id) ON DELETE CASCADE,
    kind       TEXT NOT NULL CHECK (kind IN ('ladder', 'gap', 'outage')),
    at         INTEGER NOT NULL,
    came_at    INTEGER NOT NULL,
    body       TEXT NOT NULL
) STRICT;
CREATE INDEX dossier_record_device ON dossier_record (device_id, at);
