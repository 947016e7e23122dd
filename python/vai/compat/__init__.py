"""What users of other informers know, over a vai cache: change one import and keep the rest.

```python
from kubernetes.client import CoreV1Api
from vai.compat import ADDED, SharedInformer  # was: from kubernetes.informer import ...

informer = SharedInformer(CoreV1Api().list_namespaced_pod, namespace="shop")
informer.add_event_handler(ADDED, lambda pod: print(pod.metadata.name))
informer.start()
```

What it is: `kubernetes.informer`'s names with its behaviour. What it may know: `cache`, and of
`kube` how a list function becomes a scope. Why it is apart: nothing else in vai makes models of
the `kubernetes` package.
"""

from __future__ import annotations

from vai.compat.informer import ADDED, BOOKMARK, DELETED, ERROR, MODIFIED, SharedInformer
from vai.compat.objects import ObjectCache

__all__ = [
    "ADDED",
    "BOOKMARK",
    "DELETED",
    "ERROR",
    "MODIFIED",
    "ObjectCache",
    "SharedInformer",
]
