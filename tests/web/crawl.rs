//! Every page is looked at: from the first one on, each link is followed, and each kind of page is looked at in the
//! windows of a phone and of a desk, in the dark and in the light, and gone through with the Tab key.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use lineman::web::routes;
use serde_json::json;

use super::{enter, furnish, signed_in};
use crate::harness::browser::{Browser, DESK, PHONE, Window};
use crate::harness::devtools::{ENTER, TAB};
use crate::harness::{Process, World, wait_for};

/// What is asked by GET and is no page.
const NO_PAGES: &[&str] = &[
    "/api/v1/openapi.json",
    "/api/v1/{*rest}",
    "/download/{noun}",
    "/events",
    "/icon.svg",
    "/metrics",
    "/script.js",
    "/complete/{noun}",
    "/search",
    "/status/badge.svg",
    "/style.css",
];

/// The kinds of things whose forms are looked at where a noun has many: those that are least alike. All are made by one
/// hand, and of the others it is tried that they are there.
const KINDS: &[&str] = &["email", "rota"];

/// The route of a path.
fn route_of(path: &str) -> Option<&'static str> {
    let parts: Vec<&str> = path.split('/').collect();
    let fits = |route: &str| {
        let wanted: Vec<&str> = route.split('/').collect();
        let whole =
            wanted.len() == parts.len() || (route.ends_with("{*rest}") && parts.len() >= wanted.len());
        whole && wanted.iter().zip(&parts).all(|(wanted, part)| wanted == part || wanted.starts_with('{'))
    };
    let mut all: Vec<&str> =
        routes::all().filter(|route| route.method == "GET").map(|route| route.path).collect();
    all.sort_by_key(|route| route.matches('{').count());
    all.into_iter().find(|route| fits(route))
}

/// What kind of page a link leads to: its route, for a form what it is for, and whether a list is asked something.
fn shape_of(link: &str) -> Option<(&'static str, String)> {
    let (path, query) = link.split_once('?').unwrap_or((link, ""));
    let route = route_of(path)?;
    let last = path.rsplit('/').next().unwrap_or_default();
    let kind = query.split('&').find(|pair| pair.starts_with("kind=")).unwrap_or_default();
    let more = match route {
        "/new/{noun}" => format!("{last} {kind}"),
        route if route.ends_with("/{verb}") => last.to_owned(),
        _ => String::new(),
    };
    Some((route, more))
}

/// Whether a form is like another one that is looked at.
fn is_like_another(more: &str) -> bool {
    more.split_once("kind=").is_some_and(|(_, kind)| !KINDS.contains(&kind))
}

/// What those who look share: where to go, where somebody was, what is wrong.
#[derive(Default)]
struct Tour {
    /// Where to go yet.
    links: VecDeque<String>,
    /// How many look at a page whose links are not known yet.
    busy: usize,
    /// How often each kind of page was looked at.
    met: BTreeMap<(&'static str, String), usize>,
    /// The kinds of pages, forms as one, that were gone through in each window.
    through: BTreeSet<&'static str>,
    /// Links that were tried.
    tried: BTreeSet<String>,
    wrong: Vec<String>,
}

/// Somebody looks at a page; also one who fails is done with it, so that nobody waits for him.
struct Busy<'b>(&'b Mutex<Tour>);

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).busy -= 1;
    }
}

/// Somebody who looks at pages.
struct Looker<'b> {
    browser: &'b Browser,
    url: &'b str,
    tour: &'b Mutex<Tour>,
}

impl<'b> Looker<'b> {
    fn new(browser: &'b Browser, url: &'b str, tour: &'b Mutex<Tour>) -> Looker<'b> {
        browser.before_each_page(include_str!("look.js"));
        Looker { browser, url, tour }
    }

    fn tour(&self) -> MutexGuard<'b, Tour> {
        self.tour.lock().expect("nobody panicked")
    }

