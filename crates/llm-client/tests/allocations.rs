//! What reading a stream allocates, counted: a chunk takes nothing but what it hands out, one text.

#![cfg(feature = "http")]

use std::hint::black_box;

use allocation_counter::measure;
use llm_client::dialect::{Dialect, StreamState, WireTarget};
use llm_client::framing::Decoder;
use llm_types::{Error, StreamEvent};

const CHUNKS: usize = 50;

/// A stream of each format: what comes before, and a chunk with `@` in the place of its text. The chunks repeat what
/// servers repeat, known or not.
const STREAMS: [(Dialect, &str, &str); 5] = [
    (
        Dialect::OpenAiChat,
        r#"{"id":"c1","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}],"usage":null,"provider":"p"}"#,
        r#"{"id":"c1","object":"chat.completion.chunk","created":1,"model":"m","service_tier":"default","system_fingerprint":"fp_1","provider":"p","choices":[{"index":0,"delta":{"role":"assistant","content":"@","refusal":null},"logprobs":null,"finish_reason":null,"content_filter_results":{}}],"usage":null,"obfuscation":"xxxx"}"#,
    ),
    (
        Dialect::OpenAiChat,
        r#"{"id":"c1","choices":[{"index":0,"delta":{"role":"assistant","content":null,"reasoning_content":"So"}}]}"#,
        r#"{"id":"c1","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{"content":null,"reasoning_content":"@"},"logprobs":null,"finish_reason":null}],"usage":{"prompt_tokens":9,"completion_tokens":1,"total_tokens":10}}"#,
    ),
    (
        Dialect::Anthropic,
        r#"{"type":"message_start","message":{"id":"m1","type":"message","role":"assistant","model":"m","content":[],"usage":{"input_tokens":9,"output_tokens":1,"service_tier":"standard"}}}"#,
        r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"@"}}"#,
    ),
    (
        Dialect::Anthropic,
        r#"{"type":"message_start","message":{"id":"m1","content":[]}}"#,
        r#"{"type":"content_block_delta","index":0,"delta":{"type":"thinking_delta","thinking":"@"}}"#,
    ),
    (
        Dialect::Gemini,
        r#"{"candidates":[{"content":{"parts":[{"text":"So"}],"role":"model"},"index":0}],"responseId":"r1","modelVersion":"m"}"#,
        r#"{"candidates":[{"content":{"parts":[{"text":"@"}],"role":"model"},"index":0,"avgLogprobs":-0.1}],"usageMetadata":{"promptTokenCount":2,"candidatesTokenCount":7,"totalTokenCount":9,"promptTokensDetails":[{"modality":"TEXT","tokenCount":2}]},"modelVersion":"m","responseId":"r1"}"#,
    ),
];

/// Reads the frames of some bytes; the events are given one by one, as to a caller.
fn read(
    bytes: &[u8],
    decoder: &mut Decoder,
    state: &mut StreamState,
    events: &mut Vec<StreamEvent>,
    mut see: impl FnMut(&StreamEvent),
) -> Result<(), Error> {
    let mut frames = decoder.feed(bytes);
    while let Some(frame) = frames.next()? {
        state.step(frame, events)?;
        events.drain(..).for_each(|event| see(&event));
    }
    Ok(())
}

#[test]
fn a_chunk_of_a_stream_allocates_only_the_text_it_hands_out() {
    for (dialect, start, chunk) in STREAMS {
        let quirks = dialect.default_quirks();
        let target = WireTarget { model: "m", quirks: &quirks, origin: Some("p") };
        let mut decoder = dialect.framing(false, 1 << 20).unwrap();
        let (mut state, mut events) = (dialect.stream(&target), Vec::with_capacity(16));
        let frame =
            |text: &str| format!("event: content_block_delta\ndata: {}\n\n", chunk.replace('@', text));
        // The first chunks are remembered.
        let start = format!("data: {start}\n\n{}{}", frame("the start"), frame("and more"));
        read(start.as_bytes(), &mut decoder, &mut state, &mut events, |_| {}).unwrap();
        let chunks: String = (0..CHUNKS).map(|number| frame(&format!(" word{number}"))).collect();
        let mut texts = 0;
        let counted = measure(|| {
            read(chunks.as_bytes(), &mut decoder, &mut state, &mut events, |event| {
                if let StreamEvent::Text { text, .. } | StreamEvent::Reasoning { text, .. } = event {
                    texts += usize::from(black_box(text).starts_with(" word"));
                }
            })
            .unwrap();
        });
        assert_eq!(texts, CHUNKS, "{chunk}");
        assert_eq!(
            counted.count_total,
            u64::try_from(CHUNKS).unwrap(),
            "{} bytes: {chunk}",
            counted.bytes_total
        );
    }
}
