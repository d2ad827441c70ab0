//! A webhook: the message as JSON, or as a template makes it, signed so that the other end can tell who sent it.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderName, Uri, header};
use ring::hmac;
use schedules::Time;

use super::Trouble;
use super::call::Call;
use crate::domain::notify::Message;
use crate::domain::notify::channel::url::decoded;
use crate::domain::notify::channel::{Webhook, template};

/// When it was sent, in seconds since 1970.
const TIMESTAMP: HeaderName = HeaderName::from_static("x-lineman-timestamp");
/// `sha256=` and the HMAC of the body, as GitHub writes it.
const SIGNATURE: HeaderName = HeaderName::from_static("x-lineman-signature");
/// `sha256=` and the HMAC of the timestamp, a dot, and the body: so an old one cannot be sent again as a new one.
const TIMED_SIGNATURE: HeaderName = HeaderName::from_static("x-lineman-timed-signature");
/// The same for each try of one delivery.
const KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// What is asked.
pub fn request(webhook: &Webhook, message: &Message, now: Time) -> Result<Call, Trouble> {
    let mut call = Call::post(webhook.url.reveal(), &message.body);
    call.ca = webhook.ca.clone();
    if let Some(source) = &webhook.template {
        let made = template::render(source, &message.body);
        call.body = made.map_err(|e| Trouble::never("make the body of the template").said(e))?.into_bytes();
    }
    call = call.with(KEY, &message.key)?;
    let uri: Option<Uri> = webhook.url.reveal().parse().ok();
    let authority = uri.as_ref().and_then(Uri::authority).map_or("", |authority| authority.as_str());
    if let Some((user, _)) = authority.rsplit_once('@') {
        let plain = decoded(user);
        let login = if plain.contains(':') { plain } else { format!("{plain}:") };
        call = call.with(header::AUTHORIZATION, &format!("Basic {}", STANDARD.encode(login)))?;
    }
    for (name, value) in &webhook.headers {
        let name = name.parse().map_err(|_| Trouble::never(format!("'{name}' is no header")))?;
        call = call.with(name, value.reveal())?;
    }
    let timestamp = now.0.div_euclid(1000).to_string();
    if let Some(secret) = &webhook.secret {
        let timed = [timestamp.as_bytes(), b".", &call.body].concat();
        let (plain, timed) = (signature(secret.reveal(), &call.body), signature(secret.reveal(), &timed));
        call = call.with(SIGNATURE, &plain)?.with(TIMED_SIGNATURE, &timed)?;
    }
    call.with(TIMESTAMP, &timestamp)
}

/// `sha256=` and the HMAC-SHA256 (RFC 2104) in hexadecimal digits.
fn signature(secret: &str, body: &[u8]) -> String {
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes()), body);
    let mut text = "sha256=".to_owned();
    for byte in tag.as_ref() {
        let _ = write!(text, "{byte:02x}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_the_one_of_the_standard() {
        // RFC 4231, test case 2.
        assert_eq!(
            signature("Jefe", b"what do ya want for nothing?"),
            "sha256=5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        );
    }
}
