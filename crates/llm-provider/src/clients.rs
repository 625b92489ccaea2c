//! The clients of one provider: each made once for a model's name and shared, or registered under it.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use llm_client::{HttpClient, ModelClient};
use llm_types::Error;

/// Where a provider keeps its clients. It is the one place that makes them once: a manager remembers what names led to, and
/// what they lead to is what stands here.
///
/// They go by the configured name of their model, so two names of one model on the wire are two clients. A provider of
/// your own that holds one and gives it from [`Provider::clients`](crate::Provider::clients) gets the rest of the trait's
/// methods with it.
#[derive(Default)]
pub struct Clients(Mutex<Vec<Kept>>);

struct Kept {
    model: String,
    client: Held,
    /// The same client, where it is one of ours.
    http: Option<HttpClient>,
}

enum Held {
    /// For as long as the provider lives: models that are configured, and clients that were registered.
    Owned(Arc<dyn ModelClient>),
    /// For as long as somebody uses it: whoever lets others name models must not pile up clients.
    Lent(Weak<dyn ModelClient>),
}

impl Kept {
    fn client(&self) -> Option<Arc<dyn ModelClient>> {
        if self.http.as_ref().is_some_and(HttpClient::is_closed) {
            return None;
        }
        match &self.client {
            Held::Owned(client) => Some(client.clone()),
            Held::Lent(client) => client.upgrade(),
        }
    }
}

impl Clients {
    /// None yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn kept(&self) -> MutexGuard<'_, Vec<Kept>> {
        // Every change is one step: what a panic left behind is whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts a client under a model's name, in place of one that is there. Whoever holds that one goes on using it.
    pub fn register(&self, model: impl Into<String>, client: Arc<dyn ModelClient>) {
        put(&mut self.kept(), Kept { model: model.into(), client: Held::Owned(client), http: None });
    }

    /// The client under a model's name, if it was made or registered and is not closed.
    #[must_use]
    pub fn find(&self, model: &str) -> Option<Arc<dyn ModelClient>> {
        find(&self.kept(), model)
    }

    /// The names with a client, oldest first.
    #[must_use]
    pub fn models(&self) -> Vec<String> {
        self.kept().iter().filter(|kept| kept.client().is_some()).map(|kept| kept.model.clone()).collect()
    }

    /// The client under a model's name; where there is none, the one that `make` gives, kept from then on. Nothing is
    /// locked while it is made: of two that are made at once, both callers get the first that was done.
    ///
    /// # Errors
    /// Those of `make`; nothing is kept then.
    pub fn shared(
        &self,
        model: &str,
        make: impl FnOnce() -> Result<Arc<dyn ModelClient>, Error>,
    ) -> Result<Arc<dyn ModelClient>, Error> {
        match self.find(model) {
            Some(client) => Ok(client),
            None => Ok(self.keep(model, make()?, None, true)),
        }
    }

    /// As [`shared`](Self::shared), for a client of ours.
    pub(crate) fn shared_http(
        &self,
        model: &str,
        configured: bool,
        make: impl FnOnce() -> Result<HttpClient, Error>,
    ) -> Result<Arc<dyn ModelClient>, Error> {
        if let Some(client) = self.find(model) {
            return Ok(client);
        }
        let http = make()?;
        let client = Arc::new(http.clone());
        // A second handle to one that is only lent would keep it alive.
        Ok(self.keep(model, client, Some(http).filter(|_| configured), configured))
    }

    fn keep(
        &self,
        model: &str,
        client: Arc<dyn ModelClient>,
        http: Option<HttpClient>,
        owned: bool,
    ) -> Arc<dyn ModelClient> {
        let mut kept = self.kept();
        if let Some(first) = find(&kept, model) {
            return first;
        }
        kept.retain(|kept| kept.client().is_some());
        let held = if owned { Held::Owned(client.clone()) } else { Held::Lent(Arc::downgrade(&client)) };
        put(&mut kept, Kept { model: model.to_owned(), client: held, http });
        client
    }

