//! Every route of the page and the API, on one page, with the right that each needs.

use axum::Router;
use axum::http::Method;
use axum::routing::MethodFilter;

use crate::domain::user::{Right, Subject};
use crate::web::answer::{Answer, Trouble};
use crate::web::asked::Asked;
use crate::web::{Web, door, metrics, sign_in, status};

/// What a route needs of whoever asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// Nothing: anybody may ask.
    Nothing,
    /// That right.
    Of(Right),
    /// The right of the verb that it calls: asked where that is run.
    OfItsVerb,
}

/// A handler: it blocks.
pub type Handler = fn(&Asked) -> Result<Answer, Trouble>;

/// A route.
#[derive(Clone, Copy)]
pub struct Route {
    /// How it is asked.
    pub method: &'static str,
    /// The path; `{…}` are words.
    pub path: &'static str,
    /// What it needs.
    pub need: Need,
    /// Who answers.
    pub handler: Handler,
}

const fn get(path: &'static str, need: Need, handler: Handler) -> Route {
    Route { method: "GET", path, need, handler }
}

const fn post(path: &'static str, need: Need, handler: Handler) -> Route {
    Route { method: "POST", path, need, handler }
}

const OWN_SEEN: Need = Need::Of(Right::see(Subject::Own));
const OWN: Need = Need::Of(Right::change(Subject::Own));

/// All routes.
pub const ROUTES: &[Route] = &[
    get("/sign-in", Need::Nothing, sign_in::form),
    post("/sign-in", Need::Nothing, sign_in::enter),
    get("/sign-in/link/{link}", Need::Nothing, sign_in::link),
    post("/sign-in/link/{link}", Need::Nothing, sign_in::by_link),
    post("/sign-out", OWN, sign_in::leave),
    get("/you", OWN_SEEN, sign_in::you::show),
    post("/you/password", OWN, sign_in::you::password),
    post("/you/factor", OWN, sign_in::you::factor),
    post("/you/sessions/{session}/end", OWN, sign_in::you::end_session),
    get("/metrics", Need::Of(Right::see(Subject::Network)), metrics::metrics),
    get("/status", Need::Nothing, status::page),
    get("/status/badge.svg", Need::Nothing, status::badge),
    get("/style.css", Need::Nothing, door::style),
    get("/script.js", Need::Nothing, door::script),
    get("/icon.svg", Need::Nothing, door::icon),
];

/// The router over all of them.
#[must_use]
pub fn router(web: Web) -> Router {
    let mut router = Router::new();
    for &route in ROUTES {
        let method = Method::from_bytes(route.method.as_bytes()).unwrap_or(Method::GET);
        let filter = MethodFilter::try_from(method).unwrap_or(MethodFilter::GET);
        let web = web.clone();
        let handler = move |words, request| door::open(web.clone(), route, words, request);
        router = router.route(route.path, axum::routing::on(filter, handler));
    }
    router
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_lets_people_in_is_open_to_anybody() {
        let open: Vec<&str> =
            ROUTES.iter().filter(|route| route.need == Need::Nothing).map(|route| route.path).collect();
        let wanted = [
            "/sign-in",
            "/sign-in",
            "/sign-in/link/{link}",
            "/sign-in/link/{link}",
            "/status",
            "/status/badge.svg",
            "/style.css",
            "/script.js",
            "/icon.svg",
        ];
        assert_eq!(open, wanted);
    }

    #[test]
    fn what_changes_something_is_not_asked_by_get() {
        for route in ROUTES {
            if let Need::Of(right) = route.need {
                let asks = right.act == crate::domain::user::Act::See;
                assert_eq!(route.method == "GET", asks, "{} {}", route.method, route.path);
            }
        }
    }
}
