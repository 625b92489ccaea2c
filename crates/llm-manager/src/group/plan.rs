//! One call of a group as the driver sees it: the lanes of all members, one after another.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use llm_client::clock::{self, Instant};
use llm_client::driver::{Block, NotBefore, Plan, Queue, Rules};
use llm_client::lane::{self, Cost};
use llm_client::{Call, ChatStream, ModelClient, Wait};
use llm_types::{
    Again, ChatRequest, ChatResponse, EmbeddingRequest, EmbeddingResponse, Error, ErrorKind, FinishReason,
    KeyFate, Message, StreamEvent,
};

use super::{Failures, Group, Horizon, Seat};

/// What is asked of a member.
#[derive(Clone, Copy)]
pub(crate) enum Work<'a> {
    Chat(&'a ChatRequest),
    Stream(&'a ChatRequest),
    Embed(&'a EmbeddingRequest),
}

/// What a member answers.
pub(crate) enum Reply {
    Chat(Box<ChatResponse>),
    Stream(Box<OpenStream>),
    Embeddings(Box<EmbeddingResponse>),
}

/// A stream that has begun, with what goes along.
pub(crate) struct OpenStream {
    pub(crate) events: ChatStream,
    /// What was read ahead, the next event last.
    pub(crate) ahead: Vec<StreamEvent>,
    pub(crate) seat: Seat,
}

/// No member yet.
const NOBODY: usize = usize::MAX;
/// How soon a member is asked again that had room and then had none.
const RACED: Duration = Duration::from_millis(5);

pub(crate) struct GroupPlan<'a> {
    group: &'a Arc<Group>,
    work: Work<'a>,
    /// The member of each lane.
    members: Vec<usize>,
    /// The endpoint of each lane.
    endpoints: Vec<usize>,
    cost: Cost,
    /// The members that have failed this call, but for reasons that another key of theirs may not have.
    failed: Mutex<Vec<usize>>,
    /// The member that has the call, where it may not move.
    pinned: AtomicUsize,
    /// Whether the call waits for anything.
    patient: bool,
    /// The chain that the call follows, in its order.
    followed: Mutex<Vec<usize>>,
    /// The member that failed last and has a chain of its own for that.
    chained: AtomicUsize,
}

impl<'a> GroupPlan<'a> {
    pub(crate) fn new(group: &'a Arc<Group>, work: Work<'a>, call: &Call) -> Self {
        let (members, endpoints) = group.lanes();
        let failed = if call.is_driven() { call.failures(group.number) } else { Vec::new() };
        // One that was asked before by the wrapper above stays with its member.
        let pinned = failed.last().copied().filter(|_| !group.fallback).unwrap_or(NOBODY);
        Self {
            group,
            work,
            members,
            endpoints,
            cost: if group.counts_tokens { work.cost() } else { Cost::default() },
            failed: Mutex::new(failed),
            pinned: AtomicUsize::new(pinned),
            patient: call.wait == Wait::Patient,
            followed: Mutex::new(
                call.is_driven().then(|| call.chain(group.number)).flatten().unwrap_or_default(),
            ),
            chained: AtomicUsize::new(NOBODY),
        }
    }

    fn failed(&self) -> MutexGuard<'_, Vec<usize>> {
        self.failed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn horizon(&self, now: Instant) -> Horizon {
        Horizon { patient: self.patient, until: clock::after(now, self.group.settings.retry_after_cap) }
    }

    /// What the members have done to this call so far.
    fn failures(&self) -> Failures {
        let failed = self.failed().clone();
        if failed.is_empty() {
            return Failures { failed, spent: Vec::new() };
        }
        let count = |member: usize| failed.iter().filter(|other| **other == member).count();
        // A member with several endpoints is worth another try as long as one of them has not failed.
        let endpoints = |member: usize| {
            let own = self.members.iter().zip(&self.endpoints).filter(|(other, _)| **other == member);
            own.map(|(_, endpoint)| endpoint).collect::<std::collections::BTreeSet<_>>().len()
        };
        let spent = failed.iter().copied().filter(|member| count(*member) >= endpoints(*member)).collect();
        Failures { failed, spent }
    }

    fn followed(&self) -> MutexGuard<'_, Vec<usize>> {
        self.followed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn member(&self, lane: usize) -> usize {
        self.members.get(lane).copied().unwrap_or(NOBODY)
    }

    fn lanes_of<'s>(&'s self, members: &'s [usize]) -> impl Iterator<Item = usize> + 's {
        let lanes = self.members.iter().enumerate();
        lanes.filter(|(_, member)| members.contains(member)).map(|(lane, _)| lane)
    }

    /// What a refusal for its content means where a chain is set for it: an answer that holds nothing else is one too.
    fn is_filtered(&self) -> bool {
        self.group.chains.iter().any(|(kind, _)| *kind == ErrorKind::ContentFilter)
    }
}

impl Work<'_> {
    /// Four bytes a token is a usual guess; what was really used settles it.
    fn cost(self) -> Cost {
        let bytes = |text: &str| u64::try_from(text.len()).unwrap_or(u64::MAX);
        let tokens = match self {
            Self::Chat(request) | Self::Stream(request) => {
                let text = |message: &Message| {
                    message.parts.iter().filter_map(|part| part.as_text()).map(bytes).sum::<u64>()
                };
                let prompt = request.messages.iter().map(text).sum::<u64>() / 4;
                prompt.saturating_add(request.max_tokens.unwrap_or(0))
            }
            Self::Embed(request) => request.input.iter().map(|text| bytes(text)).sum::<u64>() / 4,
        };
        Cost { tokens }
    }

    async fn ask(self, client: &dyn ModelClient, call: &Call) -> Result<Asked, Error> {
        match self {
            Self::Chat(request) => {
                client.chat(request, call).await.map(|answer| Asked::Chat(Box::new(answer)))
            }
            Self::Stream(request) => client.chat_stream(request, call).await.map(Asked::Stream),
            Self::Embed(request) => match client.embedder() {
                Some(embedder) => {
                    embedder.embed(request, call).await.map(|answer| Asked::Embeddings(Box::new(answer)))
                }
                None => {
                    let message = format!("{} makes no embeddings", client.id());
                    Err(Error::new(ErrorKind::NotFound, message))
                }
            },
        }
    }
}

