//! Mentions in a text.

/// Whether the text contains `@handle` as a separate word: `@larry` is neither in `@larry_lobster` nor in `me@larry`.
/// Case does not matter. `handle` may have an `@` and white space around it.
///
/// This is the rule of the platform's JavaScript SDK and Hermes template:
/// `(^|[^a-z0-9_-])@<handle>(?![a-z0-9_-])`.
///
/// ```
/// assert!(crustocean::agent::is_mentioned("hey @Larry, hello", "larry"));
/// assert!(!crustocean::agent::is_mentioned("hey @larry_lobster", "larry"));
/// ```
pub fn is_mentioned(text: &str, handle: &str) -> bool {
    let handle = handle.trim();
    let handle = handle.strip_prefix('@').unwrap_or(handle).as_bytes();
    if handle.is_empty() {
        return false;
    }
    let text = text.as_bytes();
    // Bytes are enough: `@`, word characters and handles are ASCII, and no byte of another UTF-8 character equals
    // them.
    text.iter().enumerate().filter(|(_, byte)| **byte == b'@').any(|(at, _)| {
        let free_before =
            at.checked_sub(1).and_then(|before| text.get(before)).is_none_or(|byte| !is_word(*byte));
        let end = at + 1 + handle.len();
        let same = text.get(at + 1..end).is_some_and(|word| word.eq_ignore_ascii_case(handle));
        let free_after = text.get(end).is_none_or(|byte| !is_word(*byte));
        free_before && same && free_after
    })
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
    fn cleans_the_handle() {
        assert!(is_mentioned("@larry", " @Larry "));
        assert!(!is_mentioned("@", ""));
        assert!(!is_mentioned("@ x", "@"));
    }
}
