//! What happens, as it happens: a stream of server-sent events that says that the log has grown. A page then asks for itself
//! anew, so that what is live is never another thing than what is asked for.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::body::Body;
use axum::http::header::CACHE_CONTROL;
use schedules::Millis;
use tokio::sync::{mpsc, watch};

use crate::domain::ids::UserId;
use crate::secret;
use crate::store::{self, events, sessions};
use crate::web::Web;
use crate::web::answer::{Answer, Trouble};
use crate::web::asked::{Asked, Who};
use crate::web::door;

/// The most streams, and the most of one user.
const MOST: usize = 500;
const MOST_OF_ONE: usize = 20;
/// How often the log is looked at while anybody listens.
const LOOK: Duration = Duration::from_millis(300);
/// How often a word is sent while nothing happens, so that nobody on the way thinks the stream is dead.
const SIGN: Duration = Duration::from_secs(15);
/// A reader that takes nothing for so long is dropped.
const PATIENCE: Duration = Duration::from_secs(20);

/// Who listens.
#[derive(Clone)]
pub struct Streams {
    open: Arc<Mutex<HashMap<UserId, usize>>>,
    newest: watch::Sender<i64>,
    closing: watch::Sender<bool>,
}

impl Default for Streams {
    fn default() -> Streams {
        Streams { open: Arc::default(), newest: watch::Sender::new(0), closing: watch::Sender::new(false) }
    }
}

/// A place among the streams, until this goes out of sight.
struct Place(Streams, UserId);

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.0.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = open.get_mut(&self.1) {
            *count -= 1;
            if *count == 0 {
                open.remove(&self.1);
            }
        }
    }
}

impl Streams {
    /// All streams end.
    pub fn close(&self) {
        self.closing.send_replace(true);
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.open.lock().unwrap_or_else(PoisonError::into_inner).values().sum()
    }

    fn place(&self, user: UserId) -> Option<(Place, bool)> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let all: usize = open.values().sum();
        let own = open.entry(user).or_default();
        if all >= MOST || *own >= MOST_OF_ONE {
            return None;
        }
        *own += 1;
        Some((Place(self.clone(), user), all == 0))
    }
}

/// The stream.
///
/// # Errors
/// There are too many.
pub fn events(asked: &Asked) -> Result<Answer, Trouble> {
    let user = asked.user()?.id;
    let web = asked.web.clone();
    let Some((place, is_first)) = web.streams.place(user) else {
        return Err(Trouble::Later(Millis::from_secs(60)));
    };
    let newest = web.app.store.read(events::newest)?.0;
    web.streams.newest.send_if_modified(|known| std::mem::replace(known, newest.max(*known)) < newest);
    let seen = asked.header("last-event-id").and_then(|id| id.parse().ok()).unwrap_or(newest);
    // A log that counts anew is another one, in which nothing was seen yet.
    let seen = if seen > newest { -1 } else { seen };
    let proof = match asked.who {
        Who::Person(..) => door::cookie_hash(asked).map(Proof::Cookie),
        Who::Program(_) => door::bearer(&asked.headers).map(|token| Proof::Token(secret::hash(token))),
        Who::Nobody => None,
    };
    let (send, receive) = mpsc::channel(4);
    let runtime = tokio::runtime::Handle::current();
    if is_first {
        runtime.spawn(look(web.clone()));
    }
    runtime.spawn(tell(web, seen, proof, send, place));
    let body = Body::from_stream(Received(receive));
    Ok(Answer::of("text/event-stream", body).with(CACHE_CONTROL, "no-store"))
}

struct Received(mpsc::Receiver<String>);

impl futures_core::Stream for Received {
    type Item = Result<String, Infallible>;

