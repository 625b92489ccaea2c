//! What all rows of a batch share, and how a row becomes a request.

use llm_types::{ChatRequest, Message, Part, Role};

use crate::error::BatchError;
use crate::parts::Parts;

/// Where the row's text goes in a [`user_template`](Job::user_template).
const CONTENT: &str = "{content}";

/// What all rows of a batch share. The default adds nothing to the rows.
#[derive(Clone, Debug, Default)]
pub struct Job {
    /// The name under which the answers are known, for telling jobs apart. Default: the client's id.
    pub model: Option<String>,
    /// A system prompt for every row that has none of its own.
    pub system: Option<String>,
    /// A text around the last user message of every row, where that is plain text: `{content}` stands for it.
    pub user_template: Option<String>,
    /// Settings, tools and response format for every row that does not set them itself. It holds no messages.
    pub settings: ChatRequest,
    /// The member of a row that names it (a text or a number). The name becomes part of the row's key and stands as
    /// `id` in its record. `custom_id` is such a member always.
    pub id_field: Option<String>,
    /// Members of a row's own request body that may be sent besides
    /// [`ALLOWED_BODY_FIELDS`](crate::ALLOWED_BODY_FIELDS).
    pub body_fields: Vec<String>,
}

/// Members that some gateways read as "send it elsewhere, with another key". No job can allow them.
const FORBIDDEN: &[&str] = &[
    "api_base",
    "api_key",
    "api_version",
    "authorization",
    "base_url",
    "endpoint",
    "extra_body",
    "extra_headers",
    "extra_query",
    "headers",
    "key",
    "organization",
    "proxy",
    "url",
];

/// Whether rows may never set this member.
pub(crate) fn is_forbidden(name: &str) -> bool {
    FORBIDDEN.iter().any(|forbidden| name.eq_ignore_ascii_case(forbidden))
}

impl Job {
    /// Checks what the types cannot say.
    pub(crate) fn check(&self) -> Result<(), BatchError> {
        let wrong = |message: &str| Err(BatchError::Usage(message.to_owned()));
        if !self.settings.messages.is_empty() {
            return wrong(
                "the job's settings hold messages; those come from the rows (and the system prompt)",
            );
        }
        if self.settings.n.is_some_and(|n| n != 1) {
            return wrong("n: a batch record holds one answer; leave it out");
        }
        if self.user_template.as_deref().is_some_and(|template| !template.contains(CONTENT)) {
            return wrong("the user template has no {content}, so the rows would not be sent");
        }
        if let Some(name) = self.body_fields.iter().find(|name| is_forbidden(name)) {
            return Err(BatchError::Usage(format!("{name}: rows may never set it")));
        }
        Ok(())
    }

    /// The four short hashes that tell this job from another.
    pub(crate) fn parts(&self, client: &str) -> Parts {
        let model = self.model.as_deref().unwrap_or(client);
        Parts::of(model, self.system.as_deref(), self.user_template.as_deref(), &self.settings)
    }

    /// The request of a row: its messages and own settings, and the job's where it has none.
    pub(crate) fn request(&self, mut messages: Vec<Message>, own: Option<ChatRequest>) -> ChatRequest {
        if let Some(template) = &self.user_template {
            fill(template, &mut messages);
        }
        let has_system =
            messages.iter().any(|message| matches!(message.role, Role::System | Role::Developer));
        if let (Some(system), false) = (&self.system, has_system) {
            messages.insert(0, Message::system(system));
        }
        match own {
            None => ChatRequest { messages, ..self.settings.clone() },
            Some(own) => ChatRequest { messages, ..overlay(&self.settings, own) },
        }
    }
}

/// Puts the last user message into the template, where it is one plain text.
fn fill(template: &str, messages: &mut [Message]) {
    let Some(last) = messages.iter_mut().rfind(|message| message.role == Role::User) else { return };
    if let [Part::Text { text, .. }] = last.parts.as_mut_slice() {
        *text = template.replace(CONTENT, text);
    }
}

