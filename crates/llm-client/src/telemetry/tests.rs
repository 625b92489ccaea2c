//! Settings, identities and handles; whole calls are looked at over real sockets, in the workspace's tests.

use llm_types::{ChatRequest, Error, ErrorKind};

use super::*;
use crate::call::Call;
use crate::contract::ChatStream;

#[test]
fn the_environment_chooses_names_and_never_content() {
    let env = |value: &'static str| {
        Telemetry::from_env(move |name| (name == "OTEL_SEMCONV_STABILITY_OPT_IN").then(|| value.to_owned()))
    };
    assert_eq!(env("gen_ai_latest_experimental"), Telemetry { names: Names::Latest, content: false });
    assert_eq!(env("database"), Telemetry::default());
    let everything = |_: &str| Some("true".to_owned());
    assert_eq!(Telemetry::from_env(everything), Telemetry::default());
    assert_eq!(Telemetry::from_env(|_| None), Telemetry::default());
}

#[test]
fn what_is_installed_holds_for_every_observer_without_settings_of_its_own() {
    let (plain, own) = (
        Observer::new("p", "m"),
        Observer::new("p", "m").with_telemetry(Telemetry { names: Names::V1_41, content: true }),
    );
    for names in [Names::Latest, Names::V1_41] {
        let telemetry = Telemetry { names, content: false };
        telemetry.install();
        assert_eq!((Telemetry::installed(), plain.telemetry()), (telemetry, telemetry));
        assert_eq!(own.telemetry(), Telemetry { names: Names::V1_41, content: true });
    }
}

#[test]
fn handles_are_made_once_for_each_operation_and_again_for_another_recorder() {
    let observer = Observer::new("p", "m").with_telemetry(Telemetry::default());
    let chat = observer.handles(Operation::Chat);
    assert!(Arc::ptr_eq(&chat, &observer.handles(Operation::Chat)));
    let vectors = observer.handles(Operation::Embeddings);
    assert!(!Arc::ptr_eq(&chat, &vectors) && Arc::ptr_eq(&chat, &observer.handles(Operation::Chat)));
    // A recorder of another size and place, as one that is installed late.
    struct Late(#[expect(dead_code, reason = "it takes room")] u64);
    impl metrics::Recorder for Late {
        fn describe_counter(&self, _: metrics::KeyName, _: Option<metrics::Unit>, _: SharedString) {}
        fn describe_gauge(&self, _: metrics::KeyName, _: Option<metrics::Unit>, _: SharedString) {}
        fn describe_histogram(&self, _: metrics::KeyName, _: Option<metrics::Unit>, _: SharedString) {}
        fn register_counter(&self, _: &metrics::Key, _: &metrics::Metadata<'_>) -> metrics::Counter {
            metrics::Counter::noop()
        }
        fn register_gauge(&self, _: &metrics::Key, _: &metrics::Metadata<'_>) -> Gauge {
            Gauge::noop()
        }
        fn register_histogram(&self, _: &metrics::Key, _: &metrics::Metadata<'_>) -> metrics::Histogram {
            metrics::Histogram::noop()
        }
    }
    metrics::with_local_recorder(&Late(0), || {
        assert!(!Arc::ptr_eq(&chat, &observer.handles(Operation::Chat)));
    });
}

#[tokio::test]
async fn a_driven_call_passes_untouched() {
    let observer = Observer::new("p", "m");
    let request = ChatRequest::user("hi");
    let call = Call::default().driven();
    let span = CallSpan::begin(&observer, Asked::Stream(&request), &call);
    let events = futures_util::stream::iter([Ok(llm_types::StreamEvent::End)]);
    let stream = span.around(async { Ok(ChatStream::new(events)) }).await;
    let mut stream = span.streaming(stream).unwrap();
    assert!(matches!(stream.next().await, Some(Ok(llm_types::StreamEvent::End))));
    let span = CallSpan::begin(&observer, Asked::Chat(&request), &call);
    let error = span.answered(Err(Error::new(ErrorKind::Server, "down"))).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Server);
    assert!(observer.handles.read().unwrap().is_empty(), "no figure was asked for");
}
