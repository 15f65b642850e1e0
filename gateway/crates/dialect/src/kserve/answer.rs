//! Answers of V2 servers: looked at on their way through, or read to be written in the other form.

use bytes::Bytes;

use crate::answer::{Usage, check_json};
use crate::errors::UpstreamFault;
use crate::json::{self, Cursor, Kind, Syntax};
use crate::kserve::parameters::Parameters;
use crate::kserve::rest::{Body, Reader, joined, optional_text, write_tensor};
use crate::kserve::tensor::Tensor;
use crate::kserve::{Inference, usage};
use crate::request::{RequestError, Trouble};

/// What the gateway needs to know of an answer that passes on untouched.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Skimmed {
    pub usage: Usage,
}

impl Skimmed {
    /// Look at a REST answer with a success status.
    ///
    /// # Errors
    /// It is not JSON, has no outputs, or is an error in a 200.
    pub fn read(body: &Body) -> Result<Self, UpstreamFault> {
        let (text, _) = body.parts().map_err(nonsense)?;
        check_json(&text)?;
        let mut seen = Seen::default();
        seen.walk(&mut Cursor::new(&text))
            .map_err(|_| UpstreamFault::nonsense("the model's server sent broken JSON", &text))?;
        match seen {
            Seen { failed: true, .. } => Err(UpstreamFault::from_status(500, &text)),
            Seen { outputs: false, .. } => {
                Err(UpstreamFault::nonsense("the model's server sent no inference", &text))
            }
            Seen { usage, .. } => Ok(Self { usage }),
        }
    }
}

#[derive(Default)]
struct Seen {
    usage: Usage,
    outputs: bool,
    failed: bool,
}

impl Seen {
    fn walk(&mut self, cursor: &mut Cursor<'_>) -> Result<(), Syntax> {
        cursor.space();
        if cursor.kind()? != Kind::Object {
            cursor.skip()?;
            return cursor.end();
        }
        cursor.enter();
        let mut first = true;
        while let Some(key) = cursor.key(&mut first)? {
            match (key.raw(cursor.bytes()), cursor.kind()?) {
                (b"error", kind) => {
                    self.failed |= kind != Kind::Null;
                    cursor.skip()?;
                }
                (b"parameters", Kind::Object) => self.parameters(cursor)?,
                (name, kind) => {
                    self.outputs |= name == b"outputs" && kind == Kind::Array;
                    cursor.skip()?;
                }
            }
        }
        cursor.end()
    }

    fn parameters(&mut self, cursor: &mut Cursor<'_>) -> Result<(), Syntax> {
        cursor.enter();
        let mut first = true;
        while let Some(key) = cursor.key(&mut first)? {
            let value = cursor.skip()?;
            let number = json::whole(cursor.slice(value));
            match key.raw(cursor.bytes()) {
                b"input_tokens" => self.usage.input_tokens = number,
                b"output_tokens" => self.usage.output_tokens = number,
                _ => {}
            }
        }
        Ok(())
    }
}

/// An answer, read whole.
#[derive(Clone, Debug)]
pub struct Answer {
    pub(super) model: String,
    pub(super) version: String,
    pub(super) id: Option<String>,
    pub(super) parameters: Parameters,
    pub(super) outputs: Vec<Tensor>,
}

impl Answer {
    /// Read a REST answer with a success status.
    ///
    /// # Errors
    /// It is no V2 answer.
    pub fn from_rest(body: &Body) -> Result<Self, UpstreamFault> {
        Skimmed::read(body)?;
        let (text, raw) = body.parts().map_err(nonsense)?;
        let mut reader = Reader { text: text.clone(), raw, foreign: None };
        let answer = Self::read(&mut reader).map_err(|t| nonsense(t.in_body(&text)))?;
        reader.exhausted().map_err(nonsense)?;
        Ok(answer)
    }

    fn read(reader: &mut Reader) -> Result<Self, Trouble> {
        let text = reader.text.clone();
        let cursor = &mut Cursor::new(&text);
        let mut answer = Self {
            model: String::new(),
            version: String::new(),
            id: None,
            parameters: Parameters::default(),
            outputs: Vec::new(),
        };
        cursor.space();
        cursor.enter();
        let mut first = true;
        while let Some(key) = cursor.key(&mut first)? {
            match key.raw(&text) {
                b"model_name" => {
                    answer.model = optional_text(cursor, "model_name")?.unwrap_or_default();
                }
                b"model_version" => {
                    answer.version = optional_text(cursor, "model_version")?.unwrap_or_default();
                }
                b"id" => answer.id = optional_text(cursor, "id")?,
                b"parameters" => answer.parameters = Parameters::read(cursor, "parameters")?,
                b"outputs" => answer.outputs = reader.tensors(cursor, "outputs")?,
                _ => reader.pass(cursor, key)?,
            }
        }
        cursor.end()?;
        Ok(answer)
    }

    /// Tokens, as far as the engine reports them.
    pub fn usage(&self) -> Usage {
        usage(&self.parameters)
    }

    /// Write the answer for a REST caller: outputs as bytes where it asked for that.
    ///
    /// # Errors
    /// An output holds what JSON cannot say.
    pub fn for_rest(&self, asked: &Inference) -> Result<Body, UpstreamFault> {
        self.rest(|output| asked.wants_bytes(output))
    }

    /// Write the answer as JSON alone.
    ///
    /// # Errors
    /// An output holds what JSON cannot say.
    pub fn for_json(&self) -> Result<Bytes, UpstreamFault> {
        self.rest(|_| false).map(|body| body.bytes)
    }

    fn rest(&self, binary: impl Fn(&str) -> bool) -> Result<Body, UpstreamFault> {
        let mut head = Vec::with_capacity(512);
        head.extend_from_slice(br#"{"model_name":"#);
        json::write_string(&mut head, &self.model);
        head.extend_from_slice(br#","model_version":"#);
        json::write_string(&mut head, &self.version);
        if let Some(id) = &self.id {
            head.extend_from_slice(br#","id":"#);
            json::write_string(&mut head, id);
        }
        if !self.parameters.is_empty() {
            head.extend_from_slice(br#","parameters":"#);
            self.parameters.write(None, &mut head);
        }
        let mut blobs = Vec::new();
        head.extend_from_slice(br#","outputs":["#);
        for (n, output) in self.outputs.iter().enumerate() {
            if n > 0 {
                head.push(b',');
            }
            write_tensor(output, binary(&output.name), &mut head, &mut blobs).map_err(nonsense)?;
        }
        head.extend_from_slice(b"]}");
        Ok(joined(head, &blobs))
    }
}

/// What is wrong with an answer, as the server's fault.
pub(super) fn nonsense(error: RequestError) -> UpstreamFault {
    let message = format!("the model's server sent no proper inference: {}", error.message);
    UpstreamFault::nonsense(&message, b"")
}
