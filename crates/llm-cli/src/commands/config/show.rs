//! `llm config show`: every value that holds, and who said so.

use std::sync::Arc;

use super::view::{From, KeyLine, Row, View, differing};
use crate::args::ConfigShow;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::session;
use crate::table::aligned;
use crate::term::{Term, safe};

/// Shows the configuration as a call would have it. Nothing is sent.
///
/// # Errors
/// What a file, a variable or an option says wrong; a model that is named and not known.
pub(crate) fn run(args: &ConfigShow, term: &Arc<Term>) -> Result<Exit, Failure> {
    let loaded = session::configuration(Some(&args.model), &[])?;
    session::warn(&loaded.warnings, term);
    let named = args.model.model.as_deref();
    let choice = match named.is_some() || loaded.default_model().is_some() {
        true => Some(loaded.choose(named).map_err(Failure::from)?),
        false => None,
    };
    if let Some(choice) = &choice {
        session::warn(&choice.warnings, term);
    }
    // The flag is short for the setting.
    let rename = |origin: &str| match (origin, args.model.max_retries) {
        ("--set max_retries", Some(_)) => "--max-retries".to_owned(),
        _ => origin.to_owned(),
    };
    let view = View::of(&loaded, choice.as_ref(), rename);
    if args.json {
        term.json(&view)?;
    } else {
        term.data(&as_text(&view, args.origin))?;
    }
    Ok(Exit::Ok)
}

/// Lines in the manner of TOML, the origins behind them.
struct Page {
    origins: bool,
    text: String,
    section: Vec<[String; 2]>,
}

impl Page {
    /// Begins a section; an empty one is left out.
    fn open(&mut self, title: &str, from: Option<&str>) {
        self.close();
        self.section.push([format!("[{title}]"), from.unwrap_or_default().to_owned()]);
    }

    fn row(&mut self, key: &str, value: &str, from: &str) {
        self.section.push([format!("{} = {}", safe::line(key), safe::line(value)), from.to_owned()]);
    }

    fn said(&mut self, key: &str, said: &From) {
        self.row(key, &quoted(&said.value), &said.from);
    }

    fn rows(&mut self, rows: &[Row]) {
        for row in rows {
            match &row.value {
                Some(value) => self.row(row.key, &plain(value), &row.from),
                None => self.row(row.key, unset(row.key), &row.from),
            }
        }
    }

    fn keys(&mut self, keys: &[KeyLine]) {
        for key in keys {
            self.row("api_key", &quoted(&key.shown()), &key.source());
        }
    }

    fn close(&mut self) {
        let rows = std::mem::take(&mut self.section);
        if rows.len() < 2 && rows.first().is_none_or(|[_, from]| from.is_empty()) {
            return;
        }
        if !self.text.is_empty() {
            self.text.push('\n');
        }
        let rows: Vec<[String; 2]> = rows
            .into_iter()
            .map(|[line, from]| match from.is_empty() || !self.origins {
                true => [line, String::new()],
                false => [line, format!("# {}", safe::line(&from))],
            })
            .collect();
        for line in aligned(&rows) {
            self.text.push_str(&line);
            self.text.push('\n');
        }
    }
}

fn as_text(view: &View, origins: bool) -> String {
    let mut page = Page { origins, text: String::new(), section: Vec::new() };
    match &view.call {
        Some(call) => {
            page.open("call", None);
            page.said("model", &call.model);
            if call.model.value.split_once('/').is_none_or(|(_, name)| name != call.wire) {
                page.row("sent_as", &quoted(&call.wire), "");
            }
            if let Some(url) = &call.base_url {
                page.said("base_url", url);
            }
            page.keys(&call.keys);
            page.rows(&differing(call.settings.clone(), &view.settings));
        }
        None => page.text.push_str("# No model is named: give -m, LLM_RS_MODEL, or `default` in a file.\n"),
    }
    if let Some(default) = &view.default {
        page.open("default", None);
        page.said("default", default);
    }
    page.open("settings", None);
    page.rows(&view.settings);
    page.open("aliases", None);
    for (name, to) in &view.aliases {
        page.said(&quoted(name), to);
    }
    let mut silent = Vec::new();
    for provider in &view.providers {
        let changed = provider.base_url.as_ref().is_some_and(|url| url.from != "built-in");
        let built_in = provider.from == "built-in";
        if built_in && !changed && provider.keys.is_empty() && provider.settings.is_empty() {
            silent.push(safe::line(&provider.name));
            continue;
        }
        page.open(&format!("providers.{}", quoted_key(&provider.name)), Some(&provider.from));
        for (key, said) in [("base_url", &provider.base_url), ("dialect", &provider.dialect)] {
            if let Some(said) = said {
                page.said(key, said);
            }
        }
        page.keys(&provider.keys);
        page.rows(&provider.settings);
        for model in &provider.models {
            let title =
                format!("providers.{}.models.{}", quoted_key(&provider.name), quoted_key(&model.name));
            page.open(&title, Some(&model.from));
            if model.wire != model.name {
                page.row("model", &quoted(&model.wire), &model.from);
            }
            page.rows(&model.settings);
            if let Some(extra) = &model.extra {
                page.row("extra", &extra.to_string(), &model.from);
            }
        }
    }
    page.close();
    let mut text = page.text;
    text.push('\n');
    if !silent.is_empty() {
        text.push_str(&format!("# Built in besides, without a key: {}\n", silent.join(", ")));
    }
    for file in &view.files {
        text.push_str(&format!("# Read: {}\n", safe::path(file)));
    }
    if let (true, Some(own)) = (view.files.is_empty(), &view.user_config) {
        text.push_str(&format!("# No configuration file; yours would be {}\n", safe::path(own)));
    }
    text
}

/// What holds where nothing is set.
fn unset(key: &str) -> &'static str {
    match key {
        "proxy" => "\"\" # the environment's",
        "attempt_timeout_secs" => "600 # plain; none when streamed",
        "first_byte_timeout_secs" | "idle_timeout_secs" => "120 # streamed; none when plain",
        _ => "\"none\"",
    }
}

/// Numbers and switches as they are, other values in quotes.
fn plain(value: &str) -> String {
    let is_plain = matches!(value, "true" | "false") || value.parse::<f64>().is_ok_and(f64::is_finite);
    if is_plain { value.to_owned() } else { quoted(value) }
}

fn quoted(text: &str) -> String {
    format!("{text:?}")
}

fn quoted_key(key: &str) -> String {
    let bare = !key.is_empty() && key.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
    if bare { key.to_owned() } else { quoted(key) }
}
