//! Where an export goes to.

use shs_store::{Error, ErrorKind, Result};
use tokio::io::{AsyncWrite, AsyncWriteExt};

/// A buffer in front of a writer.
pub(crate) struct Output<'a> {
    writer: &'a mut (dyn AsyncWrite + Send + Unpin),
    pub(crate) buffer: Vec<u8>,
}

impl<'a> Output<'a> {
    const FULL: usize = 64 * 1024;

    pub(crate) fn new(writer: &'a mut (dyn AsyncWrite + Send + Unpin)) -> Self {
        Self { writer, buffer: Vec::new() }
    }

    /// Writes a line and its end.
    pub(crate) async fn line(&mut self, line: &[u8]) -> Result<()> {
        self.buffer.extend_from_slice(line);
        self.buffer.push(b'\n');
        self.write_if_full().await
    }

    pub(crate) async fn write_if_full(&mut self) -> Result<()> {
        if self.buffer.len() < Self::FULL {
            return Ok(());
        }
        self.write().await
    }

    async fn write(&mut self) -> Result<()> {
        self.writer.write_all(&self.buffer).await.map_err(cannot_write)?;
        self.buffer.clear();
        // A line of many megabytes is no reason to keep them.
        self.buffer.shrink_to(4 * Self::FULL);
        Ok(())
    }

    pub(crate) async fn finish(mut self) -> Result<()> {
        self.write().await?;
        self.writer.flush().await.map_err(cannot_write)
    }
}

fn cannot_write(error: std::io::Error) -> Error {
    Error::new(ErrorKind::Unavailable, "the export cannot be written")
        .with_op("export")
        .with_source(error)
}
