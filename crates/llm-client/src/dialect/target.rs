//! What a request is written for and an answer read from.

use super::Quirks;

/// What a request is written for and an answer read from: one model at one endpoint.
#[derive(Clone, Copy, Debug)]
pub struct WireTarget<'a> {
    /// The model's name on the wire.
    pub model: &'a str,
    /// How the endpoint differs.
    pub quirks: &'a Quirks,
    /// Who can read the signatures and encrypted reasoning of its answers (a provider's name): written into them, and
    /// left out of requests to anybody else. `None`: nothing is written, and nothing left out.
    pub origin: Option<&'a str>,
}

/// A [`WireTarget`] that is kept while an answer comes.
#[derive(Debug)]
pub(super) struct KeptTarget {
    pub(super) model: String,
    pub(super) quirks: Quirks,
    origin: Option<String>,
}

impl KeptTarget {
    pub(super) fn of(target: &WireTarget<'_>) -> Self {
        let WireTarget { model, quirks, origin } = *target;
        Self { model: model.to_owned(), quirks: *quirks, origin: origin.map(str::to_owned) }
    }

    pub(super) fn lend(&self) -> WireTarget<'_> {
        WireTarget { model: &self.model, quirks: &self.quirks, origin: self.origin() }
    }

    pub(super) fn origin(&self) -> Option<&str> {
        self.origin.as_deref()
    }
}
