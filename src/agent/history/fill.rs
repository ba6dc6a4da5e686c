//! Reads missed messages from the rooms' histories, on short-lived threads.
//!
//! A helper reads a history backwards, but hands out missed messages forwards. Up to 2 MiB of pages stay in memory.
//! For a longer gap, the helper drops the newer pages and reads them again later.

use std::io;
use std::sync::Arc;

use crate::agent::history::cursor::Lookback;
use crate::agent::history::fetch::{self, MAX_MESSAGES, PAGE, is_temporary};
use crate::agent::history::gap::size_of_message;
use crate::agent::history::shared::DeliveryShared;
use crate::agent::history::state::{BUDGET, FillJob, GapClosed, cannot_be_read};
use crate::agent::history::unreadable::Reported;
use crate::error::{Error, ErrorKind, Result};
use crate::model::{List, Message, MessageId, Timestamp};
use crate::rest::{Client, Walk};
use crate::socket::{Announced, Waker, note};
use crate::threads;

/// The number of messages on the first page. Small, because the size of the room's messages is not known yet.
const FIRST_PAGE: u32 = 25;
/// The wanted size of a page, and the largest size of a gap's pages in memory.
const PAGE_BYTES: usize = 1 << 20;
const MAX_KEPT: usize = 2 << 20;
/// The largest number of pages to read in order to find a dropped page again.
const MAX_PAGES_TO_FIND: usize = 50;

/// Starts a helper. The helper ends when no gap is left to fill.
///
/// # Errors
/// The `io::Error` of the operating system if no thread can be started.
pub(super) fn start(delivery: Arc<DeliveryShared>, client: Client, waker: Waker) -> io::Result<()> {
    let announced = waker.announce();
    let work = move || work(&delivery, &client, &waker, announced);
    threads::start_short_lived("crustocean-history", work).map(drop)
}

fn work(delivery: &DeliveryShared, client: &Client, waker: &Waker, announced: Announced) {
    let mut helper = Helper { delivery, job: None, counted: true };
    loop {
        helper.job = delivery.next_job();
        let Some(job) = &helper.job else { break };
        let mut fill = Fill { delivery, client, waker, job, dm: job.dm, missed: 0 };
        let error = match fill.run() {
            Ok(()) | Err(FillError::GapClosed) => None,
            Err(FillError::Failed(error)) => Some(error),
        };
        let missed = fill.missed;
        delivery.finish(job, error);
        waker.wake();
        if let Some(job) = helper.job.take()
            && missed > 0
        {
            note!(
                delivery.log,
                Info,
                "{missed} missed messages of {} were fetched from its history",
                job.room
            );
        }
    }
    // `next_job` has already removed this helper from the count.
    helper.counted = false;
    drop(announced);
    waker.wake();
}

/// Counts a running helper. After a panic (of this crate or of a logger), `Drop` closes the helper's gap.
struct Helper<'a> {
    delivery: &'a DeliveryShared,
    job: Option<FillJob>,
    counted: bool,
}

impl Drop for Helper<'_> {
    fn drop(&mut self) {
        if let Some(job) = &self.job {
            let text = "internal error: reading the history panicked; please report this";
            self.delivery.finish(job, Some(Error::new(ErrorKind::Closed, text)));
        }
        if self.counted {
            self.delivery.helper_is_gone();
        }
    }
}

/// A gap that a helper is filling.
struct Fill<'a> {
    delivery: &'a DeliveryShared,
    client: &'a Client,
    waker: &'a Waker,
    job: &'a FillJob,
    dm: bool,
    missed: usize,
}

enum FillError {
    GapClosed,
    Failed(Error),
}

impl From<GapClosed> for FillError {
    fn from(GapClosed: GapClosed) -> Self {
        FillError::GapClosed
    }
}

/// The missed messages of a page, newest first, and the request that reads the page again.
struct Page {
    before: Option<Timestamp>,
    limit: u32,
    oldest: Option<MessageId>,
    missed: Option<Vec<Message>>,
    bytes: usize,
}

/// The result of reading the history back to its known part.
struct LookbackOutcome {
    /// Newest first.
    pages: Vec<Page>,
    /// Why messages may be missing.
    error: Option<Error>,
    /// The pages do not reach back to the known part of the history.
    is_partial: bool,
}

