//! Clients by their configured names: made once, registered, switched off, initialised past failures.

use std::sync::Arc;

use async_trait::async_trait;
use llm_client::{Call, ChatStream, HttpClient, ModelClient, ModelClientExt as _};
use llm_mock::{MockServer, Reply};
use llm_provider::{Clients, ModelConfig, Provider, SpecProvider, catalogue};
use llm_types::{Capabilities, ChatRequest, ChatResponse, Error, ErrorKind, Secret};

/// A client of somebody else's, which sends nothing.
#[derive(Debug, Default)]
struct Own(Capabilities);

#[async_trait]
impl ModelClient for Own {
    fn id(&self) -> &str {
        "own/parrot"
    }

    fn capabilities(&self) -> &Capabilities {
        &self.0
    }

    async fn chat(&self, _: &ChatRequest, _: &Call) -> Result<ChatResponse, Error> {
        Err(Error::new(ErrorKind::Unavailable, "a parrot does not answer"))
    }

    async fn chat_stream(&self, _: &ChatRequest, _: &Call) -> Result<ChatStream, Error> {
        Err(Error::new(ErrorKind::Unavailable, "a parrot does not answer"))
    }
}

fn aliased(name: &str, wire: &str, url: &str) -> ModelConfig {
    ModelConfig { model: Some(wire.into()), base_url: Some(url.into()), ..ModelConfig::new(name) }
}

fn local(models: Vec<ModelConfig>) -> SpecProvider {
    SpecProvider::create_from_config("acme", models).unwrap()
}

#[tokio::test]
async fn models_go_by_their_configured_names_and_on_the_wire_by_their_own() {
    let server = MockServer::start().await;
    let url = server.base_url();
    let provider = local(vec![aliased("fast", "big-1", &url), aliased("cheap", "big-1", &url)]);
    let (fast, cheap) = (provider.client("fast").unwrap(), provider.client("cheap").unwrap());
    assert_eq!((fast.id(), cheap.id()), ("acme/fast", "acme/cheap"));
    assert!(!Arc::ptr_eq(&fast, &cheap), "two names are two clients");
    assert_eq!(fast.ask("hi").await.unwrap(), "hi");
    assert_eq!(cheap.ask("ho").await.unwrap(), "ho");
    let asked: Vec<_> = server.requests().iter().map(|request| request.json()["model"].clone()).collect();
    assert_eq!(asked, ["big-1", "big-1"]);
    // What one is switched to, the other does not hear.
    assert!(provider.set_available("fast", false));
    assert_eq!(fast.ask("hi").await.unwrap_err().kind(), ErrorKind::Unavailable);
    assert_eq!(cheap.ask("ho").await.unwrap(), "ho");
    assert_eq!(server.requests().len(), 3, "one that is off sends nothing");
    assert_eq!(provider.available_models(), ["cheap"]);
    assert!(provider.set_available("fast", true) && provider.is_available("fast"));
    assert_eq!(fast.ask("hi").await.unwrap(), "hi");
}

#[tokio::test]
async fn a_client_is_made_once_for_a_name_and_shared() {
    let provider = local(vec![aliased("m", "big-1", "http://127.0.0.1:9/v1")]);
    let first = provider.client("m").unwrap();
    assert!(Arc::ptr_eq(&first, &provider.clone().client("m").unwrap()), "a clone is the same provider");
    assert!(Arc::ptr_eq(&first, &provider.create_client(provider.model("m").unwrap()).unwrap()));
    let elsewhere = aliased("m", "big-1", "http://127.0.0.1:10/v1");
    assert!(!Arc::ptr_eq(&first, &provider.create_client(&elsewhere).unwrap()), "another model of that name");
    let changed = provider.clone().with_settings(llm_client::Settings::default());
    assert!(!Arc::ptr_eq(&first, &changed.client("m").unwrap()), "another provider");
    // Names that nobody configured are shared while they are in use, and not piled up.
    let row = SpecProvider::new(catalogue::find("vllm").unwrap());
    let guest = row.client("guest").unwrap();
    assert!(Arc::ptr_eq(&guest, &row.client("guest").unwrap()));
    assert_eq!(row.clients().unwrap().models(), ["guest"]);
    drop(guest);
    assert!(row.clients().unwrap().models().is_empty());
    // One that was closed is not handed out again.
    first.close().await.unwrap();
    assert!(!Arc::ptr_eq(&first, &provider.client("m").unwrap()));
}

#[tokio::test]
async fn a_client_of_ones_own_stands_under_a_models_name() {
    let provider = local(vec![aliased("m", "big-1", "http://127.0.0.1:9/v1")]);
    let own: Arc<dyn ModelClient> = Arc::new(Own::default());
    provider.register_client("m", own.clone()).unwrap();
    provider.register_client("parrot", own.clone()).unwrap();
    for name in ["m", "parrot"] {
        assert!(Arc::ptr_eq(&own, &provider.client(name).unwrap()), "{name}");
    }
    assert!(Arc::ptr_eq(&own, &provider.create_client(&ModelConfig::new("parrot")).unwrap()));
    assert_eq!(provider.available_models(), ["m", "parrot"]);
    assert!(!provider.set_available("parrot", false), "its owner has no switch");
    assert!(provider.clients().unwrap().close().await.is_empty());
    assert!(!provider.is_available("parrot") && provider.is_available("m"));
}

