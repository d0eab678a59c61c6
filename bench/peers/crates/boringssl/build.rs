// SPDX-License-Identifier: Apache-2.0
include!("../rig.rs");

/// Beside this script's own output; the crate does not tell where.
fn headers() -> PathBuf {
    let own = PathBuf::from(std::env::var("OUT_DIR").unwrap());
    let builds = std::fs::read_dir(own.join("../..")).unwrap();
    let mut outs: Vec<_> = builds.map(|entry| entry.unwrap().path()).collect();
    outs.retain(|path| path.file_name().unwrap().to_str().unwrap().starts_with("boring-sys-"));
    for out in outs {
        for place in ["out/boringssl/include", "out/include", "out/boringssl/src/include"] {
            if out.join(place).join("openssl/ssl.h").exists() {
                return out.join(place);
            }
        }
    }
    panic!("no headers of BoringSSL");
}

fn main() {
    let files = ["peers/libssl.c", "peers/primitives.c", "lib/end_libssl.c", "peers/boringssl.c"];
    compile("", &files, Some(&headers()));
}
