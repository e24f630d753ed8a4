//! The page, in a real browser: on a desk, and on a phone.

use serde_json::Value;

use crate::provider::{self, Asked};
use crate::support::server::Server;
use crate::support::webdriver::{Browser, key};

const ANSWER: &str = "Would it really help you to get your keys?";
const SLOW: &[(&str, &str)] = &[("CHATBOT_DELAY_MS", "400")];
const DESK: (u32, u32) = (1200, 780);

/// Says that a test could not run; in CI that is a failure.
fn skip(test: &str, why: &str) {
    let is_ci = std::env::var_os("CI").is_some();
    assert!(!is_ci, "{test} may not be skipped in CI, and cannot run: {why}");
    eprintln!("\n*** SKIPPED: {test}: {why} ***\n");
}

/// A visitor with a browser, in front of a server that can be killed and come back.
struct Visit {
    browser: Browser,
    server: Option<Server>,
    address: String,
    folder: tempfile::TempDir,
    is_phone: bool,
}

impl Visit {
    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Kills the server.
    fn kill(&mut self) {
        self.server.take().expect("it runs").kill();
    }

    /// Starts the server where it was.
    fn start(&mut self, delay: &str) {
        let variables = [("LISTEN", self.address.as_str()), ("CHATBOT_DELAY_MS", delay)];
        self.server = Some(Server::start(self.folder.path(), "sqlite", &variables));
    }

    /// Opens the list of conversations where it is a drawer.
    async fn open_list(&self) {
        if self.is_phone {
            self.browser.click("#open-sidebar").await;
        }
    }

    /// The texts of all messages, once the last of them is an answer with this status.
    async fn texts(&self, status: &str) -> Vec<String> {
        let last = "document.querySelector('#log > .assistant:last-child')";
        self.browser.sees(&format!("{last}?.dataset.status === '{status}'")).await;
        let script = "return [...document.querySelectorAll('#log .body')].map(e => e.textContent)";
        let texts = self.browser.run(script).await;
        let texts = texts.as_array().unwrap().iter().map(|text| text.as_str().unwrap().to_owned());
        texts.collect()
    }

    /// Waits until this many words of the answer are shown.
    async fn hears(&self, words: u32) -> String {
        let script = format!(
            "(t => t && t.trim().split(' ').length >= {words} && t)(document.querySelector('.assistant:last-child .body')?.textContent)"
        );
        self.browser.sees(&script).await.as_str().unwrap().to_owned()
    }

    /// The page asked nobody but the server, and had nothing to complain of.
    async fn was_clean(&self) {
        let server = self.url("/");
        for url in self.browser.requests().await {
            let is_inside = ["data:", "about:", "chrome:"].iter().any(|own| url.starts_with(own));
            assert!(is_inside || url.starts_with(&server), "{url}");
        }
        assert_eq!(self.browser.log("browser").await, [] as [Value; 0]);
    }
}

/// A new visitor; none without a browser.
async fn visit(
    test: &str,
    (width, height): (u32, u32),
    is_dark: bool,
    variables: &[(&str, &str)],
) -> Option<Visit> {
    let browser = match Browser::start(width, height, is_dark).await {
        Ok(browser) => browser,
        Err(why) => {
            skip(test, &why);
            return None;
        }
    };
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), "sqlite", variables);
    let address = server.address.clone();
    Some(Visit { browser, server: Some(server), address, folder, is_phone: width < 500 })
}

#[tokio::test]
async fn a_visitor_at_a_desk() {
    let Some(visit) = visit("a_visitor_at_a_desk", DESK, false, SLOW).await else { return };
    everything(visit, "light").await;
}

#[tokio::test]
async fn a_visitor_with_a_phone_in_the_dark() {
    let test = "a_visitor_with_a_phone_in_the_dark";
    let Some(visit) = visit(test, (390, 800), true, SLOW).await else { return };
    everything(visit, "phone").await;
}

