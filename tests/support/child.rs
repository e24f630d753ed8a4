//! A process that writes to a store, exports it or locks it, for the tests to watch, to measure and to kill.
//!
//! - `write URL SESSION NAME COUNT`: appends COUNT messages from eight tasks (endlessly if 0), and prints a line
//!   `ID SEQ` for each as soon as it is acknowledged.
//! - `mix URL SEED FIRST DONE,… COUNT`: runs the scripts of `shs_tests::mix`, from the task
//!   FIRST on, one task for each DONE, which says how many operations it has behind it; the next may have
//!   happened. Each runs COUNT more, or endlessly if 0.
//! - `faulty URL SEED TASKS COUNT go-on|give-up`: runs COUNT operations of each of such scripts on a disk that fails (`fail_io.c`), and
//!   either repeats what failed or ends at once.
//! - `history URL FOLDER PROCESS TASKS OPERATIONS SEED`: says `ready`; when its standard input ends it opens the store, and
//!   its tasks work as `shs_tests::history` has it, on three sessions that all share and one of its own. They write what they
//!   do into FOLDER, and print a line for each write that is acknowledged.
//! - `answer URL SESSION`: streams an answer without end, and prints after each word how many bytes of it are stored.
//! - `export URL FORMAT`: exports everything to nowhere, and prints how many KiB of memory it took at the most,
//!   beyond what the open store takes.
//! - `import URL FILE`: imports a file, and prints how many conversations came, and how many were there.
//! - `import-made URL MIB`: imports an array of so many MiB of conversations, and prints how many KiB of memory it took at the most.
//! - `hold PATH`: locks a SQLite database against writers until its standard input ends.
//!
//! The first three work with relaxed durability as `write-relaxed …`, and with files whose journal is full after a few
//! messages as `write-brief …`.

use std::io::{Read, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use session_history_saver::export::Format;
use session_history_saver::import::{Import, Input};
use session_history_saver::{
    Durability, Error, ErrorKind, Location, NewMessage, NewSession, Scope, SessionId,
    SessionTracker, Store, StoreExt, open_store,
};
use shs_fs::FsOptions;
use shs_sqlite::SqliteOptions;
use shs_tests::history::{Clock, Entry, Log, Task, What, Written};
use shs_tests::mix::{self, Expectation, Script};
use sqlx::Connection;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

#[tokio::main]
async fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let (command, rest) = arguments.split_first().ok_or(USAGE)?;
    let (command, how) = command.split_once('-').unwrap_or((command, ""));
    match (command, rest) {
        ("write", [url, session, name, count]) => {
            write(open(&url.parse()?, how).await?, session, name, count.parse()?).await
        }
        ("mix", [url, seed, first, done, count]) => {
            mix(open(&url.parse()?, how).await?, seed, first, done, count).await
        }
        ("faulty", [url, seed, tasks, count, after]) => {
            faulty(&url.parse()?, how, seed, tasks, count, after).await
        }
        ("history", [url, folder, process, tasks, operations, seed]) => {
            history(url, Path::new(folder), process.parse()?, tasks.parse()?, operations, seed)
                .await
        }
        ("answer", [url, session]) => answer(url, session).await,
        ("export", [url, format]) => export(url, format.parse()?).await,
        ("import", [url, size]) if how == "made" => import_made(url, size.parse()?).await,
        ("import", [url, file]) => import(url, Path::new(file)).await,
        ("hold", [path]) => hold(path).await,
        _ => Err(USAGE.into()),
    }
}

const USAGE: &str = "usage: shs-child write|mix|faulty|history|answer|export|import|hold …";

/// One line at once, or the tests would take a piece of one for an acknowledgement.
fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    let told = out.write_all(format!("{line}\n").as_bytes()).and_then(|()| out.flush());
    told.expect("somebody listens");
}

