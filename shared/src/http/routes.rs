//! Every route there is, whichever function serves it.
//!
//! 404 and 405 are answered from here, alike in all functions. A route is added here when the first
//! function serves it, together with its rule in template.yaml.

use axum::http::Method;

/// A path and its methods.
#[derive(Debug, Clone, Copy)]
pub struct Route {
    /// The path; `{name}` stands for one segment that is not empty.
    pub path: &'static str,
    /// Its methods, sorted. Where there is GET, there is HEAD.
    pub methods: &'static [Method],
}

const fn route(path: &'static str, methods: &'static [Method]) -> Route {
    Route { path, methods }
}

/// Every route of the API.
pub const ROUTES: &[Route] = &[
    route("/v1/breeds", &[Method::GET]),
    route("/v1/cats", &[Method::POST]),
    route(
        "/v1/cats/{id}",
        &[Method::DELETE, Method::GET, Method::PATCH],
    ),
    route("/v1/cats/{id}/posts", &[Method::GET]),
    route("/v1/classify", &[Method::POST]),
    route("/v1/feed", &[Method::GET]),
    route("/v1/health", &[Method::GET]),
    route(
        "/v1/me",
        &[Method::DELETE, Method::GET, Method::PATCH, Method::PUT],
    ),
    route("/v1/me/blocked", &[Method::GET]),
    route("/v1/me/saved", &[Method::GET]),
    route("/v1/openapi.json", &[Method::GET]),
    route("/v1/posts", &[Method::POST]),
    route(
        "/v1/posts/{id}",
        &[Method::DELETE, Method::GET, Method::PATCH],
    ),
    route("/v1/posts/{id}/comments", &[Method::GET, Method::POST]),
    route("/v1/posts/{id}/comments/{comment_id}", &[Method::DELETE]),
    route("/v1/posts/{id}/like", &[Method::DELETE, Method::PUT]),
    route("/v1/posts/{id}/likes", &[Method::GET]),
    route("/v1/posts/{id}/save", &[Method::DELETE, Method::PUT]),
    route("/v1/search", &[Method::GET]),
    route("/v1/tags/trending", &[Method::GET]),
    route("/v1/tags/{tag}/posts", &[Method::GET]),
    route("/v1/uploads", &[Method::POST]),
    route("/v1/users/{id}", &[Method::GET]),
    route("/v1/users/{id}/block", &[Method::DELETE, Method::PUT]),
    route("/v1/users/{id}/cats", &[Method::GET]),
    route("/v1/users/{id}/follow", &[Method::DELETE, Method::PUT]),
    route("/v1/users/{id}/followers", &[Method::GET]),
    route("/v1/users/{id}/following", &[Method::GET]),
    route("/v1/users/{id}/posts", &[Method::GET]),
];

/// What the table says of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// There is such a route; its path as the table spells it.
    Route(&'static str),
    /// The path is there, with other methods: `Allow`'s value.
    OtherMethods(&'static str, String),
    /// There is no such path.
    Nothing,
}

/// Looks a request up.
pub fn find(method: &Method, path: &str) -> Found {
    let Some(route) = ROUTES.iter().find(|route| matches(route.path, path)) else {
        return Found::Nothing;
    };
    let methods = || route.methods.iter().flat_map(with_head);
    if methods().any(|it| it == *method) {
        return Found::Route(route.path);
    }
    let allow: Vec<String> = methods().map(|it| it.to_string()).collect();
    Found::OtherMethods(route.path, allow.join(", "))
}

/// What can be got can be asked for its head.
fn with_head(method: &Method) -> impl Iterator<Item = Method> + use<> {
    let head = (method == Method::GET).then_some(Method::HEAD);
    std::iter::once(method.clone()).chain(head)
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
    fn finds_routes_and_names_the_methods_there_are() {
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
