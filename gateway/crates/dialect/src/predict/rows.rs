//! A V2 answer, and its tensors row by row.

use std::ops::Range;

use towpath_wire::routing::{Signature, TensorSpec};

use crate::answer::{check_json, count};
use crate::errors::UpstreamFault;
use crate::json::{self, Cursor, Kind, Syntax};

/// Deepest nesting of `data`, which the protocol allows to be flat or nested.
const MAX_NESTING: usize = 16;

/// A V2 answer, read but not yet checked against a signature.
pub(crate) struct Outputs {
    tensors: Vec<Tensor>,
    pub input_tokens: Option<u64>,
    failed: bool,
}

/// One output.
pub(crate) struct Tensor {
    pub name: String,
    pub shape: Vec<usize>,
    /// Where its elements are in the answer.
    pub elements: Vec<Range<usize>>,
}

impl Outputs {
    pub(crate) fn read(answer: &[u8]) -> Result<Self, UpstreamFault> {
        check_json(answer)?;
        let mut outputs = Self { tensors: Vec::new(), input_tokens: None, failed: false };
        outputs
            .walk(&mut Cursor::new(answer))
            .map_err(|_| UpstreamFault::nonsense("the model's server sent broken JSON", answer))?;
        if outputs.failed {
            return Err(UpstreamFault::from_status(500, answer));
        }
        Ok(outputs)
    }

    /// The outputs that the signature names, in its order, if they fit; all of them where it names none.
    pub(crate) fn fitting(
        &self,
        signature: &Signature,
        batch: usize,
    ) -> Result<Vec<&Tensor>, UpstreamFault> {
        let wrong = |what: String| UpstreamFault::nonsense(&what, b"");
        let tensors: Vec<&Tensor> = if signature.outputs.is_empty() {
            self.tensors.iter().collect()
        } else {
            let find = |spec: &TensorSpec| {
                let found = self.tensors.iter().find(|t| t.name == spec.name);
                found.ok_or_else(|| wrong(format!("the model gave no output `{}`", spec.name)))
            };
            signature.outputs.iter().map(find).collect::<Result<_, _>>()?
        };
        for tensor in &tensors {
            let rows = tensor.shape.first().copied();
            if rows != Some(batch) {
                let rows = rows.unwrap_or_default();
                let name = &tensor.name;
                return Err(wrong(format!("the model gave {rows} of `{name}` for {batch} inputs")));
            }
            let size = tensor.shape.iter().try_fold(1_usize, |all, &dim| all.checked_mul(dim));
            if size != Some(tensor.elements.len()) {
                return Err(wrong(format!("`{}` of the model has holes", tensor.name)));
            }
        }
        Ok(tensors)
    }

    fn walk(&mut self, cursor: &mut Cursor<'_>) -> Result<(), Syntax> {
        if object(cursor)? {
            let mut first = true;
            while let Some(key) = cursor.key(&mut first)? {
                match (key.raw(cursor.bytes()), cursor.kind()?) {
                    (b"outputs", Kind::Array) => {
                        cursor.enter();
                        let mut first = true;
                        while cursor.element(&mut first)? {
                            let tensor = Tensor::read(cursor)?;
                            self.tensors.push(tensor);
                        }
                    }
                    (b"parameters", Kind::Object) => {
                        cursor.enter();
                        let mut first = true;
                        while let Some(key) = cursor.key(&mut first)? {
                            if key.raw(cursor.bytes()) == b"input_tokens" {
                                self.input_tokens = count(cursor)?;
                            } else {
                                cursor.skip()?;
                            }
                        }
                    }
                    (b"error", kind) => {
                        self.failed |= kind != Kind::Null;
                        cursor.skip()?;
                    }
                    _ => {
                        cursor.skip()?;
                    }
                }
            }
        }
        cursor.end()
    }
}

impl Tensor {
    fn read(cursor: &mut Cursor<'_>) -> Result<Self, Syntax> {
        let mut tensor = Self { name: String::new(), shape: Vec::new(), elements: Vec::new() };
        if !object(cursor)? {
            return Err(cursor.wrong("expected an object"));
        }
        let mut first = true;
        while let Some(key) = cursor.key(&mut first)? {
            match (key.raw(cursor.bytes()), cursor.kind()?) {
                (b"name", Kind::String) => {
                    tensor.name = cursor.string()?.decode(cursor.bytes()).unwrap_or_default();
                }
                (b"shape", Kind::Array) => tensor.shape = shape(cursor)?,
                (b"data", Kind::Array) => flatten(cursor, &mut tensor.elements, 0)?,
                _ => {
                    cursor.skip()?;
                }
            }
        }
        Ok(tensor)
    }

    /// Elements of one row.
    pub(crate) fn row(&self, row: usize) -> &[Range<usize>] {
        let size = self.row_size();
        self.elements.get(row * size..(row + 1) * size).unwrap_or_default()
    }

    fn row_size(&self) -> usize {
        self.shape.get(1..).unwrap_or_default().iter().product()
    }

    /// Write one row, nested as the shape says.
    pub(crate) fn write_row(&self, answer: &[u8], row: usize, out: &mut Vec<u8>) {
        nest(answer, self.shape.get(1..).unwrap_or_default(), self.row(row), out);
    }
}

fn nest(answer: &[u8], dims: &[usize], elements: &[Range<usize>], out: &mut Vec<u8>) {
    let Some((&dim, inner)) = dims.split_first() else {
        let element = elements.first().cloned().unwrap_or_default();
        out.extend_from_slice(answer.get(element).unwrap_or_default());
        return;
    };
    let size: usize = inner.iter().product();
    out.push(b'[');
    for n in 0..dim {
        if n > 0 {
            out.push(b',');
        }
        nest(answer, inner, elements.get(n * size..(n + 1) * size).unwrap_or_default(), out);
    }
    out.push(b']');
}

fn object(cursor: &mut Cursor<'_>) -> Result<bool, Syntax> {
    cursor.space();
    if cursor.kind()? == Kind::Object {
        cursor.enter();
        Ok(true)
    } else {
        cursor.skip()?;
        Ok(false)
    }
}

fn shape(cursor: &mut Cursor<'_>) -> Result<Vec<usize>, Syntax> {
    let mut dims = Vec::new();
    cursor.enter();
    let mut first = true;
    while cursor.element(&mut first)? {
        let value = cursor.skip()?;
        let dim = json::whole(cursor.slice(value)).and_then(|n| usize::try_from(n).ok());
        dims.push(dim.ok_or_else(|| cursor.wrong("expected a size"))?);
        if dims.len() > MAX_NESTING {
            return Err(cursor.wrong("more dimensions than a tensor has"));
        }
    }
    Ok(dims)
}

fn flatten(
    cursor: &mut Cursor<'_>,
    elements: &mut Vec<Range<usize>>,
    depth: usize,
) -> Result<(), Syntax> {
    if depth > MAX_NESTING {
        return Err(cursor.wrong("nested deeper than a tensor"));
    }
    cursor.enter();
    let mut first = true;
    while cursor.element(&mut first)? {
        if cursor.kind()? == Kind::Array {
            flatten(cursor, elements, depth + 1)?;
        } else {
            let element = cursor.skip()?;
            elements.push(element);
        }
    }
    Ok(())
}
