// SPDX-License-Identifier: Apache-2.0
include!("../rig.rs");

fn main() {
    let version = format!("rustls {} (aws-lc-rs {})", version_of("rustls"), version_of("aws-lc-rs"));
    compile(&version, &["peers/no_primitives.c"], None);
}
