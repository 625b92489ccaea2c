//! The figures of one client and operation: handles that are made once, so that a call allocates no label.

use std::fmt;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use llm_types::{ErrorKind, Usage};
use metrics::{Counter, Gauge, Histogram, Key, Label, Level, Metadata, Recorder, with_recorder};

use super::Who;
use super::names::{self, Kind, Metric, Names, Unit};

static METADATA: Metadata<'static> = Metadata::new("llm_client", Level::INFO, Some(module_path!()));

/// What is asked of a model, in the conventions' words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operation {
    Chat,
    Embeddings,
    /// Our own word; the conventions have none.
    ListModels,
    /// Ours too.
    CountTokens,
}

impl Operation {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Chat => "chat",
            Self::Embeddings => "embeddings",
            Self::ListModels => "list_models",
            Self::CountTokens => "count_tokens",
        }
    }
}

/// Tells recorders apart, so that handles made before one was installed are not kept for good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RecorderId(usize, usize);

impl RecorderId {
    pub(super) fn current() -> Self {
        with_recorder(|recorder| Self(std::ptr::from_ref(recorder).addr(), size_of_val(recorder)))
    }
}

/// A label of a metric and its value, both known at compile time.
type Mark = (&'static str, &'static str);

pub(super) struct Handles {
    operation: Operation,
    names: Names,
    recorder: RecorderId,
    labels: Vec<Label>,
    in_flight: OnceLock<Gauge>,
    duration: OnceLock<Histogram>,
    waited: OnceLock<Histogram>,
    first_chunk: OnceLock<Histogram>,
    chunk: OnceLock<Histogram>,
    input: OnceLock<Histogram>,
    output: OnceLock<Histogram>,
    first_attempt: OnceLock<Counter>,
    /// What comes seldom: failures, retries, counters of the next set.
    seldom: Mutex<Vec<(&'static str, Vec<Mark>, Rare)>>,
}

#[derive(Clone)]
enum Rare {
    Counter(Counter),
    Histogram(Histogram),
}

impl Handles {
    pub(super) fn new(who: &Who, operation: Operation, names: Names, recorder: RecorderId) -> Self {
        with_recorder(describe);
        let mut labels = vec![
            Label::from_static_parts(names::OPERATION, operation.as_str()),
            Label::new(names::PROVIDER, who.provider.clone()),
            Label::new(names::REQUEST_MODEL, who.model.clone()),
        ];
        if let Some((host, port)) = &who.server {
            labels.push(Label::new(names::SERVER_ADDRESS, host.clone()));
            labels.push(Label::new(names::SERVER_PORT, port.to_string()));
        }
        Self {
            operation,
            names,
            recorder,
            labels,
            in_flight: OnceLock::new(),
            duration: OnceLock::new(),
            waited: OnceLock::new(),
            first_chunk: OnceLock::new(),
            chunk: OnceLock::new(),
            input: OnceLock::new(),
            output: OnceLock::new(),
            first_attempt: OnceLock::new(),
            seldom: Mutex::default(),
        }
    }

    pub(super) fn fits(&self, operation: Operation, names: Names, recorder: RecorderId) -> bool {
        self.operation == operation && self.names == names && self.recorder == recorder
    }

    pub(super) fn is_of(&self, operation: Operation) -> bool {
        self.operation == operation
    }

    pub(super) fn names(&self) -> Names {
        self.names
    }

    /// A call begins.
    pub(super) fn begun(&self) {
        self.in_flight().increment(1.0);
    }

