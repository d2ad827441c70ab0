//! Echoes and connections per second through a [`Prober`] on one thread, beside a bare loop over the same socket calls
//! in the same run. Loopback only; about ten seconds. `cargo bench -p lineman-agent --bench probe`

use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

use agent::probe::Prober;
use agent::report::{Outcome, Probe};
use schedules::Millis;

/// How long each measurement lasts, and how often each is made in turn.
const LASTS: Duration = Duration::from_millis(600);
const ROUNDS: usize = 4;
/// Probes, or bare echoes, under way at the same time.
const AT_ONCE: usize = 64;

fn main() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("bind on loopback");
    let port = listener.local_addr().expect("a bound socket has an address").port();
    std::thread::spawn(move || listener.incoming().for_each(drop));

    let icmp = |n: usize| Probe::Icmp {
        target: format!("127.1.{}.{}", n / 250, n % 250 + 1),
        packets: 1,
        warn_loss_permille: None,
        warn_rtt: None,
    };
    let tcp = |_| Probe::Tcp { target: "127.0.0.1".to_owned(), port };
    compare("icmp echoes", bare_echoes, || probes(icmp, AT_ONCE));
    compare("tcp connects", || bare_connects(port), || probes(tcp, 1));
}

/// The best of some rounds, taken in turn, so that a busy moment of the machine hits both.
fn compare(what: &str, bare: impl Fn() -> Option<f64>, ours: impl Fn() -> Option<f64>) {
    let (mut best_bare, mut best_ours) = (0_f64, 0_f64);
    for _ in 0..ROUNDS {
        let (Some(bare), Some(ours)) = (bare(), ours()) else {
            return println!("{what}: skipped, no socket");
        };
        best_bare = best_bare.max(bare);
        best_ours = best_ours.max(ours);
    }
    let ratio = best_ours / best_bare;
    println!("{what}: bare {best_bare:.0}/s, prober {best_ours:.0}/s, ratio {ratio:.2}");
}

fn probes(probe: impl Fn(usize) -> Probe, at_once: usize) -> Option<f64> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().ok()?;
    let (done, took) = runtime.block_on(async {
        let prober = Prober::new();
        let began = Instant::now();
        let runs: Vec<_> = (0..at_once)
            .map(|n| {
                let (prober, probe) = (prober.clone(), probe(n));
                tokio::spawn(async move {
                    let mut done = 0_u32;
                    while began.elapsed() < LASTS {
                        let measured = prober.run(&probe, Millis(5_000)).await;
                        if measured.outcome != Outcome::Ok {
                            println!("{}", measured.message);
                            return None;
                        }
                        done += 1;
                    }
                    Some(done)
                })
            })
            .collect();
        let mut done = 0;
        for run in runs {
            done += run.await.ok().flatten()?;
        }
        Some((done, began.elapsed()))
    })?;
    Some(f64::from(done) / took.as_secs_f64())
}

fn bare_echoes() -> Option<f64> {
    use socket2::{Domain, Protocol, Socket, Type};
    let open = |kind| Socket::new(Domain::IPV4, kind, Some(Protocol::ICMPV4));
    let socket = open(Type::DGRAM).or_else(|_| open(Type::RAW)).ok()?;
    socket.set_recv_buffer_size(4 << 20).ok()?;
    only_replies(&socket);
    let socket = UdpSocket::from(socket);
    socket.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
    let mut packet = [0; 64];
    packet[..4].copy_from_slice(&[8, 0, 0xf7, 0xff]);
    let mut buffer = [0; 2048];
    let mut done = 0_u32;
    let began = Instant::now();
    while began.elapsed() < LASTS {
        for n in 0..AT_ONCE {
            let target = [127, 1, 0, u8::try_from(n).ok()? + 1];
            socket.send_to(&packet, SocketAddr::from((target, 0))).ok()?;
        }
        for _ in 0..AT_ONCE {
            socket.recv_from(&mut buffer).ok()?;
            done += 1;
        }
    }
    Some(f64::from(done) / began.elapsed().as_secs_f64())
}

/// As the prober's own raw socket is told; a datagram socket refuses, and needs no telling.
#[expect(unsafe_code, reason = "no safe wrapper sets the ICMP filter of a raw socket")]
fn only_replies(socket: &socket2::Socket) {
    use std::os::fd::AsRawFd;
    let blocked: u32 = !1;
    // SAFETY: the option is four bytes long, and the call only reads it.
    unsafe { libc::setsockopt(socket.as_raw_fd(), libc::SOL_RAW, 1, (&raw const blocked).cast(), 4) };
}

fn bare_connects(port: u16) -> Option<f64> {
    let mut done = 0_u32;
    let began = Instant::now();
    while began.elapsed() < LASTS {
        let stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
        socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO)).ok()?;
        done += 1;
    }
    Some(f64::from(done) / began.elapsed().as_secs_f64())
}
