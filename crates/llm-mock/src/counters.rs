//! What the server has seen so far, in numbers: atomics only, so that it costs nothing to keep them on.

use std::{
    fmt,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
};

use crate::{dialect::Dialect, log::Outcome};

/// The running numbers.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) total: AtomicU64,
    in_flight: AtomicU64,
    max_in_flight: AtomicU64,
    answered: AtomicU64,
    cut: AtomicU64,
    cancelled: AtomicU64,
    pub(crate) unread: AtomicU64,
    pub(crate) connections: AtomicU64,
    pub(crate) open_connections: AtomicU64,
    pub(crate) log_errors: AtomicU64,
    pub(crate) notes: AtomicU64,
    dialects: [AtomicU64; Dialect::ALL.len()],
    statuses: Statuses,
}

/// Answers by status. The common one has a counter of its own; a map is enough for the few others.
#[derive(Debug, Default)]
struct Statuses {
    ok: AtomicU64,
    others: Mutex<Vec<(u16, u64)>>,
}

/// The numbers at one moment. See [`MockServer::counts`](crate::MockServer::counts).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counts {
    /// Requests that arrived whole.
    pub total: u64,
    /// Requests that are neither answered nor given up.
    pub in_flight: u64,
    /// The largest `in_flight` there was.
    pub max_in_flight: u64,
    /// Requests whose reply was sent to its end.
    pub answered: u64,
    /// Requests whose reply the script or a fault broke off.
    pub cut: u64,
    /// Requests whose client left before the end of the reply.
    pub cancelled: u64,
    /// Requests that never became whole: cut by the client, not HTTP, or too large.
    pub unread: u64,
    /// Connections accepted.
    pub connections: u64,
    /// Connections open now.
    pub open_connections: u64,
    /// Lines that could not be written to the log file.
    pub log_errors: u64,
    /// What was noted about all requests; see [`Request::notes`](crate::Request::notes).
    pub notes: u64,
    /// Requests by dialect, those that were asked for at all.
    pub dialects: Vec<(Dialect, u64)>,
    /// Replies by status, in order of status; those that were cancelled or cut after their head count too.
    pub statuses: Vec<(u16, u64)>,
}

impl Counts {
    /// Replies with this status.
    #[must_use]
    pub fn status(&self, status: u16) -> u64 {
        self.statuses.iter().find(|(code, _)| *code == status).map_or(0, |(_, count)| *count)
    }

    /// Requests in this dialect.
    #[must_use]
    pub fn dialect(&self, dialect: Dialect) -> u64 {
        self.dialects.iter().find(|(known, _)| *known == dialect).map_or(0, |(_, count)| *count)
    }
}

/// One line, as `llm mock` prints on its way out.
impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { total, answered, cancelled, cut, connections, max_in_flight, .. } = self;
        write!(
            f,
            "{total} requests ({answered} answered, {cancelled} cancelled, {cut} cut) on {connections} connections, \
             at most {max_in_flight} at once"
        )?;
        for (status, count) in &self.statuses {
            write!(f, ", {status}: {count}")?;
        }
        // Worth a word only where it is not the usual one.
        for (dialect, count) in self.dialects.iter().filter(|(dialect, _)| *dialect != Dialect::OpenAiChat) {
            write!(f, ", {dialect}: {count}")?;
        }
        Ok(())
    }
}

impl Counters {
    /// Counts an arrival; returns its number, from 1, and how many are now in flight.
    pub(crate) fn arrive(&self, dialect: Dialect) -> (u64, u64) {
        let own = Dialect::ALL.iter().zip(&self.dialects).find(|(known, _)| **known == dialect);
        if let Some((_, count)) = own {
            count.fetch_add(1, SeqCst);
        }
        let in_flight = self.in_flight.fetch_add(1, SeqCst) + 1;
        self.max_in_flight.fetch_max(in_flight, SeqCst);
        (self.total.fetch_add(1, SeqCst) + 1, in_flight)
    }

    pub(crate) fn leave(&self, outcome: Outcome, status: Option<u16>) {
        match outcome {
            Outcome::Answered => self.answered.fetch_add(1, SeqCst),
            Outcome::Cut => self.cut.fetch_add(1, SeqCst),
            Outcome::Cancelled => self.cancelled.fetch_add(1, SeqCst),
            Outcome::Pending | Outcome::Shutdown => 0,
        };
        match status {
            None => {}
            Some(200) => {
                self.statuses.ok.fetch_add(1, SeqCst);
            }
            Some(status) => {
                let mut others =
                    self.statuses.others.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                match others.iter_mut().find(|(code, _)| *code == status) {
                    Some((_, count)) => *count += 1,
                    None => others.push((status, 1)),
                }
            }
        }
        self.in_flight.fetch_sub(1, SeqCst);
    }

    pub(crate) fn snapshot(&self) -> Counts {
        let mut statuses =
            self.statuses.others.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone();
        statuses.push((200, self.statuses.ok.load(SeqCst)));
        statuses.retain(|(_, count)| *count > 0);
        statuses.sort_unstable();
        Counts {
            total: self.total.load(SeqCst),
            in_flight: self.in_flight.load(SeqCst),
            max_in_flight: self.max_in_flight.load(SeqCst),
            answered: self.answered.load(SeqCst),
            cut: self.cut.load(SeqCst),
            cancelled: self.cancelled.load(SeqCst),
            unread: self.unread.load(SeqCst),
            connections: self.connections.load(SeqCst),
            open_connections: self.open_connections.load(SeqCst),
            log_errors: self.log_errors.load(SeqCst),
            notes: self.notes.load(SeqCst),
            dialects: Dialect::ALL
                .into_iter()
                .zip(self.dialects.iter().map(|count| count.load(SeqCst)))
                .filter(|(_, count)| *count > 0)
                .collect(),
            statuses,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrivals_and_ends_add_up() {
        let counters = Counters::default();
        assert_eq!(
            (
                counters.arrive(Dialect::OpenAiChat),
                counters.arrive(Dialect::Gemini),
                counters.arrive(Dialect::OpenAiChat)
            ),
            ((1, 1), (2, 2), (3, 3))
        );
        counters.leave(Outcome::Answered, Some(200));
        counters.leave(Outcome::Cancelled, None);
        let counts = counters.snapshot();
        assert_eq!((counts.total, counts.in_flight, counts.max_in_flight), (3, 1, 3));
        counters.leave(Outcome::Cut, Some(429));
        let counts = counters.snapshot();
        assert_eq!(counts.statuses, [(200, 1), (429, 1)]);
        assert_eq!((counts.status(429), counts.status(500)), (1, 0));
        assert_eq!(
            counts.to_string(),
            "3 requests (1 answered, 1 cancelled, 1 cut) on 0 connections, at most 3 at once, 200: 1, 429: 1, \
             gemini: 1"
        );
    }
}
