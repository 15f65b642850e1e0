//! Inferences over gRPC: the messages of `inference.GRPCInferenceService`, by the numbers of their fields.

use bytes::{BufMut, Bytes};
use towpath_wire::routing::TensorSpec;

use crate::answer::Usage;
use crate::errors::UpstreamFault;
use crate::kserve::answer::{Answer, nonsense};
use crate::kserve::parameters::{Parameters, Value};
use crate::kserve::rest::{bounded, refuse_shared_memory, unknown_datatype};
use crate::kserve::tensor::{Data, Tensor, check_raw, push_text};
use crate::kserve::{Form, Inference, MAX_DIMENSIONS, PLATFORM, Wanted, usage};
use crate::predict::{Datatype, Width};
use crate::protobuf::{
    Broken, Field, Fields, write_double, write_number, write_sized, write_text, write_varint,
};
use crate::request::{RequestCode, RequestError};

/// Bytes before each message: whether it is compressed, and its length.
const PREFIX: usize = 5;
/// Most bytes that typed `contents` of one request may become: a number takes up to eight times its bytes
/// on the wire. Raw contents have no such bound but the body's own.
const TYPED_MAX: usize = 16 << 20;

/// A body that holds one message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame {
    Message(Bytes),
    Compressed,
    /// No message, half of one, or more than one.
    Wrong,
}

impl Frame {
    /// Take the prefix off.
    pub fn read(body: &Bytes) -> Self {
        let Some((prefix, message)) = body.split_first_chunk::<PREFIX>() else {
            return Self::Wrong;
        };
        let [compressed, length @ ..] = *prefix;
        match compressed {
            _ if u32::from_be_bytes(length) as usize != message.len() => Self::Wrong,
            0 => Self::Message(body.slice(PREFIX..)),
            _ => Self::Compressed,
        }
    }

    /// Length of the first frame of these bytes, prefix included, once that is known.
    pub fn length(bytes: &[u8]) -> Option<usize> {
        let (_, length) = bytes.first_chunk::<PREFIX>()?.split_first()?;
        let length = u32::from_be_bytes(length.try_into().ok()?);
        usize::try_from(length).ok()?.checked_add(PREFIX)
    }
}

/// Write a message with its prefix.
pub(super) fn framed(capacity: usize, write: impl FnOnce(&mut Vec<u8>)) -> Bytes {
    let mut out = Vec::with_capacity(capacity + PREFIX);
    out.extend_from_slice(&[0; PREFIX]);
    write(&mut out);
    let length = u32::try_from(out.len() - PREFIX).unwrap_or(u32::MAX);
    if let Some((_, mut place)) = out.get_mut(..PREFIX).and_then(<[u8]>::split_first_mut) {
        place.put_u32(length);
    }
    out.into()
}

/// The model that a request names: the same two fields in `ModelInferRequest`, `ModelReadyRequest` and
/// `ModelMetadataRequest`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Named {
    pub name: String,
    /// Empty: any.
    pub version: String,
}

impl Named {
    /// Read the two fields of a message.
    ///
    /// # Errors
    /// It is no message, or names no model.
    pub fn read(message: &Bytes) -> Result<Self, RequestError> {
        let named = Self::fields(message).map_err(|Broken| no_message())?;
        if named.name.is_empty() {
            return Err(RequestError::missing("model_name", "the model's name"));
        }
        Ok(named)
    }

    fn fields(message: &Bytes) -> Result<Self, Broken> {
        let mut fields = Fields::of(message);
        let mut named = Self::default();
        while let Some(member) = fields.next()? {
            match member.number {
                1 => named.name = member.field.text()?,
                2 => named.version = member.field.text()?,
                _ => {}
            }
        }
        Ok(named)
    }
}

fn no_message() -> RequestError {
    let message = "the message is not of this call's type".to_owned();
    RequestError::new(RequestCode::InvalidField, message)
        .fix("Use a client made from the protocol's own description.")
}

/// The message is broken, or says something wrong.
pub(super) enum Trouble {
    Broken,
    Refused(RequestError),
}

impl From<Broken> for Trouble {
    fn from(_: Broken) -> Self {
        Self::Broken
    }
}

impl From<RequestError> for Trouble {
    fn from(error: RequestError) -> Self {
        Self::Refused(error)
    }
}

impl From<Trouble> for RequestError {
    fn from(trouble: Trouble) -> Self {
        match trouble {
            Trouble::Broken => no_message(),
            Trouble::Refused(error) => error,
        }
    }
}

