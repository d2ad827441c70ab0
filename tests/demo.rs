//! `serve --demo` as a newcomer meets it: within a minute there is a ticket for a router and six behind it, and once it is
//! stopped nothing is left.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;

use serde_json::Value;

use crate::harness::browser::{Browser, DESK, Window};
use crate::harness::{World, succeeded, wait_for};

/// A demonstration that runs; it is killed when it goes out of sight.
struct Demo {
    child: Child,
    lines: mpsc::Receiver<String>,
}

impl Demo {
    fn start(temporary: &Path) -> Demo {
        let mut command = program();
        command.args(["serve", "--demo", "--listen", "127.0.0.1:0"]).env("TMPDIR", temporary);
        let mut child = command.stdout(Stdio::piped()).spawn().expect("the program starts");
        let out = child.stdout.take().expect("its output is piped");
        let (said, lines) = mpsc::channel();
        thread::spawn(move || {
            for line in BufReader::new(out).lines().map_while(Result::ok) {
                drop(said.send(line));
            }
        });
        Demo { child, lines }
    }

    /// The rest of the first line that begins like this.
    fn line(&self, begin: &str) -> String {
        let mut found = None;
        wait_for(&format!("a line '{begin}…'"), || {
            found = self.lines.try_iter().find_map(|line| line.strip_prefix(begin).map(str::to_owned));
            found.is_some()
        });
        found.expect("it was waited for")
    }

    /// Asks it to stop; how it ended.
    fn stop(mut self) -> Option<i32> {
        let kill = Command::new("sh").args(["-c", &format!("kill -TERM {}", self.child.id())]).status();
        assert!(kill.expect("a shell runs").success());
        let mut code = None;
        wait_for("the demonstration to end", || {
            code = self.child.try_wait().expect("it can be asked").map(|status| status.code());
            code.is_some()
        });
        code.flatten()
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lineman"));
    command.env_remove("RUST_LOG").env_remove("LINEMAN_DATA").env("NO_COLOR", "1").stdin(Stdio::null());
    command
}

fn json(data: &Path, args: &[&str]) -> Value {
    let output = program().env("LINEMAN_DATA", data).args(args).arg("--json").output();
    let text = succeeded(args, &output.expect("the program runs"));
    serde_json::from_str(&text).unwrap_or_else(|e| panic!("{args:?}: {e}: {text}"))
}

#[test]
fn within_a_minute_a_dead_router_has_its_ticket_with_six_behind_it_and_nothing_is_left_at_the_end() {
    let temporary = tempfile::tempdir().expect("a temporary folder");
    let demo = Demo::start(temporary.path());
    let data = PathBuf::from(demo.line("data in "));
    assert!(data.starts_with(temporary.path()), "{}", data.display());
    assert_eq!(json(&data, &["device", "list"]).as_array().map(Vec::len), Some(26), "25, and this machine");
    wait_for("the ticket of the router, with the six behind it", || {
        let tickets = json(&data, &["ticket", "list"]);
        tickets.as_array().is_some_and(|all| {
            all.iter().any(|ticket| {
                ticket["device"] == "router-mill-lane"
                    && ticket["state"] == "open"
                    && ticket["affected"].as_array().map(Vec::len) == Some(6)
            })
        })
    });
    assert_eq!(demo.stop(), Some(0));
    let left: Vec<_> = std::fs::read_dir(temporary.path()).expect("it is there").collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn a_demonstration_touches_no_real_folder_and_no_real_address() {
    let world = World::real();
    let said = world.fails(2, &["serve", "--demo"]);
    assert!(said.contains("--data"), "{said}");
    let output = program().args(["serve", "--demo", "--listen", "0.0.0.0:0"]).output().expect("it runs");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("stays on this machine"), "{said}");
}

/// The page of the demonstration tells the story. With `LINEMAN_SHOTS=docs/pictures` this makes the README's pictures:
/// `LINEMAN_SHOTS=docs/pictures cargo test --test all demo::the_page`.
#[test]
fn the_page_of_the_demonstration_tells_the_story() {
    let temporary = tempfile::tempdir().expect("a temporary folder");
    let demo = Demo::start(temporary.path());
    let url = demo.line("listening on ");
    let link = demo.line(&format!("  {url}/sign-in"));
    let browser = Browser::open(Window { width: 1280, height: 800, ..DESK });
    browser.go(&format!("{url}/sign-in{link}"));
    browser.fill("#password", "correct horse battery");
    browser.fill("#again", "correct horse battery");
    browser.click("button.main");
    wait_for("the router's ticket", || browser.text().contains(" is down"));
    wait_for("those behind it", || browser.text().contains("more behind it"));
    browser.shot("now");
    browser.go(&format!("{url}/devices?q=state:down,unreachable"));
    browser.wait("table.list");
    browser.go(&format!("{url}/tickets/1"));
    browser.wait("#h-why");
    browser.shot("ticket");
    drop(browser);
    assert_eq!(demo.stop(), Some(0));
}
