//! Splits a long text into parts that are easy to read.

use std::ops::Range;

use unicode_segmentation::GraphemeCursor;

use crate::blank::is_trimmed;

/// A piece of a text, with the text to add before and after it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct TextPart {
    pub(crate) range: Range<usize>,
    /// Opens again the code fence in which the piece starts.
    pub(crate) prefix: String,
    /// Closes the code fence in which the piece ends.
    pub(crate) suffix: String,
}

/// The smallest limit: a part must have room for a fence and a few words.
pub(crate) const MIN_LIMIT: usize = 200;
/// A longer fence does not count as a fence, because it would leave no room for text.
const MAX_FENCE: usize = 16;
const MAX_INFO: usize = 40;

/// Stands before a text or a part that would otherwise start with a slash, because the platform would run it as a
/// command.
pub(crate) const NO_COMMAND: &str = "\u{2026} ";

/// Splits a trimmed text into parts of at most `limit` characters, at the end of a paragraph, a line or a word, or at
/// least between two visible characters. Prefers splits outside of code. Removes white space at a split; inside code,
/// removes only a part that would show nothing.
///
/// No part but the first starts with a slash: the platform would run such a part as a command. The caller checks the
/// first part.
///
/// The time is proportional to the length of the text.
pub(crate) fn split(text: &str, limit: usize) -> Vec<TextPart> {
    let limit = limit.max(MIN_LIMIT);
    let mut words = Words::new(text);
    let mut parts: Vec<TextPart> = Vec::new();
    let mut fence: Option<Fence<'_>> = None;
    let mut at = 0;
    while words.next(at) < text.len() {
        let rest = text.get(at..).unwrap_or_default();
        let mut prefix = fence.map(Fence::reopened).unwrap_or_default();
        if !parts.is_empty() && fence.is_none() && words.slash_follows(at) {
            prefix.push_str(NO_COMMAND);
        }
        let left = limit.saturating_sub(prefix.chars().count());
        if rest.chars().nth(left).is_none() {
            parts.push(TextPart { range: at..text.len(), prefix, suffix: String::new() });
            break;
        }
        let most = left.saturating_sub(MAX_FENCE + 1);
        let window = rest.char_indices().nth(most).map_or(rest.len(), |(end, _)| end);
        let cut = Window { words: &mut words, start: at, rest, size: window, fence }.cut();
        let piece = rest.get(..cut.end).unwrap_or(rest);
        fence = after(fence, piece);
        let suffix = fence.map(|fence| fence.closed(piece)).unwrap_or_default();
        if !piece.trim().is_empty() {
            parts.push(TextPart { range: at..at + cut.end, prefix, suffix });
        }
        at += cut.next;
        // If the next line closes the fence, skip that line; otherwise the next part would begin with an empty code
        // block.
        if let Some(open) = fence.filter(|_| cut.at_line) {
            let behind = text.get(at..).unwrap_or_default();
            let line = behind.split('\n').next().unwrap_or_default();
            if open.is_closed_by(line) {
                at += (line.len() + 1).min(behind.len());
                fence = None;
            }
        }
        if fence.is_none() {
            at = words.next(at);
        }
    }
    parts
}

/// A place to split: where the piece ends, and where the next one starts.
#[derive(Debug, Clone, Copy)]
struct Cut {
    end: usize,
    next: usize,
    at_line: bool,
}

/// The part of the remaining text that fits into the next piece.
struct Window<'w, 't> {
    words: &'w mut Words<'t>,
    /// The position in the text where the rest starts.
    start: usize,
    rest: &'t str,
    size: usize,
    /// The code fence that the rest starts in.
    fence: Option<Fence<'t>>,
}

