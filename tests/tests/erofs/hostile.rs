//! Images that lie. Whatever they say, the reader ends in time with a typed error or a plain answer.

use std::cell::Cell;
use std::ops::ControlFlow;

use mayfly_abi::erofs::{
    self as disk, Dirent, FileType, InodeCompact, SLOT_SIZE, SUPER_OFFSET, SuperBlock,
};
use mayfly_erofs::{
    BLOCK_SIZE, BlockSource, Corrupt, DirFault, Erofs, Error, Extent, Inode, OutOfRange,
    Unsupported,
};
use proptest::prelude::*;
use zerocopy::{FromBytes, IntoBytes};

use super::model::{self, Node};

/// Where the writer puts the root's inode, and behind it the root directory.
const ROOT: usize = SUPER_OFFSET + size_of::<SuperBlock>();
const ROOT_DIR: usize = ROOT + SLOT_SIZE;
const ROOT_NID: u64 = (ROOT / SLOT_SIZE) as u64;

/// A root directory with `.`, `..`, a small file `f` and a link `l`.
fn sample() -> Vec<u8> {
    Node::directory([("f", Node::file("contents")), ("l", Node::symlink("f"))]).image()
}

/// Changes a structure in the image and makes the superblock's checksum right again.
fn patch<T: FromBytes + IntoBytes + zerocopy::KnownLayout>(
    image: &mut [u8],
    at: usize,
    change: impl FnOnce(&mut T),
) {
    change(T::mut_from_prefix(&mut image[at..]).unwrap_or_else(|_| panic!("unaligned")).0);
    sign(image);
}

fn sign(image: &mut [u8]) {
    let sum = disk::super_checksum(image.first_chunk().unwrap());
    image[SUPER_OFFSET + 4..][..4].copy_from_slice(&sum.to_le_bytes());
}

fn mount(image: &[u8]) -> Result<Erofs<&[u8]>, Error<OutOfRange>> {
    Erofs::mount(image)
}

fn super_lie(change: impl FnOnce(&mut SuperBlock)) -> Error<OutOfRange> {
    let mut image = sample();
    patch(&mut image, SUPER_OFFSET, change);
    mount(&image).unwrap_err()
}

#[test]
fn superblocks_that_lie() {
    assert_eq!(super_lie(|sb| sb.magic = 1.into()), Corrupt::Magic(1).into());
    assert_eq!(super_lie(|sb| sb.blkszbits = 9), Unsupported::BlockBits(9).into());
    assert_eq!(super_lie(|sb| sb.dirblkbits = 1), Unsupported::DirBlockBits(1).into());
    let features = |bits: u32| super_lie(|sb| sb.feature_incompat = bits.into());
    assert_eq!(features(0x84), Unsupported::Features(0x80).into());
    assert_eq!(features(0x8000_0000), Unsupported::Features(0x8000_0000).into());
    assert_eq!(features(0x80).to_string(), "not supported: the features 48bit");
    let nowhere = super_lie(|sb| sb.root_nid = 0xffff.into());
    assert_eq!(nowhere, Corrupt::Nid { nid: 0xffff }.into());
    let nowhere = super_lie(|sb| sb.meta_blkaddr = u32::MAX.into());
    assert_eq!(nowhere, Corrupt::Nid { nid: ROOT_NID }.into());
    assert_eq!(super_lie(|sb| sb.blocks = 0.into()), Corrupt::Nid { nid: ROOT_NID }.into());

    let mut image = sample();
    image[SUPER_OFFSET + 90] ^= 1;
    assert!(matches!(mount(&image), Err(Error::Corrupt(Corrupt::Checksum { .. }))));
    assert!(matches!(mount(&[]), Err(Error::Source(OutOfRange(0)))));
}

