// SPDX-License-Identifier: Apache-2.0
//! Streams over TCP, client and server, in one thread and in several. MILGI_TESTS_ECHO bytes go each way,
//! MILGI_TESTS_CROWD connections are there at once, MILGI_TESTS_DEVICES are tried.
mod rig;

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::Arc;
use std::time::Duration;

use milgi::{sys, ClientAuth, ClientHello, CrlCheck, Engine, Options, ResolvesCredential, Resolving, SessionCache, TicketKeys};
use milgi::{TlsAcceptor, TlsConnector, TlsStream};
use rig::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

// --- both ways -----------------------------------------------------------------------------------------------------------

#[test]
fn echoes_in_one_thread_on_every_device() {
    for options in devices() {
        run(async {
            let engine = Engine::spawn_local(options).unwrap();
            let (a, b) = pair(&engine).await;
            let len = asked("MILGI_TESTS_ECHO", 400_000);
            let (got, echoed) = both(talk(a, len), echo(b)).await;
            echoed.unwrap();
            assert_eq!(got, len);
        });
    }
}

#[test]
fn echoes_between_threads_on_every_device() {
    for options in devices() {
        run_threads(async {
            let engine = Engine::spawn(options).unwrap();
            let (a, b) = pair(&engine).await;
            let len = asked("MILGI_TESTS_ECHO", 400_000);
            let echoing = tokio::spawn(echo(b));
            assert_eq!(tokio::spawn(talk(a, len)).await.unwrap(), len);
            echoing.await.unwrap().unwrap();
        });
    }
}

#[test]
fn a_crowd_is_served() {
    for options in devices() {
        run_threads(async {
            let engine = Engine::spawn(options).unwrap();
            let (n, mut streams, mut tasks) = (asked("MILGI_TESTS_CROWD", 20), Vec::new(), Vec::new());
            while streams.len() < n {
                // Not all handshakes at once: none may take too long, however busy the machine is.
                let making = (streams.len()..n).take(50).map(|_| {
                    let engine = engine.clone();
                    tokio::spawn(async move { pair(&engine).await })
                });
                for made in making.collect::<Vec<_>>() {
                    streams.push(made.await.unwrap());
                }
            }
            for (a, b) in streams {
                tasks.push(tokio::spawn(async move {
                    let echoing = tokio::spawn(echo(b));
                    assert_eq!(talk(a, 20_000).await, 20_000);
                    echoing.await.unwrap().unwrap();
                }));
            }
            for task in tasks {
                task.await.unwrap();
            }
        });
    }
}

#[test]
fn who_is_slow_is_waited_for() {
    for options in devices() {
        run_threads(async {
            let engine = Engine::spawn(options).unwrap();
            for (piece, pause_of_reader, pause_of_writer) in [(4096, 1, 0), (300, 0, 1)] {
                let (a, b) = pair(&engine).await;
                let echoing = tokio::spawn(echo(b));
                let len = 40 * piece;
                let (mut reader, mut writer) = tokio::io::split(a);
                let writing = async {
                    for at in (0..len).step_by(piece) {
                        let block: Vec<u8> = (at..at + piece).map(pattern).collect();
                        writer.write_all(&block).await.unwrap();
                        writer.flush().await.unwrap();
                        tokio::time::sleep(Duration::from_millis(pause_of_writer)).await;
                    }
                    writer.shutdown().await.unwrap();
                };
                let reading = async {
                    let (mut block, mut at) = (vec![0; piece], 0);
                    loop {
                        let n = reader.read(&mut block).await.unwrap();
                        if n == 0 {
                            return at;
                        }
                        assert!(block[..n].iter().enumerate().all(|(i, byte)| *byte == pattern(at + i)));
                        at += n;
                        tokio::time::sleep(Duration::from_millis(pause_of_reader)).await;
                    }
                };
                assert_eq!(both(writing, reading).await.1, len);
                echoing.await.unwrap().unwrap();
            }
        });
    }
}

#[test]
fn the_process_has_an_engine_of_its_own() {
    run_threads(async {
        let (a, b) = tcp().await;
        let (client, server) = (client().build().unwrap(), server().build().unwrap());
        let (client, server) = (TlsConnector::from(client), TlsAcceptor::from(server));
        let (a, b) = both(client.connect("localhost", a), server.accept(b)).await;
        let (got, echoed) = both(talk(a.unwrap(), 10_000), echo(b.unwrap())).await;
        echoed.unwrap();
        assert_eq!(got, 10_000);
    });
}

// --- backpressure ----------------------------------------------------------------------------------------------------------

