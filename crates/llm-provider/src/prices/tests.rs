//! The table against sums done by hand, and users' lists.

use llm_types::{Class, Rate, Totals, Usage, UsageSource};

use super::*;
use crate::catalogue;

/// 2026-11-21 12:00, a Saturday, and the Monday after at half past one.
const SATURDAY: u64 = 1_795_262_400;
const MONDAY: u64 = 1_795_397_400;

/// Tokens of one call, by class: totals, and the parts of them.
fn used(text: &str) -> Usage {
    let mut totals = Totals::default();
    for (name, n) in text.split_whitespace().map(|part| part.split_once(':').unwrap()) {
        let n: u64 = n.parse().unwrap();
        match name {
            "in" => totals.input = n,
            "out" => totals.output = n,
            "read" => totals.cache_read = Some(n),
            "5m" => totals.cache_write_5m = Some(n),
            "1h" => totals.cache_write_1h = Some(n),
            "audio" => totals.audio_input = Some(n),
            "image" => totals.image_input = Some(n),
            "think" => totals.reasoning = Some(n),
            "voice" => totals.audio_output = Some(n),
            _ => panic!("{name}"),
        }
    }
    Usage::from_totals(totals, UsageSource::Reported)
}

fn cost(table: &PriceTable, provider: &str, model: &str, usage: &str, tier: Option<&str>, at: u64) -> String {
    let cost = table.find(provider, model).and_then(|row| row.prices.cost(&used(usage), tier, at));
    cost.map_or("unknown".to_owned(), |cost| format!("{:#}", cost.total))
}

#[test]
fn the_table_agrees_with_sums_done_by_hand() {
    for (provider, model, usage, expected) in [
        // 1000 × 2.50 + 500 × 10.
        ("openai", "gpt-4o", "in:1000 out:500", "$0.0075"),
        // 400 fresh × 2.50 + 600 cached × 1.25 + 500 × 10; reasoning is part of the 500 already.
        ("openai", "GPT-4o-2024-08-06", "in:1000 out:500 read:600 think:300", "$0.00675"),
        ("openai", "gpt-4o-mini", "in:1000000 out:1000000", "$0.75"),
        ("openai", "gpt-4.1", "in:10 out:1 read:0 5m:0", "$0.000028"),
        ("openai", "o3", "in:100 out:1000 think:900", "$0.0082"),
        // Pictures cost what text does; sound does not, and its price is not in the list.
        ("openai", "gpt-4o", "in:1000 out:0 image:900", "$0.0025"),
        ("openai", "gpt-4o-audio-preview", "in:1000 out:10 audio:900", "unknown"),
        // 100 × 2.50 + 900 × 32 + 10 × 10 + 90 × 64.
        ("openai", "gpt-audio", "in:1000 out:100 audio:900 voice:90", "$0.03491"),
        ("openai", "text-embedding-3-small", "in:1000000 out:0", "$0.02"),
        // The whole of a long prompt costs more, and what is written, too.
        ("openai", "gpt-5.4", "in:272000 out:1000", "$0.695"),
        ("openai", "gpt-5.4", "in:272001 out:1000", "$1.382505"),
        // 4 fresh, 1 read, 2 for five minutes, 3 for an hour: 4 × 1 + 1 × 0.10 + 2 × 1.25 + 3 × 2 + 5 × 5.
        ("anthropic", "claude-haiku-4-5-20251001", "in:10 out:5 read:1 5m:2 1h:3 think:4", "$0.0000376"),
        ("anthropic", "claude-sonnet-4-5", "in:200000 out:1000 read:150000", "$0.21"),
        // 50001 × 6 + 150000 × 0.60 + 1000 × 22.50.
        ("anthropic", "claude-sonnet-4-5", "in:200001 out:1000 read:150000", "$0.412506"),
        ("anthropic", "claude-haiku-5-5", "in:100000 out:100", "$0.01005"),
        ("anthropic", "claude-haiku-5-5", "in:100001 out:100", "$0.0502505"),
        ("anthropic", "claude-3-5-haiku-20241022", "in:1000 out:1000", "$0.0048"),
        ("vertex", "anthropic/claude-opus-4-5@20251101", "in:1000 out:1000", "$0.03"),
        ("gemini", "gemini-2.5-pro", "in:200000 out:1000 think:800", "$0.26"),
        ("gemini", "models/gemini-2.5-pro", "in:200001 out:1000 think:800", "$0.5150025"),
        ("vertex", "google/gemini-2.5-pro", "in:1000 out:1000", "$0.01125"),
        // Sound at 1.00, text at 0.30.
        ("gemini", "gemini-2.5-flash", "in:1000 out:0 audio:400", "$0.00058"),
        ("gemini", "gemini-2.5-pro", "in:1000 out:0 audio:400 image:100", "$0.00125"),
        ("deepseek", "deepseek-v4-pro", "in:1000 out:1000 read:400", "$0.0023848"),
        ("groq", "llama-3.1-8b-instant", "in:1000000 out:1000000", "$0.13"),
        ("moonshot", "kimi-k2-0905-preview", "in:1000 out:1000 read:1000", "$0.00265"),
        ("zai", "glm-4.6", "in:1000 out:1000 read:500", "$0.002555"),
        ("xai", "grok-4.7", "in:199999 out:1", "$0.400004"),
        ("xai", "grok-4.7", "in:200000 out:1", "$0.800012"),
        ("openrouter", "openai/gpt-4o", "in:1000 out:500 read:600", "$0.00675"),
        ("openrouter", "anthropic/claude-sonnet-5.5", "in:100 out:10 5m:100", "$0.00035"),
        ("together", "meta-llama/Llama-3.3-70B-Instruct-Turbo", "in:1000 out:1000", "$0.00176"),
        ("fireworks", "accounts/fireworks/models/glm-5p2", "in:1000 out:1000", "$0.0058"),
        ("fireworks", "accounts/fireworks/models/gpt-oss-20b", "in:1000 out:1000", "$0.00037"),
        ("cerebras", "gpt-oss-120b", "in:1000 out:1000", "$0.0011"),
        // Nobody's prices are not nothing.
        ("openai", "gpt-4o-made-up", "in:1 out:1", "unknown"),
        ("openai-compatible", "gpt-4o", "in:1 out:1", "unknown"),
        ("ollama", "llama-3.1-8b-instant", "in:1 out:1", "unknown"),
        ("anthropic", "claude-2", "in:3 out:1 read:1 5m:1", "unknown"),
    ] {
        let found = cost(PriceTable::built_in(), provider, model, usage, None, SATURDAY);
        assert_eq!(found.trim_end_matches('0'), expected.trim_end_matches('0'), "{provider}/{model} {usage}");
    }
}

