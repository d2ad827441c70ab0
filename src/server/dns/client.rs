//! Talks to a name server: one message over TCP, and its answer. Updates and the questions that prove them are few.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// The port of DNS.
const PORT: u16 = 53;
/// The longest wait for a connection, and for an answer on it.
const PATIENCE: Duration = Duration::from_secs(5);

/// Finds the addresses of a name server, `HOST` or `HOST:PORT`.
///
/// # Errors
/// It has none, as a sentence.
pub(super) async fn find(server: &str) -> Result<Vec<SocketAddr>, String> {
    if let Ok(address) = server.parse::<SocketAddr>() {
        return Ok(vec![address]);
    }
    let bare = server.trim_start_matches('[').trim_end_matches(']');
    if let Ok(address) = bare.parse::<std::net::IpAddr>() {
        return Ok(vec![(address, PORT).into()]);
    }
    let host = if server.contains(':') { server.to_owned() } else { format!("{server}:{PORT}") };
    let found = tokio::time::timeout(PATIENCE, tokio::net::lookup_host(&host)).await;
    let found = found.map_err(|_| format!("resolve {server}: timed out"))?;
    let all: Vec<SocketAddr> = found.map_err(|e| format!("resolve {server}: {e}"))?.collect();
    if all.is_empty() { Err(format!("resolve {server}: the name has no address")) } else { Ok(all) }
}

/// Sends a message and reads the answer to it.
///
/// # Errors
/// There is none, as a sentence.
pub(super) async fn exchange(server: SocketAddr, message: &[u8]) -> Result<Vec<u8>, String> {
    let failed = |what: &str, error: &dyn std::fmt::Display| format!("{what} {server}: {error}");
    let connection = tokio::time::timeout(PATIENCE, TcpStream::connect(server)).await;
    let connection = connection.map_err(|e| failed("connect", &e))?;
    let mut connection = connection.map_err(|e| failed("connect", &e))?;
    let talk = async {
        let len = u16::try_from(message.len()).map_err(std::io::Error::other)?;
        connection.write_all(&[&len.to_be_bytes(), message].concat()).await?;
        let len = usize::from(connection.read_u16().await?);
        let mut told = vec![0; len];
        connection.read_exact(&mut told).await?;
        Ok::<Vec<u8>, std::io::Error>(told)
    };
    let told = tokio::time::timeout(PATIENCE, talk).await.map_err(|e| failed("ask", &e))?;
    let told = told.map_err(|e| failed("ask", &e))?;
    if told.get(..2) != message.get(..2) {
        return Err(format!("ask {server}: the answer is to another question"));
    }
    Ok(told)
}
