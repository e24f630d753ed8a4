//! The command line.

use std::num::NonZero;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use session_history_saver::export::{Format, Split};
use session_history_saver::import::{self, limits};
use session_history_saver::{Location, Role, TenantId, Timestamp};

use crate::when;

/// Above the options that every command has.
const EVERYWHERE: &str = "Options of every command";

/// Reads, searches, exports, imports and deletes the conversations that session-history-saver keeps.
#[derive(Debug, Parser)]
#[command(name = "shs", version, propagate_version = true)]
pub(crate) struct Arguments {
    /// Where the conversations are: sqlite:PATH or fs:FOLDER [default: $SHS_STORE, the other SHS_* variables, or sqlite:./session_history.db]
    #[arg(long, global = true, value_name = "URL", help_heading = EVERYWHERE)]
    pub(crate) store: Option<Location>,
    /// Of this tenant: a store shares nothing between tenants [default: the tenant without a name]
    #[arg(long, global = true, value_name = "TENANT", help_heading = EVERYWHERE)]
    pub(crate) tenant: Option<TenantId>,
    /// Prints one JSON object a line
    #[arg(long, global = true, help_heading = EVERYWHERE)]
    pub(crate) json: bool,
    /// Prints at once what is longer than the screen [default: a pager, $SHS_PAGER, $PAGER or less]
    #[arg(long, global = true, help_heading = EVERYWHERE)]
    pub(crate) no_pager: bool,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Lists conversations, those that were changed last first
    List(List),
    /// Shows a conversation
    Show(Show),
    /// Searches messages: words, "phrases", prefix*, -not
    Search(Search),
    /// Counts sessions, messages and tokens
    Stats(StatsArguments),
    /// Lists the tenants that have conversations, by name
    Tenants,
    /// Writes conversations to a file or to the standard output, or checks a data set
    Export(Export),
    /// Reads conversations of other tools: exports, databases, data sets
    Import(Import),
    /// Follows new messages as they arrive
    Tail(Tail),
    /// Deletes conversations, so that nothing of their text remains in the store's files
    Delete(Delete),
    /// Copies the conversations of all tenants, or of one, to another store
    Copy(Copy),
    /// Writes a copy of the store into a file, while others are at work on it
    Backup(Backup),
    /// Makes the store of a backup
    Restore(Restore),
    /// Brings a store of an older version or of the Python package to this one; the old one is kept
    /// next to it
    Migrate,
    /// Checks everything that is stored; exit code 1 if something is not as it should be
    Verify,
    /// Puts right what verify finds, and keeps what it replaces
    Repair,
    /// Prints completions for a shell
    Completions {
        /// Which shell
        shell: Shell,
    },
    /// Prints the manual page, of one command or of all
    Man(Man),
}

#[derive(Args, Debug)]
pub(crate) struct Man {
    /// Of this command
    pub(crate) command: Option<String>,
    /// Writes the pages of all commands into this folder
    #[arg(long, value_name = "FOLDER", conflicts_with = "command")]
    pub(crate) to: Option<PathBuf>,
    /// Replaces pages that are there
    #[arg(long, requires = "to")]
    pub(crate) force: bool,
}

/// Which sessions.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct Filter {
    /// Only of this user
    #[arg(long, value_name = "USER")]
    pub(crate) user: Option<String>,
    /// Only of this project
    #[arg(long, value_name = "PROJECT")]
    pub(crate) project: Option<String>,
    /// Only with this tag; given several times, with all of them
    #[arg(long = "tag", value_name = "TAG")]
    pub(crate) tags: Vec<String>,
    /// Only since then: 2026-01-31, 2026-01-31T12:00Z, 12h, 7d
    #[arg(long, value_name = "DATE", value_parser = when::parse)]
    pub(crate) since: Option<Timestamp>,
    /// Only before then
    #[arg(long, value_name = "DATE", value_parser = when::parse)]
    pub(crate) until: Option<Timestamp>,
}

#[derive(Args, Debug)]
pub(crate) struct List {
    #[command(flatten)]
    pub(crate) filter: Filter,
    /// At most so many
    #[arg(long, default_value_t = 50, value_name = "N")]
    pub(crate) limit: u32,
    /// Goes on after a page, by the cursor that was printed behind it
    #[arg(long, value_name = "CURSOR")]
    pub(crate) after: Option<String>,
}

