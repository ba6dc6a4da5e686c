//! Notes: short texts that the server stores for a room (`/save`, `/get`, `/clearnote`).

use crate::agent::Command;
use crate::agent::rooms::RoomHandle;
use crate::blank::is_blank;
use crate::error::{Error, ErrorKind, Result};

/// Stores a note.
pub(super) fn save(room: &RoomHandle, name: &str, text: &str) -> Result<()> {
    if is_blank(text) {
        return Err(Error::invalid("a note needs a text: clear_note removes one"));
    }
    let command = format!("/save {} {}", word(name)?, text.trim());
    Command::new(room, command.into()).send()?.into_result().map(drop)
}

/// Reads a note.
pub(super) fn get(room: &RoomHandle, name: &str) -> Result<Option<String>> {
    let reply = Command::new(room, format!("/get {}", word(name)?).into()).send()?;
    match reply.into_result() {
        Ok(reply) => Ok(Some(reply.content)),
        Err(error) if error.kind() == ErrorKind::Rejected => Ok(None),
        Err(error) => Err(error),
    }
}

/// Removes a note.
pub(super) fn clear(room: &RoomHandle, name: &str) -> Result<()> {
    Command::new(room, format!("/clearnote {}", word(name)?).into()).send()?.into_result().map(drop)
}

fn word(name: &str) -> Result<&str> {
    if name.is_empty() || name.contains(char::is_whitespace) {
        return Err(Error::invalid(format!("the name of a note must be one word, and {name:?} is not")));
    }
    Ok(name)
}
