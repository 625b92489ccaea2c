//! What a call costs beside the bare HTTP exchange, in each wire format. It is measured in `llm-bench`, so that the
//! server's CPU is another process's.

use std::path::Path;

use serde_json::json;

use super::counted;
use crate::{
    Outcome,
    process::{Mock, Stage},
    run,
};

/// The formats that are compared.
pub(super) const FORMATS: [&str; 3] = ["openai_chat", "anthropic", "gemini"];

/// Compares CPU time in these formats, and counts instructions where valgrind is at hand.
pub(super) fn compare(stage: &Stage, bench: &Path, rounds: u16, formats: &[&str]) -> Outcome {
    let folder = stage.folder("exchange")?;
    // About as many chunks as words.
    let text = "The quick brown fox naps while lazy dogs jump over compilers and count to ten. ".repeat(100);
    let some = text.get(..1500).unwrap_or_default();
    let arguments = json!({"note": some, "lines": [1, 2, 3]});
    let calls = ["look_up", "write_down"].map(|name| json!({"name": name, "arguments": arguments}));
    let mut mocks = Vec::new();
    for (row, reply) in [
        ("plain", None),
        ("streamed", Some(json!({"text": text}))),
        ("thought", Some(json!({"reasoning": some, "text": some, "tool_calls": calls}))),
        ("paced", Some(json!({"text": some, "tokens_per_sec": 900}))),
    ] {
        let mut options = Vec::new();
        if let Some(reply) = reply {
            let path = folder.join(format!("{row}.jsonl"));
            std::fs::write(&path, format!("{reply}\n"))
                .map_err(|error| format!("{}: {error}", path.display()))?;
            options.extend(["--script".to_owned(), path.to_string_lossy().into_owned()]);
        }
        let options: Vec<&str> = options.iter().map(String::as_str).collect();
        // No request log: it would cost the server time that the client then waits.
        mocks.push((row, Mock::start_silent(stage, &folder, row, &options)?));
    }
    let servers: Vec<String> = mocks.iter().map(|(row, mock)| format!("{row}={}", mock.port)).collect();
    let mut command = stage.clean(bench);
    command.arg("exchange").arg(formats.join(",")).arg(rounds.to_string()).args(&servers);
    run::echo(&mut command)?;
    for format in formats {
        for (server, numbers) in servers.iter().zip([[200, 600], [2, 6], [2, 6]]) {
            let count = |side: &str| counted(stage, bench, &["count", format, side, server], numbers);
            let row = server.split('=').next().unwrap_or_default();
            match (count("bare"), count("client")) {
                (Ok(bare), Ok(client)) => println!(
                    "{format}, {row}: instructions of a call: bare hyper {bare}, llm-client {client}, ratio {:.2}",
                    super::as_float(usize::try_from(client).unwrap_or(usize::MAX))
                        / super::as_float(usize::try_from(bare).unwrap_or(usize::MAX)),
                ),
                (Err(error), _) | (_, Err(error)) => {
                    println!("instructions: not counted, since valgrind did not run: {error}");
                    return Ok(());
                }
            }
        }
    }
    Ok(())
}
