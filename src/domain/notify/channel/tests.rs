//! What a channel may be, and that nobody sees its secrets.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

const PEM: &str = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n";

/// One good channel of each kind, as the store holds it.
fn examples() -> Vec<Value> {
    vec![
        json!({"kind": "email", "to": ["noc@example.org"], "from": "lineman@example.org", "host": "mail.example.org",
            "port": 587, "security": "starttls", "user": "lineman", "password": "geheim-wort", "ca": PEM}),
        json!({"kind": "webhook", "url": "https://ana:geheim-wort@bus.example.org/a?t=geheim-wort", "secret": "geheim-wort",
            "headers": {"authorization": "Bearer geheim-wort"}, "template": "{{ title|tojson }}"}),
        json!({"kind": "ntfy", "server": "https://ntfy.sh", "topic": "noc", "token": "geheim-wort", "tags": ["tower"]}),
        json!({"kind": "slack", "url": "https://hooks.slack.com/services/T0/B0/geheim-wort"}),
        json!({"kind": "discord", "url": "https://discord.com/api/webhooks/1/geheim-wort"}),
        json!({"kind": "teams", "url": "https://prod.example.com:443/workflows/geheim-wort?sig=geheim-wort"}),
        json!({"kind": "telegram", "server": "https://api.telegram.org", "token": "12:geheim-wort", "chat": "-100"}),
        json!({"kind": "pagerduty", "server": "https://events.pagerduty.com", "key": "geheimwort0123456789abcdef012345"}),
        json!({"kind": "matrix", "server": "https://m.example.org", "token": "geheim-wort", "room": "!a:example.org"}),
        json!({"kind": "command", "program": "/usr/bin/true", "args": ["-x"]}),
    ]
}

fn read(value: Value) -> Channel {
    serde_json::from_value(value).unwrap()
}

#[test]
fn a_channel_is_kept_as_it_was_and_knows_its_kind() {
    for (example, kind) in examples().into_iter().zip(Kind::ALL) {
        let channel = read(example.clone());
        assert_eq!(channel.kind(), *kind);
        assert_eq!(example["kind"], kind.as_str());
        assert_eq!(channel.check(), Ok(()), "{example}");
        assert_eq!(serde_json::to_value(&channel).unwrap(), example);
    }
    let unknown = json!({"kind": "slack", "url": "https://a.example/b", "colour": "red"});
    assert!(serde_json::from_value::<Channel>(unknown).is_err());
    assert!(serde_json::from_value::<Channel>(json!({"kind": "fax"})).is_err());
}

#[test]
fn no_secret_is_shown() {
    for example in examples() {
        let channel = read(example);
        for shown in [channel.shown().to_string(), format!("{channel:?}"), format!("{channel:#?}")] {
            assert!(!shown.contains("geheim"), "{shown}");
        }
        assert_eq!(channel.shown()["kind"], channel.kind().as_str());
    }
    let hook = read(json!({"kind": "teams", "url": "https://prod.example.com:443/workflows/geheim?sig=x"}));
    assert_eq!(hook.shown()["url"], "https://prod.example.com:443/***");
    let open = read(
        json!({"kind": "email", "to": ["a@b.c"], "from": "a@b.c", "host": "mx", "port": 25, "security": "none"}),
    );
    assert_eq!(open.shown().get("password"), None);
}

#[test]
fn a_url_shows_where_it_leads() {
    for (url, shown) in [
        ("https://bus.example.org/alarms", "https://bus.example.org/alarms"),
        ("https://bus.example.org", "https://bus.example.org"),
        ("http://[::1]:8080/x", "http://[::1]:8080/x"),
        ("https://ana:pw@bus.example.org/alarms", "https://***@bus.example.org/alarms"),
        ("https://bus.example.org/alarms?token=x", "https://bus.example.org/alarms?***"),
        ("no url at all", "***"),
        ("https://ana:p w@host/", "***"),
    ] {
        assert_eq!(Url::new(url).shown(), shown);
        assert_eq!(format!("{:?}", Url::new(url)), shown);
    }
    assert_eq!(url::encoded("!a b:ä/?"), "%21a%20b%3A%C3%A4%2F%3F");
    assert_eq!(url::decoded("a%20b%2"), "a b%2");
    assert_eq!(url::decoded("%C3%A4%zz"), "ä%zz");
}

