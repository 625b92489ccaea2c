//! The key pool: several keys for the same work, the least loaded first.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use llm_types::{Error, ErrorKind, Secret};
use serde::Serialize;
use tokio::sync::Notify;

/// Keys that share the work of one account or provider, across all endpoints that use them.
///
/// The least loaded key comes first, and of equals the one that has rested longest (at the start: in declared order), so
/// that calls one after another spread over the keys too. Picking and counting are one step; a lease that is dropped
/// counts down, whatever became of its call. Every operation takes O(log n).
pub struct KeyPool {
    id: String,
    keys: Mutex<Keys>,
    changed: Arc<Notify>,
}

/// A key's name within this process. It stays when the pool is updated, and is never used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct KeyId(u64);

/// Why a key is out of use until somebody acts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parked {
    /// How it failed.
    pub kind: ErrorKind,
    /// The server's words, without the key.
    pub reason: String,
}

/// A key as it is shown: never its text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct KeyState {
    /// Its name in this process.
    pub id: KeyId,
    /// Its last four characters, where it is long enough.
    pub hint: String,
    /// Calls that hold it now, at any endpoint.
    pub in_flight: u32,
    /// Why it is out of use, if it is.
    pub parked: Option<Parked>,
}

#[derive(Default)]
struct Keys {
    slots: BTreeMap<KeyId, Slot>,
    /// The keys that can be handed out: by load, then by when their turn was.
    order: BTreeSet<(u32, u64, KeyId)>,
    /// The keys in use or parked, but not those taken out.
    names: HashMap<Arc<Secret>, KeyId>,
    turn: u64,
}

struct Slot {
    key: Arc<Secret>,
    in_flight: u32,
    turn: u64,
    parked: Option<Arc<Parked>>,
    /// Taken out by an update while calls still hold it.
    removed: bool,
}

/// Why a key was not handed out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum NoKey {
    /// It, or the first of them, is parked.
    Parked(Arc<Parked>),
    /// An update took it out.
    Removed,
    /// The caller wanted none of those offered.
    Declined,
}

impl Slot {
    fn usable(&self) -> bool {
        self.parked.is_none() && !self.removed
    }
}

impl Keys {
    /// Changes a slot and keeps the order true.
    fn with_slot<T>(&mut self, id: KeyId, change: impl FnOnce(&mut Slot) -> T) -> Option<T> {
        let slot = self.slots.get_mut(&id)?;
        self.order.remove(&(slot.in_flight, slot.turn, id));
        let result = change(slot);
        if slot.usable() {
            self.order.insert((slot.in_flight, slot.turn, id));
        } else if slot.removed && slot.in_flight == 0 {
            self.slots.remove(&id);
        }
        Some(result)
    }

    /// The first key, least loaded first, that `accept` takes.
    fn first(&self, mut accept: impl FnMut(KeyId) -> bool) -> Result<KeyId, NoKey> {
        if self.order.is_empty() {
            let parked = self.slots.values().find_map(|slot| slot.parked.clone());
            return Err(parked.map_or(NoKey::Removed, NoKey::Parked));
        }
        self.order.iter().map(|(_, _, id)| *id).find(|id| accept(*id)).ok_or(NoKey::Declined)
    }

    fn next_turn(&mut self) -> u64 {
        self.turn += 1;
        self.turn
    }

    fn take(&mut self, id: KeyId) -> Option<Arc<Secret>> {
        let turn = self.next_turn();
        self.with_slot(id, |slot| {
            slot.in_flight = slot.in_flight.saturating_add(1);
            slot.turn = turn;
            Arc::clone(&slot.key)
        })
    }

    fn add(&mut self, key: Secret) {
        // Names are never used again, so that a late lease cannot touch another key's count.
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let id = KeyId(NEXT.fetch_add(1, Ordering::Relaxed));
        let turn = self.next_turn();
        let key = Arc::new(key);
        self.names.insert(Arc::clone(&key), id);
        self.slots.insert(id, Slot { key, in_flight: 0, turn, parked: None, removed: false });
        self.order.insert((0, turn, id));
    }
}

