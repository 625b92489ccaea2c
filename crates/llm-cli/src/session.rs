//! stub
use crate::args::Model;
use crate::failure::Failure;
use crate::term::Term;
use llm_client::ModelClient;
use std::sync::Arc;
pub(crate) struct Session {
    pub(crate) client: Arc<dyn ModelClient>,
}
impl Session {
    pub(crate) fn open(_model: &Model, _term: &Term) -> Result<Self, Failure> {
        Err(Failure::usage("x"))
    }
    pub(crate) fn failure(&self, error: llm_types::Error) -> Failure {
        error.into()
    }
}
