//! Programs come to life: the first one, and what execve(2) puts in the place of another.
//!
//! ```text
//!   path ─▶ find: follow `#!` ─▶ load: a new address space beside the old one ─▶ start: the process has it
//!           └──────────── may fail, and nothing has changed ──────────────┘     nothing is left to go back to
//! ```

use alloc::format;
use alloc::rc::Rc;
use alloc::string::String;
use alloc::vec::Vec;
use core::cell::RefCell;

use mayfly_abi::BootInfo;
use mayfly_hal::context::Context;
use mayfly_hal::jump;

use crate::credentials::Ids;
use crate::errno::{Errno, Result};
use crate::exec::{Environment, Executable, Image};
use crate::fs::{Dentry, Follow};
use crate::kernel::Kernel;
use crate::personality::Personality;
use crate::process::{Process, Started};
use crate::rewrite::Entries;
use crate::syscall::identity;
use crate::thread::{Registers, Thread};
use crate::{command, console, end, sigframe};

/// Most scripts that name each other as interpreters (Linux's bound).
const SCRIPTS_MAX: usize = 4;

/// A program that is ready to take a process over.
pub struct Loaded {
    image: Image,
    started: Started,
    name: Vec<u8>,
}

impl Kernel {
    /// How programs' system calls can be made jumps, unless the host says that they stay traps.
    fn entries(&self) -> Option<Entries> {
        let keeps = self.boot.info.switches & BootInfo::KEEP_CALLS != 0;
        let (call, answer) = (jump::call_entry(), jump::answer_entry());
        (!keeps).then_some(Entries { call, answer, answered: &identity::ANSWERED })
    }

    /// Loads a program for these users and groups; no process changes. EACCES, ELOOP, ENOENT, ENOEXEC, ENOMEM, E2BIG.
    pub fn load_program(
        &self,
        cwd: &Rc<Dentry>,
        path: &[u8],
        argv: Vec<Vec<u8>>,
        env: Vec<Vec<u8>>,
        ids: [Ids; 2],
        personality: Personality,
    ) -> Result<Loaded> {
        let (dentry, executable, argv) = self.find_program(cwd, path, argv)?;
        let open = |path: &[u8]| {
            let found = self.vfs.lookup(self.vfs.root(), path, Follow::Yes)?;
            Executable::open(found)
        };
        let random = || self.random.next();
        let environment = Environment {
            cpu: &self.boot.info.cpu,
            open: &open,
            random: &random,
            is_in_place: personality.contains(Personality::ADDR_NO_RANDOMIZE),
            vdso: &self.vdso,
            calls: self.entries(),
            ids,
            signal_frame_bytes: sigframe::frame_bytes(&self.fpu) as u64,
        };
        let image = executable.load(&argv, &env, path, &environment)?;

        let stack = &image.stack;
        let started = Started {
            executable: dentry,
            arguments: command::joined(&argv),
            environment: command::joined(&env),
            auxiliary: stack.bytes[stack.auxiliary.clone()].to_vec(),
        };
        Ok(Loaded { image, started, name: command::short_name(path) })
    }

    /// Gives the process a program in place of what it had, and returns its first registers. ENOMEM: then it has none.
    pub fn start_program(&self, process: &Process, loaded: Loaded) -> Result<Context> {
        let Loaded { image: Image { space, stack, entry }, started, name } = loaded;
        process.memory.replace(Some(Rc::new(RefCell::new(space))));
        self.threads.load_memory(process);
        let len = stack.bytes.len() as u64;
        let space = process.space();
        let mut range = space.borrow_mut().user_range(stack.pointer, len, true)?;
        range.bytes_mut().copy_from_slice(&stack.bytes);
        *process.name.borrow_mut() = name;
        *process.started.borrow_mut() = Rc::new(started);
        Ok(Context::new(entry, stack.pointer))
    }

    /// Follows `#!` lines to the file that is really run, with the arguments that they make.
    fn find_program(
        &self,
        cwd: &Rc<Dentry>,
        path: &[u8],
        mut argv: Vec<Vec<u8>>,
    ) -> Result<(Rc<Dentry>, Executable, Vec<Vec<u8>>)> {
        let mut path = path.to_vec();
        for _ in 0..=SCRIPTS_MAX {
            let dentry = self.vfs.lookup(cwd, &path, Follow::Yes)?;
            let executable = Executable::open(dentry.clone())?;
            let Some(script) = executable.script() else {
                return Ok((dentry, executable, argv));
            };
            argv = script.arguments(&path, &argv);
            path = script.interpreter;
        }
        Err(Errno::LOOP)
    }

    /// The program that the host asked for, or a clear end.
    pub fn first_program(&self) -> Thread {
        let command = command::parse(&self.boot);
        let error = match self.try_first_program(command) {
            Ok(started) => return started,
            Err(error) => error,
        };
        let command = command::parse(&self.boot);
        let name = String::from_utf8_lossy(&command.program);
        let missing = if error == Errno::NOENT { self.missing_interpreter(&command) } else { None };
        let why = match missing {
            Some(path) => {
                format!("its interpreter {} is not there", String::from_utf8_lossy(&path))
            }
            None => error.text().into(),
        };
        end::not_started(error.number(), format_args!("cannot run {name}: {why} ({error:?})"))
    }

    /// Who should run or load the program, or the one that should run that, and is not there.
    fn missing_interpreter(&self, command: &command::Command) -> Option<Vec<u8>> {
        let (cwd, mut path) = self.find_first(command).ok()?;
        for _ in 0..=SCRIPTS_MAX {
            let Ok(dentry) = self.vfs.lookup(&cwd, &path, Follow::Yes) else { return Some(path) };
            path = Executable::open(dentry).ok()?.interpreter().ok()??;
        }
        None
    }

    /// Where the host's command is to run, and the path of its program.
    fn find_first(&self, command: &command::Command) -> Result<(Rc<Dentry>, Vec<u8>)> {
        let cwd = self.vfs.lookup(self.vfs.root(), &command.cwd, Follow::Yes)?;
        let path = command.find(|path| {
            self.vfs.lookup(&cwd, path, Follow::Yes).and_then(Executable::open).map(drop)
        })?;
        Ok((cwd, path))
    }

    fn try_first_program(&self, command: command::Command) -> Result<Thread> {
        let (cwd, path) = self.find_first(&command)?;
        let process = Rc::new(Process::first(self.vfs.root(), &cwd));
        for file in console::open(&self.vfs, &self.devices, command.terminals)? {
            process.files.add(file, 0, false)?;
        }
        let loaded = self.load_program(
            &cwd,
            &path,
            command.argv,
            command.env,
            Default::default(),
            Personality::empty(),
        )?;
        let context = self.start_program(&process, loaded)?;
        self.processes.add_first(&process);
        Ok(Thread::new(process.pid, process, context, Registers::initial(&self.fpu)?))
    }
}
