//! The protocol of `generateContent`, statement by statement, beyond what the tests beside the code show.

use llm_types::{FinishReason, Message, Role, ToolResult};

use super::tables::{Asked, are_read, are_written, events, request, said, stops};
use super::*;

const DIALECT: Dialect = Dialect::Gemini;
const TARGET: WireTarget<'static> = gemini::tests::TARGET;

/// §2, §4, §5: every member of a request, and what stands for the settings that have none.
const REQUESTS: &[Asked] = &[
    (
        "{}",
        r#"{"contents":[{"role":"user","parts":[{"text":"hi"}]}],"systemInstruction":null,"generationConfig":null,"tools":null,"toolConfig":null,"safetySettings":null,"model":null,"stream":null}"#,
        &[],
    ),
    (
        r#"{"temperature":0.5,"top_p":0.9,"top_k":7,"n":2,"max_tokens":9,"stop":"END","presence_penalty":-2,"frequency_penalty":2,"seed":-2147483648,"logprobs":true,"top_logprobs":20}"#,
        r#"{"generationConfig":{"temperature":0.5,"topP":0.9,"topK":7,"candidateCount":2,"maxOutputTokens":9,"stopSequences":["END"],"presencePenalty":-2.0,"frequencyPenalty":2.0,"seed":-2147483648,"responseLogprobs":true,"logprobs":20}}"#,
        &[],
    ),
    (r#"{"logprobs":true}"#, r#"{"generationConfig":{"responseLogprobs":true}}"#, &[]),
    (r#"{"top_logprobs":2}"#, r#"{"generationConfig":{"responseLogprobs":true,"logprobs":2}}"#, &[]),
    (r#"{"n":1,"logprobs":false}"#, r#"{"generationConfig":null}"#, &[]),
    (r#"{"seed":2147483648}"#, r#"{"generationConfig":null}"#, &["seed"]),
    (
        r#"{"stop":["1","2","3","4","5"]}"#,
        r#"{"generationConfig":{"stopSequences":["1","2","3","4","5"]}}"#,
        &[],
    ),
    (
        r#"{"stop":["1","2","3","4","5","6"]}"#,
        r#"{"generationConfig":{"stopSequences":["1","2","3","4","5"]}}"#,
        &["stop"],
    ),
    // Tiers, under the words of others too; the vendor's choice is no word at all.
    (r#"{"service_tier":"standard"}"#, r#"{"serviceTier":"standard"}"#, &[]),
    (r#"{"service_tier":"default"}"#, r#"{"serviceTier":"standard"}"#, &[]),
    (r#"{"service_tier":"flex"}"#, r#"{"serviceTier":"flex"}"#, &[]),
    (r#"{"service_tier":"priority"}"#, r#"{"serviceTier":"priority"}"#, &[]),
    (r#"{"service_tier":"auto"}"#, r#"{"serviceTier":null}"#, &[]),
    (r#"{"service_tier":"scale"}"#, r#"{"serviceTier":null}"#, &["service_tier"]),
    // What has a member of its own here and none elsewhere goes as it is written.
    (
        r#"{"safetySettings":[{"category":"HARM_CATEGORY_HATE_SPEECH","threshold":"BLOCK_ONLY_HIGH"}],"cachedContent":"cachedContents/1","store":false,"labels":{"a":"b"},"modelArmorConfig":{"promptTemplateName":"x"}}"#,
        r#"{"safetySettings":[{"category":"HARM_CATEGORY_HATE_SPEECH","threshold":"BLOCK_ONLY_HIGH"}],"cachedContent":"cachedContents/1","store":false,"labels":{"a":"b"},"modelArmorConfig":{"promptTemplateName":"x"}}"#,
        &[],
    ),
    (
        r#"{"max_tokens":9,"generationConfig":{"responseModalities":["TEXT","IMAGE"],"speechConfig":{},"imageConfig":{"aspectRatio":"1:1"},"mediaResolution":"MEDIA_RESOLUTION_LOW","audioTimestamp":true,"continuationToken":"t","responseSchema":{"type":"STRING"},"responseMimeType":"text/x.enum"}}"#,
        r#"{"generationConfig":{"maxOutputTokens":9,"responseModalities":["TEXT","IMAGE"],"speechConfig":{},"imageConfig":{"aspectRatio":"1:1"},"mediaResolution":"MEDIA_RESOLUTION_LOW","audioTimestamp":true,"continuationToken":"t","responseSchema":{"type":"STRING"},"responseMimeType":"text/x.enum"}}"#,
        &[],
    ),
    // What has none at all is a warning each.
    (
        r#"{"logit_bias":{"1":2},"verbosity":"low","prompt_cache_key":"k","user":"u","metadata":{"a":"b"}}"#,
        r#"{"generationConfig":null,"labels":null}"#,
        &["logit_bias", "verbosity", "prompt_cache_key", "user", "metadata"],
    ),
    // Structured output: a schema goes as it is written, with all that the JSON Schema form takes.
    (
        r##"{"response_format":{"type":"json_schema","json_schema":{"name":"r","schema":{"$schema":"s","$defs":{"a":{"anyOf":[{"type":"null"}]}},"properties":{"x":{"$ref":"#/$defs/a"},"y":{"oneOf":[{"prefixItems":[{"default":1}]}]}},"additionalProperties":false}}}}"##,
        r##"{"generationConfig":{"responseMimeType":"application/json","responseJsonSchema":{"$schema":"s","$defs":{"a":{"anyOf":[{"type":"null"}]}},"properties":{"x":{"$ref":"#/$defs/a"},"y":{"oneOf":[{"prefixItems":[{"default":1}]}]}},"additionalProperties":false}}}"##,
        &[],
    ),
    (
        r#"{"response_format":{"type":"json_object"}}"#,
        r#"{"generationConfig":{"responseMimeType":"application/json"}}"#,
        &[],
    ),
    // A schema beside function tools.
    (
        r#"{"response_format":{"type":"json_schema","json_schema":{"name":"r","schema":{}}},"tools":[{"type":"function","function":{"name":"f"}}]}"#,
        r#"{"generationConfig":{"responseMimeType":"application/json","responseJsonSchema":{}},"tools":[{"functionDeclarations":[{"name":"f"}]}]}"#,
        &[],
    ),
    // Tools: functions in one, all others each by itself.
    (
        r#"{"tools":[{"type":"function","function":{"name":"f","description":"d","parameters":{"type":"object"},"behavior":"NON_BLOCKING","responseJsonSchema":{}}},{"googleSearch":{}},{"type":"function","function":{"name":"g"}},{"codeExecution":{}},{"urlContext":{}},{"googleMaps":{}},{"fileSearch":{"x":1}},{"computerUse":{}}]}"#,
        r#"{"tools":[{"functionDeclarations":[{"name":"f","description":"d","parametersJsonSchema":{"type":"object"},"behavior":"NON_BLOCKING","responseJsonSchema":{}},{"name":"g"}]},{"googleSearch":{}},{"codeExecution":{}},{"urlContext":{}},{"googleMaps":{}},{"fileSearch":{"x":1}},{"computerUse":{}}],"toolConfig":null}"#,
        &[],
    ),
    // Declarations written by hand, in the older schema, are functions to choose among too.
    (
        r#"{"tools":[{"functionDeclarations":[{"name":"f","parameters":{"type":"OBJECT"}}]}],"tool_choice":{"type":"function","function":{"name":"f"}}}"#,
        r#"{"tools":[{"functionDeclarations":[{"name":"f","parameters":{"type":"OBJECT"}}]}],"toolConfig":{"functionCallingConfig":{"mode":"ANY","allowedFunctionNames":["f"]}}}"#,
        &[],
    ),
    (
        r#"{"tools":[{"googleSearch":{}}],"tool_choice":"required"}"#,
        r#"{"toolConfig":null}"#,
        &["tool_choice"],
    ),
    (
        r#"{"tools":[{"type":"function","function":{"name":"f","strict":true}}],"toolConfig":{"includeServerSideToolInvocations":true,"retrievalConfig":{"latLng":{"latitude":1}}}}"#,
        r#"{"toolConfig":{"functionCallingConfig":{"mode":"VALIDATED"},"includeServerSideToolInvocations":true,"retrievalConfig":{"latLng":{"latitude":1}}}}"#,
        &[],
    ),
    (
        r#"{"tools":[{"type":"function","function":{"name":"f"}}],"toolConfig":{"functionCallingConfig":{"streamFunctionCallArguments":true}}}"#,
        r#"{"toolConfig":{"functionCallingConfig":{"streamFunctionCallArguments":true}}}"#,
        &[],
    ),
    (
        r#"{"tools":[{"type":"function","function":{"name":"f","cache_control":{}}}],"parallel_tool_calls":false}"#,
        r#"{"tools":[{"functionDeclarations":[{"name":"f"}]}]}"#,
        &["tools[0].cache_control", "parallel_tool_calls"],
    ),
    // Parts and what may stand beside their data.
    (
        r#"{"messages":[{"role":"user","content":[{"type":"text","text":"a","partMetadata":{"k":1}},{"type":"image_url","image_url":{"url":"data:image/png;base64,iVBO","detail":"high"}},{"type":"image_url","image_url":{"url":"https://h/a.webp"}},
         {"type":"input_audio","input_audio":{"data":"UklG","format":"wav"}},{"type":"file","file":{"file_data":"data:application/pdf;base64,JVBE"}},{"type":"file","file":{"file_id":"https://g/v1beta/files/x"},"videoMetadata":{"startOffset":"10s","fps":1}},{"executableCode":{"language":"PYTHON","code":"1","id":"e"}}]}]}"#,
        r#"{"contents":[{"role":"user","parts":[{"text":"a","partMetadata":{"k":1}},{"inlineData":{"mimeType":"image/png","data":"iVBO"},"mediaResolution":{"level":"MEDIA_RESOLUTION_HIGH"}},{"fileData":{"mimeType":"image/webp","fileUri":"https://h/a.webp"}},
         {"inlineData":{"mimeType":"audio/wav","data":"UklG"}},{"inlineData":{"mimeType":"application/pdf","data":"JVBE"}},{"fileData":{"fileUri":"https://g/v1beta/files/x"},"videoMetadata":{"startOffset":"10s","fps":1}},{"executableCode":{"language":"PYTHON","code":"1","id":"e"}}]}]}"#,
        &[],
    ),
    (
        r#"{"messages":[{"role":"user","content":[{"type":"text","text":"a","cache_control":{}}],"name":"ann"}]}"#,
        r#"{"contents":[{"role":"user","parts":[{"text":"a"}]}]}"#,
        &["messages[0].name", "messages[0].content.cache_control"],
    ),
    // Neighbours of one role stay what they are.
    (
        r#"{"messages":[{"role":"user","content":"a"},{"role":"user","content":"b"}]}"#,
        r#"{"contents":[{"role":"user","parts":[{"text":"a"}]},{"role":"user","parts":[{"text":"b"}]}]}"#,
        &[],
    ),
    // A result is an object: of output, of an error, or empty; with pictures beside it.
    (
        r#"{"messages":[{"role":"user","content":"t?"},{"role":"assistant","content":null,"tool_calls":[{"id":"1","type":"function","function":{"name":"f","arguments":"{}"},"signature":"s"},{"id":"2","type":"function","function":{"name":"g","arguments":"{}"}},{"id":"3","type":"function","function":{"name":"h","arguments":"{}"}}]},
         {"role":"tool","tool_call_id":"3","content":""},{"role":"tool","tool_call_id":"2","content":"no","is_error":true},{"role":"tool","tool_call_id":"1","content":[{"type":"text","text":"x"},{"type":"image_url","image_url":{"url":"data:image/png;base64,iVBO"}}]}]}"#,
        r#"{"contents":[{"role":"user","parts":[{"text":"t?"}]},{"role":"model","parts":[{"functionCall":{"name":"f","args":{}},"thoughtSignature":"s"},{"functionCall":{"name":"g","args":{}}},{"functionCall":{"name":"h","args":{}}}]},
         {"role":"user","parts":[{"functionResponse":{"name":"f","response":{"output":"x"},"parts":[{"inlineData":{"mimeType":"image/png","data":"iVBO"}}]}},{"functionResponse":{"name":"g","response":{"error":"no"}}},{"functionResponse":{"name":"h","response":{"output":""}}}]}]}"#,
        &[],
    ),
    // Steps in a row: the first call of each has to be signed.
    (
        r#"{"messages":[{"role":"user","content":"t?"},{"role":"assistant","content":"a","tool_calls":[{"id":"1","type":"function","function":{"name":"f","arguments":"{}"}},{"id":"2","type":"function","function":{"name":"f","arguments":"{}"}}]},{"role":"tool","tool_call_id":"1","content":"x"},{"role":"tool","tool_call_id":"2","content":"x"},{"role":"assistant","content":null,"tool_calls":[{"id":"3","type":"function","function":{"name":"f","arguments":"{}"}}]}]}"#,
        r#"{"contents":[{"role":"user","parts":[{"text":"t?"}]},{"role":"model","parts":[{"text":"a"},{"functionCall":{"name":"f","args":{}},"thoughtSignature":"c2tpcF90aG91Z2h0X3NpZ25hdHVyZV92YWxpZGF0b3I="},{"functionCall":{"name":"f","args":{}}}]},
         {"role":"user","parts":[{"functionResponse":{"name":"f","response":{"output":"x"}}},{"functionResponse":{"name":"f","response":{"output":"x"}}}]},{"role":"model","parts":[{"functionCall":{"name":"f","args":{}},"thoughtSignature":"c2tpcF90aG91Z2h0X3NpZ25hdHVyZV92YWxpZGF0b3I="}]}]}"#,
        &[],
    ),
];

