//! Every route there is, as `api.md` lists them. What holds for all routes is tested by looping over
//! this table.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::User;

/// A path and its methods.
pub(crate) struct Route {
    /// `{post}`, `{comment}`, `{cat}` and `{user}` stand for ids.
    pub(crate) path: &'static str,
    /// The methods, HEAD left out.
    pub(crate) methods: &'static [Method],
}

/// The routes that need a token: all but two.
pub(crate) const SIGNED_IN: &[Route] = &[
    Route {
        path: "/v1/uploads",
        methods: &[Method::POST],
    },
    Route {
        path: "/v1/posts",
        methods: &[Method::POST],
    },
    Route {
        path: "/v1/posts/{post}",
        methods: &[Method::GET, Method::PATCH, Method::DELETE],
    },
    Route {
        path: "/v1/posts/{post}/comments",
        methods: &[Method::GET, Method::POST],
    },
    Route {
        path: "/v1/posts/{post}/comments/{comment}",
        methods: &[Method::DELETE],
    },
    Route {
        path: "/v1/posts/{post}/like",
        methods: &[Method::PUT, Method::DELETE],
    },
    Route {
        path: "/v1/cats",
        methods: &[Method::POST],
    },
    Route {
        path: "/v1/cats/{cat}",
        methods: &[Method::GET, Method::PATCH, Method::DELETE],
    },
    Route {
        path: "/v1/cats/{cat}/posts",
        methods: &[Method::GET],
    },
    Route {
        path: "/v1/tags/{tag}/posts",
        methods: &[Method::GET],
    },
    Route {
        path: "/v1/tags/trending",
        methods: &[Method::GET],
    },
    Route {
        path: "/v1/users/{user}/cats",
        methods: &[Method::GET],
    },
    Route {
        path: "/v1/posts/{post}/likes",
        methods: &[Method::GET],
    },
    Route {
        path: "/v1/posts/{post}/save",
        methods: &[Method::PUT, Method::DELETE],
    },
    Route {
        path: "/v1/users/{user}",
        methods: &[Method::GET],
    },
    Route {
        path: "/v1/users/{user}/block",
        methods: &[Method::PUT, Method::DELETE],
    },
    Route {
        path: "/v1/users/{user}/posts",
        methods: &[Method::GET],
    },
    Route {
        path: "/v1/users/{user}/follow",
        methods: &[Method::PUT, Method::DELETE],
    },
    Route {
        path: "/v1/users/{user}/followers",
        methods: &[Method::GET],
    },
    Route {
        path: "/v1/users/{user}/following",
        methods: &[Method::GET],
    },
    Route {
        path: "/v1/classify",
        methods: &[Method::POST],
    },
    Route {
        path: "/v1/breeds",
        methods: &[Method::GET],
    },
    Route {
        path: "/v1/me",
        methods: &[Method::GET, Method::PUT, Method::PATCH, Method::DELETE],
    },
    Route {
        path: "/v1/me/saved",
        methods: &[Method::GET],
    },
    Route {
        path: "/v1/me/blocked",
        methods: &[Method::GET],
    },
    Route {
        path: "/v1/feed",
        methods: &[Method::GET],
    },
    Route {
        path: "/v1/search",
        methods: &[Method::GET],
    },
];

/// Those that don't.
pub(crate) const PUBLIC: &[Route] = &[
    Route {
        path: "/v1/health",
        methods: &[Method::GET],
    },
    Route {
        path: "/v1/openapi.json",
        methods: &[Method::GET],
    },
];

/// The routes whose answer is a list, but for search, which takes a query of its own.
pub(crate) const LISTS: &[&str] = &[
    "/v1/users/{user}/posts",
    "/v1/cats/{cat}/posts",
    "/v1/tags/{tag}/posts",
    "/v1/users/{user}/cats",
    "/v1/users/{user}/followers",
    "/v1/users/{user}/following",
    "/v1/posts/{post}/comments",
    "/v1/posts/{post}/likes",
    "/v1/feed",
    "/v1/me/saved",
    "/v1/me/blocked",
    "/v1/breeds",
];

/// Whether a list is another for each caller.
pub(crate) fn is_callers_own(list: &str) -> bool {
    list == "/v1/feed" || list.starts_with("/v1/me/")
}

impl Route {
    /// The methods, HEAD where there is GET, sorted by name.
    pub(crate) fn allowed(&self) -> Vec<String> {
        let head = self.methods.contains(&Method::GET).then_some(Method::HEAD);
        let mut methods: Vec<String> = self
            .methods
            .iter()
            .chain(&head)
            .map(ToString::to_string)
            .collect();
        methods.sort();
        methods
    }
}

/// A route's path with ids in it, and a tag of the user's own; a comment's id, which has the same form, is the
/// post's, unless it was put in before.
pub(crate) fn path(route: &str, post: &str, user: &str) -> String {
    let tag = tag_of(user);
    let ids = [
        ("{post}", post),
        ("{comment}", post),
        ("{user}", user),
        ("{tag}", &tag),
    ];
    ids.iter()
        .fold(route.to_owned(), |path, (name, id)| path.replace(name, id))
}

/// A tag that no other user has.
pub(crate) fn tag_of(user: &str) -> String {
    user.replace('-', "_")
}

/// A path with a cat's id in it, where it has a place for one.
pub(crate) fn with_cat(path: &str, cat: &str) -> String {
    path.replace("{cat}", cat)
}

/// As [`path`], with the query that the route must have.
pub(crate) fn good_path(route: &str, post: &str, user: &str) -> String {
    let query = if route == "/v1/search" { "?q=x" } else { "" };
    format!("{}{query}", path(route, post, user))
}

/// A body with the key of an upload in it, where it has a place for one.
pub(crate) fn with_image(mut body: Value, key: &str) -> Value {
    if let Some(image) = body.get_mut("image") {
        *image = json!(key);
    }
    body
}

/// A body with a handle in it that this caller may take, where it has a place for one.
pub(crate) fn with_handle(mut body: Value, caller: &User) -> Value {
    if let Some(handle) = body.get_mut("handle") {
        *handle = json!(caller.own_handle());
    }
    body
}

/// A body that this route takes; nothing if it takes none. An upload's key is to be put in by
/// [`with_image`], the caller's handle by [`with_handle`].
pub(crate) fn good_body(method: &Method, route: &str) -> Option<Value> {
    match (method.as_str(), route) {
        ("POST", "/v1/uploads") => Some(json!({ "content_type": "image/png", "size": 3 })),
        ("POST", "/v1/posts") => Some(json!({ "text": "야옹" })),
        ("POST", "/v1/cats") => Some(json!({ "name": "나비" })),
        ("PATCH", "/v1/cats/{cat}") => Some(json!({ "bio": "야옹" })),
        ("POST", "/v1/posts/{post}/comments") => Some(json!({ "text": "귀여워" })),
        ("POST", "/v1/classify") => Some(json!({ "image": "{image}" })),
        ("PATCH", "/v1/posts/{post}") => Some(json!({ "text": "야옹!" })),
        ("PATCH", "/v1/me") => Some(json!({ "bio": "집사" })),
        ("PUT", "/v1/me") => Some(json!({ "handle": "{handle}", "name": "나비 집사" })),
        _ => None,
    }
}

/// Every method of every route that needs a token, with a body it would take.
pub(crate) fn calls() -> impl Iterator<Item = (Method, &'static str, Option<Value>)> {
    SIGNED_IN.iter().flat_map(|route| {
        route
            .methods
            .iter()
            .map(|method| (method.clone(), route.path, good_body(method, route.path)))
    })
}
