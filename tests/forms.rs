//! Forms and calls that change something: what nobody touched stays, what somebody else did is not undone unseen, what is
//! said over the network means what it means at the command line.

use std::io::Write as _;
use std::net::TcpStream;

use serde_json::{Value, json};

use crate::harness::program::{PASSWORD, Program, Told, between};
use crate::harness::{World, sqlite};

/// A form as it was opened: what is hidden in it goes along.
fn opened(person: &Program, cookie: &str, path: &str) -> Vec<(String, String)> {
    let page = person.call("GET", path, &[("cookie", cookie)], "");
    assert_eq!(page.status, 200, "{path}: {}", page.text);
    let hidden = page.text.split("<input type=\"hidden\" name=\"_was_").skip(1);
    hidden
        .map(|part| {
            (
                format!("_was_{}", part.split('"').next().unwrap_or_default()),
                between(part, "value=\"", "\"").to_owned(),
            )
        })
        .collect()
}

/// Sends a form that was opened: what nobody touched stands in it as it did.
fn send(
    person: &Program,
    cookie: &str,
    path: &str,
    was: &[(String, String)],
    changes: &[(&str, &str)],
) -> Told {
    let was = || was.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let shown = was().map(|(name, value)| (name.trim_start_matches("_was_"), value));
    let untouched = shown.filter(|(name, _)| changes.iter().all(|(other, _)| other != name));
    let all: Vec<(&str, &str)> = was().chain(untouched).chain(changes.iter().copied()).collect();
    person.post(path, cookie, &all)
}

#[test]
fn two_who_edit_the_same_thing_do_not_undo_each_other_unseen() {
    let world = World::real();
    let server = world.serve();
    let person = Program::stranger(&server);
    let admin = person.choose_password(&world, "admin");
    world.ok(&[
        "device",
        "add",
        "nat",
        "--address",
        "127.0.0.2",
        "--tag",
        "a",
        "--tag",
        "b",
        "--dns-name",
        "nat",
    ]);
    let was = opened(&person, &admin, "/devices/nat/edit");
    let form = |changes: &[(&str, &str)]| send(&person, &admin, "/devices/nat/edit", &was, changes);
    world.ok(&["device", "edit", "nat", "--address", "127.0.0.77", "--importance", "critical", "--tag", "c"]);
    let saved = form(&[("note", "behind the door")]);
    assert_eq!(saved.status, 303, "{}", saved.text);
    let device = world.json(&["device", "show", "nat"]);
    assert_eq!(
        (&device["address"], &device["importance"], &device["tags"], &device["note"]),
        (&json!("127.0.0.77"), &json!("critical"), &json!(["c"]), &json!("behind the door")),
    );
    let overtaken = form(&[("address", "127.0.0.3")]);
    assert_eq!(overtaken.status, 422);
    assert!(
        overtaken.text.contains("somebody changed it meanwhile")
            || overtaken.text.contains("Somebody changed")
    );
    assert!(overtaken.text.contains("127.0.0.3"), "nothing typed is lost");
    assert_eq!(world.json(&["device", "show", "nat"])["address"], "127.0.0.77");
    // Looked at again, it is changed; and what is emptied is taken away.
    let was = opened(&person, &admin, "/devices/nat/edit");
    let saved =
        send(&person, &admin, "/devices/nat/edit", &was, &[("address", ""), ("dns_name", ""), ("tag", "")]);
    assert_eq!(saved.status, 303, "{}", saved.text);
    let device = world.json(&["device", "show", "nat"]);
    assert_eq!(
        [&device["address"], &device["dns_name"], &device["tags"]],
        [&Value::Null, &Value::Null, &json!([])]
    );
    assert_eq!(server.stop(), Some(0));
}

