//! renameat2(2): the one call that changes two directories and up to two inodes.

use alloc::rc::Rc;

use super::{LINK_MAX, Node};
use crate::errno::{Errno, Result};
use crate::fs::inode::RenameFlags;

/// Moves `name` in `from` to `new_name` in `to`. All is checked before anything changes.
pub(super) fn rename(
    from: &Node,
    name: &[u8],
    to: &Node,
    new_name: &[u8],
    how: RenameFlags,
) -> Result<()> {
    let moved = from.child(name)?;
    let directory = to.live_directory()?;
    let target = match to.child(new_name) {
        Ok(target) => Some(target),
        Err(Errno::NOENT) => None,
        Err(errno) => return Err(errno),
    };
    if target.is_some() && how.contains(RenameFlags::NOREPLACE) {
        return Err(Errno::EXIST);
    }
    if moved.is_dir() && is_inside(to, &moved)? {
        return Err(Errno::INVAL);
    }
    let exchange = how.contains(RenameFlags::EXCHANGE);
    match &target {
        None if exchange => return Err(Errno::NOENT),
        // Two names of one inode: nothing happens, both stay (rename(2)).
        Some(target) if Rc::ptr_eq(target, &moved) => return Ok(()),
        Some(target) if exchange => check_swappable(from, target)?,
        Some(target) => check_replaceable(&moved, target)?,
        None => {}
    }
    let brings_dir = moved.is_dir() && !target.as_ref().is_some_and(|target| target.is_dir());
    if brings_dir && from.ino != to.ino && to.nlink.get() >= LINK_MAX {
        return Err(Errno::MLINK);
    }

    directory.set(new_name, moved.ino);
    moved_dir(&moved, from, to);
    match target {
        Some(target) if exchange => {
            from.directory()?.set(name, target.ino);
            moved_dir(&target, to, from);
            target.changed();
        }
        target => {
            from.directory()?.remove(name);
            if let Some(target) = target {
                from.shared.budget.remove_entry();
                if target.is_dir() {
                    to.add_links(-1);
                    target.add_links(-2);
                } else {
                    target.add_links(-1);
                }
            }
        }
    }
    moved.changed();
    from.modified();
    to.modified();
    Ok(())
}

/// Whether `node` is `directory` or somewhere below it. The way up ends at the root, which is its own
/// parent, and is no longer than there are inodes.
fn is_inside(node: &Node, directory: &Node) -> Result<bool> {
    let mut ino = node.ino;
    loop {
        if ino == directory.ino {
            return Ok(true);
        }
        let parent = node.shared.get(ino)?.directory()?.parent.get();
        if parent == ino {
            return Ok(false);
        }
        ino = parent;
    }
}

fn check_replaceable(moved: &Node, target: &Node) -> Result<()> {
    match (moved.is_dir(), target.directory()) {
        (true, Err(errno)) => Err(errno),
        (false, Ok(_)) => Err(Errno::ISDIR),
        (true, Ok(directory)) if !directory.is_empty() => Err(Errno::NOTEMPTY),
        _ => Ok(()),
    }
}

/// A directory can't come to be inside itself.
fn check_swappable(from: &Node, target: &Node) -> Result<()> {
    if target.is_dir() && is_inside(from, target)? { Err(Errno::INVAL) } else { Ok(()) }
}

/// A directory's "..", which is a link to the directory above, goes along with it.
fn moved_dir(moved: &Node, from: &Node, to: &Node) {
    if let Ok(directory) = moved.directory()
        && from.ino != to.ino
    {
        directory.parent.set(to.ino);
        from.add_links(-1);
        to.add_links(1);
    }
}
