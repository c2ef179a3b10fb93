"""Checks that the firewall lets through texts that people write.

People write texts, sent in bodies and searched for in queries, and choose handles, which stand in paths. Handles consist
of letters, digits, `_` and `.`, so `@cat.log` and `@169.254.169.254` are valid ones. A rule that inspects any of these
must only count, unless it can't match a valid request. AWS ignores overrides with unknown rule names, so all names are
listed here, from https://docs.aws.amazon.com/waf/latest/developerguide/aws-managed-rule-groups-baseline.html.
"""

COUNTED = {
    "AWSManagedRulesCommonRuleSet": {
        "CrossSiteScripting_BODY",
        "CrossSiteScripting_QUERYARGUMENTS",
        "EC2MetaDataSSRF_BODY",
        "EC2MetaDataSSRF_QUERYARGUMENTS",
        "EC2MetaDataSSRF_URIPATH",
        "GenericLFI_BODY",
        "GenericLFI_QUERYARGUMENTS",
        "GenericLFI_URIPATH",
        "GenericRFI_BODY",
        "GenericRFI_QUERYARGUMENTS",
        # Clients other than browsers may not send one.
        "NoUserAgent_HEADER",
        "RestrictedExtensions_QUERYARGUMENTS",
        "RestrictedExtensions_URIPATH",
        # A photo to classify may be the body.
        "SizeRestrictions_BODY",
    },
    "AWSManagedRulesKnownBadInputsRuleSet": {
        "ExploitablePaths_URIPATH",
        "JavaDeserializationRCE_BODY",
        "JavaDeserializationRCE_QUERYSTRING",
        "JavaDeserializationRCE_URIPATH",
        "Log4JRCE_BODY",
        "Log4JRCE_QUERYSTRING",
        "ReactJSRCE_BODY",
    },
}

# All other rules, and the reason why each may block.
BLOCKING = {
    "AWSManagedRulesCommonRuleSet": {
        "CrossSiteScripting_COOKIE": "no cookie is read",
        "CrossSiteScripting_URIPATH": "no path has a < in it",
        "EC2MetaDataSSRF_COOKIE": "no cookie is read",
        "GenericRFI_URIPATH": "no path has :// in it",
        "SizeRestrictions_Cookie_HEADER": "no cookie is read",
        "SizeRestrictions_QUERYSTRING": "the longest, a search of 100 characters and its cursor, is shorter than 2,048 bytes",
        "SizeRestrictions_URIPATH": "the longest, a tag of 50 characters, is shorter than 1,024 bytes",
        "UserAgent_BadBots_HEADER": "clients choose theirs, not people",
    },
    "AWSManagedRulesKnownBadInputsRuleSet": {
        "Host_localhost_HEADER": "the load balancer has another name",
        "JavaDeserializationRCE_HEADER": "no text of people is in a header",
        "Log4JRCE_HEADER": "no text of people is in a header",
        "Log4JRCE_URIPATH": "no path has ${ in it",
        "PROPFIND_METHOD": "no route has that method",
    },
}


def _groups(template):
    """Yields the name of each web ACL with each of its managed rule groups."""
    for name, resource in template["Resources"].items():
        if resource["Type"] == "AWS::WAFv2::WebACL":
            for rule in resource["Properties"]["Rules"]:
                if group := rule["Statement"].get("ManagedRuleGroupStatement"):
                    yield name, group


def refused(template):
    """Yields rules that would block valid requests, and overrides that name no rule, as lines."""
    for resource, group in _groups(template):
        name = group["Name"]
        if name not in COUNTED:
            yield f"{resource}: tools/template/firewall.py must say which rules of {name} may block"
            continue
        overrides = group.get("RuleActionOverrides", [])
        counted = {one["Name"] for one in overrides if "Count" in one["ActionToUse"]}
        for rule in sorted(COUNTED[name] - counted):
            yield f"{resource}: {name}'s {rule} would block what people write: it must only count"
        for rule in sorted({one["Name"] for one in overrides} - COUNTED[name] - set(BLOCKING[name])):
            yield f"{resource}: {name} has no rule {rule}"
