//! A test runs itself once more in a network namespace of its own, where nothing leaves this machine, and where what is
//! mounted is mounted for it alone.

use std::process::Command;

const INSIDE: &str = "LINEMAN_TEST_NETWORK";

/// True inside a namespace that was set up by `setup`; outside, runs the test called `name` in one and returns false.
pub fn inside(name: &str, setup: &str) -> bool {
    if std::env::var_os(INSIDE).is_some() {
        return true;
    }
    let script = format!("set -e; ip link set lo up; {setup}\nexec $AS \"$0\" --exact {name} --nocapture");
    let this = std::env::current_exe().unwrap();
    let possible =
        Command::new("unshare").args(["--net", "--mount", "ip", "link", "set", "lo", "up"]).output();
    let why_not = match possible {
        Ok(output) if output.status.success() => None,
        Ok(output) => Some(format!("no network namespace: {}", String::from_utf8_lossy(&output.stderr))),
        Err(error) => Some(format!("unshare and ip: {error}")),
    };
    if let Some(why_not) = why_not {
        // Where all is to be held, nothing is left out.
        assert!(std::env::var_os("LINEMAN_ALL").is_none_or(|all| all != "1"), "{why_not}");
        println!("skipped: {why_not}");
        return false;
    }
    let output = Command::new("timeout")
        .args(["60", "unshare", "--net", "--mount", "sh", "-c", &script])
        .arg(this)
        .env(INSIDE, "1")
        .output()
        .unwrap();
    let said =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    assert!(said.contains("1 passed"), "{said}");
    false
}
