//! What went wrong on the wire, said in our words. The lower libraries' errors stay behind `source()`.

use std::error::Error as StdError;
use std::fmt;
use std::io;
use std::time::Duration;

use llm_types::{Error, ErrorKind, Phase};
use rustls::{AlertDescription, CertificateError, InvalidMessage};

use super::origin::Origin;

/// A name that could not be looked up.
#[derive(Debug)]
pub(super) struct LookupFailed(pub(super) io::Error);

impl fmt::Display for LookupFailed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name cannot be looked up")
    }
}

impl StdError for LookupFailed {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        Some(&self.0)
    }
}

/// More bytes before an answer's head than a head may have: a flood of `1xx` answers, or a head without end.
#[derive(Debug)]
pub(super) struct HeadFlood;

impl fmt::Display for HeadFlood {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("too many bytes before the head of the answer")
    }
}

impl StdError for HeadFlood {}

/// An error of any type as a source.
#[derive(Debug)]
struct Boxed(Box<dyn StdError + Send + Sync>);

impl fmt::Display for Boxed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl StdError for Boxed {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source()
    }
}

/// Finds an error of one type in a chain of causes. `io::Error::source` skips the error that it wraps, so that one is
/// looked into.
pub(super) fn find<'e, T: StdError + 'static>(error: &'e (dyn StdError + 'static)) -> Option<&'e T> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref::<T>() {
            return Some(found);
        }
        let wrapped = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        next = match wrapped {
            Some(inner) => Some(inner),
            None => error.source(),
        };
    }
    None
}

/// The deepest operating system error of a chain.
fn io_reason(error: &(dyn StdError + 'static)) -> Option<io::ErrorKind> {
    let mut next = Some(error);
    let mut kind = None;
    while let Some(error) = next {
        let io = error.downcast_ref::<io::Error>();
        kind = io.map(io::Error::kind).filter(|kind| *kind != io::ErrorKind::Other).or(kind);
        next = match io.and_then(io::Error::get_ref) {
            Some(inner) => Some(inner),
            None => error.source(),
        };
    }
    kind
}

/// No TCP connection: to the server, or to the proxy on the way to it.
pub(super) fn not_connected(
    to: &str,
    via_proxy: Option<&Origin>,
    error: Box<dyn StdError + Send + Sync>,
) -> Error {
    let proxy = if via_proxy.is_some() { "the proxy " } else { "" };
    let lookup = find::<LookupFailed>(&*error);
    let reason = io_reason(&*error);
    let (message, hint) = match (lookup, reason) {
        (Some(failed), _) => (
            format!("cannot connect to {proxy}{to}: {failed} ({})", failed.0),
            "check the host name and the network",
        ),
        (None, Some(io::ErrorKind::ConnectionRefused)) => {
            let hint = if via_proxy.is_some() { "is the proxy running?" } else { "is the server running?" };
            (format!("cannot connect to {proxy}{to}: connection refused"), hint)
        }
        (None, Some(reason)) => {
            (format!("cannot connect to {proxy}{to}: {reason}"), "check the address and the network")
        }
        (None, None) => (format!("cannot connect to {proxy}{to}"), "check the address and the network"),
    };
    let message = match via_proxy {
        Some(target) => format!("{message} (on the way to {target})"),
        None => message,
    };
    Error::new(ErrorKind::Connection, message).with_hint(hint).with_source(Boxed(error))
}

/// A connect time-out, which covers name look-up, TCP, proxy and TLS.
pub(super) fn connect_timeout(origin: &Origin, limit: Duration) -> Error {
    Error::new(ErrorKind::Timeout(Phase::Connect), format!("no connection to {origin} within {limit:?}"))
        .with_hint("check the address and the network, or raise connect_timeout_secs")
}

/// A TLS handshake that failed, with the server or with a proxy.
pub(super) fn no_handshake(with: &str, error: Box<dyn StdError + Send + Sync>) -> Error {
    if let Some(tls) = find::<rustls::Error>(&*error) {
        return tls_fault(with, tls).with_source(Boxed(error));
    }
    if let Some(reason) = io_reason(&*error) {
        let what = match reason {
            io::ErrorKind::UnexpectedEof => "closed".to_owned(),
            reason => reason.to_string(),
        };
        let message = format!("the TLS handshake with {with} was cut: {what}");
        let fault =
            Error::new(ErrorKind::Connection, message).with_hint("does the server speak https on this port?");
        return fault.with_source(Boxed(error));
    }
    Error::new(ErrorKind::Tls, format!("no TLS connection to {with}")).with_source(Boxed(error))
}

fn tls_fault(with: &str, tls: &rustls::Error) -> Error {
    let (what, hint) = tls_reason(tls);
    let fault = Error::new(ErrorKind::Tls, format!("no TLS connection to {with}: {what}"));
    if hint.is_empty() { fault } else { fault.with_hint(hint) }
}

/// What a TLS error means, and what can be done about it.
fn tls_reason(error: &rustls::Error) -> (String, &'static str) {
    use rustls::Error::{AlertReceived, InvalidCertificate, InvalidMessage as Message, PeerIncompatible};
    match error {
        InvalidCertificate(CertificateError::UnknownIssuer) => (
            "its certificate is signed by nobody we trust".into(),
            "if the authority is your own, name its certificate with ca_file",
        ),
        InvalidCertificate(CertificateError::Expired | CertificateError::ExpiredContext { .. }) => (
            "its certificate has expired".into(),
            "the clock of this machine may be wrong, else the server needs a new certificate",
        ),
        InvalidCertificate(CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. }) => {
            ("its certificate is not valid yet".into(), "the clock of this machine may be wrong")
        }
        InvalidCertificate(
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
        ) => ("its certificate is for another host name".into(), "use the name that the certificate is for"),
        InvalidCertificate(fault) => (format!("its certificate is not accepted: {fault}"), ""),
        Message(InvalidMessage::InvalidContentType) => {
            ("what answers there does not speak TLS".into(), "if it is a plain server, write http://")
        }
        AlertReceived(
            AlertDescription::CertificateRequired
            | AlertDescription::BadCertificate
            | AlertDescription::UnknownCA
            | AlertDescription::CertificateUnknown,
        ) => (
            format!("the server refused our certificate or asked for one: {error}"),
            "set client_cert_file and client_key_file",
        ),
        AlertReceived(AlertDescription::ProtocolVersion) | PeerIncompatible(_) => {
            (format!("the server speaks no TLS that we do (1.2 and 1.3): {error}"), "")
        }
        other => (other.to_string(), ""),
    }
}

