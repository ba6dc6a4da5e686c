//! Cutting a long text into parts that read well.

use std::ops::Range;

use crate::agent::grapheme;

/// A piece of a text, and what stands around it so that it reads well alone.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Part {
    pub(crate) range: Range<usize>,
    /// Opens again the code fence that the piece begins in.
    pub(crate) prefix: String,
    /// Closes the code fence that the piece ends in.
    pub(crate) suffix: String,
}

/// With less a fence and a few words do not fit into one part.
pub(crate) const LEAST: usize = 200;
/// Longer ones are no fences here: there would be no room for anything else.
const LONGEST_FENCE: usize = 16;
const LONGEST_INFO: usize = 40;

/// Cuts a text without white space around it into parts of at most `limit` characters, at the end of a paragraph, a
/// line, a word, or at least of what a reader sees as one character; outside of code rather than within. White space at
/// a cut goes, except within code.
///
/// No part but the first begins as a slash command does: the platform would run it.
pub(crate) fn split(text: &str, limit: usize) -> Vec<Part> {
    let limit = limit.max(LEAST);
    let mut parts = Vec::new();
    let mut fence: Option<Fence<'_>> = None;
    let mut at = 0;
    while let Some(rest) = text.get(at..).filter(|rest| !rest.trim().is_empty()) {
        let prefix = fence.map(Fence::reopened).unwrap_or_default();
        let left = limit.saturating_sub(prefix.chars().count());
        let whole = rest.trim_end();
        if whole.chars().nth(left).is_none() {
            parts.push(Part { range: at..at + whole.len(), prefix, suffix: String::new() });
            break;
        }
        let most = left.saturating_sub(LONGEST_FENCE + 1);
        let window = rest.char_indices().nth(most).map_or(rest.len(), |(end, _)| end);
        let cut = cut(rest, window, fence);
        let piece = rest.get(..cut.end).unwrap_or(rest);
        fence = after(fence, piece);
        let suffix = fence.map(|fence| fence.closed(piece)).unwrap_or_default();
        if !piece.trim().is_empty() {
            parts.push(Part { range: at..at + cut.end, prefix, suffix });
        }
        at += cut.next;
        // What has been closed need not be opened only to be closed again.
        if let Some(open) = fence.filter(|_| cut.at_line) {
            let behind = text.get(at..).unwrap_or_default();
            let line = behind.split('\n').next().unwrap_or_default();
            let end = (line.len() + 1).min(behind.len());
            if open.is_closed_by(line) && may_begin(behind, NextWord::default().behind(behind, end)) {
                at += end;
                fence = None;
            }
        }
        if fence.is_none() {
            let behind = text.get(at..).unwrap_or_default();
            at += behind.len() - behind.trim_start().len();
        }
    }
    parts
}

/// Where to cut: the piece ends there, the next one begins here.
#[derive(Debug, Clone, Copy)]
struct Cut {
    end: usize,
    next: usize,
    at_line: bool,
}

/// The best place in the second half of the window; a character that fills all of it is cut at its end.
fn cut<'t>(rest: &'t str, window: usize, fence: Option<Fence<'t>>) -> Cut {
    let half = window / 2;
    if let Some(end) = line_end(rest, half..window, fence) {
        let piece = rest.get(..end).unwrap_or(rest);
        // Within code blank lines and indentation matter.
        let (end, next) = match after(fence, piece) {
            Some(_) => (end, end + 1),
            None => (piece.trim_end().len(), end),
        };
        return Cut { end, next, at_line: true };
    }
    let head = rest.get(..window).unwrap_or(rest);
    // The white space behind the last word that fits.
    let mut next_word = NextWord::default();
    let mut word = None;
    for (at, c) in rest.char_indices() {
        if at > window {
            break;
        }
        let is_space = c.is_whitespace() && !matches!(c, '\u{a0}' | '\u{202f}');
        if at >= half && is_space && may_begin(rest, next_word.behind(rest, at)) {
            word = Some(at);
        }
    }
    let at = word.unwrap_or_else(|| {
        // Within a word, then.
        let mut at = window;
        while !may_begin(rest, at) {
            at = at.saturating_sub(1);
            if at < half.max(1) {
                return window;
            }
        }
        at
    });
    let end = match after(fence, head.get(..at).unwrap_or(head)) {
        Some(_) => at,
        None => head.get(..at).unwrap_or(head).trim_end().len(),
    };
    Cut { end, next: at, at_line: false }
}

/// The end of the best line to end with, if there is one in that range: best before a blank line, and outside of code.
fn line_end<'t>(rest: &'t str, range: Range<usize>, mut fence: Option<Fence<'t>>) -> Option<usize> {
    let mut best: [Option<usize>; 4] = [None; 4];
    let mut start = 0;
    // Whether there is something in the fence that is open.
    let mut filled = false;
    let mut next_word = NextWord::default();
    for line in rest.split('\n') {
        let end = start + line.len();
        if end > range.end || end >= rest.len() {
            break;
        }
        let was_open = fence.is_some();
        fence = after(fence, line);
        filled = if was_open && fence.is_some() { filled || !line.trim().is_empty() } else { false };
        let behind = rest.get(end + 1..).unwrap_or_default();
        let inside = fence.is_some();
        let good = if inside { filled } else { may_begin(rest, next_word.behind(rest, end + 1)) };
        if end >= range.start && good {
            let blank = behind.split('\n').next().is_none_or(|next| next.trim().is_empty());
            let rank = usize::from(!blank) + 2 * usize::from(inside);
            if let Some(place) = best.get_mut(rank) {
                *place = Some(end);
            }
        }
        start = end + 1;
    }
    best.into_iter().flatten().next()
}

/// A part that begins so would be run instead of shown.
pub(crate) fn is_command(text: &str) -> bool {
    let name = text.trim_start().strip_prefix('/');
    name.is_some_and(|name| name.starts_with(char::is_alphanumeric))
}

/// Whether a part may begin there: not with a command, nor with an accent on white space that is about to go.
fn may_begin(text: &str, at: usize) -> bool {
    text.get(at..).is_some_and(|behind| !is_command(behind)) && grapheme::is_boundary(text, at)
}

/// Finds the end of white space. Remembers it, so that a desert is crossed once and not from each of its places.
#[derive(Debug, Default)]
struct NextWord(usize);

impl NextWord {
    /// The end of the white space that begins at `from`, which does not go back from call to call.
    fn behind(&mut self, text: &str, from: usize) -> usize {
        if self.0 < from {
            let rest = text.get(from..).unwrap_or_default();
            self.0 = text.len() - rest.trim_start().len();
        }
        self.0
    }
}

/// An open block of code: a run of backticks or tildes, and what stands behind it.
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
        let fits = (3..=LONGEST_FENCE).contains(&run.len()) && info.chars().nth(LONGEST_INFO).is_none();
        // Otherwise it is code within a line.
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

/// The fence that is open behind these lines.
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
