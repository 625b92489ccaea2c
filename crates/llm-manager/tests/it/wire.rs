//! What really goes over the wire: whose key, which model, which members.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use llm_client::ModelClientExt as _;
use llm_manager::config::Loaded;
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::support::Lab;

const KEYS: [(&str, &str); 5] = [
    ("OPENAI_API_KEY", "sk-openai"),
    ("DEEPSEEK_API_KEY", "sk-deepseek"),
    ("LLM_RS_API_KEY", "sk-ours"),
    ("FLEXLLM_API_KEY", "sk-older"),
    ("LOCAL_KEY", "sk-local"),
];

/// A request as it came.
#[derive(Clone, Debug)]
struct Seen {
    target: String,
    authorization: Option<String>,
    body: Value,
}

/// Answers every request with the same words.
struct Server {
    url: String,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Server {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/v1", listener.local_addr().unwrap());
        let seen = Arc::new(Mutex::new(Vec::new()));
        let log = seen.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, log.clone()));
            }
        });
        Self { url, seen }
    }

    fn last(&self) -> Seen {
        self.seen.lock().unwrap().last().cloned().unwrap()
    }
}

async fn serve(mut stream: TcpStream, log: Arc<Mutex<Vec<Seen>>>) -> Option<()> {
    let mut bytes = Vec::new();
    loop {
        let head = loop {
            if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
                break String::from_utf8(bytes.drain(..end + 4).collect()).ok()?;
            }
            if stream.read_buf(&mut bytes).await.ok()? == 0 {
                return None;
            }
        };
        let header = |name: &str| {
            let found = head.lines().filter_map(|line| line.split_once(": "));
            found.filter(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value.to_owned()).next()
        };
        let length: usize = header("content-length")?.parse().ok()?;
        while bytes.len() < length {
            stream.read_buf(&mut bytes).await.ok()?;
        }
        let body: Value = serde_json::from_slice(&bytes.drain(..length).collect::<Vec<u8>>()).ok()?;
        let said = body.get("say").cloned().unwrap_or_else(|| "Hello!".into());
        let target = head.split(' ').nth(1)?.to_owned();
        log.lock().unwrap().push(Seen { target, authorization: header("authorization"), body });
        let answer =
            format!(r#"{{"choices": [{{"message": {{"content": {said}}}, "finish_reason": "stop"}}]}}"#);
        let head = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
            answer.len()
        );
        stream.write_all(format!("{head}{answer}").as_bytes()).await.ok()?;
    }
}

fn with_every_key(file: &str) -> Lab {
    KEYS.iter().fold(Lab::new(), |lab, (name, key)| lab.env(name, key)).user(file)
}

async fn ask(loaded: &Loaded, model: Option<&str>) -> String {
    let choice = loaded.choose(model).unwrap();
    loaded.client(&choice).unwrap().ask("hi").await.unwrap()
}

#[tokio::test]
async fn an_address_from_outside_sees_no_key_that_was_not_meant_for_it() {
    let server = Server::start().await;
    let file = format!(
        "[providers.local]\nbase_url = '{}'\napi_key = {{ env = 'LOCAL_KEY' }}\n[providers.local.models.qwen]\nmodel = \
         'Qwen/Qwen3-8B'\nextra = {{ top_k = 20 }}",
        "http://127.0.0.1:9/v1"
    );
    for (model, key, wire) in [
        ("openai/gpt-x", None, "gpt-x"),
        ("deepseek/deepseek-chat", None, "deepseek-chat"),
        ("local/qwen", None, "Qwen/Qwen3-8B"),
        ("openai-compatible/openai/gpt-oss", None, "openai/gpt-oss"),
        ("gpt-4o", Some("Bearer sk-ours"), "gpt-4o"),
        ("qwen", Some("Bearer sk-ours"), "qwen"),
        ("meta-llama/x", Some("Bearer sk-ours"), "meta-llama/x"),
    ] {
        let mut lab = with_every_key(&file);
        lab.args.base_url = Some(server.url.clone());
        assert_eq!(ask(&lab.load().unwrap(), Some(model)).await, "Hello!");
        let seen = server.last();
        assert_eq!(seen.authorization.as_deref(), key, "{model}");
        assert_eq!(
            (seen.body["model"].as_str(), &*seen.target),
            (Some(wire), "/v1/chat/completions"),
            "{model}"
        );
        lab.args.api_key = Some("sk-flag".into());
        ask(&lab.load().unwrap(), Some(model)).await;
        assert_eq!(server.last().authorization.as_deref(), Some("Bearer sk-flag"), "{model}");
    }
}

#[tokio::test]
async fn a_configured_model_goes_out_as_the_file_says() {
    let server = Server::start().await;
    let lab = with_every_key(&format!(
        r#"
        default = "fast"
        [aliases]
        fast = "qwen"
        [providers.local]
        base_url = "{}"
        api_key = {{ env = "LOCAL_KEY" }}
        [providers.local.models.qwen]
        model = "Qwen/Qwen3-8B"
        extra = {{ top_k = 20, chat_template_kwargs = {{ enable_thinking = false }} }}
        "#,
        // Without its version.
        server.url.trim_end_matches("/v1")
    ));
    let loaded = lab.load().unwrap();
    assert_eq!(loaded.manager.client("fast").unwrap().ask("hi").await.unwrap(), "Hello!");
    let seen = server.last();
    assert_eq!(
        (seen.authorization.as_deref(), &*seen.target),
        (Some("Bearer sk-local"), "/v1/chat/completions")
    );
    assert_eq!(seen.body["model"], "Qwen/Qwen3-8B");
    assert_eq!(
        (&seen.body["top_k"], &seen.body["chat_template_kwargs"]["enable_thinking"]),
        (&Value::from(20), &Value::from(false))
    );
    // The default model takes our own key.
    ask(&loaded, None).await;
    assert_eq!(server.last().authorization.as_deref(), Some("Bearer sk-ours"));
    loaded.manager.close_all().await;
    assert!(loaded.manager.client("fast").is_err());
}

