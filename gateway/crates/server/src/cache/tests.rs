use http::HeaderValue;

use super::*;

#[test]
fn equal_is_the_same_json_whatever_its_order_and_white_space() {
    let one = canonical(br#"{"model":"m","messages":[{"role":"user","content":"a b"}],"n":1}"#);
    let two = canonical(
        b"{ \"n\": 1, \"stream\": false,\n \"messages\": [{\"content\": \"a b\", \"role\": \"user\"}], \"model\": \"m\"}",
    );

    assert!(one.is_some());
    assert_eq!(one, two);
}

#[test]
fn no_default_is_invented_and_no_list_sorted() {
    let plain = canonical(br#"{"model":"m","stop":["a","b"]}"#);

    assert_ne!(plain, canonical(br#"{"model":"m","stop":["b","a"]}"#));
    assert_ne!(plain, canonical(br#"{"model":"m","stop":["a","b"],"temperature":1}"#));
    assert_ne!(plain, canonical(br#"{"model":"m","stop":["a","b"],"stream":true}"#));
    assert_eq!(canonical(b"not json"), None);
}

#[test]
fn a_fresh_answer_is_asked_for_by_header() {
    let asks = |name: &'static str, value: &'static str| {
        let mut headers = HeaderMap::new();
        headers.insert(name, HeaderValue::from_static(value));
        fresh(&headers)
    };

    assert!(asks("cache-control", "no-store") && asks("cache-control", "max-age=0, No-Cache"));
    assert!(asks("x-towpath-evaluation", "evr_1"));
    assert!(!asks("cache-control", "max-age=60"));
}
