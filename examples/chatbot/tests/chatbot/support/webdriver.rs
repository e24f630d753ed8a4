//! Chromium, driven through the [WebDriver] API of `chromedriver`.
//!
//! [WebDriver]: https://www.w3.org/TR/webdriver2/

use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::http::Client;
use super::until;

const CHROMIUM: &str = "/usr/bin/chromium";
const DRIVER: &str = "/usr/bin/chromedriver";

/// The name under which WebDriver hands out elements.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// A browser of its own, with nothing in it; it ends when it is dropped.
pub(crate) struct Browser {
    driver: Child,
    _stdout: BufReader<ChildStdout>,
    _profile: TempDir,
    client: Client,
    session: String,
    is_dark: bool,
}

/// Keys that have no character.
pub(crate) mod key {
    pub(crate) const ENTER: &str = "\u{e007}";
    pub(crate) const SHIFT: &str = "\u{e008}";
    /// Lets go of all that are held.
    pub(crate) const NONE: &str = "\u{e000}";
    pub(crate) const ESCAPE: &str = "\u{e00c}";
}

impl Browser {
    /// Starts a browser with a window of this size.
    ///
    /// # Errors
    /// Without Chromium and its driver.
    pub(crate) async fn start(width: u32, height: u32, is_dark: bool) -> Result<Self, String> {
        if !Path::new(CHROMIUM).exists() || !Path::new(DRIVER).exists() {
            let install = "apt-get install chromium chromium-driver";
            return Err(format!("it needs {CHROMIUM} and {DRIVER}: {install}"));
        }
        let mut driver = Command::new(DRIVER)
            .arg("--port=0")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .map_err(|error| format!("{DRIVER}: {error}"))?;
        let mut stdout = BufReader::new(driver.stdout.take().unwrap());
        let port = port(&mut stdout);
        let client = Client::new(&format!("127.0.0.1:{port}"));

        let profile = tempfile::tempdir().unwrap();
        let mut flags: Vec<String> = [
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
        ]
        .map(str::to_owned)
        .into();
        flags.push(format!("--user-data-dir={}", profile.path().display()));
        flags.push(format!("--window-size={width},{height}"));
        let mut options = json!({ "binary": CHROMIUM, "args": flags });
        if width < 500 {
            // A window is never as small as a phone; the device that it plays is.
            let metrics =
                json!({ "width": width, "height": height, "pixelRatio": 2, "touch": true });
            options["mobileEmulation"] = json!({ "deviceMetrics": metrics });
        }
        let capabilities = json!({ "capabilities": { "alwaysMatch": {
            "browserName": "chrome",
            "goog:chromeOptions": options,
            "goog:loggingPrefs": { "browser": "ALL", "performance": "ALL" },
        }}});
        let begun = client.post("/session", &capabilities).await.json();
        let session = begun["value"]["sessionId"].as_str();
        let session = session.unwrap_or_else(|| panic!("no browser: {begun}")).to_owned();
        let browser = Self { driver, _stdout: stdout, _profile: profile, client, session, is_dark };
        browser.prepare_tab().await;
        Ok(browser)
    }

    /// Tells a new tab which colors are preferred.
    async fn prepare_tab(&self) {
        let scheme = if self.is_dark { "dark" } else { "light" };
        let feature = json!({ "name": "prefers-color-scheme", "value": scheme });
        let parameters = json!({ "features": [feature] });
        let body = json!({ "cmd": "Emulation.setEmulatedMedia", "params": parameters });
        self.command("/goog/cdp/execute", Some(&body)).await;
    }

    async fn command(&self, path: &str, body: Option<&Value>) -> Value {
        let path = format!("/session/{}{path}", self.session);
        let got = match body {
            Some(body) => self.client.post(&path, body).await,
            None => self.client.get(&path).await,
        };
        let value = got.json()["value"].take();
        assert!(got.status.is_success(), "{path}: {value}");
        value
    }

    pub(crate) async fn open(&self, url: &str) {
        self.command("/url", Some(&json!({ "url": url }))).await;
    }

