//! Link arguments of a guest kernel: static, at a fixed address, with the kernel's own linker script and
//! nothing else.

fn main() {
    let here = std::env::var("CARGO_MANIFEST_DIR").expect("set by cargo");
    let script = format!("{here}/../../../guest/kernel/link.ld");
    println!("cargo:rerun-if-changed={script}");
    for argument in ["-nostartfiles", "-nostdlib", "-static", "-no-pie", "-T", &script] {
        println!("cargo:rustc-link-arg-bins={argument}");
    }
}
