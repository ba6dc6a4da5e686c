//! Scripts run by Node.

use std::io::{BufRead, BufReader, Lines, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde_json::Value;

pub(crate) fn home() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A file of the npm packages.
///
/// # Panics
/// If they are not installed.
pub(crate) fn package(path: &str) -> PathBuf {
    let path = home().join("node_modules").join(path);
    assert!(
        path.exists(),
        "the packages of crates/wallet/interop are not installed: run `npm ci --prefix crates/wallet/interop`"
    );
    path
}

/// A script that answers each line of JSON with a line of JSON. Dropping it ends it.
#[derive(Debug)]
pub struct Script {
    child: Child,
    input: ChildStdin,
    output: Lines<BufReader<ChildStdout>>,
}

impl Script {
    /// Starts a script of this directory.
    ///
    /// # Panics
    /// If Node or the packages are not installed.
    pub fn start(name: &str, arguments: &[&str]) -> Script {
        package("viem/package.json");
        let mut child = Command::new("node")
            .arg(home().join(name))
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start node, install Node.js 20 or newer: {error}"));
        let input = child.stdin.take().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap()).lines();
        Script { child, input, output }
    }

    /// The next line that the script prints.
    pub fn line(&mut self) -> String {
        self.output.next().expect("the script ended: its message is above").unwrap()
    }

    /// Sends one line and returns the answer.
    pub fn ask(&mut self, question: &Value) -> Value {
        writeln!(self.input, "{question}").unwrap();
        serde_json::from_str(&self.line()).unwrap()
    }
}

impl Drop for Script {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
