// SPDX-License-Identifier: Apache-2.0
//! The engine on its thread: a future that runs it when it must be run, and sleeps else.
use std::collections::HashMap;
use std::ffi::{c_void, CString};
use std::fmt;
use std::future::Future;
use std::io;
use std::os::unix::io::{AsRawFd, RawFd};
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::pin::Pin;
use std::process::abort;
use std::ptr;
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{mpsc, Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use milgi_sys as sys;
use tokio::io::unix::AsyncFd;
use tokio::io::Interest;
use tokio::time::{sleep, Instant, Sleep};

use crate::conn::{Conn, Local};
use crate::error::{check, text_of, Error};
use crate::shared::Shared;

/// Turns of the engine before other tasks have theirs.
const TURNS: u32 = 8;
/// Of those that wait for chunks: how many try again in one go when there are some, how many of these in vain, and after
/// what time others do, whatever there is.
const FED_AT_ONCE: usize = 64;
const FED_IN_VAIN: usize = 8;
const FED_AGAIN_NS: u64 = 100_000_000;

/// How an engine is made.
#[derive(Clone, Debug, Default)]
pub struct Options {
    devices: Vec<String>,
    memory_limit: Option<usize>,
}

impl Options {
    /// No device besides the engine's thread.
    pub fn new() -> Options {
        Options::default()
    }

    /// A device besides this thread, by its description: `"pool:2"`, `"pkcs11:..."`. What it can do goes to whichever is
    /// expected to have done it first, this thread or one of the devices.
    pub fn device(mut self, description: &str) -> Options {
        self.devices.push(description.into());
        self
    }

    /// Bytes of buffers for all connections together; 1 GiB by default.
    pub fn memory_limit(mut self, bytes: usize) -> Options {
        self.memory_limit = Some(bytes);
        self
    }
}

// --- handles -------------------------------------------------------------------------------------------------------------

struct Inbox {
    state: Mutex<InboxState>,
    /// Of [`Engine`]s: when there is none left the driver ends.
    handles: AtomicUsize,
}

#[derive(Default)]
struct InboxState {
    queue: Vec<Arc<Shared>>,
    waker: Option<Waker>,
    ended: bool,
}

impl Inbox {
    fn lock(&self) -> MutexGuard<'_, InboxState> {
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

/// A handle on an engine: what connectors and acceptors are made with. Cheap to clone, for any thread. The engine ends
/// when no handle and no stream is left, or when its driver is dropped; streams fail then.
pub struct Engine(Arc<Inbox>);

impl Engine {
    /// An engine of this thread, and the driver that has to be polled here, inside of a tokio runtime with I/O and time.
    pub fn new(options: Options) -> Result<(Engine, Driver), Error> {
        let inbox = Arc::new(Inbox { state: Mutex::default(), handles: AtomicUsize::new(1) });
        let engine = Engine(inbox.clone());
        let driver = Driver::new(options, inbox)?;
        Ok((engine, driver))
    }

    /// The same as a task of the `LocalSet` that this is called in.
    pub fn spawn_local(options: Options) -> Result<Engine, Error> {
        let (engine, driver) = Engine::new(options)?;
        tokio::task::spawn_local(driver);
        Ok(engine)
    }

    /// An engine with a thread of its own, for streams of whatever thread.
    pub fn spawn(options: Options) -> Result<Engine, Error> {
        let (tell, told) = mpsc::channel();
        let run = move || {
            let runtime = match tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build() {
                Ok(runtime) => runtime,
                Err(e) => return drop(tell.send(Err(Error::new(sys::MILGI_ELIMIT, e.to_string())))),
            };
            runtime.block_on(async {
                match Engine::new(options) {
                    Ok((engine, driver)) => {
                        drop(tell.send(Ok(engine)));
                        driver.await;
                    }
                    Err(e) => drop(tell.send(Err(e))),
                }
            });
        };
        let thread = std::thread::Builder::new().name("milgi".into()).spawn(run);
        thread.map_err(|e| Error::new(sys::MILGI_ELIMIT, e.to_string()))?;
        told.recv().unwrap_or_else(|_| Err(Error::new(sys::MILGI_EINTERNAL, "the engine's thread has ended")))
    }

    /// The process's own, made when it is first asked for, with a thread and no devices.
    pub fn shared() -> Result<Engine, Error> {
        static SHARED: Mutex<Option<Engine>> = Mutex::new(None);
        let mut shared = SHARED.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if let Some(engine) = shared.as_ref() {
            if !engine.0.lock().ended {
                return Ok(engine.clone());
            }
        }
        let engine = Engine::spawn(Options::new())?;
        let before = shared.replace(engine.clone());
        drop(shared);
        drop(before);
        Ok(engine)
    }

    /// The driver is to look at it. False: it has ended.
    pub(crate) fn push(&self, shared: &Arc<Shared>) -> bool {
        let mut inbox = self.0.lock();
        if inbox.ended {
            return false;
        }
        inbox.queue.push(shared.clone());
        let waker = inbox.waker.take();
        drop(inbox);
        if let Some(waker) = waker {
            waker.wake();
        }
        true
    }
}

impl Clone for Engine {
    fn clone(&self) -> Engine {
        self.0.handles.fetch_add(1, Ordering::Relaxed);
        Engine(self.0.clone())
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        if self.0.handles.fetch_sub(1, Ordering::AcqRel) == 1 {
            let waker = self.0.lock().waker.take();
            if let Some(waker) = waker {
                waker.wake();
            }
        }
    }
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Engine")
    }
}

// --- the driver ----------------------------------------------------------------------------------------------------------

struct Fd(RawFd);

impl AsRawFd for Fd {
    fn as_raw_fd(&self) -> RawFd {
        self.0
    }
}

/// The engine, and its devices behind it.
struct Raw {
    engine: *mut sys::milgi_engine,
    devices: Vec<*mut sys::milgi_device>,
}

impl Drop for Raw {
    fn drop(&mut self) {
        // SAFETY: on the engine's thread, from no callback: a driver that is being polled is not dropped.
        unsafe {
            if sys::milgi_engine_free(self.engine) < 0 {
                return; // in another process: what the engine has is not ours
            }
            for device in &self.devices {
                sys::milgi_device_free(*device);
            }
        }
    }
}

/// Runs an engine. Belongs to the thread that made it: not `Send`. Ends when no handle and no stream is left; one that is
/// dropped before ends all streams, and waits for what its devices are at.
pub struct Driver {
    // In the order in which they are dropped.
    conns: HashMap<u64, Rc<Conn>>,
    fd: AsyncFd<Fd>,
    raw: Raw,

    local: Rc<Local>,
    ids: HashMap<*const Shared, u64>,
    next_id: u64,
    inbox: Arc<Inbox>,
    timer: Pin<Box<Sleep>>,
    due_ns: Option<u64>,
    again: bool,
    /// How many of those that wait for chunks have not tried since there were some.
    unfed: usize,
    /// None has been refused since: the next try behind the turn. Else when [`FED_AGAIN_NS`] have passed.
    feeding: bool,
    fed_due_ns: u64,
}

impl fmt::Debug for Driver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Driver")
    }
}

