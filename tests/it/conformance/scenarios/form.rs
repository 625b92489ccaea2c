//! Answers of a form, and pictures.

use llm_types::{ChatRequest, Media, MediaSource, Message, Part, ResponseFormat, Role};

use super::{QUESTION, SCHEMA, question, raw, value, warned};
use crate::conformance::Outcome;
use crate::conformance::peer::{BOTH, Cell, Manner};
use crate::conformance::say::{Say, same};

const ANSWER: &str = r#"{"port":"Brest"}"#;

pub(crate) async fn json(cell: &Cell) -> Outcome {
    let request = ChatRequest { response_format: Some(ResponseFormat::JsonObject), ..question() };
    if let Some(how) = cell.how("json_object") {
        return cell.lacks(how, &request, |heard| !heard.json).await;
    }
    let (response, heard) = cell.ask(&request, &Say::text(ANSWER), Manner::Plain).await?;
    same("JSON is asked for", &heard.json, &true)?;
    same("warnings", &warned(&response), &Vec::new())
}

pub(crate) async fn schema(cell: &Cell) -> Outcome {
    let format = ResponseFormat::JsonSchema {
        name: "tide".into(),
        description: None,
        schema: raw(SCHEMA),
        strict: None,
    };
    let request = ChatRequest { response_format: Some(format), ..question() };
    if let Some(how) = cell.how("json_schema") {
        return cell.lacks(how, &request, |heard| heard.schema.is_none()).await;
    }
    for manner in BOTH {
        let (response, heard) = cell.ask(&request, &Say::text(ANSWER), manner).await?;
        same("the schema", &heard.schema, &Some(value(SCHEMA)))?;
        same("warnings", &warned(&response), &Vec::new())?;
    }
    Ok(())
}

fn showing(url: &str) -> ChatRequest {
    let parts = vec![Part::text(QUESTION), Part::Image(Media::from_url(url))];
    ChatRequest::new(vec![Message::new(Role::User, parts)])
}

async fn sees(cell: &Cell, what: &str, url: &str) -> Outcome {
    let request = showing(url);
    if let Some(how) = cell.how(what) {
        return cell.lacks(how, &request, |heard| heard.images.is_empty()).await;
    }
    let (response, heard) = cell.ask(&request, &Say::text("A lighthouse."), Manner::Plain).await?;
    same("the picture", &heard.images, &vec![url.to_owned()])?;
    same("what was said", &heard.said, &vec![("user".into(), QUESTION.into())])?;
    same("warnings", &warned(&response), &Vec::new())
}

pub(crate) async fn image(cell: &Cell) -> Outcome {
    sees(cell, "images", "data:image/png;base64,iVBORw0KGgo=").await
}

pub(crate) async fn image_url(cell: &Cell) -> Outcome {
    sees(cell, "image_urls", "https://pictures.test/a.png").await
}

pub(crate) async fn audio(cell: &Cell) -> Outcome {
    let source = MediaSource::Base64 { media_type: "audio/wav".into(), data: "UklGRg==".into() };
    let parts = vec![Part::text(QUESTION), Part::Audio(Media::new(source))];
    let request = ChatRequest::new(vec![Message::new(Role::User, parts)]);
    if let Some(how) = cell.how("audio") {
        return cell.lacks(how, &request, |heard| heard.sounds.is_empty()).await;
    }
    let (response, heard) = cell.ask(&request, &Say::text("Waves."), Manner::Plain).await?;
    same("the sound", &heard.sounds, &vec!["audio/wav UklGRg==".to_owned()])?;
    same("warnings", &warned(&response), &Vec::new())
}
