//! On a pseudo-terminal, made by `script` where it is installed.

use llm_mock::{MockServer, Reply};

use super::harness::{Llm, on_terminal};

#[tokio::test]
async fn a_model_never_controls_the_terminal() {
    let (llm, server) = (Llm::new().variable("NO_COLOR", "1"), MockServer::start().await);
    let event = |text: &str| {
        format!("data: {{\"choices\":[{{\"index\":0,\"delta\":{{\"content\":\"{text}\"}}}}]}}\n\n")
    };
    let pieces = [r"a\u001b", r"]52;c;Zm9v\u0007", r"\u009b2J\u202e b", r"\tc\u007f"];
    let body: String = pieces.iter().map(|piece| event(piece)).collect();
    server.push(Reply::sse(body + "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n"));
    let Some(ran) =
        on_terminal(&llm, &format!("ask q --no-stdin -m x --base-url {}", server.base_url())).await
    else {
        return;
    };
    let ran = ran.exits(0);
    // The terminal itself ends lines with CR LF; ours is the newline that the text lacked. Nothing else was added.
    assert_eq!(ran.out.replace("\r\n", "\n"), "a␛]52;c;Zm9v␇<U+009B>2J<U+202E> b\tc␡\n");
}

#[tokio::test]
async fn an_error_is_red_on_a_terminal_unless_told_otherwise() {
    let args = "ask q --no-stdin -m x --max-retries 0 --base-url http://127.0.0.1:1/v1";
    let Some(ran) = on_terminal(&Llm::new(), args).await else { return };
    assert!(ran.exits(6).out.contains("\u{1b}[1;31merror:\u{1b}[0m"));
    for (llm, args) in [
        (Llm::new().variable("NO_COLOR", "1"), args.to_owned()),
        (Llm::new().variable("TERM", "dumb"), args.to_owned()),
        (Llm::new(), format!("{args} --color never")),
    ] {
        let ran = on_terminal(&llm, &args).await.unwrap().exits(6);
        assert!(ran.out.contains("error:") && !ran.out.contains('\u{1b}'), "{:?}", ran.out);
    }
}

#[tokio::test]
async fn a_bare_command_on_a_terminal_says_what_to_do() {
    let Some(ran) = on_terminal(&Llm::new(), "").await else { return };
    let ran = ran.exits(2);
    assert!(ran.out.contains("llm \"What is backpressure?\"") && ran.out.contains("--help"), "{}", ran.out);
    assert_eq!(ran.out.lines().count(), 2, "{}", ran.out);
}

#[tokio::test]
async fn a_batch_shows_a_bar_on_a_terminal_and_clears_it() {
    let llm = Llm::new();
    llm.write("in.jsonl", &"{\"q\":\"hello\"}\n".repeat(50));
    let Some(ran) = on_terminal(&llm, "batch in.jsonl -o out.jsonl -m mock/echo").await else { return };
    let ran = ran.exits(0);
    assert!(ran.out.contains('\u{1b}'), "a bar moves the cursor: {:?}", ran.out);
    // The bar's line is cleared, and the summary stands in its place.
    assert!(ran.out.contains("\u{1b}[2K50 rows: 50 answered"), "{:?}", ran.out);
    assert_eq!(llm.records("out.jsonl").len(), 50);
}
