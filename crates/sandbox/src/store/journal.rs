//! Saves the data in a file: an append-only log of changes, one line each.
//!
//! A line is a JSON array of `[kind, key, value]`; a value of `null` marks a deleted record. All changes of one request
//! are one line, so a process that is killed while it writes loses only its last request: the next start drops an
//! unfinished last line. The sandbox rewrites the log when most of it is outdated.

use std::collections::{HashMap, HashSet};
use std::fs::{self, File, OpenOptions};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use fd_lock::RwLock;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::store::data::Data;
use crate::store::transcript::Change;

const NAME: &str = "sandbox.jsonl";
const LOCK: &str = "sandbox.lock";
const HEADER: &str = r#"{"crustocean-sandbox":1}"#;
/// The journal rewrites the log when it has grown by this many bytes and by half of its size.
const REWRITE_GROWTH: u64 = 4 * 1024 * 1024;

type Entry = (&'static str, String, Value);

/// The open log of a running server.
#[derive(Debug)]
pub(crate) struct Journal {
    path: PathBuf,
    /// The lock on the folder. The system releases it when the process ends.
    _lock: RwLock<File>,
    file: File,
    size: u64,
    /// The size of the log after the last rewrite.
    current_size: u64,
    /// A digest of each record in the log, except messages and runs, which record their changes themselves.
    saved: HashMap<(&'static str, String), u64>,
    /// Whether writing has failed and the journal has reported it.
    failed: bool,
}

fn damaged(path: &Path, line: usize, what: &str) -> io::Error {
    let path = path.display();
    let advice = "Repair the line, or move the file away to start over";
    io::Error::new(io::ErrorKind::InvalidData, format!("{path}, line {line}: {what}. {advice}"))
}

/// The final content of a log, in the order in which keys first appeared.
#[derive(Default)]
struct Log {
    order: Vec<(String, String)>,
    values: HashMap<(String, String), Value>,
}

impl Log {
    fn apply(&mut self, entry: Value) -> Option<()> {
        let Value::Array(entry) = entry else { return None };
        let [kind, key, value] = <[Value; 3]>::try_from(entry).ok()?;
        let place = (kind.as_str()?.to_owned(), key.as_str()?.to_owned());
        if place.0 == "clear" {
            let inside = |place: &(String, String)| {
                place.0 == "message" && place.1.split_once('/').is_some_and(|(room, _)| key == room)
            };
            self.values.retain(|place, _| !inside(place));
            self.order.retain(|place| !inside(place));
        } else if value.is_null() {
            if self.values.remove(&place).is_some() {
                self.order.retain(|known| *known != place);
            }
        } else if self.values.insert(place.clone(), value).is_none() {
            self.order.push(place);
        }
        Some(())
    }

    fn all<T: DeserializeOwned>(&mut self, kind: &str) -> Result<Vec<(String, T)>, String> {
        let places = self.order.iter().filter(|place| place.0 == kind);
        let mut found = Vec::new();
        for place in places {
            let Some(value) = self.values.remove(place) else { continue };
            let item =
                serde_json::from_value(value).map_err(|error| format!("{kind} {}: {error}", place.1))?;
            found.push((place.1.clone(), item));
        }
        Ok(found)
    }

    fn into_data(mut self, max_messages: usize) -> Result<Data, String> {
        let mut data = Data::default();
        if let Some((_, lobby)) = self.all("lobby")?.pop() {
            data.agencies.lobby = lobby;
        }
        for (_, account) in self.all("account")? {
            data.accounts.restore(account);
        }
        for (_, agency) in self.all("agency")? {
            data.agencies.restore(agency);
        }
        data.agencies.invites = self.all("invite")?.into_iter().collect();
        data.tokens.sessions = self.all("session")?.into_iter().collect();
        data.tokens.personal = self.all("token")?.into_iter().map(|(_, value)| value).collect();
        data.commands.0 = self.all("command")?.into_iter().map(|(_, value)| value).collect();
        data.hooks.0 = self.all("hook")?.into_iter().map(|(_, value)| value).collect();
        data.subscriptions = self.all("subscription")?.into_iter().map(|(_, value)| value).collect();
        data.claims.codes = self.all("claim-code")?.into_iter().collect();
        data.claims.links = self.all("claim-link")?.into_iter().map(|(_, value)| value).collect();
        data.runs.restore(self.all("run")?.into_iter().map(|(_, value)| value));
        for (key, message) in self.all("message")? {
            let room = key.split_once('/').and_then(|(room, _)| data.agencies.get_mut(room));
            if let Some(room) = room {
                room.messages.push(message, max_messages);
            }
        }
        Ok(data)
    }
}

impl Journal {
    /// Opens the log in a folder and reads it. Creates the folder if necessary.
    pub(crate) fn open(folder: &Path, max_messages: usize) -> io::Result<(Journal, Data)> {
        fs::create_dir_all(folder)?;
        let lock = lock(folder)?;
        let path = folder.join(NAME);
        let text = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(io::Error::new(error.kind(), format!("{}: {error}", path.display()))),
        };
        let mut data = read(&path, &text)?.into_data(max_messages).map_err(|what| {
            io::Error::new(io::ErrorKind::InvalidData, format!("{}: {what}", path.display()))
        })?;
        data.agencies.lobby_mut();
        data.track();
        let (file, size, saved) = rewrite(&path, &mut data)?;
        Ok((Journal { path, _lock: lock, file, size, current_size: size, saved, failed: false }, data))
    }

    /// Writes the changes since the last call. If writing fails, reports the error once on stderr, and the server goes
    /// on.
    pub(crate) fn save(&mut self, data: &mut Data) {
        if let Err(error) = self.try_save(data) {
            if !self.failed {
                crate::output::error_line(format_args!(
                    "error: {}: {error}. Later changes may be lost",
                    self.path.display()
                ));
            }
            self.failed = true;
            // The file may end in half a line, so only a complete rewrite is safe.
            self.current_size = 0;
        }
    }

    fn try_save(&mut self, data: &mut Data) -> io::Result<()> {
        if self.failed || self.size > self.current_size + self.current_size / 2 + REWRITE_GROWTH {
            let (file, size, saved) = rewrite(&self.path, data)?;
            (self.file, self.size, self.current_size, self.saved) = (file, size, size, saved);
            self.failed = false;
            return Ok(());
        }
        let mut entries: Vec<Entry> = Vec::new();
        let mut seen = HashSet::new();
        for (kind, key, value) in things(data)? {
            let digest = digest(&value);
            let place = (kind, key);
            if self.saved.get(&place) != Some(&digest) {
                entries.push((kind, place.1.clone(), value));
                self.saved.insert(place.clone(), digest);
            }
            seen.insert(place);
        }
        let gone: Vec<_> = self.saved.keys().filter(|place| !seen.contains(*place)).cloned().collect();
        for place in gone {
            self.saved.remove(&place);
            entries.push((place.0, place.1, Value::Null));
        }
        entries.extend(changes(data)?);
        if entries.is_empty() {
            return Ok(());
        }
        let line = format!("{}\n", serde_json::to_string(&entries)?);
        self.file.write_all(line.as_bytes())?;
        self.size += line.len() as u64;
        Ok(())
    }
}

/// Locks the folder, because two servers would overwrite each other's changes.
fn lock(folder: &Path) -> io::Result<RwLock<File>> {
    let path = folder.join(LOCK);
    let named = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
    let file = OpenOptions::new().create(true).truncate(false).write(true).open(&path).map_err(named)?;
    let mut lock = RwLock::new(file);
    match lock.try_write() {
        // Keeps the lock until the file is closed.
        Ok(guard) => std::mem::forget(guard),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
            let folder = folder.display();
            let advice = "end that one, or choose another folder";
            return Err(io::Error::new(error.kind(), format!("another sandbox uses {folder}: {advice}")));
        }
        Err(error) => return Err(named(error)),
    }
    Ok(lock)
}

