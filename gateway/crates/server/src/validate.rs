//! `towpath-gateway validate`: the gateway's own judgement of a table, for the control plane to ask
//! before it commits.

use std::io::{self, BufRead, Write};

use serde::Deserialize;
use serde_json::json;
use towpath_policy::examine;
use towpath_wire::routing::Envelope;

/// One question: entities that are about to change. What they name may be left out; that it exists is
/// the control plane's own to know.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Question {
    #[serde(default)]
    advisory: Vec<String>,
    entities: Vec<Envelope>,
}

/// Answer questions line by line until there are none left.
///
/// # Errors
/// Reading or writing failed.
pub fn run(input: impl BufRead, mut output: impl Write) -> io::Result<()> {
    for line in input.lines() {
        let line = line?;
        if line.trim().is_empty() {
            continue;
        }
        let answer = match judge(&line) {
            Ok(()) => json!({"ok": true}),
            Err(reason) => json!({"ok": false, "reason": reason}),
        };
        writeln!(output, "{answer}")?;
        output.flush()?;
    }
    Ok(())
}

fn judge(line: &str) -> Result<(), String> {
    let question: Question = serde_json::from_str(line)
        .map_err(|error| format!("the question cannot be read: {error}"))?;
    examine(&question.advisory, &question.entities).map_err(|refused| refused.reason)
}

#[cfg(test)]
mod tests;
