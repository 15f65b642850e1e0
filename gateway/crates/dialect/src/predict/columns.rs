//! Rows in, columns out: the inputs of a prediction as V2 tensors.

use towpath_wire::routing::{Signature, TensorSpec};

use crate::json::{self, Cursor, Kind, Text};
use crate::predict::datatype::Datatype;
use crate::request::{RequestCode, RequestError, Trouble, shown};

/// Most dimensions of one input, the batch not counted. Images of several frames have five.
pub(crate) const MAX_RANK: usize = 8;

/// One input of the signature while it is filled.
pub(crate) struct Column<'a> {
    spec: &'a TensorSpec,
    datatype: Datatype,
    /// Inner dimensions; -1 until the first row has shown its size.
    dims: Vec<i64>,
    /// Elements as JSON, comma between.
    pub data: Vec<u8>,
    /// Row that filled it last, from 1.
    filled: usize,
}

impl<'a> Column<'a> {
    /// Empty columns for a signature's inputs.
    pub(crate) fn of(signature: &'a Signature) -> Result<Vec<Self>, RequestError> {
        if signature.inputs.is_empty() {
            return Err(unusable("it has no inputs"));
        }
        signature.inputs.iter().map(Self::new).collect()
    }

    fn new(spec: &'a TensorSpec) -> Result<Self, RequestError> {
        let Some(datatype) = Datatype::named(&spec.datatype) else {
            return Err(unusable(&format!("type `{}` of `{}`", spec.datatype, spec.name)));
        };
        let dims = spec.shape.get(1..).unwrap_or_default().to_vec();
        if dims.len() > MAX_RANK {
            return Err(unusable(&format!("`{}` has more than {MAX_RANK} dimensions", spec.name)));
        }
        Ok(Self { spec, datatype, dims, data: Vec::new(), filled: 0 })
    }

    fn name(&self) -> &str {
        &self.spec.name
    }

    /// Add a text as one row.
    pub(crate) fn push_raw(&mut self, quoted: &[u8]) {
        if !self.data.is_empty() {
            self.data.push(b',');
        }
        self.data.extend_from_slice(quoted);
    }

    /// Add the value here as row `row`; `path` is its name in errors.
    fn push(&mut self, cursor: &mut Cursor<'_>, row: usize, named: bool) -> Result<(), Trouble> {
        self.filled = row + 1;
        // A dimension of one may be left out, as people do.
        if self.dims == [1] && cursor.kind()? != Kind::Array {
            return self.scalar(cursor, &Path { column: None, row, named, at: &[] });
        }
        let mut at = [0; MAX_RANK];
        self.level(cursor, 0, &mut at, (row, named))
    }

    fn level(
        &mut self,
        cursor: &mut Cursor<'_>,
        depth: usize,
        at: &mut [usize; MAX_RANK],
        (row, named): (usize, bool),
    ) -> Result<(), Trouble> {
        let path = |at: &[usize; MAX_RANK], name: &str| {
            let at = at.get(..depth).unwrap_or_default();
            Path { column: named.then_some(name), row, named, at }.to_string()
        };
        let Some(&size) = self.dims.get(depth) else {
            let at = at.get(..depth).unwrap_or_default();
            return self.scalar(cursor, &Path { column: None, row, named, at });
        };
        let kind = cursor.kind()?;
        if kind != Kind::Array {
            let param = path(at, self.name());
            let expected = match size {
                -1 => "an array".to_owned(),
                size => format!("an array of {size}"),
            };
            return Err(RequestError::wrong_type(&param, &expected, kind).into());
        }
        cursor.enter();
        let (mut first, mut count) = (true, 0_usize);
        while cursor.element(&mut first)? {
            if let Some(slot) = at.get_mut(depth) {
                *slot = count;
            }
            self.level(cursor, depth + 1, at, (row, named))?;
            count += 1;
        }
        let count = i64::try_from(count).unwrap_or(i64::MAX);
        if size == -1 {
            if let Some(dim) = self.dims.get_mut(depth) {
                *dim = count;
            }
        } else if count != size {
            let param = path(at, self.name());
            let why = match self.spec.shape.get(depth + 1) {
                Some(-1) => ", as the inputs before it have",
                _ => "",
            };
            let message = format!("`{param}` has {count} elements, but must have {size}{why}");
            return Err(RequestError::invalid(param, message).into());
        }
        Ok(())
    }

    fn scalar(&mut self, cursor: &mut Cursor<'_>, path: &Path<'_>) -> Result<(), Trouble> {
        if !self.data.is_empty() {
            self.data.push(b',');
        }
        let Err(wrong) = self.datatype.copy(cursor, &mut self.data)? else { return Ok(()) };
        let param = Path { column: path.named.then_some(self.name()), ..*path }.to_string();
        let message = format!(
            "`{param}` must be {} ({}), not {}",
            wrong.expected, self.spec.datatype, wrong.found
        );
        Err(RequestError::invalid(param, message).into())
    }