unsafe extern "C" fn on_memory(ctx: *mut c_void, _: *mut sys::milgi_engine) {
    // SAFETY: |ctx| is the driver's Local, which lives longer than the engine.
    let local = unsafe { &*(ctx as *const Local) };
    if catch_unwind(AssertUnwindSafe(|| local.memory.set(true))).is_err() {
        abort();
    }
}

impl Driver {
    fn new(options: Options, inbox: Arc<Inbox>) -> Result<Driver, Error> {
        let local = Rc::new(Local::default());
        let mut asked = sys::milgi_engine_options::default();
        // SAFETY: it fills in all of it.
        unsafe { sys::milgi_engine_options_init(&mut asked) };
        if let Some(limit) = options.memory_limit {
            asked.memory_limit = limit as _;
        }
        asked.on_memory = Some(on_memory);
        asked.memory_ctx = Rc::as_ptr(&local) as *mut c_void;
        let mut raw = Raw { engine: ptr::null_mut(), devices: Vec::new() };
        // SAFETY: the options are copied; |local| lives as long as the driver.
        check(unsafe { sys::milgi_engine_new(&asked, &mut raw.engine) })?;
        for description in &options.devices {
            raw.add(description)?;
        }
        // SAFETY: the engine is there.
        let fd = Fd(unsafe { sys::milgi_engine_fd(raw.engine) });
        let io = |e: io::Error| Error::new(sys::MILGI_ELIMIT, e.to_string());
        // What a younger tokio wants instead is not in 1.38. The descriptor is the engine's, which is freed behind this.
        #[allow(deprecated)]
        let fd = AsyncFd::with_interest(fd, Interest::READABLE).map_err(io)?;
        Ok(Driver {
            conns: HashMap::new(),
            fd,
            raw,
            local,
            ids: HashMap::new(),
            next_id: 0,
            inbox,
            timer: Box::pin(sleep(Duration::from_secs(0))),
            due_ns: None,
            again: true,
            unfed: 0,
            feeding: false,
            fed_due_ns: 0,
        })
    }

