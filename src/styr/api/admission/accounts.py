"""ServiceAccount: every pod runs as an account of its namespace, `default` unless it names another, and its containers get the
account's token, the CA of the API and the name of the namespace as files, unless the pod or the account says no.

The account `default` counts as being there also before its controller has made it, so that a new namespace takes pods at once.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

from styr.api import metadata
from styr.api.admission.attributes import Attributes, Operation
from styr.api.admission.chain import Base
from styr.api.registry import ServedResource
from styr.api.store.commit import Txn
from styr.api.store.records import ObjectKey
from styr.kinds.pods import TOKEN_PATH, TOKEN_VOLUME
from styr.kinds.resources import SERVICE_ACCOUNT, Object

EXPIRES = 3607
"""Seconds of a token in a pod, as in Kubernetes: an hour, and a little by which such tokens are told from others."""
MIRROR = "kubernetes.io/config.mirror"
LIMITED = "kubernetes.io/enforce-mountable-secrets"


class ServiceAccounts(Base):
    name = "ServiceAccount"

    def __init__(self, source: random.Random) -> None:
        self._random = source

    def handles(self, operation: Operation, served: ServedResource, subresource: str, /) -> bool:
        return served.key == "pods" and operation == "CREATE" and not subresource

    def mutate(self, attributes: Attributes, txn: Txn, /) -> None:
        pod = attributes.object
        assert pod is not None
        if MIRROR in (pod["metadata"].get("annotations") or {}):
            return
        spec = pod["spec"]
        name = spec.get("serviceAccountName") or spec.get("serviceAccount") or "default"
        spec["serviceAccountName"] = spec["serviceAccount"] = name
        account = self._account(attributes, txn, name)
        if _wants_token(account, spec):
            self._mount(spec, attributes)
        if not spec.get("imagePullSecrets") and (secrets := account.get("imagePullSecrets")):
            spec["imagePullSecrets"] = [{"name": entry.get("name", "")} for entry in secrets]
        attributes.touched = True

    def validate(self, attributes: Attributes, txn: Txn, /) -> None:
        pod = attributes.object
        assert pod is not None
        spec = pod["spec"]
        if MIRROR in (pod["metadata"].get("annotations") or {}):
            if spec.get("serviceAccountName"):
                raise attributes.forbidden("a mirror pod may not reference service accounts")
            if next(_secrets(spec), None) is not None:
                raise attributes.forbidden("a mirror pod may not reference secrets")
            return
        name = spec.get("serviceAccountName") or ""
        if not name:
            raise attributes.forbidden(f"no service account specified for pod {attributes.namespace}/{attributes.name}")
        account = self._account(attributes, txn, name)
        if (account.get("metadata", {}).get("annotations") or {}).get(LIMITED, "").lower() in ("true", "1", "t"):
            _limit_secrets(attributes, account, spec)

    def _account(self, attributes: Attributes, txn: Txn, name: str) -> Object:
        record = txn.get(ObjectKey(SERVICE_ACCOUNT.group_resource, attributes.namespace, name))
        if record is not None:
            return record.decode()
        if name == "default":
            return {"metadata": {"name": name}}
        raise attributes.forbidden(
            f'error looking up service account {attributes.namespace}/{name}: serviceaccount "{name}" not found'
        )

    def _mount(self, spec: Object, attributes: Attributes) -> None:
        volumes = spec.get("volumes") or []
        known = next((v["name"] for v in volumes if str(v.get("name")).startswith(TOKEN_VOLUME)), None)
        name = known or self._volume_name(attributes)
        needed = False
        for group in ("initContainers", "containers"):
            for container in spec.get(group) or ():
                mounts = container.get("volumeMounts") or []
                if any(mount.get("mountPath") == TOKEN_PATH for mount in mounts):
                    continue
                container["volumeMounts"] = [*mounts, {"name": name, "readOnly": True, "mountPath": TOKEN_PATH}]
                needed = True
        if needed and known is None:
            projected = {"sources": _sources(), "defaultMode": 0o644}
            spec["volumes"] = [*volumes, {"name": name, "projected": projected}]

    def _volume_name(self, attributes: Attributes) -> str:
        """The same in every run of one write."""
        known = attributes.replies.get(b"token volume")
        if known is None:
            known = attributes.replies[b"token volume"] = metadata.generate(TOKEN_VOLUME, self._random)
        return str(known)


def _sources() -> list[Object]:
    """A literal: copying one took a tenth of a pod's creation."""
    return [
        {"serviceAccountToken": {"expirationSeconds": EXPIRES, "path": "token"}},
        {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
        {
            "downwardAPI": {
                "items": [{"path": "namespace", "fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.namespace"}}]
            }
        },
    ]


def _wants_token(account: Object, spec: Object) -> bool:
    for holder in (spec, account):
        if (said := holder.get("automountServiceAccountToken")) is not None:
            return bool(said)
    return True


def _secrets(spec: Object) -> Iterator[tuple[str, str]]:
    """(what refers to it, name) of every secret that the pod's volumes and containers name."""
    for volume in spec.get("volumes") or ():
        if secret := volume.get("secret"):
            name = secret.get("secretName", "")
            yield f'volume with secret.secretName="{name}"', name
    for group, word in (("initContainers", "init container"), ("containers", "container")):
        for container in spec.get(group) or ():
            yield from _container_secrets(container, f"{word} {container['name']}")


def _container_secrets(container: Object, who: str) -> Iterator[tuple[str, str]]:
    for variable in container.get("env") or ():
        if reference := (variable.get("valueFrom") or {}).get("secretKeyRef"):
            name = reference.get("name", "")
            yield f'{who} with envVar {variable["name"]} referencing secret.secretName="{name}"', name
    for source in container.get("envFrom") or ():
        if reference := source.get("secretRef"):
            name = reference.get("name", "")
            yield f'{who} with envFrom referencing secret.secretName="{name}"', name


def _limit_secrets(attributes: Attributes, account: Object, spec: Object) -> None:
    name = account["metadata"]["name"]
    allowed = _names(account.get("secrets"))
    for where, secret in _secrets(spec):
        if secret not in allowed:
            raise attributes.forbidden(
                f"{where} is not allowed because service account {name} does not reference that secret"
            )
    pulled = _names(account.get("imagePullSecrets"))
    for index, entry in enumerate(spec.get("imagePullSecrets") or ()):
        if entry.get("name") not in pulled:
            raise attributes.forbidden(
                f'imagePullSecrets[{index}].name="{entry.get("name", "")}" is not allowed because service account {name} '
                "does not reference that imagePullSecret"
            )


def _names(entries: Any) -> set[Any]:
    return {entry.get("name") for entry in entries or ()}