#[tokio::test]
async fn the_models_of_a_provider_share_its_keys() {
    let server = Server::start().await;
    let lab = Lab::new().env("A", "sk-a").env("B", "sk-b").user(&format!(
        "[providers.local]\nbase_url = '{}'\napi_keys = [{{ env = 'A' }}, {{ env = 'B' }}]",
        server.url
    ));
    let manager = lab.load().unwrap().manager;
    for model in ["local/one", "local/two"] {
        manager.client(model).unwrap().ask("hi").await.unwrap();
    }
    let seen = server.seen.lock().unwrap().clone();
    let used: BTreeSet<String> = seen.into_iter().filter_map(|seen| seen.authorization).collect();
    assert_eq!(used, BTreeSet::from(["Bearer sk-a".to_owned(), "Bearer sk-b".to_owned()]));
}

#[tokio::test]
async fn a_named_provider_keeps_its_address_and_its_key_whatever_the_variables_say() {
    let (own, other) = (Server::start().await, Server::start().await);
    let file = format!("[providers.local]\nbase_url = '{}'\napi_key = {{ env = 'LOCAL_KEY' }}", own.url);
    let lab = with_every_key(&file).env("LLM_RS_BASE_URL", &other.url).env("FLEXLLM_BASE_URL", &other.url);
    let loaded = lab.load().unwrap();
    ask(&loaded, Some("local/m")).await;
    assert_eq!(own.last().authorization.as_deref(), Some("Bearer sk-local"));
    assert!(other.seen.lock().unwrap().is_empty());
    ask(&loaded, Some("m")).await;
    assert_eq!(other.last().authorization.as_deref(), Some("Bearer sk-ours"));
    assert_eq!(own.seen.lock().unwrap().len(), 1);
}

/// Two endpoints of which one is down, in a pool, behind a chain, with keys, headers, members and names of their own.
#[tokio::test]
async fn endpoints_of_the_file_stand_in_for_each_other() {
    let (up, other) = (Server::start().await, Server::start().await);
    let lab = Lab::new().env("LOCAL_KEY", "sk-local").user(&format!(
        r#"
        backoff_base_ms = 0
        [providers.rack]
        strategy = "fallback"
        headers = {{ x-team = "a" }}
        endpoints = [
          {{ base_url = "http://127.0.0.1:9/v1", api_key = "sk-down" }},
          {{ base_url = "{}", api_key = {{ env = "LOCAL_KEY" }}, model = "here", extra = {{ top_k = 5 }} }},
        ]
        [providers.rack.models.m]
        extra = {{ top_p = 0.5 }}
        [providers.rack.models.alone]
        base_url = "{}"
        model = "wire"
        [chains.c]
        models = ["pool/p"]
        [pools.p]
        members = ["rack/m"]
        "#,
        up.url, other.url
    ));
    let loaded = lab.load().unwrap();
    for name in ["rack/m", "p", "c"] {
        assert_eq!(loaded.manager.client(name).unwrap().ask("hi").await.unwrap(), "Hello!", "{name}");
        let seen = up.last();
        assert_eq!(seen.authorization.as_deref(), Some("Bearer sk-local"));
        assert_eq!(seen.body["model"], "here");
        assert_eq!((seen.body["top_k"].as_u64(), seen.body["top_p"].as_f64()), (Some(5), Some(0.5)));
    }
    loaded.manager.client("alone").unwrap().ask("hi").await.unwrap();
    let seen = other.last();
    // A key that was given for an endpoint does not follow a model that lives elsewhere.
    assert_eq!((seen.authorization, seen.body["model"].as_str()), (None, Some("wire")));
    assert!(other.seen.lock().unwrap().len() == 1 && up.seen.lock().unwrap().len() >= 3);
}

#[tokio::test]
async fn a_file_tells_where_thoughts_stand_in_the_text() {
    let server = Server::start().await;
    let lab = with_every_key(&format!(
        r#"
        [providers.local]
        base_url = "{0}"
        think_tags = "starts_open"
        [providers.local.models.inside]
        extra = {{ say = "hm</think>yes" }}
        [providers.local.models.off]
        think_tags = "off"
        extra = {{ say = "hm</think>yes" }}
        [providers.local.models.other]
        think_tags = "leading [THINK]"
        extra = {{ say = "[THINK]hm[/THINK]yes" }}
        [providers.usual]
        base_url = "{0}"
        [providers.usual.models.leading]
        extra = {{ say = "<think>hm</think>yes" }}
        "#,
        server.url
    ));
    let loaded = lab.load().unwrap();
    for (model, text) in [("inside", "yes"), ("off", "hm</think>yes"), ("other", "yes"), ("leading", "yes")] {
        assert_eq!(loaded.manager.client(model).unwrap().ask("hi").await.unwrap(), text, "{model}");
    }
}
