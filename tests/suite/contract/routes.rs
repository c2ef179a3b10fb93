//! Every route, as the library declares it and the API's document describes it. Tests of rules that hold for all routes
//! loop over them.

use std::sync::LazyLock;

use purrline::http::routes::ROUTES;
use reqwest::Method;
use serde_json::{Map, Value, json};

use crate::support::User;

/// A path and its methods.
pub(crate) struct Route {
    /// The path, in which `{post}`, `{comment}`, `{cat}` and `{user}` stand for ids.
    pub(crate) path: &'static str,
    /// The methods without HEAD.
    pub(crate) methods: &'static [Method],
}

static DOCUMENT: LazyLock<Value> = LazyLock::new(purrline::openapi::document);

/// The routes that need a token: all but two.
pub(crate) static SIGNED_IN: LazyLock<Vec<Route>> = LazyLock::new(|| by_path(|it| !is_public(it)));

/// The routes that need no token.
pub(crate) static PUBLIC: LazyLock<Vec<Route>> = LazyLock::new(|| by_path(is_public));

/// The paths whose answer is a list, except for search, which requires a query.
pub(crate) static LISTS: LazyLock<Vec<&'static str>> = LazyLock::new(|| {
    let lists = ROUTES.iter().filter(|route| {
        let operation = operation(route);
        let parameters = operation["parameters"].as_array();
        let mut parameters = parameters.into_iter().flatten();
        parameters.any(|it| it["$ref"] == "#/components/parameters/cursor")
            && route.path != "/v1/search"
    });
    lists.map(|route| named(route.path)).collect()
});

/// Returns an operation of the document.
fn operation(route: &purrline::http::routes::Route) -> &'static Value {
    &DOCUMENT["paths"][route.path][route.method.to_lowercase()]
}

fn is_public(operation: &Value) -> bool {
    operation["security"] == json!([])
}

/// Returns the paths of some operations, each with its methods.
fn by_path(wanted: impl Fn(&Value) -> bool) -> Vec<Route> {
    let mut paths: Vec<(&str, Vec<Method>)> = Vec::new();
    for route in ROUTES.iter().filter(|route| wanted(operation(route))) {
        let method = route.method.parse().unwrap();
        match paths.iter_mut().find(|(path, _)| *path == route.path) {
            Some((_, methods)) => methods.push(method),
            None => paths.push((route.path, vec![method])),
        }
    }
    let route = |(path, methods): (&str, Vec<Method>)| Route {
        path: named(path),
        methods: methods.leak(),
    };
    paths.into_iter().map(route).collect()
}

/// Returns a path in which each parameter is named after the kind of its id.
fn named(path: &str) -> &'static str {
    let names = [
        ("/posts/{id}", "/posts/{post}"),
        ("/cats/{id}", "/cats/{cat}"),
        ("/users/{id}", "/users/{user}"),
        ("{comment_id}", "{comment}"),
    ];
    let rename = |path: String, (name, kind): &(&str, &str)| path.replace(name, kind);
    let path = names.iter().fold(path.to_owned(), rename);
    assert!(!path.contains("{id}"), "name the kind of this id: {path}");
    path.leak()
}

/// Returns whether a list differs by caller.
pub(crate) fn is_callers_own(list: &str) -> bool {
    list == "/v1/feed" || list.starts_with("/v1/me/")
}

impl Route {
    /// Returns the methods, with HEAD beside GET, sorted by name.
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

/// Returns a route's path, filled in with ids and a tag of the user's own. The post's id also serves as a comment's id,
/// which has the same form, unless a comment's id was filled in before.
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

/// Returns a tag that no other user has.
pub(crate) fn tag_of(user: &str) -> String {
    user.replace('-', "_")
}

/// Fills a cat's id into a path, if there is a place for one.
pub(crate) fn with_cat(path: &str, cat: &str) -> String {
    path.replace("{cat}", cat)
}

/// Returns [`path`] with the query that the route requires.
pub(crate) fn good_path(route: &str, post: &str, user: &str) -> String {
    let query = if route == "/v1/search" { "?q=x" } else { "" };
    format!("{}{query}", path(route, post, user))
}

/// Fills an upload's key into a body, if there is a place for one.
pub(crate) fn with_image(mut body: Value, key: &str) -> Value {
    if let Some(image) = body.get_mut("image") {
        *image = json!(key);
    }
    body
}

/// Fills a handle that this caller may take into a body, if there is a place for one.
pub(crate) fn with_handle(mut body: Value, caller: &User) -> Value {
    if let Some(handle) = body.get_mut("handle") {
        *handle = json!(caller.own_handle());
    }
    body
}

/// Returns a valid body for a route, without optional fields unless the body would otherwise be empty; `None` if the
/// route takes no body. [`with_image`] fills in an upload's key, [`with_handle`] the caller's handle.
pub(crate) fn good_body(method: &Method, route: &str) -> Option<Value> {
    let is_it = |it: &&purrline::http::routes::Route| {
        named(it.path) == route && it.method == method.as_str()
    };
    let body = &operation(ROUTES.iter().find(is_it)?)["requestBody"];
    let body = body["content"]["application/json"]["schema"]["$ref"].as_str()?;
    let schema = DOCUMENT.pointer(body.trim_start_matches('#')).unwrap();
    let example = schema["examples"][0].as_object().unwrap();
    let required = schema["required"].as_array().into_iter().flatten();
    let required = required.map(|name| name.as_str().unwrap());
    let required: Map<String, Value> = required
        .map(|name| match name {
            "image" | "handle" => (name.to_owned(), json!(format!("{{{name}}}"))),
            name => (name.to_owned(), example[name].clone()),
        })
        .collect();
    Some(Value::Object(if required.is_empty() {
        example.clone()
    } else {
        required
    }))
}

/// Returns every method of every route that needs a token, with a valid body.
pub(crate) fn calls() -> impl Iterator<Item = (Method, &'static str, Option<Value>)> {
    SIGNED_IN.iter().flat_map(|route| {
        route
            .methods
            .iter()
            .map(|method| (method.clone(), route.path, good_body(method, route.path)))
    })
}