#[derive(Args, Debug)]
pub(crate) struct Show {
    /// The conversation's id; on a terminal, the beginning of it is enough
    pub(crate) id: String,
    /// How it is shown
    #[arg(long, value_enum, default_value_t = Shown::Text)]
    pub(crate) format: Shown,
    /// From this number on
    #[arg(long, value_name = "SEQ")]
    pub(crate) from: Option<u64>,
    /// Only the last ones
    #[arg(long, value_name = "N", conflicts_with = "from")]
    pub(crate) last: Option<u32>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Shown {
    Text,
    Md,
    Json,
}

#[derive(Args, Debug)]
pub(crate) struct Search {
    /// What to look for
    #[arg(required = true)]
    pub(crate) query: Vec<String>,
    #[command(flatten)]
    pub(crate) filter: Filter,
    /// Only of this role
    #[arg(long)]
    pub(crate) role: Option<Role>,
    /// Only of this model
    #[arg(long)]
    pub(crate) model: Option<String>,
    /// What comes first
    #[arg(long, value_enum, default_value_t = Sort::Newest)]
    pub(crate) sort: Sort,
    /// At most so many
    #[arg(long, default_value_t = 20, value_name = "N")]
    pub(crate) limit: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Sort {
    Newest,
    Best,
}

#[derive(Args, Debug)]
pub(crate) struct StatsArguments {
    /// Of this conversation only
    #[arg(conflicts_with_all = ["user", "project", "tags"])]
    pub(crate) id: Option<String>,
    #[command(flatten)]
    pub(crate) filter: Filter,
    /// A table of these, with latencies at the 50th, 95th and 99th percentile for models
    #[arg(long, value_enum)]
    pub(crate) by: Option<By>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum By {
    Model,
    User,
    Project,
    Role,
    Day,
    Hour,
}

impl By {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Model => "model",
            Self::User => "user",
            Self::Project => "project",
            Self::Role => "role",
            Self::Day => "day",
            Self::Hour => "hour",
        }
    }
}

#[derive(Args, Debug)]
pub(crate) struct Export {
    /// The conversations' whole ids [default: all that the filters let through]
    #[arg(conflicts_with_all = ["user", "project", "tags", "since", "until"])]
    pub(crate) ids: Vec<String>,
    #[command(flatten)]
    pub(crate) filter: Filter,
    /// json, jsonl, csv, md, text, html; for training: openai, openai-dpo, trl, sharegpt, alpaca, claude, parquet
    #[arg(long)]
    pub(crate) format: Format,
    /// The file, which appears whole or not at all; - for the standard output
    #[arg(short, long, value_name = "FILE", default_value = "-")]
    pub(crate) output: PathBuf,
    /// Replaces a file that is there
    #[arg(long)]
    pub(crate) force: bool,
    #[command(flatten)]
    pub(crate) preparation: Preparation,
    /// Reads a file instead, and says what a trainer would refuse; - for the standard input
    #[arg(long, value_name = "FILE", conflicts_with_all = CHECKED_ALONE)]
    pub(crate) check: Option<PathBuf>,
}

/// What makes no sense when a file is checked.
const CHECKED_ALONE: [&str; 16] = [
    "ids",
    "user",
    "project",
    "tags",
    "since",
    "until",
    "output",
    "force",
    "min_turns",
    "redact",
    "split",
    "include_interrupted",
    "system",
    "merge_roles",
    "dedupe",
    "max_tokens",
];

/// What becomes of conversations before they are written.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Preparation")]
pub(crate) struct Preparation {
    /// Drops conversations with fewer answered questions
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    pub(crate) min_turns: u32,
    /// Redacts what this regular expression matches in titles, contents, parts and metadata; ids, users, projects, tags, models and keys stay
    #[arg(long, value_name = "REGEX")]
    pub(crate) redact: Vec<String>,
    /// Writes two files, FILE.train.EXT with this share of the conversations and FILE.validation.EXT with the others
    #[arg(long, value_name = "SHARE")]
    pub(crate) split: Option<Split>,
    /// Writes answers that were interrupted, failed or are pending, too (for training)
    #[arg(long)]
    pub(crate) include_interrupted: bool,
    /// What becomes of messages of the system (for training)
    #[arg(long, value_enum, default_value_t = System::Keep)]
    pub(crate) system: System,
    /// Merges messages of one role that follow each other (for training)
    #[arg(long)]
    pub(crate) merge_roles: bool,
    /// Drops what would be written a second time (for training)
    #[arg(long)]
    pub(crate) dedupe: bool,
    /// Drops conversations with more tokens, as o200k_base has them (for training)
    #[arg(long, value_name = "N")]
    pub(crate) max_tokens: Option<NonZero<u64>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum System {
    Keep,
    Drop,
}

#[derive(Args, Debug)]
pub(crate) struct Import {
    /// Files, folders or ZIP archives; - for a text on the standard input
    #[arg(required = true)]
    pub(crate) files: Vec<PathBuf>,
    /// What they are: auto (by their content), or
    /// transcripts, csv, python, openai, sharegpt, alpaca, chatgpt, claude, open-webui, llm, langchain, openai-agents
    #[arg(long, default_value = "auto", value_name = "SOURCE", value_parser = source)]
    pub(crate) from: Source,
    /// Gives the conversations to this user
    #[arg(long, value_name = "USER")]
    pub(crate) user: Option<String>,
    /// Puts the conversations into this project
    #[arg(long, value_name = "PROJECT")]
    pub(crate) project: Option<String>,
    /// Says what would be imported, and imports nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Puts an import in the place of a conversation with its id that differs
    #[arg(long)]
    pub(crate) overwrite: bool,
    /// Most messages of one conversation
    #[arg(long, value_name = "N", default_value_t = limits::MAX_MESSAGES, help_heading = LIMITS)]
    pub(crate) max_messages: usize,
    /// Most messages that the branches of one conversation hold together
    #[arg(long, value_name = "N", default_value_t = limits::MAX_BRANCH_MESSAGES, help_heading = LIMITS)]
    pub(crate) max_branch_messages: usize,
    /// Most memory that the JSON of one conversation takes beside its text, in MiB
    #[arg(long, value_name = "MIB", default_value_t = limits::MAX_JSON_BYTES / MIB, help_heading = LIMITS)]
    pub(crate) max_json: usize,
}

/// Above the options that say how much an import takes.
const LIMITS: &str = "Limits";
/// The bytes of a mebibyte.
pub(crate) const MIB: usize = 1024 * 1024;

/// What is imported; `None` to find out.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Source(pub(crate) Option<import::Format>);

fn source(name: &str) -> Result<Source, session_history_saver::Error> {
    if name == "auto" { Ok(Source(None)) } else { Ok(Source(Some(name.parse()?))) }
}

#[derive(Args, Debug)]
pub(crate) struct Tail {
    /// Of this conversation only
    pub(crate) id: Option<String>,
    #[command(flatten)]
    pub(crate) filter: Filter,
    /// Shows so many that are there first
    #[arg(short = 'n', long, default_value_t = 10, value_name = "N")]
    pub(crate) lines: u32,
}

#[derive(Args, Debug)]
pub(crate) struct Delete {
    /// The conversations' whole ids
    #[arg(required_unless_present_any = ["user", "older_than", "erase"])]
    pub(crate) ids: Vec<String>,
    /// All conversations of this user
    #[arg(long, conflicts_with_all = ["ids", "older_than"])]
    pub(crate) user: Option<String>,
    /// All that were changed last before then: 2026-01-31, 90d
    #[arg(long, value_name = "DATE", value_parser = when::parse, conflicts_with = "ids")]
    pub(crate) older_than: Option<Timestamp>,
    /// Deletes nothing more, but makes sure that nothing of what was deleted before remains in the files
    #[arg(long, conflicts_with_all = ["ids", "user", "older_than"])]
    pub(crate) erase: bool,
    /// Does not ask
    #[arg(long)]
    pub(crate) yes: bool,
}

#[derive(Args, Debug)]
pub(crate) struct Copy {
    /// Where to: sqlite:PATH or fs:FOLDER
    #[arg(long, value_name = "URL")]
    pub(crate) to: Location,
}

#[derive(Args, Debug)]
pub(crate) struct Backup {
    /// The file, which appears whole or not at all
    pub(crate) file: PathBuf,
    /// Replaces a file that is there
    #[arg(long)]
    pub(crate) force: bool,
}

#[derive(Args, Debug)]
pub(crate) struct Restore {
    /// The backup
    pub(crate) file: PathBuf,
    /// Replaces a store that is there, and keeps it beside the new one
    #[arg(long)]
    pub(crate) force: bool,
}
