//! The HTTP side as a client sees it: real events in, answers out.
