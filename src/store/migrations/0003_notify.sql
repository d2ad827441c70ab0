-- Who is told what: channels, who was told of which ticket, and what is still to be delivered.

-- Who is told, by which way, and of what. channel: how to reach it, with its secrets; a rota has none, but members.
-- wanted: a query for tickets. told_at: when it was last told something, for the grouping.
CREATE TABLE notify_entry (
    id            INTEGER PRIMARY KEY AUTOINCREMENT,
    name          TEXT NOT NULL UNIQUE,
    kind          TEXT NOT NULL,
    channel       TEXT,
    rota_from     INTEGER,
    rota_days     INTEGER,
    wanted        TEXT NOT NULL DEFAULT '',
    by_itself     INTEGER NOT NULL DEFAULT 1 CHECK (by_itself IN (0, 1)),
    after_ms      INTEGER,
    quiet         TEXT,
    quiet_passes  TEXT NOT NULL DEFAULT 'P1',
    time_zone     TEXT,
    person        TEXT,
    paused_at     INTEGER,
    told_at       INTEGER,
    created_at    INTEGER NOT NULL,
    CHECK ((kind = 'rota') = (channel IS NULL)),
    CHECK ((kind = 'rota') = (rota_from IS NOT NULL AND rota_days IS NOT NULL))
) STRICT;

CREATE TABLE notify_member (
    entry_id   INTEGER NOT NULL REFERENCES notify_entry (id) ON DELETE CASCADE,
    place      INTEGER NOT NULL,
    member_id  INTEGER NOT NULL REFERENCES notify_entry (id),
    PRIMARY KEY (entry_id, place),
    UNIQUE (entry_id, member_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX notify_member_back ON notify_member (member_id);

CREATE TABLE notify_swap (
    id        INTEGER PRIMARY KEY AUTOINCREMENT,
    entry_id  INTEGER NOT NULL REFERENCES notify_entry (id) ON DELETE CASCADE,
    who_id    INTEGER NOT NULL REFERENCES notify_entry (id),
    from_at   INTEGER NOT NULL,
    until_at  INTEGER NOT NULL,
    CHECK (from_at < until_at)
) STRICT;
CREATE INDEX notify_swap_entry ON notify_swap (entry_id, until_at);

-- How far a reader of the event log has come.
CREATE TABLE reader (
    name      TEXT PRIMARY KEY,
    event_id  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- What concerns the whole server: how it stands.
CREATE TABLE notify_wide (
    incident  TEXT PRIMARY KEY,
    standing  TEXT NOT NULL CHECK (standing IN ('broken', 'over', 'note')),
    title     TEXT NOT NULL,
    reason    TEXT NOT NULL DEFAULT '',
    since     INTEGER NOT NULL,
    until     INTEGER
) STRICT, WITHOUT ROWID;

-- What is to be looked at for an entry. look_at: when. fresh: news came since the last look. noted: among them some that
-- are told for themselves. owed: told whatever the rule says. event_id: the first of the news.
CREATE TABLE notify_look (
    entry_id   INTEGER NOT NULL REFERENCES notify_entry (id) ON DELETE CASCADE,
    incident   TEXT NOT NULL,
    ticket_id  INTEGER,
    look_at    INTEGER,
    fresh      INTEGER NOT NULL CHECK (fresh IN (0, 1)),
    noted      INTEGER NOT NULL CHECK (noted IN (0, 1)),
    owed       INTEGER NOT NULL CHECK (owed IN (0, 1)),
    event_id   INTEGER,
    PRIMARY KEY (entry_id, incident)
) STRICT, WITHOUT ROWID;
CREATE INDEX notify_look_at ON notify_look (look_at) WHERE look_at IS NOT NULL;

-- Who was told that something broke, and not yet that it is mended: how it was when he was last told.
CREATE TABLE notify_told (
    entry_id      INTEGER NOT NULL REFERENCES notify_entry (id) ON DELETE CASCADE,
    incident      TEXT NOT NULL,
    ticket_id     INTEGER,
    since         INTEGER NOT NULL,
    told_at       INTEGER NOT NULL,
    priority      TEXT,
    acknowledged  INTEGER NOT NULL CHECK (acknowledged IN (0, 1)),
    recurrences   INTEGER NOT NULL,
    PRIMARY KEY (entry_id, incident)
) STRICT, WITHOUT ROWID;
CREATE INDEX notify_told_incident ON notify_told (incident);

-- A message to an entry. key: by it the other end drops repeats. about: the incidents it tells of, with spaces between
-- them. claimed_until: somebody is sending it.
CREATE TABLE notify_delivery (
    id             INTEGER PRIMARY KEY AUTOINCREMENT,
    key            TEXT NOT NULL UNIQUE,
    entry_id       INTEGER NOT NULL REFERENCES notify_entry (id) ON DELETE CASCADE,
    incident       TEXT NOT NULL,
    about          TEXT NOT NULL,
    news           TEXT NOT NULL CHECK (news IN ('broke', 'changed', 'mended', 'note')),
    priority       TEXT,
    title          TEXT NOT NULL,
    text           TEXT NOT NULL,
    at             INTEGER NOT NULL,
    body           TEXT NOT NULL,
    created_at     INTEGER NOT NULL,
    due_at         INTEGER NOT NULL,
    attempts       INTEGER NOT NULL DEFAULT 0,
    error          TEXT NOT NULL DEFAULT '',
    state          TEXT NOT NULL CHECK (state IN ('waiting', 'sent', 'failed')),
    done_at        INTEGER,
    claimed_until  INTEGER
) STRICT;
CREATE INDEX notify_delivery_waiting ON notify_delivery (entry_id, id) WHERE state = 'waiting';
CREATE INDEX notify_delivery_done ON notify_delivery (done_at) WHERE done_at IS NOT NULL;
