use towpath_wire::routing::Operation;

use super::Asks;

#[test]
fn every_path_of_the_dialects_is_known() {
    let predict = |version| Asks::Predict { name: "triage".into(), version };

    assert_eq!(Asks::of("/v1/chat/completions"), Some(Asks::OpenAi(Operation::Chat)));
    assert_eq!(Asks::of("/v1/completions"), Some(Asks::OpenAi(Operation::Completions)));
    assert_eq!(Asks::of("/v1/embeddings"), Some(Asks::OpenAi(Operation::Embeddings)));
    assert_eq!(Asks::of("/v1/models"), Some(Asks::Models));
    assert_eq!(Asks::of("/v1/models/triage"), Some(Asks::Model("triage".into())));
    assert_eq!(Asks::of("/v1/models/triage/predict"), Some(predict(None)));
    assert_eq!(Asks::of("/v1/models/triage/versions/3/predict"), Some(predict(Some(3))));
}

#[test]
fn paths_beside_them_are_not() {
    for path in [
        "/v1",
        "/v1/",
        "/v1/models/",
        "/v1/models//predict",
        "/v1/models/a/b",
        "/v1/models/a/predict/",
        "/v1/models/a/versions/x/predict",
        "/v1/models/a/versions/1/predict/more",
        "/v1/chat/completions/",
        "/v2/models",
    ] {
        assert_eq!(Asks::of(path), None, "{path}");
    }
}
