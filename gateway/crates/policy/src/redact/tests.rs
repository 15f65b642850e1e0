use towpath_wire::routing::Redaction;

use super::{MAX_RULES, Redactor};

fn rules(given: &[(&str, &str)]) -> Vec<Redaction> {
    let rule = |(name, pattern): &(&str, &str)| Redaction {
        name: (*name).to_owned(),
        pattern: (*pattern).to_owned(),
    };
    given.iter().map(rule).collect()
}

fn redact(given: &[(&str, &str)], text: &str) -> String {
    let redacted = Redactor::new(&rules(given)).unwrap().apply(text.as_bytes());
    String::from_utf8(redacted).unwrap()
}

#[test]
fn every_match_is_replaced_by_the_rules_name() {
    let text = r#"{"a":"DE44 5001 0517 5407 3249 31","b":"call 0151 2345","c":"call 0151 9999"}"#;
    let given =
        [("iban", r"[A-Z]{2}\d{2}(?: ?\d{4}){4,7}(?: ?\d{1,3})?"), ("phone", r"0\d{3} \d{4}")];

    assert_eq!(
        redact(&given, text),
        r#"{"a":"[redacted:iban]","b":"call [redacted:phone]","c":"call [redacted:phone]"}"#
    );
}

#[test]
fn keys_of_the_platform_are_taken_out_without_a_rule() {
    let key = format!("tp_production_{}", "aB3".repeat(12) + "xy");

    assert_eq!(redact(&[], &format!("my key is {key}!")), "my key is [redacted:towpath_key]!");
}

#[test]
fn a_replacement_is_taken_as_it_is() {
    assert_eq!(redact(&[("a-1_b", "(x)(y)")], "xy $1"), "[redacted:a-1_b] $1");
}

#[test]
fn bytes_that_are_no_text_are_left_alone() {
    let redacted = Redactor::new(&rules(&[("x", "b")])).unwrap().apply(b"a\xffb\xfe");

    assert_eq!(redacted, b"a\xff[redacted:x]\xfe");
}

#[test]
fn rules_that_cannot_be_used_are_named() {
    for (name, pattern, why) in [
        ("", "x", "name"),
        ("a b", "x", "name"),
        ("a", "(", "cannot be used"),
        ("a", r"(?=x)", "cannot be used"),
        ("a", r"(x)\1", "cannot be used"),
        ("a", "x*", "empty"),
        ("a", "(?:(?:(?:x{1,99}){1,99}){1,99})y", "cannot be used"),
    ] {
        let refused = Redactor::new(&rules(&[(name, pattern)])).unwrap_err();

        assert!(refused.contains(why), "{pattern}: {refused}");
    }
    let long = "x".repeat(513);
    assert!(Redactor::new(&rules(&[("a", &long)])).unwrap_err().contains("512"));
    let many = vec![("a", "x"); MAX_RULES + 1];
    assert!(Redactor::new(&rules(&many)).unwrap_err().contains("more than"));
}

/// Nested repetitions take exponential time in engines that backtrack.
#[test]
fn a_pattern_made_to_be_slow_is_not() {
    let text = "a".repeat(100_000);

    assert_eq!(redact(&[("slow", "(?:a+)+(?:a+)+b")], &text).len(), text.len());
}
