// Command builtin answers questions about built-in kinds with Kubernetes' own code, one JSON document a line:
//
//	{"op": "default", "object": {...}}                         the object, decoded, defaulted, encoded
//	{"op": "create", "resource": "pods", "object": {...}}      as the registry would store it
//	{"op": "update", "resource": "pods", "sub": "status", "old": {...}, "object": {...}}
//	{"op": "convert", "object": {...}, "to": "autoscaling/v1"}
//	{"op": "strategic", "object": {...}, "patch": {...}}       the patched object
//	{"op": "facts", "kind": "v1/Pod", "resource": "pods"}      rules of its updates; whether generation is counted
//	{"op": "label", "kind": "v1/Pod", "labels": [...]}         which of them a field selector may name
//
// An answer is {"object": {...}, "warnings": [...]}; a refusal {"reason", "message", "causes": [{"reason", "field", "message"}]}.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/util/strategicpatch"
	"k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/apiserver/pkg/warning"
	"k8s.io/kubernetes/pkg/api/legacyscheme"
	"k8s.io/kubernetes/pkg/capabilities"
)

type question struct {
	Op, Resource, Sub, To, Kind string
	Object, Old, Patch          json.RawMessage
	Labels                      []string
}

type answer struct {
	Object   json.RawMessage      `json:"object,omitempty"`
	Labels   []string             `json:"labels,omitempty"`
	Warnings []string             `json:"warnings,omitempty"`
	Reason   string               `json:"reason,omitempty"`
	Message  string               `json:"message,omitempty"`
	Causes   []metav1.StatusCause `json:"causes,omitempty"`
}

type recorder struct{ said []string }

func (r *recorder) AddWarning(_, text string) { r.said = append(r.said, text) }

var codecs = serializer.NewCodecFactory(legacyscheme.Scheme)

func main() {
	capabilities.Initialize(capabilities.Capabilities{AllowPrivileged: true})
	in := bufio.NewScanner(os.Stdin)
	in.Buffer(nil, 1<<26)
	out := bufio.NewWriter(os.Stdout)
	encoder := json.NewEncoder(out)
	encoder.SetEscapeHTML(false)
	for in.Scan() {
		var asked question
		if err := json.Unmarshal(in.Bytes(), &asked); err != nil {
			panic(err)
		}
		if err := encoder.Encode(solve(asked)); err != nil {
			panic(err)
		}
		out.Flush()
	}
}

func solve(asked question) (found answer) {
	defer func() {
		if trouble := recover(); trouble != nil {
			found = answer{Reason: "Panic", Message: fmt.Sprint(trouble)}
		}
	}()
	said := &recorder{}
	object, err := act(warning.WithWarningRecorder(context.Background(), said), asked, &found)
	if err != nil {
		return refusal(err)
	}
	found.Object, found.Warnings = object, said.said
	return found
}

func refusal(err error) answer {
	var status apierrors.APIStatus
	if !errors.As(err, &status) {
		return answer{Reason: "BadRequest", Message: err.Error()}
	}
	said := status.Status()
	found := answer{Reason: string(said.Reason), Message: said.Message}
	if said.Details != nil {
		found.Causes = said.Details.Causes
	}
	return found
}

