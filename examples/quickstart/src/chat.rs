//! The conversation at the terminal.

use std::io::{self, Write};
use std::time::Duration;

use session_history_saver::export::Format;
use session_history_saver::{
    Error, ErrorKind, Message, Role, Session, SessionHandle, SessionQuery, SessionTracker, Status,
};
use tokio::time::sleep;

use crate::command::{HELP, Input};
use crate::eliza::Eliza;

/// Whether the conversation goes on after a line.
#[derive(Debug, PartialEq)]
pub(crate) enum Next {
    Line,
    Quit,
}

/// A conversation, begun by the first thing said.
#[derive(Debug)]
pub(crate) struct Chat {
    history: SessionTracker,
    session: Option<SessionHandle>,
    eliza: Eliza,
    delay: Duration,
}

type Outcome<T = ()> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

impl Chat {
    /// A conversation whose answers pause so long after each word.
    pub(crate) fn new(history: SessionTracker, delay: Duration) -> Self {
        Self { history, session: None, eliza: Eliza::default(), delay }
    }

    /// Says hello, and shows what was interrupted last time.
    pub(crate) async fn greet(&self) -> Outcome {
        say("This is Eliza. Say something, or /help.")?;
        let latest = self.history.list(SessionQuery::new().with_limit(1)).await?.items;
        let Some(session) = latest.first() else { return Ok(()) };
        let last = self.history.handle(&session.id).last(1).await?;
        if let [message] = last.as_slice()
            && message.status == Status::Interrupted
        {
            say(&format!("The last conversation ({}) was interrupted:", session.id))?;
            say(&described(message))?;
            say(&format!("To go on with it: /resume {}", session.id))?;
        }
        Ok(())
    }

    /// Does what a line says. What can be mended is told, and the conversation goes on.
    pub(crate) async fn take(&mut self, line: &str) -> Outcome<Next> {
        match Input::parse(line) {
            Ok(Input::Quit) => return Ok(Next::Quit),
            Ok(input) => match self.act(input).await {
                Err(error) if can_be_mended(&*error) => say(&with_causes(&*error))?,
                outcome => outcome?,
            },
            Err(explanation) => say(&explanation)?,
        }
        Ok(Next::Line)
    }

    /// Ends the conversation and closes the store.
    pub(crate) async fn end(self) -> Outcome {
        if let Some(session) = &self.session {
            session.end().await?;
        }
        self.history.close().await?;
        Ok(())
    }

    async fn act(&mut self, input: Input<'_>) -> Outcome {
        match input {
            Input::Nothing | Input::Quit => Ok(()),
            Input::Help => say(HELP),
            Input::Said(text) => self.talk(text).await,
            Input::List => self.list().await,
            Input::Resume(id) => self.resume(id).await,
            Input::Search(text) => self.search(text).await,
            Input::Stats => self.stats().await,
            Input::Export(format) => self.export(format).await,
        }
    }

    async fn talk(&mut self, said: &str) -> Outcome {
        let session = match &self.session {
            Some(session) => session.clone(),
            None => {
                let title: String = said.chars().take(40).collect();
                let session = self.history.session().title(title).tag("quickstart").await?;
                self.session.insert(session).clone()
            }
        };
        session.user(said).await?;

        let text = self.eliza.answer(said);
        let mut answer = session.stream().model("eliza").begin().await?;
        let mut out = io::stdout();
        write!(out, "Eliza: ")?;
        out.flush()?;
        let words = text.split_inclusive(' ');
        let mut tokens = 0;
        for word in words {
            sleep(self.delay).await;
            write!(out, "{}", printable(word))?;
            out.flush()?;
            answer.push(word).await?;
            tokens += 1;
        }
        writeln!(out)?;
        answer.finish().tokens(tokens).await?;
        Ok(())
    }

    async fn list(&self) -> Outcome {
        let sessions = self.history.list(SessionQuery::new().with_limit(20)).await?.items;
        if sessions.is_empty() {
            return say("There is no conversation yet.");
        }
        sessions.iter().try_for_each(|session| say(&summary(session)))
    }

