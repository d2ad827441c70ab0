//! Word that always arrives: a mail server that is down and then refuses, and a server that is killed all the time.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use serde_json::Value;

use crate::harness::{Port, World, sqlite, wait_for};

/// Everything at once, and none of the rules that hold back what happens too often or in too many places.
fn at_once(world: &World) {
    for (key, value) in [
        ("ticket.group_wait", "0s"),
        ("notify.group_wait", "0s"),
        ("notify.group_interval", "0s"),
        ("flap.changes", "1000"),
        ("blind.sites", "10000"),
    ] {
        world.ok(&["setting", "set", key, value]);
    }
}

/// A device that is what is said of it; under which path.
fn told_of(world: &World, name: &str) -> String {
    world.ok(&["device", "add", name]);
    let said = world.ok(&["check", "add", name, "ping", "--every", "7d"]);
    let at = said.find("/ping/").expect("its address");
    said[at..].split_whitespace().next().expect("its address").to_owned()
}

fn caller() -> ureq::Agent {
    ureq::Agent::config_builder().timeout_global(Some(Duration::from_secs(5))).build().new_agent()
}

/// A mail server that is killed when it goes out of sight.
struct MailServer {
    child: Child,
    port: u16,
}

impl MailServer {
    /// Starts one that keeps its mails in `folder`.
    fn start(folder: &Path) -> MailServer {
        std::fs::create_dir(folder).expect("a folder");
        let mut child = Command::new("/usr/bin/python3")
            .args(["-c", include_str!("harness/smtp.py"), "plain"])
            .arg(folder)
            .stdout(Stdio::piped())
            .spawn()
            .expect("python3 runs");
        let mut line = String::new();
        let out = child.stdout.take().expect("its output is piped");
        BufReader::new(out).read_line(&mut line).expect("it prints its port");
        let port = line.trim().parse().expect("it prints its port: python3-aiosmtpd is installed");
        MailServer { child, port }
    }
}

impl Drop for MailServer {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Listens at `front`: refuses the first mail with 451, and hands all others on to the server at `behind`. How many came.
fn refuse_once(front: &Port, behind: u16) -> Arc<AtomicUsize> {
    let listener = front.open();
    let count = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&count);
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            match counted.fetch_add(1, Ordering::SeqCst) {
                0 => drop(refuse(stream)),
                _ => drop(hand_on(&stream, behind)),
            }
        }
    });
    count
}

fn refuse(stream: TcpStream) -> std::io::Result<()> {
    let mut out = stream.try_clone()?;
    out.write_all(b"220 mail.example.org ESMTP\r\n")?;
    for line in BufReader::new(stream).lines() {
        let line = line?.to_uppercase();
        let answer = if line.starts_with("MAIL") { "451 4.3.0 try again later" } else { "250 ok" };
        out.write_all(format!("{answer}\r\n").as_bytes())?;
        if line.starts_with("QUIT") {
            return Ok(());
        }
    }
    Ok(())
}

fn hand_on(stream: &TcpStream, port: u16) -> std::io::Result<()> {
    let server = TcpStream::connect(("127.0.0.1", port))?;
    let (mut there, mut from) = (server.try_clone()?, stream.try_clone()?);
    thread::spawn(move || {
        drop(std::io::copy(&mut from, &mut there));
        there.shutdown(Shutdown::Write)
    });
    std::io::copy(&mut &server, &mut &*stream)?;
    stream.shutdown(Shutdown::Both)
}

/// The mails in a folder, in the order in which they came.
fn mails_in(folder: &Path) -> Vec<String> {
    let files = std::fs::read_dir(folder).expect("a folder").flatten().map(|file| file.path());
    let mut mails: Vec<_> = files.filter(|path| path.extension().is_some_and(|end| end == "eml")).collect();
    mails.sort();
    mails.iter().map(|path| std::fs::read_to_string(path).expect("a mail")).collect()
}

