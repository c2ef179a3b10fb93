//! Tags of texts in many scripts.

use super::find::{JOINER, MEDIAL, NON_JOINER};
use super::*;
use crate::domain::character::is_ignorable;
use proptest::prelude::*;
use unicode_normalization::UnicodeNormalization;

fn tags(text: &str) -> Vec<String> {
    tags_of(text).into_iter().map(String::from).collect()
}

#[test]
fn tags_of_any_script_are_found_in_order_without_duplicates() {
    assert_eq!(
        tags("오늘의 #고양이, #CATS! #cats #ねこ"),
        ["고양이", "cats", "ねこ"]
    );
    assert_eq!(tags("#a#b ##c x#d (#e)"), ["a", "c", "e"]);
    assert_eq!(tags("#_ #a_1 ＃full"), ["_", "a_1", "full"]);
    assert_eq!(tags("#हिन्दी"), ["हिन्दी"]);
}

#[test]
fn tags_ignore_case_and_unicode_composition() {
    let decomposed: String = "#고양이".nfd().collect();
    assert_eq!(tags(&decomposed), tags("#고양이"));
    assert_eq!(tags("#Straße"), tags("#STRASSE"));
    assert_eq!(tags("#CAFE\u{301}"), tags("#café"));
}

#[test]
fn digits_alone_and_emoji_are_not_tags() {
    assert!(tags("#1 #2026 # #! #️⃣ #🐱").is_empty());
    assert_eq!(tags("#1cat"), ["1cat"]);
}

#[test]
fn tags_are_limited_to_50_normalized_characters() {
    for (good, bad) in [
        ("고".repeat(50), "고".repeat(51)),
        // Folded, one is two characters.
        ("ß".repeat(25), "ß".repeat(26)),
        // Decomposed, one is three.
        (
            "\u{1100}\u{1161}\u{11a8}".repeat(50),
            "\u{1100}\u{1161}\u{11a8}".repeat(51),
        ),
        // Passed over, it is none.
        (
            format!("{}\u{fe0f}\u{ad}x", "x".repeat(49)),
            format!("{}\u{fe0f}x", "x".repeat(50)),
        ),
    ] {
        let found = tags(&format!("#{good}"));
        assert_eq!(found.len(), 1, "{good}");
        assert_eq!(
            Tag::parse(&found[0]).map(String::from),
            Ok(found[0].clone())
        );
        assert!(tags(&format!("#{bad}")).is_empty(), "{bad}");
        assert!(Tag::parse(&bad).is_err(), "{bad}");
    }
}

#[test]
fn sign_after_a_letter_digit_mark_or_underscore_starts_no_tag() {
    for text in [
        "abc#def",
        "C#으로",
        "고양이#집",
        "1#a",
        "٣#a",
        "_#a",
        "e\u{301}#a",
        "का#a",
        "a\u{20dd}#b",
        "a\u{fe0f}#b",
        "a\u{ad}#b",
        "abc＃def",
    ] {
        assert!(tags(text).is_empty(), "{text}");
    }
    for text in [
        ".#a",
        "。#a",
        "/#a",
        "##a",
        "🐱#a",
        "❤\u{fe0f}#a",
        "1\u{fe0f}\u{20e3}#a",
        "·#a",
        "x\u{200b}#a",
        "\n#a",
        "²#a",
        "🏳\u{fe0f}\u{200d}🌈#a",
    ] {
        assert_eq!(tags(text), ["a"], "{text}");
    }
}

#[test]
fn nothing_in_a_url_is_a_tag() {
    for text in [
        "https://example.com/guide#kitten",
        "https://example.com/#kitten",
        "example.com/#kitten",
        "HTTP://EXAMPLE.COM/?a=#kitten",
        "https://example.com/고양이/#집",
    ] {
        assert!(tags(text).is_empty(), "{text}");
        assert_eq!(tags(&format!("#a ({text}) #b")), ["a", "b"], "{text}");
    }
    assert_eq!(tags("https://example.com #a"), ["a"]);
    assert_eq!(tags("https://example.com。#a"), ["a"]);
}

#[test]
fn keycap_emoji_are_not_part_of_a_tag() {
    for text in [
        "#\u{fe0f}\u{20e3}고양이",
        "#\u{20e3}고양이",
        "#1\u{fe0f}\u{20e3}고양이",
        "#1\u{20e3}",
        "#\u{20e3}",
    ] {
        assert!(tags(text).is_empty(), "{text}");
    }
    assert_eq!(tags("#cat1\u{fe0f}\u{20e3}"), ["cat"]);
    assert_eq!(tags("#cat·1\u{fe0f}\u{20e3}"), ["cat"]);
    assert_eq!(tags("#cat1"), ["cat1"]);
    assert_eq!(tags("#a\u{20dd}b"), ["a"]);
}

