//! Keys and their addresses, names, and clients that are made once.

use super::*;
use crate::prices::PriceTable;

static ACME: ProviderSpec = ProviderSpec {
    name: "acme",
    base_url: Some("https://api.acme.example/v1"),
    key_env: &["ACME_API_KEY"],
    key_required: true,
    hosts: &[".acme.example"],
    ..ProviderSpec::COMPATIBLE
};
static LOCAL: ProviderSpec = ProviderSpec {
    name: "local",
    base_url: Some("http://127.0.0.1:4711/v1"),
    key_env: &["LOCAL_API_KEY"],
    ..ProviderSpec::COMPATIBLE
};

fn keys() -> KeySupply {
    KeySupply::fixed("a test", vec![Secret::new("sk-1")])
}

/// The keys that would go to an address which one model has for itself.
fn sent(provider: &SpecProvider, url: Option<&str>) -> Result<usize, String> {
    let model = ModelConfig { base_url: url.map(str::to_owned), ..ModelConfig::new("m") };
    let address = Endpoint::parse(url.or(provider.base_url.as_deref()).unwrap()).unwrap();
    provider.keys_for(&model, &address).map(|keys| keys.len()).map_err(|e| e.to_string())
}

#[test]
fn a_key_stays_with_the_address_it_was_given_for() {
    let provider = SpecProvider::new(&ACME).with_keys(keys());
    for (url, count) in [
        (None, 1),
        (Some("https://api.acme.example/v2"), 1),
        (Some("https://eu.acme.example/v1"), 1),
        (Some("http://api.acme.example/v1"), 0),
        (Some("https://api.acme.example:8443/v1"), 0),
        (Some("https://api.acme.example.evil.test/v1"), 0),
        (Some("http://127.0.0.1:8000/v1"), 0),
    ] {
        assert_eq!(sent(&provider, url), Ok(count), "{url:?}");
    }
    let moved = provider.clone().with_base_url("https://gateway.test/v1");
    assert_eq!(sent(&moved, None), Ok(0));
    let given = moved.with_keys(keys());
    assert_eq!(sent(&given, None), Ok(1));
    assert_eq!(sent(&given, Some("https://gateway.test/other")), Ok(1));
    assert_eq!(
        sent(&given, Some("https://api.acme.example/v1")).unwrap_err(),
        "no key for acme: set ACME_API_KEY"
    );
    let nearer = provider.with_base_url("https://eu.acme.example/v1");
    assert_eq!(sent(&nearer, None), Ok(1));
}

#[test]
fn a_missing_key_says_what_to_set() {
    let bare = SpecProvider::new(&ACME);
    assert_eq!(sent(&bare, None).unwrap_err(), "no key for acme: set ACME_API_KEY");
    let work = bare.clone().with_name("work").with_key_advice("write api_key under [providers.work]");
    assert_eq!(sent(&work, None).unwrap_err(), "no key for work: write api_key under [providers.work]");
    let error = work.create_client(&ModelConfig::new("m")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Authentication);
    assert_eq!((error.provider(), error.model()), (Some("work"), Some("m")));
    // Somebody else's server may want none.
    assert_eq!(sent(&bare.with_base_url("http://127.0.0.1:8000/v1"), None), Ok(0));
    assert_eq!(sent(&SpecProvider::new(&LOCAL), None), Ok(0));
}

#[test]
fn a_key_that_nobody_asked_for_does_not_go_over_an_open_line() {
    let env = |name: &str| (name == "LOCAL_API_KEY").then(|| "sk-1".to_owned());
    let provider = SpecProvider::from_env(&LOCAL, &env);
    for (url, count) in
        [("http://127.0.0.1:4711/v1", 1), ("http://10.0.0.7:4711/v1", 0), ("https://local.test/v1", 1)]
    {
        let mut provider = provider.clone();
        provider.base_url = Some(url.into());
        assert_eq!(sent(&provider, None), Ok(count), "{url}");
        let mut allowed = provider.clone();
        allowed.settings.allow_http = true;
        assert_eq!(sent(&allowed, None), Ok(1), "{url}");
        assert_eq!(sent(&provider.with_keys(keys()), None), Ok(1), "{url}");
    }
}

#[test]
fn a_broken_variable_hurts_only_who_uses_it() {
    let env = |name: &str| (name == "ACME_API_KEY").then(|| "sk-canary\n".to_owned());
    let provider = SpecProvider::from_env(&ACME, &env);
    let error = provider.create_client(&ModelConfig::new("m")).unwrap_err();
    assert_eq!(
        error.to_string(),
        "ACME_API_KEY: the key has a line break at character 10; a key is made of visible ASCII characters only"
    );
    let other = ModelConfig { keys: Some(Vec::new()), ..ModelConfig::new("m") };
    provider.create_client(&other).unwrap();
    assert!(!format!("{provider:?}").contains("canary"));
}

