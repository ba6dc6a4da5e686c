//! How a message looks: colours of all of it, or of its parts.

use serde::{Deserialize, Serialize};

open_enum! {
    /// A colour: one of the theme, which follows light and dark mode, or any of CSS.
    pub enum Color {
        /// The colour that the text would have anyway.
        Theme = "theme",
        /// The theme's main colour.
        ThemePrimary = "theme-primary",
        /// The colour that draws attention.
        ThemeAccent = "theme-accent",
        /// For what matters less.
        ThemeMuted = "theme-muted",
        /// Something went well.
        ThemeSuccess = "theme-success",
        /// Something needs care.
        ThemeWarning = "theme-warning",
        /// Something went wrong.
        ThemeError = "theme-error",
    }
    /// A colour of CSS (`#ff8800`), or a token of the theme that this version of the crate does not know.
    else Custom
}

/// Colours of a whole message.
///
/// ```
/// use crustocean::{Outgoing, model::{Color, Style}};
///
/// let style = Style::new().sender_color(Color::ThemeAccent).content_color("#ff8800");
/// let message = Outgoing::new("look").style(style);
/// # let _ = message;
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(remote = "Self")]
#[non_exhaustive]
pub struct Style {
    /// The colour of the sender's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sender_color: Option<Color>,
    /// The colour of the text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content_color: Option<Color>,
}

lenient!(Style);

impl Style {
    /// No colours yet.
    pub fn new() -> Self {
        Style::default()
    }

    /// The colour of the sender's name.
    #[must_use]
    pub fn sender_color(mut self, color: impl Into<Color>) -> Self {
        self.sender_color = Some(color.into());
        self
    }

    /// The colour of the text.
    #[must_use]
    pub fn content_color(mut self, color: impl Into<Color>) -> Self {
        self.content_color = Some(color.into());
        self
    }
}

/// A piece of a message's text with a colour of its own. All pieces joined are the message.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(remote = "Self")]
#[non_exhaustive]
pub struct Span {
    /// The text.
    pub text: String,
    /// Its colour. `None` is that of the message.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub color: Option<Color>,
}

lenient!(Span);

impl Span {
    /// Text in the message's own colour.
    pub fn new(text: impl Into<String>) -> Self {
        Span { text: text.into(), color: None }
    }

    /// Text in a colour.
    pub fn colored(text: impl Into<String>, color: impl Into<Color>) -> Self {
        Span { text: text.into(), color: Some(color.into()) }
    }
}

impl From<&str> for Span {
    fn from(text: &str) -> Self {
        Span::new(text)
    }
}

impl From<&String> for Span {
    fn from(text: &String) -> Self {
        text.as_str().into()
    }
}

impl From<String> for Span {
    fn from(text: String) -> Self {
        Span::new(text)
    }
}

impl<T: Into<String>, C: Into<Color>> From<(T, C)> for Span {
    fn from((text, color): (T, C)) -> Self {
        Span::colored(text, color)
    }
}
