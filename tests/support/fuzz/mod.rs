//! What the fuzzers of `tests/fuzz` run, as plain functions: each takes any bytes and panics if a promise is broken.
//!
//! The test `fuzz_seeds` runs them on the seeds.

mod cursor;
mod dataset;
mod file;
mod import;
mod json;
mod python;
mod query;

pub use cursor::cursor;
pub use dataset::dataset;
pub use file::file;
pub use import::import;
pub use json::json;
pub use python::python;
pub use query::query;

use tokio::runtime::{Builder, Runtime};

/// The runtime of a thread that fuzzes.
fn with_runtime<T>(run: impl FnOnce(&Runtime) -> T) -> T {
    thread_local! {
        static RUNTIME: Runtime =
            Builder::new_current_thread().build().expect("a runtime without drivers can be built");
    }
    RUNTIME.with(run)
}
