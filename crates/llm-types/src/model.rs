//! What is known about a model.

use serde::Serialize;

use crate::extra::Extra;

/// A model as a server lists it.
#[derive(Clone, Debug, Default, Serialize)]
pub struct ModelInfo {
    /// The name to put on the wire.
    pub id: String,
    /// When it was made, in seconds since 1970.
    pub created: Option<u64>,
    /// Who owns it.
    pub owned_by: Option<String>,
    /// The most tokens it reads and writes together, where the server says so.
    pub context_window: Option<u64>,
    /// Members we do not know.
    #[serde(skip_serializing_if = "Extra::is_empty")]
    pub extra: Extra,
}

/// What a client can do. `None` means not known: it is tried, and the vendor decides.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Capabilities {
    /// Answers piece by piece.
    pub streaming: Option<bool>,
    /// Reports what a streamed answer used.
    pub stream_usage: Option<bool>,
    /// Calls tools.
    pub tools: Option<bool>,
    /// Makes several calls in one answer.
    pub parallel_tools: Option<bool>,
    /// Can be made to call a tool, or one by its name.
    pub tool_choice: Option<bool>,
    /// Keeps to the letter of a tool's schema where that is asked for.
    pub strict_tools: Option<bool>,
    /// Answers in JSON, of whatever form.
    pub json_object: Option<bool>,
    /// Answers in JSON of a schema.
    pub json_schema: Option<bool>,
    /// Sees pictures.
    pub images: Option<bool>,
    /// Fetches pictures from an address.
    pub image_urls: Option<bool>,
    /// Hears.
    pub audio: Option<bool>,
    /// Thinks more or less as it is told.
    pub reasoning: Option<bool>,
    /// Shows what it thought, or a summary of it.
    pub thoughts: Option<bool>,
    /// Is sent its earlier thoughts again.
    pub replay: Option<bool>,
    /// Samples repeatably, as far as it tries.
    pub seed: Option<bool>,
    /// Ends at texts of the caller's.
    pub stop: Option<bool>,
    /// Gives several answers at once.
    pub n: Option<bool>,
    /// Tells how likely its words were.
    pub logprobs: Option<bool>,
    /// Counts the tokens of a request.
    pub token_counts: Option<bool>,
    /// Makes embeddings.
    pub embeddings: Option<bool>,
    /// Lists its models.
    pub model_list: Option<bool>,
    /// The most tokens it reads and writes together.
    pub context_window: Option<u64>,
    /// The most tokens it writes.
    pub max_output: Option<u64>,
}

impl Capabilities {
    /// Nothing is known.
    pub const UNKNOWN: Self = Self {
        streaming: None,
        stream_usage: None,
        tools: None,
        parallel_tools: None,
        tool_choice: None,
        strict_tools: None,
        json_object: None,
        json_schema: None,
        images: None,
        image_urls: None,
        audio: None,
        reasoning: None,
        thoughts: None,
        replay: None,
        seed: None,
        stop: None,
        n: None,
        logprobs: None,
        token_counts: None,
        embeddings: None,
        model_list: None,
        context_window: None,
        max_output: None,
    };

    /// Everything that one can do or not, under its field's name.
    #[must_use]
    pub fn each(&self) -> [(&'static str, Option<bool>); 21] {
        [
            ("streaming", self.streaming),
            ("stream_usage", self.stream_usage),
            ("tools", self.tools),
            ("parallel_tools", self.parallel_tools),
            ("tool_choice", self.tool_choice),
            ("strict_tools", self.strict_tools),
            ("json_object", self.json_object),
            ("json_schema", self.json_schema),
            ("images", self.images),
            ("image_urls", self.image_urls),
            ("audio", self.audio),
            ("reasoning", self.reasoning),
            ("thoughts", self.thoughts),
            ("replay", self.replay),
            ("seed", self.seed),
            ("stop", self.stop),
            ("n", self.n),
            ("logprobs", self.logprobs),
            ("token_counts", self.token_counts),
            ("embeddings", self.embeddings),
            ("model_list", self.model_list),
        ]
    }

    /// What is known of both: what they agree on, and the lesser of their limits.
    #[must_use]
    pub fn common(&self, other: &Self) -> Self {
        let same = |of: fn(&Self) -> Option<bool>| of(self).filter(|_| of(self) == of(other));
        let least = |of: fn(&Self) -> Option<u64>| of(self).zip(of(other)).map(|(one, other)| one.min(other));
        Self {
            streaming: same(|of| of.streaming),
            stream_usage: same(|of| of.stream_usage),
            tools: same(|of| of.tools),
            parallel_tools: same(|of| of.parallel_tools),
            tool_choice: same(|of| of.tool_choice),
            strict_tools: same(|of| of.strict_tools),
            json_object: same(|of| of.json_object),
            json_schema: same(|of| of.json_schema),
            images: same(|of| of.images),
            image_urls: same(|of| of.image_urls),
            audio: same(|of| of.audio),
            reasoning: same(|of| of.reasoning),
            thoughts: same(|of| of.thoughts),
            replay: same(|of| of.replay),
            seed: same(|of| of.seed),
            stop: same(|of| of.stop),
            n: same(|of| of.n),
            logprobs: same(|of| of.logprobs),
            token_counts: same(|of| of.token_counts),
            embeddings: same(|of| of.embeddings),
            model_list: same(|of| of.model_list),
            context_window: least(|of| of.context_window),
            max_output: least(|of| of.max_output),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_have_in_common_what_they_agree_on() {
        let one = Capabilities {
            tools: Some(true),
            images: Some(false),
            seed: Some(true),
            context_window: Some(9),
            ..Capabilities::UNKNOWN
        };
        let other =
            Capabilities { images: Some(false), seed: Some(false), context_window: Some(5), ..one.clone() };
        let other = Capabilities { tools: None, ..other };
        let common = one.common(&other);
        let known: Vec<_> = common.each().into_iter().filter(|(_, known)| known.is_some()).collect();
        assert_eq!((known, common.context_window), (vec![("images", Some(false))], Some(5)));
        assert_eq!(one.common(&one), one);
        assert_eq!(Capabilities::UNKNOWN, Capabilities::default());
    }
}
