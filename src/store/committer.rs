//! The thread that owns a writer: collects commits into groups and answers them.
//!
//! A lone writer never waits: a group is closed at once when as many commits are there as the
//! last group had, else after `group_ms`. While a group syncs, the next one gathers.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Condvar, Mutex, PoisonError, mpsc};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use crate::store::Revision;
use crate::store::commit::{COMMIT_BYTES_MAX, Commit, CommitError};
use crate::store::journal::frame::BODY_BYTES_MAX;
use crate::store::shared::locked;
use crate::store::writer::{GROUP_MAX, Writer};

/// Kibibytes of commits that may wait; more wait outside the queue.
const QUEUE_KIB: usize = 32 << 10;

/// Time between two looks at the room left while nobody writes.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// What an answer is.
pub type Answer = Result<Revision, CommitError>;

/// Commits on their way to a writer.
#[derive(Debug)]
pub struct Queue {
    waiting: Mutex<Waiting>,
    arrived: Condvar,
    room: Arc<Semaphore>,
}

#[derive(Debug, Default)]
struct Waiting {
    commits: VecDeque<Ticket>,
    trims: Vec<Trim>,
    is_closed: bool,
}

/// Up to where to forget, and who waits for it.
type Trim = (Revision, mpsc::Sender<io::Result<()>>);

#[derive(Debug)]
struct Ticket {
    commit: Commit,
    bytes: usize,
    answer: oneshot::Sender<Answer>,
    room: OwnedSemaphorePermit,
}

impl Queue {
    fn new() -> Self {
        Self {
            waiting: Mutex::default(),
            arrived: Condvar::new(),
            room: Arc::new(Semaphore::new(QUEUE_KIB)),
        }
    }

    /// Makes a commit and waits for it to be durable. If the caller goes away it is made all the
    /// same.
    ///
    /// # Errors
    /// See [`CommitError`]; [`CommitError::ReadOnly`] once the store is closed.
    pub async fn commit(&self, commit: Commit) -> Answer {
        commit.check_limits()?;
        let bytes = commit.encoded_bytes();
        const { assert!(COMMIT_BYTES_MAX / 1_024 < QUEUE_KIB) };
        let kib = u32::try_from(bytes / 1_024 + 1).unwrap_or(u32::MAX);
        let room = self.room.clone().acquire_many_owned(kib).await;
        let room = room.map_err(|_| CommitError::ReadOnly)?;
        let (answer, answered) = oneshot::channel();
        self.push(Ticket {
            commit,
            bytes,
            answer,
            room,
        })?;
        answered.await.unwrap_or(Err(CommitError::Unknown))
    }

    fn push(&self, ticket: Ticket) -> Result<(), CommitError> {
        let mut waiting = locked(&self.waiting);
        if waiting.is_closed {
            return Err(CommitError::ReadOnly);
        }
        waiting.commits.push_back(ticket);
        drop(waiting);
        self.arrived.notify_one();
        Ok(())
    }

    /// Forgets journal files whose records all lie before `before`. Blocks.
    ///
    /// # Errors
    /// What the disk says; `BrokenPipe` once the store is closed.
    pub fn trim(&self, before: Revision) -> io::Result<()> {
        let (answer, answered) = mpsc::channel();
        let mut waiting = locked(&self.waiting);
        if waiting.is_closed {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        waiting.trims.push((before, answer));
        drop(waiting);
        self.arrived.notify_one();
        let said = answered.recv();
        said.unwrap_or(Err(io::ErrorKind::BrokenPipe.into()))
    }

    fn close(&self) {
        locked(&self.waiting).is_closed = true;
        self.arrived.notify_all();
    }
}

/// A running committer.
#[derive(Debug)]
pub struct Committer {
    queue: Arc<Queue>,
    thread: Option<JoinHandle<()>>,
}

impl Committer {
    /// Starts the thread of a writer that collects for at most `group_ms`.
    ///
    /// # Errors
    /// If the system has no thread to give.
    pub fn spawn(mut writer: Writer, group_ms: u64) -> io::Result<Self> {
        let queue = Arc::new(Queue::new());
        let name = format!("commit-{}", writer.shared().identity().space.name());
        let theirs = queue.clone();
        let thread = std::thread::Builder::new()
            .name(name)
            .spawn(move || run(&mut writer, &theirs, Duration::from_millis(group_ms)))?;
        Ok(Self {
            queue,
            thread: Some(thread),
        })
    }

    /// Where commits are handed in.
    pub fn queue(&self) -> Arc<Queue> {
        self.queue.clone()
    }

    /// Makes what waits, then ends the thread.
    pub fn close(&mut self) {
        self.queue.close();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("a committer panicked");
        }
    }
}

impl Drop for Committer {
    fn drop(&mut self) {
        self.close();
    }
}

fn run(writer: &mut Writer, queue: &Queue, wait: Duration) {
    let mut expected = 1;
    loop {
        let (tickets, trims, is_closed) = collect(queue, expected, wait);
        for (before, answer) in trims {
            // The asker may have gone away.
            drop(answer.send(writer.trim(before)));
        }
        if tickets.is_empty() {
            if is_closed {
                return;
            }
            writer.check_room();
            continue;
        }
        expected = tickets.len();
        let (commits, answers): (Vec<Commit>, Vec<_>) = tickets
            .into_iter()
            .map(|ticket| (ticket.commit, (ticket.answer, ticket.room)))
            .unzip();
        for (said, (answer, room)) in writer.group(&commits).into_iter().zip(answers) {
            drop(room);
            drop(answer.send(said));
        }
    }
}

type Collected = (Vec<Ticket>, Vec<Trim>, bool);

/// Waits for the first commit, then until `expected` are there or the time is over.
fn collect(queue: &Queue, expected: usize, wait: Duration) -> Collected {
    let mut waiting = locked(&queue.waiting);
    if waiting.commits.is_empty() && waiting.trims.is_empty() && !waiting.is_closed {
        let woken = queue.arrived.wait_timeout(waiting, LOOK_EVERY);
        waiting = woken.unwrap_or_else(PoisonError::into_inner).0;
    }
    let begun = Instant::now();
    while !waiting.commits.is_empty() && waiting.commits.len() < expected && !waiting.is_closed {
        let Some(left) = wait.checked_sub(begun.elapsed()) else {
            break;
        };
        let woken = queue.arrived.wait_timeout(waiting, left);
        waiting = woken.unwrap_or_else(PoisonError::into_inner).0;
    }
    let mut tickets = Vec::new();
    let mut bytes = 0;
    while tickets.len() < GROUP_MAX
        && let Some(next) = waiting.commits.front()
    {
        bytes += next.bytes;
        if BODY_BYTES_MAX < bytes {
            break;
        }
        tickets.extend(waiting.commits.pop_front());
    }
    let trims = std::mem::take(&mut waiting.trims);
    (tickets, trims, waiting.is_closed)
}
