use http::HeaderValue;

use super::{labels, parse_parent};

fn read(text: &str) -> Result<Vec<(String, String)>, String> {
    labels(&HeaderValue::from_str(text).unwrap())
}

#[test]
fn labels_are_pairs_between_commas() {
    let expected = vec![("a".to_owned(), "1".to_owned()), ("b".to_owned(), "x=y".to_owned())];

    assert_eq!(read("a=1, b=x=y,"), Ok(expected));
}

#[test]
fn malformed_labels_are_named() {
    assert_eq!(read("a").unwrap_err(), "has the part `a` without a `=`");
    assert_eq!(read("a=1,a=2").unwrap_err(), "has `a` twice");
    let nine = (0..9).map(|n| format!("l{n}=v")).collect::<Vec<_>>().join(",");
    assert_eq!(read(&nine).unwrap_err(), "has more than 8 labels");
}

#[test]
fn a_traceparent_is_continued_only_when_it_is_one() {
    let good = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    assert_eq!(parse_parent(good), Some(("4bf92f3577b34da6a3ce929d0e0e4736", "01")));
    for bad in [
        "",
        "00-x-y-z",
        &good.to_uppercase(),
        &good.replace("4bf92f3577b34da6a3ce929d0e0e4736", &"0".repeat(32)),
    ] {
        assert_eq!(parse_parent(bad), None, "{bad}");
    }
}
