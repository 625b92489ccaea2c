//! An answer ready to go out, and the plan by which its bytes leave: the same for both transports.

use std::time::Duration;

use bytes::Bytes;

use crate::{
    fault::{Fault, Framing},
    script::Ending,
};

/// At most this much of a body is still to be written when its exchange is noted as answered.
pub(crate) const TAIL: usize = 16 * 1024;

/// A reset throws away what is still on its way, so the bytes before it get this long to arrive and be read.
pub(crate) const RESET_AFTER: Duration = Duration::from_millis(20);

/// About how much of an endless body leaves in one step.
const ENDLESS: usize = 4 * 1024;

/// Everything a transport needs to know.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) content_type: &'static str,
    pub(crate) body: Bytes,
    /// Before the head.
    pub(crate) delay: Duration,
    pub(crate) cues: Vec<Cue>,
    pub(crate) ending: Ending,
    pub(crate) framing: Framing,
    pub(crate) close: bool,
    pub(crate) fault: Option<Fault>,
    /// Sent as a header of this name, with the value `req_mock_N`.
    pub(crate) request_id: Option<(&'static str, u64)>,
    /// The body is the whole response.
    pub(crate) raw: bool,
}

/// From byte `at` on, the body waits until `due` after the head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cue {
    pub(crate) at: usize,
    pub(crate) due: Duration,
}

impl Answer {
    pub(crate) fn new(status: u16, content_type: &'static str, body: impl Into<Bytes>) -> Self {
        Self {
            status,
            headers: Vec::new(),
            content_type,
            body: body.into(),
            delay: Duration::ZERO,
            cues: Vec::new(),
            ending: Ending::Whole,
            framing: Framing::Length,
            close: false,
            fault: None,
            request_id: None,
            raw: false,
        }
    }

    pub(crate) fn json(status: u16, body: impl Into<Bytes>) -> Self {
        Self::new(status, "application/json", body)
    }

    pub(crate) fn event_stream(body: impl Into<Bytes>) -> Self {
        Self { framing: Framing::Chunked, ..Self::new(200, "text/event-stream", body) }
    }

    pub(crate) fn has_header(&self, name: &str) -> bool {
        self.headers.iter().any(|(given, _)| given.eq_ignore_ascii_case(name))
    }

    /// Takes the body and its timing out of the answer.
    pub(crate) fn flow(&mut self, most: usize) -> Flow {
        let endless = match &self.fault {
            // Silence for ever: nothing else can be made of nothing.
            Some(Fault::EndlessBody(pattern)) if pattern.is_empty() => {
                if self.ending == Ending::Whole {
                    self.ending = Ending::Stall(self.body.len());
                }
                None
            }
            // Many small writes would be a fault of their own, which HTTP/2 clients punish.
            Some(Fault::EndlessBody(pattern)) => {
                Some(pattern.repeat((ENDLESS / pattern.len()).max(1)).into())
            }
            _ => None,
        };
        Flow {
            body: std::mem::take(&mut self.body),
            cues: std::mem::take(&mut self.cues).into(),
            ending: self.ending,
            endless,
            most,
            sent: 0,
        }
    }
}

/// What to do next with a body.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Write these bytes; `last` means that nothing follows and the end is a proper one.
    Send {
        bytes: Bytes,
        last: bool,
    },
    /// Nothing may leave until this long after the head.
    Wait(Duration),
    /// All is sent.
    Done,
    /// The body stops here: close, fall silent, reset.
    Cut,
    Stall,
    Reset,
}

/// A body on its way.
#[derive(Debug)]
pub(crate) struct Flow {
    body: Bytes,
    cues: std::collections::VecDeque<Cue>,
    ending: Ending,
    endless: Option<Bytes>,
    /// The most bytes one step may send.
    most: usize,
    sent: usize,
}

impl Flow {
    /// The next step, `elapsed` after the head went out.
    pub(crate) fn next(&mut self, elapsed: Duration) -> Step {
        while self.cues.front().is_some_and(|cue| cue.due <= elapsed) {
            self.cues.pop_front();
        }
        let (stop, at_stop) = match self.ending {
            Ending::Whole => (usize::MAX, Step::Done),
            Ending::Cut(at) => (at, Step::Cut),
            Ending::Stall(at) => (at, Step::Stall),
            Ending::Reset(at) => (at, Step::Reset),
        };
        let held = self.cues.front().filter(|cue| cue.at < stop);
        let left = stop.saturating_sub(self.sent).min(self.body.len());
        let free = held.map_or(left, |cue| left.min(cue.at.saturating_sub(self.sent)));
        if let (0, Some(cue)) = (free, held.filter(|_| left > 0)) {
            return Step::Wait(cue.due);
        }
        if free == 0 {
            return match &self.endless {
                Some(pattern) if stop > self.sent => {
                    let room = (stop - self.sent).min(pattern.len());
                    self.sent = self.sent.saturating_add(room);
                    Step::Send { bytes: pattern.slice(..room), last: false }
                }
                _ => at_stop,
            };
        }
        let proper = self.ending == Ending::Whole && self.endless.is_none();
        // The last write of a proper end is a small one: when it is made, the client has taken all but this much.
        let whole = free == self.body.len() && proper;
        let size = if whole && free > TAIL { (free - TAIL).min(self.most) } else { free.min(self.most) };
        self.sent += size;
        Step::Send { bytes: self.body.split_to(size), last: whole && size == free }
    }

