//! A manager over its life: what it shows, what it forgets, what a new configuration changes, what it asks by itself.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use llm_client::{Call, ModelClient, ModelClientExt as _};
use llm_manager::{Manager, Member, Pool, ProbeRules, Prober};
use llm_types::ErrorKind;

use crate::scripted::{Reply, Scripted};
use crate::support::{FakeClient, FakeProvider};

fn with_provider(models: &[&str]) -> Manager {
    let manager = Manager::new();
    manager.register_provider(Arc::new(FakeProvider::new("local", models))).unwrap();
    manager
}

#[test]
fn clearing_forgets_everything_and_breaks_nothing() {
    let manager = with_provider(&["a"]);
    manager.register_client(FakeClient::new("acme/x")).unwrap();
    manager.set_alias("fast", "local/a").unwrap();
    manager.set_default_model("fast");
    let client = manager.client("a").unwrap();
    manager.clear();
    for name in ["a", "local/a", "acme/x", "fast"] {
        assert_eq!(manager.client(name).unwrap_err().kind(), ErrorKind::ModelNotFound, "{name}");
    }
    assert!(
        manager.providers().is_empty() && manager.aliases().is_empty() && manager.default_model().is_none()
    );
    assert_eq!(client.id(), "local/a");
    manager.register_client(FakeClient::new("acme/x")).unwrap();
    assert_eq!(manager.client("x").unwrap().id(), "acme/x");
}

#[tokio::test(start_paused = true)]
async fn a_model_can_be_switched_off_by_its_name() {
    let manager = Manager::new();
    let scripted = Scripted::fine("a/1");
    let pool = Pool::builder("pool/p").member(Member::new(scripted.clone())).build().unwrap();
    manager.register_client(Arc::new(pool)).unwrap();
    manager.register_client(scripted).unwrap();
    manager.set_available("p", false).unwrap();
    assert!(!manager.client("p").unwrap().is_available());
    assert_eq!(manager.client("p").unwrap().ask("hi").await.unwrap_err().kind(), ErrorKind::Unavailable);
    manager.set_available("p", true).unwrap();
    assert_eq!(manager.client("p").unwrap().ask("hi").await.unwrap(), "a/1");
    let error = manager.set_available("a/1", false).unwrap_err();
    assert_eq!(error.to_string(), "a/1 cannot be switched off and on: it does not keep `set_available`");
    assert_eq!(manager.set_available("nobody", false).unwrap_err().kind(), ErrorKind::ModelNotFound);
}

#[tokio::test(start_paused = true)]
async fn the_snapshot_shows_everything_as_plain_data() {
    let manager = with_provider(&["a", "b"]);
    let pool = Pool::builder("pool/p").member(Member::new(Scripted::failing("x/1", ErrorKind::Server)));
    manager.register_client(Arc::new(pool.build().unwrap())).unwrap();
    manager.set_alias("fast", "local/a").unwrap();
    manager.client("a").unwrap();
    manager.client("p").unwrap().ask("hi").await.unwrap_err();
    let json = serde_json::to_value(manager.snapshot()).unwrap();
    assert_eq!(json["providers"][0]["name"], "local");
    assert_eq!(json["providers"][0]["models"][1]["id"], "local/b");
    assert_eq!(json["aliases"][0], serde_json::json!(["fast", "local/a"]));
    // Models that nobody asked for have no client yet.
    assert_eq!(json["clients"].as_array().unwrap().len(), 2);
    assert_eq!(json["clients"][1]["id"], "pool/p");
    assert_eq!(json["clients"][1]["healthy"], false);
    assert_eq!(json["clients"][1]["members"][0]["lanes"]["breaker"], "open");
    assert_eq!(manager.provider_config("local").unwrap().models.len(), 2);
    assert_eq!(manager.model_config("a").unwrap().unwrap().name, "a");
    assert_eq!(manager.provider_config("locale").unwrap_err().kind(), ErrorKind::ProviderNotFound);
}

#[test]
fn the_health_of_all_makes_clients_and_tells_why_one_cannot_be_made() {
    let manager = with_provider(&["a", "broken"]);
    manager.register_client(FakeClient::new("acme/x")).unwrap();
    let health = manager.health_check_all();
    let brief: Vec<_> = health.iter().map(|h| (h.id.as_str(), h.healthy)).collect();
    assert_eq!(brief, [("local/a", true), ("local/broken", false), ("acme/x", true)]);
    assert!(health[1].reason.as_deref().unwrap().contains("broken"), "{health:?}");
}

