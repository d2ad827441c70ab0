//! Whether a channel's settings are such that a message can be sent with them.

use http::{HeaderName, Uri};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;

use super::{
    Channel, Command, Email, Hook, Matrix, Ntfy, PagerDuty, Secret, Security, Telegram, Url, Webhook,
    template,
};

/// The most people who get one mail.
pub const MAX_TO: usize = 50;
/// The longest URL, secret or other word, in bytes.
pub const MAX_WORD: usize = 2048;
/// The most headers of a webhook.
pub const MAX_HEADERS: usize = 20;
/// The most tags of an ntfy message.
pub const MAX_TAGS: usize = 10;
/// The most arguments of a program.
pub const MAX_ARGS: usize = 100;
/// The longest list of certificates, in bytes.
pub const MAX_CA: usize = 64 * 1024;
/// What the sender writes into a request itself.
const OWN_HEADERS: &[&str] = &[
    "connection",
    "content-length",
    "expect",
    "host",
    "idempotency-key",
    "keep-alive",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// What is wrong with a channel.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{setting}: {why}")]
pub struct BadChannel {
    /// Which setting.
    pub setting: &'static str,
    /// What is wrong with it, and what it must be.
    pub why: String,
}

type Checked = Result<(), BadChannel>;

/// Whether a message can be sent with it, as far as that can be known without trying.
pub fn check(channel: &Channel) -> Checked {
    match channel {
        Channel::Email(email) => mail(email),
        Channel::Webhook(webhook) => hook(webhook),
        Channel::Ntfy(ntfy) => topic(ntfy),
        Channel::Slack(hook) | Channel::Discord(hook) | Channel::Teams(hook) => given(hook),
        Channel::Telegram(telegram) => chat(telegram),
        Channel::PagerDuty(pagerduty) => service(pagerduty),
        Channel::Matrix(matrix) => room(matrix),
        Channel::Command(command) => program(command),
    }
}

fn mail(email: &Email) -> Checked {
    let Email { to, from, host, port, security, user, password, ca } = email;
    if to.is_empty() || to.len() > MAX_TO {
        return bad("to", format!("{} addresses: it must be 1 to {MAX_TO}", to.len()));
    }
    to.iter().try_for_each(|one| address("to", one))?;
    address("from", from)?;
    if !is_host(host) {
        return bad("host", format!("{} is no host: write a name or an address", quoted(host)));
    }
    if *port == 0 {
        return bad("port", "0 is no port: 587 is usual with starttls, 465 with tls, 25 with none");
    }
    match (user, password) {
        (Some(user), Some(password)) => {
            word("user", user)?;
            secret("password", password)?;
            if *security == Security::None && !is_loopback(host) {
                return bad(
                    "security",
                    "none would send the password unencrypted: it must be starttls or tls",
                );
            }
        }
        (None, None) => {}
        (Some(_), None) => return bad("password", "it is missing: a user logs in with a password"),
        (None, Some(_)) => return bad("user", "it is missing: whose password is it?"),
    }
    if ca.is_some() && *security == Security::None {
        return bad("ca", "it belongs to starttls and tls: security is none");
    }
    certificates(ca.as_deref())
}

fn hook(webhook: &Webhook) -> Checked {
    let Webhook { url: to, secret: key, headers, template: source, ca } = webhook;
    url("url", to)?;
    key.iter().try_for_each(|key| secret("secret", key))?;
    if headers.len() > MAX_HEADERS {
        return bad("headers", format!("{} headers: {MAX_HEADERS} are the most", headers.len()));
    }
    for (name, value) in headers {
        header(name, value)?;
    }
    if let Some(source) = source {
        template::check(source).or_else(|e| bad("template", e.to_string()))?;
    }
    certificates(ca.as_deref())
}

fn header(name: &str, value: &Secret) -> Checked {
    let parsed = HeaderName::from_bytes(name.as_bytes());
    if name.len() > 100 || parsed.map_or(true, |parsed| parsed.as_str() != name) {
        return bad("headers", format!("{} is no header's name in small letters", quoted(name)));
    }
    if OWN_HEADERS.contains(&name) || name.starts_with("x-lineman-") {
        return bad("headers", format!("'{name}' is written by lineman itself: leave it out"));
    }
    let text = value.reveal();
    let fits = text.len() <= MAX_WORD && text.chars().all(|c| c == ' ' || c.is_ascii_graphic());
    if !fits || text.trim().is_empty() {
        let why = format!("the value of '{name}' must be 1 to {MAX_WORD} plain ASCII characters in one line");
        return bad("headers", why);
    }
    Ok(())
}

fn topic(ntfy: &Ntfy) -> Checked {
    let Ntfy { server: at, topic, token: key, tags, ca } = ntfy;
    server("server", at)?;
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if topic.is_empty() || topic.len() > 64 || !topic.chars().all(fits) {
        return bad("topic", format!("{}: it must be 1 to 64 letters, digits, - and _", quoted(topic)));
    }
    key.iter().try_for_each(|key| token("token", key))?;
    if tags.len() > MAX_TAGS {
        return bad("tags", format!("{} tags: {MAX_TAGS} are the most", tags.len()));
    }
    for tag in tags {
        let fits = |c: char| !c.is_control() && !c.is_whitespace() && c != ',';
        if tag.is_empty() || tag.len() > 64 || !tag.chars().all(fits) {
            return bad(
                "tags",
                format!("{}: it must be 1 to 64 characters, no comma, no space", quoted(tag)),
            );
        }
    }
    certificates(ca.as_deref())
}

fn given(hook: &Hook) -> Checked {
    let text = hook.url.reveal();
    let uri = parse("url", text)?;
    if uri.authority().is_some_and(|authority| authority.as_str().contains('@')) {
        return bad("url", "a user and a password in it are not sent: leave them out");
    }
    if uri.scheme_str() != Some("https") && !uri.host().is_some_and(is_loopback) {
        return bad("url", "it is a secret, so it must begin with https://");
    }
    if uri.path().len() < 2 {
        return bad("url", "it has no path: copy the whole URL that the service gave");
    }
    Ok(())
}

fn chat(telegram: &Telegram) -> Checked {
    let Telegram { server: at, token: key, chat, thread } = telegram;
    server("server", at)?;
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    let parts = key.reveal().split_once(':');
    let is_token = parts.is_some_and(|(id, rest)| {
        !id.is_empty()
            && id.len() <= 20
            && id.chars().all(|c| c.is_ascii_digit())
            && (8..=100).contains(&rest.len())
            && rest.chars().all(fits)
    });
    if !is_token {
        return bad("token", "it is no bot's token: a number, a colon, and letters");
    }
    let is_number = chat.parse::<i64>().is_ok_and(|id| id != 0) && !chat.starts_with('+');
    let is_name = chat.strip_prefix('@').is_some_and(|name| {
        (1..=64).contains(&name.len()) && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
    });
    if !(is_number || is_name) {
        return bad("chat", format!("{}: it must be a chat's number, or @ and its name", quoted(chat)));
    }
    if thread.is_some_and(|thread| thread <= 0) {
        return bad("thread", "it must be a number above 0");
    }
    Ok(())
}

fn service(pagerduty: &PagerDuty) -> Checked {
    server("server", &pagerduty.server)?;
    let key = pagerduty.key.reveal();
    if key.len() != 32 || !key.chars().all(|c| c.is_ascii_alphanumeric()) {
        return bad("key", "an integration key of the Events API v2 has 32 letters and digits");
    }
    Ok(())
}

fn room(matrix: &Matrix) -> Checked {
    let Matrix { server: at, token: key, room, ca } = matrix;
    server("server", at)?;
    token("token", key)?;
    let fits = |c: char| !c.is_control() && !c.is_whitespace();
    if !room.starts_with('!') || room.len() < 2 || room.len() > 255 || !room.chars().all(fits) {
        let why = "it must be a room's id, which begins with !: the room's settings show it (an alias with # is none)";
        return bad("room", format!("{}: {why}", quoted(room)));
    }
    certificates(ca.as_deref())
}

fn program(command: &Command) -> Checked {
    let Command { program, args } = command;
    if !program.starts_with('/') || program.len() > MAX_WORD || program.chars().any(char::is_control) {
        return bad("program", format!("{} is no whole path: it begins with /", quoted(program)));
    }
    if args.len() > MAX_ARGS {
        return bad("args", format!("{} arguments: {MAX_ARGS} are the most", args.len()));
    }
    if args.iter().any(|arg| arg.len() > 2 * MAX_WORD || arg.contains('\0')) {
        return bad("args", format!("an argument has at most {} bytes, and none is NUL", 2 * MAX_WORD));
    }
    Ok(())
}

/// A URL that leads somewhere.
fn url(setting: &'static str, url: &Url) -> Checked {
    parse(setting, url.reveal()).map(drop)
}

/// The URL of a server, to which a path is added.
fn server(setting: &'static str, url: &Url) -> Checked {
    let uri = parse(setting, url.reveal())?;
    if uri.authority().is_some_and(|authority| authority.as_str().contains('@')) {
        return bad(setting, "it has a user or a password in it: there is a token for that");
    }
    if uri.query().is_some() {
        return bad(setting, "it has a '?' in it: a server's URL ends with its host, its port or its folder");
    }
    Ok(())
}

fn parse(setting: &'static str, text: &str) -> Result<Uri, BadChannel> {
    let no = |why: &str| BadChannel { setting, why: why.to_owned() };
    if text.len() > MAX_WORD {
        return Err(no(&format!("it is {} bytes long, {MAX_WORD} are the most", text.len())));
    }
    if text.chars().any(|c| c.is_control() || c.is_whitespace()) {
        return Err(no("it has a space, a line break or a control character in it"));
    }
    if text.contains('#') {
        return Err(no("it has a '#' in it: what stands behind that is never sent"));
    }
    let uri: Uri = text.parse().map_err(|_| no("it is no URL: write it as https://HOST/PATH"))?;
    if !matches!(uri.scheme_str(), Some("http" | "https")) {
        return Err(no("it must begin with https:// or http://"));
    }
    let host = uri.host().unwrap_or_default();
    if !is_host(host) {
        return Err(no("it names no host: write it as https://HOST/PATH"));
    }
    let port = uri.authority().and_then(|authority| authority.as_str().rsplit('@').next());
    let written = port.and_then(|place| place.strip_prefix(host)).unwrap_or_default();
    if !written.is_empty() && uri.port_u16().is_none_or(|port| port == 0) {
        return Err(no("its port is none: it is a number from 1 to 65535"));
    }
    Ok(uri)
}

/// A mail address: `local@domain` (RFC 5321, 4.1.2), with a dot-atom before the `@`, all of it in ASCII.
fn address(setting: &'static str, text: &str) -> Checked {
    let is_atom = |part: &str| {
        !part.is_empty()
            && part.chars().all(|c| c.is_ascii_alphanumeric() || "!#$%&'*+-/=?^_`{|}~".contains(c))
    };
    let fits = text.rsplit_once('@').is_some_and(|(local, domain)| {
        local.len() <= 64 && local.split('.').all(is_atom) && is_domain(domain)
    });
    if fits {
        Ok(())
    } else {
        bad(setting, format!("{} is no mail address: write name@example.org", quoted(text)))
    }
}

/// A name of the DNS, in ASCII.
fn is_domain(text: &str) -> bool {
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
    };
    text.len() <= 253 && text.split('.').all(is_label)
}

