//! ELF programs (System V gABI, chapter 4 and 5): checks a file's headers and says what to map where.

use alloc::vec::Vec;
use core::ops::Range;

use elf::abi::{EM_X86_64, ET_DYN, ET_EXEC, PF_R, PF_W, PF_X, PT_GNU_STACK, PT_INTERP, PT_LOAD};
use elf::endian::LittleEndian;
use elf::file::{Class, FileHeader, parse_ident};
use elf::parse::ParsingTable;
use elf::segment::{ProgramHeader, SegmentTable};
use mayfly_abi::layout::{PAGE_SIZE, USER_END};

use crate::errno::{Errno, Result};
use crate::mm::Protection;

/// Bytes of the file that hold all headers of any sensible program.
pub const HEADER_BYTES: usize = 4096;
/// Longest path of an interpreter: Linux's PATH_MAX.
const INTERPRETER_MAX: u64 = 4096;

/// One PT_LOAD.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Where in memory, relative to the load bias.
    pub memory: Range<u64>,
    /// Where in the file.
    pub file: Range<u64>,
    /// What the program may do with it.
    pub protection: Protection,
}

/// What a file's headers say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    /// Whether it may be loaded anywhere (ET_DYN).
    pub relocatable: bool,
    /// First instruction, relative to the load bias.
    pub entry: u64,
    /// Where the program headers lie in memory, relative to the load bias; 0 if no segment holds them.
    pub headers: u64,
    /// How many there are.
    pub header_count: u16,
    /// The segments, ascending and apart.
    pub segments: Vec<Segment>,
    /// Where in the file the interpreter's path is, without its NUL.
    pub interpreter: Option<Range<u64>>,
    /// Whether the stack may be executed.
    pub executable_stack: bool,
}

impl Program {
    /// Parses the start of a file that is `file_len` bytes long. Every fault is ENOEXEC.
    pub fn parse(start: &[u8], file_len: u64) -> Result<Program> {
        let noexec = |_| Errno::NOEXEC;
        // Whole, before the parser sees it: it does not expect less.
        let tail = start.get(16..64).ok_or(Errno::NOEXEC)?;
        let ident = parse_ident::<LittleEndian>(start).map_err(noexec)?;
        if ident.1 != Class::ELF64 {
            return Err(Errno::NOEXEC);
        }
        let header = FileHeader::parse_tail(ident, tail).map_err(noexec)?;
        if header.e_machine != EM_X86_64
            || !matches!(header.e_type, ET_EXEC | ET_DYN)
            || header.e_phentsize != 56
            || header.e_phnum == 0
        {
            return Err(Errno::NOEXEC);
        }
        let table_start = usize::try_from(header.e_phoff).map_err(|_| Errno::NOEXEC)?;
        let table_len = usize::from(header.e_phnum) * usize::from(header.e_phentsize);
        let table_end = table_start.checked_add(table_len).ok_or(Errno::NOEXEC)?;
        let table = start.get(table_start..table_end).ok_or(Errno::NOEXEC)?;
        let table: SegmentTable<'_, LittleEndian> =
            ParsingTable::new(LittleEndian, Class::ELF64, table);

        let mut program = Program {
            relocatable: header.e_type == ET_DYN,
            entry: header.e_entry,
            headers: 0,
            header_count: header.e_phnum,
            segments: Vec::new(),
            interpreter: None,
            executable_stack: false,
        };
        for segment in table.iter() {
            match segment.p_type {
                PT_LOAD if segment.p_memsz > 0 => program.add_segment(&segment, file_len)?,
                PT_INTERP => {
                    if !(2..=INTERPRETER_MAX).contains(&segment.p_filesz) {
                        return Err(Errno::NOEXEC);
                    }
                    let path = file_range(&segment, file_len)?;
                    program.interpreter = Some(path.start..path.end - 1);
                }
                PT_GNU_STACK => program.executable_stack = segment.p_flags & PF_X != 0,
                _ => {}
            }
        }
        program.headers = program
            .segments
            .iter()
            .find(|segment| segment.file.contains(&header.e_phoff))
            .map_or(0, |segment| segment.memory.start + (header.e_phoff - segment.file.start));
        if program.segments.is_empty() { Err(Errno::NOEXEC) } else { Ok(program) }
    }

