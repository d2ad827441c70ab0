//! PagerDuty: an alert is triggered and resolved under one key. <https://developer.pagerduty.com/docs/events-api-v2>

use jiff::Timestamp;
use serde_json::json;

use super::Trouble;
use super::call::Call;
use super::chat::at;
use super::text::{one_line, shorten};
use crate::domain::notify::channel::PagerDuty;
use crate::domain::notify::{Message, News};
use crate::domain::ticket::Priority;

/// What is asked. A note is a change event, which wakes nobody: as an alert it would stay open, since nothing mends it.
pub fn request(pagerduty: &PagerDuty, message: &Message) -> Result<Call, Trouble> {
    let key = pagerduty.key.reveal();
    let incident = shorten(&message.incident, 255);
    let time = Timestamp::from_millisecond(message.at.0).unwrap_or_default().to_string();
    let named = ["/device/name", "/device", "/site/name", "/site"];
    let source = named.into_iter().find_map(|place| message.body.pointer(place)?.as_str());
    let source = source.filter(|name| !name.is_empty()).unwrap_or("lineman");
    let alert = json!({
        "summary": shorten(&one_line(&message.title), 1_024),
        "source": source,
        "severity": severity(message.priority),
        "timestamp": time,
        "custom_details": message.body,
    });
    let alerts = at(&pagerduty.server, "/v2/enqueue");
    Ok(match message.news {
        News::Broke | News::Changed => Call::post(
            alerts,
            &json!({
                "routing_key": key,
                "event_action": "trigger",
                "dedup_key": incident,
                "client": "lineman",
                "payload": alert,
            }),
        ),
        News::Mended => Call::post(
            alerts,
            &json!({ "routing_key": key, "event_action": "resolve", "dedup_key": incident, "payload": alert }),
        ),
        News::Note => {
            let mut change = alert;
            if let Some(fields) = change.as_object_mut() {
                fields.remove("severity");
            }
            Call::post(
                at(&pagerduty.server, "/v2/change/enqueue"),
                &json!({ "routing_key": key, "payload": change }),
            )
        }
    })
}

fn severity(priority: Option<Priority>) -> &'static str {
    match priority {
        Some(Priority::P1) => "critical",
        Some(Priority::P2) | None => "error",
        Some(Priority::P3) => "warning",
        Some(Priority::P4 | Priority::P5) => "info",
    }
}