#[test]
fn a_mail_server_that_is_down_and_then_refuses_gets_each_mail_once() {
    let world = World::turned().steps_of(5_000);
    let server = world.serve();
    at_once(&world);
    world.ok(&["setting", "set", "notify.retry_max", "1m"]);
    // A port where nobody listens, yet.
    let port = Port::closed();
    let (host, port_text) = ("127.0.0.1", port.number().to_string());
    world.ok(&[
        "notify",
        "add",
        "ana",
        "email",
        "--to",
        "ana@example.org",
        "--from",
        "lineman@example.org",
        "--host",
        host,
        "--port",
        &port_text,
        "--security",
        "none",
    ]);
    let devices = ["nas", "gateway", "printer"];
    let paths = devices.map(|name| told_of(&world, name));
    let http = caller();
    let call = |path: &str, end: &str| {
        http.get(format!("{}{path}{end}", server.url())).call().expect("it is taken");
    };
    for path in &paths {
        call(path, "");
        call(path, "/fail");
        world.turn(60_000);
    }
    world.turn(420_000);
    let outbox = |query: &str| {
        let all = world.json(&["notify", "outbox", query, "--sort", "id"]);
        all.as_array().expect("a list").clone()
    };
    let waiting = outbox("state:waiting");
    assert_eq!(waiting.len(), 3, "{waiting:?}");
    assert!(waiting[0]["attempts"].as_i64() >= Some(3), "{waiting:?}");
    assert!(waiting[0]["error"].as_str().is_some_and(|why| why.contains("refused")), "{waiting:?}");

    let folder = world.path("mails");
    let mail_server = MailServer::start(&folder);
    let came = refuse_once(&port, mail_server.port);
    world.turn_until("the mails to be taken", 1_800_000, || outbox("state:waiting").is_empty());
    for path in &paths {
        call(path, "");
        world.turn(60_000);
    }
    world.turn_until("the mails of the end to be taken", 1_800_000, || outbox("state:sent").len() == 6);
    let mails = mails_in(&folder);
    assert_eq!(mails.len(), 6);
    for delivery in outbox("") {
        let key = delivery["key"].as_str().expect("a key");
        assert_eq!(mails.iter().filter(|mail| mail.contains(key)).count(), 1, "{delivery}: {mails:?}");
    }
    assert_eq!(came.load(Ordering::SeqCst), 7, "six were taken and one refused");
    let order: Vec<bool> = mails.iter().map(|mail| mail.contains("mended")).collect();
    assert_eq!(order, [false, false, false, true, true, true]);
    assert_eq!(world.json(&["notify", "show", "ana"])["owed"], Value::Array(vec![]));
    assert_eq!(server.stop(), Some(0));
}

#[test]
fn what_people_read_of_who_is_told_stays_as_it_is_and_no_secret_is_in_it() {
    let world = World::turned();
    let secret = "geheim-wort-17";
    std::fs::write(world.path("secret"), secret).expect("a file");
    let file = world.path("secret");
    let file = file.to_str().expect("a path");
    let mut said = String::new();
    for line in [
        &["add", "bus", "webhook", "--url", "http://127.0.0.1:9/alarms", "--secret-file", file][..],
        &["add", "ana", "command", "/bin/true"],
        &["add", "ben", "command", "/bin/false"],
        &["add", "boss", "command", "/bin/true", "--never-by-itself"],
        &["list"],
    ] {
        let mut args = vec!["notify"];
        args.extend(line);
        said.push_str(&world.ok(&args));
    }
    world.ok(&["notify", "edit", "bus", "--when", "priority:P1,P2 site:north", "--after", "15m"]);
    world.ok(&["notify", "edit", "bus", "--quiet", "22:00-07:00", "--tz", "Europe/Berlin"]);
    let duty =
        ["rota", "--member", "ana", "--member", "ben", "--from", "2026-11-23 09:00", "--tz", "Europe/Berlin"];
    said.push_str(&world.ok(&[&["notify", "add", "duty"], &duty[..]].concat()));
    let swap = ["--who", "boss", "--from", "2026-11-24 09:00", "--until", "2026-11-25 09:00"];
    world.ok(&[&["notify", "rota-swap", "duty"], &swap[..]].concat());
    said.push_str(&world.ok(&["notify", "show", "bus"]));
    said.push_str(&world.ok(&["notify", "show", "duty"]));
    said.push_str(&world.ok(&["notify", "test", "ana"]));
    said.push_str(&world.fails(1, &["notify", "test", "bus"]));
    said.push_str(&world.fails(6, &["notify", "remove", "ana"]));
    said.push_str(&world.fails(2, &["notify", "edit", "bus", "--when", "prio:P1"]));
    said.push_str(&world.fails(2, &["notify", "add", "x", "rota", "--member", "duty", "--from", "now"]));
    said.push_str(&world.fails(3, &["notify", "retry", "7"]));
    insta::assert_snapshot!("notify", said);
    for args in [
        &["notify", "list", "-o", "json"][..],
        &["event", "list", "-o", "json"],
        &["export", "notifications", "-o", "json"],
        &["export", "deliveries", "-o", "json"],
    ] {
        said.push_str(&world.ok(args));
    }
    assert!(!said.contains(secret), "{said}");
    assert!(
        sqlite(&world.database(), "SELECT channel FROM notify_entry WHERE name = 'bus'").contains(secret)
    );
    world.ok(&["notify", "remove", "duty"]);
    world.ok(&["notify", "remove", "ana"]);
}

/// What a receiver of webhooks was told.
#[derive(Default)]
struct Heard {
    /// By key: the bodies, in the order in which they came.
    calls: Mutex<BTreeMap<String, Vec<String>>>,
    /// How often it answered as if it had not understood, or not at all.
    unanswered: AtomicUsize,
}

impl Heard {
    /// How often something was told of a device, repeats not counted.
    fn count(&self, device: &str, news: &str) -> usize {
        let calls = self.calls.lock().expect("nobody panicked");
        let bodies = calls.values().filter_map(|bodies| serde_json::from_str::<Value>(&bodies[0]).ok());
        let is = |one: &Value| one["device"] == device && one["news"] == news;
        bodies
            .map(|body| match body["all"].as_array() {
                Some(all) => all.iter().filter(|one| is(one)).count(),
                None => usize::from(is(&body)),
            })
            .sum()
    }
}

