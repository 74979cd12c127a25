//! The conformance suite: the behaviour that every adapter promises, over loopback.
//!
//! Each file lists at its top which of its functions are tests. Each runs for each adapter; those
//! under `sealed too` run again with nodes that encrypt. To run those of one adapter:
//! `cargo test -p tidings-tests --test conformance on_std`. All wait for conditions.

/// Makes tests from functions that take an adapter.
macro_rules! tests {
    ($(sealed too: [$($both:ident,)*])? $(plain only: [$($plain:ident,)*])?) => {
        on! { on_std, STD; $($($both,)*)? $($($plain,)*)? }
        on! { on_async_io, ASYNC_IO; $($($both,)*)? $($($plain,)*)? }
        on! { on_smol, SMOL; $($($both,)*)? $($($plain,)*)? }
        on! { on_async_std, ASYNC_STD; $($($both,)*)? $($($plain,)*)? }
        on! { on_tokio, TOKIO; $($($both,)*)? $($($plain,)*)? }
        $(
            on! { on_std_sealed, STD.sealed(); $($both,)* }
            on! { on_async_io_sealed, ASYNC_IO.sealed(); $($both,)* }
            on! { on_smol_sealed, SMOL.sealed(); $($both,)* }
            on! { on_async_std_sealed, ASYNC_STD.sealed(); $($both,)* }
            on! { on_tokio_sealed, TOKIO.sealed(); $($both,)* }
        )?
    };
}

macro_rules! on {
    ($name:ident, $adapter:expr; $($test:ident,)*) => {
        mod $name {
            use tidings_tests::conformance::*;
            $(
                #[test]
                fn $test() {
                    super::$test(&$adapter);
                }
            )*
        }
    };
}

mod asynchronous;
mod bind;
mod join;
mod keys;
mod members;
mod messages;
mod mixed;
mod overload;
mod recording;
mod reexports;
mod seeds;
mod start;
mod stop;
mod streams;
