//! Where a dynamic linker looks for libraries (ld.so(8); musl's ldso/dynlink.c says its own).
//!
//! ```text
//!   name with a slash ─▶ that path
//!   glibc:  DT_RPATH of the object, unless it has a DT_RUNPATH, and of those that loaded it
//!           DT_RUNPATH of the object ─▶ /etc/ld.so.cache ─▶ the system's directories
//!   musl:   DT_RUNPATH or DT_RPATH of the object and of those that loaded it
//!           ─▶ /etc/ld-musl-x86_64.path, or else the system's directories
//! ```
//!
//! LD_LIBRARY_PATH is left out: it is of a shell, and the image is for another one.

use std::collections::BTreeMap;

use crate::elf::Dynamic;

/// Where glibc's cache is.
pub const CACHE_PATH: &str = "/etc/ld.so.cache";
/// Where musl's list of directories is.
pub const MUSL_PATH: &str = "/etc/ld-musl-x86_64.path";
/// glibc's directories: Debian's multiarch ones, Fedora's, and everybody's.
const GLIBC_DIRECTORIES: [&str; 6] = [
    "/lib/x86_64-linux-gnu",
    "/usr/lib/x86_64-linux-gnu",
    "/lib64",
    "/usr/lib64",
    "/lib",
    "/usr/lib",
];
const MUSL_DIRECTORIES: [&str; 3] = ["/lib", "/usr/local/lib", "/usr/lib"];

/// The cache's magic string (glibc's sysdeps/generic/dl-cache.h, since 2.2).
const CACHE_MAGIC: &[u8] = b"glibc-ld.so.cache1.1";
const CACHE_HEADER_BYTES: usize = 48;
const CACHE_ENTRY_BYTES: usize = 24;
/// An entry's flags for an x86-64 library of libc 6.
const CACHE_X86_64: u32 = 0x0303;

/// A file that a dynamic linker has loaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Object {
    /// The directory that it is in: `$ORIGIN`.
    pub origin: Vec<u8>,
    /// What it asks for.
    pub dynamic: Dynamic,
}

/// One system's rules.
#[derive(Clone, Debug)]
pub struct Loader {
    cache: BTreeMap<Vec<u8>, Vec<u8>>,
    directories: Vec<Vec<u8>>,
    is_musl: bool,
}

impl Loader {
    /// glibc's rules, with the contents of [`CACHE_PATH`] (empty: there is none).
    pub fn glibc(cache: &[u8]) -> Loader {
        let directories = GLIBC_DIRECTORIES.map(|directory| directory.into()).to_vec();
        Loader { cache: parse_cache(cache).unwrap_or_default(), directories, is_musl: false }
    }

    /// musl's rules, with the contents of [`MUSL_PATH`], if there is one.
    pub fn musl(path: Option<&[u8]>) -> Loader {
        let directories = match path {
            Some(list) => list
                .split(|byte| matches!(byte, b':' | b'\n'))
                .filter(|directory| directory.starts_with(b"/"))
                .map(<[u8]>::to_vec)
                .collect(),
            None => MUSL_DIRECTORIES.map(|directory| directory.into()).to_vec(),
        };
        Loader { cache: BTreeMap::new(), directories, is_musl: true }
    }

    /// The paths where the library called `name` may be, in the order in which they are tried. `chain` is
    /// who asks for it, who loaded that, and so on to the program.
    pub fn candidates(&self, name: &[u8], chain: &[&Object]) -> Vec<Vec<u8>> {
        if name.contains(&b'/') {
            return vec![name.to_vec()];
        }
        let mut directories: Vec<Vec<u8>> = Vec::new();
        for (depth, object) in chain.iter().enumerate() {
            let Dynamic { rpath, runpath, .. } = &object.dynamic;
            let inherited = match (self.is_musl, runpath) {
                (true, _) => runpath.as_ref().or(rpath.as_ref()),
                (false, None) => rpath.as_ref(),
                // An object's own DT_RUNPATH hides all DT_RPATHs from it.
                (false, Some(_)) if depth == 0 => break,
                (false, Some(_)) => None,
            };
            directories.extend(inherited.into_iter().flat_map(|list| expand(list, &object.origin)));
        }
        if let Some(asks) = chain.first()
            && let (false, Some(list)) = (self.is_musl, &asks.dynamic.runpath)
        {
            directories.extend(expand(list, &asks.origin));
        }
        let in_directory = |directory: &Vec<u8>| [&directory[..], b"/", name].concat();
        let mut paths: Vec<Vec<u8>> = directories.iter().map(in_directory).collect();
        paths.extend(self.cache.get(name).cloned());
        paths.extend(self.directories.iter().map(in_directory));
        paths
    }
}

/// The absolute directories of a list, with `$ORIGIN`, `$LIB` and `$PLATFORM` put in.
fn expand(list: &[u8], origin: &[u8]) -> Vec<Vec<u8>> {
    let tokens: [(&str, &[u8]); 6] = [
        ("${ORIGIN}", origin),
        ("$ORIGIN", origin),
        ("${LIB}", b"lib/x86_64-linux-gnu"),
        ("$LIB", b"lib/x86_64-linux-gnu"),
        ("${PLATFORM}", b"x86_64"),
        ("$PLATFORM", b"x86_64"),
    ];
    let put_in = |directory: &[u8]| {
        let (mut out, mut rest) = (Vec::new(), directory);
        while let Some((&first, behind)) = rest.split_first() {
            match tokens.iter().find(|(token, _)| rest.starts_with(token.as_bytes())) {
                Some((token, value)) => {
                    out.extend_from_slice(value);
                    rest = &rest[token.len()..];
                }
                None => {
                    out.push(first);
                    rest = behind;
                }
            }
        }
        out
    };
    let directories = list.split(|byte| *byte == b':').map(put_in);
    directories.filter(|directory| directory.starts_with(b"/")).collect()
}

