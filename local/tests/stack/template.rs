use std::collections::BTreeMap;
use std::time::Duration;

use purrline_local::template::{Action, LocalValues, Template, TemplateError};

fn plan_of(text: &str) -> Result<purrline_local::template::Plan, TemplateError> {
    Template::parse(text)?.plan(&BTreeMap::new(), &LocalValues::default())
}

fn environment(value: &str, more: &str) -> Result<String, TemplateError> {
    let text = format!(
        "Resources:\n  F:\n    Type: AWS::Serverless::Function\n    Properties:\n      CodeUri: functions/f\n      \
         Environment:\n        Variables:\n          V: {value}\n{more}"
    );
    Ok(plan_of(&text)?.functions["f"]
        .environment
        .get("V")
        .cloned()
        .unwrap_or_default())
}

const MORE: &str = r#"
  Q: { Type: AWS::SQS::Queue }
  T: { Type: AWS::DynamoDB::Table, Properties: { TableName: !Sub "t-${P}", AttributeDefinitions: [{ AttributeName: a, AttributeType: S }], KeySchema: [{ AttributeName: a, KeyType: HASH }] } }
  B: { Type: AWS::S3::Bucket }
  C: { Type: AWS::ElastiCache::ServerlessCache }
Parameters:
  P: { Type: String, Default: x }
  N: { Type: Number, Default: 7 }
  L: { Type: CommaDelimitedList, Default: "a, b" }
Conditions:
  IsX: !Equals [!Ref P, x]
  Not: !Not [Condition: IsX]
  Both: !And [!Condition IsX, !Not [!Condition Not]]
  One: !Or [!Condition Not, !Condition IsX]
Mappings:
  M: { x: { y: z } }
"#;

#[test]
fn intrinsics_evaluate_to_what_they_do_on_aws() {
    for (value, expected) in [
        ("plain", "plain"),
        ("5", "5"),
        ("true", "true"),
        ("!Ref P", "x"),
        ("{ Ref: N }", "7"),
        ("!Ref Q", "http://127.0.0.1:9324/000000000000/Q"),
        ("!Ref T", "t-x"),
        ("!Ref B", "b"),
        ("!Ref AWS::Region", "us-east-1"),
        ("!GetAtt Q.Arn", "arn:aws:sqs:us-east-1:000000000000:Q"),
        (
            "!GetAtt [T, Arn]",
            "arn:aws:dynamodb:us-east-1:000000000000:table/t-x",
        ),
        (
            "{ Fn::GetAtt: [F, Arn] }",
            "arn:aws:lambda:us-east-1:000000000000:function:f",
        ),
        ("!GetAtt C.Endpoint.Port", "6379"),
        (
            "!Sub \"${P}-${AWS::AccountId}-${Q.QueueName}-${!P}\"",
            "x-000000000000-Q-${P}",
        ),
        ("!Sub [\"${A}${P}\", { A: !Ref N }]", "7x"),
        ("!Join [\"-\", [a, !Ref P]]", "a-x"),
        ("!Join [\",\", !Ref L]", "a,b"),
        ("!Select [1, !Split [\"/\", a/b/c]]", "b"),
        ("!FindInMap [M, !Ref P, y]", "z"),
        ("!If [IsX, yes, no]", "yes"),
        ("!If [Not, yes, no]", "no"),
        ("!If [Both, yes, no]", "yes"),
        ("{ Fn::If: [One, yes, no] }", "yes"),
        ("!If [Not, yes, !Ref AWS::NoValue]", ""),
    ] {
        assert_eq!(environment(value, MORE).unwrap(), expected, "{value}");
    }
}

