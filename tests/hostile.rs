//! Hostile requests: whatever is sent, what comes back is a plain no, and the server goes on.

use serde_json::json;

use crate::harness::program::{FORM, PASSWORD, Program, between, link, raw};
use crate::harness::{World, sqlite};

#[test]
fn what_is_no_request_is_refused_as_a_whole() {
    let world = World::real();
    let server = world.serve();
    let long = |many| "a".repeat(many);
    // What is sent, the status it is answered with, and how often something is answered. `~` is the end of a line.
    #[rustfmt::skip]
    let table: &[(String, u16)] = &[
        // Too large.
        (format!("GET /healthz HTTP/1.1~Host: x~X: {}~~", long(200_000)),                 431),
        (format!("GET /healthz HTTP/1.1~Host: x~{}~", "X: a~".repeat(1_000)),             431),
        (format!("GET /healthz?{} HTTP/1.1~Host: x~~", long(70_000)),                     414),
        ("POST /sign-in HTTP/1.1~Host: x~Expect: 100-continue~Content-Length: 9999999~~".into(), 413),
        // Two lengths, or none that is clear: nobody may read another request out of it than whoever stands before the server.
        ("POST /sign-in HTTP/1.1~Host: x~Content-Length: 3~Content-Length: 4~~abcd".into(), 400),
        ("POST /sign-in HTTP/1.1~Host: x~Content-Length: 3, 4~~abcd".into(),              400),
        ("POST /sign-in HTTP/1.1~Host: x~Content-Length: +3~~abc".into(),                 400),
        ("POST /sign-in HTTP/1.1~Host: x~Content-Length: -3~~abc".into(),                 400),
        ("POST /sign-in HTTP/1.1~Host: x~Content-Length: 0x3~~abc".into(),                400),
        ("POST /sign-in HTTP/1.1~Host: x~Transfer-Encoding: xchunked~~0~~".into(),        400),
        ("POST /sign-in HTTP/1.1~Host: x~Transfer-Encoding: chunked, identity~~0~~".into(), 400),
        ("POST /sign-in HTTP/1.1~Host: x~Transfer-Encoding: chunked~Transfer-Encoding: identity~~0~~".into(), 400),
        ("POST /sign-in HTTP/1.0~Host: x~Transfer-Encoding: chunked~~0~~".into(),         400),
        ("POST /sign-in HTTP/1.1~Host: x~Transfer-Encoding: chunked~~zz~~".into(),        400),
        ("POST /sign-in HTTP/1.1~Host: x~Transfer-Encoding: chunked~~fffffffffffffffff~~".into(), 400),
        (format!("POST /sign-in HTTP/1.1~Host: x~Transfer-Encoding: chunked~~1;{}~x~0~~", long(100_000)), 400),
        // Both: the connection ends with the first answer, so that what is behind it is never taken for a request.
        ("POST /sign-in HTTP/1.1~Host: x~Content-Length: 4~Transfer-Encoding: chunked~~0~~GET /healthz HTTP/1.1~Host: x~~".into(), 401),
        ("POST /sign-in HTTP/1.1~Host: x~Transfer-Encoding: chunked~Content-Length: 4~~0~~GET /healthz HTTP/1.1~Host: x~~".into(), 401),
        // Heads that are none.
        ("GET /healthz HTTP/1.1~Connection: close~~".into(),                              400),
        ("GET /healthz HTTP/1.1~Host: x~Host: y~Connection: close~~".into(),              400),
        ("GET /healthz HTTP/1.1~Host : x~~".into(),                                       400),
        ("GET /healthz HTTP/1.1~Host: x~X: a~ b~~".into(),                                400),
        ("GET /healthz HTTP/1.1~Host: x~X: a\0b~~".into(),                                400),
        ("GET /healthz HTTP/3.0~Host: x~~".into(),                                        400),
        ("GET /healthz~~".into(),                                                         400),
        ("GET /devices/\0 HTTP/1.1~Host: x~~".into(),                                     400),
        ("GET /devices/a b HTTP/1.1~Host: x~~".into(),                                    400),
        ("\x16\x03\x01\x02 nothing~~".into(),                                             400),
        // Where it leads elsewhere, or nowhere.
        ("GET http://evil.example/devices HTTP/1.1~Host: x~Connection: close~~".into(),   303),
        ("CONNECT evil.example:443 HTTP/1.1~Host: x~Connection: close~~".into(),          404),
        ("OPTIONS * HTTP/1.1~Host: x~Connection: close~~".into(),                         404),
        ("TRACE /devices HTTP/1.1~Host: x~Connection: close~~".into(),                    405),
        ("get /devices HTTP/1.1~Host: x~Connection: close~~".into(),                      405),
        ("PUT /devices HTTP/1.1~Host: x~Connection: close~~".into(),                      405),
        ("POST /devices HTTP/1.1~Host: x~X-HTTP-Method-Override: GET~Connection: close~~".into(), 405),
        ("GET //devices HTTP/1.1~Host: x~Connection: close~~".into(),                     404),
        ("GET //evil.example/%2e%2e HTTP/1.1~Host: x~Connection: close~~".into(),         404),
        ("GET /style.css/../devices HTTP/1.1~Host: x~Connection: close~~".into(),         404),
        ("GET /style.css/%2e%2e/devices HTTP/1.1~Host: x~Connection: close~~".into(),     404),
        ("GET /DEVICES HTTP/1.1~Host: x~Connection: close~~".into(),                      404),
        ("GET /devices/%ff%fe HTTP/1.1~Host: x~Connection: close~~".into(),               400),
        ("GET /devices HTTP/1.1~Host: evil.example~X-Forwarded-Host: evil.example~Connection: close~~".into(), 303),
    ];
    for (sent, status) in table {
        let told = raw(&server.address(), sent.replace('~', "\r\n").as_bytes());
        let short: String = sent.chars().take(120).collect();
        assert!(told.starts_with(&format!("HTTP/1.1 {status} ")), "{short}: {status}: {told}");
        assert_eq!(told.matches("HTTP/1.1 ").count(), 1, "{short}: {told}");
        assert!(!told.contains("evil.example"), "{short}: {told}");
        if *status == 405 {
            let has = |header| told.contains(&format!("\r\n{header}: "));
            assert!(has("allow") && has("content-security-policy"), "{short}: {told}");
        }
    }
    assert_eq!(Program::stranger(&server).get("/healthz").status, 200);
    assert_eq!(server.stop(), Some(0));
}

