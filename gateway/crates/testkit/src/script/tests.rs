use super::*;

#[test]
fn a_script_is_written_as_json() {
    let json = r#"{"fault": {"cut": {"after": 2}}, "gates": {"token:1": "g"}, "usage": "missing"}"#;

    let script: Script = serde_json::from_str(json).unwrap();

    assert_eq!(script.fault, Some(Fault::Cut { after: 2 }));
    assert_eq!(script.gates["token:1"], "g");
    assert_eq!(script.check(), Ok(()));
}

#[test]
fn a_point_that_is_none_is_named() {
    let script = Script { delays_ms: [("tokn:1".to_owned(), 5)].into(), ..Script::default() };

    assert!(script.check().unwrap_err().contains("`tokn:1`"));
}
