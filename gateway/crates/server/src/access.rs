//! The access log: one JSON line per call, on standard output or in a file of bounded size. Off unless a
//! setting names a place. Keys, bodies and addresses of upstreams never get here.
//!
//! A thread of its own writes. A call only hands its line over, and when the writer falls behind lines are
//! lost and counted: a slow disk must not slow calls down.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

use serde_json::Value;

use crate::log::{self, Level};

/// Lines on their way to the writer: a second of a busy gateway.
const WAITING: usize = 16_384;
/// How long the end of the process waits for the last lines.
const LAST_LINES: Duration = Duration::from_secs(2);

/// Where lines are handed over.
pub struct AccessLog {
    writer: Option<SyncSender<Message>>,
    lost: AtomicU64,
}

enum Message {
    Line(String),
    /// Everything before it is written when this is answered.
    Close(SyncSender<()>),
}

impl AccessLog {
    /// Open the place that a setting names: `-` is standard output, anything else a file. No place, no log.
    ///
    /// # Errors
    /// The file cannot be written, or there is no thread for it.
    pub fn open(place: Option<&str>, max_bytes: u64) -> io::Result<Self> {
        let lost = AtomicU64::new(0);
        let Some(place) = place else { return Ok(Self { writer: None, lost }) };
        let sink = match place {
            "-" => Sink::Output(BufWriter::new(io::stdout())),
            path => Sink::File(Bounded::open(Path::new(path), max_bytes)?),
        };
        let (writer, lines) = sync_channel(WAITING);
        thread::Builder::new().name("access-log".to_owned()).spawn(move || write(sink, &lines))?;
        Ok(Self { writer: Some(writer), lost })
    }

    /// Whether lines are wanted at all.
    pub fn wanted(&self) -> bool {
        self.writer.is_some()
    }

    /// Hand a line over, if there is room.
    pub fn line(&self, line: &Value) {
        if let Some(writer) = &self.writer
            && writer.try_send(Message::Line(format!("{line}\n"))).is_err()
        {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Lines that found no room.
    pub fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    /// Wait, not for ever, until everything that was handed over is written.
    pub fn close(&self) {
        let Some(writer) = &self.writer else { return };
        let (done, written) = sync_channel(1);
        if writer.send(Message::Close(done)).is_ok() {
            let _ = written.recv_timeout(LAST_LINES);
        }
    }
}

enum Sink {
    Output(BufWriter<io::Stdout>),
    File(Bounded),
}

/// A file that is put aside when it is full; the one before that is gone.
struct Bounded {
    path: PathBuf,
    file: BufWriter<File>,
    bytes: u64,
    most: u64,
}

impl Bounded {
    fn open(path: &Path, most: u64) -> io::Result<Self> {
        let file = OpenOptions::new().create(true).append(true).mode(0o600).open(path)?;
        let bytes = file.metadata()?.len();
        Ok(Self { path: path.to_owned(), file: BufWriter::new(file), bytes, most })
    }

    fn write(&mut self, line: &[u8]) -> io::Result<()> {
        let length = line.len() as u64;
        if self.bytes > 0 && self.bytes + length > self.most {
            self.file.flush()?;
            let mut aside = self.path.clone().into_os_string();
            aside.push(".1");
            fs::rename(&self.path, aside)?;
            *self = Self::open(&self.path, self.most)?;
        }
        self.bytes += length;
        self.file.write_all(line)
    }
}

impl Sink {
    fn write(&mut self, line: &[u8]) -> io::Result<()> {
        match self {
            Self::Output(output) => output.write_all(line),
            Self::File(file) => file.write(line),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Output(output) => output.flush(),
            Self::File(file) => file.file.flush(),
        }
    }
}

/// Write lines as they come, in one go what has come together.
fn write(mut sink: Sink, lines: &Receiver<Message>) {
    let mut failing = false;
    while let Ok(first) = lines.recv() {
        let mut done = None;
        let mut written = Ok(());
        for message in std::iter::once(first).chain(lines.try_iter()) {
            match message {
                Message::Line(line) => written = written.and(sink.write(line.as_bytes())),
                Message::Close(answer) => done = Some(answer),
            }
        }
        let written = written.and_then(|()| sink.flush());
        if let Err(error) = &written
            && !failing
        {
            log::event(Level::Error, "access_log.not_written", &[("cause", error)]);
        }
        failing = written.is_err();
        if let Some(done) = done {
            let _ = done.send(());
        }
    }
}

#[cfg(test)]
mod tests;
