//! Real processes on one turned clock.
//!
//! A [`World`] is a folder with a clock file and the data of one server. Whoever runs in it reads the time from that
//! file, and says in a file of its own up to which time it has done all that was due. [`World::turn`] turns the clock
//! in steps, and after each waits until everybody has said so: no test sleeps for luck.

pub mod browser;
pub mod devtools;
pub mod markup;
pub mod netns;
pub mod program;

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

/// How long anything may really take before a test gives up.
const PATIENCE: Duration = Duration::from_secs(60);
/// When the turned clock begins: 2026-11-22T14:00:00Z.
pub const START: i64 = 1_795_356_000_000;

/// A folder with a clock and the data of one server.
pub struct World {
    dir: tempfile::TempDir,
    clock: bool,
    step: i64,
    /// Where its programs run, where they are to reach nobody.
    alone: Option<netns::Alone>,
    /// Who runs: the process id, and the names of its loops.
    running: Mutex<BTreeMap<u32, &'static [&'static str]>>,
}

/// A process of the world; it is killed when it goes out of sight.
pub struct Process<'w> {
    world: &'w World,
    child: Child,
    /// What it said first: for a server, where it is.
    pub first_line: String,
    rest: Option<thread::JoinHandle<()>>,
}

impl World {
    /// A world whose clock is turned by the test, in steps of one second.
    pub fn turned() -> World {
        let world = World::with_clock(true);
        world.write_clock(START);
        world
    }

    /// A world on the machine's own clock.
    pub fn real() -> World {
        World::with_clock(false)
    }

    fn with_clock(clock: bool) -> World {
        let dir = tempfile::tempdir().expect("a temporary folder");
        World { dir, clock, step: 1_000, alone: None, running: Mutex::default() }
    }

    /// The same world, out of which nobody reaches anything.
    pub fn alone(self) -> World {
        World { alone: Some(netns::Alone::new()), ..self }
    }

    /// Another program, where those of this world run.
    pub fn other(&self, program: &str) -> Command {
        match &self.alone {
            Some(alone) => alone.command(program),
            None => Command::new(program),
        }
    }

    /// The same world, its clock turned in steps of `ms`.
    pub fn steps_of(self, ms: i64) -> World {
        World { step: ms, ..self }
    }

    /// A path in it.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The program, on this world's clock, with its data in `data`.
    pub fn command(&self, data: &str, args: &[&str]) -> Command {
        let mut command = self.other(env!("CARGO_BIN_EXE_lineman"));
        command.arg("--data").arg(self.path(data)).args(args);
        command.env_remove("RUST_LOG").env("NO_COLOR", "1").env("USER", "ana").env("TZ", "UTC");
        command.stdin(Stdio::null());
        if self.clock {
            command.env("LINEMAN_CLOCK", self.path("clock"));
        }
        command
    }

    /// Runs a command of the server's to its end.
    pub fn run(&self, args: &[&str]) -> Output {
        self.command("server", args).output().expect("the program runs")
    }

    /// Runs a command that must succeed; what it printed.
    #[track_caller]
    pub fn ok(&self, args: &[&str]) -> String {
        succeeded(args, &self.run(args))
    }

    /// Runs a command that must succeed, and reads its JSON.
    #[track_caller]
    pub fn json(&self, args: &[&str]) -> Value {
        let mut all = args.to_vec();
        all.push("--json");
        let text = self.ok(&all);
        serde_json::from_str(&text).unwrap_or_else(|e| panic!("{args:?}: {e}: {text}"))
    }

    /// Runs a command that must fail with `code`; what it said.
    #[track_caller]
    pub fn fails(&self, code: i32, args: &[&str]) -> String {
        let output = self.run(args);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{args:?}: {said}");
        assert!(said.contains("error: "), "{args:?}: {said}");
        assert!(!said.contains("panicked"), "{args:?}: {said}");
        said
    }

