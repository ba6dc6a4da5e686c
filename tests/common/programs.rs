//! The examples as programs.

use std::collections::HashMap;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::LazyLock;

use serde_json::Value;

/// Returns a command that runs Cargo without the variables that it sets for a running test. Build scripts read these
/// variables. With them, the scripts would run again here, and once more in the next `cargo test`.
pub fn cargo() -> Command {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    for (name, _) in std::env::vars_os() {
        let about = name.to_str().and_then(|name| name.strip_prefix("CARGO_")).unwrap_or_default();
        if ["MANIFEST_", "PKG_", "CRATE_", "BIN_"].iter().any(|part| about.starts_with(part)) {
            cargo.env_remove(&name);
        }
    }
    cargo
}

/// Builds the examples with this test's profile. `cargo test` has built them already, but a single test program has not.
pub static PROGRAMS: LazyLock<HashMap<String, PathBuf>> = LazyLock::new(|| {
    let mut build = cargo();
    build.args(["build", "--examples", "--message-format=json-render-diagnostics", "--quiet"]);
    build.args((!cfg!(debug_assertions)).then_some("--release"));
    build.current_dir(env!("CARGO_MANIFEST_DIR")).stderr(Stdio::inherit());
    let output = build.output().unwrap();
    assert!(output.status.success(), "the examples do not build");
    let lines = String::from_utf8(output.stdout).unwrap();
    let artifacts = lines.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let examples = artifacts.filter(|artifact| artifact["target"]["kind"][0] == "example");
    let named = examples.filter_map(|artifact| {
        Some((artifact["target"]["name"].as_str()?.to_owned(), artifact["executable"].as_str()?.into()))
    });
    named.collect()
});
