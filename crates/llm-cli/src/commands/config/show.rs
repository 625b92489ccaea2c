//! `llm config show`: every value that holds, and who said so.

use std::sync::Arc;

use super::view::{BUILT_IN, Fact, PlaceView, ProviderView, Row, View, differing};
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

    fn said(&mut self, key: &str, said: &Fact) {
        self.row(key, &said.value.to_string(), &said.from);
    }

    fn facts(&mut self, facts: &[(String, Fact)]) {
        for (key, fact) in facts {
            self.said(key, fact);
        }
    }

    /// An address and its keys; several are told apart by their numbers.
    fn places(&mut self, title: &str, places: &[PlaceView]) {
        for place in places {
            if places.len() > 1 {
                let from = place.base_url.as_ref().map(|url| url.from.as_str());
                self.open(&format!("[{title}.endpoints]"), from);
            }
            for (key, said) in [("base_url", &place.base_url), ("dialect", &place.dialect)] {
                if let Some(said) = said {
                    self.said(key, said);
                }
            }
            for key in &place.keys {
                self.row("api_key", &quoted(&key.shown()), &key.source());
            }
            self.facts(&place.says);
        }
    }

    fn rows(&mut self, rows: &[Row]) {
        for row in rows {
            match &row.value {
                Some(value) => self.row(row.key, &plain(value), &row.from),
                None => self.row(row.key, unset(row.key), &row.from),
            }
        }
    }

    fn provider(&mut self, provider: &ProviderView) {
        let title = format!("providers.{}", quoted_key(&provider.name));
        self.open(&title, Some(&provider.from));
        self.facts(&provider.says);
        self.rows(&provider.settings);
        self.places(&title, &provider.places);
        for model in &provider.models {
            let title = format!("{title}.models.{}", quoted_key(&model.name));
            self.open(&title, Some(&model.from));
            if model.wire != model.name {
                self.row("model", &quoted(&model.wire), &model.from);
            }
            self.facts(&model.says);
            self.rows(&model.settings);
            self.places(&title, &model.places);
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
            if call.is_renamed() {
                page.row("sent_as", &quoted(&call.wire), "");
            }
            page.rows(&differing(call.settings.clone(), &view.settings));
            page.places("call", &call.places);
        }
        None => page.text.push_str("# No model is named: give -m, LLM_RS_MODEL, or `default` in a file.\n"),
    }
    if let Some(default) = &view.default {
        page.open("default", None);
        page.said("default", default);
    }
    if let Some(prices) = &view.prices {
        page.open("prices", None);
        page.said("prices", prices);
    }
    page.open("settings", None);
    page.rows(&view.settings);
    page.open("aliases", None);
    for (name, to) in &view.aliases {
        page.said(&quoted_key(name), to);
    }
    let mut silent = Vec::new();
    for provider in &view.providers {
        if is_silent(provider) {
            silent.push(safe::line(&provider.name));
        } else {
            page.provider(provider);
        }
    }
    for (kind, tables) in [
        ("pools", &view.pools),
        ("chains", &view.chains),
        ("budgets", &view.budgets),
        ("limits", &view.limits),
    ] {
        for table in tables {
            page.open(&format!("{kind}.{}", quoted_key(&table.name)), Some(&table.from));
            page.facts(&table.says);
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

/// A built-in provider of which nobody says anything.
fn is_silent(provider: &ProviderView) -> bool {
    let plain = |place: &PlaceView| {
        place.keys.is_empty() && place.base_url.as_ref().is_none_or(|url| url.from == BUILT_IN)
    };
    provider.from == BUILT_IN && provider.settings.is_empty() && provider.places.iter().all(plain)
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