    /// A call has ended: how long it took, how it failed, what it used, how long it waited.
    pub(super) fn ended(
        &self,
        took: Duration,
        failure: Option<ErrorKind>,
        usage: Option<&Usage>,
        waited: Duration,
    ) {
        self.in_flight().decrement(1.0);
        let duration = match self.names {
            Names::V1_41 => &names::DURATION_1_41,
            Names::Latest => &names::DURATION_LATEST,
        };
        match failure {
            None => self.histogram(&self.duration, duration, &[]).record(took.as_secs_f64()),
            Some(kind) => {
                self.seldom_histogram(duration, &[(names::ERROR_TYPE, kind.as_str())], took.as_secs_f64());
            }
        }
        if waited > Duration::ZERO {
            self.histogram(&self.waited, &names::WAITED, &[]).record(waited.as_secs_f64());
        }
        if let Some(usage) = usage {
            self.used(usage);
        }
    }

    /// The first content of a stream has come.
    pub(super) fn first_chunk(&self, after: Duration) {
        let metric = match self.names {
            Names::V1_41 => &names::FIRST_CHUNK_1_41,
            Names::Latest => &names::FIRST_CHUNK_LATEST,
        };
        self.histogram(&self.first_chunk, metric, &[]).record(after.as_secs_f64());
    }

    /// Another piece of a stream's content has come.
    pub(super) fn chunk(&self, after: Duration) {
        let metric = match self.names {
            Names::V1_41 => &names::CHUNK_1_41,
            Names::Latest => &names::CHUNK_LATEST,
        };
        self.histogram(&self.chunk, metric, &[]).record(after.as_secs_f64());
    }

    /// An attempt has ended; `after` is the failure that made it necessary.
    pub(super) fn attempted(&self, after: Option<ErrorKind>, failure: Option<ErrorKind>) {
        const FIRST: Mark = (names::REASON, "first");
        if after.is_none() && failure.is_none() {
            let first =
                self.first_attempt.get_or_init(|| self.register_counter(&names::ATTEMPTS_MADE, &[FIRST]));
            return first.increment(1);
        }
        let mut marks = vec![after.map_or(FIRST, |kind| (names::REASON, kind.as_str()))];
        marks.extend(failure.map(|kind| (names::ERROR_TYPE, kind.as_str())));
        self.seldom_counter(&names::ATTEMPTS_MADE, &marks, 1);
    }

    fn used(&self, usage: &Usage) {
        let (input, output) = (usage.input_total(), usage.output_total());
        let ([input_metric, output_metric], [read, written]): (_, [&[Mark]; 2]) = match self.names {
            Names::V1_41 => (
                [&names::TOKEN_USAGE, &names::TOKEN_USAGE],
                [&[(names::TOKEN_TYPE, "input")], &[(names::TOKEN_TYPE, "output")]],
            ),
            Names::Latest => ([&names::INPUT_PER_CALL, &names::OUTPUT_PER_CALL], [&[], &[]]),
        };
        self.histogram(&self.input, input_metric, read).record(float(input));
        self.histogram(&self.output, output_metric, written).record(float(output));
        if self.names == Names::V1_41 {
            return;
        }
        let sum = |parts: &[Option<u64>]| parts.iter().flatten().fold(0, |a: u64, b| a.saturating_add(*b));
        let written = sum(&[usage.cache_write_5m, usage.cache_write_1h]);
        let cached = sum(&[usage.cache_read, Some(written)]);
        // A class that says what it holds is told by it; what a cache held nobody says.
        for (metric, modality, tokens) in [
            (&names::INPUT_USED, "text", usage.fresh_input),
            (&names::INPUT_USED, "audio", sum(&[usage.audio_input])),
            (&names::INPUT_USED, "image", sum(&[usage.image_input])),
            (&names::INPUT_USED, "unknown", cached),
            (&names::CACHE_READ_USED, "unknown", sum(&[usage.cache_read])),
            (&names::CACHE_WRITE_USED, "unknown", written),
            (&names::OUTPUT_USED, "text", sum(&[Some(usage.plain_output), usage.reasoning])),
            (&names::OUTPUT_USED, "audio", sum(&[usage.audio_output])),
            (&names::REASONING_USED, "text", sum(&[usage.reasoning])),
        ] {
            if tokens > 0 {
                self.seldom_counter(metric, &[(names::MODALITY, modality)], tokens);
            }
        }
    }

