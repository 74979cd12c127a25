//! Bindings of contracts, made when a program is compiled.

/// Bindings of a contract, from its ABI or from Solidity: types of its calls, errors and events.
///
/// This is [`alloy_sol_types::sol`], and takes all that it takes; what it makes finds
/// `alloy_sol_types` in this crate, so that a program depends on `tidings-eth` alone. A path is
/// relative to the `Cargo.toml` of the crate that is compiled.
///
/// Arrays of a fixed length become arrays of Rust, which are decoded on the stack: a function that
/// returns `uint256[1000][1000]`, 32 MB, needs `tidings_eth::abi` instead.
///
/// ```
/// use tidings_eth::alloy_sol_types::SolCall;
///
/// tidings_eth::sol!(CallDemo, "contracts/calldemo.abi");
///
/// assert_eq!(CallDemo::getCall {}.abi_encode(), [0x6d, 0x4c, 0xe6, 0x3c]);
/// ```
#[macro_export]
macro_rules! sol {
    ($($input:tt)*) => {
        $crate::alloy_sol_types::sol! {
            #![sol(alloy_sol_types = $crate::alloy_sol_types)]
            $($input)*
        }
    };
}
