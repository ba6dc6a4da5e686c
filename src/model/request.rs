//! A text that is written like a command line.

use std::collections::BTreeMap;

use serde::Serialize;

/// A request that is written like a command: `price "wrapped ETH" --in EUR --quiet`. Returned by
/// [`Mention::request`](crate::Mention::request) and [`HookCall::request`](crate::webhook::HookCall::request).
/// [`parse`](Request::parse) reads any text.
///
/// White space separates words. A text in quotes is one word. Quotes are `"…"`, `'…'`, and the quotes of other
/// languages and of phones (“…”, „…“, ‘…’, «…», 「…」). In `"…"`, `\"` is a quote character. A quote in the middle of a
/// word is a letter (`what's`). `--name value` and `--name=value` are options. A `--name` before another option or at
/// the end is a flag. After a bare `--`, all words are positional. Phones turn `--` into a dash, so `—name` is the same
/// as `--name`.
///
/// ```
/// use crustocean::model::Request;
///
/// let request = Request::parse(r#"price "wrapped ETH" --in EUR --quiet"#);
/// assert_eq!(request.command(), "price");
/// assert_eq!(request.positional(), ["wrapped ETH"]);
/// assert_eq!(request.option("in"), Some("EUR"));
/// assert!(request.flag("quiet") && !request.flag("loud"));
/// assert_eq!(request.rest(), r#""wrapped ETH" --in EUR --quiet"#);
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Request {
    command: String,
    positional: Vec<String>,
    options: BTreeMap<String, Option<String>>,
    rest: String,
}

/// A word, and whether it was written without quotes.
struct Word {
    text: String,
    plain: bool,
    end: usize,
}

impl Request {
    /// Parses a text. Parsing never fails: an unclosed quote extends to the end of the text.
    pub fn parse(text: &str) -> Request {
        let mut words = words(text).into_iter();
        let Some(first) = words.next() else { return Request::default() };
        let command = first.text.strip_prefix(['/', '!']).filter(|name| !name.is_empty());
        let mut request = Request {
            command: command.unwrap_or(&first.text).to_lowercase(),
            rest: text.get(first.end..).unwrap_or_default().trim().to_owned(),
            ..Request::default()
        };
        let mut words = words.peekable();
        let mut only_positional = false;
        while let Some(word) = words.next() {
            let name = option_name(&word).filter(|_| !only_positional);
            match name {
                None => request.positional.push(word.text),
                Some("") => only_positional = true,
                Some(name) => {
                    let (name, value) = match name.split_once('=') {
                        Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
                        None => {
                            let value = words.next_if(|next| option_name(next).is_none());
                            (name.to_owned(), value.map(|word| word.text))
                        }
                    };
                    request.options.insert(name, value);
                }
            }
        }
        request
    }

    /// The first word, in lowercase, without a leading `/` or `!`. Empty if there is no word.
    pub fn command(&self) -> &str {
        &self.command
    }

    /// The other words that are neither an option nor its value.
    pub fn positional(&self) -> &[String] {
        &self.positional
    }

    /// The value of `--name value`. If the option occurs several times, the last value counts.
    pub fn option(&self, name: &str) -> Option<&str> {
        self.options.get(name)?.as_deref()
    }

    /// Whether the text contains a `--name`, with or without a value.
    pub fn flag(&self, name: &str) -> bool {
        self.options.contains_key(name)
    }

    /// The text after the first word, as it was written.
    pub fn rest(&self) -> &str {
        &self.rest
    }
}

/// The text after the `--`, if the word is an option. Empty for a bare `--`. An option has a name, so `--=x` is not an
/// option.
fn option_name(word: &Word) -> Option<&str> {
    let name = match word.text.strip_prefix("--") {
        Some(name) => name,
        // A dash without a name is punctuation.
        None => word.text.strip_prefix('—').filter(|name| !name.is_empty())?,
    };
    (word.plain && !name.starts_with('=')).then_some(name)
}

fn words(text: &str) -> Vec<Word> {
    let mut words = Vec::new();
    let mut chars = text.char_indices().peekable();
    while let Some((_, first)) = chars.next_if(|(_, c)| c.is_whitespace()).or_else(|| chars.peek().copied()) {
        if first.is_whitespace() {
            continue;
        }
        let mut word = Word { text: String::new(), plain: true, end: text.len() };
        let mut before = None;
        while let Some((at, c)) = chars.next_if(|(_, c)| !c.is_whitespace()) {
            match closing(c).filter(|_| before.is_none_or(|before| before == '=')) {
                Some(close) => {
                    word.plain &= before.is_some();
                    quoted(&mut chars, c, close, &mut word.text);
                }
                None => word.text.push(c),
            }
            before = word.text.chars().last().or(Some(c));
            word.end = at + c.len_utf8();
        }
        word.end = chars.peek().map_or(text.len(), |(at, _)| *at);
        words.push(word);
    }
    words
}

