"""Evaluates an expanded template for given parameters: intrinsic functions, conditions and rules.

Two characters stand for values that are unknown before the stack exists: `UNKNOWN` for the name or an attribute of a
resource, of any length, and `FREE` for one arbitrary character, such as one of a parameter's value.
"""

import re

try:
    from re import _parser as regex_parser
except ImportError:  # Python 3.10
    import sre_parse as regex_parser

UNKNOWN = "\ue001"
FREE = "\ue000"
NO_VALUE = object()

# A stack name of the greatest length: https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_CreateStack.html
LONGEST_STACK_NAME = "s" + "tack-name" * 14 + "s"
# The longest name of a region.
LONGEST_REGION = "us-isof-south-1"
# The greatest length of a parameter's value: https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/cloudformation-limits.html
LONGEST_VALUE = 4096
# Stands in for a missing MaxValue.
LARGEST_NUMBER = 10**15

ACCOUNT = "123456789012"
STACK_ID = f"arn:aws:cloudformation:{LONGEST_REGION}:{ACCOUNT}:stack/{LONGEST_STACK_NAME}/01234567-89ab-cdef-0123-456789abcdef"
PSEUDO = {
    "AWS::AccountId": ACCOUNT,
    "AWS::NoValue": NO_VALUE,
    "AWS::NotificationARNs": [],
    "AWS::Partition": "aws",
    "AWS::Region": LONGEST_REGION,
    "AWS::StackId": STACK_ID,
    "AWS::StackName": LONGEST_STACK_NAME,
    "AWS::URLSuffix": "amazonaws.com",
}