#[test]
fn an_image_shorter_than_it_says_is_the_devices_error() {
    let contents = vec![1; 9000];
    let image = Node::directory([("f", Node::file(contents))]).image();
    let fs = mount(&image[..2 * BLOCK_SIZE]).unwrap();
    let found = fs.lookup(&fs.root().unwrap(), b"f").unwrap().unwrap();
    let inode = fs.inode(found.nid).unwrap();
    assert_eq!(fs.read_at(&inode, 5000, &mut [0; 1]), Err(Error::Source(OutOfRange(2))));
}

/// The error of an inode of `sample()`, by name, after a change of it.
fn inode_lie(name: &[u8], change: impl FnOnce(&mut InodeCompact)) -> (u64, Error<OutOfRange>) {
    let mut image = sample();
    let nid = {
        let fs = mount(&image).unwrap();
        fs.lookup(&fs.root().unwrap(), name).unwrap().unwrap().nid
    };
    patch(&mut image, nid as usize * SLOT_SIZE, change);
    let fs = mount(&image).unwrap();
    (nid, fs.inode(nid).unwrap_err())
}

#[test]
fn inodes_that_lie() {
    let (nid, error) = inode_lie(b"f", |inode| inode.mode = 0o644.into());
    assert_eq!(error, Corrupt::Mode { nid, mode: 0o644 }.into());
    let (nid, error) = inode_lie(b"f", |inode| inode.size = 4096.into());
    assert_eq!(error, Corrupt::Tail { nid }.into());
    let (nid, error) = inode_lie(b"f", |inode| inode.xattr_icount = 0xffff.into());
    assert_eq!(error, Corrupt::Contents { nid }.into());
    let (nid, error) = inode_lie(b"f", |inode| {
        inode.format = disk::inode_format(false, disk::Layout::FlatPlain).into();
        inode.data = 1.into();
    });
    assert_eq!(error, Corrupt::Contents { nid }.into());
    let (nid, error) = inode_lie(b"f", |inode| {
        inode.size = 4097.into();
        inode.data = 1.into();
    });
    assert_eq!(error, Corrupt::Contents { nid }.into(), "all but its tail is outside");
    let (nid, error) = inode_lie(b"f", |inode| inode.format = 0x10.into());
    assert_eq!(error, Unsupported::InodeFormat { nid, format: 0x10 }.into());
    let (nid, error) = inode_lie(b"f", |inode| {
        inode.format = disk::inode_format(false, disk::Layout::ChunkBased).into();
        inode.size = u32::MAX.into();
        inode.data = 0.into();
    });
    assert_eq!(error, Corrupt::Contents { nid }.into(), "a table of 2^20 chunks");
    let (nid, error) = inode_lie(b"f", |inode| {
        inode.format = disk::inode_format(false, disk::Layout::ChunkBased).into();
        inode.data = 0x40.into();
    });
    assert_eq!(error, Unsupported::Chunks { nid }.into());
    let (nid, error) = inode_lie(b"l", |inode| inode.size = 0.into());
    assert_eq!(error, Corrupt::Size { nid, size: 0 }.into());
    let (nid, error) = inode_lie(b"l", |inode| inode.size = 4096.into());
    assert_eq!(error, Corrupt::Size { nid, size: 4096 }.into());
    let (nid, error) = inode_lie(b"l", |inode| {
        inode.format = disk::inode_format(false, disk::Layout::ChunkBased).into();
    });
    assert_eq!(error, Unsupported::Layout { nid }.into());
}

