"""Finds functions that invoke themselves.

Lambda ends a chain in which a function is invoked some sixteen times by what it sent itself, through queues, topics,
buckets or directly, unless its `RecursiveLoop` is `Allow`:
https://docs.aws.amazon.com/lambda/latest/dg/invocation-recursion.html
The roles tell who sends; mappings, subscriptions and notifications tell who receives. A message that an operator sends
again by hand begins a chain of its own.
"""

import fnmatch
import re

# Actions that put something where it may invoke a function, by the type of resource.
SENDS = {
    "AWS::SQS::Queue": ["sqs:SendMessage"],
    "AWS::SNS::Topic": ["sns:Publish"],
    "AWS::S3::Bucket": ["s3:PutObject", "s3:DeleteObject"],
    "AWS::Lambda::Function": ["lambda:InvokeFunction"],
    "AWS::Events::EventBus": ["events:PutEvents"],
}


def named(node):
    """Returns the resources that a value names."""
    if isinstance(node, list):
        return set().union(*map(named, node))
    if not isinstance(node, dict):
        return set()
    if "Ref" in node:
        return {node["Ref"]}
    if "Fn::GetAtt" in node:
        whole = node["Fn::GetAtt"]
        return {whole[0] if isinstance(whole, list) else whole.split(".")[0]}
    found = set().union(*map(named, node.values()))
    if "Fn::Sub" in node:
        pattern = node["Fn::Sub"]
        pattern = pattern[0] if isinstance(pattern, list) else pattern
        found |= set(re.findall(r"\$\{(\w+)[.}]", pattern))
    return found


def _list(node):
    return node if isinstance(node, list) else [node]


def _statements(template, role):
    """Returns the statements that allow a role something, of its own policies and those that name it."""
    documents = []
    for name, resource in template["Resources"].items():
        properties = resource.get("Properties", {})
        if name == role:
            documents += [policy["PolicyDocument"] for policy in properties.get("Policies", [])]
        elif resource["Type"] in ("AWS::IAM::ManagedPolicy", "AWS::IAM::Policy") and role in named(properties.get("Roles")):
            documents.append(properties["PolicyDocument"])
    statements = (one for document in documents for entry in _list(document["Statement"]) for one in _branches(entry))
    return [one for one in statements if one.get("Effect") == "Allow"]


def _branches(node):
    """Returns every value that a node may evaluate to."""
    if "Fn::If" not in node:
        return [node]
    return [one for branch in node["Fn::If"][1:] for one in _branches(branch)]


def _sent_to(template, function):
    """Returns the resources that a function may send to."""
    sent_to = set()
    for role in named(function["Properties"]["Role"]):
        for statement in _statements(template, role):
            names = named(statement["Resource"])
            anything = "*" in _list(statement["Resource"])
            for name, resource in template["Resources"].items():
                wanted = SENDS.get(resource["Type"], [])
                allowed = (fnmatch.fnmatch(one, action) for one in wanted for action in _list(statement["Action"]))
                if (anything or name in names) and any(allowed):
                    sent_to.add(name)
    return sent_to


def edges(template):
    """Yields pairs of resources: messages may go from the first to the second without an operator."""
    for name, resource in template["Resources"].items():
        properties = resource.get("Properties", {})
        kind = resource["Type"]
        if kind == "AWS::Lambda::Function":
            onward = _sent_to(template, resource) | named(properties.get("DeadLetterConfig"))
            yield from ((name, to) for to in onward)
        elif kind == "AWS::Lambda::EventInvokeConfig":
            for function in named(properties["FunctionName"]):
                yield from ((function, to) for to in named(properties.get("DestinationConfig")))
        elif kind == "AWS::Lambda::EventSourceMapping":
            for source in named(properties["EventSourceArn"]):
                yield from ((source, to) for to in named(properties["FunctionName"]))
        elif kind == "AWS::SNS::Subscription":
            for topic in named(properties["TopicArn"]):
                yield from ((topic, to) for to in named(properties["Endpoint"]))
        elif kind == "AWS::Events::Rule":
            for bus in named(properties.get("EventBusName")):
                yield from ((bus, to) for to in named([one["Arn"] for one in properties["Targets"]]))
        elif kind == "AWS::S3::Bucket":
            yield from ((name, to) for to in named(properties.get("NotificationConfiguration")))
        elif kind == "AWS::SQS::Queue":
            yield from ((name, to) for to in named(properties.get("RedrivePolicy")))


def self_invoking(template):
    """Returns the functions that their own messages may come back to."""
    onward = {}
    for source, to in edges(template):
        onward.setdefault(source, set()).add(to)

    def reached(start):
        seen, todo = set(), [start]
        while todo:
            fresh = onward.get(todo.pop(), set()) - seen
            seen |= fresh
            todo += fresh
        return seen

    kinds = {name: resource["Type"] for name, resource in template["Resources"].items()}
    functions = (name for name, kind in kinds.items() if kind == "AWS::Lambda::Function")
    return {name for name in functions if name in reached(name)}


def unallowed(template):
    """Yields functions whose `RecursiveLoop` does not match whether they invoke themselves, as lines."""
    loops = self_invoking(template)
    for name, resource in template["Resources"].items():
        if resource["Type"] == "AWS::Lambda::Function":
            allowed = resource["Properties"].get("RecursiveLoop") == "Allow"
            if name in loops and not allowed:
                yield f"{name} invokes itself, which Lambda stops after some sixteen rounds: it needs RecursiveLoop: Allow"
            if allowed and name not in loops:
                yield f"{name} does not invoke itself: RecursiveLoop: Allow would hide it if it once did by mistake"