    /// The client under a model's name, where it is one of ours.
    pub(crate) fn http(&self, model: &str) -> Option<HttpClient> {
        self.kept().iter().find(|kept| kept.model == model)?.http.clone()
    }

    /// Forgets every client. Whoever holds one goes on using it.
    pub fn forget(&self) {
        let forgotten = std::mem::take(&mut *self.kept());
        // Dropped here, with nothing locked.
        drop(forgotten);
    }

    /// Forgets every client and closes it. Calls in flight end as they would. Gives what went wrong; all are closed all
    /// the same.
    pub async fn close(&self) -> Vec<Error> {
        let kept = std::mem::take(&mut *self.kept());
        let mut errors = Vec::new();
        for client in kept.iter().filter_map(Kept::client) {
            errors.extend(client.close().await.err());
        }
        errors
    }
}

fn find(kept: &[Kept], model: &str) -> Option<Arc<dyn ModelClient>> {
    kept.iter().find(|kept| kept.model == model)?.client()
}

fn put(kept: &mut Vec<Kept>, new: Kept) {
    match kept.iter_mut().find(|kept| kept.model == new.model) {
        Some(old) => *old = new,
        None => kept.push(new),
    }
}

impl fmt::Debug for Clients {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Clients").field(&self.models()).finish()
    }
}

#[cfg(test)]
mod tests {
    use async_trait::async_trait;
    use llm_client::{Call, ChatStream};
    use llm_types::{Capabilities, ChatRequest, ChatResponse, ErrorKind};

    use super::*;

    /// A client that does nothing, and cannot even be closed.
    #[derive(Debug, Default)]
    struct Idle(Capabilities);

    #[async_trait]
    impl ModelClient for Idle {
        fn id(&self) -> &str {
            "idle/idle"
        }

        fn capabilities(&self) -> &Capabilities {
            &self.0
        }

        async fn chat(&self, _: &ChatRequest, _: &Call) -> Result<ChatResponse, Error> {
            Err(Error::new(ErrorKind::Unavailable, "idle"))
        }

        async fn chat_stream(&self, _: &ChatRequest, _: &Call) -> Result<ChatStream, Error> {
            Err(Error::new(ErrorKind::Unavailable, "idle"))
        }

        async fn close(&self) -> Result<(), Error> {
            Err(Error::new(ErrorKind::Internal, "it would not close"))
        }
    }

    fn idle() -> Arc<dyn ModelClient> {
        Arc::new(Idle::default())
    }

    #[test]
    fn of_two_that_are_made_at_once_both_callers_get_the_first() {
        let clients = Clients::new();
        let mut first = None;
        let second = clients
            .shared("m", || {
                // Somebody else is done while this one is made.
                first = Some(clients.shared("m", || Ok(idle()))?);
                Ok(idle())
            })
            .unwrap();
        assert!(Arc::ptr_eq(&first.unwrap(), &second));
        assert_eq!(clients.models(), ["m"]);
    }

    #[test]
    fn what_cannot_be_made_is_not_kept_and_tried_again() {
        let clients = Clients::new();
        let failed = clients.shared("m", || Err(Error::new(ErrorKind::Config, "no")));
        assert_eq!(failed.unwrap_err().to_string(), "no");
        clients.shared("m", || Ok(idle())).unwrap();
    }

    #[tokio::test]
    async fn all_are_closed_past_those_that_fail() {
        let clients = Clients::new();
        let http = |name: &str| HttpClient::builder("http://127.0.0.1:9/v1", name).build().unwrap();
        clients.register("broken", idle());
        let kept = clients.shared_http("m", true, || Ok(http("m"))).unwrap();
        let other = http("other");
        clients.register("other", Arc::new(other.clone()));
        let errors = clients.close().await;
        assert_eq!(errors.iter().map(ToString::to_string).collect::<Vec<_>>(), ["it would not close"]);
        assert!(other.is_closed() && clients.models().is_empty());
        let error = kept.chat(&ChatRequest::user("hi"), &Call::default()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable);
    }
}
