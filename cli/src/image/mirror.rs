//! Files of this host, put into a tree at the paths that they have here.
//!
//! ```text
//!   take /usr/bin/python3        /usr  /usr/bin             directories
//!     python3 ─▶ python3.11      /usr/bin/python3           a link, as it is
//!     python3.11                 /usr/bin/python3.11        the file
//! ```
//!
//! A path means in the image what it means here, links on the way included. Directories have no time of
//! their own: it changes when nothing of interest does.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::fs::{self, Metadata};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use mayfly_image::walk::{self, WalkOptions};
use mayfly_image::{Attributes, Leaf, NodeId, Source, Timestamp, Tree};

use crate::failure::Failure;

/// Most links on the way to one file (Linux's MAXSYMLINKS).
const LINKS_MAX: usize = 40;
/// Deepest nesting of directories that is followed below one that is taken whole.
const DEPTH_MAX: usize = 64;

const DIRECTORY: Attributes = Attributes::root(0o755, EPOCH);
const EPOCH: Timestamp = Timestamp { seconds: 0, nanoseconds: 0 };
const OPTIONS: WalkOptions = WalkOptions { all_root: true, mtime: None, without: None };

/// A tree in the making.
pub struct Mirror {
    tree: Tree,
    /// Where the contents of external files are, by id.
    files: Vec<PathBuf>,
    /// The host's regular files that were taken, in order.
    taken: Vec<PathBuf>,
}

impl Mirror {
    /// Nothing but an empty root.
    ///
    /// # Errors
    /// None that this program causes.
    pub fn new() -> Result<Mirror, Failure> {
        Ok(Mirror { tree: Tree::new(DIRECTORY)?, files: Vec::new(), taken: Vec::new() })
    }

    /// The tree, and where the contents of its external files are.
    pub fn into_parts(self) -> (Tree, Vec<PathBuf>) {
        (self.tree, self.files)
    }

    /// The host's regular files that were taken, in the order in which they were.
    pub fn taken(&self) -> &[PathBuf] {
        &self.taken
    }

    /// Whether something is at `path`, links not followed.
    pub fn has(&self, path: &Path) -> bool {
        self.tree.find(path.as_os_str().as_bytes()).is_some()
    }

    /// Takes what is at the absolute `path`, a directory without what is in it, and every link on the way.
    /// Gives the path without links.
    ///
    /// # Errors
    /// What the host says, or a file that an image can't hold.
    pub fn take(&mut self, path: &Path) -> Result<PathBuf, Failure> {
        let mut left: VecDeque<OsString> = names(path).collect();
        let (mut at, mut links) = (PathBuf::from("/"), 0);
        while let Some(name) = left.pop_front() {
            if name == ".." {
                at.pop();
                continue;
            }
            let child = at.join(&name);
            let metadata = fs::symlink_metadata(&child).map_err(|e| Failure::at(&child, e))?;
            if !metadata.is_dir() {
                self.add(&child, &metadata)?;
            }
            if !metadata.is_symlink() {
                at = child;
                continue;
            }
            links += 1;
            if links > LINKS_MAX {
                return Err(Failure::at(path, "too many symbolic links"));
            }
            let target = fs::read_link(&child).map_err(|error| Failure::at(&child, error))?;
            if target.is_absolute() {
                at = PathBuf::from("/");
            }
            names(&target).rev().for_each(|name| left.push_front(name));
        }
        if at.is_dir() {
            self.directory(&at)?;
        }
        Ok(at)
    }

    /// Takes the directory at `path` and what is in it, but what `leave` says and sockets.
    ///
    /// # Errors
    /// As [`Mirror::take`].
    pub fn take_tree(&mut self, path: &Path, leave: &dyn Fn(&Path) -> bool) -> Result<(), Failure> {
        let path = self.take(path)?;
        self.take_below(&path, leave, 0)
    }

    fn take_below(
        &mut self,
        path: &Path,
        leave: &dyn Fn(&Path) -> bool,
        depth: usize,
    ) -> Result<(), Failure> {
        if depth > DEPTH_MAX {
            return Err(Failure::at(path, "directories are nested too deep"));
        }
        let entries = fs::read_dir(path).and_then(|entries| {
            entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>, std::io::Error>>()
        });
        let mut entries = entries.map_err(|error| Failure::at(path, error))?;
        entries.sort_unstable();
        self.directory(path)?;
        for entry in entries.into_iter().filter(|entry| !leave(entry)) {
            let metadata = fs::symlink_metadata(&entry).map_err(|e| Failure::at(&entry, e))?;
            if metadata.is_dir() {
                self.take_below(&entry, leave, depth + 1)?;
            } else if metadata.is_symlink() && entry.exists() {
                // What it leads to comes along.
                self.take(&entry)?;
            } else {
                self.add(&entry, &metadata)?;
            }
        }
        Ok(())
    }

