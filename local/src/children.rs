//! Ends the stack's child processes, however the stack itself ends.
//!
//! - A child is killed when its handle is dropped, which covers returns and panics.
//! - If the stack is killed, a [`Guard`] survives it: a shell that receives the children's ids through a pipe, kills the
//!   remaining ones when the pipe closes, and removes the temporary folders. (`PR_SET_PDEATHSIG` would need `unsafe`,
//!   and is bound to the thread that started the child.)
//! - If the guard is killed too, the next stack on the same data folder kills the processes that a [`Record`] there
//!   names.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::File;
use std::io::{Read as _, Seek as _, Write as _};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};

use rustix::process::{Pid, Signal};

use crate::error::{Error, Result};

const SCRIPT: &str = r#"
trap '' INT TERM HUP
pids=' '
while read -r op pid; do
  case $op in
    +) pids="$pids$pid " ;;
    -) case $pids in *" $pid "*) pids="${pids%%" $pid "*} ${pids#*" $pid "}" ;; esac ;;
  esac
done
for pid in $pids; do kill -9 "$pid"; done
rm -rf -- "$@"
"#;

/// The shell that survives a killed stack and kills its children.
#[derive(Debug)]
pub(crate) struct Guard {
    pipe: Mutex<Option<ChildStdin>>,
    shell: Mutex<Child>,
    record: Option<Arc<Record>>,
}

/// A handle to a child process, which the guard watches until the handle is dropped.
#[derive(Debug)]
pub(crate) struct Guarded {
    guard: Arc<Guard>,
    pid: u32,
}

impl Guard {
    /// Starts the shell, which removes the `temporary` folders when it ends. Children are also added to the record, if
    /// there is one.
    pub(crate) fn start(temporary: &[&Path], record: Option<Arc<Record>>) -> Result<Arc<Self>> {
        let mut shell = Command::new("/bin/sh")
            .args(["-c", SCRIPT, "purrline-guard"])
            .args(temporary)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .map_err(Error::io("can't start /bin/sh"))?;
        let pipe = Mutex::new(shell.stdin.take());
        Ok(Arc::new(Self {
            pipe,
            shell: Mutex::new(shell),
            record,
        }))
    }

    /// Watches a child process until the returned handle is dropped.
    pub(crate) fn watch(self: &Arc<Self>, pid: u32) -> Guarded {
        self.send('+', pid);
        if let Some(record) = &self.record {
            record.add(pid);
        }
        Guarded {
            guard: Arc::clone(self),
            pid,
        }
    }

    fn send(&self, op: char, pid: u32) {
        let mut pipe = self.pipe.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(pipe) = pipe.as_mut() {
            // If the shell is gone, the record still names the child.
            let _ = pipe.write_all(format!("{op} {pid}\n").as_bytes());
        }
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        drop(
            self.pipe
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .take(),
        );
        // The shell ends once the pipe is closed.
        let _ = self
            .shell
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .wait();
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        self.guard.send('-', self.pid);
        if let Some(record) = &self.guard.record {
            record.remove(self.pid);
        }
    }
}

/// A file that marks a stack as running and lists its children, until [`Record::clear`].
#[derive(Debug)]
pub(crate) struct Record(Mutex<Entries>);

#[derive(Debug)]
struct Entries {
    /// `None` once the stack has ended cleanly.
    file: Option<File>,
    children: BTreeMap<u32, Identity>,
}

/// The remains of a stack that was killed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Leftovers {
    /// The programs of its processes that were still running and have been killed.
    pub(crate) killed: Vec<String>,
}

/// The start time and the program of a process, which distinguish it from a later process with the same id. Known only
/// on Linux; elsewhere the record lists no children.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Identity {
    started: u64,
    program: String,
}

impl Identity {
    fn of(pid: u32) -> Option<Self> {
        // `pid (program) state …`: the program's name may contain parentheses, so fields are counted from the last one.
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let (before, after) = stat.rsplit_once(')')?;
        let program = before.split_once('(')?.1.to_owned();
        let started = after.split_ascii_whitespace().nth(19)?.parse().ok()?;
        Some(Self { started, program })
    }
}

impl Record {
    /// Begins a record in this file. First kills the processes of an earlier stack, if the file lists any.
    pub(crate) fn begin(mut file: File) -> std::io::Result<(Self, Option<Leftovers>)> {
        let mut before = String::new();
        file.read_to_string(&mut before)?;
        let leftovers = (!before.is_empty()).then(|| Leftovers {
            killed: before.lines().filter_map(kill_leftover).collect(),
        });
        let record = Self(Mutex::new(Entries {
            file: Some(file),
            children: BTreeMap::new(),
        }));
        record.change(|_| {});
        Ok((record, leftovers))
    }

    fn add(&self, pid: u32) {
        if let Some(identity) = Identity::of(pid) {
            self.change(|children| {
                children.insert(pid, identity);
            });
        }
    }

    fn remove(&self, pid: u32) {
        self.change(|children| {
            children.remove(&pid);
        });
    }

    /// Empties the record when the stack ends cleanly.
    pub(crate) fn clear(&self) {
        let mut entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(file) = entries.file.take() {
            // If this fails, the next start reports a killed stack.
            let _ = file.set_len(0);
        }
    }

    fn change(&self, change: impl FnOnce(&mut BTreeMap<u32, Identity>)) {
        let mut entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Entries { file, children } = &mut *entries;
        change(children);
        let Some(file) = file else { return };
        let mut text = "running\n".to_owned();
        for (pid, Identity { started, program }) in children {
            // Writing to a `String` doesn't fail.
            let _ = writeln!(text, "{pid} {started} {program}");
        }
        // If this fails, the next start misses some processes.
        let _ = file
            .rewind()
            .and_then(|()| file.set_len(0))
            .and_then(|()| file.write_all(text.as_bytes()));
    }
}

/// Kills the process that a line of the record names, if it still runs, and returns its program.
fn kill_leftover(line: &str) -> Option<String> {
    let mut parts = line.splitn(3, ' ');
    let pid = parts.next()?.parse().ok()?;
    let recorded = Identity {
        started: parts.next()?.parse().ok()?,
        program: parts.next()?.to_owned(),
    };
    if Identity::of(pid)? != recorded {
        return None;
    }
    signal(pid, Signal::KILL);
    Some(recorded.program)
}

/// Sends a signal to a process. Does nothing if the process is gone.
pub(crate) fn signal(pid: u32, signal: Signal) {
    if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
        let _ = rustix::process::kill_process(pid, signal);
    }
}
