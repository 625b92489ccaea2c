//! Every name that traces and metrics carry, in one place: OpenTelemetry's GenAI conventions in two versions, and our own
//! under `llm.`.
//!
//! The conventions are still in development. The set of v1.41 is what backends read today; the next set stands behind
//! OpenTelemetry's own switch ([`Names::from_opt_in`]).

// ---- what a span is called, in the words of tracing-opentelemetry

pub(super) const OTEL_NAME: &str = "otel.name";
pub(super) const OTEL_KIND: &str = "otel.kind";
pub(super) const OTEL_STATUS: &str = "otel.status_code";

// ---- attributes that both versions share

/// `chat` or `embeddings`.
pub const OPERATION: &str = "gen_ai.operation.name";
/// The vendor, in OpenTelemetry's word for it where there is one.
pub const PROVIDER: &str = "gen_ai.provider.name";
/// The model asked for.
pub const REQUEST_MODEL: &str = "gen_ai.request.model";
/// The endpoint's host.
pub const SERVER_ADDRESS: &str = "server.address";
/// The endpoint's port.
pub const SERVER_PORT: &str = "server.port";
/// The kind of a failure: the word of `ErrorKind::as_str`.
pub const ERROR_TYPE: &str = "error.type";

pub(super) const CHOICE_COUNT: &str = "gen_ai.request.choice.count";
pub(super) const SEED: &str = "gen_ai.request.seed";
pub(super) const STREAM: &str = "gen_ai.request.stream";
pub(super) const MAX_TOKENS: &str = "gen_ai.request.max_tokens";
pub(super) const TEMPERATURE: &str = "gen_ai.request.temperature";
pub(super) const TOP_P: &str = "gen_ai.request.top_p";
/// A floating point number in v1.41, a whole one in the next set.
pub(super) const TOP_K: &str = "gen_ai.request.top_k";
pub(super) const FREQUENCY_PENALTY: &str = "gen_ai.request.frequency_penalty";
pub(super) const PRESENCE_PENALTY: &str = "gen_ai.request.presence_penalty";
pub(super) const STOP_SEQUENCES: &str = "gen_ai.request.stop_sequences";
pub(super) const ENCODING_FORMATS: &str = "gen_ai.request.encoding_formats";
pub(super) const OUTPUT_TYPE: &str = "gen_ai.output.type";
pub(super) const DIMENSIONS: &str = "gen_ai.embeddings.dimension.count";
pub(super) const CONVERSATION: &str = "gen_ai.conversation.id";
pub(super) const PROMPT_NAME: &str = "gen_ai.prompt.name";
pub(super) const AGENT_NAME: &str = "gen_ai.agent.name";

pub(super) const RESPONSE_ID: &str = "gen_ai.response.id";
pub(super) const RESPONSE_MODEL: &str = "gen_ai.response.model";
pub(super) const FINISH_REASONS: &str = "gen_ai.response.finish_reasons";
pub(super) const FIRST_CHUNK: &str = "gen_ai.response.time_to_first_chunk";
pub(super) const INPUT_TOKENS: &str = "gen_ai.usage.input_tokens";
pub(super) const OUTPUT_TOKENS: &str = "gen_ai.usage.output_tokens";
pub(super) const CACHE_READ_TOKENS: &str = "gen_ai.usage.cache_read.input_tokens";
pub(super) const REASONING_TOKENS: &str = "gen_ai.usage.reasoning.output_tokens";

// ---- attributes of v1.41 alone

pub(super) const CACHE_CREATION_TOKENS: &str = "gen_ai.usage.cache_creation.input_tokens";

// ---- attributes of the next set alone

pub(super) const REASONING_LEVEL: &str = "gen_ai.request.reasoning.level";
pub(super) const CACHE_WRITE_TOKENS: &str = "gen_ai.usage.cache_write.input_tokens";
pub(super) const AUDIO_INPUT_TOKENS: &str = "gen_ai.usage.audio.input_tokens";
pub(super) const AUDIO_OUTPUT_TOKENS: &str = "gen_ai.usage.audio.output_tokens";
pub(super) const IMAGE_INPUT_TOKENS: &str = "gen_ai.usage.image.input_tokens";

// ---- content: recorded only where somebody asked for it in code

pub(super) const INPUT_MESSAGES: &str = "gen_ai.input.messages";
pub(super) const OUTPUT_MESSAGES: &str = "gen_ai.output.messages";
pub(super) const SYSTEM_INSTRUCTIONS: &str = "gen_ai.system_instructions";
pub(super) const TOOL_DEFINITIONS: &str = "gen_ai.tool.definitions";

// ---- attributes of the HTTP conventions, on the spans of attempts

