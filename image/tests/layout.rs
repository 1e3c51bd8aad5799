//! What a layout promises, seen from outside: its segments, its bytes, and what it refuses.
#![allow(clippy::unwrap_used, reason = "a test that can't go on should stop")]

use mayfly_abi::erofs::{
    self as disk, BLOCK_SIZE, InodeCompact, InodeExtended, Layout, SLOT_SIZE, SUPER_OFFSET,
    SuperBlock,
};
use mayfly_image::{
    Attributes, BuildError, Found, ImageLayout, Leaf, Options, SegmentSource, Source, Timestamp,
    Tree, TreeError, Uuid, WriteError,
};
use zerocopy::FromBytes;

const EPOCH: Timestamp = Timestamp { seconds: 0, nanoseconds: 0 };
const FILE: Attributes = Attributes::root(0o644, EPOCH);
const DIRECTORY: Attributes = Attributes::root(0o755, EPOCH);

fn tree() -> Tree {
    Tree::new(DIRECTORY).unwrap()
}

fn external(id: u32, len: u64) -> Leaf {
    Leaf::File(Source::External { id, len })
}

fn build(tree: Tree) -> ImageLayout {
    ImageLayout::build(tree, &Options::default()).unwrap()
}

fn bytes(layout: &ImageLayout) -> Vec<u8> {
    let mut image = Vec::new();
    let open = |id| -> std::io::Result<&[u8]> { panic!("no file {id} in this test") };
    layout.write_to(&mut image, open).unwrap();
    image
}

/// The inode of the first file behind a root directory with one entry of this name.
fn only_inode<T: FromBytes>(image: &[u8], name: &[u8]) -> T {
    let root = SUPER_OFFSET + size_of::<SuperBlock>();
    let root_len = SLOT_SIZE + 3 * size_of::<disk::Dirent>() + 3 + name.len();
    T::read_from_prefix(&image[(root + root_len).next_multiple_of(SLOT_SIZE)..]).unwrap().0
}

fn with_one(attributes: Attributes, leaf: Leaf) -> Tree {
    let mut tree = tree();
    tree.add(tree.root(), b"f", leaf, attributes).unwrap();
    tree
}

#[test]
fn one_program_is_one_block_and_the_program() {
    let layout = build(with_one(FILE, external(7, 10_000)));
    let [metadata, program, fill] = layout.segments() else { panic!("{:?}", layout.segments()) };
    assert_eq!((metadata.offset, metadata.len), (0, 4096));
    assert_eq!((program.offset, program.len), (4096, 10_000));
    assert_eq!(program.source, SegmentSource::External { id: 7, offset: 0 });
    assert_eq!((fill.offset, fill.len, &fill.source), (14_096, 2288, &SegmentSource::Zero));
    assert_eq!(layout.size(), 4 * 4096);
    assert_eq!(layout.metadata_len(), 4096);
}

#[test]
fn segments_follow_one_another_and_files_begin_at_blocks() {
    let mut tree = tree();
    for (id, len) in [0, 1, 4095, 4096, 4097, 1 << 33].into_iter().enumerate() {
        let name = format!("external-{len}");
        tree.add(tree.root(), name.as_bytes(), external(id as u32, len), FILE).unwrap();
        let name = format!("bytes-{id}");
        let leaf = Leaf::File(Source::Bytes(vec![1; (len % 9000) as usize]));
        tree.add(tree.root(), name.as_bytes(), leaf, FILE).unwrap();
    }
    let layout = build(tree);
    let mut end = 0;
    for segment in layout.segments() {
        assert_eq!(segment.offset, end);
        assert!(segment.len > 0);
        let is_fill = segment.source == SegmentSource::Zero;
        assert!(is_fill || segment.offset % BLOCK_SIZE as u64 == 0);
        for at in [segment.offset, segment.offset + segment.len - 1] {
            assert_eq!(layout.segment_at(at), Some(segment));
        }
        end += segment.len;
    }
    assert_eq!(layout.size(), end);
    assert_eq!(layout.segment_at(end), None);
    let files = layout.segments().iter().filter_map(|segment| match segment.source {
        SegmentSource::External { id, offset: 0 } => Some((id, segment.len)),
        _ => None,
    });
    // By name, as text; the empty file has no segment.
    let expected = [(1, 1), (3, 4096), (2, 4095), (4, 4097), (5, 1 << 33)];
    let mut expected = expected.map(|(id, len)| (format!("external-{len}"), (id, len)));
    expected.sort();
    assert_eq!(files.collect::<Vec<_>>(), expected.map(|(_, file)| file));
}

