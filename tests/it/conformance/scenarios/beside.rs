//! What there is beside chats: counts, vectors, lists.

use llm_types::{EmbeddingRequest, ErrorKind};
use serde_json::{Value, json};

use super::{QUESTION, question};
use crate::conformance::Outcome;
use crate::conformance::peer::{Cell, once};
use crate::conformance::say::same;
use crate::conformance::vendor::{Format, How};

fn last(cell: &Cell) -> Result<(String, Value), String> {
    let request = cell.requests().pop().ok_or("nothing was sent")?;
    Ok((request.target().to_owned(), request.json()))
}

pub(crate) async fn token_counts(cell: &Cell) -> Outcome {
    let Some(counter) = cell.client.token_counter() else {
        return same("a counter", &cell.how("token_counts"), &Some(How::Absent));
    };
    let (path, answer) = match cell.vendor.format {
        Format::Messages => (format!("{}/count_tokens", cell.vendor.path), json!({"input_tokens": 14})),
        _ => (cell.vendor.path.replace('*', "countTokens"), json!({"totalTokens": 14})),
    };
    cell.server.reply(200, &[], answer.to_string());
    let count = counter.count_tokens(&question(), &once()).await.map_err(|error| format!("{error:?}"))?;
    same("tokens", &count.input_tokens, &14)?;
    let (target, body) = last(cell)?;
    same("the place", &target, &path)?;
    same("the question is in it", &body.to_string().contains(QUESTION), &true)?;
    same("no limit is", &body.to_string().contains("max_tokens"), &false)
}

pub(crate) async fn embeddings(cell: &Cell) -> Outcome {
    let embedder = cell.client.embedder().ok_or("it makes none")?;
    let texts: &[&str] = if cell.row.sign_in.is_some() { &["a"] } else { &["a", "b"] };
    let request = EmbeddingRequest::new(texts.iter().copied());
    match cell.how("embeddings") {
        Some(How::Unsendable) => {
            let error = embedder.embed(&request, &once()).await.err().ok_or("vectors came")?;
            same("requests", &cell.requests().len(), &0)?;
            return same("may be repeated", &error.is_retryable(), &false);
        }
        Some(How::Refused(status, body)) => {
            cell.server.reply(status, &[], body);
            let error = embedder.embed(&request, &once()).await.err().ok_or("vectors came")?;
            return same("the error", &error.kind(), &ErrorKind::NotFound);
        }
        Some(other) => return Err(format!("{other:?} says nothing of vectors")),
        None => {}
    }
    let (place, answer) = match cell.vendor.format {
        Format::Chat(_) | Format::Mock(_) => (
            cell.vendor.path.replace("chat/completions", "embeddings"),
            // Out of order, as some send them.
            json!({"object": "list", "model": "m", "data": [
                {"object": "embedding", "index": 1, "embedding": [0.25, 1.0]},
                {"object": "embedding", "index": 0, "embedding": [0.5, -1.0]},
            ], "usage": {"prompt_tokens": 2, "total_tokens": 2}}),
        ),
        _ if texts.len() == 1 => {
            (cell.vendor.path.replace('*', "embedContent"), json!({"embedding": {"values": [0.5, -1.0]}}))
        }
        _ => (
            cell.vendor.path.replace('*', "batchEmbedContents"),
            json!({"embeddings": [{"values": [0.5, -1.0]}, {"values": [0.25, 1.0]}]}),
        ),
    };
    cell.server.reply(200, &[], answer.to_string());
    let vectors = embedder.embed(&request, &once()).await.map_err(|error| format!("{error:?}"))?.vectors;
    same("the vectors", &vectors, &[vec![0.5, -1.0], vec![0.25, 1.0]][..texts.len()].to_vec())?;
    same("the place", &last(cell)?.0, &place)
}

pub(crate) async fn models(cell: &Cell) -> Outcome {
    let lister = cell.client.model_lister().ok_or("it lists none")?;
    let model = |id: &str| json!({"id": id, "object": "model"});
    // Some list page by page, and one names no object around the list.
    let pages = match cell.vendor.format {
        Format::Messages => vec![
            json!({"data": [{"type": "model", "id": "m-1", "display_name": "M", "created_at": "2026-02-04T00:00:10Z"}], "first_id": "m-1", "last_id": "m-1", "has_more": true}),
            json!({"data": [{"type": "model", "id": "m-2", "display_name": "M", "created_at": "2026-02-04T00:00:10Z"}], "first_id": "m-2", "last_id": "m-2", "has_more": false}),
        ],
        Format::Generate(_) => vec![
            json!({"models": [{"name": "models/m-1", "inputTokenLimit": 9}], "nextPageToken": "p2"}),
            json!({"models": [{"name": "models/m-2"}]}),
        ],
        _ if cell.vendor.bare_list => vec![json!([model("m-1"), model("m-2")])],
        _ => vec![json!({"object": "list", "data": [model("m-1"), model("m-2")]})],
    };
    for page in &pages {
        cell.server.reply(200, &[], page.to_string());
    }
    let list = lister.list_models(&once()).await.map_err(|error| format!("{error:?}"))?;
    let ids: Vec<&str> = list.iter().map(|model| model.id.as_str()).collect();
    same("the models", &ids, &vec!["m-1", "m-2"])?;
    same("pages", &cell.requests().len(), &pages.len())?;
    let (target, _) = last(cell)?;
    let place = match cell.vendor.format {
        Format::Messages => cell.vendor.path.replace("messages", "models"),
        Format::Generate(_) => cell.vendor.path.split_once("/models/").unwrap().0.to_owned() + "/models",
        _ => cell.vendor.path.replace("chat/completions", "models"),
    };
    same("the place", &target.split('?').next(), &Some(place.as_str()))
}
