"""ValidatingAdmissionPolicy and MutatingAdmissionPolicy: expressions in CEL that are asked about a write.

`validating` and `mutating` are the plugins; `book` knows the policies and their bindings. CEL is loaded when the
first policy means a request."""