    fn poll_next(
        mut self: std::pin::Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Self::Item>> {
        self.0.poll_recv(context).map(|part| part.map(Ok))
    }
}

/// Looks at the log as long as anybody listens.
async fn look(web: Web) {
    let mut closing = web.streams.closing.subscribe();
    while web.streams.count() > 0 {
        let store = web.app.store.clone();
        let newest = tokio::task::spawn_blocking(move || store.read(events::newest)).await;
        if let Ok(Ok(newest)) = newest {
            web.streams.newest.send_if_modified(|known| std::mem::replace(known, newest.0) != newest.0);
        }
        tokio::select! {
            () = tokio::time::sleep(LOOK) => {}
            _ = closing.wait_for(|closing| *closing) => return,
        }
    }
}

/// Tells one reader.
async fn tell(web: Web, mut seen: i64, proof: Option<Proof>, send: mpsc::Sender<String>, place: Place) {
    let mut newest = web.streams.newest.subscribe();
    let mut closing = web.streams.closing.subscribe();
    let mut text = "retry: 3000\n: welcome\n\n".to_owned();
    loop {
        if send.send_timeout(text, PATIENCE).await.is_err() {
            break;
        }
        let next = tokio::select! {
            now = risen(&mut newest, seen) => now.map(Next::Risen),
            () = tokio::time::sleep(SIGN) => Some(Next::Sign),
            () = send.closed() => None,
            () = closed(&mut closing) => None,
        };
        text = match next {
            Some(Next::Risen(now)) => {
                seen = now;
                format!("id: {seen}\nevent: change\ndata: {seen}\n\n")
            }
            Some(Next::Sign) if is_still_in(&web, proof).await => ": still here\n\n".to_owned(),
            Some(Next::Sign) | None => break,
        };
    }
    drop(place);
}

/// What a reader is told next.
enum Next {
    Risen(i64),
    Sign,
}

/// Waits until the log has grown beyond what was seen.
async fn risen(newest: &mut watch::Receiver<i64>, seen: i64) -> Option<i64> {
    newest.wait_for(|newest| *newest > seen).await.ok().map(|now| *now)
}

async fn closed(closing: &mut watch::Receiver<bool>) {
    drop(closing.wait_for(|closing| *closing).await);
}

/// What let a reader in, as a hash.
#[derive(Clone, Copy)]
enum Proof {
    Cookie([u8; 32]),
    Token([u8; 32]),
}

/// Whether what let the reader in lasts: a stream must not outlive it.
async fn is_still_in(web: &Web, proof: Option<Proof>) -> bool {
    let Some(proof) = proof else { return true };
    let store = web.app.store.clone();
    let found = tokio::task::spawn_blocking(move || {
        store.read(|tx| -> store::Result<bool> {
            Ok(match proof {
                Proof::Cookie(hash) => sessions::by_cookie(tx, &hash)?.is_some(),
                Proof::Token(hash) => sessions::by_token(tx, &hash)?.is_some(),
            })
        })
    });
    matches!(found.await, Ok(Ok(true)))
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use axum::http::{HeaderMap, Method};
    use http_body_util::BodyExt;
    use schedules::Clock;

    use super::*;
    use crate::app::App;
    use crate::domain::user::{Role, User};
    use crate::store::{Mode, Store};
    use crate::web::verbs::{self, Call, Refused, Verb, Verbs, Why};

    struct None;

    impl Verbs for None {
        fn all(&self) -> &[Verb] {
            &[]
        }

        fn run(&self, _call: Call) -> Result<verbs::Answer, Refused> {
            Err(Refused::new(Why::NotFound, "there is none"))
        }
    }

    fn asked(web: &Web, user: i64) -> Asked {
        let user = User {
            id: UserId(user),
            name: format!("user-{user}"),
            role: Role::Viewer,
            no_more_than: Option::None,
            disabled_at: Option::None,
        };
        Asked {
            web: web.clone(),
            method: Method::GET,
            path: "/events".to_owned(),
            words: Vec::new(),
            query: Vec::new(),
            form: Vec::new(),
            body: Vec::new(),
            headers: HeaderMap::new(),
            peer: IpAddr::V4(Ipv4Addr::LOCALHOST),
            who: Who::Program(user),
        }
    }

    fn web(folder: &tempfile::TempDir) -> Web {
        let clock = Clock::system();
        let store = Store::open(&folder.path().join("live.db"), clock.clone(), Mode::Create).unwrap();
        Web::new(App::new(store, clock).unwrap(), Arc::new(None), false)
    }

    #[tokio::test(start_paused = true)]
    async fn two_hundred_readers_are_told_for_an_hour_and_leave_nothing_behind() {
        let folder = tempfile::tempdir().unwrap();
        let web = web(&folder);
        let mut readers = Vec::new();
        for n in 0..200 {
            let mut body = events(&asked(&web, n / 20)).unwrap().body;
            readers.push(tokio::spawn(async move {
                let mut told = 0;
                while let Some(Ok(frame)) = body.frame().await {
                    told += frame.into_data().unwrap().len();
                }
                told
            }));
        }
        assert!(matches!(events(&asked(&web, 0)), Err(Trouble::Later(_))), "one user has twenty at most");
        tokio::time::sleep(Duration::from_secs(3_600)).await;
        assert_eq!(web.streams.count(), 200);
        web.streams.close();
        for reader in readers {
            let told = reader.await.unwrap();
            assert!((2_000..4_000).contains(&told), "{told}: a sign every fifteen seconds, and no more");
        }
        assert_eq!(web.streams.count(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_reader_that_does_not_read_is_dropped() {
        let folder = tempfile::tempdir().unwrap();
        let web = web(&folder);
        let body = events(&asked(&web, 1)).unwrap().body;
        assert_eq!(web.streams.count(), 1);
        tokio::time::sleep(Duration::from_secs(180)).await;
        assert_eq!(web.streams.count(), 0);
        drop(body);
    }
}
