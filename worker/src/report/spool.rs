//! `events.jsonl`: the queue between a worker and the daemon, on disk.
//!
//! The reporter appends, the sender reads behind it. What the sender could not deliver stays in the
//! file, for the next attempt's worker or for the daemon to read.

use crate::{Error, Result};
use chrono::{DateTime, Utc};
use protocol::attempt::{Event, EventBody};
use std::{
    fs::{File, OpenOptions},
    io::{BufRead as _, BufReader, Seek as _, SeekFrom, Write as _},
    path::{Path, PathBuf},
};

/// Most events in one batch.
const BATCH_EVENTS: usize = 1_000;
/// Most bytes in one batch, well below what servers accept as a body.
const BATCH_BYTES: usize = 1 << 20;

/// The writing end.
pub struct Spool {
    path: PathBuf,
    file: File,
    next_seq: u64,
    /// Encoded events that the disk has not taken yet.
    pending: Vec<u8>,
}

impl Spool {
    /// Opens or creates the file and goes on after its last event, and after number `accepted_through`, up to which the daemon
    /// holds or may hold them: a node that crashed may have lost the end of the file. The line that a killed worker left half
    /// written is cut off.
    ///
    /// # Errors
    /// When the file can't be opened, read or shortened.
    pub fn open(path: &Path, accepted_through: u64) -> Result<Self> {
        let file =
            OpenOptions::new().read(true).append(true).create(true).open(path).map_err(Error::io(path))?;
        let (mut whole, mut last_seq) = (0, 0);
        let mut lines = BufReader::new(&file);
        let mut line = Vec::new();
        loop {
            line.clear();
            let read = lines.read_until(b'\n', &mut line).map_err(Error::io(path))?;
            match serde_json::from_slice::<Event>(&line) {
                Ok(event) if line.ends_with(b"\n") => last_seq = event.seq,
                _ => break,
            }
            whole += read as u64;
        }
        file.set_len(whole).map_err(Error::io(path))?;
        Ok(Self {
            path: path.to_owned(),
            file,
            next_seq: last_seq.max(accepted_through) + 1,
            pending: Vec::new(),
        })
    }

    /// Adds an event; it is on its way with the next [`Self::write`].
    pub fn append(&mut self, time: DateTime<Utc>, body: EventBody) {
        let event = Event { seq: self.next_seq, time, body };
        // Encoding to memory fails for no value of this type.
        if serde_json::to_writer(&mut self.pending, &event).is_ok() {
            self.pending.push(b'\n');
            self.next_seq += 1;
        }
    }

    /// Hands what was added to the operating system. What it does not take, as on a full disk, is kept
    /// for the next call.
    ///
    /// # Errors
    /// When not everything could be written.
    pub fn write(&mut self) -> Result<()> {
        let mut written = 0;
        let result = loop {
            if written == self.pending.len() {
                break Ok(());
            }
            match self.file.write(&self.pending[written..]) {
                Ok(0) => break Err(std::io::ErrorKind::WriteZero.into()),
                Ok(bytes) => written += bytes,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => break Err(error),
            }
        };
        self.pending.drain(..written);
        result.map_err(Error::io(&self.path))
    }

    /// Makes sure that the events survive a power failure.
    ///
    /// # Errors
    /// When not everything could be written or synced.
    pub fn sync(&mut self) -> Result<()> {
        self.write()?;
        self.file.sync_data().map_err(Error::io(&self.path))
    }
}

/// The reading end.
pub struct Reader {
    path: PathBuf,
    file: File,
    /// Bytes of whole lines that were delivered.
    delivered: u64,
    /// Events up to this number are the daemon's already.
    skip_through: u64,
}

/// Events to deliver, and where they end in the file.
pub struct Batch {
    /// Oldest first.
    pub events: Vec<Event>,
    end: u64,
}

impl Reader {
    /// Reads from the first event after `accepted_through`.
    ///
    /// # Errors
    /// When the file can't be opened.
    pub fn open(path: &Path, accepted_through: u64) -> Result<Self> {
        let file = File::open(path).map_err(Error::io(path))?;
        Ok(Self { path: path.to_owned(), file, delivered: 0, skip_through: accepted_through })
    }

