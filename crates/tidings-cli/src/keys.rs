//! Keys: `tidings keygen`, and the flags that give keys to an agent.

use crate::Fatal;
use clap::ValueEnum;
use std::fs::{File, Metadata, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use tidings_driver::prelude::{Cipher, ConfigBuilder, InvalidKey, Key, Keyring, Plaintext};
use zeroize::Zeroizing;

/// Generate a key for `tidings agent --key-file`, and print it or write it to a file
#[derive(Debug, clap::Args)]
pub(crate) struct KeygenArgs {
    /// Write the key to a new file that only its owner can read
    ///
    /// An existing file is left as it is, and the command fails
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// The cipher that the key is for
    #[arg(long, value_enum, default_value_t = CipherArg::Aes256Gcm)]
    cipher: CipherArg,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum CipherArg {
    #[value(name = "aes-256-gcm")]
    Aes256Gcm,
    #[value(name = "chacha20-poly1305")]
    ChaCha20Poly1305,
    /// AES-256 for memberlist's wire format, as `serf keygen` prints it
    Memberlist,
}

/// The text format of keys, which depends on the wire format.
#[derive(Clone, Copy, Debug)]
pub(crate) enum KeyFormat {
    Tidings,
    Memberlist,
}

impl KeyFormat {
    /// Parses a key. A key for memberlist's format is plain base64, as `serf keygen` prints it.
    pub(crate) fn parse(self, text: &str) -> Result<Key, InvalidKey> {
        match self {
            Self::Memberlist if !text.contains(':') => format!("{MEMBERLIST}{text}").parse(),
            _ => text.parse(),
        }
    }
}

/// A key as text, in the format that [`KeyFormat::parse`] reads.
pub(crate) fn to_text(key: &Key) -> String {
    let text = key.to_text();
    text.strip_prefix(MEMBERLIST).map_or_else(|| text.clone(), Into::into)
}

/// The core's prefix of keys for memberlist's format.
const MEMBERLIST: &str = "memberlist:";

/// Generates a key from the operating system's random source, and prints it or writes it to a file.
pub(crate) fn generate(args: &KeygenArgs) -> Result<ExitCode, Fatal> {
    let cipher = match args.cipher {
        CipherArg::Aes256Gcm => Cipher::Aes256Gcm,
        CipherArg::ChaCha20Poly1305 => Cipher::ChaCha20Poly1305,
        CipherArg::Memberlist => Cipher::Memberlist,
    };
    let mut bytes = Zeroizing::new([0; 32]);
    getrandom::fill(&mut *bytes).map_err(Fatal::failed)?;
    let key = Zeroizing::new(to_text(&Key::new(cipher, *bytes)));
    match &args.out {
        Some(path) => write_new(path, &key)?,
        None => println!("{}", *key),
    }
    Ok(ExitCode::SUCCESS)
}

/// Writes a key to a file that does not exist yet, and that only its owner can read.
fn write_new(path: &Path, key: &str) -> Result<(), Fatal> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let file = options.open(path);
    file.and_then(|mut file| writeln!(file, "{key}").and_then(|()| file.sync_all())).map_err(
        |error| match error.kind() {
            ErrorKind::AlreadyExists => Fatal::usage(format!(
                "--out: {} exists already, and a key in it would be lost; choose another name",
                path.display()
            )),
            _ => Fatal::usage(format!("--out: cannot write {}: {error}", path.display())),
        },
    )
}

/// The keys that an agent starts with.
#[derive(clap::Args)]
pub(crate) struct KeyArgs {
    /// Keys, as `tidings keygen` prints them; --key-file is safer
    ///
    /// The first key encrypts; messages encrypted with any of them are accepted. All users of this
    /// machine can read the keys from the process list: --key-file is safer
    #[arg(long, value_name = "KEY", value_delimiter = ',', group = "keys", hide_short_help = true)]
    key: Vec<String>,
    /// A file with keys, one per line, as `tidings keygen` prints them
    ///
    /// The first key encrypts; messages encrypted with any of them are accepted. The agent writes
    /// changes of its keys back to the file, and reads it again after SIGHUP
    #[arg(long, value_name = "PATH", group = "keys")]
    key_file: Option<PathBuf>,
    /// Read the --key-file although other users of this machine can read it, too
    #[arg(long, requires = "key_file", hide_short_help = true)]
    insecure_key_file: bool,
    /// The treatment of unencrypted messages, for a node with keys
    #[arg(
        long,
        value_enum,
        default_value_t = PlaintextArg::Refused,
        requires = "keys",
        hide_short_help = true
    )]
    plaintext: PlaintextArg,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum PlaintextArg {
    /// Reject incoming ones, send none
    Refused,
    /// Accept incoming ones, send none
    Accepted,
    /// Accept incoming ones, and send all messages unencrypted
    Sent,
}

