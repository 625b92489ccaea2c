//! `llm price`: what models cost, class by class, and what a call would.

use std::collections::BTreeMap;
use std::sync::Arc;

use llm_client::clock;
use llm_manager::config::{Choice, Loaded};
use llm_provider::PriceTable;
use llm_types::{Class, Cost, Day, ErrorKind, Prices, Rates, Rule, Totals, Usage, UsageSource};
use serde_json::{Value, json};

use crate::args::{Model, Price};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::progress::count;
use crate::session;
use crate::table::aligned;
use crate::term::{Term, safe};

/// The most names that a failure offers.
const MOST_NAMES: usize = 3;

/// Shows the price of a model, the cost of a call, or the list. Nothing is sent.
///
/// # Errors
/// What a file, a variable or an option says wrong; a model or provider that is not there.
pub(crate) fn run(args: &Price, term: &Arc<Term>) -> Result<Exit, Failure> {
    let model = Model { config: args.config.clone(), ..Model::default() };
    let loaded = session::configuration(Some(&model), &[])?;
    session::warn(&loaded.warnings, term);
    let lists = Lists { own: loaded.shared().prices() };
    if args.list { list(args, &lists, term) } else { show(args, &loaded, &lists, term) }
}

/// The user's list and ours.
struct Lists {
    own: Option<Arc<PriceTable>>,
}

impl Lists {
    fn each(&self) -> impl Iterator<Item = &PriceTable> {
        self.own.as_deref().into_iter().chain([PriceTable::built_in()])
    }

