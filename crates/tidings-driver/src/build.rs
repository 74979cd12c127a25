//! Functions with which a driver makes its application's handle, events and builder.
//!
//! Only authors of drivers need this module. An adapter makes the events first, whose emitter
//! [`start`](crate::start) takes, then runs its driver, and makes the handle of that:
//!
//! ```
//! use std::net::SocketAddr;
//! use tidings::Config;
//! use tidings_driver::blocking::{Events, Tidings};
//! use tidings_driver::{Drive, DriverConfig, StartError, Started, build, start};
//!
//! fn bind_with(
//!     listen: SocketAddr,
//!     config: Config,
//!     driver: DriverConfig,
//!     run: impl FnOnce(Started) -> Box<dyn Drive>,
//! ) -> Result<(Tidings, Events), StartError> {
//!     let (emitter, events) = build::blocking_events();
//!     let driver = run(start(listen, config, driver, emitter)?);
//!     Ok((build::blocking_handle(driver), events))
//! }
//! ```

#[cfg(feature = "async")]
use crate::asynchronous;
use crate::blocking;
use crate::builder::Builder;
use crate::driver_config::DriverConfig;
use crate::error::StartError;
use crate::handle::Drive;
use crate::state::{DriverState, Emitter};
use std::net::SocketAddr;
use tidings::{Config, Instant};

/// A blocking handle for a driver that runs; one for each driver, to be cloned.
pub fn blocking_handle(driver: impl Drive + 'static) -> blocking::Tidings {
    blocking::Tidings::new(driver)
}

/// A blocking application's events, and the emitter with which its driver sends them.
pub fn blocking_events() -> (Emitter, blocking::Events) {
    blocking::Events::channel()
}

/// An asynchronous handle for a driver that runs; one for each driver, to be cloned.
///
/// `run_blocking` runs work on a thread that may block, and drops it if there is none any more.
#[cfg(feature = "async")]
pub fn async_handle(
    driver: impl Drive + 'static,
    run_blocking: impl Fn(Box<dyn FnOnce() + Send>) + Send + Sync + 'static,
) -> asynchronous::Tidings {
    asynchronous::Tidings::new(driver, run_blocking)
}

/// An asynchronous application's events, and the emitter with which its driver sends them.
#[cfg(feature = "async")]
pub fn async_events() -> (Emitter, asynchronous::Events) {
    asynchronous::Events::channel()
}

/// A builder that starts a node by `bind_with`, given the address to listen at and the settings.
pub fn builder<T>(
    cluster: &str,
    bind_with: fn(SocketAddr, Config, DriverConfig) -> Result<T, StartError>,
) -> Builder<T> {
    Builder::new(cluster, bind_with)
}

impl Drive for Box<dyn Drive> {
    fn drive(&self, input: &mut dyn FnMut(&mut DriverState, Instant)) {
        (**self).drive(input);
    }

    fn stop(&self) {
        (**self).stop();
    }
}
