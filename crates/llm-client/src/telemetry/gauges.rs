//! Figures that belong to no single call: the state of an endpoint, connections, rows of a batch, money.

use std::sync::{Mutex, OnceLock, PoisonError};

use metrics::{Counter, Gauge, Label};

use super::handles::{RecorderId, counter, gauge};
use super::{Observer, names};
use crate::lane::BreakerState;

/// Says which state an endpoint's breaker is in, whenever that changes.
#[derive(Debug, Default)]
pub(crate) struct StateGauges(Mutex<Option<Told>>);

#[derive(Debug)]
struct Told {
    recorder: RecorderId,
    state: BreakerState,
    gauges: [(BreakerState, Gauge); 3],
}

impl StateGauges {
    pub(crate) fn set(&self, observer: &Observer, endpoint: &str, state: BreakerState) {
        let recorder = RecorderId::current();
        // Handles and the last word: what a panic left behind is still true.
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match told.as_mut() {
            Some(told) if told.recorder == recorder && told.state == state => return,
            Some(told) if told.recorder == recorder => told.state = state,
            _ => {
                let of = |state: BreakerState, word| {
                    let labels = vec![
                        Label::new(names::PROVIDER, observer.who.provider.clone()),
                        Label::new(names::REQUEST_MODEL, observer.who.model.clone()),
                        Label::new(names::ENDPOINT, endpoint.to_owned()),
                        Label::from_static_parts(names::STATE, word),
                    ];
                    (state, gauge(&names::ENDPOINT_STATE, labels))
                };
                let gauges = [
                    of(BreakerState::Closed, "closed"),
                    of(BreakerState::Open, "open"),
                    of(BreakerState::HalfOpen, "half_open"),
                ];
                *told = Some(Told { recorder, state, gauges });
            }
        }
        if let Some(told) = told.as_ref() {
            for (of, gauge) in &told.gauges {
                gauge.set(if *of == state { 1.0 } else { 0.0 });
            }
        }
    }
}

/// What the connections to one host are doing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Connections {
    pub(crate) idle: usize,
    pub(crate) in_use: usize,
    pub(crate) waiting: usize,
}

/// The figures of all hosts of a transport, told as changes, so that several transports add up.
#[derive(Debug, Default)]
pub(crate) struct PoolGauges(OnceLock<[Gauge; 3]>);

/// What was told of one host, and to whom.
#[derive(Debug, Default)]
pub(crate) struct LastTold(Option<RecorderId>, Connections);

impl LastTold {
    /// Takes the new numbers down; gives the old ones where they differ.
    pub(crate) fn replace(&mut self, now: Connections) -> Option<(Connections, Connections)> {
        let recorder = RecorderId::current();
        let before = if self.0 == Some(recorder) { self.1 } else { Connections::default() };
        *self = Self(Some(recorder), now);
        (before != now).then_some((before, now))
    }
}

impl PoolGauges {
    pub(crate) fn change(&self, before: Connections, now: Connections) {
        let [idle, in_use, waiting] = self.0.get_or_init(|| {
            ["idle", "in_use", "waiting"].map(|word| {
                gauge(&names::POOL_CONNECTIONS, vec![Label::from_static_parts(names::STATE, word)])
            })
        });
        step(idle, before.idle, now.idle);
        step(in_use, before.in_use, now.in_use);
        step(waiting, before.waiting, now.waiting);
    }
}

#[expect(clippy::cast_precision_loss, reason = "nobody has 2^53 connections")]
fn step(gauge: &Gauge, before: usize, now: usize) {
    if now > before {
        gauge.increment((now - before) as f64);
    } else if before > now {
        gauge.decrement((before - now) as f64);
    }
}

/// A row of a batch got its record, with this status.
pub fn record_batch_row(status: &'static str) {
    static ROWS: Mutex<Vec<(RecorderId, &'static str, Counter)>> = Mutex::new(Vec::new());
    let recorder = RecorderId::current();
    let mut rows = ROWS.lock().unwrap_or_else(PoisonError::into_inner);
    let known = rows.iter().find(|(of, word, _)| *of == recorder && *word == status);
    let counter = match known {
        Some((.., known)) => known.clone(),
        None => {
            let fresh = counter(&names::BATCH_ROWS, vec![Label::from_static_parts(names::STATUS, status)]);
            rows.retain(|(of, ..)| *of == recorder);
            rows.push((recorder, status, fresh.clone()));
            fresh
        }
    };
    drop(rows);
    counter.increment(1);
}

impl Observer {
    /// A call cost so much, in US dollars. Only where its price is known: an unknown price is unknown, not 0. Said inside
    /// the call's span, the span carries the sum too.
    pub fn record_cost(&self, usd: f64) {
        if !usd.is_finite() || usd < 0.0 {
            return;
        }
        let recorder = RecorderId::current();
        let mut cost = self.cost.lock().unwrap_or_else(PoisonError::into_inner);
        let gauge = match cost.take() {
            Some((of, gauge)) if of == recorder => gauge,
            _ => {
                let labels = vec![
                    Label::new(names::PROVIDER, self.who.provider.clone()),
                    Label::new(names::REQUEST_MODEL, self.who.model.clone()),
                ];
                gauge(&names::COST_USD, labels)
            }
        };
        gauge.increment(usd);
        *cost = Some((recorder, gauge));
        drop(cost);
        tracing::Span::current().record(names::COST, usd);
    }
}