#[test]
fn invisible_characters_do_not_change_a_tag() {
    for text in [
        "#cat\u{fe0f}",
        "#ca\u{fe0f}t",
        "#c\u{ad}at",
        "#cat\u{200d}",
        "#c\u{200c}at",
        "#cat\u{200b}",
        "#cat\u{3164}",
        "#cat\u{2069}x",
        "#cat\u{200d}🐱",
        "#\u{fe0f}cat",
        "#cat\u{180b}",
    ] {
        assert_eq!(tags(text), ["cat"], "{text:?}");
    }
    assert_eq!(tags("#葛\u{e0100}飾区"), ["葛飾区"]);
    for text in [
        "#\u{3164}",
        "#\u{200b}cat",
        "#\u{115f}\u{1160}",
        "#\u{200d}",
    ] {
        assert!(tags(text).is_empty(), "{text:?}");
    }
}

#[test]
fn joiners_are_kept_where_a_script_needs_them() {
    for tag in [
        // Persian, Sinhala, Devanagari with both, Malayalam, Kannada, Bengali.
        "گربه\u{200c}ها",
        "ශ්\u{200d}රීලංකා",
        "क्\u{200d}ष",
        "क्\u{200c}ष",
        "ന്\u{200d}മ",
        "ರ\u{200d}್ಕ",
        "র\u{200d}্যাব",
        // With a mark between.
        "گرب\u{651}\u{200c}ها",
    ] {
        assert_eq!(tags(&format!("#{tag} #a")), [tag, "a"], "{tag:?}");
    }
    for (text, tag) in [
        // A letter that joins to no other, a joiner that nothing follows, two of them.
        ("#رو\u{200c}به", "روبه"),
        ("#ශ්\u{200d}", "ශ්"),
        ("#گربه\u{200c}\u{200c}ها", "گربه\u{200c}ها"),
        ("#고\u{200d}양이", "고양이"),
    ] {
        assert_eq!(tags(text), [tag], "{text:?}");
    }
}

#[test]
fn middle_dots_between_letters_are_part_of_a_tag() {
    for tag in [
        "スコティッシュ・フォールド",
        "ｽｺ･ﾌｫ",
        "col·lecció",
        "a·1",
        "猫・犬・鳥",
        "צה״ל",
        "བོད་ཡིག",
    ] {
        assert_eq!(tags(&format!("#{tag}、#a")), [tag, "a"], "{tag}");
    }
    for (text, tag) in [
        ("#猫・", "猫"),
        ("#猫・ 犬", "猫"),
        ("#a··b", "a"),
        ("#a·#b", "a"),
    ] {
        assert_eq!(tags(text)[0], tag, "{text}");
    }
    assert!(tags("#・猫").is_empty());
    // Greek's is the same character in NFC.
    assert_eq!(tags("#a\u{387}b"), ["a·b"]);
}

#[test]
fn tags_are_parsed_in_any_spelling() {
    for (text, tag) in [
        ("CAT\u{fe0f}", "cat"),
        ("گربه\u{200c}ها", "گربه\u{200c}ها"),
        ("スコ・フォ", "スコ・フォ"),
        ("\u{ad}cat", "cat"),
    ] {
        assert_eq!(
            Tag::parse(text).map(String::from),
            Ok(tag.to_owned()),
            "{text:?}"
        );
    }
    for bad in [
        "",
        "#cat",
        "cat ",
        "cat・",
        "・cat",
        "a b",
        "cat\u{200b}",
        "1\u{20e3}",
        "2026",
        "cat\0",
        "\u{fe0f}",
    ] {
        assert!(Tag::parse(bad).is_err(), "{bad:?}");
    }
}

#[test]
fn only_the_first_30_tags_are_kept() {
    let text = (0..40)
        .map(|n| format!("#t{n}"))
        .collect::<Vec<_>>()
        .join(" ");
    let found = tags(&text);
    assert_eq!(found.len(), MAX_TAGS);
    assert_eq!(found.last().map(String::as_str), Some("t29"));
}

/// The characters that matter to tags: signs, scripts that join, viramas, invisible ones, dots, and those that end a tag.
const TEXT: &str = "[#＃a-zßİŉ가-힣ㄱ-ㅎ\u{1100}-\u{1112}\u{1161}-\u{1175}\u{11a8}-\u{11c2}0-9_ ./:\u{301}\u{345}\u{323}ه-يرو\u{651}क्षා්ර\u{9b0}\u{9cd}\u{9af}\u{ad}\u{34f}\u{200b}-\u{200f}\u{2060}\u{20dd}\u{20e3}\u{3164}\u{fe0e}\u{fe0f}\u{e0100}·・･\u{387}\u{5f4}\u{f0b}🐱葛]{0,60}";

