// SPDX-License-Identifier: Apache-2.0
//! rustls by the interface in which its host has the buffers: records are opened in place, and sealed into the host's.
use std::cell::RefCell;

use rustls::client::UnbufferedClientConnection;
use rustls::pki_types::ServerName;
use rustls::server::UnbufferedServerConnection;
use rustls::unbuffered::{ConnectionState, UnbufferedStatus};
use rustls::HandshakeKind;

use crate::rig::{check_kind, Arrived, End, Wires, World};

const RECORD_ROOM: usize = 16384 + 512;
const NETWORK_ROOM: usize = 1024 * 1024;

enum Side {
    Client(UnbufferedClientConnection),
    Server(UnbufferedServerConnection),
}

pub struct Conn {
    side: Side,
    wires: Wires,
    kept: Vec<u8>, // what was received and is not used up
    arrived: Arrived,
    established: bool,
    kind: Option<HandshakeKind>, // that it has to be; None: nobody minds, or it was seen
}

/// The buffers of a host, which it lends to the connection at work.
struct Buffers {
    incoming: Vec<u8>,
    outgoing: Vec<u8>,
}

thread_local! {
    static BUFFERS: RefCell<Buffers> = RefCell::new(Buffers { incoming: vec![0; NETWORK_ROOM], outgoing: vec![0; RECORD_ROOM] });
}

/// One state after another until there is no more to do. Returns how much of `incoming` is used up, and whether more may be.
fn step<Data>(
    status: UnbufferedStatus<'_, '_, Data>,
    wires: &mut Wires,
    arrived: &mut Arrived,
    established: &mut bool,
    room: &mut [u8],
) -> (usize, bool) {
    let mut used = status.discard;
    let mut more = true;
    match status.state.expect("what arrived") {
        ConnectionState::ReadTraffic(mut traffic) => {
            while let Some(record) = traffic.next_record() {
                let record = record.expect("record");
                used += record.discard;
                arrived.take(record.payload);
            }
        }
        ConnectionState::EncodeTlsData(mut data) => {
            let len = data.encode(room).expect("room");
            wires.put(&room[..len]);
        }
        ConnectionState::TransmitTlsData(data) => data.done(),
        ConnectionState::WriteTraffic(_) => {
            *established = true;
            more = false;
        }
        _ => more = false,
    }
    (used, more)
}

fn seal<Data>(status: UnbufferedStatus<'_, '_, Data>, wires: &mut Wires, message: &[u8], n: u32, room: &mut [u8]) {
    let ConnectionState::WriteTraffic(mut traffic) = status.state.expect("state") else {
        panic!("nothing can be sent")
    };
    for _ in 0..n {
        let len = traffic.encrypt(message, room).expect("room");
        wires.put(&room[..len]);
    }
}

impl Conn {
    fn progress_in(&mut self, buffers: &mut Buffers) {
        let kept = self.kept.len();
        buffers.incoming[..kept].copy_from_slice(&self.kept);
        let len = kept + self.wires.get(&mut buffers.incoming[kept..]);
        let mut at = 0;
        loop {
            let data = &mut buffers.incoming[at..len];
            let room = &mut buffers.outgoing[..];
            let (wires, arrived, established) = (&mut self.wires, &mut self.arrived, &mut self.established);
            let (used, more) = match &mut self.side {
                Side::Client(conn) => step(conn.process_tls_records(data), wires, arrived, established, room),
                Side::Server(conn) => step(conn.process_tls_records(data), wires, arrived, established, room),
            };
            at += used;
            if !more {
                break;
            }
        }
        self.kept = buffers.incoming[at..len].to_vec();
        if let (true, Side::Client(conn)) = (self.established && self.kind.is_some(), &self.side) {
            check_kind(self.kind.take(), conn);
        }
    }
}

impl End for Conn {
    const LIBRARY_LEN: usize = size_of::<Side>();

    fn new(world: &World, server: bool, wires: Wires) -> Self {
        let side = if server {
            Side::Server(UnbufferedServerConnection::new(world.server.clone()).expect("server"))
        } else {
            let name = ServerName::try_from("localhost").unwrap();
            Side::Client(UnbufferedClientConnection::new(world.client.clone(), name).expect("client"))
        };
        Conn { side, wires, kept: Vec::new(), arrived: Arrived::default(), established: false, kind: if server { None } else { world.kind() } }
    }

    fn progress(&mut self) {
        BUFFERS.with_borrow_mut(|buffers| self.progress_in(buffers));
    }

    fn established(&self) -> bool {
        self.established
    }

    fn send(&mut self, message: &[u8], n: u32) {
        BUFFERS.with_borrow_mut(|buffers| match &mut self.side {
            Side::Client(conn) => {
                seal(conn.process_tls_records(&mut []), &mut self.wires, message, n, &mut buffers.outgoing)
            }
            Side::Server(conn) => {
                seal(conn.process_tls_records(&mut []), &mut self.wires, message, n, &mut buffers.outgoing)
            }
        });
    }

    fn received(&self) -> usize {
        self.arrived.0
    }
}
