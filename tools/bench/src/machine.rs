//! The machine that measures.

use serde_json::{Value, json};

#[derive(Debug, Clone)]
pub(crate) struct Machine {
    cores: usize,
    processor: String,
    memory_mb: Option<u64>,
}

impl Machine {
    /// Describes this machine. Linux reveals the processor's name and the amount of memory.
    pub(crate) fn this() -> Self {
        let field = |file: &str, name: &str| {
            let text = std::fs::read_to_string(file).ok()?;
            let line = text.lines().find(|line| line.starts_with(name))?;
            Some(line.split_once(':')?.1.trim().to_owned())
        };
        let processor = field("/proc/cpuinfo", "model name");
        let memory = field("/proc/meminfo", "MemTotal");
        let kb = memory.and_then(|text| text.split(' ').next()?.parse::<u64>().ok());
        Self {
            cores: std::thread::available_parallelism().map_or(0, usize::from),
            processor: processor.unwrap_or_else(|| std::env::consts::ARCH.to_owned()),
            memory_mb: kb.map(|kb| kb / 1024),
        }
    }

    pub(crate) fn describe(&self) -> String {
        let memory = self.memory_mb.map(|mb| format!(", {mb} MiB of memory"));
        let memory = memory.unwrap_or_default();
        format!("{} cores of {}{memory}", self.cores, self.processor)
    }

    pub(crate) fn json(&self) -> Value {
        json!({ "cores": self.cores, "processor": self.processor, "memory_mb": self.memory_mb })
    }
}