    /// What somebody has left something for.
    fn look_at(&mut self, shared: Arc<Shared>) {
        let key = Arc::as_ptr(&shared);
        let (dropped, closed) = {
            let mut state = shared.lock();
            state.queued = false; // what is told from here on is told anew
            (state.dropped, state.closed.is_some())
        };
        if let Some(id) = self.ids.get(&key).copied() {
            if dropped {
                self.ids.remove(&key);
                self.conns.remove(&id);
            } else if let Some(conn) = self.conns.get(&id) {
                conn.serve();
            }
            return;
        }
        if dropped || closed {
            return;
        }
        let id = self.next_id;
        self.next_id += 1;
        match Conn::new(self.raw.engine, shared.clone(), self.local.clone(), id) {
            Ok(conn) => {
                conn.serve();
                self.ids.insert(key, id);
                self.conns.insert(id, conn);
            }
            Err(e) => shared.ended(e),
        }
    }

    /// What is in the inbox; what comes meanwhile is for the next time, so that nobody keeps the engine from running. True:
    /// there was something.
    fn take_in(&mut self, cx: &Context<'_>) -> bool {
        let mut inbox = self.inbox.lock();
        let queue = std::mem::take(&mut inbox.queue);
        let before = if queue.is_empty() { inbox.waker.replace(cx.waker().clone()) } else { None };
        drop(inbox);
        drop(before);
        let any = !queue.is_empty();
        for shared in queue {
            self.look_at(shared);
        }
        any
    }

    /// The descriptor and the clock. True: the engine has to run.
    fn is_woken(&mut self, cx: &mut Context<'_>) -> bool {
        let mut run = false;
        // What comes from here on makes it readable anew: everything in it is edge-triggered.
        while let Poll::Ready(ready) = self.fd.poll_read_ready(cx) {
            run = true;
            match ready {
                Ok(mut guard) => guard.clear_ready(),
                Err(_) => break, // the runtime is ending
            }
        }
        if self.due_ns.is_some() && self.timer.as_mut().poll(cx).is_ready() {
            self.due_ns = None;
            run = true;
        }
        run
    }