/// A name, or an address; IPv6 with or without its brackets.
fn is_host(text: &str) -> bool {
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    // Names of hosts on private networks may have a _, whatever the DNS says.
    is_domain(&text.trim_end_matches('.').replace('_', "a")) || bare.parse::<std::net::IpAddr>().is_ok()
}

fn is_loopback(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    bare.eq_ignore_ascii_case("localhost")
        || bare.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

fn word(setting: &'static str, text: &str) -> Checked {
    if text.is_empty() || text.len() > MAX_WORD || text.chars().any(char::is_control) {
        return bad(setting, format!("it must be 1 to {MAX_WORD} bytes, without control characters"));
    }
    Ok(())
}

fn secret(setting: &'static str, secret: &Secret) -> Checked {
    word(setting, secret.reveal())
}

/// A secret that goes into a header.
fn token(setting: &'static str, secret: &Secret) -> Checked {
    let text = secret.reveal();
    if text.is_empty() || text.len() > MAX_WORD || !text.chars().all(|c| c.is_ascii_graphic()) {
        return bad(setting, format!("it must be 1 to {MAX_WORD} plain ASCII characters without spaces"));
    }
    Ok(())
}

fn certificates(pem: Option<&str>) -> Checked {
    let Some(pem) = pem else { return Ok(()) };
    if pem.len() > MAX_CA {
        return bad("ca", format!("it is {} bytes long, {MAX_CA} are the most", pem.len()));
    }
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect();
    if read.is_ok_and(|all| !all.is_empty()) {
        return Ok(());
    }
    bad("ca", "it holds no certificate: it must be PEM, with -----BEGIN CERTIFICATE-----")
}

fn bad<T>(setting: &'static str, why: impl Into<String>) -> Result<T, BadChannel> {
    Err(BadChannel { setting, why: why.into() })
}

/// A text in quotes, with what cannot be shown escaped, not too long.
fn quoted(text: &str) -> String {
    let mut short: String = text.chars().take(60).collect::<String>().escape_debug().to_string();
    if text.chars().count() > 60 {
        short.push('…');
    }
    format!("'{short}'")
}