#[test]
fn what_is_unknown_is_an_error_that_names_the_place() {
    for (value, problem) in [
        ("!Ref Nobody", "there is no parameter or resource Nobody"),
        ("!GetAtt Q.Colour", "doesn't know Colour of AWS::SQS::Queue"),
        ("!Transform { Name: x }", "doesn't know Fn::Transform"),
        ("!If [Nobody, a, b]", "there is no condition Nobody"),
        ("!Select [9, !Ref L]", "no item 9"),
        ("!Sub \"${P\"", "${ without }"),
        ("!Join [a]", "Fn::Join takes a list of 2"),
        ("[a]", "must be text"),
    ] {
        let error = environment(value, MORE).unwrap_err();
        assert!(error.problem.contains(problem), "{value}: {error}");
        assert!(
            error.place.starts_with("Resources.F.Properties"),
            "{value}: {error}"
        );
        assert!(error.line > 0, "{value}: {error}");
    }
    let error = plan_of("Resources:\n  A: [\n").unwrap_err();
    assert_eq!(error.place, "not YAML");
}

#[test]
fn a_template_that_aws_would_refuse_is_refused() {
    let function = "Resources:\n  F:\n    Type: AWS::Serverless::Function\n    Properties:\n      CodeUri: functions/f\n";
    let events = |text: &str| {
        format!("{function}      Events:\n        E: {text}\n  Q: {{ Type: AWS::SQS::Queue }}\n")
    };
    for (text, problem) in [
        (
            events("{ Type: SQS, Properties: { Queue: !GetAtt Q.Arn, BatchSize: 11 } }"),
            "needs MaximumBatchingWindow",
        ),
        (
            events("{ Type: SQS, Properties: { Queue: arn:aws:sqs:us-east-1:000000000000:X } }"),
            "is no queue here",
        ),
        (
            events("{ Type: Schedule, Properties: { Schedule: cron(0 * * * ? *) } }"),
            "knows rate(",
        ),
        (
            events("{ Type: Api, Properties: {} }"),
            "events of type Api",
        ),
    ] {
        let error = plan_of(&text).unwrap_err();
        assert!(error.to_string().contains(problem), "{error}");
    }
}

#[test]
fn the_test_template_becomes_the_plan_it_describes() {
    let text = std::fs::read_to_string(super::template_file()).unwrap();
    let parameters = BTreeMap::from([("AuthIssuer".to_owned(), "http://me".to_owned())]);
    let plan = Template::parse(&text)
        .unwrap()
        .plan(&parameters, &LocalValues::default())
        .unwrap();
    assert_eq!(
        plan.functions.keys().collect::<Vec<_>>(),
        ["broken", "consumer", "probe", "single"]
    );
    assert_eq!(plan.functions["probe"].timeout, Duration::from_secs(1));
    assert_eq!(
        plan.functions["probe"].environment["CACHE"],
        "rediss://127.0.0.1:6379"
    );
    assert_eq!(plan.functions["probe"].environment["ISSUER"], "http://me");
    assert_eq!(
        plan.queues
            .iter()
            .map(|queue| queue.name.as_str())
            .collect::<Vec<_>>(),
        ["WorkDead", "Work"]
    );
    assert_eq!(plan.mappings[0].batch_size, 20);
    assert!(plan.mappings[0].reports_failures);
    assert_eq!(plan.schedules[0].every, Duration::from_mins(5));
    let media = plan.media.as_ref().unwrap();
    assert_eq!(media.bucket, "pictures");
    assert_eq!(media.methods, ["GET", "HEAD"]);
    assert_eq!(
        plan.buckets[0].cors[0].origins,
        ["https://cats.example", "https://*.dogs.example"]
    );
    assert!(plan.has_cache);
    let listener = plan.listener.unwrap();
    assert_eq!(
        listener
            .rules
            .iter()
            .map(|rule| rule.priority)
            .collect::<Vec<_>>(),
        [1, 2, 3]
    );
    assert!(
        matches!(&listener.rules[1].action, Action::Forward { function, multi_value: true, .. } if function == "probe")
    );
    assert!(matches!(
        &listener.default,
        Action::Fixed { status: 404, .. }
    ));
}

