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

/// A token is renewed this long before it expires, so that no call carries one that expires on its way. One that is short
/// of life when it comes (a machine gives what it has) is used for half of what is left.
const EARLY: Duration = Duration::from_secs(300);
/// Where no other comes, the old one is given until so long before its end.
const LAST_MOMENT: Duration = Duration::from_secs(10);
/// How long the old one is then given before another is asked for again.
const PAUSE: Duration = Duration::from_secs(30);
const PATIENCE: Duration = Duration::from_secs(30);
const MOST_BYTES: u64 = 64 * 1024;

/// The token, and its dates.
#[derive(Clone)]
struct Held {
    token: Secret,
    renew_at: Instant,
    until: Instant,
}

/// How long a token is given before another is asked for.
fn use_for(lifetime: Duration) -> Duration {
    lifetime.saturating_sub(EARLY).max(lifetime.min(2 * EARLY) / 2)
}

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
    held: Option<Held>,
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
        let held = state.held.as_ref()?;
        (clock::now() < held.renew_at).then(|| held.token.clone())
    }

    /// The old token, once more, where no other could be had.
    fn still_good(&self) -> Option<Secret> {
        let now = clock::now();
        let mut state = self.state();
        let held = state.held.as_mut().filter(|held| clock::after(now, LAST_MOMENT) < held.until)?;
        held.renew_at = clock::after(now, PAUSE).min(held.until);
        Some(held.token.clone())
    }

    async fn ask(&self) -> Result<Held, Error> {
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
        let [renew_at, until] = [use_for(lifetime), lifetime].map(|after| clock::after(asked, after));
        Ok(Held { token, renew_at, until })
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
            Ok(held) => {
                let token = held.token.clone();
                *self.state() = State { held: Some(held), failed: None };
                Ok(token)
            }
            Err(error) => {
                if let Some(token) = self.still_good() {
                    return Ok(token);
                }
                self.state().failed = Some((clock::now(), error.clone()));
                Err(error)
            }
        }
    }

    fn refused(&self, token: &Secret) {
        let mut state = self.state();
        if state.held.as_ref().is_some_and(|held| held.token == *token) {
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
