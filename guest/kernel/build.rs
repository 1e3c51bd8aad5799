//! Link arguments of the kernel's binary: static, at a fixed address, with a linker script and nothing
//! else (no start files, no libc).

fn main() {
    println!("cargo:rerun-if-changed=link.ld");
    let script = format!("{}/link.ld", std::env::var("CARGO_MANIFEST_DIR").expect("set by cargo"));
    for argument in ["-nostartfiles", "-nostdlib", "-static", "-no-pie", "-T", &script] {
        println!("cargo:rustc-link-arg-bins={argument}");
    }
}
