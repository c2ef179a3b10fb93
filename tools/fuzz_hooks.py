"""Hooks that tell schemathesis what the schema cannot express; see tools/fuzz."""

import json
import re
import uuid

import schemathesis

# Rules that no schema can express: the cursors that were issued for a list, today's date, and that no two images of a post
# have the same key, whatever their descriptions.
INEXPRESSIBLE = {
    "/cursor": "not a cursor of this list",
    "/birth_date": "must be a date, YYYY-MM-DD, from 1970-01-01 and not in the future",
    "/images": "is in the list already",
}


@schemathesis.hook
def filter_failure(context, failure, case, response):
    """Drops failures that are correct refusals for reasons that no schema can express."""
    # Taking a like back deletes `…/like`, but not the list `…/likes`, whose path only has the same beginning.
    if type(failure).__name__ == "UseAfterFree" and case.path == "/v1/posts/{id}/likes":
        return False
    if response.status_code != 400 or type(failure).__name__ != "RejectedPositiveData":
        return True
    errors = json.loads(response.content).get("errors", [])
    return not errors or any(INEXPRESSIBLE.get(field(error)) != error["detail"] for error in errors)


def field(error):
    """Returns the pointer to the field that an error is about, without the place in a list."""
    return re.sub("/[0-9]+$", "", error["pointer"])


@schemathesis.hook
def map_headers(context, headers):
    """Makes every idempotency key unique: a repeated key would repeat an answer about an object since deleted."""
    key = (headers or {}).get("Idempotency-Key", "")
    if isinstance(key, str) and re.fullmatch("[!-~]{1,64}", key):
        headers["Idempotency-Key"] = str(uuid.uuid4())
    return headers
