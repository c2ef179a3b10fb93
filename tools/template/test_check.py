"""The checks of the template find what they are for, and nothing in the template as it is."""

import copy
import logging
import os
import sys
import unittest
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parent), str(Path(__file__).resolve().parent.parent)]
import check  # noqa: E402
import create  # noqa: E402
import firewall  # noqa: E402
import loops  # noqa: E402
import models  # noqa: E402
import table  # noqa: E402
from resolve import Resolver, refusals  # noqa: E402

logging.disable(logging.WARNING)
os.environ |= create.ENVIRONMENT
EXPANDED = create.expanded()
EVERYTHING = dict(check.setups())["everything"]


def template():
    """The expanded template, to be changed."""
    return copy.deepcopy(EXPANDED)


def faults_of(changed, name, given=None):
    """What is wrong with one resource, as one text."""
    resources = dict(Resolver(changed, given or {}).resources())
    return "\n".join(f"{place}: {wrong}" for place, wrong in models.check(resources[name]))


class Values(unittest.TestCase):
    def test_an_apostrophe_in_a_rule_of_a_security_group_is_refused(self):
        changed = template()
        rule = changed["Resources"]["FunctionSecurityGroup"]["Properties"]["SecurityGroupEgress"][0]
        self.assertEqual(faults_of(changed, "FunctionSecurityGroup"), "")
        rule["Description"] = "AWS services and the sign-in provider's keys"
        self.assertRegex(faults_of(changed, "FunctionSecurityGroup"), r"SecurityGroupEgress\.0\.Description: .* not taken: '")
        rule["Description"] = "._-:/()#,@[]+=&;{}!$* aZ0"
        self.assertEqual(faults_of(changed, "FunctionSecurityGroup"), "")

    def test_an_apostrophe_beside_what_is_not_known_yet_is_refused(self):
        changed = template()
        rule = changed["Resources"]["FunctionSecurityGroup"]["Properties"]["SecurityGroupEgress"][0]
        for unknown in "AWS::StackName", "LogLevel", "PostsTable":
            rule["Description"] = {"Fn::Sub": f"the provider's keys of ${{{unknown}}}"}
            self.assertRegex(faults_of(changed, "FunctionSecurityGroup"), r"Description: .* not taken: '$")
            rule["Description"] = {"Fn::Sub": f"keys of ${{{unknown}}}"}
            self.assertNotIn("not taken", faults_of(changed, "FunctionSecurityGroup"))

    def test_every_description_of_a_security_group_is_held_to_its_characters(self):
        for name, place in {
            "LoadBalancerSecurityGroup": ["SecurityGroupIngress", 1],
            "CacheSecurityGroup": ["SecurityGroupIngress", 0],
            "FunctionToCache": [],
        }.items():
            changed = template()
            at = changed["Resources"][name]["Properties"]
            for step in place:
                at = at[step]
            at["Description"] = "it's"
            self.assertIn("not taken: '", faults_of(changed, name))
        changed = template()
        changed["Resources"]["CacheSecurityGroup"]["Properties"]["GroupDescription"] = "the cache's"
        self.assertIn("not taken: '", faults_of(changed, "CacheSecurityGroup"))

    def test_a_name_of_65_characters_is_refused_where_64_are_taken(self):
        changed = template()
        access = changed["Resources"]["MediaOriginAccess"]["Properties"]["OriginAccessControlConfig"]
        access["Name"] = "x" * 64
        self.assertEqual(faults_of(changed, "MediaOriginAccess"), "")
        access["Name"] = "x" * 65
        self.assertIn("has 65 characters, and at most 64 are taken", faults_of(changed, "MediaOriginAccess"))

    def test_a_name_that_is_too_long_with_a_long_stack_name_is_refused(self):
        changed = template()
        access = changed["Resources"]["MediaOriginAccess"]["Properties"]["OriginAccessControlConfig"]
        access["Name"] = {"Fn::Sub": "${AWS::StackName}-${AWS::Region}-media"}
        self.assertIn("at most 64 are taken", faults_of(changed, "MediaOriginAccess"))
        changed = template()
        changed["Resources"]["MediaDistribution"]["Properties"]["DistributionConfig"]["Comment"] = {
            "Fn::Sub": "Images of ${AWS::StackName}"
        }
        self.assertIn("has 138 characters, and at most 128", faults_of(changed, "MediaDistribution"))

    def test_a_parameter_that_may_be_longer_than_its_field_is_refused(self):
        changed = template()
        del changed["Parameters"]["MailIdentityArn"]["MaxLength"]
        self.assertTrue(any("EmailConfiguration.SourceArn" in line for line in check.values(changed)))

    def test_lengths_patterns_ranges_and_words_of_the_models_are_held(self):
        for name, field, good, bad, wrong in [
            ("SweepFunction", "Timeout", 900, 0, "is not within 1 to"),
            ("SweepFunction", "Description", "x" * 256, "x" * 257, "at most 256"),
            ("SweepFunction", "RecursiveLoop", "Terminate", "Forbid", "is none of Allow, Terminate"),
            ("UserPoolDomain", "Domain", "cats-1", "cats_1", "does not match"),
            ("UserPool", "UserPoolName", "cats", "cats?", "does not match"),
            ("Dashboard", "DashboardName", "cats-1_2", "x" * 256, "at most 255"),
            ("Dashboard", "DashboardName", "cats-1_2", "cats?", "not taken: ?"),
        ]:
            changed = template()
            properties = changed["Resources"][name]["Properties"]
            properties[field] = good
            self.assertEqual(faults_of(changed, name), "", (name, field))
            properties[field] = bad
            self.assertIn(wrong, faults_of(changed, name), (name, field))

    def test_what_the_table_does_not_know_is_refused(self):
        changed = template()
        changed["Resources"]["AlarmTopic"]["Properties"]["Colour"] = "red"
        self.assertIn("Colour: sns's CreateTopicInput has no such field", faults_of(changed, "AlarmTopic"))
        changed["Resources"]["AlarmTopic"]["Type"] = "AWS::SNS::Megaphone"
        self.assertIn("AWS::SNS::Megaphone is new", faults_of(changed, "AlarmTopic"))

    def test_no_type_stands_in_the_table_that_is_not_in_use(self):
        used = {resource["Type"] for resource in EXPANDED["Resources"].values()}
        self.assertEqual(set(table.TYPES) - used, set())


