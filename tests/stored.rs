//! Hostile text in every field of every verb: it is refused with a sentence that says where, or it is text wherever it is
//! shown. Which verbs and fields there are is read off the server's own description, so a new noun is here by itself; where
//! a verb needs what cannot be guessed, the test says so.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use crate::harness::World;
use crate::harness::markup::{foreign, tags};
use crate::harness::program::Program;

/// What is put into each field, and a part of it by which it is known again.
const HOSTILE: &[(&str, &str)] = &[
    (
        "abc\u{202e}<script>alert(1)</script>\"'><img src=x onerror=alert(2)><xss a=\" onfocus='alert(3)' x=",
        "alert",
    ),
    ("javascript:alert(4)", "alert"),
    ("a\r\nX-Evil: 1\r\n\r\n<xss>", "X-Evil"),
    ("a\0b", "no text"),
];

/// What a parameter of that name holds, where a word will not do.
const HOLDS: &[(&str, &str)] = &[
    ("chat", "1"),
    ("device", "box"),
    ("from", "noc@example.org"),
    ("host", "127.0.0.1"),
    ("key", "0123456789abcdef0123456789abcdef"),
    ("member", "noc"),
    ("room", "!a:example.org"),
    ("server_url", "http://127.0.0.1:9"),
    ("to", "noc@example.org"),
    ("url", "http://127.0.0.1:9/"),
    ("user", "admin"),
    ("who", "noc"),
];

/// What a verb is given beside what it must be given.
fn given(operation: &str) -> Value {
    match operation {
        "check-add" => json!({"kind": "icmp"}),
        "maintenance-add" => json!({"device": "box", "from": "2030-01-01 10:00", "for": "1h"}),
        "maintenance-extend" => json!({"until": "2030-01-02 10:00"}),
        "notify-add-discord" | "notify-edit-discord" => {
            json!({"url": "https://127.0.0.1:9/api/webhooks/1/a"})
        }
        "notify-add-slack" | "notify-edit-slack" => json!({"url": "https://127.0.0.1:9/services/a"}),
        "notify-add-teams" | "notify-edit-teams" => json!({"url": "https://127.0.0.1:9/a"}),
        "notify-add-webhook" | "notify-edit-webhook" => json!({"url": "http://127.0.0.1:9/"}),
        "notify-add-matrix" | "notify-edit-matrix" => json!({"token": "word"}),
        "notify-add-pagerduty" | "notify-edit-pagerduty" => {
            json!({"key": "0123456789abcdef0123456789abcdef"})
        }
        "notify-add-telegram" | "notify-edit-telegram" => {
            json!({"token": "123456:ABCdefGHIjklMNOpqrSTUvwxYZ012345678"})
        }
        "notify-add-rota" | "notify-edit-rota" => json!({"from": "2026-11-23 09:00"}),
        "notify-rota-swap" => json!({"from": "2030-01-01 10:00", "until": "2030-01-02 10:00"}),
        "setting-set" => json!({"value": "1s"}),
        "ticket-assign" => json!({"who": "ben"}),
        "ticket-merge" => json!({"into": "1"}),
        _ => json!({}),
    }
}

/// A verb that takes text: its name, its place, what it takes.
struct Operation {
    name: String,
    noun: String,
    method: String,
    path: String,
    takes: Map<String, Value>,
    needs: Vec<String>,
}

impl Operation {
    /// The fields that hold text.
    fn texts(&self) -> impl Iterator<Item = (&String, bool)> {
        self.takes.iter().filter_map(|(name, schema)| {
            let one = schema.get("items").unwrap_or(schema);
            (one["type"] == "string" && one["enum"].is_null()).then_some((name, schema["type"] == "array"))
        })
    }

    /// What it must be given, with a name that nothing has yet.
    fn body(&self, count: &mut usize) -> Value {
        let mut body = given(&self.name);
        for name in &self.needs {
            let schema = &self.takes[name];
            let one = schema.get("items").unwrap_or(schema);
            let held = HOLDS.iter().find(|(key, _)| key == name).map_or("word", |(_, text)| text);
            *count += 1;
            let value = match one["type"].as_str() {
                _ if one["enum"].is_array() => one["enum"][0].clone(),
                Some("integer") => json!(1),
                Some("boolean") => json!(true),
                _ if name == "name" => json!(format!("thing-{count}")),
                _ => json!(held),
            };
            let value = if schema["type"] == "array" { json!([value]) } else { value };
            let fields = body.as_object_mut().expect("an object");
            fields.entry(name.clone()).or_insert(value);
        }
        body
    }
}

