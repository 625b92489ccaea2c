//! What `-m`, `--base-url`, `--api-key` and the variables beside them mean together.

use llm_types::ErrorKind;

use crate::support::Lab;

const FILE: &str = r#"
default = "fast"
[aliases]
fast = "local/qwen"
[providers.local]
base_url = "http://127.0.0.1:8000/v1"
api_key = { env = "LOCAL_KEY" }
[providers.local.models.qwen]
model = "Qwen/Qwen3-8B"
[providers.local.models.other]
"#;

/// Every key there is, so that a wrong one would be seen.
fn lab() -> Lab {
    Lab::new()
        .env("LOCAL_KEY", "sk-local")
        .env("OPENAI_API_KEY", "sk-openai")
        .env("DEEPSEEK_API_KEY", "sk-deepseek")
}

const MINE: &str = "https://10.0.0.1/v1";
const OLD: &str = "https://10.0.0.2/v1";
const FLAG: &str = "https://10.0.0.3/v1";

struct Case {
    env: &'static [(&'static str, &'static str)],
    base_url: Option<&'static str>,
    api_key: Option<&'static str>,
    model: Option<&'static str>,
    /// id, wire, address, key
    chosen: (&'static str, &'static str, &'static str, Option<&'static str>),
}

fn check(lab: impl Fn() -> Lab, cases: &[Case]) {
    for (at, case) in cases.iter().enumerate() {
        let mut lab = case.env.iter().fold(lab(), |lab, (name, value)| lab.env(name, value));
        lab.args.base_url = case.base_url.map(str::to_owned);
        lab.args.api_key = case.api_key.map(str::to_owned);
        let loaded = lab.load().unwrap();
        let choice = loaded.choose(case.model).unwrap_or_else(|e| panic!("case {at}: {e}"));
        let address = choice.address.clone().unwrap_or_default();
        let found = (&*choice.id, &*choice.wire, &*address, choice.key_by.as_deref());
        assert_eq!(found, case.chosen, "case {at}: {:?}", (case.env, case.base_url, case.model));
        assert_eq!(loaded.client(&choice).unwrap().id(), choice.id, "case {at}");
    }
}

const LOCAL: &str = "http://127.0.0.1:8000/v1";
const OPENAI: &str = "https://api.openai.com/v1";

#[test]
fn with_an_address_a_bare_name_is_the_name_on_the_wire_and_gets_only_its_own_key() {
    let case =
        |env, api_key, model, chosen| Case { env, base_url: Some(FLAG), api_key, model: Some(model), chosen };
    check(
        || lab().user(FILE),
        &[
            case(&[], None, "m", ("openai-compatible/m", "m", FLAG, None)),
            case(&[], None, "gpt-4o", ("openai-compatible/gpt-4o", "gpt-4o", FLAG, None)),
            case(&[], None, "meta-llama/x", ("openai-compatible/meta-llama/x", "meta-llama/x", FLAG, None)),
            case(&[], None, "llama3:8b", ("openai-compatible/llama3:8b", "llama3:8b", FLAG, None)),
            // Also where the configuration knows such a name.
            case(&[], None, "qwen", ("openai-compatible/qwen", "qwen", FLAG, None)),
            case(&[], None, "fast", ("openai-compatible/fast", "fast", FLAG, None)),
            case(&[], Some("sk-flag"), "m", ("openai-compatible/m", "m", FLAG, Some("--api-key"))),
            case(
                &[("LLM_RS_API_KEY", "k")],
                None,
                "m",
                ("openai-compatible/m", "m", FLAG, Some("LLM_RS_API_KEY")),
            ),
            case(
                &[("LLM_RS_API_KEY", "k")],
                Some("f"),
                "m",
                ("openai-compatible/m", "m", FLAG, Some("--api-key")),
            ),
            case(
                &[("FLEXLLM_API_KEY", "k")],
                None,
                "m",
                ("openai-compatible/m", "m", FLAG, Some("FLEXLLM_API_KEY")),
            ),
            // That key belongs to the address beside it.
            case(
                &[("FLEXLLM_API_KEY", "k"), ("FLEXLLM_BASE_URL", OLD)],
                None,
                "m",
                ("openai-compatible/m", "m", FLAG, None),
            ),
            // A provider that is named speaks as it does and gets no key but one from the command line.
            case(&[("LLM_RS_API_KEY", "k")], None, "openai/gpt-x", ("openai/gpt-x", "gpt-x", FLAG, None)),
            case(&[], Some("f"), "openai/gpt-x", ("openai/gpt-x", "gpt-x", FLAG, Some("--api-key"))),
            case(&[], None, "local/qwen", ("local/qwen", "Qwen/Qwen3-8B", FLAG, None)),
            case(&[], None, "vllm/openai/gpt-oss", ("vllm/openai/gpt-oss", "openai/gpt-oss", FLAG, None)),
        ],
    );
}