    /// Follows all links until there is none that leads to a page that nobody looked at.
    fn follow(&self) {
        while let Some(next) = self.next() {
            let Some(link) = next else {
                std::thread::sleep(Duration::from_millis(20));
                continue;
            };
            let _busy = Busy(self.tour);
            let links = self.look_at(&link, 200, Care::Usual);
            self.tour().links.extend(links);
        }
    }

    /// Looks at pages that belong to several who look: each takes the next one.
    fn share(&self, pages: &[(&str, i64)], taken: &AtomicUsize) {
        while let Some((link, status)) = pages.get(taken.fetch_add(1, Ordering::Relaxed)) {
            self.look_at(link, *status, Care::Less);
        }
    }

    /// The next page to look at; two devices are. An inner nothing: others may yet find some.
    fn next(&self) -> Option<Option<String>> {
        let mut tour = self.tour();
        while let Some(link) = tour.links.pop_front() {
            let Some(shape) = shape_of(&link) else {
                tour.wrong.push(format!("{link}: a link to nowhere"));
                continue;
            };
            let most = if shape.0 == "/devices/{key}" { 2 } else { 1 };
            let met = tour.met.entry(shape.clone()).or_default();
            if !NO_PAGES.contains(&shape.0) && *met < most && !is_like_another(&shape.1) {
                *met += 1;
                tour.busy += 1;
                return Some(Some(link));
            }
        }
        (tour.busy > 0).then_some(None)
    }

    /// Looks at one page; where it leads to.
    fn look_at(&self, link: &str, status: i64, care: Care) -> Vec<String> {
        let browser = self.browser;
        browser.becomes(DESK.width, DESK.height, DESK.is_dark);
        browser.go(&format!("{}{link}", self.url));
        let page = browser.script("return look.page()", vec![]);
        let mut wrong = Vec::new();
        if page["status"] != status {
            wrong.push(format!("it answers {} instead of {status}", page["status"]));
        }
        let route = shape_of(link).map_or("", |(route, _)| route);
        // Forms are all made by one hand: one of each noun is looked at in all ways, and the others in one.
        let in_all_ways = care == Care::Usual && self.tour().through.insert(route);
        let name = link.trim_matches('/').replace(|c: char| !c.is_ascii_alphanumeric(), "-");
        for (window, title) in [(DESK, "desk"), (PHONE, "phone")] {
            let mut here = self.in_window(window, in_all_ways);
            here.iter_mut().for_each(|one| *one = format!("{title}: {one}"));
            wrong.extend(here);
            browser.whole_shot(&format!("{title}-{}", if name.is_empty() { "now" } else { &name }));
        }
        let links: Vec<String> = serde_json::from_value(page["links"].clone()).expect("look.js lists links");
        if status == 200 {
            wrong.extend(self.lead_nowhere(&links));
        }
        let loud = browser.console();
        // What is asked for on purpose, and is not there, stands in the console as well.
        wrong.extend(
            loud.into_iter().filter(|line| status == 200 || !line.contains("Failed to load resource")),
        );
        self.tour().wrong.extend(wrong.into_iter().map(|one| format!("{link}: {one}")));
        links
    }

    /// The links that fail. Each list is asked what its own page offers to ask; of things and forms one of each kind.
    fn lead_nowhere(&self, links: &[String]) -> Vec<String> {
        let new = |link: &&String| {
            let Some((route, more)) = shape_of(link) else { return false };
            let query =
                if route.contains('{') { "" } else { link.split_once('?').map_or("", |(_, query)| query) };
            route != "/events" && self.tour().tried.insert(format!("{route} {more} {query}"))
        };
        let new: Vec<&String> = links.iter().filter(new).collect();
        if new.is_empty() {
            return Vec::new();
        }
        let asked = "const [links, done] = arguments;
            const fails = async (link) => { const answer = await fetch(link); await answer.text(); return answer.ok ? [] : [`${link} answers ${answer.status}`]; };
            Promise.all(links.map(fails)).then((all) => done(all.flat()))";
        let told = self.browser.run(self.browser.client.execute_async(asked, vec![json!(new)]));
        serde_json::from_value(told.expect("links are tried")).expect("a list of links")
    }

