//! Writing at a place.

use std::fs::File;
use std::io;

/// Writes bytes at a place in an open file, in as few calls as the system has for it. On Windows
/// the place where the file's next read or write would go moves behind them.
///
/// # Errors
/// Those of the file system; then some of the bytes may have been written.
pub fn write_all_at(file: &File, at: u64, bytes: &[u8]) -> io::Result<()> {
    #[cfg(unix)]
    return std::os::unix::fs::FileExt::write_all_at(file, bytes, at);
    #[cfg(windows)]
    {
        let (mut at, mut bytes) = (at, bytes);
        while !bytes.is_empty() {
            match std::os::windows::fs::FileExt::seek_write(file, bytes, at) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => {
                    at += count as u64;
                    bytes = &bytes[count..];
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_written_where_they_belong() {
        let file = tempfile::NamedTempFile::new().unwrap();
        write_all_at(file.as_file(), 0, b"aaaa").unwrap();
        write_all_at(file.as_file(), 2, b"bbbb").unwrap();
        write_all_at(file.as_file(), 1, b"").unwrap();
        write_all_at(file.as_file(), 0, b"c").unwrap();
        assert_eq!(std::fs::read(file.path()).unwrap(), b"cabbbb");
    }
}
