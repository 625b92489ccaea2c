//! The key pool: order, parking, updates, and many threads at once.

use std::collections::HashMap;
use std::sync::Barrier;

use super::*;

fn secrets(names: &[&str]) -> Vec<Secret> {
    names.iter().map(|name| Secret::new(*name)).collect()
}

fn pool(names: &[&str]) -> Arc<KeyPool> {
    KeyPool::new("pool", secrets(names)).unwrap()
}

fn text(lease: &KeyLease) -> String {
    lease.key().expose().to_owned()
}

/// The keys that so many checkouts in a row give, each held on.
fn take(pool: &Arc<KeyPool>, count: usize) -> (Vec<String>, Vec<KeyLease>) {
    let leases: Vec<_> = (0..count).map(|_| pool.checkout().unwrap()).collect();
    (leases.iter().map(text).collect(), leases)
}

#[test]
fn the_least_loaded_key_comes_first_and_equals_take_turns() {
    let pool = pool(&["a", "b", "c"]);
    let (order, mut leases) = take(&pool, 7);
    assert_eq!(order, ["a", "b", "c", "a", "b", "c", "a"]);
    // `b` has two calls, the least; then all have two but `b`, which was used last.
    drop(leases.remove(4));
    let (order, _more) = take(&pool, 3);
    assert_eq!(order, ["b", "c", "b"]);
}

#[test]
fn calls_one_after_another_spread_over_the_keys() {
    let pool = pool(&["a", "b", "c"]);
    let order: Vec<_> = (0..5).map(|_| text(&pool.checkout().unwrap())).collect();
    assert_eq!(order, ["a", "b", "c", "a", "b"]);
    assert!(pool.snapshot().iter().all(|key| key.in_flight == 0));
}

#[test]
fn a_parked_key_draws_nothing_until_somebody_acts() {
    let pool = pool(&["a-key-that-is-long-1234", "b"]);
    let id = pool.find(&Secret::new("a-key-that-is-long-1234")).unwrap();
    assert!(pool.park(id, ErrorKind::Authentication, "bad key a-key-that-is-long-1234"));
    let (order, leases) = take(&pool, 3);
    assert_eq!(order, ["b", "b", "b"]);
    let state = &pool.snapshot()[0];
    assert_eq!((state.hint.as_str(), state.in_flight), ("…1234", 0));
    let parked = state.parked.clone().unwrap();
    assert_eq!((parked.kind, parked.reason.as_str()), (ErrorKind::Authentication, "bad key [redacted]"));
    // With all of them parked the reason is told.
    pool.park(leases[0].id(), ErrorKind::QuotaExhausted, "no credit");
    assert!(pool.checkout().is_none());
    assert_eq!(pool.pick(|_| true).unwrap_err(), NoKey::Parked(Arc::new(parked)));
    assert!(pool.unpark(id));
    assert_eq!(text(&pool.checkout().unwrap()), "a-key-that-is-long-1234");
    pool.park(id, ErrorKind::Authentication, "again");
    pool.reset();
    assert_eq!(pool.snapshot().iter().filter(|key| key.parked.is_some()).count(), 0);
    // What was handed out stays counted through a reset.
    assert_eq!(pool.snapshot()[1].in_flight, 3);
    let gone = KeyId(u64::MAX);
    assert!(!pool.park(gone, ErrorKind::Authentication, "") && !pool.unpark(gone));
}

#[test]
fn a_key_can_be_asked_for_by_name() {
    let pool = pool(&["a", "b"]);
    let id = pool.find(&Secret::new("b")).unwrap();
    assert_eq!(text(&pool.pick_one(id, || true).unwrap()), "b");
    assert_eq!(pool.pick_one(id, || false).unwrap_err(), NoKey::Declined);
    assert_eq!(pool.pick(|_| false).unwrap_err(), NoKey::Declined);
    assert!(pool.snapshot().iter().all(|key| key.in_flight == 0), "declining counts nothing");
    pool.park(id, ErrorKind::Authentication, "no");
    assert!(matches!(pool.pick_one(id, || true), Err(NoKey::Parked(_))));
}