#[tokio::test]
async fn long_lists_and_conversations_are_loaded_as_they_are_looked_at() {
    let test = "long_lists_and_conversations_are_loaded_as_they_are_looked_at";
    let Some(visit) = visit(test, DESK, true, &[]).await else { return };
    let browser = &visit.browser;
    browser.open(&visit.url("/")).await;
    // One conversation of 80 messages, and 40 that were begun later.
    let begin = "
        const post = (path, body) => fetch(path, {
            method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body),
        });
        const begin = async (title) => (await (await post('/api/conversations', { title })).json()).id;
        const id = await begin('Long ago');
        for (let n = 1; n <= 40; n += 1) {
            const said = { id: `m${n}`, text: `I need thing ${n}` };
            await (await post(`/api/conversations/${id}/messages`, said)).text();
        }
        for (let n = 1; n <= 40; n += 1) await begin(`Number ${n}`);
        return id;";
    let id = browser.run(&format!("return (async () => {{ {begin} }})()")).await;

    // Its address opens it though it is not among the first in the list.
    browser.open(&visit.url(&format!("/c/{}", id.as_str().unwrap()))).await;
    browser.sees("document.querySelector('#title').textContent === 'Long ago'").await;
    browser.sees("document.querySelectorAll('#log > li').length === 50").await;
    browser.click("#earlier").await;
    browser.sees("document.querySelectorAll('#log > li').length === 80").await;
    browser.sees("document.querySelector('#log .body').textContent === 'I need thing 1'").await;

    // The list goes on where it is scrolled to.
    browser.open(&visit.url("/")).await;
    browser.sees("document.querySelectorAll('#conversations .entry').length >= 30").await;
    browser.run("document.querySelector('#conversations').scrollTo(0, 1e6)").await;
    browser.sees("document.querySelectorAll('#conversations .entry').length === 41").await;

    // What was found in the first message is opened there.
    browser.write("#search", "\"I need thing 1\"").await;
    browser.sees("document.querySelectorAll('#results .entry').length === 1").await;
    browser.click("#results .entry").await;
    browser
        .sees("document.querySelector('.is-found .body')?.textContent === 'I need thing 1'")
        .await;
    visit.was_clean().await;
}

#[tokio::test]
async fn markdown_is_shown_and_html_is_text() {
    let base = provider::start(Asked::default()).await;
    let variables = [("OPENAI_BASE_URL", base.as_str()), ("OPENAI_MODEL", "m1")];
    let test = "markdown_is_shown_and_html_is_text";
    let Some(visit) = visit(test, DESK, true, &variables).await else { return };
    let browser = &visit.browser;
    browser.open(&visit.url("/")).await;
    browser.write("#text", &["Hello <img src=x>", key::ENTER].concat()).await;
    let texts = visit.texts("delivered").await;
    assert_eq!(texts, ["Hello <img src=x>", "Some bold words, <img src=x>:let x = 1;"]);
    browser.sees("document.querySelector('.assistant strong').textContent === 'bold'").await;
    browser
        .sees("document.querySelector('.assistant pre code').textContent === 'let x = 1;'")
        .await;
    browser.sees("!document.querySelector('#log img')").await;

    // What the provider refuses is told, and can be tried again.
    browser.write("#text", &["fail", key::ENTER].concat()).await;
    visit.texts("error").await;
    let told = browser.sees("document.querySelector('.state.is-error').textContent").await;
    assert!(told.as_str().unwrap().contains("You have no quota left."), "{told}");
    browser.picture("dark-error").await;
    visit.was_clean().await;
}

