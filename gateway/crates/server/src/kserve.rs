//! The KServe Open Inference Protocol, version 2: what its paths ask for, and what the gateway answers
//! itself, from the routing table.
//!
//! Whether the server lives and is ready, and what it is, is for everyone to ask; everything that names a
//! model wants a key, and a model that the key may not know does not exist.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, header};
use serde_json::json;
use towpath_dialect::kserve::{Body, Inference, model_metadata_json};
use towpath_policy::{Endpoint, Key};
use towpath_wire::routing::Operation;

use crate::errors::{Code, Refusal};
use crate::live::Live;
use crate::outgoing::Outgoing;
use crate::pipeline::{loaded_versions, serves_version};
use crate::shared::Shared;
use crate::{health, models};

/// What the server calls itself.
pub const SERVER: &str = "towpath";
/// Parts of the protocol beyond its core that it speaks.
pub const EXTENSIONS: [&str; 1] = ["binary_tensor_data"];
/// Where the JSON of a body ends and its tensors begin.
pub const JSON_SIZE: &str = "inference-header-content-length";

/// What a path that names a model asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wants {
    Metadata,
    Ready,
    Infer,
}

impl Wants {
    pub fn operation(self) -> Operation {
        match self {
            Self::Infer => Operation::Predict,
            Self::Metadata | Self::Ready => Operation::Models,
        }
    }
}

/// A model by the name and version that a path gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    pub name: String,
    pub version: Option<String>,
    pub wants: Wants,
}

impl Asked {
    /// Read `/v2/models/{m}[/versions/{v}][/ready | /infer]`.
    pub fn of(path: &str) -> Option<Self> {
        let mut parts = path.strip_prefix("/v2/models/")?.split('/');
        let name = parts.next().filter(|name| !name.is_empty())?.to_owned();
        let mut next = parts.next();
        let mut version = None;
        if next == Some("versions") {
            version = Some(parts.next().filter(|version| !version.is_empty())?.to_owned());
            next = parts.next();
        }
        let wants = match next {
            None => Wants::Metadata,
            Some("ready") => Wants::Ready,
            Some("infer") => Wants::Infer,
            Some(_) => return None,
        };
        parts.next().is_none().then_some(Self { name, version, wants })
    }

    pub fn method(&self) -> Method {
        match self.wants {
            Wants::Infer => Method::POST,
            Wants::Metadata | Wants::Ready => Method::GET,
        }
    }
}

/// Answer what anybody may ask; `None` for every other path.
pub fn open(shared: &Shared, method: &Method, path: &str) -> Option<Response<Outgoing>> {
    let (status, body) = match path {
        _ if method != Method::GET && method != Method::HEAD => return None,
        "/v2" | "/v2/" => {
            let version = env!("CARGO_PKG_VERSION");
            (200, json!({"name": SERVER, "version": version, "extensions": EXTENSIONS}))
        }
        "/v2/health/live" => (200, json!({"live": true})),
        // The protocol asks for a status from 400 to 499 when it is not.
        "/v2/health/ready" => match health::is_ready(shared) {
            true => (200, json!({"ready": true})),
            false => (400, json!({"ready": false})),
        },
        _ => return None,
    };
    Some(document(status, body.to_string().into()))
}

/// A JSON document as an answer.
pub fn document(status: u16, body: Bytes) -> Response<Outgoing> {
    let mut response = Response::new(Outgoing::whole(body));
    *response.status_mut() =
        StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    response
}

/// Read the body of an inference.
///
/// # Errors
/// Its header is no length, or it is no inference.
pub fn inference(headers: &HeaderMap, bytes: Bytes) -> Result<Inference, Refusal> {
    let json_size = match headers.get(JSON_SIZE) {
        None => None,
        Some(size) => {
            let size = size.to_str().ok().and_then(|size| size.parse().ok());
            Some(size.ok_or_else(|| {
                let detail = "`Inference-Header-Content-Length` is no length.";
                Refusal::new(Code::InvalidHeader, detail)
            })?)
        }
    };
    Ok(Inference::from_rest(Body { bytes, json_size })?)
}

/// A model as its callers may know it.
pub struct Described {
    pub endpoint: Arc<Endpoint>,
    /// Versions of the registry model that are loaded; empty where there is none.
    pub versions: Vec<u32>,
    pub ready: bool,
}

impl Described {
    /// Find the model, in the version that is asked for.
    ///
    /// # Errors
    /// The key may not ask, or there is no such model or version for it.
    pub fn find(
        live: &Live,
        key: &Key,
        name: &str,
        version: Option<&str>,
    ) -> Result<Self, Refusal> {
        let endpoint = models::find(&live.table, key, name)?;
        let version = version.map(|version| number(name, version)).transpose()?;
        if let Some(version) = version {
            serves_version(&endpoint, version)?;
        }
        let loaded = loaded_versions(&endpoint).into_iter();
        let versions: Vec<u32> =
            loaded.filter(|known| version.is_none_or(|version| version == *known)).collect();
        let ready = endpoint.targets.iter().any(|share| {
            let side = share.target.side(version).and_then(|side| live.target(&side.id));
            side.is_some_and(|ready| !ready.replicas.is_empty())
        });
        Ok(Self { endpoint, versions, ready })
    }

    /// The signature of the first target that has one.
    pub fn signature(&self) -> Option<&towpath_wire::routing::Signature> {
        self.endpoint.targets.iter().find_map(|share| share.target.spec.signature.as_ref())
    }

    /// Status and document for a path's question.
    pub fn answer(&self, wants: Wants) -> (u16, Bytes) {
        let name = &self.endpoint.spec.name;
        match wants {
            Wants::Ready => {
                let status = if self.ready { 200 } else { 400 };
                (status, json!({"name": name, "ready": self.ready}).to_string().into())
            }
            Wants::Metadata | Wants::Infer => {
                (200, model_metadata_json(name, &self.versions, self.signature()))
            }
        }
    }
}

/// A version as a message gives it, where empty is any.
///
/// # Errors
/// It is no number, so there is none of this name.
pub fn given(name: &str, version: &str) -> Result<Option<u32>, Refusal> {
    if version.is_empty() { Ok(None) } else { number(name, version).map(Some) }
}

/// A version as a path gives it.
///
/// # Errors
/// It is no number, so there is none of this name.
pub fn number(name: &str, version: &str) -> Result<u32, Refusal> {
    version.parse().map_err(|_| {
        let shown: String = version.chars().take(32).collect();
        let detail = format!("`{name}` has no version `{}`.", shown.escape_debug());
        Refusal::new(Code::ModelNotFound, detail).fix("Versions are whole numbers.")
    })
}

#[cfg(test)]
mod tests;
