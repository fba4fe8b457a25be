"""The chart that helm's cases install, as files. `{ns}` is the namespace of the case, also in the group of its custom kind."""

from __future__ import annotations

import json

from tests.conformance.clients.objects import SLEEP, definition

CHART = """\
apiVersion: v2
name: site
description: A site with all that a chart may have.
version: 1.2.3
appVersion: "4.5"
"""
VALUES = """\
word: hello
replicas: 0
image: styr.dev/host
"""
CONFIG_MAP = """\
apiVersion: v1
kind: ConfigMap
metadata:
  name: {{ .Release.Name }}
  labels: {app.kubernetes.io/managed-by: {{ .Release.Service }}}
data:
  word: {{ .Values.word | quote }}
  revision: "{{ .Release.Revision }}"
  kubernetes: {{ .Capabilities.KubeVersion.Version | trunc 5 | quote }}
  batch: {{ .Capabilities.APIVersions.Has "batch/v1" | quote }}
"""
SECRET = """\
apiVersion: v1
kind: Secret
metadata: {name: {{ .Release.Name }}}
stringData: {word: {{ .Values.word | quote }}}
"""
DEPLOYMENT = """\
apiVersion: apps/v1
kind: Deployment
metadata: {name: {{ .Release.Name }}}
spec:
  replicas: {{ .Values.replicas }}
  selector: {matchLabels: {app: {{ .Release.Name }}}}
  template:
    metadata:
      labels: {app: {{ .Release.Name }}}
    spec:
      terminationGracePeriodSeconds: 5
      containers:
        - name: main
          image: {{ .Values.image }}
          command: COMMAND
          env: [{name: WORD, value: {{ .Values.word | quote }}}]
""".replace("COMMAND", json.dumps(SLEEP))
SERVICE = """\
apiVersion: v1
kind: Service
metadata: {name: {{ .Release.Name }}}
spec:
  selector: {app: {{ .Release.Name }}}
  ports: [{port: 80, targetPort: 8080}]
"""
CUSTOM = """\
apiVersion: {ns}.example.com/v1
kind: Widget
metadata: {name: {{ .Release.Name }}}
spec: {size: 3}
"""
HOOK = """\
apiVersion: v1
kind: Pod
metadata:
  name: {{ .Release.Name }}-%s
  annotations:
    helm.sh/hook: %s
    helm.sh/hook-delete-policy: %s
spec:
  restartPolicy: Never
  containers: [{name: main, image: styr.dev/host, command: [sh, -c, "echo %s"]}]
"""
NOTES = "Say {{ .Values.word }} to {{ .Release.Name }} in {{ .Release.Namespace }}.\n"

FILES = {
    "chart/Chart.yaml": CHART,
    "chart/values.yaml": VALUES,
    "chart/crds/widgets.json": definition("{ns}.example.com"),
    "chart/templates/configmap.yaml": CONFIG_MAP,
    "chart/templates/secret.yaml": SECRET,
    "chart/templates/deployment.yaml": DEPLOYMENT,
    "chart/templates/service.yaml": SERVICE,
    "chart/templates/widget.yaml": CUSTOM,
    "chart/templates/before.yaml": HOOK % ("before", "pre-install,pre-upgrade", "before-hook-creation", "before"),
    "chart/templates/test.yaml": HOOK % ("test", "test", "before-hook-creation", "it works"),
    "chart/templates/NOTES.txt": NOTES,
}
