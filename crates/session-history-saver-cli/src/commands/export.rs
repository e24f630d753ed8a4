//! `shs export`.

use std::path::Path;

use session_history_saver::SessionTracker;

use crate::arguments::Export;
use crate::failure::Result;
use crate::find;

pub(super) async fn run(history: &SessionTracker, arguments: Export) -> Result<()> {
    let mut export = history.export(arguments.format);
    if arguments.ids.is_empty() {
        export = export.sessions(find::query(&arguments.filter));
    }
    for id in &arguments.ids {
        let session = find::session(history, id).await?;
        export = export.session(&session.id);
    }
    if arguments.output == Path::new("-") {
        return Ok(export.to_writer(&mut tokio::io::stdout()).await?);
    }
    export.to_file(&arguments.output).await?;
    eprintln!("written: {}", arguments.output.display());
    Ok(())
}