/// One or two cases of each kind in twitter-text's conformance suite for hashtags. Purrline's tags differ where the
/// contract does, or where that serves a script better:
///
/// * `_` names a tag by itself and with digits (`#_`, `#1_2`), as the contract has it.
/// * Signs between words end a tag, as `-` does: Hebrew's maqaf, Japanese's wave dash and full-width tilde. So does the
///   ditto mark, which stands for a word and is none.
/// * Geresh and tsek at the end of a tag aren't part of it, as with all signs that join.
/// * A tag is shown in its normal form (`#Ateş` as `ateş`).
#[test]
fn twitter_texts_conformance_cases_give_the_expected_tags() {
    for (text, expected) in [
        ("말 #태그1 그리고 #2태그, #16 #0", vec!["태그1", "2태그"]),
        ("(#a )#b [#c ]#d ’#e’#f", vec!["a", "b", "c", "d", "e", "f"]),
        (
            ":#a ;#b ,#c .#d !#e ?#f",
            vec!["a", "b", "c", "d", "e", "f"],
        ),
        (
            "#a: #b; #c, #d. #e! #f?",
            vec!["a", "b", "c", "d", "e", "f"],
        ),
        ("#a\nb\n#c\n", vec!["a", "c"]),
        ("# 고양이", vec![]),
        (
            "#ﾣﾦﾰ ＃ｃａｔ１ #ﾈｺﾃﾞｽ #ネコー",
            vec!["ﾣﾦﾰ", "ｃａｔ１", "ﾈｺﾃﾞｽ", "ネコー"],
        ),
        ("ねこ！＃猫。 漢字#猫", vec!["猫"]),
        (
            "#人々 #いすゞ #各〻 #各〃",
            vec!["人々", "いすゞ", "各〻", "各"],
        ),
        ("#メ～テ #メ〜テ", vec!["メ"]),
        (
            "#mañana #Ateş #ştu #Čeština #Azərbaycan #mûǁae",
            vec!["mañana", "ateş", "ştu", "čeština", "azərbaycan", "mûǁae"],
        ),
        ("#İn #ın", vec!["i̇n", "ın"]),
        (
            "#http://example.com #https://example.com http://example.com/#a example.com/#b",
            vec![],
        ),
        (
            "#القطط #ثبت_نام. #۳۴۵گربه #ســـلام_٤٠٦",
            vec!["القطط", "ثبت_نام", "۳۴۵گربه", "ســـلام_٤٠٦"],
        ),
        ("#עַל־יְדֵי #וכו׳ #מ״כ", vec!["עַל", "וכו", "מ״כ"]),
        (
            "#ผู้เริ่ม #বাংলা #ગુજરાતી #ಕನ್ನಡ #മലയാളം #ਪੰਜਾਬੀ #தமிழ் #తెలుగు",
            vec![
                "ผู้เริ่ม",
                "বাংলা",
                "ગુજરાતી",
                "ಕನ್ನಡ",
                "മലയാളം",
                "ਪੰਜਾਬੀ",
                "தமிழ்",
                "తెలుగు",
            ],
        ),
        ("#महात्मा_१२३४ #१२३४", vec!["महात्मा_१२३४"]),
        ("#བོད་སྐད་ #མ", vec!["བོད་སྐད", "མ"]),
        (
            "#មហាត្មះ #မြင့်မြတ် #ຊີວະ #ኢትዮ",
            vec!["មហាត្មះ", "မြင့်မြတ်", "ຊີວະ", "ኢትዮ"],
        ),
        (
            "#Γάτα_Α #Մահաթմա #მაჰათმა",
            vec!["γάτα_α", "մահաթմա", "მაჰათმა"],
        ),
        ("#il·lusió", vec!["il·lusió"]),
        ("#_ #1_2 #122 #〃", vec!["_", "1_2"]),
        (
            "#\u{20021} #\u{16f04}\u{16f51} #A\u{104a0}",
            vec!["\u{20021}", "\u{16f04}\u{16f51}", "a\u{104a0}"],
        ),
    ] {
        assert_eq!(tags(text), expected, "{text}");
    }
}

proptest! {
    #[test]
    fn every_tag_found_is_its_own_normal_form(text in prop_oneof![TEXT, "\\PC{0,60}"]) {
        for tag in tags_of(&format!("#{text}")) {
            prop_assert_eq!(Tag::parse(tag.as_str()), Ok(tag.clone()));
            prop_assert_eq!(tags_of(&format!("#{tag}")), vec![tag]);
        }
    }

    #[test]
    fn equivalent_texts_have_the_same_tags(text in TEXT) {
        let tags = tags_of(&text);
        prop_assert_eq!(tags_of(&text.nfc().collect::<String>()), tags.clone());
        prop_assert_eq!(tags_of(&text.nfd().collect::<String>()), tags);
    }

    /// The only invisible characters of a tag are joiners between letters.
    #[test]
    fn tags_contain_no_invisible_characters_but_joiners(text in TEXT) {
        for tag in tags_of(&text) {
            let ignorable = |c| is_ignorable(c) && c != JOINER && c != NON_JOINER;
            prop_assert!(!tag.as_str().contains(ignorable), "{:?}", tag);
            prop_assert!(!tag.as_str().starts_with(MEDIAL) && !tag.as_str().starts_with([JOINER, NON_JOINER]), "{:?}", tag);
            prop_assert!(!tag.as_str().ends_with(MEDIAL) && !tag.as_str().ends_with([JOINER, NON_JOINER]), "{:?}", tag);
            prop_assert!(tag.as_str().chars().count() <= Tag::MAX_CHARS);
        }
    }
}