    /// The pages that the segments span, relative to the load bias.
    pub fn span(&self) -> Range<u64> {
        let start = self.segments.first().map_or(0, |first| first.memory.start);
        let end = self.segments.last().map_or(0, |last| last.memory.end);
        start & !(PAGE_SIZE - 1)..end.next_multiple_of(PAGE_SIZE)
    }

    fn add_segment(&mut self, header: &ProgramHeader, file_len: u64) -> Result<()> {
        let end = header.p_vaddr.checked_add(header.p_memsz).filter(|end| *end <= USER_END);
        let memory = header.p_vaddr..end.ok_or(Errno::NOEXEC)?;
        let file = file_range(header, file_len)?;
        let congruent = header.p_vaddr % PAGE_SIZE == header.p_offset % PAGE_SIZE;
        let previous_end = self.segments.last().map_or(0, |previous| previous.memory.end);
        if header.p_filesz > header.p_memsz || !congruent || memory.start < previous_end {
            return Err(Errno::NOEXEC);
        }
        let mut protection = Protection::empty();
        protection.set(Protection::READ, header.p_flags & PF_R != 0);
        protection.set(Protection::WRITE, header.p_flags & PF_W != 0);
        protection.set(Protection::EXECUTE, header.p_flags & PF_X != 0);
        self.segments.push(Segment { memory, file, protection });
        Ok(())
    }
}

fn file_range(header: &ProgramHeader, file_len: u64) -> Result<Range<u64>> {
    let end = header.p_offset.checked_add(header.p_filesz).filter(|end| *end <= file_len);
    Ok(header.p_offset..end.ok_or(Errno::NOEXEC)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A little ELF file: one header for each (type, flags, offset, vaddr, filesz, memsz).
    fn file(headers: &[(u32, u32, u64, u64, u64, u64)]) -> Vec<u8> {
        let mut bytes = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
        bytes.extend(2u16.to_le_bytes());
        bytes.extend(62u16.to_le_bytes());
        bytes.extend(1u32.to_le_bytes());
        for word in [0x40_1000u64, 64, 0] {
            bytes.extend(word.to_le_bytes());
        }
        bytes.extend(0u32.to_le_bytes());
        for half in [64u16, 56, headers.len() as u16, 64, 0, 0] {
            bytes.extend(half.to_le_bytes());
        }
        for (kind, flags, offset, vaddr, filesz, memsz) in headers {
            bytes.extend(kind.to_le_bytes());
            bytes.extend(flags.to_le_bytes());
            for word in [*offset, *vaddr, *vaddr, *filesz, *memsz, 0x1000] {
                bytes.extend(word.to_le_bytes());
            }
        }
        bytes
    }

    const TEXT: (u32, u32, u64, u64, u64, u64) = (PT_LOAD, PF_R | PF_X, 0, 0x40_0000, 0x800, 0x800);

    #[test]
    fn a_program_is_understood() {
        let data = (PT_LOAD, PF_R | PF_W, 0x800, 0x40_1800, 0x100, 0x5000);
        let program = Program::parse(&file(&[TEXT, data]), 0x1000).unwrap();
        assert_eq!((program.entry, program.headers), (0x40_1000, 0x40_0040));
        assert_eq!(program.span(), 0x40_0000..0x40_7000);
        assert_eq!(program.segments[1].file, 0x800..0x900);
        assert!(!program.relocatable);
    }

    #[test]
    fn absurd_headers_are_refused() {
        let refused = |headers: &[_]| {
            assert_eq!(Program::parse(&file(headers), 0x1000), Err(Errno::NOEXEC), "{headers:x?}");
        };
        refused(&[]);
        refused(&[(PT_LOAD, 5, 0, 0x40_0000, 0x900, 0x800)]);
        refused(&[(PT_LOAD, 5, 0, 0x40_0000, 0x2000, 0x2000)]);
        refused(&[(PT_LOAD, 5, 0, u64::MAX - 0xfff, 0x10, 0x2000)]);
        refused(&[(PT_LOAD, 5, 0, USER_END - 0x1000, 0x10, 0x2000)]);
        refused(&[(PT_LOAD, 5, 0x10, 0x40_0000, 0x10, 0x10)]);
        refused(&[TEXT, TEXT]);
        refused(&[TEXT, (PT_INTERP, 4, 0, 0, 1, 1)]);
        let good = file(&[TEXT]);
        for len in 0..good.len() {
            assert_eq!(Program::parse(&good[..len], 0x1000), Err(Errno::NOEXEC));
        }
    }
}
