//! Settings: each under the vendor's word, or a warning.

use llm_types::ChatRequest;

use super::{question, warned};
use crate::conformance::Outcome;
use crate::conformance::peer::{BOTH, Cell, Manner};
use crate::conformance::say::{Say, TEXT, same};

pub(crate) async fn common(cell: &Cell) -> Outcome {
    let request = ChatRequest { max_tokens: Some(64), temperature: Some(0.5), ..question() };
    for manner in BOTH {
        let (response, heard) = cell.ask(&request, &Say::text(TEXT), manner).await?;
        same("the limit", &heard.limit, &Some(64))?;
        if cell.vendor.fixed_sampling {
            same("warnings", &warned(&response), &vec!["temperature"])?;
            same("temperature", &heard.temperature, &None)?;
        } else {
            same("warnings", &warned(&response), &Vec::new())?;
            same("temperature", &heard.temperature, &Some(0.5))?;
        }
    }
    // One that no format has a word for everywhere: sent or warned of, as each pleases, and never lost.
    let request = ChatRequest { strict: true, ..request };
    let wanted = cell.vendor.fixed_sampling;
    cell.will_say(&Say::text(TEXT), Manner::Plain);
    let strict = cell.call(&request, Manner::Plain).await;
    same("refused where strictness is asked for", &strict.is_err(), &wanted)
}

pub(crate) async fn seed(cell: &Cell) -> Outcome {
    let request = ChatRequest { seed: Some(7), ..question() };
    if let Some(how) = cell.how("seed") {
        return cell.lacks(how, &request, |heard| heard.seed.is_none()).await;
    }
    let (response, heard) = cell.ask(&request, &Say::text(TEXT), Manner::Plain).await?;
    same("seed", &heard.seed, &Some(7))?;
    same("warnings", &warned(&response), &Vec::new())
}

pub(crate) async fn stop(cell: &Cell) -> Outcome {
    let request = ChatRequest { stop: vec!["END".into()], ..question() };
    if let Some(how) = cell.how("stop") {
        return cell.lacks(how, &request, |heard| heard.stop.is_empty()).await;
    }
    let (response, heard) = cell.ask(&request, &Say::text(TEXT), Manner::Plain).await?;
    same("stop", &heard.stop, &vec!["END".to_owned()])?;
    same("warnings", &warned(&response), &Vec::new())
}

pub(crate) async fn n(cell: &Cell) -> Outcome {
    let request = ChatRequest { n: Some(2), ..question() };
    if let Some(how) = cell.how("n") {
        return cell.lacks(how, &request, |heard| heard.n.is_none()).await;
    }
    let (response, heard) = cell.ask(&request, &Say { n: 2, ..Say::text(TEXT) }, Manner::Plain).await?;
    same("n", &heard.n, &Some(2))?;
    let indexes: Vec<u32> = response.choices.iter().map(|choice| choice.index).collect();
    same("the places", &indexes, &vec![0, 1])
}

pub(crate) async fn logprobs(cell: &Cell) -> Outcome {
    let request = ChatRequest { logprobs: Some(true), top_logprobs: Some(2), ..question() };
    if let Some(how) = cell.how("logprobs") {
        return cell.lacks(how, &request, |heard| !heard.logprobs).await;
    }
    let say = Say { logprobs: true, ..Say::text(TEXT) };
    let (response, heard) = cell.ask(&request, &say, Manner::Plain).await?;
    same("logprobs", &heard.logprobs, &true)?;
    same("they came", &response.choices[0].logprobs.is_some(), &true)
}
