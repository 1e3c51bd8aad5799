//! Turns a file of the image into a program about to run (execve(2)).
//!
//! ```text
//!   path ─▶ `#!` line? follow it ─▶ ELF headers ─▶ map segments ─▶ map the interpreter, if it names one
//!        ─▶ heap behind the program, stack below the top ─▶ first registers
//! ```

mod elf;
mod script;
mod stack;

use alloc::rc::Rc;
use alloc::vec::Vec;
use core::ops::Range;

use mayfly_abi::CpuInfo;
use mayfly_abi::layout::{PAGE_SIZE, PAGE_TABLES, USER_END};
use mayfly_hal::phys::Frame;

use self::elf::{HEADER_BYTES, Program, Segment};
use self::stack::{Auxiliary, Stack};
use crate::credentials::Ids;
use crate::errno::{Errno, Result};
use crate::fs::{Dentry, FileType, Inode};
use crate::mm::{AddressSpace, Backing, Placement, Protection, STACK_NAME, Sharing};
use crate::rewrite::Entries;

pub use script::Script;

/// Bytes that a stack may grow to: Linux's default RLIMIT_STACK.
pub const STACK_BYTES: u64 = 8 << 20;
/// Where programs that can be anywhere go, before randomness: as Linux (two thirds of user space).
const RELOCATABLE_BASE: u64 = 0x5555_5555_4000;
/// Bits of randomness, in pages, for where a relocatable program, the heap and the stack go.
const PROGRAM_BITS: u32 = 28;
const HEAP_BITS: u32 = 8;
const STACK_BITS: u32 = 8;
/// Unmapped room below the stack.
const STACK_GAP: u64 = 1 << 20;

/// A file that is to be run.
pub struct Executable {
    file: Rc<Dentry>,
    start: Vec<u8>,
    len: u64,
}

/// A new program, before its first instruction.
pub struct Image {
    /// Its memory, but for the stack's content.
    pub space: AddressSpace,
    /// What to copy to its stack once its memory is active; RSP is where it begins.
    pub stack: Stack,
    /// Its first instruction.
    pub entry: u64,
}

/// What a new program needs from the machine.
pub struct Environment<'a> {
    /// The processor's features.
    pub cpu: &'a CpuInfo,
    /// Opens an interpreter by its path.
    pub open: &'a dyn Fn(&[u8]) -> Result<Executable>,
    /// Random numbers.
    pub random: &'a dyn Fn() -> u64,
    /// Whether all goes where it would without randomness (personality(2)).
    pub is_in_place: bool,
    /// The vDSO.
    pub vdso: &'a Frame,
    /// How system calls can be made jumps; `None` where they stay traps.
    pub calls: Option<Entries>,
    /// Whose user's and whose group's it is.
    pub ids: [Ids; 2],
    /// What a signal handler's stack takes at most, bytes.
    pub signal_frame_bytes: u64,
}

impl Executable {
    /// Reads the start of a file that is to be run. EACCES where it is not a regular executable file.
    pub fn open(file: Rc<Dentry>) -> Result<Executable> {
        let stat = file.inode().stat();
        if stat.file_type() != FileType::Regular || stat.mode & 0o111 == 0 {
            return Err(Errno::ACCES);
        }
        let mut start = alloc::vec![0; HEADER_BYTES.min(stat.size as usize)];
        read_exact(file.inode(), 0, &mut start)?;
        Ok(Executable { file, start, len: stat.size })
    }

    /// The `#!` line, if the file begins with one.
    pub fn script(&self) -> Option<Script> {
        Script::parse(&self.start)
    }

    /// The path of the file that must run it: of a script's `#!` line, or of the dynamic linker.
    pub fn interpreter(&self) -> Result<Option<Vec<u8>>> {
        if let Some(script) = self.script() {
            return Ok(Some(script.interpreter));
        }
        let Some(path) = Program::parse(&self.start, self.len)?.interpreter else {
            return Ok(None);
        };
        self.text(path).map(Some)
    }

    fn text(&self, at: Range<u64>) -> Result<Vec<u8>> {
        let mut text = alloc::vec![0; (at.end - at.start) as usize];
        read_exact(self.file.inode(), at.start, &mut text)?;
        Ok(text)
    }