    /// Puts a text of ours at `path`.
    ///
    /// # Errors
    /// A path that something else is in the way of.
    pub fn put(&mut self, path: &Path, text: &str) -> Result<(), Failure> {
        let leaf = Leaf::File(Source::Bytes(text.as_bytes().to_vec()));
        self.put_leaf(path, leaf, Attributes::root(0o644, EPOCH))
    }

    /// Puts a program of ours at `path`, a script.
    ///
    /// # Errors
    /// As [`Mirror::put`].
    pub fn put_program(&mut self, path: &Path, text: &str) -> Result<(), Failure> {
        let leaf = Leaf::File(Source::Bytes(text.as_bytes().to_vec()));
        self.put_leaf(path, leaf, Attributes::root(0o755, EPOCH))
    }

    /// Makes a symbolic link at `path`, unless something is there.
    ///
    /// # Errors
    /// As [`Mirror::put`].
    pub fn link(&mut self, path: &Path, target: &Path) -> Result<(), Failure> {
        if self.has(path) {
            return Ok(());
        }
        let leaf = Leaf::Symlink(target.as_os_str().as_bytes().to_vec());
        self.put_leaf(path, leaf, Attributes::root(0o777, EPOCH))
    }

    /// Makes an empty directory, unless something is there.
    ///
    /// # Errors
    /// As [`Mirror::put`].
    pub fn directory(&mut self, path: &Path) -> Result<NodeId, Failure> {
        Ok(self.tree.make_directories(path.as_os_str().as_bytes(), DIRECTORY)?)
    }

    /// Adds a file of the host, unless it is there; `path` has no links but itself.
    fn add(&mut self, path: &Path, metadata: &Metadata) -> Result<(), Failure> {
        if self.has(path) {
            return Ok(());
        }
        if metadata.is_file() {
            self.taken.push(path.to_owned());
        }
        match walk::leaf(path, metadata, &mut self.files)? {
            Some(leaf) => self.put_leaf(path, leaf, walk::attributes(metadata, &OPTIONS)),
            None => Ok(()),
        }
    }

    fn put_leaf(&mut self, path: &Path, leaf: Leaf, attributes: Attributes) -> Result<(), Failure> {
        let (Some(directory), Some(name)) = (path.parent(), path.file_name()) else {
            return Err(Failure::at(path, "it has no name"));
        };
        let parent = self.directory(directory)?;
        self.tree.add(parent, name.as_bytes(), leaf, attributes)?;
        Ok(())
    }
}

/// The names of a path, "." and the root left out.
fn names(path: &Path) -> impl DoubleEndedIterator<Item = OsString> {
    path.components().filter_map(|component| match component {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some("..".into()),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_path_means_in_the_tree_what_it_means_here() {
        let place = tempfile::tempdir().unwrap();
        let root = place.path().canonicalize().unwrap();
        fs::create_dir_all(root.join("real/deep")).unwrap();
        fs::write(root.join("real/deep/file"), "text").unwrap();
        symlink("real", root.join("short")).unwrap();
        symlink(root.join("short/deep"), root.join("absolute")).unwrap();
        let mut mirror = Mirror::new().unwrap();
        let found = mirror.take(&root.join("absolute/../deep/file")).unwrap();
        assert_eq!(found, root.join("real/deep/file"));
        for path in ["absolute", "short", "real/deep/file"] {
            assert!(mirror.has(&root.join(path)), "{path}");
        }
        assert_eq!(mirror.taken(), [root.join("real/deep/file")]);
        assert!(mirror.take(&root.join("missing")).is_err());
        symlink("loop", root.join("loop")).unwrap();
        assert!(mirror.take(&root.join("loop")).is_err());
    }

    #[test]
    fn a_tree_comes_without_what_is_left() {
        let place = tempfile::tempdir().unwrap();
        let root = place.path().canonicalize().unwrap();
        for directory in ["lib/test", "lib/json"] {
            fs::create_dir_all(root.join(directory)).unwrap();
            fs::write(root.join(directory).join("a.py"), "").unwrap();
        }
        fs::write(root.join("outside"), "").unwrap();
        symlink("../outside", root.join("lib/link")).unwrap();
        symlink("nowhere", root.join("lib/dangling")).unwrap();
        let mut mirror = Mirror::new().unwrap();
        mirror.take_tree(&root.join("lib"), &|path| path.ends_with("test")).unwrap();
        for (path, there) in [
            ("lib/json/a.py", true),
            ("lib/test", false),
            ("lib/link", true),
            ("outside", true),
            ("lib/dangling", true),
        ] {
            assert_eq!(mirror.has(&root.join(path)), there, "{path}");
        }
    }
}