fn read(path: &Path, text: &[u8]) -> io::Result<Log> {
    let mut log = Log::default();
    // Ignore an unfinished last line.
    let whole = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
    let lines = text.get(..whole).unwrap_or_default().split(|byte| *byte == b'\n');
    for (number, line) in lines.enumerate() {
        if number == 0 {
            if !line.is_empty() && line != HEADER.as_bytes() {
                return Err(damaged(path, 1, "this is not a sandbox's log, or a log of another version"));
            }
        } else if !line.is_empty() {
            let entries = serde_json::from_slice::<Vec<Value>>(line);
            let entries = entries.map_err(|error| damaged(path, number + 1, &error.to_string()))?;
            for entry in entries {
                log.apply(entry).ok_or_else(|| damaged(path, number + 1, "not an entry"))?;
            }
        }
    }
    Ok(log)
}

fn digest(value: &Value) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

fn entry(kind: &'static str, key: &str, value: &impl Serialize) -> io::Result<Entry> {
    Ok((kind, key.to_owned(), serde_json::to_value(value)?))
}

/// All records except messages and runs. They are small, so the journal compares all of them.
fn things(data: &Data) -> io::Result<Vec<Entry>> {
    let mut all = vec![("lobby", "id".to_owned(), json!(data.agencies.lobby_id()))];
    for account in data.accounts.all() {
        all.push(entry("account", &account.id, account)?);
    }
    for agency in data.agencies.all() {
        all.push(entry("agency", &agency.id, agency)?);
    }
    for (code, invite) in &data.agencies.invites {
        all.push(entry("invite", code, invite)?);
    }
    for (hash, session) in &data.tokens.sessions {
        all.push(entry("session", hash, session)?);
    }
    for token in &data.tokens.personal {
        all.push(entry("token", &token.id, token)?);
    }
    for command in &data.commands.0 {
        all.push(entry("command", &command.id, command)?);
    }
    for hook in &data.hooks.0 {
        all.push(entry("hook", &hook.id, hook)?);
    }
    for subscription in &data.subscriptions {
        all.push(entry("subscription", &subscription.id(), subscription)?);
    }
    for (code, agent) in &data.claims.codes {
        all.push(entry("claim-code", code, agent)?);
    }
    for link in &data.claims.links {
        all.push(entry("claim-link", &link.token_hash, link)?);
    }
    Ok(all)
}

