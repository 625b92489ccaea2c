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
    let blocks = blocks(page, "toml");
    assert!(blocks.len() >= 6, "{}", blocks.len());
    let llm = Llm::new();
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
