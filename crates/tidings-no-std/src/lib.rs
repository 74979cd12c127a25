//! Link check: the core needs no `std`.
//!
//! `cargo build -p tidings-no-std --profile no-std` links a static library that has a panic handler
//! and an allocator of its own. If the core or one of its dependencies uses `std`, there are two
//! panic handlers and linking fails. In profiles that unwind, which `no_std` cannot do, this crate
//! is empty.
#![cfg(panic = "abort")]
#![no_std]

use core::alloc::{GlobalAlloc, Layout};
use core::panic::PanicInfo;
use core::ptr::null_mut;
use tidings::{ClusterName, Config, Instant, Node, NodeId};

/// Calls a node once, so that the core is really linked; returns the number of present members.
#[unsafe(no_mangle)]
pub extern "C" fn tidings_proof() -> usize {
    let (Ok(cluster), Ok(id)) = (ClusterName::new("proof"), NodeId::new("one")) else {
        return 0;
    };
    let addr = core::net::SocketAddr::from(([10, 0, 0, 1], 7946));
    let mut node = Node::new(Config::lan(cluster, id, addr), [0; 32], Instant::ZERO);
    node.handle_datagram(Instant::ZERO, addr, &[0xd1]);
    node.present_count()
}

#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    loop {}
}

#[global_allocator]
static NO_MEMORY: NoMemory = NoMemory;

/// An allocator that always fails: this library is linked and never run.
struct NoMemory;

// SAFETY: an allocator may fail every allocation.
unsafe impl GlobalAlloc for NoMemory {
    unsafe fn alloc(&self, _: Layout) -> *mut u8 {
        null_mut()
    }

    unsafe fn dealloc(&self, _: *mut u8, _: Layout) {}
}