/// A row's settings over the job's. Every field is named, so that a new one cannot be forgotten.
fn overlay(job: &ChatRequest, own: ChatRequest) -> ChatRequest {
    let ChatRequest {
        messages,
        tools,
        tool_choice,
        parallel_tool_calls,
        response_format,
        reasoning,
        max_tokens,
        temperature,
        top_p,
        top_k,
        n,
        stop,
        seed,
        frequency_penalty,
        presence_penalty,
        logit_bias,
        logprobs,
        top_logprobs,
        verbosity,
        service_tier,
        metadata,
        prompt_cache_key,
        user,
        extra: own_extra,
        strict,
    } = own;
    let mut extra = job.extra.clone();
    for (name, value) in own_extra.iter() {
        extra.insert(name, value.to_owned());
    }
    ChatRequest {
        messages,
        tools: if tools.is_empty() { job.tools.clone() } else { tools },
        tool_choice: tool_choice.or_else(|| job.tool_choice.clone()),
        parallel_tool_calls: parallel_tool_calls.or(job.parallel_tool_calls),
        response_format: response_format.or_else(|| job.response_format.clone()),
        reasoning: reasoning.or_else(|| job.reasoning.clone()),
        max_tokens: max_tokens.or(job.max_tokens),
        temperature: temperature.or(job.temperature),
        top_p: top_p.or(job.top_p),
        top_k: top_k.or(job.top_k),
        n: n.or(job.n),
        stop: if stop.is_empty() { job.stop.clone() } else { stop },
        seed: seed.or(job.seed),
        frequency_penalty: frequency_penalty.or(job.frequency_penalty),
        presence_penalty: presence_penalty.or(job.presence_penalty),
        logit_bias: logit_bias.or_else(|| job.logit_bias.clone()),
        logprobs: logprobs.or(job.logprobs),
        top_logprobs: top_logprobs.or(job.top_logprobs),
        verbosity: verbosity.or_else(|| job.verbosity.clone()),
        service_tier: service_tier.or_else(|| job.service_tier.clone()),
        metadata: metadata.or_else(|| job.metadata.clone()),
        prompt_cache_key: prompt_cache_key.or_else(|| job.prompt_cache_key.clone()),
        user: user.or_else(|| job.user.clone()),
        extra,
        strict: strict || job.strict,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(request: &ChatRequest) -> Vec<(Role, String)> {
        request.messages.iter().map(|message| (message.role, message.text())).collect()
    }

    #[test]
    fn the_system_prompt_goes_to_rows_without_one_and_the_template_around_the_last_user_text() {
        let job = Job {
            system: Some("Be brief.".into()),
            user_template: Some("{{Translate}}: {content}!".into()),
            ..Job::default()
        };
        job.check().unwrap();
        let plain = vec![Message::user("a"), Message::assistant("b"), Message::user("c")];
        let expected = [
            (Role::System, "Be brief.".to_owned()),
            (Role::User, "a".into()),
            (Role::Assistant, "b".into()),
            (Role::User, "{{Translate}}: c!".into()),
        ];
        assert_eq!(texts(&job.request(plain, None)), expected);
        let own = vec![Message::system("Own."), Message::user("a")];
        assert_eq!(texts(&job.request(own, None))[0], (Role::System, "Own.".to_owned()));
        let several = vec![Message::new(Role::User, vec![Part::text("a"), Part::text("b")])];
        assert_eq!(texts(&job.request(several, None))[1].1, "ab");
    }

    #[test]
    fn a_rows_own_settings_win_over_the_jobs() {
        let (settings, _) = ChatRequest::from_openai_json(
            r#"{"temperature":0.5,"max_tokens":9,"stop":"x","min_p":0.1,"top_a":1}"#,
        )
        .unwrap();
        let job = Job { settings, ..Job::default() };
        let (own, _) = ChatRequest::from_openai_json(r#"{"temperature":1,"min_p":0.2}"#).unwrap();
        let request = job.request(vec![Message::user("q")], Some(own));
        assert_eq!((request.temperature, request.max_tokens), (Some(1.0), Some(9)));
        assert_eq!(request.stop, ["x"]);
        assert_eq!(serde_json::to_string(&request.extra).unwrap(), r#"{"min_p":0.2,"top_a":1}"#);
        assert_eq!(request.messages.len(), 1);
    }

    #[test]
    fn jobs_that_make_no_sense_are_refused() {
        let with = |settings: ChatRequest| Job { settings, ..Job::default() };
        assert!(with(ChatRequest::user("x")).check().is_err());
        assert!(with(ChatRequest { n: Some(2), ..ChatRequest::default() }).check().is_err());
        assert!(Job { user_template: Some("no place".into()), ..Job::default() }.check().is_err());
        assert!(Job { body_fields: vec!["base_url".into()], ..Job::default() }.check().is_err());
    }
}