#[test]
fn who_does_not_read_is_sent_no_more() {
    run(async {
        let engine = Engine::spawn_local(Options::new()).unwrap();
        let (mut a, mut b) = pair(&engine).await;
        let block = vec![7; 10_000];
        let mut taken = 0;
        while let Ok(n) = tokio::time::timeout(Duration::from_millis(500), a.write(&block)).await {
            taken += n.unwrap();
            assert!(taken < 64 << 20, "it takes whatever it is given");
        }
        let writing = async {
            a.write_all(&block).await.unwrap();
            a.shutdown().await.unwrap();
        };
        let reading = async {
            let mut got = Vec::new();
            b.read_to_end(&mut got).await.unwrap();
            got.len()
        };
        assert_eq!(both(writing, reading).await.1, taken + block.len());
    });
}

#[test]
fn small_memory_is_enough_for_many() {
    run(async {
        let engine = Engine::spawn_local(Options::new().memory_limit(512 << 10)).unwrap();
        let mut tasks = Vec::new();
        for _ in 0..8 {
            let (a, b) = pair(&engine).await;
            tasks.push(tokio::task::spawn_local(echo(b)));
            tasks.push(tokio::task::spawn_local(async {
                assert_eq!(talk(a, 200_000).await, 200_000);
                Ok(())
            }));
        }
        for task in tasks {
            task.await.unwrap().unwrap();
        }
    });
}

// --- ends ------------------------------------------------------------------------------------------------------------------

#[test]
fn one_direction_ends_before_the_other() {
    for options in devices() {
        run(async {
            let engine = Engine::spawn_local(options).unwrap();
            for client_first in [true, false] {
                let (mut a, mut b) = pair(&engine).await;
                if !client_first {
                    std::mem::swap(&mut a, &mut b);
                }
                let first = async {
                    send(&mut a, 100_000).await.unwrap();
                    assert!(a.write(b"more").await.is_err());
                    assert_eq!(receive(&mut a).await.unwrap(), 300_000);
                };
                let second = async {
                    assert_eq!(receive(&mut b).await.unwrap(), 100_000);
                    send(&mut b, 300_000).await.unwrap();
                };
                both(first, second).await;
            }
        });
    }
}

#[test]
fn an_end_without_close_notify_is_none() {
    run(async {
        let engine = Engine::spawn_local(Options::new()).unwrap();
        let (mut a, b) = pair(&engine).await;
        drop(b);
        let e = a.read(&mut [0; 10]).await.unwrap_err();
        assert_eq!(e.kind(), io::ErrorKind::UnexpectedEof);
        assert_eq!(why(&e).code(), sys::MILGI_ETRUNCATED);
        assert!(a.write_all(b"x").await.is_err());
    });
}

#[test]
fn what_was_flushed_is_with_the_peer() {
    run(async {
        let engine = Engine::spawn_local(Options::new().device("pool:2")).unwrap();
        for len in [1, 100, 16384, 70_000] {
            let (mut a, mut b) = pair(&engine).await;
            let mut got = vec![0; len];
            let writing = async {
                a.write_all(&vec![1; len]).await.unwrap();
                a.flush().await.unwrap();
            };
            both(writing, b.read_exact(&mut got)).await.1.unwrap();
            drop(a);
            assert!(b.read(&mut got).await.is_err());
        }
    });
}

async fn over_duplex(engine: &Engine) -> (TlsStream<DuplexStream>, TlsStream<DuplexStream>) {
    let (a, b) = tokio::io::duplex(4000);
    let client = TlsConnector::new(client().build().unwrap(), engine);
    let server = TlsAcceptor::new(server().build().unwrap(), engine);
    let (a, b) = both(client.connect("localhost", a), server.accept(b)).await;
    (a.unwrap(), b.unwrap())
}

/// Each half in a task of its own, over a transport that remembers one task; and where nobody asks but who flushes.
#[test]
fn who_flushes_is_not_forgotten_when_the_other_half_asks() {
    run(async {
        let engine = Engine::spawn_local(Options::new()).unwrap();
        for other_asks in [true, false] {
            let (a, mut b) = over_duplex(&engine).await;
            let (mut reader, mut writer) = tokio::io::split(a);
            let writing = tokio::task::spawn_local(async move {
                writer.write_all(&[1; 40_000]).await.unwrap();
                writer.flush().await.unwrap();
                writer
            });
            turns().await; // the transport is full, and the writer waits for it
            let reading = tokio::task::spawn_local(async move {
                if other_asks {
                    reader.read_exact(&mut [0; 1]).await.unwrap();
                }
            });
            turns().await;
            b.read_exact(&mut [0; 40_000]).await.unwrap();
            let _writer = writing.await.unwrap();
            b.write_all(&[2]).await.unwrap();
            b.flush().await.unwrap();
            reading.await.unwrap();
        }
    });
}

