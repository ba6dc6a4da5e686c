//! A message as servers write it, read at a fraction of what it costs to read any.
//!
//! That is one object without a space, each key once, a string where one belongs. Anything else is left to the reader
//! of [`Message`], which takes whatever can be taken and knows what is wrong with the rest.

use std::borrow::Cow;

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::{Message, Metadata};
use crate::json;

/// The message that `values` begin with; others may follow it, after a comma. `None` if it is not a plain one.
pub(crate) fn message(values: &str) -> Option<Message> {
    // Of control characters there are none in strings, and what is plain has none between them either. Looking at all
    // of it at once is cheaper than at each string.
    if values.bytes().fold(false, |any, byte| any | (byte < 0x20)) {
        return None;
    }
    let mut json = Json { text: values, at: 0 };
    let mut draft = Draft::default();
    json.expect(b'{')?;
    loop {
        let Cow::Borrowed(key) = json.string()? else { return None };
        json.expect(b':')?;
        match key {
            "id" => json.string_into(&mut draft.id)?,
            "agency_id" | "agencyId" => json.string_into(&mut draft.agency_id)?,
            "content" => json.string_into(&mut draft.content)?,
            "type" => json.string_into(&mut draft.kind)?,
            "metadata" => put(json.raw()?, &mut draft.metadata)?,
            "created_at" | "createdAt" => json.string_into(&mut draft.created_at)?,
            "edited_at" | "editedAt" => json.string_into(&mut draft.edited_at)?,
            "sender_id" | "senderId" | "authorId" => json.string_into(&mut draft.sender_id)?,
            "sender_username" | "senderUsername" | "username" => {
                json.string_into(&mut draft.sender_username)?;
            }
            "sender_display_name" | "senderDisplayName" | "display_name" | "displayName" => {
                json.string_into(&mut draft.sender_display_name)?;
            }
            "sender_type" | "senderType" => json.string_into(&mut draft.sender_type)?,
            "dm" => put(json.value()?, &mut draft.dm)?,
            _ => json.skip(DEEPEST)?,
        }
        match json.next()? {
            b',' => {}
            b'}' => break,
            _ => return None,
        }
    }
    if matches!(json.peek(), None | Some(b',')) { draft.finish() } else { None }
}

/// How deep the values of a plain message are nested at most.
const DEEPEST: u8 = 32;

/// What was found, still where it stands if it can stay as it is.
#[derive(Default)]
struct Draft<'t> {
    id: Option<Cow<'t, str>>,
    agency_id: Option<Cow<'t, str>>,
    content: Option<Cow<'t, str>>,
    kind: Option<Cow<'t, str>>,
    metadata: Option<&'t str>,
    created_at: Option<Cow<'t, str>>,
    edited_at: Option<Cow<'t, str>>,
    sender_id: Option<Cow<'t, str>>,
    sender_username: Option<Cow<'t, str>>,
    sender_display_name: Option<Cow<'t, str>>,
    sender_type: Option<Cow<'t, str>>,
    dm: Option<bool>,
}

impl Draft<'_> {
    /// `None` if something is missing.
    fn finish(self) -> Option<Message> {
        let sender_username = self.sender_username.unwrap_or_default().into_owned();
        let display_name = self.sender_display_name.filter(|name| !name.is_empty());
        Some(Message {
            id: (&*self.id?).into(),
            agency_id: (&*self.agency_id?).into(),
            content: self.content?.into_owned(),
            kind: self.kind.map_or_else(Default::default, |kind| (&*kind).into()),
            metadata: self.metadata.map_or_else(Metadata::default, Metadata::of),
            created_at: (&*self.created_at?).into(),
            edited_at: self.edited_at.map(|time| (&*time).into()),
            sender_id: (&*self.sender_id.unwrap_or_default()).into(),
            sender_display_name: display_name.map_or_else(|| sender_username.clone(), Cow::into_owned),
            sender_username,
            sender_type: self.sender_type.map_or_else(Default::default, |kind| (&*kind).into()),
            dm: self.dm.unwrap_or_default(),
            replayed: false,
        })
    }
}

/// A second value for the same field is not plain.
fn put<T>(value: T, slot: &mut Option<T>) -> Option<()> {
    slot.replace(value).is_none().then_some(())
}

/// JSON, read up to a place.
struct Json<'t> {
    text: &'t str,
    at: usize,
}