/// The verbs that take a body; those that tell somebody something come last.
fn operations(program: &Program) -> Vec<Operation> {
    let document = program.get("/api/v1/openapi.json").body;
    let mut all = Vec::new();
    for (path, methods) in document["paths"].as_object().expect("paths") {
        for (method, operation) in methods.as_object().expect("methods") {
            let schema = &operation["requestBody"]["content"]["application/json"]["schema"];
            let Some(takes) = schema["properties"].as_object() else { continue };
            let words = |value: &Value| value.as_str().expect("a word").to_owned();
            all.push(Operation {
                name: words(&operation["operationId"]),
                noun: words(&operation["tags"][0]),
                method: method.to_uppercase(),
                path: path.clone(),
                takes: takes.clone(),
                needs: schema["required"].as_array().expect("a list").iter().map(words).collect(),
            });
        }
    }
    all.sort_by_key(|one| (one.noun == "notify", one.name.clone()));
    all
}

/// Makes a new thing for a verb that is about one, with the verb of its noun that makes such things; where it is.
fn made(
    program: &Program,
    all: &[Operation],
    wanted: &Operation,
    count: &mut usize,
) -> Result<String, String> {
    let kind = match wanted.path.split("/kinds/").nth(1) {
        Some(kind) => format!("-{kind}"),
        None if wanted.name == "notify-rota-swap" => "-rota".to_owned(),
        None => String::new(),
    };
    let makes = |one: &&Operation| {
        let verb = one.name[one.noun.len()..].trim_start_matches('-');
        let (verb, its) = verb.split_at(verb.find('-').unwrap_or(verb.len()));
        one.noun == wanted.noun && ["add", "open"].contains(&verb) && (kind.is_empty() || kind == its)
    };
    let makes = all.iter().find(makes).ok_or_else(|| format!("{}: nothing makes one", wanted.noun))?;
    let told = program.send(&makes.method, &makes.path, &makes.body(count));
    match told.status {
        201 => Ok(told.header("location").to_owned()),
        _ => Err(format!("{}: give it what it needs: {}", makes.name, told.text)),
    }
}

/// Says one hostile text in one field; whether it was taken, or what is wrong with the answer.
fn said(
    program: &Program,
    (method, path): (&str, &str),
    name: &str,
    body: &Value,
    known: &str,
) -> Result<bool, String> {
    let told = program.send(method, path, body);
    let detail = told.body["detail"].as_str().unwrap_or_default();
    // How it is called there, and what is missing where it stands alone.
    let called = match name {
        "server_url" => "server",
        "provider_mail" => "provider's mail address",
        "provider_phone" => "provider's telephone number",
        "user" if detail.starts_with("password: it is missing") => "password",
        "password" if detail.starts_with("user: it is missing") => "user",
        other => other,
    };
    let is_named = told.body["param"] == name
        || detail.contains(known)
        || detail.contains(&format!("'{called}'"))
        || [format!("{called}: "), format!("the {called} "), format!("a {called} ")]
            .iter()
            .any(|begin| detail.starts_with(begin));
    let good = match told.status {
        200 | 201 => known != "no text",
        400 | 404 | 409 | 422 => is_named,
        _ => false,
    };
    match good {
        true => Ok(told.status < 300),
        false => Err(format!("{method} {path} {name}: {}: {}", told.status, told.text)),
    }
}

/// Says all of it in all fields.
fn fill(program: &Program) -> Vec<String> {
    let (all, mut count, mut wrong) = (operations(program), 0, Vec::new());
    let settings = program.get("/api/v1/settings").body;
    let settings: Vec<&str> =
        settings.as_array().expect("settings").iter().filter_map(|one| one["key"].as_str()).collect();
    for one in all.iter().filter(|one| one.texts().next().is_some()) {
        if one.name == "setting-set" {
            for key in &settings {
                for (text, _) in &HOSTILE[..2] {
                    let path = format!("/api/v1/settings/{key}");
                    wrong.extend(said(program, ("PUT", &path), "value", &json!({"value": text}), key).err());
                }
            }
            continue;
        }
        let mut fresh = || -> Result<(String, Value), String> {
            let path = if one.path.contains("{key}") {
                let path = made(program, &all, one, &mut count)?;
                path + one.path.split("{key}").nth(1).unwrap_or_default()
            } else {
                one.path.clone()
            };
            Ok((path, one.body(&mut count)))
        };
        // With what it needs it is done: then what is refused is refused for the text.
        let plain = fresh().and_then(|(path, body)| {
            let told = program.send(&one.method, &path, &body);
            let needs = || format!("{}: give it what it needs: {body}: {}", one.name, told.text);
            if told.status < 300 { Ok(()) } else { Err(needs()) }
        });
        if let Err(missed) = plain {
            wrong.push(format!("the test misses {missed}"));
            continue;
        }
        // A thing is good for the next text until it took one.
        let mut about = None;
        for (name, many) in one.texts() {
            for (text, known) in HOSTILE {
                let (path, body) = match about.take().map_or_else(&mut fresh, Ok) {
                    Ok(about) => about,
                    Err(missed) => {
                        wrong.push(missed);
                        continue;
                    }
                };
                let mut with: Value = body.clone();
                if one.name == "maintenance-add" && ["name", "site", "tag"].contains(&name.as_str()) {
                    // What a window is for is said in one way.
                    with.as_object_mut().expect("an object").remove("device");
                }
                with[name] = if many { json!([text]) } else { json!(text) };
                match said(program, (&one.method, &path), name, &with, known) {
                    Ok(true) => {}
                    Ok(false) => about = Some((path, body)),
                    Err(what) => wrong.push(what),
                }
            }
        }
    }
    wrong
}