    async fn resume(&mut self, beginning: &str) -> Outcome {
        let mut found = Vec::new();
        let mut query = SessionQuery::new().with_limit(1_000);
        loop {
            let page = self.history.list(query.clone()).await?;
            let matching =
                page.items.into_iter().filter(|session| session.id.as_str().starts_with(beginning));
            found.extend(matching);
            match page.next {
                Some(next) => query = query.with_after(next),
                None => break,
            }
        }
        // A whole id goes before longer ones that begin with it.
        let whole = found.iter().position(|session| session.id == *beginning);
        let session = match (whole, found.as_slice()) {
            (Some(at), _) => &found[at],
            (None, [session]) => session,
            (None, []) => {
                return say(&format!("no conversation begins with {beginning}; see /list"));
            }
            (None, several) => {
                say(&format!("{} conversations begin with {beginning}:", several.len()))?;
                return several.iter().take(20).try_for_each(|session| say(&summary(session)));
            }
        };
        let handle = self.history.resume(&session.id).await?;
        for message in handle.last(6).await? {
            say(&described(&message))?;
        }
        match self.session.replace(handle).filter(|before| *before.id() != session.id) {
            Some(before) => before.end().await.map(drop).map_err(Into::into),
            None => Ok(()),
        }
    }

    async fn search(&self, text: &str) -> Outcome {
        let hits = self.history.search(text).await?.items;
        if hits.is_empty() {
            return say("Nothing was found.");
        }
        for hit in hits.iter().take(20) {
            let snippet = on_one_line(&hit.snippet.marked("[", "]"));
            say(&format!("{}  {}: {snippet}", hit.session.id, speaker(hit.message.role)))?;
        }
        Ok(())
    }

    async fn stats(&self) -> Outcome {
        let stats = self.history.stats().await?;
        say(&format!(
            "{} ({} not ended), {}, {}",
            counted(stats.sessions, "conversation"),
            stats.active_sessions,
            counted(stats.messages, "message"),
            counted(stats.tokens, "token")
        ))
    }

    async fn export(&self, format: Format) -> Outcome {
        let Some(session) = &self.session else {
            return say("There is no conversation yet: say something, or /resume one.");
        };
        let path = format!("chat-{}.{}", session.id(), format.extension());
        self.history.export(format).session(session.id()).to_file(&path).await?;
        say(&format!("Written to {path}"))
    }
}

/// Whether the user can mend it, by typing something else or by trying again later.
fn can_be_mended(error: &(dyn std::error::Error + 'static)) -> bool {
    use ErrorKind::{InvalidInput, NotFound, Unavailable};
    error
        .downcast_ref::<Error>()
        .is_some_and(|error| matches!(error.kind(), InvalidInput | NotFound | Unavailable))
}

/// What an error says, and what the errors behind it say.
pub(crate) fn with_causes(error: &(dyn std::error::Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

fn say(text: &str) -> Outcome {
    Ok(writeln!(io::stdout(), "{text}")?)
}

fn speaker(role: Role) -> &'static str {
    match role {
        Role::User => "You",
        Role::Assistant => "Eliza",
        other => other.as_str(),
    }
}

fn described(message: &Message) -> String {
    let note = match message.status {
        Status::Delivered => "",
        Status::Interrupted => " … (interrupted)",
        Status::Pending => " … (still being written)",
        Status::Error => " (error)",
    };
    format!("{}: {}{note}", speaker(message.role), printable(message.content.trim_end()))
}

/// Without control characters, which could mean something to the terminal.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() && c != '\n' { ' ' } else { c }).collect()
}

fn on_one_line(text: &str) -> String {
    printable(text).replace('\n', " ")
}

fn counted(count: u64, what: &str) -> String {
    let ending = if count == 1 { "" } else { "s" };
    format!("{count} {what}{ending}")
}

fn summary(session: &Session) -> String {
    // To the minute: `2026-11-22 11:30`.
    let updated = session.updated_at.to_string()[..16].replace('T', " ");
    format!(
        "{}  {updated}  {:>12}  {}",
        session.id,
        counted(session.message_count, "message"),
        on_one_line(session.title.as_deref().unwrap_or("-"))
    )
}
