//! A request beside the signature of the model that is to answer it.

use std::collections::BTreeMap;

use towpath_wire::routing::{FieldRule, Signature, TensorSpec};

use crate::kserve::tensor::Tensor;
use crate::kserve::{Form, Inference};
use crate::request::{RequestCode, RequestError, check_range};

/// What one target takes.
#[derive(Clone, Copy, Debug)]
pub struct Rules<'a> {
    /// `None`: the target's own server judges.
    pub signature: Option<&'a Signature>,
    /// Parameters that may reach the engine; `None`: all do.
    pub parameters: Option<&'a BTreeMap<String, FieldRule>>,
}

impl Inference {
    /// Check the request against what a target takes.
    ///
    /// # Errors
    /// Names the tensor or parameter that does not fit.
    pub fn check(&self, rules: &Rules<'_>) -> Result<(), RequestError> {
        if let Some(signature) = rules.signature {
            self.fits(signature)?;
        }
        match rules.parameters {
            Some(known) => self.listed(known),
            None => Ok(()),
        }
    }

    fn fits(&self, signature: &Signature) -> Result<(), RequestError> {
        for input in &self.inputs {
            let Some(spec) = signature.inputs.iter().find(|spec| spec.name == input.name) else {
                let message = format!("`{}` is not an input of the model", input.name);
                return Err(RequestError::new(RequestCode::UnsupportedField, message)
                    .about(&input.name)
                    .fix(format!("The model takes {}.", names(&signature.inputs))));
            };
            matches(input, spec)?;
        }
        let missing = |spec: &&TensorSpec| self.inputs.iter().all(|i| i.name != spec.name);
        if let Some(spec) = signature.inputs.iter().find(missing) {
            let hint = format!("a tensor of {} and shape {:?}", spec.datatype, spec.shape);
            return Err(RequestError::missing(&spec.name, &hint));
        }
        if signature.outputs.is_empty() {
            return Ok(());
        }
        let unknown =
            self.outputs.iter().find(|o| signature.outputs.iter().all(|spec| spec.name != o.name));
        let Some(output) = unknown else { return Ok(()) };
        let message = format!("`{}` is not an output of the model", output.name);
        Err(RequestError::new(RequestCode::UnsupportedField, message)
            .about(&output.name)
            .fix(format!("The model gives {}.", names(&signature.outputs))))
    }

    /// Whatever is not listed does not reach an engine of our own.
    fn listed(&self, known: &BTreeMap<String, FieldRule>) -> Result<(), RequestError> {
        for (name, value) in self.parameters.iter() {
            let param = format!("parameters.{name}");
            let Some(rule) = known.get(name) else {
                let known: Vec<_> = known.keys().map(|name| format!("`{name}`")).collect();
                let takes = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
                let message = format!("the model does not take the parameter `{name}`");
                return Err(RequestError::new(RequestCode::UnsupportedField, message)
                    .about(param)
                    .fix(format!("Remove `{name}`; it takes {takes}.")));
            };
            check_range(&param, &value.text(), rule)?;
        }
        let of_inputs = self.inputs.iter().map(|input| (&input.name, &input.parameters));
        let of_outputs = self.outputs.iter().map(|output| (&output.name, &output.parameters));
        for (tensor, parameters) in of_inputs.chain(of_outputs) {
            if let Some((name, _)) = parameters.iter().next() {
                let message = format!("`{tensor}` has the parameter `{name}`, which is not taken");
                return Err(RequestError::new(RequestCode::UnsupportedField, message)
                    .about(tensor)
                    .fix(format!("Remove `{name}`.")));
            }
        }
        match self.form {
            Form::Rest(_) => self.translatable(),
            Form::Grpc(_) => Ok(()),
        }
    }
}

fn matches(input: &Tensor, spec: &TensorSpec) -> Result<(), RequestError> {
    if input.datatype.name() != spec.datatype {
        let message = format!(
            "`{}` is {}, but the model takes {}",
            input.name,
            input.datatype.name(),
            spec.datatype
        );
        return Err(RequestError::invalid(&input.name, message)
            .fix(format!("Send `{}` as {}.", input.name, spec.datatype)));
    }
    let same = |have: &u64, want: &i64| *want == -1 || u64::try_from(*want) == Ok(*have);
    let fits = input.shape.len() == spec.shape.len()
        && input.shape.iter().zip(&spec.shape).all(|(have, want)| same(have, want));
    if fits {
        return Ok(());
    }
    let message = format!(
        "`{}` has the shape {:?}, but the model takes {:?}",
        input.name, input.shape, spec.shape
    );
    Err(RequestError::invalid(&input.name, message).fix("-1 stands for any size."))
}

fn names(specs: &[TensorSpec]) -> String {
    let names: Vec<_> =
        specs.iter().map(|spec| format!("`{}` ({})", spec.name, spec.datatype)).collect();
    names.join(", ")
}
