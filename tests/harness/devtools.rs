//! What a browser does and tells beyond WebDriver: other windows without another browser, its console, and its keys.

use fantoccini::actions::{InputSource, KeyAction, KeyActions};
use fantoccini::wd::WebDriverCompatibleCommand;
use serde_json::{Value, json};

use super::browser::Browser;

/// The keys that stand for no letter, as WebDriver writes them.
pub const TAB: char = '\u{e004}';
/// See above.
pub const ENTER: char = '\u{e007}';
/// See above.
pub const ESCAPE: char = '\u{e00c}';
/// See above.
pub const DOWN: char = '\u{e015}';

/// A command of chromedriver's own.
#[derive(Debug)]
struct Own {
    path: &'static str,
    body: Value,
}

impl WebDriverCompatibleCommand for Own {
    fn endpoint(&self, base: &url::Url, session: Option<&str>) -> Result<url::Url, url::ParseError> {
        base.join(&format!("session/{}/{}", session.unwrap_or_default(), self.path))
    }

    fn method_and_body(&self, _: &url::Url) -> (http::Method, Option<String>) {
        (http::Method::POST, Some(self.body.to_string()))
    }
}

impl Browser {
    fn own(&self, path: &'static str, body: Value) -> Value {
        let told = self.run(self.client.issue_cmd(Own { path, body: body.clone() }));
        told.unwrap_or_else(|e| panic!("{path} {body}: {e}"))
    }

    /// A command of the DevTools protocol.
    pub fn devtools(&self, command: &str, params: Value) -> Value {
        self.own("goog/cdp/execute", json!({"cmd": command, "params": params}))
    }

    /// From now on the window is that wide, and the system wishes for dark, or not.
    pub fn becomes(&self, width: u32, height: u32, is_dark: bool) {
        let size = json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500});
        self.devtools("Emulation.setDeviceMetricsOverride", size);
        self.wishes(is_dark);
    }

    /// From now on the system wishes for dark, or not.
    pub fn wishes(&self, is_dark: bool) {
        let scheme = if is_dark { "dark" } else { "light" };
        let wish = json!({"features": [{"name": "prefers-color-scheme", "value": scheme}]});
        self.devtools("Emulation.setEmulatedMedia", wish);
    }

    /// A script that runs in each page before its own.
    pub fn before_each_page(&self, script: &str) {
        self.devtools("Page.addScriptToEvaluateOnNewDocument", json!({"source": script}));
    }

    /// What the console says since it was asked last: errors and warnings, of pages and of what they may not do.
    pub fn console(&self) -> Vec<String> {
        let told = self.own("se/log", json!({"type": "browser"}));
        let all = told.as_array().cloned().unwrap_or_default();
        let loud = all.iter().filter(|one| one["level"] == "SEVERE" || one["level"] == "WARNING");
        loud.map(|one| one["message"].as_str().unwrap_or_default().to_owned()).collect()
    }

    /// Keeps a picture of the whole page, where `LINEMAN_SHOTS` names a folder.
    pub fn whole_shot(&self, name: &str) {
        use base64::Engine;
        let Some(folder) = std::env::var_os("LINEMAN_SHOTS") else { return };
        let told = self.devtools("Page.captureScreenshot", json!({"captureBeyondViewport": true}));
        let png = base64::engine::general_purpose::STANDARD.decode(told["data"].as_str().unwrap_or_default());
        std::fs::create_dir_all(&folder).expect("the folder");
        std::fs::write(std::path::Path::new(&folder).join(format!("{name}.png")), png.expect("base64"))
            .expect("kept");
    }

    /// Presses keys, one after the other, whatever has the focus.
    pub fn press(&self, keys: impl IntoIterator<Item = char>) {
        let mut actions = KeyActions::new("keys".to_owned());
        for value in keys {
            actions = actions.then(KeyAction::Down { value }).then(KeyAction::Up { value });
        }
        self.run(self.client.perform_actions(actions)).unwrap_or_else(|e| panic!("keys: {e}"));
    }

    /// Presses the keys of a text.
    pub fn type_text(&self, text: &str) {
        self.press(text.chars());
    }

    /// Presses Tab until what has the focus says so, by its name or its text.
    #[track_caller]
    pub fn tab_to(&self, name: &str) {
        const NAMED: &str = "const on = document.activeElement;
            const label = on.labels && on.labels.length ? on.labels[0].textContent : '';
            return (on.getAttribute('aria-label') || label || on.textContent).trim()";
        let mut met = Vec::new();
        for _ in 0..120 {
            self.press([TAB]);
            let on = self.script(NAMED, vec![]);
            let on = on.as_str().unwrap_or_default();
            if on == name || on.starts_with(&format!("{name} ")) {
                return;
            }
            met.push(on.chars().take(40).collect::<String>());
        }
        panic!("Tab never comes to '{name}' at {}: {met:?}", self.path());
    }
}
