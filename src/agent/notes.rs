//! Notes: short texts that the server stores for a room (`/save`, `/get`, `/clearnote`).

use crate::agent::Room;
use crate::blank::is_blank;
use crate::error::{Error, ErrorKind, Result};

impl Room {
    /// Stores a text as a note of the room, under a name of one word (the command `/save`). Everybody in the room can
    /// read the note.
    ///
    /// ```no_run
    /// # fn demo(room: &crustocean::Room) -> crustocean::Result<()> {
    /// room.save_note("repo", "https://example.com/larry.git")?;
    /// assert!(room.note("repo")?.is_some());
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`Invalid`](crate::ErrorKind::Invalid) for a name that is not one word, or an empty text;
    /// [`Rejected`](crate::ErrorKind::Rejected) with the server's message; otherwise the kinds of
    /// [`Command::send`](crate::agent::Command::send).
    pub fn save_note(&self, name: &str, text: &str) -> Result<()> {
        if is_blank(text) {
            return Err(Error::invalid("a note needs a text: clear_note removes one"));
        }
        self.command(format!("/save {} {}", word(name)?, text.trim())).send()?.into_result().map(drop)
    }

    /// Returns the text of a note (the command `/get`). Returns `None` if the server rejects the command, most likely
    /// because the room has no such note.
    ///
    /// ```no_run
    /// # fn demo(room: &crustocean::Room) -> crustocean::Result<()> {
    /// match room.note("repo")? {
    ///     Some(text) => println!("the repository is at {text}"),
    ///     None => println!("no such note"),
    /// }
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`Invalid`](crate::ErrorKind::Invalid) for a name that is not one word; otherwise the kinds of
    /// [`Command::send`](crate::agent::Command::send).
    pub fn note(&self, name: &str) -> Result<Option<String>> {
        let reply = self.command(format!("/get {}", word(name)?)).send()?;
        match reply.into_result() {
            Ok(reply) => Ok(Some(reply.content)),
            Err(error) if error.kind() == ErrorKind::Rejected => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Removes a note (the command `/clearnote`).
    ///
    /// ```no_run
    /// # fn demo(room: &crustocean::Room) -> crustocean::Result<()> {
    /// room.clear_note("repo")?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// The kinds of [`save_note`](Room::save_note).
    pub fn clear_note(&self, name: &str) -> Result<()> {
        self.command(format!("/clearnote {}", word(name)?)).send()?.into_result().map(drop)
    }
}

fn word(name: &str) -> Result<&str> {
    if name.is_empty() || name.contains(char::is_whitespace) {
        return Err(Error::invalid(format!("the name of a note must be one word, and {name:?} is not")));
    }
    Ok(name)
}
