//! Replays the sample events.
