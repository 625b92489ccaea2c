//! Endpoints, pools, chains, budgets, limits and prices in the configuration.

use llm_types::ErrorKind;

use crate::support::Lab;

fn refused(text: &str) -> String {
    let lab = Lab::new().user(text);
    let error = lab.load().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config, "{text}");
    lab.plain(&error.to_string()).replace("~/.config/llm-rs/config.toml:", "")
}

#[test]
fn endpoints_pools_and_chains_make_one_client_each() {
    let lab = Lab::new().env("A", "sk-a").env("B", "sk-b").user(
        r#"
        max_retries = 1
        max_concurrent_calls = 50

        [providers.rack]
        strategy = "weighted"
        fallback = false
        pool = { max_concurrent_calls = 30, requests_per_minute = 600 }
        endpoints = [
          { base_url = "http://127.0.0.1:1/v1", api_key = { env = "A" }, weight = 2 },
          { base_url = "http://127.0.0.1:2/v1", api_keys = [{ env = "B" }], priority = 1, model = "there",
            max_concurrent_calls = 4, proxy = "none", extra = { x = 1 }, headers = { x-team = "a" } },
        ]
        [providers.rack.models.m]
        headers = { x-model = "m" }
        [providers.rack.models.apart]
        base_url = "http://127.0.0.1:3/v1"

        [providers.spread.models.m]
        endpoints = [{ base_url = "http://127.0.0.1:4/v1" }, { base_url = "http://127.0.0.1:5/v1", model = "m5" }]
        [providers.spread.models.n]
        base_url = "http://127.0.0.1:6/v1"
        api_key = { env = "B" }

        [pools.fast]
        members = ["rack/m", { model = "spread/m", weight = 3, priority = 1, max_concurrent_calls = 8 }, "spread/n"]
        strategy = "latency"
        max_concurrent_calls = 64
        requests_per_minute = 600
        max_retries = 0

        [chains.smart]
        models = ["fast", "apart"]
        on = { context_length = ["spread/n"], content_filter = ["pool/fast", "n"] }
        "#,
    );
    let loaded = lab.load().unwrap();
    assert_eq!(loaded.warnings, Vec::<String>::new());
    let ids: Vec<String> = loaded.manager.models().into_iter().map(|model| model.id).collect();
    assert_eq!(ids, ["rack/m", "rack/apart", "spread/m", "spread/n", "pool/fast", "chain/smart"]);
    for (name, id) in [
        ("rack/m", "rack/m"),
        ("rack/other", "rack/other"),
        ("spread/m", "spread/m"),
        ("fast", "pool/fast"),
        ("pool/fast", "pool/fast"),
        ("smart", "chain/smart"),
        ("apart", "rack/apart"),
    ] {
        assert_eq!(loaded.manager.client(name).unwrap().id(), id);
    }
    let told = |name: &str| {
        let choice = loaded.choose(Some(name)).unwrap();
        (choice.address, choice.key_by)
    };
    let at = |port: u16| Some(format!("http://127.0.0.1:{port}/v1"));
    let key = |name: &str| Some(name.to_owned());
    assert_eq!(told("rack/m"), (at(1), key("A")));
    assert_eq!(told("rack/apart"), (at(3), None));
    assert_eq!(told("spread/m"), (at(4), None));
    assert_eq!(told("spread/n"), (at(6), key("B")));
    assert_eq!(told("smart"), (None, None));
    // Another address is asked for: the endpoints are out of it, and so are their keys.
    let mut lab = lab;
    lab.args.base_url = Some("http://127.0.0.1:9/v1".into());
    let loaded = lab.load().unwrap();
    let choice = loaded.choose(Some("rack/m")).unwrap();
    assert_eq!((choice.address.clone(), choice.key_by.clone()), (at(9), None));
    assert_eq!(loaded.client(&choice).unwrap().id(), "rack/m");
}

