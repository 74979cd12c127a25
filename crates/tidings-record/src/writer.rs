//! The thread that writes: a disk that is slow holds up no node.

use std::fs::File;
use std::io::{self, Seek, SeekFrom, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, JoinHandle};

/// A file and the thread that alone writes it.
#[derive(Debug)]
pub(crate) struct Writer {
    /// Where to write what; `None` once the thread has ended.
    jobs: Option<Sender<(u64, Vec<u8>)>>,
    /// How many bytes were handed over and are not written.
    waiting: Arc<AtomicUsize>,
    thread: Option<JoinHandle<io::Result<()>>>,
}

/// What came of handing something over.
#[derive(Debug)]
pub(crate) enum Handed {
    /// It will be written.
    Over,
    /// Not now: too much waits to be written.
    Back,
    /// The thread has ended, with this.
    Failed(io::Error),
}

impl Writer {
    pub(crate) fn start(file: File) -> io::Result<Self> {
        let (jobs, handed) = channel();
        let waiting = Arc::new(AtomicUsize::new(0));
        let still = Arc::clone(&waiting);
        let thread = thread::Builder::new().name("tidings-recorder".into());
        let thread = thread.spawn(move || write(file, &handed, &still))?;
        Ok(Self { jobs: Some(jobs), waiting, thread: Some(thread) })
    }

    /// Hands bytes over, to be written at an offset.
    pub(crate) fn hand(&mut self, offset: u64, bytes: Vec<u8>) -> Handed {
        let Some(jobs) = &self.jobs else { return Handed::Failed(io::ErrorKind::Other.into()) };
        let len = bytes.len();
        let waiting = self.waiting.load(Ordering::Relaxed);
        if waiting > 0 && waiting + len > MAX_WAITING {
            return Handed::Back;
        }
        self.waiting.fetch_add(len, Ordering::Relaxed);
        if jobs.send((offset, bytes)).is_ok() {
            return Handed::Over;
        }
        Handed::Failed(self.end().err().unwrap_or_else(|| io::ErrorKind::Other.into()))
    }

    /// Hands the last bytes over, however much waits.
    pub(crate) fn hand_last(&mut self, offset: u64, bytes: Vec<u8>) {
        if let Some(jobs) = &self.jobs {
            self.waiting.fetch_add(bytes.len(), Ordering::Relaxed);
            drop(jobs.send((offset, bytes)));
        }
    }

    /// Waits until all is written that was handed over.
    pub(crate) fn end(&mut self) -> io::Result<()> {
        self.jobs = None;
        let written = self.thread.take().map(JoinHandle::join);
        written.unwrap_or(Ok(Ok(()))).unwrap_or_else(|_| Err(io::ErrorKind::Other.into()))
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        drop(self.end());
    }
}

fn write(
    mut file: File,
    handed: &Receiver<(u64, Vec<u8>)>,
    waiting: &AtomicUsize,
) -> io::Result<()> {
    for (offset, bytes) in handed {
        file.seek(SeekFrom::Start(offset))?;
        file.write_all(&bytes)?;
        waiting.fetch_sub(bytes.len(), Ordering::Relaxed);
    }
    Ok(())
}

/// How many bytes wait to be written.
const MAX_WAITING: usize = 32 << 20;

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_told() {
        let full = File::options().write(true).open("/dev/full").unwrap();
        let mut writer = Writer::start(full).unwrap();
        loop {
            match writer.hand(0, vec![0; 100]) {
                Handed::Over | Handed::Back => thread::yield_now(),
                Handed::Failed(error) => {
                    break assert_eq!(error.kind(), io::ErrorKind::StorageFull);
                }
            }
        }
        assert!(writer.end().is_ok(), "it was told once");
    }
}
