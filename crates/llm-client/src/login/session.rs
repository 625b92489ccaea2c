//! A token that is kept, and renewed by one request at a time.

use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use llm_types::{Error, ErrorKind, Secret};

use super::{Grant, TokenSource};
use crate::clock::{self, Instant};
use crate::settings::Timers;
use crate::transport::{Endpoint, Transport, check_key_over_plain_http};

/// A token is renewed this long before it expires, so that no call carries one that expires on its way.
const EARLY: Duration = Duration::from_secs(60);
const PATIENCE: Duration = Duration::from_secs(30);
const MOST_BYTES: u64 = 64 * 1024;

/// A signed-in account.
pub struct Session {
    grant: Grant,
    transport: Transport,
    state: Mutex<State>,
    /// Held by whoever asks.
    flight: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct State {
    held: Option<(Secret, Instant)>,
    /// The last answer that was none, for those who waited for it.
    failed: Option<(Instant, Error)>,
}

impl Session {
    /// A session that asks over this transport, with its proxies and certificates. Nothing is sent before the first call.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] where a secret would go out over plain http.
    pub fn new(grant: Grant, transport: Transport) -> Result<Self, Error> {
        let endpoint = Endpoint::parse(grant.url())?;
        if grant.sends_secret() {
            check_key_over_plain_http(&endpoint, false)?;
        }
        Ok(Self { grant, transport, state: Mutex::default(), flight: tokio::sync::Mutex::new(()) })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn fresh(&self) -> Option<Secret> {
        let state = self.state();
        let (token, until) = state.held.as_ref()?;
        (clock::after(clock::now(), EARLY) < *until).then(|| token.clone())
    }

    async fn ask(&self) -> Result<(Secret, Instant), Error> {
        let request = self.grant.request(clock::unix_seconds())?;
        let timers = Timers { attempt: Some(PATIENCE), first_byte: None, idle: None };
        let asked = clock::now();
        let named = |error: Error| {
            let message = format!("no token could be asked for: {}", error.message());
            error.with_message(message)
        };
        let reply = self.transport.send(request, timers).await.map_err(named)?;
        if reply.status.is_redirection() {
            return Err(Error::new(ErrorKind::Redirect, "the sign-in redirects; redirects are not followed"));
        }
        let body = reply.body.read_to_end(MOST_BYTES).await.map_err(named)?;
        let (token, lifetime) = Grant::read(reply.status, &body)?;
        Ok((token, clock::after(asked, lifetime)))
    }
}

#[async_trait]
impl TokenSource for Session {
    async fn token(&self) -> Result<Secret, Error> {
        if let Some(token) = self.fresh() {
            return Ok(token);
        }
        let waiting_since = clock::now();
        let _flight = self.flight.lock().await;
        if let Some(token) = self.fresh() {
            return Ok(token);
        }
        let failed = self.state().failed.clone();
        if let Some((_, error)) = failed.filter(|(at, _)| *at > waiting_since) {
            return Err(error);
        }
        match self.ask().await {
            Ok((token, until)) => {
                *self.state() = State { held: Some((token.clone(), until)), failed: None };
                Ok(token)
            }
            Err(error) => {
                self.state().failed = Some((clock::now(), error.clone()));
                Err(error)
            }
        }
    }

    fn refused(&self, token: &Secret) {
        let mut state = self.state();
        if state.held.as_ref().is_some_and(|(held, _)| held == token) {
            state.held = None;
        }
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("grant", &self.grant).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