#[test]
fn all_models_are_initialised_past_those_that_fail() {
    let broken = Some(vec![Secret::new("two\nlines")]);
    let models = vec![
        aliased("first", "big-1", "http://127.0.0.1:9/v1"),
        ModelConfig::new("nowhere"),
        ModelConfig { keys: broken, ..aliased("locked", "big-2", "http://127.0.0.1:9/v1") },
        aliased("last", "big-3", "http://127.0.0.1:9/v1"),
    ];
    let provider = local(models);
    let made = provider.initialize_all_models();
    let told: Vec<(&str, Result<&str, String>)> = made
        .iter()
        .map(|made| {
            let client = made.client.as_ref();
            (made.model.as_str(), client.map(|client| client.id()).map_err(ToString::to_string))
        })
        .collect();
    assert_eq!(told[0], ("first", Ok("acme/first")));
    assert_eq!(told[1], ("nowhere", Err("acme needs a base URL".to_owned())));
    assert!(matches!(&told[2], ("locked", Err(why)) if why.contains("line break")), "{told:?}");
    assert_eq!(told[3], ("last", Ok("acme/last")));
    let first = made[0].client.as_ref().unwrap();
    assert!(Arc::ptr_eq(first, &provider.client("first").unwrap()));
}

#[test]
fn a_configuration_that_contradicts_itself_is_refused() {
    let url = "http://127.0.0.1:9/v1";
    let capped = |name: &str, most| {
        let settings =
            llm_client::Settings { max_concurrent_calls: Some(most), ..llm_client::Settings::default() };
        ModelConfig { settings: Some(settings), ..aliased(name, "big-1", url) }
    };
    for (models, message) in [
        (vec![ModelConfig::new("m"), ModelConfig::new("m")], "acme has two models of the name `m`"),
        (
            vec![capped("a", 2), capped("b", 8)],
            "acme: `a` and `b` are the same model at the same address, and their limits differ",
        ),
    ] {
        assert_eq!(SpecProvider::create_from_config("acme", models).unwrap_err().to_string(), message);
    }
    SpecProvider::create_from_config("acme", vec![capped("a", 2), capped("b", 2)]).unwrap();
}

/// A provider with nothing but the two methods.
#[derive(Debug)]
struct Two(Vec<ModelConfig>, Option<Clients>);

impl Provider for Two {
    fn name(&self) -> &str {
        "two"
    }

    fn create_client(&self, model: &ModelConfig) -> Result<Arc<dyn ModelClient>, Error> {
        let make = || {
            let client =
                HttpClient::builder("http://127.0.0.1:9/v1", model.wire()).provider("two").build()?;
            Ok(Arc::new(client) as Arc<dyn ModelClient>)
        };
        match &self.1 {
            Some(clients) => clients.shared(&model.name, make),
            None => make(),
        }
    }

    fn models(&self) -> &[ModelConfig] {
        &self.0
    }

    fn clients(&self) -> Option<&Clients> {
        self.1.as_ref()
    }
}

#[test]
fn a_provider_of_ones_own_has_the_other_methods_for_nothing() {
    let plain = Two(vec![ModelConfig::new("m")], None);
    assert_eq!(plain.initialize_all_models().len(), 1);
    assert_eq!(
        (plain.available_models(), plain.is_available("m"), plain.is_available("x")),
        (vec!["m".to_owned()], true, false)
    );
    assert!(!plain.set_available("m", false));
    let error = plain.register_client("x", Arc::new(Own::default())).unwrap_err();
    assert_eq!(error.to_string(), "two keeps no clients, so none can be registered with it");
    let keeping = Two(vec![ModelConfig::new("m")], Some(Clients::new()));
    assert!(Arc::ptr_eq(&keeping.client("m").unwrap(), &keeping.client("m").unwrap()));
    assert!(keeping.set_available("m", false));
    assert!(!keeping.client("m").unwrap().is_available(), "one that is off is given all the same");
    assert!(keeping.available_models().is_empty());
    keeping.register_client("x", Arc::new(Own::default())).unwrap();
    assert_eq!(keeping.available_models(), ["x"]);
}

#[tokio::test]
async fn a_key_and_an_address_make_a_provider() {
    let server = MockServer::start().await;
    let row = catalogue::find("deepseek").unwrap();
    let provider = SpecProvider::create_simple(row, "sk-1", None, Some(&server.base_url())).unwrap();
    assert_eq!(provider.available_models(), ["deepseek-chat"]);
    server.push(Reply::text("Hello"));
    assert_eq!(provider.create_default_client().unwrap().ask("hi").await.unwrap(), "Hello");
    let [request] = server.requests().try_into().expect("one request");
    assert_eq!((request.key(), &request.json()["model"]), (Some("sk-1"), &"deepseek-chat".into()));
    let named = SpecProvider::create_simple(row, "sk-1", Some("deepseek-v4-pro"), None).unwrap();
    assert_eq!(named.client("deepseek-v4-pro").unwrap().id(), "deepseek/deepseek-v4-pro");
    assert_eq!(named.address().as_deref(), Some("https://api.deepseek.com/v1"));
}
