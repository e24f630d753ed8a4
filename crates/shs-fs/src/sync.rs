//! Syncing many files: what a disk is asked for at the same time it does together.

use std::fs::File;
use std::io;
use std::thread;

/// Most threads that wait for the disk.
const MOST_THREADS: usize = 16;
/// How many files a thread is worth starting for.
const FILES_A_THREAD: usize = 4;

/// Waits until the content of files is on disk; says of each whether it is.
pub(crate) fn sync_all(files: &[&File]) -> Vec<io::Result<()>> {
    let threads = files.len().div_ceil(FILES_A_THREAD).min(MOST_THREADS);
    if threads < 2 {
        return sync(files);
    }
    thread::scope(|scope| {
        let pieces: Vec<_> = files.chunks(files.len().div_ceil(threads)).collect();
        let start = |piece| thread::Builder::new().spawn_scoped(scope, move || sync(piece)).ok();
        let started: Vec<_> = pieces[1..].iter().map(|piece| start(*piece)).collect();
        let mut results = sync(pieces[0]);
        for (piece, thread) in pieces[1..].iter().zip(started) {
            // Where no thread could be started this one does its work.
            let done = thread.and_then(|thread| thread.join().ok());
            results.extend(done.unwrap_or_else(|| sync(piece)));
        }
        results
    })
}

fn sync(files: &[&File]) -> Vec<io::Result<()>> {
    files.iter().map(|file| file.sync_data()).collect()
}