#[test]
fn the_projects_own_template_can_be_run() {
    let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap()
        .join("template.yaml");
    let plan = plan_of(&std::fs::read_to_string(file).unwrap()).unwrap();
    assert!(
        !plan.functions.is_empty()
            && plan.listener.is_some()
            && plan.has_cache
            && plan.media.is_some()
    );
}

/// Otherwise a consumer that is throttled is still trying while others get the same messages again.
#[test]
fn messages_stay_hidden_long_enough_for_every_timeout_and_window() {
    let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap()
        .join("template.yaml");
    let template = Template::parse(&std::fs::read_to_string(file).unwrap()).unwrap();
    for timeout in [2, 3, 5, 10, 15, 20, 30, 60] {
        for window in [1, 30] {
            let parameters = BTreeMap::from([
                ("ConsumerTimeoutSeconds".to_owned(), timeout.to_string()),
                ("IndexWindowSeconds".to_owned(), window.to_string()),
            ]);
            let plan = template.plan(&parameters, &LocalValues::default()).unwrap();
            assert!(!plan.mappings.is_empty());
            for mapping in &plan.mappings {
                let queue = plan.queues.iter().find(|it| it.arn == mapping.queue_arn);
                let queue = queue.unwrap();
                let hidden: u64 = queue.attributes["VisibilityTimeout"].parse().unwrap();
                let function = &plan.functions[&mapping.function];
                let least = function.timeout * 6 + mapping.window;
                assert!(Duration::from_secs(hidden) >= least, "{}", queue.name);
            }
        }
    }
    for timeout in ["1", "4", "61"] {
        let parameters = BTreeMap::from([("ConsumerTimeoutSeconds".into(), timeout.into())]);
        let refused = template.plan(&parameters, &LocalValues::default());
        assert!(refused.is_err(), "{timeout}");
    }
}

/// The problems of these parameters, where the template declares some of each kind.
fn problems(given: &[(&str, &str)]) -> Vec<String> {
    let text = r#"
Parameters:
  Limit: { Type: String, Default: off, AllowedPattern: "off|[1-9][0-9]{0,6}/[1-9][0-9]{0,6}", ConstraintDescription: must be off or <calls a minute>/<at once> }
  Level: { Type: String, Default: info, AllowedPattern: "[a-z]+" }
  Kind: { Type: String, Default: a, AllowedValues: [a, b] }
  Name: { Type: String, Default: abc, MinLength: 3, MaxLength: 5 }
  Seconds: { Type: Number, Default: 10, MinValue: 1, MaxValue: 900 }
  Days: { Type: Number, Default: 1, AllowedValues: [1, 7] }
  Origins: { Type: CommaDelimitedList, Default: "*", AllowedPattern: "\\*|https?://[^/]+" }
  Ports: { Type: List<Number>, Default: "80, 443" }
  Needed: { Type: String }
  Network: { Type: "AWS::EC2::VPC::Id" }
  Secret: { Type: String, Default: "", NoEcho: true, AllowedPattern: "[a-z]*" }
Rules:
  SecondsOfKind:
    RuleCondition: !Equals [!Ref Kind, b]
    Assertions:
      - Assert: !Contains [["10", "20"], !Ref Seconds]
        AssertDescription: Kind b takes 10 or 20 Seconds
  KnownPorts:
    Assertions:
      - Assert: !EachMemberIn [!Ref Ports, ["80", "443", "8080"]]
        AssertDescription: Ports must be 80, 443 or 8080
      - Assert: !Or [!Not [!EachMemberEquals [!Ref Ports, 80]], !Equals [!Ref Seconds, 10]]
Resources: {}
"#;
    let given = given
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    let template = Template::parse(text).unwrap();
    let problems = template
        .problems_of(&given, &LocalValues::default())
        .unwrap();
    problems.map_or_else(Vec::new, |all| all.problems().to_vec())
}

