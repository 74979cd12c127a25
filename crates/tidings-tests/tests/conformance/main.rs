//! What every adapter promises, checked over loopback with each of them.
//!
//! Each file says at its top which of its functions are tests: each is a test of each adapter, and
//! some once more with nodes that encrypt. `cargo test -p tidings-tests --test conformance on_std`
//! runs those of one adapter. All wait for conditions.

/// Makes tests of functions that take an adapter.
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
mod start;
mod stop;
mod streams;
