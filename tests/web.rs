//! The page, as a person uses it: a real Chromium at the width of a phone and of a desk.

mod crawl;
mod keys;

use std::time::{Duration, Instant};

use crate::harness::browser::{Browser, DESK, PHONE, Window};
use crate::harness::{Process, World, wait_for};

const PASSWORD: &str = "correct horse battery";

/// A server, and a browser that is signed in as the first user.
fn signed_in<'w>(world: &'w World, window: Window) -> (Process<'w>, Browser) {
    let server = world.serve();
    let browser = Browser::open(window);
    enter(world, &browser, "admin", "h-alerts");
    (server, browser)
}

/// Signs a user in by a link; a heading says that it is in.
fn enter(world: &World, browser: &Browser, user: &str, heading: &str) {
    let link = world.ok(&["user", "link", user]);
    let link = link.lines().find(|line| line.contains("/sign-in/link/")).expect("a link").trim().to_owned();
    browser.go(&link);
    browser.fill("#password", PASSWORD);
    browser.fill("#again", PASSWORD);
    browser.click("button.main");
    browser.wait(&format!("#{heading}"));
}

fn furnish(world: &World) {
    for args in [
        &["site", "add", "north", "--tz", "Europe/Berlin", "--provider", "ACME"][..],
        &["device", "add", "router", "--site", "north", "--address", "127.0.0.2", "--importance", "high"],
        &["device", "add", "ap-1", "--site", "north", "--address", "127.0.0.3", "--parent", "router"],
        &["check", "add", "router", "tcp", "--port", "9", "--every", "1s"],
        &["setting", "set", "check.retry", "1s"],
        &["setting", "set", "check.soft_failures", "2"],
        &["setting", "set", "ticket.group_wait", "1s"],
    ] {
        world.ok(args);
    }
}

/// First sign-in; a device added; it goes down before the eyes; its ticket; filter; download; sign out.
fn story(window: Window, name: &str) {
    let world = World::real();
    let (server, browser) = signed_in(&world, window);
    furnish(&world);
    browser.go(&format!("{}/new/device", server.url()));
    browser.shot(&format!("{name}-new-device"));
    browser.fill("#f-name", "nas");
    browser.fill("#f-address", "127.0.0.4");
    browser.fill("#f-site", "nowhere");
    browser.click("button.main");
    browser.wait_text("nowhere");
    assert_eq!(
        browser.script("return document.querySelector('#f-name').value", vec![]),
        "nas",
        "nothing typed is lost"
    );
    browser.fill("#f-site", "north");
    browser.click("button.main");
    browser.wait_text("127.0.0.4");
    assert_eq!(browser.path(), "/devices/nas");
    if !window.scripts {
        // A page without scripts stays as it came.
        wait_for("a ticket", || {
            world.json(&["ticket", "list"]).as_array().is_some_and(|all| !all.is_empty())
        });
    }
    browser.go(&server.url());
    browser.wait_text("router is down");
    browser.shot(&format!("{name}-now"));
    if window.scripts {
        // What looks for barriers finds one that is there.
        browser.script("document.querySelector('main').append(document.createElement('img'))", vec![]);
        assert!(
            browser.barriers().iter().any(|one| one.starts_with("image-alt")),
            "{:?}",
            browser.barriers()
        );
    }
    browser.go(&format!("{}/tickets/1", server.url()));
    browser.fill("#f-text", "The fuse is out <script>alert(1)</script>");
    browser.click_text("Comment");
    browser.wait_text("The fuse is out <script>alert(1)</script>");
    browser.shot(&format!("{name}-ticket"));
    browser.click_text("Assign");
    browser.fill("#f-who", "ben");
    browser.click("button.main");
    browser.wait_text("ben has it");
    browser.click_text("Resolve");
    browser.click("button.main");
    browser.wait_text("still down");
    browser.fill("#f-reason", "another fuse");
    browser.click("button.main");
    browser.wait_text("resolved");
    browser.go(&format!("{}/devices", server.url()));
    browser.fill("#q", "state:down");
    browser.click_text("Filter");
    browser.wait_asked("state:down");
    browser.wait_text("router");
    assert!(!browser.text().contains("ap-1"), "{}", browser.text());
    browser.click_text("Sign out");
    browser.wait("#password");
    browser.go(&format!("{}/devices", server.url()));
    browser.wait("#password");
    assert_eq!(server.stop(), Some(0));
}

#[test]
fn the_story_at_a_desk() {
    story(DESK, "desk");
}

#[test]
fn the_story_on_a_phone() {
    story(PHONE, "phone");
}

#[test]
fn the_story_without_scripts() {
    story(Window { scripts: false, ..DESK }, "plain");
}

#[test]
fn a_device_goes_down_on_the_page_without_a_reload() {
    let world = World::real();
    let (server, browser) = signed_in(&world, DESK);
    browser.script("window.same = 1", vec![]);
    furnish(&world);
    browser.wait_text("router is down");
    assert_eq!(browser.script("return window.same", vec![]), 1, "the page was not loaded anew");
    browser.go(&format!("{}/devices", server.url()));
    browser.script("window.same = 1", vec![]);
    let is_paused = || {
        browser.script(
        "return [...document.querySelectorAll('tbody tr')].some((row) => row.textContent.includes('paused'))", vec![]) == true
    };
    // The soonest of some: the machine may have other things to do.
    let soonest = (0..4).map(|_| {
        world.ok(&["device", "pause", "ap-1"]);
        let committed = Instant::now();
        wait_for("the row to say so", is_paused);
        let took = committed.elapsed();
        world.ok(&["device", "resume", "ap-1"]);
        wait_for("the row to be as before", || !is_paused());
        took
    });
    assert!(soonest.min() < Some(Duration::from_secs(2)), "a row changes within 2 s of the commit");
    assert_eq!(browser.script("return window.same", vec![]), 1, "the page was not loaded anew");
    drop(browser);
    assert_eq!(server.stop(), Some(0), "streams that are open do not hold it");
}
