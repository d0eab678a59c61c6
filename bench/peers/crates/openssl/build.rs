// SPDX-License-Identifier: Apache-2.0
include!("../rig.rs");

fn main() {
    let built = openssl_src::Build::new().build();
    let files = ["peers/libssl.c", "peers/primitives.c", "lib/end_libssl.c", "lib/libssl_suites.c"];
    compile("", &files, Some(built.include_dir()));
    built.print_cargo_metadata();
}
