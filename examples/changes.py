"""What happens to the pods from a snapshot on, in order."""

import vai

with vai.connect("shop.db", scopes=[vai.Scope("pods", namespace="shop")]) as cache:
    cache.wait_synced(timeout=30)
    pods = cache.snapshot("pods")
    for change in cache.changes("pods", since=pods.position):
        print(change.op, change.key, change.object or change.old)
        break  # otherwise the loop ends at cache.close()
