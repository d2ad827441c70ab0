//! The JSON API: a real server, called as programs call it.

use serde_json::json;

use crate::harness::World;
use crate::harness::program::{FORM, Program, between};

#[test]
fn what_the_commands_can_do_programs_can_do() {
    let world = World::real();
    let server = world.serve();
    let program = Program::with(&world, &server, "operator");
    let made = program.send(
        "POST",
        "/api/v1/devices",
        &json!({"name": "nas/1", "address": "127.0.0.4", "tag": ["a", "b"]}),
    );
    assert_eq!((made.status, made.header("location")), (201, "/api/v1/devices/nas%2F1"), "{}", made.text);
    let shown = program.get("/api/v1/devices/nas%2F1");
    assert_eq!((&shown.body["name"], &shown.body["tags"]), (&json!("nas/1"), &json!(["a", "b"])));
    assert_eq!(shown.body, world.json(&["device", "show", "nas/1"]), "the same shape as --json");
    // As it was seen, or not at all.
    let etag = shown.header("etag").to_owned();
    let same = program.call("GET", "/api/v1/devices/nas%2F1", &[("if-none-match", &etag)], "");
    assert_eq!((same.status, same.text.as_str()), (304, ""));
    let edit = |etag: &str, note: &str| {
        let headers = [("content-type", "application/json"), ("if-match", etag)];
        program.call("PATCH", "/api/v1/devices/nas%2F1", &headers, &json!({"note": note}).to_string())
    };
    assert_eq!(edit(&etag, "first").status, 200);
    assert_eq!(edit(&etag, "second").status, 412);
    assert_eq!(program.get("/api/v1/devices/nas%2F1").body["note"], "first");
    // Once is once.
    let once = |name: &str| {
        let headers = [("content-type", "application/json"), ("idempotency-key", "word-1")];
        program.call("POST", "/api/v1/devices", &headers, &json!({"name": name}).to_string())
    };
    let (first, again) = (once("printer"), once("printer"));
    assert_eq!((first.status, again.status), (201, 201), "{}", again.text);
    assert_eq!(first.body, again.body);
    assert_eq!(once("plotter").status, 409, "the word was used for another call");
    // Wrong is told, with the parameter.
    let wrong = program.send("POST", "/api/v1/devices", &json!({"name": "x", "site": "nowhere"}));
    assert_eq!(wrong.status, 404, "{}", wrong.text);
    for (body, param) in [
        (json!({"name": "x", "importance": "huge"}), "importance"),
        (json!({"name": "x", "colour": "red"}), "colour"),
        (json!({"name": {"a": 1}}), "name"),
        (json!({}), "name"),
    ] {
        let wrong = program.send("POST", "/api/v1/devices", &body);
        assert_eq!((wrong.status, &wrong.body["param"]), (422, &json!(param)), "{body}: {}", wrong.text);
        assert_eq!(wrong.header("content-type"), "application/problem+json");
    }
    // In its words, not in those of a command line.
    let portless = program.send("POST", "/api/v1/checks", &json!({"device": "printer", "kind": "tcp"}));
    assert!(portless.text.contains("'port'") && !portless.text.contains("--"), "{}", portless.text);
    assert_eq!(program.call("POST", "/api/v1/devices", &[], "{").status, 400);
    assert_eq!(program.call("POST", "/api/v1/devices", &[], "[]").status, 400);
    let method = program.call("PUT", "/api/v1/devices", &[], "{}");
    assert_eq!((method.status, method.header("allow")), (405, "GET, POST"));
    assert_eq!(program.get("/api/v1/nothing").status, 404);
    // Page by page, in the order of ids.
    for n in 0..7 {
        program.send("POST", "/api/v1/devices", &json!({"name": format!("row-{n}")}));
    }
    let (mut path, mut names) = ("/api/v1/devices?limit=3&after=0".to_owned(), Vec::new());
    loop {
        let page = program.get(&path);
        assert_eq!(page.status, 200, "{}", page.text);
        names.extend(page.body.as_array().expect("a list").iter().map(|row| row["name"].to_string()));
        let Some(next) = page.header("link").strip_prefix('<').and_then(|link| link.split('>').next()) else {
            break;
        };
        path = next.to_owned();
    }
    let all = world.json(&["device", "list", "--sort", "id"]);
    let all: Vec<_> = all.as_array().expect("a list").iter().map(|row| row["name"].to_string()).collect();
    assert_eq!(names, all);
    assert_eq!(program.call("DELETE", "/api/v1/devices/printer", &[], "").status, 200);
    assert_eq!(program.get("/api/v1/devices/printer").status, 404);
    let event = &world.json(&["event", "list", "kind:device.removed"])[0];
    assert_eq!(event["actor"], "user:operator");
    assert_eq!(server.stop(), Some(0));
}