#[test]
fn a_pool_may_be_named_like_the_model_it_serves() {
    let lab = Lab::new().user(
        "[providers.a]\nbase_url = 'http://127.0.0.1:1'\n[providers.a.models.qwen]\n[providers.b]\nbase_url = \
         'http://127.0.0.1:2'\n[providers.b.models.qwen]\n[pools.qwen]\nmembers = ['a/qwen', 'b/qwen']",
    );
    assert_eq!(lab.load().unwrap().manager.client("qwen").unwrap().id(), "pool/qwen");
}

#[test]
fn a_bad_group_is_refused_with_its_place() {
    let two = "[providers.a]\nbase_url = 'http://127.0.0.1:1'\n[providers.a.models]\nm = {}\nn = {}\n";
    for (text, message) in [
        ("[pools.p]", "6: [pools.p] needs members: a list of models"),
        ("[pools.p]\nmembers = []", "7: pools.p.members: the list is empty"),
        ("[pools.p]\nmembers = ['m', 'm']", "7: pools.p.members: `m` stands here a second time"),
        ("[pools.p]\nmembers = ['m', 'a/m']", "7: `a/m` and `m` are the same model, a/m: name it once"),
        ("[pools.p]\nmembers = ['a/m', 'mm']", "7: there is no model `mm`; did you mean `m`?"),
        ("[pools.p]\nmembers = [{ weight = 2 }]", "7: pools.p.members[0] needs a model"),
        (
            "[pools.p]\nmembers = [{ model = 'm', weight = 0 }]",
            "7: pools.p.members[0].weight: a weight is a whole number from 1 up",
        ),
        (
            "[pools.p]\nmembers = [{ model = 'm', weight = -1 }]",
            "7: pools.p.members[0].weight: a weight is a whole number from 1 up",
        ),
        (
            "[pools.p]\nmembers = [{ model = 'm', wieght = 1 }]",
            "7: unknown key `wieght` in [pools.p.members[0]]; did you mean `weight`?",
        ),
        (
            "[pools.p]\nmembers = ['m']\nstrategy = 'round-robin'",
            "8: pools.p.strategy: `round-robin` is not a strategy; did you mean `round_robin`?",
        ),
        (
            "[pools.p]\nmembers = ['m']\nstrategy = 'best'",
            "8: pools.p.strategy: `best` is not a strategy; allowed are round_robin, weighted, random, fallback, \
             least_busy, latency",
        ),
        (
            "[pools.p]\nmembers = ['m']\nfallback = 1",
            "8: pools.p.fallback: a number stands here, true or false is wanted",
        ),
        (
            "[pools.p]\nmembers = ['m']\nproxy = 'none'",
            "8: unknown key `proxy` in [pools.p]; allowed are members, strategy, fallback, max_concurrent_calls, \
             requests_per_minute, tokens_per_minute, max_retries, backoff_base_ms …",
        ),
        (
            "[pools.p]\nmembers = [{ model = 'm', max_concurrent_calls = 9 }]\nmax_concurrent_calls = 4",
            "7: `m` has max_concurrent_calls = 9, which the whole pool's 4 never lets it reach",
        ),
        (
            "[pools.p]\nmembers = ['m']\nbackoff_base_ms = 90000",
            "pool/p: backoff_base_ms: `90000` is not at most backoff_cap_ms (60000)",
        ),
        (
            "[pools.\"x/y\"]\nmembers = ['m']",
            "6: \"x/y\" cannot name a pool: a name has no `/`, no `:` and no space, and is not empty",
        ),
        (
            "[pools.a]\nmembers = ['m']",
            "6: `a` names a provider already (~/.config/llm-rs/config.toml:1); give a pool another name",
        ),
        (
            "[aliases]\nx = 'm'\n[pools.x]\nmembers = ['m']",
            "8: `x` names an alias already (~/.config/llm-rs/config.toml:7); give a pool another name",
        ),
        (
            "[pools.x]\nmembers = ['m']\n[chains.x]\nmodels = ['m']",
            "8: `x` names a pool already (~/.config/llm-rs/config.toml:6); give a chain another name",
        ),
        (
            "[providers.pool]\nbase_url = 'http://h'",
            "6: `pool` cannot name a provider: it is the word before the names of [pools]",
        ),
        ("[pools.p]\nmembers = ['p']", "7: pools and chains go round in a circle: pool/p → pool/p"),
        (
            "[aliases]\nfine = 'chain/c'\n[pools.p]\nmembers = ['m', 'fine']\n[chains.c]\nmodels = ['n']\n\
             on = { content_filter = ['p'] }",
            "12: pools and chains go round in a circle: pool/p → chain/c → pool/p",
        ),
        ("[pools.p]\nmembers = ['pool/q']", "7: there is no pool `q`"),
        ("[chains.c]", "6: [chains.c] needs models: a list, the first one first"),
        ("[chains.c]\nmodels = ['m', 'm']", "7: chains.c.models: `m` stands here a second time"),
        (
            "[chains.c]\nmodels = ['m']\non = { context_lenght = ['n'] }",
            "8: `context_lenght` is not a cause; did you mean `context_length`?",
        ),
        (
            "[chains.c]\nmodels = ['m']\non = { content_filter = [] }",
            "8: chains.c.on.content_filter: the list is empty",
        ),
        ("[aliases]\nx = 'nothing'", "7: `x` leads nowhere: there is no model `nothing`"),
        (
            "[providers.b]\nbase_url = 'http://h'\nstrategy = 'random'",
            "8: providers.b.strategy: this is about several endpoints, and there is no `endpoints` beside it",
        ),
        (
            "[providers.b]\nendpoints = [{ base_url = 'http://h' }]\npool = { max_connections = 1 }",
            "8: unknown key `max_connections` in [providers.b.pool]; allowed are max_concurrent_calls, requests_per_minute, \
             tokens_per_minute, max_retries, backoff_base_ms, backoff_cap_ms, retry_after_cap_secs, deadline_secs",
        ),
        (
            "[providers.b]\nendpoints = [{ base_url = 'http://h' }, { base_url = 'http://h', weight = 2 }]",
            "7: providers.b.endpoints[1]: this is providers.b.endpoints[0] again: the same address, model and keys",
        ),
        ("[providers.b.models.m]\nmax_retries = 1", "6: [providers.b] needs base_url: where is it?"),
        (
            "[providers.b]\nbase_url = 'http://h'\nheaders = { 'a b' = 'x' }",
            "8: providers.b.headers.\"a b\": this is no name of a header: letters, digits and hyphens",
        ),
        (
            "[providers.b]\nbase_url = 'http://h'\nheaders = { x = \"a\\nb\" }",
            "8: providers.b.headers.x: a header's value has visible ASCII characters and spaces only",
        ),
    ] {
        let found = refused(&format!("{two}{text}"));
        assert_eq!(found, message.replace("(~/.config/llm-rs/config.toml:", "("), "{text}");
    }
}

