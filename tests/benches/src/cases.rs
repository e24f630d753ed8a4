//! What is measured, against whom, and what is aimed at.

use crate::disk::Disk;
use crate::job::{Backend, CHUNK, EACH, FIRST_BYTE, GROWTH, Job, KEPT, Operation, P99, SIZE};
use crate::peers::Contestant;
use crate::scale::Scale;
use crate::texts::Texts;

/// One operation under one disk with one kind of messages.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) disk: Disk,
    pub(crate) texts: Texts,
    pub(crate) job: Job,
    /// Whether it reads the library, which is made once.
    pub(crate) in_library: bool,
    pub(crate) comparisons: Vec<Comparison>,
}

/// What ours is held against.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Comparison {
    pub(crate) with: With,
    pub(crate) target: Option<Target>,
}

/// The other side of a comparison.
#[derive(Clone, Copy, Debug)]
pub(crate) enum With {
    /// Another contestant; the ratio is how many times as fast ours is.
    Contestant(Contestant),
    /// Ours in easier circumstances, which are named; the ratio is of the times.
    ItselfByTime(&'static str),
    /// Ours in easier circumstances, which are named; the ratio is of the speeds.
    ItselfBySpeed(&'static str),
    /// A figure of ours by itself.
    Figure(&'static str),
}

/// What is aimed at.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Target {
    AtLeast(f64),
    AtMost(f64),
}

impl Target {
    /// How many times better than aimed at a value is.
    pub(crate) fn score(self, value: f64) -> f64 {
        match self {
            Self::AtLeast(target) => value / target,
            Self::AtMost(target) => target / value,
        }
    }
}

impl Case {
    fn new(name: impl Into<String>, job: Job) -> Self {
        Self {
            name: name.into(),
            disk: Disk::Real,
            texts: Texts::Synthetic,
            job,
            in_library: false,
            comparisons: Vec::new(),
        }
    }

    fn with_disk(mut self, disk: Disk) -> Self {
        self.disk = disk;
        self
    }

    fn with_texts(mut self, texts: Texts) -> Self {
        self.texts = texts;
        self
    }

    fn in_library(mut self) -> Self {
        self.in_library = true;
        self.with_texts(Texts::Conversations)
    }

    fn against(mut self, with: With, target: impl Into<Option<Target>>) -> Self {
        self.comparisons.push(Comparison { with, target: target.into() });
        self
    }

    fn faster_than(self, contestant: Contestant, times: f64) -> Self {
        self.against(With::Contestant(contestant), Target::AtLeast(times))
    }
}

/// All of them.
pub(crate) fn all(scale: &Scale) -> Vec<Case> {
    let mut cases = appends();
    cases.extend(other_appends());
    cases.extend(reads());
    cases.extend(library(scale));
    cases.extend(recording());
    cases.extend(sizes(scale));
    cases
}

fn appends() -> Vec<Case> {
    use Contestant::{Limit, Naive, OpenaiAgents, Package};
    const SETTINGS: [(Disk, Texts); 5] = [
        (Disk::Real, Texts::Synthetic),
        (Disk::Real, Texts::Conversations),
        (Disk::Fixed(0), Texts::Synthetic),
        (Disk::Fixed(200), Texts::Synthetic),
        (Disk::Fixed(1_000), Texts::Synthetic),
    ];
    let append = |callers: usize, (disk, texts)| {
        let name = if callers == 1 {
            "append, one caller".to_owned()
        } else {
            format!("append, {callers} callers")
        };
        let job = Job::new(Operation::Append, Backend::Sqlite).with_callers(callers);
        Case::new(name, job).with_disk(disk).with_texts(texts)
    };
    let mut cases = Vec::new();
    for setting in SETTINGS {
        let of_limit = if setting.0 == Disk::Fixed(1_000) { 0.9 } else { 0.6 };
        cases.push(
            append(1, setting)
                .faster_than(Package, 2.0)
                .faster_than(OpenaiAgents, 1.2)
                .faster_than(Limit, of_limit),
        );
    }
    for setting in SETTINGS {
        cases.push(
            append(64, setting)
                .faster_than(Package, 8.0)
                .faster_than(OpenaiAgents, 6.0)
                .faster_than(Limit, 0.8),
        );
    }
    for setting in SETTINGS {
        cases.push(
            append(256, setting)
                .faster_than(Package, 10.0)
                .faster_than(OpenaiAgents, 8.0)
                .faster_than(Limit, 0.85)
                .faster_than(Naive, 6.0),
        );
    }
    cases
}

fn other_appends() -> Vec<Case> {
    let mut cases = Vec::new();
    for disk in [Disk::Real, Disk::Fixed(0)] {
        let job = Job::new(Operation::AppendLongAndShort, Backend::Sqlite).with_already(10_000);
        let case = Case::new("append to a session of 10,000 messages", job).with_disk(disk);
        cases.push(case.against(With::ItselfByTime("10 messages"), Target::AtMost(1.1)));
    }
    for (messages, name, times) in [
        (10, "folder: append, durable, at 10 messages", 4.0),
        (1_000, "folder: append, durable, at 1,000 messages", 60.0),
        (10_000, "folder: append, durable, at 10,000 messages", 600.0),
    ] {
        let job = Job::new(Operation::Append, Backend::Folder).with_already(messages);
        cases.push(Case::new(name, job).faster_than(Contestant::Package, times));
    }
    let job = Job::new(Operation::Append, Backend::Folder).with_callers(64);
    cases.push(
        Case::new("folder: append, durable, 64 callers", job)
            .against(With::Contestant(Contestant::Package), None)
            .faster_than(Contestant::Journal, 0.5),
    );
    for texts in [Texts::Synthetic, Texts::Conversations] {
        for (messages, name, times) in [
            (1_000, "memory: append at 1,000 messages", 10.0),
            (10_000, "memory: append at 10,000 messages", 100.0),
        ] {
            let job = Job::new(Operation::Append, Backend::Memory).with_already(messages);
            let case = Case::new(name, job).with_texts(texts);
            cases.push(case.faster_than(Contestant::Package, times));
        }
    }
    cases
}

fn reads() -> Vec<Case> {
    let mut cases = Vec::new();
    for (messages, name, times) in [
        (20, "read a session of 20 messages", 3.0),
        (1_000, "read a session of 1,000 messages", 10.0),
    ] {
        let job = Job::new(Operation::Read, Backend::Sqlite).with_already(messages);
        cases.push(Case::new(name, job).faster_than(Contestant::Package, times));
    }
    let job = Job::new(Operation::Last, Backend::Sqlite).with_already(1_000);
    cases.push(
        Case::new("read the last 50 messages", job).faster_than(Contestant::OpenaiAgents, 2.0),
    );
    let job = Job::new(Operation::ReadWhileWriting, Backend::Sqlite);
    cases.push(
        Case::new("16 readers while 64 callers append", job)
            .against(With::ItselfBySpeed("16 readers alone"), Target::AtLeast(0.4)),
    );
    cases
}

fn library(scale: &Scale) -> Vec<Case> {
    use Contestant::Package;
    let list = Job::new(Operation::List, Backend::Sqlite);
    let stats = Job::new(Operation::Stats, Backend::Sqlite);
    let mut cases = vec![
        Case::new("list 50 sessions", list.clone()).in_library().faster_than(Package, 40.0),
        Case::new("list 50 sessions, 5,000 deep", list)
            .in_library()
            .against(With::ItselfByTime("the first 50"), Target::AtMost(1.5)),
        Case::new("totals", stats).in_library().faster_than(Package, 500.0),
    ];
    for (kind, query) in [
        ("a rare word", "zirconium"),
        ("a common word", "the"),
        ("an absent word", "qwzxvkj"),
        ("two words", "movie favorite"),
        ("a phrase", "\"how are you\""),
        ("two CJK characters", "部署"),
    ] {
        let job = Job::new(Operation::Search, Backend::Sqlite).with_query(query);
        cases.push(
            Case::new(format!("search: {kind}"), job)
                .in_library()
                .faster_than(Package, 100.0)
                .against(With::Figure(P99), Target::AtMost(0.002)),
        );
    }
    for (kind, query) in [("a common word", "the"), ("a rare word", "zirconium")] {
        let search = Job::new(Operation::Search, Backend::Sqlite);
        let job = search.with_query(query).with_user("user-7");
        cases.push(
            Case::new(format!("search: {kind}, of one user in a hundred"), job)
                .in_library()
                .against(With::Figure(P99), Target::AtMost(0.005)),
        );
    }
    for (kind, query) in [("a common word", "the"), ("a rare word", "zirconium")] {
        let job = Job::new(Operation::SearchByRank, Backend::Sqlite).with_query(query);
        cases.push(
            Case::new(format!("search by rank: {kind}"), job)
                .in_library()
                .against(With::Figure(P99), Target::AtMost(0.1)),
        );
    }
    let open = Job::new(Operation::Open, Backend::Sqlite);
    cases.push(
        Case::new("open the store", open)
            .in_library()
            .against(With::Figure(EACH), Target::AtMost(0.05)),
    );
    // What it takes grows with the messages.
    let is_full = scale.sessions * scale.messages >= 1_000_000;
    let target = is_full.then_some(Target::AtMost(1.0));
    cases.push(
        Case::new("folder: open", Job::new(Operation::Open, Backend::Folder))
            .in_library()
            .against(With::Figure(EACH), target),
    );
    cases
}

fn recording() -> Vec<Case> {
    let case = |name, operation| Case::new(name, Job::new(operation, Backend::Sqlite));
    let figure = |case: Case, name, target| case.against(With::Figure(name), target);
    let (most, least) = (Target::AtMost, Target::AtLeast);
    let chunks = case("layer: an answer in 200 chunks", Operation::RecordChunks);
    let chunks = figure(chunks, FIRST_BYTE, most(5e-6));
    let leavers = case("layer: 1,000 clients that leave", Operation::RecordLeavers);
    let leavers = figure(leavers, KEPT, least(1.0));
    let crowd = case("layer: 2,000 answers at once", Operation::RecordCrowd);
    vec![
        figure(chunks, CHUNK, most(5e-6)),
        figure(case("layer: an answer of 1 GB", Operation::RecordFlood), GROWTH, most(5.0)),
        // From the moment when the last one leaves until all are on disk.
        figure(leavers, EACH, most(1.0)),
        figure(crowd, KEPT, least(1.0)),
    ]
}

fn sizes(scale: &Scale) -> Vec<Case> {
    let fill = |name, texts| {
        let mut job = Job::new(Operation::FillLibrary, Backend::Sqlite).with_already(20);
        job.sessions = scale.sized_sessions;
        Case::new(name, job)
            .with_disk(Disk::Fixed(0))
            .with_texts(texts)
            .against(With::Figure(SIZE), Target::AtMost(2.2))
    };
    vec![fill("size of the file", Texts::Synthetic), fill("size of the file", Texts::Conversations)]
}
