// SPDX-License-Identifier: Apache-2.0
//! Certificates, pairs of streams over TCP, and a pattern to send.
#![allow(dead_code)]

use std::future::Future;
use std::io;
use std::path::PathBuf;
use std::pin::Pin;
use std::process::Command;
use std::sync::Once;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use milgi::{ClientConfig, Credential, Engine, Options, ServerConfig, TlsAcceptor, TlsConnector, TlsStream, Trust};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// |usual|, or what the environment says.
pub fn asked(name: &str, usual: usize) -> usize {
    std::env::var(name).ok().and_then(|v| v.parse().ok()).unwrap_or(usual)
}

/// Devices to try: none besides the thread, and what the environment names.
pub fn devices() -> Vec<Options> {
    let named = std::env::var("MILGI_TESTS_DEVICES")
        .unwrap_or_else(|_| "pool:2 chaos:seed=7,refuse=0.2,max_delay=100us,reorder=0.5".into());
    let mut all = vec![Options::new()];
    all.extend(named.split_whitespace().map(|device| Options::new().device(device)));
    all
}

fn folder() -> PathBuf {
    std::env::temp_dir().join(format!("milgi-rust-{}", std::process::id()))
}

extern "C" fn remove_folder() {
    let _ = std::fs::remove_dir_all(folder());
}

extern "C" {
    fn atexit(last: extern "C" fn()) -> std::os::raw::c_int;
}

/// Where cert.pem, key.pem (for localhost), other.pem and other.key (for other.test) are: each its own authority.
pub fn certificates() -> PathBuf {
    static MADE: Once = Once::new();
    let dir = folder();
    MADE.call_once(|| {
        std::fs::create_dir_all(&dir).unwrap();
        unsafe { atexit(remove_folder) }; // a child of fork() has another number
        for (name, dns) in [("cert", "localhost"), ("other", "other.test")] {
            let made = Command::new("openssl")
                .current_dir(&dir)
                .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"])
                .args(["-subj", &format!("/CN={}", dns), "-addext", &format!("subjectAltName=DNS:{}", dns)])
                .args(["-addext", "basicConstraints=critical,CA:FALSE"])
                .args(["-keyout", &format!("{}.key", name), "-out", &format!("{}.pem", name)])
                .env_remove("LD_PRELOAD")
                .output()
                .expect("openssl, which makes certificates");
            assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        }
    });
    dir
}

/// The command, where they are.
pub fn openssl(arguments: &[&str]) {
    let done = Command::new("openssl").current_dir(certificates()).args(arguments).env_remove("LD_PRELOAD").output();
    let done = done.expect("openssl");
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
}

pub fn credential(name: &str) -> Credential {
    let dir = certificates();
    Credential::from_files(dir.join(format!("{}.pem", name)), dir.join(format!("{}.key", name))).unwrap()
}

pub fn trust(name: &str) -> Trust {
    Trust::from_file(certificates().join(format!("{}.pem", name))).unwrap()
}

pub fn client() -> milgi::ClientBuilder {
    ClientConfig::builder().trust(&trust("cert"))
}

pub fn server() -> milgi::ServerBuilder {
    ServerConfig::builder().credential(&credential("cert"))
}

/// A runtime of this thread with a LocalSet, and a limit.
pub fn run<F: Future>(what: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let local = tokio::task::LocalSet::new();
    let limit = Duration::from_secs(asked("MILGI_TESTS_LIMIT", 120) as u64);
    local.block_on(&runtime, async { tokio::time::timeout(limit, what).await.expect("it hangs") })
}

/// The same with threads; the engine has its own.
pub fn run_threads<F: Future>(what: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(3).enable_all().build().unwrap();
    let limit = Duration::from_secs(asked("MILGI_TESTS_LIMIT", 120) as u64);
    runtime.block_on(async { tokio::time::timeout(limit, what).await.expect("it hangs") })
}

pub async fn tcp() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let connecting = TcpStream::connect(address);
    let (a, b) = both(connecting, listener.accept()).await;
    (a.unwrap(), b.unwrap().0)
}

/// Two futures at once.
pub async fn both<A: Future, B: Future>(a: A, b: B) -> (A::Output, B::Output) {
    Both { a: Box::pin(a), b: Box::pin(b), x: None, y: None }.await
}

