//! Keys: how they are made, and how an agent is given some.

use crate::Fatal;
use clap::ValueEnum;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use tidings_driver::prelude::{Cipher, ConfigBuilder, InvalidKey, Key, Keyring, Plaintext};

/// Prints a new key, for `tidings agent --key-file`.
#[derive(Debug, clap::Args)]
pub(crate) struct KeygenArgs {
    /// What it encrypts with
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

/// For which wire format keys are that are given as text.
#[derive(Clone, Copy, Debug)]
pub(crate) enum KeyFormat {
    Tidings,
    Memberlist,
}

impl KeyFormat {
    /// Parses a key as its own tools print it: of memberlist's it is base64 and no more.
    pub(crate) fn parse(self, text: &str) -> Result<Key, InvalidKey> {
        match self {
            Self::Memberlist if !text.contains(':') => format!("{MEMBERLIST}{text}").parse(),
            _ => text.parse(),
        }
    }
}

/// A key as its own tools print it.
pub(crate) fn to_text(key: &Key) -> String {
    let text = key.to_text();
    text.strip_prefix(MEMBERLIST).map_or_else(|| text.clone(), Into::into)
}

/// What stands before a key of memberlist's.
const MEMBERLIST: &str = "memberlist:";

/// Takes a key from the operating system's generator and prints it.
pub(crate) fn generate(args: &KeygenArgs) -> Result<ExitCode, Fatal> {
    let cipher = match args.cipher {
        CipherArg::Aes256Gcm => Cipher::Aes256Gcm,
        CipherArg::ChaCha20Poly1305 => Cipher::ChaCha20Poly1305,
        CipherArg::Memberlist => Cipher::Memberlist,
    };
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(Fatal::failed)?;
    let key = to_text(&Key::new(cipher, bytes));
    writeln!(std::io::stdout(), "{key}").map_err(Fatal::failed)?;
    Ok(ExitCode::SUCCESS)
}

/// The keys that an agent starts with.
#[derive(clap::Args)]
pub(crate) struct KeyArgs {
    /// Keys as `tidings keygen` prints them: the first one encrypts, all are accepted. Whoever uses
    /// this machine can see them; a file is better
    #[arg(long, value_name = "KEY", value_delimiter = ',', group = "keys")]
    key: Vec<String>,
    /// A file with such keys, one a line
    #[arg(long, value_name = "PATH", group = "keys")]
    key_file: Option<PathBuf>,
    /// What to do with messages that are not encrypted, now that there are keys
    #[arg(long, value_enum, default_value_t = PlaintextArg::Refused, requires = "keys")]
    plaintext: PlaintextArg,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum PlaintextArg {
    /// Drop them
    Refused,
    /// Take them, and send none
    Accepted,
    /// Take them, and send all like that: only understand what is encrypted
    Sent,
}

impl KeyArgs {
    /// Has a node encrypt, if it is given keys.
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

    fn keyring(&self, format: KeyFormat) -> Result<Option<Keyring>, Fatal> {
        let Some(path) = &self.key_file else {
            let keys = self.key.iter().map(|text| ("--key".to_owned(), text.as_str()));
            return parse(keys, format);
        };
        let (text, path) = (std::fs::read_to_string(path), path.display());
        let text = text.map_err(|error| Fatal::usage(format!("cannot read {path}: {error}")))?;
        let lines = text.lines().enumerate();
        let keys = lines.map(|(n, line)| (format!("{path}, line {}", n + 1), line.trim()));
        let keyring = parse(keys.filter(|(_, line)| !line.is_empty()), format)?;
        keyring.map(Some).ok_or_else(|| Fatal::usage(format!("{path} has no key in it")))
    }
}

/// Parses keys, of which the first one becomes the primary one; each comes with where it stands.
///
/// What is no key is not repeated: it may be one but for a slip.
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
