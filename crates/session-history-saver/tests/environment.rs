//! The environment of the process, read in child processes so that no test changes its own.

use std::process::{Command, Output};

use session_history_saver::{Config, Location, Saving};

/// Runs one of the tests below, which do nothing by themselves, with these variables only.
fn run(test: &str, variables: &[(&str, &str)]) -> Output {
    let program = std::env::current_exe().unwrap();
    Command::new(program)
        .args(["--exact", test])
        .env_clear()
        .env("IS_CHILD", "1")
        .envs(variables.iter().copied())
        .output()
        .unwrap()
}

fn is_child() -> bool {
    std::env::var_os("IS_CHILD").is_some()
}

#[test]
fn child_reads_the_environment() {
    if !is_child() {
        return;
    }
    let config = Config::from_env().unwrap();
    assert_eq!(config.location(), &Location::fs("chats"));
    assert_eq!(config.saving(), Saving::AtEnd);
    assert_eq!(config.default_user(), Some("alice"));
    let config = config.with_location(Location::Memory).with_default_user("bob");
    assert_eq!(config.location(), &Location::Memory);
    assert_eq!(config.default_user(), Some("bob"));
}

#[test]
fn child_reads_a_bad_environment() {
    if !is_child() {
        return;
    }
    let error = Config::from_env().unwrap_err().to_string();
    assert!(error.contains("SHS_BACKEND is \"mongodb\"") && error.contains("sqlite"), "{error}");
}

#[test]
fn child_keeps_the_defaults_of_the_program() {
    if !is_child() {
        return;
    }
    let defaults = Config::new().with_location(Location::sqlite("chat.db"));
    assert_eq!(Config::from_env_or(defaults.clone()).unwrap(), defaults);
}

#[test]
fn fault_environment_is_weaker_than_the_program() {
    let variables =
        [("SHS_STORE", "fs:chats"), ("SHS_AUTO_SAVE", "no"), ("SHS_DEFAULT_USER", "alice")];
    let output = run("child_reads_the_environment", &variables);
    assert!(output.status.success(), "{output:?}");
}

#[test]
fn feature_config_from_the_environment_refuses_what_it_does_not_know() {
    let output = run("child_reads_a_bad_environment", &[("SHS_BACKEND", "mongodb")]);
    assert!(output.status.success(), "{output:?}");
}

#[test]
fn feature_config_defaults_of_the_program_hold_without_an_environment() {
    let output = run("child_keeps_the_defaults_of_the_program", &[]);
    assert!(output.status.success(), "{output:?}");
}
