//! The page without a mouse: the story of a night by keys alone, single keys, and what a search box offers.

use serde_json::{Value, json};

use super::{PASSWORD, furnish, signed_in};
use crate::harness::World;
use crate::harness::browser::{Browser, DESK, PHONE};
use crate::harness::devtools::{DOWN, ENTER, ESCAPE, TAB};

/// What has the focus: its id, or its text.
fn on(browser: &Browser) -> String {
    let asked = "const on = document.activeElement; return on.id || on.textContent.trim()";
    browser.script(asked, vec![]).as_str().unwrap_or_default().to_owned()
}

#[test]
fn the_story_of_a_night_by_keys_alone() {
    let world = World::real();
    let (server, browser) = signed_in(&world, DESK);
    furnish(&world);
    browser.tab_to("Sign out");
    browser.press([ENTER]);
    browser.wait("#name");
    // The name has the focus at once.
    browser.type_text("admin");
    browser.press([TAB]);
    browser.type_text(PASSWORD);
    browser.press([ENTER]);
    browser.wait("#h-alerts");
    browser.tab_to("Devices");
    browser.press([ENTER]);
    browser.wait("#q");
    browser.tab_to("Add");
    browser.press([ENTER]);
    browser.wait("#f-name");
    browser.tab_to("Name");
    browser.type_text("nas");
    browser.tab_to("Site");
    browser.type_text("north");
    browser.tab_to("Address");
    browser.type_text("127.0.0.4");
    browser.press([ENTER]);
    browser.wait_text("What is known");
    assert_eq!(browser.path(), "/devices/nas");
    browser.tab_to("lineman");
    browser.press([ENTER]);
    browser.wait_text("router is down");
    browser.tab_to("router is down");
    browser.press([ENTER]);
    browser.wait("#h-said");
    browser.tab_to("Acknowledge");
    browser.press([ENTER]);
    browser.wait_text("Unacknowledge");
    browser.tab_to("Say something");
    browser.type_text("The fuse is out");
    browser.press([TAB, ENTER]);
    browser.wait_text("The fuse is out");
    browser.tab_to("Resolve");
    browser.press([ENTER]);
    browser.wait("#f-reason");
    browser.tab_to("Reason");
    browser.type_text("another fuse");
    browser.press([TAB, ENTER]);
    browser.wait_text("resolved");
    browser.tab_to("Sign out");
    browser.press([ENTER]);
    browser.wait("#password");
    drop(browser);
    assert_eq!(server.stop(), Some(0));
}

#[test]
fn single_keys_move_the_focus_where_no_text_is_typed_until_they_are_turned_off() {
    let world = World::real();
    let (server, browser) = signed_in(&world, DESK);
    furnish(&world);
    browser.go(&format!("{}/devices", server.url()));
    browser.wait("table.list");
    browser.press(['j', 'j']);
    assert_eq!(on(&browser), "router");
    browser.press(['k']);
    assert_eq!(on(&browser), "ap-1");
    browser.press(['n']);
    assert_eq!(on(&browser), "Add");
    browser.press(['/']);
    assert_eq!(on(&browser), "q");
    browser.type_text("j/k?");
    assert_eq!(browser.script("return document.querySelector('#q').value", vec![]), "j/k?", "they are typed");
    browser.press([ESCAPE, TAB, '?']);
    browser.wait("dialog[open]");
    assert_eq!(browser.barriers(), Vec::<String>::new());
    browser.press([ESCAPE]);
    assert_eq!(browser.script("return document.querySelector('#keys').open", vec![]), false);
    browser.go(&format!("{}/you", server.url()));
    browser.tab_to("Turn shortcuts off");
    browser.press([ENTER]);
    browser.wait_text("they are off");
    browser.go(&format!("{}/devices", server.url()));
    browser.press(['j', '/', '?']);
    assert_eq!(browser.script("return document.activeElement === document.body", vec![]), true);
    drop(browser);
    assert_eq!(server.stop(), Some(0));
}

#[test]
fn a_search_box_completes_keys_and_then_their_values() {
    let world = World::real();
    let (server, browser) = signed_in(&world, DESK);
    furnish(&world);
    browser.go(&format!("{}/devices", server.url()));
    browser.press(['/']);
    browser.type_text("sta");
    browser.wait("#q[aria-expanded=true]");
    browser.press([DOWN]);
    assert_eq!(
        browser.script(
            "return document.getElementById(document.querySelector('#q').getAttribute('aria-activedescendant')).textContent",
            vec![]
        ),
        "state: unknown, up, degraded, down, unreachable"
    );
    assert_eq!(browser.barriers(), Vec::<String>::new());
    browser.press([ENTER]);
    browser.wait_text("degraded");
    browser.type_text("do");
    browser.wait("#q-offers:not([hidden]) [data-put=down]:first-child:last-child");
    browser.press([DOWN, ENTER]);
    browser.type_text("si");
    browser.wait("#q-offers:not([hidden]) [data-put='site:']");
    browser.press([DOWN, ENTER]);
    browser.wait("#q-offers:not([hidden]) [data-put=north]");
    browser.press([ESCAPE]);
    assert_eq!(browser.script("return document.querySelector('#q').value", vec![]), "state:down site:");
    browser.type_text("north");
    browser.press([ENTER]);
    browser.wait_asked("state:down site:north");
    browser.wait_text("router");
    assert!(!browser.text().contains("ap-1"), "{}", browser.text());
    browser.script("document.querySelector('#search').focus()", vec![]);
    browser.type_text("ap");
    browser.wait("#search-offers:not([hidden]) [data-put=ap-1]");
    browser.click("#search-offers [data-put=ap-1]");
    browser.press([ENTER]);
    browser.wait("#h-graphs");
    assert_eq!(browser.path(), "/devices/ap-1");
    drop(browser);
    assert_eq!(server.stop(), Some(0));
}

