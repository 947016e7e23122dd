"""A real kube-apiserver and etcd for the tests, and what to fill them with.

`build` makes the programs, `server.ApiServer` runs them, `objects` generates realistic resources.
Knows nothing of vai: what is compared with vai must not share its code.
"""
