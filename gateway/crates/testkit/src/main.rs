//! The scripted upstream as a process: prints its address as one line of JSON and runs until it is told
//! to stop, or until its input ends where `--until-stdin-ends` is given.

use std::error::Error;
use std::io::{Write, copy, sink, stdin, stdout};
use std::thread;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;
use towpath_testkit::FakeUpstream;

const USAGE: &str = "usage: towpath-fake-upstream [--listen HOST:PORT | --listen unix:PATH] [--bearer TOKEN] [--until-stdin-ends]";

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let (mut listen, mut bearer, mut until_stdin_ends) = ("127.0.0.1:0".to_owned(), None, false);
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--listen" => listen = arguments.next().ok_or(USAGE)?,
            "--bearer" => bearer = Some(arguments.next().ok_or(USAGE)?),
            "--until-stdin-ends" => until_stdin_ends = true,
            _ => return Err(USAGE.into()),
        }
    }
    let upstream = FakeUpstream::listen(&listen).await?;
    if let Some(token) = bearer {
        upstream.require_bearer(&token);
    }
    let (mut terminate, mut interrupt) =
        (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    writeln!(stdout(), "{}", serde_json::json!({"address": upstream.base_url()}))?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
        () = input_ended(), if until_stdin_ends => {}
    }
    Ok(())
}

/// Wait on a thread of its own: one of the runtime's would keep the process from ending.
async fn input_ended() {
    let (ended, waited) = oneshot::channel();
    thread::spawn(move || {
        // A broken input has ended too.
        let _ = copy(&mut stdin(), &mut sink());
        let _ = ended.send(());
    });
    let _ = waited.await;
}
