use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::{Value, json};
use towpath_wire::routing::FieldRule;

use super::*;

fn chat(body: &str) -> Result<OpenAiRequest, RequestError> {
    OpenAiRequest::read(Operation::Chat, Bytes::copy_from_slice(body.as_bytes()))
}

fn refused(operation: Operation, body: &[u8]) -> RequestError {
    OpenAiRequest::read(operation, Bytes::copy_from_slice(body)).unwrap_err()
}

fn rules(fields: &[(&str, Option<f64>, Option<f64>)]) -> BTreeMap<String, FieldRule> {
    let rule = |&(name, minimum, maximum): &(&str, _, _)| {
        (name.to_owned(), FieldRule { minimum, maximum, ..FieldRule::default() })
    };
    fields.iter().map(rule).collect()
}

fn to_engine(body: &str, rules: &BTreeMap<String, FieldRule>) -> Result<Value, RequestError> {
    let request = chat(body).unwrap();
    let sent =
        request.for_upstream(&Rewrite { request_fields: Some(rules), ..Rewrite::to("engine") })?;
    Ok(serde_json::from_slice(&sent).unwrap())
}

fn to_provider(body: &Value) -> Value {
    let request = chat(&body.to_string()).unwrap();
    let sent = request.for_upstream(&Rewrite::to("vendor/m")).unwrap();
    serde_json::from_slice(&sent).unwrap()
}

#[test]
fn one_pass_finds_what_the_gateway_decides_by() {
    let request = chat(
        r#" {"model":"smollm2","messages":[{"role":"user","content":"seven b"}],"stream":true,
            "stream_options":{"include_usage":true},"max_tokens":5,"max_completion_tokens":7,"n":2,
            "user":"u\u0031","tools":[{"type":"function"}]} "#,
    )
    .unwrap();

    assert_eq!(request.model(), "smollm2");
    assert!(request.stream());
    assert!(request.wants_usage());
    assert_eq!(request.max_output_tokens(), Some(7));
    assert_eq!(request.choices(), 2);
    assert_eq!(request.user(), Some("u1"));
    assert_eq!(request.input_bytes(), 7 + r#"[{"type":"function"}]"#.len() as u64);
}

#[test]
fn nulls_are_fields_that_are_not_there() {
    let request = chat(
        r#"{"model":"m","messages":[{"role":"user","content":null}],"stream":null,"n":null,
            "stream_options":null,"max_tokens":null,"user":null}"#,
    )
    .unwrap();

    assert_eq!(
        (request.stream(), request.wants_usage(), request.max_output_tokens(), request.choices()),
        (false, false, None, 1)
    );
}

#[test]
fn syntax_errors_name_line_and_column() {
    let cases: [(&[u8], &str); 9] = [
        (b"", "the body is empty"),
        (b"{", "ends in the middle at line 1, column 2"),
        (b"{\n \"model\": \"m\",\n}", "expected a name in double quotes at line 3, column 1"),
        (b"{\"model\" \"m\"}", "expected `:` at line 1, column 10"),
        (b"{\"model\": m}", "expected a value at line 1, column 11"),
        (b"{\"model\": \"m", "a string that is not closed at line 1, column 11"),
        (b"{\"a\": 01}", "expected `,` or `}` at line 1, column 8"),
        (b"{\"model\": \"m\"} x", "more text after the value at line 1, column 16"),
        (b"{\"a\": \"\\x\"}", "an escape that JSON does not have at line 1, column 8"),
    ];
    for (body, expected) in cases {
        let error = refused(Operation::Chat, body);

        assert_eq!(error.code, RequestCode::InvalidJson);
        assert!(error.message.ends_with(expected), "{} / {expected}", error.message);
    }
}

#[test]
fn bytes_that_are_not_utf8_are_refused_with_their_place() {
    let error = refused(Operation::Chat, b"{\"model\":\n\"\xff\"}");

    assert_eq!(error.message, "the body is not UTF-8: byte 0xff at line 2, column 2");
}

