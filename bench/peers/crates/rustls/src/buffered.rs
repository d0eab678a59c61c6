// SPDX-License-Identifier: Apache-2.0
//! rustls by the interface that most programs use: it has buffers of its own, and does its I/O by io::Read and io::Write.
use std::io::{self, Read, Write};

use rustls::pki_types::ServerName;
use rustls::{ClientConnection, Connection, HandshakeKind, ServerConnection};

use crate::rig::{check_kind, Arrived, End, Wires, World};

struct Network(Wires);

impl Read for Network {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        match self.0.get(out) {
            0 => Err(io::ErrorKind::WouldBlock.into()),
            len => Ok(len),
        }
    }
}

impl Write for Network {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.0.put(data);
        Ok(data.len())
    }

    fn write_vectored(&mut self, slices: &[io::IoSlice<'_>]) -> io::Result<usize> {
        slices.iter().for_each(|slice| self.0.put(slice));
        Ok(slices.iter().map(|slice| slice.len()).sum())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

pub struct Conn {
    conn: Connection,
    network: Network,
    arrived: Arrived,
    kind: Option<HandshakeKind>, // that it has to be; None: nobody minds, or it was seen
}

impl Conn {
    fn send_pending(&mut self) {
        while self.conn.wants_write() {
            self.conn.write_tls(&mut self.network).expect("write_tls");
        }
    }

    fn read_plaintext(&mut self, mut len: usize) {
        let mut plaintext = [0u8; 16384];
        while len > 0 {
            let n = self.conn.reader().read(&mut plaintext).expect("read");
            self.arrived.take(&plaintext[..n]);
            len -= n;
        }
    }
}

impl End for Conn {
    const LIBRARY_LEN: usize = size_of::<Connection>();

    fn new(world: &World, server: bool, wires: Wires) -> Self {
        let mut conn: Connection = if server {
            ServerConnection::new(world.server.clone()).expect("server").into()
        } else {
            let name = ServerName::try_from("localhost").unwrap();
            ClientConnection::new(world.client.clone(), name).expect("client").into()
        };
        conn.set_buffer_limit(None);
        let kind = if server { None } else { world.kind() };
        Conn { conn, network: Network(wires), arrived: Arrived::default(), kind }
    }

    fn progress(&mut self) {
        while self.network.0.pending() > 0 {
            self.conn.read_tls(&mut self.network).expect("read_tls");
            let state = self.conn.process_new_packets().expect("what arrived");
            self.read_plaintext(state.plaintext_bytes_to_read());
        }
        if self.kind.is_some() && !self.conn.is_handshaking() {
            check_kind(self.kind.take(), &self.conn);
        }
        self.send_pending();
    }

    fn established(&self) -> bool {
        !self.conn.is_handshaking()
    }

    fn send(&mut self, message: &[u8], n: u32) {
        for _ in 0..n {
            self.conn.writer().write_all(message).expect("write");
        }
        self.send_pending();
    }

    fn received(&self) -> usize {
        self.arrived.0
    }
}