class Loops(unittest.TestCase):
    def test_a_function_that_feeds_itself_needs_recursive_loop(self):
        changed = template()
        self.assertEqual(loops.feeding_themselves(changed), {"FanOutFunction"})
        self.assertEqual(list(loops.unallowed(changed)), [])
        del changed["Resources"]["FanOutFunction"]["Properties"]["RecursiveLoop"]
        self.assertEqual([line.split()[0] for line in loops.unallowed(changed)], ["FanOutFunction"])

    def test_functions_that_feed_each_other_are_found(self):
        changed = template()
        statements = changed["Resources"]["IndexRole"]["Properties"]["Policies"][0]["PolicyDocument"]["Statement"]
        send = {"Effect": "Allow", "Action": ["sqs:*"], "Resource": {"Fn::GetAtt": ["FanOutQueue", "Arn"]}}
        statements.append(send)
        self.assertEqual(loops.feeding_themselves(changed), {"FanOutFunction", "IndexFunction"})
        self.assertEqual([line.split()[0] for line in loops.unallowed(changed)], ["IndexFunction"])

    def test_a_function_that_calls_itself_or_writes_where_it_is_notified_from_is_found(self):
        for action, resource, more in [
            ("lambda:InvokeFunction", {"Fn::Sub": "${SweepFunction.Arn}"}, {}),
            (
                "s3:PutObject",
                {"Fn::Sub": "${MediaBucket.Arn}/*"},
                {"LambdaConfigurations": [{"Function": {"Fn::GetAtt": ["SweepFunction", "Arn"]}}]},
            ),
        ]:
            changed = template()
            policies = changed["Resources"]["SweepFunctionRole"]["Properties"]["Policies"]
            statement = {"Effect": "Allow", "Action": action, "Resource": resource}
            policies[0]["PolicyDocument"]["Statement"].append(statement)
            if more:
                changed["Resources"]["MediaBucket"]["Properties"]["NotificationConfiguration"] = more
            self.assertEqual(loops.feeding_themselves(changed), {"FanOutFunction", "SweepFunction"})

    def test_recursive_loop_is_not_allowed_where_nothing_loops(self):
        changed = template()
        changed["Resources"]["IndexFunction"]["Properties"]["RecursiveLoop"] = "Allow"
        self.assertEqual([line.split()[0] for line in loops.unallowed(changed)], ["IndexFunction"])


