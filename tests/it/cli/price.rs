//! `llm price`, and what calls cost on the command line.

use llm_mock::{MockConfig, MockServer, Reply};

use super::harness::Llm;

const USAGE: &str =
    r#"{"prompt_tokens": 1000, "completion_tokens": 500, "prompt_tokens_details": {"cached_tokens": 200}}"#;

/// Lists of a user's: one in our own shape, one in LiteLLM's.
fn lists(llm: &Llm, server: &str) {
    llm.write(
        "ours.json",
        r#"{"as_of": "2026-11-01", "providers": {"local": {"source": "a letter", "models": {
            "big": {"begins": ["big-"], "input": "2", "output": "10", "cache_read": "0.5",
                    "when": [{"above": 100000, "input": "4"}, {"tier": "batch", "input": "1", "output": "5"}]},
            "soon": {"prices": [{"input": 1, "output": 1}, {"from": "2999-01-01", "input": 2, "output": 2}]}}}}}"#,
    );
    llm.write(
        "theirs.json",
        r#"{"local/big": {"litellm_provider": "local", "input_cost_per_token": 3e-06, "output_cost_per_token": 1.5e-05}}"#,
    );
    for list in ["ours", "theirs"] {
        let provider = format!("[providers.local]\nbase_url = \"{server}\"\n");
        llm.write(
            &format!("{list}.toml"),
            &format!("default = \"local/big\"\nprices = \"{list}.json\"\n{provider}"),
        );
    }
}

#[tokio::test]
async fn a_price_is_shown_class_by_class_with_its_conditions_and_its_origin() {
    let llm = Llm::new();
    lists(&llm, "http://127.0.0.1:1/v1");
    let ran = llm.run(&["price", "--config", "ours.toml"]).await.exits(0);
    assert_eq!(
        ran.out,
        "local/big, in US dollars for a million tokens\n\
         \x20 input                  2.00\n\
         \x20 cache_read             0.50\n\
         \x20 output                10.00\n\
         above 100 000 input tokens\n\
         \x20 input                  4.00\n\
         tier batch\n\
         \x20 input                  1.00\n\
         \x20 output                 5.00\n\
         from a letter; as of 2026-11-01\n"
    );
    let ran = llm.run(&["price", "-m", "local/soon", "--config", "ours.toml"]).await.exits(0);
    assert!(ran.out.contains("\nfrom 2999-01-01 on\n  input"), "{}", ran.out);
    let json = llm.run(&["price", "local/big-2", "--json", "--config", "ours.toml"]).await.exits(0).json();
    assert_eq!(json["model"], "local/big-2");
    assert_eq!(
        (&json["price"]["input"], &json["price"]["source"]),
        (&"2.00".into(), &"a letter".into()),
        "{json}"
    );
    assert_eq!(json["price"]["when"][0]["above"], 100_000);
    assert!(json.get("cost").is_none(), "nothing was asked of it");
    // The table that comes with the program needs no configuration.
    let ran = llm.run(&["price", "openai/gpt-4o"]).await.exits(0);
    for says in ["openai/gpt-4o, in US dollars", "cache_read", "tier batch", "; as of 2026-"] {
        assert!(ran.out.contains(says), "{}", ran.out);
    }
}

#[tokio::test]
async fn the_cost_of_a_call_is_told_to_the_last_digit() {
    let llm = Llm::new();
    lists(&llm, "http://127.0.0.1:1/v1");
    let asked = ["--input", "1000", "--output", "500", "--cached", "200"];
    for (args, out) in [
        (&["local/big", "--config", "ours.toml"][..], "$0.0067\n"),
        (&["local/big", "--config", "ours.toml", "--tier", "batch"], "$0.0034\n"),
        (&["local/big", "--config", "ours.toml", "--tier", "flex"], "price unknown\n"),
        (&["local/big", "--config", "theirs.toml"], "$0.0105\n"),
        (&["openai/gpt-4o"], "$0.00725\n"),
        (&["local/free", "--base-url-is-no-option"], ""),
    ] {
        let ran = llm.run(&[&["price"], args, &asked].concat()).await;
        if out.is_empty() {
            ran.exits(2);
            continue;
        }
        assert_eq!(ran.exits(0).out, out, "{args:?}");
    }
    let json = llm.run(&[&["price", "openai/gpt-4o", "--json"], &asked[..]].concat()).await.exits(0).json();
    assert_eq!(json["cost"]["total_usd"], "0.00725", "{json}");
    assert_eq!(
        (&json["cost"]["input_usd"], &json["cost"]["usage"]),
        (&"0.00225".into(), &"estimated".into())
    );
    for wrong in
        [&["--cached", "1"][..], &["--list", "--input", "1"], &["--provider", "x"], &["a", "-m", "b"]]
    {
        llm.run(&[&["price"], wrong].concat()).await.exits(2);
    }
}

