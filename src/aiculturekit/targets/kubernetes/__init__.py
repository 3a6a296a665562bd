"""A cluster as a target: documents become Kubernetes objects, are applied by the server, waited for, and taken back where they fail.

    places      `kubernetes://CONTEXT/NAMESPACE?mesh=…` as a frozen value; flavors has what differs between managed offerings
    rendering   documents -> objects, each with the document that it is there for; pure
    checks      what a cluster cannot do, found before anything is touched

Promise: what is rendered is what is applied, and `aic render kubernetes` prints the same. A password is in no object: a Secret says how its
data comes about (`Fill`), and whoever applies it makes what is not there yet.
"""