/// Takes webhooks; of some it keeps the body and does not answer, so that nobody knows whether they arrived.
fn receiver(heard: Arc<Heard>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}/alarms", listener.local_addr().expect("a port"));
    thread::spawn(move || {
        let mut random = fastrand::Rng::with_seed(11);
        for stream in listener.incoming().map_while(Result::ok) {
            drop(take(stream, &heard, &mut random));
        }
    });
    url
}

fn take(mut stream: TcpStream, heard: &Heard, random: &mut fastrand::Rng) -> std::io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    let mut reader = BufReader::new(stream.try_clone()?);
    let (mut key, mut length, mut line) = (String::new(), 0, String::new());
    loop {
        if reader.read_line(&mut line)? == 0 {
            // Whoever called was killed before it had said all.
            return Ok(());
        }
        if line.trim().is_empty() {
            break;
        }
        if let Some((name, value)) = line.split_once(':') {
            match name.to_lowercase().as_str() {
                "idempotency-key" => key = value.trim().to_owned(),
                "content-length" => length = value.trim().parse().unwrap_or(0),
                _ => {}
            }
        }
        line.clear();
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let body = String::from_utf8(body).expect("the body is text");
    heard.calls.lock().expect("nobody panicked").entry(key).or_default().push(body);
    let answer = match random.u8(..10) {
        0 => {
            heard.unanswered.fetch_add(1, Ordering::SeqCst);
            return Ok(());
        }
        1 => {
            heard.unanswered.fetch_add(1, Ordering::SeqCst);
            "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        }
        _ => "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
    };
    stream.write_all(answer.as_bytes())
}

/// Breaks and mends a device again and again, and each time waits until that was told; how often.
fn break_and_mend(url: &str, path: &str, device: &str, heard: &Heard, stop: &AtomicBool) -> usize {
    let http = caller();
    let say = |end: &str| {
        wait_for("the server to take a ping", || http.get(format!("{url}{path}{end}")).call().is_ok());
    };
    say("");
    let mut rounds = 0;
    while !stop.load(Ordering::Relaxed) {
        rounds += 1;
        say("/fail");
        wait_for(&format!("'{device} broke' number {rounds}"), || heard.count(device, "broke") == rounds);
        say("");
        wait_for(&format!("'{device} is mended' number {rounds}"), || {
            heard.count(device, "mended") == rounds
        });
    }
    rounds
}

#[test]
fn nothing_is_missing_and_repeats_have_the_same_key_over_many_kills() {
    const KILLS: usize = 15;
    let world = World::real();
    let mut server = world.serve();
    let (address, url) = (server.address(), server.url());
    at_once(&world);
    world.ok(&["setting", "set", "notify.retry", "100ms"]);
    world.ok(&["setting", "set", "notify.retry_max", "1s"]);
    let heard = Arc::new(Heard::default());
    world.ok(&["notify", "add", "bus", "webhook", "--url", &receiver(Arc::clone(&heard))]);
    let stop = Arc::new(AtomicBool::new(false));
    let breakers: Vec<_> = ["a", "b", "c", "d"]
        .map(|name| {
            let (path, url, heard, stop) = (told_of(&world, name), url.clone(), heard.clone(), stop.clone());
            thread::spawn(move || break_and_mend(&url, &path, name, &heard, &stop))
        })
        .into_iter()
        .collect();
    let mut random = fastrand::Rng::with_seed(7);
    for _ in 0..KILLS {
        // Not to wait for something: to kill it at any moment, whatever it does then.
        thread::sleep(Duration::from_millis(random.u64(..700)));
        server.kill();
        server = world.serve_with(&address, &[]);
    }
    stop.store(true, Ordering::Relaxed);
    let rounds: usize = breakers.into_iter().map(|one| one.join().expect("nothing is missing")).sum();
    assert!(rounds >= 4, "each broke at least once");
    let left = || {
        let sql = "SELECT (SELECT count(*) FROM notify_delivery WHERE state <> 'sent') || ' ' ||
            (SELECT count(*) FROM notify_told) || ' ' || (SELECT count(*) FROM notify_look)";
        sqlite(&world.database(), sql)
    };
    wait_for("nothing to be left to do", || left() == "0 0 0");
    let calls = heard.calls.lock().expect("nobody panicked");
    for (key, bodies) in calls.iter() {
        assert!(bodies.iter().all(|body| *body == bodies[0]), "{key}: a repeat is the same: {bodies:?}");
    }
    let sent = world.json(&["notify", "outbox", "state:sent", "--limit", "100000"]);
    let sent: Vec<&str> =
        sent.as_array().expect("a list").iter().filter_map(|one| one["key"].as_str()).collect();
    assert_eq!(sent.len(), calls.len(), "each that was sent was heard, under its own key");
    assert!(sent.iter().all(|key| calls.contains_key(*key)));
    let repeats: usize = calls.values().map(|bodies| bodies.len() - 1).sum();
    assert!(repeats >= heard.unanswered.load(Ordering::SeqCst), "what was not answered was repeated");
    assert_eq!(server.stop(), Some(0));
}
