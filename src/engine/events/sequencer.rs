//! One thread that decides in which order events count, and keeps the tallies of all partitions.
//!
//! ```text
//! calls and pages → a round of them → verdict of each, by its tally → one append, synced → answers
//! ```
//!
//! The tallies run ahead of the log by one round, which nobody sees: if its append fails they are
//! made again from the log.

use std::io;
use std::sync::{Mutex, PoisonError};
use std::thread::JoinHandle;

use rayon::prelude::*;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};

use crate::domain::id::MarketId;
use crate::engine::entropy::Entropy;
use crate::engine::error::EngineError;
use crate::engine::events::draft::{Refusal, RefusalCode};
use crate::engine::events::keeper::Keeper;
use crate::engine::events::page_job::PageJob;
use crate::engine::events::stamp::{Stamped, refusal};
use crate::engine::start::Engine;
use crate::measurement::log::{Entry, What};
use crate::measurement::split::{SessionDigest, SplitKey};
use crate::measurement::sums::MarketSums;
use crate::measurement::tally::{Applied, Tally};
use crate::promotion::slot::SlotMask;
use crate::record::event::{SCHEMA, decode, encode};
use crate::store::commit::{CommitError, FollowError};
use crate::store::event::{EventBatch, EventLog, LogPosition, Partition};
use crate::store::fold::FoldStore;
use crate::telemetry::series::Counter;

/// Calls that wait before the next one has to.
const CALLS_WAITING: usize = 256;

/// Pages that wait before the next one is dropped.
const PAGES_WAITING: usize = 8_192;

/// Events of a round after which nothing more joins it.
const ROUND: usize = 16_000;

/// Pages of a round: some 20 ms of work where fifty promotions are measured, so that calls, which
/// somebody waits for, come to their turn.
const ROUND_PAGES: usize = 256;

/// Batches asked of a partition at a time.
const READ: usize = 1_000;

/// Bytes of batches in one append, before packing.
const APPEND_BYTES: usize = 400 << 10;

/// Times an append of unknown outcome is repeated.
const REPEATS: usize = 3;

/// What became of one event.
#[derive(Debug)]
pub(in crate::engine) enum Verdict {
    /// Logged.
    Accepted,
    /// Known before.
    Duplicate,
    /// Not taken.
    Refused(Refusal),
}

enum Job {
    Events(
        Vec<Stamped>,
        oneshot::Sender<Result<Vec<Verdict>, EngineError>>,
    ),
    Sums(MarketId, oneshot::Sender<Result<MarketSums, EngineError>>),
    Stop,
}

/// The way to the sequencer.
#[derive(Debug)]
pub(in crate::engine) struct EventDoor {
    jobs: mpsc::Sender<Job>,
    pages: mpsc::Sender<Box<PageJob>>,
}

impl EventDoor {
    /// Has events judged and logged, in their order; answers when they are on disk.
    ///
    /// # Errors
    /// The log takes none: nothing of this call counts, or it may be repeated under its ids.
    pub(in crate::engine) async fn take(
        &self,
        events: Vec<Stamped>,
    ) -> Result<Vec<Verdict>, EngineError> {
        let (answer, answered) = oneshot::channel();
        let sent = self.jobs.send(Job::Events(events, answer)).await;
        sent.map_err(|_| EngineError::StoreUnavailable)?;
        answered.await.map_err(|_| EngineError::OutcomeUnknown)?
    }

    /// The sums of a market, over all partitions, up to some durable place.
    ///
    /// # Errors
    /// The log cannot be read.
    pub(in crate::engine) async fn sums(
        &self,
        market: &MarketId,
    ) -> Result<MarketSums, EngineError> {
        let (answer, answered) = oneshot::channel();
        let sent = self.jobs.send(Job::Sums(market.clone(), answer)).await;
        sent.map_err(|_| EngineError::StoreUnavailable)?;
        answered.await.map_err(|_| EngineError::StoreUnavailable)?
    }

    /// Leaves a page to be counted, without waiting; whether there was room.
    pub(in crate::engine) fn offer(&self, page: Box<PageJob>) -> bool {
        self.pages.try_send(page).is_ok()
    }