/// All that a visitor does, one thing after the other.
async fn everything(mut visit: Visit, name: &str) {
    let browser = &visit.browser;

    // Says something and is answered; the second line does not send.
    browser.open(&visit.url("/")).await;
    browser.sees("document.querySelector('#empty')?.checkVisibility()").await;
    browser.sees("document.querySelector('.note')?.textContent").await;
    browser.picture(&format!("{name}-empty")).await;
    let line = ["I need my keys", key::SHIFT, key::ENTER, key::NONE, "<b>now</b>", key::ENTER];
    browser.write("#text", &line.concat()).await;
    let said = "I need my keys\n<b>now</b>".to_owned();
    let answer = "Would it really help you to get your keys b>now</b?".to_owned();
    assert_eq!(visit.texts("delivered").await, [said.clone(), answer.clone()]);
    let url = browser.url().await;
    assert!(url.starts_with(&visit.url("/c/")), "{url}");
    browser.sees("document.querySelector('#title').textContent === 'I need my keys'").await;

    // Reloads.
    browser.open(&url).await;
    assert_eq!(visit.texts("delivered").await, [said, answer]);

    // Closes the tab in the middle of an answer, and finds what had come.
    visit.open_list().await;
    browser.click("#new-chat").await;
    browser.click(".suggestions button:nth-child(2)").await;
    let heard = visit.hears(2).await;
    let holiday = browser.url().await;
    browser.close_tab().await;
    browser.open(&holiday).await;
    let texts = visit.texts("interrupted").await;
    assert!(texts[1].starts_with(&heard), "{heard:?}, {texts:?}");
    browser.picture(&format!("{name}-interrupted")).await;
    browser.click(".state button").await;
    assert_eq!(visit.texts("delivered").await.len(), 3);

    // Stops an answer.
    browser.write("#text", &["I can't find my keys", key::ENTER].concat()).await;
    visit.hears(2).await;
    browser.click("#stop").await;
    let texts = visit.texts("interrupted").await;
    assert!(
        "How do you know that you can't find your keys?".starts_with(texts[4].trim()),
        "{texts:?}"
    );

    // Searches, and opens what was found at its place.
    visit.open_list().await;
    browser.write("#search", "now").await;
    browser.sees("document.querySelector('#results mark')?.textContent === 'now'").await;
    browser.picture(&format!("{name}-search")).await;
    browser.click("#results .entry").await;
    browser.sees("document.querySelector('.is-found .body')?.textContent.includes('now')").await;
    assert!(browser.url().await.starts_with(&url));
    visit.open_list().await;
    browser.run("document.querySelector('#search').select()").await;
    browser.write("#search", "zebra").await;
    browser.sees("document.querySelector('#results .note')?.textContent").await;
    browser.run("document.querySelector('#search').value = ''; document.querySelector('#search').dispatchEvent(new Event('input'))").await;
    if visit.is_phone {
        browser.write("#search", key::ESCAPE).await;
    }

    // Renames, and exports.
    browser.click("#rename").await;
    browser.run("document.querySelector('#rename-title').value = ''").await;
    browser.write("#rename-title", &["Lost keys", key::ENTER].concat()).await;
    browser.sees("document.querySelector('#title').textContent === 'Lost keys'").await;
    browser.click("#export").await;
    browser.picture(&format!("{name}-export")).await;
    let export = "fetch(document.querySelector('[data-format=markdown]').href).then(r => r.text())";
    let export = browser.run(&format!("return {export}")).await;
    assert!(export.as_str().unwrap().starts_with("# Lost keys\n"), "{export}");
    browser.click("#export-dialog [data-close]").await;
    browser.picture(&format!("{name}-talk")).await;

    // Deletes, but only when it is confirmed.
    browser.click("#delete").await;
    browser.picture(&format!("{name}-delete")).await;
    browser.click("#delete-dialog [data-close]").await;
    assert_eq!(browser.url().await.split('#').next(), Some(url.as_str()));
    browser.click("#delete").await;
    browser.click("#delete-dialog .danger").await;
    browser.sees("document.querySelector('#empty')?.checkVisibility()").await;
    browser.sees("document.querySelectorAll('#conversations .entry').length === 1").await;
    visit.was_clean().await;

    // The server is killed in the middle of an answer, and comes back.
    browser.write("#text", &["I need my keys", key::ENTER].concat()).await;
    let heard = visit.hears(3).await;
    visit.kill();
    let browser = &visit.browser;
    browser.sees("document.querySelector('#notice').checkVisibility()").await;
    browser.picture(&format!("{name}-lost")).await;
    visit.start("0");
    let browser = &visit.browser;
    browser.sees("document.querySelector('#notice').hidden").await;
    let texts = visit.texts("interrupted").await;
    let kept = texts[1].trim();
    assert!(!kept.is_empty() && ANSWER.starts_with(kept), "{heard:?}, {texts:?}");
    browser.click(".state button").await;
    let texts = visit.texts("delivered").await;
    assert_eq!(texts[2], ANSWER);

    // What is said while the server is away is said when it is back, once.
    visit.kill();
    let browser = &visit.browser;
    browser.write("#text", &["I feel fine", key::ENTER].concat()).await;
    browser.sees("document.querySelector('#notice').checkVisibility()").await;
    visit.start("0");
    let browser = &visit.browser;
    browser.sees("document.querySelector('#log > li:nth-child(5)')").await;
    assert_eq!(visit.texts("delivered").await[3], "I feel fine");

    // Everything is there after a reload too.
    let url = browser.url().await;
    browser.open(&url).await;
    assert_eq!(visit.texts("delivered").await.len(), 5);
    browser.sees("document.querySelectorAll('#conversations .entry').length === 2").await;
}
