//! What the most detailed log shows: no key, no prompt.

use std::io::Write;
use std::sync::Mutex;

use super::*;
use tracing_subscriber::fmt::MakeWriter;

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Lines {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

/// One thread, so that the subscriber of this thread sees the drivers' events too.
#[test]
fn no_key_and_no_prompt_is_logged() {
    let lines = Lines::default();
    let subscriber =
        tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE).with_writer(lines.clone()).finish();
    // While there is only one, an event that another test's thread meets first is switched off for all.
    let _second = tracing::Dispatch::new(tracing_subscriber::fmt().with_writer(Lines::default()).finish());
    let _guard = tracing::subscriber::set_default(subscriber);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let plain = Server::answering(answer("canary-reply")).await;
        let streams = Server::start(|peer, _| async move {
            let mut connection = h2::server::handshake(peer.stream).await.unwrap();
            while let Some(Ok((_, mut respond))) = connection.accept().await {
                respond.send_response(http::Response::new(()), true).unwrap();
            }
        })
        .await;
        for (url, cleartext_http2) in [(plain.url(), false), (streams.url(), true)] {
            let options = TransportOptions { cleartext_http2 };
            let transport =
                Transport::with_options(&Settings::default(), &ProxyEnv::none(), options).unwrap();
            for _ in 0..2 {
                let mut request = Request::post(&url).body(Bytes::from_static(b"canary-prompt")).unwrap();
                let key = llm_types::Secret::new("canary-key");
                let value = secret_header("", &key).unwrap();
                request.headers_mut().insert("x-api-key", value);
                let reply = soon(transport.send(request, NO_TIMERS)).await.unwrap();
                assert!(!format!("{reply:?} {transport:?}").contains("canary"));
                soon(reply.body.read_to_end(99)).await.unwrap();
            }
        }
    });
    let text = String::from_utf8_lossy(&lines.0.lock().unwrap()).into_owned();
    assert!(text.contains("connected") && text.contains("h2::"), "the log was listened to: {text}");
    assert!(!text.contains("canary"), "{text}");
}
