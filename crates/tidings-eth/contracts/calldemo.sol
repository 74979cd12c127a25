// SPDX-License-Identifier: MIT
pragma solidity ^0.8.4;

/// The contract of the tests: a number to read and to write, and each way in which a call fails.
contract calldemo {
    event Stored(uint256 value);

    error TooSmall(uint256 given, uint256 least);

    uint256 private constant LEAST = 1;

    uint256 private value = 2020;

    /// The number that was stored last; 2020 at first.
    function get() external view returns (uint256) {
        return value;
    }

    /// Stores a number and logs `Stored`; reverts with `TooSmall` for 0.
    function set(uint256 given) external {
        if (given < LEAST) revert TooSmall(given, LEAST);
        value = given;
        emit Stored(given);
    }

    function name() external pure returns (string memory) {
        return "calldemo";
    }

    /// Reverts with a text: `Error(string)`.
    function fail() external pure {
        revert("no luck");
    }

    /// Divides, rounding down; division by zero reverts with `Panic(0x12)`.
    function divide(uint256 dividend, uint256 divisor) external pure returns (uint256) {
        return dividend / divisor;
    }
}