func act(ctx context.Context, asked question, found *answer) (json.RawMessage, error) {
	switch asked.Op {
	case "strategic":
		gvk := kindOf(asked.Object)
		empty, err := legacyscheme.Scheme.New(gvk)
		if err != nil {
			return nil, err
		}
		return strategicpatch.StrategicMergePatch(asked.Object, asked.Patch, empty)
	case "label":
		group, kind, _ := cut(asked.Kind)
		for _, label := range asked.Labels {
			if _, _, err := legacyscheme.Scheme.ConvertFieldLabel(group.WithKind(kind), label, "x"); err == nil {
				found.Labels = append(found.Labels, label)
			}
		}
		return nil, nil
	}
	if asked.Op == "facts" {
		return facts(ctx, asked)
	}
	object, gvk, err := decode(asked.Object)
	if err != nil {
		return nil, err
	}
	switch asked.Op {
	case "default":
		return encode(object, gvk.GroupVersion())
	case "convert":
		to, err := schema.ParseGroupVersion(asked.To)
		if err != nil {
			return nil, err
		}
		inner, err := internal(object)
		if err != nil {
			return nil, err
		}
		return encode(inner, to)
	}
	inner, err := internal(object)
	if err != nil {
		return nil, err
	}
	gvr := schema.ParseGroupResource(asked.Resource).WithVersion(gvk.Version)
	accessor, err := meta.Accessor(inner)
	if err != nil {
		return nil, err
	}
	ctx = request.WithNamespace(ctx, accessor.GetNamespace())
	ctx = request.WithRequestInfo(ctx, &request.RequestInfo{IsResourceRequest: true, Verb: asked.Op, APIGroup: gvr.Group,
		APIVersion: gvr.Version, Resource: gvr.Resource, Subresource: asked.Sub, Namespace: accessor.GetNamespace(), Name: accessor.GetName()})
	if asked.Op == "create" {
		strategy, known := strategies[asked.Resource].(rest.RESTCreateStrategy)
		if !known {
			return nil, fmt.Errorf("no strategy for %q", asked.Resource)
		}
		rest.FillObjectMetaSystemFields(accessor)
		if err := rest.BeforeCreate(strategy, ctx, inner); err != nil {
			return nil, err
		}
		return encode(inner, gvk.GroupVersion())
	}
	strategy, known := strategies[strings.TrimSuffix(asked.Resource+"/"+asked.Sub, "/")].(rest.RESTUpdateStrategy)
	if !known {
		return nil, fmt.Errorf("no strategy for %q", asked.Resource+"/"+asked.Sub)
	}
	old, _, err := decode(asked.Old)
	if err != nil {
		return nil, err
	}
	before, err := internal(old)
	if err != nil {
		return nil, err
	}
	if err := rest.BeforeUpdate(strategy, ctx, inner, before); err != nil {
		return nil, err
	}
	return encode(inner, gvk.GroupVersion())
}

func facts(ctx context.Context, asked question) (json.RawMessage, error) {
	strategy, known := strategies[asked.Resource].(rest.RESTUpdateStrategy)
	if !known {
		return nil, fmt.Errorf("no strategy for %q", asked.Resource)
	}
	group, kind, _ := cut(asked.Kind)
	empty, err := legacyscheme.Scheme.New(group.WithKind(kind))
	if err != nil {
		return nil, err
	}
	legacyscheme.Scheme.Default(empty)
	empty.GetObjectKind().SetGroupVersionKind(group.WithKind(kind))
	found := map[string]bool{"blind": strategy.AllowUnconditionalUpdate(), "upsert": strategy.AllowCreateOnUpdate()}
	inner, err := internal(empty)
	if err != nil {
		return nil, err
	}
	func() {
		defer func() { _ = recover() }()
		strategies[asked.Resource].(rest.RESTCreateStrategy).PrepareForCreate(request.WithNamespace(ctx, "x"), inner)
	}()
	accessor, err := meta.Accessor(inner)
	if err != nil {
		return nil, err
	}
	found["generation"] = accessor.GetGeneration() == 1
	return json.Marshal(found)
}

func cut(kind string) (schema.GroupVersion, string, error) {
	at := strings.LastIndex(kind, "/")
	group, err := schema.ParseGroupVersion(kind[:at])
	return group, kind[at+1:], err
}

func kindOf(raw []byte) schema.GroupVersionKind {
	var head metav1.TypeMeta
	if err := json.Unmarshal(raw, &head); err != nil {
		panic(err)
	}
	return head.GroupVersionKind()
}

func decode(raw []byte) (runtime.Object, *schema.GroupVersionKind, error) {
	object, gvk, err := codecs.UniversalDeserializer().Decode(raw, nil, nil)
	if err != nil {
		return nil, gvk, err
	}
	legacyscheme.Scheme.Default(object)
	return object, gvk, nil
}

func internal(object runtime.Object) (runtime.Object, error) {
	return legacyscheme.Scheme.ConvertToVersion(object, runtime.InternalGroupVersioner)
}

func encode(object runtime.Object, version schema.GroupVersion) (json.RawMessage, error) {
	return runtime.Encode(codecs.LegacyCodec(version), object)
}
