//! Purrline.