#[test]
fn whatever_a_program_says_is_answered_plainly() {
    let world = World::real();
    let server = world.serve();
    let program = Program::with(&world, &server, "admin");
    let deep = format!("{{\"name\": {}{}}}", "[".repeat(100_000), "]".repeat(100_000));
    let many = format!("{{{}\"name\": \"x\"}}", "\"a\": 1,".repeat(50_000));
    let (fields, word) = ("a=1&".repeat(2_000), "x".repeat(100_000));
    let (asks, long) = (format!("/api/v1/devices?{fields}"), format!("{{\"name\": \"{word}\"}}"));
    #[rustfmt::skip]
    let table: &[(&str, &str, &str, &str, u16)] = &[
        ("GET",    "/api/v1/devices/..%2F..%2Fetc%2Fpasswd", "", "", 404),
        ("GET",    "/api/v1/devices/../settings", "", "", 404),
        ("GET",    "/api/v1//devices", "", "", 404),
        ("GET",    "/api/v1/devices/", "", "", 404),
        ("GET",    "/api/v1/api/v1/devices", "", "", 404),
        ("GET",    "/api/v1/devices/%00", "", "", 422),
        ("GET",    "/api/v1/devices/%ff", "", "", 400),
        ("GET",    "/api/v1/devices/a%0d%0aSet-Cookie:%20x=1", "", "", 404),
        ("DELETE", "/api/v1/devices/--help", "", "", 404),
        ("GET",    "/devices/%00", "", "", 422),
        ("GET",    "/devices/..%2f..%2fetc", "", "", 404),
        ("GET",    "/download/..%2F..", "", "", 404),
        ("GET",    "/download/devices?format=exe", "", "", 422),
        ("GET",    "/download/devices?format=csv%0d%0aX:%20y", "", "", 422),
        ("GET",    "/devices?q=colour:red", "", "", 422),
        ("GET",    "/devices?q=%ff%00", "", "", 422),
        ("GET",    "/devices?page=99999999999999999999", "", "", 200),
        ("GET",    "/devices?page=-1&sort=--&q=%22", "", "", 422),
        ("GET",    "/new/nothing", "", "", 404),
        ("GET",    "/new/device?kind=%3Cscript%3E", "", "", 404),
        ("GET",    "/tickets/1/explode", "", "", 404),
        ("GET",    "/tickets/99999999999999999999999", "", "", 404),
        ("GET",    "/sign-in?to=https://evil.example", "", "", 200),
        ("POST",   "/you/sessions/x/end", FORM.1, "", 403),
        ("POST",   "/you/sessions/99999999999999999999/end", FORM.1, "", 403),
        ("POST",   "/new/site", FORM.1, &fields, 400),
        ("POST",   "/new/site", "application/json", "{\"name\": \"x\"}", 422),
        ("POST",   "/new/site", "multipart/form-data; boundary=x", "--x\r\n\r\n--x--", 422),
        ("POST",   "/bulk/devices", FORM.1, "verb=remove&which=1", 422),
        ("GET",    &asks, "", "", 400),
        ("GET",    "/api/v1/devices?limit=0", "", "", 422),
        ("GET",    "/api/v1/devices?limit=99999999", "", "", 422),
        ("GET",    "/api/v1/devices?limit=1&limit=2", "", "", 422),
        ("PATCH",  "/api/v1/settings", "application/json", "{}", 405),
        ("POST",   "/api/v1/devices", "application/json", &deep, 400),
        ("POST",   "/api/v1/devices", "application/json", &many, 422),
        ("POST",   "/api/v1/devices", "application/json", &long, 422),
        ("POST",   "/api/v1/devices", "application/json", "{\"name\": [\"a\", [\"b\"]]}", 422),
        ("POST",   "/api/v1/devices", "application/json", "{\"name\": \"a\\u0000b\"}", 422),
        ("POST",   "/api/v1/devices", "application/json", "{\"name\": \"a\\ud800\"}", 400),
        ("POST",   "/api/v1/devices", "application/json", "{\"name\": 1e999}", 400),
        ("POST",   "/api/v1/devices", "application/json", "\u{feff}{}", 400),
        ("POST",   "/api/v1/devices", "application/json", "{", 400),
        ("POST",   "/api/v1/devices", "application/json", "[]", 400),
        ("POST",   "/api/v1/devices", "text/xml", "<a/>", 400),
        ("POST",   "/api/v1/devices", FORM.1, "name=x", 422),
        ("PUT",    "/api/v1/settings/dns.key", "application/json", "{\"value\": \"@/etc/passwd\"}", 422),
        ("PUT",    "/api/v1/settings/check_in.every", "application/json", "{\"value\": \"-\"}", 422),
        ("POST",   "/api/v1/notify/kinds/command", "application/json", "{\"name\": \"x\", \"program\": \"/bin/true\"}", 404),
        ("POST",   "/api/agent/check-in", "application/json", "{}", 400),
        ("POST",   "/ping/%00/%ff", "", "", 400),
    ];
    let mut wrong = Vec::new();
    for (method, path, kind, body, status) in table {
        let told = program.call(method, path, &[("content-type", kind)], body);
        let [path, body, text] =
            [*path, *body, &told.text].map(|text| text.chars().take(100).collect::<String>());
        if told.status != *status {
            wrong.push(format!("{method} {path} {body}: {status}: {} {text}", told.status));
        }
        assert!(told.headers.get("x").is_none() && told.headers.get("set-cookie").is_none(), "{path}");
        if path.starts_with("/api/v1") && told.status >= 400 {
            assert_eq!(told.header("content-type"), "application/problem+json", "{path}");
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(program.get("/api/v1/devices").body.as_array().map(Vec::len), Some(1), "nothing was made");
    assert!(!world.log().contains("panicked"), "{}", world.log());
    assert_eq!(server.stop(), Some(0));
}

#[test]
fn a_secret_that_was_said_is_shown_nowhere() {
    let world = World::real();
    let server = world.serve();
    let program = Program::with(&world, &server, "admin");
    let mail = json!({"name": "noc", "to": "noc@example.org", "from": "l@example.org", "host": "mx.example.org", "user": "l", "password": "s3cr3t-word"});
    let made = program.send("POST", "/api/v1/notify/kinds/email", &mail);
    assert_eq!(made.status, 201, "{}", made.text);
    let shown = program.get("/api/v1/notify/noc").text
        + &program.get("/notify/noc").text
        + &world.ok(&["event", "list", "--json"]);
    assert!(shown.contains("mx.example.org") && !shown.contains("s3cr3t-word"), "{shown}");
    // It is kept in the database alone.
    let left = std::fs::read_dir(world.database().parent().expect("a folder")).expect("read").flatten();
    let holds = |path: &std::path::Path| {
        std::fs::read(path).is_ok_and(|bytes| bytes.windows(11).any(|part| part == b"s3cr3t-word"))
    };
    let (database, others): (Vec<_>, Vec<_>) = left
        .map(|entry| entry.path())
        .partition(|path| path.to_string_lossy().starts_with(&*world.database().to_string_lossy()));
    assert!(
        database.iter().any(|path| holds(path)) && !others.iter().any(|path| path.is_dir() || holds(path))
    );
    assert_eq!(server.stop(), Some(0));
}

/// The headers of a request.
type Headers<'t> = &'t [(&'t str, &'t str)];

#[test]
fn forged_forms_change_nothing() {
    let world = World::real();
    let server = world.serve();
    let (stranger, host) = (Program::stranger(&server), server.address());
    let cookie = stranger.choose_password(&world, "admin");
    let word = stranger.word(&cookie);
    let own = format!("http://{host}");
    let cookie = ("cookie", cookie.as_str());
    let origin = |text| ("origin", text);
    #[rustfmt::skip]
    let table: &[(&str, Headers, &str, u16)] = &[
        ("no word",                 &[FORM, cookie], "", 403),
        ("another's word",          &[FORM, cookie], "AAAA", 403),
        ("another's page",          &[FORM, cookie, origin("http://evil.example")], &word, 403),
        ("nobody's page",           &[FORM, cookie, origin("null")], &word, 403),
        ("a page that is alike",    &[FORM, cookie, origin("http://127.0.0.1.evil.example")], &word, 403),
        ("another's site",          &[FORM, cookie, ("sec-fetch-site", "cross-site")], &word, 403),
        ("the same site elsewhere", &[FORM, cookie, ("sec-fetch-site", "same-site")], &word, 403),
        ("a word in JSON",          &[("content-type", "application/json"), cookie], &word, 403),
        ("no session",              &[FORM, origin(&own)], &word, 401),
        ("our own page",            &[FORM, cookie, origin(&own), ("sec-fetch-site", "same-origin")], &word, 303),
    ];
    for (why, headers, word, status) in table {
        let told = stranger.call("POST", "/new/site", headers, &format!("name=north&_form={word}"));
        assert_eq!(told.status, *status, "{why}: {}", told.text);
    }
    assert_eq!(world.json(&["site", "list"]).as_array().map(Vec::len), Some(1));
    // The API takes a session for what it is: without the word of its forms it changes nothing.
    let json = ("content-type", "application/json");
    let told = stranger.call("POST", "/api/v1/sites", &[json, cookie], "{\"name\": \"south\"}");
    assert_eq!(told.status, 403, "{}", told.text);
    // What was sent once and is sent again is not done twice.
    let again = stranger.call("POST", "/new/site", &[FORM, cookie], &format!("name=north&_form={word}"));
    assert_eq!(again.status, 422, "{}", again.text);
    // A word ends with its session.
    world.ok(&["user", "sign-out", "admin"]);
    let late = stranger.call("POST", "/new/site", &[FORM, cookie], &format!("name=west&_form={word}"));
    assert_eq!(late.status, 401);
    assert_eq!(world.json(&["site", "list"]).as_array().map(Vec::len), Some(1));
    assert_eq!(server.stop(), Some(0));
}

#[test]
fn nobody_reaches_what_is_another_users_own() {
    let world = World::real();
    let server = world.serve();
    let person = Program::stranger(&server);
    world.ok(&["user", "add", "eve", "--role", "viewer"]);
    let (admin, eve) = (person.choose_password(&world, "admin"), person.choose_password(&world, "eve"));
    let sessions =
        "SELECT group_concat(s.id) FROM session s JOIN user u ON u.id = s.user_id WHERE u.name = 'admin'";
    let of_admin = sqlite(&world.database(), sessions);
    let page = person.call("GET", "/you", &[("cookie", &eve)], "").text;
    assert!(page.contains("<h1>eve</h1>") && !page.contains("admin"), "{page}");
    let end = format!("/you/sessions/{of_admin}/end");
    assert_eq!(person.post(&end, &eve, &[]).status, 404, "another's session");
    assert_eq!(sqlite(&world.database(), sessions), of_admin);
    // With the word of a session of her own and the cookie of another's, or the other way round.
    let form = format!("_form={}", person.word(&eve));
    assert_eq!(person.call("POST", &end, &[FORM, ("cookie", &admin)], &form).status, 403);
    for (path, fields) in [
        ("/users/admin/role", &[("role", "viewer")][..]),
        ("/users/admin/link", &[]),
        ("/users/eve/role", &[("role", "admin")]),
        ("/tokens/1/revoke", &[]),
        ("/new/token", &[("name", "x"), ("user", "admin")]),
        ("/new/user", &[("name", "x"), ("role", "admin")]),
    ] {
        assert_eq!(person.post(path, &eve, fields).status, 403, "{path}");
    }
    let roles = "SELECT group_concat(name || ' ' || role) FROM user";
    assert_eq!(sqlite(&world.database(), roles), "admin admin,eve viewer");
    assert_eq!(server.stop(), Some(0));
}

#[test]
fn a_link_opens_once_and_only_the_newest_one() {
    let world = World::real();
    let server = world.serve();
    let stranger = Program::stranger(&server);
    let (old, new) = (link(&world, "admin"), link(&world, "admin"));
    let said = format!("password={0}&again={0}", PASSWORD.replace(' ', "+"));
    assert_eq!(stranger.get(&old).status, 404, "a newer one was made");
    // Looking at it, as programs do that check links in mails, uses nothing up.
    assert_eq!((stranger.get(&new).status, stranger.get(&new).status), (200, 200));
    let weak = stranger.call("POST", &new, &[FORM], "password=short&again=short");
    assert_eq!(weak.status, 422);
    let opened = stranger.call("POST", &new, &[FORM], &said);
    assert_eq!(opened.status, 303, "{}", opened.text);
    let cookie = opened.header("set-cookie");
    assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Lax"), "{cookie}");
    for path in [&old, &new] {
        assert_eq!(stranger.call("POST", path, &[FORM], &said).status, 404, "a link opens once");
    }
    for word in ["%00", "..%2f..", "' OR 1=1 --", "%", ""] {
        let told = stranger.get(&format!("/sign-in/link/{}", word.replace(' ', "%20")));
        assert!([400, 404].contains(&told.status), "{word}: {}", told.status);
    }
    assert_eq!(server.stop(), Some(0));
}

#[test]
fn who_guesses_from_elsewhere_does_not_keep_a_user_out_of_a_browser_that_is_known() {
    let world = World::turned();
    let server = world.serve_with("127.0.0.1:0", &["--behind-proxy"]);
    let stranger = Program::stranger(&server);
    let opened = stranger.open_link(&world, "admin");
    let known = opened.headers.get_all("set-cookie").iter().find_map(|cookie| {
        let cookie = cookie.to_str().ok()?.split(';').next()?;
        cookie.contains("known").then(|| cookie.to_owned())
    });
    let known = known.expect("the browser is told that it is known");
    let enter = |from: &str, cookie: &str, password: &str| {
        let body = format!("name=admin&password={}", password.replace(' ', "+"));
        let headers = [FORM, ("x-forwarded-for", from), ("cookie", cookie)];
        stranger.call("POST", "/sign-in", &headers, &body).status
    };
    let guesses: Vec<u16> = (1..9).map(|n| enter(&format!("192.0.2.{n}"), "", "wrong")).collect();
    assert_eq!(guesses, [401, 401, 401, 401, 401, 429, 429, 429], "many addresses guess at one account");
    assert_eq!(enter("198.51.100.7", "", PASSWORD), 429, "a browser that nobody knows waits with them");
    assert_eq!(enter("198.51.100.7", &known, PASSWORD), 303);
    // It may guess no more than others, from however many addresses.
    let guesses: Vec<u16> = (1..9).map(|n| enter(&format!("203.0.113.{n}"), &known, "wrong")).collect();
    assert_eq!(guesses, [401, 401, 401, 401, 401, 429, 429, 429]);
    // With another password it is as unknown as any.
    world.turn(3_600_000);
    assert_eq!(stranger.open_link(&world, "admin").status, 303);
    for n in 1..9 {
        enter(&format!("192.0.2.{n}"), "", "wrong");
    }
    assert_eq!(enter("198.51.100.7", &known, PASSWORD), 429);
    assert_eq!(server.stop(), Some(0));
}

#[test]
fn whoever_guesses_a_password_waits_at_the_door_and_at_their_own_page() {
    let world = World::turned();
    let server = world.serve();
    let stranger = Program::stranger(&server);
    let cookie = stranger.choose_password(&world, "admin");
    // A few tries are free; then whoever guesses waits, whether there is such a user or not.
    let tries = |name: &str| (0..7).map(|_| stranger.sign_in(name, "wrong").status).collect::<Vec<_>>();
    assert_eq!(tries("nobody-at-all"), [401, 401, 401, 401, 401, 429, 429]);
    assert_eq!(stranger.sign_in("admin", PASSWORD).status, 429, "from there nobody is let in for a while");
    let told = "SELECT count(*) FROM event WHERE kind = 'sign-in.refused'";
    assert_eq!(sqlite(&world.database(), told), "5");
    world.turn(5_000);
    assert_eq!(stranger.sign_in("admin", PASSWORD).status, 303);
    // Who found an open session does not find the password out with it.
    let change = |old: &str| {
        let fields =
            [("old", old), ("password", "another horse battery"), ("again", "another horse battery")];
        stranger.post("/you/password", &cookie, &fields).status
    };
    let off = |old: &str| stranger.post("/you/factor", &cookie, &[("turn", "off"), ("old", old)]).status;
    let tries = [change("a"), off("b"), change("c"), off("d"), change("e"), off("f"), change(PASSWORD)];
    assert_eq!(tries, [422, 422, 422, 422, 422, 429, 429]);
    assert_eq!(sqlite(&world.database(), told), "10", "each is told");
    world.turn(5_000);
    assert_eq!(change(PASSWORD), 303);
    let kept = between(
        &sqlite(&world.database(), "SELECT group_concat(what) FROM sign_in_failure"),
        "account:",
        ",",
    )
    .to_owned();
    assert_eq!(kept, "nobody-at-all", "what was good is forgotten");
    assert_eq!(server.stop(), Some(0));
}
