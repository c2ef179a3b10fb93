//! Suggestions for misspelt parameters.

/// Describes an undeclared parameter, and suggests a similar declared one if there is any.
pub(super) fn unknown_parameter(name: &str, declared: &[&str]) -> String {
    match nearest(name, declared) {
        Some(other) => format!("{name}: there is no parameter {name}, did you mean {other}?"),
        None => format!("{name}: there is no parameter {name}"),
    }
}

/// Finds the most similar name, ignoring case, hyphens and underscores.
fn nearest<'a>(name: &str, names: &[&'a str]) -> Option<&'a str> {
    let normalize = |text: &str| text.to_lowercase().replace(['-', '_'], "");
    let name = normalize(name);
    let distance = |other: &&str| strsim::damerau_levenshtein(&name, &normalize(other));
    let farthest = name.chars().count() / 3;
    let near = names.iter().copied().min_by_key(distance)?;
    (distance(&near) <= farthest).then_some(near)
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn nearest_name_is_suggested() {
        let names = ["ReadLimit", "WriteLimit", "LogLevel", "LogDays"];
        for (given, expected) in [
            ("readlimit", Some("ReadLimit")),
            ("READ_LIMIT", Some("ReadLimit")),
            ("WriteLimits", Some("WriteLimit")),
            ("LogLvl", Some("LogLevel")),
            ("Nobody", None),
            ("", None),
        ] {
            assert_eq!(nearest(given, &names), expected, "{given}");
        }
    }
}