#[test]
fn the_same_tree_gives_the_same_bytes() {
    let names: Vec<String> = (0..500).map(|n| format!("file {n}")).collect();
    let image = |names: &mut dyn Iterator<Item = &String>, content: &[u8]| {
        let mut tree = tree();
        for name in names {
            let leaf = Leaf::File(Source::Bytes(content.to_vec()));
            tree.add(tree.root(), name.as_bytes(), leaf, FILE).unwrap();
        }
        bytes(&build(tree))
    };
    let first = image(&mut names.iter(), b"x");
    assert!(first == image(&mut names.iter().rev(), b"x"), "the order of making must not show");
    let uuid = |image: &[u8]| SuperBlock::read_from_prefix(&image[SUPER_OFFSET..]).unwrap().0.uuid;
    assert_ne!(uuid(&first), uuid(&image(&mut names.iter(), b"y")));
    assert_ne!(
        uuid(&image(&mut names.iter(), &[1; 9000])),
        uuid(&image(&mut names.iter(), &[2; 9000])),
        "contents apart from the metadata count too"
    );
    assert_eq!(uuid(&first)[6] >> 4, 8, "an RFC 9562 version 8 UUID");
}

#[test]
fn the_superblock_says_what_it_was_told() {
    let options = Options {
        build_time: Timestamp { seconds: 1_700_000_000, nanoseconds: 5 },
        volume_name: "fifteen letters".to_owned(),
        uuid: Uuid::Given([9; 16]),
    };
    let image = bytes(&ImageLayout::build(tree(), &options).unwrap());
    let (raw, _) = SuperBlock::read_from_prefix(&image[SUPER_OFFSET..]).unwrap();
    assert_eq!(raw.build_time, 1_700_000_000);
    assert_eq!(raw.build_time_nsec, 5);
    assert_eq!(&raw.volume_name, b"fifteen letters\0");
    assert_eq!(raw.uuid, [9; 16]);
    assert_eq!(raw.inos, 1);
    assert_eq!(raw.blocks, 1);
    assert_eq!(raw.checksum, disk::super_checksum(image.first_chunk().unwrap()));
}

#[test]
fn inodes_are_short_where_they_can_be() {
    let form = |attributes: Attributes, leaf: Leaf| {
        let layout = build(with_one(attributes, leaf));
        let SegmentSource::Bytes(metadata) = &layout.segments()[0].source else { panic!() };
        let inode: InodeCompact = only_inode(metadata, b"f");
        disk::parse_inode_format(inode.format.get()).unwrap()
    };
    let small = || Leaf::File(Source::Bytes(b"small".to_vec()));
    assert_eq!(form(FILE, small()), (false, Layout::FlatInline));
    assert_eq!(form(FILE, Leaf::Fifo), (false, Layout::FlatPlain));
    assert!(!form(Attributes { uid: 65_535, ..FILE }, small()).0);
    assert!(form(Attributes { uid: 65_536, ..FILE }, small()).0);
    assert!(form(Attributes { gid: 65_536, ..FILE }, small()).0);
    let later = Timestamp { seconds: 1, nanoseconds: 0 };
    assert!(form(Attributes { mtime: later, ..FILE }, small()).0);
    assert_eq!(form(FILE, external(0, u32::MAX.into())), (false, Layout::FlatPlain));
    assert_eq!(form(FILE, external(0, 1 << 32)), (true, Layout::FlatPlain));
    assert_eq!(form(FILE, external(0, 5)).1, Layout::FlatPlain, "nobody can read it to pack it");
    assert_eq!(form(FILE, Leaf::File(Source::Bytes(vec![0; 4096]))).1, Layout::FlatPlain);
}

#[test]
fn link_counts_past_16_bits_are_kept() {
    let mut tree = tree();
    let file = tree.add(tree.root(), b"f", Leaf::Fifo, FILE).unwrap();
    let names = tree.add_directory(tree.root(), b"names", DIRECTORY).unwrap();
    for n in 0..65_536 {
        tree.link(names, n.to_string().as_bytes(), file).unwrap();
    }
    let image = bytes(&build(tree));
    let root = SUPER_OFFSET + size_of::<SuperBlock>();
    let root_len = SLOT_SIZE + 4 * size_of::<disk::Dirent>() + 3 + 1 + 5;
    let at = (root + root_len).next_multiple_of(SLOT_SIZE);
    let (inode, _) = InodeExtended::read_from_prefix(&image[at..]).unwrap();
    assert_eq!(inode.format, disk::inode_format(true, Layout::FlatPlain));
    assert_eq!(inode.nlink, 65_537);
}