    fn stop(&self) {
        let jobs = self.jobs.clone();
        // The thread takes jobs until it meets this one, so room comes.
        while let Err(mpsc::error::TrySendError::Full(_)) = jobs.try_send(Job::Stop) {
            std::thread::yield_now();
        }
    }
}

/// A sequencer at work.
#[derive(Debug)]
pub(in crate::engine) struct Running {
    /// The way to it.
    pub(in crate::engine) door: EventDoor,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Running {
    /// Starts one over the log.
    ///
    /// # Errors
    /// No thread can be made.
    fn start(
        log: EventLog,
        folds: FoldStore,
        entropy: Entropy,
        split: SplitKey,
        dropped: Counter,
    ) -> io::Result<Self> {
        let (sequencer, door) = Sequencer::new(log, folds, entropy, split, dropped);
        let builder = std::thread::Builder::new().name("events".to_owned());
        let thread = builder.spawn(move || sequencer.run())?;
        Ok(Self {
            door,
            thread: Mutex::new(Some(thread)),
        })
    }

    /// Ends it once everything that waits is answered.
    pub(in crate::engine) fn stop(&self) {
        let thread = self
            .thread
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(thread) = thread {
            self.door.stop();
            let _ = thread.join();
        }
    }
}

impl Engine {
    /// Starts counting what the log holds and whatever comes.
    ///
    /// # Errors
    /// No thread can be made.
    pub(in crate::engine) fn count_events(&self) -> io::Result<()> {
        let running = Running::start(
            self.stores().events.clone(),
            self.stores().folds.clone(),
            self.entropy().clone(),
            self.snapshot().secrets.split.clone(),
            self.metrics().dropped_page_events.clone(),
        )?;
        let is_first = self.sequencer().set(running).is_ok();
        assert!(is_first, "an engine starts once");
        Ok(())
    }

    /// The way into the event log.
    pub(in crate::engine) fn events(&self) -> &EventDoor {
        let running = self.sequencer().get();
        &running.expect("it runs before start returns").door
    }
}

/// The thread's own.
struct Sequencer {
    log: EventLog,
    entropy: Entropy,
    split: SplitKey,
    runtime: Handle,
    keeper: Keeper,
    dropped: Counter,
    /// `None` while the log cannot be read.
    tallies: Option<Vec<Tally>>,
    jobs: mpsc::Receiver<Job>,
    pages: mpsc::Receiver<Box<PageJob>>,
}

impl Sequencer {
    fn new(
        log: EventLog,
        folds: FoldStore,
        entropy: Entropy,
        split: SplitKey,
        dropped: Counter,
    ) -> (Self, EventDoor) {
        let (jobs, to_do) = mpsc::channel(CALLS_WAITING);
        let (pages, to_count) = mpsc::channel(PAGES_WAITING);
        let own = Self {
            log,
            entropy,
            split,
            keeper: Keeper::new(folds, Handle::current()),
            runtime: Handle::current(),
            dropped,
            tallies: None,
            jobs: to_do,
            pages: to_count,
        };
        (own, EventDoor { jobs, pages })
    }

    /// Counts what the log holds, then whatever comes, until told to stop.
    fn run(mut self) {
        self.reload();
        loop {
            let runtime = self.runtime.clone();
            let (first, page) = runtime.block_on(async {
                tokio::select! {
                    job = self.jobs.recv() => (job, None),
                    page = self.pages.recv() => (None, page),
                }
            });
            if first.is_none() && page.is_none() {
                // Everybody who could send is gone.
                return;
            }
            let mut pages: Vec<_> = page.into_iter().collect();
            let mut calls = Vec::new();
            let mut asked = Vec::new();
            let mut is_last = false;
            let mut n = 0;
            let mut next = first.or_else(|| self.jobs.try_recv().ok());
            while let Some(job) = next {
                match job {
                    Job::Events(events, answer) => {
                        n += events.len();
                        calls.push((events, answer));
                    }
                    Job::Sums(market, answer) => asked.push((market, answer)),
                    Job::Stop => is_last = true,
                }
                let is_open = !is_last && n < ROUND;
                next = is_open.then(|| self.jobs.try_recv().ok()).flatten();
            }
            while pages.len() < ROUND_PAGES
                && let Ok(page) = self.pages.try_recv()
            {
                pages.push(page);
            }
            self.round(calls, &pages);
            for (market, answer) in asked {
                let _ = answer.send(self.sums(&market));
            }
            let position = self.log.position();
            if let Some(tallies) = &mut self.tallies {
                if is_last {
                    self.keeper.keep_all(tallies, position);
                } else {
                    self.keeper.turn(tallies, n + pages.len(), position);
                }
            }
            if is_last {
                return;
            }
        }
    }

