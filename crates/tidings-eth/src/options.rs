//! The options of calls.

use std::fmt;
use std::time::Duration;

/// The options of calls.
///
/// ```
/// use tidings_eth::CallOptions;
///
/// let mut options = CallOptions::default();
/// options.chain = Some(1);
/// options.agree = 2;
/// options.check()?;
/// # Ok::<(), tidings_eth::InvalidOptions>(())
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct CallOptions {
    /// The chain that a node has to serve, which each answer is checked for; `None` takes any.
    pub chain: Option<u64>,
    /// How many gateways have to give the same answer to a read; 1 by default, at most 16. Several
    /// endpoints of one member are one gateway.
    ///
    /// A gateway can lie. With 2 or more, contracts are called at one block that all of these
    /// gateways have, and their heights differ by at most `max_lag`. Transactions are not affected.
    pub agree: usize,
    /// How many blocks a node may lag behind the height of the chain as other gateways tell it; 3
    /// by default. Nodes of one network differ by one or two.
    pub max_lag: u64,
    /// How long one gateway has for its answer, the connection included; 2 s by default.
    pub attempt_timeout: Duration,
    /// How long all attempts together may take; 15 s by default. After a signed transaction was
    /// accepted, also how long its receipt is waited for.
    pub timeout: Duration,
    /// The longest reply, in bytes; 4 MiB by default.
    pub max_reply: usize,
    /// The time between two questions for the receipt of a signed transaction; 500 ms by default.
    pub receipt_interval: Duration,
}

impl Default for CallOptions {
    fn default() -> Self {
        Self {
            chain: None,
            agree: 1,
            max_lag: 3,
            attempt_timeout: Duration::from_secs(2),
            timeout: Duration::from_secs(15),
            max_reply: 4 << 20,
            receipt_interval: Duration::from_millis(500),
        }
    }
}

impl CallOptions {
    /// Checks the ranges of all options. An option outside of its range counts as the nearest
    /// value within it.
    ///
    /// # Errors
    ///
    /// The first option that is out of range.
    pub fn check(&self) -> Result<(), InvalidOptions> {
        let zero = |duration: Duration, option| match duration {
            Duration::ZERO => Err(InvalidOptions { option, reason: "is zero" }),
            _ => Ok(()),
        };
        if !(1..=MAX_AGREE).contains(&self.agree) {
            return Err(InvalidOptions { option: "agree", reason: "is not 1 to 16" });
        }
        zero(self.attempt_timeout, "attempt_timeout")?;
        zero(self.timeout, "timeout")?;
        zero(self.receipt_interval, "receipt_interval")?;
        match self.max_reply {
            0 => Err(InvalidOptions { option: "max_reply", reason: "is zero" }),
            _ => Ok(()),
        }
    }
}

/// The error that an option is out of its range.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct InvalidOptions {
    /// The option.
    pub option: &'static str,
    /// What is wrong.
    pub reason: &'static str,
}

impl fmt::Display for InvalidOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.option, self.reason)
    }
}

impl std::error::Error for InvalidOptions {}

/// The largest number of gateways that can be asked to agree.
pub(crate) const MAX_AGREE: usize = 16;
