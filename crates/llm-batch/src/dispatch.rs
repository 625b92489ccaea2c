//! The window: rows in flight, one loop around them. It sends, hears what became of the calls, hands records to the
//! journal, and asks the [judge](crate::judge) what follows a failure.
//!
//! A row stands in the window from its call until its record is written. Everything that waits is bounded by the
//! window: rows that were put back, rows held, records to write, results to hand on.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use llm_client::clock::{self, Instant};
use llm_types::{Error, ErrorKind};
use tokio::sync::{mpsc, watch};
use tokio::task::{Id, JoinError, JoinSet};

use crate::ask::{Done, Shared, ask};
use crate::feed::{Fed, Pending};
use crate::journal::{Journal, Told};
use crate::judge::{Judge, Limits};
use crate::progress::{Counters, Notice, Observer, Stage};
use crate::results::BatchResult;
use crate::shutdown::Level;
use crate::summary::{Stop, StopReason, Tally};

mod outcome;

/// Rows in flight take at most about so much memory; one row always goes.
const MOST_BYTES: usize = 256 << 20;
/// So many rows at least may wait to be asked again before no fresh ones are asked: with one call at a time, one row
/// must not keep all others back.
const LEAST_DELAYED: usize = 16;
/// Records that need no call and wait for the disk.
const MOST_STORED: usize = 256;
/// How long calls in flight may still answer when the endpoint is given up.
const OUTAGE_GRACE: Duration = Duration::from_secs(10);
/// The same after a deadline, for clients that do not keep it themselves.
const DEADLINE_GRACE: Duration = Duration::from_millis(250);

/// What the loop needs.
pub(crate) struct Setup {
    pub(crate) shared: Arc<Shared>,
    pub(crate) limits: Limits,
    pub(crate) rows: mpsc::Receiver<Vec<Fed>>,
    /// Whether unread rows are to be handed on as unrun: only of an input that cannot keep us waiting.
    pub(crate) report_unread: bool,
    pub(crate) journal: Option<Journal>,
    pub(crate) results: Option<mpsc::Sender<BatchResult>>,
    pub(crate) counters: Arc<Counters>,
    pub(crate) observer: Option<Arc<dyn Observer>>,
    pub(crate) shutdown: watch::Receiver<Level>,
}

/// How the loop ended.
pub(crate) struct Ended {
    pub(crate) stop: Option<Stop>,
    pub(crate) tally: Tally,
    pub(crate) journal: Option<Journal>,
}

/// A row that waits to be asked again; the earliest first, then the one that came first.
struct Delayed {
    at: Reverse<(Instant, u64)>,
    row: Box<Pending>,
}

impl PartialEq for Delayed {
    fn eq(&self, other: &Self) -> bool {
        self.at == other.at
    }
}

impl Eq for Delayed {}

impl PartialOrd for Delayed {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Delayed {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.at.cmp(&other.at)
    }
}

pub(crate) struct Dispatch {
    shared: Arc<Shared>,
    limits: Limits,
    judge: Judge,
    counters: Arc<Counters>,
    observer: Option<Arc<dyn Observer>>,
    shutdown: watch::Receiver<Level>,
    level: Level,

    rows: mpsc::Receiver<Vec<Fed>>,
    all_read: bool,
    report_unread: bool,
    fed: VecDeque<Fed>,
    delayed: BinaryHeap<Delayed>,
    /// Rows whose failure may be everybody's.
    held: Vec<(Box<Pending>, Error, Duration)>,
    put_back: u64,

    tasks: JoinSet<Done>,
    bytes: usize,
    /// Rows in flight by task, where rows have to be told of when their calls are given up.
    in_flight: HashMap<Id, (u64, Option<String>, llm_types::Extra)>,
    journal: Option<Journal>,
    /// A journal that cannot write any more, to be waited for at the end.
    lost: Option<Journal>,
    /// Whether the records that wait for the disk are answers.
    unwritten: VecDeque<bool>,
    results: Option<mpsc::Sender<BatchResult>>,
    outbox: VecDeque<BatchResult>,