#[test]
fn every_form_in_which_a_secret_can_come_back_is_known() {
    let secrets = read(json!({"kind": "email", "to": ["a@b.c"], "from": "a@b.c", "host": "mx", "port": 587,
        "security": "tls", "user": "ana", "password": "geheim"}))
    .secrets();
    // AUTH PLAIN (RFC 4616) and AUTH LOGIN.
    for form in ["geheim", "Z2VoZWlt", "AGFuYQBnZWhlaW0="] {
        assert!(secrets.iter().any(|secret| secret == form), "{form}");
    }
    let secrets = read(json!({"kind": "webhook", "url": "https://ana:p%40w@h/?t=a%20b%20c",
        "headers": {"authorization": "Bearer geheim-wort"}}))
    .secrets();
    for form in ["ana:p%40w", "ana:p@w", "p@w", "YW5hOnBAdw==", "a b c", "Bearer geheim-wort", "geheim-wort"]
    {
        assert!(secrets.iter().any(|secret| secret == form), "{form}");
    }
}

/// An example with one setting replaced.
fn with(kind: usize, setting: &str, value: Value) -> Result<(), BadChannel> {
    let mut example = examples()[kind].clone();
    example[setting] = value;
    read(example).check()
}

#[test]
#[rustfmt::skip]
fn what_could_not_be_sent_with_is_refused_by_name() {
    let long = "x".repeat(3000);
    for (kind, setting, value) in [
        (0, "to", json!([])),
        (0, "to", json!(vec!["a@example.org"; 51])),
        (0, "to", json!(["a@example.org\r\nBcc: b@example.org"])),
        (0, "to", json!(["a b@example.org"])),
        (0, "to", json!(["@example.org"])),
        (0, "to", json!(["a@"])),
        (0, "to", json!(["a@-x.org"])),
        (0, "to", json!(["a..b@example.org"])),
        (0, "to", json!(["<a@example.org>"])),
        (0, "to", json!(["ä@example.org"])),
        (0, "from", json!("nobody")),
        (0, "host", json!("mail example")),
        (0, "host", json!("")),
        (0, "host", json!("mail.example.org:25")),
        (0, "port", json!(0)),
        (0, "security", json!("none")),
        (0, "user", json!("a\nb")),
        (0, "user", Value::Null),
        (0, "password", Value::Null),
        (0, "password", json!("")),
        (0, "ca", json!("no certificate")),
        (0, "ca", json!(PEM.repeat(2000))),
        (1, "url", json!("bus.example.org")),
        (1, "url", json!("ftp://bus.example.org/")),
        (1, "url", json!("https:///alarms")),
        (1, "url", json!("https://")),
        (1, "url", json!("https://host:port/")),
        (1, "url", json!("https://host:0/")),
        (1, "url", json!("https://host:99999/")),
        (1, "url", json!("https://host/a b")),
        (1, "url", json!("https://host/\r\nX: y")),
        (1, "url", json!("https://host/#part")),
        (1, "url", json!(format!("https://host/{long}"))),
        (1, "secret", json!("")),
        (1, "headers", json!({"Authorization": "x"})),
        (1, "headers", json!({"a b": "x"})),
        (1, "headers", json!({"host": "x"})),
        (1, "headers", json!({"x-lineman-signature": "x"})),
        (1, "headers", json!({"x-a": "b\r\nx-c: d"})),
        (1, "headers", json!({"x-a": "ä"})),
        (1, "headers", json!((0..21).map(|i| (format!("x-{i}"), "y")).collect::<BTreeMap<_, _>>())),
        (1, "template", json!("{{ title")),
        (1, "template", json!("{% for x in y %}")),
        (1, "template", json!("{{ title|no_such_filter }}")),
        (1, "template", json!("x".repeat(65 * 1024))),
        (2, "server", json!("https://ntfy.sh/?auth=x")),
        (2, "server", json!("https://a:b@ntfy.sh")),
        (2, "topic", json!("a/b")),
        (2, "topic", json!("x".repeat(65))),
        (2, "token", json!("a b")),
        (2, "tags", json!(["a,b"])),
        (2, "tags", json!(vec!["a"; 11])),
        (3, "url", json!("http://hooks.slack.com/services/x")),
        (3, "url", json!("https://hooks.slack.com")),
        (3, "url", json!("https://a:b@hooks.slack.com/services/x")),
        (6, "token", json!("geheim")),
        (6, "token", json!("12:geheim/../wort")),
        (6, "chat", json!("noc")),
        (6, "chat", json!("0")),
        (6, "thread", json!(-1)),
        (7, "key", json!("short")),
        (8, "room", json!("#noc:example.org")),
        (8, "token", json!("ä")),
        (9, "program", json!("true")),
        (9, "program", json!("/bin/\u{0}true")),
        (9, "args", json!(["a\u{0}b"])),
        (9, "args", json!(vec!["x"; 101])),
    ] {
        let bad = with(kind, setting, value.clone()).expect_err(&format!("{setting}: {value}"));
        assert_eq!(bad.setting, setting, "{value}: {bad}");
        assert!(bad.to_string().len() < 400 && !bad.to_string().contains(['\r', '\n']), "{bad}");
    }
}