impl Inference {
    /// Read a `ModelInferRequest`.
    ///
    /// # Errors
    /// It is none, or a tensor is not what it says.
    pub fn from_grpc(message: Bytes) -> Result<Self, RequestError> {
        Ok(Self::read_grpc(message)?)
    }

    fn read_grpc(message: Bytes) -> Result<Self, Trouble> {
        let mut fields = Fields::of(&message);
        let mut parameters = Parameters::default();
        let mut outputs: Vec<Wanted> = Vec::new();
        let mut tensors = Tensors::new("inputs");
        let mut id = String::new();
        while let Some(member) = fields.next()? {
            match member.number {
                3 => id = member.field.text()?,
                4 => parameter(&member.field, "parameters", &mut parameters)?,
                5 => tensors.described(&member.field)?,
                6 => {
                    bounded("outputs", outputs.len())?;
                    outputs.push(wanted(&member.field, outputs.len())?);
                }
                7 => tensors.raw(&member.field)?,
                _ => {}
            }
        }
        let inputs = tensors.all()?;
        if inputs.is_empty() {
            return Err(RequestError::missing("inputs", "the tensors").into());
        }
        Ok(Self {
            id: (!id.is_empty()).then_some(id),
            inputs,
            outputs,
            parameters,
            binary_output: true,
            foreign: None,
            form: Form::Grpc(message),
        })
    }

    /// The framed `ModelInferRequest` for a target that speaks gRPC and calls the model so.
    ///
    /// # Errors
    /// Something in it cannot be said in gRPC.
    pub fn for_grpc(&self, model: &str) -> Result<Bytes, RequestError> {
        if let Form::Grpc(message) = &self.form {
            let mut fields = Fields::of(message);
            return Ok(framed(message.len() + model.len(), |out| {
                write_text(1, model, out);
                // Read before, so never broken.
                while let Ok(Some(member)) = fields.next() {
                    if !matches!(member.number, 1 | 2) {
                        out.extend_from_slice(&member.whole);
                    }
                }
            }));
        }
        self.translatable()?;
        let raw: Vec<Bytes> = self.inputs.iter().map(Tensor::raw).collect::<Result<_, _>>()?;
        let size: usize = raw.iter().map(|raw| raw.len() + 128).sum();
        Ok(framed(size, |out| {
            write_text(1, model, out);
            write_text(3, self.id.as_deref().unwrap_or_default(), out);
            write_parameters(4, &self.parameters, out);
            for input in &self.inputs {
                write_tensor(5, input, out);
            }
            for output in &self.outputs {
                let mut message = Vec::new();
                write_text(1, &output.name, &mut message);
                write_parameters(2, &output.parameters, &mut message);
                write_sized(6, &message, out);
            }
            for raw in &raw {
                write_sized(7, raw, out);
            }
        }))
    }
}

impl Answer {
    /// Read a framed `ModelInferResponse`.
    ///
    /// # Errors
    /// It is none.
    pub fn from_grpc(body: &Bytes) -> Result<Self, UpstreamFault> {
        let Frame::Message(message) = Frame::read(body) else {
            return Err(UpstreamFault::nonsense("the model's server sent no whole message", b""));
        };
        Self::read_grpc(&message).map_err(|trouble| nonsense(trouble.into()))
    }

    fn read_grpc(message: &Bytes) -> Result<Self, Trouble> {
        let mut fields = Fields::of(message);
        let mut parameters = Parameters::default();
        let mut tensors = Tensors::new("outputs");
        let (mut model, mut version, mut id) = (String::new(), String::new(), String::new());
        while let Some(member) = fields.next()? {
            match member.number {
                1 => model = member.field.text()?,
                2 => version = member.field.text()?,
                3 => id = member.field.text()?,
                4 => parameter(&member.field, "parameters", &mut parameters)?,
                5 => tensors.described(&member.field)?,
                6 => tensors.raw(&member.field)?,
                _ => {}
            }
        }
        let id = (!id.is_empty()).then_some(id);
        Ok(Self { model, version, id, parameters, outputs: tensors.all()? })
    }

    /// Tokens in a framed `ModelInferResponse` that passes on untouched, as far as the engine reports them.
    ///
    /// # Errors
    /// It is no such message.
    pub fn skim_grpc(body: &Bytes) -> Result<Usage, UpstreamFault> {
        let Frame::Message(message) = Frame::read(body) else {
            return Err(UpstreamFault::nonsense("the model's server sent no whole message", b""));
        };
        let skim = || {
            let (mut fields, mut parameters) = (Fields::of(&message), Parameters::default());
            while let Some(member) = fields.next()? {
                if member.number == 4 {
                    parameter(&member.field, "parameters", &mut parameters)?;
                }
            }
            Ok::<_, Trouble>(usage(&parameters))
        };
        skim().map_err(|trouble| nonsense(trouble.into()))
    }