    pub(crate) async fn url(&self) -> String {
        self.command("/url", None).await.as_str().unwrap().to_owned()
    }

    /// Opens another tab and closes the one that was used.
    pub(crate) async fn close_tab(&self) {
        let other = self.command("/window/new", Some(&json!({ "type": "tab" }))).await;
        let path = format!("/session/{}/window", self.session);
        assert!(self.client.delete(&path).await.status.is_success());
        self.command("/window", Some(&json!({ "handle": other["handle"] }))).await;
        self.prepare_tab().await;
    }

    /// Runs a script in the page and returns what it returns.
    pub(crate) async fn run(&self, script: &str) -> Value {
        let body = json!({ "script": script, "args": [] });
        self.command("/execute/sync", Some(&body)).await
    }

    /// Waits for an element that is shown.
    async fn element(&self, selector: &str) -> String {
        let script = format!(
            "const found = document.querySelector({}); return found?.checkVisibility({{visibilityProperty: true}}) ? found : null",
            json!(selector)
        );
        let what = format!("{selector} is shown");
        until(&what, async || self.run(&script).await[ELEMENT].as_str().map(str::to_owned)).await
    }

    /// Clicks on an element, as soon as it is shown.
    pub(crate) async fn click(&self, selector: &str) {
        let element = self.element(selector).await;
        self.command(&format!("/element/{element}/click"), Some(&json!({}))).await;
    }

    /// Types into an element, as soon as it is shown.
    pub(crate) async fn write(&self, selector: &str, text: &str) {
        let element = self.element(selector).await;
        let path = format!("/element/{element}/value");
        self.command(&path, Some(&json!({ "text": text }))).await;
    }

    /// Waits until a script returns something that is true, and returns it.
    pub(crate) async fn sees(&self, script: &str) -> Value {
        let script = format!("return {script}");
        let seen = until(&script, async || {
            let seen = self.run(&script).await;
            let is_true = !matches!(&seen, Value::Null | Value::Bool(false)) && seen != "";
            is_true.then_some(seen)
        });
        seen.await
    }

    /// What was logged since it was asked last, by the page (`browser`) or by the network (`performance`).
    pub(crate) async fn log(&self, kind: &str) -> Vec<Value> {
        let entries = self.command("/se/log", Some(&json!({ "type": kind }))).await;
        entries.as_array().unwrap().clone()
    }

    /// The addresses of all requests since the last time.
    pub(crate) async fn requests(&self) -> Vec<String> {
        let entries = self.log("performance").await;
        let requests = entries.iter().filter_map(|entry| {
            let entry: Value = serde_json::from_str(entry["message"].as_str()?).ok()?;
            let message = &entry["message"];
            let is_request = message["method"] == "Network.requestWillBeSent";
            let url = message["params"]["request"]["url"].as_str()?;
            is_request.then(|| url.to_owned())
        });
        requests.collect()
    }

    /// Saves a picture of what is shown.
    pub(crate) async fn picture(&self, name: &str) {
        let picture = self.command("/screenshot", None).await;
        let picture = STANDARD.decode(picture.as_str().unwrap()).unwrap();
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("chatbot-{name}.png"));
        std::fs::write(path, picture).unwrap();
    }
}

/// The port that the driver has found.
fn port(stdout: &mut impl BufRead) -> u16 {
    let mut line = String::new();
    while stdout.read_line(&mut line).unwrap() > 0 {
        let port = line.trim().trim_end_matches('.').rsplit_once("on port ");
        if let Some(port) = port.and_then(|(_, port)| port.parse().ok())
            && port > 0
        {
            return port;
        }
        line.clear();
    }
    panic!("{DRIVER} ended before it said its port");
}

impl Drop for Browser {
    fn drop(&mut self) {
        // The browser is of the driver's group, and would outlive it.
        let group = format!("-{}", self.driver.id());
        let _ = Command::new("kill").args(["-KILL", "--", &group]).status();
        let _ = self.driver.wait();
    }
}
