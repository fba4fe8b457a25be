"""The rules of CustomResourceDefinitions: `x-kubernetes-validations`, and what an update may leave as wrong as it was.

Called by the strategies of custom resources and definitions; calls `cel`. Pure. Format: "Extend the Kubernetes API with
CustomResourceDefinitions", section "Validation rules"; limits and texts as in Kubernetes v1.35."""
