//! The official Python SDKs against the server: those of the Python that `LLM_SDK_PYTHON` names or, with
//! `LLM_SDKS=install`, of one that is made for it. Without either nothing is installed, and the test says so.

use std::{
    io::Write,
    path::{Path, PathBuf},
    process::Output,
    sync::atomic::{AtomicU64, Ordering::SeqCst},
};

use llm_mock::{MockConfig, Reply, Request, ToolCall};
use tokio::process::Command;

const SDKS: [&str; 3] = ["openai", "anthropic", "google-genai"];

/// The script's answers; see `sdks.py`.
fn scripted(request: &Request, busy: &AtomicU64) -> Option<Reply> {
    let body = request.json();
    // The prompt is the first text of the first turn, in every dialect.
    let turns = [&body["messages"], &body["contents"]].into_iter().find_map(serde_json::Value::as_array)?;
    let turn = turns.first().filter(|_| turns.len() == 1)?;
    let text = turn["content"].as_str().or_else(|| turn["parts"][0]["text"].as_str())?;
    match text {
        "all" => {
            let calls = [
                ToolCall::new("call_1", "get_tide", r#"{"port": "Brest"}"#),
                ToolCall::new("call_2", "now", ""),
            ];
            Some(Reply::tool_calls(calls).say("Let me see.").reasoning("Need the tide."))
        }
        "busy" => busy.fetch_add(1, SeqCst).is_multiple_of(2).then(|| Reply::error(503)),
        "limit" => Some(Reply::error(429)),
        "refuse" => Some(Reply::refusal("Not this.")),
        _ => None,
    }
}

async fn run(program: &Path, arguments: &[&str]) -> Result<Output, String> {
    let output = Command::new(program).args(arguments).output().await.map_err(|error| error.to_string())?;
    if output.status.success() {
        Ok(output)
    } else {
        Err(String::from_utf8_lossy(&output.stderr).into_owned())
    }
}

/// A Python that has the SDKs: the one `LLM_SDK_PYTHON` names, or one of our own in the target folder.
async fn python() -> Result<PathBuf, String> {
    if let Some(given) = std::env::var_os("LLM_SDK_PYTHON") {
        return Ok(given.into());
    }
    if std::env::var_os("LLM_SDKS").is_none_or(|wanted| wanted != "install") {
        return Err("neither LLM_SDK_PYTHON nor LLM_SDKS=install is set".to_owned());
    }
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("sdks");
    let python = folder.join(if cfg!(windows) { "Scripts/python.exe" } else { "bin/python" });
    if run(&python, &["-c", "import openai, anthropic, google.genai"]).await.is_err() {
        run(Path::new("python3"), &["-m", "venv", &folder.to_string_lossy()]).await?;
        run(&python, &[&["-m", "pip", "install", "-q"][..], &SDKS].concat()).await?;
    }
    Ok(python)
}

#[tokio::test]
async fn the_official_sdks_work() {
    let python = match python().await {
        Ok(python) => python,
        Err(reason) => {
            let message = format!("\n*** NOT TESTED with the SDKs {SDKS:?}: {reason}\n");
            // Not by `eprintln`, which a test's capture would swallow.
            std::io::stderr().write_all(message.as_bytes()).unwrap();
            return;
        }
    };
    let busy = AtomicU64::new(0);
    let server = MockConfig::new()
        .models((0..5).map(|n| format!("m{n}")))
        .respond(move |request| scripted(request, &busy))
        .start()
        .await
        .unwrap();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/sdks.py");
    let seen = run(&python, &[script, &server.url("")]).await;
    let odd: Vec<_> = server.requests().iter().flat_map(|request| request.notes().to_vec()).collect();
    let output = seen.unwrap_or_else(|error| panic!("{error}\nnotes: {odd:?}"));
    assert_eq!(String::from_utf8_lossy(&output.stdout).lines().count(), SDKS.len());
    assert!(odd.is_empty(), "{odd:?}");
}
