//! The JSON API, and the door before it: a real server, called as programs and as strangers call it.

use serde_json::{Value, json};
use ureq::http::{HeaderMap, Method, Request};

use crate::harness::{Process, World, sqlite};

/// A program with a token.
struct Program {
    url: String,
    token: Option<String>,
}

/// What was answered.
struct Told {
    status: u16,
    headers: HeaderMap,
    body: Value,
    text: String,
}

impl Told {
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }
}

impl Program {
    fn with(world: &World, server: &Process<'_>, role: &str) -> Program {
        let name = format!("{role}-program");
        // The server itself makes the first user, who is the administrator.
        if role != "admin" {
            world.ok(&["user", "add", role, "--role", role]);
        }
        let said = world.ok(&["token", "add", &name, "--user", role, "--role", role]);
        let token = said.split_whitespace().last().expect("a token").to_owned();
        Program { url: server.url(), token: Some(token) }
    }

    fn stranger(server: &Process<'_>) -> Program {
        Program { url: server.url(), token: None }
    }

    fn call(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Told {
        let agent: ureq::Agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .allow_non_standard_methods(true)
            .max_redirects(0)
            .proxy(None)
            .build()
            .into();
        let method: Method = method.parse().expect("a method");
        let mut request = Request::builder().method(method).uri(format!("{}{path}", self.url));
        if let Some(token) = &self.token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut response = agent.run(request.body(body.to_owned()).expect("a request")).expect("an answer");
        let text = response.body_mut().read_to_string().unwrap_or_default();
        let body = serde_json::from_str(&text).unwrap_or_default();
        Told { status: response.status().as_u16(), headers: response.headers().clone(), body, text }
    }

    fn get(&self, path: &str) -> Told {
        self.call("GET", path, &[], "")
    }

    fn send(&self, method: &str, path: &str, body: &Value) -> Told {
        self.call(method, path, &[("content-type", "application/json")], &body.to_string())
    }
}

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
fn nobody_does_what_he_may_not() {
    let world = World::real();
    let server = world.serve();
    let (viewer, stranger) = (Program::with(&world, &server, "viewer"), Program::stranger(&server));
    assert_eq!(viewer.get("/api/v1/devices").status, 200);
    let refused = viewer.send("POST", "/api/v1/devices", &json!({"name": "x"}));
    assert_eq!(refused.status, 403, "{}", refused.text);
    assert_eq!(viewer.get("/api/v1/users").status, 403);
    assert_eq!(
        viewer
            .call("POST", "/new/device", &[("content-type", "application/x-www-form-urlencoded")], "name=x")
            .status,
        403
    );
    assert_eq!(world.json(&["event", "list", "kind:right.refused"]).as_array().map(Vec::len), Some(2));
    for path in [
        "/",
        "/devices",
        "/devices/this-machine",
        "/settings",
        "/events",
        "/download/devices",
        "/you",
        "/api",
    ] {
        let told = stranger.get(path);
        assert_eq!((told.status, told.header("location").starts_with("/sign-in?to=")), (303, true), "{path}");
    }
    for path in ["/api/v1/devices", "/api/v1/openapi.json", "/api/v1/settings", "/api/v1/users"] {
        assert_eq!(stranger.get(path).status, 401, "{path}");
    }
    let wrong = Program { url: server.url(), token: Some("lmt_wrong".into()) };
    assert_eq!(wrong.get("/api/v1/devices").status, 401);
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
    assert_eq!(server.stop(), Some(0));
}

/// Signs in with a form; what the browser would keep.
fn sign_in(stranger: &Program, name: &str, password: &str) -> (u16, String) {
    let form = form_urlencoded::Serializer::new(String::new())
        .append_pair("name", name)
        .append_pair("password", password)
        .finish();
    let told =
        stranger.call("POST", "/sign-in", &[("content-type", "application/x-www-form-urlencoded")], &form);
    (told.status, told.header("set-cookie").split(';').next().unwrap_or_default().to_owned())
}

fn choose_password(world: &World, stranger: &Program, name: &str, password: &str) -> String {
    let said = world.ok(&["user", "link", name]);
    let link = said
        .lines()
        .find_map(|line| line.find("/sign-in/link/").map(|at| line[at..].trim().to_owned()))
        .expect("a link");
    let form = format!("password={0}&again={0}", password.replace(' ', "+"));
    let told = stranger.call("POST", &link, &[("content-type", "application/x-www-form-urlencoded")], &form);
    assert_eq!(told.status, 303, "{}", told.text);
    assert_eq!(stranger.get(&link).status, 404, "a link opens once");
    let cookie = told.header("set-cookie");
    assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Lax"), "{cookie}");
    cookie.split(';').next().unwrap_or_default().to_owned()
}

#[test]
fn forged_forms_and_guessed_passwords_open_nothing() {
    let world = World::real();
    let server = world.serve();
    let stranger = Program::stranger(&server);
    let cookie = choose_password(&world, &stranger, "admin", "correct horse battery");
    let form = ("content-type", "application/x-www-form-urlencoded");
    let page = stranger.call("GET", "/new/site", &[("cookie", &cookie)], "");
    let token = page
        .text
        .split("name=\"_form\" value=\"")
        .nth(1)
        .and_then(|rest| rest.split('"').next())
        .expect("the form's word")
        .to_owned();
    let host = server.address();
    let (own, evil) = (format!("http://{host}"), "http://evil.example");
    for (why, headers, word, status) in [
        ("no word", vec![form, ("cookie", cookie.as_str())], "", 403),
        ("another's word", vec![form, ("cookie", &cookie)], "AAAA", 403),
        ("another's page", vec![form, ("cookie", &cookie), ("origin", evil)], token.as_str(), 403),
        ("another's site", vec![form, ("cookie", &cookie), ("sec-fetch-site", "cross-site")], &token, 403),
        ("no session", vec![form, ("origin", &own)], &token, 401),
        (
            "our own page",
            vec![form, ("cookie", &cookie), ("origin", &own), ("sec-fetch-site", "same-origin")],
            &token,
            303,
        ),
    ] {
        let told = stranger.call("POST", "/new/site", &headers, &format!("name=north&_form={word}"));
        assert_eq!(told.status, status, "{why}: {}", told.text);
    }
    assert_eq!(world.json(&["site", "list"]).as_array().map(Vec::len), Some(1));
    // A few tries are free; then whoever guesses waits, whether there is such a user or not.
    let mut statuses = Vec::new();
    for _ in 0..7 {
        statuses.push(sign_in(&stranger, "nobody-at-all", "wrong").0);
    }
    assert_eq!(statuses, [401, 401, 401, 401, 401, 429, 429]);
    assert_eq!(
        sign_in(&stranger, "admin", "correct horse battery").0,
        429,
        "from that address nobody is let in for a while"
    );
    let told = sqlite(&world.database(), "SELECT count(*) FROM event WHERE kind = 'sign-in.refused'");
    assert_eq!(told, "5");
    let kept = sqlite(&world.database(), "SELECT password FROM user WHERE name = 'admin'");
    assert!(kept.starts_with("$argon2id$"), "{kept}");
    // Sessions end when they are ended elsewhere.
    assert_eq!(stranger.call("GET", "/you", &[("cookie", &cookie)], "").status, 200);
    world.ok(&["user", "sign-out", "admin"]);
    assert_eq!(stranger.call("GET", "/you", &[("cookie", &cookie)], "").status, 303);
    assert_eq!(server.stop(), Some(0));
}

#[test]
fn hostile_requests_get_a_plain_no() {
    let world = World::real();
    let server = world.serve();
    let program = Program::with(&world, &server, "admin");
    let evil = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>";
    program.send("POST", "/api/v1/sites", &json!({"name": "north", "note": evil, "provider": evil}));
    program.send("POST", "/api/v1/devices", &json!({"name": "nas", "site": "north", "note": evil}));
    program.send("POST", "/api/v1/tickets", &json!({"title": evil, "device": "nas"}));
    program.send("POST", "/api/v1/tickets/1/comment", &json!({"text": evil}));
    for path in [
        "/",
        "/devices",
        "/devices/nas",
        "/sites/north",
        "/tickets",
        "/tickets/1",
        "/board",
        "/log",
        "/log?q=%3Cscript%3E",
        "/search?q=%3Cscript%3E",
    ] {
        let told = program.get(path);
        assert!(
            !told.text.contains("<script>alert") && !told.text.contains("<img src=x"),
            "{path}: {}",
            told.text
        );
        assert!(told.status < 500, "{path}: {}", told.status);
    }
    for (method, path, body, status) in [
        ("GET", "/api/v1/devices/..%2F..%2Fetc%2Fpasswd", "", 404),
        ("GET", "/devices/%00", "", 422),
        ("GET", "/download/..%2F..", "", 404),
        ("GET", "/download/devices?format=exe", "", 422),
        ("GET", "/devices?q=colour:red", "", 422),
        ("GET", "/devices?page=99999999999999999999", "", 200),
        ("GET", "/new/nothing", "", 404),
        ("GET", "/tickets/1/explode", "", 404),
        ("GET", "/sign-in?to=https://evil.example", "", 200),
        ("PUT", "/api/v1/settings/dns.key", r#"{"value": "@/etc/passwd"}"#, 422),
        ("PUT", "/api/v1/settings/check_in.every", r#"{"value": "-"}"#, 422),
        ("POST", "/api/v1/notify/kinds/command", r#"{"name": "x", "program": "/bin/true"}"#, 404),
        ("GET", "/api/v1/devices?limit=0", "", 422),
        ("GET", "/api/v1/devices?limit=99999999", "", 422),
    ] {
        let told = program.call(method, path, &[("content-type", "application/json")], body);
        assert_eq!(told.status, status, "{method} {path}: {}", told.text);
        assert!(
            told.header("content-security-policy").contains("default-src 'none'") || told.status == 404,
            "{path}"
        );
    }
    // A secret is said outright, kept, and never shown; nothing of it is left in a file.
    let mail = json!({"name": "noc", "to": "noc@example.org", "from": "l@example.org", "host": "mx.example.org", "user": "l", "password": "s3cr3t-word"});
    let made = program.send("POST", "/api/v1/notify/kinds/email", &mail);
    assert_eq!(made.status, 201, "{}", made.text);
    let shown = program.get("/api/v1/notify/noc").text
        + &program.get("/notify/noc").text
        + &world.ok(&["event", "list", "--json"]);
    assert!(shown.contains("mx.example.org") && !shown.contains("s3cr3t-word"), "{shown}");
    let left = std::fs::read_dir(world.database().parent().expect("a folder")).expect("read").flatten();
    assert!(left.map(|entry| entry.file_name()).all(|name| !name.to_string_lossy().starts_with(".call-")));
    // What is too large is refused as soon as it says so.
    let mut stream = std::net::TcpStream::connect(server.address()).expect("a connection");
    let token = program.token.as_deref().unwrap_or_default();
    let head = format!(
        "POST /api/v1/devices HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\nContent-Type: application/json\r\nContent-Length: 9999999\r\n\r\n"
    );
    std::io::Write::write_all(&mut stream, head.as_bytes()).expect("sent");
    let mut first = [0; 12];
    std::io::Read::read_exact(&mut stream, &mut first).expect("an answer");
    assert_eq!(&first, b"HTTP/1.1 413");
    let fields = "a=1&".repeat(2_000);
    assert_eq!(
        program
            .call("POST", "/new/site", &[("content-type", "application/x-www-form-urlencoded")], &fields)
            .status,
        400
    );
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
        &["device", "list"][..],
        &["device", "list", "-tag:a", "--sort", "-name", "-o", "csv"],
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
    let cookie = choose_password(&world, &stranger, "admin", "correct horse battery");
    let form = ("content-type", "application/x-www-form-urlencoded");
    let between = |text: &str, begin: &str, end: &str| {
        text.split(begin)
            .nth(1)
            .and_then(|rest| rest.split(end).next())
            .map(ToOwned::to_owned)
            .unwrap_or_default()
    };
    let page = stranger.call("GET", "/you", &[("cookie", &cookie)], "").text;
    let word = between(&page, "name=\"_form\" value=\"", "\"");
    let post = |body: &str| {
        stranger
            .call("POST", "/you/factor", &[form, ("cookie", &cookie)], &format!("_form={word}&{body}"))
            .text
    };
    let offered = post("turn=begin");
    let hex = between(&offered, "name=\"secret\" value=\"", "\"");
    let secret: Vec<u8> =
        (0..20).map(|at| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).expect("hex")).collect();
    assert!(post(&format!("turn=on&secret={hex}&code=000000")).contains("not the code of now"));
    let now = schedules::Clock::system().now();
    let on = post(&format!("turn=on&secret={hex}&code={}", lineman::secret::factor_code(&secret, now)));
    let recovery = between(&on, "<li><code>", "</code>");
    assert_eq!(recovery.len(), 14, "{on}");
    let enter = |code: &str| {
        let body = format!("name=admin&password=correct+horse+battery&code={code}");
        stranger.call("POST", "/sign-in", &[form], &body).status
    };
    assert_eq!(enter(""), 401, "the password alone opens nothing");
    assert_eq!(enter(&lineman::secret::factor_code(&secret, now)), 401, "a code opens once");
    assert_eq!(enter(&recovery), 303);
    assert_eq!(enter(&recovery), 401, "a recovery code opens once");
    assert_eq!(server.stop(), Some(0));
}