pub(crate) const HTTP_METHOD: &str = "http.request.method";
pub(crate) const RESEND_COUNT: &str = "http.request.resend_count";
pub(crate) const BODY_SIZE: &str = "http.request.body.size";
pub(crate) const HTTP_STATUS: &str = "http.response.status_code";

// ---- our own attributes: what no convention covers

pub(super) const ATTEMPTS: &str = "llm.attempts";
pub(super) const RETRY_REASON: &str = "llm.retry.reason";
pub(super) const WAIT: &str = "llm.ratelimit.wait";
pub(super) const ENDPOINT: &str = "llm.endpoint.id";
pub(super) const COST: &str = "llm.cost.usd";
pub(super) const TAGS: &str = "llm.tags";
pub(super) const REQUEST_ID: &str = "llm.request.id";

// ---- labels of metrics only

pub(super) const TOKEN_TYPE: &str = "gen_ai.token.type";
pub(super) const MODALITY: &str = "gen_ai.token.modality";
pub(super) const REASON: &str = "reason";
pub(super) const STATE: &str = "state";
pub(super) const STATUS: &str = "status";

/// Which version of the conventions is spoken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Names {
    /// The last full set of the main repository, v1.41.
    #[default]
    V1_41,
    /// The set that the repository of the GenAI conventions is working on.
    Latest,
}

impl Names {
    /// The environment variable of the switch.
    pub const VARIABLE: &str = "OTEL_SEMCONV_STABILITY_OPT_IN";
    /// Its word for the next set.
    pub const OPT_IN: &str = "gen_ai_latest_experimental";

    /// The version that the variable's value asks for: words between commas, of which only ours counts.
    #[must_use]
    pub fn from_opt_in(value: &str) -> Self {
        if value.split(',').any(|word| word.trim() == Self::OPT_IN) { Self::Latest } else { Self::V1_41 }
    }
}

/// How a metric behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only grows.
    Counter,
    /// Goes up and down.
    Gauge,
    /// A distribution.
    Histogram,
}

/// What a metric counts in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// `s`. Prometheus: `_seconds`.
    Seconds,
    /// `{token}`, `{call}` and the like. Prometheus: nothing.
    Count,
}

/// One metric.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Metric {
    /// OpenTelemetry's name; Prometheus reads it with underscores, unit and `_total`.
    pub name: &'static str,
    /// How it behaves.
    pub kind: Kind,
    /// What it counts in.
    pub unit: Unit,
    /// The upper bounds of a histogram's buckets; empty for the others.
    pub buckets: &'static [f64],
    /// What it says, for people.
    pub about: &'static str,
}

/// Of the convention: from 1 in steps of four.
const TOKENS: &[f64] = &[
    1.0,
    4.0,
    16.0,
    64.0,
    256.0,
    1024.0,
    4096.0,
    16384.0,
    65536.0,
    262_144.0,
    1_048_576.0,
    4_194_304.0,
    16_777_216.0,
    67_108_864.0,
];
/// Of the convention: from 10 ms, doubling.
const SECONDS: &[f64] =
    &[0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92];

const fn histogram(name: &'static str, unit: Unit, buckets: &'static [f64], about: &'static str) -> Metric {
    Metric { name, kind: Kind::Histogram, unit, buckets, about }
}

const fn counter(name: &'static str, about: &'static str) -> Metric {
    Metric { name, kind: Kind::Counter, unit: Unit::Count, buckets: &[], about }
}

const fn gauge(name: &'static str, about: &'static str) -> Metric {
    Metric { name, kind: Kind::Gauge, unit: Unit::Count, buckets: &[], about }
}

const DURATION_ABOUT: &str = "Calls, from their start to the end of the answer, waits and retries included.";
const FIRST_CHUNK_ABOUT: &str =
    "From the start of a streamed call to its first content, waits and retries included.";
const CHUNK_ABOUT: &str = "Between the pieces of content of a streamed answer.";

// v1.41.
pub(super) const DURATION_1_41: Metric =
    histogram("gen_ai.client.operation.duration", Unit::Seconds, SECONDS, DURATION_ABOUT);
pub(super) const TOKEN_USAGE: Metric = histogram(
    "gen_ai.client.token.usage",
    Unit::Count,
    TOKENS,
    "Tokens a call read (cached ones included) or wrote (reasoning included).",
);
pub(super) const FIRST_CHUNK_1_41: Metric =
    histogram("gen_ai.client.operation.time_to_first_chunk", Unit::Seconds, SECONDS, FIRST_CHUNK_ABOUT);
pub(super) const CHUNK_1_41: Metric =
    histogram("gen_ai.client.operation.time_per_output_chunk", Unit::Seconds, SECONDS, CHUNK_ABOUT);

