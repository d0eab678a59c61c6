// SPDX-License-Identifier: Apache-2.0
//! Streams, and how they are made.
use std::ffi::CString;
use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, Wake, Waker};

use milgi_sys as sys;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::config::{ClientConfig, ResolvesCredential, Resolving, ServerConfig};
use crate::driver::Engine;
use crate::error::Error;
use crate::shared::{Bytes, Info, Shared, Wakes};

/// What is read from the transport at once, and how much plaintext waits for the engine at most.
const READ: usize = 16384;
const WAITS: usize = 65536;

/// Whoever waits for the stream. A transport remembers the one that asked last whether it takes more, which of a stream
/// that is split may be either half: both give it output.
struct Both(Weak<Shared>);

impl Wake for Both {
    fn wake(self: Arc<Both>) {
        if let Some(shared) = self.0.upgrade() {
            let wakes = shared.lock().wake_both();
            wakes.wake();
        }
    }
}

/// The transport under a connection, and the connection's buffers.
struct Link<IO> {
    io: IO,
    shared: Arc<Shared>,
    both: Waker,
    /// Output that the transport is being given.
    out: Bytes,
    eof: bool,
    /// Writing to the transport has failed so.
    broken: Option<(io::ErrorKind, i32)>,
}

impl<IO> Drop for Link<IO> {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.dropped = true;
        self.shared.tell(state);
    }
}

fn failed((kind, number): (io::ErrorKind, i32)) -> io::Error {
    if number != 0 {
        io::Error::from_raw_os_error(number)
    } else {
        kind.into()
    }
}

impl<IO: AsyncRead + AsyncWrite + Unpin> Link<IO> {
    fn new(io: IO, shared: Arc<Shared>) -> Link<IO> {
        let both = Waker::from(Arc::new(Both(Arc::downgrade(&shared))));
        Link { io, shared, both, out: Bytes::default(), eof: false, broken: None }
    }

    /// Gives the transport all output that there is. Ready: there is none left. Who answers Pending for it has said before
    /// that it waits.
    fn poll_out(&mut self) -> Poll<io::Result<()>> {
        if let Some(broken) = self.broken {
            return Poll::Ready(Err(failed(broken)));
        }
        loop {
            if self.out.is_empty() {
                self.out = std::mem::take(&mut self.shared.lock().cipher_out);
            }
            if self.out.is_empty() {
                return Poll::Ready(Ok(()));
            }
            let cx = &mut Context::from_waker(&self.both);
            let n = match Pin::new(&mut self.io).poll_write(cx, self.out.rest()) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(0)) => return Poll::Ready(Err(self.fail(io::ErrorKind::WriteZero.into()))),
                Poll::Ready(Ok(n)) => n.min(self.out.len()),
                Poll::Ready(Err(e)) => return Poll::Ready(Err(self.fail(e))),
            };
            self.out.take(n);
            let mut state = self.shared.lock();
            state.written += n;
            state.pending = state.pending.saturating_sub(n);
            // When it is over the driver tells nobody that this was the last.
            let wakes = if state.closed.is_some() { state.wake_writer() } else { Wakes::default() };
            self.shared.tell(state);
            wakes.wake();
        }
    }

    /// Nobody takes output any more; what the peer has said before may still be read.
    fn fail(&mut self, e: io::Error) -> io::Error {
        self.broken = Some((e.kind(), e.raw_os_error().unwrap_or(0)));
        let mut state = self.shared.lock();
        state.output_dead = true;
        state.written += self.out.len() + state.cipher_out.len();
        self.out = Bytes::default();
        state.cipher_out = Bytes::default();
        let wakes = state.wake_writer();
        self.shared.tell(state);
        wakes.wake();
        e
    }

    /// Reads what the transport has and the engine wants.
    fn poll_in(&mut self, cx: &mut Context<'_>) {
        let mut space = [std::mem::MaybeUninit::uninit(); READ];
        loop {
            let state = self.shared.lock();
            let wanted = !state.input_paused && state.cipher_in.len() < WAITS && state.closed.is_none();
            drop(state);
            if self.eof || !wanted {
                return;
            }
            let mut buffer = ReadBuf::uninit(&mut space);
            let read = Pin::new(&mut self.io).poll_read(cx, &mut buffer);
            let mut state = match read {
                Poll::Pending => return,
                Poll::Ready(_) => self.shared.lock(),
            };
            match read {
                Poll::Ready(Ok(())) if !buffer.filled().is_empty() => state.cipher_in.push(buffer.filled()),
                Poll::Ready(Err(e)) => {
                    state.eof = Some(e.raw_os_error().unwrap_or(-1));
                    self.eof = true;
                }
                _ => {
                    state.eof = Some(0);
                    self.eof = true;
                }
            }
            self.shared.tell(state);
        }
    }

    /// All that was written, and the transport's own.
    fn poll_drained(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let before = self.shared.lock().write_waits(cx);
        drop(before);
        loop {
            if self.poll_out()?.is_pending() {
                return Poll::Pending;
            }
            let mut state = self.shared.lock();
            if !state.cipher_out.is_empty() {
                continue;
            }
            if let Some(why) = state.closed.clone() {
                drop(state);
                return if why.is_orderly() { Pin::new(&mut self.io).poll_flush(cx) } else { Poll::Ready(Err(why.into())) };
            }
            if state.is_drained() {
                drop(state);
                return Pin::new(&mut self.io).poll_flush(cx);
            }
            let before = state.write_waits(cx);
            drop(state);
            drop(before);
            return Poll::Pending;
        }
    }
}