    /// Whether the answer is sent to its proper end.
    pub(crate) fn is_done(&self) -> bool {
        self.body.is_empty() && self.ending == Ending::Whole && self.endless.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MS: Duration = Duration::from_millis(1);

    fn flow(body: &'static str, ending: Ending, cues: &[(usize, u32)]) -> Flow {
        let cues = cues.iter().map(|(at, due)| Cue { at: *at, due: MS * *due }).collect();
        Answer { ending, cues, ..Answer::json(200, body) }.flow(usize::MAX)
    }

    fn send(bytes: &'static str, last: bool) -> Step {
        Step::Send { bytes: Bytes::from_static(bytes.as_bytes()), last }
    }

    #[test]
    fn cues_hold_bytes_back_until_they_are_due() {
        let mut flow = flow("abcdef", Ending::Whole, &[(0, 5), (2, 10), (4, 20)]);
        assert_eq!(flow.next(MS), Step::Wait(5 * MS));
        assert_eq!(flow.next(5 * MS), send("ab", false));
        assert_eq!(flow.next(6 * MS), Step::Wait(10 * MS));
        // Late: what has become due meanwhile leaves together.
        assert_eq!(flow.next(25 * MS), send("cdef", true));
        assert!(flow.is_done());
        assert_eq!(flow.next(26 * MS), Step::Done);
    }

    #[test]
    fn an_ending_comes_after_exactly_its_bytes() {
        for (ending, step) in
            [(Ending::Cut(3), Step::Cut), (Ending::Stall(3), Step::Stall), (Ending::Reset(3), Step::Reset)]
        {
            let mut flow = flow("abcdef", ending, &[(3, 99)]);
            assert_eq!(flow.next(MS), send("abc", false));
            assert_eq!(flow.next(MS), step);
            assert!(!flow.is_done());
        }
        let mut short = flow("ab", Ending::Cut(9), &[]);
        assert_eq!((short.next(MS), short.next(MS)), (send("ab", false), Step::Cut));
        assert_eq!(flow("ab", Ending::Cut(0), &[]).next(MS), Step::Cut);
    }

    #[test]
    fn a_large_body_keeps_a_small_tail() {
        let mut flow = Answer::json(200, vec![b'x'; TAIL * 3]).flow(usize::MAX);
        assert!(matches!(flow.next(MS), Step::Send { bytes, last: false } if bytes.len() == TAIL * 2));
        assert!(matches!(flow.next(MS), Step::Send { bytes, last: true } if bytes.len() == TAIL));
        assert_eq!(flow.next(MS), Step::Done);
    }

    #[test]
    fn an_endless_body_ends_only_by_its_ending() {
        let fault = Some(Fault::EndlessBody(Bytes::from_static(b"..!")));
        let mut flow = Answer { fault: fault.clone(), ..Answer::json(200, "a") }.flow(usize::MAX);
        assert_eq!(flow.next(MS), send("a", false));
        for _ in 0..3 {
            let Step::Send { bytes, last: false } = flow.next(MS) else { panic!() };
            assert_eq!(bytes, "..!".repeat(ENDLESS / 3));
        }
        let mut flow = Answer { fault, ending: Ending::Cut(5), ..Answer::json(200, "a") }.flow(usize::MAX);
        let steps: Vec<_> = (0..3).map(|_| flow.next(MS)).collect();
        assert_eq!(steps, [send("a", false), send("..!.", false), Step::Cut]);
        let fault = Some(Fault::EndlessBody(Bytes::new()));
        let mut flow = Answer { fault, ..Answer::json(200, "a") }.flow(usize::MAX);
        assert_eq!((flow.next(MS), flow.next(MS)), (send("a", false), Step::Stall));
    }

    proptest! {
        #[test]
        fn every_byte_leaves_once_and_in_order(
            body in "[a-z]{0,60}",
            most in 1..70_usize,
            cues in prop::collection::vec((0..60_usize, 0..50_u32), 0..6),
            cut in 0..80_usize,
        ) {
            let mut cues: Vec<_> = cues.into_iter().map(|(at, due)| Cue { at, due: MS * due }).collect();
            cues.sort_by_key(|cue| (cue.due, cue.at));
            cues.sort_by_key(|cue| cue.at);
            let expected = body.get(..cut).unwrap_or(&body).to_owned();
            let ending = if cut > 60 { Ending::Whole } else { Ending::Cut(cut) };
            let mut flow = Answer { ending, cues, ..Answer::json(200, body) }.flow(most);
            let (mut now, mut sent) = (Duration::ZERO, Vec::new());
            loop {
                match flow.next(now) {
                    Step::Send { bytes, last } => {
                        prop_assert!(!bytes.is_empty() && bytes.len() <= most);
                        sent.extend_from_slice(&bytes);
                        prop_assert_eq!(last, flow.is_done());
                    }
                    Step::Wait(due) => { prop_assert!(due > now); now = due; }
                    Step::Done | Step::Cut => break,
                    other => prop_assert!(false, "{:?}", other),
                }
            }
            prop_assert_eq!(String::from_utf8(sent).unwrap(), expected);
        }
    }
}