    /// Write a framed `ModelInferResponse`.
    ///
    /// # Errors
    /// An output's elements are not what its type says.
    pub fn for_grpc(&self) -> Result<Bytes, UpstreamFault> {
        let raw: Vec<Bytes> =
            self.outputs.iter().map(Tensor::raw).collect::<Result<_, _>>().map_err(nonsense)?;
        let size: usize = raw.iter().map(|raw| raw.len() + 128).sum();
        Ok(framed(size, |out| {
            write_text(1, &self.model, out);
            write_text(2, &self.version, out);
            write_text(3, self.id.as_deref().unwrap_or_default(), out);
            write_parameters(4, &self.parameters, out);
            for output in &self.outputs {
                write_tensor(5, output, out);
            }
            for raw in &raw {
                write_sized(6, raw, out);
            }
        }))
    }
}

/// Described tensors and their raw contents, which come apart.
struct Tensors {
    place: &'static str,
    described: Vec<Described>,
    raw: Vec<Bytes>,
    /// Bytes that typed contents have become.
    typed: usize,
}

struct Described {
    name: String,
    datatype: Datatype,
    shape: Vec<u64>,
    parameters: Parameters,
    /// Typed contents as raw bytes.
    contents: Option<Vec<u8>>,
}

impl Tensors {
    fn new(place: &'static str) -> Self {
        Self { place, described: Vec::new(), raw: Vec::new(), typed: 0 }
    }

    fn raw(&mut self, field: &Field) -> Result<(), Trouble> {
        bounded("raw contents", self.raw.len())?;
        self.raw.push(field.sized()?.clone());
        Ok(())
    }

    fn described(&mut self, field: &Field) -> Result<(), Trouble> {
        bounded(self.place, self.described.len())?;
        let place = format!("{}[{}]", self.place, self.described.len());
        let mut fields = Fields::of(field.sized()?);
        let (mut name, mut datatype, mut shape) = (String::new(), String::new(), Vec::new());
        let (mut parameters, mut contents) = (Parameters::default(), None);
        while let Some(member) = fields.next()? {
            match member.number {
                1 => name = member.field.text()?,
                2 => datatype = member.field.text()?,
                3 => dimensions(&member.field, &place, &mut shape)?,
                4 => parameter(&member.field, &format!("{place}.parameters"), &mut parameters)?,
                5 => contents = Some(member.field.sized()?.clone()),
                _ => {}
            }
        }
        if name.is_empty() {
            let param = format!("{place}.name");
            return Err(RequestError::missing(&param, "the tensor's name").into());
        }
        if self.described.iter().any(|known| known.name == name) {
            return Err(RequestError::twice(&name).into());
        }
        refuse_shared_memory(&parameters, &place)?;
        let Some(datatype) = Datatype::named(&datatype) else {
            return Err(unknown_datatype(format!("{place}.datatype"), &datatype).into());
        };
        let contents = match contents.filter(|contents| !contents.is_empty()) {
            Some(contents) => {
                let room = TYPED_MAX.saturating_sub(self.typed);
                let raw = typed(&contents, &name, datatype, room)?;
                self.typed += raw.len();
                Some(raw)
            }
            None => None,
        };
        self.described.push(Described { name, datatype, shape, parameters, contents });
        Ok(())
    }

    /// Each tensor with its contents.
    fn all(self) -> Result<Vec<Tensor>, RequestError> {
        let place = self.place;
        let raw_given = !self.raw.is_empty();
        if raw_given && self.raw.len() != self.described.len() {
            let message = format!(
                "there are {} raw contents for {} {place}",
                self.raw.len(),
                self.described.len()
            );
            return Err(RequestError::invalid(place, message));
        }
        let mut raw = self.raw.into_iter();
        let with_contents = |described: Described| {
            let Described { name, datatype, shape, parameters, contents } = described;
            if raw_given && contents.is_some() {
                let message = format!("`{name}` has both `contents` and raw contents");
                return Err(RequestError::invalid(&name, message));
            }
            let data = contents.map(Bytes::from).or_else(|| raw.next()).unwrap_or_default();
            check_raw(&name, datatype, &shape, &data)?;
            Ok(Tensor { name, datatype, shape, parameters, data: Data::Raw(data) })
        };
        self.described.into_iter().map(with_contents).collect()
    }
}