// --- streams -------------------------------------------------------------------------------------------------------------

/// TLS over a transport, after the handshake: see the crate's page for how it ends.
///
/// What was written reaches the transport when the stream is flushed, written or read, as with every stream that has a
/// buffer.
pub struct TlsStream<IO> {
    link: Link<IO>,
    info: Arc<Info>,
    shut: bool,
}

impl<IO> TlsStream<IO> {
    /// What was agreed on, and who the peer is.
    pub fn info(&self) -> &Info {
        &self.info
    }

    /// The protocol, if there is one in common.
    pub fn alpn_protocol(&self) -> Option<&[u8]> {
        self.info.alpn.as_deref()
    }

    /// The transport: not to be read or written.
    pub fn get_ref(&self) -> (&IO, &Info) {
        (&self.link.io, &self.info)
    }
}

impl<IO> fmt::Debug for TlsStream<IO> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsStream").field("info", &self.info).finish()
    }
}

impl<IO: AsyncRead + AsyncWrite + Unpin> AsyncRead for TlsStream<IO> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let link = &mut self.get_mut().link;
        let _ = link.poll_out(); // its failure is the writer's; what came before it is read
        let mut state = link.shared.lock();
        if !state.plain_in.is_empty() {
            let n = state.plain_in.len().min(buffer.remaining());
            buffer.put_slice(&state.plain_in.rest()[..n]);
            state.plain_in.take(n);
            state.consumed += n;
            if state.plain_in.is_empty() || state.consumed >= READ {
                link.shared.tell(state);
            }
            return Poll::Ready(Ok(()));
        }
        if state.peer_ended || buffer.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        if let Some(why) = state.closed.clone() {
            drop(state);
            let _ = link.poll_out(); // the alert that says why may have come since
            return Poll::Ready(if why.is_orderly() { Ok(()) } else { Err(why.into()) });
        }
        let before = state.read_waits(cx);
        drop(state);
        drop(before);
        // Behind that, so that output which comes meanwhile is seen here or wakes the task.
        link.poll_in(cx);
        let _ = link.poll_out();
        Poll::Pending
    }
}

impl<IO: AsyncRead + AsyncWrite + Unpin> AsyncWrite for TlsStream<IO> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if let Poll::Ready(Err(e)) = this.link.poll_out() {
            return Poll::Ready(Err(e));
        }
        let mut state = this.link.shared.lock();
        if let Some(why) = state.closed.clone() {
            drop(state);
            let _ = this.link.poll_out(); // as in poll_read()
            let why = if why.is_orderly() { Error::new(sys::MILGI_ECLOSED, "") } else { why };
            return Poll::Ready(Err(why.into()));
        }
        if state.shutdown {
            return Poll::Ready(Err(Error::new(sys::MILGI_ECLOSED, "our direction has ended").into()));
        }
        let waits = state.plain_out.len();
        if waits >= WAITS || state.output_full {
            let before = state.write_waits(cx);
            drop(state);
            drop(before);
            return match this.link.poll_out() { // as in poll_read()
                Poll::Ready(Err(e)) => Poll::Ready(Err(e)),
                _ => Poll::Pending,
            };
        }
        let n = bytes.len().min(WAITS - waits);
        state.plain_out.push(&bytes[..n]);
        this.link.shared.tell(state);
        Poll::Ready(Ok(n))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().link.poll_drained(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if !std::mem::replace(&mut this.shut, true) {
            let mut state = this.link.shared.lock();
            state.shutdown = true;
            this.link.shared.tell(state);
        }
        if this.link.poll_drained(cx)?.is_pending() {
            return Poll::Pending;
        }
        Pin::new(&mut this.link.io).poll_shutdown(cx)
    }
}

// --- handshakes ----------------------------------------------------------------------------------------------------------

/// A handshake: the stream, or why there is none. When it fails the peer has been sent the alert that says so.
struct Handshake<IO> {
    link: Option<Link<IO>>,
    failed: Option<Error>,
    resolver: Option<Arc<dyn ResolvesCredential>>,
    resolving: Option<(sys::milgi_decision, Resolving)>,
}

impl<IO: AsyncRead + AsyncWrite + Unpin> Handshake<IO> {
    fn new(io: IO, shared: Result<Arc<Shared>, Error>, resolver: Option<Arc<dyn ResolvesCredential>>) -> Handshake<IO> {
        let mut handshake = Handshake { link: None, failed: None, resolver, resolving: None };
        match shared {
            Ok(shared) => {
                shared.tell(shared.lock());
                handshake.link = Some(Link::new(io, shared));
            }
            Err(e) => handshake.failed = Some(e),
        }
        handshake
    }

