//! Bodies of requests: read whole, within limits, unpacked where they are packed; and where a request came from.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use axum::body::Body;
use axum::http::header::{CONTENT_ENCODING, CONTENT_LENGTH};
use axum::http::{Request, StatusCode};
use flate2::read::GzDecoder;
use http_body_util::BodyExt;

/// How long a body may take to arrive.
const BODY: Duration = Duration::from_secs(30);

/// Where a request came from: the other end of its connection, or who a trusted proxy says it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer(pub IpAddr);

impl Peer {
    /// What counts as one address: of IPv6 the /64, of which one household has all.
    #[must_use]
    pub fn network(self) -> IpAddr {
        match self.0 {
            IpAddr::V4(_) => self.0,
            IpAddr::V6(six) => match six.to_ipv4_mapped() {
                Some(four) => four.into(),
                None => Ipv6Addr::from_bits(six.to_bits() & !u128::from(u64::MAX)).into(),
            },
        }
    }
}

/// Those who are sending a body: so many at most, and of one network fewer, so that nobody alone takes all places.
#[derive(Debug)]
pub struct Senders {
    most: usize,
    of_one: usize,
    now: Mutex<BTreeMap<IpAddr, usize>>,
}

/// A place among them, until this goes out of sight.
#[derive(Debug)]
pub struct Sender(&'static Senders, IpAddr);

impl Senders {
    /// None yet; at most so many, and so many of one network.
    #[must_use]
    pub const fn new(most: usize, of_one: usize) -> Senders {
        Senders { most, of_one, now: Mutex::new(BTreeMap::new()) }
    }

    /// A place for one more, where there is one.
    #[must_use]
    pub fn one(&'static self, peer: Peer) -> Option<Sender> {
        let network = peer.network();
        let mut now = self.now.lock().unwrap_or_else(PoisonError::into_inner);
        let own = now.get(&network).copied().unwrap_or_default();
        if own >= self.of_one || now.values().sum::<usize>() >= self.most {
            return None;
        }
        now.insert(network, own + 1);
        Some(Sender(self, network))
    }
}

impl Drop for Sender {
    fn drop(&mut self) {
        let mut now = self.0.now.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(own) = now.get_mut(&self.1) {
            *own -= 1;
            if *own == 0 {
                now.remove(&self.1);
            }
        }
    }
}

/// Why a body could not be read.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// It is larger than it may be, as it came or unpacked.
    #[error("the body is larger than {0} bytes")]
    TooLarge(usize),
    /// It took too long to arrive.
    #[error("the body did not arrive within {} s", BODY.as_secs())]
    Slow,
    /// The connection broke while it arrived.
    #[error("the body did not arrive whole: {0}")]
    Broken(String),
    /// It says that it is gzip, and is not.
    #[error("the body is no gzip: {0}")]
    Gzip(io::Error),
    /// It is packed in a way that is not understood.
    #[error("content-encoding '{0}' is not understood: send gzip, or none")]
    Encoding(String),
}

impl BodyError {
    /// The status that tells of it.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        match self {
            BodyError::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            BodyError::Slow => StatusCode::REQUEST_TIMEOUT,
            BodyError::Broken(_) | BodyError::Gzip(_) => StatusCode::BAD_REQUEST,
            BodyError::Encoding(_) => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        }
    }
}

/// A request's body, unpacked where it is gzipped; at most `most` bytes, both packed and unpacked.
///
/// # Errors
/// It is too large, too slow, broken, or packed wrongly.
pub async fn read_body(request: Request<Body>, most: usize) -> Result<Vec<u8>, BodyError> {
    let (head, body) = request.into_parts();
    let length =
        head.headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    if length.is_some_and(|length| length > most) {
        return Err(BodyError::TooLarge(most));
    }
    let encoding =
        head.headers.get(CONTENT_ENCODING).map(|value| value.to_str().unwrap_or("?").trim().to_owned());
    let bytes = tokio::time::timeout(BODY, collect(body, most, length.unwrap_or(0))).await;
    let bytes = bytes.map_err(|_| BodyError::Slow)??;
    match encoding.as_deref() {
        None | Some("" | "identity") => Ok(bytes),
        Some("gzip") => unpack(&bytes, most),
        Some(other) => Err(BodyError::Encoding(other.chars().take(40).collect())),
    }
}

async fn collect(mut body: Body, most: usize, expected: usize) -> Result<Vec<u8>, BodyError> {
    let mut bytes = Vec::with_capacity(expected.min(most));
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|e| BodyError::Broken(e.to_string()))?;
        if let Ok(part) = frame.into_data() {
            if bytes.len() + part.len() > most {
                return Err(BodyError::TooLarge(most));
            }
            bytes.extend_from_slice(&part);
        }
    }
    Ok(bytes)
}

fn unpack(packed: &[u8], most: usize) -> Result<Vec<u8>, BodyError> {
    use io::Read;
    let mut bytes = Vec::new();
    let limit = u64::try_from(most).unwrap_or(u64::MAX).saturating_add(1);
    GzDecoder::new(packed).take(limit).read_to_end(&mut bytes).map_err(BodyError::Gzip)?;
    if bytes.len() > most {
        return Err(BodyError::TooLarge(most));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn packed(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    async fn read(body: Vec<u8>, encoding: Option<&str>, most: usize) -> Result<Vec<u8>, BodyError> {
        let mut request = Request::builder();
        if let Some(encoding) = encoding {
            request = request.header(CONTENT_ENCODING, encoding);
        }
        read_body(request.body(Body::from(body)).unwrap(), most).await
    }

    #[test]
    fn whoever_has_a_network_of_addresses_counts_as_one() {
        for (peer, counts) in [
            ("192.0.2.7", "192.0.2.7"),
            ("::ffff:192.0.2.7", "192.0.2.7"),
            ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
        ] {
            let counts: IpAddr = counts.parse().unwrap();
            assert_eq!(Peer(peer.parse().unwrap()).network(), counts);
        }
    }

    #[test]
    fn one_address_does_not_take_all_places() {
        static SENDERS: Senders = Senders::new(3, 2);
        let one = |peer: &str| SENDERS.one(Peer(peer.parse().unwrap()));
        let first = [one("2001:db8::1"), one("2001:db8::2")];
        assert!(first.iter().all(Option::is_some));
        assert!(one("2001:db8::3").is_none(), "the same household");
        let other = one("192.0.2.1");
        assert!(other.is_some() && one("192.0.2.2").is_none(), "all places are taken");
        drop((first, other));
        assert!(one("2001:db8::3").is_some() && SENDERS.now.lock().unwrap().is_empty());
    }

    #[tokio::test]
    async fn a_body_is_read_whole_up_to_its_limit_packed_or_not() {
        assert_eq!(read(b"hello".to_vec(), None, 5).await.unwrap(), b"hello");
        assert_eq!(read(packed(b"hello"), Some("gzip"), 100).await.unwrap(), b"hello");
        assert!(matches!(read(b"hello!".to_vec(), None, 5).await, Err(BodyError::TooLarge(5))));
        assert!(matches!(
            read(packed(&[0; 1 << 20]), Some("gzip"), 1 << 16).await,
            Err(BodyError::TooLarge(_))
        ));
        assert!(matches!(read(b"hello".to_vec(), Some("gzip"), 100).await, Err(BodyError::Gzip(_))));
        let cut = packed(b"hello")[..12].to_vec();
        assert!(matches!(read(cut, Some("gzip"), 100).await, Err(BodyError::Gzip(_))));
        assert!(matches!(read(b"hello".to_vec(), Some("br"), 100).await, Err(BodyError::Encoding(_))));
    }
}