class Firewall(unittest.TestCase):
    def test_a_rule_that_refuses_what_people_write_is_found(self):
        for rule in ["RestrictedExtensions_URIPATH", "GenericRFI_QUERYARGUMENTS", "Log4JRCE_BODY"]:
            changed = template()
            for entry in changed["Resources"]["Waf"]["Properties"]["Rules"]:
                group = entry["Statement"].get("ManagedRuleGroupStatement", {})
                overrides = group.get("RuleActionOverrides", [])
                group["RuleActionOverrides"] = [one for one in overrides if one["Name"] != rule]
            self.assertEqual(len(list(firewall.refused(changed))), 1, rule)

    def test_a_name_that_no_rule_has_is_found(self):
        changed = template()
        group = changed["Resources"]["Waf"]["Properties"]["Rules"][2]["Statement"]["ManagedRuleGroupStatement"]
        group["RuleActionOverrides"].append({"Name": "GenericRFI_Body", "ActionToUse": {"Count": {}}})
        self.assertEqual(len(list(firewall.refused(changed))), 1)


class Parameters(unittest.TestCase):
    def refused(self, names, **given):
        """These are refused, with a message that names each of them."""
        found = refusals(EXPANDED, given)
        self.assertEqual(len(found), 1, (given, found))
        for name in names.split():
            self.assertIn(name, found[0])

    def taken(self, **given):
        self.assertEqual(refusals(EXPANDED, given), [], given)

    def test_the_set_ups_are_taken(self):
        for _, given in check.setups():
            self.taken(**given)

    def test_timeouts_that_outlast_the_hiding_of_messages_are_refused(self):
        self.refused("ConsumerTimeoutSeconds", ConsumerTimeoutSeconds="70")
        self.refused("VisibilityTimeoutSeconds ConsumerTimeoutSeconds", VisibilityTimeoutSeconds="65")
        self.taken(VisibilityTimeoutSeconds="3", CacheScheme="redis")
        for seconds in EXPANDED["Parameters"]["ConsumerTimeoutSeconds"]["AllowedValues"]:
            for window in ["1", "30"]:
                given = {"ConsumerTimeoutSeconds": str(seconds), "IndexWindowSeconds": window}
                self.taken(**given)
                resources = dict(Resolver(EXPANDED, given).resources())
                for name, mapping in EXPANDED["Resources"].items():
                    if mapping["Type"] != "AWS::Lambda::EventSourceMapping":
                        continue
                    (queue,) = loops.named(mapping["Properties"]["EventSourceArn"])
                    hidden = int(resources[queue]["Properties"]["VisibilityTimeout"])
                    waited = int(resources[name]["Properties"].get("MaximumBatchingWindowInSeconds", 0))
                    self.assertGreaterEqual(hidden, 6 * seconds + waited, queue)
        self.refused("IndexWindowSeconds", IndexWindowSeconds="31")

    def test_an_erasure_begins_after_everything_that_was_under_way(self):
        # An upload may begin a quarter of an hour after it was allowed, and take as long again.
        self.refused("ErasureSeconds", ErasureSeconds="1799")
        self.refused("ErasureSeconds", ErasureSeconds="300")
        self.taken(ErasureSeconds="1800")
        self.taken(ErasureSeconds="1", CacheScheme="redis")

    def test_addresses_with_a_slash_at_the_end_are_refused(self):
        for name, more in {"AuthIssuer": {"AuthAudience": "x"}, "MediaBaseUrl": {}}.items():
            self.taken(**{name: "https://id.example.com/tenant"}, **more)
            self.refused(name, **{name: "https://id.example.com/"}, **more)
        for origins in ["*", "https://cats.example", "https://cats.example, http://127.0.0.1:5173"]:
            self.taken(CorsOrigins=origins)
        for origins in ["http://127.0.0.1:5173/", "cats.example", "https://cats.example,x", ""]:
            self.refused("CorsOrigins", CorsOrigins=origins)

    def test_levels_of_logging_are_known_ones(self):
        for level in ["off", "debug", "info,purrline::feed=debug", "purrline=trace"]:
            self.taken(LogLevel=level)
        for level in ["loud", "", "info;debug", "INFO"]:
            self.refused("LogLevel", LogLevel=level)

    def test_parameters_that_need_each_other_are_refused_alone(self):
        arn = EVERYTHING["MailIdentityArn"]
        self.refused("AuthIssuer AuthAudience", AuthIssuer="https://id.example.com")
        self.refused("AuthAudience AuthIssuer", AuthAudience="x")
        self.refused("GoogleClientId AuthIssuer", GoogleClientId="x", GoogleClientSecret="x", AuthIssuer="https://a.b", AuthAudience="x")
        self.refused("MailIdentityArn MailFrom", MailIdentityArn=arn)
        self.refused("MailFrom MailIdentityArn", MailFrom="cats@example.com")
        self.refused("GoogleClientId GoogleClientSecret", GoogleClientId="x")
        self.refused("KakaoClientId KakaoClientSecret", KakaoClientId="x")
        self.refused("ListenerTokenCheck CertificateArn", ListenerTokenCheck="on")
        self.refused("SubnetIds VpcId", SubnetIds="subnet-00000001,subnet-00000002")
        self.refused("SubnetIds", SubnetIds="subnet-00000001", VpcId="vpc-00000001", PublicSubnetIds="subnet-00000001,subnet-00000002")
        self.refused("FirstZone SecondZone", FirstZone="1")
        self.refused("WafRequestsPerAddress", WafRequestsPerAddress="9")
        self.taken(WafRequestsPerAddress="10")


