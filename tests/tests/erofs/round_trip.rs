//! What the writer wrote, the reader reads.

use mayfly_erofs::{BLOCK_SIZE, Erofs, Error, Extent, Timestamp};
use mayfly_image::{Attributes, Leaf, Source, Tree};
use proptest::prelude::*;

use super::model::{self, Kind, Node};

fn check(tree: &Node) -> Vec<u8> {
    let image = tree.image();
    let fs = Erofs::mount(&image[..]).unwrap();
    assert_eq!(fs.volume().size(), image.len() as u64);
    tree.check(&fs, &fs.root().unwrap());
    image
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_tree_survives(tree in model::trees()) {
        check(&tree);
    }
}

#[test]
fn an_empty_tree() {
    let image = check(&Node::directory::<&str>([]));
    assert_eq!(image.len(), BLOCK_SIZE);
}

#[test]
fn three_thousand_entries_in_one_directory() {
    let entries = (0..3000).map(|n| (format!("entry number {n}"), Node::file(n.to_string())));
    check(&Node::directory([("big", Node::directory(entries))]));
}

#[test]
fn names_as_long_as_may_be() {
    let name = |n: u8| [&[n][..], &[b'x'; 254]].concat();
    let entries = (1..=200).filter(|&n| n != b'/').map(|n| (name(n), Node::file("")));
    check(&Node::directory(entries));
}

#[test]
fn a_hundred_directories_deep() {
    let deepest = Node::directory([("bottom", Node::file("here"))]);
    check(&(0..100).fold(deepest, |below, _| Node::directory([("d", below)])));
}

#[test]
fn contents_around_the_sizes_where_layouts_change() {
    for len in [0, 1, 2047, 2048, 2049, 4031, 4032, 4064, 4095, 4096, 4097, 8192, 8193] {
        let contents: Vec<u8> = (0..len).map(|n| (n % 253) as u8).collect();
        let external = Node::new(0o600, Kind::File(contents.clone(), true));
        let inside = Node::file(contents);
        check(&Node::directory([("external", external), ("inside", inside)]));
    }
}

#[test]
fn symbolic_links_of_every_size() {
    let lengths = [1, 60, 4000, 4032, 4033, 4063, 4064, 4065, 4095];
    check(&Node::directory(lengths.map(|len| (len.to_string(), Node::symlink(vec![b't'; len])))));
}

#[test]
fn devices_and_pipes() {
    check(&Node::directory([
        ("null", Node::new(0o666, Kind::Char(1, 3))),
        ("vda", Node::new(0o660, Kind::Block(254, 0))),
        ("huge", Node::new(0o660, Kind::Block(4095, 0xf_ffff))),
        ("pipe", Node::new(0o600, Kind::Fifo)),
    ]));
}

#[test]
fn every_attribute_at_its_ends() {
    let times = [i64::MIN, -1, 0, 1, i64::MAX];
    let nodes = times.map(|seconds| {
        let mtime = Timestamp { seconds, nanoseconds: 999_999_999 };
        let attributes = Attributes { permissions: 0o7777, uid: u32::MAX, gid: 65_536, mtime };
        (seconds.to_string(), Node { attributes, kind: Kind::Fifo })
    });
    check(&Node::directory(nodes));
}

#[test]
fn names_of_one_file_lead_to_one_inode() {
    let attributes = Attributes::root(0o644, Timestamp::default());
    let mut tree = Tree::new(attributes).unwrap();
    let leaf = Leaf::File(Source::External { id: 0, len: 5000 });
    let file = tree.add(tree.root(), b"a", leaf, attributes).unwrap();
    let dir = tree.add_directory(tree.root(), b"d", attributes).unwrap();
    tree.link(dir, b"b", file).unwrap();
    let image = model::write(tree, &[vec![7; 5000]]);
    assert_eq!(image.len(), (1 + 2) * BLOCK_SIZE, "the contents are there once");

    let fs = Erofs::mount(&image[..]).unwrap();
    let root = fs.root().unwrap();
    let dir = fs.inode(fs.lookup(&root, b"d").unwrap().unwrap().nid).unwrap();
    let (a, b) = (fs.lookup(&root, b"a").unwrap(), fs.lookup(&dir, b"b").unwrap());
    assert_eq!(a, b);
    assert_eq!(fs.inode(a.unwrap().nid).unwrap().nlink, 2);
}

#[test]
fn an_external_file_is_one_extent_that_can_be_mapped() {
    let contents: Vec<u8> = (0..50_000).map(|n| (n % 249) as u8).collect();
    let program = Node::new(0o755, Kind::File(contents.clone(), true));
    let image = Node::directory([("a", Node::file("small")), ("prog", program)]).image();
    let fs = Erofs::mount(&image[..]).unwrap();
    let found = fs.lookup(&fs.root().unwrap(), b"prog").unwrap().unwrap();
    let inode = fs.inode(found.nid).unwrap();
    let Some(Extent::Blocks { offset, len: 50_000 }) = fs.extent(&inode, 0).unwrap() else {
        panic!("{:?}", fs.extent(&inode, 0));
    };
    assert_eq!(offset % BLOCK_SIZE as u64, 0);
    assert!(image[offset as usize..][..50_000] == contents);
    assert!(image[offset as usize + 50_000..].iter().all(|&byte| byte == 0), "padded with zeros");
    let later = Extent::Blocks { offset: offset + 8192, len: 50_000 - 8192 };
    assert_eq!(fs.extent(&inode, 8192).unwrap(), Some(later));
    assert_eq!(fs.extent(&inode, 50_000).unwrap(), None);
    assert_eq!(fs.extent(&inode, u64::MAX).unwrap(), None);
}

#[test]
fn wrong_kinds_of_inode_are_the_callers_mistake() {
    let image = Node::directory([("f", Node::file("x"))]).image();
    let fs = Erofs::mount(&image[..]).unwrap();
    let root = fs.root().unwrap();
    let file = fs.inode(fs.lookup(&root, b"f").unwrap().unwrap().nid).unwrap();
    assert_eq!(fs.lookup(&file, b"x"), Err(Error::NotADirectory));
    assert_eq!(fs.read_dir(&file, 0, |_| panic!()), Err(Error::NotADirectory));
    assert_eq!(fs.read_link(&root, &mut [0; 9]), Err(Error::NotASymlink));
}

#[test]
fn a_short_buffer_gets_the_front_of_a_link() {
    let image = Node::directory([("l", Node::symlink("target"))]).image();
    let fs = Erofs::mount(&image[..]).unwrap();
    let found = fs.lookup(&fs.root().unwrap(), b"l").unwrap().unwrap();
    let mut buf = [0; 3];
    assert_eq!(fs.read_link(&fs.inode(found.nid).unwrap(), &mut buf), Ok(3));
    assert_eq!(&buf, b"tar");
}
