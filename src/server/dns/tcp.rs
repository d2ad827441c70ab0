//! DNS over TCP: connections, so many at a time and so many of one address, and their questions.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

use super::zone::{Records, Way};
use super::{AFTER_ERROR, MAX_PACKET};

/// The most connections at a time, how many of them one address may have, and the most questions on one.
const MAX_CONNECTIONS: usize = 256;
const MAX_OF_ONE: usize = 16;
const MAX_QUESTIONS: usize = 1_000;
/// How long a connection may be idle, or take to send a question or to take an answer.
const IDLE: Duration = Duration::from_secs(10);

/// How many connections each address has.
#[derive(Clone, Default)]
struct Guests(Arc<Mutex<HashMap<IpAddr, usize>>>);

/// A connection's place; it is given back when this goes, however the connection ended.
struct Place {
    guests: Guests,
    from: IpAddr,
}

impl Guests {
    /// A place for one more from there; none where it has so many already: the others' places are not his.
    fn admit(&self, from: IpAddr) -> Option<Place> {
        let mut all = self.all();
        let count = all.entry(from).or_default();
        if *count >= MAX_OF_ONE {
            return None;
        }
        *count += 1;
        Some(Place { guests: self.clone(), from })
    }

    fn all(&self) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut all = self.guests.all();
        if let Some(count) = all.get_mut(&self.from) {
            *count -= 1;
            if *count == 0 {
                all.remove(&self.from);
            }
        }
    }
}

/// Takes connections, and answers what is asked on them.
pub(super) async fn serve(listener: TcpListener, records: watch::Receiver<Arc<Records>>) {
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let guests = Guests::default();
    let mut talking = JoinSet::new();
    loop {
        while let Some(ended) = talking.try_join_next() {
            if let Err(error) = ended {
                tracing::error!(%error, "DNS over TCP broke off");
            }
        }
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        match listener.accept().await {
            Ok((mut connection, from)) => {
                let Some(own) = guests.admit(from.ip()) else { continue };
                let records = records.clone();
                talking.spawn(async move {
                    // Given back before the connection ends: who sees that may come again at once.
                    let _places = (own, place);
                    drop(talk(&mut connection, &records).await);
                });
            }
            Err(error) => {
                tracing::debug!(%error, "DNS over TCP");
                tokio::time::sleep(AFTER_ERROR).await;
            }
        }
    }
}

/// Answers the questions of one connection, one after the other.
async fn talk(connection: &mut TcpStream, records: &watch::Receiver<Arc<Records>>) -> std::io::Result<()> {
    let mut packet = vec![0; MAX_PACKET];
    for _ in 0..MAX_QUESTIONS {
        let len = usize::from(tokio::time::timeout(IDLE, connection.read_u16()).await??);
        let Some(room) = packet.get_mut(..len) else { return Ok(()) };
        tokio::time::timeout(IDLE, connection.read_exact(room)).await??;
        let told = records.borrow().answer(room, Way::Tcp);
        let Some(told) = told else { return Ok(()) };
        let mut framed = u16::try_from(told.len()).unwrap_or(u16::MAX).to_be_bytes().to_vec();
        framed.extend_from_slice(&told);
        tokio::time::timeout(IDLE, connection.write_all(&framed)).await??;
    }
    Ok(())
}
