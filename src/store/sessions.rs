//! Sessions of users at the page, tries that failed, and tokens of their programs.

use std::net::IpAddr;

use schedules::{Millis, Time};
use serde_json::json;

use crate::domain::event::Kind;
use crate::domain::ids::{SessionId, TokenId, UserId};
use crate::domain::user::{Role, User};
use crate::store::events::Actor;
use crate::store::users::{self, Account};
use crate::store::{Error, Result, Row, Tx, WriteTx, args, word};

/// After so long without a sign a session ends.
pub const IDLE: Millis = Millis::from_secs(12 * 3_600);
/// After so long it ends in any case.
pub const LONGEST: Millis = Millis::from_secs(14 * 86_400);
/// A session's last sign is written this seldom.
const SEEN: Millis = Millis::from_secs(60);
/// The most sessions of one user: the oldest one ends.
const MOST: i64 = 50;
/// The most tokens of one user.
const MOST_TOKENS: i64 = 100;
/// So many tries that fail are free.
const FREE: i64 = 4;
/// The longest wait after those.
const LONGEST_WAIT: i64 = 900_000;
/// After so long nobody remembers a failure.
const FORGOTTEN: Millis = Millis::from_secs(86_400);
/// The most failures that are remembered: an attack from many addresses must not fill the disk.
const MOST_FAILURES: i64 = 100_000;

/// A session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// Its number.
    pub id: SessionId,
    /// Whose it is.
    pub user: UserId,
    /// What its forms carry.
    pub form: String,
    /// When it began.
    pub began_at: Time,
    /// When it was used last, to the minute.
    pub seen_at: Time,
    /// When it ends in any case.
    pub until_at: Time,
    /// From where it was begun.
    pub address: String,
    /// What the browser said it is.
    pub browser: String,
}

const SELECT: &str =
    "SELECT s.id, s.user_id, s.form, s.began_at, s.seen_at, s.until_at, s.address, s.browser FROM session s";

fn session(row: &Row<'_>) -> Result<Session> {
    Ok(Session {
        id: SessionId(row.get(0)?),
        user: UserId(row.get(1)?),
        form: row.get(2)?,
        began_at: row.get(3)?,
        seen_at: row.get(4)?,
        until_at: row.get(5)?,
        address: row.get(6)?,
        browser: row.get(7)?,
    })
}

/// What begins a session.
pub struct New<'a> {
    /// The hash of its cookie.
    pub hash: [u8; 32],
    /// What its forms carry.
    pub form: &'a str,
    /// From where.
    pub address: IpAddr,
    /// What the browser says it is.
    pub browser: &'a str,
}

/// Lets a user in.
///
/// # Errors
/// The database's.
pub fn begin(tx: &WriteTx, user: &User, new: &New<'_>) -> Result<()> {
    let browser: String = new.browser.chars().filter(|c| !c.is_control()).take(200).collect();
    let address = new.address.to_string();
    tx.run("DELETE FROM session WHERE until_at <= $1 OR seen_at <= $2", args![tx.now, tx.now - IDLE])?;
    tx.run(
        "INSERT INTO session (hash, user_id, form, began_at, seen_at, until_at, address, browser)
         VALUES ($1, $2, $3, $4, $4, $5, $6, $7)",
        args![new.hash.to_vec(), user.id.0, new.form, tx.now, tx.now + LONGEST, address.as_str(), browser],
    )?;
    tx.run(
        "DELETE FROM session WHERE user_id = $1 AND id NOT IN
         (SELECT id FROM session WHERE user_id = $1 ORDER BY id DESC LIMIT $2)",
        args![user.id.0, MOST],
    )?;
    tx.run("UPDATE user SET signed_in_at = $2 WHERE id = $1", args![user.id.0, tx.now])?;
    let body = json!({"user": user.name, "address": address});
    users::told(tx, &Actor::Person(user.name.clone()), Kind::SignedIn, &body)
}