/// The changes of messages and runs.
fn changes(data: &mut Data) -> io::Result<Vec<Entry>> {
    let mut all = Vec::new();
    for agency in data.agencies.by_id.values_mut() {
        for change in agency.messages.take_changes() {
            match change {
                Change::Cleared => all.push(("clear", agency.id.clone(), Value::Null)),
                Change::Gone(id) => all.push(("message", format!("{}/{id}", agency.id), Value::Null)),
                // A message that was deleted meanwhile has its own delete entry.
                Change::Put(id) => {
                    if let Some(message) = agency.messages.get(&id) {
                        all.push(entry("message", &format!("{}/{id}", agency.id), message)?);
                    }
                }
            }
        }
    }
    for id in data.runs.take_changes() {
        match data.runs.get(&id) {
            Some(run) => all.push(entry("run", &id, run)?),
            None => all.push(("run", id, Value::Null)),
        }
    }
    Ok(all)
}

type Written = (File, u64, HashMap<(&'static str, String), u64>);

/// Writes a new log with only the current data, and replaces the old one.
fn rewrite(path: &Path, data: &mut Data) -> io::Result<Written> {
    let things = things(data)?;
    // Discard the changes, because the new log contains them all.
    changes(data)?;
    let saved = things.iter().map(|(kind, key, value)| ((*kind, key.clone()), digest(value))).collect();
    let mut text = format!("{HEADER}\n").into_bytes();
    let mut line = |entry: &Entry| -> io::Result<()> {
        serde_json::to_writer(&mut text, &[entry])?;
        text.push(b'\n');
        Ok(())
    };
    things.iter().try_for_each(&mut line)?;
    for agency in data.agencies.all() {
        for message in agency.messages.iter() {
            line(&entry("message", &format!("{}/{}", agency.id, message.id), message)?)?;
        }
    }
    for run in &data.runs.0 {
        line(&entry("run", &run.id, run)?)?;
    }
    let new = path.with_extension("jsonl.new");
    let mut file = File::create(&new)?;
    file.write_all(&text)?;
    file.sync_all()?;
    drop(file);
    fs::rename(&new, path)?;
    let file = OpenOptions::new().append(true).open(path)?;
    Ok((file, text.len() as u64, saved))
}
