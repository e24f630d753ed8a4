//! The queue's task under thousands of schedules: tasks that send, go away and repeat, and an engine that takes its
//! time, refuses and fails, all by a seed. Time is paused, so that the order of all steps follows from the seed.

#![expect(
    clippy::future_not_send,
    reason = "the runtime has one thread, and shared state is in cells"
)]

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, HashSet};
use std::rc::Rc;
use std::time::Duration;

use shs_store::{Error, ErrorKind};
use tokio::sync::{mpsc, oneshot};
use tokio::task::LocalSet;

use super::{Broken, Engine, Job, MAX_JOBS, Rest, work};

/// Numbers that follow from a seed (splitmix64).
#[derive(Clone)]
struct Dice(Rc<Cell<u64>>);

impl Dice {
    fn below(&self, end: u64) -> u64 {
        let state = self.0.get().wrapping_add(0x9e37_79b9_7f4a_7c15);
        self.0.set(state);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % end
    }

    fn happens(&self, percent: u64) -> bool {
        self.below(100) < percent
    }

    async fn wait(&self) {
        match self.below(4) {
            0 => {}
            1 => tokio::task::yield_now().await,
            _ => tokio::time::sleep(Duration::from_millis(self.below(400))).await,
        }
    }
}

/// What a write is called by: its sender, and its number there.
type Id = (u64, u64);

struct Write {
    id: Id,
    /// It can never be done.
    is_poison: bool,
    reply: oneshot::Sender<Result<(), Error>>,
    unanswered: Rc<Cell<i64>>,
}

impl Job for Write {
    fn answer(self) {
        self.unanswered.set(self.unanswered.get() - 1);
        let _ = self.reply.send(Ok(()));
    }

    fn fail(self, error: Error) {
        self.unanswered.set(self.unanswered.get() - 1);
        let _ = self.reply.send(Err(error));
    }

    fn weight(&self) -> usize {
        1
    }
}

/// A disk, and what may happen to it.
struct Disk {
    dice: Dice,
    /// What was committed, in order, and how often each was attempted.
    written: Rc<RefCell<Vec<Id>>>,
    attempts: HashMap<Id, usize>,
    /// How many percent of the transactions fail for no reason of theirs.
    failing: u64,
    behind: Rc<Cell<u64>>,
    ended: Rc<Cell<u32>>,
}

impl Engine for Disk {
    type Job = Write;

    async fn attempt(&mut self, batch: &mut [Write]) -> Result<(), Broken> {
        assert!(!batch.is_empty() && batch.len() <= MAX_JOBS);
        self.dice.wait().await;
        for write in batch.iter() {
            *self.attempts.entry(write.id).or_default() += 1;
        }
        let store = |disk: &Self| {
            let mut written = disk.written.borrow_mut();
            for write in batch.iter() {
                // As the stores do: what is repeated is there already.
                if !written.contains(&write.id) {
                    written.push(write.id);
                }
            }
        };
        let error = |kind| Error::new(kind, "the disk does as it likes");
        if batch.iter().any(|write| write.is_poison) {
            return Err(Broken::Inside(error(ErrorKind::Corrupt)));
        }
        if self.dice.happens(self.failing) {
            return Err(if self.dice.happens(50) {
                Broken::Inside(error(ErrorKind::Internal))
            } else {
                if self.dice.happens(50) {
                    store(self);
                }
                Broken::Outside(error(ErrorKind::Unavailable))
            });
        }
        store(self);
        self.behind.set(self.behind.get() + batch.len() as u64);
        Ok(())
    }

    fn rest(&self) -> Rest {
        match self.behind.get() {
            0 => Rest::None,
            20.. => Rest::Now,
            _ => Rest::Later,
        }
    }

    async fn do_rest(&mut self) {
        assert_ne!(self.rest(), Rest::None, "there is nothing to be done");
        self.dice.wait().await;
        self.behind.set(self.behind.get().saturating_sub(7));
    }

