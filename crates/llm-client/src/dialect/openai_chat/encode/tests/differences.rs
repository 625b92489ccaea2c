//! Smaller differences between vendors, one axis each.

use super::*;
use crate::dialect::quirks::{BodyMember, ImageUrl, Turns};

#[test]
fn no_randomness_is_a_switch_where_zero_is_refused() {
    let quirks = Quirks { greedy: Some("do_sample"), ..Quirks::NONE };
    let sent = |temperature| settings(ChatRequest { temperature, ..ChatRequest::default() }, &quirks).0;
    assert_eq!(sent(Some(0.0)), r#""do_sample":false"#);
    assert_eq!(sent(Some(0.5)), r#""temperature":0.5"#);
    assert_eq!(sent(None), "");
}

#[test]
fn log_probabilities_are_a_flag_or_a_count() {
    let count = Quirks { logprobs: LogprobsForm::Count, ..Quirks::NONE };
    let lacking = Quirks { lacks: &[Setting::Logprobs], ..Quirks::NONE };
    for (logprobs, top_logprobs, as_flag, as_count, warned) in [
        (Some(true), None, r#""logprobs":true"#, r#""logprobs":1"#, 1),
        (Some(true), Some(3), r#""logprobs":true,"top_logprobs":3"#, r#""logprobs":3"#, 1),
        (Some(true), Some(0), r#""logprobs":true,"top_logprobs":0"#, r#""logprobs":1"#, 1),
        (None, Some(2), r#""logprobs":true,"top_logprobs":2"#, r#""logprobs":2"#, 1),
        (Some(false), None, r#""logprobs":false"#, "", 0),
        (None, None, "", "", 0),
    ] {
        let request = ChatRequest { logprobs, top_logprobs, ..ChatRequest::default() };
        assert_eq!(settings(request.clone(), &Quirks::NONE).0, as_flag);
        assert_eq!(settings(request.clone(), &count).0, as_count);
        let (body, warnings) = settings(request, &lacking);
        assert_eq!((body.as_str(), warnings.len()), ("", warned));
    }
}

#[test]
fn a_name_is_left_out_with_a_warning_where_it_is_refused() {
    let named = Message { name: Some("ann".into()), ..Message::user("hi") };
    assert_eq!(
        messages(vec![named.clone()], &Quirks::NONE),
        r#"{"role":"user","name":"ann","content":"hi"}"#
    );
    let quirks = Quirks { lacks: &[Setting::Name], ..Quirks::NONE };
    let (body, warnings) = sent(&ChatRequest::new(vec![named]), &quirks, false);
    assert!(!body.contains("ann"), "{body}");
    assert_eq!(warnings, ["messages[0].name"]);
}

#[test]
fn an_image_that_nobody_would_fetch_is_refused_before_it_is_sent() {
    let quirks = Quirks { image_url: ImageUrl::OwnOnly, ..Quirks::NONE };
    let image = |url: &str| {
        let media = Media::new(MediaSource::Url(url.into()));
        ChatRequest::new(vec![Message::new(Role::User, vec![Part::Image(media)])])
    };
    for url in ["https://pictures.test/a.png", "HTTP://pictures.test/a.png"] {
        assert_eq!(
            refused(&image(url), &quirks),
            "messages[0].content[0]: an image behind a URL is not fetched here; send it as base64"
        );
        assert!(sent(&image(url), &Quirks::NONE, false).0.contains(url));
    }
    for url in ["ms://file-1", "data:image/png;base64,iVBORw0KGgo="] {
        assert!(sent(&image(url), &quirks, false).0.contains(url));
    }
}

#[test]
fn two_messages_in_a_row_become_one_where_turns_alternate() {
    let quirks = Quirks { turns: Turns::Alternating, ..Quirks::NONE };
    let answer = |text: &str| Message::new(Role::Assistant, vec![Part::text(text)]);
    let calls = Message::new(Role::Assistant, vec![call("c1")]);
    let result = Message::new(Role::Tool, vec![Part::ToolResult(ToolResult::text("c1", "22"))]);
    let named = Message { name: Some("ann".into()), ..Message::user("d") };
    let list = vec![
        Message::user("a"),
        Message::user("b"),
        answer("x"),
        answer("y"),
        Message::user("c"),
        calls,
        result,
        Message::user("c"),
        named,
    ];
    assert_snapshot!(messages(list, &quirks), @r#"{"role":"user","content":"a\n\nb"},{"role":"assistant","content":"x\n\ny"},{"role":"user","content":"c"},{"role":"assistant","content":null,"tool_calls":[{"id":"c1","type":"function","function":{"name":"get_tide","arguments":"{\"port\":\"Brest\"}"}}]},{"role":"tool","tool_call_id":"c1","content":"22"},{"role":"user","content":"c"},{"role":"user","name":"ann","content":"d"}"#);
    let picture = Part::Image(Media::from_url("data:image/png;base64,iVBORw0KGgo="));
    let list = vec![
        Message::user("a"),
        Message::user("b"),
        Message::new(Role::User, vec![picture]),
        Message::user(""),
        Message::user("c"),
    ];
    assert_snapshot!(messages(list, &quirks), @r#"{"role":"user","content":[{"type":"text","text":"a\n\nb"},{"type":"image_url","image_url":{"url":"data:image/png;base64,iVBORw0KGgo="}},{"type":"text","text":"c"}]}"#);
    assert_eq!(
        refused(&ChatRequest::new(vec![Message::user("a"), answer("x")]), &quirks),
        "messages: the last one has to be the user's or a tool's here"
    );
}

#[test]
fn all_earlier_reasoning_goes_back_when_the_user_asks_the_server_to_keep_it() {
    let keep = BodyMember { object: "thinking", member: "keep", value: r#""all""# };
    let with_tools = Replay { when: ReplayWhen::WithTools, field: ReplayField::ReasoningContent };
    let quirks = Quirks { replay: with_tools, replay_on: Some(keep), ..Quirks::NONE };
    let thought =
        Message::new(Role::Assistant, vec![Part::Reasoning(Reasoning::text("hm")), Part::text("x")]);
    for (extra, goes) in
        [(r#"{"thinking":{"keep":"all"}}"#, true), (r#"{"thinking":{"keep":"none"}}"#, false), ("{}", false)]
    {
        let mut request = ChatRequest::new(vec![thought.clone(), Message::user("and?")]);
        request.extra = llm_types::Extra::parse(extra).unwrap();
        assert_eq!(
            sent(&request, &quirks, false).0.contains("\"reasoning_content\":\"hm\""),
            goes,
            "{extra}"
        );
    }
}
