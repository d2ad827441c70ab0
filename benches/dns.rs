//! The zone under load: 10,000 questions a second for some seconds, over UDP on loopback, while devices check in and move;
//! then the same to a socket that only echoes, as the limit of this machine and of the one who asks.
//!
//! 10,000 devices. Prints which share was answered, how long that took, what became of the check-ins, and the ratio. Run:
//! `cargo bench --bench dns`. The folder is `BENCH_DIR`, else the temporary one.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use agent::report::{CheckIn, Record, Status, What};
use hickory_proto::op::{Message, Query, ResponseCode};
use hickory_proto::rr::{Name, RecordType};
use lineman::app::App;
use lineman::domain::ids::DeviceId;
use lineman::server::dns;
use lineman::server::ingest::{self, Credential};
use lineman::store::events::Actor;
use lineman::store::{Mode, Store, agents, devices};
use schedules::{Clock, Millis};
use tokio::net::UdpSocket;
use tokio::sync::watch;

const DEVICES: usize = 10_000;
const SPAN: Duration = Duration::from_secs(5);
/// Questions a second, and how many of them are sent in one go.
const RATE: u64 = 10_000;
const BURST: u64 = 10;
/// Check-ins a second; each is from another address than the device's last.
const CHECK_INS: u64 = 300;

fn main() {
    if !std::env::args().any(|arg| arg == "--bench") {
        println!("not measured: run it with `cargo bench`");
        return;
    }
    let under = std::env::var_os("BENCH_DIR").map_or_else(std::env::temp_dir, Into::into);
    let folder = tempfile::tempdir_in(under).expect("a folder for the bench");
    let clock = Clock::system();
    let store =
        Store::open(&folder.path().join("bench.db"), clock.clone(), Mode::Create).expect("a database");
    let ids = store.write(make).expect("the devices are made");
    let app = App::new(store, clock).expect("the settings are read");
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");

    let bare = runtime.block_on(echo());
    let options = dns::Options {
        listen: vec![SocketAddr::from(([127, 0, 0, 1], 0))],
        zone: "devices.example".parse().expect("a zone"),
    };
    let server = runtime.block_on(dns::bind(app.clone(), &options)).expect("a port");
    let at = server.addresses().expect("its address")[0];
    let (stop, stopped) = watch::channel(false);
    runtime.spawn(server.run(stopped));
    let going = Arc::new(AtomicBool::new(true));
    let moving = runtime.spawn(check_ins(app, ids, going.clone()));
    let ours = ask(at, Reads::Answers);
    going.store(false, Ordering::Relaxed);
    let (sent, lost, slowest) = runtime.block_on(moving).expect("the check-ins ended");
    stop.send_replace(true);

    println!("a socket that echoes: {bare}");
    println!("lineman's zone: {ours}");
    println!(
        "check-ins meanwhile: {sent}, each from a new address; {lost} lost; the slowest took {slowest:?}"
    );
    println!("ratio of what was answered: {:.3}", ours.share() / bare.share());
}

fn make(tx: &lineman::store::WriteTx) -> lineman::store::Result<Vec<DeviceId>> {
    let mut ids = Vec::new();
    for n in 0..DEVICES {
        let address = Some(address(n, 0).to_string());
        let new = devices::New { address, ..devices::New::named(&format!("d{n}")) };
        let id = devices::add(tx, &new, &Actor::System)?.id;
        agents::join(tx, id, None, &serde_json::json!({}), &Actor::System)?;
        ids.push(id);
    }
    Ok(ids)
}

fn address(device: usize, turn: usize) -> IpAddr {
    let number = u32::try_from(device + (turn % 100) * DEVICES).expect("not that many");
    IpAddr::V4(Ipv4Addr::from_bits(Ipv4Addr::new(10, 0, 0, 1).to_bits() + number))
}

/// Devices check in one after the other, each from another address than before: how many, how many were lost, and how long
/// the slowest took.
async fn check_ins(app: App, ids: Vec<DeviceId>, going: Arc<AtomicBool>) -> (usize, usize, Duration) {
    let mut every = tokio::time::interval(Duration::from_micros(1_000_000 / CHECK_INS));
    let (mut sent, mut lost, mut slowest) = (0, 0, Duration::ZERO);
    while going.load(Ordering::Relaxed) {
        every.tick().await;
        let (device, turn) = (sent % DEVICES, sent / DEVICES + 1);
        let (id, known, own) = (ids[device], app.known(), address(device, turn));
        let now = app.clock.now();
        let status = Status { address: Some(own), ..Status::default() };
        let record = Record {
            seq: u64::try_from(turn).expect("a count"),
            at: now,
            mono: Millis(now.0),
            boot: None,
            what: What::Status(status),
        };
        let call = CheckIn {
            sent_at: now,
            sent_mono: Millis(now.0),
            log: "bench".to_owned(),
            records: vec![record],
            ..CheckIn::default()
        };
        let began = Instant::now();
        let taken = app
            .store
            .submit(move |tx| ingest::check_in(tx, &known, Credential::Local(id), &call, Some(own)))
            .await;
        sent += 1;
        lost += usize::from(!matches!(taken, Ok(Ok(_))));
        slowest = slowest.max(began.elapsed());
    }
    (sent, lost, slowest)
}

