//! What a busy database does to the name server: nothing.

use std::sync::mpsc;

use hickory_proto::op::{Message, Query};
use hickory_proto::rr::{Name, RecordType};
use schedules::Clock;
use tokio::net::UdpSocket;

use super::*;
use crate::store::{Mode, Store};

#[test]
fn questions_are_answered_while_the_database_is_busy() {
    let dir = tempfile::tempdir().unwrap();
    let clock = Clock::system();
    let store = Store::open(&dir.path().join("lineman.db"), clock.clone(), Mode::Create).unwrap();
    let app = App::new(store, clock).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let options =
        Options { listen: vec!["127.0.0.1:0".parse().unwrap()], zone: "devices.example".parse().unwrap() };
    let server = runtime.block_on(bind(app.clone(), &options)).unwrap();
    let at = server.addresses().unwrap()[0];

    // All connections that read are lent, until the last sender is gone.
    let (ready, begun) = mpsc::channel();
    let readers: Vec<_> = (0..4)
        .map(|_| {
            let (app, ready, (release, released)) = (app.clone(), ready.clone(), mpsc::channel::<()>());
            let reader = std::thread::spawn(move || {
                app.store.read(|_| {
                    ready.send(()).unwrap();
                    let _ = released.recv();
                    Ok::<_, Error>(())
                })
            });
            begun.recv().unwrap();
            (reader, release)
        })
        .collect();

    let (stop, stopped) = watch::channel(false);
    let mut asked = Message::query();
    asked.add_query(Query::query(Name::from_ascii("devices.example.").unwrap(), RecordType::SOA));
    let asked = asked.to_vec().unwrap();
    let sync = runtime.spawn(sync::run(app, stopped.clone()));
    let zone = runtime.spawn(server.run(stopped));
    runtime.block_on(async {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        for _ in 0..5 {
            // Both have begun to read by now, and will not come to an end of it.
            tokio::time::sleep(LOOK_EVERY).await;
            socket.send_to(&asked, at).await.unwrap();
            let mut told = [0; 512];
            let answered = socket.recv_from(&mut told);
            tokio::time::timeout(Duration::from_secs(5), answered).await.expect("an answer").unwrap();
        }
    });
    for (reader, release) in readers {
        drop(release);
        reader.join().unwrap().unwrap();
    }
    stop.send_replace(true);
    runtime.block_on(async {
        zone.await.unwrap();
        sync.await.unwrap().unwrap();
    });
}