#[test]
fn whatever_a_thing_is_its_form_can_be_saved() {
    let world = World::real();
    let server = world.serve();
    let person = Program::stranger(&server);
    let admin = person.choose_password(&world, "admin");
    for args in [
        &["device", "add", "fixed", "--address", "127.0.0.2", "--fixed"][..],
        &[
            "site",
            "add",
            "office",
            "--holiday",
            "2026-12-25",
            "--holiday",
            "2027-01-01",
            "--hours",
            "mon-fri 08:00-17:00",
        ],
        &[
            "notify",
            "add",
            "hook",
            "--after",
            "15m",
            "--when",
            "priority:P1",
            "--quiet",
            "22:00-07:00",
            "webhook",
            "--url",
            "http://127.0.0.1:9/",
        ],
    ] {
        world.ok(args);
    }
    let save = |path: &str, changes: &[(&str, &str)]| {
        let told = send(&person, &admin, path, &opened(&person, &admin, path), changes);
        assert!([200, 303].contains(&told.status), "{path}: {}: {}", told.status, told.text);
    };
    save("/devices/fixed/edit", &[("note", "a lamp")]);
    let fixed = world.json(&["device", "show", "fixed"]);
    assert_eq!((&fixed["address_from"], &fixed["note"]), (&json!("fixed"), &json!("a lamp")));
    save("/sites/office/edit", &[("holiday", "2026-12-25, 2026-12-26")]);
    assert_eq!(world.json(&["site", "show", "office"])["holidays"], json!(["2026-12-25", "2026-12-26"]));
    save("/sites/office/edit", &[("holiday", "")]);
    assert_eq!(world.json(&["site", "show", "office"])["holidays"], json!([]));
    save("/notify/hook/edit", &[("when", "priority:P2")]);
    let hook = world.json(&["notify", "show", "hook"]);
    assert_eq!(
        (&hook["when"], &hook["after_ms"], &hook["quiet"]),
        (&json!("priority:P2"), &json!(900_000), &json!("22:00-07:00"))
    );
    assert_eq!(server.stop(), Some(0));
}

#[test]
fn rules_of_notifications_are_said_everywhere_as_at_the_command_line() {
    let world = World::real();
    let server = world.serve();
    let program = Program::with(&world, &server, "admin");
    let rules = json!({"name": "far", "url": "http://127.0.0.1:9/", "when": "priority:P1", "after": "15m",
        "quiet": "22:00-07:00", "quiet_passes": "none", "tz": "Europe/Berlin", "person": "ana"});
    let made = program.send("POST", "/api/v1/notify/kinds/webhook", &rules);
    assert_eq!(made.status, 201, "{}", made.text);
    let token = program.token.clone().expect("a token");
    let far = |args: &[&str]| {
        let mut command = world.command("elsewhere", &[&["--server", &server.url()], args].concat());
        let output = command.env("LINEMAN_TOKEN", &token).output().expect("the program runs");
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    };
    let url = "http://127.0.0.1:9/";
    far(&[
        "notify",
        "add",
        "line",
        "--when",
        "priority:P1",
        "webhook",
        "--url",
        url,
        "--after",
        "15m",
        "--quiet",
        "22:00-07:00",
        "--quiet-passes",
        "none",
        "--tz",
        "Europe/Berlin",
        "--person",
        "ana",
    ]);
    let rule = |name: &str| {
        let shown = world.json(&["notify", "show", name]);
        ["when", "after_ms", "quiet", "quiet_passes", "tz", "person"].map(|key| shown[key].clone())
    };
    assert_eq!(rule("far"), rule("line"));
    assert_eq!(rule("far")[1], 900_000);
    far(&["notify", "edit", "line", "--when", "priority:P2"]);
    assert_eq!(rule("line")[0], "priority:P2");
    // A kind's own server is not the one where the command is done.
    world.ok(&["notify", "add", "topic", "ntfy", "--topic", "noc", "--server-url", "http://127.0.0.1:9"]);
    world.ok(&["notify", "add", "usual", "ntfy", "--topic", "noc"]);
    assert_eq!(world.json(&["notify", "show", "topic"])["channel"]["server"], "http://127.0.0.1:9");
    assert_eq!(server.stop(), Some(0));
}

#[test]
fn a_token_and_an_open_browser_do_not_lock_their_owner_out() {
    let world = World::real();
    let server = world.serve();
    let program = Program::with(&world, &server, "operator");
    let form = ("content-type", "application/x-www-form-urlencoded");
    for path in ["/you/factor", "/you/password", "/you/sessions/1/end", "/you/keys", "/sign-out"] {
        let told = program.call("POST", path, &[form], "turn=on&secret=00&code=0");
        assert_eq!(told.status, 403, "{path}: {}", told.text);
    }
    assert_eq!(program.get("/you").status, 403);
    let person = Program::stranger(&server);
    let admin = person.choose_password(&world, "admin");
    let offered = person.post("/you/factor", &admin, &[("turn", "begin")]);
    let secret = between(&offered.text, "name=\"secret\" value=\"", "\"").to_owned();
    assert_eq!(secret.len(), 40, "{}", offered.text);
    let without =
        person.post("/you/factor", &admin, &[("turn", "on"), ("secret", &secret), ("code", "000000")]);
    assert_eq!(without.status, 422);
    assert!(without.text.contains("password"), "{}", without.text);
    let wrong =
        [("turn", "on"), ("secret", secret.as_str()), ("code", "000000"), ("old", "another password")];
    assert_eq!(person.post("/you/factor", &admin, &wrong).status, 422);
    let no_code = [("turn", "on"), ("secret", secret.as_str()), ("code", "x"), ("old", PASSWORD)];
    assert!(person.post("/you/factor", &admin, &no_code).text.contains("not the code"));
    assert_eq!(server.stop(), Some(0));
}