#[test]
fn the_address_tells_whose_key_and_whose_ways() {
    let case =
        |base_url, env, model, chosen| Case { env, base_url: Some(base_url), api_key: None, model, chosen };
    const DEEPSEEK: &str = "https://api.deepseek.com/v1";
    const EU: &str = "https://eu.api.openai.com/v1";
    check(
        || lab().user(FILE),
        &[
            case(OPENAI, &[], Some("m"), ("openai/m", "m", OPENAI, Some("OPENAI_API_KEY"))),
            case(EU, &[], Some("m"), ("openai/m", "m", EU, Some("OPENAI_API_KEY"))),
            case(EU, &[], Some("openai/m"), ("openai/m", "m", EU, Some("OPENAI_API_KEY"))),
            case(DEEPSEEK, &[], Some("m"), ("deepseek/m", "m", DEEPSEEK, Some("DEEPSEEK_API_KEY"))),
            case(
                OPENAI,
                &[("LLM_RS_API_KEY", "k")],
                Some("m"),
                ("openai/m", "m", OPENAI, Some("LLM_RS_API_KEY")),
            ),
            // The vendor's own key first; the older tool's is read last.
            case(
                OPENAI,
                &[("FLEXLLM_API_KEY", "k")],
                Some("m"),
                ("openai/m", "m", OPENAI, Some("OPENAI_API_KEY")),
            ),
            // One vendor's key does not go to another.
            case(OPENAI, &[], Some("local/qwen"), ("local/qwen", "Qwen/Qwen3-8B", OPENAI, None)),
            case(
                "http://api.openai.com/v1",
                &[],
                Some("m"),
                ("openai-compatible/m", "m", "http://api.openai.com/v1", None),
            ),
            // The same server under another path.
            case(
                "http://127.0.0.1:8000/v2",
                &[],
                Some("local/qwen"),
                ("local/qwen", "Qwen/Qwen3-8B", "http://127.0.0.1:8000/v2", Some("LOCAL_KEY")),
            ),
            // Without a name it is the default of the files, whose names are the files' own.
            case(FLAG, &[], None, ("local/qwen", "Qwen/Qwen3-8B", FLAG, None)),
            case(
                FLAG,
                &[("LLM_RS_API_KEY", "k")],
                None,
                ("local/qwen", "Qwen/Qwen3-8B", FLAG, Some("LLM_RS_API_KEY")),
            ),
            case(FLAG, &[("LLM_RS_MODEL", "m")], None, ("openai-compatible/m", "m", FLAG, None)),
        ],
    );
}

