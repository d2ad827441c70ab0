//! Mail: one message to all who get it, in plain text, in one thread for each incident.

use std::net::SocketAddr;
use std::time::{Duration, SystemTime};

use lettre::Address;
use lettre::message::header::{ContentType, HeaderName, HeaderValue};
use lettre::message::{Mailbox, Message as Letter};
use lettre::transport::smtp;
use lettre::transport::smtp::authentication::{Credentials, Mechanism};
use lettre::transport::smtp::client::{AsyncSmtpConnection, AsyncTokioStream};
use lettre::transport::smtp::commands::{Data, Mail, Rcpt};
use lettre::transport::smtp::extension::ClientId;
use lettre::transport::smtp::response::Response;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::wire::{self, Wire};
use super::{Again, Limits, Trouble, chain, dial, text};
use crate::domain::notify::Message;
use crate::domain::notify::channel::url::encoded;
use crate::domain::notify::channel::{Email, Security};
use crate::domain::ticket::Priority;

/// The longest subject, in bytes.
const MAX_SUBJECT: usize = 200;
/// The longest text, in bytes.
const MAX_TEXT: usize = 256 * 1024;
/// How long to say goodbye; what is sent is sent.
const GOODBYE: Duration = Duration::from_secs(1);

/// Sends it: what the server said when it took it. It is taken where it is taken for one of those who get it: the
/// others must not be a reason to send it to him again and again.
pub async fn send(email: &Email, message: &Message, limits: Limits) -> Result<String, Trouble> {
    let letter = compose(email, message)?;
    let host = &email.host;
    let Ok(done) = timeout(limits.whole, deliver(email, &letter, limits)).await else {
        let secs = limits.whole.as_secs_f32();
        return Err(Trouble::later(format!("{host} did not take the mail within {secs} s")));
    };
    let (mut server, said) = done?;
    drop(timeout(GOODBYE, server.quit()).await);
    Ok(said)
}

/// The mail. Each try of one message makes the same, to the last byte.
fn compose(email: &Email, message: &Message) -> Result<Letter, Trouble> {
    let subject = text::shorten(&text::one_line(&message.title), MAX_SUBJECT);
    let thread = format!("<{}@lineman>", encoded(&message.incident));
    let at = u64::try_from(message.at.0).unwrap_or_default();
    let mut letter = Letter::builder()
        .from(Mailbox::new(None, address(&email.from)?))
        .subject(if subject.is_empty() { "lineman".to_owned() } else { subject })
        .date(SystemTime::UNIX_EPOCH + Duration::from_millis(at))
        .message_id(Some(format!("<{}@lineman>", encoded(&message.key))))
        .in_reply_to(thread.clone())
        .references(thread)
        .raw_header(plain("Auto-Submitted", "auto-generated"))
        .raw_header(plain("X-Lineman-News", message.news.as_str()));
    for to in &email.to {
        letter = letter.to(Mailbox::new(None, address(to)?));
    }
    if let Some(Priority::P1 | Priority::P2) = message.priority {
        letter = letter.raw_header(plain("Importance", "high"));
    }
    let text: String = message.text.chars().filter(|c| !c.is_control() || matches!(c, '\n' | '\t')).collect();
    let text = text::shorten(text.trim_end(), MAX_TEXT);
    let made = letter.header(ContentType::TEXT_PLAIN).body(text);
    made.map_err(|e| Trouble::never("write the mail").said(e))
}

fn plain(name: &'static str, value: &str) -> HeaderValue {
    HeaderValue::new(HeaderName::new_from_ascii_str(name), value.to_owned())
}

fn address(text: &str) -> Result<Address, Trouble> {
    text.parse().map_err(|e| Trouble::never(format!("'{text}' is no mail address")).said(e))
}

