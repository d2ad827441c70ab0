//! A page with a known body, over plain HTTP: whoever wants to be paid or agreed with first changes it.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::http::{Answer, get};
use super::knock::{Knock, knock};
use super::notes::{Measure, Notes};
use crate::probe::resolve::Resolver;
use crate::probe::target::Place;
use crate::probe::{Limit, sentence};
use crate::report::{Plan, Step};

/// How a page came back.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Came {
    /// As it is.
    Known,
    /// As another one: what somebody in between answers.
    Changed(String),
    /// Not, by its own server's word.
    Not(String),
}

/// Asks for the page, where one is set.
pub(super) async fn note(
    resolver: &Resolver,
    plan: &Plan,
    blocked: Option<String>,
    notes: &Notes,
    timeout: Duration,
) {
    let url = plan.page.clone();
    let step = |status, changed| Step::Page { url: url.clone(), status, changed };
    if url.is_empty() {
        return notes.not_measured(step(None, false), "no page is set (ladder.page)");
    }
    let place = match Place::parse(&url) {
        Ok(place) if place.tls => {
            let why = "the page is https: nobody in between can change it; name one with http://";
            return notes.not_measured(step(None, false), why);
        }
        Ok(place) => place,
        Err(bad) => return notes.not_measured(step(None, false), &bad.to_string()),
    };
    if let Some(why) = blocked {
        return notes.not_measured(step(None, false), &why);
    }
    let limit = Limit::new((timeout * 5).into());
    let addresses = match resolver.resolve(&place.host, limit).await {
        Ok(addresses) => addresses,
        Err(failed) => return notes.not_measured(step(None, false), &failed.message),
    };
    let began = Instant::now();
    let mut failed = String::new();
    let mut asked = false;
    for address in addresses.into_iter().take(2) {
        let stream = match knock(SocketAddr::new(address, place.port), None, timeout * 3).await {
            Knock::Open(stream, _) => stream,
            other => {
                // An address of a family that this machine has no way for says nothing of the others.
                let is_unsent = matches!(other, Knock::Unsent(_));
                if !(asked && is_unsent) {
                    failed = format!("connect {address}: {}", other.why(address));
                }
                asked |= !is_unsent;
                continue;
            }
        };
        asked = true;
        let path = place.uri.path_and_query().map_or("/", |path| path.as_str());
        let host = place.uri.authority().map_or(place.host.as_str(), |authority| authority.as_str());
        match get(stream, host, path, timeout * 3).await {
            Ok(answer) => {
                let status = Some(answer.status);
                return match judge(&answer, &plan.page_body) {
                    Came::Known => notes.holds(step(status, false), Measure::since(began)),
                    Came::Changed(why) => notes.fails(step(status, true), &why, Measure::since(began)),
                    Came::Not(why) => notes.fails(step(status, false), &why, Measure::since(began)),
                };
            }
            Err(why) => failed = why,
        }
    }
    if asked {
        notes.fails(step(None, false), &failed, Measure::default());
    } else {
        notes.not_measured(step(None, false), &failed);
    }
}

/// Whether an answer is the known page. An error of the page's own server is no other page.
fn judge(answer: &Answer, known: &str) -> Came {
    let holds = |known: &str| answer.body.windows(known.len().max(1)).any(|part| part == known.as_bytes());
    match answer.status {
        200..300 if known.is_empty() || holds(known) => Came::Known,
        200..300 => Came::Changed("another page came back".to_owned()),
        300..400 => {
            let to = answer.elsewhere.as_deref().unwrap_or("another page");
            Came::Changed(sentence(&format!("somebody sends us to {to}")))
        }
        511 => Came::Changed("somebody wants us to log in first".to_owned()),
        status => Came::Not(format!("answered {status}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_page_is_told_from_one_that_its_own_server_has_not_got() {
        let answer = |status, body: &str| Answer { status, elsewhere: None, body: body.into() };
        let changed = |why: &str| Came::Changed(why.into());
        for (answer, came) in [
            (answer(200, "it is all right\n"), Came::Known),
            (answer(200, "please pay your bill"), changed("another page came back")),
            (answer(200, ""), changed("another page came back")),
            (
                Answer { elsewhere: Some("http://portal/".into()), ..answer(302, "") },
                changed("somebody sends us to http://portal/"),
            ),
            (answer(511, "log in"), changed("somebody wants us to log in first")),
            (answer(404, ""), Came::Not("answered 404".into())),
            (answer(503, "it is all right"), Came::Not("answered 503".into())),
        ] {
            assert_eq!(judge(&answer, "all right"), came, "{answer:?}");
        }
        assert_eq!(judge(&answer(200, "anything"), ""), Came::Known);
    }
}