#[test]
fn parameters_are_held_to_every_constraint() {
    let long = "x".repeat(4097);
    for (name, good, bad, says) in [
        (
            "Limit",
            "60/60",
            "abc",
            "must be off or <calls a minute>/<at once>",
        ),
        (
            "Limit",
            "off",
            "60/60 ",
            "must be off or <calls a minute>/<at once>",
        ),
        ("Level", "debug", "LOUD", "must match [a-z]+"),
        ("Kind", "a", "c", "must be one of a, b"),
        ("Name", "abc", "ab", "must have at least 3 characters"),
        (
            "Name",
            "고양이들아",
            "고양이들아!",
            "must have at most 5 characters",
        ),
        ("Seconds", "1", "0", "must be at least 1"),
        ("Seconds", "900", "900.5", "must be at most 900"),
        ("Seconds", "1.5", "ten", "must be a number"),
        ("Seconds", "1e2", "inf", "must be a number"),
        ("Days", "7", "2", "must be one of 1, 7"),
        (
            "Origins",
            "http://a.example, https://b.example",
            "http://a.example,http://b.example/",
            "must match \\*|https?://[^/]+",
        ),
        (
            "Ports",
            "80,443",
            "80,http",
            "must be numbers, comma separated",
        ),
        (
            "Needed",
            &long[..4096],
            &long,
            "must have at most 4096 bytes",
        ),
    ] {
        let of = |value| {
            let problems = problems(&[("Needed", "x"), (name, value)]);
            problems.into_iter().find(|one| one.starts_with(name))
        };
        assert_eq!(of(good), None, "{name}={good:.60}");
        let problem = of(bad).unwrap_or_else(|| panic!("{name}={bad:.60} is taken"));
        assert!(problem.ends_with(&format!(": {says}")), "{problem}");
        assert!(problem.len() < 300, "{problem}");
    }
    assert_eq!(
        problems(&[("Needed", "x"), ("Level", "a\u{1b}[2J")]),
        ["Level=\"a\\u{1b}[2J\": must match [a-z]+"]
    );
    assert_eq!(problems(&[("Needed", "")]), Vec::<String>::new());
}

#[test]
fn all_problems_of_parameters_are_named_at_once_and_secrets_are_not_shown() {
    assert_eq!(
        problems(&[
            ("limit", "1"),
            ("Level", "5"),
            ("Secret", "S3CRET"),
            ("Ports", "81")
        ]),
        [
            "limit: there is no parameter limit, did you mean Limit?",
            "Level=\"5\": must match [a-z]+",
            "Needed: must have a value, it has no default",
            "Secret: must match [a-z]*",
            "Ports must be 80, 443 or 8080",
        ]
    );
}

#[test]
fn rules_hold_parameters_together() {
    let broken = |given: &[(&str, &str)]| problems(&[&[("Needed", "x")], given].concat());
    let none: [&str; 0] = [];
    assert_eq!(broken(&[("Kind", "b")]), none);
    assert_eq!(broken(&[("Kind", "a"), ("Seconds", "11")]), none);
    assert_eq!(
        broken(&[("Kind", "b"), ("Seconds", "11")]),
        ["Kind b takes 10 or 20 Seconds"]
    );
    assert_eq!(broken(&[("Ports", "80,80")]), none);
    assert_eq!(
        broken(&[("Ports", "80,80"), ("Seconds", "11")]),
        ["the rule KnownPorts is broken"]
    );
}

#[test]
fn the_projects_own_defaults_keep_its_constraints() {
    let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap()
        .join("template.yaml");
    let template = Template::parse(&std::fs::read_to_string(file).unwrap()).unwrap();
    let problems = |given: &[(&str, &str)]| {
        let given = given
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        template
            .problems_of(&given, &LocalValues::default())
            .unwrap()
    };
    assert_eq!(problems(&[]), None);
    for (name, bad) in [
        ("ReadLimit", "abc"),
        ("WriteLimit", "0/0"),
        ("readlimit", "off"),
        ("FirstZone", "1"),
        ("LogLevel", "loud"),
        ("CorsOrigins", "http://127.0.0.1:5173/"),
    ] {
        assert!(problems(&[(name, bad)]).is_some(), "{name}={bad}");
    }
}
