// SPDX-License-Identifier: Apache-2.0
include!("../rig.rs");

fn main() {
    let headers = std::env::var_os("DEP_AWS_LC_0_47_0_INCLUDE").expect("no headers of AWS-LC");
    let files = ["peers/libssl.c", "peers/primitives.c", "lib/end_libssl.c", "lib/libssl_suites.c"];
    compile("", &files, Some(Path::new(&headers)));
}
