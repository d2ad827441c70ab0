//! The rungs at the far end: a page with a known body, and the server itself.

use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream, ToSocketAddrs};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use super::{Found, MOST, STACK, Server, plain};
use crate::link::tls::{self, Proven};
use crate::report::{Plan, Step};

/// The most bytes of an answer that are read.
const MAX_ANSWER: u64 = 64 * 1024;
/// How many time-outs a name, a handshake or an answer may take.
const PATIENCE: u32 = 3;

/// The page with the known body.
pub(super) fn page(plan: &Plan, timeout: Duration) -> Vec<Found> {
    let step = |status, changed| Step::Page { url: plan.page.clone(), status, changed };
    if plan.page.is_empty() {
        return vec![Found::not_measured(step(None, false), "no page was given (ladder.page)")];
    }
    let Some((host, port, path)) = plain_url(&plan.page) else {
        return vec![Found::not_measured(step(None, false), "ladder.page is no http:// URL")];
    };
    let began = Instant::now();
    let addresses = match resolve(&host, port, timeout * PATIENCE) {
        Ok(addresses) => addresses,
        Err(why) => return vec![Found::not_measured(step(None, false), why)],
    };
    let mut last = "it has no address".to_owned();
    for address in addresses.into_iter().take(MOST) {
        match get(address, &host, &path, timeout) {
            Ok((status, body)) => {
                let known = (200..300).contains(&status) && body.contains(&plan.page_body);
                return vec![if known {
                    Found::ok(step(Some(status), false)).took(began)
                } else {
                    Found::fail(
                        step(Some(status), true),
                        "another page came back: somebody in between answers",
                    )
                    .took(began)
                }];
            }
            Err(e) => last = plain(&e),
        }
    }
    vec![Found::fail(step(None, false), last)]
}

/// Host, port and path of an `http://` URL.
fn plain_url(url: &str) -> Option<(String, u16, String)> {
    let rest = url.strip_prefix("http://")?;
    let (place, path) = match rest.find('/') {
        Some(at) => (&rest[..at], &rest[at..]),
        None => (rest, "/"),
    };
    let (host, port) = match place.rsplit_once(':') {
        Some((host, port)) if !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit()) => {
            (host, port.parse().ok()?)
        }
        _ => (place, 80),
    };
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let fits = !host.is_empty() && url.bytes().all(|b| b.is_ascii_graphic());
    fits.then(|| (host.to_owned(), port, path.to_owned()))
}

/// One request, no redirect followed.
fn get(address: SocketAddr, host: &str, path: &str, timeout: Duration) -> std::io::Result<(u16, String)> {
    let mut connection = TcpStream::connect_timeout(&address, timeout)?;
    connection.set_read_timeout(Some(timeout * PATIENCE))?;
    connection.set_write_timeout(Some(timeout))?;
    ask(&mut connection, host, path, timeout * PATIENCE)
}

