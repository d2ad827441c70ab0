//! What the real `lineman agent run` takes of its machine at default settings, on a good day: memory, processor, and
//! what it writes to the disk, beside a real `lineman serve` on loopback.
//!
//! Takes a quarter of an hour, as an agent writes every ten minutes; prints one line a figure. Run: `cargo bench --bench agent`. The
//! folder is `BENCH_DIR`, else the temporary one: it must lie on a disk.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// Until the first check-ins, the first lines and the first look at the line on a good day are behind it: that one comes after
/// three minutes, and then every six hours.
const WARM: Duration = Duration::from_secs(240);
/// As long as it takes from one write to the next.
const SPAN: Duration = Duration::from_secs(600);
const DAY: f64 = 86_400.0;

fn main() {
    if !std::env::args().any(|arg| arg == "--bench") {
        println!("not measured: run it with `cargo bench`");
        return;
    }
    let under = std::env::var_os("BENCH_DIR").map_or_else(std::env::temp_dir, Into::into);
    let folder = tempfile::tempdir_in(under).expect("a folder for the bench");
    // A program of its own: on a device nobody else has its pages mapped.
    let program = folder.path().join("lineman");
    std::fs::copy(env!("CARGO_BIN_EXE_lineman"), &program).expect("a copy of the program");
    let (server, first) = start(
        Path::new(env!("CARGO_BIN_EXE_lineman")),
        &folder.path().join("server"),
        &["serve", "--listen", "127.0.0.1:0"],
    );
    let url =
        first.split_whitespace().find(|word| word.starts_with("http")).expect("it says where it listens");
    let token = run(&folder.path().join("server"), &["device", "add", "box", "--join"]);
    let token = token.split_whitespace().last().expect("the token is the last word printed");
    let data = folder.path().join("agent");
    run(&data, &["agent", "join", url, token]);
    let (agent, _) = start(&program, &data, &["agent", "run"]);
    let id = agent.0.id();

    std::thread::sleep(WARM);
    let (processor, written) = (processor_seconds(id), written_bytes(id));
    std::thread::sleep(SPAN);
    let processor = processor_seconds(id) - processor;
    let written = written_bytes(id) - written;
    let memory = memory_kib(id);
    let span = SPAN.as_secs_f64();
    println!("memory (PSS): {:.1} MiB (limit 8)", memory / 1024.0);
    println!("processor: {:.3} % of one core (limit 0.5)", processor * 100.0 / span);
    println!("written to the disk: {:.2} MB a day (limit 2)", written * DAY / span / 1e6);
    drop((agent, server));
}

/// A process that ends with this program.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// Starts a program, and gives the first line it prints.
fn start(program: &Path, data: &Path, args: &[&str]) -> (Running, String) {
    let mut child = Command::new(program)
        .args(args)
        .arg("--data")
        .arg(data)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("the program runs");
    let mut first = String::new();
    let out = child.stdout.take().expect("its output is piped");
    BufReader::new(out).read_line(&mut first).expect("it says something first");
    (Running(child), first)
}

fn run(data: &Path, args: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_lineman")).args(args).arg("--data").arg(data).output();
    let output = output.expect("the program runs");
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn processor_seconds(id: u32) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).expect("the agent runs");
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |at: usize| fields[at].parse::<f64>().expect("a number");
    (ticks(11) + ticks(12)) / 100.0
}

fn memory_kib(id: u32) -> f64 {
    number(&format!("/proc/{id}/smaps_rollup"), "Pss:")
}

/// What the kernel was made to write to the disk, in whole pages.
fn written_bytes(id: u32) -> f64 {
    number(&format!("/proc/{id}/io"), "write_bytes:")
}

fn number(file: &str, name: &str) -> f64 {
    let text = std::fs::read_to_string(file).expect("the agent runs");
    let line = text.lines().find_map(|line| line.strip_prefix(name)).expect("the kernel tells");
    line.trim().trim_end_matches(" kB").trim().parse().expect("a number")
}
