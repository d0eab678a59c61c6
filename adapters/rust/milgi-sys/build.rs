// SPDX-License-Identifier: Apache-2.0
//! Finds libmilgi: see README.md.
use std::env;
use std::process::Command;

fn main() {
    for name in ["MILGI_LIB_DIR", "MILGI_STATIC", "PKG_CONFIG", "PKG_CONFIG_PATH", "PKG_CONFIG_LIBDIR"] {
        println!("cargo:rerun-if-env-changed={}", name);
    }
    // Documentation needs no library.
    if env::var_os("DOCS_RS").is_some() {
        return;
    }
    let is_static = env::var_os("MILGI_STATIC").map_or(false, |v| v != "0" && !v.is_empty());
    match env::var("MILGI_LIB_DIR") {
        Ok(dir) => {
            println!("cargo:rustc-link-search=native={}", dir);
            println!("cargo:rustc-link-lib={}milgi", if is_static { "static=" } else { "" });
        }
        Err(_) => ask_pkg_config(if is_static { "milgi-static" } else { "milgi" }),
    }
}

fn ask_pkg_config(package: &str) {
    let command = env::var("PKG_CONFIG").unwrap_or_else(|_| "pkg-config".into());
    let wanted = format!("{0} >= 0.1 {0} < 0.2", package);
    let said = Command::new(&command).args(["--libs", &wanted]).output();
    let said = match said {
        Ok(said) => said,
        Err(e) => panic!("{} cannot be run ({}); install it, or set MILGI_LIB_DIR to where libmilgi lies", command, e),
    };
    if !said.status.success() {
        panic!(
            "no Milgi 0.1 here: install libmilgi-dev, or set MILGI_LIB_DIR or PKG_CONFIG_PATH.\n{}",
            String::from_utf8_lossy(&said.stderr)
        );
    }
    for word in String::from_utf8_lossy(&said.stdout).split_whitespace() {
        if let Some(dir) = word.strip_prefix("-L") {
            println!("cargo:rustc-link-search=native={}", dir);
        } else if let Some(name) = word.strip_prefix("-l:lib").and_then(|w| w.strip_suffix(".a")) {
            println!("cargo:rustc-link-lib=static={}", name);
        } else if let Some(name) = word.strip_prefix("-l") {
            println!("cargo:rustc-link-lib={}", name);
        }
    }
}
