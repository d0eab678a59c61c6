// SPDX-License-Identifier: Apache-2.0
//! What the rig in C wants of a library (bench/lib/ends.h), for anything that is an End here.
use std::cell::Cell;
use std::ffi::{c_char, CStr};
use std::marker::PhantomData;
use std::sync::Arc;

use rustls::client::Resumption;
use rustls::crypto::{aws_lc_rs, CryptoProvider};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::NoServerSessionStorage;
use rustls::{version, ClientConfig, CommonState, HandshakeKind, RootCertStore, ServerConfig};

pub const SERVER: u32 = 1;
const SHAKE_13_HYBRID: u32 = 1;
const SHAKE_12: u32 = 2;
const SHAKE_13_RESUMED: u32 = 4;
const SUITES_12: [u16; 2] = [0xc02b, 0xc02f];
const MESSAGE_MAX: usize = 16384;
const CHECKED: usize = 65536;

#[repr(C)]
struct Cert {
    cert_pem: *const u8,
    key_pem: *const u8,
    cert_len: usize,
    key_len: usize,
}

#[repr(C)]
pub struct Setup {
    cert: *const Cert,
    anchor_pem: *const u8,
    anchor_len: usize,
    suite: u16,
    shake: u32,
}

#[repr(C)]
pub struct Subject {
    name: *const c_char,
    world_new: unsafe extern "C" fn(*const Setup) -> *mut World,
    world_free: unsafe extern "C" fn(*mut World),
    end_new: unsafe extern "C" fn(*mut World, u32, *mut CWire, *mut CWire) -> *mut (),
    progress: unsafe extern "C" fn(*mut (), usize),
    established: unsafe extern "C" fn(*const ()) -> bool,
    send: unsafe extern "C" fn(*mut (), u32, usize, u32),
    received: unsafe extern "C" fn(*const ()) -> usize,
    end_free: unsafe extern "C" fn(*mut ()),
    settle: *const (),
    host_len: usize,
    can: *const (),
    shakes: extern "C" fn(u32) -> bool,
}
unsafe impl Sync for Subject {}

#[repr(C)]
pub struct Peer {
    variant: *const c_char,
    subject: *const Subject,
    by_reference: bool,
}
unsafe impl Sync for Peer {}

impl Peer {
    pub const LAST: Peer = Peer { variant: std::ptr::null(), subject: std::ptr::null(), by_reference: false };
    pub const fn new(variant: &'static CStr, subject: &'static Subject) -> Peer {
        Peer { variant: variant.as_ptr(), subject, by_reference: false }
    }
}

#[repr(C)]
pub struct CWire {
    _opaque: [u8; 0],
}

extern "C" {
    fn wire_pending(wire: *const CWire) -> usize;
    fn wire_put(wire: *mut CWire, data: *const u8, len: usize);
    fn wire_get(wire: *mut CWire, out: *mut u8, max: usize) -> usize;
    fn check_arrived(at: usize, data: *const u8, len: usize);
}

/// The network of one end.
pub struct Wires {
    incoming: *mut CWire,
    outgoing: *mut CWire,
}

impl Wires {
    pub fn pending(&self) -> usize {
        unsafe { wire_pending(self.incoming) }
    }

    pub fn get(&mut self, out: &mut [u8]) -> usize {
        unsafe { wire_get(self.incoming, out.as_mut_ptr(), out.len()) }
    }

    pub fn put(&mut self, data: &[u8]) {
        unsafe { wire_put(self.outgoing, data.as_ptr(), data.len()) }
    }
}

/// Application data that has arrived: counted, and checked as long as nobody takes the time.
#[derive(Default)]
pub struct Arrived(pub usize);

impl Arrived {
    pub fn take(&mut self, data: &[u8]) {
        if self.0 < CHECKED {
            unsafe { check_arrived(self.0, data.as_ptr(), data.len()) };
        }
        self.0 += data.len();
    }
}

pub struct World {
    pub server: Arc<ServerConfig>,
    pub client: Arc<ClientConfig>,
    pub message: Vec<u8>,
    resumes: bool,
    again: Cell<bool>,
}

impl World {
    /// What kind of handshake a client's next one has to be; None: nobody minds.
    pub fn kind(&self) -> Option<HandshakeKind> {
        let kind = if self.again.replace(true) { HandshakeKind::Resumed } else { HandshakeKind::Full };
        self.resumes.then_some(kind)
    }
}

/// Once the handshake is over.
pub fn check_kind(kind: Option<HandshakeKind>, state: &CommonState) {
    assert!(kind.is_none() || state.handshake_kind() == kind, "it was not resumed");
}

/// One side of a connection.
pub trait End {
    /// What of it is the library's, not the host's.
    const LIBRARY_LEN: usize;

