//! What a subscriber and a recorder get to see.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::{Arc, Mutex};

use metrics::{
    Counter, CounterFn, Gauge, GaugeFn, Histogram, HistogramFn, Key, KeyName, Metadata, Recorder,
    SharedString, Unit,
};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::DefaultGuard;
use tracing_subscriber::Layer;
use tracing_subscriber::layer::{Context, SubscriberExt as _};
use tracing_subscriber::registry::{LookupSpan, Registry};

/// One span, open or closed.
#[derive(Clone, Debug, Default)]
pub(crate) struct Span {
    id: u64,
    parent: Option<u64>,
    pub(crate) name: &'static str,
    pub(crate) fields: BTreeMap<&'static str, String>,
    pub(crate) closed: bool,
}

impl Span {
    /// A field's value as text.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.fields.get(name).map(String::as_str)
    }

    pub(crate) fn is_below(&self, parent: &Span) -> bool {
        self.parent == Some(parent.id)
    }

    /// These fields have these values.
    #[track_caller]
    pub(crate) fn says(&self, fields: &[(&str, &str)]) {
        for (name, value) in fields {
            assert_eq!(self.get(name), Some(*value), "{name} of {self:#?}");
        }
    }
}

#[derive(Debug, Default)]
struct Trace {
    spans: Vec<Span>,
    events: Vec<String>,
}

/// The spans and events of this thread, from the most detailed level up.
#[derive(Clone, Debug, Default)]
pub(crate) struct Spans(Arc<Mutex<Trace>>);

/// Ends the listening when it is dropped.
pub(crate) struct Listening {
    _first: DefaultGuard,
    /// While there is only one subscriber, a span that another test's thread meets first is switched off for all.
    _second: tracing::Dispatch,
}

impl Spans {
    pub(crate) fn listen() -> (Self, Listening) {
        let spans = Self::default();
        let second = tracing::Dispatch::new(Registry::default().with(Self::default()));
        let first = tracing::subscriber::set_default(Registry::default().with(spans.clone()));
        (spans, Listening { _first: first, _second: second })
    }

    /// All spans of this name, in their order.
    pub(crate) fn named(&self, name: &str) -> Vec<Span> {
        self.0.lock().unwrap().spans.iter().filter(|span| span.name == name).cloned().collect()
    }

    /// The one span of a call.
    #[track_caller]
    pub(crate) fn call(&self) -> Span {
        let [call] = self.named("call").try_into().expect("one call, one span");
        call
    }

    /// Everything there is, as text.
    pub(crate) fn text(&self) -> String {
        format!("{:#?}", self.0.lock().unwrap())
    }
}

/// A visitor that gets every value as text.
struct Fields<'a>(&'a mut BTreeMap<&'static str, String>);

impl Visit for Fields<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name(), value.to_owned());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.0.insert(field.name(), format!("{value:?}"));
    }
}

impl<S: tracing::Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Spans {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let mut fields = BTreeMap::new();
        attributes.record(&mut Fields(&mut fields));
        let parent = context.span(id).and_then(|span| span.parent()).map(|parent| parent.id().into_u64());
        let name = attributes.metadata().name();
        let span = Span { id: id.into_u64(), parent, name, fields, closed: false };
        self.0.lock().unwrap().spans.push(span);
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, _: Context<'_, S>) {
        let mut trace = self.0.lock().unwrap();
        // A closed span's number may be used again: the latest is meant.
        let span = trace.spans.iter_mut().rev().find(|span| span.id == id.into_u64()).unwrap();
        values.record(&mut Fields(&mut span.fields));
    }

    fn on_close(&self, id: Id, _: Context<'_, S>) {
        let mut trace = self.0.lock().unwrap();
        trace.spans.iter_mut().rev().find(|span| span.id == id.into_u64()).unwrap().closed = true;
    }

    fn on_event(&self, event: &tracing::Event<'_>, _: Context<'_, S>) {
        let mut fields = BTreeMap::new();
        event.record(&mut Fields(&mut fields));
        self.0.lock().unwrap().events.push(format!("{} {fields:?}", event.metadata().target()));
    }
}

/// What a figure holds: every value recorded, or the sum of changes.
#[derive(Clone, Debug, Default)]
struct Cell(Arc<Mutex<Vec<f64>>>);

/// The figures of this thread by `name{label=value,…}`, labels in order of name.
#[derive(Clone, Debug, Default)]
pub(crate) struct Figures(Arc<Mutex<BTreeMap<String, Cell>>>);

impl Figures {
    fn cell(&self, key: &Key) -> Arc<Cell> {
        let mut labels: Vec<String> =
            key.labels().map(|label| format!("{}={}", label.key(), label.value())).collect();
        labels.sort_unstable();
        let name = format!("{}{{{}}}", key.name(), labels.join(","));
        Arc::new(self.0.lock().unwrap().entry(name).or_default().clone())
    }

    /// The values of the one figure of this name whose labels hold all of these.
    #[track_caller]
    pub(crate) fn values(&self, name: &str, labels: &[&str]) -> Vec<f64> {
        let figures = self.0.lock().unwrap();
        let fits = |key: &&String| {
            key.starts_with(&format!("{name}{{")) && labels.iter().all(|label| key.contains(label))
        };
        let [key] = figures.keys().filter(fits).collect::<Vec<_>>().try_into().unwrap_or_else(|found| {
            panic!("one {name} with {labels:?}, not {found:?} of {:#?}", figures.keys())
        });
        figures[key].0.lock().unwrap().clone()
    }

    /// The sum of a counter or gauge.
    #[track_caller]
    pub(crate) fn sum(&self, name: &str, labels: &[&str]) -> f64 {
        self.values(name, labels).iter().sum()
    }

    /// The names with their labels.
    pub(crate) fn names(&self) -> Vec<String> {
        self.0.lock().unwrap().keys().cloned().collect()
    }
}

impl Cell {
    fn push(&self, value: f64) {
        self.0.lock().unwrap().push(value);
    }
}

impl CounterFn for Cell {
    fn increment(&self, value: u64) {
        self.push(f64::from(u32::try_from(value).unwrap()));
    }

    fn absolute(&self, value: u64) {
        *self.0.lock().unwrap() = vec![f64::from(u32::try_from(value).unwrap())];
    }
}

impl GaugeFn for Cell {
    fn increment(&self, value: f64) {
        self.push(value);
    }

    fn decrement(&self, value: f64) {
        self.push(-value);
    }

    fn set(&self, value: f64) {
        *self.0.lock().unwrap() = vec![value];
    }
}

impl HistogramFn for Cell {
    fn record(&self, value: f64) {
        self.push(value);
    }
}

impl Recorder for Figures {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        Counter::from_arc(self.cell(key))
    }

    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::from_arc(self.cell(key))
    }

    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::from_arc(self.cell(key))
    }
}
