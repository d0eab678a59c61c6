// SPDX-License-Identifier: Apache-2.0
//! A connection on the engine's thread: brings what the task has left for it, and leaves what the engine tells.
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::ffi::c_void;
use std::os::raw::c_int;
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::process::abort;
use std::ptr;
use std::rc::Rc;
use std::slice;
use std::sync::Arc;

use milgi_sys as sys;

use crate::config::ClientHello;
use crate::error::{text_of, Error};
use crate::shared::{Bytes, Info, Question, Shared, State, Wakes};

const PIECE: usize = 16384;

/// What callbacks leave for the driver, behind the run.
#[derive(Default)]
pub(crate) struct Local {
    /// Connections that something has happened to.
    pub(crate) touched: RefCell<Vec<u64>>,
    /// Those that wait for chunks.
    pub(crate) line: RefCell<Line>,
    /// The engine has some.
    pub(crate) memory: Cell<bool>,
    #[cfg(test)]
    pub(crate) tried: RefCell<Vec<u64>>,
}

/// Connections that have found no chunk, by the numbers that they have drawn: the longest waiting first.
#[derive(Default)]
pub(crate) struct Line {
    waiting: BTreeMap<u64, u64>,
    drawn: u64,
    /// How many have found none since this was set to 0.
    pub(crate) refused: usize,
}

impl Line {
    pub(crate) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Whose turn it is; it leaves the line.
    pub(crate) fn next(&mut self) -> Option<u64> {
        let number = *self.waiting.keys().next()?;
        self.waiting.remove(&number)
    }
}

/// Callbacks reach it by a pointer, so it is behind an `Rc`, which may be moved while that pointer is kept (a `Box` claims
/// that nobody else has one), and nothing but its drop() has it by `&mut`, when no callback comes any more.
pub(crate) struct Conn {
    raw: Cell<*mut sys::milgi_conn>,
    engine: *mut sys::milgi_engine,
    pub(crate) shared: Arc<Shared>,
    local: Rc<Local>,
    id: u64,
    touched: Cell<bool>,
    /// Its number in the line.
    waits: Cell<Option<u64>>,
    /// There was no chunk for what has come, or for what is to be sent: that is tried again in its turn, not before.
    starved_in: Cell<bool>,
    starved_out: Cell<bool>,
    shut: Cell<bool>,
    eof: Cell<bool>,
    /// To be shown behind the run, when it is known what of the handshake is still on its way.
    open: RefCell<Option<Arc<Info>>>,
}

static EVENTS: sys::milgi_events = sys::milgi_events {
    on_output: Some(on_output),
    on_data: Some(on_data),
    on_pause: Some(on_pause),
    on_resume: Some(on_resume),
    on_room: Some(on_room),
    on_established: Some(on_established),
    on_decide: Some(on_decide),
    on_alert: Some(on_alert),
    on_session: None,
    on_closed: Some(on_closed),
    on_record: None,
    on_keys: None,
};

impl Conn {
    /// On the engine's thread, which this stays on.
    pub(crate) fn new(
        engine: *mut sys::milgi_engine, shared: Arc<Shared>, local: Rc<Local>, id: u64,
    ) -> Result<Rc<Conn>, Error> {
        let name = shared.server_name.as_ref().map_or(ptr::null(), |name| name.as_ptr());
        let config = shared.config.raw();
        let conn = Rc::new(Conn {
            raw: Cell::new(ptr::null_mut()),
            engine,
            shared,
            local,
            id,
            touched: Cell::new(false),
            waits: Cell::new(None),
            starved_in: Cell::new(false),
            starved_out: Cell::new(false),
            shut: Cell::new(false),
            eof: Cell::new(false),
            open: RefCell::new(None),
        });
        let arg = Rc::as_ptr(&conn) as *mut c_void;
        let mut raw = ptr::null_mut();
        // SAFETY: the config is frozen, the name copied, EVENTS static; |arg| is where it is until drop() frees |raw|.
        let rv = unsafe { sys::milgi_conn_new(engine, config, name, &EVENTS, arg, &mut raw) };
        if rv < 0 {
            return Err(Error::new(rv, if rv == sys::MILGI_EINVAL { "a name that no server can have" } else { "" }));
        }
        conn.raw.set(raw);
        Ok(conn)
    }