#[test]
fn our_variables_serve_a_bare_or_default_model_only() {
    const BOTH: &[(&str, &str)] = &[("LLM_RS_BASE_URL", MINE), ("LLM_RS_API_KEY", "k")];
    const KEY: &[(&str, &str)] = &[("LLM_RS_API_KEY", "k")];
    let case = |env, model, chosen| Case { env, base_url: None, api_key: None, model, chosen };
    let ours = Some("LLM_RS_API_KEY");
    check(
        || lab().user(FILE),
        &[
            case(BOTH, Some("m"), ("openai-compatible/m", "m", MINE, ours)),
            case(BOTH, Some("gpt-4o"), ("openai-compatible/gpt-4o", "gpt-4o", MINE, ours)),
            case(BOTH, None, ("local/qwen", "Qwen/Qwen3-8B", MINE, ours)),
            // A provider that -m names, and a name that the files know.
            case(BOTH, Some("openai/m"), ("openai/m", "m", OPENAI, Some("OPENAI_API_KEY"))),
            case(BOTH, Some("local/qwen"), ("local/qwen", "Qwen/Qwen3-8B", LOCAL, Some("LOCAL_KEY"))),
            case(BOTH, Some("qwen"), ("local/qwen", "Qwen/Qwen3-8B", LOCAL, Some("LOCAL_KEY"))),
            case(BOTH, Some("fast"), ("local/qwen", "Qwen/Qwen3-8B", LOCAL, Some("LOCAL_KEY"))),
            case(KEY, Some("gpt-4o"), ("openai/gpt-4o", "gpt-4o", OPENAI, ours)),
            case(KEY, Some("openai/gpt-4o"), ("openai/gpt-4o", "gpt-4o", OPENAI, Some("OPENAI_API_KEY"))),
            case(KEY, None, ("local/qwen", "Qwen/Qwen3-8B", LOCAL, ours)),
            case(&[], None, ("local/qwen", "Qwen/Qwen3-8B", LOCAL, Some("LOCAL_KEY"))),
            // Ours goes before the default of the files.
            case(&[("LLM_RS_MODEL", "other")], None, ("local/other", "other", LOCAL, Some("LOCAL_KEY"))),
            case(
                &[("LLM_RS_MODEL", "openai/m"), ("LLM_RS_BASE_URL", MINE), ("LLM_RS_API_KEY", "k")],
                None,
                ("openai/m", "m", MINE, ours),
            ),
            case(
                &[("LLM_RS_MODEL", "m"), ("LLM_RS_BASE_URL", MINE)],
                None,
                ("openai-compatible/m", "m", MINE, None),
            ),
            // Empty is unset.
            case(
                &[("LLM_RS_BASE_URL", " "), ("LLM_RS_API_KEY", "")],
                Some("gpt-4o"),
                ("openai/gpt-4o", "gpt-4o", OPENAI, Some("OPENAI_API_KEY")),
            ),
        ],
    );
}

#[test]
fn the_older_tools_variables_are_read_last() {
    const OLDER: &[(&str, &str)] =
        &[("FLEXLLM_BASE_URL", OLD), ("FLEXLLM_API_KEY", "k"), ("FLEXLLM_MODEL", "openai/gpt-oss")];
    let case = |env, model, chosen| Case { env, base_url: None, api_key: None, model, chosen };
    let older = Some("FLEXLLM_API_KEY");
    check(
        lab,
        &[
            // Its names are names on the wire.
            case(OLDER, None, ("openai-compatible/openai/gpt-oss", "openai/gpt-oss", OLD, older)),
            case(OLDER, Some("m"), ("openai-compatible/m", "m", OLD, older)),
            case(OLDER, Some("openai/m"), ("openai/m", "m", OPENAI, Some("OPENAI_API_KEY"))),
            case(
                &[("FLEXLLM_MODEL", "gpt-4o")],
                None,
                ("openai/gpt-4o", "gpt-4o", OPENAI, Some("OPENAI_API_KEY")),
            ),
            case(
                &[("FLEXLLM_BASE_URL", OLD), ("FLEXLLM_API_KEY", "k"), ("LLM_RS_BASE_URL", MINE)],
                Some("m"),
                ("openai-compatible/m", "m", MINE, None),
            ),
            case(
                &[("FLEXLLM_BASE_URL", OLD), ("LLM_RS_API_KEY", "k")],
                Some("m"),
                ("openai-compatible/m", "m", OLD, Some("LLM_RS_API_KEY")),
            ),
            case(
                &[("FLEXLLM_BASE_URL", OLD), ("LLM_RS_MODEL", "openai/m")],
                None,
                ("openai/m", "m", OPENAI, Some("OPENAI_API_KEY")),
            ),
        ],
    );
    check(
        || lab().user(FILE),
        &[case(OLDER, None, ("local/qwen", "Qwen/Qwen3-8B", LOCAL, Some("LOCAL_KEY")))],
    );
    check(
        || Lab::new().env("FLEXLLM_API_KEY", "k"),
        &[case(&[], Some("gpt-4o"), ("openai/gpt-4o", "gpt-4o", OPENAI, older))],
    );
}

