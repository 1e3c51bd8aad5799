//! Path resolution (path_resolution(7)).
//!
//! ```text
//!   rest: "usr/../lib64/ld.so"        at: the directory reached so far
//!         └ one name after the other; a link's text is put before what is left
//! ```
//!
//! A walk is a loop over one text, not a recursion: links lengthen the text, at most [`LINKS_MAX`] times.
//! It stops in front of the last name, because what happens there is the caller's business: stat wants
//! what is there, mkdir wants nothing to be, open may want either.

use alloc::borrow::Cow;
use alloc::rc::Rc;

use bitflags::bitflags;
use linux_raw_sys::general as linux;

use super::dentry::{Dentry, PATH_MAX};
use super::inode::Link;
use super::stat::FileType;
use crate::errno::{Errno, Result};

/// Links that one resolution follows, those in between and the last one together.
pub const LINKS_MAX: u32 = 40;
/// Longest name, bytes.
pub const NAME_MAX: usize = linux::NAME_MAX as usize;

/// What to do where the last name is a symbolic link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Follow {
    /// Go where it leads.
    Yes,
    /// Take the link itself. A slash behind it overrides this.
    No,
}

bitflags! {
    /// What a walk must not do (openat2(2)).
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Resolve: u64 {
        /// Go from one mount into another: EXDEV.
        const NO_XDEV = linux::RESOLVE_NO_XDEV as u64;
        /// Follow a link of /proc that leads to a file and not to a path: ELOOP.
        const NO_MAGICLINKS = linux::RESOLVE_NO_MAGICLINKS as u64;
        /// Follow a link: ELOOP.
        const NO_SYMLINKS = linux::RESOLVE_NO_SYMLINKS as u64;
        /// Leave the directory where it begins: EXDEV.
        const BENEATH = linux::RESOLVE_BENEATH as u64;
        /// Leave the directory where it begins, which is its root.
        const IN_ROOT = linux::RESOLVE_IN_ROOT as u64;
        /// Wait for a disk.
        const CACHED = linux::RESOLVE_CACHED as u64;
    }
}

/// What stands at the end of a path.
#[derive(Debug, PartialEq, Eq)]
pub enum Last<'p> {
    /// A name in the directory [`Walk::at`].
    Name {
        /// 1 to [`NAME_MAX`] bytes, without '/' and NUL.
        name: Cow<'p, [u8]>,
        /// Whether a slash follows, so that only a directory will do.
        slash: bool,
    },
    /// Nothing but slashes, or a jump: [`Walk::at`] itself.
    Root,
    /// ".": [`Walk::at`] itself.
    Dot,
    /// "..": [`Walk::at`] is the directory above already.
    DotDot,
}

/// A path on its way to what it means.
pub struct Walk<'p> {
    root: Rc<Dentry>,
    at: Rc<Dentry>,
    rest: Cow<'p, [u8]>,
    /// How much of `rest` is done.
    done: usize,
    links: u32,
    rules: Resolve,
}

impl<'p> Walk<'p> {
    /// A walk from the directory `base`, or from `root` where the path is absolute. ENOENT for an empty
    /// path, ENAMETOOLONG for one that does not fit in [`PATH_MAX`].
    pub fn new(root: &Rc<Dentry>, base: &Rc<Dentry>, path: &'p [u8]) -> Result<Walk<'p>> {
        Walk::by_rules(root, base, path, Resolve::empty())
    }

    /// A walk that keeps to `rules`. As [`Walk::new`], and EXDEV where they do not let it begin.
    pub fn by_rules(
        root: &Rc<Dentry>,
        base: &Rc<Dentry>,
        path: &'p [u8],
        rules: Resolve,
    ) -> Result<Walk<'p>> {
        check_text(path)?;
        let is_confined = rules.intersects(Resolve::BENEATH | Resolve::IN_ROOT);
        let root = if is_confined { base } else { root }.clone();
        let (at, rest) = (base.clone(), Cow::Borrowed(path));
        let mut walk = Walk { root, at, rest, done: 0, links: 0, rules };
        if path[0] == b'/' {
            walk.go_to_root()?;
        }
        Ok(walk)
    }

    /// Where the walk is.
    pub fn at(&self) -> &Rc<Dentry> {
        &self.at
    }

