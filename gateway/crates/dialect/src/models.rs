//! The answer of `/v1/models`.
use bytes::Bytes;

/// One model in the list.
#[derive(Clone, Debug)]
pub struct ModelEntry<'a> {
    pub id: &'a str,
    /// Seconds since the epoch.
    pub created: i64,
    pub owned_by: &'a str,
    pub context_length: Option<u32>,
    pub modalities: &'a [String],
    pub price: Option<ModelPrice<'a>>,
}

/// What a model costs, in nano-units of `currency` per million tokens.
#[derive(Clone, Copy, Debug)]
pub struct ModelPrice<'a> {
    pub currency: &'a str,
    pub input_nano_per_million: u64,
    pub output_nano_per_million: u64,
}

/// `{"object": "list", "data": […]}`
pub fn list(models: &[ModelEntry<'_>]) -> Bytes {
    let _ = models;
    todo!()
}
/// One entry alone, for `/v1/models/{name}`.
pub fn one(model: &ModelEntry<'_>) -> Bytes {
    let _ = model;
    todo!()
}
