use super::relays;

#[test]
fn the_control_planes_public_paths_are_relayed() {
    for path in [
        "/",
        "/api/v1/teams",
        "/.well-known/towpath",
        "/assets/app.js",
        "/portal",
        "/portal/teams",
        "/v1/files",
        "/v1/files/file_1/content",
        "/v1/batches",
        "/v1/batches/batch_1/cancel",
    ] {
        assert!(relays(path), "{path}");
    }
}

#[test]
fn nothing_else_is() {
    for path in [
        "/link/v1/routing",
        "/api",
        "/apix",
        "/metrics2",
        "/.well-known/other",
        "/.well-known/towpath/more",
        "/api/../link/v1/usage",
        "/api/%2e%2e/link/v1/usage",
        "/api/%2E./link",
        "/api//link",
        "/api/%2flink",
        "/api/./x",
        "/api/..\\link",
        "/healthz/",
        "/v1/filesystem",
        "/v1/batch",
        "/v1/files/../chat/completions",
        "/v1/files/..%2f..%2flink/v1/usage",
        "/v1/batches//link/v1/usage",
        "/V1/files",
    ] {
        assert!(!relays(path), "{path}");
    }
}