impl KeyPool {
    /// A pool of these keys, in this order; one that comes twice counts once.
    ///
    /// # Errors
    /// [`Config`](ErrorKind::Config) when there is no key.
    pub fn new(id: impl Into<String>, keys: Vec<Secret>) -> Result<Arc<Self>, Error> {
        let pool = Self { id: id.into(), keys: Mutex::default(), changed: Arc::new(Notify::new()) };
        pool.update(keys)?;
        Ok(Arc::new(pool))
    }

    /// Its name.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    fn keys(&self) -> MutexGuard<'_, Keys> {
        // Every change is finished before the lock is released, so what a panic left behind is still true.
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Replaces the keys. One that stays keeps its load and its parking; one that goes is never handed out again, while
    /// calls that hold it end as they would.
    ///
    /// # Errors
    /// [`Config`](ErrorKind::Config) when there is no key; then nothing changes.
    pub fn update(&self, wanted: Vec<Secret>) -> Result<(), Error> {
        if wanted.is_empty() {
            let message = format!("key pool `{}` has no key: it needs at least one", self.id);
            return Err(Error::new(ErrorKind::Config, message));
        }
        self.replace(wanted);
        Ok(())
    }

    /// Takes every key out: none is handed out again, while calls that hold one end as they would.
    pub fn revoke(&self) {
        self.replace(Vec::new());
    }

    fn replace(&self, wanted: Vec<Secret>) {
        let mut keys = self.keys();
        let wanted_set: HashSet<&Secret> = wanted.iter().collect();
        let going: Vec<_> =
            keys.names.keys().filter(|key| !wanted_set.contains(&***key)).map(Arc::clone).collect();
        for key in going {
            if let Some(id) = keys.names.remove(&key) {
                keys.with_slot(id, |slot| slot.removed = true);
            }
        }
        for key in wanted {
            if !keys.names.contains_key(&key) {
                keys.add(key);
            }
        }
        drop(keys);
        self.changed.notify_waiters();
    }

    /// Whether these are the pool's keys, in whatever order.
    #[must_use]
    pub fn has_keys(&self, keys: &[Secret]) -> bool {
        let wanted: HashSet<&Secret> = keys.iter().collect();
        let own = self.keys();
        wanted.len() == own.names.len() && wanted.iter().all(|key| own.names.contains_key(*key))
    }

    /// The name of a key, if the pool has it.
    #[must_use]
    pub fn find(&self, key: &Secret) -> Option<KeyId> {
        self.keys().names.get(key).copied()
    }

    /// Hands out the least loaded key and counts it, in one step. `None` when every key is parked.
    #[must_use]
    pub fn checkout(self: &Arc<Self>) -> Option<KeyLease> {
        self.pick(|_| true).ok()
    }

    /// Hands out the first key, least loaded first, that `accept` takes.
    pub(super) fn pick(self: &Arc<Self>, accept: impl FnMut(KeyId) -> bool) -> Result<KeyLease, NoKey> {
        let mut keys = self.keys();
        let id = keys.first(accept)?;
        let key = keys.take(id).ok_or(NoKey::Removed)?;
        Ok(KeyLease { pool: Arc::clone(self), id, key })
    }

    /// Whether `accept` takes any key; nothing is handed out.
    pub(super) fn any(&self, accept: impl FnMut(KeyId) -> bool) -> Result<(), NoKey> {
        self.keys().first(accept).map(|_| ())
    }

    /// Hands out this key, if it can be used and `accept` takes it.
    pub(super) fn pick_one(
        self: &Arc<Self>,
        id: KeyId,
        accept: impl FnOnce() -> bool,
    ) -> Result<KeyLease, NoKey> {
        let mut keys = self.keys();
        match keys.slots.get(&id) {
            None => return Err(NoKey::Removed),
            Some(slot) if slot.removed => return Err(NoKey::Removed),
            Some(Slot { parked: Some(parked), .. }) => return Err(NoKey::Parked(Arc::clone(parked))),
            Some(_) => {}
        }
        if !accept() {
            return Err(NoKey::Declined);
        }
        let key = keys.take(id).ok_or(NoKey::Removed)?;
        Ok(KeyLease { pool: Arc::clone(self), id, key })
    }

