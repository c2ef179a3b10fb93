//! The scripts that the cache runs. Each is atomic, uses keys of one slot, and takes one round trip.
//!
//! Each file documents its keys and arguments. `writers.lua` and `settle.lua` hold functions that several scripts
//! share.

use std::sync::LazyLock;

use redis::Script;

#[cfg(test)]
mod tests;

/// Defines a script by its file, after the files whose functions it calls.
macro_rules! script {
    ($name:ident = $($file:literal),+) => {
        #[doc = concat!("The script of these files, joined: ", $("`", $file, "` "),+)]
        pub(super) static $name: LazyLock<Script> =
            LazyLock::new(|| Script::new(concat!($(include_str!($file), "\n"),+)));
    };
}

script!(TAKE_LEASE = "writers.lua", "take_lease.lua");
script!(FILL_LEASE = "writers.lua", "fill_lease.lua");
script!(TAKE_FIELD_LEASES = "take_field_leases.lua");
script!(FILL_FIELD_LEASES = "fill_field_leases.lua");
script!(HOLD = "writers.lua", "hold.lua");
script!(FORGET = "forget.lua");
script!(PUT_COUNTS = "writers.lua", "put_counts.lua");
script!(TRIM = "settle.lua", "trim.lua");
script!(BEGIN_REBUILD = "begin_rebuild.lua");
script!(COMMIT_REBUILD = "settle.lua", "commit_rebuild.lua");
script!(ADMIT = "admit.lua");