#[test]
#[rustfmt::skip]
fn what_people_have_is_accepted() {
    for (kind, setting, value) in [
        (0, "to", json!(["o'brien+noc@mail.example.org", "root@localhost"])),
        (0, "host", json!("192.0.2.25")),
        (0, "host", json!("2001:db8::25")),
        (0, "host", json!("mail_relay")),
        (1, "url", json!("http://192.0.2.1:8080/alarms?x=1")),
        (1, "url", json!("http://[2001:db8::1]:8080/")),
        (1, "headers", json!({"x-api-key": "a b c", "content-type": "text/plain"})),
        (3, "url", json!("http://127.0.0.1:1/hook")),
        (6, "chat", json!("@noc_alarms")),
        (8, "room", json!("!opaque_without_a_server")),
    ] {
        assert_eq!(with(kind, setting, value.clone()), Ok(()), "{setting}: {value}");
    }
    // No encryption is for those who log in with nothing, or to this machine.
    let plain = |host: &str| json!({"kind": "email", "to": ["a@b.c"], "from": "a@b.c", "host": host, "port": 25,
        "security": "none", "user": "ana", "password": "geheim"});
    assert!(read(plain("127.0.0.1")).check().is_ok());
    assert!(read(plain("mx")).check().is_err());
}

#[test]
fn a_template_makes_what_it_says_and_not_more_than_it_may() {
    let body = json!({"title": "a \"b\"", "priority": "P1", "events": [1, 2], "device": null});
    let made = template::render("{\"t\": {{ title|tojson }}, \"u\": {{ (priority == 'P1')|tojson }}}", &body)
        .unwrap();
    assert_eq!(serde_json::from_str::<Value>(&made).unwrap(), json!({"t": "a \"b\"", "u": true}));
    assert_eq!(
        template::render("{% for e in events %}[{{ e }}]{% endfor %}<{{ nothing.at.all }}>", &body).unwrap(),
        "[1][2]<>"
    );
    assert_eq!(template::render("<b>{{ title }}</b>", &body).unwrap(), "<b>a \"b\"</b>");
    for endless in [
        "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
        "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
        "{{ 'x' * 100000000000 }}",
        "{% set a = 'xxxxxxxxxxxxxxxx' * 10000 %}{% for i in range(99) %}{{ a }}{% endfor %}",
        "{{ 'x'|indent(1000000000) }}{{ '%1000000000d'|format(1) }}",
    ] {
        assert!(template::render(endless, &body).is_err(), "{endless}");
    }
}

proptest! {
    #[test]
    fn whatever_is_written_nothing_panics_and_no_secret_is_shown(
        kind in 0_usize..10,
        text in "(https?://)?[ -~äß\r\n]{0,40}",
        secret in "[a-z]{12}",
    ) {
        let mut example = examples()[kind].to_string();
        example = example.replace("geheim-wort", &secret).replace("geheimwort", &secret[..10]);
        let secret = if kind == 7 { &secret[..10] } else { &secret };
        let mut example: Value = serde_json::from_str(&example).unwrap();
        for field in ["from", "host", "topic", "server", "room", "chat", "program", "template"] {
            if let Some(value) = example.get_mut(field) {
                *value = text.clone().into();
            }
        }
        let channel = read(example);
        let said = channel.check().err().map(|bad| bad.to_string()).unwrap_or_default();
        for shown in [channel.shown().to_string(), format!("{channel:?}"), said] {
            prop_assert!(text.contains(secret) || !shown.contains(secret), "{shown}");
        }
    }

    #[test]
    fn whatever_a_url_is_its_user_and_query_are_not_shown(user in "[a-z]{8}", query in "[a-z]{8}", rest in "[ -~]{0,10}") {
        let url = Url::new(format!("https://{user}:{user}@example.org/{rest}?{query}"));
        prop_assert!(!url.shown().contains(&user), "{url:?}");
        prop_assert!(!url.shown().contains(&query), "{url:?}");
        let hook = read(json!({"kind": "slack", "url": format!("https://example.org/{rest}{user}")}));
        prop_assert!(!hook.shown().to_string().contains(&user));
        drop(hook.check());
    }

    #[test]
    fn no_template_panics(source in "(\\{\\{|\\{%|%\\}|\\}\\}|[ -~]){0,30}") {
        drop(template::render(&source, &json!({"a": [1, "b"]})));
    }

    #[test]
    fn what_is_an_address_here_is_one_for_the_library(address in "[a-z.+'\\-@ ]{1,30}") {
        let checked = with(0, "from", json!(address));
        if checked.is_ok() {
            prop_assert!(address.parse::<lettre::Address>().is_ok(), "{address}");
        }
    }
}
