//! Makes the binary static.
//!
//! Two processes start for each VM, and the dynamic linker took a quarter of the way to the program's first
//! instruction. Rust's own switch (`-C target-feature=+crt-static`) applies to procedural macros too, which
//! cannot be static, unless a target is named, and then the binary is not at target/release. So the static
//! libraries are put where the linker looks for the shared ones.

use std::path::PathBuf;
use std::{env, fs};

/// The shared libraries that std asks for, and linker scripts that answer with static ones. Whatever stayed
/// shared would be an address that nobody fills in.
const SCRIPTS: [(&str, &str); 3] = [
    ("libgcc_s.so", "INPUT(-l:libgcc_eh.a)\n"),
    ("libc.so", "GROUP(-l:libc.a -l:libgcc.a -l:libgcc_eh.a)\n"),
    ("libm.so", "INPUT(-l:libm.a)\n"),
];

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("set by cargo"));
    for (name, script) in SCRIPTS {
        fs::write(out.join(name), script).expect("OUT_DIR can be written");
    }
    // For the binary alone: a test that is not static would find them by a search path too.
    println!("cargo:rustc-link-arg-bins=-L{}", out.display());
    // Without the last one, lld leaves undefined weak symbols to a dynamic linker that never comes.
    for argument in ["-static-pie", "-Wl,-z,nodynamic-undefined-weak,-Bstatic"] {
        println!("cargo:rustc-link-arg-bins={argument}");
    }
}