#[test]
fn an_update_keeps_what_stays_and_never_hands_out_what_went() {
    let pool = pool(&["a", "b", "b"]);
    assert_eq!(pool.snapshot().len(), 2, "a key that comes twice counts once");
    let a = pool.checkout().unwrap();
    let b = pool.find(&Secret::new("b")).unwrap();
    pool.park(b, ErrorKind::QuotaExhausted, "no credit");
    pool.update(secrets(&["b", "c"])).unwrap();
    assert_eq!(pool.find(&Secret::new("b")), Some(b));
    assert_eq!(pool.find(&Secret::new("a")), None);
    assert_eq!(pool.pick_one(a.id(), || true).unwrap_err(), NoKey::Removed);
    assert!(pool.has_keys(&secrets(&["c", "b", "c"])) && !pool.has_keys(&secrets(&["a", "b"])));
    let (order, _leases) = take(&pool, 3);
    assert_eq!(order, ["c", "c", "c"], "`a` is gone, `b` still parked");
    // The call that holds the old key ends as it would; the key comes back as a new one.
    assert_eq!(a.key().expose(), "a");
    let old = a.id();
    pool.update(secrets(&["a", "b", "c"])).unwrap();
    assert_ne!(pool.find(&Secret::new("a")), Some(old));
    drop(a);
    assert_eq!(pool.snapshot().len(), 3);
    let error = pool.update(Vec::new()).unwrap_err();
    assert_eq!(
        (error.kind(), error.message()),
        (ErrorKind::Config, "key pool `pool` has no key: it needs at least one")
    );
    assert_eq!(pool.snapshot().len(), 3);
}

#[test]
fn nothing_shows_a_keys_text() {
    let pool = pool(&["sk-canary-0123456789"]);
    let lease = pool.checkout().unwrap();
    pool.park(lease.id(), ErrorKind::Authentication, "sk-canary-0123456789 is bad");
    let shown = format!(
        "{pool:?} {lease:?} {:?} {}",
        pool.snapshot(),
        serde_json::to_string(&pool.snapshot()).unwrap()
    );
    assert!(!shown.contains("canary"), "{shown}");
    assert!(shown.contains("…6789"), "{shown}");
}

#[test]
fn counts_are_true_under_many_threads() {
    let names: Vec<String> = (0..7).map(|n| format!("key-{n}")).collect();
    let pool = KeyPool::new("pool", names.iter().map(Secret::new).collect()).unwrap();
    let threads = 8;
    let barrier = Barrier::new(threads);
    let most = Mutex::new(HashMap::<KeyId, u32>::new());
    std::thread::scope(|scope| {
        for thread in 0..threads {
            let (pool, barrier, most, names) = (&pool, &barrier, &most, &names);
            scope.spawn(move || {
                barrier.wait();
                for n in 0..400 {
                    let lease = pool.checkout();
                    if n % 97 == thread {
                        // Keys come and go meanwhile.
                        let skip = n % names.len();
                        let keys = names
                            .iter()
                            .enumerate()
                            .filter(|(i, _)| *i != skip)
                            .map(|(_, name)| Secret::new(name));
                        pool.update(keys.collect()).unwrap();
                    }
                    if n % 31 == 0 {
                        pool.reset();
                    } else if let (Some(lease), 0) = (&lease, n % 37) {
                        pool.park(lease.id(), ErrorKind::Authentication, "no");
                    }
                    for key in pool.snapshot() {
                        let mut most = most.lock().unwrap();
                        let seen = most.entry(key.id).or_default();
                        *seen = (*seen).max(key.in_flight);
                    }
                }
            });
        }
    });
    // Never more than there are threads: a count below zero would show as an enormous one.
    let threads = u32::try_from(threads).unwrap();
    assert!(most.into_inner().unwrap().values().all(|count| *count <= threads));
    pool.update(names.iter().map(Secret::new).collect()).unwrap();
    pool.reset();
    assert!(pool.snapshot().iter().all(|key| key.in_flight == 0));
    assert_eq!(pool.keys().order.len(), names.len());
    assert_eq!(pool.keys().slots.len(), names.len());
}

#[tokio::test(start_paused = true)]
async fn whoever_waits_hears_of_keys_put_back_to_work() {
    let pool = pool(&["a"]);
    let id = pool.find(&Secret::new("a")).unwrap();
    for act in 0..3 {
        let changed = pool.changed();
        match act {
            0 => drop(pool.unpark(id)),
            1 => pool.reset(),
            _ => pool.update(secrets(&["a"])).unwrap(),
        }
        tokio::time::timeout(std::time::Duration::from_secs(1), changed).await.expect("woken");
    }
}

#[test]
fn a_revoked_pool_hands_out_nothing() {
    let pool = KeyPool::new("p", vec![Secret::new("one")]).unwrap();
    let held = pool.checkout().unwrap();
    pool.revoke();
    assert!(pool.checkout().is_none() && pool.is_empty());
    drop(held);
    pool.update(vec![Secret::new("one")]).unwrap();
    assert!(pool.checkout().is_some());
}