    /// The oldest events that were not delivered yet, none if there are none. The same ones come again
    /// until [`Self::delivered`].
    ///
    /// # Errors
    /// When the file can't be read.
    pub fn peek(&mut self) -> Result<Batch> {
        loop {
            let batch = self.read().map_err(Error::io(&self.path))?;
            if batch.events.is_empty() && batch.end > self.delivered {
                // Nothing but events that the daemon holds.
                self.delivered = batch.end;
                continue;
            }
            return Ok(batch);
        }
    }

    /// The daemon has these.
    pub fn delivered(&mut self, batch: &Batch) {
        self.delivered = batch.end;
    }

    fn read(&mut self) -> std::io::Result<Batch> {
        self.file.seek(SeekFrom::Start(self.delivered))?;
        let mut batch = Batch { events: Vec::new(), end: self.delivered };
        let mut lines = BufReader::new(&self.file);
        let mut line = Vec::new();
        while batch.events.len() < BATCH_EVENTS && batch.end - self.delivered < BATCH_BYTES as u64 {
            line.clear();
            let bytes = lines.read_until(b'\n', &mut line)?;
            if !line.ends_with(b"\n") {
                break;
            }
            let event: Event = serde_json::from_slice(&line)?;
            batch.end += bytes as u64;
            if event.seq > self.skip_through {
                batch.events.push(event);
            }
        }
        Ok(batch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(message: &str) -> EventBody {
        EventBody::Log { level: "info".into(), message: message.into() }
    }

    fn seqs(batch: &Batch) -> Vec<u64> {
        batch.events.iter().map(|event| event.seq).collect()
    }

    #[test]
    fn a_spool_goes_on_after_its_last_whole_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events.jsonl");
        let mut spool = Spool::open(&path, 0).unwrap();
        spool.append(Utc::now(), log("one"));
        spool.append(Utc::now(), log("two"));
        spool.sync().unwrap();
        std::fs::OpenOptions::new().append(true).open(&path).unwrap().write_all(b"{\"seq\":3,\"ti").unwrap();

        let mut spool = Spool::open(&path, 0).unwrap();
        spool.append(Utc::now(), log("three"));
        spool.sync().unwrap();
        let batch = Reader::open(&path, 0).unwrap().peek().unwrap();
        assert_eq!(seqs(&batch), [1, 2, 3]);
        assert_eq!(batch.events[2].body, log("three"));
    }

    #[test]
    fn a_batch_comes_again_until_it_was_delivered() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events.jsonl");
        let mut spool = Spool::open(&path, 0).unwrap();
        for _ in 0..BATCH_EVENTS + 5 {
            spool.append(Utc::now(), log("x"));
        }
        spool.write().unwrap();
        let mut reader = Reader::open(&path, 3).unwrap();
        let first = reader.peek().unwrap();
        assert_eq!(seqs(&first), seqs(&reader.peek().unwrap()));
        assert_eq!((first.events[0].seq, first.events.len()), (4, BATCH_EVENTS));
        reader.delivered(&first);
        let second = reader.peek().unwrap();
        assert_eq!(seqs(&second), [1004, 1005]);
        reader.delivered(&second);
        assert!(reader.peek().unwrap().events.is_empty());
    }

    #[test]
    fn a_batch_stays_below_the_size_that_servers_accept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events.jsonl");
        let mut spool = Spool::open(&path, 0).unwrap();
        for _ in 0..8 {
            spool.append(Utc::now(), log(&"x".repeat(300_000)));
        }
        spool.write().unwrap();
        assert_eq!(Reader::open(&path, 0).unwrap().peek().unwrap().events.len(), 4);
    }

    #[test]
    fn events_that_the_daemon_holds_are_passed_over() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events.jsonl");
        let mut spool = Spool::open(&path, 0).unwrap();
        spool.append(Utc::now(), log("one"));
        spool.write().unwrap();
        let mut reader = Reader::open(&path, 1).unwrap();
        assert!(reader.peek().unwrap().events.is_empty());
        spool.append(Utc::now(), log("two"));
        spool.write().unwrap();
        assert_eq!(seqs(&reader.peek().unwrap()), [2]);
    }
}
