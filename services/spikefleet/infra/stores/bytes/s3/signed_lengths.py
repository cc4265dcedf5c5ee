"""Signed addresses that take so many bytes and no others.

The S3 library signs an address for any length. Here the length of the body is signed with it, as
one more header that the server compares (AWS Signature Version 4, "query string authentication").
"""

from __future__ import annotations

import hashlib
import hmac
from urllib.parse import unquote, urlsplit, urlunsplit

_ALGORITHM = "AWS4-HMAC-SHA256"
_HEADERS = "content-length;host"


def with_length(address: str, secret_key: str, size_bytes: int) -> str:
    """Return an address signed for PUT as one that takes exactly ``size_bytes``."""
    parts = urlsplit(address)
    fields = dict(pair.partition("=")[::2] for pair in parts.query.split("&"))
    del fields["X-Amz-Signature"]
    fields["X-Amz-SignedHeaders"] = _HEADERS.replace(";", "%3B")
    query = "&".join(f"{name}={value}" for name, value in sorted(fields.items()))
    headers = f"content-length:{size_bytes}\nhost:{parts.netloc}\n"
    request = "\n".join(["PUT", parts.path, query, headers, _HEADERS, "UNSIGNED-PAYLOAD"])
    scope = unquote(fields["X-Amz-Credential"]).split("/")[-4:]  # day, region, s3, aws4_request
    key = f"AWS4{secret_key}".encode()
    for step in scope:
        key = hmac.digest(key, step.encode(), "sha256")
    digest = hashlib.sha256(request.encode()).hexdigest()
    to_sign = "\n".join([_ALGORITHM, fields["X-Amz-Date"], "/".join(scope), digest])
    signature = hmac.digest(key, to_sign.encode(), "sha256").hex()
    return urlunsplit(parts._replace(query=f"{query}&X-Amz-Signature={signature}"))
