//! What the tests across crates, processes and languages have in common.

pub mod cancel;
pub mod fuzz;
pub mod history;
pub mod lint;
pub mod mix;
pub mod mount;
pub mod power;
pub mod process;
pub mod python;
pub mod shim;

/// Says loudly that a test cannot run here; where nothing may be skipped, in CI, that is a failure.
///
/// # Panics
/// If the environment variable `CI` is set.
pub fn skip(test: &str, why: &str) {
    assert!(
        std::env::var_os("CI").is_none(),
        "{test} may not be skipped in CI, and cannot run: {why}"
    );
    eprintln!("\n*** SKIPPED: {test}: {why} ***\n");
}