    fn providers(&self) -> Vec<&str> {
        let mut names: Vec<&str> = self.each().flat_map(PriceTable::providers).collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    /// `provider/model` of these providers with what it costs today. What the user's list has is not taken from ours.
    fn rows<'a>(&'a self, providers: &[&'a str]) -> Vec<(String, &'a Prices)> {
        let mut rows: BTreeMap<String, &Prices> = BTreeMap::new();
        for table in self.each() {
            for provider in providers {
                for row in table.rows(provider) {
                    rows.entry(format!("{provider}/{}", row.model)).or_insert(&row.prices);
                }
            }
        }
        rows.into_iter().collect()
    }
}

fn today() -> Day {
    Day::of_unix(clock::unix_seconds())
}

fn list(args: &Price, lists: &Lists, term: &Arc<Term>) -> Result<Exit, Failure> {
    let mut providers = lists.providers();
    if let Some(wanted) = &args.provider {
        let known = providers.clone();
        providers.retain(|name| name.eq_ignore_ascii_case(wanted));
        if providers.is_empty() {
            let message = format!("no prices of a provider `{wanted}` are known");
            let hint = format!("there are those of {}", known.join(", "));
            return Err(Failure::own(Exit::NotFound, "provider_not_found", message).hint(hint));
        }
    }
    let rows = lists.rows(&providers);
    if args.json {
        let models: Vec<Value> =
            rows.iter().map(|(name, prices)| json!({ "model": name, "price": prices.on(today()) })).collect();
        term.json(&json!({ "v": 1, "count": models.len(), "models": models }))?;
        return Ok(Exit::Ok);
    }
    let head = ["model", "input", "cache_read", "output"].map(str::to_owned);
    let cells = rows.iter().filter_map(|(name, prices)| {
        let price = prices.on(today())?;
        let cell = |class| price.rates.of(class).map(|rate| amount(rate.for_million())).unwrap_or_default();
        Some([safe::line(name), cell(Class::Input), cell(Class::CacheRead), cell(Class::Output)])
    });
    let table: Vec<[String; 4]> = std::iter::once(head).chain(cells).collect();
    let lines: String = aligned(&table).into_iter().map(|line| format!("{line}\n")).collect();
    term.data(&lines)?;
    Ok(Exit::Ok)
}

fn show(args: &Price, loaded: &Loaded, lists: &Lists, term: &Arc<Term>) -> Result<Exit, Failure> {
    if args.cached > args.input {
        return Err(Failure::usage("--cached is a part of --input, and cannot be more"));
    }
    let choice = loaded.choose(args.model()).map_err(|error| {
        let near = (error.kind() == ErrorKind::ModelNotFound).then(|| near(args.model()?, lists)).flatten();
        match near {
            Some(near) => Failure::from(error).hint(near),
            None => Failure::from(error),
        }
    })?;
    let prices = choice.price.clone();
    if prices.is_none() {
        known_elsewhere(&choice, loaded, lists)?;
    }
    let price = prices.as_ref().and_then(|prices| prices.on(today()));
    let asked = (args.input.is_some() || args.output.is_some()).then(|| used(args));
    let cost =
        asked.and_then(|usage| prices.as_ref()?.cost(&usage, args.tier.as_deref(), clock::unix_seconds()));
    if args.json {
        let next: Vec<_> =
            prices.iter().flat_map(Prices::all).filter(|price| price.from > Some(today())).collect();
        let mut report = json!({ "v": 1, "model": choice.id, "price": price, "next": next });
        if let (Some(_), Value::Object(members)) = (asked, &mut report) {
            members.insert("cost".to_owned(), json!(cost));
        }
        term.json(&report)?;
        return Ok(Exit::Ok);
    }
    let text = match asked {
        Some(_) => cost.as_ref().map_or_else(|| "price unknown\n".to_owned(), sum),
        None => text(&choice.id, prices.as_ref()),
    };
    term.data(&text)?;
    if let (Some(cost), false) = (&cost, args.json) {
        term.note(&term.dim(&origin(cost.source.as_deref(), cost.as_of)));
    }
    Ok(Exit::Ok)
}

/// The tokens of the call that was described.
fn used(args: &Price) -> Usage {
    let totals = Totals {
        input: args.input.unwrap_or(0),
        output: args.output.unwrap_or(0),
        cache_read: args.cached,
        ..Totals::default()
    };
    Usage::from_totals(totals, UsageSource::Estimated)
}

/// A provider whose prices are known has no model of this name; where nobody's prices are known, the price is unknown and
/// the model may well be there, as is the one that the provider is asked for by itself.
fn known_elsewhere(choice: &Choice, loaded: &Loaded, lists: &Lists) -> Result<(), Failure> {
    let (provider, model) = choice.id.split_once('/').unwrap_or_default();
    let usual = loaded.manager.provider(provider).and_then(|provider| provider.spec()?.default_model);
    if usual == Some(model) {
        return Ok(());
    }
    let is_listed =
        choice.address_by.is_none() && lists.each().any(|table| table.rows(provider).next().is_some());
    if !is_listed {
        return Ok(());
    }
    let message = format!("no price of {} is known, nor whether there is such a model", choice.id);
    let failure = Failure::own(Exit::NotFound, "model_not_found", message);
    Err(match near(&choice.id, lists) {
        Some(near) => failure.hint(near),
        None => failure.hint(format!("llm price --list --provider {provider}")),
    })
}

/// The names in the lists that look like this one.
fn near(name: &str, lists: &Lists) -> Option<String> {
    let wanted = name.to_lowercase();
    let tail = wanted.rsplit('/').next().unwrap_or(&wanted);
    let (rows, provider) = (lists.rows(&lists.providers()), wanted.split_once('/').map(|(head, _)| head));
    let mut found: Vec<(usize, &str)> = rows
        .iter()
        .filter(|(known, _)| provider.is_none_or(|head| known.starts_with(&format!("{head}/"))))
        .filter_map(|(known, _)| {
            let own = known.rsplit('/').next().unwrap_or(known);
            let distance = strsim::osa_distance(tail, own);
            let is_part = tail.len() >= 4 && (own.starts_with(tail) || tail.starts_with(own));
            (distance <= (tail.chars().count() / 3).max(1) || is_part).then_some((distance, known.as_str()))
        })
        .collect();
    found.sort_unstable();
    let names: Vec<&str> = found.into_iter().map(|(_, known)| known).take(MOST_NAMES).collect();
    (!names.is_empty()).then(|| format!("did you mean {}?", names.join(" or ")))
}

/// A price as lines: what holds today, under which conditions, and what is to come.
fn text(id: &str, prices: Option<&Prices>) -> String {
    let today = today();
    let Some(price) = prices.and_then(|prices| prices.on(today)) else {
        return format!("{}: price unknown\n", safe::line(id));
    };
    let mut lines = vec![format!("{}, in US dollars for a million tokens", safe::line(id))];
    conditions(price, &mut lines);
    for next in prices.iter().flat_map(|prices| prices.all()).filter(|next| next.from > Some(today)) {
        lines.push(format!("from {} on", next.from.map(|day| day.to_string()).unwrap_or_default()));
        conditions(next, &mut lines);
    }
    lines.push(origin(price.source.as_deref(), price.as_of));
    lines.into_iter().map(|line| format!("{line}\n")).collect()
}

fn conditions(price: &llm_types::Price, lines: &mut Vec<String>) {
    classes(&price.rates, lines);
    for rule in &price.rules {
        lines.push(condition(rule));
        classes(&rule.rates, lines);
    }
}

fn classes(rates: &Rates, lines: &mut Vec<String>) {
    let rows: Vec<[String; 2]> = rates
        .iter()
        .map(|(class, rate)| {
            [format!("  {:<15}", class.as_str()), format!("{:>10}", amount(rate.for_million()))]
        })
        .collect();
    lines.extend(aligned(&rows));
}

fn condition(rule: &Rule) -> String {
    let Rule { above, tier, hours, .. } = rule;
    let parts = [
        tier.as_ref().map(|tier| format!("tier {}", safe::line(tier))),
        above.map(|above| format!("above {} input tokens", count(above))),
        hours.map(|hours| format!("{hours} UTC")),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

/// Without the sign: the head says what it is.
fn amount(money: llm_types::Money) -> String {
    format!("{money:#}").trim_start_matches('$').to_owned()
}

fn sum(cost: &Cost) -> String {
    format!("{:#}\n", cost.total)
}

fn origin(source: Option<&str>, as_of: Option<Day>) -> String {
    let source = safe::line(source.unwrap_or("the configuration"));
    as_of.map_or_else(|| format!("from {source}"), |day| format!("from {source}; as of {day}"))
}
