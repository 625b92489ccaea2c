"""The official SDKs against a mock server: `python sdks.py http://127.0.0.1:PORT`.

The server echoes, but for these prompts: "all" gets reasoning, a text and two tool calls; "busy" gets 503 once and
then an echo; "limit" gets 429; "refuse" is refused. Prints a line for each SDK; any failure is an exception.
"""

import sys

BASE = sys.argv[1]
SCHEMA = {"type": "object", "properties": {"port": {"type": "string"}}, "required": ["port"]}


def check(seen, wanted):
    assert seen == wanted, f"{seen!r} is not {wanted!r}"


def openai_sdk():
    import openai

    client = openai.OpenAI(base_url=BASE + "/v1", api_key="k", max_retries=0)

    def ask(text, **more):
        return client.chat.completions.create(
            model="echo", messages=[{"role": "user", "content": text}], **more
        )

    check(ask("hi there").choices[0].message.content, "hi there")
    chunks = list(ask("hi there", stream=True, stream_options={"include_usage": True}))
    check("".join(c.choices[0].delta.content or "" for c in chunks if c.choices), "hi there")
    check(chunks[-1].usage.completion_tokens, 2)
    calls = ask("all").choices[0].message.tool_calls
    check([call.function.name for call in calls], ["get_tide", "now"])
    try:
        ask("limit")
        raise AssertionError("no error")
    except openai.RateLimitError as error:
        check(error.status_code, 429)
    check(ask_retrying(client, "busy").choices[0].message.content, "busy")
    check(len(client.embeddings.create(model="e", input=["a", "b"]).data), 2)
    assert [model.id for model in client.models.list()]


def ask_retrying(client, text):
    client = client.with_options(max_retries=2)
    return client.chat.completions.create(model="echo", messages=[{"role": "user", "content": text}])


def anthropic_sdk():
    import anthropic

    client = anthropic.Anthropic(base_url=BASE, api_key="k", max_retries=0)
    tools = [{"name": name, "input_schema": SCHEMA} for name in ("get_tide", "now")]

    def request(text):
        return {"model": "claude-x", "max_tokens": 2048, "messages": [{"role": "user", "content": text}]}

    check(client.messages.create(**request("hi there")).content[0].text, "hi there")
    with client.messages.stream(**request("hi there")) as stream:
        check("".join(stream.text_stream), "hi there")
        check(stream.get_final_message().usage.output_tokens, 2)
    asked = request("all") | {"tools": tools, "thinking": {"type": "adaptive"}}
    plain = client.messages.create(**asked)
    with client.messages.stream(**asked) as stream:
        message = stream.get_final_message()
    check([block.type for block in message.content], ["thinking", "text", "tool_use", "tool_use"])
    check([b.to_dict() for b in message.content], [b.to_dict() for b in plain.content])
    check((message.stop_reason, message.content[2].input), ("tool_use", {"port": "Brest"}))
    uses = [block.id for block in message.content if block.type == "tool_use"]
    results = [{"type": "tool_result", "tool_use_id": use, "content": "6.1 m"} for use in uses]
    asked["messages"] += [{"role": "assistant", "content": message.content}, {"role": "user", "content": results}]
    check(client.messages.create(**asked).content[0].text, "6.1 m6.1 m")
    try:
        client.messages.create(**request("limit"))
        raise AssertionError("no error")
    except anthropic.RateLimitError as error:
        check((error.status_code, error.body["error"]["type"]), (429, "rate_limit_error"))
        assert error.request_id.startswith("req_mock_")
    check(client.with_options(max_retries=2).messages.create(**request("busy")).content[0].text, "busy")
    check(client.messages.create(**request("refuse")).stop_reason, "refusal")
    count = client.messages.count_tokens(model="m", messages=[{"role": "user", "content": "one two"}])
    check(count.input_tokens, 2)
    listed = [model.id for model in client.models.list(limit=2)]
    check(listed, ["m0", "m1", "m2", "m3", "m4"])
    check(client.models.retrieve("m3").id, "m3")


def genai_sdk():
    from google import genai
    from google.genai import errors, types

    def client_with(attempts):
        retry = types.HttpRetryOptions(attempts=attempts, initial_delay=0.01)
        options = types.HttpOptions(base_url=BASE, api_version="v1beta", retry_options=retry)
        return genai.Client(api_key="k", http_options=options)

    client = client_with(1)
    model = "gemini-3-pro"
    check(client.models.generate_content(model=model, contents="hi there").text, "hi there")
    chunks = list(client.models.generate_content_stream(model=model, contents="hi there"))
    check("".join(chunk.text or "" for chunk in chunks), "hi there")
    check(chunks[-1].usage_metadata.candidates_token_count, 2)
    declared = [{"name": name, "parameters_json_schema": SCHEMA} for name in ("get_tide", "now")]
    config = types.GenerateContentConfig(
        tools=[types.Tool(function_declarations=declared)],
        automatic_function_calling=types.AutomaticFunctionCallingConfig(disable=True),
        thinking_config=types.ThinkingConfig(include_thoughts=True),
        system_instruction="Be brief.",
    )
    answer = client.models.generate_content(model=model, contents="all", config=config)
    check([call.name for call in answer.function_calls], ["get_tide", "now"])
    content = answer.candidates[0].content
    assert content.parts[0].thought and any(part.thought_signature for part in content.parts)
    results = [
        types.Part.from_function_response(name=call.name, response={"output": 6.1})
        for call in answer.function_calls
    ]
    history = [
        types.Content(role="user", parts=[types.Part(text="Tide?")]),
        content,
        types.Content(role="user", parts=results),
    ]
    answer = client.models.generate_content(model=model, contents=history, config=config)
    check(answer.text.replace(" ", ""), '{"output":6.1}' * 2)
    try:
        client.models.generate_content(model=model, contents="limit")
        raise AssertionError("no error")
    except errors.ClientError as error:
        check((error.code, error.status), (429, "RESOURCE_EXHAUSTED"))
    # A client that nobody holds closes itself.
    patient = client_with(3)
    check(patient.models.generate_content(model=model, contents="busy").text, "busy")
    refused = client.models.generate_content(model=model, contents="refuse")
    check(refused.prompt_feedback.block_reason.value, "PROHIBITED_CONTENT")
    check(client.models.count_tokens(model=model, contents="one two").total_tokens, 2)
    embedded = client.models.embed_content(model="embed", contents=["a", "b"])
    check(len(embedded.embeddings), 2)
    listed = [model.name for model in client.models.list(config={"page_size": 2})]
    check(listed, [f"models/m{n}" for n in range(5)])
    check(client.models.get(model="m3").name, "models/m3")


for name, run in (("openai", openai_sdk), ("anthropic", anthropic_sdk), ("google-genai", genai_sdk)):
    run()
    print(name, "works", flush=True)
