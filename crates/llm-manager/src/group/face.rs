//! The contract of clients, once for pools and aggregators.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use llm_client::clock::Instant;
use llm_client::driver::{Driven, NotBefore, drive};
use llm_client::telemetry::{Asked, CallSpan};
use llm_client::{Admission, Call, ChatStream, Health};
use llm_types::{
    ChatRequest, ChatResponse, EmbeddingRequest, EmbeddingResponse, Error, ErrorKind, ModelInfo, Timing,
};

use super::plan::{GroupPlan, OpenStream, Reply};
use super::seat::SeatedStream;
use super::{Group, Work};

impl Group {
    async fn run(self: &Arc<Self>, work: Work<'_>, call: &Call) -> Result<Driven<Reply>, Error> {
        let call = call.or_within(self.settings.deadline);
        let driven = drive(&GroupPlan::new(self, work, &call), &call).await;
        driven.inspect_err(|_| self.metrics.failed(None))
    }

    pub(crate) async fn chat(
        self: &Arc<Self>,
        request: &ChatRequest,
        call: &Call,
    ) -> Result<ChatResponse, Error> {
        let span = CallSpan::begin(&self.observer, Asked::Chat(request), call);
        let driven = span.around(self.run(Work::Chat(request), call)).await;
        span.answered(driven.and_then(|driven| {
            let Reply::Chat(mut response) = driven.answer else { return Err(mixed_up()) };
            let total = driven.started.elapsed();
            self.metrics.succeeded(total, response.usage.as_ref());
            response.attempts = driven.attempts;
            response.timing = Timing { total, waited: driven.waited, first_content: None };
            Ok(*response)
        }))
    }

    pub(crate) async fn chat_stream(
        self: &Arc<Self>,
        request: &ChatRequest,
        call: &Call,
    ) -> Result<ChatStream, Error> {
        let span = CallSpan::begin(&self.observer, Asked::Stream(request), call);
        let driven = span.around(self.run(Work::Stream(request), call)).await;
        span.streaming(driven.and_then(|driven| {
            let Reply::Stream(open) = driven.answer else { return Err(mixed_up()) };
            let OpenStream { events, ahead, seat } = *open;
            let cost_of = events.cost_of().cloned();
            let stream = SeatedStream::new(events, ahead, seat, driven.started);
            Ok(ChatStream::new(stream).with_cost_of(cost_of).with_history(
                driven.started,
                driven.waited,
                driven.attempts,
            ))
        }))
    }

    pub(crate) async fn embed(
        self: &Arc<Self>,
        request: &EmbeddingRequest,
        call: &Call,
    ) -> Result<EmbeddingResponse, Error> {
        let span = CallSpan::begin(&self.observer, Asked::Embeddings(request), call);
        let driven = span.around(self.run(Work::Embed(request), call)).await;
        span.embedded(driven.and_then(|driven| {
            let Reply::Embeddings(mut response) = driven.answer else { return Err(mixed_up()) };
            self.metrics.succeeded(driven.started.elapsed(), response.usage.as_ref());
            response.attempts = driven.attempts;
            Ok(*response)
        }))
    }

    /// What the members list, each name once, in the members' order. One that fails is passed over while another answers.
    pub(crate) async fn list_models(&self, call: &Call) -> Result<Vec<ModelInfo>, Error> {
        let mut models: Vec<ModelInfo> = Vec::new();
        let (mut listed, mut failure) = (false, None);
        for lister in self.members().filter_map(|client| client.model_lister()) {
            match lister.list_models(call).await {
                Ok(more) => {
                    listed = true;
                    for model in more {
                        if !models.iter().any(|known| known.id == model.id) {
                            models.push(model);
                        }
                    }
                }
                Err(error) => failure = failure.or(Some(error)),
            }
        }
        match failure {
            Some(error) if !listed => Err(error),
            _ => Ok(models),
        }
    }

    /// Asks every member at once whether it is there; one is enough.
    pub(crate) async fn probe(&self, call: &Call) -> Result<(), Error> {
        let probes = self.members().filter_map(|client| client.health_probe());
        let results = futures_util::future::join_all(probes.map(|probe| probe.probe(call))).await;
        let mut failure = None;
        for result in results {
            match result {
                Ok(()) => return Ok(()),
                Err(error) => failure = failure.or(Some(error)),
            }
        }
        let none = || Error::new(ErrorKind::NotFound, format!("no member of {} can be probed", self.id));
        Err(self.describe(failure.unwrap_or_else(none)))
    }

    pub(crate) fn health(&self) -> Health {
        let members: Vec<Health> = self
            .slots
            .iter()
            .zip(&self.state().members)
            .map(|(slot, condition)| slot.client.health().unwrap_or_else(|| slot.health(condition)))
            .collect();
        let in_flight = self.state().members.iter().map(|condition| condition.in_flight).sum();
        Health::of_members(&self.id, self.shut(), in_flight, self.metrics.snapshot(), members)
    }

    pub(crate) fn is_available(&self) -> bool {
        self.available.load(Ordering::Acquire)
    }

    pub(crate) fn set_available(&self, available: bool) {
        self.available.store(available, Ordering::Release);
        self.released.notify_waiters();
    }

