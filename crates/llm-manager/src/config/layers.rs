//! Settings from several places, the nearest winning, each with the place it came from.

use llm_client::settings::{self, Settings};
use llm_types::{Error, ErrorKind};

use super::schema::Setting;
use crate::nearest::did_you_mean;

/// A setting that somebody changed, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetBy {
    /// The key in files and in `--set`.
    pub key: &'static str,
    /// Its value, as text.
    pub value: String,
    /// A file with its line, a variable, or an option of the command line.
    pub origin: String,
}

/// What the user says outside of files, which goes above them: `LLM_RS_<KEY>`, then `--set`.
#[derive(Clone, Debug, Default)]
pub(super) struct Layers {
    /// The command's own, below everything the user says.
    pub(super) below: Vec<SetBy>,
    pub(super) above: Vec<SetBy>,
}

impl Layers {
    /// Reads the environment and the options, each value checked by itself.
    pub(super) fn read(
        defaults: &[(String, String)],
        sets: &[(String, String)],
        env: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self, Error> {
        let mut layers = Self::default();
        for (key, value) in defaults {
            layers.below.push(checked(key, value, "this command")?);
        }
        for row in settings::table() {
            let name = format!("LLM_RS_{}", row.key.to_ascii_uppercase());
            if let Some(value) = env(&name).filter(|value| !value.is_empty()) {
                layers.above.push(checked(row.key, &value, &name)?);
            }
        }
        for (key, value) in sets {
            layers.above.push(checked(key, value, &format!("--set {key}"))?);
        }
        Ok(layers)
    }

    /// The settings that hold at one level, and who set them: the levels of the files from the top inwards, between what
    /// the command brings along and what the user says outside.
    pub(super) fn over(&self, levels: &[&[Setting]], whose: &str) -> Result<(Settings, Vec<SetBy>), Error> {
        let mut settings = Settings::default();
        let mut set_by: Vec<SetBy> = Vec::new();
        let from_files = levels.iter().copied().flatten().map(|setting| SetBy {
            key: setting.key,
            value: setting.value.clone(),
            origin: setting.place.to_string(),
        });
        for set in self.below.iter().cloned().chain(from_files).chain(self.above.iter().cloned()) {
            settings.set(set.key, &set.value)?;
            set_by.retain(|old| old.key != set.key);
            set_by.push(set);
        }
        // Two values that are fine by themselves may come from two places.
        settings.check().map_err(|invalid| {
            let origin = set_by.iter().find(|set| set.key == invalid.key).map(|set| &*set.origin);
            let origin = origin.map_or_else(String::new, |origin| format!(" ({origin})"));
            Error::new(ErrorKind::Config, format!("{whose}: {invalid}{origin}"))
        })?;
        Ok((settings, set_by))
    }
}

/// One setting from text that has an origin.
fn checked(key: &str, value: &str, origin: &str) -> Result<SetBy, Error> {
    let config = |message: String| Error::new(ErrorKind::Config, message);
    let Some(row) = settings::table().iter().find(|row| row.key == key) else {
        let known = || settings::table().iter().map(|row| row.key);
        let hint = did_you_mean(key, known())
            .unwrap_or_else(|| format!("; allowed are {}", known().collect::<Vec<_>>().join(", ")));
        return Err(config(format!("{origin}: `{key}` is not a setting{hint}")));
    };
    Settings::default().set(row.key, value).map_err(|invalid| {
        let found = invalid.found.unwrap_or_default();
        config(format!("{origin}: `{found}` is not {}", invalid.allowed))
    })?;
    Ok(SetBy { key: row.key, value: value.to_owned(), origin: origin.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn the_later_source_wins_and_is_named() {
        let env = |name: &str| (name == "LLM_RS_MAX_RETRIES").then(|| "5".to_owned());
        let defaults = pairs(&[("max_connections", "32"), ("max_retries", "1")]);
        let layers = Layers::read(&defaults, &pairs(&[("deadline_secs", "9")]), &env).unwrap();
        let (settings, set_by) = layers.over(&[], "the settings").unwrap();
        assert_eq!((settings.max_connections, settings.max_retries), (32, 5));
        let origins: Vec<_> = set_by.iter().map(|set| (set.key, &*set.origin)).collect();
        assert_eq!(
            origins,
            [
                ("max_connections", "this command"),
                ("max_retries", "LLM_RS_MAX_RETRIES"),
                ("deadline_secs", "--set deadline_secs"),
            ]
        );
    }

    #[test]
    fn a_bad_value_names_its_source() {
        let none = |_: &str| None;
        let env = |name: &str| (name == "LLM_RS_HTTP2").then(|| "maybe".to_owned());
        for (sets, env, message) in [
            (
                &[("max_retries", "x")][..],
                &none as &dyn Fn(&str) -> Option<String>,
                "--set max_retries: `x` is not a whole number from 0 up",
            ),
            (
                &[("max_retry", "1")],
                &none,
                "--set max_retry: `max_retry` is not a setting; did you mean `max_retries`?",
            ),
            (&[], &env, "LLM_RS_HTTP2: `maybe` is not true or false"),
        ] {
            assert_eq!(Layers::read(&[], &pairs(sets), env).unwrap_err().to_string(), message);
        }
        let clash = Layers::read(&[], &pairs(&[("backoff_base_ms", "90000")]), &none).unwrap();
        assert_eq!(
            clash.over(&[], "acme").unwrap_err().to_string(),
            "acme: backoff_base_ms: `90000` is not at most backoff_cap_ms (60000) (--set backoff_base_ms)"
        );
    }
}
