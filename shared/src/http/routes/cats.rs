//! The users' cats.

use super::super::body::{Clearable, Unchecked, body};
use super::Group;
use super::operation::{Operation, Parameter, delete, get, patch, post};
use super::users::{USER, WITHDRAWN};
use crate::domain::{Bio, BirthDate, CatId, CatView, ImageKey, Name, RegisteredCat};

pub(super) const GROUP: Group = Group {
    name: "Cats",
    description: "The users' cats.",
    operations: &[CREATE_CAT, GET_CAT, EDIT_CAT, DELETE_CAT, LIST_CATS_BY_USER],
};

pub(super) const CAT: Parameter = Parameter::path::<CatId>("id", "The cat's id.", "0apy9c40x2jw7");

body! {
    /// A cat to register.
    #[cfg_attr(feature = "openapi", schemars(example = serde_json::json!({
        "name": "나비",
        "birth_date": "2022-04-01",
        "photo": "uploads/nabi/q1J0mZ5tR3uYwXv8KcD2fA.jpg",
    })))]
    pub struct NewCat {
        /// The name.
        pub name: Name,
        /// A breed's id of `GET /v1/breeds`, or any text.
        pub breed: Option<Name>,
        /// The date of birth; not in the future.
        pub birth_date: Option<BirthDate>,
        /// The key of an image that the caller uploaded.
        pub photo: Option<Unchecked<ImageKey>>,
        /// The owner's description of it.
        pub bio: Option<Bio>,
    }
}

body! {
    /// The changes to a cat.
    #[cfg_attr(feature = "openapi", schemars(
        rename = "CatEdit",
        example = serde_json::json!({ "breed": "russian-blue" }),
    ))]
    pub struct EditCat {
        /// The name.
        pub name: Option<Name>,
        /// A breed's id of `GET /v1/breeds`, or any text.
        pub breed: Option<Clearable<Name>>,
        /// The date of birth; not in the future.
        pub birth_date: Option<Clearable<BirthDate>>,
        /// The key of an image that the caller uploaded.
        pub photo: Option<Clearable<Unchecked<ImageKey>>>,
        /// The owner's description of it. An empty text clears it.
        pub bio: Option<Clearable<Bio>>,
    }
}

/// `POST /v1/cats`
pub const CREATE_CAT: Operation = post("/v1/cats", "createCat", "Register a cat")
    .description("With a photo and without a breed, the answer has the classifier's suggestions.")
    .takes::<NewCat>()
    .creates::<RegisteredCat<'static>>("The cat.")
    .problems(&[
        (403, WITHDRAWN),
        (422, "The photo was not uploaded by the caller or can't be shown, or the `Idempotency-Key` was used for another request."),
    ])
    .leads_to(&["getCat", "editCat", "listPostsByCat", "deleteCat"]);

/// `GET /v1/cats/{id}`
pub const GET_CAT: Operation = get("/v1/cats/{id}", "getCat", "Read a cat")
    .parameters(&[CAT])
    .answers::<CatView>(200, "The cat.");

/// `PATCH /v1/cats/{id}`
pub const EDIT_CAT: Operation = patch("/v1/cats/{id}", "editCat", "Change a cat")
    .description("Omitted fields stay; an empty text clears a field, except the name.")
    .parameters(&[CAT])
    .takes::<EditCat>()
    .answers::<CatView>(200, "The cat as it is now.")
    .problems(&[
        (403, "Only its owner may change a cat."),
        (
            422,
            "The photo was not uploaded by the caller, or can't be shown.",
        ),
    ]);

/// `DELETE /v1/cats/{id}`
pub const DELETE_CAT: Operation = delete("/v1/cats/{id}", "deleteCat", "Remove a cat")
    .parameters(&[CAT])
    .empty("The cat is removed at once, and from the posts that show it within a minute.")
    .problems(&[(403, "Only its owner may remove a cat.")]);

/// `GET /v1/users/{id}/cats`
pub const LIST_CATS_BY_USER: Operation = get(
    "/v1/users/{id}/cats",
    "listCatsByUser",
    "List a user's cats, latest first",
)
.parameters(&[USER])
.lists::<CatView>();