    tally: Tally,
    stop: Option<Stop>,
    grace: Option<Instant>,
    pause_told: bool,
    last_fault: Option<Error>,
}

/// What the loop woke up for.
enum Event {
    Level(Level),
    Done(Result<(Id, Done), JoinError>),
    Told(Told),
    Rows(Option<Vec<Fed>>),
    Taken(Result<(), ()>),
    Time,
}

impl Dispatch {
    pub(crate) fn new(setup: Setup) -> Self {
        let Setup { shared, limits, rows, report_unread, journal, results, counters, observer, shutdown } =
            setup;
        Self {
            shared,
            limits,
            judge: Judge::new(limits),
            counters,
            observer,
            shutdown,
            level: Level::Run,
            rows,
            all_read: false,
            report_unread,
            fed: VecDeque::new(),
            delayed: BinaryHeap::new(),
            held: Vec::new(),
            put_back: 0,
            tasks: JoinSet::new(),
            bytes: 0,
            in_flight: HashMap::new(),
            journal,
            lost: None,
            unwritten: VecDeque::new(),
            results,
            outbox: VecDeque::new(),
            tally: Tally::default(),
            stop: None,
            grace: None,
            pause_told: false,
            last_fault: None,
        }
    }

    /// Asks all rows. Dropping the future gives up what is in flight; what was handed to the journal is written.
    pub(crate) async fn run(mut self) -> Ended {
        loop {
            while let Some(done) = self.tasks.try_join_next_with_id() {
                self.done(done);
            }
            let now = clock::now();
            self.look_at_the_clock(now);
            self.settle(now);
            self.fill(now);
            if self.is_over() {
                break;
            }
            match self.next(now).await {
                Event::Level(level) => self.asked_to_end(level),
                Event::Done(done) => self.done(done),
                Event::Told(Told::Written(rows)) => {
                    let rows = usize::try_from(rows).unwrap_or(usize::MAX).min(self.unwritten.len());
                    self.unwritten.drain(..rows);
                }
                Event::Told(Told::Failed(error)) => self.disk_failed(error.chain()),
                Event::Rows(Some(rows)) => {
                    self.fed.extend(rows);
                    if self.level > Level::Run {
                        self.end(interrupted());
                    }
                }
                Event::Rows(None) => self.all_read = true,
                Event::Taken(Ok(())) => {}
                // Nobody wants the results any more.
                Event::Taken(Err(())) => {
                    self.results = None;
                    self.outbox.clear();
                    self.asked_to_end(Level::Abort);
                }
                Event::Time => {}
            }
        }
        self.counters.in_flight.store(0, std::sync::atomic::Ordering::Relaxed);
        Ended { stop: self.stop, tally: self.tally, journal: self.journal.or(self.lost) }
    }