    #[expect(clippy::type_complexity, reason = "a call and who waits for it")]
    fn round(
        &mut self,
        calls: Vec<(
            Vec<Stamped>,
            oneshot::Sender<Result<Vec<Verdict>, EngineError>>,
        )>,
        pages: &[Box<PageJob>],
    ) {
        if self.tallies.is_none() {
            self.reload();
        }
        let Some(tallies) = &mut self.tallies else {
            for (_, answer) in calls {
                let _ = answer.send(Err(EngineError::StoreUnavailable));
            }
            self.dropped.inc_by(pages.len() as u64);
            return;
        };
        let mut accepted = Vec::new();
        let made: Vec<Entry> = pages
            .par_iter()
            .map(|page| {
                let shopper = page.shopper.as_ref();
                let shopper = shopper.map(|shopper| self.split.digest_text(shopper.as_str()));
                page.entry(shopper, noted(tallies, page))
            })
            .collect();
        for entry in made {
            // A page has no id: it is never a duplicate.
            tallies[usize::from(entry.session.partition())].apply(&entry);
            accepted.push(entry);
        }
        let mut answers = Vec::with_capacity(calls.len());
        for (events, answer) in calls {
            let judged = events
                .into_iter()
                .map(|event| judge(tallies, event, &mut accepted));
            answers.push((judged.collect::<Vec<_>>(), answer));
        }
        match self.append(&accepted) {
            Ok(()) => {
                for (verdicts, answer) in answers {
                    let _ = answer.send(Ok(verdicts));
                }
            }
            Err(error) => {
                tracing::warn!(%error, n = accepted.len(), "events could not be logged");
                self.dropped.inc_by(pages.len() as u64);
                for (_, answer) in answers {
                    let _ = answer.send(Err(of_log(&error)));
                }
                self.tallies = None;
            }
        }
    }

    /// Appends entries, in as many calls as they need.
    fn append(&self, entries: &[Entry]) -> Result<(), CommitError> {
        let Some(last) = entries.last() else {
            return Ok(());
        };
        let Some(batches) = batches_of(entries) else {
            let (left, right) = entries.split_at(entries.len() / 2);
            if left.is_empty() {
                let (have, max) = (entries.len(), 0);
                return Err(CommitError::TooLarge { have, max });
            }
            self.append(left)?;
            return self.append(right);
        };
        let id = self.entropy.commit_id();
        let mut left = REPEATS;
        loop {
            let batches = batches.clone();
            match self
                .runtime
                .block_on(self.log.append(id, last.received, batches))
            {
                Ok(_) | Err(CommitError::AlreadyDone(_)) => return Ok(()),
                Err(CommitError::Unknown) if left > 0 => left -= 1,
                Err(error) => return Err(error),
            }
        }
    }

    /// Makes the tallies from the log.
    fn reload(&mut self) {
        let kept = self.keeper.load();
        match count(&self.runtime, &self.log, kept) {
            Ok(tallies) => self.tallies = Some(tallies),
            Err(error) => {
                tracing::error!(error, "the event log cannot be counted");
                self.tallies = None;
            }
        }
    }

