//! Removes secrets from texts of the server, because a server may quote them in an error.

use std::fmt;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use percent_encoding::percent_decode_str;
use zeroize::Zeroizing;

use crate::sync::lock::Mutex;

/// The character that replaces a secret.
const GONE: char = '…';
/// The most stored secrets. Session tokens change, so the list keeps only the first secret and the latest secrets.
const MAX_SECRETS: usize = 32;
/// A shorter secret counts only as a separate word, because it may be a part of any word.
const SHORT: usize = 4;
/// The most layers of encoding that the search decodes: percent signs in a URL in JSON in JSON.
const LAYERS: usize = 3;
/// The shortest base64 form that the search looks for. A shorter form would match too many texts.
const LEAST_BASE64: usize = 8;

/// The most bytes of an error text that stay. Errors show far less, and the search needs much memory per byte.
const MAX_KEPT: usize = 32 << 10;
/// The most bytes of an error text that the search reads. The text may end here because it, or its response, was cut.
/// So the search reads the last part but does not keep it: a secret at the cut would be half visible.
const MAX_SEARCHED: usize = 64 << 10;

/// The secrets of one client: its tokens, its session, and secrets sent in requests. Clones share the list.
#[derive(Clone, Default)]
pub(crate) struct Secrets(Arc<Mutex<Vec<Zeroizing<String>>>>);

impl Secrets {
    /// Adds a secret.
    pub(crate) fn remember(&self, secret: &str) {
        let mut known = self.0.lock();
        if secret.is_empty() || known.iter().any(|other| other.as_str() == secret) {
            return;
        }
        if known.len() == MAX_SECRETS {
            // The first secret is the one that the client was created with.
            known.remove(1);
        }
        known.push(Zeroizing::new(secret.to_owned()));
    }

    /// Returns the error text without the stored secrets. Cuts a long text.
    pub(crate) fn remove_from(&self, text: &str) -> String {
        self.remove_with(text, &[])
    }

    /// Returns the error text without the stored secrets and without the secrets in `more`. Cuts a long text.
    pub(crate) fn remove_with(&self, text: &str, more: &[Zeroizing<String>]) -> String {
        self.clean(start_of(text, MAX_SEARCHED), more, MAX_KEPT)
    }

    /// Returns the data without the stored secrets. Does not cut the data, because a part of it has another meaning, or
    /// none.
    pub(crate) fn remove_from_data(&self, data: &str) -> String {
        self.clean(data, &[], data.len())
    }

    fn clean(&self, text: &str, more: &[Zeroizing<String>], kept: usize) -> String {
        let known = self.0.lock();
        let layers = layers(text);
        let mut hidden = vec![false; text.len()];
        for secret in known.iter().chain(more) {
            for form in forms(secret.trim()) {
                layers.iter().for_each(|layer| hide(&form, layer, &mut hidden));
            }
        }
        let (mut clean, mut was_hidden) = (String::with_capacity(text.len().min(kept)), false);
        for (at, c) in text.char_indices() {
            if at >= kept {
                clean.push(GONE);
                break;
            }
            let is_hidden = hidden.get(at) == Some(&true);
            if !is_hidden {
                clean.push(c);
            } else if !was_hidden {
                clean.push(GONE);
            }
            was_hidden = is_hidden;
        }
        clean
    }
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Secrets").finish_non_exhaustive()
    }
}

/// The first bytes of the text, at most `limit`.
fn start_of(text: &str, limit: usize) -> &str {
    let ends = (0..=limit.min(text.len())).rev();
    ends.filter_map(|end| text.get(..end)).next().unwrap_or_default()
}

/// The notations in which the search looks for a secret: as it is, without the escapes that it may contain, and in
/// base64.
fn forms(secret: &str) -> Vec<Vec<char>> {
    if secret.is_empty() {
        return Vec::new();
    }
    let mut forms: Vec<Vec<char>> = base64_forms(secret).iter().map(|form| form.chars().collect()).collect();
    forms.extend(layers(secret).iter().map(|layer| layer.iter().map(|piece| piece.c).collect()));
    forms
}

/// A character, and the bytes of the text that represent it.
#[derive(Clone, Copy)]
struct Piece {
    c: char,
    from: usize,
    to: usize,
}

/// The text, and its decoded forms, one per layer of escapes.
fn layers(text: &str) -> Vec<Vec<Piece>> {
    let pieces = text.char_indices().map(|(at, c)| Piece { c, from: at, to: at + c.len_utf8() });
    let mut layers = vec![pieces.collect::<Vec<_>>()];
    while let Some(inner) = layers.last().filter(|_| layers.len() <= LAYERS).and_then(|layer| decoded(layer))
    {
        layers.push(inner);
    }
    layers
}

