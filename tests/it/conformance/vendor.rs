//! What is known of a vendor besides our own rows, as data: the peer of the suite is made of it.
//!
//! All of it is taken from the vendors' descriptions and recorded traffic, none of it from our code, so that a row that says
//! something else fails.

/// One vendor as a server: what it takes, how it answers, what it cannot do.
pub(super) struct Vendor {
    /// The row of the catalogue.
    pub(super) row: &'static str,
    /// The model that is asked for.
    pub(super) model: &'static str,
    /// Whether the row has another model in this list, before this one.
    pub(super) second: bool,
    /// Where a chat has to go; `*` stands for the action of formats that have one in the path.
    pub(super) path: &'static str,
    pub(super) format: Format,
    /// What it lacks, under the names of `Capabilities::each`. It can do everything else.
    pub(super) cannot: &'static [(&'static str, How)],
    /// What no description says, so that neither side is sure of it.
    pub(super) unknown: &'static [&'static str],
    /// What must be sent for much thinking and for none: members as JSON, and what is warned of.
    pub(super) much: Knob,
    pub(super) none: Knob,
    /// What comes back of earlier thoughts, as JSON.
    pub(super) back: &'static str,
    /// Whether it counts thoughts, and what it read from its cache.
    pub(super) counts_thoughts: bool,
    pub(super) counts_cached: bool,
    /// Its words for: done, cut, calls, withheld.
    pub(super) words: [&'static str; 4],
    /// An error in the middle of a stream, as it comes.
    pub(super) broken: &'static str,
    /// Its list of models is a bare list.
    pub(super) bare_list: bool,
    /// Whether it draws its words by itself: a temperature is left out.
    pub(super) fixed_sampling: bool,
}

/// The members that control thinking, and the warnings that go with them.
#[derive(Clone, Copy)]
pub(super) struct Knob(pub(super) &'static str, pub(super) &'static [&'static str]);

/// What happens where something cannot be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum How {
    /// It is left out, with a warning about this.
    Warned(&'static str),
    /// It is refused before anything is sent.
    Unsendable,
    /// The server refuses it: status and body.
    Refused(u16, &'static str),
    /// The server takes no notice.
    Ignored,
    /// There is no such thing: nothing of it is sent or seen.
    Absent,
}

pub(super) enum Format {
    Chat(Chat),
    Messages,
    Generate(Generate),
    /// The mock server's own words in the most common format.
    Mock(Chat),
}

/// How a server speaks the most common format.
pub(super) struct Chat {
    /// The header with the key, where it is no bearer token.
    pub(super) key: Option<&'static str>,
    /// The member that limits the answer.
    pub(super) limit: &'static str,
    pub(super) seed: &'static str,
    pub(super) system: &'static str,
    pub(super) thoughts: Thoughts,
    pub(super) calls: Calls,
    /// Tool-call ids have nine letters and digits.
    pub(super) short_ids: bool,
    pub(super) usage: UsageAt,
    /// Whether `stream_options` has to be there, or must not.
    pub(super) asks_usage: bool,
    /// Thoughts are counted beside the answer's tokens.
    pub(super) outside: bool,
    /// Where in the usage the tokens stand that were read from the cache.
    pub(super) cached: &'static [&'static str],
    /// What comes before the first chunk.
    pub(super) opening: &'static str,
    /// What comes before a plain answer.
    pub(super) blank: &'static str,
    /// Members of every chunk.
    pub(super) noise: &'static str,
    /// Members of every choice.
    pub(super) choice_noise: &'static str,
    /// Members of a message and of the first delta, which mean nothing.
    pub(super) placeholders: &'static str,
    /// `finish_reason` is not there before the end.
    pub(super) late_finish: bool,
    /// Every delta says who speaks.
    pub(super) says_role: bool,
    /// `[DONE]` ends a stream.
    pub(super) done: bool,
    /// User and assistant speak in turn.
    pub(super) alternates: bool,
}

/// Where thoughts stand in an answer.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Thoughts {
    Nowhere,
    Member(&'static str),
    /// As `reasoning`, and signed in `reasoning_details`.
    Details,
    /// As parts of the content.
    Parts,
    /// In the text, between tags.
    Tags,
}

/// How calls come in a stream.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Calls {
    Pieces,
    /// Each in one piece.
    Whole,
    /// All in the last chunk, without index and type.
    AtTheEnd,
}

/// Where a stream says what it used.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum UsageAt {
    /// In a chunk of its own.
    Alone,
    Finish,
    /// In the last chunk, in an object of its own there, and in a chunk of its own.
    Thrice,
    /// In every chunk, as far as it has come.
    Every,
    /// In a chunk that says once more why the answer ended.
    FinishAgain,
}

/// How `generateContent` is served.
pub(super) struct Generate {
    /// An account signs in; there is no key.
    pub(super) signed_in: bool,
    /// Members that only this house knows.
    pub(super) beside: &'static [&'static str],
}

impl Vendor {
    /// The name in reports: a second model of a row has its own beside it.
    pub(super) fn label(&self) -> String {
        if self.second { format!("{}/{}", self.row, self.model) } else { self.row.to_owned() }
    }

    pub(super) fn how(&self, what: &str) -> Option<How> {
        self.cannot.iter().find(|(name, _)| *name == what).map(|(_, how)| *how)
    }

    pub(super) fn can(&self, what: &str) -> bool {
        self.how(what).is_none()
    }
}

pub(super) const CHAT: Chat = Chat {
    key: None,
    limit: "max_tokens",
    seed: "seed",
    system: "system",
    thoughts: Thoughts::Member("reasoning_content"),
    calls: Calls::Pieces,
    short_ids: false,
    usage: UsageAt::Alone,
    asks_usage: true,
    outside: false,
    cached: &[],
    opening: "",
    blank: "",
    noise: "",
    choice_noise: "",
    placeholders: "",
    late_finish: false,
    says_role: false,
    done: true,
    alternates: false,
};

/// No thoughts come back.
pub(super) const FORGETS: (&str, How) = ("replay", How::Absent);
/// The format has no such request.
pub(super) const NO_COUNT: (&str, How) = ("token_counts", How::Absent);

pub(super) const VENDOR: Vendor = Vendor {
    row: "",
    model: "",
    second: false,
    path: "/v1/chat/completions",
    format: Format::Chat(CHAT),
    cannot: &[FORGETS, NO_COUNT],
    unknown: &[],
    much: Knob(r#"{"reasoning_effort":"high"}"#, &[]),
    none: Knob(r#"{"reasoning_effort":"none"}"#, &[]),
    back: "null",
    counts_thoughts: false,
    counts_cached: false,
    words: ["stop", "length", "tool_calls", "content_filter"],
    broken: "data: {\"error\":{\"message\":\"The server had an error\",\"type\":\"server_error\",\"param\":null,\"code\":null}}\n\n",
    bare_list: false,
    fixed_sampling: false,
};
