//! Chats and telephones: each takes the same message in a form of its own. What stands in a message is text, never an
//! order of the chat's.

use http::{HeaderName, Method, header};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::Trouble;
use super::call::Call;
use super::text::{plain_markdown, shorten, shorten_utf16};
use crate::domain::notify::channel::url::encoded;
use crate::domain::notify::channel::{Hook, Matrix, Ntfy, Telegram, Url};
use crate::domain::notify::{Message, News};
use crate::domain::ticket::Priority;

/// The longest line of a Teams card, and the most of them: a whole card has at most 28 KB.
const TEAMS_LINE: usize = 400;
const TEAMS_LINES: usize = 40;

/// Messages with one of these replace each other on the telephone. Servers before 2.16 do not know it.
const SEQUENCE: HeaderName = HeaderName::from_static("x-sequence-id");

/// <https://docs.ntfy.sh/publish/#publish-as-json>
pub fn ntfy(ntfy: &Ntfy, message: &Message) -> Result<Call, Trouble> {
    let mut tags = vec![emoji_name(message.news).to_owned()];
    tags.extend(ntfy.tags.iter().cloned());
    let body = json!({
        "topic": ntfy.topic,
        "title": shorten(&message.title, 250),
        "message": shorten(&message.text, 3_900),
        "priority": urgency(message),
        "tags": tags,
    });
    let mut call = Call::post(at(&ntfy.server, "/"), &body);
    call.ca = ntfy.ca.clone();
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if (1..=64).contains(&message.incident.len()) && message.incident.chars().all(fits) {
        call = call.with(SEQUENCE, &message.incident)?;
    }
    match &ntfy.token {
        Some(token) => call.with(header::AUTHORIZATION, &format!("Bearer {}", token.reveal())),
        None => Ok(call),
    }
}

/// How loud ntfy is: 5 for `P1` to 1 for `P5`. What is mended wakes nobody.
fn urgency(message: &Message) -> u8 {
    if message.news == News::Mended {
        return 3;
    }
    match message.priority {
        Some(Priority::P1) => 5,
        Some(Priority::P2) => 4,
        Some(Priority::P3) | None => 3,
        Some(Priority::P4) => 2,
        Some(Priority::P5) => 1,
    }
}

fn emoji_name(news: News) -> &'static str {
    match news {
        News::Broke => "red_circle",
        News::Changed => "orange_circle",
        News::Mended => "green_circle",
        News::Note => "large_blue_circle",
    }
}

fn emoji(news: News) -> char {
    match news {
        News::Broke => '🔴',
        News::Changed => '🟠',
        News::Mended => '🟢',
        News::Note => '🔵',
    }
}

fn colour(news: News) -> u32 {
    match news {
        News::Broke => 0x00d9_3025,
        News::Changed => 0x00f2_9900,
        News::Mended => 0x001e_8e3e,
        News::Note => 0x001a_73e8,
    }
}

/// An incoming webhook. `&`, `<` and `>` are written as Slack wants it, so that nobody is called with `<!channel>`.
/// <https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks>
pub fn slack(hook: &Hook, message: &Message) -> Result<Call, Trouble> {
    let text = shorten(&lines(message), 10_000);
    let text = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    Ok(Call::post(hook.url.reveal(), &json!({ "text": text, "mrkdwn": false })))
}

/// <https://discord.com/developers/docs/resources/webhook#execute-webhook>: with `wait`, so that it is known that the
/// message was kept.
pub fn discord(hook: &Hook, message: &Message) -> Result<Call, Trouble> {
    let url = hook.url.reveal();
    let mark = if url.contains('?') { '&' } else { '?' };
    let at = Timestamp::from_millisecond(message.at.0).unwrap_or_default();
    // Half of what is allowed, since each character may get a backslash.
    let body = json!({
        "embeds": [{
            "title": plain_markdown(&shorten_utf16(&message.title, 128)),
            "description": plain_markdown(&shorten_utf16(&message.text, 2_048)),
            "color": colour(message.news),
            "timestamp": at.to_string(),
        }],
        "allowed_mentions": { "parse": [] },
    });
    Ok(Call::post(format!("{url}{mark}wait=true"), &body))
}

/// An Adaptive Card for a Workflows webhook. Its lines are text runs, which know no Markdown.
/// <https://learn.microsoft.com/microsoftteams/platform/webhooks-and-connectors/how-to/connectors-using>
pub fn teams(hook: &Hook, message: &Message) -> Result<Call, Trouble> {
    let run = |text: &str| json!({ "type": "TextRun", "text": shorten(text, TEAMS_LINE) });
    let mut title = run(&message.title);
    title["weight"] = "Bolder".into();
    title["size"] = "Medium".into();
    title["color"] = match message.news {
        News::Broke => "Attention",
        News::Changed => "Warning",
        News::Mended => "Good",
        News::Note => "Accent",
    }
    .into();
    let block = |run: Value| json!({ "type": "RichTextBlock", "inlines": [run] });
    let all: Vec<&str> = message.text.lines().filter(|line| !line.trim().is_empty()).collect();
    let mut body = vec![block(title)];
    body.extend(all.iter().take(TEAMS_LINES).map(|line| block(run(line))));
    if all.len() > TEAMS_LINES {
        body.push(block(run("…")));
    }
    let card = json!({
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.4",
        "body": body,
        "msteams": { "width": "Full" },
    });
    let attachment = json!({
        "contentType": "application/vnd.microsoft.card.adaptive",
        "contentUrl": null,
        "content": card,
    });
    Ok(Call::post(hook.url.reveal(), &json!({ "type": "message", "attachments": [attachment] })))
}

/// <https://core.telegram.org/bots/api#sendmessage>, without a `parse_mode`: text is text.
pub fn telegram(telegram: &Telegram, message: &Message) -> Result<Call, Trouble> {
    let chat = match telegram.chat.parse::<i64>() {
        Ok(id) => json!(id),
        Err(_) => json!(telegram.chat),
    };
    let mut body = json!({
        "chat_id": chat,
        "text": shorten_utf16(&lines(message), 4_096),
        "link_preview_options": { "is_disabled": true },
    });
    if let Some(thread) = telegram.thread {
        body["message_thread_id"] = thread.into();
    }
    let path = format!("/bot{}/sendMessage", telegram.token.reveal());
    Ok(Call::post(at(&telegram.server, &path), &body))
}

/// <https://spec.matrix.org/latest/client-server-api/#put_matrixclientv3roomsroomidsendeventtypetxnid>: the key is the
/// transaction, so a repeat is dropped there.
pub fn matrix(matrix: &Matrix, message: &Message) -> Result<Call, Trouble> {
    let (room, key) = (encoded(&matrix.room), encoded(&message.key));
    let path = format!("/_matrix/client/v3/rooms/{room}/send/m.room.message/{key}");
    let body = json!({ "msgtype": "m.text", "body": shorten(&lines(message), 30_000) });
    let mut call = Call::post(at(&matrix.server, &path), &body);
    call.method = Method::PUT;
    call.ca = matrix.ca.clone();
    call.with(header::AUTHORIZATION, &format!("Bearer {}", matrix.token.reveal()))
}

/// A path at a server, whose URL may end with a slash.
pub fn at(server: &Url, path: &str) -> String {
    format!("{}{path}", server.reveal().trim_end_matches('/'))
}

/// The title and the text, for a chat that knows only text.
fn lines(message: &Message) -> String {
    let (sign, title, text) = (emoji(message.news), &message.title, message.text.trim_end());
    if text.is_empty() { format!("{sign} {title}") } else { format!("{sign} {title}\n{text}") }
}
