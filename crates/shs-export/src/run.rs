//! An export while it is made: session by session, from the store to the writers.

use futures::stream::TryStreamExt;
use shs_store::{Result, Session, StoreExt};
use tokio::io::AsyncWrite;

use crate::Format;
use crate::export::Export;
use crate::output::Output;
use crate::plain::{Encoder, Heading};
#[cfg(feature = "tokens")]
use crate::prepare::Tokens;
use crate::prepare::{self, Conversation, Pair, Pairs, Seen};
use crate::report::{Reason, Report, count};
use crate::source::Source;
use crate::training::{self, Abilities, Rows};

pub(crate) struct Run<'a> {
    export: &'a Export,
    source: Source<'a>,
    sinks: Vec<Sink<'a>>,
    report: Report,
    seen: Seen,
    /// Whether something of a session was written that goes on.
    has_begun: bool,
    #[cfg(feature = "tokens")]
    tokens: Option<(Tokens, u64)>,
}

/// A file, or a part of a split.
struct Sink<'a> {
    output: Output<'a>,
    encoder: Option<Encoder>,
    rows: Option<Rows>,
}

impl<'a> Run<'a> {
    pub(crate) fn new(
        export: &'a Export,
        writers: Vec<&'a mut (dyn AsyncWrite + Send + Unpin)>,
    ) -> Result<Self> {
        let sink = |writer| {
            let is_plain = !export.format.is_for_training();
            let encoder =
                is_plain.then(|| Encoder::new(export.format, export.options, export.is_of_one()));
            let rows = (export.format == Format::Parquet).then(Rows::new).transpose()?;
            Ok(Sink { output: Output::new(writer), encoder, rows })
        };
        Ok(Self {
            export,
            source: Source::new(export),
            sinks: writers.into_iter().map(sink).collect::<Result<_>>()?,
            report: Report::default(),
            seen: Seen::default(),
            has_begun: false,
            #[cfg(feature = "tokens")]
            tokens: export.preparation.max_tokens.map(|limit| (Tokens::new(), limit)),
        })
    }

    /// Writes everything, and says what was written.
    pub(crate) async fn write(mut self) -> Result<Report> {
        self.begin().await?;
        let mut sessions = self.source.selected();
        let mut done = 0;
        while let Some(mut session) = sessions.try_next().await? {
            let part = self.source.part_of(&session).await?;
            self.export.preparation.redaction.session(&mut session);
            self.has_begun = false;
            let written = match self.export.format {
                format if !format.is_for_training() => self.plain(&session, part).await,
                Format::OpenAiDpo => self.pairs(&session, part).await,
                _ => self.conversation(&session, part).await,
            };
            match written {
                // It was deleted since it was found, and nobody named it.
                Err(error) if !self.has_begun && self.source.is_gone(&error) => continue,
                written => written?,
            }
            done += 1;
            if let Some(progress) = &self.export.progress {
                (progress.0)(done);
            }
        }
        for sink in self.sinks {
            sink.end().await?;
        }
        Ok(self.report)
    }

    /// What stands before the sessions. A page with several has a list of them, for which they are read twice.
    async fn begin(&mut self) -> Result<()> {
        for sink in &mut self.sinks {
            if let Some(encoder) = &mut sink.encoder {
                encoder.begin(&mut sink.output.buffer);
            }
        }
        if self.export.format != Format::Html || self.export.is_of_one() {
            return Ok(());
        }
        let mut sessions = self.source.selected();
        while let Some(mut session) = sessions.try_next().await? {
            match self.source.has_too_few_turns(&session).await {
                Ok(false) => {}
                Ok(true) => continue,
                Err(error) if self.source.is_gone(&error) => continue,
                Err(error) => return Err(error),
            }
            let part = self.source.part_of(&session).await?;
            self.export.preparation.redaction.session(&mut session);
            let Sink { output, encoder, .. } = &mut self.sinks[part];
            if let Some(encoder) = encoder {
                encoder.list(&mut output.buffer, &session);
            }
            output.write_if_full().await?;
        }
        Ok(())
    }

    /// Writes a session message by message.
    async fn plain(&mut self, session: &Session, part: usize) -> Result<()> {
        if self.source.has_too_few_turns(session).await? {
            count(&mut self.report.dropped_conversations, Reason::TooFewTurns, 1);
            count(&mut self.report.dropped_messages, Reason::TooFewTurns, session.message_count);
            return Ok(());
        }
        let Sink { output, encoder, .. } = &mut self.sinks[part];
        let Some(encoder) = encoder else { return Ok(()) };
        let duration_seconds = if encoder.needs_duration() {
            self.source.duration_seconds(session).await?
        } else {
            None
        };
        let mut messages = self.source.store.message_stream(
            &self.source.export.scope,
            &session.id,
            Source::whole(session),
        );
        let mut next = messages.try_next().await?;
        self.has_begun = true;
        encoder.begin_session(&mut output.buffer, &Heading { session, duration_seconds })?;
        while let Some(mut message) = next {
            self.export.preparation.redaction.message(&mut message);
            encoder.message(&mut output.buffer, session, &message)?;
            output.write_if_full().await?;
            self.report.messages += 1;
            next = messages.try_next().await?;
        }
        encoder.end_session(&mut output.buffer);
        self.report.conversations += 1;
        self.report.validation += part as u64;
        output.write_if_full().await
    }