    fn sums(&mut self, market: &MarketId) -> Result<MarketSums, EngineError> {
        if self.tallies.is_none() {
            self.reload();
        }
        let tallies = self.tallies.as_ref().ok_or(EngineError::StoreUnavailable)?;
        let mut all = MarketSums::default();
        for sums in tallies.iter().filter_map(|tally| tally.sums(market)) {
            all.merge(sums);
        }
        Ok(all)
    }
}

/// The tallies of all partitions, from what is kept of each to the log's end.
fn count(
    runtime: &Handle,
    log: &EventLog,
    kept: Vec<(Tally, LogPosition)>,
) -> Result<Vec<Tally>, String> {
    let partitions: Vec<_> = Partition::all().zip(kept).collect();
    let counted = partitions
        .into_par_iter()
        .map(|(partition, (mut tally, after))| {
            runtime.block_on(count_on(log, partition, &mut tally, after))?;
            Ok(tally)
        });
    counted.collect()
}

/// Counts what a partition's log holds behind a place.
async fn count_on(
    log: &EventLog,
    partition: Partition,
    tally: &mut Tally,
    mut after: LogPosition,
) -> Result<(), String> {
    while after < log.position() {
        let page = match log.read(partition, after, READ).await {
            Ok(page) => page,
            // A restore writes the log anew, from a higher place on.
            Err(FollowError::Compacted { first }) if after.0 == 0 => {
                after = LogPosition(first.0.saturating_sub(1));
                continue;
            }
            Err(error) => return Err(error.to_string()),
        };
        for batch in &page.batches {
            let payload = batch.events.payload().map_err(|error| error.to_string())?;
            let read = decode(batch.events.schema(), &payload);
            let (entries, controls) = read.map_err(|error| error.to_string())?;
            for control in &controls {
                tally.control(control);
            }
            for entry in &entries {
                tally.apply(entry);
            }
        }
        after = page.through;
    }
    Ok(())
}

/// Slots that differed for a session before.
fn noted(tallies: &[Tally], page: &PageJob) -> SlotMask {
    let tally = &tallies[usize::from(page.session.partition())];
    let watched = page.timed.watched.iter();
    watched
        .filter(|own| tally.has_differed(&page.market, page.session, own.epoch.key))
        .fold(SlotMask::EMPTY, |all, own| all | SlotMask::of(own.slot))
}

/// Gives an event its verdict; accepted ones are counted and left to be logged.
fn judge(tallies: &mut [Tally], event: Stamped, accepted: &mut Vec<Entry>) -> Verdict {
    let mut entry = event.entry;
    match &mut entry.what {
        What::Refund(order) => {
            let known = tallies
                .iter()
                .find_map(|tally| tally.order(&entry.market, order.id));
            let back = event.returned.unwrap_or_default();
            let Some(known) = known else {
                let detail = format!(
                    "order {} is not known in market {}",
                    back.name, entry.market
                );
                return Verdict::Refused(refusal(RefusalCode::OrderUnknown, detail));
            };
            let tally = &tallies[usize::from(known.session.partition())];
            if tally.knows(&entry.market, known.session, entry.id) {
                return Verdict::Duplicate;
            }
            match known.returned(&back.parts) {
                Ok(lines) => order.lines = lines,
                Err(exceeds) => {
                    let part = &back.parts[exceeds.0];
                    let detail = format!(
                        "line {}: order {} has less left of {} than that",
                        exceeds.0 + 1,
                        back.name,
                        part.variant
                    );
                    return Verdict::Refused(refusal(RefusalCode::RefundExceeds, detail));
                }
            }
            entry.session = known.session;
        }
        What::Purchase(order) => {
            let is_known = |tally: &Tally| tally.order(&entry.market, order.id).is_some();
            if tallies.iter().any(is_known) {
                return Verdict::Duplicate;
            }
        }
        _ => {}
    }
    match tallies[usize::from(entry.session.partition())].apply(&entry) {
        Applied::Duplicate => Verdict::Duplicate,
        Applied::Counted => {
            accepted.push(entry);
            Verdict::Accepted
        }
    }
}

/// The entries as one call; `None`: too many for one.
fn batches_of(entries: &[Entry]) -> Option<Vec<EventBatch>> {
    let mut by_partition: [Vec<Entry>; SessionDigest::N_PARTITIONS as usize] = Default::default();
    for entry in entries {
        by_partition[usize::from(entry.session.partition())].push(entry.clone());
    }
    let mut batches = Vec::new();
    let mut n_bytes = 0;
    for (partition, entries) in Partition::all().zip(&by_partition) {
        if entries.is_empty() {
            continue;
        }
        let bytes = encode(entries, &[]).ok()?;
        n_bytes += bytes.len();
        if n_bytes > APPEND_BYTES {
            return None;
        }
        batches.push(EventBatch::new(partition, SCHEMA, &bytes).ok()?);
    }
    Some(batches)
}

fn of_log(error: &CommitError) -> EngineError {
    match error {
        CommitError::Full => EngineError::EventLogFull,
        CommitError::ReadOnly => EngineError::StoreUnavailable,
        _ => EngineError::OutcomeUnknown,
    }
}
