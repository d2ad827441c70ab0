//! Users, and the links with which they sign in the first time.

use schedules::{Millis, Time};
use serde_json::json;

use crate::domain::event::{About, Kind};
use crate::domain::ids::UserId;
use crate::domain::name;
use crate::domain::user::{Role, User};
use crate::store::events::{self, Actor};
use crate::store::{Error, Result, Row, Tx, WriteTx, args, word};

/// How long a link opens the door.
pub const LINK: Millis = Millis::from_secs(7 * 86_400);
/// The most users.
const MOST: i64 = 10_000;

/// A user, with what is kept of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// Who it is.
    pub user: User,
    /// The hash of its password; absent: it chose none yet.
    pub password: Option<String>,
    /// The secret of its second factor, if it has one, and the last step that was used.
    pub factor: Option<(Vec<u8>, i64)>,
    /// When it was added.
    pub created_at: Time,
    /// When it signed in last.
    pub signed_in_at: Option<Time>,
    /// How many sessions it has.
    pub sessions: i64,
}

const SELECT: &str =
    "SELECT u.id, u.name, u.role, u.disabled_at, u.password, u.totp, u.totp_step, u.created_at,
    u.signed_in_at, (SELECT count(*) FROM session s WHERE s.user_id = u.id) FROM user u";

fn account(row: &Row<'_>) -> Result<Account> {
    let factor: Option<Vec<u8>> = row.get(5)?;
    let step: i64 = row.get(6)?;
    Ok(Account {
        user: User {
            id: UserId(row.get(0)?),
            name: row.get(1)?,
            role: word(row, 2)?,
            no_more_than: None,
            disabled_at: row.get(3)?,
        },
        password: row.get(4)?,
        factor: factor.map(|secret| (secret, step)),
        created_at: row.get(7)?,
        signed_in_at: row.get(8)?,
        sessions: row.get(9)?,
    })
}

/// All users, by name.
///
/// # Errors
/// The database's.
pub fn list(tx: &Tx) -> Result<Vec<Account>> {
    tx.all(&format!("{SELECT} ORDER BY u.name"), args![], account)
}

/// How many there are.
///
/// # Errors
/// The database's.
pub fn count(tx: &Tx) -> Result<i64> {
    tx.one("SELECT count(*) FROM user", args![], |row| row.get(0))
}

/// The user of that name.
///
/// # Errors
/// The database's.
pub fn find(tx: &Tx, name: &str) -> Result<Option<Account>> {
    tx.maybe(&format!("{SELECT} WHERE u.name = $1"), args![name.trim()], account)
}

/// The user of that name, who must be there.
///
/// # Errors
/// There is none, or the database's.
pub fn get(tx: &Tx, name: &str) -> Result<Account> {
    find(tx, name)?.ok_or_else(|| Error::NotFound(format!("there is no user '{}'", name.trim())))
}

/// That user.
///
/// # Errors
/// The database's.
pub fn of(tx: &Tx, id: UserId) -> Result<Account> {
    tx.one(&format!("{SELECT} WHERE u.id = $1"), args![id.0], account)
}

/// Adds a user, who cannot sign in yet.
///
/// # Errors
/// The name is none or taken, there are too many, or the database's.
pub fn add(tx: &WriteTx, name: &str, role: Role, by: &Actor) -> Result<Account> {
    let name = name::check(name).map_err(|e| Error::Usage(e.to_string()))?;
    if find(tx, name)?.is_some() {
        return Err(Error::Conflict(format!("there is a user '{name}' already")));
    }
    if count(tx)? >= MOST {
        return Err(Error::Refused(format!("{MOST} users are the most")));
    }
    let id = tx.id(
        "INSERT INTO user (name, role, created_at) VALUES ($1, $2, $3) RETURNING id",
        args![name, role.as_str(), tx.now],
    )?;
    told(tx, by, Kind::UserAdded, &json!({"user": name, "role": role.as_str()}))?;
    of(tx, UserId(id))
}

/// Writes down what happened to a user.
///
/// # Errors
/// The database's.
pub fn told(tx: &WriteTx, by: &Actor, kind: Kind, body: &serde_json::Value) -> Result<()> {
    events::record(tx, by, kind, About::default(), body)
}

/// Gives it another role.
///
/// # Errors
/// It is the last administrator, or the database's.
pub fn set_role(tx: &WriteTx, user: &User, role: Role, by: &Actor) -> Result<()> {
    if user.role == role {
        return Ok(());
    }
    if user.role == Role::Admin {
        not_the_last(tx, user)?;
    }
    tx.run("UPDATE user SET role = $2 WHERE id = $1", args![user.id.0, role.as_str()])?;
    let body = json!({"user": user.name, "from": user.role.as_str(), "to": role.as_str()});
    told(tx, by, Kind::UserRole, &body)
}