/// The session of a cookie, with its user, if it lasts.
///
/// # Errors
/// The database's.
pub fn by_cookie(tx: &Tx, hash: &[u8; 32]) -> Result<Option<(Session, Account)>> {
    let sql = format!("{SELECT} WHERE s.hash = $1 AND s.until_at > $2 AND s.seen_at > $3");
    let found = tx.maybe(&sql, args![hash.to_vec(), tx.now, tx.now - IDLE], session)?;
    let Some(found) = found else { return Ok(None) };
    let account = users::of(tx, found.user)?;
    Ok(Some((found, account)).filter(|(_, account)| account.user.disabled_at.is_none()))
}

/// Whether it is time to write down that a session is used.
#[must_use]
pub fn is_seen_long_ago(session: &Session, now: Time) -> bool {
    now.since(session.seen_at) >= SEEN
}

/// A session is used.
///
/// # Errors
/// The database's.
pub fn seen(tx: &WriteTx, id: SessionId) -> Result<()> {
    tx.run("UPDATE session SET seen_at = $2 WHERE id = $1", args![id.0, tx.now]).map(drop)
}

/// The sessions of a user that last, the newest first.
///
/// # Errors
/// The database's.
pub fn list(tx: &Tx, user: UserId) -> Result<Vec<Session>> {
    let sql =
        format!("{SELECT} WHERE s.user_id = $1 AND s.until_at > $2 AND s.seen_at > $3 ORDER BY s.id DESC");
    tx.all(&sql, args![user.0, tx.now, tx.now - IDLE], session)
}

/// Ends a session of a user.
///
/// # Errors
/// There is none of that number, or the database's.
pub fn end(tx: &WriteTx, user: &User, id: SessionId, by: &Actor) -> Result<()> {
    let done = tx.run("DELETE FROM session WHERE id = $1 AND user_id = $2", args![id.0, user.id.0])?;
    if done == 0 {
        return Err(Error::NotFound(format!("'{}' has no session {id}", user.name)));
    }
    users::told(tx, by, Kind::SessionEnded, &json!({"user": user.name, "session": id.0}))
}

/// Ends all sessions of a user.
///
/// # Errors
/// The database's.
pub fn end_all(tx: &WriteTx, user: &User, by: &Actor) -> Result<usize> {
    let done = tx.run("DELETE FROM session WHERE user_id = $1", args![user.id.0])?;
    users::told(tx, by, Kind::SessionEnded, &json!({"user": user.name, "sessions": done}))?;
    Ok(done)
}

/// How long the next try waits after so many that failed.
fn wait(count: i64) -> Millis {
    if count <= FREE {
        return Millis::ZERO;
    }
    let power = u32::try_from((count - FREE).min(20)).unwrap_or(20);
    Millis(1_000_i64.saturating_mul(1 << power).min(LONGEST_WAIT))
}

/// Until when nobody may try: by the account, or from that address.
///
/// # Errors
/// The database's.
pub fn held_until(tx: &Tx, of: &[String]) -> Result<Option<Time>> {
    let mut until = None;
    for what in of {
        let one = tx.maybe(
            "SELECT until_at FROM sign_in_failure WHERE what = $1 AND until_at > $2",
            args![what.as_str(), tx.now],
            |row| row.get::<Time>(0),
        )?;
        until = until.max(one);
    }
    Ok(until)
}

