//! What was asked: the words in the path, the query and the form, and who asks.

use std::net::IpAddr;

use axum::http::{HeaderMap, Method};

use crate::domain::user::{Right, User, may};
use crate::store::events::Actor;
use crate::store::sessions::Session;
use crate::web::Web;
use crate::web::answer::Trouble;

/// A request, as handlers see it.
pub struct Asked {
    /// What all share.
    pub web: Web,
    /// How it was asked.
    pub method: Method,
    /// The path, as it came.
    pub path: String,
    /// The words in the path, by their names in the route.
    pub words: Vec<(String, String)>,
    /// What stands behind the question mark.
    pub query: Vec<(String, String)>,
    /// What a form holds.
    pub form: Vec<(String, String)>,
    /// The body, where it is no form.
    pub body: Vec<u8>,
    /// The headers.
    pub headers: HeaderMap,
    /// From where.
    pub peer: IpAddr,
    /// Who asks.
    pub who: Who,
}

/// Who asks.
#[derive(Clone, Debug)]
pub enum Who {
    /// Nobody that is known.
    Nobody,
    /// A person with a session at the page.
    Person(User, Session),
    /// A program with a token.
    Program(User),
}

impl Who {
    /// The user, where it is known.
    #[must_use]
    pub fn user(&self) -> Option<&User> {
        match self {
            Who::Nobody => None,
            Who::Person(user, _) | Who::Program(user) => Some(user),
        }
    }

    /// Whether it may do that.
    #[must_use]
    pub fn may(&self, right: Right) -> bool {
        self.user().is_some_and(|user| may(user, right))
    }
}

impl Asked {
    /// The path with what stands behind the question mark.
    #[must_use]
    pub fn whole_path(&self) -> String {
        if self.query.is_empty() {
            return self.path.clone();
        }
        let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(&self.query).finish();
        format!("{}?{query}", self.path)
    }

    /// A word of the path; empty where the route has none of that name.
    #[must_use]
    pub fn word(&self, name: &str) -> &str {
        first(&self.words, name).unwrap_or_default()
    }

    /// What the query says of something.
    #[must_use]
    pub fn asks(&self, name: &str) -> Option<&str> {
        first(&self.query, name).filter(|text| !text.is_empty())
    }

    /// What the form says of something; nothing where it is empty.
    #[must_use]
    pub fn said(&self, name: &str) -> Option<&str> {
        first(&self.form, name).filter(|text| !text.is_empty())
    }

    /// A header's text.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// The user that asks.
    ///
    /// # Errors
    /// Nobody is signed in.
    pub fn user(&self) -> Result<&User, Trouble> {
        self.who.user().ok_or(Trouble::SignIn)
    }

    /// Who stands in the log for what this changes.
    ///
    /// # Errors
    /// Nobody is signed in.
    pub fn actor(&self) -> Result<Actor, Trouble> {
        self.user().map(|user| Actor::Person(user.name.clone()))
    }

    /// What forms carry, so that nobody else's page can send them; empty where there is no session.
    #[must_use]
    pub fn form_token(&self) -> &str {
        match &self.who {
            Who::Person(_, session) => &session.form,
            Who::Nobody | Who::Program(_) => "",
        }
    }
}

fn first<'a>(all: &'a [(String, String)], name: &str) -> Option<&'a str> {
    all.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
}
