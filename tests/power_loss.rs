//! Power cuts at any moment: what was acknowledged is there, whole and once, and the next opening needs no help. A run with
//! relaxed durability does lose something, or these tests would see nothing.

use std::path::Path;

use session_history_saver::{
    Location, NewSession, Result, Scope, SearchQuery, SessionId, Store, StoreExt, open_store,
};
use shs_tests::mix::{self, Expectation};
use shs_tests::power::{Dice, Disk, Event, Unsynced, record};
use shs_tests::skip;

const CHILD: &str = env!("CARGO_BIN_EXE_shs-child");
const SCRATCH: &str = env!("CARGO_TARGET_TMPDIR");

/// How many moments each test tries, each with every kind of disk; `SHS_CUTS=250`, that is 3,000 images of the four tests
/// that must lose nothing, for a long run.
fn cuts() -> usize {
    std::env::var("SHS_CUTS").map_or(17, |cuts| cuts.parse().expect("SHS_CUTS is a number"))
}

fn seed() -> u64 {
    std::env::var("SHS_SEED").map_or(1, |seed| seed.parse().expect("SHS_SEED is a number"))
}

/// What came of cutting the power in many moments.
#[derive(Debug, Default)]
struct Outcome {
    images: usize,
    /// Images from which an acknowledged message was missing.
    lossy: usize,
    /// What is wrong with the first of them, where that is known.
    first: Option<String>,
}

/// Records a writer, cuts the power in many moments, and audits each image.
async fn cut_everywhere(scheme: &str, command: &str) -> std::result::Result<Outcome, String> {
    let folder = tempfile::tempdir().unwrap();
    let place = |root: &Path| {
        let url = format!("{scheme}:{}", root.join("history").display());
        url.parse::<Location>().unwrap()
    };
    let location = place(folder.path());
    let store = open_store(&location).await.unwrap();
    store.create_session(&Scope::DEFAULT, NewSession::with_id("s".parse().unwrap())).await.unwrap();
    store.close().await.unwrap();

    let mut disk = Disk::of_folder(folder.path());
    let arguments = [command, &location.to_string(), "s", "first", "240"];
    let events = record(CHILD, &arguments, folder.path(), Path::new(SCRATCH))?;
    let mut dice = Dice::new(seed());
    let mut moments: Vec<usize> = (0..cuts()).map(|_| dice.below(events.len())).collect();
    moments.sort_unstable();

    let mut outcome = Outcome::default();
    let mut acknowledged: Vec<(String, u64)> = Vec::new();
    for (at, event) in events.iter().enumerate() {
        disk.happen(event);
        if let Event::Print(text) = event {
            let lines = text.lines().filter_map(|line| line.split_once(' '));
            acknowledged.extend(lines.map(|(id, seq)| (id.to_owned(), seq.parse().unwrap())));
        }
        if !moments.contains(&at) {
            continue;
        }
        for unsynced in [Unsynced::Lost, Unsynced::Prefix, Unsynced::Subset] {
            let image = tempfile::tempdir().unwrap();
            disk.cut(unsynced, &mut dice, folder.path(), image.path());
            let lost = audit(&place(image.path()), &acknowledged).await.unwrap_or_else(|error| {
                panic!("seed {}, event {at}, {unsynced:?}: {error:?}", seed())
            });
            outcome.images += 1;
            outcome.lossy += usize::from(lost > 0);
        }
    }
    assert_eq!(acknowledged.len(), 240, "everything was acknowledged in the end");
    Ok(outcome)
}

