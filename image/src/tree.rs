//! The tree of files that an image is made of.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use mayfly_abi::erofs::{
    DEV_MAJOR_MAX, DEV_MINOR_MAX, FileType, NAME_LEN_MAX, SYMLINK_LEN_MAX, Timestamp,
};

use crate::TreeError;

/// How deep directories may lie in one another: a path of Linux's PATH_MAX (4096 bytes) has no more
/// than 2,048 names, so what is deeper could not be opened by its path.
pub const DEPTH_MAX: u32 = 2048;

/// A node of one [`Tree`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct NodeId(usize);

/// What every kind of file has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attributes {
    /// The low 12 bits of `st_mode`: set-user-ID, set-group-ID, sticky and rwxrwxrwx.
    pub permissions: u16,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Modification time.
    pub mtime: Timestamp,
}

impl Attributes {
    /// root's, with these permissions.
    pub const fn root(permissions: u16, mtime: Timestamp) -> Self {
        Attributes { permissions, uid: 0, gid: 0, mtime }
    }
}

/// Where a file's contents come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// They are here.
    Bytes(Vec<u8>),
    /// They are the first `len` bytes of a file that the caller has and calls `id`.
    External {
        /// The caller's name for the file.
        id: u32,
        /// Bytes.
        len: u64,
    },
}

impl Source {
    /// How many bytes it has.
    pub fn size(&self) -> u64 {
        match self {
            Source::Bytes(bytes) => bytes.len() as u64,
            Source::External { len, .. } => *len,
        }
    }
}

/// A node that is no directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Leaf {
    /// A regular file.
    File(Source),
    /// A symbolic link to this path.
    Symlink(Vec<u8>),
    /// A character device.
    CharDevice {
        /// Which driver.
        major: u32,
        /// Which of its devices.
        minor: u32,
    },
    /// A block device.
    BlockDevice {
        /// Which driver.
        major: u32,
        /// Which of its devices.
        minor: u32,
    },
    /// A named pipe.
    Fifo,
}

impl Leaf {
    /// The type that its inode has.
    pub fn file_type(&self) -> FileType {
        match self {
            Leaf::File(_) => FileType::Regular,
            Leaf::Symlink(_) => FileType::Symlink,
            Leaf::CharDevice { .. } => FileType::CharDevice,
            Leaf::BlockDevice { .. } => FileType::BlockDevice,
            Leaf::Fifo => FileType::Fifo,
        }
    }
}

/// Directories and what is in them. Whatever is in a tree can be written to an image.
#[derive(Clone, Debug)]
pub struct Tree {
    /// The first is the root.
    nodes: Vec<Node>,
}

#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) attributes: Attributes,
    /// Names that lead here; for a directory, the `.` and the subdirectories' `..` too.
    pub(crate) nlink: u32,
    pub(crate) kind: NodeKind,
}

#[derive(Clone, Debug)]
pub(crate) enum NodeKind {
    Directory { parent: NodeId, depth: u32, children: BTreeMap<Vec<u8>, NodeId> },
    Leaf(Leaf),
}

impl Node {
    pub(crate) fn file_type(&self) -> FileType {
        match &self.kind {
            NodeKind::Directory { .. } => FileType::Directory,
            NodeKind::Leaf(leaf) => leaf.file_type(),
        }
    }
}

impl Tree {
    /// A tree of just a root directory.
    ///
    /// # Errors
    ///
    /// [`TreeError::Attributes`].
    pub fn new(root: Attributes) -> Result<Self, TreeError> {
        check_attributes(b"/", &root)?;
        let kind = NodeKind::Directory { parent: NodeId(0), depth: 0, children: BTreeMap::new() };
        Ok(Tree { nodes: vec![Node { attributes: root, nlink: 2, kind }] })
    }

    /// The root directory.
    pub fn root(&self) -> NodeId {
        NodeId(0)
    }

    /// Makes a directory in the directory `parent`.
    pub fn add_directory(
        &mut self,
        parent: NodeId,
        name: &[u8],
        attributes: Attributes,
    ) -> Result<NodeId, TreeError> {
        let depth = match self.nodes.get(parent.0).map(|node| &node.kind) {
            Some(NodeKind::Directory { depth, .. }) => depth + 1,
            _ => return Err(TreeError::NotADirectory { name: show(name) }),
        };
        if depth > DEPTH_MAX {
            return Err(TreeError::Depth { name: show(name) });
        }
        let kind = NodeKind::Directory { parent, depth, children: BTreeMap::new() };
        let id = self.insert(parent, name, Node { attributes, nlink: 2, kind })?;
        self.nodes[parent.0].nlink += 1;
        Ok(id)
    }

    /// Puts something that is no directory into the directory `parent`.
    pub fn add(
        &mut self,
        parent: NodeId,
        name: &[u8],
        leaf: Leaf,
        attributes: Attributes,
    ) -> Result<NodeId, TreeError> {
        check_leaf(name, &leaf)?;
        self.insert(parent, name, Node { attributes, nlink: 1, kind: NodeKind::Leaf(leaf) })
    }