    fn run(&mut self) {
        let late = self.unfed > 0 && self.now_ns() >= self.fed_due_ns;
        if self.feeding || late {
            self.feed(if late { FED_AT_ONCE } else { FED_IN_VAIN });
        }
        let mut result = sys::milgi_run_result::default();
        // SAFETY: on the engine's thread, from no callback.
        if unsafe { sys::milgi_engine_run(self.raw.engine, 0, &mut result) } < 0 {
            return;
        }
        self.again = result.next == sys::MILGI_RUN_AGAIN;
        if self.local.memory.replace(false) {
            self.unfed = self.local.line.borrow().len();
            self.again |= self.feed(FED_IN_VAIN);
        }
        for id in self.local.touched.take() {
            if let Some(conn) = self.conns.get(&id) {
                self.again |= conn.serve();
            }
        }
        self.again |= self.feeding;
        let engine_due = if result.next == sys::MILGI_RUN_WAIT { Some(result.deadline_ns) } else { None };
        let fed_due = if self.unfed > 0 { Some(self.fed_due_ns) } else { None };
        let due_ns = engine_due.into_iter().chain(fed_due).min();
        if due_ns != self.due_ns {
            if let Some(due_ns) = due_ns {
                self.set_timer(due_ns);
            }
            self.due_ns = due_ns;
        }
    }

    /// Some of those that wait for chunks try again, the longest waiting first, until |in_vain| have found none. The next do
    /// behind the next turn, or, when somebody has found none by then, after a while: what there is may be enough for
    /// them. So a chunk that comes back costs as many tries as it serves, and some, however many wait for it. True: the
    /// engine has to run.
    fn feed(&mut self, in_vain: usize) -> bool {
        let (mut run, mut tried) = (false, 0);
        self.local.line.borrow_mut().refused = 0;
        while tried < self.unfed.min(FED_AT_ONCE) && self.local.line.borrow().refused < in_vain {
            let next = self.local.line.borrow_mut().next();
            if let Some(conn) = next.and_then(|id| self.conns.get(&id)) {
                conn.sated();
                run |= conn.serve();
            }
            tried += 1;
        }
        let line = self.local.line.borrow();
        self.unfed = (self.unfed - tried).min(line.len());
        self.feeding = self.unfed > 0 && line.refused == 0;
        drop(line);
        self.fed_due_ns = self.now_ns() + FED_AGAIN_NS;
        run
    }

    fn now_ns(&self) -> u64 {
        // SAFETY: on the engine's thread.
        unsafe { sys::milgi_engine_now(self.raw.engine) }
    }

    fn set_timer(&mut self, due_ns: u64) {
        let at = Instant::now() + Duration::from_nanos(due_ns.saturating_sub(self.now_ns()));
        self.timer.as_mut().reset(at);
    }
}

impl Raw {
    fn add(&mut self, description: &str) -> Result<(), Error> {
        let spec = CString::new(description).map_err(|_| Error::new(sys::MILGI_EINVAL, "a NUL in a description"))?;
        let (mut device, mut why) = (ptr::null_mut(), ptr::null());
        // SAFETY: borrowed for the call; |why| is valid until this thread makes another device.
        let rv = unsafe { sys::milgi_device_new(spec.as_ptr(), &mut device, &mut why) };
        if rv < 0 {
            return Err(Error::new(rv, text_of(why)));
        }
        self.devices.push(device);
        // SAFETY: the device is freed behind the engine.
        unsafe {
            let index = sys::milgi_engine_add_device(self.engine, device);
            check(index)?;
            let ops = (*device).caps.ops;
            check(sys::milgi_engine_route_first(self.engine, ops, 1 | 1 << index, 0))
        }
    }
}

impl Future for Driver {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        for _ in 0..TURNS {
            let mut run = std::mem::take(&mut this.again);
            run |= this.is_woken(cx);
            run |= this.take_in(cx);
            if !run {
                let alone = this.inbox.handles.load(Ordering::Acquire) == 0;
                return if alone { Poll::Ready(()) } else { Poll::Pending };
            }
            this.run();
            if this.again {
                break; // others first
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        let mut inbox = self.inbox.lock();
        inbox.ended = true;
        let (queue, waker) = (std::mem::take(&mut inbox.queue), inbox.waker.take());
        drop(inbox);
        drop(waker);
        let ended = || Error::new(sys::MILGI_ECLOSED, "the engine has ended");
        for shared in queue {
            shared.ended(ended());
        }
        for (_, conn) in self.conns.drain() {
            let shared = conn.shared.clone();
            drop(conn);
            shared.ended(ended());
        }
    }
}

#[cfg(test)]
mod starving;