#[test]
fn a_tree_takes_only_what_an_image_can_hold() {
    let mut tree = tree();
    let root = tree.root();
    let file = tree.add(root, b"file", Leaf::Fifo, FILE).unwrap();
    for name in [&b""[..], b".", b"..", b"a/b", b"a\0b", &[b'x'; 256]] {
        let refused = tree.add(root, name, Leaf::Fifo, FILE);
        assert!(matches!(refused, Err(TreeError::Name { .. })), "{name:?}");
    }
    tree.add(root, &[b'x'; 255], Leaf::Fifo, FILE).unwrap();
    tree.add(root, b"caf\xe9", Leaf::Fifo, FILE).unwrap();

    assert!(matches!(tree.add(root, b"file", Leaf::Fifo, FILE), Err(TreeError::Exists { .. })));
    assert!(matches!(tree.link(root, b"file", file), Err(TreeError::Exists { .. })));
    assert!(matches!(tree.link(root, b"r", root), Err(TreeError::LinkToDirectory { .. })));
    let refused = tree.add(file, b"in", Leaf::Fifo, FILE);
    assert!(matches!(refused, Err(TreeError::NotADirectory { .. })));
    let refused = tree.make_directories(b"/file/in", DIRECTORY);
    assert!(matches!(refused, Err(TreeError::NotADirectory { .. })));
    let refused = tree.make_directories(b"/file", DIRECTORY);
    assert!(matches!(refused, Err(TreeError::NotADirectory { .. })));

    for target in [vec![], vec![b'x'; 4096], b"a\0".to_vec()] {
        let refused = tree.add(root, b"link", Leaf::Symlink(target), FILE);
        assert!(matches!(refused, Err(TreeError::Target { .. })));
    }
    let device = Leaf::CharDevice { major: 4096, minor: 0 };
    assert!(matches!(tree.add(root, b"dev", device, FILE), Err(TreeError::Device { .. })));
    let odd = Attributes { permissions: 0o10_000, ..FILE };
    assert!(matches!(tree.add(root, b"odd", Leaf::Fifo, odd), Err(TreeError::Attributes { .. })));
    let odd = Timestamp { seconds: 0, nanoseconds: 1_000_000_000 };
    let odd = Attributes { mtime: odd, ..FILE };
    assert!(matches!(tree.add(root, b"odd", Leaf::Fifo, odd), Err(TreeError::Attributes { .. })));
    assert_eq!(tree.find(b"/odd"), None, "what was refused is not there");
}

#[test]
fn paths_make_and_find_directories() {
    let mut tree = tree();
    let bin = tree.make_directories(b"/usr/bin", DIRECTORY).unwrap();
    assert_eq!(tree.make_directories(b"usr//bin/", DIRECTORY), Ok(bin));
    let tool = tree.add(bin, b"tool", Leaf::Fifo, FILE).unwrap();
    assert_eq!(tree.find(b"/usr/bin/tool"), Some(tool));
    assert_eq!(tree.find(b"/usr/bin/tool/x"), None);
    assert_eq!(tree.find(b"/"), Some(tree.root()));
}

#[test]
fn depth_is_bounded() {
    let mut tree = tree();
    let mut at = tree.root();
    let made = std::iter::from_fn(|| {
        at = tree.add_directory(at, b"d", DIRECTORY).ok()?;
        Some(())
    });
    assert_eq!(made.count(), 2048);
    assert!(matches!(tree.add_directory(at, b"d", DIRECTORY), Err(TreeError::Depth { .. })));
    assert_eq!(build(tree).segments().len(), 1);
}

#[test]
fn an_image_has_a_largest_size() {
    let refused = |len| {
        ImageLayout::build(with_one(FILE, external(0, len)), &Options::default()).map(|l| l.size())
    };
    let blocks_left = u64::from(u32::MAX) - 1;
    assert_eq!(refused(blocks_left * 4096), Ok(u64::from(u32::MAX) * 4096));
    assert_eq!(refused(blocks_left * 4096 + 1), Err(BuildError::TooLarge));
    assert_eq!(refused(u64::MAX), Err(BuildError::TooLarge));

    let named = |name: &str| {
        let options = Options { volume_name: name.to_owned(), ..Options::default() };
        ImageLayout::build(tree(), &options).err()
    };
    assert!(matches!(named("sixteen letters!"), Some(BuildError::VolumeName(_))));
    assert!(matches!(named("a\0b"), Some(BuildError::VolumeName(_))));
}

#[test]
fn a_file_that_changed_is_noticed() {
    let layout = build(with_one(FILE, external(3, 5000)));
    let write = |len| layout.write_to(&mut Vec::new(), |_| Ok(&[0; 6000][..len]));
    write(5000).unwrap();
    let changed = |result| match result {
        Err(WriteError::Changed { id: 3, expected: 5000, found }) => found,
        other => panic!("{other:?}"),
    };
    assert_eq!(changed(write(4999)), Found::Bytes(4999));
    assert_eq!(changed(write(5001)), Found::More);
    let gone = layout.write_to(&mut Vec::new(), |_| -> std::io::Result<&[u8]> {
        Err(std::io::ErrorKind::NotFound.into())
    });
    assert!(matches!(gone, Err(WriteError::Copy { id: 3, .. })));
}
