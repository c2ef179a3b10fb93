//! The URLs in a text.
//!
//! Nothing in a URL is a tag. A URL is `scheme://` with whatever follows, or a host with a path or query, as people
//! write them without a scheme: `localhost`, four numbers, or parts of any script of which the last is ASCII letters
//! (`example.com`, `고양이.com`, `www.example.co.kr:8080`) or punycode. The list of existing last parts (`.com`,
//! `.photography`) grows each month, so any last part is taken: the text `cats.dogs/#fox` loses its tag, but such texts
//! are rarer than URLs under a domain that a list doesn't know.
//!
//! A URL ends before white space, before a character that RFC 3986 doesn't allow in it, before a bracket that it
//! doesn't open, and before punctuation and symbols outside ASCII: letters of any script are part of it, since browsers
//! show paths decoded, but `。`, `」` and emoji belong to the sentence around.

use std::net::Ipv4Addr;
use std::ops::Range;

use unicode_properties::{GeneralCategoryGroup as Group, UnicodeGeneralCategory as _};

const SCHEME_END: &str = "://";

/// Returns the ranges of bytes that are URLs, in order.
pub(super) fn urls(text: &str) -> Vec<Range<usize>> {
    let mut starts: Vec<(usize, usize)> = starts(text).collect();
    starts.sort_unstable();
    let mut urls = Vec::new();
    let mut end = 0;
    for (start, rest) in starts {
        if start >= end {
            end = rest + end_of(text.get(rest..).unwrap_or_default());
            urls.push(start..end);
        }
    }
    urls
}

/// Returns the positions at which schemes and hosts start, each with the position of the text after it.
fn starts(text: &str) -> impl Iterator<Item = (usize, usize)> {
    let schemes = text.match_indices(SCHEME_END).filter_map(|(at, _)| {
        let start = run_before(text.get(..at)?, is_of_scheme);
        (start < at).then_some((start, at + SCHEME_END.len()))
    });
    let hosts = text.match_indices(['/', '?']).filter_map(|(at, _)| {
        let before = without_port(text.get(..at)?);
        let start = run_before(before, is_of_host);
        let name = before.get(start..).filter(|host| is_name(host));
        // A particle or word that comes before such a host without a space is not part of it.
        let ascii = || run_before(before, |c| c.is_ascii() && is_of_host(c));
        let start = name.map_or_else(ascii, |_| start);
        let is_host = name.is_some() || is_ip_or_localhost(before.get(start..)?);
        is_host.then_some((start, at))
    });
    schemes.chain(hosts)
}

/// Returns the position at which the run of a kind of characters at the end of a text starts.
fn run_before(text: &str, is_part: fn(char) -> bool) -> usize {
    text.trim_end_matches(is_part).len()
}

const fn is_of_scheme(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.')
}

fn is_of_host(c: char) -> bool {
    matches!(c, '-' | '.') || is_letter(c)
}

/// Returns whether a character is a letter or digit of any script, or a mark on one.
fn is_letter(c: char) -> bool {
    matches!(
        c.general_category_group(),
        Group::Letter | Group::Mark | Group::Number
    )
}

fn without_port(text: &str) -> &str {
    let host = text.trim_end_matches(|c: char| c.is_ascii_digit());
    host.strip_suffix(':')
        .filter(|host| host.len() + 1 < text.len())
        .unwrap_or(text)
}

/// Returns whether a host is an IPv4 address or `localhost`.
fn is_ip_or_localhost(text: &str) -> bool {
    text.eq_ignore_ascii_case("localhost") || text.parse::<Ipv4Addr>().is_ok()
}

/// Returns whether a host is two parts or more with dots between, the last of them ASCII letters or punycode.
fn is_name(text: &str) -> bool {
    let Some((parts, last)) = text.rsplit_once('.') else {
        return false;
    };
    let letters = || last.bytes().all(|byte| byte.is_ascii_alphabetic());
    last.len() > 1
        && (last.starts_with("xn--") || letters())
        && parts.split('.').all(|part| !part.is_empty())
}

