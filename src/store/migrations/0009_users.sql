-- Who may do what, and how they prove who they are.

-- password: an Argon2id hash in its standard form; null: none was chosen yet. totp: the shared secret, sealed by nothing
-- but this file's rights; totp_step: the last step that was used. signed_in_at: the last time.
CREATE TABLE user (
    id           INTEGER PRIMARY KEY AUTOINCREMENT,
    name         TEXT NOT NULL COLLATE NOCASE UNIQUE,
    role         TEXT NOT NULL CHECK (role IN ('viewer', 'operator', 'billing', 'admin')),
    password     TEXT,
    totp         BLOB,
    totp_step    INTEGER NOT NULL DEFAULT 0,
    created_at   INTEGER NOT NULL,
    signed_in_at INTEGER,
    disabled_at  INTEGER
) STRICT;

-- Codes that each open the door once where the second factor is lost: SHA-256 hashes.
CREATE TABLE recovery_code (
    user_id  INTEGER NOT NULL REFERENCES user (id) ON DELETE CASCADE,
    hash     BLOB NOT NULL,
    PRIMARY KEY (user_id, hash)
) STRICT, WITHOUT ROWID;

-- A link that opens the door once, to choose a password.
CREATE TABLE sign_in_link (
    hash      BLOB PRIMARY KEY,
    user_id   INTEGER NOT NULL REFERENCES user (id) ON DELETE CASCADE,
    until_at  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- hash: of the cookie. form: what forms carry, so that nobody else's page can send them.
CREATE TABLE session (
    id        INTEGER PRIMARY KEY AUTOINCREMENT,
    hash      BLOB NOT NULL UNIQUE,
    user_id   INTEGER NOT NULL REFERENCES user (id) ON DELETE CASCADE,
    form      TEXT NOT NULL,
    began_at  INTEGER NOT NULL,
    seen_at   INTEGER NOT NULL,
    until_at  INTEGER NOT NULL,
    address   TEXT NOT NULL,
    browser   TEXT NOT NULL
) STRICT;
CREATE INDEX session_user ON session (user_id);

-- What programs show. role: no more than that.
CREATE TABLE api_token (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    hash        BLOB NOT NULL UNIQUE,
    user_id     INTEGER NOT NULL REFERENCES user (id) ON DELETE CASCADE,
    name        TEXT NOT NULL,
    role        TEXT NOT NULL CHECK (role IN ('viewer', 'operator', 'billing', 'admin')),
    created_at  INTEGER NOT NULL,
    until_at    INTEGER,
    seen_at     INTEGER,
    UNIQUE (user_id, name)
) STRICT;

-- Tries to sign in that failed, by account and by address: until when the next one waits.
CREATE TABLE sign_in_failure (
    what      TEXT PRIMARY KEY,
    count     INTEGER NOT NULL,
    last_at   INTEGER NOT NULL,
    until_at  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Changes that a program called for with a word of its own: a second call is answered as the first one was.
CREATE TABLE api_call (
    user_id  INTEGER NOT NULL REFERENCES user (id) ON DELETE CASCADE,
    word     TEXT NOT NULL,
    call     BLOB NOT NULL,
    answer   TEXT NOT NULL,
    at       INTEGER NOT NULL,
    PRIMARY KEY (user_id, word)
) STRICT, WITHOUT ROWID;
CREATE INDEX api_call_at ON api_call (at);
