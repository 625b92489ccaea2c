//! Writes the JSON body of a request, member by member, and remembers what could not be said.

use bytes::Bytes;
use llm_types::{Error, ErrorKind, Extra, Warning};
use serde::Serialize;
use serde_json::value::RawValue;

/// Room for a request of ordinary size.
const USUAL_BYTES: usize = 1 << 10;

/// A JSON object on its way to the wire.
#[derive(Debug)]
pub(crate) struct Body {
    bytes: Vec<u8>,
    names: Vec<String>,
    warnings: Vec<Warning>,
    strict: bool,
}

impl Body {
    /// An object without members. `strict` makes what cannot be said an error.
    pub(crate) fn new(strict: bool) -> Self {
        let mut bytes = Vec::with_capacity(USUAL_BYTES);
        bytes.push(b'{');
        Self { bytes, names: Vec::with_capacity(8), warnings: Vec::new(), strict }
    }

    /// Adds a member.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidRequest`] when the value is not representable as JSON.
    pub(crate) fn member<T: Serialize + ?Sized>(&mut self, name: &str, value: &T) -> Result<(), Error> {
        let wrong = |e: serde_json::Error| {
            Error::new(ErrorKind::InvalidRequest, format!("{name} cannot be written as JSON")).with_source(e)
        };
        if !self.names.is_empty() {
            self.bytes.push(b',');
        }
        serde_json::to_writer(&mut self.bytes, name).map_err(wrong)?;
        self.bytes.push(b':');
        serde_json::to_writer(&mut self.bytes, value).map_err(wrong)?;
        self.names.push(name.to_owned());
        Ok(())
    }

    /// Adds a member where there is a value.
    pub(crate) fn option<T: Serialize>(&mut self, name: &str, value: Option<&T>) -> Result<(), Error> {
        value.map_or(Ok(()), |value| self.member(name, value))
    }

    /// Adds a number where there is one.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidRequest`] for infinity and what is no number: JSON has no words for them.
    pub(crate) fn number(&mut self, name: &str, value: Option<f64>) -> Result<(), Error> {
        match value {
            Some(number) if !number.is_finite() => {
                Err(Error::new(ErrorKind::InvalidRequest, format!("{name}: {number} is not a finite number")))
            }
            value => self.option(name, value.as_ref()),
        }
    }

    /// Adds an object member; members of the same name that the user gave in `extra` are merged into it, and theirs win.
    pub(crate) fn object(
        &mut self,
        name: &str,
        members: &[(&str, &RawValue)],
        extra: &Extra,
    ) -> Result<(), Error> {
        let mut all: Extra =
            members.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        if let Some(theirs) = extra.get(name).and_then(|raw| Extra::parse(raw.get()).ok()) {
            theirs.iter().for_each(|(name, value)| all.insert(name, value.to_owned()));
        }
        self.member(name, &all)
    }

    /// Notes that something cannot be said.
    ///
    /// # Errors
    /// The same as an error, where strictness was asked for.
    pub(crate) fn warn(&mut self, about: impl Into<String>, message: impl Into<String>) -> Result<(), Error> {
        let warning = Warning::new(about, message);
        if self.strict {
            let message = format!("{}: {} (strict)", warning.about, warning.message);
            return Err(Error::new(ErrorKind::InvalidRequest, message));
        }
        if !self.warnings.contains(&warning) {
            self.warnings.push(warning);
        }
        Ok(())
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.names.iter().any(|n| n == name)
    }

    /// Adds the members that are sent as they are. One that is there already stays as it is; `merged` names those that
    /// [`object`](Self::object) has taken care of.
    pub(crate) fn extra(&mut self, extra: &Extra, merged: &[&str]) -> Result<(), Error> {
        for (name, value) in extra.iter() {
            if !self.has(name) {
                self.member(name, value)?;
            } else if !merged.contains(&name) || !value.get().starts_with('{') {
                self.warn(name, "left out of the extra members: the request sets it already")?;
            }
        }
        Ok(())
    }

    /// The bytes of the object, and the warnings.
    pub(crate) fn finish(mut self) -> (Bytes, Vec<Warning>) {
        self.bytes.push(b'}');
        (self.bytes.into(), self.warnings)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(json: &str) -> Box<RawValue> {
        RawValue::from_string(json.to_owned()).unwrap()
    }

    #[test]
    fn no_member_is_written_twice() {
        let extra = Extra::parse(r#"{"a":9,"b":1.50,"o":{"x":0,"z":3}}"#).unwrap();
        let mut body = Body::new(false);
        body.member("a", &1).unwrap();
        body.object("o", &[("x", &raw("1")), ("y", &raw("2"))], &extra).unwrap();
        body.extra(&extra, &["o"]).unwrap();
        let (bytes, warnings) = body.finish();
        assert_eq!(bytes, r#"{"a":1,"o":{"x":0,"y":2,"z":3},"b":1.50}"#);
        assert_eq!(warnings.iter().map(|w| w.about.as_str()).collect::<Vec<_>>(), ["a"]);
    }

    #[test]
    fn a_warning_is_an_error_where_strictness_was_asked_for() {
        let error = Body::new(true).warn("top_k", "has no place").unwrap_err();
        assert_eq!(
            (error.kind(), error.message()),
            (ErrorKind::InvalidRequest, "top_k: has no place (strict)")
        );
        assert!(Body::new(false).number("temperature", Some(f64::NAN)).is_err());
    }
}
