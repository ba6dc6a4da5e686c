//! The amount spent in the last 24 hours, in memory or in a file that several programs may share.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind as IoKind, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use fd_lock::RwLock;
use serde_json::{Value, json};

use crate::error::{Error, ErrorKind, Result};
use crate::usdc::Usdc;

const DAY: u64 = 24 * 60 * 60;
const MINUTE: u64 = 60;
/// How many entries older than a day stay in the file: as many as one day can have, one per minute.
const OLD_ENTRIES: usize = 24 * 60;
/// A larger file counts as broken. Two days of entries have about 120 kB.
const MAX_FILE: u64 = 1024 * 1024;
const LOCK_TIMEOUT: Duration = Duration::from_secs(10);
const LOCK_PAUSE: Duration = Duration::from_millis(10);

/// The amount spent in one minute, and the end of the minute in seconds since 1970. Grouping by minute keeps the file
/// small.
type Entry = (u64, u64);

#[derive(Debug)]
pub(crate) struct Ledger {
    per_day: Usdc,
    file: Option<PathBuf>,
    /// The entries of a ledger in memory. With a file, only the lock is used, and each call reads the file again.
    spent: Mutex<Vec<Entry>>,
}

impl Ledger {
    pub(crate) fn in_memory(per_day: Usdc) -> Self {
        Ledger { per_day, file: None, spent: Mutex::default() }
    }

    /// # Errors
    /// `Ledger` if the file exists and cannot be used. An unreadable file never counts as empty.
    pub(crate) fn in_file(per_day: Usdc, path: &Path) -> Result<Self> {
        let ledger = Ledger { per_day, file: Some(path.to_owned()), spent: Mutex::default() };
        ledger.change(|spent| spent)?;
        Ok(ledger)
    }

    /// Adds a payment before the caller makes it.
    ///
    /// # Errors
    /// `Limit` if the payment would exceed the daily limit, `Ledger` if the file cannot be read or written. The caller
    /// must not pay then.
    pub(crate) fn reserve(&self, amount: Usdc) -> Result<()> {
        let now = now();
        self.try_change(|mut spent| {
            forget_old(&mut spent, now);
            let sum = spent_within_a_day(&spent, now);
            match sum.checked_add(amount).filter(|sum| *sum <= self.per_day) {
                Some(_) => {
                    add(&mut spent, now, amount.units());
                    Ok(spent)
                }
                None => Err(Error::new(
                    ErrorKind::Limit,
                    format!(
                        "the price is {amount} USDC, and {sum} of the {} USDC for 24 hours are spent",
                        self.per_day
                    ),
                )),
            }
        })
    }

    /// Removes a payment that the caller has certainly not made.
    pub(crate) fn release(&self, amount: Usdc) {
        let released = self.change(|mut spent| {
            let mut left = amount.units();
            for (_, units) in spent.iter_mut().rev() {
                let part = left.min(*units);
                *units -= part;
                left -= part;
            }
            spent
        });
        if let Err(error) = released {
            crate::logging::record!(Warn, "a payment that was not made still counts: {error}");
        }
    }

    /// The amount spent in the last 24 hours.
    pub(crate) fn sum(&self) -> Result<Usdc> {
        let now = now();
        let mut sum = Usdc::ZERO;
        self.change(|mut spent| {
            forget_old(&mut spent, now);
            sum = spent_within_a_day(&spent, now);
            spent
        })?;
        Ok(sum)
    }

    fn change(&self, change: impl FnOnce(Vec<Entry>) -> Vec<Entry>) -> Result<()> {
        self.try_change(|spent| Ok(change(spent)))
    }

    fn try_change(&self, change: impl FnOnce(Vec<Entry>) -> Result<Vec<Entry>>) -> Result<()> {
        let mut spent = self.spent.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(path) = &self.file else {
            *spent = change(spent.clone())?;
            return Ok(());
        };
        // A separate file for the lock, because each change replaces the ledger's file, and a lock would stay with the
        // replaced file.
        let lock = OpenOptions::new().create(true).truncate(false).write(true).open(beside(path, "lock"));
        let mut lock = RwLock::new(lock.map_err(|cause| unusable(path, "cannot be locked", cause))?);
        let until = Instant::now() + LOCK_TIMEOUT;
        loop {
            match lock.try_write() {
                Ok(_held) => return change_file(path, change),
                Err(cause) if cause.kind() == IoKind::WouldBlock && Instant::now() < until => {
                    thread::sleep(LOCK_PAUSE);
                }
                Err(cause) => return Err(unusable(path, "is locked by another program", cause)),
            }
        }
    }
}