    /// Writes a session as one line.
    async fn conversation(&mut self, session: &Session, part: usize) -> Result<()> {
        let format = self.export.format;
        let can = Abilities::of(format);
        let preparation = &self.export.preparation;
        let reading = self.source.turns(session, can).await?;
        let (made, tally) = prepare::conversation(session, reading, can, preparation);
        let made = made.and_then(|conversation| self.is_short_enough(conversation));
        let conversation = match made {
            Ok(conversation) => conversation,
            Err(reason) => {
                tally.dropped(&mut self.report, reason);
                return Ok(());
            }
        };
        // Of rows, the line tells whether they are the same.
        let is_line = format != Format::Parquet;
        let line = if is_line || preparation.dedupe {
            training::line(format, &conversation)?
        } else {
            Vec::new()
        };
        if preparation.dedupe && !self.seen.is_new(&line) {
            tally.dropped(&mut self.report, Reason::Duplicate);
            return Ok(());
        }
        tally.written(&mut self.report);
        self.report.validation += part as u64;
        let Sink { output, rows, .. } = &mut self.sinks[part];
        match rows {
            Some(rows) => rows.add(&conversation, &mut output.buffer)?,
            None => output.line(&line).await?,
        }
        output.write_if_full().await
    }

    /// Writes the pairs of a session, a line each.
    async fn pairs(&mut self, session: &Session, part: usize) -> Result<()> {
        let fork = self.source.fork(session).await?;
        let can = Abilities::of(self.export.format);
        let preparation = &self.export.preparation;
        let reading = self.source.turns(session, can).await?;
        let mut pairs = Pairs::of(session, reading, fork, can, preparation);
        let (mut tried, mut written) = (0_u64, 0);
        for pair in &mut pairs {
            tried += 1;
            let line = match pair.and_then(|pair| self.is_short_enough_pair(pair)) {
                Ok(pair) => {
                    let line = training::pair(&pair)?;
                    (!preparation.dedupe || self.seen.is_new(&line))
                        .then_some((line, pair.messages()))
                        .ok_or(Reason::Duplicate)
                }
                Err(reason) => Err(reason),
            };
            match line {
                Ok((line, messages)) => {
                    written += 1;
                    self.report.messages += messages;
                    self.sinks[part].output.line(&line).await?;
                }
                Err(reason) => count(&mut self.report.dropped_conversations, reason, 1),
            }
        }
        count(&mut self.report.dropped_conversations, Reason::NoPair, u64::from(tried == 0));
        self.report.conversations += written;
        self.report.validation += written * part as u64;
        if written > 0 {
            pairs.tally.left_out(&mut self.report);
        }
        Ok(())
    }

    #[cfg(feature = "tokens")]
    fn is_short_enough(&self, conversation: Conversation) -> Result<Conversation, Reason> {
        match self.tokens {
            Some((tokens, limit)) if tokens.exceed(&conversation, limit) => {
                Err(Reason::TooManyTokens)
            }
            _ => Ok(conversation),
        }
    }

    #[cfg(feature = "tokens")]
    fn is_short_enough_pair(&self, pair: Pair) -> Result<Pair, Reason> {
        match self.tokens {
            Some((tokens, limit)) if tokens.exceed_in(&pair, limit) => Err(Reason::TooManyTokens),
            _ => Ok(pair),
        }
    }

    /// A limit is refused before, where tokens cannot be counted.
    #[cfg(not(feature = "tokens"))]
    fn is_short_enough(&self, conversation: Conversation) -> Result<Conversation, Reason> {
        Ok(conversation)
    }

    /// A limit is refused before, where tokens cannot be counted.
    #[cfg(not(feature = "tokens"))]
    fn is_short_enough_pair(&self, pair: Pair) -> Result<Pair, Reason> {
        Ok(pair)
    }
}

impl Sink<'_> {
    async fn end(mut self) -> Result<()> {
        if let Some(encoder) = &mut self.encoder {
            encoder.end(&mut self.output.buffer);
        }
        if let Some(rows) = self.rows {
            rows.end(&mut self.output.buffer)?;
        }
        self.output.finish().await
    }
}