/// What a client gave, before it is judged.
enum Asked {
    Chat(Box<ChatResponse>),
    Stream(ChatStream),
    Embeddings(Box<EmbeddingResponse>),
}

impl Plan for GroupPlan<'_> {
    type Answer = Reply;
    type Permit = Seat;

    fn rules(&self, call: &Call) -> Rules {
        let chain = self.followed();
        Rules {
            endpoints: self.endpoints.clone(),
            reserve: match chain.as_slice() {
                [] => self.lanes_of(&self.group.reserve).collect(),
                // A driven call comes back: no other member is one for it.
                chain => {
                    (0..self.members.len()).filter(|lane| !chain.contains(&self.member(*lane))).collect()
                }
            },
            max_retries: call.max_retries.unwrap_or(self.group.settings.max_retries),
            retry_after_cap: self.group.settings.retry_after_cap,
            wait: call.wait,
            deadline: call.deadline,
        }
    }

    fn admit(&self, open: &[usize], now: Instant, _: bool) -> Result<(usize, Seat), NotBefore> {
        let pinned = self.pinned.load(Ordering::Relaxed);
        let mut wanted: Vec<usize> = Vec::with_capacity(open.len());
        for member in open.iter().map(|lane| self.member(*lane)) {
            if wanted.last() != Some(&member) && (pinned == NOBODY || pinned == member) {
                wanted.push(member);
            }
        }
        {
            let chain = self.followed();
            wanted.sort_by_key(|member| chain.iter().position(|other| other == member));
        }
        let (member, seat) =
            self.group.admit(&wanted, &self.failures(), self.cost, now, self.horizon(now))?;
        if !self.group.fallback {
            self.pinned.store(member, Ordering::Relaxed);
        }
        let lane = open.iter().copied().find(|lane| self.member(*lane) == member).unwrap_or_default();
        Ok((lane, seat))
    }

    fn released(&self) -> impl Future<Output = ()> + Send {
        self.group.released()
    }

    async fn attempt(&self, _: usize, mut seat: Seat, call: &Call) -> Result<Reply, Error> {
        let member = seat.member();
        let Some(slot) = self.group.slots.get(member) else {
            return Err(Error::new(ErrorKind::Internal, "a call was given to nobody"));
        };
        if !call.failures(self.group.number).contains(&member) {
            slot.deposit(clock::now());
        }
        seat.sent();
        let (before, chains) = (call.attempt_count(), call.chain_count());
        self.chained.store(NOBODY, Ordering::Relaxed);
        let result = self.work.ask(&*slot.client, &call.driven()).await;
        // A client of the user's own need not write its attempts down.
        let silent = call.attempt_count() == before;
        let result = match result {
            Ok(Asked::Stream(stream)) => self.begun(stream).await,
            Ok(Asked::Chat(response)) => match filtered(&response).filter(|_| self.is_filtered()) {
                Some(error) => Err(error.with_partial(*response)),
                None => Ok((Asked::Chat(response), Vec::new())),
            },
            Ok(other) => Ok((other, Vec::new())),
            Err(error) => Err(error),
        };
        let kind = result.as_ref().err().map(Error::kind);
        if silent && !kind.is_some_and(ErrorKind::is_unsent) {
            call.record_attempt(slot.client.id());
            call.record_outcome(kind, None);
        }
        match result {
            Ok((Asked::Stream(stream), ahead)) => {
                seat.answering();
                Ok(Reply::Stream(Box::new(OpenStream { events: stream, ahead, seat })))
            }
            Ok((Asked::Chat(response), _)) => {
                seat.succeed(response.usage.as_ref());
                Ok(Reply::Chat(response))
            }
            Ok((Asked::Embeddings(response), _)) => {
                seat.succeed(response.usage.as_ref());
                Ok(Reply::Embeddings(response))
            }
            Err(error) => {
                let error = self.raced(slot, error);
                seat.fail(&error);
                if error.kind().is_unsent() {
                    // Nothing was sent: the call is still anybody's.
                    self.pinned.store(NOBODY, Ordering::Relaxed);
                }
                let verdict = error.kind().verdict();
                // Another key of the same member may do; for everything else another member comes first.
                let moves = verdict.key == KeyFate::Kept && verdict.same_lane != Again::AfterCoolDown;
                if moves {
                    self.failed().push(member);
                }
                // A wrapper above comes back with this call: then it stays with the member that has it.
                let stays = call.is_driven() && !self.group.fallback;
                let is_noted = if stays { !error.kind().is_unsent() } else { moves };
                if is_noted {
                    call.note_failure(self.group.number, member);
                }
                if call.chain_count() > chains {
                    self.chained.store(member, Ordering::Relaxed);
                }
                if call.is_driven() {
                    let chain = self.leads_to(&error);
                    if !chain.is_empty() {
                        call.note_chain(self.group.number, chain);
                    }
                }
                Err(error)
            }
        }
    }

    fn spend_retry(&self, lane: usize, now: Instant) -> bool {
        self.group.slots.get(self.member(lane)).is_none_or(|slot| slot.spend_retry(now))
    }

    fn backoff(&self, retries: u32, random: f64) -> Duration {
        lane::backoff(retries, &self.group.settings, random)
    }

    fn chain(&self, error: &Error) -> Vec<usize> {
        let members = self.leads_to(error);
        if members.is_empty() {
            return Vec::new();
        }
        self.followed().clone_from(&members);
        self.lanes_of(&members).collect()
    }

    fn is_restricted(&self) -> bool {
        self.pinned.load(Ordering::Relaxed) != NOBODY || !self.followed().is_empty()
    }

    fn queue(&self) -> &Queue {
        &self.group.queue
    }

    fn describe(&self, error: Error) -> Error {
        self.group.describe(error)
    }
}