struct Both<A: Future, B: Future> {
    a: Pin<Box<A>>,
    b: Pin<Box<B>>,
    x: Option<A::Output>,
    y: Option<B::Output>,
}

impl<A: Future, B: Future> Unpin for Both<A, B> {}

impl<A: Future, B: Future> Future for Both<A, B> {
    type Output = (A::Output, B::Output);

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if self.x.is_none() {
            if let Poll::Ready(x) = self.a.as_mut().poll(cx) {
                self.x = Some(x);
            }
        }
        if self.y.is_none() {
            if let Poll::Ready(y) = self.b.as_mut().poll(cx) {
                self.y = Some(y);
            }
        }
        match (self.x.take(), self.y.take()) {
            (Some(x), Some(y)) => Poll::Ready((x, y)),
            (x, y) => {
                self.x = x;
                self.y = y;
                Poll::Pending
            }
        }
    }
}

pub type Stream = TlsStream<TcpStream>;

pub async fn handshake(
    engine: &Engine, client: ClientConfig, server: ServerConfig, name: &str,
) -> (io::Result<Stream>, io::Result<Stream>) {
    let (a, b) = tcp().await;
    let (client, server) = (TlsConnector::new(client, engine), TlsAcceptor::new(server, engine));
    both(client.connect(name, a), server.accept(b)).await
}

pub async fn pair(engine: &Engine) -> (Stream, Stream) {
    let (a, b) = handshake(engine, client().build().unwrap(), server().build().unwrap(), "localhost").await;
    (a.unwrap(), b.unwrap())
}

/// The other tasks of this thread do what they can.
pub async fn turns() {
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
}

pub fn pattern(at: usize) -> u8 {
    (at.wrapping_mul(31).wrapping_add(at >> 9)) as u8
}

pub async fn send<W: AsyncWrite + Unpin>(to: &mut W, len: usize) -> io::Result<()> {
    let mut block = vec![0; 7000];
    let mut at = 0;
    while at < len {
        let n = block.len().min(len - at);
        for (i, byte) in block[..n].iter_mut().enumerate() {
            *byte = pattern(at + i);
        }
        to.write_all(&block[..n]).await?;
        at += n;
    }
    to.shutdown().await
}

/// To the end: how much of the pattern came.
pub async fn receive<R: AsyncRead + Unpin>(from: &mut R) -> io::Result<usize> {
    let mut block = vec![0; 9000];
    let mut at = 0;
    loop {
        let n = from.read(&mut block).await?;
        if n == 0 {
            return Ok(at);
        }
        for (i, byte) in block[..n].iter().enumerate() {
            assert_eq!(*byte, pattern(at + i), "at {}", at + i);
        }
        at += n;
    }
}

/// Sends back what comes, and its end.
pub async fn echo<S: AsyncRead + AsyncWrite + Unpin>(mut s: S) -> io::Result<()> {
    let mut block = vec![0; 5000];
    loop {
        let n = s.read(&mut block).await?;
        if n == 0 {
            return s.shutdown().await;
        }
        s.write_all(&block[..n]).await?;
        s.flush().await?;
    }
}

/// Sends and receives at once.
pub async fn talk<S: AsyncRead + AsyncWrite + Unpin>(s: S, len: usize) -> usize {
    let (mut reader, mut writer) = tokio::io::split(s);
    let (sent, got) = both(send(&mut writer, len), receive(&mut reader)).await;
    sent.unwrap();
    got.unwrap()
}

pub fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

/// At once, or when the tests beside this one have closed theirs: they are of the same process.
pub fn descriptors_fall_to(most: usize) {
    let end = Instant::now() + Duration::from_secs(asked("MILGI_TESTS_LIMIT", 120) as u64);
    while descriptors() > most {
        assert!(Instant::now() < end, "{} descriptors, not {}", descriptors(), most);
        std::thread::sleep(Duration::from_millis(10));
    }
}

pub fn why(e: &io::Error) -> &milgi::Error {
    e.get_ref().and_then(|e| e.downcast_ref()).unwrap_or_else(|| panic!("not Milgi's: {:?}", e))
}
