"""Addresses that carry their own signature (AWS Signature Version 4 in the query), for any load tool."""

import datetime
import hashlib
import hmac
from urllib.parse import quote


def _mac(key, text):
    return hmac.new(key, text.encode(), hashlib.sha256).digest()


def presigned(method, host, path, key, secret, query=(), region="us-east-1", seconds=86400):
    """Path and query of a request whose payload is not signed."""
    now = datetime.datetime.now(datetime.timezone.utc).strftime("%Y%m%dT%H%M%SZ")
    scope = f"{now[:8]}/{region}/s3/aws4_request"
    fields = [*query, ("X-Amz-Algorithm", "AWS4-HMAC-SHA256"), ("X-Amz-Credential", f"{key}/{scope}"),
              ("X-Amz-Date", now), ("X-Amz-Expires", str(seconds)), ("X-Amz-SignedHeaders", "host")]
    text = "&".join(sorted(f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in fields))
    path = quote(path)
    canonical = "\n".join([method, path, text, f"host:{host}\n", "host", "UNSIGNED-PAYLOAD"])
    signed = "\n".join(["AWS4-HMAC-SHA256", now, scope, hashlib.sha256(canonical.encode()).hexdigest()])
    derived = f"AWS4{secret}".encode()
    for step in (now[:8], region, "s3", "aws4_request", signed):
        derived = _mac(derived, step)
    return f"{path}?{text}&X-Amz-Signature={derived.hex()}"
