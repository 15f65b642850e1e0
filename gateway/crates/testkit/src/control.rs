//! The routes by which a test in another process says what it wants and asks what happened.

use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};

use crate::http::Request;
use crate::plan::{self, Plain};
use crate::script::Script;
use crate::server::Shared;

/// Longest wait of `/__wait`: shorter than a test's own timeout, so that the test says what it waited for.
const LONGEST_WAIT: Duration = Duration::from_secs(20);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SetScript {
    model: String,
    script: Script,
    /// Absent: from now on.
    #[serde(default)]
    times: Option<u32>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SetSignature {
    model: String,
    signature: Value,
}

pub(crate) fn is_control(path: &str) -> bool {
    path.starts_with("/__")
}

pub(crate) async fn answer(shared: &Shared, request: &Request) -> Plain {
    let path = request.path();
    match (request.method.as_str(), path) {
        ("POST", "/__script") => done(set_script(shared, &request.body)),
        ("POST", "/__signature") => done(set_signature(shared, &request.body)),
        ("POST", path) if path.starts_with("/__release/") => {
            shared.log.release(path.trim_start_matches("/__release/"));
            done(Ok(()))
        }
        ("GET", "/__requests") => {
            let model = request.query("model");
            let mut seen = shared.log.seen();
            seen.retain(|seen| model.is_none() || seen.model.as_deref() == model);
            Plain::json(200, &json!({"counts": shared.log.counts(), "requests": seen}))
        }
        ("DELETE", "/__requests") => Plain::json(200, &json!({"requests": shared.log.forget()})),
        ("GET", "/__wait") => wait(shared, request).await,
        _ => plan::v2_error(404, &format!("`{} {path}` is no control route", request.method)),
    }
}

fn done(result: Result<(), String>) -> Plain {
    match result {
        Ok(()) => Plain::json(200, &json!({"ok": true})),
        Err(problem) => plan::v2_error(400, &problem),
    }
}

fn set_script(shared: &Shared, body: &[u8]) -> Result<(), String> {
    let set: SetScript = serde_json::from_slice(body).map_err(|error| error.to_string())?;
    set.script.check()?;
    shared.set_script(&set.model, set.script, set.times);
    Ok(())
}

fn set_signature(shared: &Shared, body: &[u8]) -> Result<(), String> {
    let set: SetSignature = serde_json::from_slice(body).map_err(|error| error.to_string())?;
    shared.set_signature(&set.model, set.signature);
    Ok(())
}

/// Answer once there are this many requests, ended requests, or requests waiting at a gate.
async fn wait(shared: &Shared, request: &Request) -> Plain {
    let number = |name: &str| request.query(name).and_then(|text| text.parse::<u64>().ok());
    let (requests, ended, gone) = (number("requests"), number("ended"), number("client_gone"));
    let gate = request.query("gate");
    let reached = shared.log.wait(|seen, counts| {
        counts.requests >= requests.unwrap_or(0)
            && counts.ended() >= ended.unwrap_or(0)
            && counts.client_gone >= gone.unwrap_or(0)
            && gate.is_none_or(|gate| seen.iter().any(|s| s.waiting_at.as_deref() == Some(gate)))
    });
    let counts = match tokio::time::timeout(LONGEST_WAIT, reached).await {
        Ok(()) => json!({"reached": true, "counts": shared.log.counts()}),
        Err(_) => json!({"reached": false, "counts": shared.log.counts()}),
    };
    Plain::json(200, &counts)
}
