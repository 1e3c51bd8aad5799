//! Files of archives, one over the other, as a tree: what the layers of a container image are
//! (OCI image specification, "Image Layer Filesystem Changeset").
//!
//! ```text
//!   layer 1    etc/  etc/a  bin ─▶ usr/bin
//!   layer 2          etc/a'        etc/.wh.b            a' instead of a; b is gone
//! ```
//!
//! Paths come from strangers: they go through [`Layers::add`], which takes a path for what it means below
//! one root or not at all.

use std::collections::BTreeMap;
use std::ops::Bound;

use crate::{Attributes, Leaf, NodeId, Timestamp, Tree, TreeError};

/// Most names in all layers: ten times what large images have.
pub const NAMES_MAX: usize = 1 << 22;
/// Bytes in front of a name that a layer takes away.
const WHITEOUT: &[u8] = b".wh.";
/// A name that takes away all that lower layers have in its directory.
const OPAQUE: &[u8] = b".wh..wh..opq";

/// Why an archive's file can't be taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LayerError {
    /// A path with `..` or a NUL in it.
    #[error("the archive holds {path:?}, which may lead out of it")]
    Path {
        /// The path.
        path: String,
    },
    /// Something lies in what is no directory.
    #[error("the archive holds {path:?}, but {parent:?} is no directory")]
    Parent {
        /// The path.
        path: String,
        /// What should be a directory.
        parent: String,
    },
    /// A hard link to what is not there, or to a directory.
    #[error("the archive holds {path:?}, a hard link to {target:?}, which is no file of it")]
    Link {
        /// The link.
        path: String,
        /// Its target.
        target: String,
    },
    /// More than [`NAMES_MAX`] names.
    #[error("the archive holds more than {NAMES_MAX} names")]
    TooMany,
    /// What an image can't hold.
    #[error("the archive holds {path:?}: {error}")]
    Tree {
        /// The path.
        path: String,
        /// Why.
        #[source]
        error: TreeError,
    },
}

/// A file of an archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Member {
    /// A directory.
    Directory,
    /// Anything else but a name for what is there.
    Leaf(Leaf),
    /// Another name for the file at this path.
    Link(Vec<u8>),
}

#[derive(Clone, Debug)]
enum Kind {
    Directory,
    Leaf(Leaf),
}

/// What layers come to.
#[derive(Debug, Default)]
pub struct Layers {
    /// Where what is in `nodes`, by paths without slashes at either end. A parent comes before its children.
    names: BTreeMap<Vec<u8>, (usize, u32)>,
    nodes: Vec<(Kind, Attributes)>,
    root: Option<Attributes>,
    layer: u32,
}

impl Layers {
    /// Nothing at all.
    pub fn new() -> Layers {
        Layers::default()
    }

    /// What is added from now on lies over what there is.
    pub fn next_layer(&mut self) {
        self.layer += 1;
    }

    /// Adds a file.
    ///
    /// # Errors
    /// [`LayerError`], but for `Tree`.
    pub fn add(
        &mut self,
        path: &[u8],
        member: Member,
        attributes: Attributes,
    ) -> Result<(), LayerError> {
        let path = normal(path)?;
        let Some(slash) = path.iter().rposition(|byte| *byte == b'/') else {
            return self.add_in(b"", path, member, attributes);
        };
        let parent = path[..slash].to_vec();
        self.add_in(&parent, path, member, attributes)
    }

