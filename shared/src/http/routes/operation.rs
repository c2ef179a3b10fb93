//! The declaration of an operation.

use axum::Router;
use axum::handler::Handler;
use axum::routing::{MethodFilter, on};

use super::super::{FromFields, Status};
use crate::domain::Page;

/// A method of a path, with its full description.
#[derive(Debug, Clone, Copy)]
#[cfg_attr(
    not(feature = "openapi"),
    expect(dead_code, reason = "for the document")
)]
pub struct Operation {
    pub(crate) method: &'static str,
    filter: MethodFilter,
    /// The path; `{name}` stands for one non-empty segment.
    pub(crate) path: &'static str,
    pub(crate) id: &'static str,
    pub(crate) summary: &'static str,
    pub(crate) description: &'static str,
    /// Whether the operation needs no token, and its calls are not counted.
    pub(crate) public: bool,
    pub(crate) parameters: &'static [Parameter],
    pub(crate) paged: Paged,
    /// Whether the operation takes an `Idempotency-Key`.
    pub(crate) idempotent: bool,
    pub(crate) body: Option<SchemaOf>,
    /// Whether the body may be an image itself.
    pub(crate) or_an_image: bool,
    pub(crate) answers: [Option<Answer>; 2],
    /// The problems that need more explanation than their status, with that explanation.
    pub(crate) problems: &'static [(u16, &'static str)],
    /// Operations that take the answer's `id`.
    pub(crate) links: &'static [&'static str],
}

/// The page parameters of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Paged {
    No,
    /// `?limit=`.
    OnePage,
    /// `?limit=` and `?cursor=`.
    Yes,
}

/// A parameter of the path or the query.
#[derive(Debug, Clone, Copy)]
#[cfg_attr(
    not(feature = "openapi"),
    expect(dead_code, reason = "for the document")
)]
pub(crate) struct Parameter {
    pub(crate) name: &'static str,
    pub(crate) place: Place,
    pub(crate) schema: SchemaOf,
    pub(crate) description: &'static str,
    pub(crate) example: Example,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    Path,
    Query { required: bool },
}

#[derive(Debug, Clone, Copy)]
#[cfg_attr(
    not(feature = "openapi"),
    expect(dead_code, reason = "for the document")
)]
pub(crate) enum Example {
    Text(&'static str),
    Number(u64),
}

/// The answer to a request that succeeds.
#[derive(Debug, Clone, Copy)]
#[cfg_attr(
    not(feature = "openapi"),
    expect(dead_code, reason = "for the document")
)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) description: &'static str,
    pub(crate) content: Content,
    /// A header besides those of every answer.
    pub(crate) header: Option<&'static str>,
}

#[derive(Debug, Clone, Copy)]
#[cfg_attr(
    not(feature = "openapi"),
    expect(dead_code, reason = "for the document")
)]
pub(crate) enum Content {
    Nothing,
    Json(SchemaOf),
    Status(Status),
    AnyObject,
}

/// A type that the document can describe.
#[cfg(feature = "openapi")]
pub(crate) trait Described: schemars::JsonSchema {}
#[cfg(feature = "openapi")]
impl<T: schemars::JsonSchema> Described for T {}
/// A type that the document can describe.
#[cfg(not(feature = "openapi"))]
pub(crate) trait Described {}
#[cfg(not(feature = "openapi"))]
impl<T> Described for T {}

/// The schema of a type, or the reference to it; empty without the feature `openapi`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SchemaOf(
    #[cfg(feature = "openapi")] pub(crate) fn(&mut schemars::SchemaGenerator) -> schemars::Schema,
);

impl SchemaOf {
    pub(crate) const fn new<T: Described>() -> Self {
        Self(
            #[cfg(feature = "openapi")]
            schemars::SchemaGenerator::subschema_for::<T>,
        )
    }
}

macro_rules! methods {
    ($($name:ident $METHOD:ident)*) => {$(
        pub(super) const fn $name(path: &'static str, id: &'static str, summary: &'static str) -> Operation {
            Operation {
                method: stringify!($METHOD),
                filter: MethodFilter::$METHOD,
                path,
                id,
                summary,
                description: "",
                public: false,
                parameters: &[],
                paged: Paged::No,
                idempotent: false,
                body: None,
                or_an_image: false,
                answers: [None, None],
                problems: &[],
                links: &[],
            }
        }
    )*};
}
methods! { get GET put PUT post POST patch PATCH delete DELETE }

