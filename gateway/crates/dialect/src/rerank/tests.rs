use serde_json::{Value, json};

use super::*;
use crate::request::RequestCode;

fn read(body: &Value) -> Result<RerankRequest, RequestError> {
    RerankRequest::read(Bytes::from(body.to_string()))
}

fn usage(body: &Value) -> Option<u64> {
    metered(body.to_string().as_bytes()).unwrap().and_then(|usage| usage.input_tokens)
}

#[test]
fn the_query_is_read_once_with_each_document() {
    let body =
        json!({"model": "m", "query": "1234", "documents": ["12", {"text": "123"}], "top_n": 1});
    let request = read(&body).unwrap();

    assert_eq!(request.model(), "m");
    assert_eq!(request.prompt(), b"\"1234\"");
    assert_eq!(request.input_bytes(), 2 * 4 + 2 + 3);
}

#[test]
fn what_is_missing_or_of_a_wrong_type_is_refused_by_name() {
    let cases = [
        (json!({"query": "q", "documents": ["a"]}), RequestCode::MissingField, "model"),
        (json!({"model": "m", "documents": ["a"]}), RequestCode::MissingField, "query"),
        (json!({"model": "m", "query": "q"}), RequestCode::MissingField, "documents"),
        (json!({"model": "m", "query": 1, "documents": ["a"]}), RequestCode::InvalidField, "query"),
        (
            json!({"model": "m", "query": "q", "documents": "a"}),
            RequestCode::InvalidField,
            "documents",
        ),
        (
            json!({"model": "m", "query": "q", "documents": []}),
            RequestCode::InvalidField,
            "documents",
        ),
        (
            json!({"model": "m", "query": "q", "documents": ["a", 1]}),
            RequestCode::InvalidField,
            "documents[1]",
        ),
        (
            json!({"model": "m", "query": "q", "documents": ["a"], "top_n": -1}),
            RequestCode::InvalidField,
            "top_n",
        ),
    ];
    for (body, code, param) in cases {
        let error = read(&body).unwrap_err();
        assert_eq!((error.code, error.param.as_deref()), (code, Some(param)), "{body}");
    }
}

#[test]
fn a_target_gets_its_own_name_and_the_fields_it_lists() {
    let request = read(&json!({
        "model": "m", "query": "q", "documents": ["a"], "top_n": 2, "user": "u"
    }))
    .unwrap();
    let all = request.for_upstream("up", None).unwrap();
    let listed = BTreeMap::from([("top_n".to_owned(), FieldRule::default())]);
    let few = request.for_upstream("up", Some(&listed)).unwrap();
    let none = request.for_upstream("up", Some(&BTreeMap::new())).unwrap_err();

    let all: Value = serde_json::from_slice(&all).unwrap();
    let few: Value = serde_json::from_slice(&few).unwrap();
    assert_eq!((&all["model"], &all["user"]), (&json!("up"), &json!("u")));
    assert_eq!(few, json!({"model": "up", "query": "q", "documents": ["a"], "top_n": 2}));
    assert_eq!((none.code, none.param.as_deref()), (RequestCode::UnsupportedField, Some("top_n")));
}

#[test]
fn tokens_are_read_wherever_a_server_reports_them() {
    let results = json!([{"index": 0, "relevance_score": 0.5}]);
    assert_eq!(usage(&json!({"results": results, "usage": {"total_tokens": 7}})), Some(7));
    let both = json!({"results": results, "usage": {"prompt_tokens": 5, "total_tokens": 7}});
    assert_eq!(usage(&both), Some(5));
    let cohere = json!({"results": results, "meta": {"billed_units": {"search_units": 1}, "tokens": {"input_tokens": 9}}});
    assert_eq!(usage(&cohere), Some(9));
    assert_eq!(
        usage(&json!({"results": results, "meta": {"billed_units": {"search_units": 1}}})),
        None
    );
    assert_eq!(usage(&json!({"results": results})), None);
}

#[test]
fn what_is_no_ranking_is_a_fault() {
    for body in
        ["", "<html>", "{", r#"{"object":"list","data":[]}"#, r#"{"error":{"message":"no"}}"#, "[]"]
    {
        assert!(metered(body.as_bytes()).is_err(), "{body}");
    }
}
