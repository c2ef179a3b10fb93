//! The breeds that the classifier tells apart.

use serde::Serialize;

use super::Name;

/// A breed of cat.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct Breed {
    /// The breed's id in the API: lower case, words joined by hyphens.
    #[serde(rename = "breed")]
    pub id: &'static str,
    /// The name that people use.
    pub name: BreedName,
}

/// A breed's name in the two languages of the feed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct BreedName {
    /// In English.
    pub en: &'static str,
    /// In Korean.
    pub ko: &'static str,
}

impl BreedName {
    /// Returns the names of the breed with this id; `None` if the classifier doesn't know it.
    pub fn of(id: &Name) -> Option<Self> {
        let breed = BREEDS.iter().find(|breed| breed.id == id.as_str());
        breed.map(|breed| breed.name)
    }
}

/// The probability that the cat in an image is of a breed.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct BreedProbability {
    /// The breed.
    #[serde(flatten)]
    pub breed: Breed,
    /// From 0 to 1. The probabilities of all breeds sum to 1.
    pub probability: f32,
}

/// The model that answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct ModelInfo {
    /// The name.
    pub name: String,
    /// The version of its training.
    pub version: String,
}

/// The classifier's answer for an image.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct Classification {
    /// The requested number of breeds, most likely first.
    pub breeds: Vec<BreedProbability>,
    /// The model that answered.
    pub model: ModelInfo,
}

/// All breeds, in the order of the model's outputs, which is that of `model/breeds.json`.
pub const BREEDS: [Breed; 12] = [
    Breed::new("abyssinian", "Abyssinian", "아비시니안"),
    Breed::new("bengal", "Bengal", "벵갈"),
    Breed::new("birman", "Birman", "버만"),
    Breed::new("bombay", "Bombay", "봄베이"),
    Breed::new(
        "british-shorthair",
        "British Shorthair",
        "브리티시 쇼트헤어",
    ),
    Breed::new("egyptian-mau", "Egyptian Mau", "이집션 마우"),
    Breed::new("maine-coon", "Maine Coon", "메인쿤"),
    Breed::new("persian", "Persian", "페르시안"),
    Breed::new("ragdoll", "Ragdoll", "랙돌"),
    Breed::new("russian-blue", "Russian Blue", "러시안 블루"),
    Breed::new("siamese", "Siamese", "샴"),
    Breed::new("sphynx", "Sphynx", "스핑크스"),
];

impl Breed {
    const fn new(id: &'static str, en: &'static str, ko: &'static str) -> Self {
        let name = BreedName { en, ko };
        Self { id, name }
    }

    /// Returns the breed with this id.
    pub fn of(id: &str) -> Option<Self> {
        BREEDS.into_iter().find(|breed| breed.id == id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn breeds_match_the_models_labels() {
        let labels: serde_json::Value =
            serde_json::from_str(include_str!("../../../model/breeds.json")).unwrap();
        assert_eq!(serde_json::to_value(BREEDS).unwrap(), labels);
    }
}
