//! The agent inside the server: the same code as on a device, over a link that is a function call. It reports on this
//! machine, and probes what has no agent.

use agent::link::{Link, LinkError};
use agent::report::{CheckIn, Reply};
use schedules::Millis;

use crate::app::App;
use crate::domain::ids::DeviceId;
use crate::server::ingest::{self, Credential, Refused};

/// The link from the agent inside the server to the server.
#[derive(Clone)]
pub struct Local {
    /// The server.
    pub app: App,
    /// The device that is this machine.
    pub device: DeviceId,
}

impl Link for Local {
    async fn check_in(&self, call: CheckIn) -> Result<Reply, LinkError> {
        let known = self.app.known();
        let who = Credential::Local(self.device);
        let waiting = call.waiting;
        let taken = self.app.store.submit(move |tx| ingest::check_in(tx, &known, who, &call, None)).await;
        match taken {
            Ok(Ok(reply)) => {
                let next_in_ms = if waiting > 0 { Millis(100) } else { Millis::ZERO };
                Ok(Reply { next_in_ms, ..reply })
            }
            Ok(Err(Refused::Unknown)) => Err(LinkError::Gone("this machine's device was removed".to_owned())),
            Ok(Err(Refused::Bad(error, seq))) => Err(LinkError::Bad { seq, error }),
            Err(error) => Err(LinkError::Failed(error.to_string())),
        }
    }
}
