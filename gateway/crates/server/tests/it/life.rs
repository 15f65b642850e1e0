//! A process's life: readiness, figures, draining, commands, and starts that fail.

use std::process::{Command, Output};

use serde_json::{Value, json};
use towpath_testkit::Script;
use towpath_wire::usage::Ended;

use crate::support::control::Control;
use crate::support::{Gateway, Options, World, chat, streamed, tables};

fn run(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_towpath-gateway"));
    command.args(arguments).env_clear().env("TOWPATH_SECRET_KEY", tables::SECRET);
    command.output().unwrap()
}

fn error(arguments: &[&str]) -> (i32, String) {
    let output = run(arguments);
    (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
}

#[tokio::test]
async fn a_gateway_without_a_table_lives_but_is_not_ready_and_never_says_401() {
    let data = tempfile::tempdir().unwrap();
    let gateway = Gateway::start(data.path(), &Options::default());
    let ready = gateway.get("/readyz").await;
    let call = gateway.post("/v1/chat/completions", &chat("m")).await;

    assert_eq!(gateway.get("/healthz").await.status, 200);
    assert_eq!(
        (ready.status.as_u16(), &ready.json()["reasons"][0]["code"]),
        (503, &json!("no_table"))
    );
    assert_eq!((call.status.as_u16(), call.code().as_str()), (503, "not_ready"));
}

#[tokio::test]
async fn a_gateway_is_ready_when_the_models_it_waits_for_have_loaded() {
    let upstream = towpath_testkit::FakeUpstream::start().await.unwrap();
    let control = Control::start().await;
    let platform = |ready_when: Value| {
        let value = json!({"name": "towpath", "currency": "EUR", "ready_when": ready_when});
        tables::entity("platform", "platform", &value)
    };
    let mut entities = tables::organisation();
    entities.retain(|entity| entity.kind != "platform");
    entities.push(platform(json!(["end_m"])));
    entities.push(tables::target("m", upstream.base_url(), &json!({"replicas": []})));
    entities.push(tables::endpoint("m", &json!({})));
    control.snapshot(1, entities);
    let data = tempfile::tempdir().unwrap();
    let options = Options { control: Some(control.address.clone()), ..Options::default() };
    let gateway = Gateway::start(data.path(), &options);
    control.applied(1).await;
    let loading = gateway.get("/readyz").await;
    control.batch(towpath_wire::routing::Batch {
        version: 1,
        from: 1,
        to: 2,
        advisory: vec![],
        upserts: vec![tables::target("m", upstream.base_url(), &json!({}))],
        deletes: vec![],
    });
    control.applied(2).await;

    assert_eq!(
        (loading.status.as_u16(), &loading.json()["reasons"][0]["code"]),
        (503, &json!("model_loading"))
    );
    assert_eq!(gateway.get("/readyz").await.status, 200);
}

#[tokio::test]
async fn a_credential_that_cannot_be_opened_is_a_warning_and_a_503() {
    let world = World::with(&[], |base| {
        let sealed = tables::SEALED.replace("v1.A", "v1.B");
        vec![
            tables::entity("credential", "crd_1", &json!({"sealed": sealed, "scheme": "bearer"})),
            tables::target("m", base, &json!({"credential": "crd_1"})),
            tables::endpoint("m", &json!({})),
        ]
    })
    .await;
    let ready = world.gateway.get("/readyz").await;
    let call = world.gateway.post("/v1/chat/completions", &chat("m")).await;

    assert_eq!(ready.json()["warnings"][0]["code"], "target_unusable");
    assert_eq!((call.status.as_u16(), call.code().as_str()), (503, "upstream_unavailable"));
}

#[tokio::test]
async fn the_figures_tell_requests_tokens_and_overhead() {
    let world = World::simple().await;
    world.gateway.post("/v1/chat/completions", &chat("m")).await;
    let text = world.gateway.get("/metrics").await.text();

    for line in [
        r#"towpath_gateway_requests_total{team="care",endpoint="m",target="m",gen_ai_operation_name="chat",status="2xx"} 1"#,
        r#"gen_ai_client_token_usage{team="care",endpoint="m",target="m",gen_ai_operation_name="chat",status="2xx",gen_ai_token_type="input"} 3"#,
        "towpath_gateway_overhead_seconds_count{} 1",
        "towpath_gateway_table_revision 1",
    ] {
        assert!(text.contains(line), "{line} is missing from:\n{text}");
    }
    assert!(!text.contains("key_1") && !text.contains("req_"));
}

#[tokio::test]
async fn sigterm_lets_a_stream_end_ships_its_record_and_exits_with_0() {
    let mut world = World::simple().await;
    let gates = [("token:4".to_owned(), "gate".to_owned())].into();
    world.upstream.script("m", Script { gates, ..Script::default() });
    let mut head = world.gateway.stream(&streamed("m")).await;
    head.chunk().await.unwrap();
    world.gateway.signal("-TERM");
    while tokio::net::TcpStream::connect(world.gateway.address).await.is_ok() {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    world.upstream.release("gate");
    let answer = head.rest().await;
    let status = world.gateway.ended().await;

    assert!(answer.text().ends_with("data: [DONE]\n\n"));
    assert!(status.success(), "{status}");
    let records = world.control.records();
    assert_eq!((records.len(), records[0].ended), (1, Ended::Complete));
}

#[tokio::test]
async fn a_drain_that_takes_too_long_ends_all_the_same() {
    let mut world = World::with(&[("drain_ms", 50)], |base| {
        vec![tables::target("m", base, &json!({})), tables::endpoint("m", &json!({}))]
    })
    .await;
    let gates = [("token:4".to_owned(), "gate".to_owned())].into();
    world.upstream.script("m", Script { gates, ..Script::default() });
    let mut head = world.gateway.stream(&streamed("m")).await;
    head.chunk().await.unwrap();
    world.gateway.signal("-TERM");

    assert!(world.gateway.ended().await.success());
    assert!(!head.rest().await.text().contains("[DONE]"));
    assert_eq!(world.control.records().len(), 1);
}

#[tokio::test]
async fn keys_and_credentials_are_in_no_log_and_on_no_disk() {
    let world = World::with(&[], |base| {
        vec![
            tables::entity(
                "credential",
                "crd_1",
                &json!({"sealed": tables::SEALED, "scheme": "bearer"}),
            ),
            tables::target("m", base, &json!({"credential": "crd_1"})),
            tables::endpoint("m", &json!({})),
        ]
    })
    .await;
    world.gateway.post("/v1/chat/completions", &chat("m")).await;
    world.gateway.post_as("tp_sandbox_wrong", "/v1/chat/completions", &chat("m")).await;
    let mut all = world.gateway.log();
    let mut folders = vec![world.folder()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                all.push_str(&String::from_utf8_lossy(&std::fs::read(path).unwrap()));
            }
        }
    }

    for secret in [tables::GOOD, "tp_sandbox_wrong", "sk-upstream", tables::SECRET] {
        assert!(!all.contains(secret), "{secret}");
    }
}

