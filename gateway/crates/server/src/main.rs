//! Entry point: read the settings, start the gateway.

fn main() {}