#[test]
fn towers_of_pools_are_bounded_and_wide_ones_are_checked_once() {
    let head = "[providers.a]\nbase_url = 'http://127.0.0.1:1'\n[providers.a.models.m]\n";
    let tower = |levels: usize| {
        let level = |n: usize| match n {
            0 => "[pools.p0]\nmembers = ['m']\n".to_owned(),
            n => format!("[pools.p{n}]\nmembers = ['m', 'p{}']\n", n - 1),
        };
        format!("{head}{}", (0..levels).rev().map(level).collect::<String>())
    };
    Lab::new().user(&tower(16)).load().unwrap();
    let found = refused(&tower(17));
    assert!(found.ends_with("pools and chains nest deeper than 16"), "{found}");
    // Every pool of a floor holds every pool of the floor below: 30^12 ways down.
    let mut wide = head.to_owned();
    for floor in 0..12 {
        let below: Vec<String> = match floor {
            0 => vec!["'m'".to_owned()],
            floor => (0..30).map(|n| format!("'f{}x{n}'", floor - 1)).collect(),
        };
        wide.extend((0..30).map(|n| format!("[pools.f{floor}x{n}]\nmembers = [{}]\n", below.join(", "))));
    }
    let loaded = Lab::new().user(&wide).load().unwrap();
    assert_eq!(loaded.manager.client("f11x0").unwrap().id(), "pool/f11x0");
}