    /// Write the tensor.
    pub(crate) fn write(&self, batch: usize, out: &mut Vec<u8>) {
        out.extend_from_slice(br#"{"name":"#);
        json::write_string(out, self.name());
        out.extend_from_slice(format!(",\"shape\":[{batch}").as_bytes());
        for dim in &self.dims {
            out.extend_from_slice(format!(",{}", dim.max(&0)).as_bytes());
        }
        out.extend_from_slice(br#"],"datatype":"#);
        json::write_string(out, &self.spec.datatype);
        out.extend_from_slice(br#","data":["#);
        out.extend_from_slice(&self.data);
        out.extend_from_slice(b"]}");
    }
}

/// Read `inputs` into the columns; returns how many rows there are.
pub(super) fn read(cursor: &mut Cursor<'_>, columns: &mut [Column<'_>]) -> Result<usize, Trouble> {
    let kind = cursor.kind()?;
    if kind != Kind::Array {
        return Err(RequestError::wrong_type("inputs", "an array", kind)
            .fix("Send `{\"inputs\": […]}`, one element for each prediction.")
            .into());
    }
    cursor.enter();
    let (mut first, mut rows) = (true, 0);
    while cursor.element(&mut first)? {
        let kind = cursor.kind()?;
        match columns {
            [only] if kind != Kind::Object => only.push(cursor, rows, false)?,
            _ if kind == Kind::Object => object(cursor, columns, rows)?,
            _ => {
                let param = format!("inputs[{rows}]");
                let expected = format!("an object with {}", names(columns));
                return Err(RequestError::wrong_type(&param, &expected, kind).into());
            }
        }
        rows += 1;
    }
    if rows == 0 {
        return Err(RequestError::invalid("inputs", "`inputs` is empty".to_owned())
            .fix("Send at least one input.")
            .into());
    }
    check_batch(columns, rows)?;
    Ok(rows)
}

fn object(cursor: &mut Cursor<'_>, columns: &mut [Column<'_>], row: usize) -> Result<(), Trouble> {
    cursor.enter();
    let mut first = true;
    while let Some(key) = cursor.key(&mut first)? {
        let Some(column) = find(cursor.bytes(), key, columns) else {
            let name = shown(cursor.bytes(), key);
            let param = format!("inputs[{row}].{name}");
            let message = format!("`{param}` is not an input of the model");
            return Err(RequestError::new(RequestCode::UnsupportedField, message)
                .about(param)
                .fix(format!("The model takes {}.", names(columns)))
                .into());
        };
        if column.filled == row + 1 {
            return Err(RequestError::twice(&format!("inputs[{row}].{}", column.name())).into());
        }
        column.push(cursor, row, true)?;
    }
    match columns.iter().find(|c| c.filled != row + 1) {
        None => Ok(()),
        Some(column) => {
            let param = format!("inputs[{row}].{}", column.name());
            Err(RequestError::missing(&param, &column.datatype.expected()).into())
        }
    }
}

fn find<'c, 's>(
    bytes: &[u8],
    key: Text,
    columns: &'c mut [Column<'s>],
) -> Option<&'c mut Column<'s>> {
    columns.iter_mut().find(|c| key.is(bytes, c.name()))
}

/// Models of a fixed batch size take that many inputs.
fn check_batch(columns: &[Column<'_>], rows: usize) -> Result<(), RequestError> {
    let fixed = columns.iter().filter_map(|c| c.spec.shape.first()).find(|&&size| size >= 0);
    match fixed {
        Some(&size) if usize::try_from(size).ok() != Some(rows) => {
            let message = format!("`inputs` has {rows} elements, but the model takes {size}");
            Err(RequestError::invalid("inputs", message)
                .fix(format!("Send {size} inputs in each request.")))
        }
        _ => Ok(()),
    }
}

fn names(columns: &[Column<'_>]) -> String {
    let names: Vec<_> =
        columns.iter().map(|c| format!("`{}` ({})", c.name(), c.spec.datatype)).collect();
    names.join(", ")
}

fn unusable(what: &str) -> RequestError {
    let message = format!("the model's signature cannot be served here: {what}");
    RequestError::new(RequestCode::UnsupportedOperation, message)
        .fix("Register a version of the model with a corrected signature.")
}

/// Where a value is, as `inputs[3].age[0]`.
#[derive(Clone, Copy)]
struct Path<'a> {
    column: Option<&'a str>,
    row: usize,
    named: bool,
    at: &'a [usize],
}

impl std::fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "inputs[{}]", self.row)?;
        if let Some(column) = self.column {
            write!(f, ".{column}")?;
        }
        self.at.iter().try_for_each(|n| write!(f, "[{n}]"))
    }
}
