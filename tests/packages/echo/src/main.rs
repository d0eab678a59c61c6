// SPDX-License-Identifier: Apache-2.0
//! echo CHAIN.pem KEY.pem: what a client sends comes back, no faster than it is read. It ends with its standard input.
use std::error::Error;
use std::io::Read;
use std::net::Ipv4Addr;
use std::time::Duration;

use milgi::{Credential, Engine, Options, ServerConfig, TlsAcceptor};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};

async fn echo(acceptor: TlsAcceptor, tcp: TcpStream) -> std::io::Result<()> {
    let (mut reader, mut writer) = tokio::io::split(acceptor.accept(tcp).await?);
    tokio::io::copy(&mut reader, &mut writer).await?;
    writer.shutdown().await
}

async fn serve(chain: &str, key: &str) -> Result<(), Box<dyn Error>> {
    let config = ServerConfig::builder().credential(&Credential::from_files(chain, key)?).build()?;
    let acceptor = TlsAcceptor::new(config, &Engine::spawn(Options::new().device("pool:2"))?);
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    println!("port {}", listener.local_addr()?.port());
    loop {
        match listener.accept().await {
            Ok((tcp, _)) => {
                let acceptor = acceptor.clone();
                tokio::spawn(async move {
                    if let Err(e) = echo(acceptor, tcp).await {
                        eprintln!("a connection has ended: {}", e);
                    }
                });
            }
            Err(_) => tokio::time::sleep(Duration::from_millis(100)).await, // no descriptor left: some will be
        }
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().collect();
    std::thread::spawn(|| {
        let _ = std::io::stdin().read(&mut [0]);
        std::process::exit(0); // whoever is still there sees that it was cut off
    });
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(serve(&arguments[1], &arguments[2]))
}
