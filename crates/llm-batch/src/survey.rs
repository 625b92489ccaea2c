//! What a run would begin with: the rows of an input, counted, and the first of them as a request. Nothing is sent, and
//! nothing is changed.

use llm_types::ChatRequest;
use serde::Serialize;

use crate::error::BatchError;
use crate::job::Job;
use crate::rows::Rows;
use crate::source::{Input, Source};
use crate::verify::Findings;

/// An input at a glance.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Survey {
    /// Its rows, bad ones included.
    pub rows: u64,
    /// Rows that cannot be sent, by their lines.
    pub bad: Findings,
    /// What is wrong with the first of them.
    pub first_fault: Option<String>,
    /// The line of the first row that can be sent.
    pub first_line: Option<u64>,
    /// That row as the request that would be made of it.
    #[serde(skip)]
    pub first: Option<ChatRequest>,
}

/// Reads an input, or so many rows of it, as a run of this job would. It blocks.
///
/// # Errors
/// [`BatchError`] when the input cannot be read, or the job contradicts itself.
pub fn survey(input: Input, job: &Job, limit: Option<u64>) -> Result<Survey, BatchError> {
    job.check()?;
    let mut source = Source::open(input)?;
    let mut rows = Rows::open(&mut source)?;
    let mut survey = Survey::default();
    while limit.is_none_or(|most| survey.rows < most)
        && let Some(row) = rows.next(job)?
    {
        survey.rows += 1;
        match row.parsed {
            Err(bad) => {
                survey.bad.add(row.line);
                survey.first_fault.get_or_insert(bad.message);
            }
            Ok(parsed) if survey.first.is_none() => {
                survey.first_line = Some(row.line);
                survey.first = Some(job.request(parsed.messages, parsed.own.map(|own| *own)));
            }
            Ok(_) => {}
        }
    }
    Ok(survey)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(text: &'static str, limit: Option<u64>) -> Survey {
        let job = Job { system: Some("Be brief.".into()), ..Job::default() };
        survey(Input::reader("rows", text.as_bytes()), &job, limit).unwrap()
    }

    #[test]
    fn rows_are_counted_and_the_first_good_one_is_shown() {
        let text = "{\"q\": broken\n\n{\"q\": \"one\"}\n{\"q\": \"two\"}\n{}\n";
        let found = look(text, None);
        assert_eq!((found.rows, found.bad.count, found.bad.lines), (4, 2, vec![1, 5]));
        assert!(found.first_fault.unwrap().starts_with("line 1: "));
        let texts: Vec<String> = found.first.unwrap().messages.iter().map(llm_types::Message::text).collect();
        assert_eq!((found.first_line, texts), (Some(3), vec!["Be brief.".to_owned(), "one".to_owned()]));
        let found = look(text, Some(1));
        assert_eq!((found.rows, found.bad.count, found.first.is_none()), (1, 1, true));
        assert_eq!(look("", None).rows, 0);
    }
}
