//! Inferences over REST: JSON, with tensors as raw bytes after it where both sides like.

use bytes::Bytes;
use towpath_wire::routing::Signature;

use crate::json::{self, Cursor, Kind, Text};
use crate::kserve::parameters::{Parameters, Value};
use crate::kserve::tensor::{Data, Tensor, check_raw, counted};
use crate::kserve::{Form, Inference, MAX_DIMENSIONS, MAX_TENSORS, Wanted};
use crate::predict::Datatype;
use crate::request::{RequestCode, RequestError, Trouble, shown};

/// Parameters of a tensor that name memory of the server's own machine, which no caller from elsewhere has.
const SHARED_MEMORY: &str = "shared_memory";

/// A body, and the length of the JSON it begins with where tensors follow it.
#[derive(Clone, Debug)]
pub struct Body {
    pub bytes: Bytes,
    /// For the header `Inference-Header-Content-Length`.
    pub json_size: Option<usize>,
}

impl Body {
    /// The JSON and the bytes after it.
    pub(super) fn parts(&self) -> Result<(Bytes, Bytes), RequestError> {
        let size = self.json_size.unwrap_or(self.bytes.len());
        if size > self.bytes.len() {
            let message = format!(
                "`Inference-Header-Content-Length` is {size}, but the body has {} bytes",
                self.bytes.len()
            );
            return Err(RequestError::new(RequestCode::InvalidField, message)
                .fix("Send the length of the JSON that the body begins with."));
        }
        Ok((self.bytes.slice(..size), self.bytes.slice(size..)))
    }
}

impl Inference {
    /// Read the body of `POST /v2/models/{m}/infer`.
    ///
    /// # Errors
    /// It is no inference, or a tensor is not what it says.
    pub fn from_rest(body: Body) -> Result<Self, RequestError> {
        let (text, raw) = body.parts()?;
        RequestError::check_utf8(&text)?;
        let mut reader = Reader { text: text.clone(), raw, foreign: None };
        let found = reader.request().map_err(|trouble| trouble.in_body(&text))?;
        reader.exhausted()?;
        let (id, mut parameters, inputs, outputs) = found;
        let binary_output = parameters.take("binary_data_output") == Some(Value::Bool(true));
        let foreign = reader.foreign;
        let form = Form::Rest(body);
        Ok(Self { id, inputs, outputs, parameters, binary_output, foreign, form })
    }