class Protection(unittest.TestCase):
    # What expires by itself, or is counted anew.
    PASSING = {"TrendsTable", "IdempotencyTable"}

    def protected(self, given):
        found = set()
        for name, resource in Resolver(EXPANDED, given).resources():
            properties = resource["Properties"]
            if properties.get("DeletionProtectionEnabled") or properties.get("DeletionProtection") == "ACTIVE":
                found.add(name)
            for attribute in properties.get("LoadBalancerAttributes", []):
                if attribute == {"Key": "deletion_protection.enabled", "Value": "true"}:
                    found.add(name)
        return found

    def test_what_people_wrote_is_protected_until_that_is_switched_off(self):
        resources = EXPANDED["Resources"]
        tables = {name for name, one in resources.items() if one["Type"] == "AWS::DynamoDB::Table"}
        self.assertEqual(self.protected({}), (tables - self.PASSING) | {"UserPool", "LoadBalancer"})
        self.assertEqual(self.protected({"DeletionProtection": "off"}), set())

    def test_what_is_deleted_with_the_stack_is_not_protected(self):
        kept = {
            name
            for name, one in EXPANDED["Resources"].items()
            if one.get("DeletionPolicy") in ("Retain", "RetainExceptOnCreate")
        }
        self.assertLessEqual(self.protected({}) - {"LoadBalancer"}, kept)


if __name__ == "__main__":
    unittest.main()