/// Opens an image, checks that it is sound and can be written to, and counts the acknowledged messages that
/// are missing.
async fn audit(location: &Location, acknowledged: &[(String, u64)]) -> Result<usize> {
    let store = open_store(location).await?;
    let id: SessionId = "s".parse()?;
    let transcript = store.transcript(&Scope::DEFAULT, &id).await?;
    assert_eq!(
        transcript.session,
        store.session(&Scope::DEFAULT, &id).await?,
        "the counts are those of the messages"
    );
    let mut missing = acknowledged.len();
    for (message, seq) in transcript.messages.iter().zip(1..) {
        assert_eq!(message.seq.get(), seq, "numbers have no gap");
        let (name, number) = message.id.as_str().rsplit_once('-').expect("the child made it");
        let words = "word ".repeat(number.parse::<usize>().expect("the child made it") % 50);
        assert_eq!(message.content, format!("{name} {number} {words}"), "a message is whole");
        if let Some((_, expected)) = acknowledged.iter().find(|(id, _)| message.id == id.as_str()) {
            assert_eq!(seq, *expected);
            missing -= 1;
        }
    }
    let found = store.search_stream(&Scope::DEFAULT, SearchQuery::new("first"));
    let hits = futures::TryStreamExt::try_collect::<Vec<_>>(found).await?;
    assert_eq!(hits.len(), transcript.messages.len(), "search finds what is stored");
    store.append(&Scope::DEFAULT, &id, session_history_saver::NewMessage::user("after")).await?;
    store.close().await?;
    Ok(missing)
}

/// Records mixed operations, cuts the power in many moments, and compares each image with what was acknowledged.
/// Then goes on from the last image, `lives` times, so that cuts also meet what an earlier one left behind.
async fn cut_a_mix_everywhere(
    scheme: &str,
    command: &str,
    lives: usize,
) -> std::result::Result<Outcome, String> {
    const TASKS: usize = 3;
    let mut folder = tempfile::tempdir().unwrap();
    let place = |root: &Path| {
        let url = format!("{scheme}:{}", root.join("history").display());
        url.parse::<Location>().unwrap()
    };
    let store = open_store(&place(folder.path())).await.unwrap();
    mix::begin(&*store).await.unwrap();
    store.close().await.unwrap();

    let mut dice = Dice::new(seed());
    let mut outcome = Outcome::default();
    let mut expectation = Expectation::new(seed(), TASKS).await;
    for life in 0..lives {
        let mut disk = Disk::of_folder(folder.path());
        let (url, script) = (place(folder.path()).to_string(), seed().to_string());
        let done = expectation.acknowledged(0..TASKS);
        let arguments = [command, &url, &script, "0", &done, "70"];
        let events = record(CHILD, &arguments, folder.path(), Path::new(SCRATCH))?;
        // Many are early, where what the last life left behind is put in order.
        let moment = |dice: &mut Dice, number| {
            let early = life > 0 && number % 2 == 0;
            dice.below(if early { events.len().min(40) } else { events.len() })
        };
        let mut moments: Vec<usize> =
            (0..cuts().div_ceil(lives)).map(|number| moment(&mut dice, number)).collect();
        moments.sort_unstable();
        let last = moments[moments.len() - 1];
        let mut left = None;
        for (at, event) in events[..=last].iter().enumerate() {
            disk.happen(event);
            if let Event::Print(text) = event {
                for line in text.lines() {
                    expectation.hear(line);
                }
            }
            if !moments.contains(&at) {
                continue;
            }
            for unsynced in [Unsynced::Lost, Unsynced::Prefix, Unsynced::Subset] {
                let image = tempfile::tempdir().unwrap();
                disk.cut(unsynced, &mut dice, folder.path(), image.path());
                // The comparison writes to the image.
                let copy = tempfile::tempdir().unwrap();
                Disk::of_folder(image.path()).cut(unsynced, &mut dice, image.path(), copy.path());
                left = Some(copy);
                let when = format!("SHS_SEED={}, life {life}, event {at}, {unsynced:?}", seed());
                let found = compare(&place(image.path()), &mut expectation).await;
                let difference = found.unwrap_or_else(|error| panic!("{when}: {error:?}"));
                outcome.images += 1;
                if let Err(difference) = difference {
                    outcome.lossy += 1;
                    outcome.first.get_or_insert(format!("{when}: {difference}"));
                }
            }
        }
        folder = left.expect("there is a moment in each life");
    }
    Ok(outcome)
}

/// Opens an image, checks that it is sound and can be written to, and says how it differs from what it must hold.
async fn compare(
    location: &Location,
    expectation: &mut Expectation,
) -> Result<std::result::Result<(), String>> {
    let store = open_store(location).await?;
    let all = mix::audit(&*store).await?;
    let difference = expectation.check(&all).await;
    let after = store.create_session(&Scope::DEFAULT, NewSession::new()).await?;
    store
        .append(&Scope::DEFAULT, &after.id, session_history_saver::NewMessage::user("after"))
        .await?;
    store.close().await?;
    Ok(difference)
}