#[test]
fn chunks_that_lie() {
    let mut image = sample();
    let nid = {
        let fs = mount(&image).unwrap();
        fs.lookup(&fs.root().unwrap(), b"f").unwrap().unwrap().nid
    };
    let table = (nid as usize + 1) * SLOT_SIZE;
    let mut read = |format: u16, chunk: [u8; 8]| {
        patch(&mut image, nid as usize * SLOT_SIZE, |inode: &mut InodeCompact| {
            inode.format = disk::inode_format(false, disk::Layout::ChunkBased).into();
            inode.size = 4096.into();
            inode.data = u32::from(format).into();
        });
        image[table..table + 8].copy_from_slice(&chunk);
        sign(&mut image);
        let fs = mount(&image).unwrap();
        let mut buf = [0xaa; 2];
        fs.read_at(&fs.inode(nid).unwrap(), 1024, &mut buf).map(|len| (len, buf))
    };
    let magic = [0xe2, 0xe1];
    assert_eq!(read(0, [0; 8]), Ok((2, magic)), "block 0 is in the image");
    assert_eq!(read(0, [1, 0, 0, 0, 0, 0, 0, 0]), Err(Corrupt::Contents { nid }.into()));
    assert_eq!(read(0, [0xff; 8]), Ok((2, [0, 0])), "a hole");
    let indexes = disk::CHUNK_FORMAT_INDEXES;
    assert_eq!(read(indexes, [0; 8]), Ok((2, magic)));
    assert_eq!(read(indexes, [0, 0, 0, 0, 1, 0, 0, 0]), Err(Corrupt::Contents { nid }.into()));
    let elsewhere = read(indexes, [0, 0, 1, 0, 0, 0, 0, 0]);
    assert_eq!(elsewhere, Err(Unsupported::Chunks { nid }.into()), "on a second device");
}

/// No lie: attributes that this reader passes over, of the shortest kind, a header of 12 bytes.
#[test]
fn extended_attributes_are_passed_over() {
    let mut image = sample();
    let nid = {
        let fs = mount(&image).unwrap();
        fs.lookup(&fs.root().unwrap(), b"f").unwrap().unwrap().nid
    };
    let tail = (nid as usize + 1) * SLOT_SIZE;
    image.copy_within(tail..tail + 8, tail + 12);
    image[tail..tail + 12].fill(0);
    patch(&mut image, nid as usize * SLOT_SIZE, |inode: &mut InodeCompact| {
        inode.xattr_icount = 1.into();
    });
    let fs = mount(&image).unwrap();
    assert_eq!(model::read(&fs, &fs.inode(nid).unwrap()), b"contents");
}

#[test]
fn numbers_of_inodes_that_are_not_there() {
    let image = sample();
    let fs = mount(&image).unwrap();
    for nid in [128, 1 << 40, u64::MAX / 32, u64::MAX / 32 + 1, u64::MAX] {
        assert_eq!(fs.inode(nid), Err(Corrupt::Nid { nid }.into()));
    }
    // The last slot of the image, and an extended inode that would leave it.
    let mut image = sample();
    patch(&mut image, BLOCK_SIZE - SLOT_SIZE, |inode: &mut InodeCompact| inode.format = 1.into());
    assert_eq!(mount(&image).unwrap().inode(127), Err(Corrupt::Nid { nid: 127 }.into()));
}

/// What the root directory's listing, and a search in it, say after a change of one entry.
fn dir_lie(index: usize, change: impl FnOnce(&mut Dirent)) -> Error<OutOfRange> {
    let mut image = sample();
    patch(&mut image, ROOT_DIR + index * size_of::<Dirent>(), change);
    let fs = mount(&image).unwrap();
    let root = fs.root().unwrap();
    for name in [&b"f"[..], b"l", b"zzz", b"\x01"] {
        let _ = fs.lookup(&root, name);
    }
    fs.read_dir(&root, 0, |_| ControlFlow::Continue(())).unwrap_err()
}

