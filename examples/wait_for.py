"""Wait until a pod is ready; then until it is gone."""

import vai

with vai.connect("shop.db", scopes=[vai.Scope("pods", namespace="shop")]) as cache:
    pod = cache.wait_for(
        "pods",
        "web-0",
        namespace="shop",
        until=lambda found: found and found.condition("Ready"),
        timeout=300,
    )
    print("ready:", pod)