fn ask(
    connection: &mut (impl Read + Write),
    host: &str,
    path: &str,
    patience: Duration,
) -> std::io::Result<(u16, String)> {
    let version = env!("CARGO_PKG_VERSION");
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: lineman/{version}\r\nAccept: */*\r\nConnection: close\r\n\r\n"
    );
    connection.write_all(request.as_bytes())?;
    connection.flush()?;
    let until = Instant::now() + patience;
    let mut answer = Vec::new();
    let mut piece = [0; 4096];
    while Instant::now() < until && (answer.len() as u64) < MAX_ANSWER {
        match connection.read(&mut piece) {
            Ok(0) => break,
            Ok(len) => answer.extend_from_slice(&piece[..len]),
            // Enough came to know who answers.
            Err(_) if answer.len() > 12 => break,
            Err(e) => return Err(e),
        }
    }
    let text = String::from_utf8_lossy(&answer).into_owned();
    let status =
        text.strip_prefix("HTTP/1.").and_then(|rest| rest.get(2..5)).and_then(|code| code.parse().ok());
    let status = status.ok_or_else(|| std::io::Error::other("the answer is not HTTP"))?;
    Ok((status, text))
}

/// What the system's resolver says, in time.
fn resolve(host: &str, port: u16, patience: Duration) -> Result<Vec<SocketAddr>, String> {
    if let Ok(address) = host.parse::<IpAddr>() {
        return Ok(vec![(address, port).into()]);
    }
    let (tell, told) = mpsc::channel();
    let name = host.to_owned();
    let asking =
        std::thread::Builder::new().name("ladder-name".to_owned()).stack_size(STACK).spawn(move || {
            drop(tell.send((name.as_str(), port).to_socket_addrs().map(Iterator::collect::<Vec<_>>)));
        });
    asking.map_err(|e| format!("resolve {host}: {e}"))?;
    match told.recv_timeout(patience) {
        Ok(Ok(found)) if found.is_empty() => Err(format!("{host} has no address")),
        Ok(Ok(found)) => Ok(found),
        Ok(Err(_)) => Err(format!("{host} does not resolve")),
        Err(_) => Err(format!("{host} does not resolve in time")),
    }
}

/// The server: its name, its port, who it is, and what it says.
pub(super) fn rungs(server: &Server, timeout: Duration) -> Vec<Found> {
    let began = Instant::now();
    let name = |addresses| Step::ServerName { host: server.host.clone(), addresses };
    let (named, mut addresses) = match server.host.parse::<IpAddr>() {
        Ok(address) => {
            (Found::not_measured(name(vec![address]), "it is given by its address"), vec![address])
        }
        Err(_) => match resolve(&server.host, server.port, timeout * PATIENCE) {
            Ok(found) => {
                let found: Vec<IpAddr> = found.iter().map(SocketAddr::ip).collect();
                (Found::ok(name(found.clone())).took(began), found)
            }
            Err(why) => (Found::fail(name(Vec::new()), why), Vec::new()),
        },
    };
    // Where the name does not resolve, its last address may still do.
    addresses.extend(server.address);
    let mut all = vec![named];
    let mut chosen: Vec<IpAddr> = Vec::new();
    for v4 in [true, false] {
        chosen.extend(addresses.iter().find(|address| address.is_ipv4() == v4));
    }
    let connected: Vec<(Found, Option<TcpStream>)> = std::thread::scope(|scope| {
        let tries: Vec<_> = chosen
            .iter()
            .map(|address| scope.spawn(move || connect((*address, server.port).into(), timeout * 2)))
            .collect();
        tries.into_iter().filter_map(|tried| tried.join().ok()).collect()
    });
    let mut open = None;
    for (found, connection) in connected {
        all.push(found);
        open = open.or(connection);
    }
    all.extend(beyond(server, open, timeout));
    all
}

fn connect(address: SocketAddr, timeout: Duration) -> (Found, Option<TcpStream>) {
    let began = Instant::now();
    let step = |refused| Step::ServerConnect { address, refused };
    match TcpStream::connect_timeout(&address, timeout) {
        Ok(connection) => (Found::ok(step(false)).took(began), Some(connection)),
        Err(e) => {
            let refused = e.kind() == std::io::ErrorKind::ConnectionRefused;
            (Found::fail(step(refused), plain(&e)), None)
        }
    }
}

/// TLS, and an answer.
fn beyond(server: &Server, connection: Option<TcpStream>, timeout: Duration) -> Vec<Found> {
    let tls_step = |error, clock_off| Step::ServerTls { error, clock_off };
    let answer_step = |status| Step::ServerAnswer { status };
    let Some(mut connection) = connection else {
        let why = "there is no connection";
        return vec![
            Found::not_measured(tls_step(None, None), why),
            Found::not_measured(answer_step(None), why),
        ];
    };
    drop(connection.set_read_timeout(Some(timeout * PATIENCE)));
    drop(connection.set_write_timeout(Some(timeout * PATIENCE)));
    let began = Instant::now();
    if !server.tls {
        let plain_text = Found::not_measured(tls_step(None, None), "the server is spoken to without TLS");
        return vec![
            plain_text,
            answered(ask(&mut connection, &server.host, "/", timeout * PATIENCE), began),
        ];
    }
    match tls::prove(connection, &server.host, server.pin) {
        Ok(mut stream) => {
            let shaken = Found::ok(tls_step(None, None)).took(began);
            let began = Instant::now();
            vec![shaken, answered(ask(&mut stream, &server.host, "/", timeout * PATIENCE), began)]
        }
        Err(Proven { error, clock_off, why }) => vec![
            Found::fail(tls_step(error, clock_off), why),
            Found::not_measured(answer_step(None), "TLS failed"),
        ],
    }
}

fn answered(told: std::io::Result<(u16, String)>, began: Instant) -> Found {
    let step = |status| Step::ServerAnswer { status };
    match told {
        Ok((status, _)) if status < 500 => Found::ok(step(Some(status))).took(began),
        Ok((status, _)) => Found::fail(step(Some(status)), format!("it answers {status}")).took(began),
        Err(e) => Found::fail(step(None), plain(&e)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pages_url_is_taken_apart_or_refused() {
        let parts = |url: &str| plain_url(url).map(|(host, port, path)| format!("{host} {port} {path}"));
        assert_eq!(parts("http://known.example/page?x").as_deref(), Some("known.example 80 /page?x"));
        assert_eq!(parts("http://192.0.2.1:8080").as_deref(), Some("192.0.2.1 8080 /"));
        assert_eq!(parts("http://[2001:db8::1]:8080/x").as_deref(), Some("2001:db8::1 8080 /x"));
        for bad in [
            "https://known.example/",
            "known.example",
            "http://",
            "http:///x",
            "http://a/\r\nX: y",
            "http://a:99999/",
        ] {
            assert_eq!(parts(bad), None, "{bad}");
        }
    }
}