    /// Maps the program and everything it starts with.
    pub fn load(
        &self,
        argv: &[Vec<u8>],
        env: &[Vec<u8>],
        path: &[u8],
        environment: &Environment<'_>,
    ) -> Result<Image> {
        let program = Program::parse(&self.start, self.len)?;
        let pages = |bits: u32| match environment.is_in_place {
            true => 0,
            false => ((environment.random)() & ((1 << bits) - 1)) * PAGE_SIZE,
        };
        // The vDSO's page is above the stack, where a page table is anyway.
        let stack_top = USER_END - PAGE_SIZE - pages(STACK_BITS);
        let mut space = AddressSpace::new(PAGE_TABLES, stack_top - STACK_BYTES - STACK_GAP)?;
        let bias = if program.relocatable { RELOCATABLE_BASE + pages(PROGRAM_BITS) } else { 0 };
        self.map(&program, bias, &mut space)?;
        space.set_heap(bias + program.span().end + pages(HEAP_BITS));

        let mut protection = Protection::READ | Protection::WRITE;
        protection.set(Protection::EXECUTE, program.executable_stack);
        let stack = Placement::Exactly(stack_top - STACK_BYTES);
        space.map(stack, STACK_BYTES, protection, Backing::Anonymous, STACK_NAME)?;

        let vdso = Protection::READ | Protection::EXECUTE;
        space.map_frame(stack_top, environment.vdso.clone(), vdso, "[vdso]")?;

        let mut entry = bias.wrapping_add(program.entry);
        let mut base = 0;
        if let Some(path) = &program.interpreter {
            let interpreter = (environment.open)(&self.text(path.clone())?)?;
            let linker = Program::parse(&interpreter.start, interpreter.len)?;
            let span = linker.span();
            base = space
                .areas()
                .find_free(span.end - span.start, stack_top - STACK_BYTES - STACK_GAP)
                .ok_or(Errno::NOMEM)?
                .wrapping_sub(span.start);
            interpreter.map(&linker, base, &mut space)?;
            entry = base.wrapping_add(linker.entry);
        }
        if let Some(entries) = environment.calls {
            space.reserve_calls(entries);
        }
        let mut random = [0; 16];
        random[..8].copy_from_slice(&(environment.random)().to_le_bytes());
        random[8..].copy_from_slice(&(environment.random)().to_le_bytes());
        let aux = Auxiliary {
            headers: bias.wrapping_add(program.headers),
            header_count: program.header_count.into(),
            base,
            entry: bias.wrapping_add(program.entry),
            ids: environment.ids,
            hwcap: environment.cpu.hwcap.into(),
            hwcap2: environment.cpu.hwcap2.into(),
            vdso: stack_top,
            signal_stack: environment.signal_frame_bytes,
            random,
        };
        let stack = stack::build(stack_top, argv, env, path, &aux);
        if stack.bytes.len() as u64 > STACK_BYTES / 4 {
            return Err(Errno::TOOBIG);
        }
        Ok(Image { space, stack, entry })
    }

    /// Maps every segment at its place plus `bias`.
    fn map(&self, program: &Program, bias: u64, space: &mut AddressSpace) -> Result<()> {
        for segment in &program.segments {
            self.map_segment(segment, bias, space)?;
        }
        Ok(())
    }

    /// A segment is file pages, then zeros: the last file page's rest, and whole pages behind it.
    fn map_segment(&self, segment: &Segment, bias: u64, space: &mut AddressSpace) -> Result<()> {
        let into_page = segment.memory.start % PAGE_SIZE;
        let start = bias.checked_add(segment.memory.start - into_page).ok_or(Errno::NOEXEC)?;
        let file_len = segment.file.end - segment.file.start;
        let mut zero_start = start;
        if file_len > 0 {
            let backing = Backing::File {
                file: self.file.clone(),
                offset: segment.file.start - into_page,
                sharing: Sharing::Private,
            };
            let len = into_page + file_len;
            space.map(Placement::Exactly(start), len, segment.protection, backing, "")?;
            zero_start = start + len.next_multiple_of(PAGE_SIZE);
            let file_end = start + len;
            if segment.memory.end - segment.memory.start > file_len && file_end < zero_start {
                space.zero_tail(file_end)?;
            }
        }
        let end = bias.checked_add(segment.memory.end).ok_or(Errno::NOEXEC)?;
        if end > zero_start {
            let len = end - zero_start;
            let zeros = Placement::Exactly(zero_start);
            space.map(zeros, len, segment.protection, Backing::Anonymous, "")?;
        }
        Ok(())
    }
}

/// Reads all of `to`, or fails: a program's headers must be there.
fn read_exact(inode: &Rc<dyn Inode>, offset: u64, to: &mut [u8]) -> Result<()> {
    let mut done = 0;
    while done < to.len() {
        match inode.read_at(offset + done as u64, &mut to[done..])? {
            0 => return Err(Errno::NOEXEC),
            more => done += more,
        }
    }
    Ok(())
}
