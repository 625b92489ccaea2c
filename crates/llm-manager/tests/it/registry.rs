//! Names to clients.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use llm_client::ModelClient;
use llm_manager::{Found, Manager, Resolved};
use llm_types::{Error, ErrorKind};

use crate::support::{FakeClient, FakeProvider};

fn manager(providers: Vec<FakeProvider>) -> (Manager, Vec<Arc<FakeProvider>>) {
    let manager = Manager::new();
    let providers: Vec<Arc<FakeProvider>> = providers.into_iter().map(Arc::new).collect();
    for provider in &providers {
        manager.register_provider(provider.clone()).unwrap();
    }
    (manager, providers)
}

fn town() -> Manager {
    let (manager, _) = manager(vec![
        FakeProvider::new("openai", &[]).claiming("gpt-x").claiming("shared"),
        FakeProvider::new("local", &["qwen3-8b", "meta-llama/llama-3", "twin"]),
        FakeProvider::new("other", &["twin", "llama3:8b"]).claiming("shared"),
        FakeProvider::new("ollama", &[]),
        FakeProvider::new("openrouter", &[]),
    ]);
    manager.set_alias("fast", "local/qwen3-8b").unwrap();
    manager.set_alias("faster", "fast").unwrap();
    manager.set_alias("stale", "local2/gone").unwrap();
    manager.set_alias("tiny", "qwen3-8b").unwrap();
    manager
}

fn message(result: Result<impl std::fmt::Debug, Error>) -> (ErrorKind, String) {
    let error = result.unwrap_err();
    (error.kind(), error.to_string())
}

#[test]
fn a_name_is_split_only_behind_a_known_provider() {
    let manager = town();
    for (name, id, by) in [
        ("local/qwen3-8b", "local/qwen3-8b", Found::Named),
        ("local:qwen3-8b", "local/qwen3-8b", Found::Named),
        ("local/unheard-of", "local/unheard-of", Found::Named),
        ("openrouter/meta-llama/llama-3", "openrouter/meta-llama/llama-3", Found::Named),
        ("openrouter:openai/gpt-x", "openrouter/openai/gpt-x", Found::Named),
        ("local/openai/gpt-oss", "local/openai/gpt-oss", Found::Named),
        ("ollama/llama3:8b", "ollama/llama3:8b", Found::Named),
        ("ollama:llama3:8b", "ollama/llama3:8b", Found::Named),
        ("openai/ft:gpt-x:acme", "openai/ft:gpt-x:acme", Found::Named),
        ("meta-llama/llama-3", "local/meta-llama/llama-3", Found::Configured),
        ("llama3:8b", "other/llama3:8b", Found::Configured),
        ("qwen3-8b", "local/qwen3-8b", Found::Configured),
        (" qwen3-8b ", "local/qwen3-8b", Found::Configured),
        ("fast", "local/qwen3-8b", Found::Configured),
        ("faster", "local/qwen3-8b", Found::Configured),
        ("tiny", "local/qwen3-8b", Found::Configured),
        ("gpt-x", "openai/gpt-x", Found::Family),
    ] {
        let resolved = manager.resolve(name).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert_eq!(resolved.id(), id, "{name}");
        let Resolved::Model { by: found, .. } = resolved else { panic!("{name}") };
        assert_eq!(found, by, "{name}");
        assert_eq!(manager.client(name).unwrap().id(), id, "{name}");
        assert_eq!(
            manager.find_model_provider(name).unwrap().name(),
            id.split('/').next().unwrap(),
            "{name}"
        );
    }
}

#[test]
fn what_cannot_be_found_is_said_with_what_was_meant() {
    use ErrorKind::{Config, ModelNotFound};
    let manager = town();
    for (name, kind, text) in [
        ("", ModelNotFound, "the model's name is empty"),
        ("qwen3-8", ModelNotFound, "there is no model `qwen3-8`; did you mean `qwen3-8b`?"),
        ("fsat", ModelNotFound, "there is no model `fsat`; did you mean `fast`?"),
        ("opnai/gpt-x", ModelNotFound, "there is no model `opnai/gpt-x`; did you mean `openai/gpt-x`?"),
        (
            "ollamma:llama3:8b",
            ModelNotFound,
            "there is no model `ollamma:llama3:8b`; did you mean `ollama/llama3:8b`?",
        ),
        ("something-else", ModelNotFound, "there is no model `something-else`"),
        (
            "openai",
            ModelNotFound,
            "`openai` is a provider, not a model; name one of its models, as in `openai/MODEL`",
        ),
        (
            "openai/",
            ModelNotFound,
            "`openai` is a provider, not a model; name one of its models, as in `openai/MODEL`",
        ),
        ("twin", Config, "`twin` could be `local/twin` and `other/twin`: say which"),
        ("shared", Config, "`shared` could be `openai/shared` and `other/shared`: say which"),
        (
            "stale",
            ModelNotFound,
            "`stale` is an alias of `local2/gone`: there is no model `local2/gone`; did you mean `local/gone`?",
        ),
    ] {
        assert_eq!(message(manager.client(name)), (kind, text.to_owned()), "{name}");
    }
    let hint = manager.client("something-else").unwrap_err();
    assert_eq!(
        hint.hint(),
        Some(
            "name its provider, as in `PROVIDER/something-else`, with one of openai, local, other, ollama, openrouter; \
             or configure it"
        )
    );
    assert_eq!(
        message(Manager::new().client("x")),
        (ModelNotFound, "there is no model `x`, and no provider is registered".into())
    );
}

