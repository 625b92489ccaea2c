//! Which rows are answered already: stored records as a multiset of keys, 32 bytes each, never matched by position.
//!
//! Two passes over the input use it. The first *claims*: it counts how many rows may use which records, before anything
//! is sent. The second *takes*: each row gets its record, in the order of the file, so that equal rows keep their
//! answers from run to run.
//!
//! Entries are sorted by key and, within a key, by how good they are. Claiming goes from the best downwards, so that
//! the entries of one key always stand in the order replaced, neither, taken, claimed, and every step is a binary
//! search, however many equal rows there are.

use crate::key::Key;

/// Offsets have 56 bits, flags the other 8.
const FLAG_BITS: u32 = 8;

/// One stored record. The size is a promise (32 bytes a row while resuming and sorting).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    key: u128,
    place: u64,
    index: u32,
    metadata: u32,
}

const _: () = assert!(size_of::<Entry>() == 32);

/// What an entry is, and what became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flag {
    /// An answer.
    Success = 1,
    /// A failure that may pass.
    Retryable = 1 << 1,
    /// A row that could not be sent.
    BadRow = 1 << 2,
    /// From the side file.
    Side = 1 << 3,
    /// Made with other settings.
    OtherJob = 1 << 4,
    /// A row of the input may use it.
    Claimed = 1 << 5,
    /// A row of the input uses it; without `Claimed`: the row is asked again, and its new record replaces this one.
    Taken = 1 << 6,
    /// Its index or metadata differ from its row's.
    Moved = 1 << 7,
}

impl Entry {
    /// `None` when the file is larger, or its rows more, than an entry can say (2^56 bytes, 2^32 rows).
    pub(crate) fn new(key: Key, offset: u64, index: u64, metadata: u32) -> Option<Self> {
        let place = offset.checked_mul(1 << FLAG_BITS)?;
        Some(Self { key: key.0, place, index: u32::try_from(index).ok()?, metadata })
    }

    pub(crate) fn with(mut self, flag: Flag, set: bool) -> Self {
        if set {
            self.set(flag);
        }
        self
    }

    pub(crate) fn set(&mut self, flag: Flag) {
        self.place |= flag as u64;
    }

    pub(crate) fn is(&self, flag: Flag) -> bool {
        self.place & flag as u64 != 0
    }

    pub(crate) fn key(&self) -> Key {
        Key(self.key)
    }

    pub(crate) fn offset(&self) -> u64 {
        self.place >> FLAG_BITS
    }

    pub(crate) fn index(&self) -> u64 {
        self.index.into()
    }

    /// The hash of its row's metadata.
    pub(crate) fn metadata_hash(&self) -> u32 {
        self.metadata
    }

    /// Notes the place and metadata of the row that uses it.
    fn place_at(&mut self, index: u64, metadata: u32) {
        let index = u32::try_from(index).unwrap_or(u32::MAX);
        if index != self.index || metadata != self.metadata {
            self.set(Flag::Moved);
        }
        self.index = index;
        self.metadata = metadata;
    }

    /// Whether a row of the input uses it and is not asked again.
    pub(crate) fn is_used(&self) -> bool {
        self.is(Flag::Taken) && self.is(Flag::Claimed)
    }

    /// Whether its row was asked again in this run.
    pub(crate) fn is_replaced(&self) -> bool {
        self.is(Flag::Taken) && !self.is(Flag::Claimed)
    }
}

/// Which stored records count as done.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Rules {
    /// Use answers that were made with other settings.
    pub(crate) keep_other_jobs: bool,
    /// Ask rows again that failed for their own reasons.
    pub(crate) retry_failed: bool,
}

impl Rules {
    /// How good a record is; 0 is none at all, so that its row is asked (again).
    fn worth(self, entry: &Entry) -> u8 {
        let own_job = !entry.is(Flag::OtherJob);
        if entry.is(Flag::Success) {
            return match (own_job || self.keep_other_jobs, entry.is(Flag::Side)) {
                (false, _) => 0,
                (true, true) => 2,
                (true, false) => 3,
            };
        }
        let done = own_job && !entry.is(Flag::Retryable) && !self.retry_failed;
        u8::from(done || entry.is(Flag::BadRow))
    }
}

/// The stored records of an output and its side file.
#[derive(Debug, Default)]
pub(crate) struct Resume {
    entries: Vec<Entry>,
    rules: Rules,
}

