//! Prices: exact sums, conditions, dates, and what is refused.

use proptest::prelude::*;

use super::*;
use crate::usage::Totals;

fn price(json: &str) -> Price {
    serde_json::from_str(json).unwrap()
}

fn simple() -> Price {
    price(
        r#"{"input": "0.15", "output": 0.6, "cache_read": "0.075", "source": "a page", "as_of": "2026-02-24"}"#,
    )
}

fn usage(totals: Totals) -> Usage {
    Usage::from_totals(totals, UsageSource::Reported)
}

fn rate(pico: u64) -> Option<Rate> {
    Some(Rate::from_pico_per_token(pico))
}

#[test]
fn a_price_is_exact_and_says_where_it_comes_from() {
    assert_eq!(simple().rates.of(Class::Input), rate(150_000));
    let used = usage(Totals { input: 1000, output: 50, cache_read: Some(400), ..Totals::default() });
    let cost = simple().cost(&used).unwrap();
    // 600 × 0.15 + 400 × 0.075 + 50 × 0.6 dollars for a million.
    assert_eq!(cost.input.unwrap().pico(), 600 * 150_000 + 400 * 75_000);
    assert_eq!(cost.total.pico(), 120_000_000 + 50 * 600_000);
    assert_eq!(cost.total.to_string(), "$0.00015");
    assert_eq!(
        serde_json::to_string(&cost).unwrap(),
        r#"{"total_usd":"0.00015","input_usd":"0.00012","output_usd":"0.00003","usage":"reported","source":"a page","as_of":"2026-02-24"}"#
    );
    assert_eq!(serde_json::from_str::<Cost>(&serde_json::to_string(&cost).unwrap()).unwrap(), cost);
}

#[test]
fn an_unknown_price_is_unknown_and_not_zero() {
    let used = usage(Totals { input: 10, output: 5, cache_write_1h: Some(4), ..Totals::default() });
    assert_eq!(simple().cost(&used), None);
    assert_eq!(Price::default().cost(&usage(Totals { input: 1, ..Totals::default() })), None);
    assert_eq!(Price::default().estimate(1, 1), None);
    // A class that was reported as 0 needs no price.
    let none = usage(Totals { input: 10, cache_write_1h: Some(0), ..Totals::default() });
    assert_eq!(simple().cost(&none).unwrap().total.pico(), 1_500_000);
    assert!(!price(r#"{"input": "1"}"#).is_known());
}

#[test]
fn reasoning_and_cached_text_fall_back_to_output_and_input() {
    let flat: Price = "1/10".parse().unwrap();
    let totals =
        Totals { input: 100, output: 50, cache_read: Some(40), reasoning: Some(30), ..Totals::default() };
    let cost = flat.cost(&usage(totals)).unwrap();
    assert_eq!((cost.input.unwrap().pico(), cost.output.unwrap().pico()), (100_000_000, 500_000_000));
    let apart = Price { rates: flat.rates.with(Class::Reasoning, rate(20_000_000)), ..Price::default() };
    assert_eq!(apart.cost(&usage(totals)).unwrap().output.unwrap().pico(), 200_000_000 + 600_000_000);
    assert_eq!(apart.estimate(1, 2).unwrap().pico(), 1_000_000 + 40_000_000);
}

#[test]
fn the_last_rule_that_applies_counts_class_by_class() {
    let price = price(
        r#"{"input": "2", "output": "10", "cache_read": "0.2", "when": [
            {"above": 1000, "input": "4", "output": "15", "cache_read": "0.4"},
            {"tier": "batch", "input": "1", "output": "5"},
            {"tier": "batch", "above": 1000, "input": "2", "output": "7.5"},
            {"tier": "priority", "input": "8"}]}"#,
    );
    let shown = |class, input, tier| {
        let rate = price.rate(class, input, &Terms { tier, at: None });
        rate.map_or("unknown".to_owned(), |rate| rate.for_million().to_string())
    };
    for (class, input, tier, expected) in [
        (Class::Input, 1000, None, "$2.00"),
        (Class::Input, 1001, None, "$4.00"),
        (Class::CacheRead, 1001, None, "$0.40"),
        (Class::Reasoning, 1001, None, "$15.00"),
        (Class::Input, 1000, Some("batch"), "$1.00"),
        (Class::Input, 1001, Some("BATCH"), "$2.00"),
        // The batch says nothing of the cache.
        (Class::CacheRead, 1001, Some("batch"), "$0.40"),
        (Class::Input, 1001, Some("priority"), "$8.00"),
        (Class::Output, 1001, Some("priority"), "$15.00"),
        (Class::Input, 10, Some("default"), "$2.00"),
        (Class::Input, 10, Some("auto"), "$2.00"),
        (Class::Input, 10, Some("flex"), "unknown"),
        (Class::CacheWrite5m, 10, None, "unknown"),
    ] {
        assert_eq!(shown(class, input, tier), expected, "{class:?} {input} {tier:?}");
    }
    // A price that tells no tiers apart holds in all of them.
    let flat: Price = "1/2".parse().unwrap();
    assert_eq!(flat.rate(Class::Input, 1, &Terms { tier: Some("flex"), at: None }), rate(1_000_000));
    // Cached input counts for the length of the prompt, and the whole call costs more.
    let used = usage(Totals { input: 1001, output: 1, cache_read: Some(1000), ..Totals::default() });
    assert_eq!(price.cost(&used).unwrap().total.pico(), 4_000_000 + 1000 * 400_000 + 15_000_000);
}

