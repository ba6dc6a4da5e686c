//! The running recordings of scripts.

use std::fs;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::script_lines::{Line, line_of, text_of};
use crate::store::messages::Message;

/// How many lines one recording may have.
const MAX_LINES: usize = 10_000;

#[derive(Debug)]
struct Recording {
    number: u64,
    path: PathBuf,
    /// The lines, each with the id of its message.
    lines: Vec<(String, Line)>,
    last_at: Option<u64>,
}

#[derive(Debug, Default)]
pub(crate) struct Recordings(Mutex<(u64, Vec<Recording>)>);

impl Recordings {
    fn lock(&self) -> MutexGuard<'_, (u64, Vec<Recording>)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts a recording. Returns its number, with which the caller ends the recording.
    pub(crate) fn begin(&self, path: PathBuf) -> std::io::Result<u64> {
        fs::write(&path, "")?;
        let (last, all) = &mut *self.lock();
        *last += 1;
        all.push(Recording { number: *last, path, lines: Vec::new(), last_at: None });
        Ok(*last)
    }

    pub(crate) fn end(&self, number: u64) {
        self.lock().1.retain(|recording| recording.number != number);
    }

    /// Records a message or an edit. `room` returns the name of a room.
    pub(crate) fn note(&self, message: &Message, room: impl Fn(&str) -> Option<String>) {
        if self.lock().1.is_empty() {
            return;
        }
        let Some(room) = room(&message.agency_id) else { return };
        for recording in &mut self.lock().1 {
            let pause = recording.last_at.map_or(0, |at| message.created_at.saturating_sub(at));
            let Some(line) = line_of(message, &room, pause) else { continue };
            let full = recording.lines.len() >= MAX_LINES;
            match recording.lines.iter_mut().find(|(id, _)| *id == message.id) {
                Some((_, known)) => known.replace_text(line),
                None if !full => {
                    recording.last_at = Some(message.created_at);
                    recording.lines.push((message.id.clone(), line));
                }
                None => continue,
            }
            let text = text_of(recording.lines.iter().map(|(_, line)| line));
            if let Err(error) = fs::write(&recording.path, text) {
                crate::output::error_line(format_args!("error: {}: {error}", recording.path.display()));
            }
        }
    }
}
