//! The answer of `/v1/models`.

use bytes::Bytes;
use serde::Serialize;

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
#[derive(Clone, Copy, Debug, Serialize)]
pub struct ModelPrice<'a> {
    pub currency: &'a str,
    pub input_nano_per_million: u64,
    pub output_nano_per_million: u64,
}

/// OpenAI's members first; what clients do not know they ignore.
#[derive(Serialize)]
struct Shown<'a> {
    id: &'a str,
    object: &'static str,
    created: i64,
    owned_by: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    context_length: Option<u32>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    modalities: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    price: Option<ModelPrice<'a>>,
}

#[derive(Serialize)]
struct List<'a> {
    object: &'static str,
    data: Vec<Shown<'a>>,
}

impl<'a> Shown<'a> {
    fn of(entry: &ModelEntry<'a>) -> Self {
        Self {
            id: entry.id,
            object: "model",
            created: entry.created,
            owned_by: entry.owned_by,
            context_length: entry.context_length,
            modalities: entry.modalities,
            price: entry.price,
        }
    }
}

/// `{"object": "list", "data": […]}`
pub fn list(models: &[ModelEntry<'_>]) -> Bytes {
    write(&List { object: "list", data: models.iter().map(Shown::of).collect() })
}

/// One entry alone, for `/v1/models/{name}`.
pub fn one(model: &ModelEntry<'_>) -> Bytes {
    write(&Shown::of(model))
}

fn write(value: &impl Serialize) -> Bytes {
    // Strings and numbers alone: writing them cannot fail.
    serde_json::to_vec(value).unwrap_or_default().into()
}

#[cfg(test)]
mod tests;
