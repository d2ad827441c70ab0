//! A test runs itself once more in a network namespace of its own, where nothing leaves this machine.

use std::process::Command;

const INSIDE: &str = "LINEMAN_TEST_NETWORK";

/// True inside a namespace that was set up by `setup`; outside, runs the test called `name` in one and returns false.
pub fn inside(name: &str, setup: &str) -> bool {
    if std::env::var_os(INSIDE).is_some() {
        return true;
    }
    let script = format!("set -e; ip link set lo up; {setup}\nexec $AS \"$0\" --exact {name} --nocapture");
    let this = std::env::current_exe().unwrap();
    let possible = Command::new("unshare").args(["--net", "ip", "link", "set", "lo", "up"]).output();
    match possible {
        Ok(output) if output.status.success() => {}
        Ok(output) => {
            println!("skipped: no network namespace: {}", String::from_utf8_lossy(&output.stderr));
            return false;
        }
        Err(error) => {
            println!("skipped: unshare and ip: {error}");
            return false;
        }
    }
    let output = Command::new("timeout")
        .args(["60", "unshare", "--net", "sh", "-c", &script])
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
