//! What readers hand on while they read.

use shs_store::Transcript;
use tokio::sync::mpsc;

use crate::{Format, Place, Problem, Severity};

/// A conversation, or something to tell.
#[derive(Debug)]
pub(crate) enum Found {
    Conversation { place: Place, format: Format, transcript: Box<Transcript> },
    Problem(Problem),
}

/// Whoever stores it went away: the import has failed or was dropped.
#[derive(Debug)]
pub(crate) struct Gone;

/// Takes what a reader finds; it waits when too much is found at once.
#[derive(Debug)]
pub(crate) struct Sink {
    tx: mpsc::Sender<Found>,
}

impl Sink {
    pub(crate) fn new(tx: mpsc::Sender<Found>) -> Self {
        Self { tx }
    }

    pub(crate) fn conversation(
        &self,
        place: Place,
        format: Format,
        transcript: Transcript,
    ) -> Result<(), Gone> {
        self.send(Found::Conversation { place, format, transcript: Box::new(transcript) })
    }

    pub(crate) fn failed(&self, place: Place, what: impl Into<String>) -> Result<(), Gone> {
        self.problem(place, Severity::Failed, what)
    }

    pub(crate) fn note(&self, place: Place, what: impl Into<String>) -> Result<(), Gone> {
        self.problem(place, Severity::Note, what)
    }

    fn problem(
        &self,
        place: Place,
        severity: Severity,
        what: impl Into<String>,
    ) -> Result<(), Gone> {
        self.send(Found::Problem(Problem { place, severity, what: what.into() }))
    }

    fn send(&self, found: Found) -> Result<(), Gone> {
        self.tx.blocking_send(found).map_err(|_| Gone)
    }
}
