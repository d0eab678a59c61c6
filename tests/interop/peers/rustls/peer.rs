// SPDX-License-Identifier: Apache-2.0
//! A TLS client or server on rustls for the interoperability tests. Of a client stdin goes to the peer and the peer to
//! stdout, and the end of stdin is passed on as close_notify; a server plays one part for one connection, or two. The
//! last line of stderr is a JSON report. Options are pairs "--name value".
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::WebPkiServerVerifier;
use rustls::crypto::aws_lc_rs::{self, cipher_suite};
use rustls::crypto::{hash, CryptoProvider};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConfig, ClientConnection, Connection, DigitallySignedStruct, RootCertStore, ServerConfig};
use rustls::{ServerConnection, SignatureScheme, SupportedProtocolVersion};
use std::collections::HashMap;
use std::error::Error;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{sync_channel, Receiver, SyncSender};
use std::sync::Arc;

type Result<T> = std::result::Result<T, Box<dyn Error>>;
type Options = HashMap<String, String>;

const BLOCK: usize = 1 << 16;
static STAPLED: AtomicBool = AtomicBool::new(false);

/// Notes whether there was an OCSP response, which rustls hands on to whoever verifies.
#[derive(Debug)]
struct Noting(Arc<WebPkiServerVerifier>);

impl ServerCertVerifier for Noting {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> std::result::Result<ServerCertVerified, rustls::Error> {
        STAPLED.store(!ocsp.is_empty(), Ordering::Relaxed);
        self.0.verify_server_cert(leaf, others, name, ocsp, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, rustls::Error> {
        self.0.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, rustls::Error> {
        self.0.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }
}

// --- the configuration ---

/// With the suite and the groups that were asked for, in that order.
fn provider(options: &Options) -> Arc<CryptoProvider> {
    let mut made = aws_lc_rs::default_provider();
    if let Some(wanted) = options.get("suites") {
        made.cipher_suites
            .retain(|suite| &suite_name(&format!("{:?}", suite.suite())) == wanted);
    }
    if let Some(wanted) = options.get("groups") {
        made.kx_groups = wanted
            .split(',')
            .map(|group| match group {
                "p256" => aws_lc_rs::kx_group::SECP256R1,
                "p384" => aws_lc_rs::kx_group::SECP384R1,
                "hybrid" => aws_lc_rs::kx_group::X25519MLKEM768,
                _ => aws_lc_rs::kx_group::X25519,
            })
            .collect();
    }
    Arc::new(made)
}

fn suite_name(told: &str) -> String {
    told.replace("TLS13_", "TLS_")
}

fn versions(options: &Options) -> [&'static SupportedProtocolVersion; 1] {
    match options["version"].as_str() {
        "1.2" => [&rustls::version::TLS12],
        _ => [&rustls::version::TLS13],
    }
}

fn roots(options: &Options) -> Result<Arc<RootCertStore>> {
    let mut store = RootCertStore::empty();
    for cert in CertificateDer::pem_file_iter(&options["ca"])? {
        store.add(cert?)?;
    }
    Ok(Arc::new(store))
}

fn identity(options: &Options) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)> {
    let chain: std::result::Result<Vec<_>, _> = CertificateDer::pem_file_iter(&options["cert"])?.collect();
    Ok((chain?, PrivateKeyDer::from_pem_file(&options["key"])?))
}

fn alpn(options: &Options) -> Vec<Vec<u8>> {
    options.get("alpn").map_or(Vec::new(), |list| {
        list.split(',').map(|name| name.as_bytes().to_vec()).collect()
    })
}

fn client_config(options: &Options) -> Result<Arc<ClientConfig>> {
    let provider = provider(options);
    let inner = WebPkiServerVerifier::builder_with_provider(roots(options)?, provider.clone()).build()?;
    let builder = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&versions(options))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Noting(inner)));
    let mut config = if options.contains_key("cert") {
        let (chain, key) = identity(options)?;
        builder.with_client_auth_cert(chain, key)?
    } else {
        builder.with_no_client_auth()
    };
    config.alpn_protocols = alpn(options);
    Ok(Arc::new(config))
}

fn server_config(options: &Options) -> Result<Arc<ServerConfig>> {
    let provider = provider(options);
    let builder = ServerConfig::builder_with_provider(provider.clone()).with_protocol_versions(&versions(options))?;
    let builder = match options.get("client-auth").map(String::as_str) {
        None => builder.with_no_client_auth(),
        Some(how) => {
            let verifier = WebPkiClientVerifier::builder_with_provider(roots(options)?, provider);
            let verifier = if how == "optional" {
                verifier.allow_unauthenticated()
            } else {
                verifier
            };
            builder.with_client_cert_verifier(verifier.build()?)
        }
    };
    let (chain, key) = identity(options)?;
    let staple = options.get("staple").map_or(Ok(Vec::new()), std::fs::read)?;
    let mut config = builder.with_single_cert_with_ocsp(chain, key, staple)?;
    config.alpn_protocols = alpn(options);
    config.ticketer = aws_lc_rs::Ticketer::new()?;
    Ok(Arc::new(config))
}

