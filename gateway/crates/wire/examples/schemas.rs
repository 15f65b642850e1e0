//! Write the JSON Schemas of the four documents, and the values that both planes count durations by, into the
//! folder given (`make gen`).

use std::path::Path;

use schemars::{JsonSchema, schema_for};
use towpath_wire::{budget::BudgetState, durations, link, routing, signals::Signals};

/// Everything that can come down the link, under one roof.
#[derive(JsonSchema)]
#[allow(dead_code, reason = "only its schema is used")]
struct Routing {
    reply: link::RoutingReply,
    poll: link::RoutingPoll,
    value: routing::Value,
}

/// Everything that usage shipping exchanges.
#[derive(JsonSchema)]
#[allow(dead_code, reason = "only its schema is used")]
struct Usage {
    batch: link::UsageBatch,
    ack: link::UsageAck,
}

fn main() -> std::io::Result<()> {
    let folder = std::env::args().nth(1).unwrap_or_else(|| "contracts".to_owned());
    let write = |name: &str, schema: schemars::Schema| {
        let text = format!("{}\n", serde_json::to_string_pretty(&schema)?);
        std::fs::write(Path::new(&folder).join(name), text)
    };
    write("routing.schema.json", schema_for!(Routing))?;
    write("budget.schema.json", schema_for!(BudgetState))?;
    write("usage.schema.json", schema_for!(Usage))?;
    write("bodies.schema.json", schema_for!(link::BodyBatch))?;
    write("signals.schema.json", schema_for!(Signals))?;
    let near = |us: u64| [us - 1, us, us + us / 3];
    let known = (1..40).flat_map(|power| near(1 << power)).map(|us| {
        let bucket = durations::bucket(us);
        serde_json::json!({"us": us, "bucket": bucket, "upper_us": durations::upper_us(bucket)})
    });
    let known: Vec<_> = known.map(|one| format!("  {one}")).collect();
    let text = format!("[\n{}\n]\n", known.join(",\n"));
    std::fs::write(Path::new(&folder).join("durations.json"), text)
}
