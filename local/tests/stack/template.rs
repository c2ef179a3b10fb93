use std::collections::BTreeMap;
use std::time::Duration;

use purrline_local::template::{Action, LocalValues, Plan, Template, TemplateError};

use super::{repository, template_file};

fn plan(template: &Template, given: &[(&str, &str)]) -> Result<Plan, TemplateError> {
    template.plan(&parameters(given), &LocalValues::default())
}

fn plan_of(text: &str) -> Result<Plan, TemplateError> {
    plan(&Template::parse(text)?, &[])
}

fn parameters(given: &[(&str, &str)]) -> BTreeMap<String, String> {
    let given = given.iter();
    given
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

/// The problems of these parameters.
fn problems(template: &Template, given: &[(&str, &str)]) -> Vec<String> {
    let problems = template.check_parameters(&parameters(given), &LocalValues::default());
    let problems = problems.unwrap();
    problems.map_or_else(Vec::new, |all| all.problems().to_vec())
}

/// The project's own template.
fn own_template() -> Template {
    let text = std::fs::read_to_string(repository().join("template.yaml")).unwrap();
    Template::parse(&text).unwrap()
}

/// Evaluates a value in the environment of a function, beside the sections of [`SECTIONS`].
fn evaluate(value: &str) -> Result<String, TemplateError> {
    let text = format!(
        "Resources:\n  F:\n    Type: AWS::Serverless::Function\n    Properties:\n      CodeUri: functions/f\n      \
         Environment:\n        Variables:\n          V: {value}\n{SECTIONS}"
    );
    Ok(plan_of(&text)?.functions["f"]
        .environment
        .get("V")
        .cloned()
        .unwrap_or_default())
}

const SECTIONS: &str = r#"
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
fn intrinsics_evaluate_as_on_aws() {
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
        assert_eq!(evaluate(value).unwrap(), expected, "{value}");
    }
}

