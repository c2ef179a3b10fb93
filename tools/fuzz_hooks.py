"""What schemathesis is told besides the schema; see tools/fuzz."""

import json
import re
import uuid

import schemathesis

# What no schema can say: which cursors were issued for this list, and what day it is.
UNSAID = {
    "/cursor": "not a cursor of this list",
    "/birth_date": "must be a date, YYYY-MM-DD, from 1970-01-01 and not in the future",
}


@schemathesis.hook
def filter_failure(context, failure, case, response):
    """A refusal for nothing but what the schema can't say is none of the API's faults."""
    # Who takes a like back deletes `…/like`. The list `…/likes`, whose path only begins alike, is still there.
    if type(failure).__name__ == "UseAfterFree" and case.path == "/v1/posts/{id}/likes":
        return False
    if response.status_code != 400 or type(failure).__name__ != "RejectedPositiveData":
        return True
    errors = json.loads(response.content).get("errors", [])
    unsaid = [error for error in errors if UNSAID.get(error["pointer"]) == error["detail"]]
    return not errors or len(unsaid) < len(errors)


@schemathesis.hook
def map_headers(context, headers):
    """A key used again gives the answer of before, of a thing that may be gone since: each is used once."""
    key = (headers or {}).get("Idempotency-Key", "")
    if isinstance(key, str) and re.fullmatch("[!-~]{1,64}", key):
        headers["Idempotency-Key"] = str(uuid.uuid4())
    return headers
