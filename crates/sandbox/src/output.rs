//! Prints lines. If nobody reads them any more, the lines are lost and the program goes on: `println!` and `eprintln!`
//! would panic, and a request whose log line fails would have no response.

use std::fmt::Display;
use std::io::{self, Write as _};

/// Prints a line on standard output.
#[allow(dead_code, reason = "the library prints only on standard error")]
pub(crate) fn line(text: impl Display) {
    let _ = writeln!(io::stdout(), "{text}");
}

/// Prints a line on standard error.
pub(crate) fn error_line(text: impl Display) {
    let _ = writeln!(io::stderr(), "{text}");
}