def text(value):
    """Returns a scalar as CloudFormation writes it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def is_list(declared):
    return declared["Type"] == "CommaDelimitedList" or declared["Type"].startswith("List<")


class Resolver:
    """Evaluates one template for one set of parameters."""

    def __init__(self, template, given):
        self.template = template
        self.parameters = {}
        for name, declared in template.get("Parameters", {}).items():
            value = text(given.get(name, declared.get("Default", "")))
            self.parameters[name] = re.split(r" *, *", value.strip()) if is_list(declared) else value

    def resources(self):
        """Yields the resources whose conditions hold: the name of each, and it with its properties evaluated."""
        for name, resource in self.template["Resources"].items():
            if "Condition" not in resource or self.holds({"Condition": resource["Condition"]}):
                yield name, {**resource, "Properties": self.value(resource.get("Properties", {}))}

    def value(self, node):
        if isinstance(node, list):
            items = [self.value(one) for one in node]
            return [one for one in items if one is not NO_VALUE]
        if not isinstance(node, dict):
            return node
        if len(node) == 1:
            ((name, argument),) = node.items()
            if name == "Ref":
                return self.reference(argument)
            if name.startswith("Fn::") or name == "Condition" and isinstance(argument, str):
                return self.call(name, argument)
        entries = {key: self.value(one) for key, one in node.items()}
        return {key: one for key, one in entries.items() if one is not NO_VALUE}

    def reference(self, name):
        if name in PSEUDO:
            return PSEUDO[name]
        return self.parameters.get(name, UNKNOWN)

    def call(self, name, argument):
        if name in ("Condition", "Fn::Equals", "Fn::Not", "Fn::And", "Fn::Or", "Fn::Contains", "Fn::EachMemberEquals"):
            return self.holds({name: argument})
        if name in ("Fn::GetAtt", "Fn::ImportValue"):
            return UNKNOWN
        if name == "Fn::GetAZs":
            return [UNKNOWN] * 6
        if name == "Fn::If":
            condition, yes, no = argument
            return self.value(yes if self.holds({"Condition": condition}) else no)
        if name == "Fn::Sub":
            return self.substitute(*(argument if isinstance(argument, list) else [argument]))
        if name == "Fn::FindInMap":
            found = self.template["Mappings"]
            for key in argument:
                found = found[text(self.value(key))]
            return self.value(found)
        arguments = self.value(argument)
        if name == "Fn::Join":
            separator, items = arguments
            return separator.join(text(one) for one in items)
        if name == "Fn::Split":
            separator, whole = arguments
            return whole.split(separator) if whole != UNKNOWN else UNKNOWN
        if name == "Fn::Select":
            index, items = arguments
            return UNKNOWN if UNKNOWN in (index, items) else items[int(index)]
        raise ValueError(f"{name} can't be evaluated here yet")

    def substitute(self, pattern, names=None):
        def one(match):
            name = match[1]
            if name.startswith("!"):
                return "${" + name[1:] + "}"
            if names and name in names:
                return text(self.value(names[name]))
            return UNKNOWN if "." in name else text(self.reference(name))

        return re.sub(r"\$\{([^}]+)\}", one, pattern)

    def holds(self, node):
        """Tells whether a condition holds, of `Conditions` or of a rule."""
        ((name, argument),) = node.items()
        if name == "Condition":
            return self.holds(self.template["Conditions"][argument])
        if name == "Fn::Equals":
            one, other = (text(self.value(side)) for side in argument)
            return one == other
        if name == "Fn::Contains":
            items, wanted = argument
            return text(self.value(wanted)) in [text(one) for one in self.value(items)]
        if name == "Fn::EachMemberEquals":
            items, wanted = argument
            return all(text(one) == text(self.value(wanted)) for one in self.value(items))
        each = [self.holds(one) for one in argument]
        return {"Fn::Not": not each[0], "Fn::And": all(each), "Fn::Or": any(each)}[name]


def refusals(template, given):
    """Returns the reasons why CloudFormation refuses these parameters before it creates anything, if any."""
    resolver = Resolver(template, given)
    found = [f"there is no parameter {name}" for name in given if name not in resolver.parameters]
    for name, declared in template.get("Parameters", {}).items():
        value = text(given.get(name, declared.get("Default", "")))
        allowed = [text(one) for one in declared.get("AllowedValues", [])]
        if allowed and value not in allowed:
            found.append(f"{name} must be one of {', '.join(allowed)}")
        pattern = declared.get("AllowedPattern")
        # Of a list, each item must match.
        items = re.split(r" *, *", value.strip()) if is_list(declared) else [value]
        if pattern and not all(re.fullmatch(pattern, item) for item in items):
            found.append(f"{name} {declared.get('ConstraintDescription', 'must match ' + pattern)}")
        if len(value) > int(declared.get("MaxLength", LONGEST_VALUE)):
            found.append(f"{name} may have {declared.get('MaxLength', LONGEST_VALUE)} characters")
        if declared["Type"] == "Number":
            least, most = float(declared.get("MinValue", "-inf")), float(declared.get("MaxValue", "inf"))
            if not least <= float(value) <= most:
                found.append(f"{name} must be {least} to {most}")
    for rule in template.get("Rules", {}).values():
        if "RuleCondition" not in rule or resolver.holds(rule["RuleCondition"]):
            unmet = (one for one in rule["Assertions"] if not resolver.holds(one["Assert"]))
            found.extend(one["AssertDescription"] for one in unmet)
    return found


def longest(declared):
    """Returns the greatest number of characters that a parameter's value may have."""
    most = int(declared.get("MaxLength", LONGEST_VALUE))
    if "AllowedPattern" in declared:
        _, widest = regex_parser.parse(declared["AllowedPattern"]).getwidth()
        most = min(most, int(widest))
    return most


def variations(template, given):
    """Yields sets of parameters with a description: those given, then variants with one or more at the limits."""
    yield "as given", given
    current = {name: text(given.get(name, one.get("Default", ""))) for name, one in template["Parameters"].items()}
    texts = {}
    for name, declared in template["Parameters"].items():
        if "AllowedValues" in declared:
            for value in declared["AllowedValues"]:
                yield f"{name}={text(value)}", {**given, name: text(value)}
        elif declared["Type"] == "Number":
            for value in (declared.get("MinValue", -LARGEST_NUMBER), declared.get("MaxValue", LARGEST_NUMBER)):
                yield f"{name}={value}", {**given, name: text(value)}
        # The items of a list can be bounded in number only.
        elif not is_list(declared):
            texts[name] = FREE * longest(declared)
            yield f"{name} as long as it may be", {**given, name: texts[name]}
    chosen = {name: value for name, value in texts.items() if current[name]}
    yield "every text as long as it may be", {**given, **chosen}
