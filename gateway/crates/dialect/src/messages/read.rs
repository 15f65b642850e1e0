//! A caller's messages as a conversation.

use serde_json::value::RawValue;

use crate::middle::{Call, Conversation, Format, Image, Part, Role, Tool, ToolChoice, Turn};
use crate::object::{Object, TextOr, string, unsaid};
use crate::request::RequestError;

/// Fields that ask for nothing that the answer would show: marks for the vendor's cache and bookkeeping, and
/// leave to think, for which a model that does not think has no use.
const LEFT_OUT: [&str; 7] = [
    "model",
    "cache_control",
    "service_tier",
    "thinking",
    "context_management",
    "diagnostics",
    "inference_geo",
];

/// Read a whole body.
///
/// # Errors
/// It has a field, a block or a value that only this dialect knows.
pub(crate) fn conversation(body: &[u8]) -> Result<Conversation, RequestError> {
    let mut object = Object::body(body)?;
    let mut talk = Conversation {
        stream: object.boolean("stream")?.unwrap_or(false),
        bound: object.whole("max_tokens")?,
        temperature: object.number("temperature")?.map(ToOwned::to_owned),
        top_p: object.number("top_p")?.map(ToOwned::to_owned),
        top_k: object.number("top_k")?.map(ToOwned::to_owned),
        ..Conversation::default()
    };
    for raw in object.list("stop_sequences")? {
        talk.stop.push(string("stop_sequences", raw)?.into_owned());
    }
    if let Some(mut metadata) = object.object("metadata")? {
        talk.user = metadata.string("user_id")?.map(Into::into);
        metadata.done()?;
    }
    if let Some(raw) = object.take("system") {
        let parts = content("system", Some(raw))?;
        if parts.iter().any(|part| part.text().is_none()) {
            return Err(unsaid("system"));
        }
        talk.turns.push(Turn { role: Role::System, parts });
    }
    for (at, raw) in object.list("messages")?.into_iter().enumerate() {
        message(&mut talk, Object::read(format!("messages[{at}]"), raw)?)?;
    }
    for (at, raw) in object.list("tools")?.into_iter().enumerate() {
        talk.tools.push(tool(Object::read(format!("tools[{at}]"), raw)?)?);
    }
    if let Some(choice) = object.object("tool_choice")? {
        self::choice(&mut talk, choice)?;
    }
    if let Some(mut output) = object.object("output_config")? {
        talk.effort = output.string("effort")?.map(Into::into);
        talk.format = output.object("format")?.map(format).transpose()?;
        output.done()?;
    }
    object.leave(&LEFT_OUT);
    object.done()?;
    Ok(talk)
}

fn message(talk: &mut Conversation, mut object: Object<'_>) -> Result<(), RequestError> {
    let role = match object.need_string("role")?.as_str() {
        "user" => Role::User,
        "assistant" => Role::Assistant,
        "system" => Role::System,
        _ => {
            let at = object.at("role");
            let message = format!("`{at}` must be `user`, `assistant` or `system`");
            return Err(RequestError::invalid(at, message));
        }
    };
    let path = object.at("content");
    let mut parts = content(&path, object.take("content"))?;
    object.done()?;
    match talk.turns.last_mut() {
        Some(last) if last.role == role && role != Role::System => last.parts.append(&mut parts),
        _ => talk.turns.push(Turn { role, parts }),
    }
    Ok(())
}

fn content(path: &str, raw: Option<&RawValue>) -> Result<Vec<Part>, RequestError> {
    let blocks = match raw.map(|raw| TextOr::read(path, raw)).transpose()? {
        None => return Ok(Vec::new()),
        Some(TextOr::Text(text)) => return Ok(vec![Part::Text(text.into_owned())]),
        Some(TextOr::Parts(blocks)) => blocks,
    };
    let mut parts = Vec::with_capacity(blocks.len());
    for (at, raw) in blocks.into_iter().enumerate() {
        parts.extend(block(Object::read(format!("{path}[{at}]"), raw)?)?);
    }
    Ok(parts)
}