impl Operation {
    /// Returns the route on which this handler answers.
    pub fn handled_by<H, T, S>(self, handler: H) -> Router<S>
    where
        H: Handler<T, S>,
        T: 'static,
        S: Clone + Send + Sync + 'static,
    {
        Router::new().route(self.path, on(self.filter, handler))
    }

    pub(super) const fn description(self, description: &'static str) -> Self {
        Self {
            description,
            ..self
        }
    }

    pub(super) const fn public(self) -> Self {
        Self {
            public: true,
            ..self
        }
    }

    pub(super) const fn parameters(self, parameters: &'static [Parameter]) -> Self {
        Self { parameters, ..self }
    }

    pub(super) const fn takes<T: FromFields + Described>(self) -> Self {
        Self {
            body: Some(SchemaOf::new::<T>()),
            ..self
        }
    }

    pub(super) const fn or_an_image(self) -> Self {
        Self {
            or_an_image: true,
            ..self
        }
    }

    pub(super) const fn idempotent(self) -> Self {
        Self {
            idempotent: true,
            ..self
        }
    }

    pub(super) const fn answers<T: Described>(
        self,
        status: u16,
        description: &'static str,
    ) -> Self {
        self.answer(status, description, Content::Json(SchemaOf::new::<T>()))
    }

    /// Answers 201 with `Location`, once for each `Idempotency-Key`.
    pub(super) const fn creates<T: Described>(self, description: &'static str) -> Self {
        self.idempotent()
            .answers::<T>(201, description)
            .with_header("Location")
    }

    /// Answers a page of items of this type.
    pub(super) const fn lists<T: Described + 'static>(self) -> Self {
        self.finds::<Page<T>>()
    }

    /// Answers a page of this type.
    pub(super) const fn finds<T: Described>(self) -> Self {
        Self {
            paged: Paged::Yes,
            ..self
        }
        .answers::<T>(200, "A page of the list.")
    }

    /// Makes the list a single page.
    pub(super) const fn one_page(self) -> Self {
        Self {
            paged: Paged::OnePage,
            ..self
        }
    }

    pub(super) const fn answers_status(
        self,
        status: u16,
        description: &'static str,
        how: Status,
    ) -> Self {
        self.answer(status, description, Content::Status(how))
    }

    pub(super) const fn answers_any_object(self, description: &'static str) -> Self {
        self.answer(200, description, Content::AnyObject)
    }

    pub(super) const fn empty(self, description: &'static str) -> Self {
        self.answer(204, description, Content::Nothing)
    }

    /// Gives the previous answer an `ETag`, and answers 304 to clients that already have it.
    pub(super) const fn revalidated(self) -> Self {
        const CURRENT: &str = "The version in `If-None-Match` is still current.";
        self.with_header("ETag")
            .answer(304, CURRENT, Content::Nothing)
            .with_header("ETag")
    }

    pub(super) const fn problems(self, problems: &'static [(u16, &'static str)]) -> Self {
        Self { problems, ..self }
    }

    pub(super) const fn leads_to(self, links: &'static [&'static str]) -> Self {
        Self { links, ..self }
    }

    const fn answer(self, status: u16, description: &'static str, content: Content) -> Self {
        let answer = Some(Answer {
            status,
            description,
            content,
            header: None,
        });
        let answers = match self.answers {
            [None, _] => [answer, None],
            [first, _] => [first, answer],
        };
        Self { answers, ..self }
    }

    /// Adds a header to the last answer.
    const fn with_header(self, name: &'static str) -> Self {
        let header = Some(name);
        let answers = match self.answers {
            [Some(only), None] => [Some(Answer { header, ..only }), None],
            [first, Some(last)] => [first, Some(Answer { header, ..last })],
            none => none,
        };
        Self { answers, ..self }
    }
}

impl Parameter {
    pub(super) const fn path<T: Described>(
        name: &'static str,
        description: &'static str,
        example: &'static str,
    ) -> Self {
        Self {
            name,
            place: Place::Path,
            schema: SchemaOf::new::<T>(),
            description,
            example: Example::Text(example),
        }
    }

    pub(super) const fn query<T: Described>(
        name: &'static str,
        required: bool,
        description: &'static str,
        example: Example,
    ) -> Self {
        Self {
            name,
            place: Place::Query { required },
            schema: SchemaOf::new::<T>(),
            description,
            example,
        }
    }
}
