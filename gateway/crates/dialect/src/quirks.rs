//! Departures of single servers from the dialect they speak, as small functions with names.
//!
//! A target lists them (`quirks`); what its dialect cannot know by itself stands here and nowhere else. A
//! name that is not in this table makes the routing table be refused ([`towpath_wire::routing::QUIRKS`]).
//!
//! | quirk | the target's dialect | what it does | who needs it |
//! |---|---|---|---|
//! | `max_completion_tokens` | `openai` | `max_tokens` is sent as `max_completion_tokens` | OpenAI's and Azure's reasoning models |
//! | `max_tokens` | `openai` | `max_completion_tokens` is sent as `max_tokens` | Mistral, older TGI and Triton front ends |
//! | `drop_stream_options` | `openai` | usage of streams is not asked for; the gateway counts | servers that refuse `stream_options` |
//! | `drop_bookkeeping` | `openai` | `user`, `metadata`, `store`, `service_tier`, `safety_identifier`, `prompt_cache_key` are left out | Mistral, Gemini's compatible API: both refuse fields that they do not know |
//! | `system_as_developer` | `openai` | the role `system` is sent as `developer` | OpenAI's first reasoning models |
//! | `developer_as_system` | `openai` | the role `developer` is sent as `system` | vLLM, llama.cpp, TGI, SGLang, Ollama, Mistral: chat templates know no `developer` |
//! | `random_seed` | `openai` | `seed` is sent as `random_seed` | Mistral |
//! | `tool_choice_any` | `openai` | `tool_choice: "required"` is sent as `"any"` | Mistral before 2025 |
//! | `cache_salt` | `openai` | `cache_salt` of the caller's project is added, a caller's own is left out | vLLM: one project's cached prompts cannot be felt by another |
//! | `count_tokens` | `openai` | `/messages/count_tokens` beside its other routes is used | llama.cpp from 2025-12, vLLM from 0.14 |
//! | `responses` | `openai` | requests of the Responses API pass untouched to `/responses` | OpenAI, Azure, OpenRouter, vLLM |
//! | `json_schema_by_tool` | `anthropic` | a JSON schema is asked for by a forced tool instead of `output_config` | models before structured outputs |
//! | `continue_final_message` | `openai` | it goes on with an answer that broke off when `continue_final_message` is true and `add_generation_prompt` false | vLLM, SGLang |
//! | `assistant_prefill` | both | it goes on with an answer that broke off when that stands as the last message | llama.cpp, Anthropic's models before Opus 4.6 |
//!
//! Nothing is needed for: Azure's `api-version` (the target's `query`), vendors' extra headers (the
//! target's `headers`), OpenRouter's comment lines and Gemini's usage in every chunk (streams are read so).

use std::borrow::Cow;

use crate::json::{Cursor, Kind, Syntax};

/// The quirks of one target.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Quirks(u32);

/// One departure; the module's table says what each does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quirk {
    MaxCompletionTokens,
    MaxTokens,
    DropStreamOptions,
    DropBookkeeping,
    SystemAsDeveloper,
    DeveloperAsSystem,
    RandomSeed,
    ToolChoiceAny,
    CacheSalt,
    CountTokens,
    Responses,
    JsonSchemaByTool,
    ContinueFinalMessage,
    AssistantPrefill,
}

impl Quirk {
    pub fn named(name: &str) -> Option<Self> {
        Some(match name {
            "max_completion_tokens" => Self::MaxCompletionTokens,
            "max_tokens" => Self::MaxTokens,
            "drop_stream_options" => Self::DropStreamOptions,
            "drop_bookkeeping" => Self::DropBookkeeping,
            "system_as_developer" => Self::SystemAsDeveloper,
            "developer_as_system" => Self::DeveloperAsSystem,
            "random_seed" => Self::RandomSeed,
            "tool_choice_any" => Self::ToolChoiceAny,
            "cache_salt" => Self::CacheSalt,
            "count_tokens" => Self::CountTokens,
            "responses" => Self::Responses,
            "json_schema_by_tool" => Self::JsonSchemaByTool,
            "continue_final_message" => Self::ContinueFinalMessage,
            "assistant_prefill" => Self::AssistantPrefill,
            _ => return None,
        })
    }
}

impl Quirks {
    pub const NONE: Self = Self(0);

    /// Those of a target; names that are none were refused with its table.
    pub fn of<S: AsRef<str>>(names: &[S]) -> Self {
        let known = names.iter().filter_map(|name| Quirk::named(name.as_ref()));
        Self(known.fold(0, |bits, quirk| bits | 1 << quirk as u32))
    }

    pub fn has(self, quirk: Quirk) -> bool {
        self.0 & 1 << quirk as u32 != 0
    }

    /// The server can go on with an answer that another one began.
    pub fn go_on(self) -> bool {
        self.has(Quirk::ContinueFinalMessage) || self.has(Quirk::AssistantPrefill)
    }

    /// No quirk that changes a request of the OpenAI dialect, unless an answer is gone on with.
    pub(crate) fn leaves_openai_alone(self) -> bool {
        const OTHERS: u32 = 1 << Quirk::CountTokens as u32
            | 1 << Quirk::Responses as u32
            | 1 << Quirk::JsonSchemaByTool as u32
            | 1 << Quirk::ContinueFinalMessage as u32
            | 1 << Quirk::AssistantPrefill as u32;
        self.0 & !OTHERS == 0
    }

    /// What the server calls a field, where it has a name of its own for it.
    pub(crate) fn renamed(self, field: &str) -> Option<&'static str> {
        match field {
            "max_tokens" if self.has(Quirk::MaxCompletionTokens) => Some("max_completion_tokens"),
            "max_completion_tokens" if self.has(Quirk::MaxTokens) => Some("max_tokens"),
            "seed" if self.has(Quirk::RandomSeed) => Some("random_seed"),
            _ => None,
        }
    }

    /// The value the server has for a field, where it differs.
    pub(crate) fn value(self, field: &str, value: &[u8]) -> Option<Cow<'static, [u8]>> {
        match field {
            "tool_choice" if self.has(Quirk::ToolChoiceAny) && value == b"\"required\"" => {
                Some(Cow::Borrowed(b"\"any\""))
            }
            "messages" if self.has(Quirk::SystemAsDeveloper) => {
                roles(value, b"system", b"developer").ok().map(Cow::Owned)
            }
            "messages" if self.has(Quirk::DeveloperAsSystem) => {
                roles(value, b"developer", b"system").ok().map(Cow::Owned)
            }
            _ => None,
        }
    }
}

/// A list of messages with one role in the place of another.
fn roles(messages: &[u8], from: &[u8], to: &[u8]) -> Result<Vec<u8>, Syntax> {
    let mut out = Vec::with_capacity(messages.len() + 16);
    let mut cursor = Cursor::new(messages);
    let (mut kept, mut first_message) = (0, true);
    cursor.enter();
    while cursor.element(&mut first_message)? {
        if cursor.kind()? != Kind::Object {
            cursor.skip()?;
            continue;
        }
        cursor.enter();
        let mut first = true;
        while let Some(key) = cursor.key(&mut first)? {
            if key.raw(messages) == b"role" && cursor.kind()? == Kind::String {
                let role = cursor.string()?;
                if role.raw(messages) == from {
                    out.extend_from_slice(cursor.slice(kept..role.start));
                    out.extend_from_slice(to);
                    kept = role.end;
                }
            } else {
                cursor.skip()?;
            }
        }
    }
    out.extend_from_slice(cursor.slice(kept..messages.len()));
    Ok(out)
}

#[cfg(test)]
mod tests;