    /// Walks up to the last name. ENOENT, ENOTDIR, ELOOP, ENAMETOOLONG for what is in between.
    pub fn to_last(&mut self) -> Result<Last<'p>> {
        loop {
            let (from, to) = self.next_name();
            let more_slash = to < self.rest.len();
            let is_last = self.rest[to..].iter().all(|&byte| byte == b'/');
            if from == to {
                // Only a jump leads to what is no directory: fine, unless a slash asks for one.
                let fine = self.rest.is_empty() || self.at.is_dir();
                return if fine { Ok(Last::Root) } else { Err(Errno::NOTDIR) };
            }
            if !self.at.is_dir() {
                return Err(Errno::NOTDIR);
            }
            self.done = to;
            match &self.rest[from..to] {
                b"." if is_last => return Ok(Last::Dot),
                b"." => {}
                b".." => {
                    self.ascend()?;
                    if is_last {
                        return Ok(Last::DotDot);
                    }
                }
                name if name.len() > NAME_MAX => return Err(Errno::NAMETOOLONG),
                _ if is_last => {
                    let name = match &self.rest {
                        Cow::Borrowed(path) => Cow::Borrowed(&path[from..to]),
                        Cow::Owned(path) => Cow::Owned(path[from..to].to_vec()),
                    };
                    return Ok(Last::Name { name, slash: more_slash });
                }
                name => {
                    let child = self.child(name)?;
                    match child.inode().file_type() {
                        FileType::Symlink => self.follow(&child)?,
                        _ => self.at = child,
                    }
                }
            }
        }
    }

    /// Goes on where `link`, a symbolic link in the directory [`Walk::at`], leads.
    pub fn follow(&mut self, link: &Rc<Dentry>) -> Result<()> {
        self.links += 1;
        if self.links > LINKS_MAX || self.rules.contains(Resolve::NO_SYMLINKS) {
            return Err(Errno::LOOP);
        }
        match link.inode().follow()? {
            Link::Jump(_) if self.rules.contains(Resolve::NO_MAGICLINKS) => {
                return Err(Errno::LOOP);
            }
            Link::Jump(_) if self.rules.intersects(Resolve::BENEATH | Resolve::IN_ROOT) => {
                return Err(Errno::XDEV);
            }
            Link::Jump(to) => {
                self.check_mount(&to)?;
                self.at = to;
                self.rest = Cow::Owned(self.rest[self.done..].to_vec());
            }
            Link::Text(mut text) => {
                check_text(&text)?;
                if text[0] == b'/' {
                    self.go_to_root()?;
                }
                text.extend_from_slice(&self.rest[self.done..]);
                self.rest = Cow::Owned(text);
            }
        }
        self.done = 0;
        Ok(())
    }

    /// Walks to the end.
    pub fn to_end(&mut self, follow: Follow) -> Result<Rc<Dentry>> {
        loop {
            let Last::Name { name, slash } = self.to_last()? else { return Ok(self.at.clone()) };
            let child = self.child(&name)?;
            if child.inode().file_type() == FileType::Symlink && (slash || follow == Follow::Yes) {
                self.follow(&child)?;
            } else if slash && !child.is_dir() {
                return Err(Errno::NOTDIR);
            } else {
                return Ok(child);
            }
        }
    }

    /// The next name's bounds in `rest`; an empty range at the end.
    fn next_name(&self) -> (usize, usize) {
        let rest = &self.rest[self.done..];
        let from = rest.iter().position(|&byte| byte != b'/').unwrap_or(rest.len());
        let len = rest[from..].iter().position(|&byte| byte == b'/');
        let len = len.unwrap_or(rest.len() - from);
        (self.done + from, self.done + from + len)
    }

    /// What is called `name` where the walk is. EXDEV, and as [`Dentry::lookup`].
    pub fn child(&self, name: &[u8]) -> Result<Rc<Dentry>> {
        let child = self.at.lookup(name)?;
        self.check_mount(&child)?;
        Ok(child)
    }

    /// "..": the root has none above it.
    fn ascend(&mut self) -> Result<()> {
        let is_root = Rc::ptr_eq(&self.at, &self.root);
        if is_root && self.rules.contains(Resolve::BENEATH) {
            return Err(Errno::XDEV);
        }
        if let Some(parent) = self.at.parent().filter(|_| !is_root) {
            self.check_mount(&parent)?;
            self.at = parent;
        }
        Ok(())
    }

    /// "/".
    fn go_to_root(&mut self) -> Result<()> {
        if self.rules.contains(Resolve::BENEATH) {
            return Err(Errno::XDEV);
        }
        self.check_mount(&self.root)?;
        self.at = self.root.clone();
        Ok(())
    }

    /// EXDEV where the way leads into another mount and must not.
    fn check_mount(&self, to: &Dentry) -> Result<()> {
        let is_same = match (self.at.mount(), to.mount()) {
            (Some(one), Some(other)) => Rc::ptr_eq(one, other),
            (one, other) => one.is_none() && other.is_none(),
        };
        if is_same || !self.rules.contains(Resolve::NO_XDEV) { Ok(()) } else { Err(Errno::XDEV) }
    }
}

/// The path of a program, or a link's text: neither empty nor too long.
fn check_text(text: &[u8]) -> Result<()> {
    match text.len() {
        0 => Err(Errno::NOENT),
        len if len >= PATH_MAX => Err(Errno::NAMETOOLONG),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
