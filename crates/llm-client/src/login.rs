//! Bearer tokens that expire, for servers that want a signed-in account and no key.
//!
//! A client is given a [`TokenSource`]. With feature `vertex` there is one that signs in: with the key file of a service
//! account, with what a user's own sign-in left on this machine, or with what the machine itself is given. A token is
//! renewed before it expires, and by one request at a time, however many calls wait for it.

use std::fmt;

use async_trait::async_trait;
use llm_types::{Error, Secret};

#[cfg(feature = "vertex")]
mod grant;
#[cfg(feature = "vertex")]
mod session;

#[cfg(feature = "vertex")]
pub use grant::Grant;
#[cfg(feature = "vertex")]
pub use session::Session;

/// Where an account signs in, and for what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GrantAddresses {
    /// Where tokens are asked for, unless the credentials say otherwise.
    pub token_url: &'static str,
    /// Where the machine itself is asked for one.
    pub machine_url: &'static str,
    /// The header that the machine wants to see.
    pub machine_header: (&'static str, &'static str),
    /// What the token is for.
    pub scope: &'static str,
}

/// Gives the tokens of calls.
#[async_trait]
pub trait TokenSource: fmt::Debug + Send + Sync + 'static {
    /// A token that is good for now. Dropping the future leaves nothing behind.
    ///
    /// # Errors
    /// Whatever kept it from getting one; [`Authentication`](llm_types::ErrorKind::Authentication) where the account is
    /// refused.
    async fn token(&self) -> Result<Secret, Error>;

    /// A server refused this token: it is not given again.
    fn refused(&self, token: &Secret);
}