fn dimensions(field: &Field, place: &str, shape: &mut Vec<u64>) -> Result<(), Trouble> {
    let mut push = |size: u64| {
        if i64::try_from(size).is_err() || shape.len() == MAX_DIMENSIONS {
            let param = format!("{place}.shape");
            let message =
                format!("`{param}` must be at most {MAX_DIMENSIONS} sizes, none negative");
            return Err(RequestError::invalid(param, message));
        }
        shape.push(size);
        Ok(())
    };
    match field {
        Field::Varint(size) => push(*size)?,
        Field::Sized(packed) => {
            let mut sizes = Fields::of(packed);
            while let Some(size) = sizes.packed()? {
                push(size)?;
            }
        }
        _ => return Err(Trouble::Broken),
    }
    Ok(())
}

/// Typed `contents` as raw bytes.
fn typed(
    contents: &Bytes,
    name: &str,
    datatype: Datatype,
    room: usize,
) -> Result<Vec<u8>, Trouble> {
    let number = match datatype {
        Datatype::Bool => 1,
        Datatype::Signed(64) => 3,
        Datatype::Signed(_) => 2,
        Datatype::Unsigned(64) => 5,
        Datatype::Unsigned(_) => 4,
        Datatype::Float(Width::Single) => 6,
        Datatype::Float(Width::Double) => 7,
        Datatype::Bytes => 8,
        // The protocol has no typed contents for them.
        Datatype::Float(_) => 0,
    };
    let mut out = Vec::new();
    let mut fields = Fields::of(contents);
    while let Some(member) = fields.next()? {
        if member.number != number {
            let message =
                format!("`{name}` is {}, but its contents are of another type", datatype.name());
            return Err(RequestError::invalid(name, message)
                .fix("Send raw contents, or contents of the tensor's type.")
                .into());
        }
        element(&member.field, name, datatype, &mut out, room)?;
    }
    Ok(out)
}

/// Append one element, or packed ones.
fn element(
    field: &Field,
    name: &str,
    datatype: Datatype,
    out: &mut Vec<u8>,
    room: usize,
) -> Result<(), Trouble> {
    match (datatype, field) {
        (Datatype::Bytes, Field::Sized(text)) => push_text(text, out),
        (Datatype::Float(Width::Single), Field::Fixed32(bytes)) => out.extend_from_slice(bytes),
        (Datatype::Float(Width::Double), Field::Fixed64(bytes)) => out.extend_from_slice(bytes),
        // Packed floats lie as raw ones do.
        (Datatype::Float(_), Field::Sized(packed)) => out.extend_from_slice(packed),
        (Datatype::Bool, Field::Varint(value)) => out.push(u8::from(*value != 0)),
        (Datatype::Signed(_) | Datatype::Unsigned(_), Field::Varint(value)) => {
            whole(*value, name, datatype, out)?;
        }
        (Datatype::Bool | Datatype::Signed(_) | Datatype::Unsigned(_), Field::Sized(packed)) => {
            let mut numbers = Fields::of(packed);
            while let Some(value) = numbers.packed()? {
                match datatype {
                    Datatype::Bool => out.push(u8::from(value != 0)),
                    _ => whole(value, name, datatype, out)?,
                }
                if out.len() > room {
                    return Err(too_much(name).into());
                }
            }
        }
        _ => return Err(Trouble::Broken),
    }
    if out.len() > room { Err(too_much(name).into()) } else { Ok(()) }
}

fn too_much(name: &str) -> RequestError {
    let message =
        format!("the typed contents of the request up to `{name}` exceed {TYPED_MAX} bytes");
    RequestError::invalid(name, message).fix("Send the tensors as raw contents.")
}

/// Append a whole number as wide as its type.
fn whole(
    value: u64,
    name: &str,
    datatype: Datatype,
    out: &mut Vec<u8>,
) -> Result<(), RequestError> {
    let number = match datatype {
        Datatype::Signed(_) => i128::from(value.cast_signed()),
        _ => i128::from(value),
    };
    let (low, high) = datatype.bounds();
    if !(low..=high).contains(&number) {
        let message = format!("`{name}` holds {number}, which is not {}", datatype.expected());
        return Err(RequestError::invalid(name, message));
    }
    let width = datatype.bytes().unwrap_or_default();
    out.extend_from_slice(number.to_le_bytes().get(..width).unwrap_or_default());
    Ok(())
}

