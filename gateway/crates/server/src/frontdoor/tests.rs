use super::relays;

#[test]
fn the_control_planes_public_paths_are_relayed() {
    for path in
        ["/", "/api/v1/teams", "/.well-known/towpath", "/assets/app.js", "/portal", "/portal/teams"]
    {
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
    ] {
        assert!(!relays(path), "{path}");
    }
}
