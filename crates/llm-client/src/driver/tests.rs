//! The driver's loop over a scripted plan, on a paused clock.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex as StdMutex};
use std::time::Duration;

use tokio::sync::Notify;

use super::*;

const SEC: Duration = Duration::from_secs(1);

/// Lanes that answer from a script; an empty script answers `Ok`.
struct Script {
    endpoints: Vec<usize>,
    reserve: Vec<usize>,
    /// Where a call goes on that is too long.
    chain: Vec<usize>,
    replies: StdMutex<VecDeque<(usize, Option<ErrorKind>)>>,
    sent: StdMutex<Vec<(usize, Duration)>>,
    slots: AtomicUsize,
    budget: AtomicU32,
    start: Instant,
    takes: Duration,
    queue: Queue,
    released: Arc<Notify>,
}

impl Script {
    fn new(endpoints: &[usize], replies: &[(usize, Option<ErrorKind>)]) -> Self {
        Self {
            endpoints: endpoints.to_vec(),
            reserve: Vec::new(),
            chain: Vec::new(),
            replies: StdMutex::new(replies.iter().copied().collect()),
            sent: StdMutex::default(),
            slots: AtomicUsize::new(usize::MAX),
            budget: AtomicU32::new(100),
            start: clock::now(),
            takes: Duration::ZERO,
            queue: Queue::default(),
            released: Arc::default(),
        }
    }

    fn sent(&self) -> Vec<(usize, u64)> {
        self.sent.lock().unwrap().iter().map(|(lane, at)| (*lane, at.as_secs())).collect()
    }
}

fn at_most(retries: u32) -> Call {
    let mut call = Call::default();
    call.max_retries = Some(retries);
    call
}

struct Permit<'a>(&'a Script);

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        self.0.slots.fetch_add(1, Ordering::Relaxed);
        self.0.released.notify_waiters();
    }
}

// A permit that borrows the plan cannot be named in the trait, so the plan is the reference.
impl<'a> Plan for &'a Script {
    type Answer = usize;
    type Permit = Permit<'a>;

    fn rules(&self, call: &Call) -> Rules {
        Rules {
            endpoints: self.endpoints.clone(),
            reserve: self.reserve.clone(),
            max_retries: call.max_retries.unwrap_or(3),
            retry_after_cap: 60 * SEC,
            wait: call.wait,
            deadline: call.deadline,
        }
    }

    fn admit(&self, open: &[usize], _: Instant, _: bool) -> Result<(usize, Permit<'a>), NotBefore> {
        let take = |slots: usize| slots.checked_sub(1);
        match self.slots.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take) {
            Ok(_) => Ok((open[0], Permit(self))),
            Err(_) => Err(NotBefore { at: None, block: Block::Turn, reason: "every slot is taken".into() }),
        }
    }

    fn released(&self) -> impl Future<Output = ()> + Send {
        Arc::clone(&self.released).notified_owned()
    }

    async fn attempt(&self, lane: usize, permit: Permit<'a>, call: &Call) -> Result<usize, Error> {
        call.record_attempt("http://test");
        self.sent.lock().unwrap().push((lane, self.start.elapsed()));
        tokio::time::sleep(self.takes).await;
        let reply = self.replies.lock().unwrap().pop_front();
        if let Some((expected, _)) = reply {
            assert_eq!(expected, lane, "the script expects another lane");
        }
        drop(permit);
        let kind = reply.and_then(|(_, kind)| kind);
        call.record_outcome(kind, None);
        kind.map_or(Ok(lane), |kind| Err(Error::new(kind, "scripted")))
    }

    fn spend_retry(&self, _: usize, _: Instant) -> bool {
        self.budget.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok()
    }

    fn backoff(&self, retries: u32, _: f64) -> Duration {
        SEC * 2_u32.pow(retries)
    }

    fn chain(&self, error: &Error) -> Vec<usize> {
        if error.kind() == ErrorKind::ContextLength { self.chain.clone() } else { Vec::new() }
    }

    fn queue(&self) -> &Queue {
        &self.queue
    }

    fn describe(&self, error: Error) -> Error {
        error.with_model("test", "m")
    }
}

