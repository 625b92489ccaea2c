//! `-v`: what happens on the way, as lines on the standard error.
//!
//! Only our own crates speak, so that no library's debug log can show a header or a body. Every line is escaped: a
//! server cannot forge one.

use std::io;
use std::sync::Arc;

use tracing_subscriber::Layer as _;
use tracing_subscriber::filter::{LevelFilter, Targets, filter_fn};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::term::{Term, safe};

/// Starts to write as much as was asked for: request lines and timings, headers without keys, bodies.
pub(crate) fn start(verbose: u8, term: &Arc<Term>) {
    // What goes over the wire is a level quieter than the rest: a service that embeds the client sees each request too.
    let (ours, wire) = match verbose {
        0 => return,
        1 => (LevelFilter::INFO, LevelFilter::DEBUG),
        2 => (LevelFilter::DEBUG, LevelFilter::TRACE),
        _ => (LevelFilter::TRACE, LevelFilter::TRACE),
    };
    if verbose > 2 {
        llm_client::log_bodies();
    }
    let ours = Targets::new()
        .with_targets(
            ["llm", "llm_client", "llm_provider", "llm_manager", "llm_batch"].map(|name| (name, ours)),
        )
        .with_target("llm_client::wire", wire);
    // A line stands for itself: the spans around it would repeat model and address each time.
    let events = filter_fn(move |meta| !meta.is_span() && ours.would_enable(meta.target(), meta.level()));
    let layer = tracing_subscriber::fmt::layer()
        .with_ansi(false)
        .with_target(false)
        .with_level(false)
        .with_timer(tracing_subscriber::fmt::time::uptime())
        .with_writer(Lines(Arc::clone(term)))
        .with_filter(events);
    // Only a second call in one process could fail, and there is none.
    let _set_once = tracing_subscriber::registry().with(layer).try_init();
}

/// Writes each event as one line.
#[derive(Debug)]
struct Lines(Arc<Term>);

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Line<'a>;

    fn make_writer(&'a self) -> Line<'a> {
        Line { term: &self.0, text: Vec::new() }
    }
}

/// One event on its way; it is written when it is complete.
#[derive(Debug)]
struct Line<'a> {
    term: &'a Term,
    text: Vec<u8>,
}

impl io::Write for Line<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.text.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Line<'_> {
    fn drop(&mut self) {
        let text = String::from_utf8_lossy(&self.text);
        let text = safe::line(text.strip_suffix('\n').unwrap_or(&text));
        self.term.err(&(self.term.dim(&text) + "\n"));
    }
}
