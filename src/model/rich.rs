//! Colours of a message, or of parts of it.

use serde::{Deserialize, Serialize};

open_enum! {
    /// A colour: a theme colour, which follows light and dark mode, or a CSS colour.
    pub enum Color {
        /// The normal text colour.
        Theme = "theme",
        /// The theme's main colour.
        ThemePrimary = "theme-primary",
        /// The theme's accent colour.
        ThemeAccent = "theme-accent",
        /// The colour for less important text.
        ThemeMuted = "theme-muted",
        /// The colour for success.
        ThemeSuccess = "theme-success",
        /// The colour for warnings.
        ThemeWarning = "theme-warning",
        /// The colour for errors.
        ThemeError = "theme-error",
    }
    /// A CSS colour (`#ff8800`), or a theme colour that this version of the crate does not know.
    else Custom
}

/// The colours of a whole message.
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
    /// A style without colours.
    pub fn new() -> Self {
        Style::default()
    }

    /// Sets the colour of the sender's name.
    #[must_use]
    pub fn sender_color(mut self, color: impl Into<Color>) -> Self {
        self.sender_color = Some(color.into());
        self
    }

    /// Sets the colour of the text.
    #[must_use]
    pub fn content_color(mut self, color: impl Into<Color>) -> Self {
        self.content_color = Some(color.into());
        self
    }
}

/// A piece of a message's text with its own colour. All joined pieces are the message's text.
///
/// ```
/// use crustocean::Outgoing;
/// use crustocean::model::{Color, Span};
///
/// let spans = [Span::new("ETH is at "), Span::colored("3000", Color::from("green")), Span::from(" USD")];
/// let message = Outgoing::from_spans(spans);
/// # drop(message);
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(remote = "Self")]
#[non_exhaustive]
pub struct Span {
    /// The text.
    pub text: String,
    /// The colour. `None` means the message's colour.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub color: Option<Color>,
}

lenient!(Span);

impl Span {
    /// A text in the message's colour.
    pub fn new(text: impl Into<String>) -> Self {
        Span { text: text.into(), color: None }
    }

    /// A text with its own colour.
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