#[test]
fn the_search_looks_through_all_lists_and_leads_to_what_is_meant() {
    let world = World::real();
    let (server, browser) = signed_in(&world, PHONE);
    furnish(&world);
    world.ok(&["device", "add", "north-gate"]);
    world.ok(&["ticket", "open", "Swap the fan at north-gate", "--device", "ap-1"]);
    let search = |text: &str| {
        browser.go(&format!("{}/search?q={}", server.url(), text.replace('#', "%23").replace(' ', "+")));
        browser.path()
    };
    for (text, leads_to) in [
        ("north", "/sites/north"),
        ("ap-1", "/devices/ap-1"),
        ("#1", "/tickets/1"),
        ("\"the fan\"", "/tickets"),
        ("127.0.0.3", "/devices"),
        ("provider:acme", "/sites"),
        ("north-gat", "/search"),
        ("site:north", "/search"),
        ("zebra", "/search"),
    ] {
        assert_eq!(search(text), leads_to, "{text}");
    }
    search("north-gat");
    browser.wait("#h-devices");
    browser.wait("#h-tickets");
    assert_eq!(browser.barriers(), Vec::<String>::new());
    browser.shot("search-phone");
    search("zebra");
    browser.wait_text("Nothing of that name");
    search("colour:red");
    browser.wait_text("Not done");
    drop(browser);
    assert_eq!(server.stop(), Some(0));
}

/// What is offered, asked as the page asks.
fn offered(browser: &Browser, list: &str, text: &str) -> Vec<String> {
    let asked = "const [list, text, done] = arguments;
        fetch(`/complete/${list}?q=${encodeURIComponent(text)}`).then((answer) => answer.ok ? answer.json() : {keep: '', rows: [{put: answer.status}]})
            .then(({keep, rows}) => done(rows.map(({put}) => keep + put)))";
    let told = browser.run(browser.client.execute_async(asked, vec![json!(list), json!(text)]));
    let told: Vec<Value> = serde_json::from_value(told.expect("it is asked")).expect("a list");
    told.iter().map(|one| one.as_str().map_or_else(|| one.to_string(), str::to_owned)).collect()
}

#[test]
fn every_list_completes_its_own_words() {
    let world = World::real();
    let (server, browser) = signed_in(&world, DESK);
    furnish(&world);
    world.ok(&["device", "add", "my big rack", "--tag", "in the lab"]);
    for (list, text, wanted) in [
        ("devices", "tag:", &["tag:\"in the lab\""][..]),
        ("devices", "-tag:\"in th", &["-tag:\"in the lab\""]),
        ("devices", "site:north name:my", &["site:north name:\"my big rack\""]),
        ("devices", "mark:f", &["mark:flapping"]),
        ("devices", "since:<7", &["since:<7d"]),
        ("devices", "paused:", &["paused:yes", "paused:no"]),
        ("tickets", "priority:P1,P2", &["priority:P1,P2"]),
        ("tickets", "site:n", &["site:north"]),
        ("sites", "provider:", &["provider:ACME"]),
        ("checks", "kind:htt", &["kind:http"]),
        ("log", "kind:site.", &["kind:site.added", "kind:site.edited", "kind:site.removed"]),
        ("devices", "nothing:", &[]),
        ("devices", "state:%", &[]),
        ("users", "x", &["404"]),
        ("nothing", "x", &["404"]),
    ] {
        assert_eq!(offered(&browser, list, text), wanted, "{list} {text}");
    }
    world.ok(&["user", "add", "bill", "--role", "billing"]);
    let token = world.ok(&["token", "add", "till", "--user", "bill", "--role", "billing"]);
    let token = token.split_whitespace().last().expect("a token");
    for (list, token, status) in
        [("tickets", token, 200), ("notify", token, 403), ("log", token, 200), ("devices", "lmt_x", 401)]
    {
        let asked = "const [list, token, done] = arguments;
            fetch(`/complete/${list}?q=s`, {headers: {authorization: `Bearer ${token}`, accept: 'application/json'}, credentials: 'omit', redirect: 'manual'})
                .then((answer) => done(answer.type === 'opaqueredirect' ? 401 : answer.status))";
        let told = browser.run(browser.client.execute_async(asked, vec![json!(list), json!(token)]));
        assert_eq!(told.expect("it is asked"), status, "{list}: what somebody may not see is not offered");
    }
    drop(browser);
    assert_eq!(server.stop(), Some(0));
}
