"""The functions of the language and of Kubernetes' extensions, one library a file. Each exports `FUNCTIONS`, and the types
of its values if it has some. Pure: called through `environment`, never by name."""