/// It may do nothing any more; its sessions end, its links and tokens open nothing.
///
/// # Errors
/// It is the last administrator, or the database's.
pub fn disable(tx: &WriteTx, user: &User, by: &Actor) -> Result<()> {
    if user.disabled_at.is_some() {
        return Ok(());
    }
    if user.role == Role::Admin {
        not_the_last(tx, user)?;
    }
    tx.run("UPDATE user SET disabled_at = $2 WHERE id = $1", args![user.id.0, tx.now])?;
    tx.run("DELETE FROM session WHERE user_id = $1", args![user.id.0])?;
    tx.run("DELETE FROM sign_in_link WHERE user_id = $1", args![user.id.0])?;
    told(tx, by, Kind::UserDisabled, &json!({"user": user.name}))
}

/// It may do again what it is here for.
///
/// # Errors
/// The database's.
pub fn enable(tx: &WriteTx, user: &User, by: &Actor) -> Result<()> {
    if user.disabled_at.is_none() {
        return Ok(());
    }
    tx.run("UPDATE user SET disabled_at = NULL WHERE id = $1", args![user.id.0])?;
    told(tx, by, Kind::UserEnabled, &json!({"user": user.name}))
}

fn not_the_last(tx: &Tx, user: &User) -> Result<()> {
    let others: i64 = tx.one(
        "SELECT count(*) FROM user WHERE role = 'admin' AND disabled_at IS NULL AND id <> $1",
        args![user.id.0],
        |row| row.get(0),
    )?;
    if others == 0 {
        return Err(Error::Refused(format!(
            "'{}' is the last administrator: make another one first",
            user.name
        )));
    }
    Ok(())
}

/// It has another password. Its sessions end, but for the one of `keep`.
///
/// # Errors
/// The database's.
pub fn set_password(
    tx: &WriteTx,
    user: &User,
    hash: &str,
    keep: Option<&[u8; 32]>,
    by: &Actor,
) -> Result<()> {
    tx.run("UPDATE user SET password = $2 WHERE id = $1", args![user.id.0, hash])?;
    tx.run("DELETE FROM sign_in_link WHERE user_id = $1", args![user.id.0])?;
    let keep = keep.map(|hash| hash.to_vec()).unwrap_or_default();
    tx.run("DELETE FROM session WHERE user_id = $1 AND hash <> $2", args![user.id.0, keep])?;
    told(tx, by, Kind::UserPassword, &json!({"user": user.name}))
}

/// It signs in with a second factor from now on; with `None`, not any more.
///
/// # Errors
/// The database's.
pub fn set_factor(
    tx: &WriteTx,
    user: &User,
    factor: Option<(&[u8], i64)>,
    recovery: &[[u8; 32]],
    by: &Actor,
) -> Result<()> {
    let (secret, step) = factor.map_or((None, 0), |(secret, step)| (Some(secret.to_vec()), step));
    tx.run("UPDATE user SET totp = $2, totp_step = $3 WHERE id = $1", args![user.id.0, secret, step])?;
    tx.run("DELETE FROM recovery_code WHERE user_id = $1", args![user.id.0])?;
    for hash in recovery {
        tx.run("INSERT INTO recovery_code (user_id, hash) VALUES ($1, $2)", args![user.id.0, hash.to_vec()])?;
    }
    told(tx, by, Kind::UserFactor, &json!({"user": user.name, "on": factor.is_some()}))
}

/// A step of its second factor was used: it is good once. False: somebody used it meanwhile.
///
/// # Errors
/// The database's.
pub fn use_step(tx: &WriteTx, user: &User, step: i64) -> Result<bool> {
    let done =
        tx.run("UPDATE user SET totp_step = $2 WHERE id = $1 AND totp_step < $2", args![user.id.0, step])?;
    Ok(done == 1)
}

/// A recovery code was used: it is good once. False: it is none.
///
/// # Errors
/// The database's.
pub fn use_recovery(tx: &WriteTx, user: &User, hash: &[u8; 32]) -> Result<bool> {
    let done = tx
        .run("DELETE FROM recovery_code WHERE user_id = $1 AND hash = $2", args![user.id.0, hash.to_vec()])?;
    Ok(done == 1)
}

/// Keeps a link with which it signs in once, to choose a password; those before it open nothing any more.
///
/// # Errors
/// The database's.
pub fn make_link(tx: &WriteTx, user: &User, hash: &[u8; 32], by: &Actor) -> Result<Time> {
    let until = tx.now + LINK;
    tx.run("DELETE FROM sign_in_link WHERE user_id = $1 OR until_at <= $2", args![user.id.0, tx.now])?;
    tx.run(
        "INSERT INTO sign_in_link (hash, user_id, until_at) VALUES ($1, $2, $3)",
        args![hash.to_vec(), user.id.0, until],
    )?;
    told(tx, by, Kind::UserLink, &json!({"user": user.name, "until": until}))?;
    Ok(until)
}

/// The user whom a link lets in.
///
/// # Errors
/// The database's.
pub fn by_link(tx: &Tx, hash: &[u8; 32]) -> Result<Option<Account>> {
    let id = tx.maybe(
        "SELECT l.user_id FROM sign_in_link l JOIN user u ON u.id = l.user_id
         WHERE l.hash = $1 AND l.until_at > $2 AND u.disabled_at IS NULL",
        args![hash.to_vec(), tx.now],
        |row| Ok(UserId(row.get(0)?)),
    )?;
    id.map(|id| of(tx, id)).transpose()
}