#[test]
fn tiers_dates_and_hours_change_the_price() {
    let day = 24 * 60 * 60;
    let tokens = "in:1000000 out:0";
    for (provider, model, tier, at, expected) in [
        ("openai", "gpt-5.4", None, SATURDAY, "$5.00"),
        ("openai", "gpt-5.4", Some("flex"), SATURDAY, "$2.50"),
        ("openai", "gpt-5.4", Some("priority"), SATURDAY, "$5.00"),
        ("openai", "gpt-5.4", Some("default"), SATURDAY, "$5.00"),
        ("openai", "gpt-4o-mini", Some("priority"), SATURDAY, "$0.25"),
        ("openai", "gpt-4o-mini", Some("batch"), SATURDAY, "$0.075"),
        ("openai", "gpt-4o-mini", Some("flex"), SATURDAY, "unknown"),
        ("anthropic", "claude-haiku-4-5", Some("batch"), SATURDAY, "$0.50"),
        ("anthropic", "claude-haiku-4-5", Some("standard"), SATURDAY, "$1.00"),
        // Dearer on workdays from one to four; cheaper by the day of a new list.
        ("deepseek", "deepseek-v4-pro", None, MONDAY, "$1.32"),
        ("deepseek", "deepseek-v4-pro", None, MONDAY - 2 * day, "$0.66"),
        ("deepseek", "deepseek-v4-pro", None, SATURDAY - 120 * day, "$0.435"),
        ("deepseek", "deepseek-v4-flash", None, SATURDAY - 90 * day, "$0.22"),
        ("deepseek", "deepseek-v4-flash", None, SATURDAY, "$0.15"),
        ("gemini", "gemini-3.8-flash", None, SATURDAY, "$0.75"),
        ("gemini", "gemini-3.8-flash", None, SATURDAY + 41 * day, "$1.50"),
        ("openrouter", "openai/gpt-4o", None, SATURDAY, "$2.50"),
    ] {
        let found = cost(PriceTable::built_in(), provider, model, tokens, tier, at);
        assert_eq!(found, expected, "{provider}/{model} {tier:?} {at}");
    }
}