#[test]
fn who_said_what_can_be_told() {
    let mut lab = lab().user(FILE).env("LLM_RS_MAX_RETRIES", "7").env("LLM_RS_BASE_URL", MINE);
    lab.args.sets = vec![("http2".into(), "off".into())];
    let loaded = lab.load().unwrap();
    let choice = loaded.choose(None).unwrap();
    assert_eq!(lab.plain(&choice.named_by), "~/.config/llm-rs/config.toml:2");
    assert_eq!(choice.address_by.as_deref(), Some("LLM_RS_BASE_URL"));
    let set: Vec<_> = choice.settings.iter().map(|set| (set.key, &*set.value, &*set.origin)).collect();
    assert_eq!(set, [("max_retries", "7", "LLM_RS_MAX_RETRIES"), ("http2", "off", "--set http2")]);
    assert_eq!(loaded.choose(Some("openai/x")).unwrap().named_by, "-m");
    let (name, by) = loaded.default_model().unwrap();
    assert_eq!((&*name, lab.plain(&by)), ("fast", "~/.config/llm-rs/config.toml:2".to_owned()));
}

#[test]
fn the_only_configured_model_needs_no_default() {
    let one = "[providers.local]\nbase_url = 'http://127.0.0.1:8000/v1'\n[providers.local.models.m]";
    let lab = Lab::new().user(one).env("FLEXLLM_MODEL", "gpt-4o");
    let loaded = lab.load().unwrap();
    assert_eq!(loaded.choose(None).unwrap().id, "local/m");
    assert_eq!(loaded.default_model(), Some(("local/m".into(), "the only configured model".into())));
}

#[test]
fn without_a_model_the_ways_to_name_one_are_told() {
    let told = |lab: Lab| {
        let error = lab.load().unwrap().choose(None).unwrap_err();
        assert_eq!((error.kind(), error.message()), (ErrorKind::Config, "no model is named"));
        lab.plain(error.hint().unwrap())
    };
    let ways = "name one with -m, in LLM_RS_MODEL, or as `default` in ~/.config/llm-rs/config.toml";
    assert_eq!(told(Lab::new()), ways);
    assert_eq!(
        told(Lab::new().env("DEEPSEEK_API_KEY", "k")),
        format!("{ways}; DEEPSEEK_API_KEY is set, so `-m deepseek/deepseek-chat` would work")
    );
    let two = "[providers.openai.models.a]\n[providers.openai.models.b]";
    assert_eq!(told(Lab::new().user(two)), format!("{ways}; configured are openai/a, openai/b"));
}

