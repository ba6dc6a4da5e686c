//! `/save`, `/get`, `/notes`, `/clearnote`: short texts that a room stores. conch stores its repository's name there (its
//! README). Only the answer of `/notes` is known, from a recorded frame: `Notes (3): …`.

use crate::app::App;
use crate::realtime::commands::Outcome;
use crate::realtime::commands::list::NOTES;

const MAX_NOTES: usize = 1_000;
const MAX_NOTE: usize = 32 * 1024;

/// Runs one of these commands. `None` for other commands.
pub(crate) fn run(app: &App, agency: &str, call: (&str, &str)) -> Option<Outcome> {
    let (command, _) = NOTES.into_iter().find(|(name, _)| *name == call.0)?;
    let (name, text) = call.1.split_once(char::is_whitespace).unwrap_or((call.1, ""));
    let (name, text) = (name.to_lowercase(), text.trim());
    let answer = act(app, agency, command, &name, text);
    let (ok, content) = answer.map_or_else(|refusal| (false, refusal), |said| (true, said));
    Some(Outcome { ok, command: command.to_owned(), content, ..Outcome::default() })
}

fn act(app: &App, agency: &str, command: &str, name: &str, text: &str) -> Result<String, String> {
    if command != "notes" && name.is_empty() {
        let usage = NOTES.into_iter().find(|(known, _)| *known == command).map_or("", |(_, usage)| usage);
        return Err(format!("Usage: {}", usage.split(':').next().unwrap_or_default()));
    }
    let unknown = || format!("There is no note {name:?}");
    let mut data = app.data();
    let notes = &mut data.agencies.get_mut(agency).ok_or("Agency not found")?.notes;
    match command {
        "save" if text.is_empty() => Err("Usage: /save <name> <text>".to_owned()),
        "save" if text.len() > MAX_NOTE => Err(format!("A note has at most {MAX_NOTE} bytes")),
        "save" if notes.len() >= MAX_NOTES && !notes.contains_key(name) => {
            Err(format!("A room has at most {MAX_NOTES} notes"))
        }
        "save" => {
            notes.insert(name.to_owned(), text.to_owned());
            Ok(format!("Saved {name}"))
        }
        "get" => notes.get(name).cloned().ok_or_else(unknown),
        "clearnote" => notes.remove(name).map(|_| format!("Cleared {name}")).ok_or_else(unknown),
        _ => {
            let names: Vec<&str> = notes.keys().map(String::as_str).collect();
            Ok(format!("Notes ({}): {}", names.len(), names.join(", ")))
        }
    }
}
