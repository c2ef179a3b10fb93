//! No process outlives the stack, however the stack ends.
//!
//! Each child is killed when its handle is dropped, which covers returns and panics. For a stack
//! that is itself killed there is one more process: a shell that is told each child's id through a
//! pipe, kills those still there when the pipe closes, and removes the temporary folders. (`PR_SET_PDEATHSIG` would need `unsafe`,
//! and is bound to the thread that started the child.) Where that one was killed along with the stack, the next stack
//! of the same data folder ends what is left: a [`Record`] there says what it is.

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

/// The shell that survives a killed stack just long enough to kill its children.
#[derive(Debug)]
pub(crate) struct Guard {
    pipe: Mutex<Option<ChildStdin>>,
    shell: Mutex<Child>,
    record: Option<Arc<Record>>,
}

/// A child that the guard knows; forgotten when dropped.
#[derive(Debug)]
pub(crate) struct Guarded {
    guard: Arc<Guard>,
    pid: u32,
}

impl Guard {
    /// Starts the shell, which removes these folders in the end. Children are also noted in the record, if there is one.
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

    /// Watches over a child until the answer is dropped.
    pub(crate) fn watch(self: &Arc<Self>, pid: u32) -> Guarded {
        self.tell('+', pid);
        if let Some(record) = &self.record {
            record.add(pid);
        }
        Guarded {
            guard: Arc::clone(self),
            pid,
        }
    }

    fn tell(&self, op: char, pid: u32) {
        let mut pipe = self.pipe.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(pipe) = pipe.as_mut() {
            // Should the shell be gone, only this last line of defence is.
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
        // It ends by itself once the pipe is closed.
        let _ = self
            .shell
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .wait();
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        self.guard.tell('-', self.pid);
        if let Some(record) = &self.guard.record {
            record.remove(self.pid);
        }
    }
}

/// A file that says that a stack runs, and names its children, until [`Record::clear`].
#[derive(Debug)]
pub(crate) struct Record(Mutex<Noted>);

#[derive(Debug)]
struct Noted {
    /// None once the stack has ended in order.
    file: Option<File>,
    children: BTreeMap<u32, Identity>,
}

/// The processes and files of a stack that was killed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Leftovers {
    /// The names of its processes that still ran, and were ended.
    pub(crate) ended: Vec<String>,
}

/// Distinguishes a process from a later one with the same id: when it started, and its program. Linux tells; elsewhere
/// nothing is noted.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Identity {
    started: u64,
    program: String,
}

impl Identity {
    fn of(pid: u32) -> Option<Self> {
        // `pid (program) state …`: the program may hold anything, so the end counts.
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let (before, after) = stat.rsplit_once(')')?;
        let program = before.split_once('(')?.1.to_owned();
        let started = after.split_ascii_whitespace().nth(19)?.parse().ok()?;
        Some(Self { started, program })
    }
}

impl Record {
    /// Begins a record in this file, and ends what another stack left behind, if it says of one.
    pub(crate) fn begin(mut file: File) -> std::io::Result<(Self, Option<Leftovers>)> {
        let mut before = String::new();
        file.read_to_string(&mut before)?;
        let leftovers = (!before.is_empty()).then(|| Leftovers {
            ended: before.lines().filter_map(end).collect(),
        });
        let record = Self(Mutex::new(Noted {
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

    /// The stack ends in order.
    pub(crate) fn clear(&self) {
        let mut noted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(file) = noted.file.take() {
            // Else the next start says too much.
            let _ = file.set_len(0);
        }
    }

    fn change(&self, change: impl FnOnce(&mut BTreeMap<u32, Identity>)) {
        let mut noted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Noted { file, children } = &mut *noted;
        change(children);
        let Some(file) = file else { return };
        let mut text = "running\n".to_owned();
        for (pid, Identity { started, program }) in children {
            // Writing to a text doesn't fail.
            let _ = writeln!(text, "{pid} {started} {program}");
        }
        // Without it the next start knows less.
        let _ = file
            .rewind()
            .and_then(|()| file.set_len(0))
            .and_then(|()| file.write_all(text.as_bytes()));
    }
}

/// Ends the process of a line, if it is still there; its program.
fn end(line: &str) -> Option<String> {
    let mut parts = line.splitn(3, ' ');
    let pid = parts.next()?.parse().ok()?;
    let noted = Identity {
        started: parts.next()?.parse().ok()?,
        program: parts.next()?.to_owned(),
    };
    if Identity::of(pid)? != noted {
        return None;
    }
    signal(pid, Signal::KILL);
    Some(noted.program)
}

/// Sends a signal; a process that is gone already doesn't mind.
pub(crate) fn signal(pid: u32, signal: Signal) {
    if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
        let _ = rustix::process::kill_process(pid, signal);
    }
}
