//! Proof that the core needs no `std`.
//!
//! This static library has a panic handler and an allocator of its own. If `std` sneaks into the
//! core or anything below it, the panic handler is there twice and it does not link:
//! `cargo build -p tidings-no-std --profile no-std`. In profiles that unwind, which `no_std`
//! cannot, there is nothing here.
#![cfg(panic = "abort")]
#![no_std]

use core::alloc::{GlobalAlloc, Layout};
use core::panic::PanicInfo;
use core::ptr::null_mut;
use tidings::{ClusterName, Config, Instant, Node, NodeId};

/// Runs a node for one call, so that the core is really linked; returns how many members it knows.
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

/// An allocator that has nothing to give: this library is linked and never run.
struct NoMemory;

// SAFETY: it never hands out memory, which an allocator may refuse to.
unsafe impl GlobalAlloc for NoMemory {
    unsafe fn alloc(&self, _: Layout) -> *mut u8 {
        null_mut()
    }

    unsafe fn dealloc(&self, _: *mut u8, _: Layout) {}
}
