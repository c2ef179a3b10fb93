//! Starts the stack's parts, and controls them while they run.

mod control;
mod data_folder;
mod endpoints;
mod loader;
mod options;
mod parameters;
mod parts;
mod running;
mod start;

pub use endpoints::Endpoints;
pub use loader::TableLoader;
pub use options::{Calls, Constraints, Options};
pub use running::Stack;
