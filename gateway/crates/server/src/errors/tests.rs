use std::collections::BTreeSet;

use super::{Code, Refusal, Shape};

#[test]
fn every_code_is_snake_case_and_unique() {
    let codes: Vec<_> = Code::all().map(Code::code).collect();

    assert_eq!(codes.iter().collect::<BTreeSet<_>>().len(), codes.len());
    for code in codes {
        assert!(code.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'), "{code}");
    }
}

#[test]
fn every_code_has_an_error_status_a_title_and_a_fix() {
    for code in Code::all() {
        assert!((400..600).contains(&code.status()), "{}", code.code());
        assert!(!code.title().is_empty() && !code.fix().is_empty(), "{}", code.code());
    }
}

#[test]
fn only_key_problems_are_401() {
    for code in Code::all().filter(|code| code.status() == 401) {
        assert!(code.code().contains("key"), "{}", code.code());
    }
}

#[test]
fn a_sick_platform_says_when_to_come_back() {
    let response = Refusal::new(Code::JournalFull, "full").respond(Shape::OpenAi, "req_1");

    assert_eq!(response.status(), 503);
    assert_eq!(response.headers()["retry-after"], "1");
    assert_eq!(response.headers()["x-request-id"], "req_1");
}
