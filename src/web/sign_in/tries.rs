//! Tries at a password: those that fail slow down by the account and by the address, wherever a password is asked for.
//! A browser in which that user signed in before counts for itself: whoever guesses from elsewhere does not keep its user
//! out.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::json;

use crate::domain::event::Kind;
use crate::domain::user::PASSWORD;
use crate::secret;
use crate::store::events::Actor;
use crate::store::users::Account;
use crate::store::{sessions, users};
use crate::web::answer::Trouble;
use crate::web::asked::Asked;
use crate::web::body::Peer;
use crate::web::door::KNOWN;

/// What a browser shows in which a user signed in, by the hash of the password: with another one it is not known any more.
pub fn known_by(password: Option<&str>) -> Option<String> {
    password.map(|hash| URL_SAFE_NO_PAD.encode(secret::hash(&format!("a browser that is known by {hash}"))))
}

/// A try: what it counts against.
pub struct Try<'a> {
    asked: &'a Asked,
    counts: [String; 2],
}

impl Try<'_> {
    /// A try to be the user of that name, whose account that is.
    ///
    /// # Errors
    /// Too many failed before: it has to wait; or the database's.
    pub fn begin<'a>(asked: &'a Asked, name: &str, account: Option<&Account>) -> Result<Try<'a>, Trouble> {
        let known = known_by(account.and_then(|account| account.password.as_deref()));
        let shown = KNOWN.of(&asked.web, &asked.headers);
        let account = match (known, shown) {
            (Some(known), Some(shown)) if secret::same(&known, &shown) => format!("browser:{known}"),
            _ => format!("account:{}", name.to_lowercase().chars().take(64).collect::<String>()),
        };
        let counts = [account, format!("address:{}", Peer(asked.peer).network())];
        let app = &asked.web.app;
        match app.store.read(|tx| sessions::held_until(tx, &counts))? {
            Some(until) => Err(Trouble::Later(until.since(app.clock.now()))),
            None => Ok(Try { asked, counts }),
        }
    }

    /// Whether that is the password of that account. Where there is none it takes as long.
    ///
    /// # Errors
    /// Too many passwords are looked at just now.
    pub fn is_password(&self, said: &str, account: Option<&Account>) -> Result<bool, Trouble> {
        let hash = account.and_then(|account| account.password.as_deref());
        self.asked
            .web
            .hashing
            .alone(|| said.chars().count() <= *PASSWORD.end() && secret::is_password(said, hash))
    }

    /// It failed; `user`: whom it was about, where that is known.
    ///
    /// # Errors
    /// The database's.
    pub fn failed(self, user: Option<String>) -> Result<(), Trouble> {
        let body = json!({"user": user, "address": self.asked.peer});
        Ok(self.asked.web.app.store.write(move |tx| {
            sessions::failed(tx, &self.counts)?;
            users::told(tx, &Actor::System, Kind::SignInRefused, &body)
        })?)
    }

    /// It was good: what failed before is forgotten.
    ///
    /// # Errors
    /// The database's.
    pub fn succeeded(self) -> Result<(), Trouble> {
        Ok(self.asked.web.app.store.write(move |tx| sessions::succeeded(tx, &self.counts))?)
    }
}