impl KeyArgs {
    /// Adds the keys to a configuration, if any are given.
    pub(crate) fn apply(
        &self,
        config: ConfigBuilder,
        format: KeyFormat,
    ) -> Result<ConfigBuilder, Fatal> {
        let Some(keyring) = self.keyring(format)? else { return Ok(config) };
        let plaintext = match self.plaintext {
            PlaintextArg::Refused => Plaintext::Refused,
            PlaintextArg::Accepted => Plaintext::Accepted,
            PlaintextArg::Sent => Plaintext::Sent,
        };
        Ok(config.encryption(keyring, plaintext))
    }

    /// The file that keys were read from.
    pub(crate) fn file(&self) -> Option<&Path> {
        self.key_file.as_deref()
    }

    /// Whether each message has to be encrypted.
    pub(crate) fn is_strict(&self) -> bool {
        let has_keys = self.key_file.is_some() || !self.key.is_empty();
        has_keys && matches!(self.plaintext, PlaintextArg::Refused)
    }

    /// Whether the key file may be one that other users can read.
    pub(crate) fn is_insecure(&self) -> bool {
        self.insecure_key_file
    }

    fn keyring(&self, format: KeyFormat) -> Result<Option<Keyring>, Fatal> {
        let Some(path) = &self.key_file else {
            let keys = self.key.iter().map(|text| ("--key".to_owned(), text.as_str()));
            return parse(keys, format);
        };
        read_keyring(path, format, self.insecure_key_file).map(Some)
    }
}

/// The keys in a file.
pub(crate) fn read_keyring(
    path: &Path,
    format: KeyFormat,
    insecure: bool,
) -> Result<Keyring, Fatal> {
    let text = read(path, insecure)?;
    let path = path.display();
    let lines = text.lines().enumerate();
    let keys = lines.map(|(n, line)| (format!("{path}, line {}", n + 1), line.trim()));
    let keyring = parse(keys.filter(|(_, line)| !line.is_empty()), format)?;
    keyring.ok_or_else(|| Fatal::usage(format!("{path} has no key; `tidings keygen` prints one")))
}

/// The text of a key file, unless other users can read it.
fn read(path: &Path, insecure: bool) -> Result<Zeroizing<String>, Fatal> {
    let cannot = |error| Fatal::usage(format!("cannot read {}: {error}", path.display()));
    let mut file = File::open(path).map_err(cannot)?;
    let found = file.metadata().map_err(cannot)?;
    // Modes say nothing about pipes and devices, in which a key may come from elsewhere.
    if let Some(mode) = open_mode(&found).filter(|_| found.is_file() && !insecure) {
        return Err(Fatal::usage(format!(
            "--key-file: other users can read or change {path} (mode {mode:03o}); run \
             `chmod 600 {path}`, or add --insecure-key-file",
            path = path.display()
        )));
    }
    // One allocation: a string that grows would leave copies of the keys in memory.
    let len = usize::try_from(found.len()).unwrap_or(0).clamp(4096, 1 << 20);
    let mut text = Zeroizing::new(String::with_capacity(len));
    file.read_to_string(&mut text).map_err(cannot)?;
    Ok(text)
}

/// The mode of a file that its group or all users can read or change; `None` if only the owner can.
#[cfg(unix)]
fn open_mode(found: &Metadata) -> Option<u32> {
    let mode = std::os::unix::fs::PermissionsExt::mode(&found.permissions()) & 0o777;
    (mode & 0o066 != 0).then_some(mode)
}

#[cfg(not(unix))]
fn open_mode(_: &Metadata) -> Option<u32> {
    None
}

/// Parses keys, each given with its place for errors; the first one becomes the primary key.
///
/// Errors do not repeat an invalid key: it may be a secret with a typing error.
fn parse<'a>(
    keys: impl Iterator<Item = (String, &'a str)>,
    format: KeyFormat,
) -> Result<Option<Keyring>, Fatal> {
    let mut keyring: Option<Keyring> = None;
    for (place, text) in keys {
        let wrong = |error: &dyn std::fmt::Display| Fatal::usage(format!("{place}: {error}"));
        let key = format.parse(text).map_err(|error| wrong(&error))?;
        match &mut keyring {
            None => keyring = Some(Keyring::new(key)),
            Some(keyring) => keyring.add(key).map_err(|error| wrong(&error))?,
        }
    }
    Ok(keyring)
}
