// SPDX-License-Identifier: Apache-2.0
// For build scripts: the C side of a peer, compiled against the headers of its library.
use std::path::{Path, PathBuf};

const RIG: [&str; 8] = [
    "lib/clock.c",
    "lib/crowd.c",
    "lib/pair.c",
    "lib/samples.c",
    "lib/step.c",
    "peers/count.c",
    "peers/main.c",
    "peers/work.c",
];

/// That a crate has in the lock beside these folders.
#[allow(dead_code)]
fn version_of(name: &str) -> String {
    let lock = std::fs::read_to_string("../Cargo.lock").expect("no lock");
    let head = format!("name = \"{name}\"\nversion = \"");
    let at = lock.find(&head).expect("no such crate") + head.len();
    lock[at..].split('"').next().unwrap().to_string()
}

/// Files are named below bench/.
fn compile(version: &str, files: &[&str], headers: Option<&Path>) {
    let bench = PathBuf::from(std::env::var("CARGO_MANIFEST_DIR").unwrap()).join("../../..");
    let mut build = cc::Build::new();
    build.opt_level(2).flag("-std=c11").define("_GNU_SOURCE", None).define("PEER_VERSION", format!("\"{version}\"").as_str()).include(bench.join("lib"));
    build.warnings(false);
    if let Some(headers) = headers {
        build.include(headers);
    }
    for file in RIG.iter().chain(files) {
        build.file(bench.join(file));
    }
    println!("cargo:rustc-env=PEER_VERSION={version}");
    println!("cargo:rerun-if-changed=../Cargo.lock");
    println!("cargo:rerun-if-changed={}", bench.join("lib").display());
    println!("cargo:rerun-if-changed={}", bench.join("peers").display());
    build.compile("rig");
}