#[test]
fn the_configured_name_is_shown_and_the_wire_name_sent() {
    let provider = SpecProvider::new(&LOCAL).with_name("mine");
    let model = ModelConfig { model: Some("vendor/big-model".into()), ..ModelConfig::new("big") };
    assert_eq!(provider.create_client(&model).unwrap().id(), "mine/big");
    assert_eq!(provider.create_client(&ModelConfig::new("a/b:c")).unwrap().id(), "mine/a/b:c");
}

#[test]
fn an_address_without_a_path_gets_its_owners() {
    let endpoint = |row: &str, url: &str| {
        let provider = SpecProvider::new(catalogue::find(row).unwrap()).with_base_url(url).with_keys(keys());
        provider.make(&ModelConfig::new("m"), None).unwrap().endpoint().to_owned()
    };
    for (row, url, base) in [
        ("groq", "https://api.groq.com", "https://api.groq.com/openai/v1"),
        ("zhipu", "https://open.bigmodel.cn/", "https://open.bigmodel.cn/api/paas/v4"),
        (
            "dashscope",
            "https://dashscope-intl.aliyuncs.com",
            "https://dashscope-intl.aliyuncs.com/compatible-mode/v1",
        ),
        ("perplexity", "https://api.perplexity.ai", "https://api.perplexity.ai"),
        ("deepseek", "https://api.deepseek.com/beta", "https://api.deepseek.com/beta"),
        ("azure", "https://mine.openai.azure.com/", "https://mine.openai.azure.com/openai/v1"),
        ("azure", "https://mine.openai.azure.com/openai", "https://mine.openai.azure.com/openai"),
        // Somebody else's server behind the vendor's name.
        ("groq", "https://gateway.test", "https://gateway.test/v1"),
        ("perplexity", "https://gateway.test", "https://gateway.test/v1"),
        // Nobody's name, and the vendor told by its host.
        ("openai-compatible", "https://api.groq.com", "https://api.groq.com/openai/v1"),
        ("openai-compatible", "http://127.0.0.1:4711", "http://127.0.0.1:4711/v1"),
    ] {
        assert_eq!(endpoint(row, url).trim_end_matches('/'), base, "{row} {url}");
    }
    for row in catalogue::all().iter().filter(|row| row.key_required) {
        let Some(url) = row.base_url else { continue };
        let path = Endpoint::parse(url).unwrap();
        let bare = url.strip_suffix(path.path()).filter(|_| path.path() != "/").unwrap_or(url);
        assert_eq!(endpoint(row.name, bare), endpoint(row.name, url), "{bare}");
    }
}

#[test]
fn each_models_address_tells_its_row_where_no_provider_is_named() {
    let at = |name: &str, url: &str| ModelConfig {
        base_url: Some(url.into()),
        keys: Some(vec![Secret::new("sk-1")]),
        ..ModelConfig::new(name)
    };
    let models = vec![at("a", "https://api.deepseek.com"), at("b", "https://gateway.test")];
    let provider = SpecProvider::create_from_config("acme", models).unwrap();
    let images = |name: &str| provider.client(name).unwrap().capabilities().images;
    assert_eq!((images("a"), images("b")), (Some(false), None));
}

#[test]
fn a_vendor_that_was_moved_keeps_its_price_and_says_so() {
    let row = crate::catalogue::all()
        .iter()
        .find(|row| PriceTable::built_in().rows(row.name).next().is_some())
        .unwrap();
    let listed = PriceTable::built_in().rows(row.name).next().unwrap();
    let price = |name: &str, url: Option<&str>| {
        let mut provider = SpecProvider::new(row).with_name(name);
        if let Some(url) = url {
            provider = provider.with_base_url(url);
        }
        let prices = provider.price_of(&ModelConfig::new(listed.model.as_ref()))?;
        let source = prices.all().first()?.source.as_deref().unwrap_or_default().to_owned();
        Some((prices.all().len(), source.contains("another address")))
    };
    let known = listed.prices.all().len();
    assert_eq!(price(row.name, None), Some((known, false)));
    assert_eq!(price(row.name, Some("http://127.0.0.1:4711/v1")), Some((known, true)));
    // A server under a name of the user's own has prices of its own, unless it is the vendor's.
    assert_eq!(price("mine", Some("http://127.0.0.1:4711/v1")), None);
    assert_eq!(price("mine", None), Some((known, false)));
}