    fn in_flight(&self) -> &Gauge {
        self.in_flight.get_or_init(|| {
            let key = self.key(&names::IN_FLIGHT, &[]);
            with_recorder(|recorder| recorder.register_gauge(&key, &METADATA))
        })
    }

    fn histogram<'a>(
        &self,
        place: &'a OnceLock<Histogram>,
        metric: &Metric,
        marks: &[Mark],
    ) -> &'a Histogram {
        place.get_or_init(|| self.register_histogram(metric, marks))
    }

    fn seldom_histogram(&self, metric: &Metric, marks: &[Mark], value: f64) {
        let make = || Rare::Histogram(self.register_histogram(metric, marks));
        if let Rare::Histogram(histogram) = self.seldom(metric, marks, make) {
            histogram.record(value);
        }
    }

    fn seldom_counter(&self, metric: &Metric, marks: &[Mark], value: u64) {
        let make = || Rare::Counter(self.register_counter(metric, marks));
        if let Rare::Counter(counter) = self.seldom(metric, marks, make) {
            counter.increment(value);
        }
    }

    fn seldom(&self, metric: &Metric, marks: &[Mark], make: impl FnOnce() -> Rare) -> Rare {
        // Handles only: what a panic left behind is still true.
        let mut seldom = self.seldom.lock().unwrap_or_else(PoisonError::into_inner);
        let known = seldom.iter().find(|(name, known, _)| *name == metric.name && known == marks);
        if let Some((_, _, handle)) = known {
            return handle.clone();
        }
        let made = make();
        seldom.push((metric.name, marks.to_vec(), made.clone()));
        made
    }

    fn register_histogram(&self, metric: &Metric, marks: &[Mark]) -> Histogram {
        let key = self.key(metric, marks);
        with_recorder(|recorder| recorder.register_histogram(&key, &METADATA))
    }

    fn register_counter(&self, metric: &Metric, marks: &[Mark]) -> Counter {
        let key = self.key(metric, marks);
        with_recorder(|recorder| recorder.register_counter(&key, &METADATA))
    }

    fn key(&self, metric: &Metric, marks: &[Mark]) -> Key {
        let marks = marks.iter().map(|(name, value)| Label::from_static_parts(name, value));
        Key::from_parts(metric.name, self.labels.iter().cloned().chain(marks).collect::<Vec<_>>())
    }
}

impl fmt::Debug for Handles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handles").field("operation", &self.operation).finish_non_exhaustive()
    }
}

/// A gauge of its own labels.
pub(super) fn gauge(metric: &Metric, labels: Vec<Label>) -> Gauge {
    with_recorder(|recorder| {
        describe(recorder);
        recorder.register_gauge(&Key::from_parts(metric.name, labels), &METADATA)
    })
}

/// A counter of its own labels.
pub(super) fn counter(metric: &Metric, labels: Vec<Label>) -> Counter {
    with_recorder(|recorder| {
        describe(recorder);
        recorder.register_counter(&Key::from_parts(metric.name, labels), &METADATA)
    })
}

/// Tells the recorder what each metric means.
fn describe(recorder: &dyn Recorder) {
    for metric in names::METRICS {
        let unit = Some(match metric.unit {
            Unit::Seconds => metrics::Unit::Seconds,
            Unit::Count => metrics::Unit::Count,
        });
        let (name, about) = (metric.name.into(), metric.about.into());
        match metric.kind {
            Kind::Counter => recorder.describe_counter(name, unit, about),
            Kind::Gauge => recorder.describe_gauge(name, unit, about),
            Kind::Histogram => recorder.describe_histogram(name, unit, about),
        }
    }
}

/// Exact up to 2^53, which no count of tokens reaches.
#[expect(clippy::cast_precision_loss, reason = "the facade's histograms are floating point")]
fn float(n: u64) -> f64 {
    n as f64
}