    /// Gives a node that is no directory one more name.
    pub fn link(&mut self, parent: NodeId, name: &[u8], node: NodeId) -> Result<(), TreeError> {
        match self.nodes.get(node.0).map(|node| &node.kind) {
            Some(NodeKind::Leaf(_)) => {}
            _ => return Err(TreeError::LinkToDirectory { name: show(name) }),
        }
        self.enter(parent, name, node)?;
        self.nodes[node.0].nlink += 1;
        Ok(())
    }

    /// The directory at `path` (names between slashes; empty ones don't count), made with
    /// `attributes`, as are those on the way to it, where it is not there.
    ///
    /// # Errors
    ///
    /// [`TreeError::NotADirectory`] where something else is in the way.
    pub fn make_directories(
        &mut self,
        path: &[u8],
        attributes: Attributes,
    ) -> Result<NodeId, TreeError> {
        names(path).try_fold(self.root(), |at, name| match self.child(at, name) {
            Some(child) if self.node(child).file_type() == FileType::Directory => Ok(child),
            Some(_) => Err(TreeError::NotADirectory { name: show(name) }),
            None => self.add_directory(at, name, attributes),
        })
    }

    /// The node at `path`, as [`Tree::make_directories`] reads it. Symbolic links are not followed.
    pub fn find(&self, path: &[u8]) -> Option<NodeId> {
        names(path).try_fold(self.root(), |at, name| self.child(at, name))
    }

    pub(crate) fn child(&self, parent: NodeId, name: &[u8]) -> Option<NodeId> {
        match &self.nodes.get(parent.0)?.kind {
            NodeKind::Directory { children, .. } => children.get(name).copied(),
            NodeKind::Leaf(_) => None,
        }
    }

    fn insert(&mut self, parent: NodeId, name: &[u8], node: Node) -> Result<NodeId, TreeError> {
        check_attributes(name, &node.attributes)?;
        let id = NodeId(self.nodes.len());
        self.enter(parent, name, id)?;
        self.nodes.push(node);
        Ok(id)
    }

    fn enter(&mut self, parent: NodeId, name: &[u8], node: NodeId) -> Result<(), TreeError> {
        check_name(name)?;
        let Some(NodeKind::Directory { children, .. }) =
            self.nodes.get_mut(parent.0).map(|node| &mut node.kind)
        else {
            return Err(TreeError::NotADirectory { name: show(name) });
        };
        match children.entry(name.to_vec()) {
            Entry::Vacant(vacant) => vacant.insert(node),
            Entry::Occupied(_) => return Err(TreeError::Exists { name: show(name) }),
        };
        Ok(())
    }

    /// A node by an id of this tree.
    pub(crate) fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id.0]
    }

    /// How many nodes there are.
    pub(crate) fn len(&self) -> usize {
        self.nodes.len()
    }

    /// All nodes, at the places that [`NodeId::index`] says.
    pub(crate) fn ids(&self) -> impl Iterator<Item = NodeId> {
        (0..self.nodes.len()).map(NodeId)
    }

    /// Takes a regular file's contents out of the tree, leaving none.
    pub(crate) fn take_source(&mut self, id: NodeId) -> Option<Source> {
        match &mut self.nodes[id.0].kind {
            NodeKind::Leaf(Leaf::File(source)) => {
                Some(std::mem::replace(source, Source::Bytes(Vec::new())))
            }
            _ => None,
        }
    }
}

impl NodeId {
    /// The node's place among [`Tree::ids`].
    pub(crate) fn index(self) -> usize {
        self.0
    }
}

fn names(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    path.split(|&byte| byte == b'/').filter(|name| !name.is_empty())
}

fn show(name: &[u8]) -> String {
    String::from_utf8_lossy(name).into_owned()
}

fn check_name(name: &[u8]) -> Result<(), TreeError> {
    let reason = match name {
        b"" => "it is empty",
        b"." | b".." => "every directory has one",
        _ if name.len() > NAME_LEN_MAX => "it has more than 255 bytes",
        _ if name.contains(&b'/') => "it holds a slash",
        _ if name.contains(&0) => "it holds a NUL",
        _ => return Ok(()),
    };
    Err(TreeError::Name { name: show(name), reason })
}

fn check_attributes(name: &[u8], attributes: &Attributes) -> Result<(), TreeError> {
    if attributes.permissions & FileType::MODE_MASK == 0 && attributes.mtime.is_valid() {
        Ok(())
    } else {
        Err(TreeError::Attributes { name: show(name) })
    }
}

fn check_leaf(name: &[u8], leaf: &Leaf) -> Result<(), TreeError> {
    match *leaf {
        Leaf::Symlink(ref target)
            if target.is_empty() || target.len() > SYMLINK_LEN_MAX || target.contains(&0) =>
        {
            Err(TreeError::Target { name: show(name), len: target.len() })
        }
        Leaf::CharDevice { major, minor } | Leaf::BlockDevice { major, minor }
            if major > DEV_MAJOR_MAX || minor > DEV_MINOR_MAX =>
        {
            Err(TreeError::Device { name: show(name), major, minor })
        }
        _ => Ok(()),
    }
}
