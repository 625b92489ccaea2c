//! Sums over the last few seconds, in a ring of equal slots.

use std::time::Duration;

use crate::clock::Instant;

/// Numbers added at moments; those older than `SLOTS` slots are forgotten. A sum looks back a whole number of slots,
/// the one that has just begun included, so it covers up to one slot less than was asked for.
#[derive(Clone, Debug)]
pub(super) struct Timeline<const SLOTS: usize> {
    origin: Instant,
    slot_ms: u64,
    newest: u64,
    values: [f64; SLOTS],
}

impl<const SLOTS: usize> Timeline<SLOTS> {
    /// An empty ring that begins now. A slot lasts at least a millisecond.
    pub(super) fn new(slot: Duration, now: Instant) -> Self {
        let slot_ms = u64::try_from(slot.as_millis()).unwrap_or(u64::MAX).max(1);
        Self { origin: now, slot_ms, newest: 0, values: [0.0; SLOTS] }
    }

    fn slot(&self, at: Instant) -> u64 {
        let ms = at.saturating_duration_since(self.origin).as_millis();
        u64::try_from(ms).unwrap_or(u64::MAX) / self.slot_ms
    }

    fn value(&mut self, slot: u64) -> Option<&mut f64> {
        let count = u64::try_from(SLOTS).ok()?;
        self.values.get_mut(usize::try_from(slot % count).ok()?)
    }

    fn remembers(&self, slot: u64) -> bool {
        let count = u64::try_from(SLOTS).unwrap_or(u64::MAX);
        slot <= self.newest && self.newest - slot < count
    }

    /// Adds to the slot of `at`, which may lie in the past; what is forgotten already stays so.
    pub(super) fn add(&mut self, at: Instant, value: f64) {
        let slot = self.slot(at);
        if slot > self.newest {
            if slot - self.newest >= u64::try_from(SLOTS).unwrap_or(u64::MAX) {
                self.values.fill(0.0);
            } else {
                for passed in self.newest + 1..=slot {
                    if let Some(old) = self.value(passed) {
                        *old = 0.0;
                    }
                }
            }
            self.newest = slot;
        }
        if self.remembers(slot)
            && let Some(sum) = self.value(slot)
        {
            *sum += value;
        }
    }

    /// What was added in the slots of the `span` that ends at `until`.
    pub(super) fn sum(&self, until: Instant, span: Duration) -> f64 {
        let last = self.slot(until);
        let slots = (u64::try_from(span.as_millis()).unwrap_or(u64::MAX).div_ceil(self.slot_ms)).max(1);
        let first = last.saturating_sub(slots - 1);
        let count = u64::try_from(SLOTS).unwrap_or(u64::MAX);
        let oldest = (self.newest + 1).saturating_sub(count);
        let mut sum = 0.0;
        for (place, value) in (0u64..).zip(&self.values) {
            // The one slot number that this place stands for at present.
            let slot = oldest + (place + count - oldest % count) % count;
            if (first..=last).contains(&slot) && slot <= self.newest {
                sum += value;
            }
        }
        sum
    }

    /// Forgets everything.
    pub(super) fn clear(&mut self) {
        self.values.fill(0.0);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Against a list of everything ever added.
        #[test]
        fn a_sum_is_what_was_added_in_its_slots(
            steps in prop::collection::vec((0u64..900, 0u64..2500, 1u8..5), 1..60),
            look in 1u64..10,
        ) {
            let start = crate::clock::now();
            let slot = Duration::from_millis(250);
            let mut ring = Timeline::<8>::new(slot, start);
            let mut all: Vec<(u64, f64)> = Vec::new();
            let mut now = 0;
            for (step, back, value) in steps {
                now += step;
                let at = now.saturating_sub(back);
                ring.add(start + Duration::from_millis(now), 0.0);
                ring.add(start + Duration::from_millis(at), f64::from(value));
                if now / 250 - at / 250 < 8 {
                    all.push((at / 250, f64::from(value)));
                }
                let last = now / 250;
                let first = (last + 1).saturating_sub(look.min(8));
                let wanted: f64 = all.iter().filter(|(s, _)| (first..=last).contains(s)).map(|(_, v)| v).sum();
                let until = start + Duration::from_millis(now);
                prop_assert_eq!(ring.sum(until, Duration::from_millis(250 * look)), wanted);
            }
        }
    }

    #[test]
    fn a_long_silence_forgets_everything() {
        let start = crate::clock::now();
        let mut ring = Timeline::<4>::new(Duration::from_secs(1), start);
        ring.add(start, 5.0);
        assert_eq!(ring.sum(start, Duration::from_secs(4)), 5.0);
        let later = start + Duration::from_secs(1_000_000);
        assert_eq!(ring.sum(later, Duration::from_secs(4)), 0.0);
        ring.add(later, 1.0);
        assert_eq!(ring.sum(later, Duration::from_secs(4)), 1.0);
    }
}
