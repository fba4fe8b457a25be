"""Volumes of a pod, and the sources that persistent volumes have in common with them. Called by `pods` and the volumes' own
strategies; pure."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from styr.api.faults import claims, names
from styr.api.faults.causes import (
    Faults,
    duplicate,
    each,
    forbidden,
    get,
    invalid,
    required,
    too_long,
    unsupported,
)
from styr.api.faults.containers import pull_policy
from styr.api.faults.fields import FILE_FIELDS, container_amount, pod_field
from styr.api.faults.paths import descending, mode, no_backsteps, not_reserved
from styr.api.faults.selectors import selector
from styr.kinds import quantities

Source = dict[str, Any]
Check = Callable[[Source, str], Faults]
_HOST_TYPES = ("", "BlockDevice", "CharDevice", "Directory", "DirectoryOrCreate", "File", "FileOrCreate", "Socket")
_IQN = re.compile(r"iqn\.\d{4}-\d{2}\.([\w-.]+)(:[^,;*&$|\s]+)$".replace("[\\w-.]", "[-\\w.]"))
_EUI, _NAA = re.compile(r"^eui.[A-Fa-f0-9]{16}$"), re.compile(r"^naa.[A-Fa-f0-9]{32}$")


def volumes(spec: dict[str, Any], pod_name: str, path: str, *, is_pod: bool) -> tuple[list[Any], dict[str, Source]]:
    """What is wrong, and the volumes that are sound, by name."""
    found: list[Any] = []
    sound: dict[str, Source] = {}
    made = {f"{pod_name}-{v.get('name', '')}" for v in spec.get("volumes") or () if pod_name and "ephemeral" in v}
    for index, volume in enumerate(spec.get("volumes") or ()):
        place, name = f"{path}[{index}]", volume.get("name", "")
        wrong = list(_sources(volume, name, pod_name, place, is_pod))
        if not name:
            wrong.append(required(f"{place}.name"))
        else:
            wrong += each(f"{place}.name", name, names.dns_label(name))
        if name in sound:
            wrong.append(duplicate(f"{place}.name", name))
        if wrong:
            found += wrong
        else:
            sound[name] = volume
        claim = get(volume, "persistentVolumeClaim", "claimName")
        if claim in made:
            message = "must not reference a PVC that gets created for an ephemeral volume"
            found.append(invalid(f"{place}.persistentVolumeClaim.claimName", claim, message))
    return found, sound


def _sources(volume: Source, name: str, pod_name: str, path: str, is_pod: bool) -> Faults:
    count = 0
    if "emptyDir" in volume:
        count = 1
        limit = volume["emptyDir"].get("sizeLimit")
        if limit is not None and quantities.parse(limit) < 0:
            yield forbidden(f"{path}.emptyDir.sizeLimit", "SizeLimit field must be a valid resource quantity")
    for kind, check in OF_PODS.items():
        if kind not in volume:
            continue
        if count:
            yield forbidden(f"{path}.{_MISSPELT.get(kind, kind)}", "may not specify more than 1 volume type")
        else:
            yield from check(volume[kind], f"{path}.{_PLACES.get(kind, kind)}")
            if kind == "ephemeral" and pod_name and name:
                claim = f"{pod_name}-{name}"
                details = [f'PVC name "{claim}": {fault}' for fault in names.dns_subdomain(claim)]
                yield from each(f"{path}.name", name, details)
            if kind == "image" and is_pod and not volume[kind].get("reference"):
                yield required(f"{path}.image.reference")
        count += 1
        if kind == "iscsi" and "initiatorName" in volume[kind]:
            if len(f"{name}:{volume[kind].get('targetPortal', '')}") > 64:
                message = (
                    "Total length of <volume name>:<iscsi.targetPortal> must be under 64 characters if "
                    "iscsi.initiatorName is specified."
                )
                yield invalid(f"{path}.name", name, message)
    if not count:
        yield required(path, "must specify a volume type")


def _needs(*fields: str) -> Check:
    """Texts that may not be empty."""

    def check(source: Source, path: str) -> Faults:
        for field in fields:
            if not source.get(field):
                yield required(f"{path}.{field}")

    return check


def host_path(source: Source, path: str) -> Faults:
    if not source.get("path"):
        yield required(f"{path}.path")
        return
    yield from no_backsteps(f"{path}.path", source["path"])
    if "type" in source and source["type"] not in _HOST_TYPES:
        yield unsupported(f"{path}.type", source["type"], _HOST_TYPES)


def _git(source: Source, path: str) -> Faults:
    yield from _needs("repository")(source, path)
    yield from descending(f"{path}.directory", source.get("directory", ""))


def _disk(field: str) -> Check:
    def check(source: Source, path: str) -> Faults:
        yield from _needs(field)(source, path)
        if not 0 <= source.get("partition", 0) <= 255:
            yield invalid(f"{path}.partition", source["partition"], names.in_range(0, 255))

    return check


def _keys(source: Source, path: str) -> Faults:
    """Which keys become which files."""
    for index, item in enumerate(source.get("items") or ()):
        place = f"{path}.items[{index}]"
        yield from _needs("key", "path")(item, place)
        yield from not_reserved(f"{place}.path", item.get("path", ""))
        yield from mode(f"{place}.mode", item.get("mode"))


def _keyed(field: str) -> Check:
    def check(source: Source, path: str) -> Faults:
        yield from _needs(field)(source, path)
        yield from mode(f"{path}.defaultMode", source.get("defaultMode"))
        yield from _keys(source, path)

    return check


def _nfs(source: Source, path: str) -> Faults:
    yield from _needs("server", "path")(source, path)
    if not source.get("path", "").startswith("/"):
        yield invalid(f"{path}.path", source.get("path", ""), "must be an absolute path")


def _iscsi(source: Source, path: str) -> Faults:
    yield from _needs("targetPortal", "iqn")(source, path)
    if source.get("iqn"):
        yield from _initiator(source["iqn"], f"{path}.iqn")
    if not 0 <= source.get("lun", 0) <= 255:
        yield invalid(f"{path}.lun", source["lun"], names.in_range(0, 255))
    if (source.get("chapAuthDiscovery") or source.get("chapAuthSession")) and "secretRef" not in source:
        yield required(f"{path}.secretRef")
    if "initiatorName" in source:
        yield from _initiator(source["initiatorName"], f"{path}.initiatorname")


def _initiator(text: str, path: str) -> Faults:
    forms = {"iqn": _IQN, "eui": _EUI, "naa": _NAA}
    form = forms.get(text[:3])
    if form is None:
        yield invalid(path, text, "must be valid format starting with iqn, eui, or naa")
    elif not form.search(text):
        yield invalid(path, text, "must be valid format")


def _flocker(source: Source, path: str) -> Faults:
    name, uid = source.get("datasetName", ""), source.get("datasetUUID", "")
    if not name and not uid:
        yield required(path, "one of datasetName and datasetUUID is required")
    if name and uid:
        yield invalid(path, "resource", "datasetName and datasetUUID can not be specified simultaneously")
    if "/" in name:
        yield invalid(f"{path}.datasetName", name, "must not contain '/'")


def _secret_name(source: Source, path: str) -> Faults:
    if "secretRef" in source and not source["secretRef"].get("name"):
        yield required(f"{path}.secretRef.name")


def _cinder(source: Source, path: str) -> Faults:
    yield from _needs("volumeID")(source, path)
    yield from _secret_name(source, path)


def _quobyte(source: Source, path: str) -> Faults:
    registry, words = source.get("registry", ""), "must be a host:port pair or multiple pairs separated by commas"
    if not registry:
        yield required(f"{path}.registry", words)
    elif len(source.get("tenant", "")) >= 65:
        yield required(f"{path}.tenant", "must be a UUID and may not exceed a length of 64 characters")
    else:
        for pair in registry.split(","):
            if not re.fullmatch(r"(\[[^\[\]]*\]|[^:\[\]]*):[^:\[\]]*", pair):
                yield invalid(f"{path}.registry", registry, words)
    yield from _needs("volume")(source, path)


def downward(source: Source, path: str) -> Faults:
    yield from mode(f"{path}.defaultMode", source.get("defaultMode"))
    for item in source.get("items") or ():
        yield from _downward_file(item, path)


def _downward_file(item: Source, path: str) -> Faults:
    yield from _needs("path")(item, path)
    yield from not_reserved(f"{path}.path", item.get("path", ""))
    if "fieldRef" in item:
        yield from pod_field(item["fieldRef"], f"{path}.fieldRef", FILE_FIELDS)
        if "resourceFieldRef" in item:
            yield invalid(path, "resource", "fieldRef and resourceFieldRef can not be specified simultaneously")
    elif "resourceFieldRef" in item:
        yield from container_amount(item["resourceFieldRef"], f"{path}.resourceFieldRef", file=True)
    else:
        yield required(path, "one of fieldRef and resourceFieldRef is required")
    yield from mode(f"{path}.mode", item.get("mode"))


def _fibre(source: Source, path: str) -> Faults:
    targets, wide = source.get("targetWWNs") or [], source.get("wwids") or []
    if not targets and not wide:
        yield required(f"{path}.targetWWNs", "must specify either targetWWNs or wwids, but not both")
    if targets and wide:
        yield invalid(f"{path}.targetWWNs", targets, "targetWWNs and wwids can not be specified simultaneously")
    if targets:
        lun = source.get("lun")
        if lun is None:
            yield required(f"{path}.lun", "lun is required if targetWWNs is specified")
        elif not 0 <= lun <= 255:
            yield invalid(f"{path}.lun", lun, names.in_range(0, 255))


def _flex(source: Source, path: str) -> Faults:
    yield from _needs("driver")(source, path)
    for key in source.get("options") or ():
        domain = f".{key.partition('/')[0].lower()}"
        if domain.endswith((".kubernetes.io", ".k8s.io")):
            yield invalid(f"{path}.options[{key}]", key, "kubernetes.io and k8s.io namespaces are reserved")


def _azure_disk(source: Source, path: str) -> Faults:
    yield from _needs("diskName", "diskURI")(source, path)
    caching, kind, uri = source.get("cachingMode"), source.get("kind"), source.get("diskURI", "")
    if caching is not None and caching not in ("None", "ReadOnly", "ReadWrite"):
        yield unsupported(f"{path}.cachingMode", caching, ("None", "ReadOnly", "ReadWrite"))
    if kind is not None and kind not in ("Dedicated", "Managed", "Shared"):
        yield unsupported(f"{path}.kind", kind, ("Dedicated", "Managed", "Shared"))
    if kind == "Managed" and not uri.startswith("/subscriptions/"):
        form = "/subscriptions/{sub-id}/resourcegroups/{group-name}/providers/microsoft.compute/disks/{disk-id}"
        yield unsupported(f"{path}.diskURI", uri, (form,))
    if kind not in (None, "Managed") and not uri.startswith("https://"):
        form = "https://{account-name}.blob.core.windows.net/{container-name}/{disk-name}.vhd"
        yield unsupported(f"{path}.diskURI", uri, (form,))


def _storage_os(source: Source, path: str) -> Faults:
    yield from _needs("volumeName")(source, path)
    for field in ("volumeName", "volumeNamespace"):
        if source.get(field):
            yield from each(f"{path}.{field}", source[field], names.dns_label(source[field]))
    yield from _secret_name(source, path)


def csi_driver(text: str, path: str) -> Faults:
    if not text:
        yield required(path)
        return
    if len(text) > 63:
        yield too_long(path, 63)
    yield from each(path, text, names.dns_subdomain(text.lower()))


def _csi(source: Source, path: str) -> Faults:
    yield from csi_driver(source.get("driver", ""), f"{path}.driver")
    if "nodePublishSecretRef" in source:
        name = source["nodePublishSecretRef"].get("name", "")
        if not name:
            yield required(f"{path}.nodePublishSecretRef.name")
        else:
            yield from each(f"{path}.name", name, names.dns_subdomain(name))


def _ephemeral(source: Source, path: str) -> Faults:
    template = source.get("volumeClaimTemplate")
    if template is None:
        yield required(f"{path}.volumeClaimTemplate")
    else:
        yield from claims.template(template, f"{path}.volumeClaimTemplate")


def _image(source: Source, path: str) -> Faults:
    yield from pull_policy(source.get("pullPolicy", ""), f"{path}.pullPolicy")


def _projected(source: Source, path: str) -> Faults:
    yield from mode(f"{path}.defaultMode", source.get("defaultMode"))
    seen: set[str] = set()

    def once(text: str, shown: str) -> Faults:
        if text and text in seen:
            yield invalid(path, shown, "conflicting duplicate paths")
        seen.add(text)

    for index, part in enumerate(source.get("sources") or ()):
        place = f"{path}.sources[{index}]"
        for kind in ("secret", "configMap"):
            if kind in part:
                yield from _needs("name")(part[kind], f"{place}.{kind}")
                yield from _keys(part[kind], f"{place}.{kind}")
                for item in part[kind].get("items") or ():
                    yield from once(item.get("path", ""), part[kind].get("name", ""))
        if "downwardAPI" in part:
            for item in part["downwardAPI"].get("items") or ():
                yield from _downward_file(item, f"{place}.downwardAPI")
                yield from once(item.get("path", ""), item.get("path", ""))
        if "serviceAccountToken" in part:
            yield from _token(part["serviceAccountToken"], path, f"{place}.serviceAccountToken")
        if "clusterTrustBundle" in part:
            yield from _bundle(part["clusterTrustBundle"], f"{place}.clusterTrustBundle")
            text = part["clusterTrustBundle"].get("path", "")
            if text in seen:
                yield invalid(path, text, "conflicting duplicate paths")
            seen.add(text)
        kinds = ("secret", "configMap", "downwardAPI", "serviceAccountToken", "clusterTrustBundle", "podCertificate")
        if sum(kind in part for kind in kinds) > 1:
            yield forbidden(place, "may not specify more than 1 volume type per source")


def _token(source: Source, path: str, place: str) -> Faults:
    seconds = source.get("expirationSeconds", 0)
    if seconds < 600:
        yield invalid(f"{place}.expirationSeconds", seconds, "may not specify a duration less than 10 minutes")
    if seconds > 1 << 32:
        message = "may not specify a duration larger than 2^32 seconds"
        yield invalid(f"{place}.expirationSeconds", seconds, message)
    if not source.get("path"):
        yield required(f"{path}.path")
    else:
        yield from not_reserved(f"{path}.path", source["path"])


def _bundle(source: Source, path: str) -> Faults:
    name, signer = source.get("name"), source.get("signerName")
    if name is not None and signer is not None:
        yield invalid(path, source, "only one of name and signerName may be used")
    elif name is not None:
        if not name:
            yield required(f"{path}.name", "must be a valid object name")
        plain = name.rpartition(":")[2]
        details = [f"not a valid clustertrustbundlename: {fault}" for fault in names.dns_subdomain(plain)]
        yield from each(f"{path}.name", name, details)
        if "labelSelector" in source:
            message = "labelSelector must be unset if name is specified"
            yield invalid(f"{path}.labelSelector", source["labelSelector"], message)
    elif signer is not None:
        if not signer:
            yield required(f"{path}.signerName", "must be a valid signer name")
        yield from selector(source.get("labelSelector"), f"{path}.labelSelector")
    else:
        yield required(path, "either name or signerName must be specified")
    yield from _needs("path")(source, path)
    yield from not_reserved(f"{path}.path", source.get("path", ""))


_PLACES = {"gcePersistentDisk": "persistentDisk"}
_MISSPELT = {"downwardAPI": "downwarAPI", "cephfs": "cephFS"}
"""Where Kubernetes' own paths are not the fields'."""
SHARED: dict[str, Check] = {
    "hostPath": host_path,
    "gcePersistentDisk": _disk("pdName"),
    "awsElasticBlockStore": _disk("volumeID"),
    "nfs": _nfs,
    "flocker": _flocker,
    "quobyte": _quobyte,
    "fc": _fibre,
    "vsphereVolume": _needs("volumePath"),
    "photonPersistentDisk": _needs("pdID"),
    "portworxVolume": _needs("volumeID"),
    "azureDisk": _azure_disk,
}
"""Sources that pods and persistent volumes have in common."""
OF_PODS: dict[str, Check] = {
    "hostPath": host_path,
    "gitRepo": _git,
    "gcePersistentDisk": SHARED["gcePersistentDisk"],
    "awsElasticBlockStore": SHARED["awsElasticBlockStore"],
    "secret": _keyed("secretName"),
    "nfs": _nfs,
    "iscsi": _iscsi,
    "glusterfs": _needs("endpoints", "path"),
    "flocker": _flocker,
    "persistentVolumeClaim": _needs("claimName"),
    "rbd": _needs("monitors", "image"),
    "cinder": _cinder,
    "cephfs": _needs("monitors"),
    "quobyte": _quobyte,
    "downwardAPI": downward,
    "fc": _fibre,
    "flexVolume": _flex,
    "configMap": _keyed("name"),
    "azureFile": _needs("secretName", "shareName"),
    "vsphereVolume": SHARED["vsphereVolume"],
    "photonPersistentDisk": SHARED["photonPersistentDisk"],
    "portworxVolume": SHARED["portworxVolume"],
    "azureDisk": _azure_disk,
    "storageos": _storage_os,
    "projected": _projected,
    "scaleIO": _needs("gateway", "system", "volumeName"),
    "csi": _csi,
    "ephemeral": _ephemeral,
    "image": _image,
}
"""In the order in which Kubernetes looks."""