fn change_file(path: &Path, change: impl FnOnce(Vec<Entry>) -> Result<Vec<Entry>>) -> Result<()> {
    let before = read(path)?;
    let after = change(before.clone())?;
    if after != before {
        write(path, &after).map_err(|cause| unusable(path, "cannot be written", cause))?;
    }
    Ok(())
}

fn read(path: &Path) -> Result<Vec<Entry>> {
    let size = match fs::metadata(path) {
        Ok(metadata) => metadata.len(),
        Err(cause) if cause.kind() == IoKind::NotFound => return Ok(Vec::new()),
        Err(cause) => return Err(unusable(path, "cannot be read", cause)),
    };
    let broken = || unusable(path, "is broken", io::Error::from(IoKind::InvalidData));
    if size > MAX_FILE {
        return Err(broken());
    }
    let text = fs::read(path).map_err(|cause| unusable(path, "cannot be read", cause))?;
    parse(&text).ok_or_else(broken)
}

fn parse(text: &[u8]) -> Option<Vec<Entry>> {
    let file: Value = serde_json::from_slice(text).ok()?;
    if file.get("version")?.as_u64()? != 1 {
        return None;
    }
    let entries = file.get("spent")?.as_array()?;
    entries.iter().map(|entry| Some((entry.get("until")?.as_u64()?, entry.get("units")?.as_u64()?))).collect()
}

/// Writes a new file and then replaces the old one by it, so one of the two is always complete.
fn write(path: &Path, spent: &[Entry]) -> io::Result<()> {
    let entries: Vec<_> =
        spent.iter().map(|(until, units)| json!({ "until": until, "units": units })).collect();
    let temporary = beside(path, "new");
    let mut file = File::create(&temporary)?;
    file.write_all(json!({ "version": 1, "spent": entries }).to_string().as_bytes())?;
    file.sync_all()?;
    fs::rename(&temporary, path)?;
    // Also syncs the file's name. Not every system supports this.
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if let Ok(directory) = File::open(directory) {
        let _ = directory.sync_all();
    }
    Ok(())
}

fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(ending);
    name.into()
}

/// Entries in the future count, too: a clock that is behind must not raise the limit.
fn is_within_a_day(until: u64, now: u64) -> bool {
    until.saturating_add(DAY) > now
}

fn spent_within_a_day(spent: &[Entry], now: u64) -> Usdc {
    let counting = spent.iter().filter(|(until, _)| is_within_a_day(*until, now));
    Usdc::from_units(counting.fold(0, |sum, (_, units)| sum.saturating_add(*units)))
}

/// Removes the oldest entries when too many are older than a day. The others stay, because they count again after the
/// correction of a clock that was ahead.
fn forget_old(spent: &mut Vec<Entry>, now: u64) {
    spent.retain(|(_, units)| *units > 0);
    let old = spent.iter().filter(|(until, _)| !is_within_a_day(*until, now)).count();
    let mut surplus = old.saturating_sub(OLD_ENTRIES);
    spent.retain(|(until, _)| {
        let forget = surplus > 0 && !is_within_a_day(*until, now);
        surplus -= usize::from(forget);
        !forget
    });
}

fn add(spent: &mut Vec<Entry>, now: u64, units: u64) {
    let until = (now / MINUTE).saturating_add(1).saturating_mul(MINUTE);
    match spent.iter_mut().find(|(there, _)| *there == until) {
        Some((_, there)) => *there = there.saturating_add(units),
        None => spent.push((until, units)),
    }
}

/// A clock before 1970 counts as 1970. Then the ledger keeps all entries.
pub(crate) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