/// Names and paths of a cache in the format of glibc 2.2 and later; variants for newer processors are
/// left out, since the image may run on another machine.
fn parse_cache(cache: &[u8]) -> Option<BTreeMap<Vec<u8>, Vec<u8>>> {
    // ldconfig may have put the older format before it.
    let start = cache.windows(CACHE_MAGIC.len()).position(|window| window == CACHE_MAGIC)?;
    let cache = &cache[start..];
    let number = |at: usize| {
        let bytes = cache.get(at..at.checked_add(4)?)?;
        Some(u32::from_le_bytes(bytes.try_into().ok()?))
    };
    let string = |at: u32| {
        let rest = cache.get(at as usize..)?;
        Some(rest[..rest.iter().position(|byte| *byte == 0)?].to_vec())
    };
    let count = number(CACHE_MAGIC.len())? as usize;
    let entries = cache.get(CACHE_HEADER_BYTES..)?.chunks_exact(CACHE_ENTRY_BYTES).take(count);
    let mut paths = BTreeMap::new();
    for at in (0..entries.len()).map(|index| CACHE_HEADER_BYTES + index * CACHE_ENTRY_BYTES) {
        let hwcap = number(at + 16)? | number(at + 20)?;
        if number(at)? == CACHE_X86_64 && hwcap == 0 {
            paths.entry(string(number(at + 4)?)?).or_insert(string(number(at + 8)?)?);
        }
    }
    Some(paths)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(origin: &str, rpath: Option<&str>, runpath: Option<&str>) -> Object {
        let bytes = |text: Option<&str>| text.map(|text| text.as_bytes().to_vec());
        let dynamic =
            Dynamic { rpath: bytes(rpath), runpath: bytes(runpath), ..Dynamic::default() };
        Object { origin: origin.into(), dynamic }
    }

    fn first(loader: &Loader, chain: &[&Object], count: usize) -> Vec<String> {
        let paths = loader.candidates(b"libx.so", chain);
        paths[..count].iter().map(|path| String::from_utf8_lossy(path).into_owned()).collect()
    }

    fn cache(entries: &[(u32, &str, &str, u32)]) -> Vec<u8> {
        let mut bytes = [b"some older format", CACHE_MAGIC].concat();
        let start = bytes.len() - CACHE_MAGIC.len();
        bytes.extend((entries.len() as u32).to_le_bytes());
        bytes.resize(start + CACHE_HEADER_BYTES, 0);
        let mut strings = Vec::new();
        let strings_at = CACHE_HEADER_BYTES + entries.len() * CACHE_ENTRY_BYTES;
        for (flags, name, path, hwcap) in entries {
            let name_at = (strings_at + strings.len()) as u32;
            strings.extend([name.as_bytes(), b"\0"].concat());
            let path_at = (strings_at + strings.len()) as u32;
            strings.extend([path.as_bytes(), b"\0"].concat());
            for number in [*flags, name_at, path_at, 0, *hwcap, 0] {
                bytes.extend(number.to_le_bytes());
            }
        }
        bytes.extend(strings);
        bytes
    }

    #[test]
    fn glibc_looks_along_the_chain_then_into_its_cache() {
        let loader = Loader::glibc(&cache(&[
            (0x0003, "libx.so", "/lib/i386/libx.so", 0),
            (CACHE_X86_64, "libx.so", "/usr/lib/glibc-hwcaps/libx.so", 1),
            (CACHE_X86_64, "libx.so", "/usr/local/lib/libx.so", 0),
        ]));
        let program = object("/opt/bin", Some("$ORIGIN/../lib:relative"), None);
        let library = object("/opt/lib", None, None);
        let chain = [&library, &program];
        assert_eq!(
            first(&loader, &chain, 3),
            ["/opt/bin/../lib/libx.so", "/usr/local/lib/libx.so", "/lib/x86_64-linux-gnu/libx.so"]
        );
        let with_runpath = object("/opt/lib", Some("/unseen"), Some("${ORIGIN}/$LIB"));
        assert_eq!(
            first(&loader, &[&with_runpath, &program], 2),
            ["/opt/lib/lib/x86_64-linux-gnu/libx.so", "/usr/local/lib/libx.so"]
        );
        // A DT_RUNPATH is for the object's own libraries alone.
        assert_eq!(first(&loader, &[&library, &with_runpath], 1), ["/usr/local/lib/libx.so"]);
        assert_eq!(loader.candidates(b"./libx.so", &chain), [b"./libx.so"]);
    }

    #[test]
    fn musl_hands_both_paths_down_and_has_its_own_list() {
        let loader = Loader::musl(Some(b"/a:/b\nc\n"));
        let program = object("/opt", None, Some("/run"));
        let library = object("/opt", Some("/r"), None);
        assert_eq!(
            first(&loader, &[&library, &program], 4),
            ["/r/libx.so", "/run/libx.so", "/a/libx.so", "/b/libx.so"]
        );
        assert_eq!(first(&Loader::musl(None), &[], 2), ["/lib/libx.so", "/usr/local/lib/libx.so"]);
    }

    #[test]
    fn a_broken_cache_is_no_cache() {
        let whole = cache(&[(CACHE_X86_64, "libx.so", "/lib/libx.so", 0)]);
        assert!(parse_cache(&whole).is_some_and(|paths| paths.len() == 1));
        for len in 0..whole.len() {
            assert!(parse_cache(&whole[..len]).is_none_or(|paths| paths.is_empty()));
        }
    }
}
