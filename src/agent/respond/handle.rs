//! Finds mentions and command prefixes in a text.

use std::ops::Range;

/// Whether the text contains `@handle` as a separate word: `@larry` is neither in `@larry_lobster` nor in `me@larry`.
/// Case does not matter. `handle` may have an `@` and white space around it.
///
/// The platform's JavaScript SDK and Hermes template use the same rule: `(^|[^a-z0-9_-])@<handle>(?![a-z0-9_-])`.
///
/// ```
/// assert!(crustocean::agent::is_mentioned("hey @Larry, hello", "larry"));
/// assert!(!crustocean::agent::is_mentioned("hey @larry_lobster", "larry"));
/// ```
pub fn is_mentioned(text: &str, handle: &str) -> bool {
    mentions(text, handle).next().is_some()
}

/// The places of the mentions in the text.
fn mentions(text: &str, handle: &str) -> impl Iterator<Item = Range<usize>> {
    let handle = handle.trim();
    // Comparing bytes is enough: `@`, word characters and handles are ASCII, and no byte of another UTF-8 character
    // is ASCII.
    let handle = handle.strip_prefix('@').unwrap_or(handle).as_bytes();
    let text = text.as_bytes();
    let signs = text.iter().enumerate().filter(|(_, byte)| **byte == b'@' && !handle.is_empty());
    signs.filter_map(move |(at, _)| {
        let end = at + 1 + handle.len();
        let same = text.get(at + 1..end)?.eq_ignore_ascii_case(handle);
        let before = at.checked_sub(1).and_then(|before| text.get(before));
        let is_apart = [before, text.get(end)].into_iter().flatten().all(|byte| !is_word(*byte));
        (same && is_apart).then_some(at..end)
    })
}

/// Returns the text without the mentions of the handle. Also removes the punctuation after a mention at the start:
/// `@larry, hello` becomes `hello`.
pub(crate) fn without_mention(text: &str, handle: &str) -> String {
    let mut out = String::new();
    let mut last = 0;
    for mention in mentions(text, handle) {
        join(&mut out, text.get(last..mention.start).unwrap_or_default());
        last = mention.end;
    }
    join(&mut out, text.get(last..).unwrap_or_default());
    out.trim().to_owned()
}

/// Appends the piece of text after a mention to the text before the mention.
fn join(out: &mut String, piece: &str) {
    if out.trim().is_empty() {
        out.clear();
        out.push_str(piece.trim_start_matches(|c: char| c.is_whitespace() || matches!(c, ',' | ':' | ';')));
        return;
    }
    if piece.starts_with(|c: char| c.is_whitespace() || matches!(c, ',' | '.' | ':' | ';' | '!' | '?')) {
        out.truncate(out.trim_end_matches(' ').len());
    }
    out.push_str(piece);
}

/// Returns the text after the prefix, if the text begins with the prefix as a separate word. Case does not matter.
pub(crate) fn behind_prefix<'t>(text: &'t str, prefix: &str) -> Option<&'t str> {
    let text = text.trim_start();
    let start = text.get(..prefix.len()).filter(|start| !start.is_empty())?;
    let rest = text.get(prefix.len()..)?;
    // A prefix that ends in a sign such as `!` may stand directly before the next word.
    let is_sign = !prefix.ends_with(|c: char| c.is_alphanumeric());
    let apart = is_sign || rest.chars().next().is_none_or(char::is_whitespace);
    (start.to_lowercase() == prefix.to_lowercase() && apart).then(|| rest.trim())
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-'
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_whole_handles_only() {
        for text in [
            "@larry",
            "hi @larry!",
            "(@LARRY)",
            "@larry_lobster @larry",
            "ü@larry…",
            "@@larry",
            "@larry.",
            "a @larry\n",
        ] {
            assert!(is_mentioned(text, "larry"), "{text}");
        }
        for text in [
            "",
            "larry",
            "@larry_lobster",
            "@larry-2",
            "@larry2",
            "me@larry",
            "x_@larry",
            "-@larry",
            "@ larry",
            "@larr",
        ] {
            assert!(!is_mentioned(text, "larry"), "{text}");
        }
    }

    #[test]
    fn the_text_without_the_mention() {
        for (text, expected) in [
            ("@larry hello", "hello"),
            ("@larry, hello", "hello"),
            ("@Larry: @larry hello", "hello"),
            ("hello @larry!", "hello!"),
            ("hey @larry, what is up?", "hey, what is up?"),
            ("tell @larry to go", "tell to go"),
            ("@larry_lobster and me@larry", "@larry_lobster and me@larry"),
            ("@larry\n```\n  code\n```", "```\n  code\n```"),
            ("@larry", ""),
            ("ü@larry ü", "ü ü"),
        ] {
            assert_eq!(without_mention(text, "larry"), expected, "{text}");
        }
    }

    #[test]
    fn a_prefix_is_a_word_or_a_sign() {
        for (text, prefix, rest) in [
            ("!conch deploy web", "!conch", Some("deploy web")),
            ("  !Conch", "!conch", Some("")),
            ("!conchita", "!conch", None),
            ("say !conch", "!conch", None),
            ("!roll 2d6", "!", Some("roll 2d6")),
            ("ü", "!conch", None),
            ("x", "", None),
        ] {
            assert_eq!(behind_prefix(text, prefix), rest, "{text}");
        }
    }

    #[test]
    fn cleans_the_handle() {
        assert!(is_mentioned("@larry", " @Larry "));
        assert!(!is_mentioned("@", ""));
        assert!(!is_mentioned("@ x", "@"));
    }
}
