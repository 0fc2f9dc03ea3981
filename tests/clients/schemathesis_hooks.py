"""What schemathesis is told beside the description: answers are to be short."""
import schemathesis


def shorten(body):
    if not isinstance(body, dict) or not ({"messages", "prompt"} & body.keys()):
        return body
    for limit in ("max_tokens", "max_completion_tokens"):
        if isinstance(body.get(limit), (int, float)) and not isinstance(body[limit], bool):
            body[limit] = min(body[limit], 3)
    if body.get("max_completion_tokens") is None and body.get("max_tokens") is None:
        body["max_tokens"] = 3
    if isinstance(body.get("n"), int) and 2 < body["n"] <= 128:
        body["n"] = 2
    if "best_of" in body:
        body["best_of"] = body.get("n")
    return body


@schemathesis.hook
def before_call(context, case, kwargs):
    case.body = shorten(case.body)
