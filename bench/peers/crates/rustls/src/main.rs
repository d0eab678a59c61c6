// SPDX-License-Identifier: Apache-2.0
//! rustls with aws-lc-rs as a peer, by both of its interfaces.
mod buffered;
mod rig;
mod unbuffered;

include!("../../start.rs");

/// Name and version; the rig prints it.
#[no_mangle]
pub extern "C" fn peer_version() -> *const std::ffi::c_char {
    concat!(env!("PEER_VERSION"), "\0").as_ptr().cast()
}

#[no_mangle]
pub static peer_own_mallocs: Option<extern "C" fn() -> u64> = None;

#[no_mangle]
pub static peers: [rig::Peer; 3] = [
    rig::Peer::new(c"buffered", &rig::Of::<buffered::Conn>::SUBJECT),
    rig::Peer::new(c"unbuffered", &rig::Of::<unbuffered::Conn>::SUBJECT),
    rig::Peer::LAST,
];