#[tokio::test]
async fn what_is_unknown_is_said_and_what_is_not_there_has_its_code() {
    let llm = Llm::new();
    llm.write("local.toml", "[providers.local]\nbase_url = \"http://127.0.0.1:1/v1\"\n");
    let ran = llm.run(&["price", "local/any", "--config", "local.toml"]).await.exits(0);
    assert_eq!(ran.out, "local/any: price unknown\n");
    let json = llm
        .run(&["price", "local/any", "--config", "local.toml", "--json", "--input", "5"])
        .await
        .exits(0)
        .json();
    assert!(json["price"].is_null() && json["cost"].is_null(), "{json}");
    llm.run(&["price", "openai/gpt-4oo"])
        .await
        .exits(3)
        .says(&["no price of openai/gpt-4oo is known", "openai/gpt-4o"]);
    llm.run(&["price", "nobodys-model"]).await.exits(3);
    llm.run(&["price", "openai/gpt-4o", "--input", "1", "--cached", "2"])
        .await
        .exits(2)
        .says(&["a part of --input"]);
    // What a provider is asked for by itself is there, whoever knows its price.
    let ran = llm.run(&["price", "deepseek/deepseek-chat"]).await.exits(0);
    assert_eq!(ran.out, "deepseek/deepseek-chat: price unknown\n");
    // Where a vendor's address follows from what was not said yet, its price does not.
    let ran = llm.run(&["price", "vertex/gemini-2.5-flash"]).await.exits(0);
    assert!(ran.out.starts_with("vertex/gemini-2.5-flash, in US dollars"), "{}", ran.out);
    llm.run(&["price", "--list", "--provider", "nobody"]).await.exits(3).says(&["`nobody`", "anthropic"]);
}

#[tokio::test]
async fn the_list_names_every_priced_model() {
    let llm = Llm::new();
    lists(&llm, "http://127.0.0.1:1/v1");
    let ran = llm.run(&["price", "--list"]).await.exits(0);
    assert!(ran.out.lines().count() > 900, "{}", ran.out.lines().count());
    assert!(ran.out.starts_with("model ") && ran.out.contains("\nanthropic/claude"), "{}", ran.out);
    let ran = llm.run(&["price", "--list", "--provider", "local", "--config", "ours.toml"]).await.exits(0);
    assert_eq!(
        ran.out,
        "model       input  cache_read  output\nlocal/big   2.00   0.50        10.00\nlocal/soon  1.00               1.00\n"
    );
    let json = llm
        .run(&["price", "--list", "--provider", "local", "--config", "ours.toml", "--json"])
        .await
        .exits(0)
        .json();
    assert_eq!(
        (&json["count"], &json["models"][0]["price"]["output"]),
        (&2.into(), &"10.00".into()),
        "{json}"
    );
}

#[tokio::test]
async fn an_answer_says_what_it_cost() {
    let server = MockServer::start().await;
    let llm = Llm::new();
    lists(&llm, &server.base_url());
    for stream in ["--stream", "--no-stream"] {
        server.push(Reply::text("four").usage(USAGE));
        server.push(Reply::text("four").usage(USAGE));
        let args = ["-m", "local/big", "2+2?", stream, "--config", "ours.toml"];
        let json = llm.run(&[&args[..], &["--json"]].concat()).await.exits(0).json();
        assert_eq!(
            json["cost"],
            serde_json::json!({"total_usd": "0.0067", "input_usd": "0.0017", "output_usd": "0.005", "usage": "reported",
                "source": "a letter", "as_of": "2026-11-01"}),
            "{stream}"
        );
        llm.run(&[&args[..], &["--usage"]].concat())
            .await
            .exits(0)
            .says(&["1 000→500 tok (200 cached)", ", $0.0067"]);
    }
    // At another address nothing is known of it.
    server.push(Reply::text("four").usage(USAGE));
    let moved = ["-m", "local/big", "2+2?", "--config", "ours.toml", "--json", "--base-url"];
    let elsewhere = MockServer::start().await;
    elsewhere.push(Reply::text("four").usage(USAGE));
    let json = llm.run(&[&moved[..], &[&elsewhere.base_url()]].concat()).await.exits(0).json();
    assert!(json["cost"].is_null(), "{json}");
    // A vendor that is asked through a proxy is priced by its own list, which is said.
    elsewhere.push(Reply::text("four").usage(USAGE));
    let proxied = ["-m", "openai/gpt-4.1-mini", "2+2?", "--api-key", "k", "--json", "--base-url"];
    let json = llm.run(&[&proxied[..], &[&elsewhere.base_url()]].concat()).await.exits(0).json();
    assert!(json["cost"]["total_usd"].is_string(), "{json}");
    assert!(json["cost"]["source"].as_str().unwrap().contains("another address"), "{json}");
}

