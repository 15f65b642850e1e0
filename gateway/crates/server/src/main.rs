//! Entry point: read the settings, start the gateway.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::process::ExitCode;

use towpath_gateway::{config, errors, process, revoke, validate};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let mut output = io::stdout().lock();
    let written = match words.as_slice() {
        ["--version" | "-V"] => {
            writeln!(output, "towpath-gateway {}", env!("CARGO_PKG_VERSION"))
        }
        ["--help" | "-h"] => write!(output, "{}", config::USAGE),
        ["validate"] => validate::run(io::stdin().lock(), output),
        ["revoke", rest @ ..] => match revoke::run(rest) {
            Ok(said) => writeln!(output, "{said}"),
            Err(error) => return complain(&error.to_string(), error.fix()),
        },
        ["formats"] => writeln!(output, "{}", process::formats()),
        ["errors"] => writeln!(output, "{:#}", errors::list()),
        ["settings"] => match serde_json::to_string_pretty(&config::list(config::Limits::SETTINGS))
        {
            Ok(text) => writeln!(output, "{text}"),
            Err(error) => Err(error.into()),
        },
        _ => {
            drop(output);
            return serve(&arguments);
        }
    };
    match written {
        Ok(()) => ExitCode::SUCCESS,
        // Who asked went away (`| head`): nobody is left to tell.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => complain(&error.to_string(), "Check the input and output."),
    }
}

fn serve(arguments: &[String]) -> ExitCode {
    let environment: BTreeMap<String, String> = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect();
    let config = match config::load(arguments, &environment) {
        Ok(config) => config,
        Err(problems) => {
            let text = problems.to_string().replace('\n', "\n       ");
            let _ = complain(&text, "See `towpath-gateway --help`.");
            return ExitCode::from(LASTING);
        }
    };
    match process::run(&config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let failed = complain(&error.to_string(), error.fix());
            if error.lasts() { ExitCode::from(LASTING) } else { failed }
        }
    }
}

/// Exit status that tells a supervisor not to try again: `EX_CONFIG` of `sysexits.h`.
const LASTING: u8 = 78;

fn complain(what: &str, fix: &str) -> ExitCode {
    let _ = writeln!(io::stderr(), "error: {what}\n\nfix: {fix}");
    ExitCode::FAILURE
}