#[test]
fn a_tag_is_good_as_long_as_nobody_changed_the_thing() {
    let world = World::real();
    let server = world.serve();
    let program = Program::with(&world, &server, "operator");
    world.ok(&["device", "add", "router"]);
    world.ok(&["ticket", "open", "a noise", "--device", "router"]);
    let tag = |path: &str| program.get(path).header("etag").to_owned();
    let json = ("content-type", "application/json");
    // Its service clock goes on; that is nobody's change.
    let ticket = tag("/api/v1/tickets/1");
    let say = |tag: &str, text: &str| {
        let body = json!({"text": text}).to_string();
        program.call("POST", "/api/v1/tickets/1/comment", &[json, ("if-match", tag)], &body).status
    };
    assert_eq!((say(&ticket, "louder"), say(&ticket, "quiet")), (200, 412));
    let here = tag("/api/v1/devices/this-machine");
    let edit = |tag: &str| {
        let body = json!({"note": "the server"}).to_string();
        program.call("PATCH", "/api/v1/devices/this-machine", &[json, ("if-match", tag)], &body).status
    };
    assert_eq!((edit(&here), edit(&here)), (200, 412));
    for (method, path) in [("PUT", "/api/v1/settings/check.every"), ("POST", "/api/v1/devices")] {
        let told =
            program.call(method, path, &[json, ("if-match", "\"x\"")], "{\"name\":\"x\",\"value\":\"9s\"}");
        assert!([403, 422].contains(&told.status), "{path}: {}", told.text);
    }
    assert_eq!(server.stop(), Some(0));
}

#[test]
fn once_is_once_and_no_secret_is_kept() {
    let world = World::real();
    let server = world.serve();
    let program = Program::with(&world, &server, "admin");
    let once = |method: &str, path: &str, word: &str, body: &Value| {
        let headers = [("content-type", "application/json"), ("idempotency-key", word)];
        program.call(method, path, &headers, &body.to_string())
    };
    let join = json!({"name": "van", "join": true});
    let first = once("POST", "/api/v1/devices", "a", &join);
    assert!(first.body["token"].as_str().is_some_and(|token| token.starts_with("lmj_")), "{}", first.text);
    let again = once("POST", "/api/v1/devices", "a", &join);
    assert_eq!(again.status, 409, "{}", again.text);
    assert!(again.text.contains("once"), "{}", again.text);
    assert_eq!(world.json(&["device", "list", "name:van"]).as_array().map(Vec::len), Some(1));
    let kept = sqlite(&world.database(), "SELECT group_concat(answer) FROM api_call");
    assert!(!kept.contains("lmj_"), "{kept}");
    let gone = || once("DELETE", "/api/v1/devices/van", "b", &Value::Null).status;
    assert_eq!((gone(), gone()), (200, 200));
    world.ok(&["notify", "add", "hook", "webhook", "--url", "http://127.0.0.1:9/"]);
    assert_eq!(
        once("POST", "/api/v1/notify/hook/test", "c", &json!({})).status,
        422,
        "it cannot be done once"
    );
    assert_eq!(server.stop(), Some(0));
}

#[test]
fn several_tickets_are_assigned_at_once() {
    let world = World::real();
    let server = world.serve();
    let person = Program::stranger(&server);
    let admin = person.choose_password(&world, "admin");
    for title in ["one", "two"] {
        world.ok(&["ticket", "open", title]);
    }
    let told = person.post("/bulk/tickets", &admin, &[("verb", "assign"), ("which", "1"), ("which", "2")]);
    assert_eq!(told.status, 303, "{}", told.text);
    let all = world.json(&["ticket", "list"]);
    assert!(all.as_array().is_some_and(|all| all.iter().all(|one| one["assignee"] == "admin")), "{all}");
    assert_eq!(server.stop(), Some(0));
}

#[test]
fn whoever_never_sends_his_body_keeps_nobody_out() {
    let world = World::real();
    let server = world.serve();
    let program = Program::with(&world, &server, "viewer");
    let half = b"GET /sign-in HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n";
    let slow: Vec<TcpStream> = (0..1_200)
        .map(|_| {
            let mut stream = TcpStream::connect(server.address()).expect("a connection");
            stream.write_all(half).expect("sent");
            stream
        })
        .collect();
    for path in ["/api/v1/devices", "/devices", "/style.css", "/healthz"] {
        assert_eq!(program.get(path).status, 200, "{path}");
    }
    drop(slow);
    assert_eq!(server.stop(), Some(0));
}