impl GroupPlan<'_> {
    /// The members with which a call goes on after this failure of its last attempt: that member's own chain comes first,
    /// and of this group's chain those that have not failed.
    fn leads_to(&self, error: &Error) -> Vec<usize> {
        let chained = self.chained.load(Ordering::Relaxed);
        if chained != NOBODY {
            return vec![chained];
        }
        let chain = self.group.chains.iter().find(|(kind, _)| *kind == error.kind());
        let Some((_, members)) = chain else { return Vec::new() };
        let failed = self.failed();
        members.iter().copied().filter(|member| !failed.contains(member)).collect()
    }

    /// Reads a stream on to its first content, where a refusal without content has a chain of its own.
    async fn begun(&self, mut stream: ChatStream) -> Result<(Asked, Vec<StreamEvent>), Error> {
        let mut ahead = Vec::new();
        if self.is_filtered() {
            loop {
                let Some(event) = stream.next().await else {
                    // It is over, and a user's own need not bear to be asked again.
                    stream = ChatStream::new(futures_util::stream::empty());
                    break;
                };
                let event = event?;
                if let StreamEvent::Finish { reason: FinishReason::ContentFilter, .. } = event {
                    return Err(refusal());
                }
                let is_content = event.is_content();
                ahead.push(event);
                if is_content {
                    break;
                }
            }
            ahead.reverse();
        }
        Ok((Asked::Stream(stream), ahead))
    }

    /// A client that had room when it was asked, and none when the call came, is asked again soon; one that takes none at
    /// all is not.
    fn raced(&self, slot: &super::Slot, error: Error) -> Error {
        if error.kind() != ErrorKind::Unavailable || error.retry_after().is_some() {
            return error;
        }
        match slot.client.admission().map(|client| client.ready(clock::now(), false)) {
            None | Some(Err(NotBefore { block: Block::Parked(_), .. })) => error,
            Some(_) => error.with_retry_after(RACED),
        }
    }
}

/// An answer that was cut for its content before it held any.
fn filtered(response: &ChatResponse) -> Option<Error> {
    let choice = response.choices.first()?;
    let cut = choice.finish_reason == Some(FinishReason::ContentFilter) && choice.message.parts.is_empty();
    cut.then(refusal)
}

fn refusal() -> Error {
    Error::new(ErrorKind::ContentFilter, "the vendor cut the answer for its content before it began")
}
