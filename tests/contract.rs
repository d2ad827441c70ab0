//! The API keeps to its own document: schemathesis makes calls of it, good and bad, and compares what is answered.

use std::fs;
use std::path::Path;

use crate::harness::{World, netns, program::Program};

/// Where `tests/run` puts it.
const SCHEMATHESIS: &str = "target/schemathesis/bin/schemathesis";
/// What is looked at in each answer.
const CHECKS: &str =
    "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance";

#[test]
fn every_answer_is_one_that_the_document_names() {
    // What is made here has invented addresses: only where nobody can be reached may it be made.
    if !netns::possible() {
        return;
    }
    let program =
        Path::new(SCHEMATHESIS).canonicalize().expect("schemathesis is there: tests/run fetches it");
    let world = World::real().alone();
    let server = world.serve();
    for args in [
        &["site", "add", "north", "--tz", "Europe/Berlin"][..],
        &["device", "add", "router", "--site", "north", "--address", "127.0.0.2"],
        &["device", "add", "ap", "--parent", "router"],
        &["check", "add", "router", "tcp", "--port", "9"],
        &["ticket", "open", "a noise", "--device", "router"],
        &["user", "add", "ben", "--role", "operator"],
        &["token", "add", "one", "--user", "ben", "--role", "viewer"],
        &["maintenance", "add", "--device", "router", "--from", "2030-01-01 10:00", "--for", "1h"],
        &["notify", "add", "noc", "webhook", "--url", "http://127.0.0.1:9/"],
    ] {
        world.ok(args);
    }
    let token = Program::with(&world, &server, "admin").token.expect("a token");
    // Other methods than those that there are get one answer, wherever they are tried.
    let settings = "[phases.coverage]\nunexpected-methods = [\"PATCH\"]\n";
    fs::write(world.path("schemathesis.toml"), settings).expect("its settings are written");
    let output = world
        .other(program.to_str().expect("a path in UTF-8"))
        .args(["run", &format!("{}/api/v1/openapi.json", server.url())])
        .args(["--header", &format!("Authorization: Bearer {token}"), "--checks", CHECKS])
        // The same calls each time, and few enough of them.
        .args(["--seed", "1", "--max-examples", "2", "--phases", "coverage,fuzzing"])
        .args(["--generation-database", "none", "--warnings", "off"])
        // To edit a notification takes what it takes to add one: of those that are edited, one kind.
        .args(["--exclude-operation-id-regex", "^notify-edit-(?!email)"])
        // One at a time: two threads that parse Python at once upset each other in Python 3.11 (a
        // "recursion depth mismatch" of its parser), which is then told as an error of the API.
        .args(["--continue-on-failure", "--workers", "1", "--no-color"])
        .current_dir(world.path("."))
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .output()
        .expect("schemathesis runs");
    let said = String::from_utf8_lossy(&output.stdout);
    println!("{said}");
    assert!(output.status.success(), "{said}\n{}", world.log());
    assert!(said.contains("passed"), "{said}");
    // The token was good to the end.
    let answer = world
        .other("curl")
        .args([
            "-sfH",
            &format!("Authorization: Bearer {token}"),
            &format!("{}/api/v1/devices", server.url()),
        ])
        .status()
        .expect("curl runs");
    assert!(answer.success(), "{said}");
    assert_eq!(server.stop(), Some(0));
}
