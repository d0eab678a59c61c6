// SPDX-License-Identifier: Apache-2.0
include!("../rig.rs");

fn main() {
    let headers = std::env::var_os("DEP_S2N_TLS_INCLUDE").expect("no headers of s2n-tls");
    let version = format!("s2n-tls {} (aws-lc-rs {})", version_of("s2n-tls-sys"), version_of("aws-lc-rs"));
    compile(&version, &["peers/s2n.c", "peers/no_primitives.c"], Some(Path::new(&headers)));
}
