"""A file, offline: no network, no lock, no kubernetes import."""

import vai

with vai.open("shop.db") as cache:
    pod = cache.get("pods", "web-0", namespace="shop")  # None = proven absent
    print(pod["spec"]["nodeName"] if pod else "absent", cache.freshness("pods"))