/// Marks the bytes of the text that represent the secret.
fn hide(secret: &[char], layer: &[Piece], hidden: &mut [bool]) {
    let alone = |piece: Option<&Piece>| piece.is_none_or(|piece| !piece.c.is_alphanumeric());
    for (at, window) in layer.windows(secret.len()).enumerate() {
        // In a query, a plus is a space.
        let same = |piece: &Piece, c: &char| piece.c == *c || (piece.c == '+' && *c == ' ');
        if !window.iter().zip(secret).all(|(piece, c)| same(piece, c)) {
            continue;
        }
        if secret.len() < SHORT {
            let before = at.checked_sub(1).and_then(|at| layer.get(at));
            if !alone(before) || !alone(layer.get(at + secret.len())) {
                continue;
            }
        }
        if let (Some(first), Some(last)) = (window.first(), window.last()) {
            hidden.get_mut(first.from..last.to).into_iter().flatten().for_each(|byte| *byte = true);
        }
    }
}

/// Removes one layer of percent, JSON and HTML escapes. `None` if there are no escapes.
fn decoded(layer: &[Piece]) -> Option<Vec<Piece>> {
    let mut inner = Vec::with_capacity(layer.len());
    let mut at = 0;
    let mut changed = false;
    while let Some(piece) = layer.get(at) {
        let rest = layer.get(at..).unwrap_or_default();
        let (c, length) = escape(rest).unwrap_or((piece.c, 1));
        let last = rest.get(length.saturating_sub(1)).unwrap_or(piece);
        changed |= length > 1;
        inner.push(Piece { c, from: piece.from, to: last.to });
        at += length;
    }
    changed.then_some(inner)
}

/// The character of an escape, and the escape's length.
fn escape(rest: &[Piece]) -> Option<(char, usize)> {
    let head: String = rest.iter().take(12).map(|piece| piece.c).collect();
    match head.get(..1)? {
        "%" => percent(&head),
        "\\" => match head.get(1..2)? {
            "u" => unicode(&head),
            "n" => Some(('\n', 2)),
            "r" => Some(('\r', 2)),
            "t" => Some(('\t', 2)),
            "b" => Some(('\u{8}', 2)),
            "f" => Some(('\u{c}', 2)),
            "\"" | "'" | "\\" | "/" => head.chars().nth(1).map(|c| (c, 2)),
            _ => None,
        },
        "&" => {
            let (name, _) = head.strip_prefix('&')?.split_once(';')?;
            let number = |text: &str, radix| u32::from_str_radix(text, radix).ok().and_then(char::from_u32);
            let c = match name {
                "amp" => '&',
                "lt" => '<',
                "gt" => '>',
                "quot" => '"',
                "apos" => '\'',
                _ => {
                    let digits = name.strip_prefix('#')?;
                    let hex = digits.strip_prefix(['x', 'X']);
                    hex.map_or_else(|| number(digits, 10), |hex| number(hex, 16))?
                }
            };
            Some((c, name.len() + 2))
        }
        _ => None,
    }
}

/// One to four bytes of UTF-8, each as a percent sign and two digits.
fn percent(head: &str) -> Option<(char, usize)> {
    for length in [3, 6, 9, 12] {
        let bytes = head.get(..length)?;
        if let Ok(text) = percent_decode_str(bytes).decode_utf8() {
            let mut characters = text.chars();
            return match (characters.next(), characters.next()) {
                (Some(c), None) => Some((c, length)),
                _ => None,
            };
        }
    }
    None
}

/// `\u0041`, or a surrogate pair of two escapes.
fn unicode(head: &str) -> Option<(char, usize)> {
    let unit = |at: usize| {
        let digits = head.get(at..)?.strip_prefix("\\u")?.get(..4)?;
        u16::from_str_radix(digits, 16).ok()
    };
    let first = unit(0)?;
    if let Some(c) = char::from_u32(u32::from(first)) {
        return Some((c, 6));
    }
    let pair = char::decode_utf16([first, unit(6)?]).next()?.ok()?;
    Some((pair, 12))
}

/// Returns the base64 forms of the secret, for each position in an encoded text. A form contains only the characters
/// that do not depend on the neighbouring bytes.
fn base64_forms(secret: &str) -> Vec<String> {
    let mut forms = Vec::new();
    for before in 0..3 {
        let mut bytes = Zeroizing::new(vec![0; before]);
        bytes.extend_from_slice(secret.as_bytes());
        // The first characters share bits with the text before, the last characters share bits with the text after.
        let first = [0, 2, 3].get(before).copied().unwrap_or_default();
        let whole = bytes.len() * 8 / 6;
        for encoded in [STANDARD_NO_PAD.encode(&*bytes), URL_SAFE_NO_PAD.encode(&*bytes)] {
            if let Some(form) = encoded.get(first..whole).filter(|form| form.len() >= LEAST_BASE64)
                && !forms.iter().any(|other| other == form)
            {
                forms.push(form.to_owned());
            }
        }
    }
    forms
}