/// Brings it to the server, which has it when this returns.
async fn deliver(
    email: &Email,
    letter: &Letter,
    limits: Limits,
) -> Result<(AsyncSmtpConnection, String), Trouble> {
    let (host, ca) = (&email.host, email.ca.as_deref());
    let mut stream = dial::tcp(host, email.port, limits.connect).await?;
    let peer = stream.peer_addr().map_err(|e| Trouble::later(format!("connect to {host}")).said(e))?;
    let me = myself(&stream);
    let wire: Box<dyn AsyncTokioStream> = match email.security {
        Security::None => Box::new(Wire::new(stream, peer)),
        Security::Tls => Box::new(Wire::new(dial::tls(stream, host, ca).await?, peer)),
        Security::Starttls => {
            wire::start_tls(&mut stream, host, &me).await?;
            Box::new(Wire::greeted(dial::tls(stream, host, ca).await?, peer))
        }
    };
    let refused = |error| refusal(host, &error);
    let mut server = AsyncSmtpConnection::connect_with_transport(wire, &me).await.map_err(refused)?;
    if let (Some(user), Some(password)) = (&email.user, &email.password) {
        let login = Credentials::new(user.clone(), password.reveal().to_owned());
        let ways = [Mechanism::Plain, Mechanism::Login];
        server.auth(&ways, &login).await.map_err(|error| {
            let Trouble { said, again, .. } = refusal(host, &error);
            Trouble { what: format!("log in at {host} as {user}"), said, again }
        })?;
    }
    let said = hand_over(&mut server, host, letter).await?;
    Ok((server, said))
}

async fn hand_over(server: &mut AsyncSmtpConnection, host: &str, letter: &Letter) -> Result<String, Trouble> {
    let refused = |error| refusal(host, &error);
    let envelope = letter.envelope();
    server.command(Mail::new(envelope.from().cloned(), Vec::new())).await.map_err(refused)?;
    let (mut taken, mut trouble): (usize, Option<Trouble>) = (0, None);
    for to in envelope.to() {
        match server.command(Rcpt::new(to.clone(), Vec::new())).await {
            Ok(_) => taken += 1,
            Err(error) if error.status().is_none() => return Err(refused(error)),
            Err(error) => {
                let Trouble { said, again, .. } = refused(error);
                let new = Trouble { what: format!("{host} does not take mail for {to}"), said, again };
                // One who may be taken later is a reason to try again.
                let keep =
                    trouble.take().filter(|old| old.again != Again::Never || new.again == Again::Never);
                trouble = Some(keep.unwrap_or(new));
            }
        }
    }
    if taken == 0 {
        return Err(trouble.unwrap_or_else(|| Trouble::never("nobody gets it")));
    }
    server.command(Data).await.map_err(refused)?;
    let response = server.message(&letter.formatted()).await.map_err(refused)?;
    let said = words(&response);
    Ok(match trouble {
        None => said,
        Some(trouble) => {
            let missed = envelope.to().len() - taken;
            tracing::warn!(%host, missed, "a mail did not reach all who should get it");
            format!("{said}; but {} of {}: {}: {}", missed, envelope.to().len(), trouble.what, trouble.said)
        }
    })
}

/// What this machine is called in a greeting: by its address, which is always its own.
fn myself(stream: &TcpStream) -> ClientId {
    match stream.local_addr() {
        Ok(SocketAddr::V4(at)) => ClientId::Ipv4(*at.ip()),
        Ok(SocketAddr::V6(at)) => ClientId::Ipv6(*at.ip()),
        Err(_) => ClientId::default(),
    }
}

/// What an error means: a reply with 5 in front is for good (RFC 5321, 4.2.1), everything else may pass.
fn refusal(host: &str, error: &smtp::Error) -> Trouble {
    let again = if error.is_permanent() { Again::Never } else { Again::Later };
    Trouble::new(again, format!("{host} did not take the mail")).said(chain(error))
}

fn words(response: &Response) -> String {
    let lines: Vec<&str> = response.message().collect();
    format!("{} {}", response.code(), lines.join(" "))
}