    /// Asks the resolver, and passes its answer on.
    fn poll_question(&mut self, shared: &Arc<Shared>, cx: &mut Context<'_>) {
        let question = shared.lock().question.take();
        if let (Some(question), Some(resolver)) = (question, &self.resolver) {
            self.resolving = Some((question.token, resolver.resolve(question.hello)));
        }
        let answer = match &mut self.resolving {
            Some((token, answer)) => match answer.as_mut().poll(cx) {
                Poll::Ready(answer) => (*token, answer),
                Poll::Pending => return,
            },
            None => return,
        };
        self.resolving = None;
        let mut state = shared.lock();
        state.answers.push(answer);
        shared.tell(state);
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<TlsStream<IO>>> {
        if let Some(e) = self.failed.take() {
            return Poll::Ready(Err(e.into()));
        }
        let shared = self.link.as_ref().expect("polled again behind its end").shared.clone();
        let mut state = shared.lock();
        let before = (state.read_waits(cx), state.write_waits(cx));
        drop(state);
        drop(before);
        self.poll_question(&shared, cx);

        let link = self.link.as_mut().expect("as above");
        link.poll_in(cx);
        let out = link.poll_out();
        let state = shared.lock();
        // Without our last message the peer would wait.
        let over = state.closed.is_some() || (out.is_ready() && state.is_drained());
        if let Some(info) = state.open.clone().filter(|_| over) {
            drop(state);
            let link = self.link.take().expect("as above");
            return Poll::Ready(Ok(TlsStream { link, info, shut: false }));
        }
        if let Some(why) = state.closed.clone().filter(|_| state.open.is_none()) {
            drop(state);
            let _ = link.poll_out(); // the alert may have come since; who does not take it now is not waited for
            self.link = None;
            return Poll::Ready(Err(why.into()));
        }
        match out {
            Poll::Ready(Err(e)) if link.eof => Poll::Ready(Err(e)),
            _ => Poll::Pending,
        }
    }
}

macro_rules! handshake {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[must_use = "futures do nothing unless they are polled"]
        pub struct $name<IO>(Handshake<IO>);

        impl<IO: AsyncRead + AsyncWrite + Unpin> Future for $name<IO> {
            type Output = io::Result<TlsStream<IO>>;

            fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
                self.get_mut().0.poll(cx)
            }
        }

        impl<IO> Unpin for $name<IO> {}

        impl<IO> fmt::Debug for $name<IO> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(stringify!($name))
            }
        }
    };
}

handshake!(
    /// A client's handshake, from [`TlsConnector::connect`].
    Connect
);
handshake!(
    /// A server's handshake, from [`TlsAcceptor::accept`].
    Accept
);

/// Makes clients' streams.
#[derive(Clone, Debug)]
pub struct TlsConnector {
    config: ClientConfig,
    engine: Option<Engine>,
}

/// Makes servers' streams.
#[derive(Clone, Debug)]
pub struct TlsAcceptor {
    config: ServerConfig,
    engine: Option<Engine>,
}

impl TlsConnector {
    /// Streams under |config| on |engine|.
    pub fn new(config: ClientConfig, engine: &Engine) -> TlsConnector {
        TlsConnector { config, engine: Some(engine.clone()) }
    }

    /// A connection to |server_name|, a DNS name or an address, which the certificate must be for, over |io|.
    pub fn connect<IO: AsyncRead + AsyncWrite + Unpin>(&self, server_name: &str, io: IO) -> Connect<IO> {
        let name = CString::new(server_name).map_err(|_| Error::new(sys::MILGI_EINVAL, "a name that no server can have"));
        let shared = name.and_then(|name| {
            let engine = self.engine.clone().map_or_else(Engine::shared, Ok)?;
            Ok(Shared::new(engine, self.config.0.clone(), Some(name)))
        });
        Connect(Handshake::new(io, shared, None))
    }
}

impl TlsAcceptor {
    /// Streams under |config| on |engine|.
    pub fn new(config: ServerConfig, engine: &Engine) -> TlsAcceptor {
        TlsAcceptor { config, engine: Some(engine.clone()) }
    }

    /// The server of a client over |io|.
    pub fn accept<IO: AsyncRead + AsyncWrite + Unpin>(&self, io: IO) -> Accept<IO> {
        let engine = self.engine.clone().map_or_else(Engine::shared, Ok);
        let shared = engine.map(|engine| Shared::new(engine, self.config.config.clone(), None));
        Accept(Handshake::new(io, shared, self.config.resolver.clone()))
    }
}

/// On the process's own engine, [`Engine::shared`].
impl From<ClientConfig> for TlsConnector {
    fn from(config: ClientConfig) -> TlsConnector {
        TlsConnector { config, engine: None }
    }
}

/// On the process's own engine, [`Engine::shared`].
impl From<ServerConfig> for TlsAcceptor {
    fn from(config: ServerConfig) -> TlsAcceptor {
        TlsAcceptor { config, engine: None }
    }
}