impl<'t> Json<'t> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn next(&mut self) -> Option<u8> {
        let byte = self.peek()?;
        self.at += 1;
        Some(byte)
    }

    fn expect(&mut self, byte: u8) -> Option<()> {
        (self.next()? == byte).then_some(())
    }

    /// `null` is as good as nothing.
    fn string_into(&mut self, slot: &mut Option<Cow<'t, str>>) -> Option<()> {
        match self.peek()? {
            b'n' => self.value::<()>(),
            _ => put(self.string()?, slot),
        }
    }

    #[inline]
    fn string(&mut self) -> Option<Cow<'t, str>> {
        self.expect(b'"')?;
        let start = self.at;
        let mark = start + find_mark(self.text.as_bytes().get(start..)?)?;
        if self.text.as_bytes().get(mark) != Some(&b'"') {
            return self.escaped_string(start, mark);
        }
        self.at = mark + 1;
        self.text.get(start..mark).map(Cow::Borrowed)
    }

    /// The string that starts there, with its first backslash.
    #[inline(never)]
    fn escaped_string(&mut self, start: usize, backslash: usize) -> Option<Cow<'t, str>> {
        self.at = backslash;
        while self.next()? == b'\\' {
            self.at += 1;
            self.at += find_mark(self.text.as_bytes().get(self.at..)?)?;
        }
        unescape(self.text.get(start..self.at - 1)?).map(Cow::Owned)
    }

    /// The text of any value, which is checked on the way.
    fn raw(&mut self) -> Option<&'t str> {
        let start = self.at;
        self.skip(DEEPEST)?;
        self.text.get(start..self.at)
    }

    /// Passes over any value.
    fn skip(&mut self, depth: u8) -> Option<()> {
        let (open, close) = match self.peek()? {
            b'"' => return self.string().map(drop),
            b'{' => (b'{', b'}'),
            b'[' => (b'[', b']'),
            _ => return self.skip_bare(),
        };
        self.at += 1;
        if self.peek()? == close {
            self.at += 1;
            return Some(());
        }
        loop {
            if open == b'{' {
                self.string()?;
                self.expect(b':')?;
            }
            self.skip(depth.checked_sub(1)?)?;
            match self.next()? {
                b',' => {}
                end => return (end == close).then_some(()),
            }
        }
    }

    /// Passes over a number, `true`, `false` or `null`.
    fn skip_bare(&mut self) -> Option<()> {
        let rest = self.text.as_bytes().get(self.at..)?;
        let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        if digits > 0
            && (digits == 1 || rest.first() != Some(&b'0'))
            && matches!(rest.get(digits), Some(b',' | b'}' | b']'))
        {
            self.at += digits;
            return Some(());
        }
        self.value::<IgnoredAny>().map(drop)
    }

    /// Any value, by the usual reader.
    fn value<T: Deserialize<'t>>(&mut self) -> Option<T> {
        let mut values = serde_json::Deserializer::from_str(self.text.get(self.at..)?).into_iter();
        let value = values.next()?.ok()?;
        self.at += values.byte_offset();
        Some(value)
    }
}

/// Where the first quote or backslash is. Eight bytes at a time: this is where most of the time goes.
#[inline]
fn find_mark(bytes: &[u8]) -> Option<usize> {
    let (words, rest) = bytes.as_chunks::<8>();
    for (n, word) in words.iter().enumerate() {
        let marks = marks(u64::from_le_bytes(*word));
        if marks != 0 {
            return Some(8 * n + marks.trailing_zeros() as usize / 8);
        }
    }
    let at = rest.iter().position(|byte| matches!(byte, b'"' | b'\\'))?;
    Some(8 * words.len() + at)
}

/// The highest bit of the first byte that is a quote or a backslash; those above it mean nothing. 0 if there is none.
fn marks(word: u64) -> u64 {
    const ONES: u64 = u64::MAX / 0xff;
    // A byte that is zero takes the highest bit from the one above it, and gets it.
    let none = |byte: u8| (word ^ (ONES * u64::from(byte))).wrapping_sub(ONES);
    (none(b'"') | none(b'\\')) & !word & (ONES << 7)
}

/// Without the escapes. Those by number are for the usual reader.
fn unescape(inside: &str) -> Option<String> {
    let mut text = String::with_capacity(inside.len());
    let mut rest = inside;
    while let Some((plain, escaped)) = rest.split_once('\\') {
        text.push_str(plain);
        text.push(match escaped.as_bytes().first()? {
            b'n' => '\n',
            b't' => '\t',
            b'r' => '\r',
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'"' => '"',
            b'\\' => '\\',
            b'/' => '/',
            _ => return json::from_str(&format!("\"{inside}\"")).ok(),
        });
        rest = escaped.get(1..)?;
    }
    text.push_str(rest);
    Some(text)
}

#[cfg(test)]
mod tests;