#[tokio::test]
async fn a_batch_needs_no_price_where_one_is_known() {
    let reply = Reply::text("yes").usage(r#"{"prompt_tokens": 4, "completion_tokens": 100}"#);
    let server = MockConfig::new().default_reply(reply).start().await.unwrap();
    let llm = Llm::new();
    lists(&llm, &server.base_url());
    let rows: String = (0..20).map(|n| format!("{{\"prompt\": \"question {n}\"}}\n")).collect();
    llm.write("in.jsonl", &rows);
    let args = ["batch", "in.jsonl", "--config", "ours.toml", "--max-tokens", "100", "-c", "4"];
    // 4 × 2 + 100 × 10 millionths a row.
    let ran = llm.run(&[&args[..], &["--max-cost", "0.0051"]].concat()).await.exits(13);
    ran.says(&["budget `this run` is used up"]);
    let json = llm.run(&[&args[..], &["--json"]].concat()).await.exits(0).json();
    let rest = 20 - server.counts().total.min(20) as usize;
    assert_eq!(rest, 0);
    assert!(json["spending"]["cost"].as_str().unwrap().starts_with("0.01"), "{json}");
    // What the user says now goes before what is known.
    llm.write("again.jsonl", &rows);
    let again = ["batch", "again.jsonl", "--config", "ours.toml", "-c", "4", "--json", "--price", "0/1"];
    let json = llm.run(&again).await.exits(0).json();
    assert_eq!(json["spending"]["cost"], "0.002", "{json}");
}

#[tokio::test]
async fn each_member_of_a_pool_is_charged_at_its_own_price() {
    let usage = r#"{"prompt_tokens": 1000, "completion_tokens": 0}"#;
    let reply = || Reply::text("yes").usage(usage);
    let one = MockConfig::new().default_reply(reply()).start().await.unwrap();
    let two = MockConfig::new().default_reply(reply()).start().await.unwrap();
    let llm = Llm::new();
    llm.write(
        "pool.toml",
        &format!(
            "default = \"pool/both\"\n[providers.one]\nbase_url = \"{}\"\n[providers.one.models.m]\n\
             price = {{ input = 1, output = 1 }}\n[providers.two]\nbase_url = \"{}\"\n[providers.two.models.m]\n\
             price = {{ input = 3, output = 3, when = [{{ above = 10, input = 5 }}] }}\n\
             [pools.both]\nmembers = [\"one/m\", \"two/m\"]\nstrategy = \"round_robin\"\n",
            one.base_url(),
            two.base_url()
        ),
    );
    llm.write("in.jsonl", &(0..4).map(|n| format!("{{\"prompt\": \"{n}\"}}\n")).collect::<String>());
    let args = ["batch", "in.jsonl", "--config", "pool.toml", "-c", "1", "--json"];
    let json = llm.run(&args).await.exits(0).json();
    // Two calls at a thousandth of a dollar, two at five.
    assert_eq!((one.counts().total, two.counts().total), (2, 2));
    assert_eq!(json["spending"]["cost"], "0.012", "{json}");
}

#[tokio::test]
async fn a_list_that_cannot_be_read_is_told_with_its_place() {
    let llm = Llm::new();
    llm.write("none.toml", "prices = \"nowhere.json\"\n[providers]\n");
    llm.write("bad.toml", "prices = \"bad.json\"\n[providers]\n");
    llm.write("bad.json", r#"{"m": {"input_cost_per_token": "much"}}"#);
    llm.run(&["price", "openai/gpt-4o", "--config", "none.toml"])
        .await
        .exits(2)
        .says(&["none.toml:1", "nowhere.json"]);
    llm.run(&["price", "openai/gpt-4o", "--config", "bad.toml"])
        .await
        .exits(2)
        .says(&["bad.toml:1", "m: input_cost_per_token: `much` is not an amount"]);
}