fn block(mut object: Object<'_>) -> Result<Option<Part>, RequestError> {
    let kind = object.need_string("type")?;
    object.leave(&["cache_control"]);
    let part = match kind.as_str() {
        "text" => {
            object.only("citations", &["[]"])?;
            Some(Part::Text(object.need_string("text")?))
        }
        "image" => {
            let Some(mut source) = object.object("source")? else {
                return Err(RequestError::missing(&object.at("source"), "an object with `type`"));
            };
            let image = image(&mut source)?;
            source.done()?;
            Some(Part::Image(image))
        }
        // Thought of an earlier answer: signed for the vendor that made it, and shown to no other model.
        "thinking" | "redacted_thinking" => {
            object.leave(&["thinking", "signature", "data"]);
            None
        }
        "tool_use" => {
            object.leave(&["caller"]);
            let (id, name) = (object.need_string("id")?, object.need_string("name")?);
            let arguments = object.take("input").map_or("{}", RawValue::get).to_owned();
            Some(Part::Call(Call { id, name, arguments }))
        }
        "tool_result" => {
            let id = object.need_string("tool_use_id")?;
            let path = object.at("content");
            let parts = content(&path, object.take("content"))?;
            if parts.iter().any(|part| !matches!(part, Part::Text(_) | Part::Image(_))) {
                return Err(unsaid(&path));
            }
            let error = object.boolean("is_error")?.unwrap_or(false);
            Some(Part::Result { id, parts, error })
        }
        _ => return Err(unsaid(&format!("{}.type={kind}", object.path()))),
    };
    object.done()?;
    Ok(part)
}

fn image(source: &mut Object<'_>) -> Result<Image, RequestError> {
    let kind = source.need_string("type")?;
    match kind.as_str() {
        "url" => {
            let url = source.need_string("url")?;
            Image::of_url(&source.at("url"), url)
        }
        "base64" => Ok(Image::Data {
            media_type: source.need_string("media_type")?,
            data: source.need_string("data")?,
        }),
        _ => Err(unsaid(&format!("{}.type={kind}", source.path()))),
    }
}

fn tool(mut object: Object<'_>) -> Result<Tool, RequestError> {
    if let Some(kind) = object.string("type")?.filter(|kind| kind != "custom") {
        // Tools that the vendor itself carries out.
        return Err(unsaid(&format!("{}.type={kind}", object.path())));
    }
    let tool = Tool {
        name: object.need_string("name")?,
        description: object.string("description")?.map(Into::into),
        schema: object.take("input_schema").map(ToOwned::to_owned),
        strict: object.boolean("strict")?,
    };
    object.only("defer_loading", &["false"])?;
    object.only("allowed_callers", &["[\"direct\"]"])?;
    object.leave(&["cache_control", "eager_input_streaming"]);
    object.done()?;
    Ok(tool)
}

fn choice(talk: &mut Conversation, mut object: Object<'_>) -> Result<(), RequestError> {
    let kind = object.need_string("type")?;
    talk.choice = Some(match kind.as_str() {
        "auto" => ToolChoice::Auto,
        "any" => ToolChoice::Any,
        "none" => ToolChoice::None,
        "tool" => ToolChoice::Named(object.need_string("name")?),
        _ => return Err(unsaid(&format!("tool_choice.type={kind}"))),
    });
    talk.parallel = object.boolean("disable_parallel_tool_use")?.map(|disabled| !disabled);
    object.done()
}

fn format(mut object: Object<'_>) -> Result<Format, RequestError> {
    object.only("type", &["\"json_schema\""])?;
    let Some(schema) = object.take("schema") else {
        return Err(RequestError::missing(&object.at("schema"), "a JSON schema"));
    };
    object.done()?;
    Ok(Format::Schema { name: String::new(), schema: schema.to_owned(), strict: Some(true) })
}
