//! The devices as the network sees them: a listener each, on an address of its own on loopback.

use std::collections::BTreeMap;
use std::io;
use std::net::Ipv4Addr;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::cast::{DEVICES, Device, Service};

/// How long a caller is listened to.
const PATIENCE: Duration = Duration::from_secs(1);
/// How late a noisy line answers: later than anybody waits here.
const LATE: Duration = Duration::from_millis(1_500);
/// The longest request that is read, in bytes.
const MAX_REQUEST: usize = 4 * 1024;
/// How often a port that somebody has meanwhile is tried again, and how soon.
const TRIES: u32 = 20;
const TRY_AGAIN: Duration = Duration::from_millis(100);

/// How a line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    /// As it should be.
    Clean,
    /// Every other call is dropped, the others are answered late.
    Noisy,
}

/// All devices that listen.
pub struct Listeners(BTreeMap<&'static str, Post>);

/// One device.
struct Post {
    device: &'static Device,
    address: Ipv4Addr,
    port: u16,
    manner: watch::Sender<Manner>,
    /// Its listener; none: it is off.
    open: Option<JoinHandle<()>>,
}

impl Listeners {
    /// Opens one for each device, each on a port that is free.
    pub async fn open() -> io::Result<Listeners> {
        let mut all = BTreeMap::new();
        for device in DEVICES {
            let manner = watch::Sender::new(Manner::Clean);
            let mut post = Post { device, address: device.address, port: 0, manner, open: None };
            post.open().await?;
            all.insert(device.name, post);
        }
        Ok(Listeners(all))
    }

    /// The port of each device.
    pub fn ports(&self) -> BTreeMap<&'static str, u16> {
        self.0.iter().map(|(name, post)| (*name, post.port)).collect()
    }

    /// Closes those of some devices: whoever calls is refused.
    pub async fn switch_off(&mut self, devices: &[&'static Device]) {
        for device in devices {
            if let Some(post) = self.0.get_mut(device.name) {
                post.close().await;
            }
        }
    }

    /// Opens those of some devices again, on their ports.
    pub async fn switch_on(&mut self, devices: &[&'static Device]) -> io::Result<()> {
        for device in devices {
            if let Some(post) = self.0.get_mut(device.name) {
                post.open().await?;
            }
        }
        Ok(())
    }

    /// Makes a device's line noisy, or clean.
    pub fn set_manner(&self, device: &str, manner: Manner) {
        if let Some(post) = self.0.get(device) {
            post.manner.send_replace(manner);
        }
    }

    /// Takes a device to its other address, or back; where it is then.
    pub async fn shift(&mut self, device: &str) -> io::Result<Option<Ipv4Addr>> {
        let Some(post) = self.0.get_mut(device) else { return Ok(None) };
        let Some(elsewhere) = post.device.elsewhere else { return Ok(None) };
        post.close().await;
        post.address = if post.address == elsewhere { post.device.address } else { elsewhere };
        post.open().await?;
        Ok(Some(post.address))
    }

    /// Closes all.
    pub async fn close(&mut self) {
        for post in self.0.values_mut() {
            post.close().await;
        }
    }
}

impl Post {
    async fn open(&mut self) -> io::Result<()> {
        if self.open.is_some() {
            return Ok(());
        }
        let listener = self.bind().await?;
        self.port = listener.local_addr()?.port();
        self.open = Some(tokio::spawn(answer(listener, self.device, self.manner.subscribe())));
        Ok(())
    }

    async fn bind(&self) -> io::Result<TcpListener> {
        let at = (self.address, self.port);
        for _ in 1..TRIES {
            match TcpListener::bind(at).await {
                Err(e) if e.kind() == io::ErrorKind::AddrInUse => tokio::time::sleep(TRY_AGAIN).await,
                other => return named(other, at),
            }
        }
        named(TcpListener::bind(at).await, at)
    }

    async fn close(&mut self) {
        if let Some(open) = self.open.take() {
            open.abort();
            // Its end is that it was broken off.
            drop(open.await);
        }
    }
}

impl Drop for Post {
    fn drop(&mut self) {
        if let Some(open) = &self.open {
            open.abort();
        }
    }
}

fn named(bound: io::Result<TcpListener>, (address, port): (Ipv4Addr, u16)) -> io::Result<TcpListener> {
    bound.map_err(|e| io::Error::new(e.kind(), format!("listen on {address}:{port}: {e}")))
}

/// Takes one call after the other, so that there is never more than one under way.
async fn answer(listener: TcpListener, device: &'static Device, manner: watch::Receiver<Manner>) {
    let mut calls = 0_u64;
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(TRY_AGAIN).await;
            continue;
        };
        let manner = *manner.borrow();
        if device.service == Service::Web {
            calls = calls.wrapping_add(1);
            // Whoever does not listen has left.
            drop(tokio::time::timeout(PATIENCE + LATE, page(stream, device, manner, calls)).await);
        }
    }
}

/// Answers one request with a page that names the device.
async fn page(mut stream: TcpStream, device: &Device, manner: Manner, call: u64) -> io::Result<()> {
    let mut request = [0; MAX_REQUEST];
    let mut read = 0;
    while !request[..read].windows(4).any(|end| end == b"\r\n\r\n") {
        let more = tokio::time::timeout(PATIENCE, stream.read(&mut request[read..])).await??;
        if more == 0 {
            return Ok(());
        }
        read += more;
    }
    match manner {
        Manner::Clean => {}
        Manner::Noisy if call.is_multiple_of(2) => return Ok(()),
        Manner::Noisy => tokio::time::sleep(LATE).await,
    }
    let body = format!("{} is well\n", device.name);
    let head = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nConnection: close\r\nContent-Length: ";
    stream.write_all(format!("{head}{}\r\n\r\n{body}", body.len()).as_bytes()).await?;
    stream.shutdown().await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::cast;

    async fn ask(address: Ipv4Addr, port: u16) -> io::Result<String> {
        let mut stream = TcpStream::connect((address, port)).await?;
        stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await?;
        let mut text = String::new();
        stream.read_to_string(&mut text).await?;
        Ok(text)
    }

    #[tokio::test]
    async fn a_device_listens_until_it_is_off_and_keeps_its_port() {
        let mut all = Listeners::open().await.unwrap();
        let ports = all.ports();
        let (portal, port) = (cast::find("portal-1").unwrap(), ports["portal-1"]);
        assert!(ask(portal.address, port).await.unwrap().ends_with("portal-1 is well\n"));
        all.switch_off(&[portal]).await;
        assert!(ask(portal.address, port).await.is_err());
        all.switch_on(&[portal]).await.unwrap();
        assert!(ask(portal.address, port).await.is_ok());
        assert_eq!(all.ports(), ports);
    }

    #[tokio::test]
    async fn a_van_is_at_one_address_or_the_other() {
        let mut all = Listeners::open().await.unwrap();
        let (van, port) = (cast::find("van-7").unwrap(), all.ports()["van-7"]);
        let away = all.shift("van-7").await.unwrap().unwrap();
        assert_eq!(Some(away), van.elsewhere);
        assert!(TcpStream::connect((van.address, port)).await.is_err());
        assert!(TcpStream::connect((away, port)).await.is_ok());
        assert_eq!(all.shift("van-7").await.unwrap(), Some(van.address));
        assert_eq!(all.shift("core-1").await.unwrap(), None);
    }
}