/// What came of the questions.
struct Heard {
    sent: u64,
    answered: u64,
    /// In microseconds, sorted.
    took: Vec<u64>,
}

impl Heard {
    fn share(&self) -> f64 {
        let count = |n: u64| f64::from(u32::try_from(n).expect("not that many"));
        count(self.answered) / count(self.sent.max(1))
    }
}

impl std::fmt::Display for Heard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let at = |share: usize| self.took.get(self.took.len() * share / 1_000).copied().unwrap_or(0);
        write!(
            f,
            "{} of {} answered ({:.2} %), half within {} us, 99 % within {} us, 99.9 % within {} us",
            self.answered,
            self.sent,
            self.share() * 100.0,
            at(500),
            at(990),
            at(999)
        )
    }
}

/// What whoever asks makes of what comes back.
#[derive(Clone, Copy)]
enum Reads {
    /// It must be an answer with an address.
    Answers,
    /// Whatever it is.
    Anything,
}

async fn echo() -> Heard {
    let socket = UdpSocket::bind("127.0.0.1:0").await.expect("a port");
    let at = socket.local_addr().expect("its address");
    let echoing = tokio::spawn(async move {
        let mut packet = [0; 4096];
        loop {
            let Ok((length, from)) = socket.recv_from(&mut packet).await else { continue };
            drop(socket.send_to(&packet[..length], from).await);
        }
    });
    let heard = tokio::task::spawn_blocking(move || ask(at, Reads::Anything)).await.expect("it asks");
    echoing.abort();
    heard
}

/// Asks at a steady rate from one thread, and hears with another. The number of a question says when it was sent.
fn ask(at: SocketAddr, reads: Reads) -> Heard {
    let socket = Arc::new(std::net::UdpSocket::bind("127.0.0.1:0").expect("a port"));
    socket.connect(at).expect("a peer");
    socket.set_read_timeout(Some(Duration::from_millis(500))).expect("an option");
    let began = Instant::now();
    let sent_at: Arc<Vec<AtomicU64>> = Arc::new((0..=u16::MAX).map(|_| AtomicU64::new(0)).collect());
    let hearing = std::thread::spawn({
        let (socket, sent_at) = (socket.clone(), sent_at.clone());
        move || hear(&socket, &sent_at, began, reads)
    });
    let packets: Vec<Vec<u8>> = (0..DEVICES).map(question).collect();
    let mut sent = 0;
    while began.elapsed() < SPAN {
        for _ in 0..BURST {
            let number = u16::try_from(sent % (1 << 16)).expect("it is below that");
            let mut packet = packets[usize::try_from(sent * 7_919).expect("a count") % DEVICES].clone();
            packet[..2].copy_from_slice(&number.to_be_bytes());
            sent_at[usize::from(number)].store(micros(began), Ordering::Release);
            sent += u64::from(socket.send(&packet).is_ok());
        }
        let due = Duration::from_micros(sent * 1_000_000 / RATE);
        std::thread::sleep(due.saturating_sub(began.elapsed()));
    }
    let mut took = hearing.join().expect("it heard");
    took.sort_unstable();
    Heard { sent, answered: u64::try_from(took.len()).expect("a count"), took }
}

fn hear(socket: &std::net::UdpSocket, sent_at: &[AtomicU64], began: Instant, reads: Reads) -> Vec<u64> {
    let mut took = Vec::new();
    let mut packet = [0; 4096];
    loop {
        let Ok(length) = socket.recv(&mut packet) else {
            if began.elapsed() > SPAN {
                return took;
            }
            continue;
        };
        let sent = sent_at[usize::from(u16::from_be_bytes([packet[0], packet[1]]))].load(Ordering::Acquire);
        took.push(micros(began).saturating_sub(sent));
        match reads {
            Reads::Anything => {}
            Reads::Answers => {
                // A header tells enough here: no error, one answer.
                assert!(length > 12 && packet[3] & 0xf == ResponseCode::NoError.low(), "an error");
                assert_eq!(packet[6..8], [0, 1], "one address");
            }
        }
    }
}

fn micros(began: Instant) -> u64 {
    u64::try_from(began.elapsed().as_micros()).expect("not that long")
}

fn question(device: usize) -> Vec<u8> {
    let mut asked = Message::query();
    let name = Name::from_ascii(format!("d{device}.devices.example.")).expect("a name");
    asked.add_query(Query::query(name, RecordType::A));
    asked.to_vec().expect("a question")
}
