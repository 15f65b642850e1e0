use serde_json::{Value, json};
use towpath_wire::routing::Operation;

use super::*;

fn chat(body: &str) -> Request {
    let body = Bytes::copy_from_slice(body.as_bytes());
    Request::OpenAi(OpenAiRequest::read(Operation::Chat, body).unwrap())
}

fn chat_of(content: &Value) -> Request {
    let messages = json!([{"role": "user", "content": content}]);
    chat(&json!({"model": "m", "messages": messages}).to_string())
}

fn messages(content: &Value) -> Request {
    let messages = json!([{"role": "user", "content": content}]);
    let body = json!({"model": "m", "max_tokens": 9, "messages": messages}).to_string();
    Request::Messages(MessagesRequest::read(Operation::Chat, body.into()).unwrap())
}

fn named(request: &Request) -> Vec<(String, String)> {
    let found = request.remote().unwrap();
    found.into_iter().map(|remote| (remote.path, remote.url)).collect()
}

fn refused(request: &Request) -> (RequestCode, String) {
    let error = request.remote().unwrap_err();
    (error.code, error.param.unwrap_or_default())
}

fn inlined(request: &Request) -> Value {
    let png = Inline { media_type: "image/png", bytes: Bytes::from_static(b"\x89PNG") };
    let content: Vec<_> = request.remote().unwrap().into_iter().map(|r| (r, png.clone())).collect();
    serde_json::from_slice(request.with_inline(&content).unwrap().body()).unwrap()
}

fn pair(path: &str, url: &str) -> (String, String) {
    (path.to_owned(), url.to_owned())
}

#[test]
fn images_of_a_chat_are_found_and_replaced_where_they_stand() {
    let request = chat_of(&json!([
        {"type": "text", "text": "What differs?"},
        {"type": "image_url", "image_url": {"detail": "low", "url": "https://a.example/1.png"}},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
        {"image_url": "HTTP://a.example/2.png?x=1"},
    ]));

    assert_eq!(
        named(&request),
        [
            pair("messages[0].content[1].image_url.url", "https://a.example/1.png"),
            pair("messages[0].content[3].image_url", "HTTP://a.example/2.png?x=1"),
        ]
    );
    let content = &inlined(&request)["messages"][0]["content"];
    let png = "data:image/png;base64,iVBORw==";
    assert_eq!(content[1]["image_url"], json!({"detail": "low", "url": png}));
    assert_eq!(content[2]["image_url"]["url"], "data:image/png;base64,AAAA");
    assert_eq!(content[3]["image_url"], png);
}

#[test]
fn sources_of_messages_become_base64_in_results_of_tools_too() {
    let image = json!({"type": "image", "source": {"type": "url", "url": "https://a.example/1"}});
    let request = messages(&json!([
        image,
        {"type": "tool_result", "tool_use_id": "t", "content": [image]},
    ]));

    assert_eq!(
        named(&request),
        [
            pair("messages[0].content[0].source.url", "https://a.example/1"),
            pair("messages[0].content[1].content[0].source.url", "https://a.example/1"),
        ]
    );
    let content = &inlined(&request)["messages"][0]["content"];
    let source = json!({"type": "base64", "media_type": "image/png", "data": "iVBORw=="});
    assert_eq!(content[0]["source"], source);
    assert_eq!(content[1]["content"][0]["source"], source);
}

#[test]
fn images_of_responses_are_found_in_their_input() {
    let body = json!({"model": "m", "input": [{"role": "user", "content": [
        {"type": "input_image", "image_url": "https://a.example/1"},
    ]}]});
    let request = Request::Responses(ResponsesRequest::read(body.to_string().into()).unwrap());

    assert_eq!(named(&request), [pair("input[0].content[0].image_url", "https://a.example/1")]);
    assert_eq!(
        inlined(&request)["input"][0]["content"][0]["image_url"],
        "data:image/png;base64,iVBORw=="
    );
}

#[test]
fn names_and_urls_that_are_escaped_are_what_they_spell() {
    let request = chat(
        r#"{"model":"m","messages":[{"role":"user","content":[{"type":"image_url","image\u005furl":{"\u0075rl":"\u0068ttp://a.example"}}]}]}"#,
    );

    assert_eq!(named(&request), [pair("messages[0].content[0].image_url.url", "http://a.example")]);
    let url = &inlined(&request)["messages"][0]["content"][0]["image_url"]["url"];
    assert_eq!(url, "data:image/png;base64,iVBORw==");
}

#[test]
fn what_a_server_would_open_otherwise_is_refused_by_its_path() {
    let of = |part: Value| refused(&chat_of(&json!([part])));
    let at = |path: &str| format!("messages[0].content[0].{path}");
    let (invalid, unsupported) = (RequestCode::InvalidField, RequestCode::UnsupportedField);

    let file = of(json!({"type": "image_url", "image_url": {"url": "file:///etc/passwd"}}));
    let bare = of(json!({"type": "image_url", "image_url": {"url": "/etc/passwd"}}));
    let video = of(json!({"type": "video_url", "video_url": {"url": "https://a.example/v"}}));
    let twice = refused(&chat(
        r#"{"model":"m","messages":[{"role":"user","content":[{"image_url":{"url":"data:,","url":"http://a"}}]}]}"#,
    ));
    let part = json!({"type": "image_url", "image_url": {"url": "https://a.example"}});
    let many = refused(&chat_of(&Value::Array(vec![part; MAX_REMOTE + 1])));

    assert_eq!(file, (invalid, at("image_url.url")));
    assert_eq!(bare, (invalid, at("image_url.url")));
    assert_eq!(video, (unsupported, at("video_url.url")));
    assert_eq!(twice, (invalid, at("image_url.url")));
    assert_eq!(many, (invalid, "messages[0].content[16].image_url.url".to_owned()));
}

#[test]
fn the_callers_own_data_are_left_alone() {
    let tools = json!([{"type": "function", "function": {"name": "f", "parameters": {
        "properties": {"image_url": {"default": {"image_url": "https://a.example"}}}}}}]);
    let chat = chat(
        &json!({"model": "m", "tools": tools, "messages": [
            {"role": "user", "content": "see \u{e9} https://a.example/image_url\" source"},
        ]})
        .to_string(),
    );
    let call = messages(&json!([{"type": "tool_use", "id": "t", "name": "f",
        "input": {"image_url": "https://a.example", "source": {"url": "https://a.example"}}}]));

    assert_eq!(named(&chat), []);
    assert_eq!(named(&call), []);
}