/// A try failed.
///
/// # Errors
/// The database's.
pub fn failed(tx: &WriteTx, of: &[String]) -> Result<()> {
    tx.run("DELETE FROM sign_in_failure WHERE last_at <= $1", args![tx.now - FORGOTTEN])?;
    let many: i64 = tx.one("SELECT count(*) FROM sign_in_failure", args![], |row| row.get(0))?;
    if many >= MOST_FAILURES {
        // Those that guessed least make room: whoever invents names and addresses does not get others forgotten.
        tx.run(
            "DELETE FROM sign_in_failure WHERE what IN
             (SELECT what FROM sign_in_failure ORDER BY count, last_at LIMIT $1)",
            args![MOST_FAILURES / 100],
        )?;
    }
    for what in of {
        let known =
            tx.maybe("SELECT count FROM sign_in_failure WHERE what = $1", args![what.as_str()], |row| {
                row.get::<i64>(0)
            })?;
        let count = known.unwrap_or(0) + 1;
        tx.run(
            "INSERT INTO sign_in_failure (what, count, last_at, until_at) VALUES ($1, $2, $3, $4)
             ON CONFLICT (what) DO UPDATE SET count = excluded.count, last_at = excluded.last_at,
             until_at = excluded.until_at",
            args![what.as_str(), count, tx.now, tx.now + wait(count)],
        )?;
    }
    Ok(())
}

/// A try was good: what failed before it is forgotten.
///
/// # Errors
/// The database's.
pub fn succeeded(tx: &WriteTx, of: &[String]) -> Result<()> {
    for what in of {
        tx.run("DELETE FROM sign_in_failure WHERE what = $1", args![what.as_str()])?;
    }
    Ok(())
}

/// A token of a program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    /// Its number.
    pub id: TokenId,
    /// Whose it is.
    pub user: String,
    /// What it is called.
    pub name: String,
    /// It allows no more than that.
    pub role: Role,
    /// When it was made.
    pub created_at: Time,
    /// Until when it is good.
    pub until_at: Option<Time>,
    /// When it was used last, to the minute.
    pub seen_at: Option<Time>,
}

const TOKENS: &str =
    "SELECT t.id, u.name, t.name, t.role, t.created_at, t.until_at, t.seen_at FROM api_token t
    JOIN user u ON u.id = t.user_id";

fn token(row: &Row<'_>) -> Result<Token> {
    Ok(Token {
        id: TokenId(row.get(0)?),
        user: row.get(1)?,
        name: row.get(2)?,
        role: word(row, 3)?,
        created_at: row.get(4)?,
        until_at: row.get(5)?,
        seen_at: row.get(6)?,
    })
}

/// All tokens, or those of one user.
///
/// # Errors
/// The database's.
pub fn tokens(tx: &Tx, user: Option<UserId>) -> Result<Vec<Token>> {
    let sql = format!("{TOKENS} WHERE $1 IS NULL OR t.user_id = $1 ORDER BY u.name, t.name");
    tx.all(&sql, args![user.map(|user| user.0)], token)
}

/// The token of that number.
///
/// # Errors
/// There is none, or the database's.
pub fn token_of(tx: &Tx, id: TokenId) -> Result<Token> {
    tx.maybe(&format!("{TOKENS} WHERE t.id = $1"), args![id.0], token)?
        .ok_or_else(|| Error::NotFound(format!("there is no token {id}")))
}

/// Makes one.
///
/// # Errors
/// The user has one of that name, or too many; its end has passed; or the database's.
pub fn add_token(
    tx: &WriteTx,
    user: &User,
    (name, role): (&str, Role),
    hash: &[u8; 32],
    until_at: Option<Time>,
    by: &Actor,
) -> Result<Token> {
    let name = crate::domain::name::check(name).map_err(|e| Error::Usage(e.to_string()))?;
    let all = tokens(tx, Some(user.id))?;
    if all.iter().any(|token| token.name == name) {
        return Err(Error::Conflict(format!("'{}' has a token '{name}' already", user.name)));
    }
    if i64::try_from(all.len()).unwrap_or(MOST_TOKENS) >= MOST_TOKENS {
        return Err(Error::Refused(format!("{MOST_TOKENS} tokens are the most for one user")));
    }
    if until_at.is_some_and(|until| until <= tx.now) {
        return Err(Error::Usage("a token's end lies ahead".to_owned()));
    }
    let id = tx.id(
        "INSERT INTO api_token (hash, user_id, name, role, created_at, until_at) VALUES ($1, $2, $3, $4, $5, $6)
         RETURNING id",
        args![hash.to_vec(), user.id.0, name, role.as_str(), tx.now, until_at],
    )?;
    let body = json!({"user": user.name, "token": name, "role": role.as_str(), "until": until_at});
    users::told(tx, by, Kind::ApiTokenAdded, &body)?;
    token_of(tx, TokenId(id))
}

