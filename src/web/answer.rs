//! What is answered, and what went wrong.

use axum::body::Body;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_TYPE, LOCATION, RETRY_AFTER, SET_COOKIE,
};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::Response;
use maud::Markup;
use schedules::Millis;

use crate::store;
use crate::web::verbs::{Refused, Why};

/// An answer.
pub struct Answer {
    /// Its status.
    pub status: StatusCode,
    /// Its headers, besides those that every answer has.
    pub headers: Vec<(HeaderName, String)>,
    /// Its body.
    pub body: Body,
}

/// Why there is no such answer.
#[derive(Debug)]
pub enum Trouble {
    /// Somebody must sign in first.
    SignIn,
    /// Whoever asks may not.
    NotAllowed(String),
    /// There is no such thing.
    NotFound(String),
    /// What was said makes no sense.
    Bad(String),
    /// The body cannot be read at all.
    Body(String),
    /// The path is right, and the method is not: there are these.
    Method(String),
    /// It was not done.
    Refused(Refused),
    /// Not now.
    Later(Millis),
    /// It failed.
    Failed(String),
}

impl Answer {
    /// A body of some kind.
    #[must_use]
    pub fn of(kind: &str, body: impl Into<Body>) -> Answer {
        Answer { status: StatusCode::OK, headers: vec![(CONTENT_TYPE, kind.to_owned())], body: body.into() }
    }

    /// A page.
    #[must_use]
    pub fn html(page: Markup) -> Answer {
        Answer::of("text/html; charset=utf-8", page.into_string()).with(CACHE_CONTROL, "no-store")
    }

    /// JSON.
    #[must_use]
    pub fn json(value: &serde_json::Value) -> Answer {
        Answer::of("application/json", value.to_string()).with(CACHE_CONTROL, "no-store")
    }

    /// Look there: what was asked for is done.
    #[must_use]
    pub fn see(path: &str) -> Answer {
        let mut answer = Answer::of("text/plain; charset=utf-8", "").with(LOCATION, path);
        answer.status = StatusCode::SEE_OTHER;
        answer
    }

    /// A file to keep.
    #[must_use]
    pub fn file(kind: &str, name: &str, body: impl Into<Body>) -> Answer {
        let safe: String = name.chars().filter(|c| c.is_ascii_alphanumeric() || "-_.".contains(*c)).collect();
        Answer::of(kind, body).with(CONTENT_DISPOSITION, format!("attachment; filename=\"{safe}\""))
    }

    /// With a header.
    #[must_use]
    pub fn with(mut self, name: HeaderName, value: impl Into<String>) -> Answer {
        self.headers.push((name, value.into()));
        self
    }

    /// With a cookie.
    #[must_use]
    pub fn cookie(self, cookie: String) -> Answer {
        self.with(SET_COOKIE, cookie)
    }

    /// With another status.
    #[must_use]
    pub fn status(mut self, status: StatusCode) -> Answer {
        self.status = status;
        self
    }

    /// As it goes out.
    #[must_use]
    pub fn into_response(self) -> Response {
        let mut response = Response::new(self.body);
        *response.status_mut() = self.status;
        for (name, value) in self.headers {
            // A value with a line break in it is no header: it is left out.
            if let Ok(value) = HeaderValue::from_str(&value) {
                response.headers_mut().append(name, value);
            }
        }
        response
    }
}

impl Trouble {
    /// The status that tells of it.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        match self {
            Trouble::SignIn => StatusCode::UNAUTHORIZED,
            Trouble::NotAllowed(_) => StatusCode::FORBIDDEN,
            Trouble::NotFound(_) => StatusCode::NOT_FOUND,
            Trouble::Bad(_) => StatusCode::UNPROCESSABLE_ENTITY,
            Trouble::Body(_) => StatusCode::BAD_REQUEST,
            Trouble::Method(_) => StatusCode::METHOD_NOT_ALLOWED,
            Trouble::Later(_) => StatusCode::TOO_MANY_REQUESTS,
            Trouble::Failed(_) => StatusCode::INTERNAL_SERVER_ERROR,
            Trouble::Refused(refused) => match refused.why {
                Why::Usage => StatusCode::UNPROCESSABLE_ENTITY,
                Why::NotFound => StatusCode::NOT_FOUND,
                Why::NotAllowed => StatusCode::FORBIDDEN,
                Why::Conflict | Why::Refused => StatusCode::CONFLICT,
                Why::Changed => StatusCode::PRECONDITION_FAILED,
                Why::Failed => StatusCode::INTERNAL_SERVER_ERROR,
            },
        }
    }

    /// What to tell a person.
    #[must_use]
    pub fn sentence(&self) -> String {
        match self {
            Trouble::SignIn => {
                "sign in first; a token that was sent opens nothing here: it is mistyped, over, or revoked"
                    .to_owned()
            }
            Trouble::NotAllowed(text)
            | Trouble::NotFound(text)
            | Trouble::Bad(text)
            | Trouble::Body(text) => text.clone(),
            Trouble::Method(allowed) => format!("this path takes {allowed}"),
            Trouble::Later(wait) => format!("too many tries: wait {wait}"),
            // What failed inside is for the log.
            Trouble::Failed(_) => "it failed; the log of lineman says why".to_owned(),
            Trouble::Refused(refused) => match &refused.hint {
                Some(hint) => format!("{}: {hint}", refused.message),
                None => refused.message.clone(),
            },
        }
    }

    /// The header that says how long to wait, where that is so.
    #[must_use]
    pub fn retry_after(&self) -> Option<(HeaderName, String)> {
        match self {
            Trouble::Later(wait) => Some((RETRY_AFTER, (wait.0.max(1_000) / 1_000).to_string())),
            _ => None,
        }
    }
}

impl From<Refused> for Trouble {
    fn from(refused: Refused) -> Trouble {
        Trouble::Refused(refused)
    }
}

impl From<store::Error> for Trouble {
    fn from(error: store::Error) -> Trouble {
        match error {
            store::Error::NotFound(text) => Trouble::NotFound(text),
            store::Error::Usage(text) => Trouble::Bad(text),
            store::Error::Refused(text) => Trouble::Refused(Refused::new(Why::Refused, text)),
            store::Error::Conflict(text) => Trouble::Refused(Refused::new(Why::Conflict, text)),
            error => Trouble::Failed(error.to_string()),
        }
    }
}
