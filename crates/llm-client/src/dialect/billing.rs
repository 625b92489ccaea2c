//! What a server says of the terms of a call and of its cost, in whatever format: members beside the answer's text.

use llm_types::{ChatResponse, Cost, Extra, Money, StreamEvent, Usage, UsageSource};
use serde_json::value::RawValue;

/// What has been said so far; the last of it counts.
#[derive(Clone, Debug, Default)]
pub(crate) struct Billing {
    pub(crate) usage: Option<Usage>,
    /// The service tier that the call was served in.
    tier: Option<String>,
    /// A tier of speed, which goes before that of service.
    speed: Option<String>,
    charged: Option<Money>,
}

impl Billing {
    /// An answer that says nothing but what it used.
    pub(crate) fn used(usage: Option<Usage>) -> Self {
        Self { usage, ..Self::default() }
    }

    /// What a whole answer says.
    pub(crate) fn of(response: &ChatResponse) -> Self {
        let mut billing = Self::used(response.usage);
        response.extra.iter().for_each(|(name, value)| billing.member(name, value));
        billing
    }

    /// Takes what an event says.
    pub(crate) fn see(&mut self, event: &StreamEvent) {
        match event {
            StreamEvent::Usage(usage) => self.usage = Some(*usage),
            StreamEvent::Extra { choice: None, name, value } => self.member(name, value),
            _ => {}
        }
    }

    fn member(&mut self, name: &str, value: &RawValue) {
        match name {
            "service_tier" | "serviceTier" => self.tier = text(value).or_else(|| self.tier.take()),
            "usage" | "usageMetadata" => {
                let Ok(members) = Extra::parse(value.get()) else { return };
                for (name, value) in members.iter() {
                    match name {
                        "speed" => self.speed = text(value).or_else(|| self.speed.take()),
                        "service_tier" | "serviceTier" => self.member(name, value),
                        _ => {}
                    }
                }
                self.charged = charged(&members).or(self.charged);
            }
            _ => {}
        }
    }

    /// The tier that the server names.
    pub(crate) fn tier(&self) -> Option<&str> {
        let quick = self.speed.as_deref().filter(|speed| !speed.eq_ignore_ascii_case("standard"));
        quick.or(self.tier.as_deref())
    }

    /// What the server says that it charges. Only a server that is trusted to know is to be asked for it.
    pub(crate) fn charged(&self) -> Option<Cost> {
        let usage = self.usage.map_or(UsageSource::Reported, |usage| usage.source);
        Some(Cost {
            total: self.charged?,
            usage,
            source: Some("reported by the server".into()),
            ..Cost::default()
        })
    }
}

fn text(value: &RawValue) -> Option<String> {
    serde_json::from_str::<String>(value.get()).ok().filter(|text| !text.is_empty())
}

/// The cost of usage: a number of US dollars, or an object with a total. Where the user pays the vendor behind with a key
/// of his own, that comes on top.
fn charged(usage: &Extra) -> Option<Money> {
    let amount = |value: &RawValue| Money::nearest(value.get()).ok();
    let inside = |value: &RawValue, name: &str| Extra::parse(value.get()).ok()?.get(name).and_then(amount);
    let cost = usage.get("cost")?;
    let cost = amount(cost).or_else(|| inside(cost, "total_cost"))?;
    if usage.get("is_byok").is_some_and(|value| value.get() == "true") {
        let upstream = inside(usage.get("cost_details")?, "upstream_inference_cost")?;
        return Some(cost.plus(upstream));
    }
    Some(cost)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(members: &str) -> Billing {
        let extra = Extra::parse(members).unwrap();
        let response = ChatResponse { extra: extra.clone(), ..ChatResponse::default() };
        let whole = Billing::of(&response);
        let mut streamed = Billing::default();
        for (name, value) in extra.iter() {
            let (name, value) = (name.to_owned(), value.to_owned());
            streamed.see(&StreamEvent::Extra { choice: None, name, value });
        }
        assert_eq!(format!("{whole:?}"), format!("{streamed:?}"));
        whole
    }

    #[test]
    fn the_tier_is_found_where_vendors_say_it() {
        for (members, tier) in [
            (r#"{"service_tier":"flex"}"#, Some("flex")),
            (r#"{"usage":{"service_tier":"batch"}}"#, Some("batch")),
            (r#"{"usage":{"service_tier":"standard","speed":"fast"}}"#, Some("fast")),
            (r#"{"usage":{"service_tier":"priority","speed":"standard"}}"#, Some("priority")),
            (r#"{"usageMetadata":{"serviceTier":"flex"}}"#, Some("flex")),
            (r#"{"service_tier":null,"usage":7}"#, None),
            (r#"{"service_tier":"flex","usage":{"service_tier":3}}"#, Some("flex")),
        ] {
            assert_eq!(said(members).tier(), tier, "{members}");
        }
    }

    #[test]
    fn a_servers_own_figure_is_read_to_its_last_digit() {
        for (members, charged) in [
            (r#"{"usage":{"cost":0.00014355}}"#, Some(143_550_000)),
            (r#"{"usage":{"cost":1.2e-05}}"#, Some(12_000_000)),
            (r#"{"usage":{"cost":0.00014355000000000001}}"#, Some(143_550_000)),
            (r#"{"usage":{"cost":{"input_tokens_cost":0.1,"total_cost":0.25}}}"#, Some(250_000_000_000)),
            (
                r#"{"usage":{"cost":0.01,"is_byok":true,"cost_details":{"upstream_inference_cost":0.2}}}"#,
                Some(210_000_000_000),
            ),
            (
                r#"{"usage":{"cost":0.01,"is_byok":true,"cost_details":{"upstream_inference_cost":null}}}"#,
                None,
            ),
            (r#"{"usage":{"cost":-1}}"#, None),
            (r#"{"usage":{"cost":"free"}}"#, None),
            (r#"{"usage":{}}"#, None),
        ] {
            let found = said(members).charged();
            assert_eq!(found.map(|cost| cost.total.pico()), charged, "{members}");
        }
    }
}
