"""Which environment variables pip may have, wherever Tandem calls it; every other one is withheld.

pip puts ${NAME} in a requirements file, which is a commit's to write, from its environment, and sends the result
wherever the file says. So what pip does not need must not be there.
"""

from collections.abc import Mapping

PASSED = (
    *("http_proxy", "https_proxy", "no_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY"),
    *("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "XDG_CONFIG_HOME", "NETRC"),
)


def passed(surroundings: Mapping[str, str]) -> dict[str, str]:
    """The user's own settings for pip (PIP_*), proxies, certificates, and where pip's own files are."""
    return {name: value for name, value in surroundings.items() if name in PASSED or name.startswith("PIP_")}