#[tokio::test(start_paused = true)]
async fn a_passing_fault_is_retried_on_schedule_and_every_attempt_is_told() {
    let server = Some(ErrorKind::Server);
    let plan = Script::new(&[0], &[(0, server), (0, server), (0, server), (0, None)]);
    let call = Call::default();
    assert_eq!(drive(&&plan, &call).await.unwrap().answer, 0);
    assert_eq!(plan.sent(), [(0, 0), (0, 1), (0, 3), (0, 7)]);

    let plan = Script::new(&[0], &[(0, server); 4]);
    let error = drive(&&plan, &call).await.unwrap_err();
    let log: Vec<_> = error.attempts().iter().map(|a| (a.number, a.kind, a.wait.as_secs())).collect();
    assert_eq!(log, [(1, server, 0), (2, server, 1), (3, server, 2), (4, server, 4)]);
    assert_eq!((error.model(), error.elapsed().map(|e| e.as_secs())), (Some("m"), Some(7)));
}

#[tokio::test(start_paused = true)]
async fn another_endpoint_is_asked_at_once() {
    let plan = Script::new(&[0, 1], &[(0, Some(ErrorKind::Connection)), (1, None)]);
    assert_eq!(drive(&&plan, &Call::default()).await.unwrap().answer, 1);
    assert_eq!(plan.sent(), [(0, 0), (1, 0)]);
}