impl Resume {
    pub(crate) fn new(mut entries: Vec<Entry>, rules: Rules) -> Self {
        // Failures before answers of the same worth: those are what `replace` looks for.
        entries.sort_unstable_by_key(|entry| {
            (entry.key, rules.worth(entry), entry.is(Flag::Success), entry.place)
        });
        Self { entries, rules }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub(crate) fn into_entries(self) -> Vec<Entry> {
        self.entries
    }

    /// First pass: reserves the best record that no row before it has claimed. Says whether there was one, and whether
    /// it stands in the output itself.
    pub(crate) fn claim(&mut self, key: Key) -> Option<Flag> {
        let free = |entry: &Entry| entry.key < key.0 || (entry.key == key.0 && !entry.is(Flag::Claimed));
        let after = self.entries.partition_point(free);
        let rules = self.rules;
        let entry = after.checked_sub(1).and_then(|at| self.entries.get_mut(at))?;
        if entry.key != key.0 || rules.worth(entry) == 0 {
            return None;
        }
        entry.set(Flag::Claimed);
        Some(if entry.is(Flag::Side) { Flag::Side } else { Flag::Success })
    }

    /// Whether any record of the output itself, usable or not, belongs to a row of this key.
    pub(crate) fn knows(&self, key: Key) -> bool {
        let from = self.entries.partition_point(|entry| entry.key < key.0);
        let same = self.entries.get(from..).unwrap_or_default().iter().take_while(|entry| entry.key == key.0);
        // A bounded look: where more records of one key stand in the side file alone, the next row decides.
        same.take(64).any(|entry| !entry.is(Flag::Side))
    }

    /// Second pass: the record this row uses, which is noted to stand at its place from now on.
    pub(crate) fn take(&mut self, key: Key, index: u64, metadata: u32) -> Option<Entry> {
        let before = |entry: &Entry| {
            entry.key < key.0 || (entry.key == key.0 && (!entry.is(Flag::Claimed) || entry.is(Flag::Taken)))
        };
        let at = self.entries.partition_point(before);
        let entry = self.entries.get_mut(at).filter(|entry| entry.key == key.0)?;
        entry.set(Flag::Taken);
        entry.place_at(index, metadata);
        Some(*entry)
    }

    /// Second pass: notes that a row which is asked again has an older failure, whose place its new record takes. Says
    /// whether there was one.
    pub(crate) fn replace(&mut self, key: Key) -> bool {
        let before = |entry: &Entry| entry.key < key.0 || (entry.key == key.0 && entry.is_replaced());
        let at = self.entries.partition_point(before);
        let failed =
            |entry: &&mut Entry| entry.key == key.0 && !entry.is(Flag::Success) && !entry.is(Flag::Claimed);
        match self.entries.get_mut(at).filter(failed) {
            Some(entry) => {
                entry.set(Flag::Taken);
                true
            }
            None => false,
        }
    }
}

/// A short hash of a record's metadata, to tell whether its row has other metadata now.
pub(crate) fn metadata_hash(text: &str) -> u32 {
    let hash = blake3::hash(text.as_bytes());
    hash.as_bytes().iter().take(4).fold(0, |hash, byte| hash << 8 | u32::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn entry(key: u128, offset: u64, flags: &[Flag]) -> Entry {
        flags
            .iter()
            .fold(Entry::new(Key(key), offset, offset, 0).unwrap(), |entry, flag| entry.with(*flag, true))
    }

    #[test]
    fn offsets_and_flags_do_not_mix() {
        let mut entry = Entry::new(Key(7), (1 << 56) - 1, u32::MAX.into(), 3).unwrap();
        for flag in [Flag::Success, Flag::Side, Flag::Moved] {
            assert!(!entry.is(flag));
            entry.set(flag);
            assert!(entry.is(flag));
        }
        assert_eq!(
            (entry.offset(), entry.index(), entry.is(Flag::Taken)),
            ((1 << 56) - 1, u32::MAX.into(), false)
        );
        assert!(Entry::new(Key(7), 1 << 56, 0, 0).is_none());
        assert!(Entry::new(Key(7), 0, 1 << 32, 0).is_none());
    }

    #[test]
    fn later_answers_beat_earlier_ones_and_answers_beat_failures() {
        let stored = vec![
            entry(1, 0, &[Flag::Success]),
            entry(1, 10, &[]),
            entry(1, 20, &[Flag::Success]),
            entry(1, 30, &[Flag::Retryable]),
            entry(1, 40, &[Flag::Success, Flag::Side]),
        ];
        let mut resume = Resume::new(stored, Rules::default());
        assert_eq!(resume.claim(Key(1)), Some(Flag::Success));
        assert_eq!(resume.take(Key(1), 20, 0).unwrap().offset(), 20);
        for _ in 0..3 {
            assert!(resume.claim(Key(1)).is_some());
        }
        // The failure that may pass is asked again.
        assert_eq!(resume.claim(Key(1)), None);
        let order: Vec<u64> = (0..3).map(|at| resume.take(Key(1), at, 0).unwrap().offset()).collect();
        assert_eq!(order, [10, 40, 0]);
        assert!(resume.take(Key(1), 9, 0).is_none());
        assert!(resume.replace(Key(1)));
        assert!(!resume.replace(Key(1)));
    }

    #[test]
    fn the_rules_say_what_counts_as_done() {
        let failed = entry(1, 0, &[]);
        let other = entry(2, 1, &[Flag::Success, Flag::OtherJob]);
        let other_failed = entry(3, 2, &[Flag::OtherJob]);
        let bad = entry(4, 3, &[Flag::BadRow, Flag::OtherJob]);
        let claims = |rules| {
            let mut resume = Resume::new(vec![failed, other, other_failed, bad], rules);
            [1, 2, 3, 4, 5].map(|key| resume.claim(Key(key)).is_some())
        };
        assert_eq!(claims(Rules::default()), [true, false, false, true, false]);
        assert_eq!(
            claims(Rules { retry_failed: true, ..Rules::default() }),
            [false, false, false, true, false]
        );
        assert_eq!(
            claims(Rules { keep_other_jobs: true, ..Rules::default() }),
            [true, true, false, true, false]
        );
    }

    /// The same by lists and counting: what a row is worth at most, given all records and rows.
    fn naive(stored: &[(u8, u8)], rows: &[u8], rules: Rules) -> BTreeMap<u8, Vec<u8>> {
        let mut used = BTreeMap::new();
        for key in 0..4 {
            let mut worths: Vec<u8> = stored
                .iter()
                .enumerate()
                .filter(|(_, (k, _))| *k == key)
                .map(|(at, (_, flags))| rules.worth(&stored_entry(at, key, *flags)))
                .filter(|worth| *worth > 0)
                .collect();
            worths.sort_unstable_by(|a, b| b.cmp(a));
            worths.truncate(rows.iter().filter(|row| **row == key).count());
            worths.reverse();
            used.insert(key, worths);
        }
        used
    }

    fn stored_entry(at: usize, key: u8, flags: u8) -> Entry {
        let kinds = [Flag::Success, Flag::Retryable, Flag::BadRow, Flag::Side, Flag::OtherJob];
        let mut entry = Entry::new(Key(key.into()), at as u64, at as u64, 0).unwrap();
        for (bit, kind) in kinds.into_iter().enumerate() {
            entry = entry.with(kind, flags >> bit & 1 == 1);
        }
        entry
    }

    proptest! {
        #[test]
        fn matching_agrees_with_counting(
            stored in prop::collection::vec((0..4_u8, 0..32_u8), 0..40),
            rows in prop::collection::vec(0..4_u8, 0..40),
            keep_other_jobs: bool,
            retry_failed: bool,
        ) {
            let rules = Rules { keep_other_jobs, retry_failed };
            let entries = stored.iter().enumerate().map(|(at, (key, flags))| stored_entry(at, *key, *flags)).collect();
            let mut resume = Resume::new(entries, rules);
            for row in &rows {
                resume.claim(Key((*row).into()));
            }
            let mut used: BTreeMap<u8, Vec<u8>> = (0..4).map(|key| (key, Vec::new())).collect();
            let (mut seen, mut replaced) = (std::collections::BTreeSet::new(), 0);
            for (at, row) in rows.iter().enumerate() {
                match resume.take(Key((*row).into()), at as u64, 0) {
                    Some(entry) => {
                        prop_assert!(seen.insert(entry.offset()), "a record used twice");
                        used.get_mut(row).unwrap().push(rules.worth(&entry));
                    }
                    None => { replaced += usize::from(resume.replace(Key((*row).into()))); }
                }
            }
            let again = (0..4_u8).map(|key| {
                let rows = rows.iter().filter(|row| **row == key).count() - used[&key].len();
                let failed = stored.iter().enumerate().filter(|(at, (k, flags))| {
                    let entry = stored_entry(*at, *k, *flags);
                    *k == key && !entry.is(Flag::Success) && rules.worth(&entry) == 0
                });
                rows.min(failed.count())
            });
            prop_assert_eq!(replaced, again.sum::<usize>());
            prop_assert_eq!(used, naive(&stored, &rows, rules));
            let entries = resume.into_entries();
            let replaced = entries.iter().filter(|entry| entry.is_replaced());
            prop_assert!(replaced.clone().all(|entry| !entry.is(Flag::Success)));
            prop_assert_eq!(entries.iter().filter(|entry| entry.is_used()).count(), seen.len());
        }
    }
}
