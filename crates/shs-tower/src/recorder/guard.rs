//! Code of others, which may panic.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Runs a decoder or a hook. A panic in it is told as an error and goes no further.
///
/// What the code has changed when it panics may be half done; callers throw it away.
pub(crate) fn guarded<T>(what: &str, code: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(code)).map_err(|panic| {
        // The payload may be of a type whose own Drop panics.
        std::mem::forget(panic);
        tracing::error!(what, "code given to the recorder panicked; the request goes on");
        format!("{what} panicked")
    })
}

/// Locks what is never left half done, also when somebody panicked meanwhile.
pub(crate) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