async fn a_mix_loses_nothing(test: &str, scheme: &str, command: &str) {
    match cut_a_mix_everywhere(scheme, command, (cuts() / 5).max(1)).await {
        Ok(outcome) => {
            println!("{test}: {} images, {} of them lost something", outcome.images, outcome.lossy);
            assert_eq!(outcome.first, None);
        }
        Err(why) => skip(test, &why),
    }
}

async fn a_mix_loses_something(test: &str, scheme: &str) {
    match cut_a_mix_everywhere(scheme, "mix-relaxed", 1).await {
        Ok(outcome) => {
            println!("{test}: {} images, {} of them lost something", outcome.images, outcome.lossy);
            assert!(outcome.lossy > 0, "the test sees nothing");
        }
        Err(why) => skip(test, &why),
    }
}

async fn loses_nothing(test: &str, scheme: &str, command: &str) {
    match cut_everywhere(scheme, command).await {
        Ok(outcome) => {
            println!("{test}: {} images, {} of them lost something", outcome.images, outcome.lossy);
            assert_eq!(outcome.lossy, 0);
        }
        Err(why) => skip(test, &why),
    }
}

async fn loses_something(test: &str, scheme: &str) {
    match cut_everywhere(scheme, "write-relaxed").await {
        Ok(outcome) => {
            println!("{test}: {} images, {} of them lost something", outcome.images, outcome.lossy);
            assert!(outcome.lossy > 0, "the test sees nothing");
        }
        Err(why) => skip(test, &why),
    }
}

#[tokio::test]
async fn a_power_cut_loses_nothing_in_sqlite() {
    loses_nothing("a_power_cut_loses_nothing_in_sqlite", "sqlite", "write").await;
}

#[tokio::test]
async fn a_power_cut_loses_nothing_in_files() {
    loses_nothing("a_power_cut_loses_nothing_in_files", "fs", "write").await;
}

#[tokio::test]
async fn a_power_cut_loses_nothing_in_files_whose_journal_is_often_full() {
    let test = "a_power_cut_loses_nothing_in_files_whose_journal_is_often_full";
    loses_nothing(test, "fs", "write-brief").await;
}

#[tokio::test]
async fn a_power_cut_loses_something_in_relaxed_sqlite() {
    loses_something("a_power_cut_loses_something_in_relaxed_sqlite", "sqlite").await;
}

#[tokio::test]
async fn a_power_cut_loses_something_in_relaxed_files() {
    loses_something("a_power_cut_loses_something_in_relaxed_files", "fs").await;
}

#[tokio::test]
async fn a_power_cut_in_any_operation_loses_nothing_in_sqlite() {
    let test = "a_power_cut_in_any_operation_loses_nothing_in_sqlite";
    a_mix_loses_nothing(test, "sqlite", "mix").await;
}

#[tokio::test]
async fn a_power_cut_in_any_operation_loses_nothing_in_files() {
    let test = "a_power_cut_in_any_operation_loses_nothing_in_files";
    a_mix_loses_nothing(test, "fs", "mix").await;
}

#[tokio::test]
async fn a_power_cut_in_any_operation_loses_nothing_in_files_whose_journal_is_often_full() {
    let test = "a_power_cut_in_any_operation_loses_nothing_in_files_whose_journal_is_often_full";
    a_mix_loses_nothing(test, "fs", "mix-brief").await;
}

#[tokio::test]
async fn a_power_cut_in_any_operation_loses_something_in_relaxed_sqlite() {
    let test = "a_power_cut_in_any_operation_loses_something_in_relaxed_sqlite";
    a_mix_loses_something(test, "sqlite").await;
}

#[tokio::test]
async fn a_power_cut_in_any_operation_loses_something_in_relaxed_files() {
    let test = "a_power_cut_in_any_operation_loses_something_in_relaxed_files";
    a_mix_loses_something(test, "fs").await;
}