#[test]
fn every_row_is_read_and_is_of_a_provider_that_we_know() {
    let table = PriceTable::built_in();
    let (mut rows, mut priced) = (0, 0);
    for (name, lazy) in &table.sections {
        lazy.parse().unwrap_or_else(|e| panic!("{name}: {e}"));
        assert!(catalogue::find(name).is_some(), "{name}");
        for row in lazy.read().names.rows() {
            rows += 1;
            assert!(table.find(name, &row.model).is_some(), "{name}/{}", row.model);
            for price in row.prices.all() {
                assert!(price.rates.of(Class::Input).is_some(), "{name}/{}", row.model);
                assert!(price.source.is_some() && price.as_of.is_some(), "{name}/{}", row.model);
                // The most that a token has ever cost is a thousandth of a dollar.
                assert!(price.rates.iter().all(|(_, rate)| rate.pico_per_token() < 1_000_000_000), "{name}");
            }
            priced += usize::from(row.prices.on(Day::of_unix(SATURDAY)).is_some());
        }
    }
    assert!(rows >= 1000, "{rows}");
    assert!(priced >= rows - 5, "{priced} of {rows} have a price today");
    assert!(include_str!("table.json").len() < 150_000);
    assert!(table.tells_cost("openrouter") && !table.tells_cost("openai") && !table.tells_cost("nobody"));
    for row in catalogue::all().iter().filter(|row| !row.key_required && row.sign_in.is_none()) {
        assert_eq!(table.rows(row.name).count(), 0, "{}: nobody's own server has a price", row.name);
    }
}

#[test]
fn a_users_list_is_read_in_our_own_shape() {
    let list = r#"{"as_of": "2026-11-01", "providers": {
        "Work": {"models": {
            "Big": {"names": ["large"], "begins": ["big-"], "input": "1.5", "output": 3},
            "two": {"prices": [{"input": 1, "output": 1}, {"from": "2026-11-21", "input": 2, "output": 2}]}}},
        "other": {"like": "work", "as_input": ["audio_input"], "models": {"own": {"input": 1, "source": "a letter"}}}}}"#;
    let table = PriceTable::parse(list, "/etc/prices.json").unwrap();
    for (provider, model, usage, expected) in [
        ("work", "LARGE", "in:1000000 out:1000000", "$4.50"),
        ("work", "big-2", "in:1000000 out:0", "$1.50"),
        ("other", "big", "in:1000000 out:0", "$1.50"),
        ("other", "own", "in:1000000 out:0 audio:500000", "$1.00"),
        ("other", "own", "in:1000000 out:1", "unknown"),
        ("work", "two", "in:1000000 out:0", "$2.00"),
        ("openai", "gpt-4o", "in:1 out:0", "unknown"),
    ] {
        assert_eq!(cost(&table, provider, model, usage, None, SATURDAY), expected, "{provider}/{model}");
    }
    assert_eq!(cost(&table, "work", "two", "in:1000000 out:0", None, SATURDAY - 24 * 60 * 60), "$1.00");
    let price = |model| table.find("other", model).unwrap().prices.all()[0].clone();
    assert_eq!(
        (price("own").source.as_deref(), price("big").source.as_deref()),
        (Some("a letter"), Some("/etc/prices.json"))
    );
    assert_eq!(price("own").as_of.unwrap().to_string(), "2026-11-01");
    assert_eq!(table.providers().collect::<Vec<_>>(), ["other", "work"]);
    assert_eq!(table.rows("other").map(|row| &*row.model).collect::<Vec<_>>(), ["own", "Big", "two"]);
}