    /// Takes a key out of use until [`unpark`](Self::unpark) or [`reset`](Self::reset). The key's text in `reason` is
    /// blotted out. `false` when the pool has no such key.
    pub fn park(&self, id: KeyId, kind: ErrorKind, reason: &str) -> bool {
        let parked = self.keys().with_slot(id, |slot| {
            slot.parked = Some(Arc::new(Parked { kind, reason: slot.key.scrub(reason) }));
        });
        parked.is_some()
    }

    /// Puts a parked key back to work. `false` when the pool has no such key.
    pub fn unpark(&self, id: KeyId) -> bool {
        let unparked = self.keys().with_slot(id, |slot| slot.parked = None).is_some();
        self.changed.notify_waiters();
        unparked
    }

    /// Puts every parked key back to work. What is handed out stays counted.
    pub fn reset(&self) {
        let mut keys = self.keys();
        for id in keys.slots.keys().copied().collect::<Vec<_>>() {
            keys.with_slot(id, |slot| slot.parked = None);
        }
        drop(keys);
        self.changed.notify_waiters();
    }

    /// Ends when keys are added, put back to work or replaced. It hears of everything since it was made.
    pub fn changed(&self) -> impl Future<Output = ()> + Send + use<> {
        Arc::clone(&self.changed).notified_owned()
    }

    /// Every key as it stands, the oldest first.
    #[must_use]
    pub fn snapshot(&self) -> Vec<KeyState> {
        let keys = self.keys();
        let present = keys.slots.iter().filter(|(_, slot)| !slot.removed);
        let state = |(id, slot): (&KeyId, &Slot)| KeyState {
            id: *id,
            hint: slot.key.hint(),
            in_flight: slot.in_flight,
            parked: slot.parked.as_deref().cloned(),
        };
        present.map(state).collect()
    }

    /// How many keys there are, parked ones included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.keys().names.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The names of all keys, parked ones included.
    pub(super) fn ids(&self) -> Vec<KeyId> {
        let keys = self.keys();
        keys.slots.iter().filter(|(_, slot)| !slot.removed).map(|(id, _)| *id).collect()
    }

    fn release(&self, id: KeyId) {
        self.keys().with_slot(id, |slot| slot.in_flight = slot.in_flight.saturating_sub(1));
    }
}

impl fmt::Debug for KeyPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyPool").field("id", &self.id).field("keys", &self.snapshot()).finish()
    }
}

impl Serialize for Parked {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeStruct;
        let mut parked = serializer.serialize_struct("Parked", 2)?;
        parked.serialize_field("kind", self.kind.as_str())?;
        parked.serialize_field("reason", &self.reason)?;
        parked.end()
    }
}

/// A key in use. Dropping it counts the key down; nothing else does, and nothing does it twice.
pub struct KeyLease {
    pool: Arc<KeyPool>,
    id: KeyId,
    key: Arc<Secret>,
}

impl KeyLease {
    /// The key, to authorise a request with.
    #[must_use]
    pub fn key(&self) -> &Secret {
        &self.key
    }

    /// Its name.
    #[must_use]
    pub fn id(&self) -> KeyId {
        self.id
    }

    /// The pool it came from.
    #[must_use]
    pub fn pool(&self) -> &Arc<KeyPool> {
        &self.pool
    }
}

impl Drop for KeyLease {
    fn drop(&mut self) {
        self.pool.release(self.id);
    }
}

impl fmt::Debug for KeyLease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyLease").field("pool", &self.pool.id).field("id", &self.id).finish()
    }
}

#[cfg(test)]
mod tests;
