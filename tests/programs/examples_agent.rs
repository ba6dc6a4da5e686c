//! The examples with a visitor: each runs on a sandbox of its own and ends by itself.

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::common::{PROGRAMS, Watchdog, watchdog};

/// The time limit is long, because the examples may have to be built first.
fn long_watchdog() -> Watchdog {
    watchdog(Duration::from_secs(900))
}

fn example(name: &str) -> Command {
    let mut command = Command::new(&PROGRAMS[name]);
    // Removes the caller's token and model, which may cost money.
    command.env_clear();
    for name in ["PATH", "SystemRoot", "TMPDIR", "TEMP"] {
        if let Some(value) = std::env::var_os(name) {
            command.env(name, value);
        }
    }
    command
}

/// Runs the example, which must succeed, and returns its output.
fn run(name: &str) -> String {
    let output = example(name).stdin(Stdio::null()).output().unwrap();
    let (said, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{name} ended with {}:\n{said}\n{errors}", output.status);
    said.into_owned()
}

#[test]
fn worker_pool() {
    let _watchdog = long_watchdog();
    let said = run("worker_pool");
    assert_eq!(said.matches("counted by worker").count(), 5, "{said}");
}

#[test]
fn scheduler() {
    let _watchdog = long_watchdog();
    let said = run("scheduler");
    assert!(said.contains("report 1: all is well") && said.contains("scheduler: in "), "{said}");
}

#[test]
fn llm_bot() {
    let _watchdog = long_watchdog();
    let said = run("llm_bot");
    // The system prompt, and the two messages of the room.
    assert!(said.contains("llm: I have read 3 messages"), "{said}");
}

#[test]
fn tool_bot() {
    let _watchdog = long_watchdog();
    let said = run("tool_bot");
    let asked = said.lines().filter(|line| line.contains("Write down: \\\"the die shows")).count();
    assert_eq!((asked, said.matches("noted: \"the die shows").count()), (2, 1), "{said}");
    assert!(said.contains("tool: The result: permission denied."), "{said}");
}

#[test]
fn watch() {
    let _watchdog = long_watchdog();
    let said = run("watch");
    for part in ["is it raining?", "a run", "looking out of the window", "blue sky", "it is dry"] {
        assert!(said.contains(part), "{said}");
    }
}

#[test]
fn bridge() {
    let _watchdog = long_watchdog();
    let mut bridge =
        example("bridge").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut typing = bridge.stdin.take().unwrap();
    let mut said = BufReader::new(bridge.stdout.take().unwrap()).lines().map(Result::unwrap);
    assert_eq!(said.next().unwrap(), "in lobby, as @bridge");
    writeln!(typing, "\nhello").unwrap();
    assert_eq!(said.next().unwrap(), "visitor: I can hear you");
    // The example ends at the end of its input.
    drop(typing);
    assert!(bridge.wait().unwrap().success());
}
