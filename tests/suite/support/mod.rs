//! Helpers for all tests: a stack, users who call it, and waiting for conditions.

// Each suite uses its own part of this.
#![allow(dead_code, unused_imports)]

pub(crate) mod backstage;
pub(crate) mod documented;
pub(crate) mod elasticache;
mod images;
mod poll;
mod reply;
pub(crate) mod secrets;
mod user;
pub(crate) mod user_pool;
mod world;

pub(crate) use images::{JPEG, image, jpeg_of_size, photo};
pub(crate) use poll::{eventually, eventually_within};
pub(crate) use reply::Reply;
pub(crate) use user::{User, comments, id_of};
pub(crate) use world::{World, binaries, repository, retrying_soon};
