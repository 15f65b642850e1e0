use super::{Asked, Wants};

fn asked(version: Option<&str>, wants: Wants) -> Option<Asked> {
    Some(Asked { name: "triage".to_owned(), version: version.map(str::to_owned), wants })
}

#[test]
fn every_path_of_the_protocol_is_known() {
    let cases = [("", Wants::Metadata), ("/ready", Wants::Ready), ("/infer", Wants::Infer)];
    for (rest, wants) in cases {
        let plain = format!("/v2/models/triage{rest}");
        let versioned = format!("/v2/models/triage/versions/3{rest}");

        assert_eq!(Asked::of(&plain), asked(None, wants));
        assert_eq!(Asked::of(&versioned), asked(Some("3"), wants));
    }
}

#[test]
fn paths_beside_them_are_not() {
    for path in [
        "/v2",
        "/v2/models",
        "/v2/models/",
        "/v2/models//infer",
        "/v2/models/a/infer/",
        "/v2/models/a/versions",
        "/v2/models/a/versions//infer",
        "/v2/models/a/versions/1/infer/more",
        "/v2/models/a/stats",
        "/v2/repository/index",
    ] {
        assert_eq!(Asked::of(path), None, "{path}");
    }
}