#[test]
fn every_member_of_a_request_is_written_or_warned_of() {
    are_written(DIALECT, &TARGET, REQUESTS);
    // In its cloud there are labels and no tiers.
    let cloud = Quirks { lacks: &[Setting::ServiceTier], ..Quirks::GEMINI };
    are_written(
        DIALECT,
        &WireTarget { quirks: &cloud, ..TARGET },
        &[
            (r#"{"metadata":{"team":"x"}}"#, r#"{"labels":{"team":"x"}}"#, &[]),
            (r#"{"service_tier":"auto"}"#, r#"{"serviceTier":null}"#, &[]),
            (r#"{"service_tier":"flex"}"#, r#"{"serviceTier":null}"#, &["service_tier"]),
        ],
    );
}

/// §1, §12: what is counted.
#[test]
fn a_count_is_asked_of_the_whole_prompt() {
    let asked = request(
        r#"{"messages":[{"role":"user","content":"a"}],"cachedContent":"cachedContents/1","user":"u","safetySettings":[]}"#,
    );
    let body = |quirks: &Quirks| {
        let sent = DIALECT.encode_count(&asked, &WireTarget { quirks, ..TARGET }).unwrap();
        assert!(sent.warnings.is_empty() && sent.query.is_none());
        String::from_utf8(sent.body.to_vec()).unwrap()
    };
    let contents = r#""contents":[{"role":"user","parts":[{"text":"a"}]}]"#;
    assert_eq!(
        body(&Quirks::GEMINI),
        format!(
            r#"{{"generateContentRequest":{{"model":"models/gemini-x",{contents},"cachedContent":"cachedContents/1"}}}}"#
        )
    );
    assert_eq!(body(&Quirks { count_form: CountForm::Bare, ..Quirks::GEMINI }), format!("{{{contents}}}"));
}

fn chunk(parts: &str, more: &str) -> String {
    format!(
        r#"{{"candidates":[{{"content":{{"parts":[{parts}],"role":"model"}}{more}}}],"responseId":"r","modelVersion":"v"}}"#
    )
}

/// §2, §3: parts of every kind come whole and in pieces, in either framing, and go back as they came.
#[test]
fn parts_of_every_kind_go_back_as_they_came() {
    let parts = [
        r#"{"text":"hm","thought":true}"#,
        r#"{"text":"a","thoughtSignature":"s1"}"#,
        r#"{"executableCode":{"language":"PYTHON","code":"1","id":"e"},"thoughtSignature":"s2"}"#,
        r#"{"codeExecutionResult":{"outcome":"OUTCOME_FAILED","output":"x","id":"e"}}"#,
        r#"{"codeExecutionResult":{"outcome":"OUTCOME_DEADLINE_EXCEEDED"}}"#,
        r#"{"toolCall":{"id":"t","toolType":"GOOGLE_SEARCH_WEB","args":{}},"thoughtSignature":"s3"}"#,
        r#"{"toolResponse":{"id":"t","toolType":"GOOGLE_SEARCH_WEB","response":{}},"thoughtSignature":"s4"}"#,
        r#"{"inlineData":{"mimeType":"image/png","data":"AA=="},"thoughtSignature":"s5"}"#,
        r#"{"inlineData":{"mimeType":"image/png","data":"AA=="},"thought":true,"thoughtSignature":"s6"}"#,
        r#"{"fileData":{"mimeType":"image/png","fileUri":"gs://b/a.png"}}"#,
        r#"{"functionCall":{"id":"fc","name":"f","args":{"x":1.50}},"thoughtSignature":"s7"}"#,
        r#"{"functionCall":{"name":"g","args":{}}}"#,
        r#"{"text":"","thoughtSignature":"s8"}"#,
    ];
    let stop = r#","finishReason":"STOP""#;
    let whole = chunk(&parts.join(","), stop);
    let mut pieces: Vec<String> = parts.iter().map(|part| chunk(part, "")).collect();
    pieces.push(chunk("", stop));
    for (body, json) in
        [(whole, false), (events(&pieces), false), (format!("[{}]", pieces.join(",\r\n")), true)]
    {
        let response = if body.starts_with('{') {
            DIALECT.decode_chat(body.as_bytes(), &TARGET).unwrap()
        } else {
            let (events, result) = stream_by(DIALECT, json, [body.as_bytes()], &TARGET);
            result.unwrap();
            collect(events)
        };
        assert!(response.warnings.is_empty(), "{:?}", response.warnings);
        stops(&response, FinishReason::ToolCalls);
        let asked = ChatRequest::new(vec![response.message().unwrap().clone()]);
        let sent = DIALECT.encode_chat(&asked, &TARGET, false).unwrap();
        assert!(sent.warnings.is_empty(), "{:?}", sent.warnings);
        let sent = String::from_utf8(sent.body.to_vec()).unwrap();
        let back = sent.split_once(r#""parts":["#).unwrap().1.strip_suffix("]}]}").unwrap();
        let value = |text: &str| serde_json::from_str::<serde_json::Value>(&format!("[{text}]")).unwrap();
        assert_eq!(value(back), value(&parts.join(",")), "{body}");
    }
}

/// §6: what stands beside the answer is kept, whatever of it is there.
#[test]
fn answers_and_what_stands_beside_them_are_read() {
    are_read(
        DIALECT,
        &TARGET,
        &[
            (
                r#"{"candidates":[{"content":{"parts":[{"text":"a","partMetadata":{}}]},"finishReason":"STOP","tokenCount":1,"avgLogprobs":-0.5,"citationMetadata":{"citationSources":[]},"groundingMetadata":{"webSearchQueries":["x"]},"urlContextMetadata":{},"logprobsResult":{"chosenCandidates":[{"token":"a","tokenId":1,"logProbability":-0.5}]}}],"createTime":"2026-10-21T00:00:00Z","modelStatus":{"modelStage":"STABLE"},"promptFeedback":{}}"#,
                r#"text "a" | finish Some(Stop) native Some("STOP") | logprobs {"chosenCandidates":[{"token":"a","tokenId":1,"logProbability":-0.5}]} | beside {"partMetadata": "{}", "tokenCount": "1", "avgLogprobs": "-0.5", "citationMetadata": "{\"citationSources\":[]}", "groundingMetadata": "{\"webSearchQueries\":[\"x\"]}", "urlContextMetadata": "{}"} | id None model None extra ["modelStatus", "promptFeedback"]"#,
            ),
            // Content may be absent, empty, or without parts.
            (
                r#"{"candidates":[{"finishReason":"MODEL_ARMOR"}]}"#,
                r#"finish Some(ContentFilter) native Some("MODEL_ARMOR") | id None model None extra []"#,
            ),
            (
                r#"{"candidates":[{"content":{},"finishReason":"SAFETY","finishMessage":"m"}]}"#,
                r#"finish Some(ContentFilter) native Some("SAFETY") | beside {"finishMessage": "\"m\""} | id None model None extra []"#,
            ),
            (
                r#"{"candidates":[{"content":{"role":"model"},"finishReason":"MAX_TOKENS"}]}"#,
                r#"finish Some(Length) native Some("MAX_TOKENS") | id None model None extra []"#,
            ),
            (
                r#"{"candidates":[{"content":{"parts":[{"text":"a"}]},"finishReason":"CONTINUATION","continuationToken":"t"}]}"#,
                r#"text "a" | finish Some(Length) native Some("CONTINUATION") | beside {"continuationToken": "\"t\""} | id None model None extra []"#,
            ),
            // A call to a function that was not declared.
            (
                r#"{"candidates":[{"content":{"parts":[{"functionCall":{"id":"x","name":"f"}}]},"finishReason":"UNEXPECTED_TOOL_CALL"}]}"#,
                r#"call x f({}) {"native_id": "\"x\""} | finish Some(Error) native Some("UNEXPECTED_TOOL_CALL") | id None model None extra []"#,
            ),
            // A prompt that was refused has no candidates, and perhaps no counts.
            (
                r#"{"promptFeedback":{"blockReason":"JAILBREAK"},"usageMetadata":{}}"#,
                "id None model None extra [] | ContentFilter: the prompt was refused (JAILBREAK)",
            ),
            // Two calls of one id, and two without.
            (
                r#"{"candidates":[{"content":{"parts":[{"functionCall":{"id":"x","name":"f"}},{"functionCall":{"id":"x","name":"f"},"partMetadata":{"k":1}},{"functionCall":{"name":"f"}},{"functionCall":{"name":"f"}}]},"finishReason":"STOP"}]}"#,
                r#"call x f({}) {"native_id": "\"x\""} | call call_A f({}) {"native_id": "\"x\""} | call call_B f({}) {} | call call_C f({}) {} | finish Some(ToolCalls) native Some("STOP") | beside {"partMetadata": "{\"k\":1}"} | id None model None extra [] | warning tool_calls: two tool calls had one id; the later was given another"#,
            ),
            // Counts: thoughts and server-side tools are outside of what their names say.
            (
                r#"{"candidates":[{"finishReason":"STOP"}],"usageMetadata":{"promptTokenCount":10,"cachedContentTokenCount":4,"candidatesTokenCount":5,"thoughtsTokenCount":3,"toolUsePromptTokenCount":2,"totalTokenCount":20,"promptTokensDetails":[{"modality":"TEXT","tokenCount":10}]}}"#,
                r#"finish Some(Stop) native Some("STOP") | usage 12 in (cached Some(4)), 8 out (reasoning Some(3)), Reported | id None model None extra []"#,
            ),
            (
                r#"{"candidates":[{"finishReason":"STOP"}],"usageMetadata":{"promptTokenCount":10,"totalTokenCount":10,"promptTokensDetails":[{"modality":"VIDEO","tokenCount":9},{"modality":"DOCUMENT","tokenCount":1}],"trafficType":"ON_DEMAND_FLEX","serviceTier":"standard"}}"#,
                r#"finish Some(Stop) native Some("STOP") | usage 10 in (cached None), 0 out (reasoning None), Reported | id None model None extra ["usageMetadata"]"#,
            ),
        ],
    );
}

/// §8.
#[test]
fn streams_are_read_to_the_end_of_the_body() {
    let piece = |call: &str| chunk(&format!(r#"{{"functionCall":{call}}}"#), "");
    let begun = |counts: &str| {
        format!(
            r#"{{"candidates":[{{"content":{{"parts":[{{"text":"a"}}]}}}}],"usageMetadata":{{{counts}}}}}"#
        )
    };
    let stop = |counts: &str| {
        format!(
            r#"{{"candidates":[{{"content":{{"role":"model"}},"finishReason":"STOP"}}],"usageMetadata":{{{counts}}}}}"#
        )
    };
    for (body, expected) in [
        // CRLF, and an end without a blank line.
        (
            events(&[
                begun(r#""promptTokenCount":9"#),
                stop(r#""promptTokenCount":9,"candidatesTokenCount":1"#),
            ])
            .replace('\n', "\r\n")
            .trim_end()
            .to_owned(),
            r#"text "a" | finish Some(Stop) native Some("STOP") | usage 9 in (cached None), 1 out (reasoning None), Reported | id None model None extra []"#,
        ),
        // The last counts are the counts, though they lack what earlier ones had, and were more.
        (
            events(&[
                begun(r#""promptTokenCount":90,"thoughtsTokenCount":7,"cachedContentTokenCount":3"#),
                stop(r#""promptTokenCount":9,"candidatesTokenCount":1"#),
            ]),
            r#"text "a" | finish Some(Stop) native Some("STOP") | usage 9 in (cached None), 1 out (reasoning None), Reported | id None model None extra []"#,
        ),
        // Text follows a reason to stop, and then comes another.
        (
            events(&[begun(""), stop(""), begun(""), stop("")]),
            r#"text "aa" | finish Some(Stop) native Some("STOP") | id None model None extra []"#,
        ),
        // Arguments in pieces: values of every kind, texts that go on, the next call by its name, and no end at all.
        (
            events(&[
                piece(r#"{"name":"f","willContinue":true}"#),
                piece(
                    r#"{"partialArgs":[{"jsonPath":"$.a.b[0]","stringValue":"x","willContinue":true},{"jsonPath":"$.a.b[0]","stringValue":"y"},{"jsonPath":"$.n","numberValue":1.5},{"jsonPath":"$.t","boolValue":false},{"jsonPath":"$.z","nullValue":"NULL_VALUE"}],"willContinue":true}"#,
                ),
                piece("{}"),
                piece(r#"{"name":"g","willContinue":true}"#),
                piece(r#"{"name":"h","willContinue":true}"#),
                piece(r#"{"partialArgs":[{"jsonPath":"$.q","stringValue":"1"}],"willContinue":true}"#),
                stop(""),
            ]),
            r#"call call_A f({"a":{"b":["xy"]},"n":1.5,"t":false,"z":null}) {} | call call_B g({}) {} | call call_C h({"q":"1"}) {} | finish Some(ToolCalls) native Some("STOP") | id Some("r") model Some("v") extra []"#,
        ),
        // No reason to stop at the end of the body.
        (
            events(&[begun(r#""promptTokenCount":9"#)]),
            r#"text "a" | finish None native None | usage 9 in (cached None), 0 out (reasoning None), Partial | id None model None extra [] | Truncated: the stream ended before the answer was whole"#,
        ),
        // Errors in the middle: as an event, and as bare lines behind the events.
        (
            events(&[begun(""), r#"{"error":{"code":500,"message":"m","status":"INTERNAL"}}"#.to_owned()]),
            r#"text "a" | finish None native None | id None model None extra [] | Server: m"#,
        ),
        (
            events(&[begun("")])
                + "{\n \"error\": {\n  \"code\": 429,\n  \"message\": \"m\",\n  \"status\": \"RESOURCE_EXHAUSTED\"\n }\n}\n",
            r#"text "a" | finish None native None | id None model None extra [] | RateLimited: m"#,
        ),
    ] {
        assert_eq!(said(DIALECT, &TARGET, body.as_bytes()), expected, "{body}");
    }
}

/// A result is sent by the name of its call, with the server's own id where there was one.
#[test]
fn results_of_calls_with_one_id_or_none_find_their_calls() {
    let body = chunk(
        r#"{"functionCall":{"id":"x","name":"f"}},{"functionCall":{"id":"x","name":"g"}},{"functionCall":{"name":"h"}}"#,
        r#","finishReason":"STOP""#,
    );
    let message = DIALECT.decode_chat(body.as_bytes(), &TARGET).unwrap().message().unwrap().clone();
    let results: Vec<Message> = message
        .tool_calls()
        .map(|call| {
            Message::new(
                Role::Tool,
                vec![Part::ToolResult(ToolResult::text(&call.id, format!("of {}", call.name)))],
            )
        })
        .collect();
    let messages = std::iter::once(message).chain(results.into_iter().rev()).collect();
    let sent = DIALECT.encode_chat(&ChatRequest::new(messages), &TARGET, false).unwrap();
    let sent = String::from_utf8(sent.body.to_vec()).unwrap();
    assert!(
        sent.ends_with(r#"{"role":"user","parts":[{"functionResponse":{"id":"x","name":"f","response":{"output":"of f"}}},{"functionResponse":{"id":"x","name":"g","response":{"output":"of g"}}},{"functionResponse":{"name":"h","response":{"output":"of h"}}}]}]}"#),
        "{sent}"
    );
}