#[tokio::test(start_paused = true)]
async fn a_chain_leads_to_its_own_lanes_and_to_no_other() {
    let long = Some(ErrorKind::ContextLength);
    let chained = |replies: &[(usize, Option<ErrorKind>)]| Script {
        reserve: vec![2, 3],
        chain: vec![0, 2, 3],
        ..Script::new(&[0, 1, 2, 3], replies)
    };
    // Lane 2 is asked only where the chain leads; lane 0 was asked already, lane 1 stands in no chain.
    let plan = chained(&[(0, long), (2, Some(ErrorKind::Server)), (3, None)]);
    assert_eq!(drive(&&plan, &Call::default()).await.unwrap().answer, 3);
    assert_eq!(plan.sent(), [(0, 0), (2, 0), (3, 0)]);
    // A chain that was walked to its end leaves the last error.
    let plan = chained(&[(0, long), (2, long), (3, long)]);
    let error = drive(&&plan, &Call::default()).await.unwrap_err();
    assert_eq!((error.kind(), plan.sent().len()), (ErrorKind::ContextLength, 3));
    // Without a cause for it nobody goes there.
    let plan = chained(&[(0, Some(ErrorKind::NotFound)), (1, Some(ErrorKind::NotFound))]);
    assert_eq!(drive(&&plan, &Call::default()).await.unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(plan.sent(), [(0, 0), (1, 0)]);
}

#[tokio::test(start_paused = true)]
async fn a_client_below_that_sent_nothing_costs_no_retry() {
    let full = Some(ErrorKind::Unavailable);
    let plan = Script::new(&[0, 1], &[(0, full), (1, Some(ErrorKind::Server)), (1, None)]);
    let call = at_most(1);
    assert_eq!(drive(&&plan, &call).await.unwrap().answer, 1);
    // The one retry was left for the endpoint that was really asked.
    assert_eq!(plan.sent(), [(0, 0), (1, 0), (1, 1)]);
    let plan = Script::new(&[0, 1], &[(0, Some(ErrorKind::Server)), (1, full)]);
    let call = at_most(0);
    // What a server said is worth more than what nobody was asked.
    assert_eq!(drive(&&plan, &call).await.unwrap_err().kind(), ErrorKind::Server);
    // Nor does one whose own budget does not let the call go; that is worth more than one that is merely full.
    let broke = Some(ErrorKind::Budget);
    let plan = Script::new(&[0, 1], &[(0, broke), (1, None)]);
    assert_eq!(drive(&&plan, &at_most(0)).await.unwrap().answer, 1);
    for replies in [[(0, broke), (1, full)], [(0, full), (1, broke)]] {
        let plan = Script::new(&[0, 1], &replies);
        assert_eq!(drive(&&plan, &Call::default()).await.unwrap_err().kind(), ErrorKind::Budget);
    }
}

#[tokio::test(start_paused = true)]
async fn a_driven_call_makes_one_attempt_and_never_waits() {
    let plan = Script::new(&[0, 1], &[(0, Some(ErrorKind::Server))]);
    let call = Call::default().driven();
    assert_eq!(drive(&&plan, &call).await.unwrap_err().kind(), ErrorKind::Server);
    assert_eq!(plan.sent(), [(0, 0)]);
    plan.slots.store(0, Ordering::Relaxed);
    assert_eq!(drive(&&plan, &call).await.unwrap_err().kind(), ErrorKind::Unavailable);
    assert_eq!(plan.sent(), [(0, 0)]);
}

#[tokio::test(start_paused = true)]
async fn an_empty_retry_budget_ends_the_call_with_its_own_error() {
    let plan = Script::new(&[0], &[(0, Some(ErrorKind::Overloaded))]);
    plan.budget.store(0, Ordering::Relaxed);
    let error = drive(&&plan, &Call::default()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Overloaded);
    assert_eq!(error.retry_after(), Some(SEC));
    assert!(error.message().contains("retry budget"), "{error}");
    assert_eq!(plan.sent(), [(0, 0)]);
}

#[tokio::test(start_paused = true)]
async fn the_deadline_cuts_an_attempt_and_is_told_as_such() {
    let plan = Script { takes: 10 * SEC, ..Script::new(&[0], &[]) };
    let error = drive(&&plan, &Call::within(3 * SEC)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout(Phase::Call));
    assert_eq!(error.attempts().len(), 1);
    assert_eq!(error.attempts()[0].kind, Some(ErrorKind::Timeout(Phase::Call)));
    assert_eq!(error.elapsed(), Some(3 * SEC));
}

#[tokio::test(start_paused = true)]
async fn waiting_calls_are_admitted_in_the_order_they_came() {
    let plan = Script { takes: SEC, ..Script::new(&[0], &[]) };
    plan.slots.store(1, Ordering::Relaxed);
    let order = StdMutex::new(Vec::new());
    let one = async |number: usize| {
        // Each call arrives a moment after the one before it.
        tokio::time::sleep(Duration::from_millis(number as u64)).await;
        drive(&&plan, &Call::default()).await.unwrap();
        order.lock().unwrap().push(number);
    };
    tokio::join!(one(3), one(1), one(4), one(0), one(2));
    assert_eq!(*order.lock().unwrap(), [0, 1, 2, 3, 4]);
    assert_eq!(plan.sent().last(), Some(&(0, 4)));
}

#[tokio::test(start_paused = true)]
async fn a_waiting_call_that_is_dropped_leaves_its_place_to_the_next() {
    let plan = Script { takes: SEC, ..Script::new(&[0], &[]) };
    plan.slots.store(1, Ordering::Relaxed);
    let first = async { drive(&&plan, &Call::default()).await };
    let dropped = async { tokio::time::timeout(SEC / 2, drive(&&plan, &Call::default())).await };
    let last = async {
        tokio::time::sleep(SEC / 4).await;
        drive(&&plan, &Call::default()).await
    };
    let (a, b, c) = tokio::join!(first, dropped, last);
    assert!(a.is_ok() && b.is_err() && c.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_call_that_may_not_wait_fails_at_once() {
    let plan = Script::new(&[0], &[]);
    plan.slots.store(0, Ordering::Relaxed);
    let error = drive(&&plan, &Call::default().waiting(Wait::Never)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert_eq!(error.to_string(), "nothing can take the call now: every slot is taken");
}

#[tokio::test(start_paused = true)]
async fn a_call_that_may_not_wait_does_not_stand_in_the_queue_either() {
    let plan = Script { takes: SEC, ..Script::new(&[0], &[]) };
    plan.slots.store(1, Ordering::Relaxed);
    let hasty = async {
        tokio::time::sleep(SEC / 2).await;
        let error = drive(&&plan, &Call::default().waiting(Wait::Never)).await.unwrap_err();
        (error.kind(), plan.start.elapsed())
    };
    let one = async || drive(&&plan, &Call::default()).await;
    let (first, second, hasty) = tokio::join!(one(), one(), hasty);
    assert!(first.is_ok() && second.is_ok());
    assert_eq!(hasty, (ErrorKind::Unavailable, SEC / 2));
}
