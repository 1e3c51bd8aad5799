//! The shared libraries of programs of this host, found as their dynamic linker finds them.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use mayfly_image::elf::Dynamic;
use mayfly_image::loader::{CACHE_PATH, Loader, MUSL_PATH, Object};

use super::mirror::Mirror;
use crate::failure::{Failure, say};

/// Most objects in the memory of one program: more would be a loop that is none of its own making.
const OBJECTS_MAX: usize = 4096;

/// A program with the libraries that it starts with.
pub struct Program {
    loader: Loader,
    executable: Rc<Object>,
    /// What is loaded by the names under which it was asked for.
    loaded: HashMap<Vec<u8>, Rc<Object>>,
}

/// Libraries that could not be found, by who asks for them. A plugin may do without.
type Missing = Vec<(PathBuf, Vec<u8>)>;

impl Program {
    /// Takes the program at `path`, its dynamic linker and its libraries into `mirror`. `None` for a static
    /// program, which is taken alone.
    ///
    /// # Errors
    /// What the host says, or a library that is not there: the program would not start.
    pub fn take(path: &Path, mirror: &mut Mirror) -> Result<Option<Program>, Failure> {
        let real = mirror.take(path)?;
        let Some(executable) = object(&real)? else { return Ok(None) };
        let Some(interpreter) = executable.dynamic.interpreter.clone() else { return Ok(None) };
        let interpreter = PathBuf::from(OsStr::from_bytes(&interpreter));
        mirror.take(&interpreter)?;
        let is_musl =
            interpreter.file_name().is_some_and(|name| name.as_bytes().starts_with(b"ld-musl"));
        let loader = if is_musl {
            let list = mirror_if_there(Path::new(MUSL_PATH), mirror)?;
            Loader::musl(list.as_deref())
        } else {
            Loader::glibc(&mirror_if_there(Path::new(CACHE_PATH), mirror)?.unwrap_or_default())
        };
        let executable = Rc::new(executable);
        let mut program =
            Program { loader, executable: executable.clone(), loaded: HashMap::new() };
        let missing = program.load_needed(&real, &executable, &[], mirror)?;
        match missing.first() {
            None => Ok(Some(program)),
            Some((path, name)) => Err(Failure::at(path, not_found(name))),
        }
    }

    /// Takes what the program loads later at `path` (dlopen(3)), and its libraries. What is not there is
    /// told, and left.
    ///
    /// # Errors
    /// What the host says.
    pub fn take_plugin(&mut self, path: &Path, mirror: &mut Mirror) -> Result<(), Failure> {
        let real = mirror.take(path)?;
        let Some(plugin) = object(&real)? else { return Ok(()) };
        let chain = [self.executable.clone()];
        for (path, name) in self.load_needed(&real, &Rc::new(plugin), &chain, mirror)? {
            // Who loads it may have loaded one of this name before, by its path.
            let has_name =
                |path: &PathBuf| path.file_name().is_some_and(|file| file.as_bytes() == name);
            if mirror.taken().iter().any(has_name) {
                continue;
            }
            say(&format!("{}: {}, left out", path.display(), not_found(&name)));
        }
        Ok(())
    }

    /// Takes the library called `name`, which the program asks for by itself, if this host has it.
    ///
    /// # Errors
    /// What the host says.
    pub fn take_named(&mut self, name: &str, mirror: &mut Mirror) -> Result<(), Failure> {
        let paths = self.loader.candidates(name.as_bytes(), &[&self.executable]);
        match first_loadable(paths)? {
            Some((path, _)) => self.take_plugin(&path, mirror),
            None => Ok(()),
        }
    }

    /// Takes all that `object`, which is at `path`, needs, breadth first as dynamic linkers do.
    fn load_needed(
        &mut self,
        path: &Path,
        object: &Rc<Object>,
        loaders: &[Rc<Object>],
        mirror: &mut Mirror,
    ) -> Result<Missing, Failure> {
        let mut missing = Missing::new();
        let mut queue = vec![(path.to_owned(), [std::slice::from_ref(object), loaders].concat())];
        let mut next = 0;
        while let Some((path, chain)) = queue.get(next).cloned() {
            next += 1;
            for name in &chain[0].dynamic.needed {
                if self.loaded.contains_key(name) {
                    continue;
                }
                let asks: Vec<&Object> = chain.iter().map(|object| &**object).collect();
                let found = first_loadable(self.loader.candidates(name, &asks))?;
                let Some((library, found)) = found else {
                    missing.push((path.clone(), name.clone()));
                    continue;
                };
                mirror.take(&library)?;
                let found = Rc::new(found);
                self.loaded.insert(name.clone(), found.clone());
                if self.loaded.len() > OBJECTS_MAX {
                    return Err(Failure::at(&path, "it needs too many libraries"));
                }
                queue.push((library, [&[found], &chain[..]].concat()));
            }
        }
        Ok(missing)
    }
}

fn not_found(name: &[u8]) -> String {
    format!("its library {} is not on this host", String::from_utf8_lossy(name))
}

/// The first of the paths that a dynamic linker would load.
fn first_loadable(paths: Vec<Vec<u8>>) -> Result<Option<(PathBuf, Object)>, Failure> {
    for path in paths {
        let path = PathBuf::from(OsStr::from_bytes(&path));
        if path.is_file()
            && let Some(object) = object(&path)?
        {
            return Ok(Some((path, object)));
        }
    }
    Ok(None)
}

/// The ELF file at `path`; `None` where it is something else. `$ORIGIN` is the directory that the path
/// names, links not followed.
fn object(path: &Path) -> Result<Option<Object>, Failure> {
    let file = fs::read(path).map_err(|error| Failure::at(path, error))?;
    let origin = path.parent().map_or(&b"/"[..], |parent| parent.as_os_str().as_bytes());
    let object = |dynamic| Object { origin: origin.to_vec(), dynamic };
    Ok(Dynamic::parse(&file).ok().map(object))
}

/// Takes a file that not every host has, and gives its contents.
fn mirror_if_there(path: &Path, mirror: &mut Mirror) -> Result<Option<Vec<u8>>, Failure> {
    if !path.is_file() {
        return Ok(None);
    }
    mirror.take(path)?;
    fs::read(path).map(Some).map_err(|error| Failure::at(path, error))
}