#[test]
fn the_newest_price_that_has_begun_holds() {
    let prices: Prices = serde_json::from_str(
        r#"[{"from": "2026-09-10", "input": "3", "output": "3"}, {"input": "1", "output": "1", "cache_read": "0.5"},
            {"from": "2026-08-17", "input": "2", "output": "2"}]"#,
    )
    .unwrap();
    let used = usage(Totals { input: 1, cache_read: Some(1), ..Totals::default() });
    let day = 24 * 60 * 60;
    let august = 1_786_924_800;
    assert_eq!(Day::of_unix(august).to_string(), "2026-08-17");
    for (at, pico) in [
        (0, 500_000),
        (august - 1, 500_000),
        // The old price of cached text is gone.
        (august, 2_000_000),
        (august + 24 * day - 1, 2_000_000),
        (august + 24 * day, 3_000_000),
    ] {
        assert_eq!(prices.cost(&used, None, at).unwrap().total.pico(), pico, "{at}");
    }
    let later = Prices::from(Price { from: Some("2026-01-01".parse().unwrap()), ..simple() });
    assert_eq!(later.cost(&used, None, 0), None);
}

#[test]
fn hours_are_those_of_utc() {
    let price = price(
        r#"{"input": "1", "output": "1", "when": [{"hours": "01:00-04:00 mon-fri", "input": "2"}, {"hours": "22:00-00:30", "input": "3"}]}"#,
    );
    let monday = 1_795_392_000;
    let input = |at| price.rate(Class::Input, 1, &Terms { tier: None, at }).unwrap().pico_per_token();
    for (minute, pico) in [(0, 3), (30, 1), (59, 1), (60, 2), (239, 2), (240, 1), (22 * 60, 3)] {
        assert_eq!(input(Some(monday + minute * 60)), pico * 1_000_000, "{minute}");
    }
    assert_eq!(input(Some(monday - 23 * 60 * 60)), 1_000_000, "a Sunday");
    assert_eq!(input(None), 1_000_000);
    for text in ["", "1-2", "01:00", "01:00-25:00", "01:60-02:00", "01:00-02:00 sat", "+1:00-02:00"] {
        assert!(text.parse::<Hours>().is_err(), "{text}");
    }
}

#[test]
fn bad_prices_are_refused() {
    for json in [
        r#"{"input": "-1"}"#,
        r#"{"input": "0.0000001"}"#,
        r#"{"inptu": "1"}"#,
        r#"{"as_of": "yesterday"}"#,
        r#"{"as_of": "2026-13-01"}"#,
        r#"{"input": 99999999999999999999999}"#,
        r#"{"tier": "flex", "input": "1"}"#,
        r#"{"when": [{"input": "1"}]}"#,
        r#"{"when": [{"tier": "flex", "when": []  , "source": "x"}]}"#,
        r#"{"when": [{"hours": "soon"}]}"#,
    ] {
        assert!(serde_json::from_str::<Price>(json).is_err(), "{json}");
    }
    for text in ["", "1", "1/", "/1", "a/b", "1/2/3"] {
        assert!(text.parse::<Price>().is_err(), "{text}");
    }
}

#[test]
fn json_reads_back() {
    for json in [
        r#"{"input":"0.15","cache_read":"0.075","output":"0.60","source":"a page","as_of":"2026-02-24"}"#,
        r#"{"from":"2026-08-17","input":"1.00","when":[{"above":200000,"tier":"flex","hours":"01:00-04:00 mon-fri","input":"2.00"}]}"#,
    ] {
        assert_eq!(serde_json::to_string(&price(json)).unwrap(), json);
    }
    assert_eq!(price(&serde_json::to_string(&simple()).unwrap()), simple());
}

proptest! {
    #[test]
    fn no_token_is_counted_twice(
        [input, output, read, short, long, image, audio, thought, voice] in any::<[u32; 9]>(),
    ) {
        // One pico-dollar a token for every class: the cost is the number of tokens the vendor reported.
        let rates = Class::ALL.into_iter().fold(Rates::default(), |rates, class| rates.with(class, rate(1)));
        let price = Price { rates, ..Price::default() };
        let some = |n: u32| Some(u64::from(n));
        let used = usage(Totals {
            input: input.into(), output: output.into(), cache_read: some(read), cache_write_5m: some(short),
            cache_write_1h: some(long), image_input: some(image), audio_input: some(audio),
            reasoning: some(thought), audio_output: some(voice),
        });
        let cost = price.cost(&used).unwrap();
        prop_assert_eq!(
            (cost.input.unwrap().pico(), cost.output.unwrap().pico()),
            (u128::from(input), u128::from(output))
        );
    }

    /// Each class costs what its own tokens cost, and the sum is theirs.
    #[test]
    fn the_cost_is_the_sum_of_its_classes(tokens in any::<[u32; 9]>(), rates in any::<[u16; 9]>()) {
        let [a, b, c, d, e, f, g, h, i] = tokens.map(u64::from);
        let used = Usage {
            fresh_input: a, cache_read: Some(b), cache_write_5m: Some(c), cache_write_1h: Some(d),
            audio_input: Some(e), image_input: Some(f), plain_output: g, reasoning: Some(h),
            audio_output: Some(i), source: UsageSource::Reported,
        };
        let priced = Class::ALL.into_iter().zip(rates)
            .fold(Rates::default(), |all, (class, pico)| all.with(class, rate(pico.into())));
        let cost = Price { rates: priced, ..Price::default() }.cost(&used).unwrap();
        let expected: u128 = tokens.iter().zip(rates).map(|(n, pico)| u128::from(*n) * u128::from(pico)).sum();
        prop_assert_eq!(cost.total.pico(), expected);
    }
}
