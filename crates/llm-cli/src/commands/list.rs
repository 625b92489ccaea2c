//! `llm list`: what is configured.

use std::sync::Arc;

use llm_manager::config::{Loaded, Table};
use llm_provider::Provider;
use serde_json::{Map, Value, json};

use crate::args::{List, Model};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::session;
use crate::table::aligned;
use crate::term::{Term, safe};

/// Lists models, aliases and providers, and says where keys come from. Nothing is sent.
///
/// # Errors
/// What a file, a variable or an option says wrong.
pub(crate) fn run(args: &List, term: &Arc<Term>) -> Result<Exit, Failure> {
    let model = Model { config: args.config.clone(), ..Model::default() };
    let loaded = session::configuration(Some(&model), &[])?;
    session::warn(&loaded.warnings, term);
    if args.json {
        term.json(&as_json(&loaded))?;
    } else {
        term.data(&as_text(&loaded))?;
    }
    Ok(Exit::Ok)
}

/// The full name of the default model, where there is one that can be found.
fn default_id(loaded: &Loaded) -> Option<String> {
    let (name, _) = loaded.default_model()?;
    Some(loaded.manager.resolve(&name).ok()?.id())
}

fn as_json(loaded: &Loaded) -> Value {
    let manager = &loaded.manager;
    let default = default_id(loaded);
    let models: Vec<Value> = manager
        .models()
        .into_iter()
        .map(|model| {
            let provider = manager.provider(&model.provider);
            json!({
                "name": model.name,
                "id": model.wire,
                "provider": model.provider,
                "is_default": default.as_ref() == Some(&model.id),
                "address": provider.as_ref().and_then(|provider| provider.address()),
                "key_from": provider.as_ref().and_then(|provider| provider.key_origin()),
            })
        })
        .collect();
    let aliases: Map<String, Value> =
        manager.aliases().into_iter().map(|(alias, target)| (alias, Value::from(target))).collect();
    let providers: Vec<Value> = manager
        .providers()
        .iter()
        .filter(|provider| !is_group(&***provider))
        .map(|provider| {
            json!({ "name": provider.name(), "address": provider.address(), "key_from": provider.key_origin() })
        })
        .collect();
    let (named, by) = loaded.default_model().unzip();
    json!({
        "default": named, "default_from": by, "models": models, "aliases": aliases, "providers": providers,
        "pools": names(&loaded.outline.pools), "chains": names(&loaded.outline.chains),
        "files": loaded.files, "user_config": loaded.user_config,
    })
}

/// Pools and chains are reached through providers of their own, which nobody configured.
fn is_group(provider: &dyn Provider) -> bool {
    provider.spec().is_none() && provider.address().is_none()
}

/// Each table with what it chooses between.
fn names(tables: &[Table]) -> Value {
    tables.iter().map(|table| json!({ "name": table.name, "of": between(table) })).collect()
}

/// The members of a pool, the models of a chain.
fn between(table: &Table) -> Vec<String> {
    let list = table.says.iter().find(|said| matches!(said.key.as_str(), "members" | "models"));
    let items = list.and_then(|said| said.value.as_array()).map(Vec::as_slice).unwrap_or_default();
    let name = |item: &Value| item.as_str().or_else(|| item.get("model")?.as_str()).map(str::to_owned);
    items.iter().filter_map(name).collect()
}

fn as_text(loaded: &Loaded) -> String {
    let manager = &loaded.manager;
    let default = default_id(loaded);
    let (models, aliases) = (manager.models(), manager.aliases());
    let mut lines = Vec::new();
    let mut section = |title: &str, rows: Vec<[String; 3]>| {
        if rows.is_empty() {
            return;
        }
        if !lines.is_empty() {
            lines.push(String::new());
        }
        lines.push(title.to_owned());
        lines.extend(aligned(&rows));
    };
    let row =
        |first: &str, second: String, third: String| [format!("  {}", safe::line(first)), second, third];
    section(
        "Models",
        models
            .iter()
            .map(|model| {
                let wire =
                    if model.wire == model.name { String::new() } else { format!("sent as {}", model.wire) };
                let group = [("pool", &loaded.outline.pools), ("chain", &loaded.outline.chains)]
                    .into_iter()
                    .find(|(word, _)| *word == model.provider)
                    .and_then(|(word, tables)| {
                        let table = tables.iter().find(|table| table.name == model.name)?;
                        let mark = if word == "pool" { ", " } else { " → " };
                        Some(format!("of {}", between(table).join(mark)))
                    });
                let wire = group.unwrap_or(wire);
                let mark = if default.as_ref() == Some(&model.id) { "default" } else { "" };
                row(&model.id, safe::line(&wire), mark.to_owned())
            })
            .collect(),
    );
    section(
        "Aliases",
        aliases
            .iter()
            .map(|(alias, target)| row(alias, format!("= {}", safe::line(target)), String::new()))
            .collect(),
    );
    section(
        "Providers",
        manager
            .providers()
            .iter()
            .filter(|provider| !is_group(&***provider))
            .map(|provider| {
                let address = provider.address().unwrap_or_else(|| "(no address of its own)".to_owned());
                let key = match (provider.key_origin(), provider.spec()) {
                    (Some(origin), _) => format!("key from {origin}"),
                    (None, Some(spec)) if spec.key_required => {
                        format!("no key: set {}", spec.key_env.join(" or "))
                    }
                    _ => String::new(),
                };
                row(provider.name(), safe::line(&address), safe::line(&key))
            })
            .collect(),
    );
    lines.push(String::new());
    match loaded.default_model() {
        Some((name, by)) => lines.push(format!("Default: {} ({})", safe::line(&name), safe::line(&by))),
        None => lines.push(
            "Default: none; name a model with -m, in LLM_RS_MODEL, or as `default` in a file".to_owned(),
        ),
    }
    for file in &loaded.files {
        lines.push(format!("Read: {}", safe::path(file)));
    }
    if let (true, Some(own)) = (loaded.files.is_empty(), &loaded.user_config) {
        lines.push(format!("No configuration file; yours would be {}", safe::path(own)));
    }
    lines.join("\n") + "\n"
}