async fn open(location: &Location, how: &str) -> session_history_saver::Result<Arc<dyn Store>> {
    Ok(match (how, location) {
        ("", location) => open_store(location).await?,
        ("relaxed", Location::Sqlite(path)) => {
            Arc::new(SqliteOptions::new(path).with_durability(Durability::Relaxed).open().await?)
        }
        ("relaxed", Location::Fs(folder)) => {
            Arc::new(FsOptions::new(folder).with_durability(Durability::Relaxed).open().await?)
        }
        ("brief", Location::Fs(folder)) => {
            Arc::new(FsOptions::new(folder).with_journal_bytes(4_096).open().await?)
        }
        _ => return Err(Error::invalid(format!("{location} cannot be opened {how}"))),
    })
}

async fn write(store: Arc<dyn Store>, session: &str, name: &str, count: usize) -> Result<()> {
    let id = SessionId::new(session)?;
    let tasks: Vec<_> = (0..8)
        .map(|task| {
            let (store, id, name) = (Arc::clone(&store), id.clone(), name.to_owned());
            tokio::spawn(async move {
                let mut number = task;
                while count == 0 || number < count {
                    let text = format!("{name} {number} {}", "word ".repeat(number % 50));
                    let new = NewMessage::user(text).with_id(format!("{name}-{number}").parse()?);
                    let message = store.append(&Scope::DEFAULT, &id, new).await?;
                    say(&format!("{} {}", message.id, message.seq));
                    number += 8;
                }
                Result::Ok(())
            })
        })
        .collect();
    for task in tasks {
        task.await??;
    }
    store.close().await?;
    Ok(())
}

async fn mix(
    store: Arc<dyn Store>,
    seed: &str,
    first: &str,
    done: &str,
    count: &str,
) -> Result<()> {
    let (seed, first): (u64, usize) = (seed.parse()?, first.parse()?);
    let count: usize = count.parse()?;
    let mut tasks = Vec::new();
    for (task, done) in (first..).zip(done.split(',')) {
        let (store, done) = (Arc::clone(&store), done.parse()?);
        tasks.push(tokio::spawn(async move { follow(&*store, seed, task, done, count).await }));
    }
    for task in tasks {
        task.await??;
    }
    store.close().await?;
    Ok(())
}

/// Goes on with the script of a task.
async fn follow(
    store: &dyn Store,
    seed: u64,
    task: usize,
    done: usize,
    count: usize,
) -> Result<()> {
    let mut script = Script::new(seed, task).await;
    while script.done() < done {
        let _ = script.step().await;
    }
    while count == 0 || script.done() < done + count {
        let number = script.done();
        let (operation, expected) = script.step().await;
        say(&format!("? {task} {number} {}", operation.describe()));
        let is_shared = operation.is_shared();
        let answer = operation.clone().run(store).await;
        // The first may have happened before.
        let may_be_repeated = number == done && done > 0;
        let refused = [ErrorKind::Unavailable, ErrorKind::Corrupt, ErrorKind::Internal];
        match &answer {
            Err(error) if refused.contains(&error.kind()) => {
                return Err(format!("{error:?}").into());
            }
            _ if may_be_repeated => {}
            _ => mix::same(answer.as_ref(), expected, is_shared)
                .map_err(|difference| format!("{}: {difference}", operation.describe()))?,
        }
        say(&format!("! {task} {number}{}", mix::given(&answer, is_shared)));
    }
    Ok(())
}

/// What a process does on a disk that fails.
#[derive(Default)]
struct Trouble {
    gives_up: bool,
    failures: AtomicUsize,
}

impl Trouble {
    /// How many failures are seen before the disk is put in order.
    const ENOUGH: usize = 4;

    /// Whether no call fails any more.
    fn is_over() -> bool {
        let is_there = |name| std::env::var_os(name).map(|path| Path::new(&path).exists());
        match is_there("FAIL_WHILE") {
            Some(lasts) => !lasts,
            None => is_there("FAIL_NOTE") == Some(true),
        }
    }

