use std::collections::BTreeMap;

use super::{Limits, Listen, OtlpProtocol, load};

const SECRET: &str = "0123456789abcdef0123456789abcdef";

fn strings(words: &[&str]) -> Vec<String> {
    words.iter().map(|&word| word.to_owned()).collect()
}

fn environment(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    let secret = ("TOWPATH_SECRET_KEY", SECRET);
    pairs.iter().chain([&secret]).map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
}

#[test]
fn arguments_and_environment_make_a_configuration() {
    let arguments = strings(&["--data", "d", "--listen", "127.0.0.1:0"]);
    let config =
        load(&arguments, &environment(&[("TOWPATH_GATEWAY_BODY_MAX_BYTES", "2048")])).unwrap();

    assert_eq!(config.listen, Listen::Address("127.0.0.1:0".parse().unwrap()));
    assert_eq!(config.limits, Limits { body_max_bytes: 2_048, ..Limits::default() });
}

#[test]
fn all_mistakes_are_reported_together() {
    let arguments = strings(&["--listen", "nowhere", "--contrl", "x"]);
    let variables = [
        ("TOWPATH_GATEWAY_BODY_MAX_BYTE", "1"),
        ("TOWPATH_GATEWAY_WORKERS", "many"),
        ("TOWPATH_LINK_CREDENTIAL", "short"),
    ];
    let problems = load(&arguments, &environment(&variables)).unwrap_err().0;

    let all = problems.join("\n");
    for part in [
        "--listen: `nowhere`",
        "`--contrl` is not an option; did you mean `--control`",
        "--data is needed",
        "TOWPATH_LINK_CREDENTIAL is shorter",
        "TOWPATH_GATEWAY_BODY_MAX_BYTE is not a setting; did you mean `body_max_bytes`",
        "TOWPATH_GATEWAY_WORKERS is not a whole number from 0 to 256",
    ] {
        assert!(all.contains(part), "{part} is missing from:\n{all}");
    }
}

#[test]
fn the_file_is_read_below_the_environment() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("towpath.toml");
    std::fs::write(&file, "[control]\nx = 1\n[gateway]\njournal_sync_ms = 0\ndrain_ms = 5\n")
        .unwrap();
    let arguments = strings(&["--data=d", "--listen-fd=7", "--config", file.to_str().unwrap()]);
    let config = load(&arguments, &environment(&[("TOWPATH_GATEWAY_DRAIN_MS", "6")])).unwrap();

    assert_eq!(config.listen, Listen::Inherited(7));
    assert_eq!((config.limits.journal_sync_ms, config.limits.drain_ms), (0, 6));
}

#[test]
fn secrets_are_not_shown() {
    let config =
        load(&strings(&["--data", "d", "--listen", "127.0.0.1:0"]), &environment(&[])).unwrap();

    assert!(!format!("{config:?}").contains(SECRET));
}

#[test]
fn every_setting_has_a_description_and_a_default_within_its_range() {
    for setting in Limits::SETTINGS {
        assert!(!setting.description.is_empty(), "{}", setting.name);
        assert!((setting.minimum..=setting.maximum).contains(&setting.default), "{}", setting.name);
    }
}

#[test]
fn where_spans_go_is_put_together_from_its_settings() {
    let arguments = strings(&["--data", "d", "--listen", "127.0.0.1:0"]);
    let variables = [
        ("TOWPATH_GATEWAY_OTLP_ENDPOINT", "http://collector:4318"),
        ("TOWPATH_GATEWAY_OTLP_HEADERS", "authorization=Bearer%20x%3Dy"),
        ("TOWPATH_GATEWAY_OTLP_SAMPLE_RATIO", "0.25"),
    ];
    let config = load(&arguments, &environment(&variables)).unwrap();
    let shown = format!("{config:?}");
    let otlp = config.otlp.unwrap();

    assert_eq!((otlp.protocol, otlp.sample_below), (OtlpProtocol::Http, 1 << 61));
    assert_eq!(otlp.headers["authorization"], "Bearer x=y");
    assert!(!shown.contains("Bearer"), "{shown}");
    assert!(load(&arguments, &environment(&[])).unwrap().otlp.is_none());
}

#[test]
fn wrong_settings_of_spans_are_named_and_their_values_not_shown() {
    let arguments = strings(&["--data", "d", "--listen", "127.0.0.1:0"]);
    let variables = [
        ("TOWPATH_GATEWAY_OTLP_ENDPOINT", "http://collector:4318"),
        ("TOWPATH_GATEWAY_OTLP_HEADERS", "a=b,sk-secret,c=%zz-secret"),
        ("TOWPATH_GATEWAY_OTLP_SAMPLE_RATIO", "2"),
        ("TOWPATH_GATEWAY_OTLP_PROTOCOL", "udp"),
    ];
    let problems = load(&arguments, &environment(&variables)).unwrap_err().0.join("\n");

    for part in [
        "otlp_headers: part 2 is not `name=value`",
        "otlp_headers: part 3 is not `name=value`",
        "otlp_sample_ratio: `2` is not a number from 0 to 1",
        "otlp_protocol: `udp` is not `http/protobuf` or `grpc`",
    ] {
        assert!(problems.contains(part), "{part} is missing from:\n{problems}");
    }
    assert!(!problems.contains("secret"), "{problems}");
}
