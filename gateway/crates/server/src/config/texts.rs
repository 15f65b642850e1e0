//! Settings that are text: files, addresses, choices.

use std::path::PathBuf;

use super::Setting;

/// One of them, for the reference page; absent is its default.
macro_rules! texts {
    ($($(#[doc = $doc:literal])+ $name:ident;)+) => {
        /// Settings that are text, as they were given.
        #[derive(Clone, Default, PartialEq, Eq)]
        pub struct Texts {
            $($(#[doc = $doc])+ pub $name: Option<String>,)+
        }

        /// Which are given, and nothing of what they say: some are secret.
        impl std::fmt::Debug for Texts {
            fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                let mut given = out.debug_set();
                $(given.entries(self.$name.is_some().then_some(stringify!($name)));)+
                given.finish()
            }
        }

        impl Texts {
            /// Every one of them, in `[gateway]` of `towpath.toml` and as `TOWPATH_GATEWAY_<NAME>`.
            pub const SETTINGS: &[TextSetting] = &[$(TextSetting {
                name: stringify!($name),
                description: concat!($($doc,)+).trim_ascii_start(),
                default: "",
            },)+];

            pub(super) fn set(&mut self, name: &str, value: String) {
                match name {
                    $(stringify!($name) => self.$name = Some(value).filter(|value| !value.is_empty()),)+
                    _ => {}
                }
            }
        }
    };
}

/// A setting that is text, for the reference page.
#[derive(Clone, Copy, Debug, serde::Serialize)]
pub struct TextSetting {
    pub name: &'static str,
    pub description: &'static str,
    pub default: &'static str,
}

texts! {
    /// File of PEM certificates of the authorities that alone may vouch for upstreams; default: the system's.
    upstream_ca_file;
    /// File of the listener's certificate chain in PEM; with `tls_key_file` the listener speaks TLS.
    tls_cert_file;
    /// File of the listener's private key in PEM.
    tls_key_file;
    /// File of PEM certificates of the authorities that vouch for callers.
    tls_client_ca_file;
    /// Whether callers show a certificate: `off`, `optional` or `required`; default: `required` with `tls_client_ca_file`, else `off`.
    tls_client_auth;
    /// Where calls are logged, one JSON line each: a file, or `-` for standard output; default: nowhere.
    access_log;
    /// Where spans are sent by OTLP, as `http://host:port` or `https://…`; `/v1/traces` is added; default: nowhere.
    otlp_endpoint;
    /// How: `http/protobuf` or `grpc`; default: `http/protobuf`.
    otlp_protocol;
    /// Headers sent with them, secret, as `name=value,name=value` with values percent-encoded where they hold `,` or `%`.
    otlp_headers;
    /// Part of the traces that begin at the gateway and are recorded, from 0 to 1; those that callers began are as they say; default: 1.
    otlp_sample_ratio;
    /// What spans say of this gateway besides, as `name=value,name=value`: `deployment.environment.name=production`.
    otlp_resource_attributes;
}

/// Whether callers show a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientAuth {
    Optional,
    Required,
}

/// The files of a listener that speaks TLS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    pub cert: PathBuf,
    pub key: PathBuf,
    /// Authorities that vouch for callers.
    pub clients: Option<(PathBuf, ClientAuth)>,
}

/// Put the settings of the listener's TLS together; none of them is no TLS.
pub(super) fn tls(texts: &Texts, problems: &mut Vec<String>) -> Option<TlsFiles> {
    let clients = match (texts.tls_client_auth.as_deref(), &texts.tls_client_ca_file) {
        (None | Some("required"), Some(file)) => Some((file.into(), ClientAuth::Required)),
        (Some("optional"), Some(file)) => Some((file.into(), ClientAuth::Optional)),
        (None | Some("off"), _) => None,
        (Some("optional" | "required"), None) => {
            problems.push("tls_client_auth needs tls_client_ca_file".to_owned());
            None
        }
        (Some(other), _) => {
            problems
                .push(format!("tls_client_auth: `{other}` is not `off`, `optional` or `required`"));
            None
        }
    };
    match (&texts.tls_cert_file, &texts.tls_key_file) {
        (Some(cert), Some(key)) => Some(TlsFiles { cert: cert.into(), key: key.into(), clients }),
        (None, None) => {
            if clients.is_some() {
                problems.push("tls_client_ca_file needs tls_cert_file and tls_key_file".to_owned());
            }
            None
        }
        _ => {
            problems.push("tls_cert_file and tls_key_file go together; one is missing".to_owned());
            None
        }
    }
}

/// All settings as JSON, for the reference page.
pub fn list(numbers: &[Setting]) -> serde_json::Value {
    let numbers = numbers.iter().map(|setting| serde_json::json!(setting));
    numbers.chain(Texts::SETTINGS.iter().map(|setting| serde_json::json!(setting))).collect()
}
