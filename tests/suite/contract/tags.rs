//! Hashtags, as `api.md` says.

use serde_json::json;

use crate::support::World;

#[tokio::test]
async fn tags_are_found_and_normalised() {
    let nabi = World::shared().await.user("nabi");
    // Each syllable as its jamo.
    let decomposed = "#\u{1100}\u{1169}\u{110b}\u{1163}\u{11bc}\u{110b}\u{1175}";
    let long = "고".repeat(50);
    let numbers: Vec<String> = (0..31).map(|n| format!("t{n}")).collect();
    let many: String = format!("#{}", numbers.join(" #"));
    let repeated: String = format!("{}#last", "#a #A ".repeat(40));
    for (text, tags) in [
        ("no tags # at all", json!([])),
        ("오늘의 #고양이", json!(["고양이"])),
        (decomposed, json!(["고양이"])),
        ("#CATS and #cats and #Cats", json!(["cats"])),
        ("#Straße #STRASSE", json!(["strasse"])),
        ("#b #a #c #a", json!(["b", "a", "c"])),
        (
            "#2026 #1 #1cat #cat1 #_ #_1",
            json!(["1cat", "cat1", "_", "_1"]),
        ),
        (
            "#ねこ #кот #قطة #หมา #हिन्दी",
            json!(["ねこ", "кот", "قطة", "หมา", "हिन्दी"]),
        ),
        (
            "#cat,#dog.#fox!#cow-bell (#owl)",
            json!(["cat", "dog", "fox", "cow", "owl"]),
        ),
        ("＃고양이 오늘의＃집사", json!(["고양이"])),
        (
            "https://example.com/guide#kitten example.com/#kitten abc#def C#으로 #a#b",
            json!(["a"]),
        ),
        (
            "#\u{fe0f}\u{20e3}고양이 #cat\u{fe0f} #ca\u{ad}t #葛\u{e0100}飾 1\u{fe0f}\u{20e3}#one",
            json!(["cat", "葛飾", "one"]),
        ),
        (
            "#گربه\u{200c}ها #ශ්\u{200d}රීලංකා #スコティッシュ・フォールド #col·lecció #猫・",
            json!([
                "گربه\u{200c}ها",
                "ශ්\u{200d}රීලංකා",
                "スコティッシュ・フォールド",
                "col·lecció",
                "猫"
            ]),
        ),
        // Case folding makes two characters of each.
        (
            &format!("#{} #{}x", "ß".repeat(25), "ß".repeat(25)),
            json!(["ss".repeat(25)]),
        ),
        ("line\n#one\t#two\r\n#three", json!(["one", "two", "three"])),
        ("#🐈 #🐈cat", json!([])),
        (&format!("#{long} #{long}고"), json!([long])),
        (&many, json!(numbers[..30])),
        (&repeated, json!(["a", "last"])),
    ] {
        let post = nabi.post(text).await;
        assert_eq!(post["tags"], tags, "{text}");
        assert_eq!(post["text"], text);
        assert_eq!(
            nabi.read_post(post["id"].as_str().unwrap()).await["tags"],
            tags,
            "{text}"
        );
    }
}

/// Every tag of a post leads to it, whatever its characters and however the path spells it.
#[tokio::test]
async fn a_post_is_found_by_each_of_its_tags() {
    let nabi = World::shared().await.user("nabi");
    let own = nabi.id.replace('-', "_");
    for (written, spelt) in [
        ("گربه\u{200c}ها", "گربه\u{200c}ها"),
        ("ශ්\u{200d}රී", "ශ්\u{200d}රී"),
        ("スコ・フォ", "スコ・フォ"),
        ("CAT\u{fe0f}", "cat"),
        ("kit", "K\u{ad}IT\u{fe0f}"),
    ] {
        let post = nabi.post(&format!("#{written}_{own}")).await;
        let list = format!("/v1/tags/{spelt}_{own}/posts");
        assert_eq!(nabi.walk(&list, 20).await, [post], "{written}");
    }
}