fn wanted(field: &Field, index: usize) -> Result<Wanted, Trouble> {
    let place = format!("outputs[{index}]");
    let (mut name, mut parameters) = (String::new(), Parameters::default());
    let mut fields = Fields::of(field.sized()?);
    while let Some(member) = fields.next()? {
        match member.number {
            1 => name = member.field.text()?,
            2 => parameter(&member.field, &format!("{place}.parameters"), &mut parameters)?,
            _ => {}
        }
    }
    refuse_shared_memory(&parameters, &place)?;
    Ok(Wanted { name, binary: true, parameters })
}

/// Read one entry of a map of parameters.
pub(super) fn parameter(field: &Field, place: &str, found: &mut Parameters) -> Result<(), Trouble> {
    let (mut name, mut value) = (String::new(), None);
    let mut fields = Fields::of(field.sized()?);
    while let Some(member) = fields.next()? {
        match member.number {
            1 => name = member.field.text()?,
            2 => value = scalar(member.field.sized()?)?,
            _ => {}
        }
    }
    match value {
        Some(value) => Ok(found.add(name, value, place)?),
        None => Ok(()),
    }
}

fn scalar(message: &Bytes) -> Result<Option<Value>, Broken> {
    let (mut fields, mut value) = (Fields::of(message), None);
    while let Some(member) = fields.next()? {
        value = Some(match (member.number, &member.field) {
            (1, field) => Value::Bool(field.varint()? != 0),
            (2, field) => Value::Int(field.varint()?.cast_signed()),
            (3, field) => Value::Text(field.text()?),
            (4, Field::Fixed64(bytes)) => Value::Double(f64::from_le_bytes(*bytes)),
            (5, field) => Value::Uint(field.varint()?),
            _ => continue,
        });
    }
    Ok(value)
}

pub(super) fn write_parameters(number: u64, parameters: &Parameters, out: &mut Vec<u8>) {
    for (name, value) in parameters.iter() {
        let (mut scalar, mut entry) = (Vec::new(), Vec::new());
        match value {
            // Members of a `oneof` are written whatever they hold.
            Value::Bool(value) => scalar.extend_from_slice(&[1 << 3, u8::from(*value)]),
            Value::Int(value) => {
                scalar.push(2 << 3);
                write_varint(value.cast_unsigned(), &mut scalar);
            }
            Value::Text(text) => write_sized(3, text.as_bytes(), &mut scalar),
            Value::Double(value) => write_double(4, *value, &mut scalar),
            Value::Uint(value) => {
                scalar.push(5 << 3);
                write_varint(*value, &mut scalar);
            }
        }
        write_text(1, name, &mut entry);
        write_sized(2, &scalar, &mut entry);
        write_sized(number, &entry, out);
    }
}

/// Write a tensor without its contents, which follow as raw ones.
fn write_tensor(number: u64, tensor: &Tensor, out: &mut Vec<u8>) {
    let mut message = Vec::with_capacity(64);
    write_text(1, &tensor.name, &mut message);
    write_text(2, tensor.datatype.name(), &mut message);
    write_shape(tensor.shape.iter().copied(), &mut message);
    write_parameters(4, &tensor.parameters, &mut message);
    write_sized(number, &message, out);
}

fn write_shape(shape: impl Iterator<Item = u64>, out: &mut Vec<u8>) {
    let mut packed = Vec::new();
    shape.for_each(|size| write_varint(size, &mut packed));
    if !packed.is_empty() {
        write_sized(3, &packed, out);
    }
}

/// A framed `ServerLiveResponse`, `ServerReadyResponse` or `ModelReadyResponse`: they are alike.
pub fn yes_or_no(yes: bool) -> Bytes {
    framed(2, |out| write_number(1, u64::from(yes), out))
}

/// A framed `ServerMetadataResponse`.
pub fn server_metadata(name: &str, version: &str, extensions: &[&str]) -> Bytes {
    framed(64, |out| {
        write_text(1, name, out);
        write_text(2, version, out);
        extensions.iter().for_each(|extension| write_text(3, extension, out));
    })
}

/// A framed `ModelMetadataResponse`.
pub fn model_metadata(
    name: &str,
    versions: &[u32],
    inputs: &[TensorSpec],
    outputs: &[TensorSpec],
) -> Bytes {
    framed(256, |out| {
        write_text(1, name, out);
        versions.iter().for_each(|version| write_text(2, &version.to_string(), out));
        write_text(3, PLATFORM, out);
        for (number, specs) in [(4, inputs), (5, outputs)] {
            for spec in specs {
                let mut message = Vec::with_capacity(32);
                write_text(1, &spec.name, &mut message);
                write_text(2, &spec.datatype, &mut message);
                write_shape(spec.shape.iter().map(|size| size.cast_unsigned()), &mut message);
                write_sized(number, &message, out);
            }
        }
    })
}
