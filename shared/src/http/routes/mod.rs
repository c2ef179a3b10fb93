//! Every operation of the API, declared once: its method and path, its parameters and body, and its answers.
//!
//! A function mounts its handlers on these declarations: `LIKE_POST.handled_by(like)`. They also determine 404 and 405
//! (see [`find`]), the `OpenAPI` document, and the lists that the tests loop over. A body is a type that both the
//! handler and the document read, see [`super::Body`].
//!
//! The declarations are here, in a module for each group of the document, rather than in the functions: each function
//! answers 404 and 405 for all of the API, and the functions are binaries that don't link each other. They link only
//! the table of methods and paths; the rest of a declaration is read under the feature `openapi` alone.
//!
//! To add an operation, add its declaration to the module of its group, and to the `operations` there.
//!
//! # Why no library declares them
//!
//! `schemars` makes the schemas, and its derive reads the doc comments. The libraries that would make the rest, utoipa
//! (6.0) and aide (0.15), describe a handler where it is defined, so the document would have to link every function,
//! and no function would know the others' routes. Besides, utoipa's schemas have neither `if` and `else` nor `const`,
//! and aide is built on an earlier schemars; its successor is an alpha.

mod cats;
mod comments;
mod feed;
mod images;
mod likes_and_follows;
mod operation;
mod posts;
mod saved;
mod search;
mod service;
mod users;

pub use self::cats::*;
pub use self::comments::*;
pub use self::feed::*;
pub use self::images::*;
pub use self::likes_and_follows::*;
pub use self::operation::Operation;
#[cfg(feature = "openapi")]
pub(crate) use self::operation::{Answer, Content, Example, Paged, Parameter, Place, SchemaOf};
pub use self::posts::*;
pub use self::saved::*;
pub use self::search::*;
pub use self::service::*;
pub use self::users::*;

use axum::http::Method;

/// Operations that belong together: a tag of the document.
#[cfg_attr(
    not(feature = "openapi"),
    expect(dead_code, reason = "for the document")
)]
pub(crate) struct Group {
    pub(crate) name: &'static str,
    pub(crate) description: &'static str,
    pub(crate) operations: &'static [Operation],
}

/// Every operation.
pub(crate) const GROUPS: [Group; 10] = [
    feed::GROUP,
    posts::GROUP,
    comments::GROUP,
    likes_and_follows::GROUP,
    users::GROUP,
    cats::GROUP,
    saved::GROUP,
    images::GROUP,
    search::GROUP,
    service::GROUP,
];

/// A method of a path.
#[derive(Debug, Clone, Copy)]
pub struct Route {
    /// The method. `GET` implies `HEAD`.
    pub method: &'static str,
    /// The path; `{name}` stands for one non-empty segment.
    pub path: &'static str,
}

const COUNT: usize = {
    let mut count = 0;
    let mut groups: &[Group] = &GROUPS;
    while let [group, rest @ ..] = groups {
        count += group.operations.len();
        groups = rest;
    }
    count
};

/// The method and path of every operation, in the document's order.
#[expect(clippy::indexing_slicing, reason = "the compiler runs it")]
pub static ROUTES: [Route; COUNT] = {
    let mut routes = [Route {
        method: "",
        path: "",
    }; COUNT];
    let mut at = 0;
    let mut groups: &[Group] = &GROUPS;
    while let [group, rest @ ..] = groups {
        let mut operations = group.operations;
        while let [operation, others @ ..] = operations {
            routes[at] = Route {
                method: operation.method,
                path: operation.path,
            };
            at += 1;
            operations = others;
        }
        groups = rest;
    }
    routes
};

/// The table's answer for a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// The route exists; its path as the table spells it.
    Route(&'static str),
    /// The path exists, with other methods: `Allow`'s value.
    OtherMethods(&'static str, String),
    /// The path doesn't exist.
    Nothing,
}

/// Looks a request up in the table.
pub fn find(method: &Method, path: &str) -> Found {
    let paths = ROUTES.iter().map(|route| route.path);
    let paths = paths.filter(|route| matches(route, path));
    // As in the router, a literal segment takes precedence over a parameter.
    let Some(path) = paths.min_by_key(|route| route.matches('{').count()) else {
        return Found::Nothing;
    };
    let routes = ROUTES.iter().filter(|route| route.path == path);
    let mut methods: Vec<&str> = routes.map(|route| route.method).collect();
    if methods.contains(&"GET") {
        methods.push("HEAD");
    }
    if methods.contains(&method.as_str()) {
        return Found::Route(path);
    }
    methods.sort_unstable();
    Found::OtherMethods(path, methods.join(", "))
}

fn matches(route: &str, path: &str) -> bool {
    let mut segments = path.split('/');
    route.split('/').all(|expected| match segments.next() {
        Some(segment) if expected.starts_with('{') => !segment.is_empty(),
        segment => segment == Some(expected),
    }) && segments.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_paths_are_found_with_their_allowed_methods() {
        assert_eq!(
            find(&Method::GET, "/v1/posts/x"),
            Found::Route("/v1/posts/{id}")
        );
        assert_eq!(
            find(&Method::PATCH, "/v1/posts/x/like"),
            Found::OtherMethods("/v1/posts/{id}/like", "DELETE, PUT".to_owned())
        );
        assert_eq!(find(&Method::HEAD, "/v1/feed"), Found::Route("/v1/feed"));
        assert_eq!(
            find(&Method::PUT, "/v1/posts/x"),
            Found::OtherMethods("/v1/posts/{id}", "DELETE, GET, HEAD, PATCH".to_owned())
        );
        for nothing in [
            "",
            "/",
            "/v1",
            "/v1/posts/",
            "/v1/posts/x/",
            "/v1//x",
            "/v1/posts/x/like/y",
            "/v1/Posts/x",
        ] {
            assert_eq!(find(&Method::GET, nothing), Found::Nothing, "{nothing}");
        }
    }
}
