//! A real Chromium, driven through WebDriver, that looks at the page as a person does.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use fantoccini::wd::Capabilities;
use fantoccini::{Client, ClientBuilder, Locator};
use serde_json::{Value, json};

/// The longest wait for what must come: as long as the harness waits.
const PATIENCE: Duration = Duration::from_secs(60);

/// A browser with one window.
pub struct Browser {
    /// What drives it.
    pub client: Client,
    driver: Child,
    runtime: tokio::runtime::Runtime,
    _home: tempfile::TempDir,
}

/// How the window is.
#[derive(Clone, Copy, Debug)]
pub struct Window {
    /// How wide, in pixels.
    pub width: u32,
    /// How high.
    pub height: u32,
    /// Whether the system wishes for dark.
    pub is_dark: bool,
    /// Whether pages may run scripts.
    pub scripts: bool,
}

/// A phone, and a desk.
pub const PHONE: Window = Window { width: 390, height: 844, is_dark: true, scripts: true };
/// See above.
pub const DESK: Window = Window { width: 1440, height: 900, is_dark: false, scripts: true };

impl Browser {
    /// Opens one.
    pub fn open(window: Window) -> Browser {
        let home = tempfile::tempdir().expect("a folder");
        let mut driver = Command::new("chromedriver")
            .args(["--port=0", "--log-level=SEVERE"])
            .env("HOME", home.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("chromedriver, of Debian's package chromium-driver");
        let mut lines = BufReader::new(driver.stdout.take().expect("piped")).lines();
        let port = lines
            .by_ref()
            .map_while(Result::ok)
            .find_map(|line| {
                line.split("successfully on port ").nth(1).map(|rest| rest.trim_end_matches('.').to_owned())
            })
            .expect("chromedriver says its port");
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime");
        let mut args = vec![
            "--headless=new".to_owned(),
            "--no-sandbox".into(),
            "--disable-gpu".into(),
            "--disable-dev-shm-usage".into(),
            "--disable-background-networking".into(),
            "--hide-scrollbars".into(),
            format!("--user-data-dir={}", home.path().join("profile").display()),
            format!("--window-size={},{}", window.width.max(500), window.height),
        ];
        if window.is_dark {
            args.push("--force-dark-mode".into());
        }
        let scripts = if window.scripts { 1 } else { 2 };
        let mut options = json!({
            "args": args,
            "prefs": {"profile.managed_default_content_settings.javascript": scripts},
        });
        if window.width < 500 {
            options["mobileEmulation"] =
                json!({"deviceMetrics": {"width": window.width, "height": window.height, "pixelRatio": 1.0}});
        }
        let mut capabilities = Capabilities::new();
        capabilities.insert("goog:chromeOptions".into(), options);
        capabilities.insert("goog:loggingPrefs".into(), json!({"browser": "ALL"}));
        let at = format!("http://127.0.0.1:{port}");
        let client = runtime
            .block_on(
                ClientBuilder::new(hyper_util::client::legacy::connect::HttpConnector::new())
                    .capabilities(capabilities)
                    .connect(&at),
            )
            .expect("a session with Chromium");
        Browser { client, driver, runtime, _home: home }
    }

    /// Does something with it.
    pub fn run<T>(&self, work: impl Future<Output = T>) -> T {
        self.runtime.block_on(work)
    }

    /// Opens a page.
    pub fn go(&self, url: &str) {
        self.run(self.client.goto(url)).unwrap_or_else(|e| panic!("open {url}: {e}"));
    }

    /// What a script answers.
    pub fn script(&self, script: &str, args: Vec<Value>) -> Value {
        self.run(self.client.execute(script, args)).unwrap_or_else(|e| panic!("{script}: {e}"))
    }

    /// Waits for an element.
    pub fn wait(&self, css: &str) -> fantoccini::elements::Element {
        let found = self.run(self.client.wait().at_most(PATIENCE).for_element(Locator::Css(css)));
        found.unwrap_or_else(|e| panic!("{css}: {e}\n{}", self.text()))
    }

    /// Waits for a text on the page.
    pub fn wait_text(&self, text: &str) -> Duration {
        let began = Instant::now();
        while !self.text().contains(text) {
            assert!(began.elapsed() < PATIENCE, "'{text}' does not come: {}", self.text());
            std::thread::sleep(Duration::from_millis(50));
        }
        began.elapsed()
    }

    /// Waits until the page is the answer to a query.
    pub fn wait_asked(&self, query: &str) {
        let began = Instant::now();
        let is_asked = || {
            let url = self.run(self.client.current_url());
            url.is_ok_and(|url| url.query_pairs().any(|(key, value)| key == "q" && value == query))
        };
        while !is_asked() {
            assert!(began.elapsed() < PATIENCE, "'{query}' is not asked: {}", self.text());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// All text of the page.
    pub fn text(&self) -> String {
        let body = self.run(async { self.client.find(Locator::Css("body")).await?.text().await });
        body.unwrap_or_default()
    }

    /// Fills a field.
    pub fn fill(&self, css: &str, text: &str) {
        let field = self.wait(css);
        self.run(async {
            field.clear().await?;
            field.send_keys(text).await
        })
        .unwrap_or_else(|e| panic!("{css}: {e}"));
    }

    /// Clicks.
    pub fn click(&self, css: &str) {
        let element = self.wait(css);
        self.run(element.click()).unwrap_or_else(|e| panic!("{css}: {e}\n{}", self.text()));
    }

    /// Clicks the button or link with that text.
    pub fn click_text(&self, text: &str) {
        let path = format!("//*[self::a or self::button or self::summary][normalize-space()='{text}']");
        let found = self.run(self.client.wait().at_most(PATIENCE).for_element(Locator::XPath(&path)));
        let element = found.unwrap_or_else(|e| panic!("'{text}': {e}\n{}", self.text()));
        self.run(element.click()).unwrap_or_else(|e| panic!("'{text}': {e}"));
    }

    /// The path of the page.
    pub fn path(&self) -> String {
        self.run(self.client.current_url()).map(|url| url.path().to_owned()).unwrap_or_default()
    }

    /// What axe-core has against the page, at WCAG 2.2 AA; `tests/run` fetches it.
    pub fn barriers(&self) -> Vec<String> {
        self.axe("{runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa'], rules: {'target-size': {enabled: true}}}")
    }

    /// The same, but for its colours.
    pub fn barriers_but_colours(&self) -> Vec<String> {
        self.axe("{runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa'], rules: {'color-contrast': {enabled: false}}}")
    }

    /// The same, by those rules alone to which the window makes a difference.
    pub fn misfits(&self) -> Vec<String> {
        self.axe("{runOnly: {type: 'rule', values: ['color-contrast', 'target-size', 'scrollable-region-focusable', 'link-in-text-block']}}")
    }

    /// What axe-core has against the page's colours alone.
    pub fn dim_colours(&self) -> Vec<String> {
        self.axe("{runOnly: {type: 'rule', values: ['color-contrast']}}")
    }

    fn axe(&self, options: &str) -> Vec<String> {
        if self.script("return !window.axe", vec![]) == true {
            let file = concat!(env!("CARGO_MANIFEST_DIR"), "/target/axe-core/axe.min.js");
            let axe =
                std::fs::read_to_string(file).unwrap_or_else(|e| panic!("{file}: {e}: tests/run fetches it"));
            self.script(&axe, vec![]);
        }
        let asked = format!(
            "const done = arguments[0]; axe.run(document, Object.assign({{resultTypes: ['violations'], preload: false}}, {options}))
            .then(told => done(told.violations.flatMap(one => one.nodes.map(node => one.id + ': ' + node.html.slice(0, 160) + ' ' + node.failureSummary))))
            .catch(error => done(['axe: ' + error]))"
        );
        let told = self.run(self.client.execute_async(&asked, vec![])).expect("axe-core runs");
        serde_json::from_value(told).expect("a list")
    }

    /// Keeps a picture of the page, where `LINEMAN_SHOTS` names a folder.
    pub fn shot(&self, name: &str) {
        let Some(folder) = std::env::var_os("LINEMAN_SHOTS") else { return };
        let png = self.run(self.client.screenshot()).expect("a picture");
        std::fs::create_dir_all(&folder).expect("the folder");
        std::fs::write(std::path::Path::new(&folder).join(format!("{name}.png")), png).expect("kept");
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let client = self.client.clone();
        drop(
            self.runtime
                .block_on(async { tokio::time::timeout(Duration::from_secs(5), client.close()).await }),
        );
        drop(self.driver.kill());
        drop(self.driver.wait());
    }
}