/// Where a page leads to within the server.
fn links(page: &str) -> Vec<String> {
    let hrefs = tags(page).into_iter().filter_map(|tag| tag.get("href").map(ToOwned::to_owned));
    hrefs.filter(|href| href.starts_with('/') && !href.starts_with("//")).collect()
}

/// Whatever can be reached from the page of now and from what is on no page; what is foreign there.
fn look_at_all(program: &Program) -> (BTreeMap<String, usize>, Vec<String>) {
    let (mut wrong, mut seen, mut counts) = (Vec::new(), BTreeSet::new(), BTreeMap::new());
    let mut next: Vec<String> = [
        "/status",
        "/status/badge.svg",
        "/board",
        "/doctor",
        "/api",
        "/you",
        "/metrics",
        "/outbox",
        "/tokens",
    ]
    .map(ToOwned::to_owned)
    .to_vec();
    for (text, _) in HOSTILE {
        let text: String = form_urlencoded::byte_serialize(text.as_bytes()).collect();
        for path in [
            "/search?q=",
            "/devices?q=",
            "/devices?sort=",
            "/log?q=",
            "/sign-in?to=",
            "/new/device?name=",
            "/reports?since=",
        ] {
            next.push(format!("{path}{text}"));
        }
    }
    for noun in lineman::web::routes::all().filter_map(|route| route.path.strip_suffix("/{key}/{verb}")) {
        for format in ["csv", "tsv", "json", "jsonl", "yaml", "html", "md", "xlsx", "ods"] {
            next.push(format!("/download{noun}?format={format}"));
        }
        next.push(noun.to_owned());
    }
    next.push("/".to_owned());
    while let Some(path) = next.pop() {
        let kind = path.trim_start_matches('/').split(['/', '?']).next().unwrap_or_default().to_owned();
        // Things are alike: of each noun so many are looked at, each with its forms.
        let most = if path.matches('/').count() > 2 { 80 } else { 60 };
        let count = counts.entry(format!("{kind} {}", path.matches('/').count())).or_insert(0);
        if *count >= most || !seen.insert(path.clone()) {
            continue;
        }
        *count += 1;
        let told = program.get(&path);
        if told.status >= 500 || told.headers.get("x-evil").is_some() {
            wrong.push(format!("{path}: {}", told.status));
        }
        let kind = told.header("content-type");
        if kind.starts_with("text/html") || kind.starts_with("image/svg") {
            wrong.extend(foreign(&told.text).into_iter().map(|what| format!("{path}: {what}")));
            next.extend(links(&told.text));
        } else if told.status == 200 && path.starts_with("/download") {
            let is_file = told.header("content-disposition").starts_with("attachment; filename=\"");
            if !is_file || told.header("x-content-type-options") != "nosniff" {
                wrong.push(format!("{path}: a browser might show it as a page"));
            }
        }
    }
    (counts, wrong)
}

#[test]
fn hostile_text_in_any_field_is_refused_by_name_or_stays_text_everywhere() {
    // Its clock stands still: nothing that is made here becomes due, so nobody is probed or told.
    let world = World::turned();
    let server = world.serve();
    world.ok(&["device", "add", "box", "--address", "127.0.0.2"]);
    world.ok(&["device", "pause", "box"]);
    let program = Program::with(&world, &server, "admin");
    program.send("POST", "/api/v1/tickets", &json!({"title": "the first"}));
    let mail = json!({"name": "noc", "to": "noc@example.org", "from": "l@example.org", "host": "127.0.0.1"});
    program.send("POST", "/api/v1/notify/kinds/email", &mail);
    program.send("POST", "/api/v1/notify/noc/pause", &json!({}));
    let wrong = fill(&program);
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
    world.ok(&["setting", "set", "status.page", "all"]);
    let (counts, wrong) = look_at_all(&program);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let looked: usize = counts.values().sum();
    assert!(looked > 300, "{counts:?}");
    assert_eq!(server.stop(), Some(0));
}