#[test]
fn a_client_is_made_once_and_shared() {
    let (manager, providers) = manager(vec![FakeProvider::new("local", &["a", "b"])]);
    manager.set_alias("x", "a").unwrap();
    assert!(providers[0].made().is_empty(), "made before anybody asked");
    let first = manager.client("local/a").unwrap();
    for name in ["local/a", "local:a", "a", "x"] {
        assert!(Arc::ptr_eq(&first, &manager.client(name).unwrap()), "{name}");
    }
    assert!(Arc::ptr_eq(&first, &manager.client_of("local", "a").unwrap()));
    assert!(!Arc::ptr_eq(&first, &manager.client("b").unwrap()));
    assert_eq!(providers[0].made(), ["a", "b"]);
}

#[test]
fn many_threads_get_the_same_client() {
    let (manager, providers) = manager(vec![FakeProvider::new("local", &["a"])]);
    let clients: Vec<Arc<dyn ModelClient>> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..16).map(|_| scope.spawn(|| manager.client("a").unwrap())).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert!(clients.iter().all(|client| Arc::ptr_eq(client, &clients[0])));
    assert_eq!(providers[0].made(), ["a"]);
}

#[test]
fn a_client_that_could_not_be_made_is_tried_again() {
    let (manager, _) = manager(vec![FakeProvider::new("local", &["broken"])]);
    for _ in 0..2 {
        assert_eq!(message(manager.client("broken")), (ErrorKind::Config, "it is broken".into()));
    }
}

#[test]
fn a_second_provider_of_a_name_takes_the_place_of_the_first() {
    let (manager, providers) = manager(vec![
        FakeProvider::new("local", &["a"]),
        FakeProvider::new("other", &["b"]),
        FakeProvider::new("local", &["c"]),
    ]);
    let names: Vec<String> = manager.providers().iter().map(|p| p.name().to_owned()).collect();
    assert_eq!(names, ["local", "other"]);
    assert_eq!(manager.client("c").unwrap().id(), "local/c");
    let before = manager.client("local/c").unwrap();
    manager.register_provider(Arc::new(FakeProvider::new("local", &["c"]))).unwrap();
    assert!(!Arc::ptr_eq(&before, &manager.client("local/c").unwrap()));
    assert!(providers[0].made().is_empty());
}

#[test]
fn clients_of_a_users_own_are_found_like_ours() {
    let (manager, providers) = manager(vec![FakeProvider::new("local", &["a"])]);
    let (mine, acme) = (FakeClient::new("local/a"), FakeClient::new("acme/b"));
    manager.register_client(mine.clone()).unwrap();
    manager.register_client(acme).unwrap();
    assert_eq!(manager.client("b").unwrap().id(), "acme/b");
    assert_eq!(manager.client("acme/b").unwrap().id(), "acme/b");
    let mine: Arc<dyn ModelClient> = mine;
    for name in ["a", "local/a", "local:a"] {
        assert!(Arc::ptr_eq(&manager.client(name).unwrap(), &mine), "{name}");
    }
    assert!(providers[0].made().is_empty());
    let ids: Vec<String> = manager.models().into_iter().map(|model| model.id).collect();
    assert_eq!(ids, ["local/a", "acme/b"]);
    assert_eq!(
        message(manager.register_client(FakeClient::new("nameless"))).1,
        "\"nameless\" cannot name a client: it has to be `provider/model`"
    );
}

#[test]
fn names_that_nobody_could_ask_for_are_refused() {
    let manager = Manager::new();
    for name in ["", "a/b", "a:b", "a b", "a\n"] {
        let refused = manager.register_provider(Arc::new(FakeProvider::new(name, &[])));
        assert_eq!(refused.unwrap_err().kind(), ErrorKind::Config, "{name:?}");
    }
}

