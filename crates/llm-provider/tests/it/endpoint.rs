//! A client from an address: its numbers have effect on the wire.

use std::time::Duration;

use llm_client::{ModelClient as _, ModelClientExt as _, Settings};
use llm_mock::{MockConfig, MockServer, Reply};
use llm_provider::{ApiType, EndpointConfig, ModelConfig, Provider as _, SpecProvider};
use llm_types::{ChatRequest, ErrorKind, ReasoningEffort, ReasoningSetting, Secret};

fn at(server: &MockServer) -> EndpointConfig {
    // An address without its path, as the older clients had it.
    EndpointConfig { eager_init: false, ..EndpointConfig::new(format!("http://{}", server.address())) }
}

#[tokio::test]
async fn an_address_alone_makes_a_client() {
    let server = MockServer::start().await;
    let client = at(&server).create_client().unwrap();
    assert_eq!(client.id(), "openai-compatible/gpt-3.5-turbo");
    let answer = client.generate("hi", Some(5), Some(0.3), &["END"]).await.unwrap();
    assert_eq!(answer.text(), "hi");
    let [request] = server.requests().try_into().expect("one request");
    assert_eq!((request.path(), request.key()), ("/v1/chat/completions", None));
    assert_eq!(request.json()["max_tokens"], 5);
    let keyed = EndpointConfig { api_key: Some(Secret::new("sk-1")), model: Some("m".into()), ..at(&server) };
    keyed.create_client().unwrap().ask("hi").await.unwrap();
    let last = server.requests().pop().unwrap();
    assert_eq!((last.key(), &last.json()["model"]), (Some("sk-1"), &"m".into()));
}

#[tokio::test]
async fn the_type_decides_how_it_is_spoken_to() {
    let server = MockServer::start().await;
    let reasoning = ReasoningSetting { effort: Some(ReasoningEffort::XHigh), ..ReasoningSetting::default() };
    let request = ChatRequest { reasoning: Some(reasoning), ..ChatRequest::user("hi") };
    for (api_type, id, word) in [
        (ApiType::Auto, "openai-compatible/gpt-3.5-turbo", "xhigh"),
        (ApiType::OpenAi, "openai-compatible/gpt-3.5-turbo", "xhigh"),
        (ApiType::Ollama, "ollama/qwen2.5:7b-instruct", "max"),
    ] {
        let client = EndpointConfig { api_type, ..at(&server) }.create_client().unwrap();
        assert_eq!(client.id(), id);
        client.send(request.clone()).await.unwrap();
        assert_eq!(server.requests().pop().unwrap().json()["reasoning_effort"], word, "{api_type:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_more_connections_are_opened_than_the_pool_has() {
    let server = MockConfig::new().delay(Duration::from_millis(10)).start().await.unwrap();
    let config = EndpointConfig { pool_size: 2, max_concurrent: None, rate_limit: None, ..at(&server) };
    let client = config.create_client().unwrap();
    let answers = client.batch_generate(&["hi"; 16], 16, &ChatRequest::default()).await;
    assert!(answers.iter().all(Result::is_ok), "{answers:?}");
    let mut connections: Vec<u64> = server.requests().iter().map(llm_mock::Request::connection).collect();
    connections.sort_unstable();
    connections.dedup();
    assert!(connections.len() <= 2, "{connections:?}");
    assert_eq!(client.health_check().connection_pool_size, Some(2));
}

#[tokio::test]
async fn retries_and_time_outs_are_the_given_ones() {
    let server = MockServer::start().await;
    server.push(Reply::error(500).times(9));
    let config = EndpointConfig { max_retries: 0, ..at(&server) };
    assert_eq!(config.create_client().unwrap().ask("hi").await.unwrap_err().kind(), ErrorKind::Server);
    assert_eq!(server.requests().len(), 1);
    let slow = MockServer::start().await;
    slow.push(Reply::text("late").delay(Duration::from_secs(60)));
    let config = EndpointConfig { max_retries: 0, timeout: Duration::from_millis(50), ..at(&slow) };
    let error = config.create_client().unwrap().ask("hi").await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Timeout(_)), "{error:?}");
}

#[tokio::test]
async fn a_connection_stands_open_before_the_first_call_where_that_is_wanted() {
    let server = MockServer::start().await;
    let client = EndpointConfig { eager_init: true, ..at(&server) }.create_client().unwrap();
    let opened = async {
        while client.pool().idle == 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), opened).await.expect("a connection was opened");
    assert!(server.requests().is_empty(), "a connection is no request");
    client.ask("hi").await.unwrap();
    assert_eq!((client.pool().opened_total, client.pool().reused_total), (1, 1));

    let settings = Settings { eager_init: true, ..Settings::default() };
    let url = Some(server.base_url());
    let model = ModelConfig { base_url: url, settings: Some(settings), ..ModelConfig::new("m") };
    let provider = SpecProvider::create_from_config("acme", vec![model]).unwrap();
    provider.client("m").unwrap();
    server.wait_for(|counts| counts.connections >= 2).await;
}

#[test]
fn without_a_runtime_nothing_is_opened_until_somebody_asks() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let server = runtime.block_on(MockServer::start());
    let client = EndpointConfig { eager_init: true, ..at(&server) }.create_client().unwrap();
    assert_eq!(client.pool().opened_total, 0);
    assert_eq!(runtime.block_on(client.warm_up(3)).unwrap(), 3);
    assert_eq!(client.pool().idle, 3);
    let model = ModelConfig { base_url: Some(server.base_url()), ..ModelConfig::new("m") };
    let provider = SpecProvider::create_from_config("acme", vec![model]).unwrap();
    assert_eq!(runtime.block_on(provider.warm_up("m", 2)).unwrap(), 2);
    runtime.block_on(client.ask("hi")).unwrap();
}

#[tokio::test]
async fn numbers_that_make_no_sense_are_refused() {
    let config = EndpointConfig::new("http://127.0.0.1:9");
    for (config, message) in [
        (EndpointConfig { pool_size: 0, ..config.clone() }, "pool_size: 0 is not a number from 1 up"),
        (EndpointConfig { rate_limit: Some(0), ..config.clone() }, "rate_limit: 0 is not a number from 1 up"),
        (
            EndpointConfig { timeout: Duration::ZERO, ..config.clone() },
            "timeout: it is 0, so no call could ever succeed",
        ),
    ] {
        assert_eq!(config.create_client().unwrap_err().to_string(), message);
    }
    let vendor = EndpointConfig::new("https://api.deepseek.com");
    assert_eq!(vendor.create_client().unwrap_err().to_string(), "no key for deepseek: give it one");
}
