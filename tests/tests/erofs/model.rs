//! A tree of files as plain data: what both sides are compared with.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use mayfly_erofs::{BlockSource, Erofs, FileType, Inode};
use mayfly_image::{Attributes, ImageLayout, Leaf, NodeId, Options, Source, Timestamp, Tree};
use proptest::prelude::*;

/// A node with its attributes.
#[derive(Clone, Debug)]
pub struct Node {
    pub attributes: Attributes,
    pub kind: Kind,
}

/// What a node is.
#[derive(Clone, Debug)]
pub enum Kind {
    Directory(BTreeMap<Vec<u8>, Node>),
    /// Contents, and whether the writer gets them as an external file.
    File(Vec<u8>, bool),
    Symlink(Vec<u8>),
    Char(u32, u32),
    Block(u32, u32),
    Fifo,
}

impl Node {
    pub fn new(permissions: u16, kind: Kind) -> Node {
        Node { attributes: Attributes::root(permissions, Timestamp::default()), kind }
    }

    pub fn directory<N: Into<Vec<u8>>>(children: impl IntoIterator<Item = (N, Node)>) -> Node {
        let children = children.into_iter().map(|(name, node)| (name.into(), node)).collect();
        Node::new(0o755, Kind::Directory(children))
    }

    pub fn file(contents: impl Into<Vec<u8>>) -> Node {
        Node::new(0o644, Kind::File(contents.into(), false))
    }

    pub fn symlink(target: impl Into<Vec<u8>>) -> Node {
        Node::new(0o777, Kind::Symlink(target.into()))
    }

    /// The image of a directory.
    pub fn image(&self) -> Vec<u8> {
        let mut externals = Vec::new();
        let mut tree = Tree::new(self.attributes).unwrap();
        let root = tree.root();
        self.plant(&mut tree, root, &mut externals);
        write(tree, &externals)
    }

    fn plant(&self, tree: &mut Tree, at: NodeId, externals: &mut Vec<Vec<u8>>) {
        let Kind::Directory(children) = &self.kind else { return };
        for (name, child) in children {
            let leaf = match child.kind.clone() {
                Kind::Directory(_) => {
                    let made = tree.add_directory(at, name, child.attributes).unwrap();
                    child.plant(tree, made, externals);
                    continue;
                }
                Kind::File(contents, true) => {
                    let (id, len) = (externals.len() as u32, contents.len() as u64);
                    externals.push(contents);
                    Leaf::File(Source::External { id, len })
                }
                Kind::File(contents, false) => Leaf::File(Source::Bytes(contents)),
                Kind::Symlink(target) => Leaf::Symlink(target),
                Kind::Char(major, minor) => Leaf::CharDevice { major, minor },
                Kind::Block(major, minor) => Leaf::BlockDevice { major, minor },
                Kind::Fifo => Leaf::Fifo,
            };
            tree.add(at, name, leaf, child.attributes).unwrap();
        }
    }

    /// Checks that `inode`, and all below it, is this.
    pub fn check<S: BlockSource<Error: std::fmt::Debug>>(&self, fs: &Erofs<S>, inode: &Inode) {
        let Attributes { permissions, uid, gid, mtime } = self.attributes;
        assert_eq!(inode.mode & 0o7777, permissions);
        assert_eq!((inode.uid, inode.gid, inode.mtime), (uid, gid, mtime));
        let (file_type, nlink) = match &self.kind {
            Kind::Directory(children) => {
                let is_directory = |node: &&Node| matches!(node.kind, Kind::Directory(_));
                let below = children.values().filter(is_directory).count();
                (FileType::Directory, 2 + below as u32)
            }
            Kind::File(..) => (FileType::Regular, 1),
            Kind::Symlink(_) => (FileType::Symlink, 1),
            Kind::Char(..) => (FileType::CharDevice, 1),
            Kind::Block(..) => (FileType::BlockDevice, 1),
            Kind::Fifo => (FileType::Fifo, 1),
        };
        assert_eq!((inode.file_type, inode.nlink), (file_type, nlink));
        match &self.kind {
            Kind::Directory(children) => check_directory(fs, inode, children),
            Kind::File(contents, _) => {
                assert_eq!(inode.size, contents.len() as u64);
                assert!(read(fs, inode) == *contents, "contents differ");
            }
            Kind::Symlink(target) => {
                let mut buf = [0; 5000];
                let len = fs.read_link(inode, &mut buf).unwrap();
                assert_eq!(&buf[..len], target);
            }
            Kind::Char(major, minor) | Kind::Block(major, minor) => {
                assert_eq!(inode.rdev, (*major, *minor));
            }
            Kind::Fifo => assert_eq!(inode.rdev, (0, 0)),
        }
    }
}

/// The image of a tree whose external file `id` is `externals[id]`.
pub fn write(tree: Tree, externals: &[Vec<u8>]) -> Vec<u8> {
    let layout = ImageLayout::build(tree, &Options::default()).unwrap();
    let mut image = Vec::new();
    layout.write_to(&mut image, |id| Ok(&externals[id as usize][..])).unwrap();
    assert_eq!(image.len() as u64, layout.size());
    image
}

