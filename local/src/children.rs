//! No process outlives the stack, however the stack ends.
//!
//! Each child is killed when its handle is dropped, which covers returns and panics. For a stack
//! that is itself killed there is one more process: a shell that is told each child's id through a
//! pipe, kills those still there when the pipe closes, and removes the temporary folders. (`PR_SET_PDEATHSIG` would need `unsafe`,
//! and is bound to the thread that started the child.)

use std::io::Write as _;
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
}

/// A child that the guard knows; forgotten when dropped.
#[derive(Debug)]
pub(crate) struct Guarded {
    guard: Arc<Guard>,
    pid: u32,
}

impl Guard {
    /// Starts the shell, which removes these folders in the end.
    pub(crate) fn start(temporary: &[&Path]) -> Result<Arc<Self>> {
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
        }))
    }

    /// Watches over a child until the answer is dropped.
    pub(crate) fn watch(self: &Arc<Self>, pid: u32) -> Guarded {
        self.tell('+', pid);
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
    }
}

/// Sends a signal; a process that is gone already doesn't mind.
pub(crate) fn signal(pid: u32, signal: Signal) {
    if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
        let _ = rustix::process::kill_process(pid, signal);
    }
}