    /// Repeats an operation until it is answered; `false` if that took more than one attempt.
    async fn answer<T, F>(
        &self,
        mut attempt: impl FnMut() -> F,
    ) -> Result<(session_history_saver::Result<T>, bool)>
    where
        F: Future<Output = session_history_saver::Result<T>>,
    {
        let mut is_first = true;
        loop {
            let was_over = Self::is_over();
            let error = match attempt().await {
                Err(error) if error.kind() == ErrorKind::Unavailable => error,
                Err(error) if matches!(error.kind(), ErrorKind::Corrupt | ErrorKind::Internal) => {
                    return Err(format!("that is {}: {error:?}", error.kind()).into());
                }
                answer => return Ok((answer, is_first)),
            };
            if was_over {
                return Err(format!("the disk was in order: {error:?}").into());
            }
            if self.gives_up {
                std::process::exit(0);
            }
            is_first = false;
            if let Some(control) = std::env::var_os("FAIL_WHILE")
                && self.failures.fetch_add(1, Ordering::Relaxed) + 1 == Self::ENOUGH
            {
                std::fs::remove_file(control)?;
            }
        }
    }
}

async fn faulty(
    location: &Location,
    how: &str,
    seed: &str,
    tasks: &str,
    count: &str,
    after: &str,
) -> Result<()> {
    let (seed, tasks): (u64, usize) = (seed.parse()?, tasks.parse()?);
    let count: usize = count.parse()?;
    let trouble = Arc::new(Trouble { gives_up: after == "give-up", ..Trouble::default() });
    let store = trouble.answer(|| open(location, how)).await?.0?;
    trouble.answer(|| mix::begin(&*store)).await?.0?;
    say("ready");
    let running: Vec<_> = (0..tasks)
        .map(|task| {
            let (store, trouble) = (Arc::clone(&store), Arc::clone(&trouble));
            tokio::spawn(async move { insist(&*store, &trouble, seed, task, count).await })
        })
        .collect();
    let mut expectation = Expectation::new(seed, tasks).await;
    for task in running {
        for line in task.await?? {
            expectation.hear(&line);
        }
    }
    // The process sees what the disk has; a search may have to bring an index up to date first.
    let (all, _) = trouble.answer(|| mix::audit(&*store)).await?;
    expectation.check(&all?).await?;
    trouble.answer(|| store.close()).await?.0?;
    Ok(())
}

/// Works by a script, repeating what fails; returns what it said.
async fn insist(
    store: &dyn Store,
    trouble: &Trouble,
    seed: u64,
    task: usize,
    count: usize,
) -> Result<Vec<String>> {
    let mut script = Script::new(seed, task).await;
    let mut said = Vec::new();
    let mut tell = |line: String| {
        say(&line);
        said.push(line);
    };
    while script.done() < count {
        let number = script.done();
        let (operation, expected) = script.step().await;
        let is_shared = operation.is_shared();
        tell(format!("? {task} {number} {}", operation.describe()));
        let (answer, is_first) = trouble.answer(|| operation.clone().run(store)).await?;
        // After a failure it may have happened before.
        if is_first {
            mix::same(answer.as_ref(), expected, is_shared)
                .map_err(|difference| format!("{}: {difference}", operation.describe()))?;
        }
        tell(format!("! {task} {number}{}", mix::given(&answer, is_shared)));
    }
    Ok(said)
}

/// Writes down a history, and tells of each write that was acknowledged.
struct Told(Written);

impl Log for Told {
    fn begin(&mut self, entry: &Entry) {
        self.0.begin(entry);
    }

    fn end(&mut self, entry: Entry) {
        let is_append = matches!(entry.what, What::Append { .. });
        self.0.end(entry);
        if is_append {
            say("!");
        }
    }
}

async fn history(
    url: &str,
    folder: &Path,
    process: usize,
    tasks: usize,
    operations: &str,
    seed: &str,
) -> Result<()> {
    let (operations, seed): (usize, u64) = (operations.parse()?, seed.parse()?);
    say("ready");
    std::io::stdin().read_to_end(&mut Vec::new())?;
    let store = open_store(&url.parse::<Location>()?).await?;
    let mut sessions = Vec::new();
    for name in ["a", "b", "c", &format!("own{process}")] {
        let new = NewSession::with_id(name.parse()?);
        sessions.push(new.id.clone());
        match store.create_session(&Scope::DEFAULT, new).await {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            created => drop(created?),
        }
    }
    let mut running = Vec::new();
    for number in (process * tasks..).take(tasks) {
        let (store, sessions) = (Arc::clone(&store), sessions.clone());
        let name = format!("t{number}");
        let clock = Clock::new(&folder.join("clock"))?;
        let mut log = Told(Written::new(&folder.join(&name))?);
        let task = Task { number, name, sessions, seed, operations, deletes: false };
        running.push(tokio::spawn(async move { task.run(&*store, clock, &mut log).await }));
    }
    for task in running {
        task.await??;
    }
    store.close().await?;
    Ok(())
}

