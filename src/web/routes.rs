//! Every route of the page and the API, on one page, with the right that each needs.

use axum::Router;
use axum::http::Method;
use axum::routing::MethodFilter;

use crate::domain::user::{Right, Subject};
use crate::web::answer::{Answer, Trouble};
use crate::web::asked::Asked;
use crate::web::{
    Web, api, complete, door, forms, lists, live, metrics, now, search, sign_in, status, things, ticket,
};

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

const SEE: Need = Need::Of(Right::see(Subject::Network));

/// The routes of one noun: its list; its things; what is done with one, at once or by a form.
macro_rules! noun {
    ($path:literal, list) => {
        &[get(concat!("/", $path), Need::OfItsVerb, lists::show)]
    };
    ($path:literal, things) => {
        &[
            get(concat!("/", $path), Need::OfItsVerb, lists::show),
            get(concat!("/", $path, "/{key}"), Need::OfItsVerb, things::show),
        ]
    };
    ($path:literal, acts) => {
        &[
            get(concat!("/", $path), Need::OfItsVerb, lists::show),
            get(concat!("/", $path, "/{key}"), Need::OfItsVerb, things::show),
            post(concat!("/", $path, "/{key}/{verb}"), Need::OfItsVerb, forms::act),
        ]
    };
    ($path:literal) => {
        &[
            get(concat!("/", $path), Need::OfItsVerb, lists::show),
            get(concat!("/", $path, "/{key}"), Need::OfItsVerb, things::show),
            get(concat!("/", $path, "/{key}/{verb}"), Need::OfItsVerb, forms::show),
            post(concat!("/", $path, "/{key}/{verb}"), Need::OfItsVerb, forms::act),
        ]
    };
}

/// Those of all nouns. What each needs is the right of the verb that it calls.
const OF_NOUNS: &[&[Route]] = &[
    noun!("devices"),
    noun!("sites"),
    noun!("checks"),
    noun!("outages", things),
    noun!("tickets"),
    noun!("maintenance"),
    noun!("notify"),
    noun!("outbox", list),
    noun!("log", list),
    noun!("settings"),
    noun!("schedules", list),
    noun!("users"),
    noun!("tokens"),
    noun!("dns", acts),
];

/// All routes.
pub fn all() -> impl Iterator<Item = Route> {
    ROUTES.iter().chain(OF_NOUNS.iter().copied().flatten()).copied()
}

/// Those that are no noun's.
const ROUTES: &[Route] = &[
    get("/", SEE, now::show),
    get("/search", SEE, search::show),
    get("/complete/{noun}", Need::OfItsVerb, complete::offer),
    get("/board", Need::Of(Right::see(Subject::Tickets)), ticket::board),
    get("/doctor", Need::OfItsVerb, now::doctor),
    get("/reports", Need::OfItsVerb, now::reports),
    get("/events", SEE, live::events),
    get("/api", Need::Of(Right::see(Subject::Own)), api::page),
    get("/api/v1/openapi.json", Need::Of(Right::see(Subject::Own)), api::document),
    Route { method: "GET", path: "/api/v1/{*rest}", need: Need::OfItsVerb, handler: api::call },
    Route { method: "POST", path: "/api/v1/{*rest}", need: Need::OfItsVerb, handler: api::call },
    Route { method: "PATCH", path: "/api/v1/{*rest}", need: Need::OfItsVerb, handler: api::call },
    Route { method: "PUT", path: "/api/v1/{*rest}", need: Need::OfItsVerb, handler: api::call },
    Route { method: "DELETE", path: "/api/v1/{*rest}", need: Need::OfItsVerb, handler: api::call },
    get("/new/{noun}", Need::OfItsVerb, forms::new),
    post("/new/{noun}", Need::OfItsVerb, forms::make),
    post("/bulk/{noun}", Need::OfItsVerb, lists::several),
    get("/download/{noun}", Need::OfItsVerb, lists::download),
    get("/sign-in", Need::Nothing, sign_in::form),
    post("/sign-in", Need::Nothing, sign_in::enter),
    get("/sign-in/link/{link}", Need::Nothing, sign_in::link),
    post("/sign-in/link/{link}", Need::Nothing, sign_in::by_link),
    post("/sign-out", OWN, sign_in::leave),
    get("/you", OWN_SEEN, sign_in::you::show),
    post("/you/password", OWN, sign_in::you::password),
    post("/you/factor", OWN, sign_in::you::factor),
    post("/you/keys", OWN, sign_in::you::keys),
    post("/you/sessions/{session}/end", OWN, sign_in::you::end_session),
    get("/metrics", Need::Of(Right::see(Subject::Network)), metrics::metrics),
    get("/status", Need::Nothing, status::page),
    get("/status/badge.svg", Need::Nothing, status::badge),
    get("/style.css", Need::Nothing, door::style),
    get("/script.js", Need::Nothing, door::script),
    get("/icon.svg", Need::Nothing, door::icon),
];

/// What answers where there is nothing.
const NOWHERE: Route = get("/", Need::Nothing, now::nowhere);

/// The router over all of them.
pub fn router(web: Web) -> Router {
    let here = web.clone();
    let nowhere = move |request| door::open_at(here.clone(), NOWHERE, Ok(Vec::new()), request);
    let mut router = Router::new().fallback(nowhere);
    for route in all() {
        let method = Method::from_bytes(route.method.as_bytes()).unwrap_or(Method::GET);
        let filter = MethodFilter::try_from(method).unwrap_or(MethodFilter::GET);
        let web = web.clone();
        let handler = move |words, request| door::open(web.clone(), route, words, request);
        router = router.route(route.path, axum::routing::on(filter, handler));
    }
    router.method_not_allowed_fallback(move |request| door::no_such_way(web.clone(), request))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_lets_people_in_is_open_to_anybody() {
        let open: Vec<&str> =
            all().filter(|route| route.need == Need::Nothing).map(|route| route.path).collect();
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
        for route in all() {
            if let Need::Of(right) = route.need {
                let asks = right.act == crate::domain::user::Act::See;
                assert_eq!(route.method == "GET", asks, "{} {}", route.method, route.path);
            }
        }
    }
}