    fn touch(&self) {
        if !self.touched.replace(true) {
            self.local.touched.borrow_mut().push(self.id);
        }
    }

    fn starve(&self) {
        let mut line = self.local.line.borrow_mut();
        line.refused += 1;
        if self.waits.get().is_none() {
            line.drawn += 1;
            let number = line.drawn;
            line.waiting.insert(number, self.id);
            self.waits.set(Some(number));
        }
    }

    /// It has left the line, and may try.
    pub(crate) fn sated(&self) {
        self.waits.set(None);
        self.starved_in.set(false);
        self.starved_out.set(false);
    }

    /// Brings the engine what is there. True: it has something to do.
    pub(crate) fn serve(&self) -> bool {
        self.touched.set(false);
        let mut s = self.shared.lock();
        let opened = self.open.borrow_mut().take();
        if s.closed.is_some() {
            if opened.is_some() {
                s.open = opened;
                let wakes = s.wake_both();
                drop(s);
                wakes.wake();
            }
            return false;
        }
        let written = std::mem::take(&mut s.written);
        let consumed = std::mem::take(&mut s.consumed);
        let answers = std::mem::take(&mut s.answers);
        let mut input = std::mem::take(&mut s.cipher_in);
        let mut output = Bytes::default();
        if !s.output_full {
            std::mem::swap(&mut s.plain_out, &mut output);
        }
        s.serving = true;
        drop(s);
        let mut staged = written + consumed != 0 || !answers.is_empty();

        // SAFETY: this thread is the engine's, and the connection is there until drop().
        unsafe {
            sys::milgi_conn_output_done(self.raw.get(), written);
            sys::milgi_conn_consumed(self.raw.get(), consumed);
        }
        for (token, credential) in answers {
            let (verdict, with) = match &credential {
                Some(credential) => (sys::MILGI_ACCEPT, credential.raw()),
                None => (sys::MILGI_REFUSE, ptr::null_mut()),
            };
            // SAFETY: it takes a reference of its own; a question that is gone is refused by itself.
            unsafe { sys::milgi_decide(self.engine, token, verdict, with.cast()) };
        }
        let (mut paused, mut full) = (false, false);
        let (reads, writes) = (!input.is_empty(), !output.is_empty());
        while !self.starved_in.get() && !input.is_empty() {
            staged |= self.receive(&mut input, &mut paused);
        }
        while !self.starved_out.get() && !full && !output.is_empty() {
            staged |= self.write(&mut output, &mut full);
        }

        let mut s = self.shared.lock();
        s.serving = false;
        s.cipher_in.unshift(input);
        s.plain_out.unshift(output);
        s.input_paused |= paused;
        s.output_full |= full;
        staged |= self.end(&mut s);
        self.look(&mut s);
        if opened.is_some() {
            s.open = opened;
            let wakes = s.wake_both();
            drop(s);
            if staged {
                self.touch();
            }
            wakes.wake();
            return staged;
        }
        let reader = if reads && s.cipher_in.is_empty() && !s.input_paused { s.wake_reader() } else { Wakes::default() };
        let writer = if (writes && !s.output_full) || s.is_drained() { s.wake_writer() } else { Wakes::default() };
        drop(s);
        if staged {
            self.touch(); // the run that follows may leave less on its way
        }
        reader.wake();
        writer.wake();
        staged
    }

    /// What comes when all before it has been given. True: something did.
    fn end(&self, s: &mut State) -> bool {
        let mut staged = false;
        if s.eof.is_some() && s.cipher_in.is_empty() && !self.eof.replace(true) {
            // SAFETY: as above.
            unsafe { sys::milgi_conn_receive_eof(self.raw.get(), s.eof.unwrap_or(0)) };
            staged = true;
        }
        if s.shutdown && s.plain_out.is_empty() && !self.shut.replace(true) {
            // SAFETY: as above.
            unsafe { sys::milgi_conn_shutdown(self.raw.get()) };
            s.shut = true;
            staged = true;
        }
        staged
    }

    /// What is on its way. The library counts what the task has written already, and has not told.
    fn look(&self, s: &mut State) {
        // SAFETY: as above.
        let pending = unsafe { sys::milgi_conn_output_pending(self.raw.get()) } as usize;
        s.pending = pending.saturating_sub(s.written);
    }

