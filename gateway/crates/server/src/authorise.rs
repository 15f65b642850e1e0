//! Second step, `authorise`: from a key and a name to an endpoint, or to words for the refusal.

use std::sync::Arc;

use towpath_dialect::RequestCode;
use towpath_policy::{Call, Denied, Endpoint, Key, Table};
use towpath_wire::routing::{DataClass, Operation, Scope};

use crate::errors::{Code, Refusal};

/// Longest part of a foreign name that an error text repeats.
const SHOWN: usize = 100;

/// Find the endpoint that the caller means and may call.
///
/// # Errors
/// The rule that forbids the call, in words that give away nothing the caller may not know.
pub fn authorise<'t>(
    table: &'t Table,
    key: &Key,
    call: Call<'_>,
) -> Result<&'t Arc<Endpoint>, Refusal> {
    towpath_policy::authorise(table, key, call).map_err(|denied| refusal(key, call, denied))
}

/// The refusal of a name that leads nowhere.
pub fn unknown_model(name: &str, did_you_mean: Option<&str>) -> Refusal {
    let shown: String = name.chars().take(SHOWN).collect();
    let shown = shown.escape_debug();
    let refusal = match did_you_mean {
        Some(near) => Refusal::new(
            Code::ModelNotFound,
            format!("There is no model `{shown}`. Did you mean `{near}`?"),
        )
        .fix(format!("Use `{near}`, or list the models this key may call with `towpath models`.")),
        None => Refusal::new(Code::ModelNotFound, format!("There is no model `{shown}`.")),
    };
    refusal.param("model")
}

fn refusal(key: &Key, call: Call<'_>, denied: Denied) -> Refusal {
    let name = call.name;
    match denied {
        Denied::Scope(scope) => {
            let scope = scope_name(scope);
            Refusal::new(Code::PermissionDenied, format!("The key lacks the scope `{scope}`."))
        }
        Denied::Operation => Refusal::new(
            Code::PermissionDenied,
            format!("The key may not be used for `{}`.", operation_name(call.operation)),
        ),
        Denied::EndpointNotListed => Refusal::new(
            Code::PermissionDenied,
            format!("The key is restricted to other endpoints than `{name}`."),
        ),
        Denied::Unknown { did_you_mean } => unknown_model(name, did_you_mean.as_deref()),
        Denied::OtherEnvironment { found_in } => Refusal::new(
            Code::ModelNotFound,
            format!(
                "There is no model `{name}` in {}, the environment of this key; there is one in {found_in}.",
                key.environment.as_str()
            ),
        )
        .fix(format!("Call it with a key of {found_in}, or deploy it to {}.", key.environment.as_str()))
        .param("model"),
        Denied::KeyDataClass { most } => Refusal::new(
            Code::DataClassNotAllowed,
            format!(
                "The request's data is {}; the key may send at most {} data.",
                class_name(call.data_class),
                class_name(most)
            ),
        ),
        Denied::TargetDataClass => Refusal::new(
            Code::DataClassNotAllowed,
            format!("`{name}` may not receive {} data.", class_name(call.data_class)),
        ),
        Denied::Blocked { reason } => blocked(&format!("`{name}`"), reason.as_deref()),
        Denied::Unsupported { supported } => unsupported(name, call.operation, &supported),
    }
}

/// The refusal of something that was stopped; trying again does not help, so it is none of the 5xx.
pub fn blocked(what: &str, reason: Option<&str>) -> Refusal {
    let detail = match reason {
        Some(reason) => format!("{what} is blocked: {reason}"),
        None => format!("{what} is blocked."),
    };
    Refusal::new(Code::Blocked, detail)
}

fn unsupported(name: &str, operation: Operation, supported: &[Operation]) -> Refusal {
    let routes: Vec<_> = supported.iter().map(|operation| route(*operation, name)).collect();
    let refusal = Refusal::new(
        Code::Request(RequestCode::UnsupportedOperation),
        format!("`{name}` does not answer `{}`.", operation_name(operation)),
    )
    .param("model");
    if routes.is_empty() { refusal } else { refusal.fix(format!("Call {}.", routes.join(" or "))) }
}

fn route(operation: Operation, name: &str) -> String {
    match operation {
        Operation::Chat => "`POST /v1/chat/completions`".to_owned(),
        Operation::Completions => "`POST /v1/completions`".to_owned(),
        Operation::Embeddings => "`POST /v1/embeddings`".to_owned(),
        Operation::Predict => format!("`POST /v1/models/{name}/predict`"),
        Operation::Models => "`GET /v1/models`".to_owned(),
        Operation::Rerank => "`POST /v1/rerank`".to_owned(),
        Operation::Transcriptions => "`POST /v1/audio/transcriptions`".to_owned(),
        Operation::CountTokens => "`POST /v1/messages/count_tokens`".to_owned(),
    }
}

fn operation_name(operation: Operation) -> &'static str {
    match operation {
        Operation::Chat => "chat",
        Operation::Completions => "completions",
        Operation::Embeddings => "embeddings",
        Operation::Predict => "predict",
        Operation::Models => "models",
        Operation::Rerank => "rerank",
        Operation::Transcriptions => "transcriptions",
        Operation::CountTokens => "count_tokens",
    }
}

fn scope_name(scope: Scope) -> &'static str {
    match scope {
        Scope::Invoke => "invoke",
        Scope::Read => "read",
        Scope::Deploy => "deploy",
    }
}

/// A class as people write it.
pub fn class_name(class: DataClass) -> &'static str {
    match class {
        DataClass::Public => "public",
        DataClass::Internal => "internal",
        DataClass::Confidential => "confidential",
        DataClass::Restricted => "restricted",
    }
}