#[test]
fn a_users_list_is_read_in_litellms_shape_to_the_last_digit() {
    let list = r#"{
        "sample_spec": {"input_cost_per_token": "a number"},
        "acme-1": {"input_cost_per_token": 2.5e-06, "output_cost_per_token": 0.00001, "litellm_provider": "openai",
            "cache_read_input_token_cost": 1.25e-6, "max_tokens": 4096, "mode": "chat",
            "input_cost_per_token_batches": 1.25e-06, "input_cost_per_token_priority": 5e-06,
            "cache_creation_input_token_cost": 3.125e-06, "cache_creation_input_token_cost_above_1hr": 5e-06},
        "gemini/long-1": {"input_cost_per_token": 1.25e-06, "output_cost_per_token": 1e-05, "litellm_provider": "gemini",
            "input_cost_per_token_above_200k_tokens": 2.5e-06, "output_cost_per_token_above_200k_tokens": 1.5e-05,
            "input_cost_per_token_priority": 2e-06, "input_cost_per_token_above_200k_tokens_priority": 4e-06,
            "input_cost_per_token_above_500k_tokens_priority": 8e-06},
        "vertex_ai/x": {"input_cost_per_token": 3e-07, "litellm_provider": "vertex_ai-language-models"},
        "together_ai/org/model": {"input_cost_per_token": 3e-07, "litellm_provider": "together_ai"},
        "anybodys": {"input_cost_per_token": 1e-12, "output_cost_per_token": null},
        "picture-1": {"output_cost_per_image": 0.04, "litellm_provider": "openai"}
    }"#;
    let table = PriceTable::parse(list, "their.json").unwrap();
    for (provider, model, usage, tier, expected) in [
        // 40 fresh × 2.5 + 60 cached × 1.25 + 10 × 10 millionths.
        ("openai", "acme-1", "in:100 out:10 read:60", None, "$0.000275"),
        ("openai", "acme-1", "in:10 out:0 5m:4 1h:6", None, "$0.0000425"),
        ("openai", "acme-1", "in:100 out:0", Some("batch"), "$0.000125"),
        ("openai", "acme-1", "in:100 out:0", Some("priority"), "$0.0005"),
        ("gemini", "long-1", "in:200000 out:0", None, "$0.25"),
        ("gemini", "long-1", "in:200001 out:1", None, "$0.5000175"),
        ("gemini", "long-1", "in:200000 out:0", Some("priority"), "$0.40"),
        ("gemini", "long-1", "in:300000 out:0", Some("priority"), "$1.20"),
        ("gemini", "long-1", "in:600000 out:0", Some("priority"), "$4.80"),
        ("gemini", "long-1", "in:600000 out:0", None, "$1.50"),
        ("together", "org/model", "in:10 out:0", None, "$0.000003"),
        ("mine", "anybodys", "in:1 out:0", None, "$0.000000000001"),
        ("mine", "anybodys", "in:1 out:1", None, "unknown"),
        ("openai", "picture-1", "in:1 out:0", None, "unknown"),
    ] {
        assert_eq!(
            cost(&table, provider, model, usage, tier, SATURDAY),
            expected,
            "{provider}/{model} {usage}"
        );
    }
    let row = table.find("vertex", "vertex_ai/x").unwrap();
    assert_eq!(row.prices.all()[0].rates.of(Class::Input), Some(Rate::from_pico_per_token(300_000)));
    assert_eq!(row.prices.all()[0].source.as_deref(), Some("their.json"));
}

#[test]
fn a_list_that_is_wrong_is_refused_with_its_place() {
    for (list, says) in [
        ("[]", "l.json: not a list of prices"),
        ("{", "l.json: not a list of prices"),
        (r#"{"m": 7}"#, "l.json: m: not a model's figures"),
        (r#"{"m": {"input_cost_per_token": -1}}"#, "l.json: m: input_cost_per_token: `-1` is not an amount"),
        (r#"{"m": {"input_cost_per_token": 1e12}}"#, "beyond reason"),
        (r#"{"providers": {"x": {"models": {"m": {"inptu": 1}}}}}"#, "l.json: x: m: unknown field `inptu`"),
        (r#"{"providers": {"x": {"model": {}}}}"#, "l.json: x: unknown field `model`"),
        (r#"{"providers": {"x": {"as_input": ["sound"], "models": {}}}}"#, "no class of tokens `sound`"),
        (r#"{"providers": {"x": {"models": {"m": {"prices": [], "input": 1}}}}}"#, "not both"),
        (r#"{"v": 2, "providers": {}}"#, "a version that this program does not know"),
    ] {
        let error = PriceTable::parse(list, "l.json").unwrap_err();
        assert!(error.message().contains(says), "{list}: {error}");
    }
}

#[test]
fn a_models_other_names_cost_the_same() {
    let table = PriceTable::built_in();
    for (provider, name, row) in [
        ("xai", "grok-4", "grok-4-0709"),
        ("openai", "gpt-4-0613", "gpt-4"),
        ("openai", "gpt-3.5-turbo-0125", "gpt-3.5-turbo"),
        ("openai", "gpt-5-chat-latest", "gpt-5"),
        ("anthropic", "claude-opus-4-20250514", "claude-opus-4-0"),
        ("gemini", "gemini-flash-latest", "gemini-3.8-flash"),
        ("mistral", "mistral-large-2411", "mistral-large"),
    ] {
        let price = |name: &str| table.find(provider, name).map(|found| found.prices.all().to_vec());
        assert!(price(row).is_some(), "{provider}/{row}");
        assert_eq!(price(name), price(row), "{provider}/{name}");
    }
}
