//! What the command line says.

use crate::Result;
use crate::cases::Case;
use crate::scale::Scale;

const USAGE: &str = "usage: shs-benches [--quick | --full] [--rounds N] [--only NAME]…
  --quick      one short round over a small library, to see that it works
  --full       a library of 1,000,000 messages
  --rounds N   how often all take turns (5)
  --only NAME  the operations whose name contains this";

/// What to run.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    pub(crate) scale: Scale,
    /// Whether the results are those to publish.
    pub(crate) is_complete: bool,
    only: Vec<String>,
}

impl Options {
    pub(crate) fn parse(arguments: &[String]) -> Result<Self> {
        let mut options = Self { scale: Scale::usual(), is_complete: true, only: Vec::new() };
        let mut rounds = None;
        let mut arguments = arguments.iter();
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--quick" => {
                    options.scale = Scale::quick();
                    options.is_complete = false;
                }
                "--full" => options.scale = Scale::full(),
                "--rounds" => {
                    let number = arguments.next().ok_or(USAGE)?;
                    rounds = Some(number.parse::<std::num::NonZero<usize>>()?.get());
                }
                "--only" => {
                    options.only.push(arguments.next().ok_or(USAGE)?.clone());
                    options.is_complete = false;
                }
                _ => return Err(USAGE.into()),
            }
        }
        if let Some(rounds) = rounds {
            options.scale.rounds = rounds;
            options.is_complete &= rounds >= 5;
        }
        Ok(options)
    }

    pub(crate) fn includes(&self, case: &Case) -> bool {
        self.only.is_empty() || self.only.iter().any(|name| case.name.contains(name.as_str()))
    }
}
