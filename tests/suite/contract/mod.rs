//! What `api.md` promises, status by status, header by header, limit by limit.

mod health;