// --- a connection ---

enum Event {
    Tcp(Vec<u8>),
    Stdin(Vec<u8>),
}

fn watch(mut source: impl Read + Send + 'static, to: SyncSender<Event>, wrap: fn(Vec<u8>) -> Event) {
    std::thread::spawn(move || loop {
        let mut block = vec![0; BLOCK];
        let n = source.read(&mut block).unwrap_or(0);
        block.truncate(n);
        if to.send(wrap(block)).is_err() || n == 0 {
            return;
        }
    });
}

struct Session {
    tls: Connection,
    tcp: TcpStream,
    events: Receiver<Event>,
    sender: SyncSender<Event>,
    hash: Box<dyn hash::Context>,
    bytes: usize,
    heard_data: Vec<u8>,
    said: bool,
    heard: bool,
}

impl Session {
    fn new(tls: Connection, tcp: TcpStream) -> Result<Session> {
        let (sender, events) = sync_channel(4);
        watch(tcp.try_clone()?, sender.clone(), Event::Tcp);
        let suite = cipher_suite::TLS13_AES_128_GCM_SHA256.tls13().ok_or("no SHA-256")?;
        let hash = suite.common.hash_provider.start();
        let mut session = Session {
            tls,
            tcp,
            events,
            sender,
            hash,
            bytes: 0,
            heard_data: Vec::new(),
            said: false,
            heard: false,
        };
        session.tls.set_buffer_limit(None);
        session.flush()?;
        while session.tls.is_handshaking() {
            session.wait()?;
        }
        Ok(session)
    }

    fn flush(&mut self) -> Result<()> {
        while self.tls.wants_write() {
            self.tls.write_tls(&mut self.tcp)?;
        }
        Ok(())
    }

    /// Takes what comes next; returns what came from stdin.
    fn wait(&mut self) -> Result<Option<Vec<u8>>> {
        match self.events.recv()? {
            Event::Stdin(data) => return Ok(Some(data)),
            Event::Tcp(data) if data.is_empty() && !self.heard => return Err("TCP ended without close_notify".into()),
            Event::Tcp(data) => {
                let mut left = data.as_slice();
                while !left.is_empty() && !self.heard {
                    self.tls.read_tls(&mut left)?;
                    match self.tls.process_new_packets() {
                        Ok(state) => self.heard = state.peer_has_closed(),
                        Err(error) => return Err(self.refuse(error)),
                    }
                    self.keep();
                }
            }
        }
        self.flush()?;
        Ok(None)
    }

    /// The alert must not be lost in a reset.
    fn refuse(&mut self, error: rustls::Error) -> Box<dyn Error> {
        let _ = self.flush();
        let _ = self.tcp.shutdown(Shutdown::Write);
        while matches!(self.events.recv(), Ok(Event::Tcp(data)) if !data.is_empty()) {}
        format!("{error} {error:?}").into()
    }

    /// rustls has room for little that was not read.
    fn keep(&mut self) {
        let mut block = [0; BLOCK];
        while let Ok(n @ 1..) = self.tls.reader().read(&mut block) {
            self.hash.update(&block[..n]);
            self.bytes += n;
            self.heard_data.extend_from_slice(&block[..n]);
        }
    }