// The next set.
pub(super) const DURATION_LATEST: Metric =
    histogram("gen_ai.client.inference.duration", Unit::Seconds, SECONDS, DURATION_ABOUT);
pub(super) const FIRST_CHUNK_LATEST: Metric =
    histogram("gen_ai.client.inference.time_to_first_chunk", Unit::Seconds, SECONDS, FIRST_CHUNK_ABOUT);
pub(super) const CHUNK_LATEST: Metric =
    histogram("gen_ai.client.inference.time_per_output_chunk", Unit::Seconds, SECONDS, CHUNK_ABOUT);
pub(super) const INPUT_PER_CALL: Metric = histogram(
    "gen_ai.client.inference.operation.input_tokens",
    Unit::Count,
    TOKENS,
    "Tokens a call read, cached ones included.",
);
pub(super) const OUTPUT_PER_CALL: Metric = histogram(
    "gen_ai.client.inference.operation.output_tokens",
    Unit::Count,
    TOKENS,
    "Tokens a call wrote, reasoning included.",
);
pub(super) const INPUT_USED: Metric =
    counter("gen_ai.client.inference.usage.input_tokens", "Tokens read, cached ones included.");
pub(super) const OUTPUT_USED: Metric =
    counter("gen_ai.client.inference.usage.output_tokens", "Tokens written, reasoning included.");
pub(super) const CACHE_READ_USED: Metric = counter(
    "gen_ai.client.inference.usage.cache_read.input_tokens",
    "Tokens read from the vendor's prompt cache.",
);
pub(super) const CACHE_WRITE_USED: Metric = counter(
    "gen_ai.client.inference.usage.cache_write.input_tokens",
    "Tokens written to the vendor's prompt cache.",
);
pub(super) const REASONING_USED: Metric =
    counter("gen_ai.client.inference.usage.reasoning.output_tokens", "Tokens written while thinking.");

// Our own.
pub(super) const IN_FLIGHT: Metric =
    gauge("llm.requests.in_flight", "Calls under way, the waiting ones and open streams included.");
pub(super) const ATTEMPTS_MADE: Metric = counter(
    "llm.attempts",
    "HTTP exchanges, by what made them necessary: `first`, or the failure of the attempt before.",
);
pub(super) const WAITED: Metric = histogram(
    "llm.rate_limit.wait",
    Unit::Seconds,
    SECONDS,
    "What calls waited for a limit, a cool-down, back-off or a free slot; those that did not wait are not in it.",
);
pub(super) const ENDPOINT_STATE: Metric =
    gauge("llm.endpoint.state", "1 for the state an endpoint's breaker is in, 0 for the others.");
pub(super) const POOL_CONNECTIONS: Metric =
    gauge("llm.pool.connections", "Connections that are idle or in use, and requests that wait for one.");
pub(super) const BATCH_ROWS: Metric = counter("llm.batch.rows", "Rows of batches that got their record.");
/// A gauge that only grows: the facade's counters hold whole numbers.
pub(super) const COST_USD: Metric =
    gauge("llm.cost.usd.total", "What calls cost in US dollars, where their price is known.");

/// Every metric there is, of both versions.
pub const METRICS: [Metric; 21] = [
    DURATION_1_41,
    TOKEN_USAGE,
    FIRST_CHUNK_1_41,
    CHUNK_1_41,
    DURATION_LATEST,
    FIRST_CHUNK_LATEST,
    CHUNK_LATEST,
    INPUT_PER_CALL,
    OUTPUT_PER_CALL,
    INPUT_USED,
    OUTPUT_USED,
    CACHE_READ_USED,
    CACHE_WRITE_USED,
    REASONING_USED,
    IN_FLIGHT,
    ATTEMPTS_MADE,
    WAITED,
    ENDPOINT_STATE,
    POOL_CONNECTIONS,
    BATCH_ROWS,
    COST_USD,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_switch_is_one_word_among_others() {
        for (value, expected) in [
            ("", Names::V1_41),
            ("http", Names::V1_41),
            ("gen_ai_latest_experimental", Names::Latest),
            ("http/dup, gen_ai_latest_experimental ", Names::Latest),
            ("gen_ai_latest_experimental_2", Names::V1_41),
        ] {
            assert_eq!(Names::from_opt_in(value), expected, "{value}");
        }
    }

    #[test]
    fn every_metric_has_its_own_name_and_only_histograms_have_buckets() {
        let mut names: Vec<&str> = METRICS.iter().map(|metric| metric.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), METRICS.len());
        for metric in METRICS {
            assert_eq!(metric.kind == Kind::Histogram, !metric.buckets.is_empty(), "{}", metric.name);
            assert!(metric.buckets.is_sorted(), "{}", metric.name);
        }
    }
}