    fn new(world: &World, server: bool, wires: Wires) -> Self;
    fn progress(&mut self);
    fn established(&self) -> bool;
    fn send(&mut self, message: &[u8], n: u32);
    fn received(&self) -> usize;
}

struct Held<E> {
    world: *const World,
    end: E,
}

pub struct Of<E>(PhantomData<E>);

impl<E: End> Of<E> {
    pub const SUBJECT: Subject = Subject {
        name: c"rustls".as_ptr(),
        world_new,
        world_free,
        end_new: end_new::<E>,
        progress: progress::<E>,
        established: established::<E>,
        send: send::<E>,
        received: received::<E>,
        end_free: end_free::<E>,
        settle: std::ptr::null(),
        host_len: size_of::<Held<E>>() - E::LIBRARY_LEN,
        can: std::ptr::null(),
        shakes,
    };
}

unsafe fn bytes<'a>(data: *const u8, len: usize) -> &'a [u8] {
    std::slice::from_raw_parts(data, len)
}

extern "C" fn shakes(shake: u32) -> bool {
    shake <= SHAKE_12 || shake == SHAKE_13_RESUMED
}

/// One group and one suite; for TLS 1.2 one for each kind of key.
fn provider(setup: &Setup) -> Arc<CryptoProvider> {
    let suites = if setup.shake == SHAKE_12 { SUITES_12 } else { [setup.suite, setup.suite] };
    let mut provider = aws_lc_rs::default_provider();
    provider.cipher_suites.retain(|known| suites.contains(&u16::from(known.suite())));
    provider.kx_groups = vec![if setup.shake == SHAKE_13_HYBRID {
        aws_lc_rs::kx_group::X25519MLKEM768
    } else {
        aws_lc_rs::kx_group::X25519
    }];
    Arc::new(provider)
}

unsafe extern "C" fn world_new(setup: *const Setup) -> *mut World {
    let setup = &*setup;
    let cert = &*setup.cert;
    let versions = if setup.shake == SHAKE_12 { &[&version::TLS12] } else { &[&version::TLS13] };
    let chain = vec![CertificateDer::from_pem_slice(bytes(cert.cert_pem, cert.cert_len)).expect("certificate")];
    let key = PrivateKeyDer::from_pem_slice(bytes(cert.key_pem, cert.key_len)).expect("key");
    let mut server = ServerConfig::builder_with_provider(provider(setup))
        .with_protocol_versions(versions)
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .expect("certificate");
    let resumes = setup.shake == SHAKE_13_RESUMED;
    server.send_tls13_tickets = resumes.into();
    server.session_storage = Arc::new(NoServerSessionStorage {});
    if resumes {
        server.ticketer = aws_lc_rs::Ticketer::new().expect("ticketer");
    }
    let mut anchors = RootCertStore::empty();
    let anchor = CertificateDer::from_pem_slice(bytes(setup.anchor_pem, setup.anchor_len)).expect("anchor");
    anchors.add(anchor).expect("anchor");
    let mut client = ClientConfig::builder_with_provider(provider(setup))
        .with_protocol_versions(versions)
        .expect("versions")
        .with_root_certificates(anchors)
        .with_no_client_auth();
    client.resumption = if resumes { Resumption::in_memory_sessions(8) } else { Resumption::disabled() };
    let message = (0..MESSAGE_MAX).map(|i| (i % 64 * 7 + 3) as u8).collect();
    Box::into_raw(Box::new(World { server: Arc::new(server), client: Arc::new(client), message, resumes, again: Cell::new(false) }))
}

unsafe extern "C" fn world_free(world: *mut World) {
    drop(Box::from_raw(world));
}

unsafe extern "C" fn end_new<E: End>(world: *mut World, side: u32, incoming: *mut CWire, outgoing: *mut CWire) -> *mut () {
    let end = E::new(&*world, side == SERVER, Wires { incoming, outgoing });
    Box::into_raw(Box::new(Held { world, end })).cast()
}

unsafe extern "C" fn progress<E: End>(end: *mut (), _want: usize) {
    (*end.cast::<Held<E>>()).end.progress();
}

unsafe extern "C" fn established<E: End>(end: *const ()) -> bool {
    (*end.cast::<Held<E>>()).end.established()
}

unsafe extern "C" fn send<E: End>(end: *mut (), _way: u32, len: usize, n: u32) {
    let held = &mut *end.cast::<Held<E>>();
    held.end.send(&(&(*held.world).message)[..len], n);
}

unsafe extern "C" fn received<E: End>(end: *const ()) -> usize {
    (*end.cast::<Held<E>>()).end.received()
}

unsafe extern "C" fn end_free<E: End>(end: *mut ()) {
    drop(Box::from_raw(end.cast::<Held<E>>()));
}
