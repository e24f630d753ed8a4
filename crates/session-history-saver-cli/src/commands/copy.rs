//! `shs copy`.

use futures::TryStreamExt;
use serde_json::json;
use session_history_saver::{
    Config, ErrorKind, ImportMode, Location, SessionOrder, SessionQuery, SessionTracker, StoreExt,
};

use crate::arguments::Copy;
use crate::failure::{Failure, Result};
use crate::guard;
use crate::output::Output;
use crate::shown::tell;

/// Refuses to copy to a place inside of a store.
pub(super) fn check(location: &Location, arguments: &Copy) -> Result<()> {
    match arguments.to.path() {
        Some(target) => guard::check_inside(target, location),
        None => Err(Failure::Usage("a store in memory is gone when the program ends".to_owned())),
    }
}

pub(super) async fn run(
    history: &SessionTracker,
    arguments: Copy,
    output: &mut Output,
) -> Result<()> {
    let target = SessionTracker::open(Config::new().with_location(arguments.to)).await?;
    let (mut copied, mut there, mut differ) = (0_u64, 0_u64, 0_u64);
    let query = SessionQuery::new().with_order(SessionOrder::Created);
    let mut sessions = history.store().session_stream(query);
    while let Some(session) = sessions.try_next().await? {
        let source = match history.store().transcript(&session.id).await {
            Ok(source) => source,
            // Deleted meanwhile.
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            Err(error) => return Err(error.into()),
        };
        match target.import_session(source.clone(), ImportMode::CreateOnly).await {
            Ok(_) => copied += 1,
            // A run that was interrupted goes on here.
            Err(error) if error.kind() == ErrorKind::AlreadyExists => there += 1,
            Err(error) => return Err(error.into()),
        }
        let copy = target.store().transcript(&session.id).await?;
        if copy != source {
            differ += 1;
            tell(&format!("{} differs in the two stores", session.id));
        }
    }
    target.close().await?;
    if output.is_json() {
        output.json(&json!({ "copied": copied, "already_there": there, "differ": differ }))?;
    } else {
        output.line(&format!("copied: {copied}, already there: {there}, different: {differ}"))?;
    }
    match differ {
        0 => Ok(()),
        _ => Err(Failure::Failed(format!(
            "{differ} conversations differ; what was there was left as it is"
        ))),
    }
}
