//! A caller's chat as a conversation.

use serde_json::value::RawValue;

use crate::json::Kind;
use crate::middle::{Call, Conversation, Format, Image, Part, Role, Tool, ToolChoice, Turn};
use crate::object::{Object, TextOr, string, unsaid};
use crate::request::RequestError;

/// Fields that are for the vendor's own bookkeeping, or ask for nothing that the answer would show.
const LEFT_OUT: [&str; 8] = [
    "model",
    "stream_options",
    "metadata",
    "store",
    "service_tier",
    "safety_identifier",
    "prompt_cache_key",
    "prompt_cache_retention",
];

/// Read a whole body.
///
/// # Errors
/// It has a field, a part or a value that only this dialect knows.
pub(crate) fn conversation(body: &[u8]) -> Result<Conversation, RequestError> {
    let mut object = Object::body(body)?;
    let mut talk = Conversation {
        stream: object.boolean("stream")?.unwrap_or(false),
        temperature: object.number("temperature")?.map(ToOwned::to_owned),
        top_p: object.number("top_p")?.map(ToOwned::to_owned),
        top_k: object.number("top_k")?.map(ToOwned::to_owned),
        user: object.string("user")?.map(Into::into),
        effort: object.string("reasoning_effort")?.map(Into::into),
        parallel: object.boolean("parallel_tool_calls")?,
        ..Conversation::default()
    };
    let older = object.whole("max_tokens")?;
    talk.bound = object.whole("max_completion_tokens")?.or(older);
    if let Some(raw) = object.take("stop") {
        talk.stop = match TextOr::read("stop", raw)? {
            TextOr::Text(text) => vec![text.into_owned()],
            TextOr::Parts(parts) => {
                let texts = parts.iter().map(|raw| string("stop", raw).map(Into::into));
                texts.collect::<Result<_, _>>()?
            }
        };
    }
    for (at, raw) in object.list("messages")?.into_iter().enumerate() {
        message(&mut talk, Object::read(format!("messages[{at}]"), raw)?)?;
    }
    for (at, raw) in object.list("tools")?.into_iter().enumerate() {
        talk.tools.push(tool(Object::read(format!("tools[{at}]"), raw)?)?);
    }
    talk.choice = object.take("tool_choice").map(choice).transpose()?;
    if let Some(asked) = object.object("response_format")? {
        talk.format = format(asked)?;
    }
    // What clients write out though it is the default.
    object.only("n", &["1"])?;
    object.only("logprobs", &["false"])?;
    object.only("top_logprobs", &["0"])?;
    object.only("presence_penalty", &["0", "0.0"])?;
    object.only("frequency_penalty", &["0", "0.0"])?;
    object.only("logit_bias", &["{}"])?;
    object.only("functions", &["[]"])?;
    object.only("modalities", &["[\"text\"]"])?;
    object.only("verbosity", &["\"medium\""])?;
    object.leave(&LEFT_OUT);
    object.done()?;
    Ok(talk)
}

fn message(talk: &mut Conversation, mut object: Object<'_>) -> Result<(), RequestError> {
    let role = object.need_string("role")?;
    let path = object.at("content");
    let content = object.take("content").map(|raw| TextOr::read(&path, raw)).transpose()?;
    object.leave(&["name"]);
    let (role, mut parts) = match role.as_str() {
        "system" | "developer" => (Role::System, text_parts(&path, content)?),
        "user" => (Role::User, parts(&path, content)?),
        "assistant" => {
            // Thought of an earlier answer: models are not shown it again.
            object.leave(&["reasoning_content", "reasoning", "annotations"]);
            let mut parts = text_parts(&path, content)?;
            parts.extend(object.string("refusal")?.map(|text| Part::Text(text.into_owned())));
            for (at, raw) in object.list("tool_calls")?.into_iter().enumerate() {
                let path = format!("{}.tool_calls[{at}]", object.path());
                parts.push(Part::Call(call(Object::read(path, raw)?)?));
            }
            (Role::Assistant, parts)
        }
        "tool" => {
            let id = object.need_string("tool_call_id")?;
            let parts = parts(&path, content)?;
            (Role::User, vec![Part::Result { id, parts, error: false }])
        }
        _ => {
            let at = object.at("role");
            return Err(RequestError::invalid(
                at.clone(),
                format!("`{at}` must be `system`, `developer`, `user`, `assistant` or `tool`"),
            ));
        }
    };
    object.done()?;
    match talk.turns.last_mut() {
        Some(last) if last.role == role && role == Role::User => last.parts.append(&mut parts),
        _ => talk.turns.push(Turn { role, parts }),
    }
    Ok(())
}

fn text_parts(path: &str, content: Option<TextOr<'_>>) -> Result<Vec<Part>, RequestError> {
    let parts = parts(path, content)?;
    match parts.iter().position(|part| !matches!(part, Part::Text(_))) {
        Some(at) => Err(unsaid(&format!("{path}[{at}]"))),
        None => Ok(parts),
    }
}

fn parts(path: &str, content: Option<TextOr<'_>>) -> Result<Vec<Part>, RequestError> {
    let raw = match content {
        None => return Ok(Vec::new()),
        Some(TextOr::Text(text)) => return Ok(vec![Part::Text(text.into_owned())]),
        Some(TextOr::Parts(parts)) => parts,
    };
    let part = |(at, raw): (usize, &RawValue)| part(Object::read(format!("{path}[{at}]"), raw)?);
    raw.into_iter().enumerate().map(part).collect()
}