#[test]
fn errors_name_the_place_and_the_line() {
    for (value, problem) in [
        ("!Ref Nobody", "there is no parameter or resource Nobody"),
        (
            "!GetAtt Q.Colour",
            "doesn't support Colour of AWS::SQS::Queue",
        ),
        ("!Transform { Name: x }", "doesn't support Fn::Transform"),
        ("!If [Nobody, a, b]", "there is no condition Nobody"),
        ("!Select [9, !Ref L]", "no item 9"),
        ("!Sub \"${P\"", "${ without }"),
        ("!Join [a]", "Fn::Join takes a list of 2"),
        ("[a]", "must be text"),
    ] {
        let error = evaluate(value).unwrap_err();
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
fn invalid_events_are_refused() {
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
            "must be a queue of this template",
        ),
        (
            events("{ Type: Schedule, Properties: { Schedule: cron(0 * * * ? *) } }"),
            "supports only rate(",
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

/// A template whose bucket has this notification configuration, and whose queue has this policy.
fn notifying(configuration: &str, policy: &str) -> String {
    format!(
        "Resources:\n  B: {{ Type: AWS::S3::Bucket, Properties: {{ NotificationConfiguration: {configuration} }} }}\n  \
         Q: {{ Type: AWS::SQS::Queue }}\n  P: {{ Type: AWS::SQS::QueuePolicy, Properties: {{ Queues: [!Ref Q], \
         PolicyDocument: {{ Statement: [{policy}] }} }} }}\n"
    )
}

const TO_QUEUE: &str =
    "{ QueueConfigurations: [{ Event: \"s3:ObjectCreated:Put\", Queue: !GetAtt Q.Arn }] }";
const S3_MAY_SEND: &str = "{ Effect: Allow, Principal: { Service: s3.amazonaws.com }, Action: \"sqs:SendMessage\", \
     Resource: !GetAtt Q.Arn, Condition: { StringEquals: { \"aws:SourceAccount\": !Ref \"AWS::AccountId\" }, \
     ArnLike: { \"aws:SourceArn\": \"arn:aws:s3:::b*\" } } }";

#[test]
fn notifications_of_buckets_are_read() {
    let plan = plan_of(&notifying(TO_QUEUE, S3_MAY_SEND)).unwrap();
    let notification = &plan.buckets[0].notifications[0];
    assert_eq!(notification.event, "s3:ObjectCreated:Put");
    assert_eq!(notification.queue.logical_id, "Q");
    assert_eq!(
        (notification.prefix.as_str(), notification.suffix.as_str()),
        ("", "")
    );
}

#[test]
fn notifications_that_cannot_be_sent_are_refused() {
    for target in ["Lambda", "Topic"] {
        let configuration =
            format!("{{ {target}Configurations: [{{ Event: \"s3:ObjectCreated:*\" }}] }}");
        let error = plan_of(&notifying(&configuration, S3_MAY_SEND)).unwrap_err();
        assert!(error.problem.contains("notifies only queues"), "{error}");
        assert!(
            error.place.ends_with(&format!("{target}Configurations")),
            "{error}"
        );
    }
    let event_bridge = "{ EventBridgeConfiguration: { EventBridgeEnabled: true } }";
    for (configuration, problem) in [
        (event_bridge.to_owned(), "notifies only queues"),
        (
            TO_QUEUE.replace("Created:Put", "Removed:*"),
            "only s3:ObjectCreated events",
        ),
        (
            TO_QUEUE.replace("!GetAtt Q.Arn", "arn:aws:sqs:us-east-1:000000000000:X"),
            "must be a queue of this template",
        ),
        (
            TO_QUEUE.replace(
                ", Queue",
                ", Filter: { S3Key: { Rules: [{ Name: tag, Value: x }] } }, Queue",
            ),
            "must be prefix or suffix",
        ),
    ] {
        let error = plan_of(&notifying(&configuration, S3_MAY_SEND)).unwrap_err();
        assert!(error.problem.contains(problem), "{error}");
    }
    for (allowed, changed, problem) in [
        (
            "Effect: Allow",
            "Effect: Deny",
            "must allow s3.amazonaws.com",
        ),
        (
            "s3.amazonaws.com",
            "sns.amazonaws.com",
            "must allow s3.amazonaws.com",
        ),
        (
            "sqs:SendMessage",
            "sqs:ReceiveMessage",
            "must allow s3.amazonaws.com",
        ),
        (
            "!GetAtt Q.Arn",
            "\"arn:aws:sqs:::X\"",
            "must allow s3.amazonaws.com",
        ),
        (
            "!Ref \"AWS::AccountId\"",
            "\"111111111111\"",
            "must allow s3.amazonaws.com",
        ),
        (
            "arn:aws:s3:::b*",
            "arn:aws:s3:::c*",
            "must allow s3.amazonaws.com",
        ),
        (
            "aws:SourceArn",
            "aws:SourceOrgID",
            "knows only aws:SourceAccount",
        ),
        ("ArnLike", "ArnNotLike", "doesn't support this operator"),
    ] {
        let policy = S3_MAY_SEND.replace(allowed, changed);
        let error = plan_of(&notifying(TO_QUEUE, &policy)).unwrap_err();
        assert!(error.problem.contains(problem), "{changed}: {error}");
    }
}

#[test]
fn test_template_is_evaluated_to_its_plan() {
    let text = std::fs::read_to_string(template_file()).unwrap();
    let template = Template::parse(&text).unwrap();
    let plan = plan(&template, &[("AuthIssuer", "http://me")]).unwrap();
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
    assert_eq!(media.root.as_deref(), Some("index.html"));
    assert!(media.missing_is_404);
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
fn own_template_is_supported() {
    let plan = plan(&own_template(), &[]).unwrap();
    assert!(!plan.functions.is_empty() && plan.listener.is_some() && plan.has_cache);
}

#[test]
fn own_template_serves_pictures_and_no_uploads() {
    let plan = plan(&own_template(), &[]).unwrap();
    let media = plan.media.unwrap();
    assert_eq!(media.bucket, "picturesbucket");
    assert!(media.missing_is_404, "a missing picture must be 404");
    assert!(media.root.is_some(), "the bucket must not be listed");
    let mut buckets = plan.buckets.iter();
    let uploads = buckets.find(|bucket| bucket.logical_id == "UploadsBucket");
    let [notification] = uploads.unwrap().notifications.as_slice() else {
        panic!("uploads must lead to one notification");
    };
    assert_eq!(notification.event, "s3:ObjectCreated:Put");
    assert_eq!(notification.prefix, "uploads/");
    assert_eq!(notification.queue.logical_id, "PhotosQueue");
}

#[test]
fn pictures_that_are_missing_are_forbidden_where_the_cdn_may_not_list_the_bucket() {
    let text = std::fs::read_to_string(template_file()).unwrap();
    let text = text.replace("[s3:GetObject, s3:ListBucket]", "s3:GetObject");
    let plan = plan_of(&text).unwrap();
    assert!(!plan.media.unwrap().missing_is_404);
}

/// Otherwise messages are redelivered while a throttled consumer is still retrying them.
#[test]
fn visibility_timeouts_cover_six_timeouts_and_the_window() {
    let template = own_template();
    for timeout in [2, 3, 5, 10, 15, 20, 30, 60] {
        for window in [1, 30] {
            let (timeout, window) = (timeout.to_string(), window.to_string());
            let given = [
                ("ConsumerTimeoutSeconds", timeout.as_str()),
                ("IndexWindowSeconds", &window),
            ];
            let plan = plan(&template, &given).unwrap();
            assert!(!plan.mappings.is_empty());
            for mapping in &plan.mappings {
                let mut queues = plan.queues.iter();
                let queue = queues.find(|queue| queue.arn == mapping.queue_arn);
                let queue = queue.unwrap();
                let hidden: u64 = queue.attributes["VisibilityTimeout"].parse().unwrap();
                let function = &plan.functions[&mapping.function];
                // Removals of pictures must soon be done again: template.yaml says why.
                let times = if mapping.function == "photo" { 1 } else { 6 };
                let least = function.timeout * times + mapping.window;
                assert!(Duration::from_secs(hidden) >= least, "{}", queue.name);
            }
        }
    }
    for timeout in ["1", "4", "61"] {
        let refused = plan(&template, &[("ConsumerTimeoutSeconds", timeout)]);
        assert!(refused.is_err(), "{timeout}");
    }
}

/// A template with a parameter for each kind of constraint.
fn constrained_template() -> Template {
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
    Template::parse(text).unwrap()
}

#[test]
fn every_constraint_is_enforced() {
    let template = constrained_template();
    let problems = |given: &[(&str, &str)]| problems(&template, given);
    let long = "x".repeat(4097);
    for (name, good, bad, reason) in [
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
        let problem_of = |value| {
            let problems = problems(&[("Needed", "x"), (name, value)]);
            problems.into_iter().find(|one| one.starts_with(name))
        };
        assert_eq!(problem_of(good), None, "{name}={good:.60}");
        let problem = problem_of(bad).unwrap_or_else(|| panic!("{name}={bad:.60} is accepted"));
        assert!(problem.ends_with(&format!(": {reason}")), "{problem}");
        assert!(problem.len() < 300, "{problem}");
    }
    assert_eq!(
        problems(&[("Needed", "x"), ("Level", "a\u{1b}[2J")]),
        ["Level=\"a\\u{1b}[2J\": must match [a-z]+"]
    );
    assert_eq!(problems(&[("Needed", "")]), Vec::<String>::new());
}

#[test]
fn all_problems_are_reported_at_once_without_secrets() {
    assert_eq!(
        problems(
            &constrained_template(),
            &[
                ("limit", "1"),
                ("Level", "5"),
                ("Secret", "S3CRET"),
                ("Ports", "81")
            ]
        ),
        [
            "limit: there is no parameter limit, did you mean Limit?",
            "Level=\"5\": must match [a-z]+",
            "Needed: must have a value, since it has no default",
            "Secret: must match [a-z]*",
            "Ports must be 80, 443 or 8080",
        ]
    );
}

#[test]
fn rules_are_enforced() {
    let template = constrained_template();
    let broken =
        |given: &[(&str, &str)]| problems(&template, &[&[("Needed", "x")], given].concat());
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
fn own_templates_defaults_satisfy_its_constraints() {
    let template = own_template();
    assert_eq!(problems(&template, &[]), Vec::<String>::new());
    for (name, bad) in [
        ("ReadLimit", "abc"),
        ("WriteLimit", "0/0"),
        ("readlimit", "off"),
        ("FirstZone", "1"),
        ("LogLevel", "loud"),
        ("CorsOrigins", "http://127.0.0.1:5173/"),
        ("CorsOrigins", "https://cats.example,*"),
    ] {
        let problems = problems(&template, &[(name, bad)]);
        assert!(!problems.is_empty(), "{name}={bad}");
    }
}