#[test]
fn a_new_configuration_takes_over_in_one_step_and_leaves_what_was_done_by_hand() {
    let manager = with_provider(&["a", "old"]);
    manager.register_client(FakeClient::new("pool/p")).unwrap();
    manager.set_alias("fast", "local/a").unwrap();
    manager.seal();
    manager.register_client(FakeClient::new("hand/made")).unwrap();
    manager.set_alias("mine", "hand/made").unwrap();
    let before = manager.client("a").unwrap();
    let (by_hand, gone) = (manager.client("made").unwrap(), manager.client("old").unwrap());

    let fresh = with_provider(&["a", "new"]);
    fresh.set_alias("quick", "local/new").unwrap();
    fresh.set_default_model("quick");
    assert!(manager.reload(&fresh).is_empty());

    assert_eq!(manager.client("quick").unwrap().id(), "local/new");
    assert_eq!(manager.default_model().as_deref(), Some("quick"));
    assert!(Arc::ptr_eq(&manager.client("mine").unwrap(), &by_hand));
    assert!(!Arc::ptr_eq(&manager.client("a").unwrap(), &before), "made anew, with the new settings");
    for name in ["fast", "pool/p"] {
        assert_eq!(manager.client(name).unwrap_err().kind(), ErrorKind::ModelNotFound, "{name}");
    }
    assert!(manager.resolve("old").is_err());
    assert_eq!((before.id(), gone.id()), ("local/a", "local/old"));
    // Again: what the last one brought goes, what is by hand stays.
    assert!(manager.reload(&with_provider(&["b"])).is_empty());
    assert!(
        manager.client("quick").is_err() && manager.client("mine").is_ok() && manager.client("b").is_ok()
    );
}

#[test]
fn a_model_that_cannot_be_made_after_a_reload_is_told() {
    let manager = with_provider(&["a"]);
    manager.seal();
    manager.client("a").unwrap();
    let fresh = Manager::new();
    fresh.register_provider(Arc::new(FakeProvider::new("local", &["a"]).refusing())).unwrap();
    let errors = manager.reload(&fresh);
    assert_eq!(errors.len(), 1);
    assert_eq!(manager.client("a").unwrap_err().to_string(), errors[0].to_string());
}

#[tokio::test(start_paused = true)]
async fn idle_endpoints_are_asked_once_in_an_interval_and_busy_ones_not() {
    let manager = Manager::new();
    let (idle, off) = (Scripted::fine("a/idle"), Scripted::new("a/off", Reply::Answer));
    let member = Scripted::fine("a/member");
    for client in [&idle, &off] {
        manager.register_client(client.clone()).unwrap();
    }
    let pool =
        Pool::builder("pool/p").member(Member::new(member.clone() as Arc<dyn ModelClient>)).build().unwrap();
    manager.register_client(Arc::new(pool.clone())).unwrap();
    let rules = ProbeRules { interval: Duration::from_secs(10), timeout: Duration::from_secs(1) };
    let prober = Prober::start(&manager, rules);
    tokio::time::sleep(Duration::from_secs(100)).await;
    let asked = idle.probed.load(Ordering::Relaxed);
    assert!((10..=13).contains(&asked), "{asked} in ten intervals");
    let through_pool = member.probed.load(Ordering::Relaxed);
    assert!((10..=13).contains(&through_pool), "{through_pool}");
    // Traffic tells as much as a question.
    for _ in 0..100 {
        pool.ask("hi").await.unwrap();
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    assert_eq!(member.probed.load(Ordering::Relaxed), through_pool);
    // None of them ever saw a prompt but the hundred.
    assert_eq!((idle.asked(), member.asked()), (0, 100));
    let mut call = Call::default();
    call.max_retries = Some(0);
    assert_eq!(manager.probe_all(&call).await.len(), 3);
    drop(prober);
    let then = idle.probed.load(Ordering::Relaxed);
    tokio::time::sleep(Duration::from_secs(100)).await;
    assert_eq!(idle.probed.load(Ordering::Relaxed), then, "it stops when it is dropped");
}

#[tokio::test(start_paused = true)]
async fn a_paid_probe_is_made_only_when_it_is_asked_for() {
    let manager = Manager::new();
    let client = Scripted::fine("a/1");
    manager.register_client(client.clone()).unwrap();
    assert!(manager.health_check_all().iter().all(|health| health.healthy));
    assert_eq!(client.asked(), 0);
    manager.paid_probe("a/1", &Call::default()).await.unwrap();
    assert_eq!(client.asked(), 1);
}