    async fn end(self) {
        self.ended.set(self.ended.get() + 1);
    }
}

/// Sends writes one after the other, each until it is acknowledged or cannot be; returns the two kinds.
async fn send(
    number: u64,
    queue: mpsc::Sender<Write>,
    dice: Dice,
    unanswered: Rc<Cell<i64>>,
) -> (Vec<Id>, Vec<Id>) {
    let (mut acknowledged, mut refused) = (Vec::new(), Vec::new());
    for at in 0..dice.below(12) {
        let is_poison = dice.happens(5);
        loop {
            dice.wait().await;
            let (reply, answer) = oneshot::channel();
            let unanswered = Rc::clone(&unanswered);
            unanswered.set(unanswered.get() + 1);
            let write = Write { id: (number, at), is_poison, reply, unanswered };
            assert!(queue.send(write).await.is_ok(), "the task has gone");
            if dice.happens(15) {
                // The caller goes away, and comes again with the same write.
                drop(answer);
                continue;
            }
            match answer.await.expect("every caller is answered") {
                Ok(()) => break acknowledged.push((number, at)),
                Err(_) if is_poison => break refused.push((number, at)),
                Err(error) => assert_ne!(error.kind(), ErrorKind::Corrupt, "poisoned by another"),
            }
        }
    }
    (acknowledged, refused)
}

async fn explore(seed: u64) {
    let dice = Dice(Rc::new(Cell::new(seed)));
    let disk = Disk {
        dice: dice.clone(),
        written: Rc::default(),
        attempts: HashMap::new(),
        failing: dice.below(40),
        behind: Rc::default(),
        ended: Rc::default(),
    };
    let (written, ended) = (Rc::clone(&disk.written), Rc::clone(&disk.ended));
    let unanswered = Rc::new(Cell::new(0));
    let (queue, receiver) = mpsc::channel(1 + dice.below(8) as usize);
    let task = tokio::task::spawn_local(work(disk, receiver));
    let senders: Vec<_> = (0..1 + dice.below(10))
        .map(|number| {
            let (queue, dice) = (queue.clone(), dice.clone());
            tokio::task::spawn_local(send(number, queue, dice, Rc::clone(&unanswered)))
        })
        .collect();
    drop(queue);
    let (mut acknowledged, mut refused) = (Vec::new(), Vec::new());
    for sender in senders {
        let (yes, no) = sender.await.unwrap();
        acknowledged.extend(yes);
        refused.extend(no);
    }
    task.await.unwrap();
    assert_eq!(ended.get(), 1, "the engine is ended once");
    assert_eq!(unanswered.get(), 0, "every write is answered once");
    let written = written.borrow();
    let there: HashSet<Id> = written.iter().copied().collect();
    assert_eq!(there.len(), written.len(), "nothing is doubled");
    assert!(acknowledged.iter().all(|id| there.contains(id)), "nothing acknowledged is lost");
    assert!(!refused.iter().any(|id| there.contains(id)), "nothing refused is stored");
    let mut last = HashMap::new();
    for (sender, at) in written.iter() {
        let before = last.insert(sender, at);
        assert!(before.is_none_or(|before| before < at), "a sender's writes keep their order");
    }
}

#[test]
fn under_every_schedule_each_caller_is_answered_with_what_was_done() {
    let variable = |name| std::env::var(name).ok().map(|text| text.parse::<u64>().unwrap());
    let count = variable("SHS_SCHEDULES").unwrap_or(2_000);
    let first = variable("SHS_SEED").unwrap_or(0);
    for seed in first..first + count {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        let explored = std::panic::AssertUnwindSafe(|| {
            LocalSet::new().block_on(&runtime, explore(seed));
        });
        if let Err(panic) = std::panic::catch_unwind(explored) {
            eprintln!("the schedule with SHS_SEED={seed}");
            std::panic::resume_unwind(panic);
        }
    }
}