fn part(mut object: Object<'_>) -> Result<Part, RequestError> {
    let kind = object.need_string("type")?;
    let part = match kind.as_str() {
        "text" => Part::Text(object.need_string("text")?),
        "refusal" => Part::Text(object.need_string("refusal")?),
        "image_url" => {
            let Some(mut image) = object.object("image_url")? else {
                return Err(RequestError::missing(&object.at("image_url"), "an object with `url`"));
            };
            let url = image.need_string("url")?;
            // How finely it is looked at, which is a matter of cost.
            image.leave(&["detail"]);
            let at = image.at("url");
            image.done()?;
            Part::Image(Image::of_url(&at, url)?)
        }
        _ => return Err(unsaid(&format!("{}.type={kind}", object.path()))),
    };
    object.leave(&["cache_control"]);
    object.done()?;
    Ok(part)
}

fn call(mut object: Object<'_>) -> Result<Call, RequestError> {
    let id = object.need_string("id")?;
    object.only("type", &["\"function\""])?;
    object.leave(&["index"]);
    let Some(mut function) = object.object("function")? else {
        return Err(RequestError::missing(&object.at("function"), "an object with `name`"));
    };
    let name = function.need_string("name")?;
    let arguments = function.string("arguments")?.unwrap_or_default().into_owned();
    function.done()?;
    object.done()?;
    Ok(Call { id, name, arguments })
}

fn tool(mut object: Object<'_>) -> Result<Tool, RequestError> {
    let kind = object.need_string("type")?;
    if kind != "function" {
        return Err(unsaid(&format!("{}.type={kind}", object.path())));
    }
    let Some(mut function) = object.object("function")? else {
        return Err(RequestError::missing(&object.at("function"), "an object with `name`"));
    };
    object.leave(&["cache_control"]);
    object.done()?;
    let tool = Tool {
        name: function.need_string("name")?,
        description: function.string("description")?.map(Into::into),
        schema: function.take("parameters").map(ToOwned::to_owned),
        strict: function.boolean("strict")?,
    };
    function.done()?;
    Ok(tool)
}

fn choice(raw: &RawValue) -> Result<ToolChoice, RequestError> {
    if Kind::of(raw.get().bytes().next()) == Some(Kind::String) {
        return Ok(match &*string("tool_choice", raw)? {
            "auto" => ToolChoice::Auto,
            "none" => ToolChoice::None,
            "required" | "any" => ToolChoice::Any,
            _ => return Err(unsaid("tool_choice")),
        });
    }
    let mut object = Object::read("tool_choice".to_owned(), raw)?;
    object.only("type", &["\"function\""])?;
    let Some(mut function) = object.object("function")? else {
        return Err(RequestError::missing("tool_choice.function", "an object with `name`"));
    };
    let name = function.need_string("name")?;
    function.done()?;
    object.done()?;
    Ok(ToolChoice::Named(name))
}

fn format(mut object: Object<'_>) -> Result<Option<Format>, RequestError> {
    let kind = object.need_string("type")?;
    let format = match kind.as_str() {
        "text" => None,
        "json_object" => Some(Format::Json),
        "json_schema" => {
            let Some(mut schema) = object.object("json_schema")? else {
                return Err(RequestError::missing(&object.at("json_schema"), "an object"));
            };
            let name = schema.string("name")?.unwrap_or_default().into_owned();
            schema.leave(&["description"]);
            let strict = schema.boolean("strict")?;
            let Some(raw) = schema.take("schema") else {
                return Err(RequestError::missing(&schema.at("schema"), "a JSON schema"));
            };
            schema.done()?;
            Some(Format::Schema { name, schema: raw.to_owned(), strict })
        }
        _ => return Err(unsaid(&format!("response_format.type={kind}"))),
    };
    object.done()?;
    Ok(format)
}

impl Image {
    /// An image by URL, which may hold the image itself.
    ///
    /// # Errors
    /// It is neither `http(s):` nor `data:` with base64.
    pub(crate) fn of_url(path: &str, url: String) -> Result<Self, RequestError> {
        if let Some(rest) = url.strip_prefix("data:") {
            return match rest
                .split_once(',')
                .map(|(head, data)| (head.strip_suffix(";base64"), data))
            {
                Some((Some(media_type), data)) if !media_type.is_empty() => Ok(Self::Data {
                    media_type: media_type.split(';').next().unwrap_or_default().to_owned(),
                    data: data.to_owned(),
                }),
                _ => Err(RequestError::invalid(
                    path,
                    format!("`{path}` is no `data:<type>;base64,…` URL"),
                )),
            };
        }
        if url.starts_with("https://") || url.starts_with("http://") {
            return Ok(Self::Url(url));
        }
        Err(RequestError::invalid(path, format!("`{path}` is neither a web address nor `data:`")))
    }

    /// As one URL.
    pub(crate) fn to_url(&self) -> String {
        match self {
            Self::Url(url) => url.clone(),
            Self::Data { media_type, data } => format!("data:{media_type};base64,{data}"),
        }
    }
}
