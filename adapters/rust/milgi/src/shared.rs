// SPDX-License-Identifier: Apache-2.0
//! What a stream's task and the engine's thread share: buffers and what is to be told.
use std::ffi::CString;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Waker};

use milgi_sys as sys;

use crate::config::{ClientHello, Config, Credential};
use crate::driver::Engine;
use crate::error::Error;

/// What the handshake has agreed on.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Info {
    /// 0x0304: TLS 1.3.
    pub version: u16,
    /// As `"TLS_AES_128_GCM_SHA256"`.
    pub suite: String,
    /// As `"x25519"`.
    pub group: String,
    /// The protocol, if there is one in common.
    pub alpn: Option<Vec<u8>>,
    /// The one that the client has asked for.
    pub server_name: Option<String>,
    /// The peer's certificates in DER, leaf first.
    pub peer_certificates: Vec<Vec<u8>>,
    /// The peer's certificate was verified.
    pub peer_authenticated: bool,
    /// The handshake went on with a session.
    pub resumed: bool,
}

/// A queue of bytes: taken from the front.
#[derive(Default)]
pub(crate) struct Bytes {
    data: Vec<u8>,
    first: usize,
}

impl Bytes {
    pub(crate) fn rest(&self) -> &[u8] {
        &self.data[self.first..]
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.first == self.data.len()
    }

    pub(crate) fn len(&self) -> usize {
        self.data.len() - self.first
    }

    pub(crate) fn push(&mut self, bytes: &[u8]) {
        if self.first > self.data.len() / 2 {
            self.data.drain(..self.first);
            self.first = 0;
        }
        self.data.extend_from_slice(bytes);
    }

    /// Puts back what was before.
    pub(crate) fn unshift(&mut self, mut front: Bytes) {
        if !front.is_empty() {
            front.push(self.rest());
            *self = front;
        }
    }

    /// What is empty holds no memory.
    pub(crate) fn take(&mut self, n: usize) {
        self.first += n;
        if self.is_empty() {
            *self = Bytes::default();
        }
    }
}

/// A question of the handshake, and what it is about.
pub(crate) struct Question {
    pub(crate) token: sys::milgi_decision,
    pub(crate) hello: ClientHello,
}

#[derive(Default)]
pub(crate) struct State {
    /// It is in the inbox, or the driver is about to look at it.
    pub(crate) queued: bool,

    // From the task to the engine.
    pub(crate) cipher_in: Bytes,
    pub(crate) eof: Option<i32>,
    pub(crate) plain_out: Bytes,
    /// Of the plaintext that was delivered.
    pub(crate) consumed: usize,
    /// Of the output that was handed out.
    pub(crate) written: usize,
    pub(crate) shutdown: bool,
    pub(crate) dropped: bool,
    pub(crate) answers: Vec<(sys::milgi_decision, Option<Credential>)>,

    // And back.
    pub(crate) cipher_out: Bytes,
    pub(crate) plain_in: Bytes,
    /// The driver has taken something of the above, and not looked at |pending| since.
    pub(crate) serving: bool,
    /// What the engine has not handed out, or the transport not taken.
    pub(crate) pending: usize,
    /// The engine has told the network's end of our direction.
    pub(crate) shut: bool,
    pub(crate) input_paused: bool,
    pub(crate) output_full: bool,
    /// Nobody takes output any more.
    pub(crate) output_dead: bool,
    pub(crate) open: Option<Arc<Info>>,
    pub(crate) peer_ended: bool,
    pub(crate) closed: Option<Error>,
    pub(crate) question: Option<Question>,

    reader: Option<Waker>,
    writer: Option<Waker>,
}

/// Wakers that are called, and dropped, when no lock is held any more: both may do anything.
#[derive(Default)]
#[must_use]
pub(crate) struct Wakes([Option<Waker>; 2]);

impl Wakes {
    pub(crate) fn wake(self) {
        for waker in self.0.into_iter().flatten() {
            waker.wake();
        }
    }
}

impl State {
    pub(crate) fn wake_reader(&mut self) -> Wakes {
        Wakes([self.reader.take(), None])
    }

    pub(crate) fn wake_writer(&mut self) -> Wakes {
        Wakes([None, self.writer.take()])
    }

    pub(crate) fn wake_both(&mut self) -> Wakes {
        Wakes([self.reader.take(), self.writer.take()])
    }

    /// The task waits for what concerns reading; to be dropped without the lock.
    #[must_use]
    pub(crate) fn read_waits(&mut self, cx: &Context<'_>) -> Option<Waker> {
        self.reader.replace(cx.waker().clone())
    }

    #[must_use]
    pub(crate) fn write_waits(&mut self, cx: &Context<'_>) -> Option<Waker> {
        self.writer.replace(cx.waker().clone())
    }

    /// All that was written is with the transport.
    pub(crate) fn is_drained(&self) -> bool {
        !self.serving && self.plain_out.is_empty() && self.cipher_out.is_empty() && self.pending == 0 && (!self.shutdown || self.shut)
    }
}

/// One connection.
pub(crate) struct Shared {
    state: Mutex<State>,
    pub(crate) engine: Engine,
    pub(crate) config: Config,
    pub(crate) server_name: Option<CString>,
}

impl Shared {
    pub(crate) fn new(engine: Engine, config: Config, server_name: Option<CString>) -> Arc<Shared> {
        Arc::new(Shared { state: Mutex::new(State::default()), engine, config, server_name })
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing panics while it is held, and what it guards is whole at every step.
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// The driver has to look at it.
    pub(crate) fn tell(self: &Arc<Shared>, mut state: MutexGuard<'_, State>) {
        if state.queued || state.closed.is_some() && !state.dropped {
            return;
        }
        state.queued = true;
        drop(state);
        if !self.engine.push(self) {
            self.ended(Error::new(sys::MILGI_ECLOSED, "the engine has ended"));
        }
    }

    /// It is over; the first reason stays.
    pub(crate) fn ended(&self, why: Error) {
        let mut state = self.lock();
        if state.closed.is_none() {
            state.closed = Some(why);
        }
        let plain_out = std::mem::take(&mut state.plain_out);
        let wakes = state.wake_both();
        drop(state);
        drop(plain_out);
        wakes.wake();
    }
}
