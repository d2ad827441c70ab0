-- Sites, devices, checks, agents, readings, outages, tickets, events, settings, jobs.
-- Times are milliseconds since 1970 UTC; spans are milliseconds.

CREATE TABLE setting (
    key    TEXT PRIMARY KEY,
    value  TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- Numbers the server keeps about itself: when it was last alive, the version of the agents' configuration.
CREATE TABLE mark (
    key    TEXT PRIMARY KEY,
    value  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- What join tokens carry and tell: SHA-256 of the public key that the server shows, and where it listened last.
CREATE TABLE server (
    id        INTEGER PRIMARY KEY CHECK (id = 1),
    key_hash  BLOB NOT NULL,
    url       TEXT NOT NULL
) STRICT;

CREATE TABLE site (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    name        TEXT NOT NULL UNIQUE,
    time_zone   TEXT NOT NULL DEFAULT 'UTC',
    note        TEXT NOT NULL DEFAULT '',
    created_at  INTEGER NOT NULL
) STRICT;

CREATE TABLE device (
    id            INTEGER PRIMARY KEY AUTOINCREMENT,
    name          TEXT NOT NULL UNIQUE,
    site_id       INTEGER REFERENCES site (id),
    address       TEXT,
    address_from  TEXT NOT NULL DEFAULT 'agent' CHECK (address_from IN ('agent', 'seen', 'fixed')),
    dns_name      TEXT,
    importance    TEXT NOT NULL DEFAULT 'normal' CHECK (importance IN ('critical', 'high', 'normal', 'low')),
    state         TEXT NOT NULL DEFAULT 'unknown' CHECK (state IN ('unknown', 'up', 'degraded', 'down', 'unreachable')),
    state_since   INTEGER NOT NULL,
    reason        TEXT NOT NULL DEFAULT '',
    held_since    INTEGER,
    judge_at      INTEGER,
    paused_at     INTEGER,
    note          TEXT NOT NULL DEFAULT '',
    created_at    INTEGER NOT NULL
) STRICT;
CREATE INDEX device_site ON device (site_id);
CREATE INDEX device_judge_at ON device (judge_at) WHERE judge_at IS NOT NULL;

CREATE TABLE device_tag (
    device_id  INTEGER NOT NULL REFERENCES device (id) ON DELETE CASCADE,
    tag        TEXT NOT NULL,
    PRIMARY KEY (device_id, tag)
) STRICT, WITHOUT ROWID;

CREATE TABLE device_parent (
    device_id  INTEGER NOT NULL REFERENCES device (id) ON DELETE CASCADE,
    parent_id  INTEGER NOT NULL REFERENCES device (id) ON DELETE CASCADE,
    PRIMARY KEY (device_id, parent_id),
    CHECK (device_id <> parent_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX device_parent_back ON device_parent (parent_id);

-- Who reports for a device. The secret is random, 256 bits: its SHA-256 says nothing about it.
-- config: the version of the configuration at which its own last changed.
-- log, acked: the agent's database, and how far it has been taken in.
-- status_at, facts: when its status was last kept, and a hash of what seldom changes in it.
-- look_at: when to look whether the check-in came. It is moved when it is reached, not at every check-in.
CREATE TABLE agent (
    device_id         INTEGER PRIMARY KEY REFERENCES device (id) ON DELETE CASCADE,
    secret_hash       BLOB UNIQUE,
    check_id          INTEGER NOT NULL,
    config            INTEGER NOT NULL DEFAULT 0,
    log               TEXT NOT NULL DEFAULT '',
    acked             INTEGER NOT NULL DEFAULT 0,
    status_at         INTEGER NOT NULL DEFAULT 0,
    facts             INTEGER NOT NULL DEFAULT 0,
    joined_at         INTEGER NOT NULL,
    version           TEXT NOT NULL DEFAULT '',
    boot_id           TEXT NOT NULL DEFAULT '',
    started_at        INTEGER NOT NULL DEFAULT 0,
    skew_ms           INTEGER NOT NULL DEFAULT 0,
    seen_address      TEXT,
    reported_address  TEXT,
    last_check_in_at  INTEGER,
    look_at           INTEGER
) STRICT;
CREATE INDEX agent_look ON agent (look_at) WHERE look_at IS NOT NULL;

-- The newest status that was kept: at once when the network changed there, else now and then.
CREATE TABLE agent_status (
    device_id  INTEGER PRIMARY KEY REFERENCES device (id) ON DELETE CASCADE,
    at         INTEGER NOT NULL,
    status     TEXT NOT NULL
) STRICT;

-- How far the databases were taken in that an agent had before its present one.
CREATE TABLE agent_log (
    device_id  INTEGER NOT NULL REFERENCES device (id) ON DELETE CASCADE,
    log        TEXT NOT NULL,
    acked      INTEGER NOT NULL,
    PRIMARY KEY (device_id, log)
) STRICT, WITHOUT ROWID;

CREATE TABLE join_token (
    hash        BLOB PRIMARY KEY,
    device_id   INTEGER NOT NULL REFERENCES device (id) ON DELETE CASCADE,
    created_at  INTEGER NOT NULL,
    expires_at  INTEGER NOT NULL,
    used_at     INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX join_token_device ON join_token (device_id);

-- agent_id: the device whose agent runs the check; null: the agent inside the server.
-- nudge: counts up when somebody wants a result now.
-- awaited_until: how long a judgement waits for its first result.
-- due_at: for checks of the kind 'ping', when the next ping is missed.
CREATE TABLE checks (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    device_id   INTEGER NOT NULL REFERENCES device (id) ON DELETE CASCADE,
    kind        TEXT NOT NULL CHECK (kind IN ('check-in', 'icmp', 'tcp', 'http', 'ping', 'contact')),
    spec        TEXT NOT NULL DEFAULT '{}',
    cadence     TEXT,
    timeout_ms  INTEGER,
    agent_id    INTEGER REFERENCES device (id),
    ping_key    TEXT UNIQUE,
    nudge       INTEGER NOT NULL DEFAULT 0,
    awaited_until INTEGER,
    due_at      INTEGER,
    created_at  INTEGER NOT NULL
) STRICT;
CREATE INDEX checks_due ON checks (due_at) WHERE due_at IS NOT NULL;
CREATE INDEX checks_device ON checks (device_id);
CREATE INDEX checks_agent ON checks (agent_id);

-- What a check's results have made of it.
CREATE TABLE check_health (
    check_id        INTEGER PRIMARY KEY REFERENCES checks (id) ON DELETE CASCADE,
    status          TEXT NOT NULL CHECK (status IN ('unknown', 'ok', 'warn', 'soft', 'failed')),
    run             TEXT NOT NULL CHECK (run IN ('good', 'bad', 'blank')),
    count           INTEGER NOT NULL,
    since           INTEGER NOT NULL,
    last_at         INTEGER NOT NULL,
    good_at         INTEGER,
    run_since       INTEGER NOT NULL,
    rtt_us          INTEGER,
    loss_permille   INTEGER,
    message         TEXT NOT NULL DEFAULT ''
) STRICT;

-- Every single reading. Its place in its agent's log (seq) makes it one row however often it is sent; 0: not from a log.
CREATE TABLE reading (
    check_id         INTEGER NOT NULL,
    at               INTEGER NOT NULL,
    seq              INTEGER NOT NULL,
    outcome          INTEGER NOT NULL CHECK (outcome BETWEEN 0 AND 3),
    rtt_us           INTEGER,
    loss_permille    INTEGER,
    cpu_permille     INTEGER,
    memory_permille  INTEGER,
    disk_permille    INTEGER,
    PRIMARY KEY (check_id, at, seq)
) STRICT, WITHOUT ROWID;

-- ticket_at: when a ticket is due for it.
CREATE TABLE outage (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    device_id   INTEGER NOT NULL REFERENCES device (id) ON DELETE CASCADE,
    source      TEXT NOT NULL CHECK (source IN ('seen', 'agent')),
    started_at  INTEGER NOT NULL,
    ended_at    INTEGER,
    reason      TEXT NOT NULL DEFAULT '',
    tries       INTEGER,
    ticket_id   INTEGER REFERENCES ticket (id),
    ticket_at   INTEGER
) STRICT;
CREATE INDEX outage_device ON outage (device_id, started_at);
CREATE UNIQUE INDEX outage_open ON outage (device_id) WHERE ended_at IS NULL AND source = 'seen';
CREATE INDEX outage_ticket_at ON outage (ticket_at) WHERE ticket_at IS NOT NULL;

-- settle_at, rescore_at: when the ticket resolves itself, when its age next changes its score.
CREATE TABLE ticket (
    id                INTEGER PRIMARY KEY AUTOINCREMENT,
    kind              TEXT NOT NULL CHECK (kind IN ('outage', 'project', 'request')),
    state             TEXT NOT NULL CHECK (state IN ('open', 'waiting', 'recovered', 'resolved', 'closed', 'merged')),
    title             TEXT NOT NULL,
    device_id         INTEGER REFERENCES device (id) ON DELETE SET NULL,
    site_id           INTEGER REFERENCES site (id) ON DELETE SET NULL,
    priority          TEXT NOT NULL CHECK (priority IN ('P1', 'P2', 'P3', 'P4', 'P5')),
    score             INTEGER NOT NULL,
    assignee          TEXT,
    opened_at         INTEGER NOT NULL,
    opened_by         TEXT NOT NULL,
    acknowledged_at   INTEGER,
    touched_at        INTEGER,
    recovered_at      INTEGER,
    resolved_at       INTEGER,
    self_resolved_at  INTEGER,
    close_reason      TEXT,
    recurrences       INTEGER NOT NULL DEFAULT 0,
    settle_at         INTEGER,
    rescore_at        INTEGER
) STRICT;
CREATE INDEX ticket_device ON ticket (device_id);
CREATE UNIQUE INDEX ticket_one_trouble ON ticket (device_id)
    WHERE kind = 'outage' AND state IN ('open', 'waiting', 'recovered');
CREATE INDEX ticket_settle ON ticket (settle_at) WHERE settle_at IS NOT NULL;
CREATE INDEX ticket_rescore ON ticket (rescore_at) WHERE rescore_at IS NOT NULL;

CREATE TABLE ticket_affected (
    ticket_id  INTEGER NOT NULL REFERENCES ticket (id) ON DELETE CASCADE,
    device_id  INTEGER NOT NULL REFERENCES device (id) ON DELETE CASCADE,
    PRIMARY KEY (ticket_id, device_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE ticket_comment (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    ticket_id  INTEGER NOT NULL REFERENCES ticket (id) ON DELETE CASCADE,
    at         INTEGER NOT NULL,
    author     TEXT NOT NULL,
    text       TEXT NOT NULL
) STRICT;
CREATE INDEX ticket_comment_ticket ON ticket_comment (ticket_id);

-- The log of everything that happened. It outlives what it tells of, so it names it and does not refer to it.
CREATE TABLE event (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    at         INTEGER NOT NULL,
    kind       TEXT NOT NULL,
    actor      TEXT NOT NULL,
    device_id  INTEGER,
    site_id    INTEGER,
    ticket_id  INTEGER,
    body       TEXT NOT NULL DEFAULT '{}'
) STRICT;
CREATE INDEX event_device ON event (device_id, id) WHERE device_id IS NOT NULL;
CREATE INDEX event_ticket ON event (ticket_id, id) WHERE ticket_id IS NOT NULL;

CREATE TABLE job (
    name         TEXT PRIMARY KEY,
    last_due_at  INTEGER NOT NULL,
    last_ran_at  INTEGER,
    took_ms      INTEGER,
    outcome      TEXT NOT NULL DEFAULT ''
) STRICT, WITHOUT ROWID;