fn unusable(path: &Path, what: &str, cause: io::Error) -> Error {
    let text = format!("the file of the daily sum, {}, {what}: {cause}", path.display());
    Error::new(ErrorKind::Ledger, text).with_source(cause)
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Directory(PathBuf);

    impl Directory {
        fn new() -> Self {
            let mut name = [0; 8];
            getrandom::fill(&mut name).unwrap();
            let path = std::env::temp_dir().join(format!("crustocean-wallet-{:x}", u64::from_be_bytes(name)));
            fs::create_dir(&path).unwrap();
            Directory(path)
        }

        fn file(&self) -> PathBuf {
            self.0.join("spent.json")
        }
    }

    impl Drop for Directory {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn units(units: u64) -> Usdc {
        Usdc::from_units(units)
    }

    #[test]
    fn the_limit_holds_to_the_last_unit() {
        let ledger = Ledger::in_memory(units(10));
        ledger.reserve(units(4)).unwrap();
        ledger.reserve(units(6)).unwrap();
        let error = ledger.reserve(units(1)).unwrap_err();
        assert!(
            error.kind() == ErrorKind::Limit && error.to_string().contains("0.00001 of the 0.00001"),
            "{error}"
        );
        ledger.release(units(3));
        assert_eq!(ledger.sum().unwrap(), units(7));
        assert!(ledger.reserve(units(4)).is_err());
        ledger.reserve(units(3)).unwrap();
        assert!(ledger.reserve(units(u64::MAX)).is_err());
    }

    #[test]
    fn a_restart_forgets_nothing() {
        let directory = Directory::new();
        Ledger::in_file(units(10), &directory.file()).unwrap().reserve(units(7)).unwrap();
        let again = Ledger::in_file(units(10), &directory.file()).unwrap();
        assert_eq!(again.sum().unwrap(), units(7));
        assert_eq!(again.reserve(units(4)).unwrap_err().kind(), ErrorKind::Limit);
        again.reserve(units(3)).unwrap();
        // A temporary file from a crash has no effect.
        fs::write(directory.0.join("spent.json.new"), "{").unwrap();
        assert_eq!(Ledger::in_file(units(10), &directory.file()).unwrap().sum().unwrap(), units(10));
    }

    #[test]
    fn a_file_that_cannot_be_read_pays_nothing() {
        let directory = Directory::new();
        for broken in ["", "{", "[]", r#"{"version":2,"spent":[]}"#, r#"{"version":1,"spent":[{"until":1}]}"#]
        {
            fs::write(directory.file(), broken).unwrap();
            let error = Ledger::in_file(units(10), &directory.file()).unwrap_err();
            assert!(
                error.kind() == ErrorKind::Ledger && error.to_string().contains("broken"),
                "{broken}: {error}"
            );
        }
        assert!(Ledger::in_file(units(10), &directory.0.join("nowhere/spent.json")).is_err());
        // The file becomes invalid while the program runs.
        fs::remove_file(directory.file()).unwrap();
        let ledger = Ledger::in_file(units(10), &directory.file()).unwrap();
        fs::write(directory.file(), "{").unwrap();
        assert!(ledger.reserve(units(1)).is_err());
    }

    #[test]
    fn several_users_of_one_file_share_its_limit() {
        let directory = Directory::new();
        let path = directory.file();
        let paid: usize = thread::scope(|scope| {
            let users: Vec<_> = (0..4)
                .map(|_| {
                    scope.spawn(|| {
                        // A second ledger on the file stands for another program.
                        let ledger = Ledger::in_file(units(10), &path).unwrap();
                        (0..5).filter(|_| ledger.reserve(units(1)).is_ok()).count()
                    })
                })
                .collect();
            users.into_iter().map(|user| user.join().unwrap()).sum()
        });
        assert_eq!(paid, 10);
    }

    #[test]
    fn a_day_later_it_counts_no_more_and_a_wrong_clock_makes_no_room() {
        let mut spent = Vec::new();
        add(&mut spent, 1_000_000, 5);
        add(&mut spent, 1_000_001, 6);
        assert_eq!(spent, [(1_000_020, 11)]);
        // The last two times: a clock that was ahead and is correct again, and a clock that is behind.
        for (now, sum) in [
            (1_000_000, 11),
            (1_000_019 + DAY, 11),
            (1_000_020 + DAY, 0),
            (1_000_020 + 9 * DAY, 0),
            (1_000_060, 11),
            (0, 11),
        ] {
            forget_old(&mut spent, now);
            assert_eq!(spent_within_a_day(&spent, now), units(sum), "{now}");
        }
    }

    #[test]
    fn old_entries_are_bounded_and_the_oldest_go_first() {
        let mut spent = Vec::new();
        for minute in 0..10_000 {
            add(&mut spent, minute * MINUTE, 1);
            forget_old(&mut spent, minute * MINUTE);
        }
        assert!(spent.len() <= 2 * OLD_ENTRIES + 1, "{}", spent.len());
        assert_eq!(spent_within_a_day(&spent, 9_999 * MINUTE), units(OLD_ENTRIES as u64 + 1));
    }
}
