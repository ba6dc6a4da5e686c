//! The texts of an error.

use crustocean::Error;

/// Everything that an error shows: its own texts, the server's text, and the texts of all its sources.
pub fn shown(error: &Error) -> String {
    let mut text = format!("{error} {error:?} {error:#?} {:?}", error.server_message());
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        text += &format!(" {inner} {inner:?}");
        cause = inner.source();
    }
    text
}