impl Fill<'_> {
    fn run(&mut self) -> Result<(), FillError> {
        let lookback = match &self.job.lookback {
            Ok(lookback) => lookback.clone(),
            Err(error) => return Err(FillError::Failed(Error::new(error.kind(), error.to_string()))),
        };
        let LookbackOutcome { pages, error, is_partial } = self.look_back(&lookback)?;
        if let Some(error) = error {
            self.delivery.report(self.job, error)?;
        }
        if is_partial {
            self.waker.wake();
            self.delivery.wait_for_consumers(self.job)?;
        }
        // Hands out the oldest page first.
        for page in pages.into_iter().rev() {
            let missed = match page.missed {
                Some(missed) => missed,
                None => self.find_again(&page, &lookback)?,
            };
            self.missed += missed.len();
            self.delivery.merge(self.job, missed.into_iter().rev().collect())?;
            self.waker.wake();
        }
        Ok(())
    }

    /// Reads the history backwards to the known part.
    fn look_back(&mut self, lookback: &Lookback) -> Result<LookbackOutcome, FillError> {
        let mut walk = Walk::default();
        let mut limit = FIRST_PAGE;
        let mut pages: Vec<Page> = Vec::new();
        let (mut count, mut kept, mut unsure) = (0, 0, 0);
        // Pages can overlap, so `reported` prevents counting an element twice.
        let (mut unreadable, mut reported) = (0, Reported::default());
        // A page without a readable message does not tell where the next page starts. The helper then requests a
        // larger page, once.
        let mut widened = false;
        let cut_off = loop {
            let before = walk.before().cloned();
            let page = match self.fetch(before.as_ref(), &mut limit, &walk) {
                Ok(page) => page,
                Err(FillError::Failed(error)) if !pages.is_empty() => {
                    return Ok(LookbackOutcome { pages, error: Some(error), is_partial: true });
                }
                Err(stop) => return Err(stop),
            };
            let is_full = page.skipped() >= limit.min(fetch::FIRST_PAGE) as usize;
            let nothing_readable = page.is_empty() && is_full;
            if nothing_readable && !widened {
                (widened, limit) = (true, PAGE);
                continue;
            }
            let (length, bytes) = (page.len(), page.iter().map(size_of_message).sum::<usize>());
            let above = walk.directly_before_page().cloned();
            let mut new = self.delivery.unreadable(self.job, &page, above.as_ref(), lookback)?;
            // The next page, if there is one, shows the elements at the end of this page with both neighbours.
            let is_last = length + page.skipped() < limit.min(fetch::FIRST_PAGE) as usize;
            let at_end = new.iter().position(|element| element.place == length && !is_last);
            let at_end = new.split_off(at_end.unwrap_or(new.len()));
            unreadable += reported.insert(new);
            let Some(new) = walk.take(page) else {
                unreadable += reported.insert(at_end);
                break nothing_readable;
            };
            let oldest = new.last().map(|message| message.id.clone());
            let (missed, progress) = self.delivery.classify_page(self.job, new, lookback)?;
            unsure += progress.unsure;
            count += missed.len();
            let size = missed.iter().map(size_of_message).sum();
            kept += size;
            pages.push(Page { before, limit, oldest, missed: Some(missed), bytes: size });
            // Drops the newest pages first, because they are needed last.
            let all_but_this = pages.len() - 1;
            for page in pages.iter_mut().take(all_but_this) {
                if kept <= MAX_KEPT {
                    break;
                }
                if page.missed.take().is_some() {
                    kept -= page.bytes;
                }
            }
            if count > MAX_MESSAGES {
                let text =
                    format!("more than {MAX_MESSAGES} messages were missed: only the newest of them follow");
                let error = Some(Error::new(ErrorKind::Server, text));
                return Ok(LookbackOutcome { pages, error, is_partial: true });
            }
            if progress.enough {
                break nothing_readable;
            }
            let fits = PAGE_BYTES / (bytes / length.max(1)).max(1);
            limit = u32::try_from(fits).unwrap_or(PAGE).clamp(1, PAGE);
            walk.resized();
        };
        self.delivery.note_reported(self.job, reported)?;
        let unreadable = (unreadable > 0).then(|| cannot_be_read(unreadable));
        let blind = (cut_off && unreadable.is_some()).then(|| {
            let text =
                "no message on a page of the room's history can be decoded: older messages may be missing";
            Error::new(ErrorKind::Protocol, text)
        });
        let maybe_missed = (unsure > 0).then(|| {
            let text = format!(
                "{unsure} messages of the room's history were missed, or received long ago: the crate cannot tell which by \
                 their times"
            );
            Error::new(ErrorKind::Server, text)
        });
        Ok(LookbackOutcome {
            pages,
            is_partial: blind.is_some(),
            error: blind.or(unreadable).or(maybe_missed),
        })
    }

    /// Reads the missed messages of a dropped page again. The page may have moved, because new messages were sent
    /// meanwhile. All messages older than the page were already handed out.
    fn find_again(&mut self, page: &Page, lookback: &Lookback) -> Result<Vec<Message>, FillError> {
        let mut walk = Walk::starting_at(page.before.clone());
        let mut limit = page.limit;
        let mut missed = Vec::new();
        for _ in 0..MAX_PAGES_TO_FIND {
            let before = walk.before().cloned();
            let fetched = self.fetch(before.as_ref(), &mut limit, &walk)?;
            let there = fetched.iter().any(|message| Some(&message.id) == page.oldest.as_ref());
            let Some(new) = walk.take(fetched) else { return Ok(missed) };
            let (found, progress) = self.delivery.classify_page(self.job, new, lookback)?;
            missed.extend(found);
            if there || progress.enough {
                return Ok(missed);
            }
        }
        Err(FillError::Failed(Error::new(ErrorKind::Server, "the room gets more messages than can be read")))
    }

    /// Reads a page. Retries temporary failures until the gap's deadline.
    fn fetch(
        &mut self,
        before: Option<&Timestamp>,
        limit: &mut u32,
        walk: &Walk,
    ) -> Result<List<Message>, FillError> {
        let mut pause = fetch::FIRST_PAUSE;
        let mut dm = self.dm;
        let page = loop {
            match walk.empty_if_id_refused(fetch::smaller_page(
                self.client,
                &self.job.room,
                &mut dm,
                before,
                limit,
            )) {
                Ok(page) => break page,
                Err(error) if is_temporary(&error) => {
                    let wait = error.retry_after().unwrap_or(pause);
                    if wait > BUDGET || !self.delivery.pause(self.job, wait) {
                        return Err(FillError::Failed(error));
                    }
                    pause *= 2;
                }
                Err(error) => return Err(FillError::Failed(error)),
            }
        };
        if dm != self.dm {
            self.dm = dm;
            self.delivery.set_dm(self.job, dm);
        }
        Ok(page)
    }
}