    /// Starts a server; it answers when this returns.
    pub fn serve(&self) -> Process<'_> {
        self.serve_with("127.0.0.1:0", &[])
    }

    /// Starts a server that listens at `listen`, with more arguments.
    pub fn serve_with(&self, listen: &str, more: &[&str]) -> Process<'_> {
        let mut args = vec!["serve", "--listen", listen];
        args.extend(more);
        let server = self.start(self.command("server", &args), &["tick", "agent"]);
        assert!(server.first_line.starts_with("listening on http"), "{}", server.first_line);
        self.settle();
        server
    }

    /// Makes a device and joins an agent as it, with its data in a folder of that name.
    #[track_caller]
    pub fn join(&self, server: &Process<'_>, device: &str) {
        self.join_at(&server.url(), device);
    }

    /// The same, at a server that is reached under `url`.
    #[track_caller]
    pub fn join_at(&self, url: &str, device: &str) {
        let said = self.ok(&["device", "add", device, "--join"]);
        let token = said.split_whitespace().last().expect("the token is the last word printed");
        let args = ["agent", "join", url, token];
        let output = self.command(device, &args).output().expect("the program runs");
        succeeded(&args, &output);
    }

    /// Starts the agent that joined as `device`.
    pub fn agent(&self, device: &str) -> Process<'_> {
        let agent = self.start(self.command(device, &["agent", "run"]), &["agent"]);
        self.settle();
        agent
    }

    /// What the agent on `device` says of itself.
    #[track_caller]
    pub fn agent_status(&self, device: &str) -> Value {
        let args = ["agent", "status", "--json"];
        let output = self.command(device, &args).output().expect("the program runs");
        let text = succeeded(&args, &output);
        serde_json::from_str(&text).unwrap_or_else(|e| panic!("{e}: {text}"))
    }

    fn start(&self, mut command: Command, loops: &'static [&'static str]) -> Process<'_> {
        let log = fs::OpenOptions::new().create(true).append(true).open(self.path("log")).expect("a log");
        let mut child = command.stdout(Stdio::piped()).stderr(log).spawn().expect("the program starts");
        let out = child.stdout.take().expect("its output is piped");
        let (said, first) = mpsc::sync_channel(1);
        let rest = thread::spawn(move || {
            let mut lines = BufReader::new(out).lines();
            drop(said.send(lines.next()));
            for _ in lines {}
        });
        let first_line = match first.recv_timeout(PATIENCE) {
            Ok(line) => line.transpose().expect("its output is text").unwrap_or_default(),
            Err(_) => panic!("it said nothing within {PATIENCE:?}: {}", self.log()),
        };
        if first_line.is_empty() {
            let log = fs::read_to_string(self.path("log")).unwrap_or_default();
            panic!("it ended at once: {:?}: {log}", child.wait());
        }
        self.running.lock().expect("nobody panicked").insert(child.id(), loops);
        Process { world: self, child, first_line, rest: Some(rest) }
    }

    /// What time it is in this world.
    pub fn now(&self) -> i64 {
        let text = fs::read_to_string(self.path("clock")).expect("the clock");
        text.parse().expect("a number")
    }

    fn write_clock(&self, at: i64) {
        fs::write(self.path("clock-new"), at.to_string()).expect("the clock is written");
        fs::rename(self.path("clock-new"), self.path("clock")).expect("the clock is turned");
    }

    /// Turns the clock by `ms`, in steps, after each of which everybody does what is due.
    pub fn turn(&self, ms: i64) {
        let end = self.now() + ms;
        while self.now() < end {
            self.write_clock((self.now() + self.step).min(end));
            self.settle();
        }
    }

    /// Turns the clock until `holds`, at most by `ms`.
    #[track_caller]
    pub fn turn_until(&self, what: &str, ms: i64, mut holds: impl FnMut() -> bool) {
        let end = self.now() + ms;
        while !holds() {
            assert!(
                self.now() < end,
                "it did not come true within {ms} ms of turned time: {what}\n{}",
                self.log()
            );
            self.turn(self.step);
        }
    }

    /// Waits until everybody has done what is due now.
    #[track_caller]
    pub fn settle(&self) {
        if !self.clock {
            return;
        }
        let now = self.now();
        let running = self.running.lock().expect("nobody panicked").clone();
        let marks = |of_server: bool| {
            let all = running.iter().flat_map(|(id, loops)| loops.iter().map(move |name| (id, *name)));
            all.filter(move |(_, name)| (*name == "tick") == of_server)
                .map(|(id, name)| format!("clock.{id}.{name}"))
        };
        marks(false).for_each(|mark| self.wait_for_mark(&mark, now));
        // What agents told may have made something due: the server's loop must have gone round since. A round that was
        // under way read before that, and leaves its mark as well: the second one began after the first mark.
        for mark in marks(true).flat_map(|mark| [mark.clone(), mark]) {
            drop(fs::remove_file(self.path(&mark)));
            self.wait_for_mark(&mark, now);
        }
    }

    #[track_caller]
    fn wait_for_mark(&self, mark: &str, now: i64) {
        let path = self.path(mark);
        wait_for(&format!("{mark} to have done what is due at {now}\n{}", self.log()), || {
            let seen = fs::read_to_string(&path).ok().and_then(|text| text.parse::<i64>().ok());
            seen.is_some_and(|seen| seen >= now)
        });
    }

    /// What everybody wrote into the log, its end.
    pub fn log(&self) -> String {
        let text = fs::read_to_string(self.path("log")).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(60)..].join("\n")
    }

    /// Where the server's database is.
    pub fn database(&self) -> PathBuf {
        self.path("server").join("lineman.db")
    }
}

