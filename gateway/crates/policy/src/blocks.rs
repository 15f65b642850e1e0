//! What is stopped at once, whatever else the table says: looked up by name, and not at all while there is
//! nothing.

use std::collections::HashMap;

use towpath_wire::routing::{self, Block, Blocked};

/// Blocks in force, each with its reason.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Blocks(HashMap<Blocked, Option<String>>);

/// A block that was met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Met<'b> {
    /// Why, as whoever blocked it wrote it.
    pub reason: Option<&'b str>,
}

impl Blocks {
    pub(crate) fn of<'b>(blocks: impl Iterator<Item = &'b Block>) -> Self {
        let mut found: HashMap<Blocked, Option<String>> = HashMap::new();
        for block in blocks {
            let reason = found.entry(block.what.clone()).or_default();
            if reason.is_none() {
                reason.clone_from(&block.reason);
            }
        }
        Self(found)
    }

    /// The block of a key, by its id.
    pub fn key(&self, id: &str) -> Option<Met<'_>> {
        self.get(|| Blocked::Key(id.to_owned()))
    }

    /// The block of an endpoint, by its id.
    pub fn endpoint(&self, id: &str) -> Option<Met<'_>> {
        self.get(|| Blocked::Endpoint(id.to_owned()))
    }

    /// The block of a target's provider or model.
    pub fn target(&self, target: &routing::Target) -> Option<Met<'_>> {
        if self.0.is_empty() {
            return None;
        }
        let provider = target.provider.as_ref();
        let provider = provider.and_then(|name| self.get(|| Blocked::Provider(name.clone())));
        let registered = target.model.as_ref().map(|model| &model.name);
        let mut models = registered.into_iter().chain([&target.upstream_model]);
        provider.or_else(|| models.find_map(|name| self.get(|| Blocked::Model(name.clone()))))
    }

    fn get(&self, what: impl FnOnce() -> Blocked) -> Option<Met<'_>> {
        // Most of the time there is nothing, and nothing is asked.
        if self.0.is_empty() {
            return None;
        }
        self.0.get(&what()).map(|reason| Met { reason: reason.as_deref() })
    }
}

#[cfg(test)]
mod tests;
