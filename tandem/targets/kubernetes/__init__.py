"""`kubernetes://CONTEXT/NAMESPACE` and `aks://…`: an environment in a namespace of a cluster."""