#[test]
fn the_document_names_every_path_that_there_is() {
    let world = World::real();
    let server = world.serve();
    let program = Program::with(&world, &server, "admin");
    let document = program.get("/api/v1/openapi.json").body;
    assert_eq!(document["openapi"], "3.1.0");
    let paths = document["paths"].as_object().expect("paths");
    for (path, method) in [
        ("/api/v1/devices", "post"),
        ("/api/v1/devices/{key}", "patch"),
        ("/api/v1/tickets/{key}/acknowledge", "post"),
        ("/api/v1/settings/{key}", "put"),
        ("/api/v1/notify/kinds/email", "post"),
        ("/api/v1/reports/availability", "get"),
        ("/api/v1/outbox/{key}/retry", "post"),
    ] {
        assert!(paths[path][method]["operationId"].is_string(), "{method} {path}");
    }
    let mut ids: Vec<_> = paths
        .values()
        .flat_map(|path| {
            path.as_object().expect("methods").values().map(|one| one["operationId"].to_string())
        })
        .collect();
    let count = ids.len();
    ids.sort();
    ids.dedup();
    assert_eq!((ids.len(), count > 60), (count, true));
    let page = program.get("/api");
    assert!(page.text.contains("/api/v1/devices/{key}"), "{}", page.text);
    assert_eq!(server.stop(), Some(0));
}

#[test]
fn the_same_commands_are_done_at_a_server_elsewhere() {
    let world = World::real();
    let server = world.serve();
    let program = Program::with(&world, &server, "operator");
    let (url, token) = (server.url(), program.token.expect("a token"));
    let far = |args: &[&str]| {
        let mut command = world.command("elsewhere", &[&["--server", &url], args].concat());
        command.env("LINEMAN_TOKEN", &token).output().expect("the program runs")
    };
    let told = |args: &[&str]| {
        let output = far(args);
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("text")
    };
    told(&["device", "add", "nas 1", "--address", "127.0.0.4", "--tag", "a", "--tag", "b"]);
    told(&["ticket", "open", "a noise", "--device", "nas 1"]);
    told(&["ticket", "comment", "1", "louder"]);
    for args in [
        // Not of this machine's agent, which goes on checking in.
        &["device", "list", "tag:a"][..],
        &["device", "list", "tag:a", "--sort", "-name", "-o", "csv"],
        &["device", "list", "-tag:a", "-o", "name"],
        &["device", "show", "nas 1"],
        &["device", "show", "nas 1", "--json"],
        &["ticket", "list", "--json", "id,title,state"],
        &["ticket", "show", "1", "--jq", ".comments[0].text"],
        &["outage", "list"],
    ] {
        let (here, there) = (world.ok(args), told(args));
        // Spans go on while they are told.
        let steady = |text: &str| {
            text.lines().filter(|line| !line.contains("SERVICE TIME")).collect::<Vec<_>>().join("\n")
        };
        assert_eq!(steady(&there), steady(&here), "{args:?}");
    }
    for (args, code, says) in [
        (&["device", "show", "nobody"][..], 3, "nobody"),
        (&["device", "add", "nas 1"], 5, "already"),
        (&["setting", "set", "check.every", "9s"], 4, "may not"),
        (&["device", "add", "x", "--importance", "huge"], 2, "huge"),
        (&["check", "add", "nas 1", "tcp"], 2, "--port"),
    ] {
        let output = far(args);
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{args:?}: {text}");
        assert!(text.contains(says), "{args:?}: {text}");
    }
    let plain = world
        .command("elsewhere", &["--server", "http://192.0.2.1:8080", "--token", "x", "device", "list"])
        .output();
    assert!(String::from_utf8_lossy(&plain.expect("it runs").stderr).contains("unencrypted"));
    assert_eq!(server.stop(), Some(0));
}

#[test]
fn a_second_factor_is_asked_for_and_a_recovery_code_opens_once() {
    let world = World::real();
    let server = world.serve();
    let stranger = Program::stranger(&server);
    let cookie = stranger.choose_password(&world, "admin");
    let word = stranger.word(&cookie);
    let post = |body: &str| {
        stranger
            .call("POST", "/you/factor", &[FORM, ("cookie", &cookie)], &format!("_form={word}&{body}"))
            .text
    };
    let offered = post("turn=begin");
    let hex = between(&offered, "name=\"secret\" value=\"", "\"");
    let secret: Vec<u8> =
        (0..20).map(|at| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).expect("hex")).collect();
    let turn_on = |code: &str| post(&format!("turn=on&secret={hex}&code={code}&old=correct+horse+battery"));
    assert!(turn_on("000000").contains("not the code of now"));
    let now = schedules::Clock::system().now();
    let on = turn_on(&lineman::secret::factor_code(&secret, now));
    let recovery = between(&on, "<li><code>", "</code>");
    assert_eq!(recovery.len(), 14, "{on}");
    assert!(turn_on(&lineman::secret::factor_code(&secret, now)).contains("turn it off first"));
    let enter = |code: &str| {
        let body = format!("name=admin&password=correct+horse+battery&code={code}");
        stranger.call("POST", "/sign-in", &[FORM], &body).status
    };
    assert_eq!(enter(""), 401, "the password alone opens nothing");
    assert_eq!(enter(&lineman::secret::factor_code(&secret, now)), 401, "a code opens once");
    assert_eq!(enter(recovery), 303);
    assert_eq!(enter(recovery), 401, "a recovery code opens once");
    assert_eq!(server.stop(), Some(0));
}
