//! Profiles and blocks.

use super::super::Status;
use super::super::body::{ChosenHandle, Clearable, Unchecked, body};
use super::Group;
use super::operation::{Operation, Parameter, delete, get, patch, put};
use crate::domain::{Bio, BlockedView, ImageKey, Name, UserRef, UserView};

pub(super) const GROUP: Group = Group {
    name: "Users",
    description: "Profiles, followers, blocks.",
    operations: &[
        GET_ME,
        PUT_ME,
        EDIT_ME,
        LEAVE,
        GET_USER,
        BLOCK_USER,
        UNBLOCK_USER,
        LIST_BLOCKED,
    ],
};

pub(super) const USER: Parameter =
    Parameter::path::<UserRef>("id", "The user's id, or `@` and their handle.", "@nabi");
pub(super) const WITHDRAWN: &str = "The caller's account was withdrawn.";
const ONESELF: (u16, &str) = (422, "Nobody blocks themselves.");
const PROFILE_PROBLEMS: &[(u16, &str)] = &[
    (403, WITHDRAWN),
    (
        409,
        "Another user has this handle (`handle-taken`), or the caller released five within 30 days (`handles-too-many`).",
    ),
    (
        422,
        "The avatar was not uploaded by the caller, or can't be shown.",
    ),
];

body! {
    /// A profile to set.
    #[cfg_attr(feature = "openapi", schemars(
        rename = "Profile",
        example = serde_json::json!({
            "handle": "nabi",
            "name": "나비 집사",
            "bio": "고양이 세 마리",
            "avatar": "uploads/nabi/q1J0mZ5tR3uYwXv8KcD2fA.jpg",
        }),
    ))]
    pub struct PutProfile {
        /// Unique, and none of the reserved ones (`admin`, `support`, `purrline`, `api`, `null` and their like, with
        /// dots or underscores in them too); a released handle is free for others after 30 days.
        pub handle: ChosenHandle,
        /// The name that is shown.
        pub name: Name,
        /// The self-description. If omitted, it stays; an empty text clears it.
        pub bio: Option<Clearable<Bio>>,
        /// The key of an image that the caller uploaded. If omitted, it stays; an empty text clears it.
        pub avatar: Option<Clearable<Unchecked<ImageKey>>>,
    }
}

body! {
    /// The changes to a profile.
    #[cfg_attr(feature = "openapi", schemars(
        rename = "ProfileEdit",
        example = serde_json::json!({ "bio": "고양이 네 마리" }),
    ))]
    pub struct EditProfile {
        /// Unique, and none of the reserved ones (`admin`, `support`, `purrline`, `api`, `null` and their like, with
        /// dots or underscores in them too); a released handle is free for others after 30 days.
        pub handle: Option<ChosenHandle>,
        /// The name that is shown.
        pub name: Option<Name>,
        /// The self-description. If omitted, it stays; an empty text clears it.
        pub bio: Option<Clearable<Bio>>,
        /// The key of an image that the caller uploaded. If omitted, it stays; an empty text clears it.
        pub avatar: Option<Clearable<Unchecked<ImageKey>>>,
    }
}

/// `GET /v1/me`
pub const GET_ME: Operation = get("/v1/me", "getMe", "Read one's own profile")
    .answers::<UserView>(200, "The caller.")
    .problems(&[(404, WITHDRAWN)]);

/// `PUT /v1/me`
pub const PUT_ME: Operation = put("/v1/me", "putMe", "Set one's profile")
    .takes::<PutProfile>()
    .answers::<UserView>(200, "The profile as it is now.")
    .answers::<UserView>(201, "The profile, set for the first time.")
    .problems(PROFILE_PROBLEMS);

/// `PATCH /v1/me`
pub const EDIT_ME: Operation = patch("/v1/me", "editMe", "Change fields of one's profile")
    .description("Omitted fields stay.")
    .takes::<EditProfile>()
    .answers::<UserView>(200, "The profile as it is now.")
    .problems(PROFILE_PROBLEMS);

/// `DELETE /v1/me`
pub const LEAVE: Operation = delete("/v1/me", "leave", "Withdraw one's account")
    .description("Hides the account's posts, comments and profile from everybody at once, then erases its data in the background.")
    .answers_status(202, "The account is withdrawn.", Status::Withdrawn);

/// `GET /v1/users/{id}`
pub const GET_USER: Operation = get("/v1/users/{id}", "getUser", "Read a user's profile")
    .parameters(&[USER])
    .answers::<UserView>(200, "The user.");

/// `PUT /v1/users/{id}/block`
pub const BLOCK_USER: Operation = put("/v1/users/{id}/block", "blockUser", "Block a user")
    .description("From then on neither user sees the other's profile, posts or comments, and follows between them end. The block stays if the blocked user leaves and returns.")
    .parameters(&[USER])
    .empty("The user is blocked.")
    .problems(&[(403, WITHDRAWN), ONESELF]);

/// `DELETE /v1/users/{id}/block`
pub const UNBLOCK_USER: Operation = delete("/v1/users/{id}/block", "unblockUser", "Unblock a user")
    .parameters(&[USER])
    .empty("The user is not blocked.")
    .problems(&[ONESELF]);

/// `GET /v1/me/blocked`
pub const LIST_BLOCKED: Operation = get(
    "/v1/me/blocked",
    "listBlocked",
    "List the users whom the caller blocks, latest first",
)
.description("Departed users are not listed until they return.")
.lists::<BlockedView>();