    /// False: not now.
    fn receive(&self, input: &mut Bytes, paused: &mut bool) -> bool {
        #[cfg(test)]
        self.local.tried.borrow_mut().push(self.id);
        // SAFETY: as above. The chunk has room for |n| bytes and belongs to this until it is received.
        unsafe {
            let mut n = input.len().min(sys::milgi_conn_read_size(self.raw.get(), 4 * PIECE) as usize);
            let mut chunk = sys::milgi_conn_chunk(self.raw.get(), n);
            if chunk.is_null() {
                // The rest of a record that is begun can be had even then.
                n = n.min(sys::milgi_conn_record_rest(self.raw.get()) as usize);
                chunk = sys::milgi_conn_chunk(self.raw.get(), n);
            }
            if chunk.is_null() {
                self.starved_in.set(true);
                self.starve();
                return false;
            }
            let data = sys::milgi_chunk_data(chunk);
            ptr::copy_nonoverlapping(input.rest().as_ptr(), data, n);
            input.take(n);
            let slice = sys::milgi_slice { chunk, data, len: n as u32 };
            *paused |= sys::milgi_conn_receive(self.raw.get(), slice) == sys::MILGI_PAUSE as c_int;
        }
        true
    }

    fn write(&self, output: &mut Bytes, full: &mut bool) -> bool {
        let n = output.len().min(PIECE);
        // SAFETY: as above; the bytes are copied.
        let rv = unsafe { sys::milgi_conn_write(self.raw.get(), output.rest().as_ptr().cast(), n) };
        match rv {
            sys::MILGI_ENOMEM => {
                self.starved_out.set(true);
                self.starve();
                return false;
            }
            sys::MILGI_ELIMIT => {
                *full = true;
                return false;
            }
            _ => *full |= rv == sys::MILGI_PAUSE as c_int,
        }
        output.take(n); // behind the end nobody gets it
        true
    }
}

impl Drop for Conn {
    fn drop(&mut self) {
        if let Some(number) = self.waits.get() {
            self.local.line.borrow_mut().waiting.remove(&number);
        }
        // SAFETY: this thread is the engine's, which is there as long as its connections; it calls nobody back.
        unsafe { sys::milgi_conn_free(self.raw.get()) }
    }
}

// --- callbacks: from milgi_engine_run() only, on the engine's thread ----------------------------------------------------

/// A panic must not go through C.
fn guarded(arg: *mut c_void, what: impl FnOnce(&Conn)) {
    // SAFETY: |arg| is what Conn::new() gave, which lives as long as the connection.
    let conn = unsafe { &*(arg as *const Conn) };
    if catch_unwind(AssertUnwindSafe(|| what(conn))).is_err() {
        abort();
    }
}

/// SAFETY: |data| is valid for |len| bytes for 'a, or |len| is 0.
unsafe fn bytes_of<'a>(data: *const u8, len: usize) -> &'a [u8] {
    if len == 0 {
        &[]
    } else {
        // SAFETY: the caller's.
        unsafe { slice::from_raw_parts(data, len) }
    }
}

/// SAFETY: as of |n| of T.
unsafe fn all<'a, T>(first: *const T, n: usize) -> &'a [T] {
    if n == 0 || first.is_null() {
        &[]
    } else {
        // SAFETY: the caller's.
        unsafe { slice::from_raw_parts(first, n) }
    }
}

unsafe extern "C" fn on_output(
    raw: *mut sys::milgi_conn, arg: *mut c_void, iov: *const sys::milgi_iov, iov_n: usize,
) {
    guarded(arg, |conn| {
        let mut s = conn.shared.lock();
        // SAFETY: valid until milgi_conn_output_done().
        for piece in unsafe { all(iov, iov_n) } {
            if s.output_dead {
                // SAFETY: a callback may call it.
                unsafe { sys::milgi_conn_output_done(raw, piece.len) };
            } else {
                // SAFETY: as above.
                s.cipher_out.push(unsafe { bytes_of(piece.data.cast(), piece.len) });
            }
        }
        conn.look(&mut s);
        let wakes = s.wake_both();
        drop(s);
        conn.touch();
        wakes.wake();
    });
}

