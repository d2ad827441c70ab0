//! What is acknowledged is there: once, whatever is killed when.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use agent::JoinToken;
use agent::report::{CheckIn, Joined, Record, Reply, Status, What};
use schedules::{Clock, Millis};

use crate::harness::{World, sqlite, wait_for};

const AGENTS: usize = 50;
const KILLS: usize = 20;
/// How many check-ins are acknowledged between two kills.
const BETWEEN: u64 = 200;

/// An agent that checks in as fast as it is answered, each time with the records that are not acknowledged and a new one.
fn check_in_for_ever(url: &str, token: &str, stop: &AtomicBool, answered: &AtomicU64) -> (i64, u64) {
    let http = ureq::Agent::config_builder().timeout_global(Some(Duration::from_secs(5))).build().new_agent();
    let body = serde_json::json!({ "token": token }).to_string();
    let joined =
        http.post(format!("{url}/api/agent/join")).send(&body).expect("it joins").body_mut().read_to_vec();
    let joined: Joined = serde_json::from_slice(&joined.expect("an answer")).expect("an identity");
    let clock = Clock::system();
    let (mut acked, mut seq) = (0, 0);
    let mut waiting: Vec<Record> = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        if waiting.len() < 20 {
            seq += 1;
            let what = What::Status(Status::default());
            waiting.push(Record { seq, at: clock.now(), mono: clock.mono(), boot: None, what });
        }
        let call = CheckIn {
            sent_at: clock.now(),
            sent_mono: clock.mono(),
            log: "the-one".to_owned(),
            records: waiting.clone(),
            ..CheckIn::default()
        };
        let answer = http
            .post(format!("{url}/api/agent/check-in"))
            .header("Authorization", format!("Bearer {}", joined.secret))
            .send(&serde_json::to_vec(&call).expect("JSON"));
        let Some(reply) = answer.ok().and_then(|mut answer| answer.body_mut().read_to_vec().ok()) else {
            thread::sleep(Duration::from_millis(5));
            continue;
        };
        let reply: Reply = serde_json::from_slice(&reply).expect("a reply");
        assert!(reply.acked >= acked, "what was acknowledged stays so: {} after {acked}", reply.acked);
        acked = reply.acked;
        waiting.retain(|record| record.seq > acked);
        answered.fetch_add(1, Ordering::Relaxed);
    }
    (joined.device, acked)
}

#[test]
fn every_acknowledged_record_is_there_once_over_twenty_kills() {
    let world = World::real();
    let mut server = world.serve();
    let (address, url) = (server.address(), server.url());
    world.ok(&["setting", "set", "check_in.every", Millis::from_secs(1).to_string().as_str()]);
    let tokens: Vec<String> = (0..AGENTS)
        .map(|n| {
            let said = world.ok(&["device", "add", &format!("box-{n}"), "--join"]);
            let token: JoinToken = said.split_whitespace().last().expect("a token").parse().expect("a token");
            token.secret
        })
        .collect();
    let stop = Arc::new(AtomicBool::new(false));
    let answered = Arc::new(AtomicU64::new(0));
    let agents: Vec<_> = tokens
        .into_iter()
        .map(|token| {
            let (url, stop, answered) = (url.clone(), stop.clone(), answered.clone());
            thread::spawn(move || check_in_for_ever(&url, &token, &stop, &answered))
        })
        .collect();
    for _ in 0..KILLS {
        let before = answered.load(Ordering::Relaxed);
        wait_for("check-ins to be acknowledged", || answered.load(Ordering::Relaxed) >= before + BETWEEN);
        server.kill();
        server = world.serve_with(&address, &[]);
    }
    stop.store(true, Ordering::Relaxed);
    for agent in agents {
        let (device, acked) = agent.join().expect("the agent did not fail");
        assert!(acked > 0);
        let counted = sqlite(
            &world.database(),
            &format!(
                "SELECT count(*) || ' ' || count(DISTINCT seq) || ' ' || min(seq) FROM reading r
                 JOIN checks c ON c.id = r.check_id WHERE c.device_id = {device} AND c.kind = 'check-in' AND seq <= {acked}"
            ),
        );
        assert_eq!(
            counted,
            format!("{acked} {acked} 1"),
            "device {device}: rows, different numbers, the first"
        );
    }
    assert_eq!(server.stop(), Some(0));
}
