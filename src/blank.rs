//! White space, as servers see it.

use crate::error::{Error, Result};

/// Characters that servers trim. JavaScript's `trim` includes the byte order mark, and Python's `strip` some control
/// characters.
pub(crate) fn is_trimmed(c: char) -> bool {
    c.is_whitespace() || c.is_control() || c == '\u{feff}'
}

/// Checks the text of a message.
///
/// # Errors
/// `Invalid` if the text is empty or contains only white space.
pub(crate) fn check_text(text: &str) -> Result<()> {
    if is_blank(text) {
        return Err(Error::invalid("the message has no text: a text of white space only is not sent"));
    }
    Ok(())
}

/// Whether nothing is left of the text on a server.
pub(crate) fn is_blank(text: &str) -> bool {
    text.chars().all(is_trimmed)
}