#[test]
fn wrong_types_name_field_and_both_types() {
    let m = r#""messages":[{"role":"user","content":"x"}]"#;
    let cases = [
        ("[]".to_owned(), "the body must be an object, not an array"),
        (format!(r#"{{"model":5,{m}}}"#), "`model` must be a string, not a number"),
        (format!(r#"{{"model":"",{m}}}"#), "`model` is empty"),
        (format!("{{{m}}}"), "`model` is missing"),
        (r#"{"model":"m"}"#.to_owned(), "`messages` is missing"),
        (
            r#"{"model":"m","messages":{}}"#.to_owned(),
            "`messages` must be an array of messages, not an object",
        ),
        (r#"{"model":"m","messages":[]}"#.to_owned(), "`messages` is empty"),
        (
            r#"{"model":"m","messages":[{"role":"user"},"hi"]}"#.to_owned(),
            "`messages[1]` must be an object with `role` and `content`, not a string",
        ),
        (
            r#"{"model":"m","messages":[{"content":"x"}]}"#.to_owned(),
            "`messages[0].role` is missing",
        ),
        (
            r#"{"model":"m","messages":[{"role":1}]}"#.to_owned(),
            "`messages[0].role` must be a string, not a number",
        ),
        (
            r#"{"model":"m","messages":[{"role":"user","content":5}]}"#.to_owned(),
            "`messages[0].content` must be a string or an array of parts, not a number",
        ),
        (
            format!(r#"{{"model":"m",{m},"stream":"yes"}}"#),
            "`stream` must be true or false, not a string",
        ),
        (format!(r#"{{"model":"m",{m},"n":0}}"#), "`n` must be from 1 to 4096"),
        (
            format!(r#"{{"model":"m",{m},"n":1.5}}"#),
            "`n` must be a whole number, without fraction or exponent",
        ),
        (format!(r#"{{"model":"m",{m},"max_tokens":-1}}"#), "`max_tokens` must not be negative"),
        (
            format!(r#"{{"model":"m",{m},"max_tokens":99999999999999999999999}}"#),
            "`max_tokens` is larger than any number that makes sense",
        ),
        (
            format!(r#"{{"model":"m",{m},"stream_options":{{"include_usage":1}}}}"#),
            "`stream_options.include_usage` must be true or false, not a number",
        ),
        (format!(r#"{{"model":"m",{m},"user":"\ud800"}}"#), "`user` holds half a surrogate pair"),
    ];
    for (body, expected) in cases {
        assert_eq!(chat(&body).unwrap_err().message, expected);
    }
}

#[test]
fn a_field_that_appears_twice_is_refused_however_it_is_spelled() {
    for second in ["model", "mod\\u0065l"] {
        let body = format!(
            r#"{{"model":"a","messages":[{{"role":"user","content":"x"}}],"{second}":"b"}}"#
        );

        assert_eq!(chat(&body).unwrap_err().message, "`model` appears twice");
    }
    let body = r#"{"mod\u0065l":"a","model":"b"}"#;
    assert_eq!(chat(body).unwrap_err().message, "`model` appears twice");
}

#[test]
fn escaped_names_are_the_fields_they_spell() {
    let request = chat(r#"{"\u006dodel":"a","messages":[{"role":"user","content":"x"}]}"#).unwrap();

    let sent = request.for_upstream(&Rewrite::to("b")).unwrap();

    assert_eq!(request.model(), "a");
    assert_eq!(serde_json::from_slice::<Value>(&sent).unwrap()["model"], "b");
}

#[test]
fn too_many_fields_are_refused() {
    let fields: Vec<_> = (0..300).map(|n| format!("\"f{n}\":1")).collect();

    let error = chat(&format!("{{{}}}", fields.join(","))).unwrap_err();

    assert_eq!(error.message, "the body has more than 256 fields");
}

#[test]
fn prompts_and_inputs_may_be_texts_or_token_ids() {
    let read = |operation, body: &str| {
        OpenAiRequest::read(operation, Bytes::copy_from_slice(body.as_bytes()))
    };
    let completion = |prompt: &str| {
        let body = format!(r#"{{"model":"m","n":2,"prompt":{prompt}}}"#);
        read(Operation::Completions, &body).map(|r| (r.choices(), r.input_bytes()))
    };

    assert_eq!(completion("\"four\"").unwrap(), (2, 4));
    assert_eq!(completion("[\"four\",\"two\"]").unwrap(), (4, 7));
    assert_eq!(completion("[1,2,3]").unwrap(), (2, 12));
    assert_eq!(completion("[]").unwrap_err().message, "`prompt` is empty");
    assert_eq!(
        completion("[\"a\",1]").unwrap_err().message,
        "`prompt[1]` is not of the same type as those before"
    );
    assert_eq!(
        read(Operation::Embeddings, r#"{"model":"m","input":{}}"#).unwrap_err().message,
        "`input` must be a string or an array of strings, not an object"
    );
    assert_eq!(
        read(Operation::Embeddings, r#"{"model":"m","input":"x","encoding_format":"hex"}"#)
            .unwrap_err()
            .message,
        "`encoding_format` must be `float` or `base64`"
    );
}

#[test]
fn an_unchanged_body_is_not_even_copied() {
    let request = chat(r#"{"model":"m","messages":[{"role":"user","content":"x"}]}"#).unwrap();

    let sent = request.for_upstream(&Rewrite::to("m")).unwrap();

    assert_eq!(sent.as_ptr(), request.body().as_ptr());
}

#[test]
fn providers_get_unknown_fields_as_they_are() {
    let mut body = json!({
        "model": "m", "messages": [{"role": "user", "content": "x"}],
        "cache_salt": {"deep": [1.50, "\u{e9}"]}, "seed": null,
    });

    let sent = to_provider(&body);

    body["model"] = json!("vendor/m");
    assert_eq!(sent, body);
}

#[test]
fn usage_is_asked_for_on_every_stream() {
    let asked = |options: Value| {
        let mut body = json!({"model": "m", "messages": [{"role": "user"}], "stream": true});
        if options != json!("absent") {
            body["stream_options"] = options;
        }
        to_provider(&body)["stream_options"].clone()
    };
    let usage = json!({"include_usage": true});

    assert_eq!(asked(json!("absent")), usage);
    assert_eq!(asked(Value::Null), usage);
    assert_eq!(asked(json!({})), usage);
    assert_eq!(asked(json!({"include_usage": false})), usage);
    assert_eq!(asked(json!({"include_usage": true})), usage);
    assert_eq!(asked(json!({"x": 1})), json!({"include_usage": true, "x": 1}));
    assert_eq!(
        asked(json!({"x": 1, "include_usage": false, "y": 2})),
        json!({"x": 1, "include_usage": true, "y": 2})
    );
}

#[test]
fn own_runtimes_get_what_they_list_and_nothing_else() {
    let rules = rules(&[("temperature", Some(0.0), Some(2.0)), ("max_tokens", Some(1.0), None)]);
    let body = r#"{"model":"m","messages":[{"role":"user","content":"x"}],"temperature":0.5,"user":"u",
        "stream":true,"stream_options":{"include_obfuscation":true},"n":1,"seed":null,"tools":[]}"#;

    let sent = to_engine(body, &rules).unwrap();

    let expected = json!({
        "model": "engine", "messages": [{"role": "user", "content": "x"}], "temperature": 0.5,
        "stream": true, "stream_options": {"include_usage": true},
    });
    assert_eq!(sent, expected);
}

#[test]
fn a_field_the_runtime_does_not_list_is_refused_by_name() {
    let rules = rules(&[("temperature", None, None), ("top_p", None, None)]);
    let body = r#"{"model":"m","messages":[{"role":"user"}],"cache_salt":"x"}"#;

    let error = to_engine(body, &rules).unwrap_err();

    assert_eq!(error.code, RequestCode::UnsupportedField);
    assert_eq!(error.param.as_deref(), Some("cache_salt"));
    assert_eq!(error.message, "`m` does not take the field `cache_salt`");
    assert_eq!(error.fix.as_deref(), Some("Remove `cache_salt`; it takes `temperature`, `top_p`."));
}

#[test]
fn values_outside_their_range_are_refused_with_the_range() {
    let rules = rules(&[
        ("temperature", Some(0.0), Some(2.0)),
        ("min_p", Some(0.0), None),
        ("top_k", None, Some(100.0)),
        ("best_of", Some(1.0), Some(1.0)),
    ]);
    let message = |field: &str| {
        let body = format!(r#"{{"model":"m","messages":[{{"role":"user"}}],{field}}}"#);
        to_engine(&body, &rules).unwrap_err().message
    };

    assert_eq!(message(r#""temperature":2.5"#), "`temperature` must be from 0 to 2");
    assert_eq!(message(r#""temperature":1e400"#), "`temperature` must be from 0 to 2");
    assert_eq!(message(r#""min_p":-0.1"#), "`min_p` must be at least 0");
    assert_eq!(message(r#""top_k":101"#), "`top_k` must be at most 100");
    assert_eq!(message(r#""best_of":2"#), "`best_of` must be 1");
    assert_eq!(message(r#""top_k":"5""#), "`top_k` must be a number, not a string");
}

fn other_fields() -> impl Strategy<Value = BTreeMap<String, Value>> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
    ];
    let value = leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(".{0,4}", inner, 0..4)
                .prop_map(|m| Value::Object(m.into_iter().collect())),
        ]
    });
    prop::collection::btree_map("x_.{0,6}", value, 0..6)
}

proptest! {
    /// Cutting and joining bytes does what editing the parsed document would do.
    #[test]
    fn splicing_equals_editing(
        others in other_fields(),
        model in ".{1,12}",
        upstream in ".{1,12}",
        stream: bool,
        usage in prop::option::of(prop::option::of(any::<bool>())),
        pretty: bool,
    ) {
        let mut body = serde_json::to_value(&others).unwrap();
        body["model"] = json!(model);
        body["messages"] = json!([{"role": "user", "content": "x"}]);
        body["stream"] = json!(stream);
        if let Some(usage) = usage {
            body["stream_options"] = usage.map_or(json!({}), |u| json!({"include_usage": u}));
        }
        let text = if pretty { serde_json::to_string_pretty(&body) } else { serde_json::to_string(&body) };
        let request = chat(&text.unwrap()).unwrap();

        let sent = request.for_upstream(&Rewrite::to(&upstream)).unwrap();

        body["model"] = json!(upstream);
        if stream {
            body["stream_options"] = json!({"include_usage": true});
        }
        prop_assert_eq!(serde_json::from_slice::<Value>(&sent).unwrap(), body);
    }

    #[test]
    fn foreign_bytes_never_panic(body in prop::collection::vec(any::<u8>(), 0..300)) {
        for operation in [Operation::Chat, Operation::Completions, Operation::Embeddings] {
            let _ = OpenAiRequest::read(operation, Bytes::from(body.clone()));
        }
    }
}

#[test]
fn a_value_longer_than_the_description_allows_is_refused_by_name() {
    let rule = FieldRule { max_bytes: Some(16), ..FieldRule::default() };

    let error = super::rewrite::check_range("response_format", br#"{"type":"json_object"}"#, &rule)
        .expect_err("22 bytes are more than 16");

    assert!(error.to_string().contains("`response_format` is 22 bytes long"), "{error}");
    assert!(super::rewrite::check_range("response_format", br#"{"type":"text"}"#, &rule).is_ok());
}

#[test]
fn a_list_of_several_prompts_is_refused_and_one_of_token_ids_is_not() {
    let rule = FieldRule { max_items: Some(1), ..FieldRule::default() };
    let check = |value: &[u8]| super::rewrite::check_range("prompt", value, &rule).is_ok();

    assert!(check(br#""one""#));
    assert!(check(br#"["one"]"#));
    assert!(check(b"[1, -2, 3]"));
    assert!(!check(br#"["one", "two"]"#));
    assert!(!check(b"[[1, 2], [3]]"));
}

#[test]
fn a_bound_on_the_answer_replaces_the_callers_and_changes_nothing_else() {
    let read = |text: &str| {
        OpenAiRequest::read(Operation::Chat, bytes::Bytes::from(text.to_owned())).unwrap()
    };
    let capped = |text: &str| {
        let capped = read(text).with_max_output_tokens(7).unwrap();
        serde_json::from_slice::<serde_json::Value>(capped.body()).unwrap()
    };
    let messages = r#""messages":[{"role":"user","content":"hi"}]"#;
    let old = capped(&format!(r#"{{"model":"m","max_tokens":900,"x":[1, 2],{messages}}}"#));
    let new = capped(&format!(r#"{{"max_completion_tokens": 900,"model":"m",{messages}}}"#));
    let none = capped(&format!(r#"{{"model":"m",{messages}}}"#));

    assert_eq!((&old["max_tokens"], &old["x"]), (&7.into(), &serde_json::json!([1, 2])));
    assert_eq!((&new["max_completion_tokens"], new.get("max_tokens")), (&7.into(), None));
    assert_eq!((&none["max_tokens"], &none["model"]), (&7.into(), &"m".into()));
}