unsafe extern "C" fn on_data(
    _: *mut sys::milgi_conn, arg: *mut c_void, slices: *const sys::milgi_slice, slices_n: usize,
) {
    guarded(arg, |conn| {
        let mut s = conn.shared.lock();
        // SAFETY: lent for the callback.
        for piece in unsafe { all(slices, slices_n) } {
            // SAFETY: as above.
            s.plain_in.push(unsafe { bytes_of(piece.data, piece.len as usize) });
        }
        let wakes = s.wake_reader();
        drop(s);
        wakes.wake();
    });
}

unsafe extern "C" fn on_pause(_: *mut sys::milgi_conn, arg: *mut c_void) {
    guarded(arg, |conn| {
        conn.shared.lock().input_paused = true;
        conn.touch(); // credit that has been left meanwhile
    });
}

unsafe extern "C" fn on_resume(_: *mut sys::milgi_conn, arg: *mut c_void) {
    guarded(arg, |conn| {
        let mut s = conn.shared.lock();
        s.input_paused = false;
        let wakes = s.wake_reader();
        drop(s);
        wakes.wake();
    });
}

unsafe extern "C" fn on_room(_: *mut sys::milgi_conn, arg: *mut c_void) {
    guarded(arg, |conn| {
        let mut s = conn.shared.lock();
        s.output_full = false;
        let wakes = s.wake_writer();
        drop(s);
        conn.touch(); // for what waits here
        wakes.wake();
    });
}

unsafe extern "C" fn on_established(raw: *mut sys::milgi_conn, arg: *mut c_void) {
    guarded(arg, |conn| {
        *conn.open.borrow_mut() = Some(Arc::new(info_of(raw)));
        conn.touch();
    });
}

fn info_of(raw: *mut sys::milgi_conn) -> Info {
    let mut told = sys::milgi_conn_info::default();
    // SAFETY: pointers are valid until the callback returns.
    unsafe { sys::milgi_conn_info(raw, &mut told) };
    let text = |p| Some(text_of(p)).filter(|_| !p.is_null());
    // SAFETY: as above; names of numbers are static.
    unsafe {
        Info {
            version: told.version,
            suite: text_of(sys::milgi_suite_name(told.suite)),
            group: text_of(sys::milgi_group_name(told.group)),
            alpn: text(told.alpn).map(String::into_bytes),
            server_name: text(told.server_name),
            peer_certificates: all(told.peer_chain, told.peer_chain_n)
                .iter()
                .map(|der| bytes_of(der.data.cast(), der.len).to_vec())
                .collect(),
            peer_authenticated: told.peer_authenticated,
            resumed: told.resumed,
        }
    }
}

unsafe extern "C" fn on_decide(
    _: *mut sys::milgi_conn, arg: *mut c_void, decision: *const sys::milgi_decision,
) {
    guarded(arg, |conn| {
        let mut told = sys::milgi_decision_info::default();
        // SAFETY: the decision is lent for the callback; what is told is valid until it is answered.
        let question = unsafe {
            if sys::milgi_decision_info(conn.engine, *decision, &mut told) < 0 {
                return;
            }
            Question {
                token: *decision,
                hello: ClientHello {
                    server_name: Some(text_of(told.server_name)).filter(|_| !told.server_name.is_null()),
                    alpn: all(told.alpn, told.alpn_n)
                        .iter()
                        .map(|name| bytes_of(name.data.cast(), name.len).to_vec())
                        .collect(),
                    signature_schemes: all(told.schemes, told.schemes_n).to_vec(),
                },
            }
        };
        let mut s = conn.shared.lock();
        s.question = Some(question);
        let wakes = s.wake_both();
        drop(s);
        wakes.wake();
    });
}

unsafe extern "C" fn on_alert(_: *mut sys::milgi_conn, arg: *mut c_void, alert: c_int) {
    guarded(arg, |conn| {
        if alert != 0 {
            return;
        }
        let mut s = conn.shared.lock();
        s.peer_ended = true; // close_notify
        let wakes = s.wake_reader();
        drop(s);
        wakes.wake();
    });
}

unsafe extern "C" fn on_closed(_: *mut sys::milgi_conn, arg: *mut c_void, reason: *const sys::milgi_reason) {
    // SAFETY: the reason is lent for the callback.
    guarded(arg, |conn| conn.shared.ended(Error::from_reason(unsafe { &*reason })));
}