/// Takes one back.
///
/// # Errors
/// There is none of that number, or the database's.
pub fn revoke(tx: &WriteTx, id: TokenId, by: &Actor) -> Result<Token> {
    let token = token_of(tx, id)?;
    tx.run("DELETE FROM api_token WHERE id = $1", args![id.0])?;
    users::told(tx, by, Kind::ApiTokenRevoked, &json!({"user": token.user, "token": token.name}))?;
    Ok(token)
}

/// Whom a token lets in, and whether it is time to write down that it was used.
///
/// # Errors
/// The database's.
pub fn by_token(tx: &Tx, hash: &[u8; 32]) -> Result<Option<(TokenId, User, bool)>> {
    let found = tx.maybe(
        "SELECT t.id, t.user_id, t.role, t.seen_at FROM api_token t
         WHERE t.hash = $1 AND (t.until_at IS NULL OR t.until_at > $2)",
        args![hash.to_vec(), tx.now],
        |row| {
            Ok((
                TokenId(row.get(0)?),
                UserId(row.get(1)?),
                word::<Role>(row, 2)?,
                row.get::<Option<Time>>(3)?,
            ))
        },
    )?;
    let Some((id, user, role, seen_at)) = found else { return Ok(None) };
    let user = User { no_more_than: Some(role), ..users::of(tx, user)?.user };
    let seldom = seen_at.is_none_or(|seen| tx.now.since(seen) >= SEEN);
    Ok(Some((id, user, seldom)).filter(|(_, user, _)| user.disabled_at.is_none()))
}

/// A token is used.
///
/// # Errors
/// The database's.
pub fn token_seen(tx: &WriteTx, id: TokenId) -> Result<()> {
    tx.run("UPDATE api_token SET seen_at = $2 WHERE id = $1", args![id.0, tx.now]).map(drop)
}

/// The answer that a call with this word got, if it was the same call.
///
/// # Errors
/// The word was used for another call, or the database's.
pub fn answered(tx: &Tx, user: UserId, word: &str, call: &[u8; 32]) -> Result<Option<String>> {
    let found = tx.maybe(
        "SELECT call, answer FROM api_call WHERE user_id = $1 AND word = $2",
        args![user.0, word],
        |row| Ok((row.get::<Vec<u8>>(0)?, row.get::<String>(1)?)),
    )?;
    match found {
        Some((before, answer)) if before == call => Ok(Some(answer)),
        Some(_) => Err(Error::Conflict(format!("the idempotency key '{word}' was used for another call"))),
        None => Ok(None),
    }
}

/// Forgets the answers that are older than a day; how many.
///
/// # Errors
/// The database's.
pub fn prune_calls(tx: &WriteTx) -> Result<usize> {
    tx.run("DELETE FROM api_call WHERE at <= $1", args![tx.now - FORGOTTEN])
}

/// Keeps the answer that a call with this word got, for a day.
///
/// # Errors
/// The database's.
pub fn keep_answer(tx: &WriteTx, user: UserId, word: &str, call: &[u8; 32], answer: &str) -> Result<()> {
    prune_calls(tx)?;
    tx.run(
        "INSERT INTO api_call (user_id, word, call, answer, at) VALUES ($1, $2, $3, $4, $5)",
        args![user.0, word, call.to_vec(), answer, tx.now],
    )?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_tries_are_free_and_then_each_waits_twice_as_long_up_to_a_quarter_of_an_hour() {
        let waits = [0, 4, 5, 6, 10, 13, 14, 1_000].map(|count| wait(count).0 / 1_000);
        assert_eq!(waits, [0, 0, 2, 4, 64, 512, 900, 900]);
    }
}