#[test]
fn what_is_wrong_with_a_choice_is_said() {
    let refused = |lab: &Lab, model: &str| {
        let loaded = lab.load().unwrap();
        let client = loaded.choose(Some(model)).and_then(|choice| loaded.client(&choice));
        let error = client.unwrap_err();
        (error.kind(), lab.plain(&error.to_string()))
    };
    let mut lab = Lab::new();
    assert_eq!(refused(&lab, "gpt-4o").0, ErrorKind::Authentication);
    assert_eq!(refused(&lab, "nosuch"), (ErrorKind::ModelNotFound, "there is no model `nosuch`".into()));
    lab.args.api_key = Some("sk-canary\r\n".into());
    let (kind, message) = refused(&lab, "gpt-4o");
    assert_eq!(
        (kind, &*message),
        (
            ErrorKind::Config,
            "--api-key: the key has a line break at character 10; a key is made of visible ASCII characters only"
        )
    );
    lab.args.api_key = None;
    lab.args.base_url = Some("localhost:8000/v1".into());
    assert_eq!(
        refused(&lab, "m"),
        (
            ErrorKind::Config,
            "--base-url: the URL has no scheme: did you mean http://localhost:8000/v1?".into()
        )
    );
    lab.args.base_url = Some("https://api.openai.com/v1".into());
    let (kind, message) = refused(&lab, "m");
    assert_eq!(
        (kind, message.starts_with("no key for openai: set OPENAI_API_KEY")),
        (ErrorKind::Authentication, true)
    );
    let lab = Lab::new().env("LLM_RS_API_KEY", "a b").env("LLM_RS_BASE_URL", MINE);
    assert!(refused(&lab, "m").1.starts_with("LLM_RS_API_KEY: the key has a space at character 2"));
}

#[test]
fn a_key_on_the_command_line_works_and_warns() {
    let mut lab = Lab::new();
    lab.args.api_key = Some("sk-canary".into());
    let loaded = lab.load().unwrap();
    assert_eq!(loaded.choose(Some("openai/x")).unwrap().key_by.as_deref(), Some("--api-key"));
    assert_eq!(
        loaded.warnings,
        [
            "a key on the command line can be seen by other users of this machine; LLM_RS_API_KEY or the configuration \
             keeps it to you"
        ]
    );
    assert!(!format!("{loaded:?}{:?}", loaded.choose(Some("openai/x"))).contains("canary"));
}

#[test]
fn a_name_that_may_be_meant_whole_is_asked_about() {
    let mut lab = Lab::new();
    lab.args.base_url = Some("http://127.0.0.1:8000/v1".into());
    let warnings = |model: &str| lab.load().unwrap().choose(Some(model)).unwrap().warnings;
    assert_eq!(
        warnings("openai/gpt-oss-120b"),
        ["`openai/gpt-oss-120b` is read as the model `gpt-oss-120b` of openai; if the server at \
             http://127.0.0.1:8000/v1 calls it `openai/gpt-oss-120b`, write `-m openai-compatible/openai/gpt-oss-120b`"]
    );
    assert!(warnings("openai/gpt-4o").is_empty());
    assert!(warnings("vllm/openai/gpt-oss-120b").is_empty());
}

#[test]
fn the_mock_is_a_provider_where_somebody_starts_it() {
    let mut lab = Lab::new().env("LLM_RS_BASE_URL", MINE).env("LLM_RS_MAX_RETRIES", "0");
    lab.args.mock = true;
    let loaded = lab.load().unwrap();
    let choice = loaded.choose(Some("mock/echo")).unwrap();
    assert_eq!((&*choice.id, choice.key_by.as_deref()), ("mock/echo", None));
    assert_eq!(loaded.client(&choice).unwrap().id(), "mock/echo");
    let parrot = loaded.choose(Some("mock/parrot")).unwrap();
    let error = loaded.client(&parrot).unwrap_err();
    assert_eq!(
        (error.kind(), error.message()),
        (ErrorKind::ModelNotFound, "mock has no model `parrot`; there is mock/echo")
    );
    // One that the user runs elsewhere.
    let mut own = Lab::new().user("[providers.mock]\nbase_url = 'http://127.0.0.1:9/v1'");
    own.args.mock = true;
    let provider = own.load().unwrap().manager.provider("mock").unwrap();
    assert_eq!(provider.address().as_deref(), Some("http://127.0.0.1:9/v1"));
}

#[tokio::test]
async fn closing_the_manager_closes_a_client_of_the_command_lines_own() {
    let mut lab = Lab::new();
    lab.args.base_url = Some(FLAG.into());
    let loaded = lab.load().unwrap();
    let choice = loaded.choose(Some("m")).unwrap();
    loaded.client(&choice).unwrap();
    loaded.manager.close_all().await;
    assert_eq!(loaded.client(&choice).unwrap_err().to_string(), "the manager is closed");
}
