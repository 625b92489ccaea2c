//! What a vendor reads out of a request, in nobody's format.

use serde_json::{Map, Value};

/// One request as its server understands it.
#[derive(Debug, Default)]
pub(super) struct Heard {
    pub(super) system: Option<String>,
    /// Who said what, without instructions and results of tools.
    pub(super) said: Vec<(String, String)>,
    /// Name, schema and strictness.
    pub(super) tools: Vec<(String, Value, Option<bool>)>,
    /// `auto`, `none`, `required`, or `=NAME`.
    pub(super) choice: Option<String>,
    /// Whether several calls at once are allowed, where that is said.
    pub(super) parallel: Option<bool>,
    /// Earlier calls, name and arguments.
    pub(super) calls: Vec<(String, Value)>,
    /// Results, each with the name of its function.
    pub(super) results: Vec<(String, String)>,
    /// A media type and its base64, or an address.
    pub(super) images: Vec<String>,
    /// A media type and its base64.
    pub(super) sounds: Vec<String>,
    /// Any JSON is wanted.
    pub(super) json: bool,
    pub(super) schema: Option<Value>,
    /// The members that control thinking.
    pub(super) knobs: Map<String, Value>,
    /// What came back of earlier thoughts.
    pub(super) thoughts: Value,
    pub(super) stream: bool,
    pub(super) limit: Option<u64>,
    pub(super) temperature: Option<f64>,
    pub(super) seed: Option<i64>,
    pub(super) stop: Vec<String>,
    pub(super) n: Option<u64>,
    pub(super) logprobs: bool,
    /// Members of the body that the caller sent as they are.
    pub(super) extra: Map<String, Value>,
}

/// Reads a body member by member, and complains of what is left.
pub(super) struct Members {
    place: String,
    members: Map<String, Value>,
}

impl Members {
    pub(super) fn of(place: impl Into<String>, value: &Value) -> Result<Self, String> {
        let place = place.into();
        match value {
            Value::Object(members) => Ok(Self { place, members: members.clone() }),
            other => Err(format!("{place} is {other} and no object")),
        }
    }

    pub(super) fn take(&mut self, name: &str) -> Option<Value> {
        self.members.remove(name)
    }

    pub(super) fn need(&mut self, name: &str) -> Result<Value, String> {
        self.take(name).ok_or_else(|| format!("{} has no `{name}`", self.place))
    }

    pub(super) fn text(&mut self, name: &str) -> Result<String, String> {
        let value = self.need(name)?;
        value
            .as_str()
            .map(str::to_owned)
            .ok_or_else(|| format!("{}.{name} is {value} and no text", self.place))
    }

    pub(super) fn list(&mut self, name: &str) -> Result<Vec<Value>, String> {
        match self.take(name) {
            None => Ok(Vec::new()),
            Some(Value::Array(list)) => Ok(list),
            Some(other) => Err(format!("{}.{name} is {other} and no list", self.place)),
        }
    }

    /// A member that must be this.
    pub(super) fn is(&mut self, name: &str, wanted: &str) -> Result<(), String> {
        let found = self.text(name)?;
        if found == wanted {
            Ok(())
        } else {
            Err(format!("{}.{name} is {found} and not {wanted}", self.place))
        }
    }

    /// The rest goes to the caller's own members where they are marked as such; anything else is not known here.
    pub(super) fn end(self) -> Result<Map<String, Value>, String> {
        let (own, unknown): (Map<_, _>, Map<_, _>) =
            self.members.into_iter().partition(|(name, _)| name.starts_with("x_"));
        match unknown.iter().next() {
            Some((name, value)) => Err(format!("{} knows no member `{name}` ({value})", self.place)),
            None => Ok(own),
        }
    }
}