    fn add_in(
        &mut self,
        parent: &[u8],
        path: Vec<u8>,
        member: Member,
        attributes: Attributes,
    ) -> Result<(), LayerError> {
        if path.is_empty() {
            self.root = Some(attributes);
            return Ok(());
        }
        let name = &path[if parent.is_empty() { 0 } else { parent.len() + 1 }..];
        if name == OPAQUE {
            self.take_away(parent, false);
            return Ok(());
        }
        if let Some(name) = name.strip_prefix(WHITEOUT) {
            let gone =
                if parent.is_empty() { name.to_vec() } else { [parent, b"/", name].concat() };
            self.take_away(&gone, true);
            return Ok(());
        }
        self.check_parents(parent, &path)?;
        let node = match member {
            Member::Directory => Kind::Directory,
            Member::Leaf(leaf) => Kind::Leaf(leaf),
            Member::Link(target) => {
                let target = normal(&target)?;
                let found = self.names.get(&target).map(|(node, _)| *node);
                let Some(node) = found.filter(|node| matches!(self.nodes[*node].0, Kind::Leaf(_)))
                else {
                    return Err(LayerError::Link { path: show(&path), target: show(&target) });
                };
                return self.enter(path, node);
            }
        };
        if !matches!(node, Kind::Directory) {
            // What was below a directory goes with it.
            self.take_away(&path, true);
        }
        self.nodes.push((node, attributes));
        self.enter(path, self.nodes.len() - 1)
    }

    /// The tree.
    ///
    /// # Errors
    /// [`LayerError::Tree`].
    pub fn into_tree(self) -> Result<Tree, LayerError> {
        let plain = Attributes::root(0o755, Timestamp::default());
        let at = |path: &[u8]| {
            let path = show(path);
            move |error| LayerError::Tree { path, error }
        };
        let mut tree = Tree::new(self.root.unwrap_or(plain)).map_err(at(b"/"))?;
        let mut made: Vec<Option<NodeId>> = vec![None; self.nodes.len()];
        for (path, (node, _)) in &self.names {
            let slash = path.iter().rposition(|byte| *byte == b'/');
            let (parent, name) = match slash {
                Some(slash) => (&path[..slash], &path[slash + 1..]),
                None => (&b""[..], &path[..]),
            };
            let parent = tree.make_directories(parent, plain).map_err(at(path))?;
            let (kind, attributes) = &self.nodes[*node];
            let added = match (kind, made[*node]) {
                (Kind::Directory, _) => tree.add_directory(parent, name, *attributes).map(Some),
                (Kind::Leaf(_), Some(there)) => tree.link(parent, name, there).map(|()| None),
                (Kind::Leaf(leaf), None) => {
                    tree.add(parent, name, leaf.clone(), *attributes).map(Some)
                }
            };
            if let Some(id) = added.map_err(at(path))? {
                made[*node] = Some(id);
            }
        }
        Ok(tree)
    }

    /// What is on the way must be directories; what is missing there becomes one.
    fn check_parents(&self, parent: &[u8], path: &[u8]) -> Result<(), LayerError> {
        let ends = parent.iter().enumerate().filter(|(_, byte)| **byte == b'/').map(|(at, _)| at);
        for end in ends.chain([parent.len()]).filter(|end| *end > 0) {
            let there = self.names.get(&parent[..end]);
            if there.is_some_and(|(node, _)| !matches!(self.nodes[*node].0, Kind::Directory)) {
                let parent = show(&parent[..end]);
                return Err(LayerError::Parent { path: show(path), parent });
            }
        }
        Ok(())
    }

    fn enter(&mut self, path: Vec<u8>, node: usize) -> Result<(), LayerError> {
        if self.names.len() >= NAMES_MAX || self.nodes.len() > NAMES_MAX {
            return Err(LayerError::TooMany);
        }
        self.names.insert(path, (node, self.layer));
        Ok(())
    }

    /// Removes what is below `path`, and `path` itself where `whole`. A whiteout is about lower layers: what
    /// this layer has added below an opaque directory stays.
    fn take_away(&mut self, path: &[u8], whole: bool) {
        if whole {
            self.names.remove(path);
        }
        let (start, end) = match path {
            b"" => (Vec::new(), None),
            // '0' comes right after '/'.
            _ => ([path, b"/"].concat(), Some([path, b"0"].concat())),
        };
        let end = end.map_or(Bound::Unbounded, Bound::Excluded);
        let below = self.names.range((Bound::Included(start), end));
        let gone: Vec<Vec<u8>> = below
            .filter(|(_, (_, layer))| whole || *layer < self.layer)
            .map(|(path, _)| path.clone())
            .collect();
        for path in gone {
            self.names.remove(&path);
        }
    }
}