#[cfg(test)]
mod tests {
    use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
    use proptest::prelude::*;

    use super::*;

    fn clean(text: &str, secret: &str) -> String {
        let secrets = Secrets::default();
        secrets.remember(secret);
        secrets.remove_from(text)
    }

    /// All notations of the secret that servers use.
    fn written(secret: &str) -> Vec<String> {
        let percent = utf8_percent_encode(secret, NON_ALPHANUMERIC).to_string();
        let every_byte: String = secret.bytes().map(|byte| format!("%{byte:02x}")).collect();
        let json = serde_json::to_string(secret).unwrap();
        let every_unit: String = secret.encode_utf16().map(|unit| format!("\\u{unit:04X}")).collect();
        let mut forms = vec![
            secret.to_owned(),
            serde_json::to_string(&json).unwrap(),
            utf8_percent_encode(&percent, NON_ALPHANUMERIC).to_string(),
            secret.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&#34;"),
            secret.replace('/', "\\/").replace('"', "\\\""),
            percent,
            every_byte,
            json,
            every_unit,
        ];
        for before in ["", "x", "me:", "user:"] {
            for behind in ["", "!", "??"] {
                let around = format!("{before}{secret}{behind}");
                forms.push(STANDARD_NO_PAD.encode(&around));
                forms.push(URL_SAFE_NO_PAD.encode(&around));
            }
        }
        forms
    }

    #[test]
    fn nothing_of_it_is_left_however_it_is_written() {
        for secret in ["sk_do_not_print_me", "correct horse & \"battery\" <staple>/ü🦀", "p%41ss\\u0041word"]
        {
            for form in written(secret) {
                let text = format!("before {form} behind");
                let left = clean(&text, secret);
                assert!(left.contains(GONE), "{form} stays in {left}");
                assert!(left.starts_with("before ") && left.ends_with(" behind"), "{left}");
                assert!(left.chars().count() < 30, "{form} is still in {left}");
            }
        }
        assert_eq!(clean("?password=correct+horse&x=1", "correct horse"), "?password=…&x=1");
        assert_eq!(clean("a sk_1234, sk_1234b", "sk_1234"), "a …, …b");
    }

    #[test]
    fn what_is_short_is_removed_where_it_stands_alone() {
        assert_eq!(clean("at the end: at", "at"), "… the end: …");
        assert_eq!(clean("what a hat", "at"), "what a hat");
    }

    /// The form in which a server quotes the secret is 3 times as long as the secret.
    #[test]
    fn a_long_text_is_cut_without_a_half_secret() {
        let secret = "sk_do_not_print_me";
        let quote: String = secret.bytes().map(|byte| format!("%{byte:02x}")).collect();
        for start in [MAX_KEPT, MAX_SEARCHED] {
            for before in [quote.len() - 1, quote.len() / 2, 1, 0] {
                let spaces = " ".repeat(start - before);
                for end in ["", &"ü%41".repeat(1 << 20)] {
                    let left = clean(&format!("{spaces}{quote}{end}"), secret);
                    assert!(left.len() <= MAX_KEPT + 2 * GONE.len_utf8(), "{} bytes", left.len());
                    assert!(left.trim_start().chars().all(|c| c == GONE), "{}", left.trim_start());
                }
            }
        }
        // A text that the transport has cut looks like a whole text.
        let cut = format!("{}{}", " ".repeat(MAX_SEARCHED - 10), secret.get(..10).unwrap());
        assert_eq!(clean(&cut, secret).trim_start(), "…");
        let long = "ü".repeat(MAX_SEARCHED);
        assert_eq!(clean(&long, secret), format!("{}…", "ü".repeat(MAX_KEPT / 2)));
        let secrets = Secrets::default();
        secrets.remember(secret);
        assert_eq!(secrets.remove_from_data(&format!("{long}{secret}")), format!("{long}…"));
    }

    #[test]
    fn only_the_last_ones_are_remembered() {
        let secrets = Secrets::default();
        secrets.remember("the-agent-token");
        for number in 0..100 {
            secrets.remember(&format!("session-{number:03}"));
        }
        secrets.remember("");
        assert_eq!(secrets.0.lock().len(), MAX_SECRETS);
        assert_eq!(secrets.remove_from("the-agent-token session-099 session-000"), "… … session-000");
    }

    proptest! {
        #[test]
        fn takes_any_text(text in ".{0,200}", secret in ".{0,20}") {
            let left = clean(&text, &secret);
            if secret.trim().chars().count() >= SHORT {
                prop_assert!(!left.contains(secret.trim()));
            }
        }

        #[test]
        fn finds_any_secret(secret in "[ -~]{8,40}", which in 0usize..33) {
            prop_assume!(secret.trim() == secret);
            let forms = written(&secret);
            let form = &forms[which % forms.len()];
            prop_assert!(clean(&format!("<{form}>"), &secret).contains(GONE), "{}", form);
        }
    }
}