impl Window<'_, '_> {
    /// Returns the best place to split in the second half of the window. If one visible character fills the window,
    /// returns the end of the window.
    fn cut(mut self) -> Cut {
        let half = self.size / 2;
        if let Some(end) = self.line_end(half) {
            let piece = self.rest.get(..end).unwrap_or(self.rest);
            // Inside code, blank lines and indentation matter.
            let (end, next) = match after(self.fence, piece) {
                Some(_) => (end - usize::from(piece.ends_with('\r')), end + 1),
                None => (trimmed_end(piece), end),
            };
            return Cut { end, next, at_line: true };
        }
        let at = self.word_end(half).unwrap_or_else(|| self.character_end(half));
        let piece = self.rest.get(..at).unwrap_or(self.rest);
        let end = match after(self.fence, piece) {
            Some(_) => at,
            None => trimmed_end(piece),
        };
        Cut { end, next: at, at_line: false }
    }

    /// Whether a part may start with the first word at or after this position of the rest.
    fn word_may_begin(&mut self, at: usize) -> bool {
        let word = self.words.next(self.start + at);
        !self.words.slash_follows(word)
    }

    /// The end of the best line to split after: preferably before a blank line and outside of code.
    fn line_end(&mut self, half: usize) -> Option<usize> {
        let mut best: [Option<usize>; 4] = [None; 4];
        let mut fence = self.fence;
        let mut start = 0;
        // Whether the open fence has content.
        let mut filled = false;
        let head = self.rest.get(..self.size).unwrap_or(self.rest);
        let line_at = |start: usize| self.rest.get(start..).and_then(|rest| rest.split('\n').next());
        // A line that ends exactly at the end of the window fits, too.
        let behind_window = self.rest.get(self.size..).is_some_and(|rest| rest.starts_with('\n'));
        let ends = head.match_indices('\n').map(|(end, _)| end).chain(behind_window.then_some(self.size));
        let ends: Vec<usize> = ends.collect();
        for end in ends {
            let line = self.rest.get(start..end).unwrap_or_default();
            let was_open = fence.is_some();
            fence = after(fence, line);
            filled = if was_open && fence.is_some() { filled || !line.trim().is_empty() } else { false };
            let inside = fence.is_some();
            if end >= half && if inside { filled } else { self.word_may_begin(end + 1) } {
                let blank = line_at(end + 1).is_none_or(|next| next.trim().is_empty());
                let rank = usize::from(!blank) + 2 * usize::from(inside);
                if let Some(place) = best.get_mut(rank) {
                    *place = Some(end);
                }
            }
            start = end + 1;
        }
        best.into_iter().flatten().next()
    }

    /// The white space after the last word that fits.
    fn word_end(&mut self, half: usize) -> Option<usize> {
        let is_space = |c: char| c.is_whitespace() && !matches!(c, '\u{a0}' | '\u{202f}');
        let fits = self.rest.char_indices().take_while(|(at, _)| *at <= self.size);
        let spaces: Vec<usize> =
            fits.filter(|(at, c)| *at >= half && is_space(*c)).map(|(at, _)| at).collect();
        spaces.into_iter().rev().find(|at| is_boundary(self.rest, *at) && self.word_may_begin(*at))
    }

    /// The last place between two visible characters, inside a word or inside white space.
    fn character_end(&mut self, half: usize) -> usize {
        let mut fallback = None;
        for at in (half.max(1)..=self.size).rev() {
            if !is_boundary(self.rest, at) {
                continue;
            }
            if self.word_may_begin(at) {
                return at;
            }
            fallback = fallback.or(Some(at));
        }
        fallback.unwrap_or(self.size)
    }
}

/// Whether this byte position is between two visible characters. Both ends of the text count.
fn is_boundary(text: &str, at: usize) -> bool {
    // This cannot fail: the cursor has the whole text.
    text.is_char_boundary(at)
        && GraphemeCursor::new(at, text.len(), true).is_boundary(text, 0).unwrap_or(true)
}

/// The length of a piece without the white space at its end. White space that belongs to the visible character before it
/// stays.
fn trimmed_end(piece: &str) -> usize {
    let end = piece.trim_end().len();
    (end..piece.len()).find(|at| is_boundary(piece, *at)).unwrap_or(piece.len())
}

