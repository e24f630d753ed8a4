//! What the fuzzers of `tests/fuzz` run, on their seeds and on each beginning of them: so it compiles and holds, without
//! libFuzzer.

use std::path::Path;

use shs_tests::fuzz;

/// Runs a target on all of its seeds, cut anywhere.
fn run(target: &str, body: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds").join(target);
    let mut seeds = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        println!("{}", path.display());
        let seed = std::fs::read(&path).unwrap();
        for end in (0..=seed.len()).step_by(11).chain([seed.len()]) {
            body(&seed[..end]);
        }
        seeds += 1;
    }
    assert!(seeds > 0, "there are seeds of {target}");
}

#[test]
fn queries() {
    run("query", fuzz::query);
}

#[test]
fn cursors() {
    run("cursor", fuzz::cursor);
}

#[test]
fn files() {
    run("file", fuzz::file);
}

#[test]
fn exports_of_other_tools() {
    run("import", fuzz::import);
}

#[test]
fn json_forms() {
    run("json", fuzz::json);
}

#[test]
fn sessions_of_the_python_package() {
    run("python", fuzz::python);
}

#[test]
fn conversations_as_data_sets() {
    run("dataset", fuzz::dataset);
}