#[test]
fn a_bad_budget_limit_or_price_is_refused_with_its_place() {
    for (text, message) in [
        ("[budgets.b]", "1: [budgets.b] needs max_cost_usd or max_tokens"),
        (
            "[budgets.b]\nmax_cost = 1",
            "1: [budgets.b] needs max_cost_usd or max_tokens; `max_cost` is not one",
        ),
        (
            "[budgets.b]\nmax_cost_usd = -1",
            "2: budgets.b.max_cost_usd: `-1` is not an amount of US dollars: a decimal number from 0 up, such as 0.15, \
             with at most 12 places",
        ),
        ("[budgets.b]\nmax_tokens = 0", "2: budgets.b.max_tokens: `0` is not a whole number from 1 up"),
        (
            "[budgets.b]\nmax_tokens = 1\nper = 'tag:'",
            "3: budgets.b.per: `tag:` is not client, job or tag:NAME",
        ),
        (
            "[budgets.b]\nmax_tokens = 1\nper = 'jobs'",
            "3: budgets.b.per: `jobs` is not client, job or tag:NAME; did you mean `job`?",
        ),
        ("[budgets.b]\nmax_tokens = 1\nmodels = ['nothing']", "3: there is no model `nothing`"),
        ("[limits.l]", "1: [limits.l] needs max_concurrent_calls, requests_per_minute or tokens_per_minute"),
        (
            "[limits.l]\nmax_concurrent_calls = 1\nrequests_burst = 2",
            "3: limits.l.requests_burst: it is of no use without requests_per_minute",
        ),
        (
            "[limits.l]\nmax_concurrent_calls = 0",
            "2: limits.l.max_concurrent_calls: `0` is not a whole number from 1 up",
        ),
        (
            "[limits.team]\nmax_concurrent_calls = 1\n[providers.openai]\nlimit = 'taem'",
            "4: there is no limit `taem`; did you mean `team`?",
        ),
        ("[providers.openai]\nlimit = 'x'", "2: there is no limit `x`; declare it as [limits.x]"),
        (
            "[providers.openai.models.x]\nprice = { input = 1 }",
            "2: providers.openai.models.x.price: a price has input and output",
        ),
        (
            "[providers.openai.models.x]\nprice = { input = 1, output = 2, cached = 1 }",
            "2: unknown key `cached` in [providers.openai.models.x.price]; allowed are input, output, cache_read, \
             cache_write_5m, cache_write_1h, reasoning, audio_input, image_input …",
        ),
        (
            "[providers.openai.models.x]\nprice = { input = 0.00000001, output = 2 }",
            "2: providers.openai.models.x.price.input: $0.00000001 for a million tokens is finer than a millionth of a \
             dollar, or beyond reason",
        ),
        (
            "[providers.openai.models.x]\nprice = { input = 1, output = 2, when = [{ input = 3 }] }",
            "2: providers.openai.models.x.price.when: a rule needs a condition: `above`, `tier` or `hours`",
        ),
        (
            "[providers.openai.models.x]\nprice = { input = 1, output = 2, when = [{ above = 3, ouput = 3 }] }",
            "2: providers.openai.models.x.price.when: unknown field `ouput`, expected one of `input`, `output`, \
             `cache_read`, `cache_write_5m`, `cache_write_1h`, `reasoning`, `audio_input`, `image_input`, \
             `audio_output`, `when`, `from`, `source`, `as_of`, `above`, `tier`, `hours`",
        ),
    ] {
        assert_eq!(refused(text), message, "{text}");
    }
}
