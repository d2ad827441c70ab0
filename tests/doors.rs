//! Who may come in where: every route and every verb there is, as a stranger and as each role.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use lineman::domain::ids::UserId;
use lineman::domain::user::{Act, Right, Role, Subject, User, may};
use lineman::web::routes::{self, Need};
use serde_json::json;

use crate::harness::program::{FORM, Program, between};
use crate::harness::{World, sqlite};
use crate::house::files;

/// What anybody may ask for, and what is answered.
const PUBLIC: &[(&str, &str, u16)] = &[
    ("GET", "/sign-in", 200),
    ("POST", "/sign-in", 401),
    // No link is that, and the status page is off.
    ("GET", "/sign-in/link/{link}", 404),
    ("POST", "/sign-in/link/{link}", 404),
    ("GET", "/status", 404),
    ("GET", "/status/badge.svg", 404),
    ("GET", "/style.css", 200),
    ("GET", "/script.js", 200),
    ("GET", "/icon.svg", 200),
];

/// What agents and plain check-ins call, each with a secret of its own in the call: the only routes beside the table.
const OF_AGENTS: &[(&str, &str, u16)] = &[
    ("POST", "/api/agent/join", 401),
    ("POST", "/api/agent/check-in", 401),
    ("POST", "/ping/{key}", 404),
    ("POST", "/ping/{key}/{signal}", 404),
    ("GET", "/healthz", 200),
];

/// Words that only ask. A verb that is none of them changes something, and needs the right to.
const ASK: &[&str] = &["", "availability", "explain", "history", "list", "outbox", "parents", "show"];

/// A path with a word for each of its words.
fn filled(path: &str) -> String {
    let mut whole = path.replace("{*rest}", "devices/x/pause");
    while let (Some(begin), Some(end)) = (whole.find('{'), whole.find('}')) {
        let word = if &whole[begin..=end] == "{signal}" { "fail" } else { "x" };
        whole.replace_range(begin..=end, word);
    }
    whole
}

#[test]
fn a_stranger_finds_every_door_closed() {
    let world = World::real();
    let server = world.serve();
    let stranger = Program::stranger(&server);
    let mut open = Vec::new();
    for route in routes::all() {
        let path = filled(route.path);
        for method in [route.method, "HEAD"] {
            if method == "HEAD" && route.method != "GET" {
                continue;
            }
            let told = stranger.call(method, &path, &[FORM], "");
            let wanted =
                PUBLIC.iter().find(|(method, path, _)| (*method, *path) == (route.method, route.path));
            if let Some((_, _, status)) = wanted {
                assert_eq!(told.status, *status, "{method} {path}");
                continue;
            }
            let is_page = route.method == "GET" && !path.starts_with("/api/") && path != "/metrics";
            // A HEAD of a page is told plainly.
            let closed = match told.status {
                303 => is_page && told.header("location").starts_with("/sign-in?to=%2F"),
                status => status == 401 && (!is_page || method == "HEAD"),
            };
            if !closed {
                open.push(format!("{method} {path}: {}", told.status));
            }
        }
    }
    assert!(open.is_empty(), "open to anybody: {open:?}");
    for (method, path, status) in OF_AGENTS {
        let body = if path.ends_with("join") { "{\"token\": \"lmj_x\"}" } else { "" };
        assert_eq!(stranger.call(method, &filled(path), &[], body).status, *status, "{path}");
    }
    for cookie in ["lineman=", "lineman=AAAA", "__Host-lineman=AAAA", "lineman=' OR 1=1 --"] {
        assert_eq!(stranger.call("GET", "/you", &[("cookie", cookie)], "").status, 303, "{cookie}");
    }
    for token in ["", "lmt_wrong", "null", "' OR 1=1 --"] {
        let headers = [("authorization", &*format!("Bearer {token}"))];
        assert_eq!(stranger.call("GET", "/api/v1/devices", &headers, "").status, 401, "{token}");
    }
    assert_eq!(server.stop(), Some(0));
}