/// Whether the platform runs this text as a command instead of showing it.
pub(crate) fn is_command(text: &str) -> bool {
    let name = text.trim_start_matches(is_trimmed).strip_prefix('/');
    name.is_some_and(|name| name.starts_with(char::is_alphanumeric))
}

/// Finds words in a text. It stores the last run of white space, so that a long run is read once and not once per
/// position.
#[derive(Debug)]
struct Words<'t> {
    text: &'t str,
    /// The last run of white space that was looked up, or the tail of that run.
    run: Range<usize>,
    /// The last run of characters that servers trim, or the tail of that run. Some servers trim more than white space.
    trimmed: Range<usize>,
}

impl<'t> Words<'t> {
    fn new(text: &'t str) -> Self {
        Words { text, run: 0..0, trimmed: 0..0 }
    }

    /// The first position at or after `at` that is not white space; the end of the text if there is none. White space with
    /// a combining mark is a visible character.
    fn next(&mut self, at: usize) -> usize {
        let end = skip(self.text, &mut self.run, at, char::is_whitespace);
        let last = self.text.get(at..end).and_then(|blank| blank.char_indices().next_back());
        let Some(last) = last.map(|(last, _)| at + last) else { return end };
        let marked = self.text.get(last..).is_some_and(|rest| !is_boundary(rest, end - last));
        if marked { last } else { end }
    }

    /// Whether a server that trims the text from this position would find a slash first.
    fn slash_follows(&mut self, at: usize) -> bool {
        let at = skip(self.text, &mut self.trimmed, at, is_trimmed);
        self.text.get(at..).is_some_and(|rest| rest.starts_with('/'))
    }
}

/// Returns the end of the run of characters at `at` for which `is_in` returns `true`. Stores the run.
fn skip(text: &str, run: &mut Range<usize>, at: usize, is_in: fn(char) -> bool) -> usize {
    if run.contains(&at) {
        return run.end;
    }
    let rest = text.get(at..).unwrap_or_default();
    let Some(first) = rest.chars().next().filter(|first| is_in(*first)) else { return at.min(text.len()) };
    // If the position is directly before the stored run, the run starts here.
    let end = if at + first.len_utf8() == run.start && run.start < run.end {
        run.end
    } else {
        text.len() - rest.trim_start_matches(is_in).len()
    };
    *run = at..end;
    end
}

/// An open code fence: a run of backticks or tildes, and the text after it.
#[derive(Debug, Clone, Copy)]
struct Fence<'t> {
    run: &'t str,
    info: &'t str,
}

impl<'t> Fence<'t> {
    fn opened_by(line: &'t str) -> Option<Self> {
        let line = line.trim();
        let mark = line.chars().next().filter(|c| matches!(c, '`' | '~'))?;
        let info = line.trim_start_matches(mark);
        let run = line.get(..line.len() - info.len())?;
        let fits = (3..=MAX_FENCE).contains(&run.len()) && info.chars().nth(MAX_INFO).is_none();
        // A line of backticks that has another backtick later is inline code, not a fence.
        let alone = mark == '~' || !info.contains('`');
        (fits && alone).then_some(Fence { run, info })
    }

    fn is_closed_by(self, line: &str) -> bool {
        let line = line.trim();
        line.len() >= self.run.len() && line.trim_start_matches(self.mark()).is_empty()
    }

    fn mark(self) -> char {
        if self.run.starts_with('~') { '~' } else { '`' }
    }

    fn reopened(self) -> String {
        format!("{}{}\n", self.run, self.info)
    }

    fn closed(self, piece: &str) -> String {
        let line = if piece.ends_with('\n') { "" } else { "\n" };
        format!("{line}{}", self.run)
    }
}

/// The fence that is open after these lines.
fn after<'t>(mut fence: Option<Fence<'t>>, lines: &'t str) -> Option<Fence<'t>> {
    for line in lines.split('\n') {
        fence = match fence {
            Some(open) if open.is_closed_by(line) => None,
            Some(open) => Some(open),
            None => Fence::opened_by(line),
        };
    }
    fence
}

#[cfg(test)]
mod tests;