    /// Closes the members, all of them; the first error is given.
    pub(crate) async fn close(&self) -> Result<(), Error> {
        if self.closed.swap(true, Ordering::AcqRel) {
            return Ok(());
        }
        self.released.notify_waiters();
        let closed = futures_util::future::join_all(self.members().map(|client| client.close())).await;
        closed.into_iter().collect()
    }
}

impl Admission for Group {
    fn lanes(&self) -> Vec<usize> {
        if self.fallback {
            return Group::lanes(self).1;
        }
        // A call stays with one member: there is no more to try than what one of them has.
        let lanes = self.slots.iter().map(|slot| slot.lanes().into_iter().flatten().collect());
        lanes.max_by_key(Vec::len).filter(|lanes| !lanes.is_empty()).unwrap_or_else(|| vec![0])
    }

    fn ready(&self, now: Instant, retrying: bool) -> Result<(), NotBefore> {
        Group::ready(self, now, retrying)
    }

    fn in_flight(&self) -> u32 {
        self.state().members.iter().map(|condition| condition.in_flight).sum()
    }

    fn spend_retry(&self, now: Instant) -> bool {
        // Nobody knows yet which member will be asked; one whose budget is whole speaks for all.
        self.slots.iter().any(|slot| slot.spend_retry(now))
    }

    fn released(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(Group::released(self))
    }
}

/// Lets a wrapper around a group keep the contract: whatever is asked of it is asked of the group.
macro_rules! speaks_for_its_group {
    ($wrapper:ty) => {
        #[async_trait::async_trait]
        impl llm_client::ModelClient for $wrapper {
            fn id(&self) -> &str {
                &self.0.id
            }

            fn capabilities(&self) -> &llm_types::Capabilities {
                &self.0.capabilities
            }

            async fn chat(
                &self,
                request: &llm_types::ChatRequest,
                call: &llm_client::Call,
            ) -> Result<llm_types::ChatResponse, llm_types::Error> {
                self.0.chat(request, call).await
            }

            async fn chat_stream(
                &self,
                request: &llm_types::ChatRequest,
                call: &llm_client::Call,
            ) -> Result<llm_client::ChatStream, llm_types::Error> {
                self.0.chat_stream(request, call).await
            }

            fn embedder(&self) -> Option<&dyn llm_client::Embedder> {
                self.0.members().any(|client| client.embedder().is_some()).then_some(self)
            }

            fn model_lister(&self) -> Option<&dyn llm_client::ModelLister> {
                self.0.members().any(|client| client.model_lister().is_some()).then_some(self)
            }

            fn health_probe(&self) -> Option<&dyn llm_client::HealthProbe> {
                self.0.members().any(|client| client.health_probe().is_some()).then_some(self)
            }

            fn token_counter(&self) -> Option<&dyn llm_client::TokenCounter> {
                self.0.members().find_map(|client| client.token_counter())
            }

            fn previewer(&self) -> Option<&dyn llm_client::Previewer> {
                self.0.members().any(|client| client.previewer().is_some()).then_some(self)
            }

            fn admission(&self) -> Option<&dyn llm_client::Admission> {
                Some(&*self.0)
            }

            fn health(&self) -> Option<llm_client::Health> {
                Some(self.0.health())
            }

            fn is_available(&self) -> bool {
                self.0.is_available()
            }

            fn set_available(&self, available: bool) -> bool {
                self.0.set_available(available);
                true
            }

            async fn close(&self) -> Result<(), llm_types::Error> {
                self.0.close().await
            }
        }

        #[async_trait::async_trait]
        impl llm_client::Embedder for $wrapper {
            async fn embed(
                &self,
                request: &llm_types::EmbeddingRequest,
                call: &llm_client::Call,
            ) -> Result<llm_types::EmbeddingResponse, llm_types::Error> {
                self.0.embed(request, call).await
            }
        }

        #[async_trait::async_trait]
        impl llm_client::ModelLister for $wrapper {
            async fn list_models(
                &self,
                call: &llm_client::Call,
            ) -> Result<Vec<llm_types::ModelInfo>, llm_types::Error> {
                self.0.list_models(call).await
            }
        }

        impl llm_client::Previewer for $wrapper {
            fn preview(
                &self,
                request: &llm_types::ChatRequest,
                streamed: bool,
                call: &llm_client::Call,
            ) -> Result<Vec<llm_client::Preview>, llm_types::Error> {
                let previewers = self.0.members().filter_map(|client| client.previewer());
                let previews = previewers.map(|previewer| previewer.preview(request, streamed, call));
                Ok(previews.collect::<Result<Vec<_>, _>>()?.concat())
            }
        }

        #[async_trait::async_trait]
        impl llm_client::HealthProbe for $wrapper {
            async fn probe(&self, call: &llm_client::Call) -> Result<(), llm_types::Error> {
                self.0.probe(call).await
            }
        }
    };
}
pub(crate) use speaks_for_its_group;

/// A reply of another kind than was asked for cannot come; if it does, it is our fault and not a panic.
fn mixed_up() -> Error {
    Error::new(ErrorKind::Internal, "a member gave another kind of answer than was asked for")
}