/// A port of this machine's own loopback that belongs to the test, also while nobody listens there.
pub struct Port(socket2::Socket);

impl Port {
    /// A port at which calls are refused.
    pub fn closed() -> Port {
        Port::bound(([127, 0, 0, 1], 0).into())
    }

    fn bound(at: SocketAddr) -> Port {
        let socket =
            socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).expect("a socket");
        // Whoever listens here for a while has a socket beside this one.
        socket.set_reuse_port(true).expect("an option");
        socket.bind(&at.into()).expect("a port");
        Port(socket)
    }

    /// Its number.
    pub fn number(&self) -> u16 {
        let at = self.0.local_addr().expect("its address");
        at.as_socket().expect("an address with a port").port()
    }

    /// Calls are taken until the listener goes out of sight; then they are refused again.
    pub fn open(&self) -> TcpListener {
        let beside = Port::bound(([127, 0, 0, 1], self.number()).into());
        beside.0.listen(128).expect("a port that is listened at");
        beside.0.into()
    }
}

/// Waits in real time until `holds`.
#[track_caller]
pub fn wait_for(what: &str, mut holds: impl FnMut() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < PATIENCE, "waited {PATIENCE:?} for {what}");
        thread::sleep(Duration::from_millis(2));
    }
}

/// What a command printed that must have succeeded.
#[track_caller]
pub fn succeeded(args: &[&str], output: &Output) -> String {
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{args:?}: {:?}: {said}", output.status);
    String::from_utf8(output.stdout.clone()).expect("what is printed is UTF-8")
}

/// Asks a database from outside, with a second program.
#[track_caller]
pub fn sqlite(path: &Path, sql: &str) -> String {
    let output = Command::new("sqlite3").arg("-readonly").arg(path).arg(sql).output().expect("sqlite3 runs");
    succeeded(&["sqlite3", sql], &output).trim().to_owned()
}

impl Process<'_> {
    /// Where a server is.
    pub fn url(&self) -> String {
        self.first_line.trim_start_matches("listening on ").to_owned()
    }

    /// Where a server listens, to be used again.
    pub fn address(&self) -> String {
        self.url().split("//").nth(1).expect("a URL").to_owned()
    }

    /// Ends it at once, as a power cut does.
    pub fn kill(mut self) {
        self.end();
    }

    /// Asks it to stop, and waits until it has; how it ended.
    #[track_caller]
    pub fn stop(mut self) -> Option<i32> {
        self.forget();
        let id = self.child.id().to_string();
        let asked = Command::new("sh").args(["-c", &format!("kill -TERM {id}")]).status();
        assert!(asked.expect("a shell runs").success());
        let mut code = None;
        wait_for("the process to stop", || match self.child.try_wait() {
            Ok(Some(status)) => {
                code = Some(status.code());
                true
            }
            Ok(None) => false,
            Err(e) => panic!("{e}"),
        });
        code.expect("it stopped")
    }

    fn forget(&self) {
        self.world.running.lock().expect("nobody panicked").remove(&self.child.id());
    }

    fn end(&mut self) {
        self.forget();
        drop(self.child.kill());
        drop(self.child.wait());
        if let Some(rest) = self.rest.take() {
            drop(rest.join());
        }
    }
}

impl Drop for Process<'_> {
    fn drop(&mut self) {
        self.end();
    }
}
