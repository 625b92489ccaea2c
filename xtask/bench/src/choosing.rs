//! What choosing between clients costs: look-up by name, choice and admission in a pool with limits, beside the bare client.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use llm_client::{Call, ChatStream, HttpClient, ModelClient, Settings};
use llm_manager::{Manager, Member, Pool, Strategy};
use llm_types::{Capabilities, ChatRequest, ChatResponse, Error, ErrorKind};

use crate::Failure;

/// Answers at once, with nothing: what is left is the cost of getting there.
#[derive(Debug)]
struct Still {
    id: String,
    capabilities: Capabilities,
}

impl Still {
    fn client(id: String) -> Arc<dyn ModelClient> {
        Arc::new(Self { id, capabilities: Capabilities::default() })
    }
}

#[async_trait]
impl ModelClient for Still {
    fn id(&self) -> &str {
        &self.id
    }

    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    async fn chat(&self, _: &ChatRequest, _: &Call) -> Result<ChatResponse, Error> {
        Ok(ChatResponse::default())
    }

    async fn chat_stream(&self, _: &ChatRequest, _: &Call) -> Result<ChatStream, Error> {
        Err(Error::new(ErrorKind::Internal, "it does not stream"))
    }
}

/// A manager with this many models, and a pool of three with limits that nobody meets.
fn manager(models: usize, members: Vec<Arc<dyn ModelClient>>) -> Result<Manager, Failure> {
    let manager = Manager::new();
    for number in 0..models {
        manager.register_client(Still::client(format!("still/{number}")))?;
    }
    let settings = Settings {
        max_concurrent_calls: Some(1_000_000),
        requests_per_minute: Some(1_000_000_000),
        ..Settings::default()
    };
    let pool = Pool::builder("pool/bench").strategy(Strategy::LeastBusy).settings(settings);
    let pool = members
        .into_iter()
        .fold(pool, |pool, client| pool.member(Member::new(client).max_concurrent_calls(1_000_000)));
    manager.register_client(Arc::new(pool.build()?))?;
    Ok(manager)
}

/// So many calls one after another: to a client at hand, or through a look-up and a pool. Counted from outside, by
/// instructions.
pub(crate) async fn calls(way: &str, models: usize, calls: usize) -> Result<(), Failure> {
    let members: Vec<_> = (0..3).map(|n| Still::client(format!("member/{n}"))).collect();
    let direct = Still::client("direct/one".to_owned());
    let manager = manager(models, members)?;
    let (request, call) = (ChatRequest::user("hi"), Call::default());
    for _ in 0..calls {
        let response = match way {
            "direct" => direct.chat(&request, &call).await?,
            "pooled" => manager.client("pool/bench")?.chat(&request, &call).await?,
            _ => return Err(format!("`{way}` is neither direct nor pooled").into()),
        };
        std::hint::black_box(response);
    }
    Ok(())
}

/// So many calls in flight at servers that do not answer for a while; prints the memory that each takes.
pub(crate) async fn memory(way: &str, models: usize, ports: [u16; 2], calls: usize) -> Result<(), Failure> {
    let http = |port: u16| -> Result<Arc<dyn ModelClient>, Failure> {
        let settings = Settings { max_connections: 20_000, ..Settings::default() };
        let url = format!("http://127.0.0.1:{port}/v1");
        Ok(Arc::new(HttpClient::builder(url, "bench").settings(settings).build()?))
    };
    let [one, two] = [http(ports[0])?, http(ports[1])?];
    let client = match way {
        "direct" => None,
        "pooled" => Some(manager(models, vec![one.clone(), two.clone()])?.client("pool/bench")?),
        _ => return Err(format!("`{way}` is neither direct nor pooled").into()),
    };
    // The first call sets up what is there once.
    let first = Call::within(Duration::from_millis(10));
    let _ = client.as_ref().unwrap_or(&one).chat(&ChatRequest::user("hi"), &first).await;
    let before = resident()?;
    let tasks: Vec<_> = (0..calls)
        .map(|number| {
            let own = if number.is_multiple_of(2) { &one } else { &two };
            let client = Arc::clone(client.as_ref().unwrap_or(own));
            tokio::spawn(async move { client.chat(&ChatRequest::user("hi"), &Call::default()).await.is_ok() })
        })
        .collect();
    let mut most = 0;
    while !tasks.iter().all(tokio::task::JoinHandle::is_finished) {
        most = most.max(resident()?);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let mut answered = 0;
    for task in tasks {
        answered += usize::from(task.await?);
    }
    let each = most.saturating_sub(before) / calls.max(1);
    println!("{each} bytes a call, {answered} of {calls} answered");
    Ok(())
}

/// The memory of this process now, in bytes.
fn resident() -> Result<usize, Failure> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("no VmRSS here")?;
    let kib: usize = line.trim().trim_end_matches("kB").trim().parse()?;
    Ok(kib * 1024)
}
