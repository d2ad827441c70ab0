//! Metrics as Prometheus itself reads them.

use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use schedules::{Clock, Time};
use tokio::net::TcpListener;
use tokio::sync::watch;

use super::*;
use crate::app::App;
use crate::domain::ids::CheckId;
use crate::domain::user::Role;
use crate::secret;
use crate::server::http::{Serving, serve};
use crate::store::events::Actor;
use crate::store::{Mode, Store, devices, sessions, users};
use crate::web::verbs::{self, Call, Refused, Verb, Verbs};
use crate::web::{Web, routes};

const TOKEN: &str = "a-token-of-this-test";

fn measured() -> Measured {
    let device =
        |name: &str, state| Device { name: name.to_owned(), site: "Köln \"Süd\"".to_owned(), state };
    Measured {
        devices: vec![device("ap", State::Up), device("printer", State::Down), device("new", State::Unknown)],
        readings: vec![Reading {
            check: CheckId(7),
            kind: crate::domain::check::Kind::Icmp,
            device: "ap".to_owned(),
            site: String::new(),
            at: Time(1_795_608_000_000),
            rtt_us: Some(20_001),
            loss_permille: Some(0),
        }],
        tickets: vec![("P2".to_owned(), 3)],
        queues: Queues {
            deliveries: 1,
            verdicts: 2,
            backlog: 3,
            alive_at: Some(Time(1_795_607_999_000)),
            started_at: Some(Time(1_795_600_000_000)),
            newest_event: 42,
        },
        now: Time(1_795_608_000_000),
        pending: 0,
        lag_ms: 0,
        database_bytes: 4_096,
    }
}

#[test]
fn everything_is_told_and_nothing_of_a_device_that_nobody_knows_of() {
    insta::assert_snapshot!(told(&measured(), Form::Open).replace(env!("CARGO_PKG_VERSION"), "VERSION"));
}

#[test]
fn promtool_finds_nothing_wrong_with_it() {
    let mut promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    promtool.stdin.take().unwrap().write_all(told(&measured(), Form::Classic).as_bytes()).unwrap();
    let output = promtool.wait_with_output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    assert!(output.status.success() && said.is_empty(), "{}", String::from_utf8_lossy(&said));
}

/// Verbs that are none: metrics call none.
struct NoVerbs;

impl Verbs for NoVerbs {
    fn all(&self) -> &[Verb] {
        &[]
    }

    fn run(&self, _call: Call) -> Result<verbs::Answer, Refused> {
        Err(Refused::new(verbs::Why::NotFound, "there is no verb"))
    }
}

/// A process that ends with the test.
struct Ends(Child);

impl Drop for Ends {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// A page with a device that is up, its address, and a viewer's token that lets in.
async fn page(folder: &Path) -> (SocketAddr, watch::Sender<bool>) {
    let store = Store::open(&folder.join("lineman.db"), Clock::system(), Mode::Create).unwrap();
    let made = store.submit(|tx| -> crate::store::Result<devices::Device> {
        let viewer = users::add(tx, "prometheus", Role::Viewer, &Actor::System)?.user;
        sessions::add_token(
            tx,
            &viewer,
            ("scrape", Role::Viewer),
            &secret::hash(TOKEN),
            None,
            &Actor::System,
        )?;
        devices::add(tx, &devices::New::named("ap (1)"), &Actor::System)
    });
    made.await.unwrap();
    let app = App::new(store, Clock::system()).unwrap();
    let router = routes::router(Web::new(app, std::sync::Arc::new(NoVerbs), false));
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = watch::channel(false);
    tokio::spawn(serve(listener, Serving { router, tls: None, behind_proxy: false }, stopped));
    (address, stop)
}

fn get(url: &str, token: Option<&str>) -> (u16, String, String) {
    let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
    let mut request = agent.get(url);
    if let Some(token) = token {
        request = request.header("authorization", format!("Bearer {token}"));
    }
    match request.call() {
        Ok(mut answer) => {
            let kind =
                answer.headers().get("content-type").and_then(|kind| kind.to_str().ok()).unwrap_or_default();
            let kind = kind.to_owned();
            (answer.status().as_u16(), kind, answer.body_mut().read_to_string().unwrap_or_default())
        }
        Err(error) => (0, String::new(), error.to_string()),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_reads_them_without_a_token() {
    let folder = tempfile::tempdir().unwrap();
    let (address, _stop) = page(folder.path()).await;
    let answers = tokio::task::spawn_blocking(move || {
        let url = format!("http://{address}/metrics");
        [None, Some("another"), Some(TOKEN)].map(|token| get(&url, token))
    });
    let [nobody, another, ours] = answers.await.unwrap();
    // Whoever has no token is sent to the page to sign in; there is nothing to read there either.
    for answer in [nobody, another] {
        assert!(!answer.2.contains("lineman_devices"), "{answer:?}");
    }
    assert_eq!(
        (ours.0, ours.1.as_str()),
        (200, "application/openmetrics-text; version=1.0.0; charset=utf-8")
    );
    assert!(
        ours.2.contains("lineman_devices{state=\"unknown\"} 1\n") && ours.2.ends_with("# EOF\n"),
        "{}",
        ours.2
    );
}

/// Starts Prometheus at a port that is free; nothing where it ended before it was ready.
fn prometheus(config: &Path, series: &Path) -> Option<(Ends, SocketAddr)> {
    let free = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap();
    let child = Command::new("prometheus")
        .arg(format!("--config.file={}", config.display()))
        .arg(format!("--storage.tsdb.path={}", series.display()))
        .arg(format!("--web.listen-address={free}"))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut child = Ends(child);
    let until = Instant::now() + Duration::from_secs(60);
    while get(&format!("http://{free}/-/ready"), None).0 != 200 {
        if child.0.try_wait().unwrap().is_some() || Instant::now() > until {
            return None;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    Some((child, free))
}

#[tokio::test(flavor = "multi_thread")]
async fn prometheus_scrapes_them_with_a_token() {
    let folder = tempfile::tempdir().unwrap();
    let (address, _stop) = page(folder.path()).await;
    let config = format!(
        "global: {{scrape_interval: 1s}}\nscrape_configs:\n- job_name: lineman\n  authorization: {{credentials: {TOKEN}}}\n  \
         static_configs: [{{targets: ['{address}']}}]\n"
    );
    let file = folder.path().join("prometheus.yml");
    fs::write(&file, config).unwrap();
    let series = folder.path().join("series");
    let told = tokio::task::spawn_blocking(move || {
        // Somebody else may take the port before it does: then it ends, and gets another one.
        let (_prometheus, free) = (0..5).find_map(|_| prometheus(&file, &series)).expect("it starts");
        let until = Instant::now() + Duration::from_secs(60);
        let ask = |query: &str| get(&format!("http://{free}/api/v1/query?query={query}"), None).2;
        // It is up once it has scraped, and a sample of ours is there.
        while !ask("lineman_devices%7Bstate%3D%22unknown%22%7D").contains("\"value\"")
            && Instant::now() < until
        {
            std::thread::sleep(Duration::from_millis(200));
        }
        [ask("up"), ask("lineman_devices%7Bstate%3D%22unknown%22%7D"), ask("lineman_events_total")]
    });
    let told = told.await.unwrap();
    for (answer, value) in told.iter().zip([",\"1\"]", ",\"1\"]", ",\""]) {
        assert!(answer.contains(value), "{told:?}");
    }
}
