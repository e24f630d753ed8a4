//! What one file can do at the most: the lines of many callers, written into a file that has its length already, with one
//! sync for all that are waiting.

use std::fs::OpenOptions;
use std::io::{Seek, SeekFrom, Write};
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::time::{Duration, Instant};

use shs_store::{NewMessage, Seq};

use crate::Result;
use crate::job::{EACH, Figures, Job, Operation};

/// The length of the file, which is written over and over.
const LENGTH: usize = 16 * 1024 * 1024;
/// Most lines that are synced together, as in the library.
const MAX_BATCH: usize = 512;

/// A line, and whose it is.
struct Ready {
    caller: usize,
    line: Vec<u8>,
}

impl Ready {
    fn new(caller: usize, text: &str) -> Self {
        let message = NewMessage::user(text).into_message(Seq::FIRST);
        let mut line = serde_json::to_vec(&message).expect("plain values serialize");
        line.push(b'\n');
        Self { caller, line }
    }
}

pub(super) fn run(job: &Job, texts: &[String]) -> Result<Figures> {
    if job.operation != Operation::Append {
        return Err("the bare journal only appends".into());
    }
    let mut journal =
        OpenOptions::new().write(true).create_new(true).open(job.folder.join("journal"))?;
    journal.write_all(&vec![0; LENGTH])?;
    journal.sync_all()?;
    let mut end = 0;
    let mut write = |lines: &[u8]| {
        if end + lines.len() > LENGTH {
            end = 0;
        }
        journal.seek(SeekFrom::Start(end as u64))?;
        journal.write_all(lines)?;
        end += lines.len();
        journal.sync_data()
    };
    crowd(&mut write, texts, job.callers, job.seconds / 5.0)?;
    let each = crowd(&mut write, texts, job.callers, job.seconds)?;
    Ok(Figures::from([(EACH.to_owned(), each)]))
}

/// Callers of whom each waits for the sync: this thread writes, another one plays them all, so that no time goes into
/// waking threads. Returns the seconds for each line.
fn crowd(
    write: &mut impl FnMut(&[u8]) -> std::io::Result<()>,
    texts: &[String],
    callers: usize,
    seconds: f64,
) -> Result<f64> {
    let (queue, waiting) = mpsc::sync_channel(1_024);
    let (answers, answered) = mpsc::channel();
    let begin = Instant::now();
    let until = begin + Duration::from_secs_f64(seconds);
    std::thread::scope(|scope| {
        scope.spawn(move || call(texts, callers, until, &queue, &answered));
        let mut count = 0;
        while let Ok(first) = waiting.recv() {
            let mut group = vec![first];
            group.extend(waiting.try_iter().take(MAX_BATCH - 1));
            let lines: Vec<u8> = group.iter().flat_map(|ready| &ready.line).copied().collect();
            write(&lines)?;
            count += group.len();
            // The callers leave at the end.
            let _ = answers.send(group.iter().map(|ready| ready.caller).collect());
        }
        Ok(begin.elapsed().as_secs_f64() / count as f64)
    })
}

fn call(
    texts: &[String],
    callers: usize,
    until: Instant,
    queue: &SyncSender<Ready>,
    answered: &Receiver<Vec<usize>>,
) {
    let mut texts = texts.iter().cycle();
    let mut next = |caller| Ready::new(caller, texts.next().expect("there are texts"));
    for caller in 0..callers {
        if queue.send(next(caller)).is_err() {
            return;
        }
    }
    while let Ok(group) = answered.recv() {
        for caller in group {
            if Instant::now() >= until || queue.send(next(caller)).is_err() {
                return;
            }
        }
    }
}