/// Returns the number of bytes of a text that belong to the URL whose scheme or host comes before the text.
fn end_of(text: &str) -> usize {
    let mut open: Vec<char> = Vec::new();
    for (at, c) in text.char_indices() {
        let belongs = match c {
            '(' | '[' => {
                open.push(c);
                true
            }
            ')' => open.pop() == Some('('),
            ']' => open.pop() == Some('['),
            '<' | '>' | '"' | '`' | '{' | '}' | '|' | '\\' | '^' => false,
            c if c.is_ascii() => c.is_ascii_graphic(),
            c => is_letter(c),
        };
        if !belongs {
            return at;
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn found(text: &str) -> Vec<&str> {
        urls(text).into_iter().map(|url| &text[url]).collect()
    }

    #[test]
    fn urls_are_found_with_and_without_a_scheme() {
        for (text, expected) in [
            (
                "https://example.com/guide#kitten",
                vec!["https://example.com/guide#kitten"],
            ),
            (
                "보기:https://example.com/#x 끝",
                vec!["https://example.com/#x"],
            ),
            (
                "see example.com/a#b, www.example.co.kr:8080/?q=#c",
                vec!["example.com/a#b,", "www.example.co.kr:8080/?q=#c"],
            ),
            ("example.com?x=#cat", vec!["example.com?x=#cat"]),
            (
                "(https://example.com/a_(b)#c)#d",
                vec!["https://example.com/a_(b)#c"],
            ),
            ("<https://example.com/#a>#b", vec!["https://example.com/#a"]),
            (
                "https://example.com/고양이#집。#b",
                vec!["https://example.com/고양이#집"],
            ),
            ("git+ssh://host/#x", vec!["git+ssh://host/#x"]),
            (
                "https://a.example/x https://b.example/y",
                vec!["https://a.example/x", "https://b.example/y"],
            ),
            (
                "https://example.com/x://y#z",
                vec!["https://example.com/x://y#z"],
            ),
            ("https://example.com🐱#cat", vec!["https://example.com"]),
            ("고양이.com/#집", vec!["고양이.com/#집"]),
            (
                "집은 www.고양이.com:80?q=#집",
                vec!["www.고양이.com:80?q=#집"],
            ),
            ("고양이.xn--3e0b707e/#집", vec!["고양이.xn--3e0b707e/#집"]),
            (
                "localhost:5173/#cat LOCALHOST/#cat",
                vec!["localhost:5173/#cat", "LOCALHOST/#cat"],
            ),
            ("192.168.0.1/#cat", vec!["192.168.0.1/#cat"]),
            ("서버는192.168.0.1:8080/#cat", vec!["192.168.0.1:8080/#cat"]),
            ("(주소:localhost/#cat)", vec!["localhost/#cat"]),
        ] {
            assert_eq!(found(text), expected, "{text}");
        }
    }

    #[test]
    fn text_that_resembles_a_url_is_not_one() {
        for text in [
            "and/or",
            "1.5/2.5",
            "e.g./i.e.",
            "://x",
            "고양이.강아지/#x",
            "a. b/#c",
            "cat.",
            "cats.dogs",
            "..com/x",
            "12:30/x",
            "2024.01.02/#x",
            "1.2.3.400/#x",
            "mylocalhost/#x",
            "로컬/#x",
            "",
        ] {
            assert!(found(text).is_empty(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn urls_found_are_in_order_and_within_the_text(text in "[a-z1.:/?#()\\[\\] 고。🐱]{0,40}") {
            let mut end = 0;
            for url in urls(&text) {
                prop_assert!(text.get(url.clone()).is_some_and(|url| !url.is_empty()), "{:?}", url);
                prop_assert!(url.start >= end);
                end = url.end;
            }
        }
    }
}