#[test]
fn the_commands_print_what_they_are_for() {
    let version = String::from_utf8(run(&["--version"]).stdout).unwrap();
    let errors: Value = serde_json::from_slice(&run(&["errors"]).stdout).unwrap();
    let settings: Value = serde_json::from_slice(&run(&["settings"]).stdout).unwrap();

    assert_eq!(version, format!("towpath-gateway {}\n", env!("CARGO_PKG_VERSION")));
    assert!(
        errors
            .as_array()
            .unwrap()
            .iter()
            .any(|e| e["code"] == "model_not_found" && e["status"] == 404)
    );
    assert!(settings.as_array().unwrap().iter().any(|s| s["name"] == "body_max_bytes"));
}

#[test]
fn a_start_that_cannot_work_says_what_is_wrong_and_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("gateway");
    let data = data.to_str().unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let (code, port) = error(&["--data", data, "--listen", &address]);
    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    let (lasting, not_a_folder) =
        error(&["--data", file.to_str().unwrap(), "--listen", "127.0.0.1:0"]);
    let (misused, options) = error(&["--dta", data]);

    assert_eq!((code, lasting, misused), (1, 78, 78));
    assert!(port.contains("error: cannot listen on") && port.contains("fix: "), "{port}");
    assert!(not_a_folder.contains("cannot use the data folder"), "{not_a_folder}");
    assert!(options.contains("did you mean `--data`"), "{options}");
}

#[tokio::test]
async fn a_table_in_a_file_is_served_without_a_control_plane() {
    let upstream = towpath_testkit::FakeUpstream::start().await.unwrap();
    let mut entities = tables::organisation();
    entities.push(tables::target("m", upstream.base_url(), &json!({})));
    entities.push(tables::endpoint("m", &json!({})));
    let folder = tempfile::tempdir().unwrap();
    let table = folder.path().join("table.json");
    std::fs::write(&table, json!({"version": 1, "revision": 9, "entities": entities}).to_string())
        .unwrap();
    let options = Options { table: Some(table.clone()), ..Options::default() };
    let gateway = Gateway::start(&folder.path().join("data"), &options);
    let answer = gateway.post("/v1/chat/completions", &chat("m")).await;
    std::fs::write(&table, r#"{"version": 2, "revision": 1, "entities": []}"#).unwrap();
    let other = folder.path().join("other");
    let arguments = ["--data", other.to_str().unwrap(), "--listen", "127.0.0.1:0", "--table"];
    let (code, text) = error(&[&arguments[..], &[table.to_str().unwrap()]].concat());

    assert_eq!((answer.status.as_u16(), code), (200, 78));
    assert!(text.contains("table version 2 is not 1"), "{text}");
}

#[test]
fn two_gateways_cannot_share_a_folder() {
    let data = tempfile::tempdir().unwrap();
    let _first = Gateway::start(data.path(), &Options::default());
    let (code, text) = error(&["--data", data.path().to_str().unwrap(), "--listen", "127.0.0.1:0"]);

    assert_eq!(code, 1);
    assert!(text.contains("in use by another gateway"), "{text}");
}