/// The characters that close a quote that `open` begins. The closing quote of one language may be the opening quote of
/// another language.
fn closing(open: char) -> Option<&'static [char]> {
    match open {
        '"' => Some(&['"']),
        '\'' => Some(&['\'']),
        '“' | '„' | '”' => Some(&['”', '“']),
        '‘' | '‚' => Some(&['’', '‘']),
        '«' => Some(&['»']),
        '»' => Some(&['«', '»']),
        '‹' => Some(&['›']),
        '›' => Some(&['‹', '›']),
        '「' => Some(&['」']),
        '『' => Some(&['』']),
        _ => None,
    }
}

/// Reads up to the closing quote, and consumes this quote, too.
fn quoted(
    chars: &mut std::iter::Peekable<std::str::CharIndices<'_>>,
    open: char,
    close: &[char],
    into: &mut String,
) {
    let start = into.len();
    while let Some((_, c)) = chars.next() {
        // Between two letters, the character is an apostrophe.
        let is_apostrophe = matches!(c, '\'' | '’')
            && into.ends_with(char::is_alphanumeric)
            && chars.peek().is_some_and(|(_, next)| next.is_alphanumeric());
        match c {
            c if close.contains(&c) && !is_apostrophe => break,
            '\\' if open == '"' => match chars.next_if(|(_, next)| matches!(next, '"' | '\\')) {
                Some((_, next)) => into.push(next),
                None => into.push('\\'),
            },
            c => into.push(c),
        }
    }
    // French text has spaces inside the quotes: « mot ».
    if matches!(open, '«' | '‹') {
        let inner = into.split_off(start);
        into.push_str(inner.trim());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn positional(text: &str) -> Vec<String> {
        Request::parse(&format!("x {text}")).positional
    }

    #[test]
    fn quotes_make_one_word() {
        for (text, expected) in [
            (r#"a b"#, vec!["a", "b"]),
            (r#""a b" c"#, vec!["a b", "c"]),
            (r#"'a "b"' c"#, vec!["a \"b\"", "c"]),
            (r#""a \"b\" \\ \n""#, vec![r#"a "b" \ \n"#]),
            ("“a b” „c d“ ”e f”", vec!["a b", "c d", "e f"]),
            ("‘a b’ ‚c d‘ ‘it’s me’ 'what's up'", vec!["a b", "c d", "it’s me", "what's up"]),
            ("«\u{a0}a = b\u{202f}» »c d« ‹e f› »g h»", vec!["a = b", "c d", "e f", "g h"]),
            ("「a b」\u{3000}『c d』", vec!["a b", "c d"]),
            ("a\u{a0}b", vec!["a", "b"]),
            ("--in=“a b” --=x --= — x—y", vec!["--=x", "--=", "—", "x—y"]),
            ("what's that", vec!["what's", "that"]),
            (r#""not closed a"#, vec!["not closed a"]),
            (r#""" b"#, vec!["", "b"]),
            ("  ü\t\n ö ", vec!["ü", "ö"]),
            ("", vec![]),
        ] {
            assert_eq!(positional(text), expected, "{text}");
        }
    }

    #[test]
    fn a_request_is_written_with_all_its_parts() {
        let written = serde_json::to_value(Request::parse("/price ETH --in EUR --quiet")).unwrap();
        let expected = serde_json::json!({
            "command": "price", "positional": ["ETH"], "options": {"in": "EUR", "quiet": null},
            "rest": "ETH --in EUR --quiet",
        });
        assert_eq!(written, expected);
    }

    #[test]
    fn options_flags_and_what_is_neither() {
        let request =
            Request::parse(r#"/Price ETH --in EUR --as="a b" --quiet --note '--x' -- --not-one -1"#);
        assert_eq!(request.command(), "price");
        assert_eq!(request.positional(), ["ETH", "--not-one", "-1"]);
        assert_eq!((request.option("in"), request.option("as")), (Some("EUR"), Some("a b")));
        assert!(request.flag("quiet") && request.flag("in") && !request.flag("not-one"));
        assert_eq!((request.option("quiet"), request.option("note")), (None, Some("--x")));
        let request = Request::parse("price —in EUR --empty= --🦀 🎉 --👩\u{200d}💻 —quiet");
        assert_eq!((request.option("in"), request.option("empty")), (Some("EUR"), Some("")));
        assert_eq!((request.option("🦀"), request.option("👩\u{200d}💻")), (Some("🎉"), None));
        assert!(request.flag("👩\u{200d}💻") && request.flag("quiet") && request.positional().is_empty());
        assert_eq!(Request::parse("  "), Request::default());
        assert_eq!(Request::parse("!").command(), "!");
    }

    #[test]
    fn nothing_panics() {
        for text in ["--", "--=", "--a=", "\"", "'", "“", "\\", "a\"b", "=\"x", "--a=\"", "\u{2028}x"] {
            for text in [text.to_owned(), format!("x {text}"), format!("{text} x {text}")] {
                let request = Request::parse(&text);
                assert!(request.rest().len() <= text.len());
            }
        }
    }
}
