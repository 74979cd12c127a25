//! Pages of real nodes on loopback, and the server under all kinds of clients.

mod client;
mod looks;
mod pages;
mod server;
