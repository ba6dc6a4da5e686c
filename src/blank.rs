//! White space, as servers see it.

/// Characters that servers trim. JavaScript's `trim` includes the byte order mark, and Python's `strip` some control
/// characters.
pub(crate) fn is_trimmed(c: char) -> bool {
    c.is_whitespace() || c.is_control() || c == '\u{feff}'
}

/// Whether nothing is left of the text on a server.
pub(crate) fn is_blank(text: &str) -> bool {
    text.chars().all(is_trimmed)
}
