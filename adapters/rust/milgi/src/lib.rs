// SPDX-License-Identifier: Apache-2.0
//! TLS streams for tokio, on Milgi: handshakes and records are made by an engine that may have devices for it, threads,
//! tokens, vector lanes, and never holds up a task while they work.
//!
//! ```no_run
//! # async fn example() -> std::io::Result<()> {
//! use milgi::{ClientConfig, TlsConnector};
//!
//! let config = ClientConfig::builder().alpn(&[b"http/1.1"]).build()?;
//! let tcp = tokio::net::TcpStream::connect("example.org:443").await?;
//! let tls = TlsConnector::from(config).connect("example.org", tcp).await?;
//! # drop(tls);
//! # Ok(())
//! # }
//! ```
//!
//! # Where the crypto runs
//!
//! An engine of the library belongs to one thread. It is inside a [`Driver`], a future that is not `Send`: a task of the
//! thread's `LocalSet` ([`Engine::spawn_local`]), or all that a thread of its own does ([`Engine::spawn`]). An
//! [`Engine`] is a handle on it, and a [`TlsStream`] has one: both are `Send`, and go to whatever task there is. A
//! stream moves its transport's bytes itself, in the task that polls it; between it and the driver there are buffers
//! behind a lock that is held for as long as a copy takes. With one engine in each thread of a server that runs a
//! `LocalSet` per thread nothing ever crosses a thread.
//!
//! # Ends
//!
//! `poll_shutdown` sends close_notify behind all that was written, and ends the transport's direction; reading may go
//! on. A peer's close_notify is the end (`Ok(0)`); a transport that ends without it is an error of the kind
//! `UnexpectedEof`. A stream that is dropped without a shutdown is cut, and the peer sees that it is.
#![deny(missing_debug_implementations, missing_docs, unsafe_op_in_unsafe_fn)]

mod config;
mod conn;
mod driver;
mod error;
mod shared;
mod stream;

pub use config::{
    ClientAuth, ClientBuilder, ClientConfig, ClientHello, Credential, CrlCheck, ResolvesCredential, Resolving, ServerBuilder,
    ServerConfig, SessionCache, TicketKeys, Trust,
};
pub use driver::{Driver, Engine, Options};
pub use error::{Alert, Error};
pub use shared::Info;
pub use stream::{Accept, Connect, TlsAcceptor, TlsConnector, TlsStream};

/// The C interface: numbers for [`Error::code`] and limits.
pub use milgi_sys as sys;

/// What the README shows is compiled with the other examples.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
pub struct Readme;