    async fn next(&mut self, now: Instant) -> Event {
        let wake = self.wake_at(now);
        let wants_rows = self.wants_rows();
        let sleep = async move {
            match wake {
                Some(at) => clock::sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        let Self { tasks, shutdown, journal, rows, results, outbox, level, .. } = self;
        let told = async {
            match journal {
                Some(journal) => journal.told().await,
                None => std::future::pending().await,
            }
        };
        let room = async {
            match results {
                Some(results) => results.reserve().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            Ok(level) = async { shutdown.wait_for(|now| *now > *level).await.map(|level| *level) } => Event::Level(level),
            Some(done) = tasks.join_next_with_id() => Event::Done(done),
            told = told => Event::Told(told),
            room = room, if !outbox.is_empty() => Event::Taken(room.map_err(|_| ()).map(|room| {
                if let Some(result) = outbox.pop_front() {
                    room.send(result);
                }
            })),
            rows = rows.recv(), if wants_rows => Event::Rows(rows),
            () = sleep => Event::Time,
        }
    }

    /// Whether more rows may come in from the reader.
    fn wants_rows(&self) -> bool {
        let room = match self.stop {
            None => self.fed.is_empty(),
            Some(_) => self.fed.is_empty() && self.reports_unread(),
        };
        room && !self.all_read && self.outbox.len() < self.limits.concurrency
    }

    fn reports_unread(&self) -> bool {
        self.report_unread && self.results.is_some() && self.level < Level::Abort
    }

    /// Hands on what has come in, and sends as much as may be sent.
    fn fill(&mut self, now: Instant) {
        loop {
            if self.outbox.len() >= self.limits.concurrency.max(64) {
                return;
            }
            if self.stop.is_some() {
                match self.fed.pop_front() {
                    Some(Fed::Ask(row)) => self.leave(row.index, row.id, row.metadata),
                    Some(Fed::Store(store)) => self.leave_stored(*store),
                    Some(Fed::Restored(result)) => self.hand_on(*result),
                    None => return,
                }
                continue;
            }
            if self.fed.is_empty()
                && let Ok(rows) = self.rows.try_recv()
            {
                self.fed.extend(rows);
            }
            match self.fed.front() {
                Some(Fed::Restored(_) | Fed::Store(_)) if self.unwritten.len() >= MOST_STORED => return,
                Some(Fed::Restored(_) | Fed::Store(_)) => match self.fed.pop_front() {
                    Some(Fed::Restored(result)) => self.hand_on(*result),
                    Some(Fed::Store(store)) => self.store(*store),
                    _ => {}
                },
                _ => {
                    if !self.may_send(now) {
                        return;
                    }
                    let Some(row) = self.next_row(now) else { return };
                    self.send(row);
                }
            }
        }
    }

    fn may_send(&self, now: Instant) -> bool {
        let window = self.tasks.len() + self.unwritten.len();
        let room = window < self.limits.concurrency && (self.bytes < MOST_BYTES || self.tasks.is_empty());
        let quiet =
            self.judge.paused_until(now).is_some() || (self.judge.is_probing() && !self.tasks.is_empty());
        room && !quiet && self.level == Level::Run
    }

    /// A row that was put back and is due, else a fresh one; fresh ones only while not too many wait.
    fn next_row(&mut self, now: Instant) -> Option<Box<Pending>> {
        if self.delayed.peek().is_some_and(|delayed| delayed.at.0.0 <= now) {
            return self.delayed.pop().map(|delayed| delayed.row);
        }
        if self.delayed.len() >= self.limits.concurrency.max(LEAST_DELAYED) {
            return None;
        }
        match self.fed.pop_front() {
            Some(Fed::Ask(row)) => Some(row),
            Some(other) => {
                self.fed.push_front(other);
                None
            }
            None => None,
        }
    }

    fn send(&mut self, row: Box<Pending>) {
        if self.pause_told {
            self.pause_told = false;
            self.counters.set_stage(Stage::Running);
        }
        self.bytes += row.bytes;
        Counters::add(&self.counters.in_flight, 1);
        let told = self.results.is_some().then(|| (row.index, row.id.clone(), row.metadata.clone()));
        let task = self.tasks.spawn(ask(Arc::clone(&self.shared), row));
        if let Some(told) = told {
            self.in_flight.insert(task.id(), told);
        }
    }

    /// Ends the run: nothing more is sent.
    fn end(&mut self, stop: Stop) {
        if self.stop.is_some() {
            return;
        }
        let now = clock::now();
        self.grace = match stop.reason {
            StopReason::Outage => Some(clock::after(now, OUTAGE_GRACE)),
            StopReason::Deadline => Some(clock::after(now, DEADLINE_GRACE)),
            _ => None,
        };
        self.tell(&Notice::Stopping(stop.clone()));
        self.counters.set_stage(Stage::Draining);
        self.stop = Some(stop);
        let delayed =
            std::mem::take(&mut self.delayed).into_sorted_vec().into_iter().map(|delayed| delayed.row);
        let held = std::mem::take(&mut self.held).into_iter().map(|(row, ..)| row);
        for row in delayed.chain(held) {
            self.leave(row.index, row.id, row.metadata);
        }
        if !self.reports_unread() {
            self.rows.close();
        }
    }

    fn asked_to_end(&mut self, level: Level) {
        self.level = level.max(self.level);
        if level >= Level::Abort {
            self.tasks.abort_all();
            self.rows.close();
            self.end(Stop::new(StopReason::Aborted, "the run was aborted"));
            if let Some(stop) = self.stop.as_mut().filter(|stop| stop.reason == StopReason::Drained) {
                *stop = Stop::new(StopReason::Aborted, "the run was aborted");
            }
        } else {
            // Perhaps every row was sent, and only the end of the input has not been seen: then nothing is cut short.
            let may_be_all = self.fed.is_empty() && self.delayed.is_empty() && self.report_unread;
            if !may_be_all && !self.has_nothing_to_send() {
                self.end(interrupted());
            }
        }
    }

    /// Whether every row has been sent: then an end that was asked for changes nothing.
    fn has_nothing_to_send(&self) -> bool {
        self.all_read && self.fed.is_empty() && self.delayed.is_empty()
    }

    fn disk_failed(&mut self, message: String) {
        self.lost = self.journal.take();
        // What did not get there is no part of the sums.
        for success in std::mem::take(&mut self.unwritten) {
            let counter = if success { &self.counters.success } else { &self.counters.failed };
            counter.fetch_sub(1, std::sync::atomic::Ordering::Relaxed);
        }
        // Answers could not be stored any more.
        self.tasks.abort_all();
        self.end(Stop::new(StopReason::Output, message));
    }

    /// When to look again though nothing happens. What is due already waits for an event and not for the clock.
    fn wake_at(&self, now: Instant) -> Option<Instant> {
        let times = if self.stop.is_some() {
            [self.grace.filter(|_| !self.tasks.is_empty()), None, None, None]
        } else {
            let due = self.delayed.peek().map(|delayed| delayed.at.0.0);
            let give_up = self.judge.give_up_at().filter(|_| self.is_idle());
            [self.judge.paused_until(now), due, give_up, self.shared.deadline]
        };
        times.into_iter().flatten().filter(|at| *at > now).min()
    }

    fn look_at_the_clock(&mut self, now: Instant) {
        if self.stop.is_some() {
            if self.grace.is_some_and(|grace| grace <= now) {
                self.tasks.abort_all();
            }
        } else if self.shared.deadline.is_some_and(|deadline| deadline <= now) && !self.is_done() {
            self.end(Stop::new(StopReason::Deadline, "the job's deadline has come"));
        }
    }

    fn is_done(&self) -> bool {
        self.has_nothing_to_send() && self.held.is_empty() && self.tasks.is_empty()
    }

    /// With nothing in flight: gives up a silent endpoint, and settles what was held to the end.
    fn settle(&mut self, now: Instant) {
        if !self.is_idle() || self.stop.is_some() {
            return;
        }
        if self.has_nothing_to_send() {
            return self.release_held();
        }
        let silent = self.judge.give_up_at().is_some_and(|at| at <= now) && !self.may_send(now);
        if silent || self.judge.is_hopeless(now) {
            let error = self.last_fault.clone();
            let error = error.unwrap_or_else(|| Error::new(ErrorKind::Unavailable, "nothing could be asked"));
            self.end(Stop::by(StopReason::Outage, error));
        }
    }

    /// Whether no call runs and no record waits for the disk.
    fn is_idle(&self) -> bool {
        self.tasks.is_empty() && self.unwritten.is_empty()
    }

    fn is_over(&self) -> bool {
        let read = match self.stop {
            None => self.has_nothing_to_send() && self.held.is_empty(),
            Some(_) => self.fed.is_empty() && (self.all_read || !self.reports_unread()),
        };
        read && self.is_idle() && self.outbox.is_empty()
    }

    fn tell(&self, notice: &Notice) {
        if let Some(observer) = &self.observer {
            observer.notice(notice);
        }
    }
}

fn interrupted() -> Stop {
    Stop::new(StopReason::Drained, "the run was interrupted")
}