#[test]
fn there_is_no_way_in_beside_the_two_tables_of_routes() {
    let of_agents = fs::read_to_string("src/server/routes.rs").unwrap();
    let named: Vec<&str> =
        of_agents.split(".route(\"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
    assert_eq!(named, OF_AGENTS.iter().map(|(_, path, _)| *path).collect::<Vec<_>>());
    let mut beside = Vec::new();
    for file in files(Path::new("src")).into_iter().chain(files(Path::new("commands"))) {
        let text = fs::read_to_string(&file).unwrap();
        let code = text.split("#[cfg(test)]").next().unwrap();
        let tells = |word: &str| code.contains(word);
        let known = ["src/web/routes.rs", "src/server/routes.rs"].map(Path::new).contains(&&*file);
        if !known
            && [".route(", ".route_service(", ".nest(", ".fallback("].into_iter().any(tells)
            && tells("axum")
        {
            beside.push(file);
        }
    }
    assert!(beside.is_empty(), "routes stand in their tables: {beside:?}");
}

/// The verbs of a real server: method and path in the API, noun, verb, right.
fn verbs(admin: &Program) -> Vec<(String, String, String, String, Right)> {
    let page = admin.get("/api").text;
    // The right of each verb, as the page tells it.
    let rights: BTreeMap<String, Right> = page
        .split("<section><h2><code>")
        .skip(1)
        .map(|part| {
            let place = part.split('<').next().expect("a place").to_owned();
            let right = between(part, "<span class=\"quiet\">To ", ".");
            let (act, subject) = right.split_once(' ').expect("an act and a subject");
            let right = Right {
                act: *Act::ALL.iter().find(|one| one.as_str() == act).expect("an act"),
                subject: *Subject::ALL.iter().find(|one| one.as_str() == subject).expect("a subject"),
            };
            (place, right)
        })
        .collect();
    let document = admin.get("/api/v1/openapi.json").body;
    let mut all = Vec::new();
    for (path, methods) in document["paths"].as_object().expect("paths") {
        for (method, operation) in methods.as_object().expect("methods") {
            let method = method.to_uppercase();
            let noun = operation["tags"][0].as_str().expect("a noun").to_owned();
            let id = operation["operationId"].as_str().expect("a name");
            let verb = id[noun.len()..].trim_start_matches('-').to_owned();
            let right = rights.get(&format!("{method} {path}"));
            let right = *right.unwrap_or_else(|| panic!("{method} {path} has no right"));
            all.push((method, path.clone(), noun, verb, right));
        }
    }
    assert_eq!(all.len(), rights.len());
    all
}

#[test]
fn each_role_may_call_the_verbs_that_it_is_here_for_and_no_others() {
    let world = World::real();
    let server = world.serve();
    let admin = Program::with(&world, &server, "admin");
    let verbs = verbs(&admin);
    for (method, path, noun, verb, right) in &verbs {
        let asks = ASK.contains(&verb.as_str());
        assert_eq!(asks, right.act == Act::See, "{noun} {verb}: what changes something needs the right to");
        assert_eq!(asks, method == "GET", "{method} {path}");
    }
    for &role in Role::ALL {
        let program =
            if role == Role::Admin { admin.twin() } else { Program::with(&world, &server, role.as_str()) };
        let user = User { id: UserId(1), name: String::new(), role, no_more_than: None, disabled_at: None };
        for (method, path, noun, verb, right) in &verbs {
            let allowed = may(&user, *right);
            let told = program.send(method, &filled(path), &json!({}));
            assert_eq!(told.status != 403, allowed, "{role}: {method} {path}: {}", told.text);
            // The same in a list.
            let word = if noun == "event" { "log".to_owned() } else { of_page(noun) };
            if verb == "list" {
                for page in [format!("/{word}"), format!("/download/{word}")] {
                    assert_eq!(program.get(&page).status != 403, allowed, "{role}: {page}");
                }
            }
        }
        for route in routes::all() {
            let Need::Of(right) = route.need else { continue };
            // How somebody signs in, and that he leaves, is his own affair: no program's.
            let is_a_persons = right == Right::change(Subject::Own) || route.path == "/you";
            let allowed = may(&user, right) && !is_a_persons;
            let told = program.call(route.method, &filled(route.path), &[FORM], "");
            assert_eq!(told.status != 403, allowed, "{role}: {} {}", route.method, route.path);
        }
    }
    let by_viewer = "SELECT group_concat(DISTINCT kind) FROM event WHERE actor = 'user:viewer'";
    assert_eq!(sqlite(&world.database(), by_viewer), "right.refused", "who only sees changes nothing");
    assert_eq!(server.stop(), Some(0));
}

/// Makes a thing of a noun that nobody did anything with yet; the word by which it is found.
fn made(admin: &Program, noun: &str, number: usize) -> String {
    let name = format!("{noun}-{number}");
    let (place, body) = match noun {
        "device" | "site" => (of_page(noun), json!({"name": name})),
        "check" => (of_page(noun), json!({"device": "box", "kind": "icmp"})),
        "maintenance" => (of_page(noun), json!({"device": "box", "from": "2030-01-01 10:00", "for": "1h"})),
        "notify" => ("notify/kinds/webhook".to_owned(), json!({"name": name, "url": "http://127.0.0.1:9/"})),
        "ticket" => (of_page(noun), json!({"title": name})),
        "token" => (of_page(noun), json!({"name": name, "user": "box", "role": "viewer"})),
        "user" => (of_page(noun), json!({"name": name, "role": "viewer"})),
        "outage" => return "1".to_owned(),
        "setting" => return "check.every".to_owned(),
        "dns" => return "box".to_owned(),
        other => panic!("how is one made: {other}?"),
    };
    let told = admin.send("POST", &format!("/api/v1/{place}"), &body);
    assert_eq!(told.status, 201, "{noun}: {}", told.text);
    told.header("location").rsplit('/').next().expect("a place").to_owned()
}

#[test]
fn each_role_is_given_the_forms_that_it_is_here_for_and_no_others() {
    // Its clock stands still: nobody is probed or told.
    let world = World::turned();
    let server = world.serve();
    let admin = Program::with(&world, &server, "admin");
    for args in [
        &["setting", "set", "dns.zone", "dyn.example"][..],
        &["setting", "set", "dns.server", "127.0.0.1:9"],
        &["device", "add", "box", "--address", "127.0.0.2", "--dns-name", "box"],
        &["user", "add", "box", "--role", "viewer"],
    ] {
        world.ok(args);
    }
    let others = Role::ALL.iter().filter(|role| **role != Role::Admin);
    let others: Vec<(User, Program)> = others
        .map(|&role| {
            let user =
                User { id: UserId(1), name: String::new(), role, no_more_than: None, disabled_at: None };
            (user, Program::with(&world, &server, role.as_str()))
        })
        .collect();
    let (mut wrong, mut absent, mut number) = (Vec::new(), Vec::new(), 0);
    // The form to edit is that of the thing's own kind.
    let about = |path: &str| path.contains("{key}") && !path.contains("/kinds/");
    for (_, _, noun, verb, right) in verbs(&admin).into_iter().filter(|one| about(&one.1)) {
        for method in ["GET", "POST"] {
            number += 1;
            let place = format!("/{}/{}/{verb}", of_page(&noun), made(&admin, &noun, number));
            // Those who may not go first, while the thing is as it was.
            let ask = |program: &Program| program.call(method, &place, &[FORM], "").status;
            let (may_not, may): (Vec<_>, Vec<_>) = others.iter().partition(|(user, _)| !may(user, right));
            let refused: Vec<_> = may_not.iter().map(|(user, program)| (user.role, ask(program))).collect();
            let given: Vec<_> = may.iter().map(|(user, program)| (user.role, ask(program))).collect();
            let to_admin = ask(&admin);
            if [404, 405].contains(&to_admin) {
                absent.push(format!("{method} {place}"));
                continue;
            }
            let is_good = to_admin != 403
                && refused.iter().all(|(_, status)| *status == 403)
                && given.iter().all(|(_, status)| *status != 403);
            if !is_good {
                wrong.push(format!("{method} {place}: {to_admin}, refused {refused:?}, given {given:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    // These are buttons; and an outage can only be looked at.
    let beside = ["GET /dns/box/retry", "GET /dns/box/take", "GET /outages/1/show", "POST /outages/1/show"];
    assert_eq!(absent, beside);
    assert_eq!(server.stop(), Some(0));
}

/// The first word of the pages of a noun.
fn of_page(noun: &str) -> String {
    match noun {
        "maintenance" | "notify" | "dns" | "doctor" => noun.to_owned(),
        other => format!("{other}s"),
    }
}

#[test]
fn what_lets_somebody_in_ends_when_it_is_taken_back() {
    let world = World::real();
    let server = world.serve();
    let viewer = Program::with(&world, &server, "viewer");
    assert_eq!(viewer.get("/api/v1/devices").status, 200);
    assert_eq!(viewer.get("/api/v1/users").status, 403);
    assert_eq!(viewer.call("POST", "/new/device", &[FORM], "name=x").status, 403);
    assert_eq!(world.json(&["event", "list", "kind:right.refused"]).as_array().map(Vec::len), Some(2));
    // A token ends with its user, and when it is taken back.
    world.ok(&["user", "disable", "viewer"]);
    assert_eq!(viewer.get("/api/v1/devices").status, 401);
    let operator = Program::with(&world, &server, "operator");
    assert_eq!(operator.get("/api/v1/devices").status, 200);
    let number = world
        .json(&["token", "list"])
        .as_array()
        .and_then(|all| all.iter().find(|one| one["user"] == "operator").map(|one| one["id"].to_string()));
    world.ok(&["token", "revoke", &number.expect("its number")]);
    assert_eq!(operator.get("/api/v1/devices").status, 401);
    let kept = sqlite(&world.database(), "SELECT group_concat(hex(hash)) FROM api_token");
    assert!(!kept.contains("6C6D74"), "tokens are kept as hashes");
    // Sessions end when they are ended elsewhere.
    let person = Program::stranger(&server);
    let cookie = person.choose_password(&world, "admin");
    assert_eq!(person.call("GET", "/you", &[("cookie", &cookie)], "").status, 200);
    world.ok(&["user", "sign-out", "admin"]);
    assert_eq!(person.call("GET", "/you", &[("cookie", &cookie)], "").status, 303);
    let kept = sqlite(&world.database(), "SELECT password FROM user WHERE name = 'admin'");
    assert!(kept.starts_with("$argon2id$"), "{kept}");
    assert_eq!(server.stop(), Some(0));
}