#[test]
fn aliases_go_neither_round_nor_in_anothers_place() {
    let manager = town();
    manager.set_alias("a", "b").unwrap();
    manager.set_alias("b", "c").unwrap();
    for (alias, target, text) in [
        ("c", "a", "aliases go round in a circle: c → a → b → c"),
        ("d", "d", "aliases go round in a circle: d → d"),
        ("", "x", "an alias and what it stands for are not empty"),
        (
            "openai/gpt-x",
            "local/qwen3-8b",
            "`openai/gpt-x` cannot be an alias: it already names the model `gpt-x` of openai",
        ),
    ] {
        assert_eq!(message(manager.set_alias(alias, target)), (ErrorKind::Config, text.into()));
    }
    manager.set_alias("c", "fast").unwrap();
    assert_eq!(manager.client("a").unwrap().id(), "local/qwen3-8b");
    manager.set_alias("c", "gpt-x").unwrap();
    assert_eq!(manager.client("a").unwrap().id(), "openai/gpt-x");
    let long = Manager::new();
    for n in 0..16 {
        long.set_alias(format!("a{n}"), format!("a{}", n + 1)).unwrap_or_else(|e| panic!("{n}: {e}"));
    }
    let many = Manager::new();
    for n in (1..=16).rev() {
        many.set_alias(format!("a{n}"), format!("a{}", n + 1)).unwrap();
    }
    assert_eq!(
        message(many.set_alias("a0", "a1")).1,
        "more than 16 aliases stand for one another, from `a0` on"
    );
}

#[test]
fn the_seeds_questions_have_answers() {
    let manager = town();
    assert_eq!(manager.provider("local").unwrap().name(), "local");
    assert!(manager.provider("nowhere").is_none());
    assert_eq!(
        message(manager.require_provider("locla")),
        (ErrorKind::ProviderNotFound, "there is no provider `locla`; did you mean `local`?".into())
    );
    assert_eq!(
        message(manager.client_of("nowhere", "x")),
        (ErrorKind::ProviderNotFound, "there is no provider `nowhere`".into())
    );
    let models: Vec<String> = manager.models().into_iter().map(|model| model.id).collect();
    assert_eq!(
        models,
        ["local/qwen3-8b", "local/meta-llama/llama-3", "local/twin", "other/twin", "other/llama3:8b"]
    );
    assert_eq!(manager.default_model(), None);
    assert_eq!(message(manager.default_client()), (ErrorKind::Config, "no default model is set".into()));
    manager.set_default_model("fast");
    assert_eq!(manager.default_client().unwrap().id(), "local/qwen3-8b");
    assert_eq!(manager.aliases()[0], ("fast".into(), "local/qwen3-8b".into()));
}

#[tokio::test]
async fn closing_closes_every_client_once_and_refuses_new_ones() {
    let (manager, providers) = manager(vec![FakeProvider::new("local", &["a", "b"])]);
    let (mine, nameless) = (FakeClient::new("acme/x"), FakeClient::new("acme/y"));
    manager.register_client(mine.clone()).unwrap();
    manager.close_with(nameless.clone()).unwrap();
    manager.client("a").unwrap();
    manager.client("b").unwrap();
    manager.close_all().await;
    manager.close_all().await;
    let made = providers[0].made.lock().unwrap().iter().map(|(_, client)| client.clone()).collect::<Vec<_>>();
    for client in made.into_iter().chain([mine, nameless]) {
        assert_eq!(client.closed.load(Ordering::Relaxed), 1, "{}", client.id());
    }
    assert!(manager.is_closed());
    for name in ["a", "local/new", "acme/x"] {
        assert_eq!(
            message(manager.client(name)),
            (ErrorKind::Config, "the manager is closed".into()),
            "{name}"
        );
    }
    assert_eq!(message(manager.close_with(FakeClient::new("acme/z"))).1, "the manager is closed");
}

#[tokio::test]
async fn a_client_that_fails_to_close_leaves_the_others_closed_and_is_told() {
    let (manager, _) = manager(vec![]);
    let clients = ["acme/stubborn", "acme/broken", "acme/fine"].map(FakeClient::new);
    for client in &clients {
        manager.register_client(client.clone()).unwrap();
    }
    let errors: Vec<_> =
        manager.close_all().await.iter().map(|e| (e.kind(), e.model().unwrap().to_owned())).collect();
    assert_eq!(errors, [(ErrorKind::Connection, "stubborn".into()), (ErrorKind::Internal, "broken".into())]);
    assert!(clients.iter().all(|client| client.closed.load(Ordering::Relaxed) == 1));
    assert!(manager.close_all().await.is_empty());
}

/// The only test of this binary that touches the process-wide manager.
#[test]
fn the_process_has_one_manager() {
    let (filled, _) = manager(vec![FakeProvider::new("local", &["a"])]);
    llm_manager::install(filled).unwrap();
    assert_eq!(llm_manager::manager().client("a").unwrap().id(), "local/a");
    assert!(std::ptr::eq(llm_manager::manager(), llm_manager::manager()));
    assert_eq!(
        message(llm_manager::install(Manager::new())).1,
        "the process-wide manager is in use already; install another before the first use, or register with it"
    );
}
