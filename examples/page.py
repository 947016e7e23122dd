"""Pages as bytes: no JSON is parsed on the way from the file to the client."""

import vai

with vai.connect("shop.db", scopes=["pods"]) as cache:
    cache.wait_synced(timeout=30)
    cursor = None
    while True:
        page = cache.list("pods", label_selector="app", limit=100, cursor=cursor, max_age=30)
        body, headers = page.raw, page.freshness.headers()
        print(len(page), "of", page.total, len(body), "bytes", headers)
        cursor = page.cursor
        if cursor is None:
            break
