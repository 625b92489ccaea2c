//! The documentation's examples are true.

use super::harness::Llm;

/// The blocks of a page that are written in `language`, each with its line.
fn blocks(page: &str, language: &str) -> Vec<(usize, String)> {
    let mut found: Vec<(usize, String)> = Vec::new();
    let mut inside = None;
    for (line, number) in page.lines().zip(1..) {
        match (line.strip_prefix("```"), inside) {
            (Some(name), None) => {
                inside = Some(name == language);
                if name == language {
                    found.push((number, String::new()));
                }
            }
            (Some(_), Some(_)) => inside = None,
            (None, Some(true)) => {
                let (_, text) = found.last_mut().expect("a block was begun");
                text.push_str(line);
                text.push('\n');
            }
            (None, _) => {}
        }
    }
    found
}

#[tokio::test]
async fn every_file_in_the_page_on_configuration_is_right() {
    let page = include_str!("../../../docs/configuration.md");
    let [(_, prices)] = &blocks(page, "json")[..] else { panic!("one list of prices") };
    let blocks = blocks(page, "toml");
    assert!(blocks.len() >= 6, "{}", blocks.len());
    let llm = Llm::new();
    llm.write("prices.json", prices);
    for (line, text) in blocks {
        let file = format!("line-{line}.toml");
        llm.write(&file, &text);
        let ran = llm.run(&["config", "check", &file]).await.exits(0);
        assert_eq!(ran.out, format!("{file}: OK\n"));
    }
}

#[tokio::test]
async fn every_command_in_the_page_on_configuration_is_one() {
    let page = include_str!("../../../docs/configuration.md");
    let (_, commands) = blocks(page, "sh").remove(0);
    let llm = Llm::new();
    llm.write(".config/llm-rs/config.toml", "[providers.local]\nbase_url = \"http://127.0.0.1:1/v1\"\n");
    for command in commands.lines().filter_map(|line| line.split('#').next()) {
        let args: Vec<&str> = command.split_whitespace().skip(1).collect();
        // There is a file already, and no editor.
        let code = match args[..] {
            ["init"] => 5,
            ["config", "edit"] => 2,
            _ => 0,
        };
        llm.run(&args).await.exits(code);
    }
}

#[tokio::test]
async fn every_command_in_the_page_on_asking_is_one() {
    let page = include_str!("../../../docs/asking.md");
    let server = llm_mock::MockServer::start().await;
    let llm = Llm::new().variable("LLM_RS_BASE_URL", &server.base_url()).variable("LLM_RS_MODEL", "gpt-5");
    let (_, tools) = blocks(page, "json").remove(0);
    llm.write("tools.json", &tools);
    llm.write("calls.json", &tools.replace(r#""run""#, r#""x-run""#));
    llm.write("weather.sh", "echo rain");
    llm.write("questions.jsonl", "{\"q\": \"one\"}\n");
    // What `jq` would make of it.
    llm.write("told.json", r#"[{"role": "user", "content": "hi"}]"#);
    let mut asked = 0;
    for (line, block) in blocks(page, "sh") {
        for command in block.lines().filter(|command| command.starts_with("llm ")) {
            let (command, file) = match command.split_once(" > ") {
                Some((command, file)) => (command, Some(file)),
                None => (command, None),
            };
            // Quoted words are one word each.
            let words = command.split('"').enumerate().flat_map(|(at, text)| match at % 2 {
                0 => text.split_whitespace().collect::<Vec<_>>(),
                _ => vec![text],
            });
            let args: Vec<&str> = words.skip(1).collect();
            let ran = llm.run(&args).await;
            assert_eq!(ran.code, 0, "line {line}: {command}: {}", ran.err);
            if let Some(file) = file {
                llm.write(file, &ran.out);
            }
            asked += 1;
        }
    }
    assert_eq!(asked, 14);
}
