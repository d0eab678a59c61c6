// SPDX-License-Identifier: Apache-2.0
//! HTTP/1.1 and HTTP/2 over Milgi with hyper.
//!
//!     hyper CHAIN.pem KEY.pem [PORT]             a server: prints its port; POST is echoed
//!     hyper client CA.pem PORT h2|http/1.1 BODY  a client, which prints what the server answers
use std::error::Error;
use std::io;
use std::net::Ipv4Addr;
use std::pin::Pin;
use std::task::{Context, Poll};

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Method, Request, Response};
use milgi::{ClientConfig, Credential, Engine, Options, ServerConfig, TlsAcceptor, TlsConnector, TlsStream, Trust};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};

type Failure = Box<dyn Error + Send + Sync>;

/// hyper's own traits over tokio's.
struct Io(TlsStream<TcpStream>);

impl hyper::rt::Read for Io {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, mut to: hyper::rt::ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        // SAFETY: what has been filled is told below, and nothing is taken back.
        let n = unsafe {
            let mut buffer = ReadBuf::uninit(to.as_mut());
            match Pin::new(&mut self.0).poll_read(cx, &mut buffer) {
                Poll::Ready(Ok(())) => buffer.filled().len(),
                other => return other,
            }
        };
        // SAFETY: as above.
        unsafe { to.advance(n) };
        Poll::Ready(Ok(()))
    }
}

impl hyper::rt::Write for Io {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

#[derive(Clone)]
struct Tasks;

impl<F: std::future::Future + Send + 'static> hyper::rt::Executor<F> for Tasks
where
    F::Output: Send,
{
    fn execute(&self, future: F) {
        tokio::spawn(future);
    }
}

async fn answer(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, hyper::Error> {
    let text = format!("{:?} {}\n", request.version(), request.uri().path());
    if request.method() == Method::POST {
        return Ok(Response::new(Full::new(request.into_body().collect().await?.to_bytes())));
    }
    Ok(Response::new(Full::new(text.into())))
}

async fn serve_one(acceptor: TlsAcceptor, tcp: TcpStream) -> Result<(), Failure> {
    let tls = acceptor.accept(tcp).await?;
    if tls.alpn_protocol() == Some(b"h2") {
        hyper::server::conn::http2::Builder::new(Tasks).serve_connection(Io(tls), service_fn(answer)).await?;
    } else {
        hyper::server::conn::http1::Builder::new().serve_connection(Io(tls), service_fn(answer)).await?;
    }
    Ok(())
}

async fn serve(engine: Engine, chain: &str, key: &str, port: u16) -> Result<(), Failure> {
    let credential = Credential::from_files(chain, key)?;
    let config = ServerConfig::builder().credential(&credential).alpn(&[b"h2", b"http/1.1"]).build()?;
    let acceptor = TlsAcceptor::new(config, &engine);
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
    println!("port {}", listener.local_addr()?.port());
    loop {
        let (tcp, _) = listener.accept().await?;
        let acceptor = acceptor.clone();
        tokio::spawn(async move {
            if let Err(e) = serve_one(acceptor, tcp).await {
                eprintln!("{}", e);
            }
        });
    }
}

async fn ask(engine: Engine, ca: &str, port: u16, protocol: &str, body: String) -> Result<(), Failure> {
    let config = ClientConfig::builder().trust(&Trust::from_file(ca)?).alpn(&[protocol.as_bytes()]).build()?;
    let tcp = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await?;
    let tls = TlsConnector::new(config, &engine).connect("localhost", tcp).await?;
    let url = format!("https://localhost:{}/", port);
    let request = Request::post(url).header("host", "localhost").body(Full::new(Bytes::from(body)))?;
    let response = if tls.alpn_protocol() == Some(b"h2") {
        let (mut sender, connection) = hyper::client::conn::http2::handshake(Tasks, Io(tls)).await?;
        tokio::spawn(connection);
        sender.send_request(request).await?
    } else {
        let (mut sender, connection) = hyper::client::conn::http1::handshake(Io(tls)).await?;
        tokio::spawn(connection);
        sender.send_request(request).await?
    };
    println!("{:?} {}", response.version(), response.status());
    println!("{}", String::from_utf8_lossy(&response.into_body().collect().await?.to_bytes()));
    Ok(())
}

fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().collect();
    let a: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let engine = Engine::spawn(Options::new().device("pool:2"))?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    match a[1..] {
        ["client", ca, port, protocol, body] => runtime.block_on(ask(engine, ca, port.parse()?, protocol, body.into())),
        [chain, key] => runtime.block_on(serve(engine, chain, key, 0)),
        [chain, key, port] => runtime.block_on(serve(engine, chain, key, port.parse()?)),
        _ => Err("hyper CHAIN.pem KEY.pem [PORT]\nhyper client CA.pem PORT h2|http/1.1 BODY".into()),
    }
}
