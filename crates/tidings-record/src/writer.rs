//! Where a recording is written: by a thread, so that a slow disk does not block the node; or to
//! memory.

use std::fs::File;
use std::io::{self, Seek, SeekFrom, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, JoinHandle};

/// The bytes of a recording, as they are written.
#[derive(Debug)]
pub(crate) enum Writer {
    File(FileWriter),
    /// The bytes of the file that there would be.
    Memory(Vec<u8>),
}

impl Writer {
    /// Writes bytes at an offset, or queues them.
    pub(crate) fn submit(&mut self, offset: u64, bytes: Vec<u8>) -> Submitted {
        match self {
            Self::File(file) => file.submit(offset, bytes),
            Self::Memory(memory) => {
                write_at(memory, offset, &bytes);
                Submitted::Queued
            }
        }
    }

    /// Writes or queues the last bytes, even if the queue is full.
    pub(crate) fn submit_last(&mut self, offset: u64, bytes: Vec<u8>) {
        match self {
            Self::File(file) => file.submit_last(offset, bytes),
            Self::Memory(memory) => write_at(memory, offset, &bytes),
        }
    }

    /// Waits until all queued bytes are written.
    pub(crate) fn end(&mut self) -> io::Result<()> {
        match self {
            Self::File(file) => file.end(),
            Self::Memory(_) => Ok(()),
        }
    }
}

/// Writes bytes at an offset of a buffer, which grows as a file does.
fn write_at(memory: &mut Vec<u8>, offset: u64, bytes: &[u8]) {
    let start = usize::try_from(offset).expect("a recording in memory is as long as memory");
    let end = start + bytes.len();
    if memory.len() < end {
        memory.resize(end, 0);
    }
    memory[start..end].copy_from_slice(bytes);
}

/// A file, and the only thread that writes to it.
#[derive(Debug)]
pub(crate) struct FileWriter {
    /// Writes to do, as offset and bytes; `None` once the thread has ended.
    jobs: Option<Sender<(u64, Vec<u8>)>>,
    /// The bytes that are queued and not yet written.
    queued: Arc<AtomicUsize>,
    thread: Option<JoinHandle<io::Result<()>>>,
}

/// The outcome of submitting a write.
#[derive(Debug)]
pub(crate) enum Submitted {
    /// The thread will write it.
    Queued,
    /// It is dropped: more than [`MAX_QUEUED`] bytes would be queued.
    QueueFull,
    /// The thread has ended with this error.
    Failed(io::Error),
}

impl FileWriter {
    pub(crate) fn start(file: File) -> io::Result<Self> {
        let (jobs, received) = channel();
        let queued = Arc::new(AtomicUsize::new(0));
        let unwritten = Arc::clone(&queued);
        let thread = thread::Builder::new().name("tidings-recorder".into());
        let thread = thread.spawn(move || write(file, &received, &unwritten))?;
        Ok(Self { jobs: Some(jobs), queued, thread: Some(thread) })
    }

    /// Queues bytes to be written at a file offset.
    pub(crate) fn submit(&mut self, offset: u64, bytes: Vec<u8>) -> Submitted {
        let Some(jobs) = &self.jobs else { return Submitted::Failed(io::ErrorKind::Other.into()) };
        let len = bytes.len();
        let queued = self.queued.load(Ordering::Relaxed);
        if queued > 0 && queued + len > MAX_QUEUED {
            return Submitted::QueueFull;
        }
        self.queued.fetch_add(len, Ordering::Relaxed);
        if jobs.send((offset, bytes)).is_ok() {
            return Submitted::Queued;
        }
        Submitted::Failed(self.end().err().unwrap_or_else(|| io::ErrorKind::Other.into()))
    }

    /// Queues the last bytes, even if the queue is full.
    pub(crate) fn submit_last(&mut self, offset: u64, bytes: Vec<u8>) {
        if let Some(jobs) = &self.jobs {
            self.queued.fetch_add(bytes.len(), Ordering::Relaxed);
            drop(jobs.send((offset, bytes)));
        }
    }

    /// Waits until all queued bytes are written, and ends the thread.
    pub(crate) fn end(&mut self) -> io::Result<()> {
        self.jobs = None;
        let written = self.thread.take().map(JoinHandle::join);
        written.unwrap_or(Ok(Ok(()))).unwrap_or_else(|_| Err(io::ErrorKind::Other.into()))
    }
}

impl Drop for FileWriter {
    fn drop(&mut self) {
        drop(self.end());
    }
}

fn write(
    mut file: File,
    received: &Receiver<(u64, Vec<u8>)>,
    queued: &AtomicUsize,
) -> io::Result<()> {
    for (offset, bytes) in received {
        file.seek(SeekFrom::Start(offset))?;
        file.write_all(&bytes)?;
        queued.fetch_sub(bytes.len(), Ordering::Relaxed);
    }
    Ok(())
}

/// The size limit of the queue, in bytes.
const MAX_QUEUED: usize = 32 << 20;

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_reported() {
        let full = File::options().write(true).open("/dev/full").unwrap();
        let mut writer = FileWriter::start(full).unwrap();
        loop {
            match writer.submit(0, vec![0; 100]) {
                Submitted::Queued | Submitted::QueueFull => thread::yield_now(),
                Submitted::Failed(error) => {
                    break assert_eq!(error.kind(), io::ErrorKind::StorageFull);
                }
            }
        }
        assert!(writer.end().is_ok(), "the error is reported once");
    }
}