/// With ops in flight, and bytes on their way: at every point of a handshake and what follows.
#[test]
fn streams_are_dropped_at_any_time() {
    drop(Engine::shared().unwrap()); // stays, whichever of the tests beside this one asks for it first
    for options in devices() {
        let before = descriptors();
        run(async {
            let engine = Engine::spawn_local(options).unwrap();
            for step in 0..24 {
                let (a, b) = tcp().await;
                let (client, server) = (client().build().unwrap(), server().build().unwrap());
                let client = TlsConnector::new(client, &engine);
                let server = TlsAcceptor::new(server, &engine);
                let serving = tokio::task::spawn_local(async move {
                    match server.accept(b).await {
                        Ok(s) => echo(s).await,
                        Err(e) => Err(e),
                    }
                });
                let doing = tokio::task::spawn_local(async move {
                    let s = client.connect("localhost", a).await.unwrap();
                    talk(s, 1_000_000_000).await
                });
                for _ in 0..step {
                    tokio::task::yield_now().await;
                }
                doing.abort();
                drop(doing.await);
                let served = serving.await.unwrap();
                assert!(served.is_err(), "step {}", step);
            }
        });
        descriptors_fall_to(before + 2);
    }
}

#[test]
fn streams_end_with_their_engine() {
    run_threads(async {
        let (engine, streams) = std::thread::spawn(|| {
            run(async {
                let (engine, driver) = Engine::new(Options::new()).unwrap();
                let driving = tokio::task::spawn_local(driver);
                let streams = pair(&engine).await;
                driving.abort();
                drop(driving.await);
                (engine, streams)
            })
        })
        .join()
        .unwrap();
        let (mut a, _b) = streams;
        let e = a.read(&mut [0; 10]).await.unwrap_err();
        assert_eq!(why(&e).detail(), "the engine has ended");
        let (x, y) = tcp().await;
        let refused = TlsConnector::new(client().build().unwrap(), &engine).connect("localhost", x).await;
        assert_eq!(why(&refused.unwrap_err()).code(), sys::MILGI_ECLOSED);
        drop(y);
    });
}

/// Nobody but the driver can tell it: the transport lives on.
#[test]
fn who_waits_hears_that_the_engine_has_ended() {
    run(async {
        let (engine, driver) = Engine::new(Options::new()).unwrap();
        let driving = tokio::task::spawn_local(driver);
        let (mut a, _b) = over_duplex(&engine).await;
        let reading = tokio::task::spawn_local(async move { a.read(&mut [0; 10]).await });
        turns().await;
        driving.abort();
        drop(driving.await);
        assert_eq!(why(&reading.await.unwrap().unwrap_err()).detail(), "the engine has ended");
    });
}

#[test]
fn an_engine_ends_behind_its_last_stream() {
    run(async {
        let (engine, driver) = Engine::new(Options::new()).unwrap();
        let driving = tokio::task::spawn_local(driver);
        let (a, b) = over_duplex(&engine).await;
        drop(engine);
        drop(a);
        turns().await;
        assert!(!driving.is_finished());
        drop(b);
        driving.await.unwrap();
    });
}

// --- errors ----------------------------------------------------------------------------------------------------------------

async fn refused(name: &str, client: milgi::ClientBuilder, server: milgi::ServerBuilder) -> (io::Error, io::Error) {
    let engine = Engine::spawn_local(Options::new()).unwrap();
    let (a, b) = handshake(&engine, client.build().unwrap(), server.build().unwrap(), name).await;
    match (a, b) {
        (Err(a), Err(b)) => (a, b),
        (Ok(mut a), Err(b)) => (a.read(&mut [0; 1]).await.unwrap_err(), b), // a client of TLS 1.3 hears of it later
        _ => panic!("not refused"),
    }
}

#[test]
fn who_is_not_trusted_is_refused_and_told_so() {
    run(async {
        let (a, b) = refused("wrong.test", client(), server()).await;
        assert_eq!((a.kind(), why(&a).code()), (io::ErrorKind::InvalidData, sys::MILGI_EVERIFY));
        assert_eq!(why(&a).alert().unwrap().to_string(), "bad_certificate");
        assert!(why(&b).alert_from_peer() && why(&b).code() == sys::MILGI_EALERT, "{}", b);

        let stranger = milgi::ClientConfig::builder().trust(&trust("other"));
        let (a, b) = refused("localhost", stranger, server()).await;
        assert!(a.to_string().contains("unknown_ca, sent"), "{}", a);
        assert!(b.to_string().contains("unknown_ca, received"), "{}", b);
    });
}

