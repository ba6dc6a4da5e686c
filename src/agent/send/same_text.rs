//! Recognises a text that the server may have changed.

/// The fewest bytes after which a server cuts a text off.
pub(crate) const MIN_CUT: usize = 100;

/// Whether a text is the sent text as a server may show it: with other white space, or cut off after at least
/// `shortest` bytes.
pub(crate) fn is_same_text(seen: &str, sent: &str, shortest: usize) -> bool {
    if seen == sent || seen.split_whitespace().eq(sent.split_whitespace()) {
        return true;
    }
    let stem = seen.trim_end();
    let stem =
        ["…(truncated)", "...", "…"].iter().find_map(|end| stem.strip_suffix(end)).unwrap_or(stem).trim_end();
    !stem.is_empty() && stem.len() >= shortest && sent.starts_with(stem)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_recognised_as_the_server_shows_it() {
        let long = "word ".repeat(100);
        let cut = |end: &str| format!("{}{end}", long.split_at(203).0);
        assert!(is_same_text("a b", "a b", 100) && is_same_text("a\nb", "a  b", 100));
        for end in ["", "…", "...", " …(truncated)"] {
            assert!(is_same_text(&cut(end), &long, 100), "{end}");
        }
        assert!(!is_same_text("word", &long, 100) && is_same_text("word…", &long, 1));
        assert!(!is_same_text("", "a", 1) && !is_same_text("…", "a", 0) && !is_same_text("b", "a", 0));
        assert!(!is_same_text("word word", "word", 0), "longer is another");
    }
}