fn check_directory<S: BlockSource<Error: std::fmt::Debug>>(
    fs: &Erofs<S>,
    inode: &Inode,
    children: &BTreeMap<Vec<u8>, Node>,
) {
    let mut names: Vec<Vec<u8>> = children.keys().cloned().collect();
    names.extend([b".".to_vec(), b"..".to_vec()]);
    names.sort();
    assert_eq!(list(fs, inode), names);
    assert_eq!(fs.lookup(inode, b".").unwrap().unwrap().nid, inode.nid);
    for (name, node) in children {
        let found = fs.lookup(inode, name).unwrap().expect("what is listed is found");
        let child = fs.inode(found.nid).unwrap();
        assert_eq!(found.file_type, child.file_type);
        node.check(fs, &child);
        if child.file_type == FileType::Directory {
            assert_eq!(fs.lookup(&child, b"..").unwrap().unwrap().nid, inode.nid);
        }
        // Neighbours of a name that are no names of this directory.
        for other in [[name, &b"\x01"[..]].concat(), name[..name.len() - 1].to_vec()] {
            let is_there = names.contains(&other);
            assert_eq!(fs.lookup(inode, &other).unwrap().is_some(), is_there);
        }
    }
}

/// All names of a directory, in listings of three entries each.
pub fn list<S: BlockSource<Error: std::fmt::Debug>>(fs: &Erofs<S>, dir: &Inode) -> Vec<Vec<u8>> {
    let (mut names, mut cookie) = (Vec::new(), 0);
    loop {
        let mut room = 3;
        let before = cookie;
        cookie = fs
            .read_dir(dir, cookie, |entry| {
                if room == 0 {
                    return ControlFlow::Break(());
                }
                room -= 1;
                names.push(entry.name.to_vec());
                ControlFlow::Continue(())
            })
            .unwrap();
        if room > 0 {
            assert_eq!(fs.read_dir(dir, cookie, |_| panic!("after the end")).unwrap(), cookie);
            return names;
        }
        assert!(cookie > before);
    }
}

/// A file's contents, read in pieces of an odd size.
pub fn read<S: BlockSource<Error: std::fmt::Debug>>(fs: &Erofs<S>, inode: &Inode) -> Vec<u8> {
    let mut contents = Vec::new();
    let mut buf = [0; 7001];
    loop {
        let len = fs.read_at(inode, contents.len() as u64, &mut buf).unwrap();
        contents.extend_from_slice(&buf[..len]);
        if len < buf.len() {
            return contents;
        }
    }
}

fn attributes() -> impl Strategy<Value = Attributes> {
    let owner = prop_oneof![0u32..3, 65_530u32..65_540, any::<u32>()];
    let seconds = prop_oneof![4 => Just(0), 1 => any::<i64>()];
    let nanoseconds = prop_oneof![4 => Just(0), 1 => 0u32..1_000_000_000];
    (0u16..0o10_000, owner.clone(), owner, seconds, nanoseconds).prop_map(
        |(permissions, uid, gid, seconds, nanoseconds)| Attributes {
            permissions,
            uid,
            gid,
            mtime: Timestamp { seconds, nanoseconds },
        },
    )
}

fn name() -> impl Strategy<Value = Vec<u8>> {
    let byte = any::<u8>().prop_filter("of a name", |byte| !matches!(byte, 0 | b'/'));
    let short = prop::collection::vec(byte.clone(), 1..12);
    let long = prop::collection::vec(byte, 200..256);
    prop_oneof![8 => short, 1 => long]
        .prop_filter("every directory has one", |name| name != b"." && name != b"..")
}

fn leaf() -> impl Strategy<Value = Kind> {
    let len = prop_oneof![4 => 0..100usize, 2 => 1900..2200usize, 2 => 4000..4200usize, 1 => 0..30_000usize];
    let contents = (len, any::<u8>())
        .prop_map(|(len, seed)| (0..len).map(|n| seed.wrapping_add((n % 251) as u8)).collect());
    let short = prop::collection::vec(1u8.., 1..64);
    let long = prop::collection::vec(1u8.., 3900..=4095);
    let target = prop_oneof![8 => short, 1 => long];
    prop_oneof![
        6 => (contents, any::<bool>()).prop_map(|(bytes, external)| Kind::File(bytes, external)),
        2 => target.prop_map(Kind::Symlink),
        1 => (0u32..4096, 0u32..(1 << 20)).prop_map(|(major, minor)| Kind::Char(major, minor)),
        1 => (0u32..4096, 0u32..(1 << 20)).prop_map(|(major, minor)| Kind::Block(major, minor)),
        1 => Just(Kind::Fifo),
    ]
}

/// Trees of some hundred nodes, five directories deep.
pub fn trees() -> impl Strategy<Value = Node> {
    let leaf = (attributes(), leaf()).prop_map(|(attributes, kind)| Node { attributes, kind });
    let node = leaf.prop_recursive(4, 100, 12, |inner| directory(inner.boxed()));
    directory(node.boxed())
}

fn directory(inner: BoxedStrategy<Node>) -> impl Strategy<Value = Node> {
    (attributes(), prop::collection::btree_map(name(), inner, 0..12))
        .prop_map(|(attributes, children)| Node { attributes, kind: Kind::Directory(children) })
}