/// An exchange that failed before the head of its answer. `heard` is whether anything of an answer had come, `tls` what
/// TLS said at the end of the connection.
pub(super) fn no_answer(
    origin: &Origin,
    heard: bool,
    max_head: u64,
    tls: Option<&rustls::Error>,
    error: hyper::Error,
) -> Error {
    if let Some(tls) = tls {
        return tls_fault(&origin.to_string(), tls).with_source(tls.clone());
    }
    if error.is_parse_too_large() || find::<HeadFlood>(&error).is_some() {
        return head_too_large(origin, max_head).with_source(error);
    }
    if error.is_parse() || error.is_parse_status() {
        let message = format!("what {origin} answered is not HTTP");
        let fault = Error::new(ErrorKind::Protocol, message);
        let hint = if error.is_parse_version_h2() {
            "the server speaks HTTP/2 only"
        } else if origin.is_https() {
            "is this the right port?"
        } else {
            "is this the right port, and should it be https://?"
        };
        return fault.with_hint(hint).with_source(error);
    }
    if error.is_user() {
        return Error::new(ErrorKind::Config, format!("the request to {origin} cannot be sent"))
            .with_source(error);
    }
    let reason = broken_reason(&error);
    let when = if heard { "in the middle of its head" } else { "before it answered" };
    Error::new(ErrorKind::Connection, format!("the connection to {origin} broke {when}: {reason}"))
        .with_source(error)
}

/// A body that broke off. What had come of it was passed on.
pub(super) fn broken_body(origin: &Origin, error: hyper::Error) -> Error {
    if io_reason(&error)
        .is_some_and(|kind| matches!(kind, io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput))
    {
        let message = format!("the body that {origin} sent is framed wrongly");
        return Error::new(ErrorKind::Protocol, message).with_source(error);
    }
    let reason = broken_reason(&error);
    let message = format!("the connection to {origin} broke in the middle of the answer: {reason}");
    Error::new(ErrorKind::Connection, message).with_source(error)
}

fn broken_reason(error: &hyper::Error) -> String {
    if let Some(h2) = find::<h2::Error>(error)
        && let Some(reason) = h2.reason()
    {
        let what = if h2.is_go_away() { "the server closed the connection" } else { "the stream was reset" };
        return format!("{what} ({reason})");
    }
    if error.is_timeout() {
        return "the server stopped answering pings".into();
    }
    match io_reason(error) {
        Some(io::ErrorKind::UnexpectedEof) => "closed by the server".into(),
        Some(reason) => reason.to_string(),
        None if error.is_incomplete_message() || error.is_closed() || error.is_canceled() => {
            "closed by the server".into()
        }
        None => error.to_string(),
    }
}

/// Whether an HTTP/2 failure shows that the server did not begin with the request, or that the connection was dead.
pub(super) fn is_unprocessed(error: &hyper::Error) -> bool {
    match find::<h2::Error>(error) {
        Some(h2) if h2.is_go_away() => h2.is_remote(),
        Some(h2) => h2.is_io() || h2.reason() == Some(h2::Reason::REFUSED_STREAM),
        None => error.is_closed() || error.is_canceled() || error.is_timeout() || io_reason(error).is_some(),
    }
}

/// A head over the limit of bytes or headers.
pub(super) fn head_too_large(origin: &Origin, max_head: u64) -> Error {
    let message = format!(
        "the head of the answer from {origin} is over {max_head} bytes (max_head_bytes) or {} headers",
        super::MAX_HEADERS
    );
    Error::new(ErrorKind::TooLarge, message)
}

/// One of the timers of an exchange.
pub(super) fn timed_out(origin: &Origin, phase: Phase, limit: Duration) -> Error {
    let message = match phase {
        Phase::Connect => return connect_timeout(origin, limit),
        Phase::FirstByte => format!("no byte of an answer from {origin} within {limit:?}"),
        Phase::Idle => format!("the answer from {origin} stalled: nothing for {limit:?}"),
        Phase::Attempt | Phase::Call => format!("no whole answer from {origin} within {limit:?}"),
    };
    Error::new(ErrorKind::Timeout(phase), message)
}