    fn in_window(&self, window: Window, in_all_ways: bool) -> Vec<String> {
        let browser = self.browser;
        let is_phone = window.width < 500;
        browser.becomes(window.width, window.height, window.is_dark);
        let mut wrong = if in_all_ways || !is_phone { self.with_tab() } else { Vec::new() };
        browser.script("look.unfold()", vec![]);
        let more = browser.script("return look.wrong()", vec![]);
        wrong.extend(serde_json::from_value::<Vec<String>>(more).expect("look.js lists what is wrong"));
        wrong.extend(match (is_phone, in_all_ways) {
            (true, true) => browser.barriers(),
            (true, false) => browser.barriers_but_colours(),
            (false, true) => browser.misfits(),
            (false, false) => Vec::new(),
        });
        if in_all_ways {
            browser.wishes(!window.is_dark);
            wrong.extend(browser.dim_colours().into_iter().map(|one| format!("the other scheme: {one}")));
        }
        wrong
    }

    /// Goes once through the page with the Tab key.
    fn with_tab(&self) -> Vec<String> {
        let many = self.browser.script("return look.begin()", vec![]).as_u64().expect("a number");
        self.browser.press((0..=many).map(|_| TAB));
        let told = self.browser.script("return look.way()", vec![]);
        serde_json::from_value(told).expect("look.js tells the way")
    }
}

/// How closely a page is looked at.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Care {
    /// The first of its route in all ways.
    Usual,
    /// In one way: of its route there was one, or will be.
    Less,
}

/// What gives each kind of page something to show.
fn furnish_all(world: &World) {
    // Whoever is to be told of an outage is there before it is.
    world.ok(&["notify", "add", "hook", "--after", "0s", "webhook", "--url", "http://127.0.0.1:9/"]);
    furnish(world);
    for args in [
        &["setting", "set", "status.page", "all"][..],
        &["setting", "set", "dns.zone", "dyn.example"],
        &["setting", "set", "dns.server", "127.0.0.1:9"],
        &[
            "device",
            "add",
            "rack 3/a#1",
            "--site",
            "north",
            "--address",
            "127.0.0.5",
            "--dns-name",
            "rack",
            "--tag",
            "lab",
        ],
        &["user", "add", "ben", "--role", "viewer"],
        &["token", "add", "graphs", "--user", "admin", "--role", "viewer"],
        &["maintenance", "add", "ap-1", "--until", "+2h", "--note", "a new mast"],
        &["ticket", "open", "The door is open"],
    ] {
        world.ok(args);
    }
    wait_for("an outage, and its ticket", || {
        let all = world.json(&["ticket", "list"]);
        all.as_array().is_some_and(|all| all.iter().any(|ticket| ticket["device"] == "router"))
    });
    wait_for("a delivery", || {
        world.json(&["notify", "outbox"]).as_array().is_some_and(|all| !all.is_empty())
    });
}

/// Lists where there is nothing yet.
const EMPTY: &[(&str, i64)] = &[
    ("/", 200),
    ("/devices", 200),
    ("/sites", 200),
    ("/tickets", 200),
    ("/notify", 200),
    ("/maintenance", 200),
];

/// What stands where nothing is found, and where something is wrong.
const NOT_THERE: &[(&str, i64)] = &[
    ("/devices?q=nothingofthatname", 200),
    ("/checks?q=nothingofthatname", 200),
    ("/outages?q=nothingofthatname", 200),
    ("/tickets?q=nothingofthatname", 200),
    ("/maintenance?q=nothingofthatname", 200),
    ("/outbox?q=nothingofthatname", 200),
    ("/log?q=nothingofthatname", 200),
    ("/devices/nobody", 404),
    ("/nowhere", 404),
    ("/devices?q=sate:up", 422),
    ("/devices?q=tag:lab&sort=name&page=9", 200),
    ("/reports?from=never", 200),
];