#[test]
fn directories_that_lie() {
    let fault = |fault| Corrupt::Directory { nid: ROOT_NID, block: 0, fault }.into();
    // Offsets of the four names: 48, 49, 51, 52 of 53 bytes.
    for offset in [0, 1, 11, 13, 50, 60, 4096, 0xffff] {
        let error = dir_lie(0, |dirent| dirent.nameoff = offset.into());
        assert_eq!(error, fault(DirFault::Count), "{offset}");
    }
    let error = dir_lie(0, |dirent| dirent.nameoff = 36.into());
    assert_eq!(error, fault(DirFault::Name), "the fourth entry is taken for a name");
    for offset in [0, 47, 52, 4096, 0xffff] {
        let error = dir_lie(1, |dirent| dirent.nameoff = offset.into());
        assert_eq!(error, fault(DirFault::NameOffset), "{offset}");
    }
    let error = dir_lie(1, |dirent| dirent.nameoff = 48.into());
    assert_eq!(error, fault(DirFault::Name), "an empty name");
    let error = dir_lie(2, |dirent| dirent.file_type = 0);
    assert_eq!(error, fault(DirFault::Type));
    let error = dir_lie(2, |dirent| dirent.file_type = 9);
    assert_eq!(error, fault(DirFault::Type));

    for (name, wanted) in [(b'z', DirFault::Order), (b'/', DirFault::Name), (0, DirFault::Name)] {
        let mut image = sample();
        image[ROOT_DIR + 51] = name;
        sign(&mut image);
        let fs = mount(&image).unwrap();
        let error = fs.read_dir(&fs.root().unwrap(), 0, |_| ControlFlow::Continue(()));
        assert_eq!(error, Err(fault(wanted)));
    }
}

#[test]
fn order_is_checked_from_block_to_block() {
    let names = (0..600).map(|n| (format!("entry {n:04}"), Node::file("")));
    let mut image = Node::directory(names).image();
    let first_of_block_1 = {
        let fs = mount(&image).unwrap();
        assert!(fs.root().unwrap().size > 2 * BLOCK_SIZE as u64);
        let mut at_block_1 = Vec::new();
        fs.read_dir(&fs.root().unwrap(), 1 << 12, |entry| {
            at_block_1.extend_from_slice(entry.name);
            ControlFlow::Break(())
        })
        .unwrap();
        at_block_1
    };
    let at = image.windows(10).position(|window| window == first_of_block_1).unwrap();
    image[at] = b'A';
    let fs = mount(&image).unwrap();
    let error = fs.read_dir(&fs.root().unwrap(), 0, |_| ControlFlow::Continue(()));
    let fault = Corrupt::Directory { nid: ROOT_NID, block: 1, fault: DirFault::Order };
    assert_eq!(error, Err(fault.into()));
}

#[test]
fn any_cookie_is_taken() {
    let image = sample();
    let fs = mount(&image).unwrap();
    let root = fs.root().unwrap();
    for cookie in [4, 5, 0xfff, 0x1000, 1 << 40, u64::MAX] {
        let end = fs.read_dir(&root, cookie, |_| panic!("no entry is there")).unwrap();
        assert!(end >= cookie.min(0x1000));
    }
}

/// A directory that is its own child: a longer path to the same place, and no more.
#[test]
fn a_directory_inside_itself() {
    let mut image = sample();
    patch(&mut image, ROOT_DIR + 2 * size_of::<Dirent>(), |dirent: &mut Dirent| {
        dirent.nid = ROOT_NID.into();
        dirent.file_type = FileType::Directory.dirent_code();
    });
    let fs = mount(&image).unwrap();
    let root = fs.root().unwrap();
    let inside = fs.inode(fs.lookup(&root, b"f").unwrap().unwrap().nid).unwrap();
    assert_eq!(inside, root);
}

/// Counts how many blocks are asked for, to show that work is bounded.
struct Metered<'a> {
    image: &'a [u8],
    pages: Cell<u64>,
}

impl BlockSource for Metered<'_> {
    type Error = OutOfRange;
    type Page<'b>
        = &'b [u8; BLOCK_SIZE]
    where
        Self: 'b;

    fn page(&self, index: u64) -> Result<&[u8; BLOCK_SIZE], OutOfRange> {
        self.pages.set(self.pages.get() + 1);
        self.image.as_chunks().0.get(index as usize).ok_or(OutOfRange(index))
    }
}

/// How many slots are taken for inodes, whatever is there: those of the first 16 blocks, where the
/// writer puts all of them in most of the trees here.
const SLOTS_MAX: u64 = 16 * (BLOCK_SIZE / SLOT_SIZE) as u64;

