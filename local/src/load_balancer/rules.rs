//! Finds the listener rule that a request matches. Rules are tried by rising priority; all conditions of a
//! rule must hold, each by any of its values. Paths are compared undecoded and case-sensitively.

use http::Method;

use crate::template::{Action, Listener};
use crate::wildcard::matches;

/// Returns the action of the first rule that matches a request, or the listener's default.
pub(super) fn route<'a>(listener: &'a Listener, method: &Method, path: &str) -> &'a Action {
    listener
        .rules
        .iter()
        .find(|rule| {
            (rule.methods.is_empty()
                || rule
                    .methods
                    .iter()
                    .any(|allowed| allowed == method.as_str()))
                && (rule.paths.is_empty()
                    || rule.paths.iter().any(|pattern| matches(pattern, path)))
        })
        .map_or(&listener.default, |rule| &rule.action)
}
