//! From what is stored to what a format can carry.
//!
//! Messages are read into turns ([`read`]), of several answers to one question one is chosen ([`alternatives`]),
//! questions without answers and whatever would make a line invalid are dropped round by round
//! ([`rounds`]), and roles are merged and brought in turn ([`roles`]).

mod alternatives;
mod dedupe;
mod options;
mod pairs;
mod read;
mod redact;
mod roles;
mod rounds;
mod split;
#[cfg(feature = "tokens")]
mod tokens;
mod turn;

use shs_store::{Map, Session};

pub use self::options::SystemMessages;
pub use self::split::Split;

pub(crate) use self::dedupe::Seen;
pub(crate) use self::options::Preparation;
pub(crate) use self::pairs::{Fork, Pair, Pairs};
pub(crate) use self::read::Reading;
pub(crate) use self::redact::Redaction;
pub(crate) use self::split::root;
#[cfg(feature = "tokens")]
pub(crate) use self::tokens::Tokens;
pub(crate) use self::turn::{Call, Speaker, Turn};

use crate::report::{Reason, Tally};
use crate::training::Abilities;

/// The key of a session's metadata with the definitions of its tools: an array as OpenAI's requests have it.
pub const TOOLS_KEY: &str = "tools";
/// The key of a session's metadata that says whether tools may be called at once: `true` or `false`.
pub const PARALLEL_TOOL_CALLS_KEY: &str = "parallel_tool_calls";
/// The key of an answer's metadata that says whether to train on it: `1`, or `0` for an answer that is context only.
pub const WEIGHT_KEY: &str = "weight";
/// The key of an answer's metadata that says what people think of it: a number, above zero for a good answer and below for
/// a bad one; or `"up"`, `"good"`, `"thumbs_up"`, `true`, or `"down"`, `"bad"`, `"thumbs_down"`, `false`.
pub const FEEDBACK_KEY: &str = "feedback";
/// The key by which several answers to one request are known, as `shs-tower` stores it.
pub(crate) const CHOICE_KEY: &str = "choice";

/// A conversation as a training format has it.
#[derive(Debug, Default)]
pub(crate) struct Conversation {
    /// What the system says before all; empty where it stands among the turns.
    pub(crate) system: String,
    pub(crate) turns: Vec<Turn>,
    pub(crate) tools: Vec<serde_json::Value>,
    pub(crate) parallel_tool_calls: Option<bool>,
}

/// Makes a conversation of what was read, or says why nothing of it can be written; and what became of its messages.
pub(crate) fn conversation(
    session: &Session,
    reading: Reading<'_>,
    can: Abilities,
    preparation: &Preparation,
) -> (Result<Conversation, Reason>, Tally) {
    let Reading { turns, mut tally, .. } = reading;
    let made = sound(session, turns, can, preparation, &mut tally);
    (made, tally)
}

fn sound(
    session: &Session,
    turns: Vec<Turn>,
    can: Abilities,
    preparation: &Preparation,
    tally: &mut Tally,
) -> Result<Conversation, Reason> {
    let turns = alternatives::resolve(turns, tally);
    let rounds = rounds::settle(turns, can, preparation, true, tally);
    if rounds.is_empty() {
        return Err(Reason::NothingToTrainOn);
    }
    let answered = rounds.iter().filter(|round| round.has_question).count();
    if answered < preparation.min_turns as usize {
        return Err(Reason::TooFewTurns);
    }
    let turns = rounds.into_iter().flat_map(|round| round.turns).collect();
    finish(session, turns, can, preparation, tally)
}

/// Brings turns that are sound into the form that the format has.
fn finish(
    session: &Session,
    turns: Vec<Turn>,
    can: Abilities,
    preparation: &Preparation,
    tally: &mut Tally,
) -> Result<Conversation, Reason> {
    let (system, turns) = if can.system_inside {
        (String::new(), turns)
    } else {
        roles::without_system(turns, tally)
    };
    let turns = if preparation.merge_roles { roles::merged(turns) } else { turns };
    let has_tools = turns.iter().any(|turn| turn.speaker == Speaker::Tool || turn.has_calls());
    if !can.tools && has_tools {
        return Err(Reason::ToolCalls);
    }
    if !can.any_arguments && !turns.iter().all(Turn::has_objects_for_arguments) {
        return Err(Reason::ArgumentsNoObject);
    }
    if !can.any_order {
        roles::check_in_turn(&turns)?;
        if can.tools {
            let silenced = turns.iter().filter(|turn| turn.has_calls() && !turn.is_silent());
            silenced.for_each(|_| tally.leave_out(Reason::TextBesideCall));
        }
    }
    let is_for_nothing = |turn: &Turn| turn.weight == Some(0);
    let mut answers = turns.iter().filter(|turn| turn.speaker == Speaker::Assistant);
    if can.weights && answers.all(is_for_nothing) {
        return Err(Reason::NothingToTrainOn);
    }
    turns.iter().for_each(|turn| tally.keep(&turn.messages));
    let tools = if can.tools { tools(&session.metadata, tally) } else { Vec::new() };
    let parallel_tool_calls =
        session.metadata.get(PARALLEL_TOOL_CALLS_KEY).and_then(serde_json::Value::as_bool);
    Ok(Conversation { system, turns, tools, parallel_tool_calls })
}

/// The definitions of tools that are in the form that trainers take. Others, such as those of a provider's own tools, are left out.
fn tools(metadata: &Map, tally: &mut Tally) -> Vec<serde_json::Value> {
    let Some(tools) = metadata.get(TOOLS_KEY).filter(|tools| !tools.is_null()) else {
        return Vec::new();
    };
    let all = tools.as_array();
    let taken: Vec<_> = all.into_iter().flatten().filter(|tool| is_tool(tool)).cloned().collect();
    if all.is_none_or(|all| all.len() > taken.len()) {
        tally.leave_out(Reason::ToolDefinitions);
    }
    taken
}

/// Whether it is `{"type": "function", "function": {"name": …}}`.
pub(crate) fn is_tool(tool: &serde_json::Value) -> bool {
    tool["type"] == "function"
        && tool["function"]["name"].as_str().is_some_and(|name| !name.trim().is_empty())
}