/// Does everything that a kernel may do with an image, and fails where one step asks for more blocks
/// than an honest image of this size could need.
fn exercise(image: &[u8]) {
    let Ok(fs) = Erofs::mount(Metered { image, pages: Cell::new(0) }) else { return };
    let blocks = image.len().div_ceil(BLOCK_SIZE) as u64;
    let within = |bound: u64| {
        let pages = fs.source().pages.replace(0);
        assert!(pages <= bound, "{pages} blocks were read, more than {bound}");
    };
    within(4);
    let slots = (image.len() / SLOT_SIZE) as u64;
    for nid in (0..slots.min(SLOTS_MAX)).chain([slots, u64::MAX]) {
        let inode = fs.inode(nid);
        within(3);
        let Ok(inode) = inode else { continue };
        let _ = fs.read_link(&inode, &mut [0; 4096]);
        within(4);
        read_some(&fs, &inode);
        within(3 * 16);
        let mut names = vec![b"f".to_vec(), vec![0xff; 255]];
        let _ = fs.read_dir(&inode, 0, |entry| {
            if names.len() < 20 {
                names.push(entry.name.to_vec());
            }
            ControlFlow::Continue(())
        });
        within(2 * blocks + 2);
        for name in names {
            let _ = fs.lookup(&inode, &name);
            within(64);
        }
    }
}

fn read_some(fs: &Erofs<Metered<'_>>, inode: &Inode) {
    let mut buf = [0; 5000];
    for at in [0, 1, 4095, 4096, inode.size.saturating_sub(1), inode.size, u64::MAX] {
        let left = inode.size.saturating_sub(at);
        if let Ok(len) = fs.read_at(inode, at, &mut buf) {
            assert!(len as u64 <= left);
        }
        let Ok(Some(extent)) = fs.extent(inode, at) else { continue };
        assert!((1..=left).contains(&extent.bytes()), "{extent:?} of {left}");
        if let Extent::Blocks { offset, len } | Extent::Inline { offset, len } = extent {
            assert!(offset + len <= fs.volume().size(), "{extent:?} is outside");
        }
        if let Extent::Inline { offset, len } = extent {
            assert_eq!(offset / BLOCK_SIZE as u64, (offset + len - 1) / BLOCK_SIZE as u64);
        }
    }
}

/// Bytes that break things: ends of ranges more often than others.
fn values() -> impl Strategy<Value = u8> {
    prop_oneof![Just(0), Just(1), Just(0x7f), Just(0xff), any::<u8>()]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Any few bytes of the metadata changed, behind a checksum that is right again.
    #[test]
    fn corruption_is_survived(
        tree in model::trees(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), values()), 1..40),
    ) {
        let mut image = tree.image();
        let end = image.len().min(SLOTS_MAX as usize * SLOT_SIZE);
        for (index, value) in changes {
            let at = ROOT + index.index(end - ROOT);
            image[at] = value;
        }
        sign(&mut image);
        exercise(&image);
    }

    /// Fields of the first directory's inode and entries changed: what the reader leans on most.
    #[test]
    fn corruption_at_the_root_is_survived(
        tree in model::trees(),
        changes in prop::collection::vec((0usize..512, values()), 1..6),
    ) {
        let mut image = tree.image();
        for (at, value) in changes {
            image[SUPER_OFFSET + at] = value;
        }
        sign(&mut image);
        exercise(&image);
    }

    /// Bytes that never were an image, behind a superblock.
    #[test]
    fn noise_is_survived(noise in prop::collection::vec(any::<u8>(), 3 * BLOCK_SIZE)) {
        let mut image = sample();
        image.truncate(ROOT);
        image.extend_from_slice(&noise[ROOT..]);
        image[SUPER_OFFSET + 36] = 3;
        sign(&mut image);
        // The root is noise too, and seldom a directory: give it a chance.
        image[ROOT..ROOT + 6].copy_from_slice(&[noise[0] & 5, 0, 0, 0, 0xed, 0x41]);
        sign(&mut image);
        exercise(&image);
    }
}