#[test]
fn every_page_is_reached_and_has_no_barriers_in_any_window() {
    let world = World::real();
    let (server, browser) = signed_in(&world, DESK);
    let other = Browser::open(DESK);
    let url = server.url();
    world.ok(&["user", "add", "eve", "--role", "admin"]);
    enter(&world, &other, "eve", "h-alerts");
    let tour = Mutex::new(Tour::default());
    let looker = Looker::new(&browser, &url, &tour);
    let (empty, not_there) = (AtomicUsize::new(0), AtomicUsize::new(0));
    std::thread::scope(|both| {
        both.spawn(|| Looker::new(&other, &url, &tour).share(EMPTY, &empty));
        looker.share(EMPTY, &empty);
    });
    furnish_all(&world);
    tour.lock().expect("nobody panicked").links.push_back("/".to_owned());
    std::thread::scope(|both| {
        both.spawn(|| {
            let looker = Looker { browser: &other, url: &url, tour: &tour };
            looker.follow();
            looker.share(NOT_THERE, &not_there);
            other.click_text("Sign out");
            enter(&world, &other, "ben", "h-alerts");
            looker.look_at("/users", 403, Care::Less);
        });
        looker.follow();
        looker.share(NOT_THERE, &not_there);
    });
    skip_link_leads_to_the_content(&browser, &server);
    browser.click_text("Sign out");
    let link = world.ok(&["user", "link", "ben"]);
    let link = link.lines().find_map(|line| line.trim().strip_prefix(&url)).expect("a link").to_owned();
    tour.lock().expect("nobody panicked").links.extend(["/sign-in".to_owned(), link]);
    looker.follow();
    let tour = looker.tour();
    let unseen = routes::all()
        .filter(|route| route.method == "GET" && !NO_PAGES.contains(&route.path))
        .map(|route| route.path)
        .filter(|path| !tour.met.keys().any(|(route, _)| route == path));
    let mut wrong = tour.wrong.clone();
    wrong.extend(unseen.map(|path| format!("no link leads to {path}")));
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn skip_link_leads_to_the_content(browser: &Browser, server: &Process<'_>) {
    browser.go(&format!("{}/devices", server.url()));
    browser.press([TAB, ENTER]);
    assert_eq!(browser.script("return document.activeElement.id", vec![]), "main");
    browser.press([TAB]);
    let inside = "return document.querySelector('main').contains(document.activeElement)";
    assert_eq!(browser.script(inside, vec![]), true);
}

#[test]
fn who_looks_at_pages_finds_what_is_wrong_with_one() {
    let browser = Browser::open(DESK);
    browser.before_each_page(include_str!("look.js"));
    let page = "<!doctype html><html lang=en><title>t</title><style>.no:focus{outline:0} .row{display:flex;flex-direction:row-reverse}</style>
        <h1>h</h1><img src=x><div id=d>d</div><a href=x class=no>seen by nobody</a><button tabindex=2>first</button>
        <div class=row><b>one</b><b>two</b></div><p style='width:3000px'>wide</p><p style='color:rgb(200,200,200)'>dim</p>";
    let page = page.replace('\n', " ").replace('#', "%23");
    browser.go(&format!(
        "data:text/html,{page}<script>document.links[0].addEventListener('keydown',(event)=>event.preventDefault());d.addEventListener('click',()=>1);console.error('loud')</script>"
    ));
    browser.script("look.begin()", vec![]);
    browser.press([TAB, TAB, TAB]);
    let mut all = browser.barriers();
    for asked in ["return look.way()", "return look.wrong()"] {
        all.extend(serde_json::from_value::<Vec<String>>(browser.script(asked, vec![])).expect("a list"));
    }
    all.extend(browser.console());
    for wanted in [
        "image-alt",
        "color-contrast",
        "nothing shows that it has the focus: <a>",
        "it jumps the queue of Tab: <button>",
        "Tab never comes to <button>",
        "it waits for the mouse alone: <div#d>",
        "read after <b> 'one', seen before it: <b> 'two'",
        "it is wider than the window",
        "loud",
    ] {
        assert!(all.iter().any(|one| one.contains(wanted)), "{wanted}: {all:#?}");
    }
}
