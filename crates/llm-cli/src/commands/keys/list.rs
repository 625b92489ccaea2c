//! `llm keys list`: where each provider's keys come from, and whether they are there.

use std::sync::Arc;

use llm_manager::config::Loaded;
use llm_provider::Provider;
use serde::Serialize;
use serde_json::json;

use crate::args::{KeysList, Model};
use crate::commands::config::KeyLine;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::session;
use crate::table::aligned;
use crate::term::{Term, safe};

/// One key of one provider.
#[derive(Serialize)]
struct Line {
    provider: String,
    #[serde(flatten)]
    key: KeyLine,
}

/// Variables that serve a bare or the default model, whatever its provider.
const ANY_PROVIDER: [&str; 2] = ["LLM_RS_API_KEY", "FLEXLLM_API_KEY"];

/// Lists keys by their last four characters. Nothing is sent; key files are read, commands are not run.
///
/// # Errors
/// What a file, a variable or an option says wrong.
pub(crate) fn run(args: &KeysList, term: &Arc<Term>) -> Result<Exit, Failure> {
    let model = Model { config: args.config.clone(), ..Model::default() };
    let loaded = session::configuration(Some(&model), &[])?;
    session::warn(&loaded.warnings, term);
    let providers = loaded.manager.providers();
    let mut lines: Vec<Line> = Vec::new();
    let mut keyless: Vec<Keyless> = Vec::new();
    let mut silent = 0_usize;
    for provider in &providers {
        let targets = loaded.targets(provider.name());
        if targets.iter().all(|target| target.keys.is_empty()) {
            if args.all || loaded.configured(provider.name()).is_some() {
                keyless.push(Keyless::of(&loaded, &**provider));
            } else if !targets.is_empty() {
                silent += 1;
            }
        }
        for target in targets {
            let line = |key| Line { provider: target.whose.clone(), key: KeyLine::of(key) };
            lines.extend(target.keys.into_iter().map(line));
        }
    }
    let any = ANY_PROVIDER.into_iter().filter_map(|name| Some(KeyLine::of(loaded.key_in(name)?)));
    let any: Vec<KeyLine> = any.collect();
    if args.json {
        term.json(&json!({ "v": 1, "keys": lines, "keyless": keyless, "any_provider": any }))?;
        return Ok(Exit::Ok);
    }
    let row = |provider: &str, shown: String, source: String| {
        [safe::line(provider), safe::line(&shown), safe::line(&source)]
    };
    let mut rows: Vec<[String; 3]> =
        lines.iter().map(|line| row(&line.provider, line.key.shown(), line.key.source())).collect();
    rows.extend(keyless.iter().map(|one| {
        let advice = match (one.required, one.variables.as_slice()) {
            (true, []) => "needs one".to_owned(),
            (true, names) => format!("set {}, or `llm keys set {}`", names.join(" or "), one.provider),
            (false, _) => "sends none".to_owned(),
        };
        row(&one.provider, if one.required { "missing" } else { "-" }.to_owned(), advice)
    }));
    rows.extend(
        any.iter().map(|key| {
            row("(any)", key.shown(), format!("{}, for a bare or the default model", key.source()))
        }),
    );
    if rows.is_empty() {
        term.note("no key is set; `llm keys list --all` names each provider's variable");
        return Ok(Exit::Ok);
    }
    term.data(&(aligned(&rows).join("\n") + "\n"))?;
    if silent > 0 {
        term.note(
            &term.dim(&format!("{silent} built-in providers without a key are left out; --all lists them")),
        );
    }
    Ok(Exit::Ok)
}

/// A provider that has no key.
#[derive(Serialize)]
struct Keyless {
    provider: String,
    /// Whether it answers nothing without one.
    required: bool,
    /// The variables it would come from.
    variables: Vec<&'static str>,
}

impl Keyless {
    fn of(loaded: &Loaded, provider: &dyn Provider) -> Self {
        let spec = provider.spec();
        // The user said that there is none.
        let told = loaded.configured(provider.name()).is_some_and(|entry| entry.place.keys.is_some());
        let own = spec.filter(|spec| spec.name == provider.name() && !told);
        Self {
            provider: provider.name().to_owned(),
            required: own.is_some_and(|spec| spec.key_required),
            variables: own.map(|spec| spec.key_env.to_vec()).unwrap_or_default(),
        }
    }
}
