//! A directory's contents: entries in front, names behind, block by block.

use mayfly_abi::erofs::{BLOCK_SIZE, Dirent};
use zerocopy::IntoBytes;

use crate::tree::{NodeId, NodeKind, Tree};

/// One entry, of a tree's directory or made up (`.` and `..`).
struct Entry<'a> {
    name: &'a [u8],
    node: NodeId,
}

impl Entry<'_> {
    fn size(&self) -> usize {
        size_of::<Dirent>() + self.name.len()
    }
}

/// The entries of a directory in the order of the format, in runs that fill a block each.
pub(crate) struct Directory<'a> {
    entries: Vec<Entry<'a>>,
}

impl<'a> Directory<'a> {
    /// `None` where `id` is no directory.
    pub(crate) fn of(tree: &'a Tree, id: NodeId) -> Option<Self> {
        let NodeKind::Directory { parent, children, .. } = &tree.node(id).kind else {
            return None;
        };
        let mut entries =
            vec![Entry { name: b".", node: id }, Entry { name: b"..", node: *parent }];
        entries.extend(children.iter().map(|(name, &node)| Entry { name, node }));
        // "." and ".." have no place of their own: "-" comes before them.
        entries.sort_unstable_by_key(|entry| entry.name);
        Some(Directory { entries })
    }

    /// Its size in bytes: whole blocks, but the last is just as long as its names.
    pub(crate) fn size(&self) -> u64 {
        self.blocks().fold(0, |size: u64, block| {
            let used: usize = block.iter().map(Entry::size).sum();
            size.next_multiple_of(BLOCK_SIZE as u64) + used as u64
        })
    }

    /// Its contents. `nid` says where a node's inode is.
    pub(crate) fn contents(&self, tree: &Tree, nid: impl Fn(NodeId) -> u64) -> Vec<u8> {
        let mut contents = Vec::new();
        for block in self.blocks() {
            contents.resize(contents.len().next_multiple_of(BLOCK_SIZE), 0);
            let mut nameoff = block.len() * size_of::<Dirent>();
            // Below the block's size, so it fits its 16 bits.
            for entry in block {
                let dirent = Dirent {
                    nid: nid(entry.node).into(),
                    nameoff: (nameoff as u16).into(),
                    file_type: tree.node(entry.node).file_type().dirent_code(),
                    reserved: 0,
                };
                contents.extend_from_slice(dirent.as_bytes());
                nameoff += entry.name.len();
            }
            block.iter().for_each(|entry| contents.extend_from_slice(entry.name));
        }
        contents
    }

    /// As many entries as fit, again and again. No entry is too long for a block.
    fn blocks(&self) -> impl Iterator<Item = &[Entry<'a>]> {
        let mut rest = &self.entries[..];
        std::iter::from_fn(move || {
            let mut room = BLOCK_SIZE;
            let fits = |entry: &&Entry<'_>| match room.checked_sub(entry.size()) {
                Some(left) => {
                    room = left;
                    true
                }
                None => false,
            };
            let (block, later) = rest.split_at(rest.iter().take_while(fits).count());
            rest = later;
            (!block.is_empty()).then_some(block)
        })
    }
}