async fn answer(url: &str, session: &str) -> Result<()> {
    let store = open_store(&url.parse::<Location>()?).await?;
    let history = SessionTracker::with_store(store);
    let session = history.resume(&SessionId::new(session)?).await?;
    let mut answer = session.stream().begin().await?;
    for number in 0_u64.. {
        answer.push(format!("word{number} ")).await?;
        // Only what is stored is promised to be there after a kill.
        say(&session.last(1).await?[0].content.len().to_string());
    }
    Ok(())
}

async fn export(url: &str, format: Format) -> Result<()> {
    let history = SessionTracker::with_store(open_store(&url.parse::<Location>()?).await?);
    // The store may load what it needs at its first use.
    history.stats().await?;
    forget_peak()?;
    let before = memory("VmRSS:")?;
    history.export(format).to_writer(&mut tokio::io::sink()).await?;
    say(&memory("VmHWM:")?.saturating_sub(before).to_string());
    Ok(())
}

async fn import(url: &str, file: &Path) -> Result<()> {
    let history = SessionTracker::with_store(open_store(&url.parse::<Location>()?).await?);
    let report = history.import(&Import::new(), file, |problem| eprintln!("{problem}")).await?;
    say(&format!("{} {}", report.imported, report.already_there));
    Ok(history.close().await?)
}

async fn import_made(url: &str, mebibytes: usize) -> Result<()> {
    let history = SessionTracker::with_store(open_store(&url.parse::<Location>()?).await?);
    forget_peak()?;
    let before = memory("VmRSS:")?;
    let made = Made { left: mebibytes * 1024 * 1024, number: 0, ready: b"[".to_vec(), at: 0 };
    let input = Input::Reader("made".to_owned(), Box::new(made));
    let report = history.import(&Import::new(), input, |problem| eprintln!("{problem}")).await?;
    if report.imported == 0 || report.failed > 0 {
        return Err(format!("{report:?}").into());
    }
    say(&memory("VmHWM:")?.saturating_sub(before).to_string());
    Ok(history.close().await?)
}

/// An array of conversations of 1 MiB each, made while it is read.
struct Made {
    left: usize,
    number: u64,
    ready: Vec<u8>,
    at: usize,
}

impl Read for Made {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        if self.at == self.ready.len() && self.left > 0 {
            let content = ".".repeat(8 * 1024);
            let messages: Vec<_> = (0..128)
                .map(|_| serde_json::json!({ "role": "user", "content": content }))
                .collect();
            let session = serde_json::json!({ "session_id": format!("s{}", self.number), "messages": messages });
            self.ready = session.to_string().into_bytes();
            self.at = 0;
            self.left = self.left.saturating_sub(self.ready.len());
            self.number += 1;
            self.ready.push(if self.left > 0 { b',' } else { b']' });
        }
        let read = (&self.ready[self.at..]).read(buffer)?;
        self.at += read;
        Ok(read)
    }
}

/// Begins to measure `VmHWM` anew (<https://man7.org/linux/man-pages/man5/proc_pid_clear_refs.5.html>).
fn forget_peak() -> Result<()> {
    Ok(std::fs::write("/proc/self/clear_refs", "5")?)
}

/// A figure of this process's memory, in KiB.
fn memory(name: &str) -> Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    let figure = line.and_then(|line| line.split_whitespace().next());
    Ok(figure.ok_or("the kernel does not tell")?.parse()?)
}

async fn hold(path: &str) -> Result<()> {
    let mut connection = sqlx::SqliteConnection::connect(&format!("sqlite:{path}")).await?;
    sqlx::query("BEGIN IMMEDIATE").execute(&mut connection).await?;
    say("held");
    std::io::stdin().read_to_end(&mut Vec::new())?;
    sqlx::query("ROLLBACK").execute(&mut connection).await?;
    Ok(())
}