/// A path below the root: no empty names, no `.`, no slashes at the ends.
fn normal(path: &[u8]) -> Result<Vec<u8>, LayerError> {
    let mut names: Vec<&[u8]> = Vec::new();
    for name in path.split(|byte| *byte == b'/') {
        match name {
            b"" | b"." => {}
            name if name == b".." || name.contains(&0) => {
                return Err(LayerError::Path { path: show(path) });
            }
            name => names.push(name),
        }
    }
    Ok(names.join(&b'/'))
}

fn show(path: &[u8]) -> String {
    String::from_utf8_lossy(path).into_owned()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;
    use crate::Source;

    const PLAIN: Attributes = Attributes::root(0o644, Timestamp { seconds: 0, nanoseconds: 0 });

    fn file(text: &str) -> Member {
        Member::Leaf(Leaf::File(Source::Bytes(text.as_bytes().to_vec())))
    }

    fn link(to: &str) -> Member {
        Member::Leaf(Leaf::Symlink(to.as_bytes().to_vec()))
    }

    fn add(layers: &mut Layers, path: &str, member: Member) -> Result<(), LayerError> {
        layers.add(path.as_bytes(), member, PLAIN)
    }

    fn has(tree: &Tree, path: &str) -> bool {
        tree.find(path.as_bytes()).is_some()
    }

    #[test]
    fn an_upper_layer_replaces_and_takes_away() {
        let mut layers = Layers::new();
        for path in ["etc/a", "./etc/b", "/etc/deep/c", "opt/x/y", "var/old"] {
            add(&mut layers, path, file("1")).unwrap();
        }
        layers.next_layer();
        add(&mut layers, "etc/a", file("22")).unwrap();
        add(&mut layers, "etc/.wh.b", file("")).unwrap();
        add(&mut layers, "etc/.wh.deep", file("")).unwrap();
        add(&mut layers, "opt", link("var")).unwrap();
        add(&mut layers, "var/new", file("3")).unwrap();
        add(&mut layers, "var/.wh..wh..opq", file("")).unwrap();
        let tree = layers.into_tree().unwrap();
        for (path, there) in [
            ("etc/a", true),
            ("etc/b", false),
            ("etc/deep/c", false),
            ("opt", true),
            ("opt/x/y", false),
            ("var/old", false),
            ("var/new", true),
        ] {
            assert_eq!(has(&tree, path), there, "{path}");
        }
    }

    #[test]
    fn a_hard_link_keeps_the_file_that_it_was_made_of() {
        let mut layers = Layers::new();
        add(&mut layers, "a", file("1")).unwrap();
        add(&mut layers, "b", Member::Link(b"./a".to_vec())).unwrap();
        layers.next_layer();
        add(&mut layers, ".wh.a", file("")).unwrap();
        let tree = layers.into_tree().unwrap();
        assert!(has(&tree, "b") && !has(&tree, "a"));
    }

    #[test]
    fn hostile_paths_are_refused() {
        let mut layers = Layers::new();
        add(&mut layers, "link", link("/etc")).unwrap();
        add(&mut layers, "file", file("")).unwrap();
        add(&mut layers, "dir", Member::Directory).unwrap();
        for path in ["../x", "a/../../x", "/..", "a\0b"] {
            let refused = add(&mut layers, path, file(""));
            assert!(matches!(refused, Err(LayerError::Path { .. })), "{path:?}");
        }
        for path in ["link/passwd", "file/x", "link/a/b"] {
            let refused = add(&mut layers, path, file(""));
            assert!(matches!(refused, Err(LayerError::Parent { .. })), "{path:?}");
        }
        for target in ["missing", "dir"] {
            let refused = add(&mut layers, "hard", Member::Link(target.as_bytes().to_vec()));
            assert!(matches!(refused, Err(LayerError::Link { .. })), "{target:?}");
        }
        let name = "n".repeat(300);
        add(&mut layers, &name, file("")).unwrap();
        assert!(matches!(layers.into_tree(), Err(LayerError::Tree { .. })));
    }
}
