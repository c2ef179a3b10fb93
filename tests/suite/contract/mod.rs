//! What `api.md` promises, status by status, header by header, limit by limit.

mod access;
mod bodies;
mod classify;
mod classify_memory;
mod classify_refusals;
mod cors;
mod feed;
mod feed_cost;
mod follows;
mod health;
mod idempotency;
mod likes;
mod lists;
mod paths;
mod post_changes;
mod posts;
mod profiles;
mod roles;
mod routes;
mod shapes;
mod tags;
mod tokens;
mod upload_refusals;
mod uploads;
mod users;
mod wrong_tokens;