#[test]
fn a_client_without_a_certificate_is_refused() {
    run(async {
        let (a, b) = refused("localhost", client(), server().trust(&trust("other"))).await;
        assert_eq!(why(&b).alert().unwrap().to_string(), "certificate_required");
        assert!(why(&a).alert_from_peer(), "{}", a);
    });
}

#[test]
fn no_protocol_in_common_is_refused() {
    run(async {
        let (a, _) = refused("localhost", client().alpn(&[b"a"]), server().alpn(&[b"b"])).await;
        assert_eq!(why(&a).alert().unwrap().to_string(), "no_application_protocol");
    });
}

#[test]
fn rubbish_is_answered_with_an_alert() {
    run(async {
        let engine = Engine::spawn_local(Options::new()).unwrap();
        let (mut a, b) = tcp().await;
        a.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
        let server = TlsAcceptor::new(server().build().unwrap(), &engine);
        assert_eq!(why(&server.accept(b).await.unwrap_err()).code(), sys::MILGI_EPROTO);
        let mut got = Vec::new();
        drop(a.read_to_end(&mut got).await);
        assert_eq!(got[0], 21);
    });
}

#[test]
fn a_handshake_that_is_cut_is_an_end() {
    run(async {
        let engine = Engine::spawn_local(Options::new()).unwrap();
        let (mut a, b) = tcp().await;
        a.write_all(&[22, 3, 1, 2, 0, 1]).await.unwrap();
        drop(a);
        let server = TlsAcceptor::new(server().build().unwrap(), &engine);
        assert_eq!(server.accept(b).await.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    });
}

/// With |revoked| in a CRL of its own authority, which for a leaf of itself is all that there can be.
#[test]
fn keys_are_encrypted_and_certificates_taken_back() {
    let dir = certificates();
    openssl(&["ec", "-in", "cert.key", "-aes256", "-passout", "pass:sesame", "-out", "sealed.key"]);
    let (chain, key) = (std::fs::read(dir.join("cert.pem")).unwrap(), std::fs::read(dir.join("sealed.key")).unwrap());
    assert!(milgi::Credential::from_pem_encrypted(&chain, &key, b"sesame").is_ok());
    let none = milgi::Credential::from_pem(&chain, &key).unwrap_err();
    let wrong = milgi::Credential::from_pem_encrypted(&chain, &key, b"wheat").unwrap_err();
    assert!(wrong.detail().contains("passphrase") && wrong.detail() != none.detail(), "{} {}", wrong, none);

    std::fs::write(dir.join("ca.conf"), "[ca]\ndefault_ca = a\n[a]\ndatabase = index.txt\ndefault_md = sha256\n").unwrap();
    std::fs::write(dir.join("index.txt"), "").unwrap();
    let of = ["ca", "-config", "ca.conf", "-cert", "cert.pem", "-keyfile", "cert.key"];
    openssl(&[&of[..], &["-gencrl", "-crldays", "1", "-out", "good.crl"]].concat());
    openssl(&[&of[..], &["-revoke", "cert.pem"]].concat());
    openssl(&[&of[..], &["-gencrl", "-crldays", "1", "-out", "revoked.crl"]].concat());
    assert!(milgi::Trust::from_pem_with_crls(&chain, &chain, CrlCheck::All).is_err());
    for (crl, served) in [("good.crl", true), ("revoked.crl", false)] {
        let crl = std::fs::read(dir.join(crl)).unwrap();
        let trust = milgi::Trust::from_pem_with_crls(&chain, &crl, CrlCheck::Leaf).unwrap();
        run(async {
            let engine = Engine::spawn_local(Options::new()).unwrap();
            let (a, b) = tcp().await;
            let connector = TlsConnector::new(milgi::ClientConfig::builder().trust(&trust).build().unwrap(), &engine);
            let acceptor = TlsAcceptor::new(server().build().unwrap(), &engine);
            let (client, _) = both(connector.connect("localhost", a), acceptor.accept(b)).await;
            assert_eq!(client.is_ok(), served);
            if let Err(e) = client {
                assert!(e.to_string().contains("revoked"), "{}", e);
            }
        });
    }
}

#[test]
fn what_is_wrong_with_a_setting_is_said() {
    let missing = milgi::Credential::from_files("/nonexistent.pem", "/nonexistent.key").unwrap_err();
    assert_eq!(missing.code(), sys::MILGI_EFILE);
    assert!(!missing.detail().is_empty());
    let e = milgi::ServerConfig::builder().build().unwrap_err();
    assert!(e.to_string().contains("credential"), "{}", e);
    assert!(client().alpn(&[b""]).build().is_err());
    run(async {
        assert!(Engine::new(Options::new().device("no such")).is_err());
        let engine = Engine::spawn_local(Options::new()).unwrap();
        for name in ["", "a\0b"] {
            let (a, _b) = tcp().await;
            let e = TlsConnector::new(client().build().unwrap(), &engine).connect(name, a).await.unwrap_err();
            assert_eq!(e.kind(), io::ErrorKind::InvalidInput);
        }
    });
}

// --- what is negotiated ------------------------------------------------------------------------------------------------------

#[test]
fn both_know_what_was_negotiated() {
    run(async {
        let engine = Engine::spawn_local(Options::new()).unwrap();
        for version in [0x0303, 0x0304] {
            let client = client().credential(&credential("other")).alpn(&[b"h2", b"http/1.1"]).versions(version, version);
            let server = server().trust(&trust("other")).client_auth(ClientAuth::Required).alpn(&[b"http/1.1"]);
            let server = server.versions(0x0303, 0x0304).build().unwrap();
            let (a, b) = handshake(&engine, client.build().unwrap(), server, "localhost").await;
            let (a, b) = (a.unwrap(), b.unwrap());
            for s in [&a, &b] {
                assert_eq!(s.alpn_protocol(), Some(&b"http/1.1"[..]));
                assert_eq!((s.info().version, s.info().peer_certificates.len()), (version, 1));
                assert!(s.info().peer_authenticated && !s.info().resumed && !s.info().suite.is_empty());
                assert_eq!(s.info().server_name.as_deref(), Some("localhost"));
            }
        }
    });
}

#[test]
fn a_client_comes_back_with_a_session() {
    run(async {
        let engine = Engine::spawn_local(Options::new()).unwrap();
        let cache = SessionCache::new(10).unwrap();
        let keys = TicketKeys::new(&[9; 32], 3600).unwrap();
        let client = client().sessions(&cache).build().unwrap();
        let server = server().tickets(&keys).build().unwrap();
        for resumed in [false, true] {
            let (a, b) = handshake(&engine, client.clone(), server.clone(), "localhost").await;
            let (a, b) = (a.unwrap(), b.unwrap());
            assert_eq!((a.info().resumed, b.info().resumed), (resumed, resumed));
            let (got, echoed) = both(talk(a, 100), echo(b)).await;
            echoed.unwrap();
            assert_eq!((got, cache.is_empty()), (100, false));
        }
    });
}

struct Later(AtomicUsize);

impl ResolvesCredential for Later {
    fn resolve(&self, hello: ClientHello) -> Resolving {
        self.0.fetch_add(1, Ordering::Relaxed);
        Box::pin(async move {
            tokio::time::sleep(Duration::from_millis(20)).await;
            match hello.server_name.as_deref() {
                Some("other.test") => Some(credential("other")),
                Some("localhost") => Some(credential("cert")),
                _ => None,
            }
        })
    }
}

#[test]
fn a_name_is_looked_up_and_answered_later() {
    run_threads(async {
        let engine = Engine::spawn(Options::new()).unwrap();
        let later = Arc::new(Later(AtomicUsize::new(0)));
        let server = server().resolver(later.clone()).build().unwrap();
        for (name, authority) in [("other.test", "other"), ("localhost", "cert")] {
            let client = milgi::ClientConfig::builder().trust(&trust(authority)).build().unwrap();
            let (a, b) = handshake(&engine, client, server.clone(), name).await;
            assert_eq!(b.unwrap().info().server_name.as_deref(), Some(name));
            drop(a.unwrap());
        }
        let (a, b) = handshake(&engine, client().build().unwrap(), server.clone(), "nobody.test").await;
        assert_eq!(why(&b.unwrap_err()).code(), sys::MILGI_EREFUSED);
        assert!(why(&a.unwrap_err()).alert_from_peer());
        assert_eq!(later.0.load(Ordering::Relaxed), 3);
    });
}

fn is_send_and_sync<T: Send + Sync>() {}

#[test]
fn what_goes_between_threads_may() {
    is_send_and_sync::<Stream>();
    is_send_and_sync::<Engine>();
    is_send_and_sync::<milgi::ServerConfig>();
    is_send_and_sync::<milgi::ClientConfig>();
    is_send_and_sync::<milgi::Credential>();
    is_send_and_sync::<TlsAcceptor>();
}