    fn take(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.heard_data)
    }

    fn say(&mut self, data: &[u8]) -> Result<()> {
        self.tls.writer().write_all(data)?;
        self.flush()
    }

    fn close(&mut self) -> Result<()> {
        self.said = true;
        self.tls.send_close_notify();
        self.flush()
    }

    fn sha256(&self) -> String {
        self.hash
            .fork_finish()
            .as_ref()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect()
    }

    /// Whether it is a command, a line that is k or K: rustls always asks for the other side's new keys, too.
    fn command(&mut self, data: &[u8], options: &Options) -> Result<bool> {
        let is = options.contains_key("keyupdate") && (data == b"k\n" || data == b"K\n");
        if is {
            self.tls.refresh_traffic_keys()?;
            self.flush()?;
            eprintln!("KEYUPDATE");
        }
        Ok(is)
    }

    fn pump(&mut self, options: &Options) -> Result<()> {
        watch(std::io::stdin(), self.sender.clone(), Event::Stdin);
        let mut stdout = std::io::stdout();
        loop {
            let data = self.take();
            stdout.write_all(&data)?;
            stdout.flush()?;
            if self.said && self.heard {
                return Ok(());
            }
            match self.wait()? {
                Some(data) if data.is_empty() => self.close()?,
                Some(data) if !self.command(&data, options)? => self.say(&data)?,
                _ => (),
            }
        }
    }

    fn rest(&mut self, echo: bool) -> Result<()> {
        loop {
            let data = self.take();
            if echo {
                self.say(&data)?;
            }
            if self.heard {
                return Ok(());
            }
            self.wait()?;
        }
    }

    fn play(&mut self, part: &str, options: &Options) -> Result<()> {
        match part {
            "pump" => return self.pump(options),
            "page" => {
                self.say(b"GET / HTTP/1.1\r\nHost: milgi.test\r\nConnection: close\r\n\r\n")?;
                self.rest(false)?;
            }
            "collect" => {
                self.rest(false)?;
                self.say(format!("collected {} {}\n", self.bytes, self.sha256()).as_bytes())?;
            }
            "greet" => {
                self.say(b"greetings\n")?;
                self.close()?;
                return self.rest(false);
            }
            _ => self.rest(true)?,
        }
        self.close()
    }

    fn report(&self) -> String {
        let name = |text: String| text.replace('"', "");
        let suite = self
            .tls
            .negotiated_cipher_suite()
            .map_or(String::new(), |suite| format!("{:?}", suite.suite()));
        let group = self
            .tls
            .negotiated_key_exchange_group()
            .map_or(String::new(), |group| format!("{:?}", group.name()));
        let client = self.tls.peer_certificates().map_or(String::new(), |chain| {
            chain[0]
                .iter()
                .filter(|byte| byte.is_ascii_alphanumeric())
                .map(|&byte| byte as char)
                .collect()
        });
        let alpn = self
            .tls
            .alpn_protocol()
            .map_or(String::new(), |name| String::from_utf8_lossy(name).into_owned());
        format!(
            "\"protocol\":\"{:?}\",\"suite\":\"{}\",\"group\":\"{}\",\"alpn\":\"{}\",\"client\":\"{}\",\"kind\":\"{:?}\",\
             \"staple\":{},\"bytes\":{},\"sha256\":\"{}\"",
            self.tls.protocol_version(),
            suite_name(&suite),
            group,
            name(alpn),
            client,
            self.tls.handshake_kind(),
            STAPLED.load(Ordering::Relaxed),
            self.bytes,
            self.sha256()
        )
    }
}

fn converse(tls: Connection, tcp: TcpStream, part: &str, options: &Options) -> Result<String> {
    let mut session = Session::new(tls, tcp)?;
    session.play(part, options)?;
    let report = session.report();
    session.tcp.shutdown(Shutdown::Write)?;
    Ok(report)
}

fn client(options: &Options) -> Result<String> {
    let config = client_config(options)?;
    let begin = || -> Result<(Connection, TcpStream)> {
        let name = ServerName::try_from(options["name"].clone())?;
        Ok((
            ClientConnection::new(config.clone(), name)?.into(),
            TcpStream::connect(&options["connect"])?,
        ))
    };
    if options.contains_key("again") {
        let (tls, tcp) = begin()?;
        converse(tls, tcp, "page", options)?;
    }
    let (tls, tcp) = begin()?;
    converse(tls, tcp, "pump", options)
}

fn server(options: &Options) -> Result<String> {
    let config = server_config(options)?;
    let listener = TcpListener::bind("127.0.0.1:0")?;
    println!("listening on {}", listener.local_addr()?);
    let mut report = String::new();
    for _ in 0..options.get("connections").map_or(Ok(1), |n| n.parse())? {
        let tls = ServerConnection::new(config.clone())?;
        report = converse(
            tls.into(),
            listener.accept()?.0,
            options.get("part").map_or("echo", String::as_str),
            options,
        )?;
    }
    Ok(report)
}

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let options: Options = words
        .chunks_exact(2)
        .map(|pair| (pair[0][2..].to_string(), pair[1].clone()))
        .collect();
    let (report, status) = match if options.contains_key("connect") {
        client(&options)
    } else {
        server(&options)
    } {
        Ok(report) => (report, 0),
        Err(error) => (
            format!("\"error\":\"{}\"", error.to_string().replace(['"', '\\', '\n'], " ")),
            1,
        ),
    };
    eprintln!("\nPEER {{{report}}}");
    std::process::exit(status);
}
