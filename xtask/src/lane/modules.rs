//! Kernel modules and the order in which they can be loaded.
//!
//! A package that was unpacked and not installed has no `modules.dep`; but each module names what it
//! needs itself, in its `.modinfo` section: NUL-terminated strings such as `depends=kvm,irqbypass`
//! (Linux, include/linux/module.h).

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::command;
use crate::failure::{Failure, Result};

/// The modules of one kernel, by name.
pub struct Modules {
    files: BTreeMap<String, PathBuf>,
}

/// A module, ready to be loaded.
pub struct Module {
    /// Its name, with `_` where the file name may have `-`.
    pub name: String,
    /// The ELF file.
    pub elf: Vec<u8>,
}

impl Modules {
    /// Lists every module below `dir`.
    pub fn index(dir: &Path) -> Result<Self> {
        let mut files = BTreeMap::new();
        let mut dirs = vec![dir.to_owned()];
        while let Some(dir) = dirs.pop() {
            for entry in fs::read_dir(&dir).map_err(Failure::file("listing", &dir))? {
                let entry = entry.map_err(Failure::file("listing", &dir))?;
                let path = entry.path();
                if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                    dirs.push(path);
                } else if let Some((stem, _)) =
                    entry.file_name().to_string_lossy().split_once(".ko")
                {
                    files.insert(canonical(stem), path);
                }
            }
        }
        Ok(Self { files })
    }

    /// The modules among `wanted` that exist, each after what it depends on, none twice. What this
    /// kernel has built in, or not at all, is left out.
    pub fn in_order(&self, wanted: &[&str]) -> Result<Vec<Module>> {
        let mut order = Vec::new();
        for name in wanted {
            self.visit(&canonical(name), &mut order)?;
        }
        Ok(order)
    }

    /// Dependencies among modules have no cycle: the kernel could not load them.
    fn visit(&self, name: &str, order: &mut Vec<Module>) -> Result<()> {
        let Some(file) = self.files.get(name) else { return Ok(()) };
        if order.iter().any(|module| module.name == name) {
            return Ok(());
        }
        let elf = read(file)?;
        for dependency in dependencies(&elf) {
            self.visit(&canonical(&dependency), order)?;
        }
        order.push(Module { name: name.to_owned(), elf });
        Ok(())
    }
}

fn canonical(name: &str) -> String {
    name.replace('-', "_")
}

/// A module's bytes. Debian 13 compresses them.
fn read(file: &Path) -> Result<Vec<u8>> {
    let decompressor = match file.extension().and_then(|extension| extension.to_str()) {
        Some("xz") => "xz",
        Some("zst") => "zstd",
        _ => return fs::read(file).map_err(Failure::file("reading", file)),
    };
    command::capture(Command::new(decompressor).args(["--decompress", "--stdout"]).arg(file))
}

fn dependencies(elf: &[u8]) -> Vec<String> {
    elf.split(|byte| *byte == 0)
        .find_map(|string| string.strip_prefix(b"depends="))
        .map(|names| String::from_utf8_lossy(names).into_owned())
        .unwrap_or_default()
        .split(',')
        .filter(|name| !name.is_empty())
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_module_comes_after_what_it_needs_and_once() {
        let dir = std::env::temp_dir().join(format!("xtask-modules-{}", std::process::id()));
        fs::create_dir_all(dir.join("kernel/kvm")).unwrap();
        for (file, depends) in [
            ("kernel/kvm/kvm-amd.ko", "kvm,ccp"),
            ("kernel/kvm/kvm.ko", "irqbypass"),
            ("kernel/irqbypass.ko", ""),
        ] {
            fs::write(dir.join(file), format!("\0license=GPL\0depends={depends}\0")).unwrap();
        }
        let modules = Modules::index(&dir).unwrap();
        let order = modules.in_order(&["kvm-amd", "irqbypass", "not_there"]).unwrap();
        let names: Vec<&str> = order.iter().map(|module| module.name.as_str()).collect();
        assert_eq!(names, ["irqbypass", "kvm", "kvm_amd"]);
        fs::remove_dir_all(&dir).unwrap();
    }
}
