// SPDX-License-Identifier: Apache-2.0
//! tokio-rustls at the other end, in both roles and versions: the same code for both makers' streams.
#[path = "../../../../adapters/rust/milgi/tests/rig/mod.rs"]
mod rig;

use std::io;
use std::sync::Arc;

use milgi::{ClientAuth, Engine};
use rig::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{version, ClientConfig, RootCertStore, ServerConfig, SupportedProtocolVersion};
use tokio_rustls::{TlsAcceptor, TlsConnector};

const VERSIONS: [(u16, &SupportedProtocolVersion); 2] = [(0x0303, &version::TLS12), (0x0304, &version::TLS13)];

fn chain(name: &str) -> Vec<CertificateDer<'static>> {
    let path = certificates().join(format!("{}.pem", name));
    CertificateDer::pem_file_iter(path).unwrap().map(Result::unwrap).collect()
}

fn key(name: &str) -> PrivateKeyDer<'static> {
    PrivateKeyDer::from_pem_file(certificates().join(format!("{}.key", name))).unwrap()
}

fn roots(name: &str) -> Arc<RootCertStore> {
    let mut roots = RootCertStore::empty();
    roots.add(chain(name).remove(0)).unwrap();
    Arc::new(roots)
}

fn their_client(version: &'static SupportedProtocolVersion) -> TlsConnector {
    let builder = ClientConfig::builder_with_protocol_versions(&[version]).with_root_certificates(roots("cert"));
    let mut config = builder.with_client_auth_cert(chain("other"), key("other")).unwrap();
    config.alpn_protocols = vec![b"h2".to_vec()];
    TlsConnector::from(Arc::new(config))
}

fn their_server(version: &'static SupportedProtocolVersion) -> TlsAcceptor {
    let verifier = WebPkiClientVerifier::builder(roots("other")).build().unwrap();
    let builder = ServerConfig::builder_with_protocol_versions(&[version]).with_client_cert_verifier(verifier);
    let mut config = builder.with_single_cert(chain("cert"), key("cert")).unwrap();
    config.alpn_protocols = vec![b"h2".to_vec()];
    TlsAcceptor::from(Arc::new(config))
}

fn our_client(version: u16) -> milgi::ClientConfig {
    client().credential(&credential("other")).alpn(&[b"h2"]).versions(version, version).build().unwrap()
}

fn our_server(version: u16) -> milgi::ServerConfig {
    let server = server().trust(&trust("other")).client_auth(ClientAuth::Required).alpn(&[b"h2"]);
    server.versions(version, version).build().unwrap()
}

#[test]
fn our_client_meets_their_server() {
    run_threads(async {
        for options in devices() {
            let engine = Engine::spawn(options).unwrap();
            for (number, version) in VERSIONS {
                let (a, b) = tcp().await;
                let ours = milgi::TlsConnector::new(our_client(number), &engine);
                let (ours, theirs) = both(ours.connect("localhost", a), their_server(version).accept(b)).await;
                let (ours, theirs) = (ours.unwrap(), theirs.unwrap());
                assert_eq!((ours.info().version, ours.alpn_protocol()), (number, Some(&b"h2"[..])));
                let len = asked("MILGI_TESTS_ECHO", 1_000_000);
                let echoing = tokio::spawn(echo(theirs));
                assert_eq!(talk(ours, len).await, len);
                echoing.await.unwrap().unwrap();
            }
        }
    });
}

#[test]
fn their_client_meets_our_server() {
    run_threads(async {
        for options in devices() {
            let engine = Engine::spawn(options).unwrap();
            for (number, version) in VERSIONS {
                let (a, b) = tcp().await;
                let ours = milgi::TlsAcceptor::new(our_server(number), &engine);
                let name = ServerName::try_from("localhost").unwrap();
                let (theirs, ours) = both(their_client(version).connect(name, a), ours.accept(b)).await;
                let (theirs, ours) = (theirs.unwrap(), ours.unwrap());
                assert!(ours.info().peer_authenticated && ours.info().peer_certificates == [chain("other")[0].to_vec()]);
                let len = asked("MILGI_TESTS_ECHO", 1_000_000);
                let echoing = tokio::spawn(echo(ours));
                assert_eq!(talk(theirs, len).await, len);
                echoing.await.unwrap().unwrap();
            }
        }
    });
}

/// Sends first and hears then, or the reverse.
async fn half<S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin>(mut s: S, first: bool) {
    if first {
        send(&mut s, 100_000).await.unwrap();
    }
    assert_eq!(receive(&mut s).await.unwrap(), if first { 300_000 } else { 100_000 });
    if !first {
        send(&mut s, 300_000).await.unwrap();
    }
}

#[test]
fn either_may_end_first() {
    run_threads(async {
        for options in devices() {
            let engine = Engine::spawn(options).unwrap();
            for (number, version) in VERSIONS {
                for (client, first) in [(true, true), (true, false), (false, true), (false, false)] {
                    let (a, b) = tcp().await;
                    if client {
                        let ours = milgi::TlsConnector::new(our_client(number), &engine);
                        let (ours, theirs) = both(ours.connect("localhost", a), their_server(version).accept(b)).await;
                        both(half(ours.unwrap(), first), half(theirs.unwrap(), !first)).await;
                    } else {
                        let ours = milgi::TlsAcceptor::new(our_server(number), &engine);
                        let name = ServerName::try_from("localhost").unwrap();
                        let (theirs, ours) = both(their_client(version).connect(name, a), ours.accept(b)).await;
                        both(half(ours.unwrap(), first), half(theirs.unwrap(), !first)).await;
                    }
                }
            }
        }
    });
}

#[test]
fn an_end_without_close_notify_is_none_for_either() {
    run_threads(async {
        let engine = Engine::spawn(milgi::Options::new()).unwrap();
        for cut_by_us in [true, false] {
            let (a, b) = tcp().await;
            let ours = milgi::TlsConnector::new(our_client(0x0304), &engine);
            let (ours, theirs) = both(ours.connect("localhost", a), their_server(&version::TLS13).accept(b)).await;
            let (mut ours, mut theirs) = (ours.unwrap(), theirs.unwrap());
            let mut one = [0];
            ours.write_all(b"x").await.unwrap();
            ours.flush().await.unwrap();
            theirs.read_exact(&mut one).await.unwrap();
            let e = if cut_by_us {
                drop(ours);
                theirs.read(&mut one).await.unwrap_err()
            } else {
                drop(theirs);
                ours.read(&mut one).await.unwrap_err()
            };
            assert!(matches!(e.kind(), io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset), "{}", e);
        }
    });
}