    /// The body for a target that speaks REST; as it came, where it came so.
    ///
    /// # Errors
    /// Something in it cannot be said in REST.
    pub fn for_rest(&self) -> Result<Body, RequestError> {
        if let Form::Rest(body) = &self.form {
            return Ok(body.clone());
        }
        self.translatable()?;
        let mut head = Vec::with_capacity(512);
        head.push(b'{');
        if let Some(id) = &self.id {
            head.extend_from_slice(br#""id":"#);
            json::write_string(&mut head, id);
            head.push(b',');
        }
        // All outputs as bytes, which is what gRPC callers get.
        head.extend_from_slice(br#""parameters":"#);
        self.parameters.write(Some(("binary_data_output", &Value::Bool(true))), &mut head);
        let mut blobs = Vec::new();
        head.extend_from_slice(br#","inputs":["#);
        for (n, input) in self.inputs.iter().enumerate() {
            if n > 0 {
                head.push(b',');
            }
            write_tensor(input, true, &mut head, &mut blobs)?;
        }
        head.push(b']');
        if !self.outputs.is_empty() {
            head.extend_from_slice(br#","outputs":["#);
            for (n, output) in self.outputs.iter().enumerate() {
                if n > 0 {
                    head.push(b',');
                }
                head.extend_from_slice(br#"{"name":"#);
                json::write_string(&mut head, &output.name);
                head.extend_from_slice(br#","parameters":"#);
                let binary = Value::Bool(true);
                output.parameters.write(Some(("binary_data", &binary)), &mut head);
                head.push(b'}');
            }
            head.push(b']');
        }
        head.push(b'}');
        Ok(joined(head, &blobs))
    }

    /// Refuse what has no place in the other form.
    pub(super) fn translatable(&self) -> Result<(), RequestError> {
        let Some(name) = &self.foreign else { return Ok(()) };
        let message = format!("`{name}` is not a field of an inference");
        Err(RequestError::new(RequestCode::UnsupportedField, message)
            .about(name)
            .fix(format!("Remove `{name}`.")))
    }

    /// Whether the caller wants this output as bytes.
    pub(super) fn wants_bytes(&self, output: &str) -> bool {
        let named = self.outputs.iter().find(|wanted| wanted.name == output);
        named.is_some_and(|wanted| wanted.binary) || self.binary_output
    }
}

/// The head and then the blobs.
pub(super) fn joined(head: Vec<u8>, blobs: &[Bytes]) -> Body {
    if blobs.is_empty() {
        return Body { bytes: head.into(), json_size: None };
    }
    let json_size = Some(head.len());
    let mut all = head;
    all.reserve_exact(blobs.iter().map(Bytes::len).sum());
    for blob in blobs {
        all.extend_from_slice(blob);
    }
    Body { bytes: all.into(), json_size }
}

/// Write one tensor, its elements into the head or after it.
pub(super) fn write_tensor(
    tensor: &Tensor,
    binary: bool,
    head: &mut Vec<u8>,
    blobs: &mut Vec<Bytes>,
) -> Result<(), RequestError> {
    head.extend_from_slice(br#"{"name":"#);
    json::write_string(head, &tensor.name);
    head.extend_from_slice(br#","datatype":""#);
    head.extend_from_slice(tensor.datatype.name().as_bytes());
    head.extend_from_slice(br#"","shape":["#);
    for (n, dim) in tensor.shape.iter().enumerate() {
        if n > 0 {
            head.push(b',');
        }
        head.extend_from_slice(dim.to_string().as_bytes());
    }
    head.push(b']');
    if binary {
        let raw = tensor.raw()?;
        let size = Value::Uint(raw.len() as u64);
        head.extend_from_slice(br#","parameters":"#);
        tensor.parameters.write(Some(("binary_data_size", &size)), head);
        blobs.push(raw);
    } else {
        if !tensor.parameters.is_empty() {
            head.extend_from_slice(br#","parameters":"#);
            tensor.parameters.write(None, head);
        }
        head.extend_from_slice(br#","data":"#);
        head.extend_from_slice(&tensor.json()?);
    }
    head.push(b'}');
    Ok(())
}

/// Id, parameters, tensors, and outputs that are asked for.
type Request = (Option<String>, Parameters, Vec<Tensor>, Vec<Wanted>);

/// Reads the JSON of a request or an answer, and the bytes after it as they are named.
pub(super) struct Reader {
    pub text: Bytes,
    pub raw: Bytes,
    /// The first member that the protocol does not have.
    pub foreign: Option<String>,
}

impl Reader {
    fn request(&mut self) -> Result<Request, Trouble> {
        let text = self.text.clone();
        let cursor = &mut Cursor::new(&text);
        let (mut id, mut parameters, mut inputs, mut outputs) = Default::default();
        let mut given = [false; 4];
        cursor.space();
        let kind = cursor.kind()?;
        if kind != Kind::Object {
            let message = format!("the body must be an object, not {}", kind.name());
            return Err(RequestError::new(RequestCode::InvalidField, message)
                .fix("Send `{\"inputs\": […]}`.")
                .into());
        }
        cursor.enter();
        let mut first = true;
        while let Some(key) = cursor.key(&mut first)? {
            let names = ["id", "parameters", "inputs", "outputs"];
            let known = names.iter().position(|name| key.is(&text, name));
            if let Some(slot) = known.and_then(|known| given.get_mut(known))
                && std::mem::replace(slot, true)
            {
                return Err(RequestError::twice(&shown(&text, key)).into());
            }
            match known {
                Some(0) => id = optional_text(cursor, "id")?,
                Some(1) => parameters = Parameters::read(cursor, "parameters")?,
                Some(2) => inputs = self.tensors(cursor, "inputs")?,
                Some(3) => outputs = self.wanted(cursor)?,
                _ => self.pass(cursor, key)?,
            }
        }
        cursor.end()?;
        if inputs.is_empty() {
            return Err(RequestError::missing("inputs", "an array of tensors").into());
        }
        Ok((id, parameters, inputs, outputs))
    }

    /// Pass a member that the protocol does not have, and remember the first.
    pub(super) fn pass(&mut self, cursor: &mut Cursor<'_>, key: Text) -> Result<(), Trouble> {
        cursor.skip()?;
        self.foreign.get_or_insert_with(|| shown(&self.text, key));
        Ok(())
    }

    /// Read an array of tensors.
    pub(super) fn tensors(
        &mut self,
        cursor: &mut Cursor<'_>,
        place: &str,
    ) -> Result<Vec<Tensor>, Trouble> {
        let mut tensors: Vec<Tensor> = Vec::new();
        let mut first = array(cursor, place)?;
        while cursor.element(&mut first)? {
            bounded(place, tensors.len())?;
            let tensor = self.tensor(cursor, &format!("{place}[{}]", tensors.len()))?;
            if tensors.iter().any(|known| known.name == tensor.name) {
                return Err(RequestError::twice(&tensor.name).into());
            }
            tensors.push(tensor);
        }
        Ok(tensors)
    }

    fn tensor(&mut self, cursor: &mut Cursor<'_>, place: &str) -> Result<Tensor, Trouble> {
        object(cursor, place)?;
        let (mut name, mut datatype, mut shape) = (None, None, None);
        let mut parameters = Parameters::default();
        let mut data = None;
        let mut first = true;
        while let Some(key) = cursor.key(&mut first)? {
            match key.raw(cursor.bytes()) {
                b"name" => name = optional_text(cursor, &format!("{place}.name"))?,
                b"datatype" => datatype = Some(self.datatype(cursor, place)?),
                b"shape" => shape = Some(dimensions(cursor, place)?),
                b"parameters" => {
                    parameters = Parameters::read(cursor, &format!("{place}.parameters"))?;
                }
                b"data" => {
                    let start = cursor.position();
                    cursor.skip()?;
                    data = Some(start..cursor.position());
                }
                _ => self.pass(cursor, key)?,
            }
        }
        let name = name
            .filter(|name| !name.is_empty())
            .ok_or_else(|| RequestError::missing(&format!("{place}.name"), "the tensor's name"))?;
        let datatype = datatype.ok_or_else(|| {
            RequestError::missing(&format!("{place}.datatype"), "`FP32`, `INT64`, `BYTES`, …")
        })?;
        let shape = shape
            .ok_or_else(|| RequestError::missing(&format!("{place}.shape"), "an array of sizes"))?;
        refuse_shared_memory(&parameters, place)?;
        let data = match (parameters.take("binary_data_size"), data) {
            (None, Some(at)) => {
                let cursor = &mut Cursor::at(&self.text, at.start);
                counted(cursor, &name, datatype, &shape)?;
                Data::Json(self.text.slice(at))
            }
            (None, None) => {
                return Err(RequestError::missing(&format!("{place}.data"), "its elements").into());
            }
            (Some(_), Some(_)) => {
                let message = format!("`{place}` has both `data` and `binary_data_size`");
                return Err(RequestError::invalid(place, message).into());
            }
            (Some(size), None) => {
                let raw = self.blob(&size, place)?;
                check_raw(&name, datatype, &shape, &raw)?;
                Data::Raw(raw)
            }
        };
        Ok(Tensor { name, datatype, shape, parameters, data })
    }

    /// The next so many of the bytes after the JSON.
    fn blob(&mut self, size: &Value, place: &str) -> Result<Bytes, RequestError> {
        let size = match size {
            Value::Int(size) => usize::try_from(*size).ok(),
            _ => None,
        };
        match size.filter(|size| *size <= self.raw.len()) {
            Some(size) => Ok(self.raw.split_to(size)),
            None => {
                let param = format!("{place}.parameters.binary_data_size");
                let message = format!(
                    "`{param}` is no size within the {} bytes that are left after the JSON",
                    self.raw.len()
                );
                Err(RequestError::invalid(param, message))
            }
        }
    }

    fn datatype(&self, cursor: &mut Cursor<'_>, place: &str) -> Result<Datatype, Trouble> {
        let param = format!("{place}.datatype");
        let text = optional_text(cursor, &param)?.unwrap_or_default();
        let datatype = Datatype::named(&text);
        datatype.ok_or_else(|| unknown_datatype(param, &text).into())
    }

    fn wanted(&mut self, cursor: &mut Cursor<'_>) -> Result<Vec<Wanted>, Trouble> {
        let mut outputs: Vec<Wanted> = Vec::new();
        if cursor.kind()? == Kind::Null {
            cursor.skip()?;
            return Ok(outputs);
        }
        let mut first = array(cursor, "outputs")?;
        while cursor.element(&mut first)? {
            bounded("outputs", outputs.len())?;
            let place = format!("outputs[{}]", outputs.len());
            object(cursor, &place)?;
            let (mut name, mut parameters) = (None, Parameters::default());
            let mut first = true;
            while let Some(key) = cursor.key(&mut first)? {
                match key.raw(cursor.bytes()) {
                    b"name" => name = optional_text(cursor, &format!("{place}.name"))?,
                    b"parameters" => {
                        parameters = Parameters::read(cursor, &format!("{place}.parameters"))?;
                    }
                    _ => self.pass(cursor, key)?,
                }
            }
            let name = name.filter(|name| !name.is_empty()).ok_or_else(|| {
                RequestError::missing(&format!("{place}.name"), "the output's name")
            })?;
            refuse_shared_memory(&parameters, &place)?;
            let binary = parameters.take("binary_data") == Some(Value::Bool(true));
            outputs.push(Wanted { name, binary, parameters });
        }
        Ok(outputs)
    }

    /// Refuse bytes that no tensor claims.
    pub(super) fn exhausted(&self) -> Result<(), RequestError> {
        if self.raw.is_empty() {
            return Ok(());
        }
        let message = format!("{} bytes follow the last tensor", self.raw.len());
        Err(RequestError::new(RequestCode::InvalidField, message)
            .fix("Give each tensor of them its `binary_data_size`."))
    }
}

/// Refuse tensors that lie in a server's own memory.
pub(super) fn refuse_shared_memory(
    parameters: &Parameters,
    place: &str,
) -> Result<(), RequestError> {
    let Some((name, _)) = parameters.iter().find(|(name, _)| name.starts_with(SHARED_MEMORY))
    else {
        return Ok(());
    };
    let message = format!("`{place}` lies in shared memory, which this platform does not offer");
    Err(RequestError::new(RequestCode::UnsupportedField, message)
        .about(format!("{place}.parameters.{name}"))
        .fix("Send the tensor in the request."))
}

pub(super) fn unknown_datatype(param: String, text: &str) -> RequestError {
    let shown: String = text.chars().take(40).collect();
    let message = format!("`{param}` is `{shown}`, which is no type of the protocol");
    RequestError::invalid(param, message)
        .fix("Use `BOOL`, `INT8` to `INT64`, `UINT8` to `UINT64`, `FP16`, `BF16`, `FP32`, `FP64` or `BYTES`.")
}

pub(super) fn bounded(place: &str, count: usize) -> Result<(), RequestError> {
    if count < MAX_TENSORS {
        return Ok(());
    }
    let message = format!("`{place}` has more than {MAX_TENSORS} elements");
    Err(RequestError::invalid(place, message))
}

fn array(cursor: &mut Cursor<'_>, place: &str) -> Result<bool, Trouble> {
    let kind = cursor.kind()?;
    if kind != Kind::Array {
        return Err(RequestError::wrong_type(place, "an array", kind).into());
    }
    cursor.enter();
    Ok(true)
}

fn object(cursor: &mut Cursor<'_>, place: &str) -> Result<(), Trouble> {
    let kind = cursor.kind()?;
    if kind != Kind::Object {
        return Err(RequestError::wrong_type(place, "an object", kind).into());
    }
    cursor.enter();
    Ok(())
}

/// A string, or `None` for null.
pub(super) fn optional_text(
    cursor: &mut Cursor<'_>,
    place: &str,
) -> Result<Option<String>, Trouble> {
    let kind = cursor.kind()?;
    if kind == Kind::Null {
        cursor.skip()?;
        return Ok(None);
    }
    if kind != Kind::String {
        return Err(RequestError::wrong_type(place, "a string", kind).into());
    }
    let text = cursor.string()?.decode(cursor.bytes());
    match text {
        Some(text) => Ok(Some(text)),
        None => {
            let message = format!("`{place}` holds half a surrogate pair");
            Err(RequestError::invalid(place, message).into())
        }
    }
}

fn dimensions(cursor: &mut Cursor<'_>, place: &str) -> Result<Vec<u64>, Trouble> {
    let param = format!("{place}.shape");
    let mut shape = Vec::new();
    let mut first = array(cursor, &param)?;
    while cursor.element(&mut first)? {
        let value = cursor.skip()?;
        let Some(size) = json::whole(cursor.slice(value)) else {
            let message = format!("`{param}[{}]` must be a whole number from 0", shape.len());
            return Err(RequestError::invalid(param, message).into());
        };
        if shape.len() == MAX_DIMENSIONS {
            let message = format!("`{param}` has more than {MAX_DIMENSIONS} dimensions");
            return Err(RequestError::invalid(param, message).into());
        }
        shape.push(size);
    }
    Ok(shape)
}

/// `GET /v2/models/{m}`: what a model takes and gives, as its signature says.
pub fn model_metadata(name: &str, versions: &[u32], signature: Option<&Signature>) -> Bytes {
    let (inputs, outputs) = match signature {
        Some(signature) => (signature.inputs.as_slice(), signature.outputs.as_slice()),
        None => (&[][..], &[][..]),
    };
    let versions: Vec<String> = versions.iter().map(u32::to_string).collect();
    let document = serde_json::json!({
        "name": name,
        "versions": versions,
        "platform": super::PLATFORM,
        "inputs": inputs,
        "outputs": outputs,
    });
    document.to_string().into()
}
